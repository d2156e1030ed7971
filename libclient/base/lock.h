/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.h - the locks that a refill takes
 *
 * A futex word: 0 free, 1 taken, 2 taken and waited for.  Two atomic instructions and no call
 * while nobody waits, which is half of what pthread_mutex_lock() and its counterpart cost.  Not
 * recursive, not for signal handlers.  All zeros is a free lock.
 */
#ifndef TRI_LOCK_H
#define TRI_LOCK_H

#include <stdbool.h>

#include "../../core/system/futex.h"

struct tri_lock {
	tri_au32 word;
};

static inline void tri_lock(struct tri_lock *l)
{
	uint32_t old = 0;

	/* Acquire: pairs with tri_unlock(). */
	if (atomic_compare_exchange_strong_explicit(&l->word, &old, 1, memory_order_acquire,
						    memory_order_relaxed))
		return;
	while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire))
		tri_futex_wait(&l->word, 2, -1);
}

/* As tri_lock(), but not for longer than until @ns of CLOCK_MONOTONIC.  False: it is not taken. */
static inline bool tri_lock_until(struct tri_lock *l, uint64_t ns)
{
	uint32_t old = 0;

	if (atomic_compare_exchange_strong_explicit(&l->word, &old, 1, memory_order_acquire,
						    memory_order_relaxed))
		return true;
	while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire)) {
		struct timespec now;
		int64_t left;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left = (int64_t)(ns - (uint64_t)now.tv_sec * 1000000000 - (uint64_t)now.tv_nsec);
		if (left <= 0)
			return false;
		tri_futex_wait(&l->word, 2, left);
	}
	return true;
}

static inline bool tri_trylock(struct tri_lock *l)
{
	uint32_t old = 0;

	return atomic_compare_exchange_strong_explicit(&l->word, &old, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static inline void tri_unlock(struct tri_lock *l)
{
	/* Release: pairs with tri_lock(). */
	if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2)
		tri_futex_wake(&l->word);
}

#endif
