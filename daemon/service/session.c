// SPDX-License-Identifier: GPL-2.0-only
/*
 * session.c - serving a client, from its HELLO until it is gone
 *
 *  1. HELLO brings the file of the arena, which is checked and mapped (daemon/heap/arena.c).
 *     Nothing is written there before the client's first request: see handshake_receive_first().
 *  2. The arena's thread then waits for requests, orders, the scavenger's next step, or the
 *     two-minute rule, and runs the cycles.
 *  3. An end of file is the end of the client or of its connection.  Then the arena is unmapped,
 *     and its descriptors are closed.
 *
 * A client that starts a marker of its own is served by link_server.c instead, from HELLO on.
 */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/proto/passing.h"
#include "core/proto/version.h"
#include "core/system/cgroup.h"
#include "core/system/clock.h"
#include "core/system/slice.h"
#include "daemon/clients/claim.h"
#include "daemon/clients/election.h"
#include "daemon/clients/peer.h"
#include "daemon/clients/registry.h"
#include "daemon/clients/users.h"
#include "daemon/heap/arena.h"
#include "daemon/heap/channel.h"
#include "daemon/heap/cycle.h"
#include "daemon/heap/handshake.h"
#include "daemon/heap/limit.h"
#include "daemon/heap/linked.h"
#include "daemon/heap/relocation.h"
#include "daemon/heap/orders.h"
#include "daemon/heap/pacing.h"
#include "daemon/heap/scavenge.h"
#include "daemon/heap/settings.h"
#include "daemon/heap/sweep.h"
#include "daemon/heap/trace.h"
#include "daemon/process/config.h"
#include "ended_clients.h"
#include "link_server.h"
#include "postmortem.h"
#include "postmortem_file.h"
#include "tricolor.h"

/* Receive the first message, and with it descriptors, of which that of the arena must be one. */
static bool receive_hello(struct arena *a, struct tri_msg *hello)
{
	int got[TRI_HELLO_FDS];
	size_t ngot;
	ssize_t n;

	do
		n = tri_receive(a->client.sock, hello, 0, got, TRI_HELLO_FDS, &ngot);
	while (n < 0 && errno == EINTR);
	if (ngot > TRI_HELLO_FDS)
		ngot = TRI_HELLO_FDS;
	/* A message that is no HELLO does not say what its descriptors are. */
	if (n != sizeof(*hello))
		memset(&hello->client, 0, sizeof(hello->client));
	if (n == sizeof(*hello) && config_is_private() && config_elects() &&
	    !a->client.is_peer_marker)
		election_hello(hello, a->client.pid, got, ngot);
	a->client.claim = claim_new(&hello->client, got, ngot, &a->fd);
	if (n == 0)
		return false;
	hello->client.release[sizeof(hello->client.release) - 1] = 0;
	if (n != sizeof(*hello) || hello->type != TRI_MSG_HELLO || a->fd < 0)
		return channel_refuse(a, EPROTO,
				      "that was no HELLO with an arena; is something else than "
				      "libtricolor talking to this socket?");
	if (hello->version != TRI_PROTO_ID)
		return channel_refuse(
			a, EPROTONOSUPPORT,
			"libtricolor %s speaks protocol %u with layout %u, tricolord " TRI_VERSION
			" speaks %u with %u; install the same version of both",
			hello->client.release, hello->version >> 16, hello->version & 0xffff,
			TRI_PROTO_VERSION, TRI_LAYOUT_VERSION);
	return true;
}

/* The user of a private collector does not see its log, so a mistake is told by the client. */
static void check_on_kill(struct arena *a)
{
	char why[160];

	if (config_is_private() && config_on_kill()[0] && postmortem_check(config_on_kill(), why))
		trace_line(
			a,
			"tricolor: TRICOLOR_ON_KILL=%s: %s; until then no post-mortem is written",
			config_on_kill(), why);
}

/*
 * The client could not send the files of its groups, and we do not find them, so nobody keeps its
 * container's limit.  It is told so once, on its standard error, unless a limit was chosen.
 */
static void report_unseen_limit(struct arena *a)
{
	const struct claim *c = a->registry->claim;
	struct tri_cgroup cg;

	if (!c || !c->why[0] || config_total_limit_bytes() > 0 ||
	    tri_read(&a->view.ctl->memory_limit_bytes) != TRI_LIMIT_AUTO ||
	    ((tri_cgroup_find("", a->client.pid, "memory", &cg) || cg.none) &&
	     peer_lives(a->client.end_watch.pidfd)))
		return;
	trace_line(
		a,
		"tricolor %d: its memory limit can't be seen, so none is kept: %s. If there is "
		"one, set TRICOLOR_MEMORY_LIMIT, or total-memory-limit in tricolord.conf",
		a->client.shown_pid, c->why);
}

static bool attach(struct arena *a)
{
	struct tri_msg hello, first, welcome = channel_welcome();
	struct pacer_config config = { .gc_percent = 100, .memory_limit_bytes = PACER_NO_LIMIT,
				       .procs = 1, .heap_minimum_bytes = PACER_HEAP_MINIMUM_BYTES };
	struct tri_layout layout;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	uint64_t heap_va = 0;
	uint32_t debug;
	bool policy;

	if (getsockopt(a->client.sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	a->client.pid = a->client.shown_pid = cred.pid;
	snprintf(a->client.name, sizeof(a->client.name), "client %d", a->client.pid);
	if (!receive_hello(a, &hello) || !arena_check_file(a, &layout, &heap_va))
		return false;
	if (a->client.is_peer_marker && !(hello.hello.flags & TRI_HELLO_STARTS_MARKER))
		return channel_refuse(
			a, EINVAL,
			"this is another client's collector, which marks no heap but that");
	/*
	 * It speaks for its client.  If it has the same number here as in its own namespace, the
	 * number that it gives for its client is right here as well.
	 */
	if (a->client.is_peer_marker && cred.pid && hello.hello.marker_pid == (uint64_t)cred.pid)
		a->client.pid = hello.client.pid;
	policy = a->client.is_peer_marker || (hello.hello.flags & TRI_HELLO_STARTS_MARKER &&
					      config_marker_own() && !config_is_private());
	/* An arena that is not mapped takes no address space, but counts as a client. */
	if (!users_client_enter(cred.uid, policy ? 1 : layout.file_bytes))
		return channel_refuse(
			a, EDQUOT,
			"user %u has as many clients, or bytes of arenas, as one user may have "
			"of this collector",
			cred.uid);
	a->client.uid = cred.uid;
	a->client.hello_number = postmortem_hello(cred.uid);
	client_end_watch(&a->client.end_watch, a->client.sock, a->client.pid, a->client.claim);
	a->client.charged_bytes = policy ? 1 : layout.file_bytes;
	if (policy) {
		link_serve(a, cred.gid, ((uint64_t)layout.heap_pages) << TRI_PAGE_SHIFT);
		return false;
	}
	if (pread(a->fd, &debug, sizeof(debug), offsetof(struct tri_ctl, debug)) == sizeof(debug)) {
		a->debug.checkmark = debug & TRI_DEBUG_CHECKMARK;
		a->debug.clobberfree = debug & TRI_DEBUG_CLOBBERFREE;
	}
	if (!arena_map(a, &layout, heap_va))
		return false;
	if (marker_init(&a->marker, &a->view, a->fd))
		return channel_refuse(a, ENOMEM, "no memory to mark another heap");
	relocation_init(&a->relocation, cred.pid, hello.client.tid);
	a->trace.gc = hello.hello.flags & TRI_HELLO_TRACE_GC;
	settings_init(a, hello.hello.flags);
	a->trace.pacer = hello.hello.flags & TRI_HELLO_TRACE_PACER;
	a->trace.scav = hello.hello.flags & TRI_HELLO_TRACE_SCAV;
	a->trace.limit = hello.hello.flags & TRI_HELLO_TRACE_LIMIT;
	a->cycle = hello.cycle;
	a->fresh = true;
	a->pacing.heap_minimum_bytes = PACER_HEAP_MINIMUM_BYTES;
	a->client.attached_ns = clock_ns();
	a->requests.gc_done = a->requests.gc_wanted = tri_read(&a->view.ctl->gc_done);
	a->requests.free_done = a->requests.free_wanted = tri_read(&a->view.ctl->free_done);
	/*
	 * After an earlier collector's death it is not known what lives, but no more than is in
	 * use.
	 */
	a->live.bytes = arena_used_bytes(a);
	a->live.at_bytes = tri_read(&a->view.ctl->allocated_bytes);
	a->registry = registry_enter(cred.pid, a->client.end_watch.pidfd, cred.uid, cred.gid,
				     a->view.heap_pages << TRI_PAGE_SHIFT, a->client.claim);
	a->client.claim = NULL;
	if (!a->registry)
		return channel_refuse(a, errno, "no memory or descriptor for another arena: %s",
			      strerror(errno));
	registry_name(a->registry, a->client.name);
	if (a->client.pid <= 0 && a->registry->claim)
		a->client.shown_pid = a->registry->claim->pid;
	a->orders[FROM_REGISTRY].board = a->registry->board;
	registry_set_file(a->registry, a->fd);
	if (!channel_send(a, &welcome) || !handshake_receive_first(a, &first))
		return false;
	check_on_kill(a);
	report_unseen_limit(a);
	pacer_init(&a->pacer, &config);
	limit_init(a);
	settings_apply_defaults(a);
	handshake_note(a, &first);
	orders_begin_link(a);
	/* Spans that an earlier collector left unswept must be swept before a cycle. */
	sweep_all(a);
	return true;
}

/* The time until something is due by the clock.  False: nothing is. */
static bool next_timeout(const struct arena *a, struct timespec *left)
{
	uint64_t now = clock_ns(), due = pacing_next_ns(a);

	if (a->scavenger.step_ns && (!due || a->scavenger.step_ns < due))
		due = a->scavenger.step_ns;
	now = due > now ? due - now : 0;
	*left = (struct timespec){ (time_t)(now / 1000000000), (long)(now % 1000000000) };
	return due != 0;
}

static void serve(struct arena *a)
{
	struct pollfd p[ARENA_POLLS + 1], *device = &p[ARENA_POLLS];
	struct timespec left;
	struct tri_msg msg;

	while (!a->stop && !arena_has_fault(a)) {
		bool asked = a->requests.gc_wanted != a->requests.gc_done ||
			     a->requests.free_wanted != a->requests.free_done ||
			     orders_want_cycle(a);
		bool periodic = pacing_periodic_due(a);

		if (!relocation_follow(a))
			return;
		if (asked || periodic || pacing_cycle_due(a)) {
			if (!cycle_run(a, asked || periodic))
				return;
			continue;
		}
		if (a->scavenger.step_ns && a->scavenger.step_ns <= clock_ns()) {
			if (scavenge_forget_use(a))
				pacing_reset_minimum(a);
			scavenge_step(a);
		}
		channel_listen(a, p, POLLIN);
		*device = (struct pollfd){ .fd = a->is_device ? a->fd : -1, .events = POLLPRI };
		if (!channel_poll(a, p, ARENA_POLLS + 1, next_timeout(a, &left) ? &left : NULL))
			return;
		/* The process has ended, also if another one has a copy of its socket. */
		if (device->revents & POLLHUP)
			return;
		if (device->revents)
			settings_take_tunables(a);
		orders_take_polled(a, p);
		if (p[POLL_CLIENT].revents && !handshake_receive(a, &msg))
			return;
	}
}

static void serve_at(int sock, bool is_peer_marker)
{
	struct arena *a = calloc(1, sizeof(*a));
	struct postmortem *postmortem = NULL;

	if (!a) {
		close(sock);
		return;
	}
	a->client.sock = sock;
	a->client.is_peer_marker = is_peer_marker;
	a->fd = a->holes_fd = a->client.end_watch.pidfd = a->client.end_watch.events_fd = -1;
	linked_init(&a->linked);
	a->phase = PHASES;
	tri_short_slice();
	if (attach(a))
		serve(a);
	/*
	 * A peer marker's heap has a collector of its own, which writes a post-mortem.  Here only
	 * that collector's end is seen.
	 */
	if (a->registry && !a->stop && !a->client.is_peer_marker)
		postmortem = postmortem_read(a->registry, &a->client.end_watch, a->fd,
					     a->client.hello_number);
	linked_exit(a);
	if (a->registry) {
		ended_clients_add(a->registry, &a->client.end_watch);
		registry_leave(a->registry);
	}
	claim_free(a->client.claim);
	arena_unmap(a);
	close(sock);
	if (a->client.charged_bytes)
		users_client_leave(a->client.uid, a->client.charged_bytes);
	postmortem_write(postmortem, &a->client.end_watch);
	client_end_forget(&a->client.end_watch);
	free(a);
}

void session_serve(int sock)
{
	serve_at(sock, false);
}

void session_serve_peer_marker(int sock)
{
	serve_at(sock, true);
}
