// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * on_pressure.c - the program is called when the pressure of its memory limit changes
 *
 * tri_on_pressure() starts a thread of the library's that waits, and calls the program.  That
 * thread takes no signals but the library's.  It is attached to the heap only while it is in a
 * call, and does not keep the process alive.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../start/attach.h"
#include "../base/attributes.h"
#include "../base/error.h"
#include "../start/init.h"
#include "../threads/lastexit.h"
#include "../threads/own_thread.h"
#include "../limits/pressure.h"
#include "../base/state.h"
#include "tricolor.h"

#define STACK_BYTES (256ul << 10)

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
		pthread_mutex_lock(&tri_pressure_waiter.lock);
		fn = tri_pressure_waiter.fn;
		arg = tri_pressure_waiter.arg;
		pthread_mutex_unlock(&tri_pressure_waiter.lock);
		/* Between calls there is nothing of it to be scanned. */
		if (fn) {
			tri_thread_attach();
			fn(tri_pressure_known(now), arg);
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
	pthread_mutex_lock(&tri_pressure_waiter.lock);
	tri_pressure_waiter.fn = fn;
	tri_pressure_waiter.arg = arg;
	if (!tri_pressure_waiter.started && fn) {
		err = tri_own_thread_start(wait_for_pressure, STACK_BYTES, true);
		tri_pressure_waiter.started = !err;
		if (err) {
			tri_pressure_waiter.fn = NULL;
			err = tri_fail(EAGAIN, "tricolor: no thread for tri_on_pressure(): %s",
				       strerror(err));
		}
	}
	pthread_mutex_unlock(&tri_pressure_waiter.lock);
	return err;
}
