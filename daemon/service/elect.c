// SPDX-License-Identifier: GPL-2.0-only
/*
 * elect.c - private collectors of one user that share a memory limit, and elect one of them that
 * splits it
 *
 *  1. Two abstract addresses stand for the group whose limit is the tightest.  Its user, and device
 *     and inode of its file, are in them.  The collector that binds the first address, the *door*,
 *     is the *policy* of all the others, beside marking its own client's heap, and listens at the
 *     second.  The kernel lets one process bind an address, and frees the address when that process
 *     ends, however it ends.
 *  2. The others connect to the second address, and send the HELLO that their client has sent to
 *     them, with the same descriptors.  From then on they are *peer markers*: markers on a link, as
 *     those of a shared tricolord (link.h).  If nobody listens there yet, or not any more, they
 *     knock at the door: they send it one end of a socket pair.  The policy drops what it receives
 *     there once it listens, and the kernel drops it when the policy ends.  Either closes that end,
 *     which is the event that they wait for.
 *  3. When the link ends a peer marker elects again.  Until that has a result it keeps the share
 *     that it had, and its watcher pauses.  Its process name stays tricolor-peer, by which a new
 *     policy that it has not joined yet counts it (groups.c).
 *  4. A policy closes its peer markers' links and lets go of the addresses if its client comes to
 *     be limited by another group or by none, or if the agent hands it a policy.  A peer marker
 *     does likewise with its own link.
 *  5. Any process may take the address.  So each side checks the other's user.  A collector that
 *     finds a stranger there, or one that does not answer, works alone, as without elections, and
 *     tries again when its watcher is awake and some seconds have passed.
 *
 * The thread waits without a timer.  Links and boards belong to the arena's thread, which is told
 * the result of an election (daemon/clients/election.h).
 */
#include "elect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/proto/passing.h"
#include "daemon/clients/election.h"
#include "accept.h"
#include "daemon/process/log.h"
#include "core/system/point.h"
#include "daemon/clients/registry.h"
#include "daemon/process/thread_start.h"

#define STACK_BYTES (64u << 10)
#define BACKLOG 128
#define WELCOME_MS 2000			/* a policy answers within this, or there is none */
#define ATTEMPTS 50			/* with those that are just ending */
/* before a connection is accepted that there was no descriptor for */
#define FULL_NS 10000000l

enum role { ALONE, POLICY, PEER };

/* All of the thread. */
static struct {
	int wake_fd;
	enum role role;
	struct election_key key;	/* of the role */
	int door, listener;		/* of a policy; -1 */
	bool reported;
	bool watcher_pauses;			/* the watcher rests until there is a result */
} elect = { .wake_fd = -1, .door = -1, .listener = -1 };

static bool same(struct election_key a, struct election_key b)
{
	return a.ino == b.ino && (!a.ino || a.dev == b.dev);
}

/* ------------------------------------------------------------------------------------------ */
/* Arenas                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* @kind to our own arena, or to those that are linked with us. */
static void order(enum board_order kind, bool linked)
{
	size_t room = registry_count() + 16, n, i;
	struct registry_arena **list = calloc(room, sizeof(*list));

	if (!list)
		return;
	n = registry_all(list, room);
	for (i = 0; i < n && i < room; i++) {
		if (registry_is_linked(list[i]) == linked)
			registry_order(list[i], kind, 0);
		registry_put(list[i]);
	}
	free(list);
}

/* The arena's thread is rung by an order that asks for nothing. */
static void answer_arena(enum election_result result, int sock, int board)
{
	election_answer(result, sock, board);
	order(ORDER_PUBLISH, false);
}

/* ------------------------------------------------------------------------------------------ */
/* Election                                                                                   */
/* ------------------------------------------------------------------------------------------ */

static socklen_t address(const char *what, struct election_key key, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
	       (socklen_t)snprintf(addr->sun_path + 1, sizeof(addr->sun_path) - 1,
				   "tricolor/%s/%u/%llx/%llx", what, geteuid(),
				   (unsigned long long)key.dev, (unsigned long long)key.ino);
}

static bool is_of_our_user(int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) && cred.uid == geteuid();
}

static void close_door(void)
{
	close(elect.door);
	elect.door = -1;
}

/* 0, or an errno; EADDRINUSE: another process has it. */
static int take_door(struct election_key key)
{
	struct sockaddr_un addr;
	socklen_t len = address("door", key, &addr);
	int err = 0;

	elect.door = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (elect.door < 0)
		return errno;
	if (bind(elect.door, (struct sockaddr *)&addr, len)) {
		err = errno;
		close_door();
	}
	return err;
}

/*
 * To be called when the door is bound.  0, or an errno; EADDRINUSE: another process has the
 * address.
 */
static int become_policy(struct election_key key)
{
	struct sockaddr_un addr;
	socklen_t len = address("policy", key, &addr);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;

	if (fd < 0)
		return errno;
	if (bind(fd, (struct sockaddr *)&addr, len))
		err = errno;
	TRI_POINT("elect.bound");
	if (!err && listen(fd, BACKLOG))
		err = errno;
	if (err) {
		close(fd);
		return err;
	}
	elect.listener = fd;
	elect.role = POLICY;
	log_debug("splits the memory limit for private collectors of this group");
	return 0;
}

/* Send @end to whoever has the door, and wait as long as there is no room for it. */
static int knock_with(struct election_key key, int end)
{
	const struct timeval patience = { WELCOME_MS / 1000, 0 };
	const struct tri_msg nothing = { 0 };
	struct sockaddr_un addr;
	socklen_t len = address("door", key, &addr);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (struct sockaddr *)&addr, len))
		err = errno;
	if (!err)
		err = -tri_pass(fd, &nothing, &end, 1, 0);
	close(fd);
	return err == EAGAIN ? ETIMEDOUT : err;
}

/* Wait until whoever has the door listens, or is no more.  0, or an errno. */
static int knock(struct election_key key)
{
	struct pollfd p = { .events = POLLIN };
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return errno;
	err = knock_with(key, pair[1]);
	close(pair[1]);
	TRI_POINT("elect.knocked");
	p.fd = pair[0];
	if (!err && poll(&p, 1, WELCOME_MS) <= 0)
		err = ETIMEDOUT;
	close(pair[0]);
	return err;
}

/* What was sent is dropped, and its descriptors with it: recv() gives them no room. */
static void answer_door(void)
{
	char byte;

	if (recv(elect.door, &byte, 1, 0) < 0)
		return;
}

static int say_hello(int sock)
{
	const struct election_hello *client = election_client();
	struct tri_msg hello = client->msg;

	hello.hello.flags |= TRI_HELLO_STARTS_MARKER;
	/* Not that of the client, which the other would read from the socket. */
	hello.hello.marker_pid = (uint64_t)getpid();
	return -tri_pass(sock, &hello, client->fds, client->nfds, MSG_DONTWAIT);
}

/* The board that comes with WELCOME, or -errno. */
static int receive_welcome(int sock)
{
	struct tri_msg msg = { 0 };
	struct pollfd p = { .fd = sock, .events = POLLIN };
	size_t count;
	int fds[2];
	ssize_t n;

	if (poll(&p, 1, WELCOME_MS) <= 0)
		return -ETIMEDOUT;
	n = tri_receive(sock, &msg, MSG_DONTWAIT, fds, 2, &count);
	if (n <= 0)
		return n ? -errno : -ECONNRESET;
	if (fds[1] >= 0)
		close(fds[1]);
	if (n == sizeof(msg) && msg.type == TRI_MSG_WELCOME && msg.kind == TRI_WELCOME_POLICY &&
	    fds[0] >= 0 && msg.version == TRI_PROTO_ID)
		return fds[0];
	if (fds[0] >= 0)
		close(fds[0]);
	return -EPROTO;
}

/* 0, or an errno. */
static int become_peer(struct election_key key)
{
	struct sockaddr_un addr;
	socklen_t len = address("policy", key, &addr);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), board, err;

	if (sock < 0)
		return errno;
	err = connect(sock, (struct sockaddr *)&addr, len) ? errno : 0;
	if (!err && !is_of_our_user(sock))
		err = EPERM;
	if (!err)
		err = say_hello(sock);
	board = err ? -err : receive_welcome(sock);
	if (board < 0) {
		close(sock);
		return -board;
	}
	elect.role = PEER;
	answer_arena(ELECTION_LINK, sock, board);
	return 0;
}

/* The other process is ending, and lets go of the address by that: try again. */
static bool is_transient(int err)
{
	return err == ECONNREFUSED || err == ECONNRESET || err == EPIPE;
}

/* 0, or an errno. */
static int become_something(struct election_key key)
{
	int err = take_door(key);

	TRI_POINT("elect.tries");
	if (err == EADDRINUSE) {
		err = become_peer(key);
		if (err != ECONNREFUSED)
			return err;
		err = knock(key);
	} else if (!err) {
		err = become_policy(key);
		if (!err)
			return 0;
		close_door();
		/* One that is ending, or that knows of no door. */
		if (err == EADDRINUSE)
			err = 0;
	}
	return err ? err : become_peer(key);
}

static void run_for(struct election_key key)
{
	int err, i;

	for (i = 0; i < ATTEMPTS; i++) {
		err = become_something(key);
		if (!is_transient(err))
			break;
	}
	elect.key = key;
	if (!err)
		return;
	election_failed();
	if (!elect.reported)
		log_line(
			"shares the memory limit with other collectors by what it sees of them: "
			"the one that splits it can't be joined: %s",
			err == EPERM ? "it is another user's" : strerror(err));
	elect.reported = true;
}

/* ------------------------------------------------------------------------------------------ */
/* The thread                                                                                 */
/* ------------------------------------------------------------------------------------------ */

static void accept_one(void)
{
	int sock = accept4(elect.listener, NULL, NULL, SOCK_CLOEXEC);

	if (sock < 0) {
		/* What keeps the connection in the queue will not go away at once. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			nanosleep(&(struct timespec){ 0, FULL_NS }, NULL);
		return;
	}
	if (is_of_our_user(sock))
		accept_peer_marker(sock);
	else
		close(sock);
}

/* Give up the role.  A peer marker's is over when its arena has hung up. */
static void leave(void)
{
	if (elect.role == POLICY) {
		close(elect.listener);
		elect.listener = -1;
		close_door();
		order(ORDER_STOP, true);
	}
	elect.role = ALONE;
}

static void *thread(void *unused)
{
	struct pollfd p[3] = { { .fd = elect.wake_fd, .events = POLLIN },
			       { .events = POLLIN },
			       { .events = POLLIN } };
	struct election_state s;
	uint64_t times;

	(void)unused;
	for (;;) {
		p[1].fd = elect.listener;
		p[2].fd = elect.door;
		p[1].revents = p[2].revents = 0;
		if (poll(p, 3, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents && read(elect.wake_fd, &times, sizeof(times)) < 0)
			continue;
		s = election_read();
		if (s.over && elect.role == PEER)
			elect.role = ALONE;
		elect.watcher_pauses |= s.over;
		if (elect.role != ALONE && !same(s.wanted, elect.key)) {
			/*
			 * A peer marker's link is hung up on by its arena's thread, which then says that
			 * it is over.
			 */
			if (elect.role == PEER && !s.barred)
				answer_arena(ELECTION_ALONE, -1, -1);
			leave();
		}
		if (elect.role == ALONE && s.wanted.ino && (!s.failed || s.over))
			run_for(s.wanted);
		/*
		 * The arena's watcher rests until there is a result, be it that there is nobody
		 * else.
		 */
		if (elect.watcher_pauses && elect.role != PEER && !s.barred)
			answer_arena(ELECTION_ALONE, -1, -1);
		elect.watcher_pauses = false;
		if (p[1].revents && elect.role == POLICY)
			accept_one();
		if (p[2].revents && elect.role == POLICY)
			answer_door();
	}
	log_warning("takes no part in the election of a policy any more: poll: %s",
		    strerror(errno));
	leave();
	answer_arena(ELECTION_ALONE, -1, -1);
	return NULL;
}

void elect_start(void)
{
	int err;

	elect.wake_fd = election_open();
	if (elect.wake_fd < 0)
		return;
	err = thread_start(thread, NULL, STACK_BYTES, NULL);
	if (!err)
		return;
	log_line("takes no part in the election of a policy: no thread for that: %s",
		 strerror(err));
	election_close();
}
