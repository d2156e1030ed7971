// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * unresponsive.c - what the agent does while a thread does not answer
 *
 * The agent waits for threads: until they are outside the library, until they have scanned their
 * stacks, until a signal has reached them.  Mostly that takes microseconds.  It may take for ever
 * if a thread is stopped (by a debugger, or in a frozen group), waits for a disk inside the
 * library, or has blocked both signals by a raw system call.  Such a thread holds up the collector,
 * and nobody else:
 *
 *	after UNLOCK_NS		the agent releases list_lock while it waits, so that other threads
 *				can begin and end
 *	after TRI_REPORT_NS	it reports which thread it is and why, and tri_gc() no longer waits
 *
 * The program goes on meanwhile, whatever phase the cycle is in.  It allocates, with the barrier on
 * or off.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../../core/system/held.h"
#include "../agent/agent.h"
#include "../base/error.h"
#include "unresponsive.h"
#include "../start/init.h"
#include "../base/lock.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "thread.h"
#include "../limits/grant.h"

#define UNLOCK_NS 50000000ull
#define LEAST_NS 1000000	/* the first wait; each further one is twice as long */
#define LONGER 6		/* how often the wait is doubled */

static bool reported;

/* The file @name of the thread in /proc; its length, or 0 if it can't be read. */
static size_t read_of(pid_t tid, const char *name, char *text, size_t room)
{
	char path[64];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, room - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

/* Why @t may not answer, by what the kernel says about it. */
static const char *reason(struct tri_thread *t)
{
	char text[4096], *p;
	uint64_t set;

	if (tri_read(&tri_g.signals_refused))
		return "the system refuses to send it a signal; let the sandbox allow rt_tgsigqueueinfo(2)";
	if (!read_of(t->tid, "status", text, sizeof(text)))
		return "for reasons unknown (no /proc)";
	p = strstr(text, "State:\t");
	if (p && (p[7] == 'T' || p[7] == 't'))
		return "it is stopped, by a signal or a debugger; let it go on";
	if (p && p[7] == 'D')
		return "it waits for a disk or for a child of vfork(), and can't be interrupted";
	if (tri_read(&t->visits) & 1)
		return "it is inside the library, and has not had a processor, or waits for memory";
	p = strstr(text, "SigBlk:");
	set = p ? strtoull(p + 7, NULL, 16) : 0;
	if (set >> (tri_signal_number(0) - 1) & 1)
		return "it has blocked the signal by a system call of its own; let it call "
		       "pthread_sigmask(), or tri_poll() now and then";
	return "it has not had a processor";
}

/** Report that @t holds up the collector, and have tri_gc() return.  Called by the agent. */
void tri_unresponsive_report(struct tri_thread *t)
{
	char name[32];

	if (read_of(t->tid, "comm", name, sizeof(name)))
		name[strcspn(name, "\n")] = 0;
	else
		strcpy(name, "?");
	reported = true;
	tri_complain(TRI_COMPLAINT_THREADS, true,
		     "tricolor: nothing can be freed: thread %d (%s) does not answer "
		     "signal %d: %s",
		     (int)t->tid, name, tri_signal_number(0), reason(t));
	atomic_fetch_add(&tri_g.unanswered, 1);
}

/** All threads have answered again. */
void tri_unresponsive_over(void)
{
	if (reported)
		tri_complaint_over(TRI_COMPLAINT_THREADS);
	reported = false;
}

/**
 * @t has not answered yet: wait a little, and longer each time.  Called with list_lock held.
 * Returns whether the lock was released meanwhile, so that threads may have come and gone.
 */
bool tri_unresponsive_wait(struct tri_unresponsive_wait *h, struct tri_thread *t)
{
	uint32_t answers = h->answers;
	uint64_t now = tri_now_ns();

	if (!h->since_ns)
		h->since_ns = now;
	h->answers = tri_read_acquire(&tri_g.answers);
	if (now - h->since_ns < UNLOCK_NS)
		return false;
	if (now - h->since_ns > TRI_REPORT_NS && !h->said) {
		h->said = true;
		tri_unresponsive_report(t);
	}
	tri_assert_held(&tri_g.list_lock);
	pthread_mutex_unlock(&tri_g.list_lock);
	/*
	 * Threads may wait for the agent to measure before they take memory (grant.c).  This may
	 * be a thread of the program, which measures nothing.
	 */
	if (tri_is_agent)
		tri_grant_measure_if_asked();
	/* An answer wakes us.  Nothing does when a thread has ended without one. */
	tri_futex_wait(&tri_g.answers, answers, (int64_t)LEAST_NS << h->waits);
	h->waits += h->waits < LONGER;
	pthread_mutex_lock(&tri_g.list_lock);
	h->answers = tri_read_acquire(&tri_g.answers);
	return true;
}
