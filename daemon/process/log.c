// SPDX-License-Identifier: GPL-2.0-only
/* log.c - lines on standard error, at a bounded rate: see log.h */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/system/clock.h"

/* BURST lines may come at once; from then on there may be one in each interval. */
#define BURST 200
#define INTERVAL_NS 100000000ull

static _Atomic(int) highest = LOG_INFO;
static _Atomic(uint64_t) spent_until_ns;	/* end of the intervals that lines have used up */
static _Atomic(unsigned int) left_out;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&highest, (int)level, memory_order_relaxed);
}

/*
 * Whether there may be one more line: a client that is refused a thousand times a second must
 * neither fill a disk nor have the system's log drop what others say.
 */
static bool may_say(void)
{
	uint64_t now = clock_ns(), spent = atomic_load(&spent_until_ns), from;

	do {
		from = spent > now ? spent : now;
		if (from - now > (BURST - 1) * INTERVAL_NS) {
			atomic_fetch_add(&left_out, 1);
			return false;
		}
	} while (!atomic_compare_exchange_weak(&spent_until_ns, &spent, from + INTERVAL_NS));
	return true;
}

static void (*_Atomic copy_to)(enum log_level level, const char *line);

void log_copy_to(void (*copy)(enum log_level level, const char *line))
{
	atomic_store(&copy_to, copy);
}

void log_at(enum log_level level, const char *fmt, ...)
{
	int most = atomic_load_explicit(&highest, memory_order_relaxed);
	void (*copy)(enum log_level, const char *) = atomic_load(&copy_to);
	char line[1024];
	unsigned int omitted;
	size_t at;
	va_list args;
	int n;

	if ((int)level > most)
		return;
	/* Errors are the collector's own, and few; at LOG_DEBUG all lines are wanted. */
	if (level != LOG_ERROR && most < LOG_DEBUG) {
		if (!may_say())
			return;
		omitted = atomic_exchange(&left_out, 0);
		if (omitted)
			dprintf(STDERR_FILENO, "tricolord: %u lines were left out\n", omitted);
	}
	strcpy(line, "tricolord: ");
	at = strlen(line);
	va_start(args, fmt);
	n = vsnprintf(line + at, sizeof(line) - at - 1, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	if (copy)
		copy(level, line + at);
	at = strlen(line);
	line[at++] = '\n';
	/* One write, so that lines of several threads do not mix. */
	if (write(STDERR_FILENO, line, at) < 0)
		return;
}
