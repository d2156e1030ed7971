// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * agent.c - the library's own thread
 *
 *  1. It begins by taking a descriptor table of its own, empty (close_range with UNSHARE).  What it
 *     opens is invisible to the program, survives a program that closes everything, and is not
 *     inherited by the program's children.
 *  2. It makes the arena, and tells the thread that started the heap.
 *  3. It connects to a collector, and then waits in ppoll(): for messages, and for the handshake
 *     signal, with which threads tell it that they want something (tri_agent_wake()).
 *  4. When the collector is gone it abandons the cycle, repairs what a dead collector may have left
 *     half-done, and goes back to 3.
 *
 * All signals are blocked in it but the handshake signal, and that only while it waits: a wake-up
 * that comes at any other time stays pending.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/proto.h"
#include "core/slice.h"
#include "futex.h"
#include "internal.h"

#define STACK_BYTES (256ul << 10)
#define RETRY_MIN_MS 1
#define RETRY_MAX_MS 200
#define STEADY_NS 1000000000ull	/* a collector that served so long was a good one */

static tri_au32 arena_made;		/* futex: 1 done, 2 failed */
static int arena_error;
static int sock = -1;

/* Any thread, inside or outside, and signal handlers. */
void tri_agent_wake(uint32_t what)
{
	atomic_fetch_or(&tri_g.wake, what);
	if (tri_g.agent_tid)
		tri_signal_send(tri_g.agent_tid);
}

static void own_descriptors(void)
{
	if (!tri_g.settings.prints) {
		close_range(0, ~0u, CLOSE_RANGE_UNSHARE);
		return;
	}
	/* The trace goes to what is standard error now. */
	close_range(3, ~0u, CLOSE_RANGE_UNSHARE);
	close(0);
	close(1);
}

static int make_arena(void)
{
	struct tri_mapping *m = &tri_g.mapping;
	int err = tri_backing_open(m, &tri_g.settings);

	if (err)
		return err;
	tri_view_init(&tri_g.view, m->base, &m->layout, (uint64_t)(uintptr_t)m->base + m->layout.heap);
	tri_g.agent = tri_thread_new();
	if (!tri_g.agent || tri_slot_take(tri_g.agent))
		return -ENOMEM;
	return 0;
}

/*
 * Since when there has been no collector that was of any use: one that dies before it has finished a cycle
 * does not count.
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

static bool send_msg(const struct tri_msg *msg)
{
	return send(sock, msg, sizeof(*msg), MSG_NOSIGNAL) == sizeof(*msg);
}

/* Tell the collector what threads want.  False if it can't be told. */
static bool pass_on(uint32_t wake)
{
	struct tri_msg msg = { .type = TRI_MSG_REQUEST };
	uint32_t gc = tri_read(&tri_g.gc_wanted), freed = tri_read(&tri_g.free_wanted);

	if (wake & TRI_WAKE_TRIGGER)
		msg.a |= TRI_REQUEST_TRIGGER;
	if (wake & TRI_WAKE_SETTINGS)
		msg.a |= TRI_REQUEST_SETTINGS;
	if (gc != tri_read(&tri_g.view.ctl->gc_done))
		msg.a |= TRI_REQUEST_GC;
	if (freed != tri_read(&tri_g.view.ctl->free_done))
		msg.a |= TRI_REQUEST_FREE;
	msg.b = (uint64_t)freed << 32 | gc;
	msg.kind = tri_unchosen();
	return !msg.a || send_msg(&msg);
}

static bool threads_left(void)
{
	bool left;

	pthread_mutex_lock(&tri_g.list_lock);
	left = tri_g.nthreads != 0;
	pthread_mutex_unlock(&tri_g.list_lock);
	return left;
}

/* Wait until the collector says something (1), is gone (-1), or a thread wants something (0). */
static int wait_for_news(sigset_t *while_waiting)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct timespec tick = { 0, 10000000 };
	int n;

	/* Only while no thread is attached is there anything to look for by the clock. */
	n = ppoll(&p, 1, threads_left() ? NULL : &tick, while_waiting);
	if (n == 0)
		tri_exit_if_alone(1);
	if (n <= 0)
		return 0;
	return 1;
}

/* One write: a program that exits meanwhile may flush stdio's buffers a second time. */
static void print_line(char *text)
{
	size_t n = strlen(text);

	if (!tri_g.settings.prints)
		return;
	text[n] = '\n';
	if (write(2, text, n + 1) < 0)
		return;
}

/* One message.  False: the collector is gone, or talks nonsense. */
static bool hear(void)
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
		return send_msg(&answer);
	case TRI_MSG_TRACE:
		msg.text[sizeof(msg.text) - 1] = 0;
		print_line(msg.text);
		return true;
	}
	return false;
}

/*
 * The conversation is over, mostly because the collector is dead: then the end of file is there already.
 * One that lives must be done with the arena first: it closes its side when it has unmapped ours.
 */
static void part(sigset_t *while_waiting)
{
	struct tri_msg msg;
	ssize_t n;

	tri_write(&tri_g.collector_pid, 0);
	tri_write(&tri_g.without_collector_ns, lost_since());
	tri_handshake_abandon();
	shutdown(sock, SHUT_WR);
	do {
		while (!wait_for_news(while_waiting))
			;
		n = recv(sock, &msg, sizeof(msg), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
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
	/* No thread is marking any more: what was on offer is void. */
	tri_write(&v->ctl->grey_count, 0);
	for (i = 0; i < TRI_GREY_SLOTS; i++)
		tri_write(&v->grey[i], 0);
	tri_central_recover();
	tri_pageheap_recover();
	/*
	 * Whatever is in no thread's hands is free: what it was draining, what it had not got to, and
	 * the one that it was just giving back.  With list_lock held no thread ends, which is the
	 * only thing that still hands a buffer over while no barrier is on.
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
	tri_write(&tri_g.lost, 0);
	tri_futex_wake(&v->ctl->gc_done);
	tri_futex_wake(&v->ctl->free_done);
}

static void serve(sigset_t *while_waiting)
{
	bool ok = pass_on(TRI_WAKE_TRIGGER);

	while (ok) {
		uint32_t wake;
		int news = wait_for_news(while_waiting);

		wake = atomic_exchange(&tri_g.wake, 0);
		if (wake)
			ok = pass_on(wake);
		if (ok && news)
			ok = hear();
		/* A cycle that lost pointers must not sweep: this one ends as if the collector died. */
		if (tri_read(&tri_g.lost))
			ok = false;
	}
	part(while_waiting);
	collector_gone();
}

static void *agent(void *unused)
{
	int retry_ms = 0;
	sigset_t while_waiting;

	(void)unused;
	own_descriptors();
	prctl(PR_SET_NAME, "tricolor-agent");
	prctl(PR_SET_TIMERSLACK, 1);
	tri_short_slice();
	arena_error = make_arena();
	tri_g.agent_tid = gettid();
	tri_write_release(&arena_made, arena_error ? 2 : 1);
	tri_futex_wake(&arena_made);
	if (arena_error)
		return NULL;
	sigfillset(&while_waiting);
	sigdelset(&while_waiting, tri_g.settings.signal);
	tri_write(&tri_g.without_collector_ns, tri_now_ns());
	/* The starter fills in the control page, and then wakes us. */
	while (tri_read_acquire(&tri_g.state) != TRI_STATE_READY)
		ppoll(NULL, 0, NULL, &while_waiting);
	for (;;) {
		sock = tri_connect();
		if (sock >= 0) {
			uint64_t began = tri_now_ns();

			tri_write(&tri_g.without_collector_ns, 0);
			serve(&while_waiting);
			if (tri_now_ns() - began > STEADY_NS)
				retry_ms = 0;
		}
		/* One that dies as soon as it is started is not started as fast as we can. */
		if (retry_ms) {
			struct timespec pause = { retry_ms / 1000, retry_ms % 1000 * 1000000l };

			ppoll(NULL, 0, &pause, &while_waiting);
			if (!threads_left())
				tri_exit_if_alone(1);
		}
		retry_ms = retry_ms ? retry_ms * 2 : RETRY_MIN_MS;
		if (retry_ms > RETRY_MAX_MS)
			retry_ms = RETRY_MAX_MS;
	}
}

/** Start the agent and wait for the arena.  Returns 0 or what stood in the way. */
int tri_agent_start(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	int err;

	tri_write(&arena_made, 0);
	sock = -1;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Not by our pthread_sigmask(), which leaves the handshake signal open. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	err = tri_real_pthread_create(&thread, &attr, agent, NULL);
	pthread_attr_destroy(&attr);
	if (err)
		return tri_fail(err, "tricolor: can't start the agent thread: %s", strerror(err));
	while (!tri_read_acquire(&arena_made))
		tri_futex_wait(&arena_made, 0, -1);
	if (arena_error)
		return tri_fail(-arena_error, "tricolor: can't make an arena: %s",
				tri_backing_why(&tri_g.settings, arena_error));
	return 0;
}
