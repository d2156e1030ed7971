/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread.h - the record of an attached thread
 *
 * A record is in the list (tri_g.threads) from attach to detach, and on a free list otherwise.  It
 * is never unmapped: the inline paths may have read a pointer to its caches.  Each group of fields
 * names its owner.  "Cache lock" is the record's own cache_lock; "list_lock" is tri_g.list_lock.
 */
#ifndef TRI_THREAD_H
#define TRI_THREAD_H

#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../core/heap/layout.h"
#include "../heap/cache.h"
#include "../base/lock.h"
#include "../roots/scan.h"
#include "../roots/stack.h"
#include "../base/state.h"

/* What a thread has yet to answer; tri_thread.pending. */
enum {
	TRI_PENDING_SCAN = 1,		/* scan your stack and registers */
	TRI_PENDING_STOP = 2,		/* then wait for tri_g.resume */
	TRI_PENDING_WAKE = 4,		/* the agent waits until you are outside: wake it */
};

#define TRI_FREED 64u			/* notes of freed objects in a record */

/* tri_thread.signal_sent */
enum { TRI_SENDING = 1, TRI_SENT = 2 };

/* The lower bits of tri_thread.blocked: see region.c. */
enum { TRI_RUNNING, TRI_BLOCKED, TRI_BLOCKED_HELD };

struct tri_thread {
	/*
	 * Owner: the thread, with its cache lock or in an inline path that is not diverted.
	 * cache.c
	 */
	struct tri__cache caches[TRI__CACHES];
	struct tri_cached_span spans[TRI__CACHES];
	uint64_t active[4];		/* a bit for each entry that has a span or a run of
					 * fresh ones */

	/*
	 * Objects that the thread has passed to tri_free().  They are freed together, or when the
	 * cycle ends.  Owner: as the caches; see free.c.
	 */
	uint32_t nfreed;
	uintptr_t freed[TRI_FREED];

	/* Owner: the thread; read by the agent and, in a signal handler, by the thread. */
	_Alignas(64) union {
		tri_au64 inside;	/* both in one store, which no signal can interrupt */
		struct {
			uint32_t depth;		/* calls that are inside, one in another */
			tri_au32 visits;	/* odd while the thread is inside the library */
		};
	};
	uint32_t buffer;		/* its index plus 1, as in slot->buffer; 0: none */
	struct tri__tls *tls;
	uint64_t *rseq_cs;		/* the kernel's word that names a sequence; NULL: the
					 * kernel knows none */
	struct tri_slot *slot;
	char *tiny;			/* second half of a slot for tiny leaf objects; cache
					 * lock */
	/* What it owes and has waited: see assist.c. */
	uint64_t debt_bytes;		/* allocated and not yet paid for by an assist */
	uint64_t futile_ns;		/* of waits in a row in which nothing was done */
	uint32_t futile_waits, quanta;
	uint64_t waits_ns, waits_cycle;	/* all its waits, since that many cycles had ended */
	/* How the kernel's limit has held it back: see throttle.c. */
	uint64_t short_bytes;		/* what it was refused; 0: it was not */
	uint64_t throttled_ns;		/* waited since @throttled_gen cycles were complete */
	uint32_t throttled_gen;
	uint64_t pass_bytes;		/* what it may take at once after it has waited */
	int64_t least_headroom;		/* if at least so much is left afterwards */

	/* Written by the agent and read by the thread, unless a field says otherwise. */
	_Alignas(64) tri_au32 pending;	/* what it has to answer; the thread clears it */
	tri_au32 marking;		/* stores shade */
	uint32_t black;			/* new objects are marked; cache lock */
	uint32_t gen;			/* marks[gen & 1] says what is allocated; cache lock */
	tri_au32 scanned_cycle;		/* last cycle that has this thread's stack; thread or
					 * agent */
	tri_au32 fence_seen;		/* the last fence by signal; written by the thread */
	bool signalled;			/* for the current request; only the agent's */
	uint32_t inside_since;		/* `visits` when the agent began to wait for it to come
					 * out; 0: it does not wait; only the agent's */
	tri_au32 signal_sent[2];	/* TRI_SENDING or TRI_SENT until the signal arrives,
					 * when the thread clears it */

	struct tri_lock cache_lock;

	/* Blocking region: the thread saves all this before it sets `blocked`; see region.c. */
	tri_au32 blocked;
	tri_au32 waits;			/* a hint: it waits in the library, so the agent should
					 * send a signal at once; written by the thread */
	tri_au32 stopped;		/* it waits because the agent asked for a stop; written
					 * by the thread */
	uintptr_t saved_sp;		/* the stack from here up does not change while the
					 * thread is blocked */
	uintptr_t saved[64];		/* registers and the words of the frame that is gone */
	uint32_t nsaved;

	/*
	 * How often the library's handler and handlers of the program have run on this thread: see
	 * transfer.c.
	 */
	tri_au32 interrupted, handlers;

	/*
	 * A system call with a time-out that goes on after an interruption: see restart.c.  Owner:
	 * the signal handler.
	 */
	uint64_t call_since_ns;
	uintptr_t call_sp;
	long call_number;

	/*
	 * Its stacks: see stack.c.  Owner: the thread, or the agent while it holds the thread in a
	 * blocking region.
	 */
	void *fake_stack;		/* the address sanitizer's; in the agent's record, that
					 * of the thread which it scans */
	uintptr_t signal_lo, signal_hi;	/* its signal stack, as it was last noted */
	uintptr_t stack_lo, stack_hi;	/* the stack that it was started on */
	struct tri_stack *stack;	/* the one it has switched to; NULL: it never did */
	struct tri_stack *own;		/* descriptor of stack_lo ..; NULL: none was needed */
	struct tri_stack *left;		/* the stack that it left last, and which it is still on
					 * just before a switch; may be another one by now */
	bool stack_grows;		/* the stack may begin below stack_lo, which is the
					 * lowest address that was seen of it */

	/*
	 * A robust mutex that the thread holds for as long as it is attached.  The kernel marks it
	 * when the thread has ended, in whatever way.  `life` points to own_life or to the mutex
	 * that the main thread has held from the start.
	 */
	pthread_mutex_t own_life, *life;
	/*
	 * Where the agent writes in place of @tls, if the thread may end without detaching: see
	 * tri_thread_link().
	 */
	struct tri__tls away;

	/* Fixed at attach. */
	uintptr_t tp;			/* thread pointer, or 0: see tls.c */
	pid_t tid;
	uint32_t slot_index;

	/* The list, or the free list: list_lock. */
	struct tri_thread *next, **prev;

	struct tri_later later;		/* owner: the thread, inside */

	/*
	 * For tri_scan_foreign().  Owner: the thread, inside.  This field is the last one, as
	 * tri_thread_new() clears all that is before it.
	 */
	_Alignas(64) unsigned char copy[TRI_COPY_BYTES];
};

struct tri_thread *tri_common_enter(void) TRI_HIDDEN;
void tri_common_leave(void) TRI_HIDDEN;
void tri_list_lock(struct tri_thread *self) TRI_HIDDEN;
void tri_list_unlock(struct tri_thread *self) TRI_HIDDEN;
void tri_thread_remove(struct tri_thread *t) TRI_HIDDEN;	/* list_lock */
void tri_threads_reap(void) TRI_HIDDEN;			/* list_lock */
void tri_threads_reset(void) TRI_HIDDEN;
void tri_threads_forked(struct tri_thread *self) TRI_HIDDEN;
struct tri_thread *tri_thread_new(void) TRI_HIDDEN;	/* list_lock */
struct tri_thread *tri_thread_new_with_slot(void) TRI_HIDDEN;
void tri_thread_discard(struct tri_thread *t) TRI_HIDDEN;	/* list_lock */
/* With list_lock. */
void tri_thread_link(struct tri_thread *t, struct tri__tls *tls, bool inlined) TRI_HIDDEN;
int tri_slot_take(struct tri_thread *t) TRI_HIDDEN;
void tri_slot_give(struct tri_thread *t) TRI_HIDDEN;

/*
 * Whether the kernel has marked the mutex.  Then its thread has ended, and the thread's stack and
 * thread-local variables may be unmapped.
 */
static inline bool tri_life_over(const pthread_mutex_t *life)
{
	return life &&
	       (__atomic_load_n(&life->__data.__lock, __ATOMIC_ACQUIRE) & (int)FUTEX_OWNER_DIED);
}

/* Whether the mutex is held.  If the record is in the list, its thread is alive then. */
static inline bool tri_life_holds(const pthread_mutex_t *life)
{
	int word = life ? __atomic_load_n(&life->__data.__lock, __ATOMIC_ACQUIRE) : 0;

	return (word & (int)FUTEX_TID_MASK) && !(word & (int)FUTEX_OWNER_DIED);
}

static inline bool tri_thread_over(const struct tri_thread *t)
{
	return unlikely(tri_life_over(t->life));
}

/* Where the agent finds a thread's tri__tls.  Called with list_lock. */
static inline struct tri__tls *tri_tls_of(struct tri_thread *t)
{
	return unlikely(tri_thread_over(t)) ? &t->away : t->tls;
}

/* This thread is attaching or detaching.  It may have list_lock although it has no record. */
extern __thread bool tri_between TRI_HIDDEN __attribute__((tls_model("initial-exec")));

#endif
