/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.h - the library's global state, and the one lock that orders it
 *
 * Who may touch what:
 *
 *	mutator	owns its struct tri_thread's caches while it holds its cache lock, or in the inline
 *		fast path, which the agent diverts (tls->caches = empty, then a fence) before it
 *		touches them
 *	agent	one helper thread a process.  It executes the collector's handshakes, and has a
 *		descriptor table of its own, so that the program can neither see nor close its
 *		descriptors
 *
 * Lock order, outermost first:
 *
 *	start_lock (init.c)		the heap, or its agent, is being started
 *	fork_lock.c's lock		a thread is being attached
 *	root_memory.c's lock		memory of tri_root_alloc()
 *	tri_g.list_lock			the threads, and the phase that a new one adopts
 *	root_table.h's lock		registered ranges, memory of tri_root_alloc(), handles
 *	tri_thread.cache_lock		a thread's caches
 *	the locks of records (specials.c)
 *	the lists' locks (central.c)
 *	tri_g.page_lock			pages of the heap
 *
 * None of these is taken while one of the locks of coroutine.c, error.c, pressure.c or starting.c
 * is held.  fork() takes all of the list (forking.c), and then the dynamic loader's (loader.c).  A
 * thread never waits for list_lock while it is inside (see inside.h): the agent waits, with
 * list_lock held, for threads to come out.
 */
#ifndef TRI_STATE_H
#define TRI_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../core/heap/layout.h"
#include "attributes.h"
#include "../heap/backing.h"
#include "lock.h"
#include "settings.h"
#include "tricolor.h"

/* A phase of the cycle as a new thread adopts it.  Written by the agent under list_lock. */
enum tri_phase {
	TRI_PHASE_OFF,
	TRI_PHASE_BARRIER,		/* barriers are going on; nothing may be allocated black
					 * yet */
	TRI_PHASE_BLACK,		/* every barrier is on; new objects are black */
	TRI_PHASE_SCAN,			/* and all roots but stacks have been scanned */
};

/* Interruptions since the last answer to the collector, and since the start. */
struct tri_interruptions {
	tri_au64 max_ns, total_ns;
	tri_au32 count;
	tri_au64 all_max_ns, all_total_ns, all_count;
};

enum tri_state { TRI_STATE_NONE, TRI_STATE_STARTING, TRI_STATE_READY };

struct tri_thread;

/*
 * Lives as long as the process.  In the child of a fork() it is begun anew (child.c), unless the
 * child has a copy of the heap.
 */
struct tri_global {
	/*
	 * The heap.  Written by the thread that starts it and by the agent meanwhile, under
	 * init.c's start_lock.
	 */
	const tri_au32 *same;		/* reads 0 in a child of _Fork(): see raw_fork.c */
	struct tri_view view;
	tri_au32 state;			/* enum tri_state; written last, with release */
	tri_au32 checks;		/* stores are noted: checker.h; the agent */
	struct tri_settings settings;
	struct tri_mapping mapping;
	bool rseq, membarrier;		/* what this process can use; membarrier may be lost
					 * later, list_lock */
	bool fake_stacks;		/* the address sanitizer may have variables elsewhere */
	tri_au64 unbounded_bytes;		/* most that was scanned of a stack without a
						 * known end; any thread */
	tri_au32 signals_refused;	/* rt_tgsigqueueinfo() was; any thread */
	tri_au32 uninterposed_threads;	/* there may be threads that were not made by the
					 * functions that the library interposes */
	tri_au32 no_vm_read;		/* process_vm_readv() was refused; any thread */
	pid_t pid;

	/* list_lock: the threads, and what one that attaches adopts of the cycle. */
	pthread_mutex_t list_lock;
	struct tri_thread *threads;
	struct tri_thread *unused;	/* free list */
	uint32_t nthreads;
	tri_au32 threads_made;		/* that were ever in the list */
	bool ended_raw;			/* the last one that left the list did not detach itself */
	enum tri_phase phase;
	bool diverted;			/* inline allocation leads into the library: H1 to H2,
					 * and H4 */
	uint32_t gen;			/* completed cycles; new threads start with it */
	uint32_t cycle;			/* the one that is marking: gen + 1 */
	tri_au32 sweepable;		/* == gen once no thread uses a span of before */

	/* The agent's, and what others say to it.  Atomic words: any thread. */
	pid_t agent_tid;
	struct tri_thread *common;	/* barriers of threads that have no record; list_lock */
	struct tri_thread *agent;	/* buffer owner for roots */
	tri_au32 wake;			/* TRI_WAKE_* for the agent */
	tri_au32 answers;		/* futex: a thread answered something */
	tri_au32 fence;			/* number of the newest signal fence */
	tri_au32 resume;		/* futex: number of stops that are over */
	tri_au32 cycle_is_void;		/* a shaded pointer found no buffer: the cycle is void */
	tri_au32 unanswered;		/* cycles that were given up as a thread did not answer */
	tri_au32 gc_wanted, free_wanted;	/* numbers of requests */
	tri_au32 steps;			/* futex, for steps.c: handshakes that are done */
	tri_au32 in_handshake;		/* futex: the agent is in one */
	const char *waits_for;		/* what the agent does to have a collector */
	tri_au32 collector_pid;
	tri_au32 reconnects;
	tri_au64 without_collector_ns;	/* since when; 0: there is one */
	struct tri_interruptions interruptions;

	/*
	 * The page heap's: nobody takes pages.  Here, so that those whom the page heap asks may
	 * hold it as well: see untouched.c.
	 */
	struct tri_lock page_lock;
};

enum { TRI_WAKE_TRIGGER = 1, TRI_WAKE_GC = 2, TRI_WAKE_FREE = 4, TRI_WAKE_SETTINGS = 8,
       TRI_WAKE_THREADS = 16, TRI_WAKE_MEASURE = 32, TRI_WAKE_QUEUE = 64 };

extern struct tri_global tri_g TRI_HIDDEN;

/* CLOCK_MONOTONIC. */
uint64_t tri_now_ns(void) TRI_HIDDEN;

/* The heap is there, and in this process. */
static inline bool tri_is_ready(void)
{
	return tri_read_acquire(&tri_g.state) == TRI_STATE_READY && likely(tri_read(tri_g.same));
}

/* Heap offset of a client address; not below heap_pages · 8 KiB if it is not in the heap. */
static inline uint64_t tri_offset(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer - tri_g.view.heap_va;
}

static inline bool tri_in_heap(uint64_t offset)
{
	return offset >> TRI_PAGE_SHIFT < tri_read(&tri_g.view.ctl->top_pages);
}

#endif
