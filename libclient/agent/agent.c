// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * agent.c - the library's own thread
 *
 *  1. First it takes an empty descriptor table of its own (close_range() with UNSHARE).  The
 *     program does not see what the agent opens, and can't close it.  Its children do not inherit
 *     it.
 *  2. It makes the arena, and tells the thread that started the heap.
 *  3. It connects to a collector.  Then it waits in ppoll() for messages, and for the handshake
 *     signal, by which threads tell it that they ask for something (tri_agent_wake()).
 *  4. When the collector is gone, the agent abandons the cycle, repairs what the collector may have
 *     left half-done, and goes back to 3.
 *  5. While a private collector is served, the agent looks for a shared one (policy.c).  It leaves
 *     the private one between two cycles if the shared one marks itself.  It also does so if the
 *     private one asks for it: the program has moved to another session or control group, and the
 *     collector can't follow.
 *
 * All signals but the handshake signal are blocked in the agent.  The handshake signal is blocked
 * too, except while the agent waits, so a wake-up that comes at another time stays pending.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../../core/system/slice.h"
#include "../roots/abi.h"
#include "agent.h"
#include "../heap/backing.h"
#include "../limits/uncollected.h"
#include "../checker/checker.h"
#include "connect.h"
#include "queue_pipe.h"
#include "../base/error.h"
#include "../threads/lastexit.h"
#include "../base/lock.h"
#include "../threads/own_thread.h"
#include "../base/real.h"
#include "../roots/root_scan.h"
#include "../base/signals.h"
#include "../roots/stack.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "../threads/unattached.h"

#define STACK_BYTES (256ul << 10)
#define RETRY_MIN_MS 1		/* the first pause before another collector is sought */
#define SILENT_MIN_MS 500
#define SILENT_MAX_MS 10000
#define RETRY_MAX_MS 200	/* the longest pause while collectors can be started */
#define RETRY_VAIN_MS 1000	/* the longest pause while none can be started */
#define FRUITLESS 8		/* after so many collectors in a row without a cycle, report it */
#define STEADY_NS 1000000000ull	/* after so long a session, the pauses begin anew */
static tri_au32 arena_made;		/* futex: 1 done, 2 failed */
static tri_au32 starter_done;		/* futex: the starter has made the other threads */
static int arena_error;

/* Pause for @ms.  Requests of threads do not shorten the pause. */
static void rest(int ms)
{
	uint64_t until = tri_now_ns() + (uint64_t)ms * 1000000, now;

	while ((now = tri_now_ns()) < until) {
		uint64_t wait_ns = tri_agent_until(until) - now;
		struct timespec left = { (time_t)(wait_ns / 1000000000),
					 (long)(wait_ns % 1000000000) };

		if (syscall(SYS_ppoll, NULL, 0, &left, &tri_agent_mask, 8) < 0 && errno != EINTR)
			syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &left, NULL);
		tri_agent_measure_if_asked();
		tri_check_end_if_asked();
		tri_queue_pipe_update();
		tri_exit_if_alone();
		tri_say_without();
	}
}

static void *agent(void *unused)
{
	int retry_ms = 0, silent_ms = 0, most_ms, fruitless = 0;
	const struct tri_abi_fault *misfit = NULL;
	int sock;

	(void)unused;
	tri_is_agent = true;
	arena_error = tri_agent_own_descriptors();
	prctl(PR_SET_NAME, "tricolor-agent");
	prctl(PR_SET_TIMERSLACK, 1);
	tri_short_slice();
	tri_stack_learn();
	/*
	 * If the loaded objects can't be known now, they are checked later, before anything is
	 * freed: tri_roots_refuse_misfits().
	 */
	if (!arena_error)
		tri_abi_check(&misfit);
	if (misfit) {
		arena_error = -ENOEXEC;
		tri_abi_complain(TRI_COMPLAINT_NO_COLLECTOR, false, "", misfit);
	} else if (!arena_error && (arena_error = tri_agent_make_arena()))
		tri_complain(TRI_COMPLAINT_NO_COLLECTOR, false, "tricolor: can't make an arena: %s",
			     tri_backing_why(&tri_g.settings, arena_error));
	tri_g.agent_tid = gettid();
	tri_unattached_open();
	if (!arena_error) {
		tri_not_counted();
		tri_roots_prepare();
		/* Before anything is allocated. */
		tri_uncollected_update();
		tri_check_begin();
	}
	tri_write_release(&arena_made, arena_error ? 2 : 1);
	tri_futex_wake(&arena_made);
	if (arena_error)
		return NULL;
	tri_write(&tri_g.without_collector_ns, tri_now_ns());
	tri_without_since(tri_read(&tri_g.without_collector_ns));
	while (!tri_read_acquire(&starter_done))
		tri_futex_wait(&starter_done, 0, -1);
	/* The starter fills in the control page. */
	for (;;) {
		uint32_t state = tri_read_acquire(&tri_g.state);

		if (state == TRI_STATE_READY)
			break;
		tri_futex_wait(&tri_g.state, state, -1);
	}
	sigfillset(&tri_agent_mask);
	tri_signals_strip(&tri_agent_mask);
	for (;;) {
		sock = tri_connect();
		if (sock >= 0) {
			uint64_t began = tri_now_ns(), cycles = tri_read(&tri_g.view.ctl->cycles);
			uint32_t unanswered = tri_read(&tri_g.unanswered);

			tri_without_since(0);
			tri_complaint_over(TRI_COMPLAINT_WITHOUT);
			tri_write(&tri_g.without_collector_ns, 0);
			tri_agent_session(sock);
			if (tri_now_ns() - began > STEADY_NS)
				retry_ms = fruitless = 0;
			if (cycles != tri_read(&tri_g.view.ctl->cycles))
				fruitless = 0;
			/*
			 * A cycle that is given up because its roots are not known is reported by
			 * another complaint.
			 */
			else if (!*tri_complaint(TRI_COMPLAINT_ROOTS) && ++fruitless > FRUITLESS)
				tri_complain(
					TRI_COMPLAINT_NO_COLLECTOR, true,
					"tricolor: no collector, and "
					"memory is not freed: one after the other has ended before it had "
					"finished a cycle; `%s --dry-run` may tell why",
					tri_spawn_name());
			most_ms = RETRY_MAX_MS;
			/* If a thread did not answer, wait longer before the next cycle. */
			if (unanswered == tri_read(&tri_g.unanswered))
				silent_ms = 0;
			else
				silent_ms = silent_ms ? silent_ms * 2 : SILENT_MIN_MS;
			if (silent_ms > SILENT_MAX_MS)
				silent_ms = SILENT_MAX_MS;
			if (silent_ms)
				rest(silent_ms);
		} else {
			/*
			 * If the collector hung up, it had been started, and was killed.  If there
			 * was no room to start one, there may be room at any moment.  In these
			 * cases the agent tries again soon.
			 */
			most_ms = sock == -ECONNRESET || sock == -EPIPE || sock == -ENOSPC ?
					  RETRY_MAX_MS :
					  RETRY_VAIN_MS;
		}
		/* If collectors die as soon as they start, the pauses grow. */
		if (retry_ms)
			rest(retry_ms);
		retry_ms = retry_ms ? retry_ms * 2 : RETRY_MIN_MS;
		if (retry_ms > most_ms)
			retry_ms = most_ms;
	}
}

/** Start the agent and wait for the arena.  Returns 0 or a negative errno. */
int tri_agent_start(void)
{
	int err;

	tri_write(&arena_made, 0);
	tri_write(&starter_done, 0);
	err = tri_own_thread_start(agent, STACK_BYTES, false);
	if (err)
		return tri_fail(err, "tricolor: can't start the agent thread: %s", strerror(err));
	while (!tri_read_acquire(&arena_made))
		tri_futex_wait(&arena_made, 0, -1);
	if (arena_error)
		return tri_fail(-arena_error, "tricolor: %s",
				tri_complaint(TRI_COMPLAINT_NO_COLLECTOR));
	tri_last_watch_start();
	tri_write_release(&starter_done, 1);
	tri_futex_wake(&starter_done);
	return 0;
}
