// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pressure.c - what the program is told about its memory limit
 *
 * The collector writes the pressure to a word of the control page.  The word is a futex, and the
 * collector wakes the threads that wait for it, so nothing has to poll.  The thread of
 * on_pressure.c waits for it.
 *
 * With the policy fail-fast the collector may refuse pages.  That counts only while the collector
 * is connected, and only if the program has chosen that policy or has left the choice open.
 */
#include <errno.h>

#include "../../core/heap/layout.h"
#include "../agent/agent.h"
#include "../base/attributes.h"
#include "../base/error.h"
#include "pressure.h"
#include "../base/state.h"
#include "tricolor.h"

#define ASK_NS 10000000ull		/* a program that is refused asks for a cycle this often */

struct tri_pressure_waiter tri_pressure_waiter = { .lock = PTHREAD_MUTEX_INITIALIZER };

static tri_au64 asked_ns;

TRI_EXPORT enum tri_pressure tri_pressure(void)
{
	return tri_is_ready() ?
	       tri_pressure_known(tri_read(&tri_g.view.ctl->pressure)) : TRI_PRESSURE_NONE;
}

/** In the child of a fork(). */
void tri_pressure_reset(void)
{
	pthread_mutex_init(&tri_pressure_waiter.lock, NULL);
	tri_pressure_waiter.fn = NULL;
	tri_pressure_waiter.started = false;
}

/**
 * An allocation has failed.  Returns whether the limit was the reason.  If so, this sets errno and
 * tri_error(), and asks the collector for a cycle: while nothing is allocated, nothing else would
 * start one.
 */
bool tri_refused(void)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	uint64_t now, then = tri_read(&asked_ns);

	if (!tri_refusing())
		return false;
	atomic_fetch_add(&ctl->refused, 1);
	now = tri_now_ns();
	if (now - then >= ASK_NS && atomic_compare_exchange_strong(&asked_ns, &then, now))
		tri_agent_wake(TRI_WAKE_TRIGGER);
	tri_fail(ENOMEM,
		 "tricolor: %llu MiB live, more than the memory limit of %lld MiB allows; drop "
		 "references to objects, raise the limit, or set TRICOLOR_LIMIT_POLICY=continue",
		 (unsigned long long)(tri_read(&ctl->live_bytes) >> 20),
		 (long long)(tri_read(&ctl->limit_bytes) >> 20));
	errno = ENOMEM;
	return true;
}
