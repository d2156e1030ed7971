/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * specials.h - records of cleanups and finalizers: see specials.c
 *
 * Functions that take a thread are called by that thread, inside.  If something is marked, they
 * shade what a record leads to.
 */
#ifndef TRI_SPECIALS_H
#define TRI_SPECIALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/special.h"
#include "../base/attributes.h"
#include "../base/state.h"

struct tri_cleanup;
struct tri_thread;

/* A record that was taken from the queue. */
struct tri_special_taken {
	enum tri_special_kind kind;
	void *object;			/* of a finalizer */
	union {
		void (*cleanup)(void *arg);
		void (*finalizer)(void *object, void *arg);
	};
	void *argument;
};

/* Whether this heap has ever had a record. */
static inline bool tri_specials_exist(void)
{
	return tri_read(&tri_g.view.ctl->specials_top) != 0;
}

/**
 * Add a record for the object that begins at @object.  @id: names it; may be NULL.  Returns 0,
 * -ENOMEM, or -EEXIST if it is a finalizer and the object has one.
 */
int tri_special_add(struct tri_thread *t, enum tri_special_kind kind, const void *object,
		    uintptr_t function, const void *argument, struct tri_cleanup *id) TRI_HIDDEN;

/** Remove the live cleanup that @id names.  False: there is none. */
bool tri_special_stop(struct tri_thread *t, const struct tri_cleanup *id) TRI_HIDDEN;

/** Remove the live finalizer of the object that begins at @object.  False: it has none. */
bool tri_special_remove(struct tri_thread *t, const void *object) TRI_HIDDEN;

/** The program frees @object: its cleanups are queued, and its finalizer is removed. */
void tri_special_object_freed(struct tri_thread *t, const void *object) TRI_HIDDEN;

/**
 * Queue the live ones of the records from @from on, some hundred of them, and all others of the
 * same pages.  Returns where to go on; 0: these were the last ones.
 */
uint32_t tri_special_queue_live(struct tri_thread *t, uint32_t from) TRI_HIDDEN;

/* What the runner calls at this moment; `since_ns` is 0 while it calls nothing. */
extern struct tri_special_busy {
	tri_au64 since_ns, function;
} tri_special_busy TRI_HIDDEN;

#define TRI_BUSY_NS 10000000000ull	/* a call that lasts so long is reported if others wait */

/** For how long the runner has been in its call; 0: it is in none. */
static inline uint64_t tri_special_busy_ns(void)
{
	uint64_t since = tri_read(&tri_special_busy.since_ns);

	return since ? tri_now_ns() - since : 0;
}

/* The thread that calls what is queued: see runner.c. */
extern struct tri_special_runner {
	pthread_mutex_t lock;		/* for all below */
	bool started;
	uint32_t era;			/* another one in each child of fork() */
	int (*ensure)(void);		/* tri_runner_ensure(), once it has started one */
} tri_special_runner TRI_HIDDEN;

/** Take the first record from the queue.  False: there is none. */
bool tri_special_take(struct tri_thread *t, struct tri_special_taken *taken) TRI_HIDDEN;

/** How many records are queued. */
uint32_t tri_specials_queued(void) TRI_HIDDEN;

/* Set once: the agent wants to know when the queue gets its first record, or loses its last. */
extern tri_au32 tri_specials_watched TRI_HIDDEN;

/** A futex that changes whenever a record is queued. */
tri_au32 *tri_specials_futex(void) TRI_HIDDEN;

/**
 * Agent, in H4, when marking has ended: queue what was waiting for the death of an object that has
 * not been marked.  An object with a finalizer is marked; *@kept: the bytes of these objects.
 * False: a thread has held a lock for @patience_ns.  Then nothing may be swept in this cycle.  What
 * was queued stays queued, since its objects are dead whatever becomes of the cycle.
 */
bool tri_specials_settle(uint64_t patience_ns, uint64_t *kept) TRI_HIDDEN;

/* For fork(): take all locks until @ns, or none and return false; release them. */
bool tri_specials_hold(uint64_t ns) TRI_HIDDEN;
void tri_specials_release(void) TRI_HIDDEN;

/** Copy the records into the tables of another arena, @to.  Nobody changes any meanwhile. */
void tri_specials_copy(const struct tri_view *to) TRI_HIDDEN;

/* In the child of a fork(), with a copy of the heap and without. */
void tri_specials_forked(void) TRI_HIDDEN;
void tri_specials_reset(void) TRI_HIDDEN;

#endif
