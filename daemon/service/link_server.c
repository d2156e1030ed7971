// SPDX-License-Identifier: GPL-2.0-only
/*
 * link_server.c - the policy's end of a link: see daemon/clients/link.h
 *
 *  1. HELLO has brought the heap's file.  It is checked, and its counters are read, by pread();
 *     nothing of it is mapped.
 *  2. The client gets the board, and the program of a marker in case it has none.  It has some
 *     seconds to start a marker, which sends ATTACH.  Then the heap is in the registry as if it
 *     were marked here, and gets its orders in the same way.
 *  3. A thread for each client serves the link.  The board says what the marker wants.  Lines of
 *     its log are printed with the client's name, and at a bounded rate.
 *  4. An end of file is the end of the marker, and the heap leaves the registry.  The next process
 *     that marks it attaches anew.  If the end of file comes before ATTACH, and post-mortems are
 *     wanted, the heap is in the registry for as long as one is read.
 */
#include "link_server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/heap/arena.h"
#include "daemon/heap/channel.h"
#include "daemon/heap/settings.h"
#include "core/system/clock.h"
#include "daemon/process/config.h"
#include "core/proto/passing.h"
#include "daemon/process/fault.h"
#include "daemon/process/log.h"
#include "daemon/clients/link.h"
#include "daemon/clients/registry.h"
#include "daemon/clients/watcher.h"
#include "marker_program.h"

/* A marker may log LOG_BURST lines at once, and from then on one in each interval. */
#define LOG_BURST 20
#define LOG_INTERVAL_NS 1000000000ull

struct session {
	struct arena *a;
	struct board *board;
	uint64_t log_until_ns;		/* end of the intervals that its lines have used up */
	unsigned int left_out;
};

static bool welcome(struct arena *a, int board_fd)
{
	int program_fd = marker_program_fd(), fds[2] = { board_fd, program_fd };
	struct tri_msg msg = channel_welcome();

	msg.kind = TRI_WELCOME_POLICY;
	msg.welcome.descriptors = program_fd < 0 ? 1 : 2;
	return !tri_pass(a->client.sock, &msg, fds, msg.welcome.descriptors, 0);
}

/*
 * Receive the next message, waiting for it.  False: the marker is gone, or its message is not
 * known.
 */
static bool receive(struct arena *a, struct link_msg *msg, const struct timespec *patience)
{
	struct pollfd p = { .fd = a->client.sock, .events = POLLIN };
	ssize_t n;

	do {
		if (!channel_poll(a, &p, 1, patience))
			return false;
		n = recv(a->client.sock, msg, sizeof(*msg), MSG_DONTWAIT | MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	if (n != sizeof(*msg) || msg->version != LINK_VERSION) {
		log_line(
			"%s: its marker is let go of: its message is not that of a link of "
			"version %u",
			a->client.name, LINK_VERSION);
		return false;
	}
	msg->text[sizeof(msg->text) - 1] = 0;
	return true;
}

static bool receive_attach(struct arena *a, pid_t *marker)
{
	const struct timespec patience = { LINK_ATTACH_S, 0 };
	struct link_msg msg;

	if (!receive(a, &msg, &patience))
		return false;
	if (msg.type != LINK_ATTACH) {
		log_line("%s: its marker is let go of: it did not begin with ATTACH",
			 a->client.name);
		return false;
	}
	log_debug("%s: process %d marks its heap", a->client.name, msg.pid);
	*marker = msg.pid > 0 ? msg.pid : 0;
	return true;
}

/*
 * Print a line of the marker.  It comes from another process, so all that is not plain text is
 * replaced.
 */
static void print(struct session *s, struct link_msg *msg)
{
	enum log_level level = msg->level > LOG_DEBUG ? LOG_DEBUG : (enum log_level)msg->level;
	uint64_t now = clock_ns(), from = s->log_until_ns > now ? s->log_until_ns : now;
	unsigned char *c;

	if (from - now > (LOG_BURST - 1) * LOG_INTERVAL_NS) {
		s->left_out++;
		return;
	}
	s->log_until_ns = from + LOG_INTERVAL_NS;
	for (c = (unsigned char *)msg->text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (s->left_out)
		log_line("marker of %s: %u lines were left out", s->a->client.name,
			 s->left_out);
	s->left_out = 0;
	/* An error of a marker is a warning here, and so the log's bound on its rate holds. */
	log_at(level == LOG_ERROR ? LOG_WARNING : level, "marker of %s: %s", s->a->client.name,
	       msg->text);
}

/* Do what the marker wants, as its board says. */
static void read_board(struct session *s)
{
	uint32_t wants = atomic_exchange(&s->board->wants, 0);

	if (wants & BOARD_MET)
		registry_notify(s->a->registry);
	if (wants & BOARD_WAKE)
		watcher_wake();
	if (wants & BOARD_OVERFULL)
		watcher_notify();
}

static void serve(struct session *s)
{
	uint64_t window_ns = 0, now;
	unsigned int messages = 0;
	struct link_msg msg;

	while (receive(s->a, &msg, NULL)) {
		if (msg.type == LINK_LOG)
			print(s, &msg);
		if (fault_happened(s->a->registry->shared.guard)) {
			log_line(
				"client %d: its marker is let go of: a page of the board is "
				"missing",
				s->a->client.pid);
			return;
		}
		read_board(s);
		now = clock_ns();
		if (now - window_ns >= LINK_PAUSE_NS) {
			window_ns = now;
			messages = 0;
		}
		if (++messages < LINK_MESSAGES)
			continue;
		/* The pause delays a marker that sends too much, and loses none of its messages. */
		nanosleep(&(struct timespec){ 0, (long)(window_ns + LINK_PAUSE_NS - now) }, NULL);
	}
}

/*
 * A peer marker has connected in place of its client, so the connection's pidfd is not the
 * client's.
 */
static int client_pidfd(const struct arena *a)
{
	return a->client.is_peer_marker ? -1 : a->client.end_watch.pidfd;
}

void link_serve(struct arena *a, uint32_t gid, uint64_t heap_bytes)
{
	struct session s = { .a = a };
	struct link_board b;
	int fd = link_board_make(&b);
	pid_t marker = 0;
	bool ok;

	if (fd < 0) {
		channel_refuse(a, -fd, "no memory or descriptor for another client: %s",
			       strerror(-fd));
		return;
	}
	settings_write_defaults(b.board);
	ok = welcome(a, fd);
	close(fd);
	ok = ok && receive_attach(a, &marker);
	/*
	 * A client that is killed while its marker starts has a post-mortem as well, which is about
	 * an entry of the registry.
	 */
	if (ok || config_on_kill()[0]) {
		a->registry = registry_enter_linked(a->client.pid, client_pidfd(a), a->client.uid,
						    gid, heap_bytes, a->client.claim, &b,
						    a->client.sock, marker);
		a->client.claim = NULL;
	}
	if (!a->registry) {
		link_board_unmap(&b);
		return;
	}
	registry_name(a->registry, a->client.name);
	registry_set_file(a->registry, a->fd);
	if (!ok)
		return;
	s.board = a->registry->board;
	/* The configuration may have been read again since the board was made. */
	settings_write_defaults(s.board);
	registry_order(a->registry, ORDER_DEFAULTS, 0);
	serve(&s);
	/* The marker reads an end of file, also while others have a reference to this arena. */
	shutdown(a->client.sock, SHUT_RDWR);
}
