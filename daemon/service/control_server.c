// SPDX-License-Identifier: GPL-2.0-only
/*
 * control_server.c - answering tricolor(1): see core/proto/control.h
 *
 *  1. The kernel says who the peer is (SO_PEERCRED).  The peer's message only says what it wants.
 *  2. Each peer is answered in a thread of its own, with a lower priority than those that collect.
 *     It shares only the registry with arenas' threads, and no thread waits for it there.
 *  3. Figures are copied first and sent then, so that no reference to an arena is kept meanwhile.
 */
#include "control_server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "daemon/process/config.h"
#include "core/proto/control.h"
#include "core/proto/version.h"
#include "daemon/heap/linked.h"
#include "ended_clients.h"
#include "describe.h"
#include "daemon/process/log.h"
#include "daemon/clients/registry.h"
#include "tricolor.h"
#include "daemon/clients/users.h"

#define NICE 10
/* How long to wait for new figures.  Without them those of a busy arena may be a cycle old. */
#define FRESH_NS 100000000ull
/* How long to wait for a setting, which an arena's thread takes when it waits or marks. */
#define SET_NS (CONTROL_SILENCE_S * 1000000000ull)

/* How long to wait for the end of a client whose process has ended. */
#define ENDED_NS 8000000000ull

struct peer {
	int sock;
	struct ucred cred;
};

static bool send_packet(const struct peer *p, const void *data, size_t size)
{
	return send(p->sock, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static struct control_reply new_reply(void)
{
	return (struct control_reply){
		.type = CONTROL_TYPE,
		.version = CONTROL_VERSION,
		.size = sizeof(struct control_reply),
		.arena_size = sizeof(struct control_arena),
		.flags = (config_is_private() ? CONTROL_IS_PRIVATE : 0u) |
			 (linked_is() ? CONTROL_IS_LINKED : 0u),
		.pid = getpid(),
		.release = TRI_VERSION,
	};
}

static bool refuse(const struct peer *p, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool refuse(const struct peer *p, int err, const char *fmt, ...)
{
	struct control_reply reply = new_reply();
	va_list args;

	reply.error = (uint32_t)err;
	va_start(args, fmt);
	vsnprintf(reply.text, sizeof(reply.text), fmt, args);
	va_end(args);
	log_debug("control: user %u (process %d): %s", p->cred.uid, p->cred.pid, reply.text);
	return send_packet(p, &reply, sizeof(reply));
}

static bool may_see(const struct peer *p, uid_t uid)
{
	return p->cred.uid == 0 || (!users_is_nobody(p->cred.uid) &&
				    (p->cred.uid == geteuid() || p->cred.uid == uid));
}

static bool may(const struct peer *p, const struct registry_arena *r)
{
	return may_see(p, r->uid);
}

/* Have arenas publish new figures.  All are asked before any is waited for. */
static void refresh(struct registry_arena **list, size_t n, uint32_t *numbers)
{
	uint64_t until = clock_ns() + FRESH_NS;
	size_t i;

	for (i = 0; i < n; i++)
		numbers[i] = registry_order(list[i], ORDER_PUBLISH, 0);
	for (i = 0; i < n; i++)
		registry_wait(list[i], ORDER_PUBLISH, numbers[i], until);
}

static bool send_arenas(const struct peer *p, const struct control_arena *arenas, size_t n,
			size_t hidden)
{
	struct control_reply reply = new_reply();
	bool ok;
	size_t i;

	reply.arenas = (uint32_t)n;
	reply.hidden = (uint32_t)hidden;
	ok = send_packet(p, &reply, sizeof(reply));
	for (i = 0; ok && i < n; i++)
		ok = send_packet(p, &arenas[i], sizeof(arenas[i]));
	return ok;
}

static bool list(const struct peer *p)
{
	size_t room = registry_count() + 64, all, n = 0, i, hidden = 0;
	struct registry_arena **r = calloc(room, sizeof(*r));
	struct control_arena *arenas = calloc(room, sizeof(*arenas));
	uint32_t *numbers = calloc(room, sizeof(*numbers));
	bool ok;

	if (!r || !arenas || !numbers) {
		ok = refuse(p, ENOMEM, "no memory for a list of %zu arenas", room);
		goto cleanup;
	}
	all = registry_all(r, room);
	if (all > room)
		all = room;
	for (i = 0; i < all; i++) {
		if (may(p, r[i])) {
			r[n++] = r[i];
		} else {
			registry_put(r[i]);
			hidden++;
		}
	}
	refresh(r, n, numbers);
	for (i = 0; i < n; i++) {
		describe_arena(r[i], &arenas[i]);
		registry_put(r[i]);
	}
	ok = send_arenas(p, arenas, n, hidden);
cleanup:
	free(numbers);
	free(arenas);
	free(r);
	return ok;
}

/* The arena that a request is about, with a reference; NULL: there is none. */
static struct registry_arena *find(const struct control_request *q)
{
	struct registry_arena **r, *found = NULL;
	size_t room, n, i;

	if (q->id)
		return registry_get(q->id);
	if (q->pid <= 0)
		return NULL;
	room = registry_count() + 64;
	r = calloc(room, sizeof(*r));
	if (!r)
		return NULL;
	n = registry_all(r, room);
	if (n > room)
		n = room;
	/* The newest one counts, as an earlier arena of the process may not have left yet. */
	for (i = n; i--;) {
		if (!found && r[i]->pid == q->pid)
			found = r[i];
		else
			registry_put(r[i]);
	}
	free(r);
	return found;
}

static bool stat_one(const struct peer *p, struct registry_arena *r)
{
	struct control_arena arena;
	uint32_t number;

	refresh(&r, 1, &number);
	describe_arena(r, &arena);
	return send_arenas(p, &arena, 1, 0);
}

/* Give an order, and when it is met answer with the figures. */
static bool order(const struct peer *p, struct registry_arena *r, enum board_order kind,
		  int64_t value, uint64_t patience_ns)
{
	char name[REGISTRY_NAME];
	uint32_t number = registry_order(r, kind, value);

	switch (registry_wait(r, kind, number, clock_ns() + patience_ns)) {
	case 0:
		log_debug("control: user %u: order %d of %lld to %s", p->cred.uid, kind,
			  (long long)value, registry_name(r, name));
		return stat_one(p, r);
	case -ESRCH:
		return refuse(p, ESRCH,
			      "%s ended, or its arena changed collectors, before that was done",
			      registry_name(r, name));
	}
	return refuse(p, ETIMEDOUT,
		      "%s has not answered the collector for %llu seconds: is it "
		      "stopped? What was ordered will be done when it goes on",
		      registry_name(r, name), (unsigned long long)(patience_ns / 1000000000));
}

static uint64_t has_bytes(struct registry_arena *r)
{
	struct board_figures f;

	registry_read(r, &f);
	return f.heap_bytes + f.free_bytes;
}

/*
 * Set the limit, and then order a cycle and a release of all that is free.  Memory that was
 * allocated while that cycle marked counts as live until the next one, so a second cycle is ordered
 * if the first one was not enough.
 */
static bool make_room(const struct peer *p, struct registry_arena *r, int64_t value)
{
	uint64_t until = clock_ns() + CONTROL_CYCLE_S * 1000000000ull;
	uint32_t number = registry_order(r, ORDER_MEMORY_LIMIT, value);
	int err = registry_wait(r, ORDER_MEMORY_LIMIT, number, clock_ns() + SET_NS), cycles;
	char name[REGISTRY_NAME];

	for (cycles = 0; !err && cycles < 2 && (!cycles || has_bytes(r) > (uint64_t)value);
	     cycles++) {
		number = registry_order(r, ORDER_FREE, 0);
		err = registry_wait(r, ORDER_FREE, number, until);
	}
	if (!err)
		return stat_one(p, r);
	if (err == -ESRCH)
		return refuse(p, ESRCH,
			      "%s ended, or its arena changed collectors, before there was room",
			      registry_name(r, name));
	return refuse(
		p, ETIMEDOUT,
		"%s has not answered the collector in time: is it stopped? It has %.1f MiB, and "
		"the limit will hold when it goes on",
		registry_name(r, name), (double)has_bytes(r) / (1 << 20));
}

/*
 * Wait until clients whose process has ended (@pid, or any) have left the registry.  The peer may
 * know of the end before their threads here do.
 */
static void wait_for_leavers(const struct peer *p, int64_t pid)
{
	uint64_t until = clock_ns() + ENDED_NS;
	size_t room = registry_count() + 64, n, i;
	struct registry_arena **r = calloc(room, sizeof(*r));

	n = r ? registry_all(r, room) : 0;
	for (i = 0; i < n && i < room; i++) {
		if (may(p, r[i]) && (pid ? r[i]->pid == pid : r[i]->pid > 0) &&
		    kill(r[i]->pid, 0) && errno == ESRCH)
			registry_wait_gone(r[i], until);
		registry_put(r[i]);
	}
	free(r);
}

static bool ended(const struct peer *p, const struct control_request *q)
{
	struct control_arena all[CONTROL_ENDED_MAX];
	size_t n, i, kept = 0;

	wait_for_leavers(p, q->pid);
	n = ended_clients_all(all);
	for (i = 0; i < n; i++)
		if (may_see(p, all[i].uid) && (!q->pid || all[i].pid == q->pid))
			all[kept++] = all[i];
	return send_arenas(p, all, kept, 0);
}

static bool about_one(const struct peer *p, const struct control_request *q)
{
	const uint64_t cycle_ns = CONTROL_CYCLE_S * 1000000000ull;
	struct registry_arena *r = find(q);
	bool ok = false;

	if (!r) {
		if (q->id)
			return refuse(p, ESRCH, "this collector has no arena %llu (any more)",
				      (unsigned long long)q->id);
		return refuse(p, ESRCH, "this collector serves no process %lld (any more)",
			      (long long)q->pid);
	}
	if (!may(p, r)) {
		ok = refuse(p, EPERM,
			    "the arena belongs to user %u: only that user, root and the user "
			    "of the collector (%u) may see or change it, and you are user %u",
			    r->uid, geteuid(), p->cred.uid);
		registry_put(r);
		return ok;
	}
	switch (q->op) {
	case CONTROL_STAT:
		ok = stat_one(p, r);
		break;
	case CONTROL_SET_GC_PERCENT:
		if (q->value < -1 || q->value > CONFIG_GC_PERCENT_MAX)
			ok = refuse(p, EINVAL, "gc-percent is a percentage from 0 to %d, or off",
				    CONFIG_GC_PERCENT_MAX);
		else
			ok = order(p, r, ORDER_GC_PERCENT, q->value, SET_NS);
		break;
	case CONTROL_SET_MEMORY_LIMIT:
		if (q->value < 0)
			ok = refuse(p, EINVAL, "memory-limit is a size of 0 or more, or off");
		else
			ok = order(p, r, ORDER_MEMORY_LIMIT, q->value, SET_NS);
		break;
	case CONTROL_GC:
		ok = order(p, r, ORDER_GC, 0, cycle_ns);
		break;
	case CONTROL_FREE:
		ok = order(p, r, ORDER_FREE, 0, cycle_ns);
		break;
	case CONTROL_MAKE_ROOM:
		if (q->value <= 0 || q->value == INT64_MAX)
			ok = refuse(p, EINVAL, "room is made down to a size above 0");
		else
			ok = make_room(p, r, q->value);
		break;
	}
	registry_put(r);
	return ok;
}

/* Answer one request.  False: the connection is to be closed. */
static bool answer(const struct peer *p)
{
	struct control_request q = { 0 };
	/*
	 * MSG_TRUNC has it return the length that was sent, which a newer peer's struct may have.
	 */
	ssize_t n = recv(p->sock, &q, sizeof(q), MSG_TRUNC);

	if (n <= 0)
		return false;
	if (n < 16 || q.type != CONTROL_TYPE) {
		refuse(p, EPROTO, "that was no request; is something else than tricolor talking to "
		       "this socket?");
		return false;
	}
	if (q.version != CONTROL_VERSION) {
		refuse(p, EPROTONOSUPPORT,
		       "that was a request of version %u, tricolord " TRI_VERSION
		       " speaks version %u; install the same version of both",
		       q.version, CONTROL_VERSION);
		return false;
	}
	if (q.size != (uint64_t)n || q.size < sizeof(q) || q.reserved) {
		refuse(p, EINVAL,
		       "a request of %zd bytes that says it has %u, or with something in "
		       "what is reserved",
		       n, q.size);
		return false;
	}
	switch (q.op) {
	case CONTROL_LIST:
		return list(p);
	case CONTROL_ENDED:
		return ended(p, &q);
	case CONTROL_STAT:
	case CONTROL_SET_GC_PERCENT:
	case CONTROL_SET_MEMORY_LIMIT:
	case CONTROL_GC:
	case CONTROL_FREE:
	case CONTROL_MAKE_ROOM:
		return about_one(p, &q);
	}
	return refuse(p, EOPNOTSUPP,
		      "tricolord " TRI_VERSION " has no request %u; is tricolor newer?", q.op);
}

void control_serve(int sock)
{
	struct timeval patience = { CONTROL_SILENCE_S, 0 };
	struct peer p = { .sock = sock };
	socklen_t len = sizeof(p.cred);

	/* On Linux each thread has its own priority.  If this fails, it stays the same. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &p.cred, &len) ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		return;
	while (answer(&p))
		;
}
