// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * held_up.c - a thread that does not answer holds up the collector, and nobody else
 *
 * The agent waits for threads: until they are outside, until they have scanned their stack, until a
 * signal has reached them.  Mostly that takes microseconds.  A thread that is stopped (a debugger,
 * a frozen group), waits for a disk inside the library, or has blocked both signals by a raw system
 * call, may take for ever.
 *
 *	after LET_NS	the agent lets go of list_lock while it waits, so that other threads can
 *			begin and end
 *	after SAY_NS	it says which thread it is and why, and tri_gc() no longer waits
 *
 * The program goes on meanwhile, whatever phase the cycle is in: it allocates, with barriers on or
 * off.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../core/heap/layout.h"
#include "../core/system/futex.h"
#include "agent.h"
#include "error.h"
#include "held_up.h"
#include "init.h"
#include "lock.h"
#include "signals.h"
#include "state.h"
#include "thread.h"
#include "throttle.h"

#define LET_NS 50000000ull
#define LEAST_NS 1000000	/* the first wait; each is twice as long as the one before */
#define LONGER 6		/* so often a wait is made longer */

static bool complained;

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

/* Why it may not answer, from what the kernel says about it. */
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

/** Say that @t holds up the collector, and have tri_gc() return. */
void tri_held_up_say(struct tri_thread *t)
{
	char name[32];

	if (read_of(t->tid, "comm", name, sizeof(name)))
		name[strcspn(name, "\n")] = 0;
	else
		strcpy(name, "?");
	complained = true;
	tri_complain(TRI_COMPLAINT_THREADS, true,
		     "tricolor: nothing can be freed: thread %d (%s) does not answer "
		     "signal %d: %s",
		     (int)t->tid, name, tri_signal_number(0), reason(t));
	atomic_fetch_add(&tri_g.unanswered, 1);
}

/** All have answered again. */
void tri_held_up_over(void)
{
	if (complained)
		tri_complaint_over(TRI_COMPLAINT_THREADS);
	complained = false;
}

/**
 * @t holds us up.  list_lock; true if it was free meanwhile, so that threads may have come and
 * gone.
 */
bool tri_held_up(struct tri_held_up *h, struct tri_thread *t)
{
	uint32_t answers = h->answers;
	uint64_t now = tri_now_ns();

	if (!h->since_ns)
		h->since_ns = now;
	h->answers = tri_read_acquire(&tri_g.answers);
	if (now - h->since_ns < LET_NS)
		return false;
	if (now - h->since_ns > TRI_SAY_NS && !h->said) {
		h->said = true;
		tri_held_up_say(t);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
	/*
	 * Others may wait for a look before they take memory (throttle.c); a program's thread comes
	 * here, too.
	 */
	if (tri_is_agent)
		tri_throttle_measure_if_asked();
	/* An answer wakes us; that a thread has ended without one, nothing tells. */
	tri_futex_wait(&tri_g.answers, answers, (int64_t)LEAST_NS << h->waits);
	h->waits += h->waits < LONGER;
	pthread_mutex_lock(&tri_g.list_lock);
	h->answers = tri_read_acquire(&tri_g.answers);
	return true;
}
