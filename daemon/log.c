// SPDX-License-Identifier: GPL-2.0-only
/* log.c - see log.h */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void log_line(const char *fmt, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	/* One write, so that lines of several threads do not mix. */
	dprintf(STDERR_FILENO, "tricolord: %s\n", line);
}
