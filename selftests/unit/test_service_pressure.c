// SPDX-License-Identifier: GPL-2.0-only
/* test_service_pressure.c - base64, in which a service manager says what is to be written */
#include <string.h>

#include "kselftest.h"
#include "daemon/limits/service_pressure.h"

static const struct {
	const char *text, *data;
	int n;				/* -1: it is none */
} cases[] = {
	{ "", "", 0 },
	{ "Zg==", "f", 1 },
	{ "Zm8=", "fo", 2 },
	{ "Zm9v", "foo", 3 },
	{ "Zm9vYmFy", "foobar", 6 },
	{ "AAD/+/8=", "\0\0\xff\xfb\xff", 5 },
	{ "c29tZSAxMDAwMDAgMTAwMDAwMAA=", "some 100000 1000000", 20 },
	{ "Zm9", NULL, -1 },
	{ "Zm9v=", NULL, -1 },
	{ "=", NULL, -1 },
	{ "====", NULL, -1 },
	{ "Z===", NULL, -1 },
	{ "Zg==Zg==", NULL, -1 },
	{ "Zm9v\n", NULL, -1 },
	{ "Zm 9", NULL, -1 },
	{ "Zm9-", NULL, -1 },
	{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", NULL, -1 },	/* 33 bytes, and there is room for 32 */
};

int main(void)
{
	const size_t n = sizeof(cases) / sizeof(cases[0]);
	unsigned char data[32 + 1];
	size_t i;
	int got;

	ksft_print_header();
	ksft_set_plan((unsigned int)n);
	for (i = 0; i < n; i++) {
		memset(data, 0xa5, sizeof(data));
		got = service_pressure_decode(cases[i].text, data, 32);
		ksft_test_result(got == cases[i].n &&
					 (got <= 0 || !memcmp(data, cases[i].data, (size_t)got)) &&
					 data[got > 0 ? got : 32] == 0xa5,
				 "base64 of %zu characters: %d bytes\n", strlen(cases[i].text),
				 cases[i].n);
	}
	ksft_finished();
}
