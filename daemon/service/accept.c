// SPDX-License-Identifier: GPL-2.0-only
/*
 * accept.c - finding out by its first message what a new connection is for
 *
 *  1. Each connection gets a thread, which waits for the first message of a client, or of
 *     tricolor(1).  The library sends its HELLO as it connects.  A connection on which nothing
 *     comes for ten seconds is closed.
 *  2. A guest is a connection that is not a client's: it has sent nothing yet, or it is
 *     tricolor(1)'s.  Each user may have a few guests, and root any number, so that no user keeps
 *     others out or makes us start threads without end.
 *  3. A private collector has its one client already, so a connection that sends HELLO there is
 *     closed.  Users other than its own may have very few guests, enough to be told that their
 *     requests are refused.  Peer markers send HELLO as well, but to another address (elect.c).
 */
#include "accept.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/process/config.h"
#include "control_server.h"
#include "core/proto/control.h"
#include "daemon/process/log.h"
#include "daemon/process/thread_start.h"
#include "daemon/clients/users.h"
#include "session.h"

#define STACK_BYTES (256u << 10)
#define GUESTS_OF_A_USER 64
#define GUESTS_OF_A_STRANGER 4

struct connection {
	int sock;
	uid_t uid;
	bool is_peer_marker;
};

/* The type of the first message, which stays in the queue; 0: there was none. */
static uint32_t first_type(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	uint32_t type = 0;
	int n;

	do
		n = poll(&p, 1, CONTROL_SILENCE_S * 1000);
	while (n < 0 && errno == EINTR);
	if (n <= 0 ||
	    recv(sock, &type, sizeof(type), MSG_PEEK | MSG_DONTWAIT) < (ssize_t)sizeof(type))
		return 0;
	return type;
}

static void *serve(void *arg)
{
	struct connection c = *(struct connection *)arg;
	uint32_t type = first_type(c.sock);

	free(arg);
	if (type == CONTROL_TYPE) {
		control_serve(c.sock);
	} else if (type && (c.is_peer_marker || !config_is_private())) {
		users_guest_leave(c.uid);
		/* The session refuses a message that is no HELLO. */
		if (c.is_peer_marker)
			session_serve_peer_marker(c.sock);
		else
			session_serve(c.sock);
		return NULL;
	}
	close(c.sock);
	users_guest_leave(c.uid);
	return NULL;
}

static void take_in(int sock, bool is_peer_marker)
{
	struct connection *c = malloc(sizeof(*c));
	struct ucred cred;
	socklen_t len = sizeof(cred);
	unsigned int most;
	int err = ENOMEM;

	if (!c || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		goto turn_away;
	most = config_is_private() && cred.uid != geteuid() ? GUESTS_OF_A_STRANGER :
							      GUESTS_OF_A_USER;
	if (!users_guest_enter(cred.uid, most)) {
		err = EUSERS;
		goto turn_away;
	}
	c->sock = sock;
	c->uid = cred.uid;
	c->is_peer_marker = is_peer_marker;
	err = thread_start(serve, c, STACK_BYTES, NULL);
	if (!err)
		return;
	users_guest_leave(cred.uid);
turn_away:
	/* Debug level only, so that refusals cannot fill a disk. */
	log_debug("a connection was turned away: %s", err == EUSERS ?
		  "its user has too many that are no clients'" : strerror(err));
	close(sock);
	free(c);
}

void accept_connection(int sock)
{
	take_in(sock, false);
}

void accept_peer_marker(int sock)
{
	take_in(sock, true);
}
