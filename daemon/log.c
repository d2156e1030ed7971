// SPDX-License-Identifier: GPL-2.0-only
/* log.c - see log.h */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic(int) highest = LOG_INFO;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&highest, (int)level, memory_order_relaxed);
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	size_t at;
	va_list args;
	int n;

	if ((int)level > atomic_load_explicit(&highest, memory_order_relaxed))
		return;
	strcpy(line, "tricolord: ");
	at = strlen(line);
	va_start(args, fmt);
	n = vsnprintf(line + at, sizeof(line) - at - 1, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	at = strlen(line);
	line[at++] = '\n';
	/* One write, so that lines of several threads do not mix. */
	if (write(STDERR_FILENO, line, at) < 0)
		return;
}
