// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_arena.c - making an arena, looking at it, attaching to it, and its end
 */
#include <grp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "arena.h"

#define BYTES (4 * MiB)

TEST(sizes)
{
	static const uint64_t bad[] = { 0, 1, PAGE - 1, PAGE + 1, 3 * PAGE / 2, ~0ull, ~0ull - PAGE + 1,
					1ull << 63, (1ull << 63) - PAGE };
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
	fd = new_arena(BYTES, TRICOLOR_CREATE_OWNER_ONLY, &id);
	i = info(fd);
	EXPECT_EQ(id, i.id);
	EXPECT_EQ(TRICOLOR_CREATE_OWNER_ONLY, i.create_flags);
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
/* The control device                                                                         */
/* ------------------------------------------------------------------------------------------ */

static uint32_t list(int ctl, uint32_t from, uint32_t *ids, uint32_t places, uint32_t *total)
{
	struct tricolor_list l = { .size = sizeof(l), .from = from, .nr = places,
				   .ids = (uintptr_t)ids };

	ASSERT_EQ(0, call(ctl, TRICOLOR_IOC_LIST, &l));
	*total = l.total;
	return l.nr;
}

TEST(list)
{
	uint32_t ids[64] = { 0 }, mine[5], n, total, i, j, found = 0;
	int ctl, fds[5];

	REQUIRE_MODULE();
	ctl = open_ctl();
	for (i = 0; i < 5; i++)
		fds[i] = new_arena(PAGE, 0, &mine[i]);
	n = list(ctl, 0, ids, 64, &total);
	EXPECT_EQ(n, total);
	for (i = 0; i < n; i++) {
		if (i)
			EXPECT_LT(ids[i - 1], ids[i]);
		for (j = 0; j < 5; j++)
			found += ids[i] == mine[j];
	}
	EXPECT_EQ(5, found);

	/* In parts; and what has no place is counted, not written. */
	ids[1] = 0xdeadbeef;
	EXPECT_EQ(1, list(ctl, 0, ids, 1, &j));
	EXPECT_EQ(total, j);
	EXPECT_EQ(0xdeadbeef, ids[1]);
	EXPECT_EQ(0, list(ctl, 0, NULL, 0, &j));
	EXPECT_EQ(total, j);
	EXPECT_EQ(0, list(ctl, UINT32_MAX, ids, 8, &j));
	EXPECT_EQ(0, j);

	for (i = 0; i < 5; i++)
		close(fds[i]);
	list(ctl, 0, ids, 64, &j);
	EXPECT_EQ(total - 5, j);
}

TEST(list_with_bad_pointer)
{
	struct tricolor_list l = { .size = sizeof(l), .nr = 8, .ids = 1 };
	int ctl;

	REQUIRE_MODULE();
	ctl = open_ctl();
	new_arena(PAGE, 0, NULL);
	EXPECT_EQ(-EFAULT, call(ctl, TRICOLOR_IOC_LIST, &l));
	/* As many places as there can be: this must cost no memory. */
	l.nr = UINT32_MAX;
	EXPECT_EQ(-EFAULT, call(ctl, TRICOLOR_IOC_LIST, &l));
}

TEST(attach)
{
	int ctl, fd, collector, second;
	uint32_t id;
	char *p, *q;

	REQUIRE_MODULE();
	ctl = open_ctl();
	fd = new_arena(BYTES, 0, &id);
	p = map_rw(fd, BYTES);
	memcpy(p + 3 * PAGE, "here", 4);
	EXPECT_EQ(-ENOENT, attach(ctl, id + 100000, &collector));
	ASSERT_EQ(0, attach(ctl, id, &collector));
	ASSERT_EQ(0, attach(ctl, id, &second));
	EXPECT_TRUE(fcntl(collector, F_GETFD) & FD_CLOEXEC);
	EXPECT_EQ(2, info(fd).collectors);
	q = map(collector, BYTES, PROT_READ);
	EXPECT_EQ(0, memcmp(q + 3 * PAGE, "here", 4));
	close(fd);
	munmap(p, BYTES);
	EXPECT_EQ(-ENOENT, attach(ctl, id, &fd));
}

TEST(owner_refuses_strangers)
{
	int ctl, fd, collector;
	uint32_t id;

	REQUIRE_MODULE();
	ctl = open_ctl();
	fd = new_arena(BYTES, TRICOLOR_CREATE_OWNER_ONLY, &id);
	EXPECT_EQ(-EPERM, attach(ctl, id, &collector));
	/* But its own are welcome. */
	collector = new_collector(fd);
	EXPECT_EQ(1, info(collector).collectors);
}

/* Opening what an unprivileged process may open anyway, and what it may then do. */
TEST(unprivileged)
{
	struct stat st;
	int fd, ctl, collector;
	uint32_t id;

	REQUIRE_MODULE();
	ctl = open_ctl();
	fd = new_arena(BYTES, 0, &id);
	ASSERT_EQ(0, stat(DEV, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0666, st.st_mode & 0777);
	ASSERT_EQ(0, stat(CTL, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 0777);

	EXPECT_EQ(0, IN_CHILD({
		int own, mine;
		uint32_t own_id;

		become_nobody();
		EXPECT_EQ(-1, open(CTL, O_RDWR));
		EXPECT_EQ(EACCES, errno);
		/* A descriptor that it was given works: who opened it was asked, as with any file. */
		EXPECT_EQ(0, attach(ctl, id, &collector));
		close(collector);
		/* An arena of its own, and a collector for it, need no privilege. */
		own = new_arena(BYTES, 0, &own_id);
		EXPECT_EQ(65534, info(own).owner_uid);
		mine = new_collector(own);
		EXPECT_EQ(0, reclaim(mine, 0, PAGE));
	}));
	EXPECT_EQ(0, info(fd).collectors);
}

/* The group of the control device is as good as the capability. */
TEST(group_of_the_control_device)
{
	struct stat st;
	int fd, ctl;
	uint32_t id;

	REQUIRE_MODULE();
	fd = new_arena(BYTES, 0, &id);
	ASSERT_EQ(0, stat(CTL, &st));
	ASSERT_EQ(0, chown(CTL, (uid_t)-1, 60));
	EXPECT_EQ(0, IN_CHILD({
		gid_t group = 60;
		int collector;

		ASSERT_EQ(0, setgroups(1, &group));
		become_nobody();
		ctl = open(CTL, O_RDWR);
		ASSERT_LE(0, ctl);
		EXPECT_EQ(0, attach(ctl, id, &collector));
		EXPECT_EQ(1, info(fd).collectors);
	}));
	EXPECT_EQ(0, chown(CTL, (uid_t)-1, st.st_gid));
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
	EXPECT_EQ(-ESHUTDOWN, reclaim_lazy(collector, 0, PAGE));
	EXPECT_EQ(-ESHUTDOWN, reuse(collector, 0, PAGE, NULL));
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
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2], fd, collector;
	struct pollfd pfd;

	REQUIRE_MODULE();
	fd = new_arena(BYTES, 0, NULL);
	collector = new_collector(fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	ASSERT_EQ(1, sendmsg(pair[0], &m, 0));
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
	struct pollfd p;
	int fd, ctl;
	uint32_t total;
	pid_t pid;

	REQUIRE_MODULE();
	ctl = open_ctl();
	list(ctl, 0, NULL, 0, &total);
	EXPECT_EQ(0, events_of(ctl));
	pid = fork();
	if (!pid) {
		p = (struct pollfd){ .fd = ctl, .events = POLLIN };
		_exit(poll(&p, 1, 20000) == 1 && p.revents == POLLIN ? 0 : 1);
	}
	usleep(50000);
	fd = new_arena(PAGE, 0, NULL);
	EXPECT_EQ(0, wait_child(pid));
	list(ctl, 0, NULL, 0, &total);
	EXPECT_EQ(0, events_of(ctl));
	close(fd);
	EXPECT_EQ(POLLIN, events_of(ctl));
}

TEST(poll_of_a_bare_descriptor)
{
	int fd;

	REQUIRE_MODULE();
	fd = open_dev();
	EXPECT_EQ(0, events_of(fd) & POLLIN);
}

TEST_HARNESS_MAIN
