// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_arena.c - making an arena, looking at it, attaching to it, and its end
 */
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "arena.h"

#define BYTES (4 * MiB)

TEST(sizes)
{
	static const uint64_t bad[] = {
		0, 1, PAGE - 1, PAGE + 1, 3 * PAGE / 2, ~0ull, ~0ull - PAGE + 1, 1ull << 63,
		(1ull << 63) - PAGE,
	};
	uint64_t limit;
	size_t i;
	int fd;

	REQUIRE_MODULE();
	limit = query().max_arena_bytes;
	fd = open_dev();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int err = create(fd, bad[i], 0, NULL);

		if (err != -EINVAL && !(bad[i] % PAGE == 0 && err == -EFBIG))
			TH_LOG("%#llx bytes: %d", (unsigned long long)bad[i], err);
		EXPECT_TRUE(err == -EINVAL || (bad[i] % PAGE == 0 && err == -EFBIG));
	}
	if (limit)
		EXPECT_EQ(-EFBIG, create(fd, limit + PAGE, 0, NULL));
	/* What was refused has left no arena. */
	EXPECT_EQ(0, create(fd, PAGE, 0, NULL));
	EXPECT_EQ(PAGE, info(fd).bytes);
	EXPECT_EQ(-EBUSY, create(fd, PAGE, 0, NULL));
	EXPECT_EQ(PAGE, info(fd).bytes);
}

TEST(file_size_limit)
{
	struct rlimit r = { BYTES, BYTES };
	int fd;

	REQUIRE_MODULE();
	fd = open_dev();
	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &r));
	EXPECT_EQ(-EFBIG, create(fd, BYTES + PAGE, 0, NULL));
	EXPECT_EQ(0, create(fd, BYTES, 0, NULL));
}

TEST(information)
{
	struct tricolor_info i, c;
	int fd, collector;
	uint32_t id;

	REQUIRE_MODULE();
	fd = new_arena(BYTES, 0, &id);
	i = info(fd);
	EXPECT_EQ(id, i.id);
	EXPECT_EQ(0, i.create_flags);
	EXPECT_EQ(0, i.state);
	EXPECT_EQ(0, i.collectors);
	EXPECT_EQ(getpid(), i.owner_pid);
	EXPECT_EQ(getuid(), i.owner_uid);
	EXPECT_EQ(BYTES, i.bytes);
	EXPECT_EQ(0, i.resident_bytes);
	collector = new_collector(fd);
	EXPECT_TRUE(fcntl(collector, F_GETFD) & FD_CLOEXEC);
	EXPECT_EQ(1, info(fd).collectors);
	c = info(collector);
	i = info(fd);
	EXPECT_EQ(0, memcmp(&i, &c, sizeof(i)));
	close(collector);
	EXPECT_EQ(0, info(fd).collectors);
}

TEST(resident_bytes)
{
	int fd;
	char *p;

	REQUIRE_MODULE();
	fd = new_arena(BYTES, 0, NULL);
	p = map_rw(fd, BYTES);
	memset(p, 1, 5 * PAGE);
	p[9 * PAGE] = 1;
	EXPECT_EQ(6 * PAGE, info(fd).resident_bytes);
	EXPECT_EQ(0, reclaim(fd, 0, 2 * PAGE));
	EXPECT_EQ(4 * PAGE, info(fd).resident_bytes);
	EXPECT_EQ(2 * PAGE, info(fd).reclaimed_bytes);
}

TEST(numbers_are_not_shared)
{
	uint32_t ids[16];
	int fds[16], i, j;

	REQUIRE_MODULE();
	for (i = 0; i < 16; i++)
		fds[i] = new_arena(PAGE, 0, &ids[i]);
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(ids[i], info(fds[i]).id);
		for (j = 0; j < i; j++)
			EXPECT_NE(ids[i], ids[j]);
	}
}

/* ------------------------------------------------------------------------------------------ */
/* Privilege                                                                                  */
/* ------------------------------------------------------------------------------------------ */

/* Opening what an unprivileged process may open, and what it may then do. */
TEST(unprivileged)
{
	struct stat st;

	REQUIRE_MODULE();
	ASSERT_EQ(0, stat(DEV, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0666, st.st_mode & 0777);

	EXPECT_EQ(0, IN_CHILD({
		int own, mine;

		become_nobody();
		/* An arena of its own, and a collector for it, need no privilege. */
		own = new_arena(BYTES, 0, NULL);
		EXPECT_EQ(65534, info(own).owner_uid);
		mine = new_collector(own);
		EXPECT_EQ(0, reclaim(mine, 0, PAGE));
	}));
}

/* What there was in version 1: a way to arenas past their owners. */
TEST(no_way_past_the_owner)
{
	struct tricolor_info i = { .size = sizeof(i) };
	int fd, collector;

	REQUIRE_MODULE();
	EXPECT_EQ(TRICOLOR_VERSION, query().version);
	EXPECT_EQ(-1, access("/dev/tricolorctl", F_OK));
	fd = open_dev();
	EXPECT_EQ(-EINVAL, create(fd, BYTES, 1u << 1, NULL));
	ASSERT_EQ(0, create(fd, BYTES, 0, NULL));
	collector = new_collector(fd);
	EXPECT_EQ(-ENOTTY, call(fd, TRICOLOR_IOC(0x10), &i));
	EXPECT_EQ(-ENOTTY, call(collector, TRICOLOR_IOC(0x11), &i));
}

/* ------------------------------------------------------------------------------------------ */
/* Limits of the module                                                                       */
/* ------------------------------------------------------------------------------------------ */

#define PARAMETER "/sys/module/tricolor/parameters/"

static void set_parameter(const char *name, uint64_t value)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), PARAMETER "%s", name);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	ASSERT_EQ(0, write_text(path, text));
}

FIXTURE(limits)
{
	struct tricolor_query before;
};

FIXTURE_SETUP(limits)
{
	REQUIRE_MODULE();
	self->before = query();
}

FIXTURE_TEARDOWN(limits)
{
	set_parameter("max_arena_bytes", self->before.max_arena_bytes);
	set_parameter("max_user_bytes", self->before.max_user_bytes);
	set_parameter("max_user_arenas", self->before.max_user_arenas);
}

TEST_F(limits, of_an_arena)
{
	int fd = open_dev();

	set_parameter("max_arena_bytes", BYTES);
	EXPECT_EQ(BYTES, query().max_arena_bytes);
	EXPECT_EQ(-EFBIG, create(fd, BYTES + PAGE, 0, NULL));
	EXPECT_EQ(0, create(fd, BYTES, 0, NULL));
}

TEST_F(limits, of_a_user)
{
	int fds[3], i;

	set_parameter("max_user_bytes", 2 * BYTES);
	set_parameter("max_user_arenas", 3);
	EXPECT_EQ(2 * BYTES, query().max_user_bytes);
	EXPECT_EQ(3, query().max_user_arenas);
	EXPECT_EQ(0, IN_CHILD({
		become_nobody();
		for (i = 0; i < 3; i++)
			fds[i] = open_dev();
		EXPECT_EQ(0, create(fds[0], BYTES, 0, NULL));
		EXPECT_EQ(-EDQUOT, create(fds[1], BYTES + PAGE, 0, NULL));
		EXPECT_EQ(0, create(fds[1], BYTES, 0, NULL));
		EXPECT_EQ(-EDQUOT, create(fds[2], PAGE, 0, NULL));
		/* What is gone no longer counts. */
		close(fds[0]);
		EXPECT_EQ(0, create(fds[2], BYTES, 0, NULL));
		close(fds[1]);
		close(fds[2]);
		for (i = 0; i < 3; i++)
			new_arena(PAGE, 0, NULL);
		fds[0] = open_dev();
		EXPECT_EQ(-EDQUOT, create(fds[0], PAGE, 0, NULL));
	}));
	/* And of that user only: another one has as many. */
	EXPECT_EQ(0, IN_CHILD({
		ASSERT_EQ(0, setuid(65533));
		new_arena(BYTES, 0, NULL);
	}));
}

/* Users that somebody has made of himself in a user namespace have no more than he may have. */
TEST_F(limits, of_subordinate_users)
{
	char path[64];
	int pair[2], fd;
	char byte;
	pid_t pid;

	set_parameter("max_user_arenas", 3);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		uid_t uid;

		become_nobody();
		ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
		if (unshare(CLONE_NEWUSER))
			_exit(KSFT_SKIP);
		/* Root maps some more users. */
		ASSERT_EQ(1, write(pair[1], "x", 1));
		ASSERT_EQ(1, read(pair[1], &byte, 1));
		for (uid = 0; uid < 4; uid++) {
			ASSERT_EQ(0, setresuid(uid, uid, 0));
			fd = open_dev();
			EXPECT_EQ(uid < 3 ? 0 : -EDQUOT, create(fd, PAGE, 0, NULL));
			ASSERT_EQ(0, setresuid(0, 0, 0));
		}
		ASSERT_EQ(1, write(pair[1], "x", 1));
		ASSERT_EQ(1, read(pair[1], &byte, 1));
		_exit(th.failed ? KSFT_FAIL : 0);
	}
	close(pair[1]);
	if (read(pair[0], &byte, 1) != 1)
		SKIP(return, "no user namespaces for users here");
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	ASSERT_EQ(0, write_text(path, "0 65534 1\n1 100000 10\n"));
	ASSERT_EQ(1, write(pair[0], "x", 1));
	EXPECT_EQ(1, read(pair[0], &byte, 1));
	/* He has no more outside either, but others have. */
	EXPECT_EQ(0, IN_CHILD({
		become_nobody();
		fd = open_dev();
		EXPECT_EQ(-EDQUOT, create(fd, PAGE, 0, NULL));
	}));
	EXPECT_EQ(0, IN_CHILD({
		ASSERT_EQ(0, setuid(65533));
		new_arena(PAGE, 0, NULL);
	}));
	if (write(pair[0], "x", 1) != 1)
		th_fail(false);
	EXPECT_EQ(0, wait_child(pid));
	EXPECT_EQ(0, IN_CHILD({
		become_nobody();
		new_arena(PAGE, 0, NULL);
	}));
	close(pair[0]);
}

/* An arena made by one user stays with that user's account, whoever has its last descriptor. */
TEST_F(limits, follow_the_maker)
{
	int pair[2], status;
	pid_t pid;
	char byte;

	set_parameter("max_user_arenas", 1);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	if (!pid) {
		int fd;

		become_nobody();
		new_arena(PAGE, 0, NULL);
		fd = open_dev();
		if (create(fd, PAGE, 0, NULL) != -EDQUOT)
			_exit(1);
		/* Root takes another identity on; the arena is nobody's still. */
		if (write(pair[1], "x", 1) != 1 || read(pair[1], &byte, 1) != 1)
			_exit(1);
		_exit(th.failed);
	}
	ASSERT_EQ(1, read(pair[0], &byte, 1));
	EXPECT_EQ(0, IN_CHILD({
		int fd;

		become_nobody();
		fd = open_dev();
		EXPECT_EQ(-EDQUOT, create(fd, PAGE, 0, NULL));
	}));
	ASSERT_EQ(1, write(pair[0], "x", 1));
	status = wait_child(pid);
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, IN_CHILD({
		become_nobody();
		new_arena(PAGE, 0, NULL);
	}));
}

TEST_F(limits, of_ranges)
{
	struct tricolor_ranges v = { .size = sizeof(v) };
	struct tricolor_range *r;
	uint32_t max = self->before.max_ranges;
	int fd = new_arena(BYTES, 0, NULL);

	r = calloc((size_t)max + 1, sizeof(*r));
	ASSERT_NE(NULL, r);
	v.ranges = (uintptr_t)r;
	v.nr = max;
	EXPECT_EQ(0, call(fd, TRICOLOR_IOC_RECLAIM, &v));
	EXPECT_EQ(max, v.done);
	v.nr = max + 1;
	EXPECT_EQ(-EINVAL, call(fd, TRICOLOR_IOC_RECLAIM, &v));
	v.nr = UINT32_MAX;
	EXPECT_EQ(-EINVAL, call(fd, TRICOLOR_IOC_RECLAIM, &v));
	v.nr = 0;
	EXPECT_EQ(0, call(fd, TRICOLOR_IOC_RECLAIM, &v));
	EXPECT_EQ(0, v.done);
}

/* ------------------------------------------------------------------------------------------ */
/* The end                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/* A mapping keeps the arena as well as a descriptor does. */
TEST(lives_by_a_mapping)
{
	int fd, collector;
	char *p, *q;

	REQUIRE_MODULE();
	fd = new_arena(BYTES, 0, NULL);
	collector = new_collector(fd);
	p = map_rw(fd, BYTES);
	q = map(collector, BYTES, PROT_READ);
	fill_page(p, 7);
	close(fd);
	EXPECT_EQ(0, info(collector).state);
	EXPECT_TRUE(page_is(q, 7));
	munmap(p, BYTES);
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(collector).state & TRICOLOR_STATE_ORPHAN);
	EXPECT_EQ(0, info(collector).resident_bytes);
}

static sigjmp_buf faulted;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(faulted, 1);
}

static bool faults(const volatile char *p)
{
	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	if (sigsetjmp(faulted, 1))
		return true;
	(void)*p;
	return false;
}

TEST(orphan)
{
	struct tricolor_pacer pacer = { .size = sizeof(pacer), .events = TRICOLOR_EVENT_PACER };
	struct tricolor_tunables t = { .size = sizeof(t) };
	struct pollfd pfd;
	uint64_t bits[BYTES / PAGE / 64];
	int fd, collector;
	char *p, *q, byte;

	REQUIRE_MODULE();
	fd = new_arena(BYTES, 0, NULL);
	collector = new_collector(fd);
	p = map_rw(fd, BYTES);
	q = map(collector, BYTES, PROT_READ);
	memset(p, 1, BYTES);
	EXPECT_FALSE(faults(q + PAGE));
	munmap(p, BYTES);
	close(fd);

	pfd = (struct pollfd){ .fd = collector, .events = POLLIN };
	EXPECT_EQ(1, poll(&pfd, 1, 10000));
	EXPECT_TRUE(pfd.revents & POLLHUP);
	EXPECT_TRUE(faults(q + PAGE));
	EXPECT_EQ(-ESHUTDOWN, reclaim(collector, 0, PAGE));
	EXPECT_EQ(-ESHUTDOWN, dirty_call(collector, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL));
	EXPECT_EQ(-ESHUTDOWN, dirty_call(collector, 0, 0, BYTES, bits, NULL));
	EXPECT_EQ(-ESHUTDOWN, call(collector, TRICOLOR_IOC_PUBLISH, &pacer));
	EXPECT_EQ(-ESHUTDOWN, call(collector, TRICOLOR_IOC_TUNABLES, &t));
	EXPECT_NE(1, pread(collector, &byte, 1, 0));
	munmap(q, BYTES);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, BYTES, PROT_READ, MAP_SHARED, collector, 0));
}

/* Whichever end of a socket it sleeps in, an arena that nobody holds any more is gone. */
TEST(descriptor_in_flight)
{
	int pair[2], fd, collector;
	struct pollfd pfd;

	REQUIRE_MODULE();
	fd = new_arena(BYTES, 0, NULL);
	collector = new_collector(fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	send_descriptor(pair[0], fd);
	close(fd);
	EXPECT_EQ(0, info(collector).state);
	close(pair[0]);
	close(pair[1]);
	pfd = (struct pollfd){ .fd = collector, .events = POLLIN };
	EXPECT_EQ(1, poll(&pfd, 1, 10000));
	EXPECT_TRUE(pfd.revents & POLLHUP);
}

/* ------------------------------------------------------------------------------------------ */
/* poll()                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static short events_of(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

TEST(poll_of_the_owner)
{
	int fd, collector;

	REQUIRE_MODULE();
	fd = new_arena(BYTES, 0, NULL);
	EXPECT_EQ(0, events_of(fd));
	collector = new_collector(fd);
	EXPECT_EQ(POLLIN, events_of(fd));
	close(collector);
	EXPECT_EQ(0, events_of(fd));
}

/* A sleeper in poll() is woken, and not only a caller answered. */
TEST(poll_wakes)
{
	int fd, asleep[2];
	char byte;
	pid_t pid;

	REQUIRE_MODULE();
	ASSERT_EQ(0, pipe(asleep));
	fd = new_arena(BYTES, 0, NULL);
	EXPECT_EQ(0, events_of(fd));
	pid = fork();
	if (!pid) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (write(asleep[1], "x", 1) != 1)
			_exit(1);
		_exit(poll(&p, 1, 20000) == 1 && p.revents == POLLIN ? 0 : 1);
	}
	ASSERT_EQ(1, read(asleep[0], &byte, 1));
	usleep(50000);
	new_collector(fd);
	EXPECT_EQ(0, wait_child(pid));
}

TEST(poll_of_a_bare_descriptor)
{
	int fd;

	REQUIRE_MODULE();
	fd = open_dev();
	EXPECT_EQ(0, events_of(fd) & POLLIN);
}

TEST_HARNESS_MAIN
