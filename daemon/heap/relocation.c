// SPDX-License-Identifier: GPL-2.0-only
/*
 * relocation.c - a marker whose client has moved to another session or control group
 *
 * A marker is scheduled and charged with its client, because the client has started it.  A client
 * may call setsid() later, or be moved to another control group.  The marker has no right to follow
 * it there, but a new marker that the client starts is there from the beginning.  So the marker
 * asks for one, between two cycles.
 *
 * A new marker inherits session and control group from the thread that starts it, which is the
 * client's agent.  So the agent's are compared with ours, and a new marker finds no difference.
 * The client says which thread its agent is, and is believed; a client that lies has its own
 * markers replaced.
 *
 * Where there is no /proc, or the client is in another PID namespace, nothing can be compared, and
 * the marker does not ask.
 */
#include "relocation.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "channel.h"
#include "core/system/clock.h"
#include "daemon/process/config.h"
#include "core/system/cgroup.h"
#include "daemon/process/log.h"
#include "handshake.h"

#define CHECK_NS 1000000000ull
#define FOLLOW_NS 1000000000ull		/* time in which the client closes the connection */
#define TEXT_BYTES 8192

/*
 * Compare the groups in the hierarchy that has @controller.  A group that can't be read does not
 * differ.
 */
static bool group_differs(const char *theirs, const char *ours, const char *controller, char *where,
			  size_t room)
{
	char a[TEXT_BYTES / 2], b[TEXT_BYTES / 2];

	if (!tri_cgroup_parse_membership(theirs, controller, a, sizeof(a)) ||
	    !tri_cgroup_parse_membership(ours, controller, b, sizeof(b)) || !strcmp(a, b))
		return false;
	snprintf(where, room, "its %s group is %.120s, the marker's is %.120s", controller, a, b);
	return true;
}

static bool groups_differ(const struct relocation_check *m, char *where, size_t room)
{
	char theirs[TEXT_BYTES], ours[TEXT_BYTES], thread[64];

	snprintf(thread, sizeof(thread), "/proc/%d/task/%d", m->pid, m->tid);
	return tri_cgroup_read(thread, "cgroup", theirs, sizeof(theirs)) &&
	       tri_cgroup_read("/proc/self", "cgroup", ours, sizeof(ours)) &&
	       (group_differs(theirs, ours, "cpu", where, room) ||
		group_differs(theirs, ours, "memory", where, room));
}

void relocation_init(struct relocation_check *m, pid_t pid, pid_t tid)
{
	m->pid = config_is_private() && pid > 0 && tid > 0 ? pid : 0;
	m->tid = tid;
	m->next_ns = clock_ns() + CHECK_NS;
}

bool relocation_detected(struct relocation_check *m, char *where, size_t room)
{
	uint64_t now;
	pid_t session;

	if (!m->pid)
		return false;
	now = clock_ns();
	if (now < m->next_ns)
		return false;
	m->next_ns = now + CHECK_NS;
	session = getsid(m->pid);
	if (session > 0 && session != getsid(0)) {
		snprintf(where, room, "its session is %d, the marker's is %d", (int)session,
			 (int)getsid(0));
		return true;
	}
	return groups_differ(m, where, room);
}

bool relocation_follow(struct arena *a)
{
	struct tri_msg ask = { .type = TRI_MSG_REPLACE, .version = TRI_PROTO_ID }, msg;
	struct pollfd p = { .fd = a->client.sock, .events = POLLIN };
	uint64_t until;

	if (!relocation_detected(&a->relocation, ask.text, sizeof(ask.text)))
		return true;
	log_line("client %d: moved: %s", a->client.pid, ask.text);
	if (!channel_send(a, &ask))
		return false;
	/*
	 * Wait, so that no cycle begins that would be given up at once.  If the client does not
	 * want another marker, it goes on with this one.
	 */
	until = clock_ns() + FOLLOW_NS;
	while (clock_ns() < until) {
		struct timespec left = { 0, 100000000 };

		if (!channel_poll(a, &p, 1, &left) || (p.revents && !handshake_receive(a, &msg)))
			return false;
	}
	return true;
}
