// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * agent_poll.c - how the agent waits: meanwhile it measures the program's control groups whenever a
 * thread asks for that
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "../base/error.h"
#include "../base/state.h"
#include "../limits/grant.h"

#define FORBIDDEN_MS 10		/* between two measurements where ppoll() is forbidden */

sigset_t tri_agent_mask;

/* Measure if a thread has asked for it.  Other requests of threads stay for later. */
void tri_agent_measure_if_asked(void)
{
	atomic_fetch_and(&tri_g.wake, ~(uint32_t)TRI_WAKE_MEASURE);
	tri_grant_measure_if_asked();
}

/**
 * Like poll(), for the agent.  Meanwhile it measures the control groups whenever a thread asks for
 * that.
 */
int tri_agent_poll(struct pollfd *p, unsigned int n, int ms)
{
	uint64_t until = tri_now_ns() + (uint64_t)ms * 1000000, now, left_ns;
	struct timespec left;
	int ready;

	do {
		tri_agent_measure_if_asked();
		now = tri_now_ns();
		left_ns = now < until ? until - now : 0;
		left = (struct timespec){ (time_t)(left_ns / 1000000000),
					  (long)(left_ns % 1000000000) };
		ready = (int)syscall(SYS_ppoll, p, n, &left, &tri_agent_mask, 8);
		/* If a sandbox forbids ppoll(), a measurement is some milliseconds late. */
		if (ready < 0 && errno != EINTR)
			ready = poll(p, n, left_ns ? FORBIDDEN_MS : 0);
	} while (ready <= 0 && left_ns);
	return ready > 0 ? ready : 0;
}

/**
 * How long a wait may last that would last until @until_ns: until then, or for one second if that
 * is shorter, since there may be something to report by then.
 */
uint64_t tri_agent_until(uint64_t until_ns)
{
	uint64_t second_ns = tri_now_ns() + TRI_SAY_WITHOUT_NS;

	return second_ns < until_ns ? second_ns : until_ns;
}
