// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_kill.c - either side is killed at a random moment, in the middle of whatever it does
 *
 *	SEED=N KILL_ROUNDS=N test_kill
 *
 * Each round has an owner with two threads, and a collector, which do everything they can without a
 * pause.  One of them is killed, then the other.  What is left must know that it is alone, and
 * nothing may stay behind.
 */
#include <pthread.h>

#include "cgroup.h"

#define BYTES (4 * MiB)
#define PAGES (BYTES / PAGE)

static int rounds(void)
{
	const char *e = getenv("KILL_ROUNDS");

	return e ? atoi(e) : 40;
}

static void any_range(uint64_t *seed, uint64_t *offset, uint64_t *bytes)
{
	uint64_t from = draw_below(seed, PAGES);

	*offset = from * PAGE;
	*bytes = (draw_below(seed, PAGES - from) + 1) * PAGE;
}

static void any_call(int fd, uint64_t *seed)
{
	static uint64_t bits[PAGES / 64];
	struct tricolor_pacer pacer = { .size = sizeof(pacer), .events = TRICOLOR_EVENT_PHASE };
	uint64_t offset, bytes;

	any_range(seed, &offset, &bytes);
	switch (draw_below(seed, 4)) {
	case 0:
		reclaim(fd, offset, bytes);
		break;
	case 1:
		dirty_call(fd, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL);
		break;
	case 2:
		dirty_call(fd, 0, 0, BYTES, bits, NULL);
		break;
	default:
		call(fd, TRICOLOR_IOC_PUBLISH, &pacer);
		break;
	}
}

struct side {
	int fd;
	char *p;
	uint64_t seed;
	bool is_owner;
};

static void *act(void *arg)
{
	struct side *s = arg;
	uint64_t offset, bytes, i;
	char *p;

	for (;;) {
		any_call(s->fd, &s->seed);
		any_range(&s->seed, &offset, &bytes);
		for (i = 0; s->is_owner && i < bytes; i += PAGE)
			s->p[offset + i]++;
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, (off_t)offset);
		if (p != MAP_FAILED)
			munmap(p, bytes);
	}
	return NULL;
}

static pid_t start(int fd, bool is_owner, uint64_t seed)
{
	struct side s[2] = { { .fd = fd, .seed = seed, .is_owner = is_owner },
			     { .fd = fd, .seed = seed + 1, .is_owner = is_owner } };
	pthread_t thread;
	pid_t pid = fork();

	if (pid)
		return pid;
	s[0].p = s[1].p = map_rw(fd, BYTES);
	pthread_create(&thread, NULL, act, &s[1]);
	act(&s[0]);
	_exit(0);
}

TEST_TIMEOUT(either_side, 240)
{
	uint64_t seed;
	int round;

	REQUIRE_MODULE();
	seed = test_seed();
	for (round = 0; round < rounds(); round++) {
		bool owner_first = draw_below(&seed, 2);
		struct pollfd pfd;
		int fd, collector, held;
		pid_t owner, other;

		fd = new_arena(BYTES, draw_below(&seed, 4) ? 0 : TRICOLOR_CREATE_HUGE, NULL);
		collector = new_collector(fd);
		owner = start(fd, true, draw(&seed) | 1);
		/* Only the child is the owner now; of the collector's descriptor we keep one. */
		close(fd);
		other = start(collector, false, draw(&seed) | 1);
		held = collector;

		usleep((useconds_t)draw_below(&seed, 60000));
		kill(owner_first ? owner : other, SIGKILL);
		usleep((useconds_t)draw_below(&seed, 20000));
		if (owner_first) {
			EXPECT_EQ(128 + SIGKILL, wait_child(owner));
			pfd = (struct pollfd){ .fd = held, .events = POLLIN };
			EXPECT_EQ(1, poll(&pfd, 1, 20000));
			EXPECT_TRUE(pfd.revents & POLLHUP);
			EXPECT_EQ(-ESHUTDOWN, reclaim(held, 0, PAGE));
			EXPECT_TRUE(WAIT_FOR(!info(held).resident_bytes));
			kill(other, SIGKILL);
			EXPECT_EQ(128 + SIGKILL, wait_child(other));
		} else {
			EXPECT_EQ(128 + SIGKILL, wait_child(other));
			EXPECT_EQ(0, info(held).state & TRICOLOR_STATE_ORPHAN);
			/* Alone, the owner goes on. */
			EXPECT_EQ(0, kill(owner, 0));
			EXPECT_EQ(0, waitpid(owner, NULL, WNOHANG));
			kill(owner, SIGKILL);
			EXPECT_EQ(128 + SIGKILL, wait_child(owner));
			EXPECT_TRUE(WAIT_FOR(info(held).state & TRICOLOR_STATE_ORPHAN));
			EXPECT_TRUE(WAIT_FOR(!info(held).resident_bytes));
		}
		EXPECT_EQ(1, info(held).collectors);
		close(held);
	}
}

/* A killed owner's memory is free although the collector keeps it mapped and busy. */
TEST(memory_comes_back)
{
	struct cgroup c;
	int fd, collector;
	uint64_t before;
	pid_t owner;
	char *q;

	REQUIRE_MODULE();
	REQUIRE_CGROUPS();
	c = cgroup_new("kill");
	cgroup_enter(&c);
	fd = new_arena(64 * MiB, 0, NULL);
	cgroup_leave();
	collector = new_collector(fd);
	q = map_rw(collector, 64 * MiB);
	before = cgroup_get(&c, "memory.current", NULL);
	owner = fork();
	if (!owner) {
		char *p;

		cgroup_enter(&c);
		p = map_rw(fd, 64 * MiB);
		memset(p, 1, 64 * MiB);
		kill(getpid(), SIGKILL);
	}
	close(fd);
	wait_child(owner);
	EXPECT_TRUE(WAIT_FOR(info(collector).state & TRICOLOR_STATE_ORPHAN));
	EXPECT_TRUE(WAIT_FOR(!info(collector).resident_bytes));
	EXPECT_TRUE(WAIT_FOR(cgroup_get(&c, "memory.current", NULL) < before + MiB));
	munmap(q, 64 * MiB);
	EXPECT_TRUE(cgroup_remove(&c));
}

TEST_HARNESS_MAIN
