// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * starting.c - a record for each thread that the library's pthread_create() makes
 *
 * A record lives from the thread's creation to its end, or to its join if it can be joined.  It
 * holds the thread's argument as a root until the thread is attached, and the thread's result until
 * the thread is joined.  pthreads.c has the functions that make and end records.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "scan.h"
#include "starting.h"

__thread struct tri_starting *tri_starting_self __attribute__((tls_model("initial-exec")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tri_starting *startings;			/* lock */
static uint64_t serials;				/* lock */
static _Atomic uintptr_t begins_with;	/* the routine with which all these threads begin */

/** Until the unlock, no other thread changes records, and the agent reads none. */
void tri_starting_lock(void)
{
	pthread_mutex_lock(&lock);
}

void tri_starting_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/** Whether threads that have a record begin with @routine. */
bool tri_starting_begins_with(uintptr_t routine)
{
	return routine && atomic_load(&begins_with) == routine;
}

/** The thread of @s is about to be made, and will begin with @routine. */
void tri_starting_add(struct tri_starting *s, uintptr_t routine)
{
	atomic_store(&begins_with, routine);
	pthread_mutex_lock(&lock);
	s->serial = ++serials;
	s->next = startings;
	s->prev = &startings;
	if (s->next)
		s->next->prev = &s->next;
	startings = s;
	pthread_mutex_unlock(&lock);
}

/** Free the record.  Called with the lock. */
void tri_starting_drop(struct tri_starting *s)
{
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	free(s);
}

/* Drop records of ended threads with the same pthread_t, which were not joined by the library. */
static void forget_namesakes(struct tri_starting *keep)
{
	struct tri_starting *s, *next;

	for (s = startings; s; s = next) {
		next = s->next;
		if (s != keep && s->ended && pthread_equal(s->thread, keep->thread))
			tri_starting_drop(s);
	}
}

/** The thread of @s has been made, is @thread, and can be joined.  Called with the lock. */
void tri_starting_made(struct tri_starting *s, pthread_t thread)
{
	s->thread = thread;
	forget_namesakes(s);
}

/** The calling thread, whose record is @s, ends.  The record stays if the thread can be joined. */
void tri_starting_ended(struct tri_starting *s)
{
	pthread_mutex_lock(&lock);
	s->ended = true;
	tri_starting_self = NULL;
	if (!s->joinable)
		tri_starting_drop(s);
	pthread_mutex_unlock(&lock);
}

/** The serial number of a thread that can still be joined; 0: it has no record. */
uint64_t tri_starting_serial(pthread_t thread)
{
	uint64_t serial = 0;
	struct tri_starting *s;

	pthread_mutex_lock(&lock);
	for (s = startings; s && !serial; s = s->next)
		if (s->joinable && pthread_equal(s->thread, thread))
			serial = s->serial;
	pthread_mutex_unlock(&lock);
	return serial;
}

/** The thread with this serial number has been joined, or detached. */
void tri_starting_joined(uint64_t serial)
{
	struct tri_starting *s;

	pthread_mutex_lock(&lock);
	for (s = startings; s; s = s->next) {
		if (s->serial == serial) {
			if (s->ended)
				tri_starting_drop(s);
			else
				s->joinable = false;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

/** Agent: scan the records.  If all threads are stopped (@all), one of them may have the lock. */
void tri_starting_scan(struct tri_thread *to, bool all)
{
	struct tri_starting *s;

	if (all ? pthread_mutex_trylock(&lock) : pthread_mutex_lock(&lock))
		return;
	for (s = startings; s; s = s->next)
		tri_scan_range(to, (uintptr_t)&s->arg, (uintptr_t)(&s->result + 1), all);
	pthread_mutex_unlock(&lock);
}

/** In a forked child: forget all records. */
void tri_starting_reset(void)
{
	pthread_mutex_init(&lock, NULL);
	startings = NULL;
	tri_starting_self = NULL;
}
