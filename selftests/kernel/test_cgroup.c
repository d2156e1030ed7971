// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_cgroup.c - who pays for an arena's memory, and what happens when it is too much
 *
 * The test itself stays outside.  The owner is a child in cgroup A, which makes the arena, the
 * collector one in cgroup B; they do what they are told over a socket, a letter at a time, so that
 * the test can look at both cgroups between two steps.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include "cgroup.h"

#define BYTES (64 * MiB)
/* Charges are counted in batches for each CPU, and processes have stacks and tables. */
#define SLACK (3 * MiB)

struct actor {
	pid_t pid;
	int socket;
};

FIXTURE(cgroup)
{
	struct cgroup a, b;
	int fd, collector;
	struct actor owner, other;
};

/* ------------------------------------------------------------------------------------------ */
/* Actors                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static char *mapped;

static void touch_all(void)
{
	uint64_t i;

	for (i = 0; i < BYTES; i += PAGE)
		*(volatile char *)(mapped + i) = (char)(i / PAGE) | 1;
}

static void read_all(void)
{
	uint64_t i;

	for (i = 0; i < BYTES; i += PAGE)
		(void)*(volatile char *)(mapped + i);
}

static int act(int fd, char what)
{
	switch (what) {
	case 'm':
		mapped = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		return mapped == MAP_FAILED;
	case 't':
		touch_all();
		return 0;
	case 'r':
		read_all();
		return 0;
	case 'e':
		return -reclaim(fd, 0, BYTES);
	default:
		return 1;
	}
}

/*
 * It has *@fd, and not @foreign: what one side holds must not keep what the other drops.  With *@fd
 * -1 it makes an arena, of which we get the descriptor.
 */
static struct actor start_actor(const struct cgroup *c, int *fd, int foreign)
{
	struct actor a;
	int pair[2];
	char what;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	a.pid = fork();
	ASSERT_LE(0, a.pid);
	if (!a.pid) {
		close(pair[0]);
		close(foreign);
		cgroup_enter(c);
		if (*fd < 0) {
			*fd = new_arena(BYTES, 0, NULL);
			send_descriptor(pair[1], *fd);
		}
		while (read(pair[1], &what, 1) == 1) {
			what = (char)act(*fd, what);
			if (write(pair[1], &what, 1) != 1)
				break;
		}
		_exit(0);
	}
	close(pair[1]);
	a.socket = pair[0];
	if (*fd < 0)
		*fd = receive_descriptor(pair[0]);
	return a;
}

/* 0, or what the actor says went wrong; -1 if it is dead. */
static int tell(const struct actor *a, char what)
{
	if (send(a->socket, &what, 1, MSG_NOSIGNAL) != 1 || read(a->socket, &what, 1) != 1)
		return -1;
	return (unsigned char)what;
}

static void end_actor(struct actor *a)
{
	if (a->pid <= 0)
		return;
	kill(a->pid, SIGKILL);
	wait_child(a->pid);
	close(a->socket);
	a->pid = 0;
}

FIXTURE_SETUP(cgroup)
{
	REQUIRE_MODULE();
	REQUIRE_CGROUPS();
	self->a = cgroup_new("a");
	self->b = cgroup_new("b");
	self->fd = -1;
	self->owner = start_actor(&self->a, &self->fd, -1);
	self->collector = new_collector(self->fd);
	self->other = start_actor(&self->b, &self->collector, self->fd);
	EXPECT_EQ(0, tell(&self->owner, 'm'));
	EXPECT_EQ(0, tell(&self->other, 'm'));
}

FIXTURE_TEARDOWN(cgroup)
{
	end_actor(&self->owner);
	end_actor(&self->other);
	close(self->fd);
	close(self->collector);
	/* Nothing of the module's keeps a cgroup. */
	EXPECT_TRUE(cgroup_remove(&self->a));
	EXPECT_TRUE(cgroup_remove(&self->b));
}

static uint64_t usage(const struct cgroup *c)
{
	return cgroup_get(c, "memory.current", NULL);
}

#define EXPECT_NEAR(expected, seen)				\
	do {							\
		uint64_t value_ = (seen);			\
								\
		EXPECT_LE((expected), value_ + SLACK);		\
		EXPECT_LE(value_, (expected) + SLACK);		\
	} while (0)

/* ------------------------------------------------------------------------------------------ */
/* Charges                                                                                    */
/* ------------------------------------------------------------------------------------------ */

TEST_F(cgroup, the_owner_pays)
{
	uint64_t a = usage(&self->a), b = usage(&self->b);

	EXPECT_EQ(0, tell(&self->owner, 't'));
	EXPECT_NEAR(a + BYTES, usage(&self->a));
	/* The collector reads it all, and pays for its page tables only. */
	EXPECT_EQ(0, tell(&self->other, 'r'));
	EXPECT_EQ(0, tell(&self->other, 't'));
	EXPECT_NEAR(a + BYTES, usage(&self->a));
	EXPECT_NEAR(b, usage(&self->b));
	/* Freed by the collector, it is the owner's relief. */
	EXPECT_EQ(0, tell(&self->other, 'e'));
	EXPECT_NEAR(a, usage(&self->a));
	EXPECT_NEAR(b, usage(&self->b));
}

TEST_F(cgroup, all_is_given_back_at_the_end)
{
	uint64_t a = usage(&self->a);

	EXPECT_EQ(0, tell(&self->owner, 't'));
	close(self->fd);
	end_actor(&self->owner);
	/* The collector looks on, and holds nothing of it. */
	/* What processors hold charged in advance is counted as used. */
	EXPECT_TRUE(WAIT_FOR(usage(&self->a) <= a + SLACK));
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
}

/* ------------------------------------------------------------------------------------------ */
/* Too much                                                                                   */
/* ------------------------------------------------------------------------------------------ */

/* An owner that takes more than it may is killed; its collector sees that, and lives. */
TEST_F(cgroup, owner_killed_for_memory)
{
	struct pollfd pfd = { .fd = self->collector, .events = POLLIN };

	cgroup_set(&self->a, "memory.swap.max", "0");
	cgroup_set_bytes(&self->a, "memory.max", BYTES / 2);
	close(self->fd);
	EXPECT_EQ(-1, tell(&self->owner, 't'));
	EXPECT_EQ(1, poll(&pfd, 1, 20000));
	EXPECT_TRUE(pfd.revents & POLLHUP);
	EXPECT_EQ(1, cgroup_get(&self->a, "memory.events", "oom_kill"));
	EXPECT_EQ(1, info(self->collector).collectors);
	/* It is told before all of the memory is free. */
	EXPECT_TRUE(WAIT_FOR(!info(self->collector).resident_bytes));
}

/* ------------------------------------------------------------------------------------------ */
/* Cgroups that go                                                                            */
/* ------------------------------------------------------------------------------------------ */

/* Who made the arena is gone, and its cgroup is removed while pages are charged to it still. */
TEST_F(cgroup, removed_under_pages)
{
	EXPECT_EQ(0, tell(&self->owner, 't'));
	end_actor(&self->owner);
	EXPECT_TRUE(cgroup_remove(&self->a));
	EXPECT_EQ(BYTES, info(self->fd).resident_bytes);
	EXPECT_EQ(0, reclaim(self->collector, 0, BYTES / 2));
	EXPECT_EQ(0, reclaim(self->fd, 0, BYTES));
	EXPECT_EQ(0, info(self->fd).resident_bytes);
}

/* The number of cgroups that are removed and that something still refers to. */
static uint64_t dying(void)
{
	static const struct cgroup root = { CGROUPS };

	return cgroup_get(&root, "cgroup.stat", "nr_dying_descendants");
}

/* A collector that holds what is left of an arena keeps no cgroup from being forgotten. */
TEST_F(cgroup, forgotten_under_a_collector)
{
	uint64_t before = dying();

	EXPECT_EQ(0, tell(&self->owner, 't'));
	close(self->fd);
	end_actor(&self->owner);
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
	EXPECT_TRUE(cgroup_remove(&self->a));
	/*
	 * New pages are on lists of the processors for a while, which keep what is charged for
	 * them.
	 */
	EXPECT_TRUE(WAIT_FOR(!write_text("/proc/sys/vm/drop_caches", "1") && dying() <= before));
}

TEST_HARNESS_MAIN
