// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * signal_number.c - which signals are the library's
 *
 * Chosen when the heap starts (disposition.c).  Before that it is what the choice begins with:
 * masks are to leave these signals open already.  Async-signal-safe.
 */
#include <signal.h>
#include <stdlib.h>

#include "../../core/heap/layout.h"
#include "attributes.h"
#include "signals.h"

tri_au32 tri_signal_numbers[2];

/* The numbers, before the heap starts: masks are to leave them open already. */
static int early_number(int which)
{
	static int first;
	const char *e;
	int n;

	if (which)
		return SIGSTKFLT;
	if (!first) {
		e = secure_getenv("TRICOLOR_SIGNAL");
		n = e ? atoi(e) : 0;
		first = n > 0 && n <= SIGRTMAX ? n : SIGRTMIN + 2;
	}
	return first;
}

/** The first signal of the library's (0) or the second (1). */
int tri_signal_number(int which)
{
	uint32_t n = tri_read(&tri_signal_numbers[which]);

	return n ? (int)n : early_number(which);
}

/** Take the library's signals out of @set. */
void tri_signals_strip(sigset_t *set)
{
	sigdelset(set, tri_signal_number(0));
	sigdelset(set, tri_signal_number(1));
}
