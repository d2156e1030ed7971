// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hello.c - HELLO and its answer
 *
 * HELLO brings the arena, and files of our control groups.  If so many descriptors can't be had or
 * sent, it goes without the files.  A WELCOME may bring descriptors too.  Whoever has sent a
 * message, no descriptor that came with it stays open unless the message says what it is.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/proto/client.h"
#include "../../core/proto/passing.h"
#include "../../core/proto/version.h"
#include "agent.h"
#include "../heap/backing.h"
#include "../base/error.h"
#include "hello.h"
#include "../start/init.h"
#include "../base/settings.h"
#include "../base/state.h"
#include "tricolor.h"

#define HELLO_S 5

/** TRI_HELLO_DEFAULT_*: the settings that the collector's configuration may choose. */
uint32_t tri_unchosen(void)
{
	uint32_t chosen = tri_read(&tri_g.settings.chosen);

	return (chosen & TRI_CHOSEN_GC_PERCENT ? 0 : TRI_HELLO_DEFAULT_GC_PERCENT) |
	       (chosen & TRI_CHOSEN_MEMORY_LIMIT ? 0 : TRI_HELLO_DEFAULT_MEMORY_LIMIT) |
	       (chosen & TRI_CHOSEN_LIMIT_POLICY ? 0 : TRI_HELLO_DEFAULT_LIMIT_POLICY);
}

/**
 * Send HELLO.  @starts_marker: we could start a marker if this collector decides about limits only.
 */
int tri_hello_send(int fd, bool starts_marker)
{
	static struct tri_introduction in;	/* it is large for the agent's stack */
	int arena = tri_backing_pass(&tri_g.mapping), err;

	if (arena < 0)
		return arena;
	memset(&in, 0, sizeof(in));
	in.msg.type = TRI_MSG_HELLO;
	in.msg.version = TRI_PROTO_ID;
	in.msg.cycle = tri_g.gen;
	in.msg.hello.flags = (tri_g.settings.trace_gc ? TRI_HELLO_TRACE_GC : 0u) |
		   (tri_g.settings.trace_pacer ? TRI_HELLO_TRACE_PACER : 0u) |
		   (tri_g.settings.trace_scav ? TRI_HELLO_TRACE_SCAV : 0u) |
		   (tri_g.settings.trace_limit ? TRI_HELLO_TRACE_LIMIT : 0u) |
		   (starts_marker ? TRI_HELLO_STARTS_MARKER : 0u) | tri_unchosen();
	snprintf(in.msg.client.release, sizeof(in.msg.client.release), "%s", TRI_VERSION);
	in.fds[0] = arena;
	in.msg.client.fds[0] = TRI_FD_ARENA;
	in.count = 1;
	tri_identify(&in);
	err = tri_pass(fd, &in.msg, in.fds, in.count, MSG_DONTWAIT);
	tri_identify_end(&in);
	if (err == -ETOOMANYREFS) {
		memset(in.msg.client.fds + 1, 0, sizeof(in.msg.client.fds) - 1);
		in.msg.client.cgroup_version = 0;
		snprintf(in.msg.client.why, sizeof(in.msg.client.why),
			 "its user has too many descriptors in flight; "
			 "raise its limit of open files");
		err = tri_pass(fd, &in.msg, in.fds, 1, MSG_DONTWAIT);
	}
	tri_backing_passed(&tri_g.mapping, arena);
	return err;
}

/** Hand @link and @board to the marker at @fd.  The caller still has to close them. */
int tri_policy_send(int fd, int link, int board)
{
	struct tri_msg msg = { .type = TRI_MSG_POLICY, .version = TRI_PROTO_ID };
	int fds[2] = { link, board };

	return tri_pass(fd, &msg, fds, 2, MSG_DONTWAIT);
}

void tri_welcome_close(struct tri_welcome *w)
{
	if (w->board >= 0)
		close(w->board);
	if (w->program >= 0)
		close(w->program);
	w->board = w->program = -1;
}

/* Read an answer, whose descriptors are in @w already.  Returns 0 or a negative errno. */
static int understand(const struct tri_msg *m, size_t count, struct tri_welcome *w)
{
	if (m->type == TRI_MSG_REFUSE) {
		snprintf(w->refusal, sizeof(w->refusal), "it refuses this heap: %.120s", m->text);
		return -EACCES;
	}
	if (m->type != TRI_MSG_WELCOME)
		return -EPROTO;
	w->pid = (uint32_t)m->welcome.pid;
	w->is_policy = m->kind == TRI_WELCOME_POLICY;
	if (m->kind == TRI_WELCOME_MARKS)
		return count ? -EPROTO : 0;
	return w->is_policy && count == m->welcome.descriptors && (count == 1 || count == 2) ?
		       0 :
		       -EPROTO;
}

/** Receive the answer to HELLO.  Returns 0 or a negative errno; -EAGAIN: there is none yet. */
int tri_hello_receive(int fd, struct tri_welcome *w)
{
	struct tri_msg reply;
	int fds[2], err;
	size_t count;
	ssize_t n = tri_receive(fd, &reply, 0, fds, 2, &count);

	*w = (struct tri_welcome){ .board = -1, .program = -1 };
	if (n < 0)
		return -errno;
	w->board = fds[0];
	w->program = fds[1];
	reply.text[sizeof(reply.text) - 1] = 0;
	if (n != sizeof(reply))
		err = n ? -EPROTO : -ECONNRESET;
	else
		err = understand(&reply, count, w);
	if (err)
		tri_welcome_close(w);
	return err;
}

/** Wait for the answer to HELLO, some seconds at most.  Agent. */
int tri_hello_wait(int fd, struct tri_welcome *w)
{
	uint64_t until = tri_now_ns() + HELLO_S * 1000000000ull, now;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int err;

	*w = (struct tri_welcome){ .board = -1, .program = -1 };
	do {
		now = tri_now_ns();
		if (now >= until)
			return -ETIMEDOUT;
		/* A complaint about a second without a collector must not come late. */
		err = tri_agent_poll(&p, 1,
				     until - now < 1000000000 ? (int)((until - now) / 1000000) + 1 :
								1000) ?
			      tri_hello_receive(fd, w) :
			      -EAGAIN;
		if (err)
			tri_say_without();
	} while (err == -EINTR || err == -EAGAIN);
	return err;
}

/** What is wrong with a collector that did not welcome us. */
const char *tri_hello_why(int err, const struct tri_welcome *w)
{
	switch (-err) {
	case EACCES:
		return w->refusal[0] ? w->refusal : strerror(EACCES);
	case ETIMEDOUT:
		return "it does not answer; is it stopped?";
	case ETIME:
		return "its path is not found in time; does its file system answer?";
	case EAGAIN:
		return "its queue of connections is full; is it stopped?";
	case ECONNRESET:
	case EPIPE:
		return "it hung up";
	case EPROTO:
		return "what is there is no tricolord";
	default:
		return strerror(-err);
	}
}
