// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * connect.c - finding a collector, or starting one
 *
 *  1. The shared daemon's socket is tried, if there is one.  The daemon is passed over if the path
 *     is not found within some seconds (async_connect.c), or if it does not accept the connection
 *     or does not answer within some seconds.
 *  2. HELLO brings the arena to the daemon, which answers WELCOME or REFUSE.
 *  3. The shared daemon may mark the heap itself.  Or it decides about limits only.  Then a
 *     tricolord is started (spawn.c) that marks, and is handed the connection, the *link*, and
 *     what came with it.  This marker is one of ours, or if there is none, the one that the shared
 *     daemon lends.  A lent program runs as us, so it is taken only from root or from our own
 *     user.  If none can be started, the shared daemon is asked to mark.
 *  4. Without a shared daemon the same tricolord goes alone, as a private collector.  policy.c then
 *     looks for a shared one, and hands the link over later.
 *  5. A collector writes nothing into the arena before it has the agent's first request.  So if
 *     its WELCOME comes when we have just given it up and turned to another one, it has the arena
 *     mapped beside the other, and does nothing with it.  It finds the end of file, and gives up
 *     the arena.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/proto/client.h"
#include "agent.h"
#include "../limits/uncollected.h"
#include "connect.h"
#include "async_connect.h"
#include "../base/error.h"
#include "hello.h"
#include "../start/init.h"
#include "../base/state.h"
#include "../base/watched.h"

#define CONNECT_MS 2000				/* the path of a socket is looked up within this,
						 * or connecting fails */
#define LAST_MS 1000			/* a look-up that was left comes back within this, or
					 * connecting fails */
#define AGAIN_NS 30000000000ull		/* a shared one that did not answer is tried again after
					 * this */
#define OVERFLOW_UID 65534		/* how a user looks that our user namespace does not know */

static bool is_private;

/** Whether tri_connect() has found a collector that is one of ours. */
bool tri_connected_private(void)
{
	return is_private;
}

/* Connect @fd to the shared collector.  If that fails, @fd is closed, now or later. */
static int connect_within(int fd)
{
	struct pollfd p = { .events = POLLIN };
	struct tri_async_connected d;
	int err = tri_async_connect_begin(fd, -1, LAST_MS);

	if (err) {
		close(fd);
		return err == -EBUSY ? -ETIME : err;
	}
	p.fd = tri_async_connect_fd();
	tri_agent_poll(&p, 1, CONNECT_MS);
	if (!tri_async_connect_end(&d)) {
		tri_async_connect_abandon();
		return -ETIME;
	}
	if (d.err)
		close(fd);
	return d.err;
}

/* Connect to the shared collector, if there is one that serves us; @w is what it says. */
static int connect_to_shared(bool starts_marker, struct tri_welcome *w)
{
	int fd, err;

	*w = (struct tri_welcome){ .board = -1, .program = -1 };
	/* After each death of a private collector the program would wait for it again. */
	if (tri_shared_is_put_off())
		return -EAGAIN;
	tri_g.waits_for = "the shared one does not answer";
	fd = tri_shared_socket(0);
	err = fd < 0 ? fd : connect_within(fd);
	if (!err) {
		tri_uncollected_update();
		err = tri_hello_send(fd, starts_marker);
		if (!err)
			err = tri_hello_wait(fd, w);
		if (!err && w->is_policy && !starts_marker) {
			tri_welcome_close(w);
			err = -EPROTO;
		}
		if (!err) {
			tri_complaint_over(TRI_COMPLAINT_SHARED);
			return fd;
		}
		close(fd);
	}
	if (err == -EAGAIN || err == -ETIMEDOUT || err == -ETIME)
		tri_shared_put_off(tri_now_ns() + AGAIN_NS);
	/*
	 * That there is none is not worth a complaint.  Where we have no descriptor or memory, the
	 * start of a private one fails too, and complains.
	 */
	if (err != -ENOENT && err != -ECONNREFUSED && err != -ENOTDIR && err != -EMFILE &&
	    err != -ENFILE && err != -ENOMEM)
		tri_complain(TRI_COMPLAINT_SHARED, true,
			     "tricolor: the tricolord at %s is passed over%s: %s",
			     tri_g.settings.socket,
			     tri_may_spawn() ? ", and a private one started" : "",
			     tri_hello_why(err, w));
	return err;
}

/*
 * Whether a program that came by @link may run as us.  Root and our own user could run it as us
 * anyway.  A user whom our user namespace does not know may be anybody.
 */
static bool trusted(int link)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (tri_g.settings.lent_marker)
		return true;
	if (getsockopt(link, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return !peer.uid || (peer.uid == geteuid() && peer.uid != OVERFLOW_UID);
}

/*
 * Start a tricolord: the one that was lent as @program, or one of ours if that is -1.  Returns a
 * socket to it when it has welcomed us, or a negative errno, and a complaint.  @say: there is no
 * other way to have a collector, so a user should hear of a failure.
 */
static int start_one(int program, bool say)
{
	static unsigned int in_vain;
	struct tri_welcome w = { .board = -1, .program = -1 };
	int fd = tri_spawn(program, say), err;

	if (fd < 0)
		return fd;
	tri_g.waits_for = "one was started, and does not answer";
	err = tri_hello_send(fd, false);
	if (!err)
		err = tri_hello_wait(fd, &w);
	if (!err && w.is_policy) {
		tri_welcome_close(&w);
		err = -EPROTO;
	}
	if (!err) {
		in_vain = 0;
		tri_write(&tri_g.collector_pid, w.pid);
		tri_complaint_over(TRI_COMPLAINT_NO_COLLECTOR);
		return fd;
	}
	close(fd);
	/* That one was killed as it started is no news: the next one starts in a moment. */
	tri_complain(TRI_COMPLAINT_NO_COLLECTOR, say && ++in_vain > 2,
		     "tricolor: no collector, and memory is not "
		     "freed: %s was started, but %s; `%s --dry-run` may tell why",
		     tri_spawn_name(), tri_hello_why(err, &w), tri_spawn_name());
	return err;
}

/*
 * Start a marker for the shared collector at @link, and hand the link to it.
 *
 * There may be no tricolord of ours, or it may be of another version than the library and refuse
 * it.  The one that the shared collector lends speaks what that one speaks.
 */
static int start_marker(int link, struct tri_welcome *w)
{
	int fd = start_one(-1, false);

	if ((fd == -ENOEXEC || fd == -EACCES) && w->program >= 0 && trusted(link))
		fd = start_one(w->program, false);
	if (fd < 0)
		return fd;
	if (tri_policy_send(fd, link, w->board))
		tri_policy_search();
	else
		tri_policy_linked();
	return fd;
}

/* No marker can be started: ask the shared collector to mark. */
static int have_it_marked(void)
{
	struct tri_welcome w;
	char reason[320];
	int fd;

	snprintf(reason, sizeof(reason), "%s", tri_complaint(TRI_COMPLAINT_NO_COLLECTOR));
	tri_shared_put_off(0);
	fd = connect_to_shared(false, &w);
	if (fd >= 0) {
		is_private = false;
		tri_write(&tri_g.collector_pid, w.pid);
		tri_complaint_over(TRI_COMPLAINT_NO_COLLECTOR);
		return fd;
	}
	tri_complain(TRI_COMPLAINT_NO_COLLECTOR, true,
		     "tricolor: %s; and the tricolord at %s does not mark this heap: "
		     "%s",
		     reason, tri_g.settings.socket, tri_hello_why(fd, &w));
	return fd;
}

/**
 * Find a collector, or start one.  Returns a socket to it, which has welcomed us, or a negative
 * errno, and a complaint.  Agent only.
 */
int tri_connect(void)
{
	struct tri_welcome w;
	int link = connect_to_shared(tri_may_spawn(), &w), fd;

	tri_policy_stop();
	is_private = link < 0 || w.is_policy;
	if (!is_private) {
		tri_write(&tri_g.collector_pid, w.pid);
		tri_complaint_over(TRI_COMPLAINT_NO_COLLECTOR);
		return link;
	}
	if (link < 0) {
		fd = start_one(-1, true);
		if (fd >= 0)
			tri_policy_search();
		return fd;
	}
	fd = start_marker(link, &w);
	close(link);
	tri_welcome_close(&w);
	return fd < 0 ? have_it_marked() : fd;
}
