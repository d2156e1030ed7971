// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * life.c - which threads have ended
 *
 * A thread that ends by the C library's ways detaches itself (attach.c).  One that leaves by a raw
 * exit does not, nor does one that attaches again in its last destructors.  Its thread ID says
 * nothing: another thread may have it by now, and a main thread that has ended keeps it.  So each
 * attached thread holds a robust mutex in its record.  The kernel marks the mutex when its holder
 * ends, before anybody can have the thread's stack and thread-local variables unmapped.
 */
#include <errno.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "life.h"
#include "../base/lock.h"
#include "../base/state.h"
#include "thread.h"

/*
 * The main thread's mutex.  It holds this from the library's start on, since another thread may
 * attach it.
 */
static pthread_mutex_t main_life;

static void take(pthread_mutex_t *life)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(life, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_lock(life);
}

/** The main thread calls this at the library's start, and in the child of a fork(). */
void tri_life_begin_main(void)
{
	take(&main_life);
}

/** Lock the mutex of @t, the caller's record, which no other thread knows yet. */
void tri_life_begin(struct tri_thread *t, bool main)
{
	t->life = main ? &main_life : &t->own_life;
	if (!main)
		take(t->life);
}

/** Unlock the mutex of @t, the caller's record, which other threads may use from now on. */
void tri_life_end(struct tri_thread *t)
{
	if (t->life == &t->own_life)
		pthread_mutex_unlock(t->life);
	t->life = NULL;
}

/** Give @t the main thread's mutex: it is the main thread's record. */
void tri_life_of_main(struct tri_thread *t)
{
	t->life = &main_life;
}

/** Whether the main thread is known to live.  It is not if another thread loaded this library. */
bool tri_main_lives(void)
{
	return tri_life_holds(&main_life);
}

/** Sleep until the main thread has ended. */
void tri_main_wait(void)
{
	tri_au32 *word = (tri_au32 *)&main_life.__data.__lock;

	while (tri_main_lives()) {
		/*
		 * The kernel wakes a waiter when the thread ends if this bit says that there is
		 * one.  It keeps the other bits of the word.
		 */
		uint32_t is = atomic_fetch_or(word, FUTEX_WAITERS) | FUTEX_WAITERS;

		if (!(is & FUTEX_OWNER_DIED))
			tri_futex_wait(word, is, -1);
	}
}

/** Whether the main thread has ended. */
bool tri_main_is_over(void)
{
	struct tri_thread t = { .life = &main_life };

	return tri_thread_over(&t);
}
