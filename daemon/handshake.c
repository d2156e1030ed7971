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

#include "arena.h"
#include "fault.h"
#include "log.h"
#include "registry.h"

bool arena_send(struct arena *a, const struct tri_msg *msg)
{
	return send(a->sock, msg, sizeof(*msg), MSG_NOSIGNAL) == sizeof(*msg);
}

static void note_request(struct arena *a, const struct tri_msg *msg)
{
	if (msg->a & TRI_REQUEST_TRIGGER)
		a->triggered = true;
	if (msg->a & TRI_REQUEST_GC)
		a->gc_wanted = (uint32_t)msg->b;
	if (msg->a & TRI_REQUEST_FREE)
		a->free_wanted = (uint32_t)(msg->b >> 32);
	if (msg->a & TRI_REQUEST_SETTINGS) {
		a->gc_percent_default &= (msg->kind & TRI_HELLO_DEFAULT_GC_PERCENT) != 0;
		a->limit_default &= (msg->kind & TRI_HELLO_DEFAULT_MEMORY_LIMIT) != 0;
		a->policy_default &= (msg->kind & TRI_HELLO_DEFAULT_LIMIT_POLICY) != 0;
		cycle_settings(a);
		arena_publish(a);
	}
}

/**
 * Receive one message, waiting for it.  Requests are noted here, and orders that come meanwhile.
 * False: the client is gone, or what it sent is not the protocol.
 */
bool arena_hear(struct arena *a, struct tri_msg *msg)
{
	struct pollfd p[] = {
		{ .fd = a->sock, .events = POLLIN },
		{ .fd = a->registry->order_fd, .events = POLLIN },
	};
	ssize_t n;

	do {
		if (poll(p, 2, -1) > 0 && p[1].revents)
			arena_orders(a);
		n = recv(a->sock, msg, sizeof(*msg), MSG_DONTWAIT);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return false;
	if (n != sizeof(*msg) ||
	    (msg->type != TRI_MSG_REQUEST && msg->type != TRI_MSG_ANSWER)) {
		log_line("client %d: gave up: its message is not the protocol of version %u", a->pid,
			 TRI_PROTO_VERSION);
		return false;
	}
	if (msg->type == TRI_MSG_REQUEST)
		note_request(a, msg);
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
	log_warning("client %d: gave up: arena corrupt, or the client is ending: there is no page at offset "
		    "%#zx of its %s", a->pid, fault_offset(a->guard) < a->view.layout.heap ?
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
		log_line("client %d: gave up: it answered handshake %u of cycle %u, asked was %u of %u",
			 a->pid, answer->kind, answer->cycle, kind, ask.cycle);
		return false;
	}
	if (answer->interrupted_max_ns > f->interrupted_max_ns)
		f->interrupted_max_ns = answer->interrupted_max_ns;
	f->interrupted_total_ns += answer->interrupted_total_ns;
	f->interruptions += answer->interruptions;
	a->threads = answer->threads;
	limit_interrupted(a, answer->interrupted_total_ns, answer->interruptions);
	/* It lost a pointer for want of a buffer: this cycle must free nothing. */
	return !answer->a;
}
