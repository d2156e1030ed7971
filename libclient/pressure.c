// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pressure.c - what the program learns of its memory limit
 *
 * The collector writes the pressure to the control page, a futex, and wakes who waits there: no
 * agent, no signal, nothing polls.  tri_on_pressure() has a thread that waits, and calls the
 * program.  It takes no signals but ours, is attached to the heap only while it is in a call, and
 * when only it and the agent are left the process ends.
 *
 * With the policy fail-fast the collector may refuse pages.  It is believed only as long as it is
 * there, and if the program has chosen that policy, or has left the choice to it.
 */
#include <errno.h>

#include "../core/heap/layout.h"
#include "../core/system/futex.h"
#include "agent.h"
#include "attach.h"
#include "attributes.h"
#include "error.h"
#include "init.h"
#include "lastexit.h"
#include "lock.h"
#include "own_thread.h"
#include "pressure.h"
#include "settings.h"
#include "state.h"
#include "thread.h"
#include "tricolor.h"

#define ASK_NS 10000000ull		/* a program that is refused asks for a cycle this often */
#define STACK_BYTES (256ul << 10)

static struct {
	pthread_mutex_t lock;
	void (*fn)(enum tri_pressure pressure, void *arg);	/* lock */
	void *arg;						/* lock */
	bool started;						/* lock */
} waiter = { .lock = PTHREAD_MUTEX_INITIALIZER };

static tri_au64 asked_ns;

/* The collector's word, as one of those that programs know. */
static enum tri_pressure known(uint32_t word)
{
	return word <= TRI_PRESSURE_OVER ? (enum tri_pressure)word : TRI_PRESSURE_OVER;
}

TRI_EXPORT enum tri_pressure tri_pressure(void)
{
	return tri_is_ready() ?
	       known(tri_read(&tri_g.view.ctl->pressure)) : TRI_PRESSURE_NONE;
}

static void *wait_for_pressure(void *unused)
{
	tri_au32 *word = &tri_g.view.ctl->pressure;
	uint32_t told = TRI_PRESSURE_NONE;

	(void)unused;
	tri_not_counted();
	tri_write_release(&tri_own_tids[TRI_OWN_PRESSURE], (uint32_t)gettid());
	for (;;) {
		uint32_t now = tri_read(word);
		void (*fn)(enum tri_pressure pressure, void *arg);
		void *arg;

		if (now == told) {
			tri_futex_wait(word, now, -1);
			continue;
		}
		told = now;
		pthread_mutex_lock(&waiter.lock);
		fn = waiter.fn;
		arg = waiter.arg;
		pthread_mutex_unlock(&waiter.lock);
		/* Between calls there is nothing of it to be scanned. */
		if (fn) {
			tri_thread_attach();
			fn(known(now), arg);
			tri_thread_detach();
		}
	}
	return NULL;
}

TRI_EXPORT int tri_on_pressure(void (*fn)(enum tri_pressure pressure, void *arg), void *arg)
{
	int err = tri_start_attached(NULL);

	if (!err)
		err = tri_agent_ensure();
	if (err)
		return err;
	pthread_mutex_lock(&waiter.lock);
	waiter.fn = fn;
	waiter.arg = arg;
	if (!waiter.started && fn) {
		err = tri_own_thread_start(wait_for_pressure, STACK_BYTES, true);
		waiter.started = !err;
		if (err) {
			waiter.fn = NULL;
			err = tri_fail(EAGAIN, "tricolor: no thread for tri_on_pressure(): %s",
				       strerror(err));
		}
	}
	pthread_mutex_unlock(&waiter.lock);
	return err;
}

/* In the child of a fork(). */
void tri_pressure_reset(void)
{
	pthread_mutex_init(&waiter.lock, NULL);
	waiter.fn = NULL;
	waiter.started = false;
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
