// SPDX-License-Identifier: LGPL-2.1-or-later
/* size.c - see size.h */
#include "core/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool tri_parse_bytes(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *suffix;
		int shift;
	} units[] = { { "", 0 },     { "B", 0 },    { "KiB", 10 },
		      { "MiB", 20 }, { "GiB", 30 }, { "TiB", 40 } };
	unsigned long long n;
	char *end;
	size_t i;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	for (i = 0; !errno && i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(end, units[i].suffix)) {
			*bytes = n << units[i].shift;
			return *bytes >> units[i].shift == n && *bytes <= INT64_MAX;
		}
	}
	return false;
}

bool tri_parse_limit(const char *text, int64_t *bytes)
{
	uint64_t n;

	if (!strcmp(text, "off") || !strcmp(text, "auto")) {
		*bytes = *text == 'o' ? INT64_MAX : 0;
		return true;
	}
	if (!tri_parse_bytes(text, &n) || !n)
		return false;
	*bytes = (int64_t)n;
	return true;
}

bool tri_parse_percent(const char *text, int32_t *percent)
{
	char *end;
	long n;

	if (!strcmp(text, "off")) {
		*percent = -1;
		return true;
	}
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || n > TRI_GC_PERCENT_MAX)
		return false;
	*percent = (int32_t)n;
	return true;
}
