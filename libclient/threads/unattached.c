// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * unattached.c - threads that are not attached are scanned as well
 *
 * A thread that was made by clone(), or by a pthread_create() other than the library's, is not
 * attached until it calls the library.  It may have loaded pointers from the heap all the same.  So
 * when all attached threads are scanned, the agent looks for others:
 *
 *  1. It asks tasks.c whether there are any.  Mostly there are none, and the search is over.
 *  2. If there are, it sends the handshake signal, with the address of a struct tri_visit, to each
 *     thread that is not attached and was not visited in this cycle.
 *  3. The handler says where the thread's registers and stack are, and waits (visit.c).  The agent
 *     scans them, and lets the thread go on.
 *  4. It begins again from 1, until it finds no thread that is new.
 *
 * Why that is enough is in design/guest.md.  The kernel uses a thread ID again only after it has
 * gone through all others, so in one cycle an ID stands for one thread.
 *
 * New threads may come as fast as they are visited.  Then all threads are held (@hold): attached
 * ones by the caller, others in their visit.  After that only threads that are not found yet can
 * make new ones.
 *
 * The C library has threads of its own that answer no signal: see libc_threads.c.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "../base/error.h"
#include "unresponsive.h"
#include "libc_threads.h"
#include "../base/lock.h"
#include "../base/real.h"
#include "../roots/registers.h"
#include "../roots/scan.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "tasks.h"
#include "thread.h"
#include "unattached.h"
#include "visit.h"

#define FREE_ROUNDS 4			/* looks before all threads are held */
#define LOOK_NS 20000000		/* a thread that is silent for so long may have ended */
#define LIMIT_NS 10000000000ull		/* what the search may take in one cycle */

/* The thread that was visited last: now, and when this cycle's search began. */
static pid_t last_seen, seen_before;

static void let_go(struct tri_visit *v)
{
	tri_write_release(&v->state, tri_visit_state(tri_visit_tid(v), TRI_VISIT_OVER));
	tri_futex_wake((tri_au32 *)&v->state);
}

static void ask(pid_t tid)
{
	struct tri_visit *v = &tri_visits[tri_visits_used++];

	/* A known thread of the C library's is sent no signal: it would stay pending for ever. */
	v->scanned = tri_libc_thread_is_known(tid) && tri_libc_thread_scan(tid);
	if (v->scanned) {
		tri_write(&tri_g.uninterposed_threads, 1);
		tri_write_release(&v->state, tri_visit_state(tid, TRI_VISIT_OVER));
		return;
	}
	tri_write_release(&v->state, tri_visit_state(tid, TRI_VISIT_ASKED));
	if (tri_signal_send_with(tid, v) == -ESRCH)
		tri_write(&v->state, tri_visit_state(tid, TRI_VISIT_OVER));
}

/* Scan the thread of @v, which waits in its handler. */
static void scan_visited(struct tri_visit *v, bool hold)
{
	/*
	 * A thread that lives for two cycles and was not begun by the library shows that another
	 * pthread_create() is in use.  A thread that is just beginning shows nothing: it may have
	 * had no CPU for so long.
	 */
	if (v->stranger && tri_visit_tid(v) == seen_before &&
	    !tri_thread_is_beginning(v->thread_pointer))
		tri_write(&tri_g.uninterposed_threads, 1);
	tri_g.agent->fake_stack = v->fake_stack;
	tri_scan_frame(tri_g.agent, v->frame, v->frame_end, false);
	/* The frame begins with its ucontext. */
	tri_scan_registers(tri_g.agent, (const ucontext_t *)v->frame, false);
	tri_task_scan_stack(tri_visit_tid(v), v->thread_pointer, v->sp, v->signal_lo, v->signal_hi);
	/*
	 * A thread that attaches may have list_lock, so it is not held.  It scans itself once it is
	 * attached.
	 */
	v->scanned = !hold || !v->attaching;
	if (!v->attaching)
		last_seen = tri_visit_tid(v);
	if (!hold || v->attaching)
		let_go(v);
	tri_interrupted((uint64_t)v->began.tv_sec * 1000000000 + (uint64_t)v->began.tv_nsec);
}

/*
 * Look once at a visit that is under way.  Returns whether it is done: the thread was scanned, or
 * has ended.  @resend: send the signal again.  @old: find out whether the thread has ended or is
 * one of the C library's.
 */
static bool attend(struct tri_visit *v, bool hold, bool resend, bool old)
{
	uint64_t asked = tri_visit_state(tri_visit_tid(v), TRI_VISIT_ASKED);
	int status;

	switch (tri_visit_what(v)) {
	case TRI_VISIT_WAITING:
		if (!v->scanned)
			scan_visited(v, hold);
		return true;
	case TRI_VISIT_OVER:
		return true;
	case TRI_VISIT_ASKED:
		if ((resend && tri_signal_send_with(tri_visit_tid(v), v) == -ESRCH) ||
		    (old && tri_task_has_ended(tri_visit_tid(v), &status)))
			return atomic_compare_exchange_strong(
				&v->state, &asked,
				tri_visit_state(tri_visit_tid(v), TRI_VISIT_OVER));
		if (old && tri_libc_thread_scan(tri_visit_tid(v)) &&
		    atomic_compare_exchange_strong(
			    &v->state, &asked, tri_visit_state(tri_visit_tid(v), TRI_VISIT_OVER))) {
			tri_libc_thread_note(tri_visit_tid(v));
			v->scanned = true;
			return true;
		}
	}
	return false;
}

/* Wait for all visits from @first on.  False: a thread has not answered at @until_ns. */
static bool attend_all(uint32_t first, bool hold, uint64_t until_ns)
{
	uint64_t sent = tri_now_ns(), looked = sent, now;
	int64_t resend_ns = TRI_RESEND_NS;
	bool resend = false, old = false;
	uint32_t answers, i;

	for (;;) {
		bool waiting = false;

		answers = tri_read_acquire(&tri_g.answers);
		for (i = first; i < tri_visits_used; i++)
			waiting |= !attend(&tri_visits[i], hold, resend, old);
		if (!waiting)
			return true;
		/* Assists keep waiting: the program holds up the cycle, not the collector. */
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

/** Let the threads go on that are held in their visits. */
void tri_unattached_release(void)
{
	uint32_t i;

	for (i = 0; i < tri_visits_used; i++)
		if (tri_visit_what(&tri_visits[i]) == TRI_VISIT_WAITING)
			let_go(&tri_visits[i]);
}

/* A thread can't be scanned.  So the cycle must free nothing. */
static void give_up(void)
{
	pid_t silent = 0;
	uint32_t i;

	for (i = 0; i < tri_visits_used; i++) {
		uint64_t asked = tri_visit_state(tri_visit_tid(&tri_visits[i]), TRI_VISIT_ASKED);

		if (atomic_compare_exchange_strong(
			    &tri_visits[i].state, &asked,
			    tri_visit_state(tri_visit_tid(&tri_visits[i]), TRI_VISIT_OVER)))
			silent = tri_visit_tid(&tri_visits[i]);
	}
	if (silent)
		tri_complain(TRI_COMPLAINT_THREADS, true, "tricolor: nothing can be freed: thread %d was made "
			     "behind the library's back and does not answer signal %d%s", (int)silent,
			     tri_g.settings.signal, tri_task_blocks_signal(silent) ?
			     ", which it has blocked; let it call tri_thread_attach(), or open the signal" : "");
	else
		tri_complain(TRI_COMPLAINT_THREADS, true, "tricolor: nothing can be freed: there are too many "
			     "threads that were made behind the library's back, or they come too fast");
	atomic_fetch_add(&tri_g.unanswered, 1);
	tri_write(&tri_g.cycle_is_void, 1);
}

/**
 * Scan every thread that is not attached.  False: new threads come too fast.  Then the caller has
 * to hold all attached threads, try again with @hold, and call tri_unattached_release().
 */
bool tri_unattached_scan(bool hold)
{
	uint64_t until = tri_now_ns() + LIMIT_NS;
	unsigned int rounds = 0;
	const pid_t *tids;
	uint32_t first;
	size_t i;
	int n;

	if (!tri_tasks_are_listed())
		return true;
	seen_before = last_seen;
	for (tri_visits_used = 0; (n = tri_tasks_look(&tids)); rounds++) {
		TRI_POINT("tasks.listed");
		if (n < 0 && n != -EAGAIN && n != -ENOMEM) {
			tri_tasks_give_up();
			return true;
		}
		first = tri_visits_used;
		if (!hold && rounds == FREE_ROUNDS)
			return false;
		if (tri_now_ns() > until || n == -ENOMEM ||
		    (n > 0 && (uint32_t)n > TRI_VISITS - tri_visits_used)) {
			give_up();
			return true;
		}
		for (i = 0; n > 0 && i < (size_t)n; i++)
			ask(tids[i]);
		if (!attend_all(first, hold, until)) {
			give_up();
			return true;
		}
	}
	tri_complaint_over(TRI_COMPLAINT_THREADS);
	return true;
}

/**
 * The agent calls this once.  Without /proc the library knows no thread but those that it saw begin
 * and those that have called it.
 */
void tri_unattached_open(void)
{
	tri_write(&tri_g.uninterposed_threads, !tri_real_is_in_front("pthread_create"));
	if (!tri_tasks_open())
		return;
	tri_visits = mmap(NULL, TRI_VISITS * sizeof(*tri_visits), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (tri_visits == MAP_FAILED) {
		tri_visits = NULL;
		tri_tasks_give_up();
	}
}

/** In the child of a fork(). */
void tri_unattached_reset(void)
{
	tri_visits = NULL;
	tri_visits_used = 0;
}
