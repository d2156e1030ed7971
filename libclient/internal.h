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
#include <ucontext.h>
#include <ucontext.h>

#include "../core/heap/buffer.h"
#include "../core/heap/layout.h"
#include "../core/heap/sizeclass.h"
#include "../core/heap/span.h"
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
	TRI_PENDING_WAKE = 4,		/* the agent waits until you are outside: wake it */
};

/* tri_thread.signal_sent */
enum { TRI_SENDING = 1, TRI_SENT = 2 };

/* The lower bits of tri_thread.blocked: see region.c. */
enum { TRI_RUNNING, TRI_BLOCKED, TRI_BLOCKED_HELD };

/* Why the inline path of allocation finds an empty cache: see tri_divert(). */
enum { TRI_DIVERTED_AGENT = 1, TRI_DIVERTED_REGION = 2, TRI_DIVERTED_BOTH = 3 };

/* Bytes of tri__tls.barrier and .attention, which the inline paths read as one word. */
enum { TRI_FLAG_AGENT, TRI_FLAG_REGION };

/* A phase of the cycle as a new thread adopts it.  Written by the agent under list_lock. */
enum tri_phase {
	TRI_PHASE_OFF,
	TRI_PHASE_BARRIER,		/* barriers are going on; nothing may be allocated black yet */
	TRI_PHASE_BLACK,		/* every barrier is on; new objects are black */
	TRI_PHASE_SCAN,			/* and all roots but stacks have been scanned */
};

/* The span that a cache entry allocates from, and fresh ones that lie behind it.  Owner: as the caches. */
struct tri_cached_span {
	uint32_t page;			/* 0: none */
	uint32_t window;		/* the 64 slots that the entry's bits stand for */
	uint32_t next;			/* page of the first of @left spans that come next */
	uint16_t left;
	uint16_t run;			/* spans that were taken at once the last time, in this cycle */
};

/* A stack that its thread may leave.  Never unmapped.  Owner: see coroutine.c. */
struct tri_stack {
	tri_au32 state;			/* who may do what; coroutine.c */
	bool grows;			/* lo is the lowest that was seen */
	uintptr_t lo, hi;
	uintptr_t sp;			/* when nobody runs on it: what is above is used; 0: all of it may be */
	uintptr_t regs[6];		/* of who left it */
	void *fake_stack;		/* the address sanitizer's */
	struct tri_thread *owner;	/* the thread that was started on it; NULL: registered */
	struct tri_stack *next_free;
};

/* How much memory that may go away is copied at a time.  A copy in the first-level cache is read fastest. */
#define TRI_COPY_BYTES (32u << 10)

/* Ranges that tri_scan_later() has put off: several small ones are copied by one system call. */
#define TRI_LATER 16
struct tri_later {
	unsigned int n;
	size_t bytes;			/* in all; less than TRI_COPY_BYTES */
	struct {
		uintptr_t lo, hi;
		bool past_end;
	} range[TRI_LATER];
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
	_Alignas(64) union {
		tri_au64 inside;	/* both, in one store: no signal comes between them */
		struct {
			uint32_t depth;		/* calls that are inside, one in another */
			tri_au32 visits;	/* odd while the thread is inside the library */
		};
	};
	uint32_t buffer;		/* index + 1, mirrors slot->buffer */
	struct tri__tls *tls;
	uint64_t *rseq_cs;		/* the kernel's word that names a sequence; NULL: the kernel knows none */
	struct tri_slot *slot;
	char *tiny;			/* second half of a slot for tiny leaf objects; cache lock */
	uint64_t debt_bytes;		/* allocated and not yet paid for by an assist */
	uint64_t futile_ns;		/* waits in vain, in a row: see assist.c */
	uint32_t futile_waits, quanta;
	uint64_t waits_ns, waits_cycle;	/* all waits after that many cycles */
	/* Of the kernel's limit: see throttle.c. */
	uint64_t short_bytes;		/* that it was refused; 0: it was not */
	uint64_t throttled_ns;		/* waited, since @throttled_gen cycles were complete */
	uint32_t throttled_gen;
	uint64_t pass_bytes;		/* it has waited, and may take so many at once … */
	int64_t least_left;		/* … if so much is left after that */

	/* Written by the agent, read by the thread. */
	_Alignas(64) tri_au32 pending;
	tri_au32 marking;		/* stores shade */
	uint32_t black;			/* new objects are marked; cache lock */
	uint32_t gen;			/* marks[gen & 1] says what is allocated; cache lock */
	tri_au32 scanned_cycle;		/* last cycle that has this thread's stack; thread or agent */
	tri_au32 fence_seen;		/* last signal fence; the thread */
	bool signalled;			/* for the current request; agent */
	uint32_t inside_since;		/* visits, while the agent waits for it to come out; agent */
	tri_au32 signal_sent[2];	/* TRI_SENDING, _SENT: not seen to arrive; agent, thread clears */

	struct tri_lock cache_lock;

	/* Blocking region: saved by the thread before it sets `blocked`; see region.c. */
	tri_au32 blocked;
	tri_au32 waits;			/* in the library: a signal at once is best; a hint, thread */
	tri_au32 stopped;		/* waits in a stop */
	uintptr_t saved_sp;		/* what is above stays as it is while the thread is blocked */
	uintptr_t saved[64];		/* registers, and words of a frame that is gone by now */
	uint32_t nsaved;

	/* How often our handler has run on this thread, and handlers of the program's: see transfer.c. */
	tri_au32 interrupted, handlers;

	/* A call with a time-out that goes on after an interruption: see restart.c.  Handler. */
	uint64_t call_since_ns;
	uintptr_t call_sp;
	long call_number;

	/* See stack.c.  Owner: the thread, or who holds it in a blocking region. */
	void *fake_stack;		/* the address sanitizer's; of the agent: that of the thread it scans */
	uintptr_t signal_lo, signal_hi;	/* its signal stack, when last asked */
	uintptr_t stack_lo, stack_hi;	/* the stack that it was started on */
	struct tri_stack *stack;	/* that the thread has switched to; NULL: it never did */
	struct tri_stack *own;		/* descriptor of stack_lo ..; NULL: none was needed */
	uintptr_t left_lo, left_hi;	/* the stack that it left last: where it still is, just before a switch */
	bool stack_grows;		/* stack_lo is the lowest that was seen of it, else all is fixed */

	/*
	 * A robust mutex that the thread holds for as long as it is attached: the kernel marks it when the
	 * thread has ended, however it did.  Its own, or the one that the main thread has from the start.
	 */
	pthread_mutex_t own_life, *life;
	/* Where the agent writes for a thread whose own @tls might go without notice; see thread.c. */
	struct tri__tls away;

	/* Fixed at attach. */
	uintptr_t tp;			/* thread pointer, or 0: see tls.c */
	pid_t tid;
	uint32_t slot_index;

	/* list_lock */
	struct tri_thread *next, **prev;

	struct tri_later later;		/* owner: the thread, inside */

	/* tri_scan_foreign(); last, as tri_thread_new() leaves it as it is.  Owner: the thread, inside. */
	_Alignas(64) unsigned char copy[TRI_COPY_BYTES];
};

/* Interruptions since the last answer to the collector, and since the start. */
struct tri_interruptions {
	tri_au64 max_ns, total_ns;
	tri_au32 count;
	tri_au64 all_max_ns, all_total_ns, all_count;
};

struct tri_mapping {
	/* In the agent's descriptor table; -1 after it was lost.  In a forked child whose agent has not started
	 * yet, in the program's, where @inode says whether it is still ours. */
	int fd;
	uint64_t inode;
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
	enum tri_fork fork;
	int signal;			/* 0: to be chosen */
	bool trace_gc, trace_pacer, trace_scav, trace_limit;
	bool prints;			/* one of these, or checkmark: lines for standard error */
	bool checkmark, clobberfree, no_membarrier, no_rseq, no_control, no_vm_read;
	uint32_t gc_every;		/* allocations and stores from one step of a cycle to the next; 0: see steps.c */
	bool lent_marker;		/* whoever has the shared socket may lend a program to be started */
	bool quiet;			/* nothing on standard error that was not asked for */
	bool barriers, barriers_abort, barriers_status;	/* checker.h */
	uint64_t debug_memory_bytes;
	char debug_file[256];
	uint32_t max_wait_s;		/* of a thread, in a cycle, for the kernel's limit: throttle.c */
	char socket[108];
	char daemon[256];
};

enum tri_state { TRI_STATE_NONE, TRI_STATE_STARTING, TRI_STATE_READY };

struct tri_global {
	const tri_au32 *same;		/* 0 in a child: see unseen.c */
	struct tri_view view;
	tri_au32 state;			/* enum tri_state */
	tri_au32 checks;		/* stores are noted: checker.h */
	struct tri_settings settings;
	struct tri_mapping mapping;
	bool rseq, membarrier;		/* what this process can use */
	bool fake_stacks;		/* the address sanitizer may have variables elsewhere */
	tri_au64 stray_bytes;		/* most that was scanned of a stack without a known end; any thread */
	tri_au32 signals_refused;	/* rt_tgsigqueueinfo() was; any thread */
	tri_au32 unseen_threads;	/* some are, or may be, made by others than our functions */
	tri_au32 no_vm_read;		/* process_vm_readv() was refused; any thread */
	pid_t pid;

	pthread_mutex_t list_lock;	/* threads, phase, gen, roots */
	struct tri_thread *threads;
	struct tri_thread *unused;	/* free list */
	uint32_t nthreads;
	tri_au32 threads_made;		/* that were ever in the list */
	bool ended_raw;			/* the last one that left the list did not detach itself */
	enum tri_phase phase;
	bool diverted;			/* inline allocation leads into the library: H1 to H2, and H4 */
	uint32_t gen;			/* completed cycles; new threads start with it */
	uint32_t cycle;			/* the one that is marking: gen + 1 */
	tri_au32 sweepable;		/* == gen once no thread uses a span of before */

	/* agent */
	pid_t agent_tid;
	struct tri_thread *common;	/* barriers of threads that have no record; list_lock */
	struct tri_thread *agent;	/* buffer owner for roots */
	tri_au32 wake;			/* TRI_WAKE_* for the agent */
	tri_au32 answers;		/* futex: a thread answered something */
	tri_au32 fence;			/* number of the newest signal fence */
	tri_au32 resume;		/* futex: number of stops that are over */
	tri_au32 lost;			/* a shaded pointer found no buffer: the cycle is void */
	tri_au32 unanswered;		/* cycles that were given up as a thread did not answer */
	tri_au32 gc_wanted, free_wanted;	/* numbers of requests */
	tri_au32 steps;			/* futex, for steps.c: handshakes that are done */
	tri_au32 in_handshake;		/* futex: the agent is in one */
	const char *waits_for;		/* what the agent does to have a collector */
	tri_au32 collector_pid;
	tri_au32 reconnects;
	tri_au64 without_collector_ns;	/* since when; 0: there is one */
	struct tri_interruptions interruptions;
};

enum { TRI_WAKE_TRIGGER = 1, TRI_WAKE_GC = 2, TRI_WAKE_FREE = 4, TRI_WAKE_SETTINGS = 8,
       TRI_WAKE_THREADS = 16, TRI_WAKE_LOOK = 32 };

extern struct tri_global tri_g TRI_HIDDEN;
extern __thread bool tri_begun_here TRI_HIDDEN __attribute__((tls_model("initial-exec")));
extern __thread bool tri_is_agent TRI_HIDDEN __attribute__((tls_model("initial-exec")));
extern struct tri__cache tri_empty_caches[TRI__CACHES + TRI_DIVERTED_BOTH] TRI_HIDDEN;

/* init.c */
int tri_start(const struct tri_options *opts) TRI_HIDDEN;
bool tri_start_hold(uint64_t ns) TRI_HIDDEN;
void tri_start_release(void) TRI_HIDDEN;
void tri_forked(void) TRI_HIDDEN;
int tri_agent_ensure(void) TRI_HIDDEN;
void tri_ctl_fill(uint64_t allocated_bytes) TRI_HIDDEN;
uint64_t tri_now_ns(void) TRI_HIDDEN;

/* error.c */
int tri_fail(int err, const char *fmt, ...) TRI_HIDDEN __attribute__((format(printf, 2, 3)));

/* settings.c */
int tri_settings_read(struct tri_settings *s, const struct tri_options *opts) TRI_HIDDEN;

/* backing.c: the only part that knows what an arena lives in */
int tri_backing_open(struct tri_mapping *m, const struct tri_settings *s) TRI_HIDDEN;
void tri_backing_close(struct tri_mapping *m) TRI_HIDDEN;
int tri_backing_pass(const struct tri_mapping *m) TRI_HIDDEN;
void tri_backing_passed(const struct tri_mapping *m, int fd) TRI_HIDDEN;
int tri_backing_copy(struct tri_mapping *m, const struct tri_mapping *of) TRI_HIDDEN;
int tri_backing_write(const struct tri_mapping *m, uint64_t offset, const char *from,
		      uint64_t bytes) TRI_HIDDEN;
int tri_backing_install(struct tri_mapping *m, void *at) TRI_HIDDEN;
void tri_backing_discard(struct tri_mapping *m) TRI_HIDDEN;
int tri_backing_inherit(const struct tri_mapping *m, bool inherit) TRI_HIDDEN;
bool tri_backing_is_there(const struct tri_mapping *m) TRI_HIDDEN;
const char *tri_backing_why(const struct tri_settings *s, int err) TRI_HIDDEN;

/* thread.c */
struct tri_thread *tri_attach_self(void) TRI_HIDDEN;
int tri_start_attached(const struct tri_options *opts) TRI_HIDDEN;
struct tri_thread *tri_common_enter(void) TRI_HIDDEN;
void tri_common_leave(void) TRI_HIDDEN;
void tri_main_thread_attach(void) TRI_HIDDEN;
void tri_list_lock(struct tri_thread *self) TRI_HIDDEN;
void tri_list_unlock(struct tri_thread *self) TRI_HIDDEN;
void tri_thread_remove(struct tri_thread *t) TRI_HIDDEN;	/* list_lock */
void tri_threads_reset(void) TRI_HIDDEN;
void tri_threads_forked(struct tri_thread *self) TRI_HIDDEN;
void tri_thread_exiting(void) TRI_HIDDEN;
struct tri_thread *tri_thread_new(void) TRI_HIDDEN;
int tri_slot_take(struct tri_thread *t) TRI_HIDDEN;
void tri_slot_give(struct tri_thread *t) TRI_HIDDEN;

/* region.c */
void tri_divert(struct tri__tls *tls, struct tri__cache *open, unsigned int add, unsigned int take)
	TRI_HIDDEN;
void tri_region_end(struct tri_thread *t) TRI_HIDDEN;

/* cache.c: a thread's caches, all with its cache lock held */
void *tri_cache_alloc(struct tri_thread *t, unsigned int span_class, bool *zeroed) TRI_HIDDEN;
void *tri_cache_next(struct tri_thread *t, unsigned int span_class) TRI_HIDDEN;
void tri_count_allocated(struct tri_thread *t, uint64_t bytes) TRI_HIDDEN;
void tri_cache_blacken(struct tri_thread *t) TRI_HIDDEN;
void tri_cache_flush(struct tri_thread *t, bool to_central) TRI_HIDDEN;

/* central.c */
void tri_central_init(void) TRI_HIDDEN;
uint32_t tri_central_take(uint32_t gen, unsigned int span_class, bool all) TRI_HIDDEN;
void tri_central_add(uint32_t page, unsigned int spans, unsigned int span_class) TRI_HIDDEN;
void tri_central_put(uint32_t page, unsigned int span_class) TRI_HIDDEN;
void tri_central_restart(void) TRI_HIDDEN;
void tri_central_recover(void) TRI_HIDDEN;
bool tri_central_hold(uint64_t ns) TRI_HIDDEN;
void tri_central_release(void) TRI_HIDDEN;

/*
 * What a page of the heap has in tables, all kinds of spans: marks, pointer map, span, span-of, page map, queued,
 * and its bits of used, backed and chunks.
 */
#define TRI_TABLES_BYTES (8ull * (3 * TRI_MARK_WORDS + TRI_PTRMAP_WORDS) + sizeof(struct tri_span) + 7)
#define TRI_TAKEN_BYTES (TRI_PAGE_BYTES + TRI_TABLES_BYTES)	/* that are had from the system for it */

/* untouched.c */
int tri_untouched_make(uint64_t heap_pages) TRI_HIDDEN;
void tri_untouched_add(uint64_t word, uint64_t mask) TRI_HIDDEN;
void tri_untouched_copied(void) TRI_HIDDEN;
uint64_t tri_untouched_bytes(void) TRI_HIDDEN;

/* pageheap.c */
void tri_pageheap_init(void) TRI_HIDDEN;
uint32_t tri_pageheap_take(uint32_t pages, uint32_t align_pages, bool *backed) TRI_HIDDEN;
void tri_pageheap_recover(void) TRI_HIDDEN;
bool tri_pageheap_hold(uint64_t ns) TRI_HIDDEN;
void tri_pageheap_release(void) TRI_HIDDEN;
void tri_pageheap_reset(void) TRI_HIDDEN;
void tri_pageheap_trim_dump(void) TRI_HIDDEN;

/* barrier.c */
void tri_shade(struct tri_thread *t, const void *pointer) TRI_HIDDEN;
void tri_append(struct tri_thread *t, uint64_t entry) TRI_HIDDEN;
void tri_flush_buffer(struct tri_thread *t) TRI_HIDDEN;

/* scan.c */
struct tri_scanned {
	size_t bytes;			/* that were read */
	uintptr_t hole;			/* the first word that could not be read; the end if there is none */
};
struct tri_scanned tri_scan_foreign(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all,
				    bool past_end) TRI_HIDDEN;
void tri_scan_later(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all, bool past_end) TRI_HIDDEN;
void tri_scan_now(struct tri_thread *to, bool all) TRI_HIDDEN;
size_t tri_scan_copy(struct tri_thread *to, uintptr_t from, uintptr_t end) TRI_HIDDEN;
uintptr_t tri_scan_up(struct tri_thread *to, uintptr_t lo, uintptr_t limit, bool all) TRI_HIDDEN;
bool tri_read_foreign(void *to, uintptr_t from, size_t bytes) TRI_HIDDEN;
void tri_scan_detect(void) TRI_HIDDEN;
void tri_scan_range(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all) TRI_HIDDEN;
void tri_scan_frame(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all) TRI_HIDDEN;
void tri_forget_registers(void) TRI_HIDDEN;

/* stack.c */
void tri_stack_learn(void) TRI_HIDDEN;				/* agent, once */
void tri_stack_find(struct tri_thread *t, pthread_t self, bool in_handler) TRI_HIDDEN;
void tri_stack_note(struct tri_thread *t) TRI_HIDDEN;		/* the thread */
void tri_scan_stack(struct tri_thread *t, struct tri_thread *to, uintptr_t sp, bool all) TRI_HIDDEN;
int tri_stack_check(void) TRI_HIDDEN;
void *tri_fake_stack(void) TRI_HIDDEN;
void tri_scan_fake_frames(struct tri_thread *to, void *fake_stack, uintptr_t lo, uintptr_t hi,
			  bool all) TRI_HIDDEN;
bool tri_stack_is_own(struct tri_thread *t, uintptr_t sp) TRI_HIDDEN;
uintptr_t tri_stack_lowest(uintptr_t lo) TRI_HIDDEN;
void tri_stack_complain(void) TRI_HIDDEN;			/* agent */

/* coroutine.c */
void tri_coroutines_scan(struct tri_thread *to, bool all) TRI_HIDDEN;	/* agent */
void tri_coroutines_forget_scans(void) TRI_HIDDEN;			/* agent */
void tri_coroutine_attach(struct tri_thread *t, uintptr_t sp) TRI_HIDDEN;
void tri_coroutine_detach(struct tri_thread *t) TRI_HIDDEN;		/* list_lock */
void tri_coroutines_reset(bool copied) TRI_HIDDEN;

/* registers.c */
void tri_scan_registers(struct tri_thread *to, const ucontext_t *uc, bool all) TRI_HIDDEN;

/* forking.c */
bool tri_fork_hold(void) TRI_HIDDEN;
void tri_fork_release(bool held) TRI_HIDDEN;
void tri_fork_prepare(void) TRI_HIDDEN;
void tri_fork_over(void) TRI_HIDDEN;
bool tri_fork_copied(void) TRI_HIDDEN;
void tri_fork_reset(void) TRI_HIDDEN;

/* tls.c */
int tri_tls_init(void) TRI_HIDDEN;
void tri_tls_refresh(void) TRI_HIDDEN;
uintptr_t tri_tls_pointer(const struct tri__tls *tls) TRI_HIDDEN;
void tri_tls_scan(struct tri_thread *t, struct tri_thread *to, bool all) TRI_HIDDEN;
size_t tri_tls_stack_bytes(size_t bytes) TRI_HIDDEN;

/* watched.c */
int tri_watched_check(void) TRI_HIDDEN;
bool tri_on_valgrind(void) TRI_HIDDEN;

/* unseen.c */
int tri_unseen_watch(void) TRI_HIDDEN;
void tri_unseen_wipe(struct tri_thread *t, bool wipe) TRI_HIDDEN;

/* dumping.c */
#define TRI_SYSTEM_PAGE 4096u
void tri_dump_begin(void) TRI_HIDDEN;
void tri_dump_pages(uint64_t page, uint64_t pages) TRI_HIDDEN;
void tri_dump_trim(void) TRI_HIDDEN;

/* loader.c */
void tri_loader_find(void) TRI_HIDDEN;
void tri_loader_hold(uint64_t ns) TRI_HIDDEN;
void tri_loader_release(void) TRI_HIDDEN;
void tri_loader_reset(void) TRI_HIDDEN;
bool tri_loader_unloads(unsigned long long *n) TRI_HIDDEN;	/* agent */

/* copying.c: a forked child's own copy of the parent's heap */
struct tri_copy {
	struct tri_mapping to;		/* the new arena, mapped somewhere */
	struct tri_view tables;		/* that mapping */
	uint32_t gen;
	uint64_t top;			/* pages of the parent's heap */
	bool (*goes_on)(void *arg);	/* called for each MiB; false: give up */
	void *arg;
	/* Of the parent's control page. */
	uint64_t allocated_bytes;
	int64_t memory_limit_bytes;
	uint32_t limit_policy;
	int32_t gc_percent;
};

int tri_copy_tables(struct tri_copy *c, const struct tri_thread *keep) TRI_HIDDEN;
int tri_copy_pages(struct tri_copy *c) TRI_HIDDEN;
int tri_copy_whole(struct tri_copy *c) TRI_HIDDEN;
void tri_copy_list_spans(void) TRI_HIDDEN;

/* root.c */
void tri_roots_prepare(void) TRI_HIDDEN;
void tri_roots_scan(struct tri_thread *to, bool all) TRI_HIDDEN;
uint64_t tri_roots_bytes(void) TRI_HIDDEN;

/* Who looks at the roots that a program stores to. */
struct tri_root_visitor {
	void (*range)(void *arg, uintptr_t lo, uintptr_t hi, bool segment);	/* the words of it come next */
	void (*words)(void *arg, uintptr_t at, const uint64_t *words, size_t bytes);
	void (*nothing)(void *arg, uintptr_t lo, uintptr_t hi);	/* holds nothing, or can't be read */
	void *arg;
};
bool tri_roots_visit(const struct tri_root_visitor *v) TRI_HIDDEN;
bool tri_roots_hold(uint64_t ns) TRI_HIDDEN;
void tri_roots_release(void) TRI_HIDDEN;
void tri_roots_reset(bool copied) TRI_HIDDEN;

/* disposition.c */
int tri_signal_install(void) TRI_HIDDEN;
int tri_signal_number(int which) TRI_HIDDEN;
void tri_signals_strip(sigset_t *set) TRI_HIDDEN;
void tri_signal_chain(int sig, siginfo_t *info, void *context) TRI_HIDDEN;

/* signal.c */
void tri_signal_handler(int sig, siginfo_t *info, void *context) TRI_HIDDEN;
int tri_signal_send(struct tri_thread *t, bool again) TRI_HIDDEN;
int tri_signal_send_with(pid_t tid, void *value) TRI_HIDDEN;
void tri_signal_self(struct tri_thread *t) TRI_HIDDEN;
void tri_signal_wake(pid_t agent) TRI_HIDDEN;
void tri_answer(struct tri_thread *t) TRI_HIDDEN;
void tri_interrupted(uint64_t began_ns) TRI_HIDDEN;

/* handshake.c: run by the agent */
struct tri_msg;
void tri_handshake(const struct tri_msg *ask, struct tri_msg *answer) TRI_HIDDEN;
void tri_handshake_abandon(void) TRI_HIDDEN;
void tri_handshake_wait(uint64_t until_ns) TRI_HIDDEN;	/* any thread, outside */
void tri_handshake_check(bool last) TRI_HIDDEN;
bool tri_fence_unload(void) TRI_HIDDEN;	/* any thread */

/* agent.c */
int tri_agent_start(void) TRI_HIDDEN;
void tri_agent_wake(uint32_t what) TRI_HIDDEN;
struct pollfd;
int tri_agent_poll(struct pollfd *p, unsigned int n, int ms) TRI_HIDDEN;

/* life.c: which threads have ended */
void tri_life_begin(struct tri_thread *t, bool main) TRI_HIDDEN;	/* the thread itself */
void tri_life_end(struct tri_thread *t) TRI_HIDDEN;			/* the thread itself */
void tri_life_of_main(struct tri_thread *t) TRI_HIDDEN;
void tri_life_begin_main(void) TRI_HIDDEN;
bool tri_main_is_over(void) TRI_HIDDEN;
bool tri_main_lives(void) TRI_HIDDEN;
void tri_main_wait(void) TRI_HIDDEN;
void tri_threads_reap(void) TRI_HIDDEN;					/* list_lock */

/* tasks.c: run by the agent; tri_visit() in the handler */
void tri_tasks_open(void) TRI_HIDDEN;
bool tri_tasks_scan(bool hold) TRI_HIDDEN;
void tri_tasks_release(void) TRI_HIDDEN;
bool tri_tasks_are_ours(int *status) TRI_HIDDEN;
int tri_tasks_open_other(void) TRI_HIDDEN;
bool tri_visit(const siginfo_t *info, const ucontext_t *uc, uintptr_t sp, uintptr_t frame_end)
	TRI_HIDDEN;
void tri_tasks_reset(void) TRI_HIDDEN;

/* lastexit.c */
int tri_last_exit_check(void) TRI_HIDDEN;
void tri_not_counted(void) TRI_HIDDEN;
void tri_exit_if_alone(void) TRI_HIDDEN;

/* lastwatch.c: when that is called; run by the agent */
void tri_last_watch_start(void) TRI_HIDDEN;				/* who starts the agent */
pid_t tri_last_watch_thread(void) TRI_HIDDEN;				/* any thread */
int tri_last_watch_fd(void) TRI_HIDDEN;
uint64_t tri_last_watch_ns(void) TRI_HIDDEN;
void tri_last_watch_news(void) TRI_HIDDEN;
void tri_last_watch_look(bool told) TRI_HIDDEN;
void tri_last_watch_reset(void) TRI_HIDDEN;

/* connect.c: run by the agent */
int tri_connect(void) TRI_HIDDEN;
uint32_t tri_unchosen(void) TRI_HIDDEN;

/* assist.c */
void tri_assist(struct tri_thread *t) TRI_HIDDEN;

/* pressure.c */
bool tri_refusing(void) TRI_HIDDEN;
bool tri_refused(void) TRI_HIDDEN;
void tri_pressure_reset(void) TRI_HIDDEN;
pid_t tri_pressure_thread(void) TRI_HIDDEN;

/* gc.c */
int tri_gc_wait(tri_au32 *wanted, tri_au32 *done, uint32_t wake) TRI_HIDDEN;
int tri_gc_wait_until(tri_au32 *done, uint32_t mine, uint32_t wake) TRI_HIDDEN;

/* steps.c */
void tri_step(struct tri_thread *t) TRI_HIDDEN;
void tri_step_hold(void) TRI_HIDDEN;
void tri_step_done(void) TRI_HIDDEN;
void tri_step_whole(bool begins) TRI_HIDDEN;

/* starting.c, disposition.c */
int tri_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			    void *arg) TRI_HIDDEN;
int tri_real_sigaction(int sig, const struct sigaction *act, struct sigaction *old) TRI_HIDDEN;
bool tri_sees_threads_begin(void) TRI_HIDDEN;
bool tri_starts_threads(uintptr_t start) TRI_HIDDEN;
void tri_starting_scan(struct tri_thread *to, bool all) TRI_HIDDEN;
void tri_starting_reset(void) TRI_HIDDEN;

/* The kernel has marked the mutex: its thread runs no more, and the thread's memory may be gone. */
static inline bool tri_life_over(const pthread_mutex_t *life)
{
	return life && (__atomic_load_n(&life->__data.__lock, __ATOMIC_ACQUIRE) & (int)FUTEX_OWNER_DIED);
}

/* Its thread is alive, as long as the record is in the list. */
static inline bool tri_life_holds(const pthread_mutex_t *life)
{
	int word = life ? __atomic_load_n(&life->__data.__lock, __ATOMIC_ACQUIRE) : 0;

	return (word & (int)FUTEX_TID_MASK) && !(word & (int)FUTEX_OWNER_DIED);
}

static inline bool tri_thread_over(const struct tri_thread *t)
{
	return unlikely(tri_life_over(t->life));
}

/* The agent's way to a thread's tri__tls. list_lock */
static inline struct tri__tls *tri_tls_of(struct tri_thread *t)
{
	return unlikely(tri_thread_over(t)) ? &t->away : t->tls;
}

/* One byte of a word of tri__tls: neither writer disturbs the other. */
static inline void tri_flag_set(uint32_t *word, unsigned int which, bool on)
{
	__atomic_store_n((unsigned char *)word + which, (unsigned char)on, __ATOMIC_RELAXED);
}

/* Whether the calling thread may be in a blocking region. */
static inline bool tri_in_region(void)
{
	return __atomic_load_n((unsigned char *)&tri__tls.barrier + TRI_FLAG_REGION, __ATOMIC_RELAXED);
}

static inline unsigned int tri_blocked(uint32_t word)
{
	return word & 3;
}

/* TRI_RUNNING, with another number. */
static inline uint32_t tri_next_region(uint32_t word)
{
	return (word & ~3u) + 4;
}

/*
 * Inside.  A thread inside the library answers nothing; its request waits in `pending` and is
 * answered on the way out.  The agent's fence (membarrier) orders the store to `visits` before what
 * follows, so that the thread needs no fence of its own: see handshake.c.
 *
 * A signal handler of the program may come inside too.  Depth and visits change in one store, so that it
 * finds its thread inside, with an odd number of visits, or outside, with an even one.  One that comes
 * between our load and store changes nothing but the number, if we were outside: it is lower by two
 * then, and odd all the same.
 */
#define TRI_VISIT (1ull << 32)

/* Outside, and to be inside. */
static inline void tri_go_in(struct tri_thread *t)
{
	tri_write(&t->inside, tri_read(&t->inside) + TRI_VISIT + 1);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void tri_come_out(struct tri_thread *t)
{
	atomic_signal_fence(memory_order_seq_cst);
	tri_write_release(&t->inside, tri_read(&t->inside) + TRI_VISIT - 1);
}

static inline struct tri_thread *tri_enter(void)
{
	struct tri_thread *t = tri__tls.thread;
	uint64_t inside;

	/* No tls: the record is wiped; this is a child that nobody told of: see unseen.c. */
	if (unlikely(!t || !t->tls)) {
		t = tri_attach_self();
		if (!t)
			return NULL;
	}
	if (unlikely(tri_in_region()) && !t->depth)
		tri_region_end(t);
	inside = tri_read(&t->inside);
	if (likely(!(uint32_t)inside))
		tri_write(&t->inside, inside + TRI_VISIT + 1);
	else
		tri_write(&t->inside, inside + 1);
	atomic_signal_fence(memory_order_seq_cst);
	return t;
}

static inline void tri_leave(struct tri_thread *t)
{
	uint64_t inside = tri_read(&t->inside);

	atomic_signal_fence(memory_order_seq_cst);
	if (likely((uint32_t)inside == 1)) {
		tri_write_release(&t->inside, inside + TRI_VISIT - 1);
		atomic_signal_fence(memory_order_seq_cst);
		if (unlikely(tri_read(&t->pending)))
			tri_answer(t);
	} else {
		tri_write(&t->inside, inside - 1);
	}
}

/* This thread is about to attach or to detach, and may have list_lock though it has no record. */
extern __thread bool tri_between TRI_HIDDEN __attribute__((tls_model("initial-exec")));

/*
 * As tri_enter(), for stores: a thread for which no slot is left shades into a record that all such
 * threads share.  It has list_lock meanwhile, in place of being inside: no phase begins or ends.
 * NULL: there is no heap.
 */
static inline struct tri_thread *tri_enter_any(void)
{
	struct tri_thread *t = tri_enter();

	return likely(t) ? t : tri_common_enter();
}

static inline void tri_leave_any(struct tri_thread *t)
{
	if (unlikely(t == tri_g.common))
		tri_common_leave();
	else
		tri_leave(t);
}

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
