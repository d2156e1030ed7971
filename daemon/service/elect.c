// SPDX-License-Identifier: GPL-2.0-only
/*
 * elect.c - private collectors of one user that share a memory limit elect one of them, which
 * splits it
 *
 *  1. Two abstract addresses stand for the group whose limit is the tightest.  Their names have the
 *     user, and device and inode of the group's file.  The first address is a lock: the collector
 *     that binds it is the *policy* of all the others, beside marking its own client's heap, and
 *     listens at the second address.  The kernel lets one process bind an address, and frees the
 *     address when that process ends, however it ends.
 *  2. The others connect to the second address, and send the HELLO that their client has sent to
 *     them, with the same descriptors.  From then on they are *peer markers*: markers on a link, as
 *     those of a shared tricolord (link.h).  If nobody listens there yet, or not any more, a
 *     collector waits for whoever holds the lock: it sends one end of a socket pair to the lock's
 *     address.  The policy drops what it receives there once it listens, and the kernel drops it
 *     when the policy ends.  Either closes that end, which is the event that is waited for.
 *  3. When its link ends a peer marker elects again.  Until that has a result it keeps the share
 *     that it had, and its watcher pauses.  Its process name stays tricolor-peer, so that a new
 *     policy which it has not joined yet can count it (groups.c).
 *  4. A policy closes its peer markers' links and gives up both addresses if its client comes to be
 *     limited by another group or by none, or if the agent hands it a policy.  A peer marker then
 *     closes its own link.
 *  5. Any process may bind the addresses.  So each side checks the other's user.  A collector that
 *     finds another user there, or a process that does not answer, works alone, as without
 *     elections.  It tries again when its watcher is awake and some seconds have passed.
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
#define WELCOME_MS 2000			/* a policy answers within this time, or there is none */
#define ATTEMPTS 50			/* most tries while others are just ending */
/* If there is no descriptor for a connection, this is the time until the next try to accept it. */
#define FULL_NS 10000000l

enum role { ALONE, POLICY, PEER };

/* All of it belongs to the election's thread. */
static struct {
	int wake_fd;
	enum role role;
	struct election_key key;	/* the group in which it has the role */
	int lock_sock, listener;	/* of a policy, else -1 */
	bool reported;			/* the log says that no policy could be joined */
	bool watcher_pauses;		/* the watcher waits until there is a result */
} elect = { .wake_fd = -1, .lock_sock = -1, .listener = -1 };

static bool same(struct election_key a, struct election_key b)
{
	return a.ino == b.ino && (!a.ino || a.dev == b.dev);
}

/* ------------------------------------------------------------------------------------------ */
/* Arenas                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* Give order @kind to our own arena, or to those that are linked with us. */
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

/* An order that asks for nothing makes the arena's thread look for the result. */
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

static void release_lock(void)
{
	close(elect.lock_sock);
	elect.lock_sock = -1;
}

/* Returns 0, or an errno; EADDRINUSE: another process holds the lock. */
static int take_lock(struct election_key key)
{
	struct sockaddr_un addr;
	socklen_t len = address("lock", key, &addr);
	int err = 0;

	elect.lock_sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (elect.lock_sock < 0)
		return errno;
	if (bind(elect.lock_sock, (struct sockaddr *)&addr, len)) {
		err = errno;
		release_lock();
	}
	return err;
}

/*
 * Listen.  To be called with the lock.  Returns 0, or an errno; EADDRINUSE: another process has the
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

/*
 * Send @end to the process that holds the lock, and wait while there is no room for it.  Returns 0,
 * or an errno.
 */
static int send_to_holder(struct election_key key, int end)
{
	const struct timeval patience = { WELCOME_MS / 1000, 0 };
	const struct tri_msg nothing = { 0 };
	struct sockaddr_un addr;
	socklen_t len = address("lock", key, &addr);
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

/* Wait until the process that holds the lock listens, or has ended.  Returns 0, or an errno. */
static int wait_for_holder(struct election_key key)
{
	struct pollfd p = { .events = POLLIN };
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return errno;
	err = send_to_holder(key, pair[1]);
	close(pair[1]);
	TRI_POINT("elect.waits");
	p.fd = pair[0];
	if (!err && poll(&p, 1, WELCOME_MS) <= 0)
		err = ETIMEDOUT;
	close(pair[0]);
	return err;
}

/*
 * Have those who wait for us connect.  What they sent is dropped, and the descriptors in it are
 * closed, as recv() has no room for them.
 */
static void release_waiter(void)
{
	char byte;

	if (recv(elect.lock_sock, &byte, 1, 0) < 0)
		return;
}

static int say_hello(int sock)
{
	const struct election_hello *client = election_client();
	struct tri_msg hello = client->msg;

	hello.hello.flags |= TRI_HELLO_STARTS_MARKER;
	/* By our own number the policy sees whether it and we number processes alike. */
	hello.hello.marker_pid = (uint64_t)getpid();
	return -tri_pass(sock, &hello, client->fds, client->nfds, MSG_DONTWAIT);
}

/* Returns the descriptor of the board that comes with WELCOME, or -errno. */
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

/* Join the policy that listens.  Returns 0, or an errno. */
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

/* Whether the other process is just ending, which frees its addresses, so that a new try is due. */
static bool is_transient(int err)
{
	return err == ECONNREFUSED || err == ECONNRESET || err == EPIPE;
}

/* Returns 0, or an errno. */
static int become_something(struct election_key key)
{
	int err = take_lock(key);

	TRI_POINT("elect.tries");
	if (err == EADDRINUSE) {
		err = become_peer(key);
		if (err != ECONNREFUSED)
			return err;
		err = wait_for_holder(key);
	} else if (!err) {
		err = become_policy(key);
		if (!err)
			return 0;
		release_lock();
		/* A policy is just ending, or is of a version that binds no lock. */
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
		/* The connection stays in the queue until there is a descriptor for it. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			nanosleep(&(struct timespec){ 0, FULL_NS }, NULL);
		return;
	}
	if (is_of_our_user(sock))
		accept_peer_marker(sock);
	else
		close(sock);
}

/* Give up the role.  That of a peer marker ends when its arena's thread has closed the link. */
static void leave(void)
{
	if (elect.role == POLICY) {
		close(elect.listener);
		elect.listener = -1;
		release_lock();
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
		p[2].fd = elect.lock_sock;
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
			 * The arena's thread closes the link of a peer marker, and then reports
			 * that it is over.
			 */
			if (elect.role == PEER && !s.barred)
				answer_arena(ELECTION_ALONE, -1, -1);
			leave();
		}
		if (elect.role == ALONE && s.wanted.ino && (!s.failed || s.over))
			run_for(s.wanted);
		/*
		 * The arena's watcher waits for a result, also if it is that there is nobody
		 * else.
		 */
		if (elect.watcher_pauses && elect.role != PEER && !s.barred)
			answer_arena(ELECTION_ALONE, -1, -1);
		elect.watcher_pauses = false;
		if (p[1].revents && elect.role == POLICY)
			accept_one();
		if (p[2].revents && elect.role == POLICY)
			release_waiter();
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
