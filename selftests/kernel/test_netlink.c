// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_netlink.c - the generic netlink family "tricolor": round trips, refusals, events
 *
 * Through libnl-genl-3.
 */
#include <sched.h>
#include <sys/prctl.h>

#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include <linux/tricolor_netlink.h>

#include "arena.h"

#define BYTES (4 * MiB)
#define ARENAS 40

FIXTURE(netlink)
{
	struct nl_sock *sock;
	int family;
	int fd, collector;
	uint32_t id;
};

static struct nl_sock *new_socket(void)
{
	struct nl_sock *s = nl_socket_alloc();

	ASSERT_NE(NULL, s);
	ASSERT_EQ(0, genl_connect(s));
	/* The tests look at answers, not at acknowledgements. */
	nl_socket_disable_auto_ack(s);
	return s;
}

FIXTURE_SETUP(netlink)
{
	REQUIRE_MODULE();
	self->sock = new_socket();
	self->family = genl_ctrl_resolve(self->sock, TRICOLOR_FAMILY_NAME);
	ASSERT_LT(0, self->family);
	self->fd = new_arena(BYTES, 0, &self->id);
	self->collector = new_collector(self->fd);
}

FIXTURE_TEARDOWN(netlink)
{
	nl_socket_free(self->sock);
}

/* What a message says of an arena. */
struct said {
	int messages;
	uint8_t cmd;
	uint32_t id, flags, state, collectors, uid;
	int32_t pid, gc_percent;
	uint64_t bytes, resident, reclaimed;
	int64_t limit;
	bool complete;			/* each attribute was there */
	uint32_t ids[256];
};

/* Numbers of attributes that there were once. */
static bool is_unused(int attr)
{
	return attr == 9 || attr == 11;
}

static int on_message(struct nl_msg *m, void *arg)
{
	struct genlmsghdr *g = genlmsg_hdr(nlmsg_hdr(m));
	struct nlattr *a[TRICOLOR_A_ARENA_MAX + 1];
	struct said *s = arg;
	int i;

	if (nla_parse(a, TRICOLOR_A_ARENA_MAX, genlmsg_attrdata(g, 0), genlmsg_attrlen(g, 0), NULL))
		return NL_SKIP;
	s->cmd = g->cmd;
	/* Of an event this is all. */
	if (a[TRICOLOR_A_ARENA_ID])
		s->id = nla_get_u32(a[TRICOLOR_A_ARENA_ID]);
	s->complete = true;
	for (i = 1; i < TRICOLOR_A_ARENA_PAD; i++)
		s->complete &= !!a[i] != is_unused(i);
	if (!s->complete)
		return NL_OK;
	s->flags = nla_get_u32(a[TRICOLOR_A_ARENA_FLAGS]);
	s->state = nla_get_u32(a[TRICOLOR_A_ARENA_STATE]);
	s->collectors = nla_get_u32(a[TRICOLOR_A_ARENA_COLLECTORS]);
	s->uid = nla_get_u32(a[TRICOLOR_A_ARENA_OWNER_UID]);
	s->pid = nla_get_s32(a[TRICOLOR_A_ARENA_OWNER_PID]);
	s->gc_percent = nla_get_s32(a[TRICOLOR_A_ARENA_GC_PERCENT]);
	s->bytes = nla_get_u64(a[TRICOLOR_A_ARENA_BYTES]);
	s->resident = nla_get_u64(a[TRICOLOR_A_ARENA_RESIDENT_BYTES]);
	s->reclaimed = nla_get_u64(a[TRICOLOR_A_ARENA_RECLAIMED_BYTES]);
	s->limit = (int64_t)nla_get_u64(a[TRICOLOR_A_ARENA_MEMORY_LIMIT_BYTES]);
	if (s->messages < 256)
		s->ids[s->messages] = s->id;
	s->messages++;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	(void)who;
	*(int *)arg = e->error;
	return NL_STOP;
}

static int on_end(struct nl_msg *m, void *arg)
{
	(void)m;
	*(int *)arg = 0;
	return NL_STOP;
}

/*
 * Send @m, and read until its answer is complete: the acknowledgement, an error, or a dump's end.
 * Returns 0 or -errno of the kernel.
 */
static int ask(struct nl_sock *sock, struct nl_msg *m, struct said *s)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int result = 1, err;

	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_message, s);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &result);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, &result);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &result);
	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_ACK;
	ASSERT_LE(0, nl_send_auto(sock, m));
	while (result > 0) {
		err = nl_recvmsgs(sock, cb);
		/* The kernel's own word comes as an error of the library's as well. */
		if (result > 0)
			ASSERT_LE(0, err);
	}
	nl_cb_put(cb);
	nlmsg_free(m);
	return result;
}

static struct nl_msg *message(const struct netlink_self *self, uint8_t cmd, int flags)
{
	struct nl_msg *m = nlmsg_alloc();

	ASSERT_NE(NULL, m);
	ASSERT_NE(NULL, genlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, self->family, 0, flags, cmd,
				    TRICOLOR_FAMILY_VERSION));
	return m;
}

static struct nl_msg *get_message(const struct netlink_self *self, uint32_t id)
{
	struct nl_msg *m = message(self, TRICOLOR_CMD_ARENA_GET, 0);

	nla_put_u32(m, TRICOLOR_A_ARENA_ID, id);
	return m;
}

static struct nl_msg *set_message(const struct netlink_self *self, uint32_t id)
{
	struct nl_msg *m = message(self, TRICOLOR_CMD_ARENA_SET, 0);

	nla_put_u32(m, TRICOLOR_A_ARENA_ID, id);
	return m;
}

TEST_F(netlink, get)
{
	struct said s = { 0 };
	char *p = map_rw(self->fd, BYTES);

	memset(p, 1, 16 * PAGE);
	ASSERT_EQ(0, reclaim(self->fd, 0, 4 * PAGE));
	ASSERT_EQ(0, ask(self->sock, get_message(self, self->id), &s));
	EXPECT_EQ(1, s.messages);
	EXPECT_TRUE(s.complete);
	EXPECT_EQ(TRICOLOR_CMD_ARENA_GET, s.cmd);
	EXPECT_EQ(self->id, s.id);
	EXPECT_EQ(getpid(), s.pid);
	EXPECT_EQ(getuid(), s.uid);
	EXPECT_EQ(0, s.flags);
	EXPECT_EQ(0, s.state);
	EXPECT_EQ(1, s.collectors);
	EXPECT_EQ(BYTES, s.bytes);
	EXPECT_EQ(12 * PAGE, s.resident);
	EXPECT_EQ(4 * PAGE, s.reclaimed);
	EXPECT_EQ(100, s.gc_percent);
	EXPECT_EQ(INT64_MAX, s.limit);
}

TEST_F(netlink, get_refusals)
{
	struct said s = { 0 };
	struct nl_msg *m;

	EXPECT_EQ(-ENOENT, ask(self->sock, get_message(self, self->id + 100000), &s));
	EXPECT_EQ(-EINVAL, ask(self->sock, message(self, TRICOLOR_CMD_ARENA_GET, 0), &s));
	/* An attribute that is too short, and one that nobody knows. */
	m = message(self, TRICOLOR_CMD_ARENA_GET, 0);
	nla_put_u8(m, TRICOLOR_A_ARENA_ID, 1);
	EXPECT_GT(0, ask(self->sock, m, &s));
	m = get_message(self, self->id);
	nla_put_u32(m, TRICOLOR_A_ARENA_MAX + 7, 1);
	EXPECT_GT(0, ask(self->sock, m, &s));
	/* Commands that are events only, and none at all. */
	EXPECT_EQ(-EOPNOTSUPP, ask(self->sock, message(self, TRICOLOR_CMD_TUNABLES, 0), &s));
	EXPECT_EQ(-EOPNOTSUPP, ask(self->sock, message(self, 200, 0), &s));
	EXPECT_EQ(0, s.messages);
}

/* More arenas than one message holds. */
TEST_F(netlink, dump)
{
	struct said s = { 0 };
	uint32_t mine[ARENAS];
	int i, j, found = 0;

	for (i = 0; i < ARENAS; i++)
		new_arena(PAGE, 0, &mine[i]);
	ASSERT_EQ(0, ask(self->sock, message(self, TRICOLOR_CMD_ARENA_GET, NLM_F_DUMP), &s));
	EXPECT_LE(ARENAS + 1, s.messages);
	EXPECT_TRUE(s.complete);
	for (i = 0; i < s.messages && i < 256; i++) {
		if (i)
			EXPECT_LT(s.ids[i - 1], s.ids[i]);
		for (j = 0; j < ARENAS; j++)
			found += s.ids[i] == mine[j];
	}
	EXPECT_EQ(ARENAS, found);
}

/* A dump that is begun and not read holds nothing. */
TEST_F(netlink, dump_given_up)
{
	struct nl_msg *m = message(self, TRICOLOR_CMD_ARENA_GET, NLM_F_DUMP);
	int i;

	for (i = 0; i < ARENAS; i++)
		new_arena(PAGE, 0, NULL);
	ASSERT_LE(0, nl_send_auto(self->sock, m));
	nlmsg_free(m);
	nl_socket_free(self->sock);
	self->sock = new_socket();
}

TEST_F(netlink, set)
{
	struct tricolor_tunables t = { .size = sizeof(t) };
	struct said s = { 0 };
	struct nl_msg *m = set_message(self, self->id);

	nla_put_s32(m, TRICOLOR_A_ARENA_GC_PERCENT, 42);
	nla_put_u64(m, TRICOLOR_A_ARENA_MEMORY_LIMIT_BYTES, 1ull << 40);
	EXPECT_EQ(0, ask(self->sock, m, &s));
	ASSERT_EQ(0, call(self->collector, TRICOLOR_IOC_TUNABLES, &t));
	EXPECT_EQ(TRICOLOR_TUNABLE_GC_PERCENT | TRICOLOR_TUNABLE_MEMORY_LIMIT, t.set);
	EXPECT_EQ(42, t.gc_percent);
	EXPECT_EQ(1ull << 40, t.memory_limit_bytes);
	EXPECT_EQ(1, t.sequence);
	m = set_message(self, self->id);
	nla_put_s32(m, TRICOLOR_A_ARENA_GC_PERCENT, -1);
	EXPECT_EQ(0, ask(self->sock, m, &s));
	ASSERT_EQ(0, call(self->collector, TRICOLOR_IOC_TUNABLES, &t));
	EXPECT_EQ(-1, t.gc_percent);
	EXPECT_EQ(1ull << 40, t.memory_limit_bytes);
}

TEST_F(netlink, set_refusals)
{
	struct tricolor_tunables t = { .size = sizeof(t) };
	struct said s = { 0 };
	struct nl_msg *m;

	EXPECT_EQ(-EINVAL, ask(self->sock, set_message(self, self->id), &s));
	m = set_message(self, self->id);
	nla_put_s32(m, TRICOLOR_A_ARENA_GC_PERCENT, -2);
	EXPECT_EQ(-ERANGE, ask(self->sock, m, &s));
	m = set_message(self, self->id);
	nla_put_u64(m, TRICOLOR_A_ARENA_MEMORY_LIMIT_BYTES, ~0ull);
	EXPECT_EQ(-ERANGE, ask(self->sock, m, &s));
	m = set_message(self, self->id + 100000);
	nla_put_s32(m, TRICOLOR_A_ARENA_GC_PERCENT, 50);
	EXPECT_EQ(-ENOENT, ask(self->sock, m, &s));
	m = message(self, TRICOLOR_CMD_ARENA_SET, 0);
	nla_put_s32(m, TRICOLOR_A_ARENA_GC_PERCENT, 50);
	EXPECT_EQ(-EINVAL, ask(self->sock, m, &s));
	/* What can't be set is not silently ignored. */
	m = set_message(self, self->id);
	nla_put_s32(m, TRICOLOR_A_ARENA_GC_PERCENT, 50);
	nla_put_u64(m, TRICOLOR_A_ARENA_RESIDENT_BYTES, 0);
	EXPECT_GT(0, ask(self->sock, m, &s));
	ASSERT_EQ(0, call(self->collector, TRICOLOR_IOC_TUNABLES, &t));
	EXPECT_EQ(0, t.sequence);
	close(self->fd);
	m = set_message(self, self->id);
	nla_put_s32(m, TRICOLOR_A_ARENA_GC_PERCENT, 50);
	EXPECT_GT(0, ask(self->sock, m, &s));
}

/* A user reads what it has made itself. */
TEST_F(netlink, unprivileged)
{
	EXPECT_EQ(0, IN_CHILD({
		struct said s = { 0 };
		struct nl_sock *sock;
		struct nl_msg *m;
		uint32_t mine;

		become_nobody();
		sock = new_socket();
		new_arena(BYTES, 0, &mine);
		EXPECT_EQ(-EPERM, ask(sock, get_message(self, self->id), &s));
		EXPECT_EQ(0, s.messages);
		EXPECT_EQ(0, ask(sock, get_message(self, mine), &s));
		EXPECT_EQ(65534, s.uid);
		s = (struct said){ 0 };
		EXPECT_EQ(0, ask(sock, message(self, TRICOLOR_CMD_ARENA_GET, NLM_F_DUMP), &s));
		EXPECT_EQ(1, s.messages);
		EXPECT_EQ(mine, s.id);
		m = set_message(self, mine);
		nla_put_s32(m, TRICOLOR_A_ARENA_GC_PERCENT, 50);
		EXPECT_EQ(-EPERM, ask(sock, m, &s));
		/* A socket that root opened and a nobody uses. */
		m = set_message(self, self->id);
		nla_put_s32(m, TRICOLOR_A_ARENA_GC_PERCENT, 50);
		EXPECT_EQ(-EPERM, ask(self->sock, m, &s));
		EXPECT_EQ(-EPERM, ask(self->sock, get_message(self, self->id), &s));
	}));
}

/* ------------------------------------------------------------------------------------------ */
/* Events                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static struct nl_sock *listener(void)
{
	struct nl_sock *s = new_socket();
	int group = genl_ctrl_resolve_grp(s, TRICOLOR_FAMILY_NAME, TRICOLOR_MCGRP_EVENTS);

	ASSERT_LT(0, group);
	ASSERT_EQ(0, nl_socket_add_membership(s, group));
	nl_socket_disable_seq_check(s);
	return s;
}

/* Events have no sequence. */
static int any_sequence(struct nl_msg *m, void *unused)
{
	(void)m;
	(void)unused;
	return NL_OK;
}

/* Wait for the next event, and return its command; -1 if none comes. */
static int next_event(struct nl_sock *sock, struct said *s)
{
	struct pollfd p = { .fd = nl_socket_get_fd(sock), .events = POLLIN };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int cmd = -1;

	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, any_sequence, NULL);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_message, s);
	*s = (struct said){ 0 };
	if (poll(&p, 1, 20000) == 1 && nl_recvmsgs(sock, cb) >= 0)
		cmd = s->cmd;
	nl_cb_put(cb);
	return cmd;
}

/* Wait for the event @cmd of arena @id; others are passed over. */
static bool event(struct nl_sock *sock, uint8_t cmd, uint32_t id, struct said *s)
{
	int got;

	while ((got = next_event(sock, s)) >= 0)
		if (got == cmd && s->id == id)
			return true;
	return false;
}

TEST_F(netlink, events_of_life)
{
	struct nl_sock *l = listener();
	struct said s;
	uint32_t id;
	int fd = new_arena(2 * BYTES, 0, &id), collector;

	EXPECT_TRUE(event(l, TRICOLOR_CMD_ARENA_NEW, id, &s));
	collector = new_collector(fd);
	close(fd);
	close(collector);
	EXPECT_TRUE(event(l, TRICOLOR_CMD_ARENA_GONE, id, &s));
	nl_socket_free(l);
}

TEST_F(netlink, event_of_tunables)
{
	struct nl_sock *l = listener();
	struct said s;
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/tricolor/arena%u/gc_percent", self->id);
	ASSERT_EQ(0, write_text(path, "33"));
	EXPECT_TRUE(event(l, TRICOLOR_CMD_TUNABLES, self->id, &s));
	nl_socket_free(l);
}

/* A listener that does not read is nobody's problem but its own. */
TEST_F(netlink, listener_that_sleeps)
{
	struct nl_sock *l = listener();
	int i;

	for (i = 0; i < 2000; i++)
		close(new_arena(PAGE, 0, NULL));
	nl_socket_free(l);
}

/* A network namespace sees what was made in it, and the first one sees all. */
TEST_F(netlink, namespaces)
{
	struct nl_sock *outside = listener();
	struct said s = { 0 };
	int told[2];
	uint32_t id;

	ASSERT_EQ(0, pipe(told));
	EXPECT_EQ(0, IN_CHILD({
		struct said in = { 0 };
		struct nl_sock *sock, *inside;
		uint32_t mine;
		char path[96];
		int fd;

		ASSERT_EQ(0, unshare(CLONE_NEWNET));
		sock = new_socket();
		EXPECT_EQ(self->family, genl_ctrl_resolve(sock, TRICOLOR_FAMILY_NAME));
		inside = listener();
		EXPECT_EQ(-ENOENT, ask(sock, get_message(self, self->id), &in));
		EXPECT_EQ(0, ask(sock, message(self, TRICOLOR_CMD_ARENA_GET, NLM_F_DUMP), &in));
		EXPECT_EQ(0, in.messages);

		fd = new_arena(BYTES, 0, &mine);
		ASSERT_EQ(sizeof(mine), write(told[1], &mine, sizeof(mine)));
		EXPECT_TRUE(event(inside, TRICOLOR_CMD_ARENA_NEW, mine, &in));
		in = (struct said){ 0 };
		EXPECT_EQ(0, ask(sock, get_message(self, mine), &in));
		EXPECT_EQ(mine, in.id);
		EXPECT_EQ(getpid(), in.pid);
		in = (struct said){ 0 };
		EXPECT_EQ(0, ask(sock, message(self, TRICOLOR_CMD_ARENA_GET, NLM_F_DUMP), &in));
		EXPECT_EQ(1, in.messages);
		EXPECT_EQ(mine, in.id);

		/* What happens to an arena of the first namespace is not told in here … */
		snprintf(path, sizeof(path), "/sys/class/tricolor/arena%u/gc_percent", self->id);
		ASSERT_EQ(0, write_text(path, "77"));
		close(fd);
		/* … so that the next event is of ours. */
		EXPECT_EQ(TRICOLOR_CMD_ARENA_GONE, next_event(inside, &in));
		EXPECT_EQ(mine, in.id);
	}));
	ASSERT_EQ(sizeof(id), read(told[0], &id, sizeof(id)));
	EXPECT_TRUE(event(outside, TRICOLOR_CMD_ARENA_NEW, id, &s));
	EXPECT_TRUE(event(outside, TRICOLOR_CMD_ARENA_GONE, id, &s));
	close(told[0]);
	close(told[1]);
	nl_socket_free(outside);
}

/* Name the network namespace of @pid, so that its end is told; to be read from the socket. */
static int watch_namespace(pid_t pid)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
		struct nlattr id_head __attribute__((aligned(4)));
		int32_t id;
		struct nlattr pid_head;
		uint32_t pid;
	} m = {
		.h = { .nlmsg_len = sizeof(m), .nlmsg_type = RTM_NEWNSID,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.id_head = { sizeof(struct nlattr) + 4, NETNSA_NSID }, .id = 7531,
		.pid_head = { sizeof(struct nlattr) + 4, NETNSA_PID }, .pid = (uint32_t)pid,
	};
	struct { struct nlmsghdr h; struct nlmsgerr e; } answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), group = RTNLGRP_NSID;

	ASSERT_LE(0, fd);
	ASSERT_EQ(sizeof(m), write(fd, &m, sizeof(m)));
	ASSERT_LT(0, read(fd, &answer, sizeof(answer)));
	ASSERT_EQ(NLMSG_ERROR, answer.h.nlmsg_type);
	ASSERT_EQ(0, answer.e.error);
	ASSERT_EQ(0, setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	return fd;
}

/*
 * A collector that holds what is left of an arena does not keep the network namespace of its owner.
 */
TEST_F(netlink, no_namespace_is_kept)
{
	struct said s = { 0 };
	struct nlmsghdr told[64];
	struct pollfd p = { .events = POLLIN };
	int pair[2], collector;
	uint32_t id;
	pid_t pid;
	char byte;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ASSERT_EQ(0, unshare(CLONE_NEWNET));
		collector = new_collector(new_arena(BYTES, 0, NULL));
		send_descriptor(pair[1], collector);
		_exit(read(pair[1], &byte, 1) == 1 ? 0 : 1);
	}
	collector = receive_descriptor(pair[0]);
	id = info(collector).id;
	p.fd = watch_namespace(pid);
	ASSERT_EQ(1, write(pair[0], "x", 1));
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(collector).state);
	EXPECT_EQ(1, poll(&p, 1, 20000));
	ASSERT_LT(0, recv(p.fd, told, sizeof(told), MSG_DONTWAIT));
	EXPECT_EQ(RTM_DELNSID, told[0].nlmsg_type);
	/* The arena is listed still, where all are. */
	EXPECT_EQ(0, ask(self->sock, get_message(self, id), &s));
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, s.state);
	close(p.fd);
	close(collector);
}

/* Who asks is told the owner's number as it is where he is.  An event has nothing of the owner. */
TEST_F(netlink, users)
{
	struct nl_sock *outside = listener();
	struct said s = { 0 };
	int pair[2];
	uint32_t id;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct nl_sock *inside, *sock;
		struct said in = { 0 };
		uint32_t mine;
		char byte;

		become_nobody();
		/* Else what is in /proc/self is root's still. */
		ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(KSFT_SKIP);
		ASSERT_EQ(0, write_text("/proc/self/uid_map", "7 65534 1"));
		inside = listener();
		sock = new_socket();
		new_arena(BYTES, 0, &mine);
		EXPECT_TRUE(event(inside, TRICOLOR_CMD_ARENA_NEW, mine, &in));
		EXPECT_EQ(0, ask(sock, get_message(self, mine), &in));
		EXPECT_EQ(7, in.uid);
		ASSERT_EQ(sizeof(mine), write(pair[1], &mine, sizeof(mine)));
		/* Alive while it is looked at from outside. */
		ASSERT_EQ(1, read(pair[1], &byte, 1));
		_exit(th.failed ? KSFT_FAIL : 0);
	}
	close(pair[1]);
	if (read(pair[0], &id, sizeof(id)) != sizeof(id))
		SKIP(return, "no user namespaces for users here");
	EXPECT_EQ(0, ask(self->sock, get_message(self, id), &s));
	EXPECT_EQ(65534, s.uid);
	EXPECT_EQ(pid, s.pid);
	ASSERT_EQ(1, write(pair[0], "x", 1));
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_TRUE(event(outside, TRICOLOR_CMD_ARENA_NEW, id, &s));
	EXPECT_FALSE(s.complete);
	EXPECT_TRUE(event(outside, TRICOLOR_CMD_ARENA_GONE, id, &s));
	close(pair[0]);
	nl_socket_free(outside);
}

TEST_HARNESS_MAIN
