// SPDX-License-Identifier: GPL-2.0-only
/* complain.c - error messages: see complain.h */
#include "complain.h"

#include <stdarg.h>
#include <stdio.h>

int complain(const char *fmt, ...)
{
	va_list args;

	flockfile(stderr);
	fputs("tricolor: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	putc('\n', stderr);
	funlockfile(stderr);
	return 1;
}
