// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * policy.c - the way back to a shared collector
 *
 * A heap whose tricolord goes alone, because there was no shared one or it has ended, gets a shared
 * one as soon as there is one, without losing a cycle.  For that the agent looks for the shared
 * socket while it serves its tricolord.
 *
 *  1. The nearest folder of the socket's path that exists is watched (inotify).  When the next part
 *     of the path appears in it, the next folder is watched, or the socket tried.
 *  2. Not every file system reports every change.  So the socket is also tried now and then, after
 *     pauses that double up to half a minute.  After an event the pauses begin anew.
 *  3. Nothing here waits: look-up of the path (async_connect.c) and answer are events as others
 *     are. Handshakes are answered meanwhile.
 *  4. The link to a shared one that decides about limits only is handed to the present tricolord,
 *     whatever that is doing.  The agent turns to one that marks itself between two cycles, through
 *     tri_connect().
 *
 * If shared ones come and go, they are not followed faster than the pauses allow.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "connect.h"
#include "async_connect.h"
#include "../base/error.h"
#include "hello.h"
#include "../start/init.h"
#include "../base/state.h"

#define PAUSE_MIN_NS 10000000ull
#define PAUSE_MAX_NS 30000000000ull
#define STEADY_NS 10000000000ull	/* a link that held so long was a good one */
#define PATIENCE_NS 5000000000ull	/* for WELCOME */
#define MUTED_NS 100000000ull		/* a folder where much happens does not wake us more often
					 * than this */
#define FOLDER_IS_GONE (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED | IN_Q_OVERFLOW)

static struct {
	bool searching;
	int inotify, watch;		/* an inotify, and the watched folder in it; -1: none */
	char awaited[NAME_MAX + 1];	/* the name that is to appear in that folder */
	uint64_t muted_until_ns;
	bool is_connecting;		/* async_connect.c has the inotify, and is about to
					 * connect */
	int fd;				/* where HELLO was sent; -1: nowhere */
	uint64_t due_ns;		/* when the next attempt is made, or this one given up */
	uint64_t pause_ns;
	uint64_t linked_ns;		/* when there was a link last; 0: never */
} policy = { .inotify = -1, .watch = -1, .fd = -1, .pause_ns = PAUSE_MIN_NS };

/* The next attempt, or the end of this one, is due in @ns. */
static void later(uint64_t ns)
{
	policy.due_ns = tri_now_ns() + ns;
}

/** The marker goes alone: look for a policy from now on. */
void tri_policy_search(void)
{
	if (!tri_shared_is_wanted() || policy.searching)
		return;
	if (policy.linked_ns && tri_now_ns() - policy.linked_ns > STEADY_NS)
		policy.pause_ns = PAUSE_MIN_NS;
	policy.searching = true;
	later(policy.pause_ns);
}

/* The descriptors that async_connect.c was given are its own until its thread is done. */
static void abandon_connect(void)
{
	if (!policy.is_connecting)
		return;
	tri_async_connect_abandon();
	policy.is_connecting = false;
	policy.inotify = policy.watch = -1;
}

static void stop(void)
{
	abandon_connect();
	if (policy.fd >= 0)
		close(policy.fd);
	if (policy.inotify >= 0)
		close(policy.inotify);
	policy.fd = policy.inotify = policy.watch = -1;
	policy.searching = false;
}

/** The marker has a link: stop looking. */
void tri_policy_linked(void)
{
	stop();
	policy.linked_ns = tri_now_ns();
}

/** The collector for which a policy was looked for is gone. */
void tri_policy_stop(void)
{
	stop();
}

/* In the child of a fork(): descriptors are the parent's agent's. */
void tri_policy_reset(void)
{
	memset(&policy, 0, sizeof(policy));
	policy.inotify = policy.watch = policy.fd = -1;
	policy.pause_ns = PAUSE_MIN_NS;
}

static void failed(int err)
{
	if (policy.fd >= 0)
		close(policy.fd);
	policy.fd = -1;
	/*
	 * If the path does not exist, inotify will tell when it does.  A collector that did not
	 * answer, or refused, will not do otherwise soon.
	 */
	if (((err == -ENOENT || err == -ENOTDIR) && policy.watch >= 0) || err == -ETIMEDOUT ||
	    err == -EACCES || err == -EPROTO)
		policy.pause_ns = PAUSE_MAX_NS;
	later(policy.pause_ns);
	policy.pause_ns *= 2;
	if (policy.pause_ns > PAUSE_MAX_NS)
		policy.pause_ns = PAUSE_MAX_NS;
}

/* Begin to connect. */
static void try_it(void)
{
	int fd = tri_shared_socket(SOCK_NONBLOCK), err;

	if (policy.inotify < 0)
		policy.inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	err = fd < 0 ? fd : tri_async_connect_begin(fd, policy.inotify, 0);
	if (err) {
		if (fd >= 0)
			close(fd);
		failed(err == -EBUSY ? -ETIMEDOUT : err);
		return;
	}
	policy.is_connecting = true;
	later(PATIENCE_NS);
}

/* The attempt to connect may be over.  If so, send HELLO, or note the failure. */
static void connected(void)
{
	struct tri_async_connected d;
	int err;

	if (!tri_async_connect_end(&d))
		return;
	policy.is_connecting = false;
	if (d.watch >= 0) {
		if (policy.watch >= 0 && policy.watch != d.watch)
			inotify_rm_watch(policy.inotify, policy.watch);
		policy.watch = d.watch;
		strncpy(policy.awaited, d.awaited, sizeof(policy.awaited) - 1);
	}
	policy.fd = d.sock;
	err = d.err ? d.err : tri_hello_send(policy.fd, tri_may_spawn());
	if (err)
		failed(err);
	else
		later(PATIENCE_NS);
}

/* Whether an event is about the name that we wait for, or its folder. */
static bool matters(const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW)
		return true;
	return e->wd == policy.watch &&
	       (e->mask & FOLDER_IS_GONE || (e->len && !strcmp(e->name, policy.awaited)));
}

static void read_events(void)
{
	_Alignas(struct inotify_event) char buffer[4096];
	bool news = false;
	ssize_t n;

	while ((n = read(policy.inotify, buffer, sizeof(buffer))) > 0) {
		char *at = buffer;

		while (at < buffer + n) {
			const struct inotify_event *e = (const struct inotify_event *)at;

			if (matters(e)) {
				news = true;
				if (e->mask & FOLDER_IS_GONE)
					policy.watch = -1;
			}
			at += sizeof(*e) + e->len;
		}
	}
	policy.muted_until_ns = tri_now_ns() + MUTED_NS;
	if (!news)
		return;
	policy.pause_ns = PAUSE_MIN_NS;
	if (policy.fd < 0)
		later(0);
}

static enum tri_policy_news welcomed(int marker, struct tri_welcome *w)
{
	int err;

	if (!w->is_policy) {
		policy.linked_ns = tri_now_ns();
		tri_shared_is_back();
		stop();
		return TRI_POLICY_MARKS;
	}
	err = tri_policy_send(marker, policy.fd, w->board);
	tri_welcome_close(w);
	if (err) {
		failed(err);
	} else {
		tri_shared_is_back();
		tri_policy_linked();
	}
	return TRI_POLICY_NOTHING;
}

static enum tri_policy_news receive_answer(int marker)
{
	struct tri_welcome w;
	int err = tri_hello_receive(policy.fd, &w);

	if (!err)
		return welcomed(marker, &w);
	if (err == -EAGAIN || err == -EINTR)
		return TRI_POLICY_NOTHING;
	if (err == -EACCES)
		tri_complain(TRI_COMPLAINT_SHARED, true,
			     "tricolor: the tricolord at %s is passed over: %s",
			     tri_g.settings.socket, tri_hello_why(err, &w));
	failed(err);
	return TRI_POLICY_NOTHING;
}

/**
 * What to wait for: fills in up to TRI_POLICY_FDS of @p, and makes @until_ns earlier (0: without
 * end).
 */
unsigned int tri_policy_poll(struct pollfd *p, uint64_t *until_ns)
{
	unsigned int n = 0;
	uint64_t due;

	if (!policy.searching)
		return 0;
	due = policy.due_ns;
	/* Events wait until it is known which folder they are about. */
	if (policy.is_connecting)
		p[n++] = (struct pollfd){ .fd = tri_async_connect_fd(), .events = POLLIN };
	else if (policy.inotify >= 0 && tri_now_ns() >= policy.muted_until_ns)
		p[n++] = (struct pollfd){ .fd = policy.inotify, .events = POLLIN };
	else if (policy.inotify >= 0 && policy.muted_until_ns < due)
		due = policy.muted_until_ns;
	if (policy.fd >= 0)
		p[n++] = (struct pollfd){ .fd = policy.fd, .events = POLLIN };
	if (!*until_ns || due < *until_ns)
		*until_ns = due;
	return n;
}

/** Deal with the events of tri_policy_poll().  @marker: the socket of the present tricolord. */
enum tri_policy_news tri_policy_receive(int marker, const struct pollfd *p, unsigned int n)
{
	enum tri_policy_news news = TRI_POLICY_NOTHING;
	unsigned int i;

	if (!policy.searching)
		return news;
	for (i = 0; i < n; i++) {
		if (p[i].revents && policy.is_connecting)
			connected();
		else if (p[i].revents && p[i].fd == policy.inotify)
			read_events();
		else if (p[i].revents && p[i].fd == policy.fd)
			news = receive_answer(marker);
	}
	if (policy.searching && tri_now_ns() >= policy.due_ns) {
		if (policy.is_connecting)
			abandon_connect();
		else if (policy.fd < 0) {
			try_it();
			return news;
		}
		failed(-ETIMEDOUT);
	}
	return news;
}
