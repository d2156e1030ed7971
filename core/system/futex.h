/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* futex.h - futexes, in memory that may be shared with the collector.  Async-signal-safe. */
#ifndef TRI_FUTEX_H
#define TRI_FUTEX_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../heap/layout.h"

/* Wait while *@word is @value, at most @ns (negative: no limit).  May return early. */
static inline void tri_futex_wait(tri_au32 *word, uint32_t value, int64_t ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	syscall(SYS_futex, word, FUTEX_WAIT, value, ns < 0 ? NULL : &ts, NULL, 0);
}

static inline void tri_futex_wake(tri_au32 *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

#endif
