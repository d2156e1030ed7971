// SPDX-License-Identifier: GPL-2.0-only
/*
 * arena.c - attaching a client, and serving it until it is gone
 *
 *  1. HELLO brings the file.  It is refused unless it is one of those in backing.c, has the size that
 *     its own header implies, and speaks our versions.  The header is read with pread() into our own
 *     memory; from then on only those numbers count.
 *  2. Metadata is mapped to be written, the heap to be read only.
 *  3. The arena's thread then waits for requests, the scavenger's next step, or the two-minute rule,
 *     and runs the cycles.
 *  4. An end of file is the client's end, whatever ended it.  Mapping and descriptors go with it.
 */
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backing.h"
#include "clock.h"
#include "config.h"
#include "core/slice.h"
#include "cpus.h"
#include "device.h"
#include "fault.h"
#include "log.h"
#include "registry.h"
#include "tricolor.h"
#include "users.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define VERSION STRING(TRI_VERSION_MAJOR) "." STRING(TRI_VERSION_MINOR) "." STRING(TRI_VERSION_PATCH)

/* Refuse the client with an errno and a sentence. */
static bool refuse(struct arena *a, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool refuse(struct arena *a, int err, const char *fmt, ...)
{
	struct tri_msg msg = { .type = TRI_MSG_REFUSE, .version = TRI_PROTO_ID, .a = (uint64_t)err };
	va_list args;

	va_start(args, fmt);
	vsnprintf(msg.text, sizeof(msg.text), fmt, args);
	va_end(args);
	log_line("client %d: refused: %s", a->pid, msg.text);
	arena_send(a, &msg);
	return false;
}

/* The first message, and the descriptor that must come with it. */
static bool receive_hello(struct arena *a, struct tri_msg *hello)
{
	char control[CMSG_SPACE(sizeof(int) * 4)];
	struct iovec iov = { hello, sizeof(*hello) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(a->sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t i, fds;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (a->fd < 0)
				a->fd = fd;
			else
				close(fd);
		}
	}
	if (n == 0)
		return false;
	hello->text[sizeof(hello->text) - 1] = 0;
	if (n != sizeof(*hello) || hello->type != TRI_MSG_HELLO || a->fd < 0)
		return refuse(a, EPROTO, "that was no HELLO with an arena; is something else than "
			      "libtricolor talking to this socket?");
	if (hello->version != TRI_PROTO_ID)
		return refuse(a, EPROTONOSUPPORT,
			      "libtricolor %s speaks protocol %u with layout %u, tricolord " VERSION
			      " speaks %u with %u; install the same version of both", hello->text,
			      hello->version >> 16, hello->version & 0xffff, TRI_PROTO_VERSION,
			      TRI_LAYOUT_VERSION);
	return true;
}

/* Check the file against what its header claims; fill in the layout from numbers of our own. */
static bool check_file(struct arena *a, struct tri_layout *layout, uint64_t *heap_va)
{
	struct tri_ctl ctl;
	const char *why;
	uint64_t bytes;
	int err = backing_check(a->fd, &a->is_device, &bytes, &why);

	if (err)
		return refuse(a, err, "%s", why);
	if (pread(a->fd, &ctl, sizeof(ctl), 0) != sizeof(ctl))
		return refuse(a, EIO, "the arena has no header to read; is the client ending?");
	if (ctl.magic != TRI_MAGIC || ctl.layout_version != TRI_LAYOUT_VERSION ||
	    ctl.ctl_bytes != sizeof(ctl))
		return refuse(a, EINVAL, "the arena has layout %u, this daemon has %u",
			      ctl.layout_version, TRI_LAYOUT_VERSION);
	if (tri_layout_init(layout, ctl.heap_pages) || bytes != layout->file_bytes)
		return refuse(a, EINVAL, "the arena's size of %llu bytes does not fit its header",
			      (unsigned long long)bytes);
	if (ctl.heap_va % TRI_PAGE_BYTES || ctl.heap_va >> 47 ||
	    (ctl.heap_va + (ctl.heap_pages << TRI_PAGE_SHIFT)) >> 47)
		return refuse(a, EINVAL, "the heap's address of %#llx is none",
			      (unsigned long long)ctl.heap_va);
	*heap_va = ctl.heap_va;
	return true;
}

static bool map(struct arena *a, const struct tri_layout *layout, uint64_t heap_va)
{
	int heap_prot = a->clobberfree ? PROT_READ | PROT_WRITE : PROT_READ;

	a->base = mmap(NULL, layout->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		       a->fd, 0);
	if (a->base == MAP_FAILED) {
		a->base = NULL;
		return refuse(a, ENOMEM, "no address space for another arena of %llu MiB",
			      (unsigned long long)(layout->file_bytes >> 20));
	}
	tri_view_init(&a->view, a->base, layout, heap_va);
	a->guard = fault_guard(a->base, layout->file_bytes);
	if (!a->guard)
		return refuse(a, ENOMEM, "no memory to watch over another arena");
	/* A private collector's client is who started it.  Its sandbox may not know the call. */
	if (!config_is_private())
		a->holes_fd = backing_guard_holes(a->is_device, a->base, layout->file_bytes);
	/* For this process the heap is there to be read. */
	mprotect((char *)a->base + layout->heap, layout->file_bytes - layout->heap, heap_prot);
	madvise(a->base, layout->file_bytes, MADV_DONTDUMP);
	return true;
}

static bool attach(struct arena *a)
{
	struct tri_msg hello, welcome = {
		.type = TRI_MSG_WELCOME,
		.version = TRI_PROTO_ID,
		.a = (uint64_t)getpid(),
		.text = VERSION,
	};
	struct pacer_config config = { .gc_percent = 100, .memory_limit_bytes = PACER_NO_LIMIT,
				       .procs = 1, .heap_minimum_bytes = PACER_HEAP_MINIMUM_BYTES };
	struct tri_layout layout;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	uint64_t heap_va = 0;
	uint32_t debug;

	if (getsockopt(a->sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	a->pid = cred.pid;
	if (!receive_hello(a, &hello) || !check_file(a, &layout, &heap_va))
		return false;
	if (!users_client_enter(cred.uid, layout.file_bytes))
		return refuse(a, EDQUOT, "user %u has as many clients, or bytes of arenas, as one user may have "
			      "of this collector", cred.uid);
	a->uid = cred.uid;
	a->charged_bytes = layout.file_bytes;
	if (pread(a->fd, &debug, sizeof(debug), offsetof(struct tri_ctl, debug)) == sizeof(debug)) {
		a->checkmark = debug & TRI_DEBUG_CHECKMARK;
		a->clobberfree = debug & TRI_DEBUG_CLOBBERFREE;
	}
	if (!map(a, &layout, heap_va))
		return false;
	if (marker_init(&a->marker, &a->view, a->fd))
		return refuse(a, ENOMEM, "no memory to mark another heap");
	a->trace_gc = hello.a & TRI_HELLO_TRACE_GC;
	arena_find_defaults(a, hello.a);
	a->trace_pacer = hello.a & TRI_HELLO_TRACE_PACER;
	a->trace_scav = hello.a & TRI_HELLO_TRACE_SCAV;
	a->trace_limit = hello.a & TRI_HELLO_TRACE_LIMIT;
	a->cycle = hello.cycle;
	a->fresh = true;
	a->heap_minimum_bytes = PACER_HEAP_MINIMUM_BYTES;
	a->attached_ns = clock_ns();
	a->gc_done = a->gc_wanted = tri_read(&a->view.ctl->gc_done);
	a->free_done = a->free_wanted = tri_read(&a->view.ctl->free_done);
	/* How much of it lives nobody knows after a predecessor's death: at most what is in use. */
	a->live_bytes = arena_used_bytes(a);
	a->live_at_bytes = tri_read(&a->view.ctl->allocated_bytes);
	a->registry = registry_enter(cred.pid, cred.uid, cred.gid, a->view.heap_pages << TRI_PAGE_SHIFT);
	if (!a->registry)
		return refuse(a, errno, "no memory or descriptor for another arena: %s",
			      strerror(errno));
	registry_set_file(a->registry, a->fd);
	if (!arena_send(a, &welcome))
		return false;
	pacer_init(&a->pacer, &config);
	limit_init(a);
	arena_defaults(a);
	/* What it left unswept must be swept before a cycle.  Orders come meanwhile. */
	sweep_all(a);
	return true;
}

/* Milliseconds until there is something to do by the clock; -1: nothing. */
static int next_timeout(const struct arena *a)
{
	uint64_t now = clock_ns(), due = 0;

	if (a->cycle_end_ns && pacer_goal_bytes(&a->pacer) != PACER_NEVER)
		due = a->cycle_end_ns + PACER_PERIOD_NS;
	if (a->scavenge_ns && (!due || a->scavenge_ns < due))
		due = a->scavenge_ns;
	if (!due)
		return -1;
	return due <= now ? 0 : (int)((due - now + 999999) / 1000000);
}

static bool periodic_due(const struct arena *a)
{
	return pacer_goal_bytes(&a->pacer) != PACER_NEVER &&
	       pacer_periodic_due(a->cycle_end_ns, clock_ns());
}

static void serve(struct arena *a)
{
	struct pollfd p[] = {
		{ .fd = a->sock, .events = POLLIN },
		{ .fd = a->registry->order_fd, .events = POLLIN },
		{ .fd = a->is_device ? a->fd : -1, .events = POLLPRI },
	};
	struct tri_msg msg;

	while (!a->stop && !arena_lost(a)) {
		bool asked = a->gc_wanted != a->gc_done || a->free_wanted != a->free_done ||
			     arena_cycle_ordered(a);
		bool periodic = periodic_due(a);

		if (asked || periodic || ((cycle_due(a) || limit_hurry(a)) && !limit_hold(a))) {
			if (!cycle_run(a, asked || periodic))
				return;
			continue;
		}
		if (a->scavenge_ns && a->scavenge_ns <= clock_ns())
			scavenge_step(a);
		if (poll(p, 3, next_timeout(a)) <= 0)
			continue;
		/* Gone, with its memory, whoever may still have a copy of the socket. */
		if (p[2].revents & POLLHUP)
			return;
		if (p[2].revents)
			device_tunables(a);
		if (p[1].revents)
			arena_orders(a);
		if (p[0].revents && !arena_hear(a, &msg))
			return;
	}
}

void arena_serve(int sock)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a) {
		close(sock);
		return;
	}
	a->sock = sock;
	a->fd = a->holes_fd = -1;
	a->phase = PHASES;
	tri_short_slice();
	if (attach(a))
		serve(a);
	if (a->registry)
		registry_leave(a->registry);
	if (a->marker.self)
		marker_exit(&a->marker);
	if (a->guard)
		fault_unguard(a->guard);
	if (a->base)
		munmap(a->base, a->view.layout.file_bytes);
	if (a->holes_fd >= 0)
		close(a->holes_fd);
	if (a->fd >= 0)
		close(a->fd);
	close(sock);
	if (a->charged_bytes)
		users_client_leave(a->uid, a->charged_bytes);
	free(a);
}
