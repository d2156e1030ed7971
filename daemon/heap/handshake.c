// SPDX-License-Identifier: GPL-2.0-only
/* handshake.c - the collector's half of the conversation with an agent: see handshake.h */
#include "handshake.h"

#include <errno.h>
#include <poll.h>

#include "arena.h"
#include "channel.h"
#include "daemon/process/log.h"
#include "limit_cpu.h"
#include "orders.h"
#include "pacing.h"
#include "publish.h"

/* An agent sends its first request when it receives our WELCOME, and few POLICY messages before. */
#define FIRST_S 10
#define FIRST_MESSAGES 8

void handshake_note(struct arena *a, const struct tri_msg *msg)
{
	if (msg->request.wants & TRI_REQUEST_TRIGGER)
		a->requests.triggered = true;
	if (msg->request.wants & TRI_REQUEST_GC)
		a->requests.gc_wanted = msg->request.gc_number;
	if (msg->request.wants & TRI_REQUEST_FREE)
		a->requests.free_wanted = msg->request.free_number;
	if (msg->request.wants & TRI_REQUEST_SETTINGS) {
		a->settings.gc_percent_default &= (msg->kind & TRI_HELLO_DEFAULT_GC_PERCENT) != 0;
		a->settings.limit_default &= (msg->kind & TRI_HELLO_DEFAULT_MEMORY_LIMIT) != 0;
		a->settings.policy_default &= (msg->kind & TRI_HELLO_DEFAULT_LIMIT_POLICY) != 0;
		pacing_update(a);
		publish_figures(a);
	}
}

static bool not_protocol(struct arena *a)
{
	log_line("%s: gave up: its message is not the protocol of version %u", a->client.name,
		 TRI_PROTO_VERSION);
	return false;
}

bool handshake_receive_first(struct arena *a, struct tri_msg *msg)
{
	struct pollfd p = { .fd = a->client.sock, .events = POLLIN };
	const struct timespec patience = { FIRST_S, 0 };
	unsigned int left = FIRST_MESSAGES;
	ssize_t n;

	do {
		if (!channel_poll(a, &p, 1, &patience))
			return false;
		n = channel_receive(a, msg);
	} while (n < 0 && errno == EAGAIN && p.revents && --left);
	if (n <= 0)
		return false;
	return (n == sizeof(*msg) && msg->type == TRI_MSG_REQUEST) || not_protocol(a);
}

bool handshake_receive(struct arena *a, struct tri_msg *msg)
{
	struct pollfd p[ARENA_POLLS];
	ssize_t n;
	int err;

	do {
		channel_listen(a, p, POLLIN);
		if (!channel_poll(a, p, ARENA_POLLS, NULL))
			return false;
		orders_take_polled(a, p);
		n = channel_receive(a, msg);
		err = errno;
		orders_begin_link(a);
	} while (n < 0 && (err == EINTR || err == EAGAIN));
	if (n == 0 || (n < 0 && err == ECONNRESET))
		return false;
	if (n != sizeof(*msg) || (msg->type != TRI_MSG_REQUEST && msg->type != TRI_MSG_ANSWER))
		return not_protocol(a);
	if (msg->type == TRI_MSG_REQUEST)
		handshake_note(a, msg);
	return true;
}

bool handshake(struct arena *a, enum tri_handshake kind, struct tri_msg *answer)
{
	struct tri_msg ask = {
		.type = TRI_MSG_HANDSHAKE,
		.version = TRI_PROTO_ID,
		.kind = kind,
		.cycle = a->cycle + 1,
	};
	struct cycle_figures *f = &a->now;

	if (arena_has_fault(a) || !channel_send(a, &ask))
		return false;
	do {
		if (!handshake_receive(a, answer))
			return false;
	} while (answer->type != TRI_MSG_ANSWER);
	if (answer->kind != kind || answer->cycle != ask.cycle) {
		log_line("%s: gave up: it answered handshake %u of cycle %u, asked was %u of %u",
			 a->client.name, answer->kind, answer->cycle, kind, ask.cycle);
		return false;
	}
	if (answer->answer.interrupted_max_ns > f->interrupted_max_ns)
		f->interrupted_max_ns = answer->answer.interrupted_max_ns;
	f->interrupted_total_ns += answer->answer.interrupted_total_ns;
	f->interruptions += answer->answer.interruptions;
	a->client.threads = answer->answer.threads;
	limit_cpu_interrupted(a, answer->answer.interrupted_total_ns, answer->answer.interruptions);
	/* If a pointer was lost for want of a buffer, this cycle must free nothing. */
	return !answer->answer.incomplete;
}
