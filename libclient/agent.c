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
 *  5. A collector of our own that goes alone is served while a shared one is looked for (policy.c).
 *     It is left between two cycles if that one marks itself, or if it asks for that, because we
 *     have moved to another session or control group, where it can't follow.
 *
 * All signals are blocked in it but the handshake signal, and that only while it waits: a wake-up
 * that comes at any other time stays pending.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../core/heap/buffer.h"
#include "../core/heap/layout.h"
#include "../core/proto/client.h"
#include "../core/system/futex.h"
#include "../core/system/slice.h"
#include "abi.h"
#include "agent.h"
#include "backing.h"
#include "grant.h"
#include "uncollected.h"
#include "central.h"
#include "checker.h"
#include "connect.h"
#include "copying.h"
#include "dumping.h"
#include "error.h"
#include "handshake.h"
#include "hello.h"
#include "init.h"
#include "lastexit.h"
#include "lock.h"
#include "own_thread.h"
#include "pageheap.h"
#include "real.h"
#include "root_scan.h"
#include "signals.h"
#include "stack.h"
#include "state.h"
#include "thread.h"
#include "unattached.h"
#include "untouched.h"

#define STACK_BYTES (256ul << 10)
#define RETRY_MIN_MS 1		/* the first pause before another collector is sought */
#define SILENT_MIN_MS 500
#define SILENT_MAX_MS 10000
#define RETRY_MAX_MS 200	/* the longest pause while collectors can be started */
#define RETRY_VAIN_MS 1000	/* the longest pause while none can be started */
#define FRUITLESS 8		/* collectors that did nothing, in a row, before we speak of it */
#define STEADY_NS 1000000000ull	/* a collector that served so long was a good one */
#define PART_NS 5000000000ull		/* a collector that lives lets go of the arena within
					 * this */
#define KILLED_NS 5000000000ull		/* a private one that was killed does so within this, or
					 * is stuck */

static tri_au32 arena_made;		/* futex: 1 done, 2 failed */
static tri_au32 starter_done;		/* futex: it has started what else there is to start */
static int arena_error;
static int sock = -1;

/*
 * What did not fit into the socket of a collector that does not read: an answer, and what threads
 * want.  The answer goes first; requests are summed up.
 */
static struct {
	bool full;
	bool has_answer;
	struct tri_msg answer;
	uint32_t wake;
} outbox;

static bool leave;			/* the collector, as soon as no cycle is on */

/*
 * 0 to 2 are never anything else than standard streams, in our table as in that of a daemon that we
 * start: what is written there must not end up in an arena.  It need not be /dev/null, where there
 * is none: nothing can be read from, or written to, a folder.
 */
static bool fill_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			fd = open("/", O_RDONLY | O_DIRECTORY);
	} while (fd >= 0 && fd < 3);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Close all from @fd on in the table that is ours alone by now. */
static void close_from(int fd)
{
	struct rlimit files;
	int end = 65536;

	if (!close_range((unsigned int)fd, ~0u, 0))
		return;
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < (rlim_t)end)
		end = (int)files.rlim_cur;
	for (; fd < end; fd++)
		close(fd);
}

/* With a trace, what is standard error now stays, for the trace. */
static int own_descriptors(void)
{
	int from = tri_g.settings.prints ? 3 : 0, err, fd;
	/* Of a forked child's copy, which has been in the program's table until now. */
	int keep = tri_g.mapping.base && tri_g.mapping.fd > 2 ? tri_g.mapping.fd : from - 1;

	/* Where a sandbox does not know close_range(), unshare() may be allowed. */
	if (close_range((unsigned int)keep + 1, ~0u, CLOSE_RANGE_UNSHARE)) {
		err = -errno;
		if (unshare(CLONE_FILES)) {
			tri_complain(
				TRI_COMPLAINT_NO_COLLECTOR, false,
				"tricolor: can't have descriptors "
				"apart from the program's: close_range: %s, unshare: %s; let the sandbox "
				"allow close_range(2)",
				strerror(-err), strerror(errno));
			return err;
		}
		close_from(keep + 1);
	}
	for (fd = from; fd < keep; fd++)
		close(fd);
	if (from) {
		close(0);
		close(1);
	}
	if (fill_standard())
		return 0;
	err = -errno;
	tri_complain(TRI_COMPLAINT_NO_COLLECTOR, false, "tricolor: can't open /dev/null, nor /: %s",
		     strerror(-err));
	return err;
}

static bool go_on(void *unused)
{
	(void)unused;
	return true;
}

/*
 * The arena is a forked child's copy.  If the program has closed its descriptor, another copy takes
 * its place: nobody writes to it, as the starter waits for us, and no other thread has come to be
 * without an agent.
 */
static int take_over(struct tri_mapping *m)
{
	struct tri_copy c = { .goes_on = go_on };
	int err;

	if (tri_backing_is_there(m))
		return 0;
	err = tri_backing_copy(&c.to, m);
	if (err)
		return err;
	tri_view_init(&c.tables, c.to.base, &c.to.layout, tri_g.view.heap_va);
	err = tri_copy_whole(&c);
	if (!err)
		err = tri_backing_install(&c.to, m->base);
	if (err)
		tri_backing_discard(&c.to);
	else
		*m = c.to;
	if (!err)
		tri_dump_begin();
	return err;
}

static int make_arena(void)
{
	struct tri_mapping *m = &tri_g.mapping;
	bool copied = m->base != NULL;
	int err = copied ? take_over(m) : tri_backing_open(m, &tri_g.settings);

	if (!err && !copied)
		err = tri_untouched_make(m->layout.heap_pages);
	if (err)
		return err;
	tri_view_init(&tri_g.view, m->base, &m->layout,
		      (uint64_t)(uintptr_t)m->base + m->layout.heap);
	pthread_mutex_lock(&tri_g.list_lock);
	tri_g.agent = tri_thread_new();
	tri_g.common = tri_thread_new();
	err = tri_g.agent && !tri_slot_take(tri_g.agent) && tri_g.common &&
			      !tri_slot_take(tri_g.common) ?
		      0 :
		      -ENOMEM;
	/* A forked child's copy has some cycles behind it already. */
	if (!err)
		tri_g.agent->gen = tri_g.gen;
	pthread_mutex_unlock(&tri_g.list_lock);
	return err;
}

/*
 * Since when there has been no collector that was of any use: one that dies before it has finished
 * a cycle does not count.
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

/* False: the collector is gone.  What does not fit is for the outbox. */
static bool send_msg(const struct tri_msg *msg)
{
	ssize_t n = send(sock, msg, sizeof(*msg), MSG_NOSIGNAL | MSG_DONTWAIT);

	outbox.full = n < 0 && errno == EAGAIN;
	return n == sizeof(*msg) || outbox.full;
}

/* Tell the collector what threads want.  False if it can't be told. */
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

/* The collector reads again. */
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
 * Wait until the collector says something, is gone, or takes what was left over, or a thread wants
 * something, or @until_ns (0: without end) has come.  The socket's events, or 0.  @looks: for a
 * shared collector, too.
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
	/* A sandbox has come that forbids it: look now and then. */
	wait = (struct timespec){ 0, 10000000 };
	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wait, NULL);
	return POLLIN | POLLOUT;
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
		 * It says so between two cycles.  It is left by and by, as after any conversation.
		 */
		leave = true;
		return tri_connected_private() && tri_g.phase == TRI_PHASE_OFF;
	}
	return false;
}

/* Who waits for long wakes up once a second, while there is something to be said. */
static uint64_t second_from_now(uint64_t until_ns)
{
	uint64_t second_ns = tri_now_ns() + TRI_SAY_WITHOUT_NS;

	return second_ns < until_ns ? second_ns : until_ns;
}

/* Until the collector closes its side.  False: it has not by then. */
static bool wait_for_end(uint64_t ns)
{
	uint64_t until = tri_now_ns() + ns;
	struct tri_msg msg;
	ssize_t n;

	do {
		wait_for_event(second_from_now(until), false);
		tri_agent_measure_if_asked();
		tri_check_end_if_asked();
		tri_say_without();
		n = recv(sock, &msg, sizeof(msg), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return true;
	} while (tri_now_ns() < until);
	return false;
}

/*
 * The conversation is over, mostly because the collector is dead: then the end of file is there
 * already.  One that lives must be done with the arena first: it closes its side when it has
 * unmapped ours.  It may be stopped.  No other may have the arena meanwhile, as it would go on
 * where it was: a private one is killed, and a shared one waited for, and spoken of.
 */
static void disconnect(void)
{
	uint32_t pid = tri_read(&tri_g.collector_pid);

	tri_without_since(tri_now_ns());
	leave = false;
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
	/* No thread is marking any more: what was on offer is void. */
	tri_write(&v->ctl->grey_count, 0);
	for (i = 0; i < TRI_GREY_SLOTS; i++)
		tri_write(&v->grey[i], 0);
	tri_central_recover();
	tri_pageheap_recover();
	/*
	 * Whatever is in no thread's hands is free: what it was draining, what it had not got to,
	 * and the one that it was just giving back.  With list_lock held no thread ends, which is
	 * the only thing that still hands a buffer over while no barrier is on.
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

static void serve(void)
{
	bool ok;

	/*
	 * It waits for this before it writes anything: see connect.c.  Signals for what was wanted
	 * meanwhile may be over: it is all passed on now.
	 */
	atomic_exchange(&tri_g.wake, 0);
	ok = send_request(TRI_WAKE_TRIGGER | TRI_WAKE_SETTINGS);
	while (ok) {
		uint32_t wake;
		short news = wait_for_event(0, true);

		wake = atomic_exchange(&tri_g.wake, 0);
		tri_grant_measure_if_asked();
		tri_check_end_if_asked();
		if (wake & ~(uint32_t)TRI_WAKE_MEASURE)
			ok = send_request(wake);
		if (ok && outbox.full && news & POLLOUT)
			ok = empty_outbox();
		if (ok && news & ~POLLOUT)
			ok = receive();
		/*
		 * A cycle that lost pointers must not sweep: this one ends as if the collector
		 * died.
		 */
		if (tri_read(&tri_g.cycle_is_void) || (leave && tri_g.phase == TRI_PHASE_OFF))
			ok = false;
	}
	disconnect();
	collector_gone();
}

/* Threads that want something meanwhile do not shorten it. */
static void rest(int ms)
{
	uint64_t until = tri_now_ns() + (uint64_t)ms * 1000000, now;

	while ((now = tri_now_ns()) < until) {
		uint64_t wait_ns = second_from_now(until) - now;
		struct timespec left = { (time_t)(wait_ns / 1000000000),
					 (long)(wait_ns % 1000000000) };

		if (syscall(SYS_ppoll, NULL, 0, &left, &tri_agent_mask, 8) < 0 && errno != EINTR)
			syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &left, NULL);
		tri_agent_measure_if_asked();
		tri_check_end_if_asked();
		tri_exit_if_alone();
		tri_say_without();
	}
}

static void *agent(void *unused)
{
	int retry_ms = 0, silent_ms = 0, most_ms, fruitless = 0;
	const struct tri_abi_fault *misfit = NULL;

	(void)unused;
	tri_is_agent = true;
	arena_error = own_descriptors();
	prctl(PR_SET_NAME, "tricolor-agent");
	prctl(PR_SET_TIMERSLACK, 1);
	tri_short_slice();
	tri_stack_learn();
	/*
	 * If the objects can't be known now, they are before anything is freed:
	 * tri_roots_refuse_misfits().
	 */
	if (!arena_error)
		tri_abi_check(&misfit);
	if (misfit) {
		arena_error = -ENOEXEC;
		tri_abi_complain(TRI_COMPLAINT_NO_COLLECTOR, false, "", misfit);
	} else if (!arena_error && (arena_error = make_arena()))
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
			serve();
			if (tri_now_ns() - began > STEADY_NS)
				retry_ms = fruitless = 0;
			if (cycles != tri_read(&tri_g.view.ctl->cycles))
				fruitless = 0;
			/*
			 * A cycle that is given up for want of its roots has a complaint of its
			 * own.
			 */
			else if (!*tri_complaint(TRI_COMPLAINT_ROOTS) && ++fruitless > FRUITLESS)
				tri_complain(
					TRI_COMPLAINT_NO_COLLECTOR, true,
					"tricolor: no collector, and "
					"memory is not freed: one after the other has ended before it had "
					"finished a cycle; `%s --dry-run` may tell why",
					tri_spawn_name());
			most_ms = RETRY_MAX_MS;
			/* A thread did not answer: it may take its time. */
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
			 * One that hung up was there: somebody kills them.  Room for one is there
			 * at any moment.
			 */
			most_ms = sock == -ECONNRESET || sock == -EPIPE || sock == -ENOSPC ?
					  RETRY_MAX_MS :
					  RETRY_VAIN_MS;
		}
		/* One that dies as soon as it is started is not started as fast as we can. */
		if (retry_ms)
			rest(retry_ms);
		retry_ms = retry_ms ? retry_ms * 2 : RETRY_MIN_MS;
		if (retry_ms > most_ms)
			retry_ms = most_ms;
	}
}

/** Start the agent and wait for the arena.  Returns 0 or what stood in the way. */
int tri_agent_start(void)
{
	int err;

	tri_write(&arena_made, 0);
	tri_write(&starter_done, 0);
	sock = -1;
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
