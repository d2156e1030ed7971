// SPDX-License-Identifier: GPL-2.0-only
/*
 * control.c - answering tricolor(1): see control_proto.h
 *
 *  1. The kernel says who the peer is (SO_PEERCRED); what it sends says only what it wants.
 *  2. It is answered in a thread of its own, with less priority than those that collect.  All that
 *     this thread shares with an arena's is the registry, where nobody waits for it.
 *  3. Figures are copied first and sent then, without a reference to any arena.
 */
#include "control.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "config.h"
#include "control_proto.h"
#include "log.h"
#include "registry.h"
#include "tricolor.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define VERSION \
	STRING(TRI_VERSION_MAJOR) "." STRING(TRI_VERSION_MINOR) "." STRING(TRI_VERSION_PATCH)

#define NICE 10
/* How long to wait for figures of now: those of an arena that is busy may be a cycle old. */
#define FRESH_NS 100000000ull
/* For settings: an arena's thread takes them whenever it waits, and while it marks. */
#define SET_NS (CONTROL_SILENCE_S * 1000000000ull)

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
		.flags = config_is_private() ? CONTROL_IS_PRIVATE : 0,
		.pid = getpid(),
		.release = VERSION,
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

/* A user that our namespace has no number for: no two of them are known to be the same. */
static bool is_nobody(uid_t uid)
{
	static _Atomic(int64_t) overflow = -1;
	int64_t known = atomic_load(&overflow);
	FILE *f;
	unsigned int n = 65534;

	if (known < 0) {
		f = fopen("/proc/sys/kernel/overflowuid", "re");
		if (f && fscanf(f, "%u", &n) != 1)
			n = 65534;
		if (f)
			fclose(f);
		atomic_store(&overflow, known = n);
	}
	return uid == (uid_t)known;
}

static bool may(const struct peer *p, const struct registry_arena *r)
{
	return p->cred.uid == 0 || (!is_nobody(p->cred.uid) &&
				    (p->cred.uid == geteuid() || p->cred.uid == r->uid));
}

static uint64_t age(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static void describe(struct registry_arena *r, struct control_arena *out)
{
	uint64_t now = clock_ns();
	struct registry_figures f;

	registry_read(r, &f);
	*out = (struct control_arena){
		.id = r->id,
		.pid = r->pid,
		.uid = r->uid,
		.gid = r->gid,
		.attached_s = r->attached_s,
		.attached_age_ns = age(now, r->attached_ns),
		.published_age_ns = age(now, f.published_ns ? f.published_ns : r->attached_ns),
		.arena_bytes = r->arena_bytes,
		.phase = atomic_load_explicit(&r->phase, memory_order_relaxed),
		.threads = (uint32_t)f.threads,
		.gc_percent = f.gc_percent,
		.limit_bytes = f.limit_bytes,
		.allocated_bytes = f.allocated_bytes,
		.live_bytes = f.live_bytes,
		.now_bytes = f.now_bytes,
		.goal_bytes = f.goal_bytes,
		.trigger_bytes = f.trigger_bytes,
		.heap_bytes = f.heap_bytes,
		.peak_heap_bytes = f.peak_heap_bytes,
		.free_bytes = f.free_bytes,
		.released_bytes = f.released_bytes,
		.cycles = f.cycles,
		.forced_cycles = f.forced_cycles,
		.mark_cpu_ns = f.mark_cpu_ns,
		.assist_ns = f.assist_ns,
		.interrupted_max_ns = f.interrupted_max_ns,
		.interrupted_total_ns = f.interrupted_total_ns,
		.interruptions = f.interruptions,
		.cycle_age_ns = f.cycle_end_ns ? age(now, f.cycle_end_ns) : UINT64_MAX,
		.cycle_wall_ns = f.cycle_wall_ns,
		.cycle_cpu_ns = f.cycle_cpu_ns,
		.cycle_scan_bytes = f.cycle_scan_bytes,
		.cycle_objects = f.cycle_objects,
		.cycle_root_bytes = f.cycle_root_bytes,
		.pressure = (uint32_t)f.pressure,
		.limit_policy = (uint32_t)f.limit_policy,
		.limit_events = f.limit_events,
		.limited_gc_ns = f.limited_gc_ns,
		.limited_program_ns = f.limited_program_ns,
	};
	memcpy(out->comm, r->comm, sizeof(out->comm));
	registry_cgroup(r, out->cgroup, sizeof(out->cgroup));
}

/* All arenas are asked before any is waited for. */
static void freshen(struct registry_arena **list, size_t n, uint32_t *numbers)
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
	freshen(r, n, numbers);
	for (i = 0; i < n; i++) {
		describe(r[i], &arenas[i]);
		registry_put(r[i]);
	}
	ok = send_arenas(p, arenas, n, hidden);
cleanup:
	free(numbers);
	free(arenas);
	free(r);
	return ok;
}

/* The arena that a request is about, with a reference. */
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
	/* The newest: a predecessor of the same process may not have left yet. */
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

	freshen(&r, 1, &number);
	describe(r, &arena);
	return send_arenas(p, &arena, 1, 0);
}

/* Give an order, and answer with the figures after it was met. */
static bool order(const struct peer *p, struct registry_arena *r, enum registry_order kind,
		  int64_t value, uint64_t patience_ns)
{
	uint32_t number = registry_order(r, kind, value);

	switch (registry_wait(r, kind, number, clock_ns() + patience_ns)) {
	case 0:
		log_debug("control: user %u: order %d of %lld to client %d", p->cred.uid, kind,
			  (long long)value, r->pid);
		return stat_one(p, r);
	case -ESRCH:
		return refuse(p, ESRCH, "process %d ended, or its arena changed collectors, before "
			      "that was done", r->pid);
	}
	return refuse(p, ETIMEDOUT,
		      "process %d has not answered the collector for %llu seconds: is it "
		      "stopped? What was ordered will be done when it goes on",
		      r->pid, (unsigned long long)(patience_ns / 1000000000));
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
	}
	registry_put(r);
	return ok;
}

/* One request.  False: there is nothing more to say to this peer. */
static bool answer(const struct peer *p)
{
	struct control_request q = { 0 };
	/* TRUNC: the length that was sent, which may be that of a newer peer's larger struct. */
	ssize_t n = recv(p->sock, &q, sizeof(q), MSG_TRUNC);

	if (n <= 0)
		return false;
	if (n < 16 || q.type != CONTROL_TYPE) {
		refuse(p, EPROTO, "that was no request; is something else than tricolor talking to "
		       "this socket?");
		return false;
	}
	if (q.version != CONTROL_VERSION) {
		refuse(p, EPROTONOSUPPORT, "that was a request of version %u, tricolord " VERSION
		       " speaks version %u; install the same version of both", q.version,
		       CONTROL_VERSION);
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
	case CONTROL_STAT:
	case CONTROL_SET_GC_PERCENT:
	case CONTROL_SET_MEMORY_LIMIT:
	case CONTROL_GC:
	case CONTROL_FREE:
		return about_one(p, &q);
	}
	return refuse(p, EOPNOTSUPP, "tricolord " VERSION " has no request %u; is tricolor newer?",
		      q.op);
}

void control_serve(int sock)
{
	struct timeval patience = { CONTROL_SILENCE_S, 0 };
	struct peer p = { .sock = sock };
	socklen_t len = sizeof(p.cred);

	/* Threads have their own, on Linux.  It may fail: then the priority is the same. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &p.cred, &len) ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		return;
	while (answer(&p))
		;
}
