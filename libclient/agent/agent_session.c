// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * agent_session.c - the agent serves one collector, from the connection to its end
 *
 * The agent passes on requests of threads, and executes the handshakes that the collector asks for.
 * When the collector is gone, the agent repairs what it may have left half-done.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../core/heap/buffer.h"
#include "../../core/heap/layout.h"
#include "../../core/proto/client.h"
#include "../../core/system/futex.h"
#include "agent.h"
#include "../heap/central.h"
#include "../checker/checker.h"
#include "connect.h"
#include "queue_pipe.h"
#include "../base/error.h"
#include "handshake.h"
#include "hello.h"
#include "../threads/lastexit.h"
#include "../heap/pageheap.h"
#include "../base/state.h"
#include "../limits/grant.h"

#define PART_NS 5000000000ull		/* how long a collector that lives may take to release
					 * the arena */
#define KILLED_NS 5000000000ull		/* how long a collector that was killed may take */

static int sock = -1;

/*
 * What could not be sent because the collector does not read: an answer, and requests of threads.
 * The answer is sent first.  All requests are sent in one message.
 */
static struct {
	bool full;
	bool has_answer;
	struct tri_msg answer;
	uint32_t wake;
} outbox;

static bool leave;			/* leave the collector as soon as no cycle is on */

/*
 * Since when there has been no collector that works.  A collector that has died before it finished
 * a cycle counts as none.
 */
static uint64_t lost_since(void)
{
	static uint64_t since, cycles;
	uint64_t now = tri_read(&tri_g.view.ctl->cycles);

	if (!since || now != cycles)
		since = tri_now_ns();
	cycles = now;
	return since;
}

/* Send @msg.  False: the collector is gone.  If the socket is full, outbox.full is set. */
static bool send_msg(const struct tri_msg *msg)
{
	ssize_t n = send(sock, msg, sizeof(*msg), MSG_NOSIGNAL | MSG_DONTWAIT);

	outbox.full = n < 0 && errno == EAGAIN;
	return n == sizeof(*msg) || outbox.full;
}

/* Tell the collector what threads ask for.  False: the collector is gone. */
static bool send_request(uint32_t wake)
{
	struct tri_msg msg = { .type = TRI_MSG_REQUEST };
	uint32_t gc = tri_read(&tri_g.gc_wanted), freed = tri_read(&tri_g.free_wanted);

	if (wake & TRI_WAKE_TRIGGER)
		msg.request.wants |= TRI_REQUEST_TRIGGER;
	if (wake & TRI_WAKE_SETTINGS)
		msg.request.wants |= TRI_REQUEST_SETTINGS;
	if (gc != tri_read(&tri_g.view.ctl->gc_done))
		msg.request.wants |= TRI_REQUEST_GC;
	if (freed != tri_read(&tri_g.view.ctl->free_done))
		msg.request.wants |= TRI_REQUEST_FREE;
	msg.request.gc_number = gc;
	msg.request.free_number = freed;
	msg.kind = tri_unchosen();
	if (outbox.full) {
		outbox.wake |= wake;
		return true;
	}
	if (msg.request.wants && !send_msg(&msg))
		return false;
	outbox.wake = outbox.full ? wake : 0;
	return true;
}

static bool send_answer(const struct tri_msg *answer)
{
	if (!outbox.full && !send_msg(answer))
		return false;
	outbox.has_answer = outbox.full;
	if (outbox.full)
		outbox.answer = *answer;
	return true;
}

/* Send what is in the outbox: the collector reads again.  False: the collector is gone. */
static bool empty_outbox(void)
{
	if (outbox.has_answer && !send_msg(&outbox.answer))
		return false;
	if (outbox.full && outbox.has_answer)
		return true;
	outbox.full = outbox.has_answer = false;
	return send_request(outbox.wake);
}

/*
 * Wait until the collector sends a message, is gone, or reads what was left over, or a thread asks
 * for something, or @until_ns has come.  If @until_ns is 0 there is no such bound.  Returns the
 * socket's events, or 0.  @looks: the search for a shared collector goes on meanwhile.
 */
static short wait_for_event(uint64_t until_ns, bool looks)
{
	struct pollfd p[2 + TRI_POLICY_FDS] = {
		{ .fd = sock, .events = POLLIN | (outbox.full ? POLLOUT : 0) },
		{ .fd = tri_last_watch_fd(), .events = POLLIN },
	};
	unsigned int others = looks ? tri_policy_poll(p + 2, &until_ns) : 0;
	uint64_t wait_ns = tri_last_watch_ns(), now = until_ns ? tri_now_ns() : 0;
	struct timespec wait;
	bool notified;
	int n, err;

	if (until_ns && (until_ns < now || wait_ns > until_ns - now))
		wait_ns = until_ns > now ? until_ns - now : 0;
	wait = (struct timespec){ (time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000) };
	n = (int)syscall(SYS_ppoll, p, 2 + others, wait_ns == UINT64_MAX ? NULL : &wait,
			 &tri_agent_mask, 8);
	err = errno;
	notified = (n > 0 && p[1].revents) || tri_read(&tri_g.wake) & TRI_WAKE_THREADS;
	if (notified || n == 0)
		tri_last_watch_look(notified);
	else
		tri_last_watch_news();
	if (looks && (n >= 0 || err == EINTR) &&
	    tri_policy_receive(sock, p + 2, n > 0 ? others : 0) == TRI_POLICY_MARKS)
		leave = true;
	if (n >= 0)
		return n ? p[0].revents : 0;
	if (err == EINTR)
		return 0;
	/* A sandbox that the program has entered forbids ppoll().  Look at short intervals. */
	wait = (struct timespec){ 0, 10000000 };
	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wait, NULL);
	return POLLIN | POLLOUT;
}

/* Print a line by one write().  In stdio's buffer an exit() might print it a second time. */
static void print_line(char *text)
{
	size_t n = strlen(text);

	if (!tri_g.settings.prints)
		return;
	text[n] = '\n';
	if (write(2, text, n + 1) < 0)
		return;
}

/* Receive one message and act on it.  False: the collector is gone, or has sent nonsense. */
static bool receive(void)
{
	struct tri_msg msg, answer;
	ssize_t n = recv(sock, &msg, sizeof(msg), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n != sizeof(msg))
		return false;
	switch (msg.type) {
	case TRI_MSG_HANDSHAKE:
		if (msg.cycle != tri_g.gen + 1)
			return false;
		tri_handshake(&msg, &answer);
		if (!send_answer(&answer))
			return false;
		if (msg.kind == TRI_HANDSHAKE_BARRIER_OFF) {
			tri_grant_cycle_over();
			tri_check_cycle_over();
		}
		return true;
	case TRI_MSG_TRACE:
		msg.text[sizeof(msg.text) - 1] = 0;
		print_line(msg.text);
		return true;
	case TRI_MSG_POLICY_GONE:
		if (msg.gone.error) {
			msg.text[sizeof(msg.text) - 1] = 0;
			tri_complain(TRI_COMPLAINT_SHARED, true,
				     "tricolor: the tricolord at %s is passed over: %.160s",
				     tri_g.settings.socket, msg.text);
		}
		tri_policy_search();
		return tri_connected_private();
	case TRI_MSG_REPLACE:
		/*
		 * The collector sends this between two cycles.  It is left in the same way as at
		 * the end of any session.
		 */
		leave = true;
		return tri_connected_private() && tri_g.phase == TRI_PHASE_OFF;
	}
	return false;
}

/* Wait until the collector closes its side, but not longer than @ns.  False: it has not. */
static bool wait_for_end(uint64_t ns)
{
	uint64_t until = tri_now_ns() + ns;
	struct tri_msg msg;
	ssize_t n;

	do {
		wait_for_event(tri_agent_until(until), false);
		tri_agent_measure_if_asked();
		tri_check_end_if_asked();
		tri_queue_pipe_update();
		tri_say_without();
		n = recv(sock, &msg, sizeof(msg), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return true;
	} while (tri_now_ns() < until);
	return false;
}

/*
 * End the session.  Mostly the collector is dead, and then the socket is at its end already.  A
 * collector that lives must be done with the arena first.  It closes its side when it has unmapped
 * the arena.  It may also be stopped.  Then no other collector may have the arena, because the
 * stopped one would go on where it was.  So a private collector is killed.  A shared one is waited
 * for, and the user is told.
 */
static void disconnect(void)
{
	uint32_t pid = tri_read(&tri_g.collector_pid);

	tri_without_since(tri_now_ns());
	tri_policy_stop();
	tri_write(&tri_g.collector_pid, 0);
	tri_write(&tri_g.without_collector_ns, lost_since());
	tri_handshake_abandon();
	memset(&outbox, 0, sizeof(outbox));
	tri_g.waits_for = "the last one does not let go of the heap";
	shutdown(sock, SHUT_WR);
	if (!wait_for_end(PART_NS) &&
	    !(tri_connected_private() && tri_spawn_kill() && wait_for_end(KILLED_NS))) {
		tri_complain(
			TRI_COMPLAINT_STUCK, true,
			"tricolor: collector %u does not let go of this heap, "
			"and memory is not freed; is it stopped? Continue it (kill -CONT %u), or end it",
			pid, pid);
		while (!wait_for_end(PART_NS))
			;
		tri_complaint_over(TRI_COMPLAINT_STUCK);
	}
	close(sock);
	sock = -1;
}

/* Repair what a dead collector may have left behind, so that the next one finds a sound heap. */
static void collector_gone(void)
{
	const struct tri_view *v = &tri_g.view;
	uint32_t i, n;

	atomic_fetch_add(&tri_g.reconnects, 1);
	tri_write(&v->ctl->trigger_bytes, UINT64_MAX);
	tri_write(&v->ctl->late_bytes, UINT64_MAX);
	tri_write(&v->ctl->assist_q16, 0);
	/* No thread marks any more.  The spans that were on offer are offered no longer. */
	tri_write(&v->ctl->grey_count, 0);
	for (i = 0; i < TRI_GREY_SLOTS; i++)
		tri_write(&v->grey[i], 0);
	tri_central_recover();
	tri_pageheap_recover();
	/*
	 * All buffers that no thread has become free, whether the collector was reading them, had
	 * not reached them, or was just giving them back.  While no barrier is on, a thread hands
	 * over its buffer only when it ends, which it can't do while list_lock is held here.
	 */
	pthread_mutex_lock(&tri_g.list_lock);
	n = tri_read(&v->ctl->buffers_used);
	atomic_exchange(&v->ctl->full_buffers, 0);
	atomic_fetch_and(&v->ctl->free_buffers, ~0xffffffffull);
	for (i = 0; i < n; i++) {
		if (tri_read(&v->buffers[i].state) == TRI_BUFFER_THREAD)
			continue;
		tri_write(&v->buffers[i].state, TRI_BUFFER_FREE);
		tri_buffer_push(v, &v->ctl->free_buffers, i);
	}
	pthread_mutex_unlock(&tri_g.list_lock);
	tri_write(&tri_g.cycle_is_void, 0);
	tri_futex_wake(&v->ctl->gc_done);
	tri_futex_wake(&v->ctl->free_done);
	tri_grant_measure();
}

/** Serve the collector at @socket until the collector or the agent ends that.  Then close it. */
void tri_agent_session(int socket)
{
	bool ok;

	sock = socket;
	/*
	 * In the child of a fork(), both may hold what they held in the parent, in the middle of a
	 * session.
	 */
	memset(&outbox, 0, sizeof(outbox));
	leave = false;
	/*
	 * The collector writes nothing before it has this first request: see connect.c.  The
	 * signals for requests that were made meanwhile may have been taken already.  So this
	 * request passes on all that is wanted.
	 */
	atomic_exchange(&tri_g.wake, 0);
	ok = send_request(TRI_WAKE_TRIGGER | TRI_WAKE_SETTINGS);
	while (ok) {
		uint32_t wake;
		short news = wait_for_event(0, true);

		wake = atomic_exchange(&tri_g.wake, 0);
		tri_grant_measure_if_asked();
		tri_check_end_if_asked();
		tri_queue_pipe_update();
		if (wake & ~(uint32_t)TRI_WAKE_MEASURE)
			ok = send_request(wake);
		if (ok && outbox.full && news & POLLOUT)
			ok = empty_outbox();
		if (ok && news & ~POLLOUT)
			ok = receive();
		/*
		 * A cycle that has lost pointers must not sweep.  It ends as if the collector had
		 * died.
		 */
		if (tri_read(&tri_g.cycle_is_void) || (leave && tri_g.phase == TRI_PHASE_OFF))
			ok = false;
	}
	disconnect();
	collector_gone();
}
