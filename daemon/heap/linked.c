// SPDX-License-Identifier: GPL-2.0-only
/*
 * linked.c - the marker's end of a link: see daemon/clients/link.h
 *
 *  1. The agent hands over link and board.  They are checked as if an enemy had sent them, as a
 *     policy is a process of another user, in another container.
 *  2. Once the policy has ordered a share its watcher splits memory, and ours pauses.  A policy
 *     gets its CPU time elsewhere, and may have none for a second.  So until then our watcher goes
 *     on, or the share from a policy before this one stays in force.  Orders of both are met by the
 *     same code (orders.c).
 *  3. When the link ends the arena goes on with what is in force.  Our own watcher reads its groups
 *     at once and orders what follows; until then the policy's last share holds.  The agent is
 *     told, and finds another policy.
 *  4. If a policy does not read its board for some seconds after a message, as it is stopped, its
 *     link is closed as if it had ended.  This is checked when a cycle starts, so it needs no
 *     timer.
 *  5. The agent does not know about a policy that private collectors have elected (elect.c).  A
 *     policy that the agent hands over takes its place.  When the link with an elected policy ends,
 *     our watcher pauses until the next election has a result.
 *  6. Lines for the log go to the policy as well, because a marker's standard error mostly leads
 *     nowhere.
 */
#include "linked.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arena.h"
#include "channel.h"
#include "core/system/clock.h"
#include "daemon/clients/election.h"
#include "daemon/process/fault.h"
#include "daemon/process/log.h"
#include "publish.h"
#include "daemon/clients/watcher.h"

/*
 * The link to which lines of the log are copied.  The lock is held for a send that does not wait.
 */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int log_sock = -1;

static void copy_line(enum log_level level, const char *line)
{
	pthread_mutex_lock(&log_lock);
	if (log_sock >= 0)
		link_send(log_sock, LINK_LOG, 0, level, line);
	pthread_mutex_unlock(&log_lock);
}

static void copy_log_to(int sock)
{
	pthread_mutex_lock(&log_lock);
	log_sock = sock;
	pthread_mutex_unlock(&log_lock);
	log_copy_to(sock < 0 ? NULL : copy_line);
}

bool linked_is(void)
{
	bool is;

	pthread_mutex_lock(&log_lock);
	is = log_sock >= 0;
	pthread_mutex_unlock(&log_lock);
	return is;
}

pid_t linked_policy(void)
{
	struct ucred cred = { .pid = 0 };
	socklen_t len = sizeof(cred);

	pthread_mutex_lock(&log_lock);
	if (log_sock >= 0 && getsockopt(log_sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		cred.pid = 0;
	pthread_mutex_unlock(&log_lock);
	return cred.pid;
}

void linked_splits(struct arena *a)
{
	a->linked.splits = true;
	watcher_pause(true);
}

void linked_init(struct linked *l)
{
	*l = (struct linked){ .given = { -1, -1 }, .sock = -1 };
}

/* Tell the agent that there is no policy, and why. */
static void report_gone(struct arena *a, int err, const char *why)
{
	struct tri_msg msg = { .type = TRI_MSG_POLICY_GONE,
			       .version = TRI_PROTO_ID,
			       .gone.error = (uint64_t)err };

	snprintf(msg.text, sizeof(msg.text), "%s", why);
	channel_send(a, &msg);
}

/* Close link and board.  Nobody is told, and our watcher still pauses. */
static void drop_link(struct arena *a)
{
	struct linked *l = &a->linked;

	copy_log_to(-1);
	memset(&a->orders[FROM_POLICY], 0, sizeof(a->orders[FROM_POLICY]));
	link_board_unmap(&l->board);
	if (l->sock >= 0)
		close(l->sock);
	l->sock = -1;
	l->wanted_ns = 0;
	if (l->elected)
		election_link_over();
	l->elected = l->splits = false;
}

/* Have our own watcher split again. */
static void resume_watcher(void)
{
	/* The name by which watchers of other collectors count us: see groups.c. */
	prctl(PR_SET_NAME, "tricolord");
	watcher_pause(false);
}

/* The caller calls pacing_update(), as the watcher is no longer to be woken by allocation. */
static void end_link(struct arena *a, int err, const char *why)
{
	bool elected = a->linked.elected;

	if (a->linked.sock < 0)
		return;
	drop_link(a);
	limit_set_wake_after(a, 0);
	if (elected) {
		log_debug("client %d: elects a policy: %s", a->client.pid, why);
		return;
	}
	resume_watcher();
	log_line("client %d: goes on without a policy: %s", a->client.pid, why);
	report_gone(a, err, why);
	election_bar(false);
}

static bool is_link(int sock)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(domain);

	return !getsockopt(sock, SOL_SOCKET, SO_DOMAIN, &domain, &len) && domain == AF_UNIX &&
	       !getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_SEQPACKET;
}

static void begin_link(struct arena *a, int sock, int fd, bool elected)
{
	const char *why = "the link is no socket for packets";
	struct linked *l = &a->linked;
	struct link_board b = { 0 };
	int err = EPROTOTYPE;

	if (is_link(sock))
		err = link_board_map(&b, fd, &why);
	if (fd >= 0)
		close(fd);
	if (err) {
		if (sock >= 0)
			close(sock);
		log_warning("client %d: its policy is not taken: %s", a->client.pid, why);
		if (elected)
			election_link_over();
		else
			report_gone(a, err, why);
		return;
	}
	if (!elected)
		election_bar(true);
	/* The share of an earlier policy stays until this one orders another. */
	drop_link(a);
	if (a->limit.share_bytes != PACER_NO_LIMIT)
		linked_splits(a);
	prctl(PR_SET_NAME, elected ? "tricolor-peer" : "tricolor-marker");
	assert(l->sock < 0 && !l->board.board);
	l->sock = sock;
	l->elected = elected;
	l->board = b;
	a->orders[FROM_POLICY].board = b.board;
	board_set_phase(b.board, a->phase);
	publish_figures(a);
	if (!link_send(sock, LINK_ATTACH, getpid(), 0, "")) {
		end_link(a, 0, "the policy has ended");
		return;
	}
	copy_log_to(sock);
}

bool linked_begin(struct arena *a)
{
	struct linked *l = &a->linked;
	int sock = l->given[0], fd = l->given[1];

	/* Nothing was handed over, or a message without descriptors, which changes nothing. */
	if (sock < 0 && fd < 0)
		return false;
	l->given[0] = l->given[1] = -1;
	begin_link(a, sock, fd, false);
	return true;
}

bool linked_elected(struct arena *a)
{
	struct linked *l = &a->linked;
	int given[2], i;

	switch (election_take(given)) {
	case ELECTION_NOTHING:
		return false;
	case ELECTION_LINK:
		if (l->sock < 0 || l->elected) {
			begin_link(a, given[0], given[1], true);
			return true;
		}
		/* The agent's policy came first. */
		for (i = 0; i < 2; i++)
			if (given[i] >= 0)
				close(given[i]);
		election_link_over();
		return false;
	case ELECTION_ALONE:
		if (l->elected)
			end_link(a, 0, "another group limits its client");
		else if (l->sock < 0)
			resume_watcher();
		return true;
	}
	return false;
}

bool linked_receive(struct arena *a)
{
	struct linked *l = &a->linked;
	unsigned int left = LINK_MESSAGES;
	struct link_msg msg;
	ssize_t n = 0;

	while (l->sock >= 0 && left--) {
		n = recv(l->sock, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			end_link(a, 0, "the policy has ended");
		else if (n != sizeof(msg) || msg.type != LINK_RING || msg.version != LINK_VERSION)
			end_link(a, EPROTO, "the policy speaks another protocol");
	}
	if (l->sock >= 0 && fault_happened(l->board.guard))
		end_link(a, EIO, "a page of the board is missing");
	return l->sock < 0;
}

/* Note @want on the board, and tell the policy.  True: the link has ended. */
static bool want(struct arena *a, uint32_t want)
{
	struct linked *l = &a->linked;
	uint32_t before = atomic_fetch_or(&l->board.board->wants, want);

	if (!before || !l->wanted_ns)
		l->wanted_ns = clock_ns();
	if (!link_send(l->sock, LINK_RING, 0, 0, ""))
		end_link(a, 0, "the policy has ended");
	else if (before && clock_ns() - l->wanted_ns > LINK_SILENCE_NS)
		end_link(a, ETIMEDOUT, "the policy does not answer; is it stopped?");
	return l->sock < 0;
}

bool linked_wake(struct arena *a)
{
	struct linked *l = &a->linked;
	struct board *b = l->board.board;

	watcher_wake();
	if (l->sock < 0)
		return false;
	/* pairs with fall_asleep() of watch.c, in the policy */
	if (atomic_load(&b->asleep) && atomic_exchange(&b->asleep, 0))
		return want(a, BOARD_WAKE);
	if (l->wanted_ns && atomic_load(&b->wants))
		return want(a, 0);
	l->wanted_ns = 0;
	return false;
}

bool linked_report_overfull(struct arena *a)
{
	if (!a->linked.splits)
		watcher_notify();
	return a->linked.sock >= 0 && want(a, BOARD_OVERFULL);
}

bool linked_met(struct arena *a)
{
	return a->linked.sock >= 0 && want(a, BOARD_MET);
}

void linked_exit(struct arena *a)
{
	drop_link(a);
	if (a->linked.given[0] >= 0)
		close(a->linked.given[0]);
	if (a->linked.given[1] >= 0)
		close(a->linked.given[1]);
}
