// SPDX-License-Identifier: GPL-2.0-only
/*
 * handshake.c - the collector's half of the conversation with an agent
 *
 * One handshake at a time.  While its answer is awaited, requests and orders may come; they are noted.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arena.h"
#include "daemon/process/config.h"
#include "core/proto/passing.h"
#include "daemon/process/fault.h"
#include "daemon/process/log.h"

#define FIRST_S 10			/* an agent sends its first request as it hears our WELCOME … */
#define FIRST_MESSAGES 8		/* … and few policies before */

bool arena_send(struct arena *a, const struct tri_msg *msg)
{
	return send(a->sock, msg, sizeof(*msg), MSG_NOSIGNAL) == sizeof(*msg);
}

/** Note what a client's request asks for. */
void arena_note(struct arena *a, const struct tri_msg *msg)
{
	if (msg->request.wants & TRI_REQUEST_TRIGGER)
		a->triggered = true;
	if (msg->request.wants & TRI_REQUEST_GC)
		a->gc_wanted = msg->request.gc_number;
	if (msg->request.wants & TRI_REQUEST_FREE)
		a->free_wanted = msg->request.free_number;
	if (msg->request.wants & TRI_REQUEST_SETTINGS) {
		a->gc_percent_default &= (msg->kind & TRI_HELLO_DEFAULT_GC_PERCENT) != 0;
		a->limit_default &= (msg->kind & TRI_HELLO_DEFAULT_MEMORY_LIMIT) != 0;
		a->policy_default &= (msg->kind & TRI_HELLO_DEFAULT_LIMIT_POLICY) != 0;
		cycle_settings(a);
		arena_publish(a);
	}
}

/** Fill in @p for the arena's socket, with @events, and those who give it orders. */
void arena_listen(const struct arena *a, struct pollfd *p, short events)
{
	p[POLL_CLIENT] = (struct pollfd){ .fd = a->sock, .events = events };
	p[POLL_ORDERS] = (struct pollfd){ .fd = a->registry->order_fd, .events = POLLIN };
	p[POLL_POLICY] = (struct pollfd){ .fd = a->linked.sock, .events = POLLIN };
}

/** Take the orders that @p says there are. */
void arena_take_orders(struct arena *a, const struct pollfd *p)
{
	if (p[POLL_ORDERS].revents)
		arena_orders(a);
	if (p[POLL_POLICY].revents)
		linked_hear(a);
}

/**
 * Wait for events of @p, the client's socket and others.  False: it is said that there is no waiting
 * (a sandbox, a limit of descriptors), and the client is to be let go of: who looked again all the time
 * instead would keep a CPU busy, and outlive its client.
 */
bool arena_poll(struct arena *a, struct pollfd *p, nfds_t n, const struct timespec *timeout)
{
	nfds_t i;
	int ms = timeout ? (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000) : -1;

	if (ppoll(p, n, timeout, NULL) >= 0)
		return true;
	/* Our client's sandbox, which a private collector inherits, may know only the older call. */
	if ((errno == EPERM || errno == ENOSYS) && poll(p, n, ms) >= 0)
		return true;
	for (i = 0; i < n; i++)
		p[i].revents = 0;
	if (errno == EINTR)
		return true;
	log_warning("%s: gave up: can't wait for it: ppoll: %s", a->name, strerror(errno));
	return false;
}

/* Link and board, @fds, that came with @msg, for linked_begin(); other descriptors are closed. */
static void keep_given(struct arena *a, const struct tri_msg *msg, const int *fds)
{
	bool policy = msg->type == TRI_MSG_POLICY && config_is_private();
	int i;

	for (i = 0; i < 2; i++) {
		int old = policy ? a->linked.given[i] : fds[i];

		if (old >= 0)
			close(old);
		if (policy)
			a->linked.given[i] = fds[i];
	}
}

/* A message, if there is one.  -1 and EAGAIN also if it was POLICY, which may come at any time. */
static ssize_t receive(struct arena *a, struct tri_msg *msg)
{
	size_t count;
	int fds[2];
	ssize_t n = tri_receive(a->sock, msg, MSG_DONTWAIT, fds, 2, &count);

	if (n < 0)
		return n;
	if (n != sizeof(*msg))
		msg->type = 0;
	keep_given(a, msg, fds);
	if (msg->type != TRI_MSG_POLICY || !config_is_private())
		return n;
	errno = EAGAIN;
	return -1;
}

static bool not_protocol(struct arena *a)
{
	log_line("%s: gave up: its message is not the protocol of version %u", a->name,
		 TRI_PROTO_VERSION);
	return false;
}

/**
 * The client's first request, unnoted.  Until it is there nothing is written into the arena: a client
 * that has lost patience just when we welcomed it has turned to another collector.
 */
bool arena_hear_first(struct arena *a, struct tri_msg *msg)
{
	struct pollfd p = { .fd = a->sock, .events = POLLIN };
	const struct timespec patience = { FIRST_S, 0 };
	unsigned int left = FIRST_MESSAGES;
	ssize_t n;

	do {
		if (!arena_poll(a, &p, 1, &patience))
			return false;
		n = receive(a, msg);
	} while (n < 0 && errno == EAGAIN && p.revents && --left);
	if (n <= 0)
		return false;
	return (n == sizeof(*msg) && msg->type == TRI_MSG_REQUEST) || not_protocol(a);
}

/**
 * Receive one message, waiting for it.  Requests are noted here, and orders that come meanwhile.
 * False: the client is gone, or what it sent is not the protocol.
 */
bool arena_hear(struct arena *a, struct tri_msg *msg)
{
	struct pollfd p[ARENA_POLLS];
	ssize_t n;
	int err;

	do {
		arena_listen(a, p, POLLIN);
		if (!arena_poll(a, p, ARENA_POLLS, NULL))
			return false;
		arena_take_orders(a, p);
		n = receive(a, msg);
		err = errno;
		linked_begin(a);
	} while (n < 0 && (err == EINTR || err == EAGAIN));
	if (n == 0 || (n < 0 && err == ECONNRESET))
		return false;
	if (n != sizeof(*msg) || (msg->type != TRI_MSG_REQUEST && msg->type != TRI_MSG_ANSWER))
		return not_protocol(a);
	if (msg->type == TRI_MSG_REQUEST)
		arena_note(a, msg);
	return true;
}

/**
 * Whether a page of the arena was missing when somebody touched it.  What was seen of it since is
 * nothing to rely on.
 */
bool arena_lost(struct arena *a)
{
	if (!fault_happened(a->guard))
		return false;
	log_warning("%s: gave up: arena corrupt, or the client is ending: there is no page at offset "
		    "%#zx of its %s", a->name, fault_offset(a->guard) < a->view.layout.heap ?
		    fault_offset(a->guard) : fault_offset(a->guard) - a->view.layout.heap,
		    fault_offset(a->guard) < a->view.layout.heap ? "tables" : "heap");
	return true;
}

/** Ask for a handshake and wait for its answer.  False as arena_hear(). */
bool arena_handshake(struct arena *a, enum tri_handshake kind, struct tri_msg *answer)
{
	struct tri_msg ask = {
		.type = TRI_MSG_HANDSHAKE,
		.version = TRI_PROTO_ID,
		.kind = kind,
		.cycle = a->cycle + 1,
	};
	struct cycle_figures *f = &a->now;

	if (arena_lost(a) || !arena_send(a, &ask))
		return false;
	do {
		if (!arena_hear(a, answer))
			return false;
	} while (answer->type != TRI_MSG_ANSWER);
	if (answer->kind != kind || answer->cycle != ask.cycle) {
		log_line("%s: gave up: it answered handshake %u of cycle %u, asked was %u of %u",
			 a->name, answer->kind, answer->cycle, kind, ask.cycle);
		return false;
	}
	if (answer->answer.interrupted_max_ns > f->interrupted_max_ns)
		f->interrupted_max_ns = answer->answer.interrupted_max_ns;
	f->interrupted_total_ns += answer->answer.interrupted_total_ns;
	f->interruptions += answer->answer.interruptions;
	a->threads = answer->answer.threads;
	limit_interrupted(a, answer->answer.interrupted_total_ns, answer->answer.interruptions);
	/* It lost a pointer for want of a buffer: this cycle must free nothing. */
	return !answer->answer.incomplete;
}
