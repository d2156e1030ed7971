// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tasks.c - no thread of the process goes unscanned, whoever made it
 *
 * A thread that has never called the library is not attached: one that was made by a
 * pthread_create() which is not ours, or by clone().  It may hold pointers all the same, which it
 * has loaded.  So when all attached threads are scanned, the agent looks for others:
 *
 *  1. It compares the number of threads that the kernel counts, which is the link count of
 *     /proc/self/task, with those that it knows to be alive.  Mostly they are equal, and that is
 *     all.
 *  2. If not, it lists the folder, and sends the handshake signal, with the address of a struct
 *     visit, to each thread that is not attached and was not visited in this cycle.
 *  3. The handler says where the thread's registers and stack are, and waits.  The agent scans
 *     them, and lets the thread go on.
 *  4. From 1 again, until there is none.
 *
 * Why that is enough is in design/guest.md.  A thread ID is not used again before all others have
 * been, so that in one cycle it stands for one thread.  If new threads come as fast as they are
 * visited, all threads are held (@hold): attached ones by the caller, others in their visit.  Then
 * no new ones come but from those that are not found yet.
 *
 * The C library has threads of its own, for timers and message queues with SIGEV_THREAD and for
 * asynchronous transfers and look-ups.  They block all signals and run none of the program's
 * functions: what is found on their stacks from outside is enough (closed_thread()).
 *
 * The handler of a visit calls nothing (but the address sanitizer, where that is), and writes to no
 * thread-local variable: a thread made by clone() without CLONE_SETTLS shares those of its maker.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../core/heap/layout.h"
#include "../core/system/futex.h"
#include "../core/system/point.h"
#include "error.h"
#include "unresponsive.h"
#include "init.h"
#include "life.h"
#include "lock.h"
#include "own_thread.h"
#include "real.h"
#include "registers.h"
#include "scan.h"
#include "signals.h"
#include "stack.h"
#include "starting.h"
#include "state.h"
#include "tasks.h"
#include "thread.h"
#include "tricolor.h"

#define VISITS 16384u			/* unattached threads that a cycle can deal with */
#define FREE_ROUNDS 4			/* looks before all threads are held */
#define LOOK_NS 20000000		/* a thread that is silent for so long may have ended */
#define CLOSED 16u			/* threads of the C library's that are remembered */
#define STACK_BYTES (16ul << 20)	/* that are searched for a thread's descriptor */
#define PIDFD_THREAD O_EXCL		/* of Linux 6.9; older headers have no name for it */
#define LIMIT_NS 10000000000ull		/* for one cycle; a thread that has not answered by then
					 * does not */

/*
 * A visit's state; the upper half is the thread's ID, so that a signal that comes late is nobody's.
 * From ASKED to WAITING by the thread, all else by the agent.
 */
enum { VISIT_ASKED = 1, VISIT_TAKEN, VISIT_WAITING, VISIT_OVER };

struct visit {
	tri_au64 state;			/* lower half: a futex */
	/* The thread, before VISIT_WAITING. */
	bool stranger;			/* not begun by a function of ours */
	bool attaching;			/* it may have list_lock, and scans itself when it is
					 * attached */
	struct timespec began;
	uintptr_t sp, frame, frame_end, thread_pointer, signal_lo, signal_hi;
	void *fake_stack;
	/* Agent. */
	bool scanned;			/* in this cycle */
};

struct listing {
	pid_t *tid;
	size_t n;
	char *text;			/* what getdents64() gives */
	size_t room;			/* for text */
};

/* All the agent's, but @visits, which is fixed. */
static int folder = -1;			/* /proc/self/task, in the agent's descriptor table */
static bool counts;			/* its link count is the number of threads, and two */
static bool main_is_zombie;
static pid_t last_seen, seen_before;	/* one that was visited: so far, and before this cycle */
static struct visit *visits;
static pid_t closed[CLOSED];		/* threads of the C library's: asked for nothing */
static uint32_t nclosed;
static uint32_t nvisits;		/* in this cycle */
static struct listing list;
static pid_t *known;			/* a hash table of thread IDs; 0: free */
static size_t known_room;		/* a power of two */
static struct tri_thread *visitor;	/* what tri_scan_stack() wants to know of a thread */

static uint64_t state_of(pid_t tid, unsigned int what)
{
	return (uint64_t)(uint32_t)tid << 32 | what;
}

static pid_t tid_of(struct visit *v)
{
	return (pid_t)(tri_read_acquire(&v->state) >> 32);
}

static unsigned int what_of(struct visit *v)
{
	return (unsigned int)tri_read_acquire(&v->state);
}

/* ------------------------------------------------------------------------------------------ */
/* The thread that is visited                                                                 */
/* ------------------------------------------------------------------------------------------ */

/* A system call without errno, which may be another thread's. */
static long raw(long number, void *a, long b, long c)
{
	register long no_timeout __asm__("r10") = 0;
	long result;

	__asm__ volatile("syscall" : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(no_timeout)
			 : "rcx", "r11", "memory");
	return result;
}

/*
 * Handler.  True if the signal was for a visit.  @frame … @frame_end has the registers.  The thread
 * may be one without thread-local variables of its own, and may have attached itself since it was
 * asked.
 */
bool tri_visit(const siginfo_t *info, const ucontext_t *uc, uintptr_t sp, uintptr_t frame_end)
{
	struct visit *v = info->si_value.sival_ptr;
	struct tri_thread *t = tri__tls.thread;
	uint64_t asked;
	pid_t tid;

	if (info->si_code != SI_QUEUE || !visits || v < visits || v >= visits + VISITS)
		return false;
	tid = (pid_t)raw(SYS_gettid, NULL, 0, 0);
	asked = state_of(tid, VISIT_ASKED);
	if (!atomic_compare_exchange_strong(&v->state, &asked, state_of(tid, VISIT_TAKEN)))
		return true;
	raw(SYS_clock_gettime, (void *)CLOCK_MONOTONIC, (long)&v->began, 0);
	v->attaching = tri_between || (t && t->tid == tid);
	v->stranger = !tri_begun_here;
	v->sp = sp;
	v->frame = (uintptr_t)uc;
	v->frame_end = frame_end;
	v->thread_pointer = (uintptr_t)__builtin_thread_pointer();
	v->signal_lo = uc->uc_stack.ss_flags & SS_DISABLE ? 0 : (uintptr_t)uc->uc_stack.ss_sp;
	v->signal_hi = v->signal_lo ? v->signal_lo + uc->uc_stack.ss_size : 0;
	v->fake_stack = tri_g.fake_stacks ? tri_fake_stack() : NULL;
	/* Release: pairs with what_of() */
	tri_write_release(&v->state, state_of(tid, VISIT_WAITING));
	atomic_fetch_add(&tri_g.answers, 1);
	raw(SYS_futex, &tri_g.answers, FUTEX_WAKE, INT_MAX);
	while (tri_read_acquire(&v->state) == state_of(tid, VISIT_WAITING))
		raw(SYS_futex, &v->state, FUTEX_WAIT, VISIT_WAITING);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* The folder                                                                                 */
/* ------------------------------------------------------------------------------------------ */

/*
 * The kernel does not tell which threads there are, or no longer: a sandbox may deny it at any
 * time.  What is left are those that we have seen begin, or that have called the library.
 */
static void no_folder(void)
{
	if (folder >= 0)
		close(folder);
	folder = -1;
	if (!tri_real_is_in_front("pthread_create"))
		tri_complain(TRI_COMPLAINT_THREADS, true, "tricolor: threads that never call it may lose "
			     "objects: /proc/self/task can't be read, and the C library comes first, so that "
			     "it does not see threads begin; mount /proc, or link the program with -ltricolor");
}

/* Threads that the process has, ended main thread included; 0: unknown. */
static size_t count_tasks(void)
{
	struct stat st;

	return fstat(folder, &st) || st.st_nlink < 3 ? 0 : (size_t)st.st_nlink - 2;
}

static void *more_memory(void *old, size_t *bytes, size_t want)
{
	void *more;

	if (want <= *bytes)
		return old;
	want = (want + want / 2 + 4095) & ~4095ul;
	more = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (more == MAP_FAILED)
		return NULL;
	if (old)
		munmap(old, *bytes);
	*bytes = want;
	return more;
}

/*
 * Every thread that there was when @tasks were counted, into @list.  0, -EAGAIN if some may be
 * missing, or what else stands in the way.
 */
static int list_tasks(size_t tasks)
{
	size_t bytes = list.room;
	struct dirent64 *d;
	ssize_t got, at;

	/* Names of seven digits; twice as many entries as there should be. */
	list.text = more_memory(list.text, &bytes, (tasks + 64) * 64);
	list.room = bytes;
	if (!list.text)
		return -ENOMEM;
	if (lseek(folder, 0, SEEK_SET))
		return -errno;
	got = getdents64(folder, list.text, list.room);
	if (got <= 0)
		return got ? -errno : -ENOENT;
	list.tid = (pid_t *)list.text;
	list.n = 0;
	/*
	 * In place: a number is shorter than the entry that it is read from, and lies before its
	 * length.
	 */
	for (at = 0; at < got; at += d->d_reclen) {
		d = (struct dirent64 *)(list.text + at);
		if (d->d_name[0] != '.')
			list.tid[list.n++] = (pid_t)atoi(d->d_name);
	}
	/*
	 * The kernel goes from thread to thread, and stops at one that has just ended.  New ones
	 * come at the end: so if some are missing there are fewer than before.
	 */
	return (size_t)got < list.room - 512 && list.n >= tasks ? 0 : -EAGAIN;
}

/* ------------------------------------------------------------------------------------------ */
/* Which are known                                                                            */
/* ------------------------------------------------------------------------------------------ */

static pid_t *known_cell(pid_t tid)
{
	size_t i = (size_t)tid * 0x9e3779b97f4a7c15ull >> 20 & (known_room - 1);

	while (known[i] && known[i] != tid)
		i = (i + 1) & (known_room - 1);
	return &known[i];
}

static bool main_is_over(void)
{
	return main_is_zombie || tri_main_is_over();
}

/*
 * How many threads of this library there are, to be asked for after a count: none of them is missing
 * in that.  The agent is there before any cycle, as is the watch of the main thread.  These two and
 * the thread that waits for pressure end with the process.  The agent itself begins the one that
 * connects, so that one that is there still was there at the count.
 */
static size_t own_threads(void)
{
	size_t n = 1, i;

	for (i = 0; i < TRI_OWN_THREADS; i++)
		n += tri_own_tid(i) != 0;
	return n;
}

static bool is_own(pid_t tid)
{
	int i;

	for (i = 0; i < TRI_OWN_THREADS; i++)
		if (tid == tri_own_tid(i))
			return true;
	return tid == tri_g.agent_tid;
}

/*
 * list_lock.  Whether no more threads are counted than are known to be alive since before the
 * count.
 */
static bool none_unknown(size_t tasks)
{
	pid_t pressure = tri_own_tid(TRI_OWN_PRESSURE);
	size_t alive = own_threads() + main_is_over();
	struct tri_thread *t;

	for (t = tri_g.threads; t; t = t->next)
		if (t->tid != pressure && tri_life_holds(t->life))
			alive++;
	return counts && tasks <= alive;
}

/* list_lock.  The threads that need no visit: a table of them.  False: no memory. */
static bool collect_known(void)
{
	size_t want = 64, bytes = known_room * sizeof(*known);
	struct tri_thread *t;
	uint32_t i;

	while (want < 4ul * (tri_g.nthreads + nvisits + 4))
		want *= 2;
	if (want > known_room) {
		known = more_memory(known, &bytes, want * sizeof(*known));
		known_room = known ? want : 0;
		if (!known)
			return false;
	}
	memset(known, 0, known_room * sizeof(*known));
	for (t = tri_g.threads; t; t = t->next)
		*known_cell(t->tid) = t->tid;
	for (i = 0; i < nvisits; i++)
		if (visits[i].scanned)
			*known_cell(tid_of(&visits[i])) = tid_of(&visits[i]);
	*known_cell(tri_g.agent_tid) = tri_g.agent_tid;
	for (i = 0; i < TRI_OWN_THREADS; i++) {
		pid_t own = tri_own_tid(i);

		if (own)
			*known_cell(own) = own;
	}
	if (main_is_over())
		*known_cell(tri_g.pid) = tri_g.pid;
	return true;
}

/*
 * Look for threads that are neither attached nor visited.  Returns how many there are, with their
 * IDs in @list; or -EAGAIN if it has to be done again; or what else stands in the way.
 */
static int look(void)
{
	size_t tasks, i, n = 0;
	bool none, ok;
	int err;

	pthread_mutex_lock(&tri_g.list_lock);
	tri_threads_reap();
	tasks = count_tasks();
	none = tasks && none_unknown(tasks);
	pthread_mutex_unlock(&tri_g.list_lock);
	if (none)
		return 0;
	err = tasks ? list_tasks(tasks) : -EPERM;
	if (err)
		return err;
	/*
	 * A thread that has attached since it was listed is known, and one that has ended needs
	 * nothing.
	 */
	pthread_mutex_lock(&tri_g.list_lock);
	tri_threads_reap();
	ok = collect_known();
	pthread_mutex_unlock(&tri_g.list_lock);
	if (!ok)
		return -ENOMEM;
	for (i = 0; i < list.n; i++)
		if (!*known_cell(list.tid[i]))
			list.tid[n++] = list.tid[i];
	list.n = n;
	return (int)n;
}

/*
 * Whether a thread that does not answer has ended, and is only still listed; with which exit status
 * then.
 */
static bool has_ended(pid_t tid, int *status)
{
	char path[32], line[512], *p, *last;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%d/stat", (int)tid);
	fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ESRCH;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return n < 0 && errno == ESRCH;
	line[n] = 0;
	/* The state follows the name in parentheses; the last field is what wait() would give. */
	p = strrchr(line, ')');
	last = strrchr(line, ' ');
	if (!p || !last || !p[1] || (p[2] != 'Z' && p[2] != 'X'))
		return false;
	main_is_zombie |= tid == tri_g.pid;
	*status = atoi(last + 1) >> 8 & 0xff;
	return true;
}

/* What the kernel says about a thread. */
static bool read_of(pid_t tid, const char *name, char *text, size_t room)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%d/%s", (int)tid, name);
	fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, room - 1);
	close(fd);
	text[n < 0 ? 0 : n] = 0;
	return n > 0;
}

/* Whether a thread has blocked the handshake signal, as its status says. */
static bool blocks_signal(pid_t tid)
{
	char text[4096], *p;

	if (!read_of(tid, "status", text, sizeof(text)))
		return false;
	p = strstr(text, "SigBlk:");
	return p && strtoull(p + 7, NULL, 16) >> (tri_g.settings.signal - 1) & 1;
}

/* ------------------------------------------------------------------------------------------ */
/* Threads of the C library's                                                                 */
/* ------------------------------------------------------------------------------------------ */

/* Where a field of a thread's descriptor is; 0: the C library does not tell. */
static uint32_t descriptor_field(const char *symbol)
{
	const uint32_t *d = (const uint32_t *)tri_libc_private(symbol);

	return d ? d[2] : 0;
}

/* Whether @word is in an object that is not @own, and behind an instruction that calls. */
static bool returns_elsewhere(uintptr_t word, const struct link_map *own)
{
	struct dl_find_object o;
	unsigned char before[7];
	int n;

	if (_dl_find_object((void *)word, &o) || o.dlfo_link_map == own ||
	    !tri_read_foreign(before, word - sizeof(before), sizeof(before)))
		return false;
	for (n = 2; n <= 7; n++)
		if (before[7 - n] == 0xff && (before[8 - n] & 0x38) == 0x10)
			return true;
	return before[2] == 0xe8;
}

/*
 * The descriptor of the thread whose stack pointer is @sp, if from there on nothing returns to
 * anything but the C library, which it began in as well; 0: it is another one's, or can't be known.
 */
static uintptr_t closed_descriptor(pid_t tid, uintptr_t sp)
{
	uint32_t tid_at = descriptor_field("_thread_db_pthread_tid");
	uint32_t start_at = descriptor_field("_thread_db_pthread_start_routine");
	uintptr_t word[512], at, address, start;
	struct dl_find_object libc, o;
	pid_t its;
	size_t i;

	if (!tid_at || !start_at || (tri_is_static && tri_is_static()) ||
	    _dl_find_object(tri_libc_private("_thread_db_pthread_tid"), &libc))
		return 0;
	for (at = sp & ~7ul; at < sp + STACK_BYTES; at += i * sizeof(*word)) {
		size_t bytes = 4096 - (at & 4095);

		if (!tri_read_foreign(word, at, bytes))
			return 0;
		for (i = 0; i < bytes / sizeof(*word); i++) {
			address = at + i * sizeof(*word);
			/* It begins with its own address. */
			if (word[i] == address && tri_read_foreign(&its, address + tid_at, sizeof(its)) &&
			    its == tid && tri_read_foreign(&start, address + start_at, sizeof(start)))
				return !_dl_find_object((void *)start, &o) &&
				       o.dlfo_link_map == libc.dlfo_link_map ? address : 0;
			if (returns_elsewhere(word[i], libc.dlfo_link_map))
				return 0;
		}
	}
	return 0;
}

/* Scan a thread of the C library's that has blocked all signals and sleeps.  False: it is none. */
static bool closed_thread(pid_t tid)
{
	char text[512], *p;
	uintptr_t sp, self;
	int n;

	if (!blocks_signal(tid) || !read_of(tid, "syscall", text, sizeof(text)))
		return false;
	/* number, six arguments, stack pointer, instruction pointer; or "running" */
	for (p = text, n = 0; p && n < 7; n++) {
		p = strchr(p, ' ');
		p += p != NULL;
	}
	sp = p ? strtoul(p, NULL, 16) : 0;
	self = sp ? closed_descriptor(tid, sp) : 0;
	if (!self)
		return false;
	tri_g.agent->fake_stack = NULL;
	visitor->tid = tid;
	visitor->tp = self;
	visitor->signal_lo = visitor->signal_hi = 0;
	tri_stack_find(visitor, (pthread_t)self, true);
	tri_scan_stack(visitor, tri_g.agent, sp - 128, false);
	return true;
}

static bool was_closed(pid_t tid)
{
	uint32_t i;

	for (i = 0; i < CLOSED; i++)
		if (closed[i] == tid)
			return true;
	return false;
}

/*
 * Whether the thread whose descriptor is @self was begun by a function of ours, and has not come
 * that far; false as well where the C library does not tell.
 */
static bool is_beginning(uintptr_t self)
{
	uint32_t start_at = descriptor_field("_thread_db_pthread_start_routine");
	uintptr_t start;

	return start_at && tri_read_foreign(&start, self + start_at, sizeof(start)) && tri_starting_begins_with(start);
}

/* ------------------------------------------------------------------------------------------ */
/* Visits                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static void let_go(struct visit *v)
{
	tri_write_release(&v->state, state_of(tid_of(v), VISIT_OVER));
	tri_futex_wake((tri_au32 *)&v->state);
}

static void ask(pid_t tid)
{
	struct visit *v = &visits[nvisits++];

	/* Its signals would stay where they are, more with each cycle. */
	v->scanned = was_closed(tid) && closed_thread(tid);
	if (v->scanned) {
		tri_write(&tri_g.uninterposed_threads, 1);
		tri_write_release(&v->state, state_of(tid, VISIT_OVER));
		return;
	}
	tri_write_release(&v->state, state_of(tid, VISIT_ASKED));
	if (tri_signal_send_with(tid, v) == -ESRCH)
		tri_write(&v->state, state_of(tid, VISIT_OVER));
}

/* The thread of @v waits in its handler. */
static void scan_visited(struct visit *v, bool hold)
{
	/* One of ours may be seen in two cycles as well, where it gets no CPU while it begins. */
	if (v->stranger && tid_of(v) == seen_before && !is_beginning(v->thread_pointer))
		tri_write(&tri_g.uninterposed_threads, 1);
	tri_g.agent->fake_stack = v->fake_stack;
	tri_scan_frame(tri_g.agent, v->frame, v->frame_end, false);
	/* The frame begins with its ucontext. */
	tri_scan_registers(tri_g.agent, (const ucontext_t *)v->frame, false);
	visitor->tid = tid_of(v);
	visitor->tp = v->thread_pointer;
	visitor->signal_lo = v->signal_lo;
	visitor->signal_hi = v->signal_hi;
	tri_stack_find(visitor, (pthread_t)v->thread_pointer, true);
	tri_scan_stack(visitor, tri_g.agent, v->sp, false);
	/*
	 * A thread that attaches may have list_lock: it is not held, and scans itself once
	 * attached.
	 */
	v->scanned = !hold || !v->attaching;
	if (!v->attaching)
		last_seen = tid_of(v);
	if (!hold || v->attaching)
		let_go(v);
	tri_interrupted((uint64_t)v->began.tv_sec * 1000000000 + (uint64_t)v->began.tv_nsec);
}

/* One look at a visit that is under way.  True if the thread has answered, or is no more. */
static bool attend(struct visit *v, bool hold, bool resend, bool old)
{
	uint64_t asked = state_of(tid_of(v), VISIT_ASKED);
	int status;

	switch (what_of(v)) {
	case VISIT_WAITING:
		if (!v->scanned)
			scan_visited(v, hold);
		return true;
	case VISIT_OVER:
		return true;
	case VISIT_ASKED:
		if ((resend && tri_signal_send_with(tid_of(v), v) == -ESRCH) ||
		    (old && has_ended(tid_of(v), &status)))
			return atomic_compare_exchange_strong(&v->state, &asked,
							      state_of(tid_of(v), VISIT_OVER));
		if (old && closed_thread(tid_of(v)) &&
		    atomic_compare_exchange_strong(&v->state, &asked,
						   state_of(tid_of(v), VISIT_OVER))) {
			closed[nclosed++ % CLOSED] = tid_of(v);
			v->scanned = true;
			return true;
		}
	}
	return false;
}

/* Wait for all that were asked.  False: there is one that does not answer. */
static bool attend_all(uint32_t first, bool hold, uint64_t until_ns)
{
	uint64_t sent = tri_now_ns(), looked = sent, now;
	int64_t resend_ns = TRI_RESEND_NS;
	bool resend = false, old = false;
	uint32_t answers, i;

	for (;;) {
		bool waiting = false;

		answers = tri_read_acquire(&tri_g.answers);
		for (i = first; i < nvisits; i++)
			waiting |= !attend(&visits[i], hold, resend, old);
		if (!waiting)
			return true;
		/* For waiting assists: it is the program that holds up the cycle. */
		atomic_fetch_add_explicit(&tri_g.view.ctl->work_seq, 1, memory_order_relaxed);
		tri_futex_wait(&tri_g.answers, answers, resend_ns);
		now = tri_now_ns();
		if (now > until_ns)
			return false;
		resend = now - sent >= (uint64_t)resend_ns;
		if (resend) {
			sent = now;
			resend_ns = tri_resend_longer(resend_ns);
		}
		old = now - looked >= LOOK_NS;
		if (old)
			looked = now;
	}
}

/* The threads that are held go on. */
void tri_tasks_release(void)
{
	uint32_t i;

	for (i = 0; i < nvisits; i++)
		if (what_of(&visits[i]) == VISIT_WAITING)
			let_go(&visits[i]);
}

/* A thread can't be scanned: then nothing may be freed. */
static void give_up(void)
{
	pid_t silent = 0;
	uint32_t i;

	for (i = 0; i < nvisits; i++) {
		uint64_t asked = state_of(tid_of(&visits[i]), VISIT_ASKED);

		if (atomic_compare_exchange_strong(&visits[i].state, &asked,
						   state_of(tid_of(&visits[i]), VISIT_OVER)))
			silent = tid_of(&visits[i]);
	}
	if (silent)
		tri_complain(TRI_COMPLAINT_THREADS, true, "tricolor: nothing can be freed: thread %d was made "
			     "behind the library's back and does not answer signal %d%s", (int)silent,
			     tri_g.settings.signal, blocks_signal(silent) ?
			     ", which it has blocked; let it call tri_thread_attach(), or open the signal" : "");
	else
		tri_complain(TRI_COMPLAINT_THREADS, true, "tricolor: nothing can be freed: there are too many "
			     "threads that were made behind the library's back, or they come too fast");
	atomic_fetch_add(&tri_g.unanswered, 1);
	tri_write(&tri_g.cycle_is_void, 1);
}

/*
 * Scan every thread that is not attached.  False: new ones come too fast, and the caller must hold
 * the attached ones and try again with @hold; then it calls tri_tasks_release().
 */
bool tri_tasks_scan(bool hold)
{
	uint64_t until = tri_now_ns() + LIMIT_NS;
	unsigned int rounds = 0;
	uint32_t first;
	size_t i;
	int n;

	if (folder < 0)
		return true;
	seen_before = last_seen;
	for (nvisits = 0; (n = look()); rounds++) {
		TRI_POINT("tasks.listed");
		if (n < 0 && n != -EAGAIN && n != -ENOMEM) {
			no_folder();
			return true;
		}
		first = nvisits;
		if (!hold && rounds == FREE_ROUNDS)
			return false;
		if (tri_now_ns() > until || n == -ENOMEM || (n > 0 && (uint32_t)n > VISITS - nvisits)) {
			give_up();
			return true;
		}
		for (i = 0; n > 0 && i < (size_t)n; i++)
			ask(list.tid[i]);
		if (!attend_all(first, hold, until)) {
			give_up();
			return true;
		}
	}
	tri_complaint_over(TRI_COMPLAINT_THREADS);
	return true;
}

/* ------------------------------------------------------------------------------------------ */

/* Agent, once.  Without /proc there is no way to know of a thread that we did not see begin. */
void tri_tasks_open(void)
{
	size_t tasks = 0;
	int tries;

	tri_write(&tri_g.uninterposed_threads, !tri_real_is_in_front("pthread_create"));
	folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0) {
		no_folder();
		return;
	}
	visits = mmap(NULL, VISITS * sizeof(*visits), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	visitor = tri_thread_new();
	/*
	 * Whether the link count is what Linux makes it: nothing ends or begins for two looks in a
	 * row.
	 */
	for (tries = 0; tries < 100 && !counts; tries++) {
		tasks = count_tasks();
		counts = tasks && !list_tasks(tasks) && list.n == tasks && count_tasks() == tasks;
	}
	if (visits == MAP_FAILED || !visitor || !tasks) {
		visits = NULL;
		no_folder();
	}
}

/*
 * Agent.  Whether no thread of the program is left; none is attached.  @status: the main thread's.
 */
bool tri_tasks_are_ours(int *status)
{
	size_t tasks = folder < 0 ? 0 : count_tasks();

	if (!tasks || tasks > 1 + own_threads())
		return false;
	/* It may have ended by the system call without ever having been attached. */
	if (!has_ended(tri_g.pid, status))
		return false;
	return tasks == 1 + own_threads();
}

/*
 * Agent.  A pidfd of any thread of the program but the main one, which tells when that thread has
 * ended; -1: there is none, or the kernel has no such thing, or a sandbox denies it.
 */
int tri_tasks_open_other(void)
{
	size_t tasks = folder < 0 ? 0 : count_tasks(), i;
	char name[16];
	int fd;

	if (!tasks || list_tasks(tasks))
		return -1;
	for (i = 0; i < list.n; i++) {
		if (is_own(list.tid[i]) || list.tid[i] == tri_g.pid)
			continue;
		fd = (int)syscall(SYS_pidfd_open, list.tid[i], PIDFD_THREAD);
		if (fd < 0 && errno != ESRCH)
			return -1;
		/* It may have ended before, and its ID be another process's. */
		snprintf(name, sizeof(name), "%d", (int)list.tid[i]);
		if (fd >= 0 && !faccessat(folder, name, F_OK, 0))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

/* In the child of a fork(). */
void tri_tasks_reset(void)
{
	folder = -1;
	counts = main_is_zombie = false;
	nvisits = 0;
	memset(closed, 0, sizeof(closed));
	visits = NULL;
	visitor = NULL;
}
