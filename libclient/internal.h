/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * internal.h - the library's own state
 *
 * Threads and who may touch what:
 *
 *	mutator	owns its struct tri_thread's caches while it holds its cache lock, or in the inline fast
 *		path, which the agent diverts (tls->caches = empty, then a fence) before it touches them
 *	agent	one helper thread a process; executes the collector's handshakes; has a descriptor table
 *		of its own, so that the program can neither see nor close its descriptors
 *
 * Lock order: tri_g.list_lock, then a thread's cache lock, then a central lock, then the page
 * heap's lock.  A thread never waits for list_lock while it is "inside" (see tri_enter()): the
 * agent waits, with list_lock held, for threads to come out.
 */
#ifndef TRI_INTERNAL_H
#define TRI_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>

#include "core/buffer.h"
#include "core/layout.h"
#include "core/sizeclass.h"
#include "core/span.h"
#include "lock.h"
#include "tricolor.h"

#define TRI_HIDDEN __attribute__((visibility("hidden")))
#define TRI_EXPORT __attribute__((visibility("default")))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* What a thread has yet to answer; tri_thread.pending. */
enum {
	TRI_PENDING_SCAN = 1,		/* scan your stack and registers */
	TRI_PENDING_STOP = 2,		/* then wait for tri_g.resume */
};

/* tri_thread.blocked */
enum { TRI_RUNNING, TRI_BLOCKED, TRI_BLOCKED_HELD };

/* A phase of the cycle as a new thread adopts it.  Written by the agent under list_lock. */
enum tri_phase {
	TRI_PHASE_OFF,
	TRI_PHASE_BARRIER,		/* barriers are going on; nothing may be allocated black yet */
	TRI_PHASE_BLACK,		/* every barrier is on; new objects are black */
};

/* The span that a cache entry allocates from, and fresh ones that lie behind it.  Owner: as the caches. */
struct tri_cached_span {
	uint32_t page;			/* 0: none */
	uint32_t window;		/* the 64 slots that the entry's bits stand for */
	uint32_t next;			/* page of the first of @left spans that come next */
	uint16_t left;
	uint16_t run;			/* spans that were taken at once the last time, in this cycle */
};

/*
 * An attached thread.  Allocated at attach, returned to a free list at detach (never unmapped: the
 * inline paths may have read a pointer to its caches).
 */
struct tri_thread {
	struct tri__cache caches[TRI__CACHES];
	struct tri_cached_span spans[TRI__CACHES];
	uint64_t active[4];		/* entries with a span or a run; owner: as the caches */

	/* Owner: the thread; read by the agent and, in a signal handler, by the thread. */
	_Alignas(64) tri_au32 visits;	/* odd while the thread is inside the library */
	uint32_t depth;
	uint32_t buffer;		/* index + 1, mirrors slot->buffer */
	uint32_t blocking_depth;
	struct tri__tls *tls;
	uint64_t *rseq_cs;		/* the kernel's word that names a sequence; NULL: no rseq */
	struct tri_slot *slot;
	char *tiny;			/* second half of a slot for tiny leaf objects; cache lock */
	uint64_t debt_bytes;		/* allocated and not yet paid for by an assist */
	uint64_t futile_ns;		/* waits in vain, in a row: see assist.c */
	uint32_t futile_waits, quanta;
	uint64_t waits_ns, waits_cycle;	/* all waits after that many cycles */

	/* Written by the agent, read by the thread. */
	_Alignas(64) tri_au32 pending;
	tri_au32 marking;		/* stores shade */
	uint32_t black;			/* new objects are marked; cache lock */
	uint32_t gen;			/* marks[gen & 1] says what is allocated; cache lock */
	tri_au32 scanned_cycle;		/* last cycle that has this thread's stack; thread or agent */
	tri_au32 fence_seen;		/* last signal fence; the thread */
	bool signalled;			/* for the current request; agent */

	struct tri_lock cache_lock;

	/* Blocking region: saved by the thread before it sets `blocked`. */
	tri_au32 blocked;
	tri_au32 stopped;		/* waits in a stop */
	uintptr_t saved_sp;		/* what is above stays as it is while the thread is blocked */
	uintptr_t saved[64];		/* registers, and words of a frame that is gone by now */
	uint32_t nsaved;

	/* Fixed at attach. */
	uintptr_t stack_lo, stack_hi;
	uintptr_t tls_lo, tls_hi;	/* main thread: static TLS, which is not on its stack */
	pid_t tid;
	uint32_t slot_index;

	/* list_lock */
	struct tri_thread *next, **prev;
};

/* Interruptions since the last answer to the collector, and since the start. */
struct tri_interruptions {
	tri_au64 max_ns, total_ns;
	tri_au32 count;
	tri_au64 all_max_ns, all_total_ns, all_count;
};

struct tri_mapping {
	int fd;				/* in the agent's descriptor table; -1 after it was lost */
	bool is_device;			/* an owner's of /dev/tricolor; else a memfd */
	void *base;
	struct tri_layout layout;
};

/* What is not chosen, the collector's configuration may. */
enum { TRI_CHOSEN_GC_PERCENT = 1, TRI_CHOSEN_MEMORY_LIMIT = 2, TRI_CHOSEN_LIMIT_POLICY = 4 };

struct tri_settings {
	uint64_t arena_bytes;
	int64_t memory_limit_bytes;
	uint32_t limit_policy;		/* enum tri_limit_policy */
	int32_t gc_percent;
	tri_au32 chosen;		/* TRI_CHOSEN_*: by the program or its environment; any thread */
	enum tri_backing backing;
	int signal;
	bool trace_gc, trace_pacer, trace_scav, trace_limit;
	bool prints;			/* one of these, or checkmark: lines for standard error */
	bool checkmark, clobberfree, no_membarrier, no_rseq, no_control;
	char socket[108];
	char daemon[256];
};

enum tri_state { TRI_STATE_NONE, TRI_STATE_STARTING, TRI_STATE_READY };

struct tri_global {
	struct tri_view view;
	tri_au32 state;			/* enum tri_state */
	struct tri_settings settings;
	struct tri_mapping mapping;
	bool rseq, membarrier;		/* what this process can use */
	pid_t pid;

	pthread_mutex_t list_lock;	/* threads, phase, gen, roots */
	struct tri_thread *threads;
	struct tri_thread *unused;	/* free list */
	uint32_t nthreads;
	enum tri_phase phase;
	uint32_t gen;			/* completed cycles; new threads start with it */
	uint32_t cycle;			/* the one that is marking: gen + 1 */
	tri_au32 sweepable;		/* == gen once no thread uses a span of before */

	/* agent */
	pid_t agent_tid;
	struct tri_thread *agent;	/* buffer owner for roots */
	tri_au32 wake;			/* TRI_WAKE_* for the agent */
	tri_au32 answers;		/* futex: a thread answered something */
	tri_au32 fence;			/* number of the newest signal fence */
	tri_au32 resume;		/* futex: number of stops that are over */
	tri_au32 lost;			/* a shaded pointer found no buffer: the cycle is void */
	tri_au32 gc_wanted, free_wanted;	/* numbers of requests */
	tri_au32 collector_pid;
	tri_au32 reconnects;
	tri_au64 without_collector_ns;	/* since when; 0: there is one */
	struct tri_interruptions interruptions;
};

enum { TRI_WAKE_TRIGGER = 1, TRI_WAKE_GC = 2, TRI_WAKE_FREE = 4, TRI_WAKE_SETTINGS = 8,
       TRI_WAKE_THREADS = 16 };

extern struct tri_global tri_g TRI_HIDDEN;
extern struct tri__cache tri_empty_caches[TRI__CACHES] TRI_HIDDEN;

/* init.c */
int tri_start(const struct tri_options *opts) TRI_HIDDEN;
int tri_fail(int err, const char *fmt, ...) TRI_HIDDEN __attribute__((format(printf, 2, 3)));
uint64_t tri_now_ns(void) TRI_HIDDEN;

/* settings.c */
int tri_settings_read(struct tri_settings *s, const struct tri_options *opts) TRI_HIDDEN;

/* backing.c: the only part that knows what an arena lives in */
int tri_backing_open(struct tri_mapping *m, const struct tri_settings *s) TRI_HIDDEN;
void tri_backing_close(struct tri_mapping *m) TRI_HIDDEN;
int tri_backing_pass(const struct tri_mapping *m) TRI_HIDDEN;
void tri_backing_passed(const struct tri_mapping *m, int fd) TRI_HIDDEN;
const char *tri_backing_why(const struct tri_settings *s, int err) TRI_HIDDEN;

/* thread.c */
struct tri_thread *tri_attach_self(void) TRI_HIDDEN;
void tri_main_thread_attach(void) TRI_HIDDEN;
void tri_thread_remove(struct tri_thread *t) TRI_HIDDEN;	/* list_lock */
void tri_threads_reset(void) TRI_HIDDEN;
void tri_thread_exiting(void) TRI_HIDDEN;
struct tri_thread *tri_thread_new(void) TRI_HIDDEN;
int tri_slot_take(struct tri_thread *t) TRI_HIDDEN;
void tri_slot_give(struct tri_thread *t) TRI_HIDDEN;
void tri_thread_block(struct tri_thread *t, uintptr_t from, uintptr_t sp) TRI_HIDDEN;
void tri_thread_unblock(struct tri_thread *t) TRI_HIDDEN;

/* cache.c: a thread's caches, all with its cache lock held */
void *tri_cache_alloc(struct tri_thread *t, unsigned int byte, bool *zeroed) TRI_HIDDEN;
void tri_count_allocated(struct tri_thread *t, uint64_t bytes) TRI_HIDDEN;
void tri_cache_blacken(struct tri_thread *t) TRI_HIDDEN;
void tri_cache_flush(struct tri_thread *t, bool to_central) TRI_HIDDEN;

/* central.c */
void tri_central_init(void) TRI_HIDDEN;
uint32_t tri_central_take(uint32_t gen, unsigned int byte) TRI_HIDDEN;
void tri_central_add(uint32_t page, unsigned int spans, unsigned int byte) TRI_HIDDEN;
void tri_central_put(uint32_t page, unsigned int byte) TRI_HIDDEN;
void tri_central_restart(void) TRI_HIDDEN;
void tri_central_recover(void) TRI_HIDDEN;

/* pageheap.c */
void tri_pageheap_init(void) TRI_HIDDEN;
uint32_t tri_pageheap_take(uint32_t pages, uint32_t align_pages, bool *backed) TRI_HIDDEN;
void tri_pageheap_recover(void) TRI_HIDDEN;

/* barrier.c */
void tri_shade(struct tri_thread *t, const void *pointer) TRI_HIDDEN;
void tri_append(struct tri_thread *t, uint64_t entry) TRI_HIDDEN;
void tri_flush_buffer(struct tri_thread *t) TRI_HIDDEN;

/* scan.c */
void tri_scan_range(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all) TRI_HIDDEN;
void tri_scan_frame(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all) TRI_HIDDEN;
void tri_forget_registers(void) TRI_HIDDEN;
void tri_scan_stack(struct tri_thread *t, struct tri_thread *to, uintptr_t sp, bool all) TRI_HIDDEN;

/* forking.c */
bool tri_fork_hold(void) TRI_HIDDEN;
void tri_fork_release(bool held) TRI_HIDDEN;
void tri_fork_prepare(void) TRI_HIDDEN;
void tri_fork_over(void) TRI_HIDDEN;
void tri_fork_reset(void) TRI_HIDDEN;

/* root.c */
void tri_roots_scan(struct tri_thread *to, bool all) TRI_HIDDEN;
uint64_t tri_roots_bytes(void) TRI_HIDDEN;
void tri_roots_reset(void) TRI_HIDDEN;

/* signal.c */
int tri_signal_install(void) TRI_HIDDEN;
int tri_signal_send(pid_t tid) TRI_HIDDEN;
void tri_answer(struct tri_thread *t) TRI_HIDDEN;
void tri_interrupted(uint64_t began_ns) TRI_HIDDEN;

/* handshake.c: run by the agent */
struct tri_msg;
void tri_handshake(const struct tri_msg *ask, struct tri_msg *answer) TRI_HIDDEN;
void tri_handshake_abandon(void) TRI_HIDDEN;
void tri_fence_unload(void) TRI_HIDDEN;	/* any thread */

/* agent.c */
int tri_agent_start(void) TRI_HIDDEN;
void tri_agent_wake(uint32_t what) TRI_HIDDEN;

/* lastexit.c */
void tri_exit_if_alone(int ours) TRI_HIDDEN;
void tri_last_thread_ends(void) TRI_HIDDEN;

/* connect.c: run by the agent */
int tri_connect(void) TRI_HIDDEN;
uint32_t tri_unchosen(void) TRI_HIDDEN;

/* assist.c */
void tri_assist(struct tri_thread *t) TRI_HIDDEN;

/* pressure.c */
bool tri_refusing(void) TRI_HIDDEN;
bool tri_refused(void) TRI_HIDDEN;
void tri_pressure_reset(void) TRI_HIDDEN;
int tri_pressure_threads(void) TRI_HIDDEN;

/* gc.c */
int tri_gc_wait(tri_au32 *wanted, tri_au32 *done, uint32_t wake) TRI_HIDDEN;

/* interpose.c */
int tri_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			    void *arg) TRI_HIDDEN;
int tri_real_sigaction(int sig, const struct sigaction *act, struct sigaction *old) TRI_HIDDEN;
void tri_starting_scan(struct tri_thread *to, bool all) TRI_HIDDEN;
void tri_starting_reset(void) TRI_HIDDEN;

/*
 * Inside.  A thread inside the library answers nothing; its request waits in `pending` and is
 * answered on the way out.  The agent's fence (membarrier) orders the store to `visits` before what
 * follows, so that the thread needs no fence of its own: see handshake.c.
 */
static inline struct tri_thread *tri_enter(void)
{
	struct tri_thread *t = tri__tls.thread;

	if (unlikely(!t)) {
		t = tri_attach_self();
		if (!t)
			return NULL;
	}
	if (t->depth++ == 0)
		tri_write(&t->visits, tri_read(&t->visits) + 1);
	atomic_signal_fence(memory_order_seq_cst);
	return t;
}

static inline void tri_leave(struct tri_thread *t)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (--t->depth == 0) {
		tri_write_release(&t->visits, tri_read(&t->visits) + 1);
		atomic_signal_fence(memory_order_seq_cst);
		if (unlikely(tri_read(&t->pending)))
			tri_answer(t);
	}
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

/* The callee-saved registers and the stack pointer of the calling function, on x86-64. */
static inline __attribute__((always_inline)) uintptr_t tri_save_registers(uintptr_t regs[6])
{
	uintptr_t sp;

	__asm__ volatile("movq %%rbx, 0(%1)\n\t"
			 "movq %%rbp, 8(%1)\n\t"
			 "movq %%r12, 16(%1)\n\t"
			 "movq %%r13, 24(%1)\n\t"
			 "movq %%r14, 32(%1)\n\t"
			 "movq %%r15, 40(%1)\n\t"
			 "movq %%rsp, %0"
			 : "=&r"(sp)
			 : "r"(regs)
			 : "memory");
	return sp;
}

#endif
