// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pressure.c - what the program learns of its memory limit
 *
 * The collector writes the pressure to the control page, a futex, and wakes who waits there:
 * nothing polls.  on_pressure.c has a thread that does.
 *
 * With the policy fail-fast the collector may refuse pages.  It is believed only as long as it is
 * there, and if the program has chosen that policy, or has left the choice to it.
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
 * An allocation has failed: was it for the limit?  Then errno and tri_error() are set, and the
 * collector is asked to look again: without allocation nothing else would make it.
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
