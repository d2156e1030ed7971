// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_sysfs.c - /sys/class/tricolor/arenaN: names, modes, values, and what is refused
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include "arena.h"

#define BYTES (4 * MiB)
#define NONE_LIMIT INT64_MAX
#define NONE_BUDGET UINT64_MAX

FIXTURE(sysfs)
{
	int fd, collector;
	uint32_t id;
	char path[64];
};

FIXTURE_SETUP(sysfs)
{
	REQUIRE_MODULE();
	self->fd = new_arena(BYTES, 0, &self->id);
	self->collector = new_collector(self->fd);
	snprintf(self->path, sizeof(self->path), "/sys/class/tricolor/arena%u", self->id);
}

FIXTURE_TEARDOWN(sysfs)
{
}

static void path_of(const struct sysfs_self *self, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", self->path, name);
}

/* The text of a file; it must be there, and end with a newline and nothing else. */
static const char *value(const struct sysfs_self *self, const char *name)
{
	static char text[256];
	char path[128];
	ssize_t n;
	int fd;

	path_of(self, name, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0 || text[n - 1] != '\n' || memchr(text, '\n', (size_t)n - 1)) {
		TH_LOG("%s: not one line", path);
		th_fail(true);
	}
	text[n - 1] = 0;
	close(fd);
	return text;
}

static uint64_t number(const struct sysfs_self *self, const char *name)
{
	const char *text = value(self, name);
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*end || end == text) {
		TH_LOG("%s: '%s' is no number", name, text);
		th_fail(false);
	}
	return n;
}

static int set(const struct sysfs_self *self, const char *name, const char *text)
{
	char path[128];

	path_of(self, name, path, sizeof(path));
	return write_text(path, text);
}

/* All there is, with its mode; the list is the ABI. */
static const struct {
	const char *name;
	mode_t mode;
} files[] = {
	{ "assist_bytes", 0400 },	{ "backing", 0400 },
	{ "budget_bytes", 0400 },	{ "collectors", 0400 },
	{ "cycles", 0400 },		{ "gc_cpu_ppm", 0400 },
	{ "gc_percent", 0600 },		{ "goal_bytes", 0400 },
	{ "interrupted_max_ns", 0400 },	{ "limiter", 0400 },
	{ "live_bytes", 0400 },		{ "mark_cpu_ns", 0400 },
	{ "memory_limit_bytes", 0600 },	{ "owner", 0400 },
	{ "owner_uid", 0400 },		{ "phase", 0400 },
	{ "reclaimed_bytes", 0400 },	{ "resident_bytes", 0400 },
	{ "size_bytes", 0400 },		{ "state", 0400 },
	{ "trigger_bytes", 0400 },
};
#define FILES (sizeof(files) / sizeof(files[0]))

TEST_F(sysfs, names_and_modes)
{
	struct dirent *e;
	struct stat st;
	char path[128];
	size_t i, known = 0;
	DIR *d;

	for (i = 0; i < FILES; i++) {
		path_of(self, files[i].name, path, sizeof(path));
		if (stat(path, &st)) {
			TH_LOG("%s: %s", path, strerror(errno));
			th_fail(false);
			continue;
		}
		if ((st.st_mode & 07777) != files[i].mode)
			TH_LOG("%s: mode %o", files[i].name, st.st_mode & 07777);
		EXPECT_EQ(files[i].mode, st.st_mode & 07777);
	}
	d = opendir(self->path);
	ASSERT_NE(NULL, d);
	while ((e = readdir(d))) {
		bool is_known = false;

		if (e->d_type != DT_REG || !strcmp(e->d_name, "uevent"))
			continue;
		for (i = 0; i < FILES; i++)
			is_known |= !strcmp(files[i].name, e->d_name);
		if (!is_known)
			TH_LOG("%s is not in the list", e->d_name);
		EXPECT_TRUE(is_known);
		known += is_known;
	}
	closedir(d);
	EXPECT_EQ(FILES, known);
}

TEST_F(sysfs, what_can_only_be_read)
{
	size_t i;

	for (i = 0; i < FILES; i++)
		if (files[i].mode == 0400) {
			value(self, files[i].name);
			/* Not by root either: there is nothing that would take the text. */
			EXPECT_EQ(-EACCES, set(self, files[i].name, "1"));
		}
	EXPECT_EQ(0, IN_CHILD({
		char path[128], text[64];

		become_nobody();
		/* What a heap does is nobody else's to know: the folder's name is all. */
		EXPECT_EQ(0, access(self->path, F_OK));
		for (i = 0; i < FILES; i++) {
			path_of(self, files[i].name, path, sizeof(path));
			EXPECT_FALSE(read_text(path, text, sizeof(text)));
			EXPECT_EQ(-EACCES, set(self, files[i].name, "1"));
		}
	}));
}

/* A mount of another network namespace shows what is made there; ours does not. */
TEST_F(sysfs, namespaces)
{
	EXPECT_EQ(0, IN_CHILD({
		char there[96], text[64];
		uint32_t id;
		int fd;

		ASSERT_EQ(0, unshare(CLONE_NEWNET | CLONE_NEWNS));
		ASSERT_EQ(0, mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
		fd = new_arena(BYTES, 0, &id);
		snprintf(there, sizeof(there), "/sys/class/tricolor/arena%u/owner", id);
		EXPECT_EQ(0, access(self->path, F_OK));
		EXPECT_NE(0, access(there, F_OK));
		ASSERT_EQ(0, mount("sysfs", "/sys", "sysfs", 0, NULL));
		EXPECT_NE(0, access(self->path, F_OK));
		ASSERT_TRUE(read_text(there, text, sizeof(text)));
		EXPECT_EQ(getpid(), atoi(text));
		close(fd);
		EXPECT_TRUE(WAIT_FOR(access(there, F_OK)));
	}));
}

/* Root of a user namespace may look at what is made in its network namespace, and not set it. */
TEST_F(sysfs, root_of_a_container)
{
	int told[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(told));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char file[96], text[64];
		uint32_t id;

		become_nobody();
		ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS))
			_exit(KSFT_SKIP);
		ASSERT_EQ(0, write_text("/proc/self/uid_map", "0 65534 1"));
		ASSERT_EQ(0, write_text("/proc/self/setgroups", "deny"));
		ASSERT_EQ(0, write_text("/proc/self/gid_map", "0 65534 1"));
		new_arena(BYTES, 0, &id);
		ASSERT_EQ(0, mount("sysfs", "/sys", "sysfs", 0, NULL));
		snprintf(file, sizeof(file), "/sys/class/tricolor/arena%u/gc_percent", id);
		ASSERT_TRUE(read_text(file, text, sizeof(text)));
		EXPECT_STREQ("100", text);
		EXPECT_EQ(-EPERM, write_text(file, "50"));
		snprintf(file, sizeof(file), "/sys/class/tricolor/arena%u/memory_limit_bytes", id);
		EXPECT_EQ(-EPERM, write_text(file, "none"));
		ASSERT_EQ(1, write(told[1], "x", 1));
		_exit(th.failed ? KSFT_FAIL : 0);
	}
	close(told[1]);
	if (read(told[0], &byte, 1) != 1 && wait_child(pid) == KSFT_SKIP)
		SKIP(return, "no user namespaces for users here");
	EXPECT_EQ(0, wait_child(pid));
	close(told[0]);
}

TEST_F(sysfs, of_a_new_arena)
{
	EXPECT_EQ(getpid(), number(self, "owner"));
	EXPECT_EQ(getuid(), number(self, "owner_uid"));
	EXPECT_STREQ("attached", value(self, "state"));
	EXPECT_STREQ("off", value(self, "phase"));
	EXPECT_STREQ("4k", value(self, "backing"));
	EXPECT_EQ(1, number(self, "collectors"));
	EXPECT_EQ(BYTES, number(self, "size_bytes"));
	EXPECT_EQ(0, number(self, "resident_bytes"));
	EXPECT_EQ(0, number(self, "reclaimed_bytes"));
	EXPECT_EQ(0, number(self, "cycles"));
	EXPECT_STREQ("100", value(self, "gc_percent"));
	EXPECT_STREQ("none", value(self, "memory_limit_bytes"));
	EXPECT_STREQ("none", value(self, "budget_bytes"));
}

TEST_F(sysfs, backing_of_huge_arenas)
{
	uint32_t id;
	char path[64], text[16];

	if (!has_feature(TRICOLOR_FEATURE_HUGE))
		SKIP(return, "no 2 MiB pages on this kernel");
	new_arena(HUGE, TRICOLOR_CREATE_HUGE, &id);
	snprintf(path, sizeof(path), "/sys/class/tricolor/arena%u/backing", id);
	ASSERT_TRUE(read_text(path, text, sizeof(text)));
	EXPECT_STREQ("2M", text);
}

TEST_F(sysfs, states)
{
	char *p = map_rw(self->fd, BYTES);

	EXPECT_STREQ("attached", value(self, "state"));
	close(self->collector);
	EXPECT_STREQ("alone", value(self, "state"));
	EXPECT_EQ(0, number(self, "collectors"));
	self->collector = new_collector(self->fd);
	close(self->fd);
	munmap(p, BYTES);
	/* An orphan is the collector's to know of. */
	EXPECT_TRUE(WAIT_FOR(access(self->path, F_OK)));
	EXPECT_EQ(TRICOLOR_STATE_ORPHAN, info(self->collector).state);
}

TEST_F(sysfs, memory)
{
	char *p = map_rw(self->fd, BYTES);

	memset(p, 1, 16 * PAGE);
	EXPECT_EQ(16 * PAGE, number(self, "resident_bytes"));
	ASSERT_EQ(0, reclaim(self->fd, 8 * PAGE, 4 * PAGE));
	EXPECT_EQ(4 * PAGE, number(self, "reclaimed_bytes"));
	EXPECT_EQ(12 * PAGE, number(self, "resident_bytes"));
}

TEST_F(sysfs, what_the_collector_publishes)
{
	static const char *const phases[] = { "off", "barrier", "mark", "termination", "sweep" };
	struct tricolor_pacer p = {
		.size = sizeof(p), .events = TRICOLOR_EVENT_PACER,
		.goal_bytes = 11, .trigger_bytes = 12, .live_bytes = 13,
		.memory_limit_bytes = 14, .budget_bytes = 15, .cycles = 16,
		.mark_cpu_ns = 17, .assist_bytes = 18, .interrupted_max_ns = 19,
		.gc_percent = 20, .gc_cpu_ppm = 21, .limiter = 1,
	};

	for (p.phase = 0; p.phase <= TRICOLOR_PHASE_SWEEP; p.phase++) {
		ASSERT_EQ(0, call(self->collector, TRICOLOR_IOC_PUBLISH, &p));
		EXPECT_STREQ(phases[p.phase], value(self, "phase"));
	}
	EXPECT_EQ(11, number(self, "goal_bytes"));
	EXPECT_EQ(12, number(self, "trigger_bytes"));
	EXPECT_EQ(13, number(self, "live_bytes"));
	EXPECT_EQ(14, number(self, "memory_limit_bytes"));
	EXPECT_EQ(15, number(self, "budget_bytes"));
	EXPECT_EQ(16, number(self, "cycles"));
	EXPECT_EQ(17, number(self, "mark_cpu_ns"));
	EXPECT_EQ(18, number(self, "assist_bytes"));
	EXPECT_EQ(19, number(self, "interrupted_max_ns"));
	EXPECT_EQ(20, number(self, "gc_percent"));
	EXPECT_EQ(21, number(self, "gc_cpu_ppm"));
	EXPECT_EQ(1, number(self, "limiter"));

	/* What makes no sense changes nothing. */
	p.cycles = 99;
	EXPECT_EQ(-EINVAL, call(self->collector, TRICOLOR_IOC_PUBLISH, &p));
	p.phase = 0;
	p.limiter = 2;
	EXPECT_EQ(-EINVAL, call(self->collector, TRICOLOR_IOC_PUBLISH, &p));
	p.limiter = 0;
	p.events = 1u << 4;
	EXPECT_EQ(-EINVAL, call(self->collector, TRICOLOR_IOC_PUBLISH, &p));
	p.events = TRICOLOR_EVENT_PACER;
	p.gc_percent = -2;
	EXPECT_EQ(-EINVAL, call(self->collector, TRICOLOR_IOC_PUBLISH, &p));
	p.gc_percent = -1;
	p.memory_limit_bytes = -1;
	EXPECT_EQ(-EINVAL, call(self->collector, TRICOLOR_IOC_PUBLISH, &p));
	EXPECT_EQ(16, number(self, "cycles"));

	p = (struct tricolor_pacer){ .size = sizeof(p),
				     .gc_percent = -1,
				     .goal_bytes = NONE_BUDGET,
				     .memory_limit_bytes = NONE_LIMIT,
				     .budget_bytes = NONE_BUDGET };
	ASSERT_EQ(0, call(self->collector, TRICOLOR_IOC_PUBLISH, &p));
	EXPECT_STREQ("off", value(self, "gc_percent"));
	EXPECT_STREQ("none", value(self, "memory_limit_bytes"));
	EXPECT_STREQ("none", value(self, "budget_bytes"));
	EXPECT_EQ(NONE_BUDGET, number(self, "goal_bytes"));
}

static struct tricolor_tunables tunables(int collector)
{
	struct tricolor_tunables t = { .size = sizeof(t) };

	ASSERT_EQ(0, call(collector, TRICOLOR_IOC_TUNABLES, &t));
	return t;
}

static bool has_pollpri(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLPRI };

	return poll(&p, 1, 0) == 1 && p.revents & POLLPRI;
}

TEST_F(sysfs, tunables_reach_the_collector)
{
	struct tricolor_tunables t = tunables(self->collector);
	struct pollfd pfd = { .fd = self->collector, .events = POLLPRI };
	pid_t pid;

	EXPECT_EQ(0, t.set);
	EXPECT_EQ(0, t.sequence);
	EXPECT_FALSE(has_pollpri(self->collector));
	EXPECT_EQ(0, set(self, "gc_percent", "50\n"));
	EXPECT_TRUE(has_pollpri(self->collector));
	t = tunables(self->collector);
	EXPECT_EQ(TRICOLOR_TUNABLE_GC_PERCENT, t.set);
	EXPECT_EQ(50, t.gc_percent);
	EXPECT_EQ(1, t.sequence);
	EXPECT_FALSE(has_pollpri(self->collector));
	/* It is for the collector to say what is in force. */
	EXPECT_STREQ("100", value(self, "gc_percent"));

	EXPECT_EQ(0, set(self, "memory_limit_bytes", "1048576"));
	EXPECT_EQ(0, set(self, "gc_percent", "off"));
	t = tunables(self->collector);
	EXPECT_EQ(TRICOLOR_TUNABLE_GC_PERCENT | TRICOLOR_TUNABLE_MEMORY_LIMIT, t.set);
	EXPECT_EQ(-1, t.gc_percent);
	EXPECT_EQ(1048576, t.memory_limit_bytes);
	EXPECT_EQ(3, t.sequence);
	EXPECT_EQ(0, set(self, "gc_percent", "60"));
	EXPECT_EQ(0, set(self, "gc_percent", "-1\n"));
	EXPECT_EQ(-1, tunables(self->collector).gc_percent);
	EXPECT_EQ(0, set(self, "memory_limit_bytes", "none\n"));
	EXPECT_EQ(NONE_LIMIT, tunables(self->collector).memory_limit_bytes);

	/* A sleeper is woken. */
	pid = fork();
	if (!pid)
		_exit(poll(&pfd, 1, 20000) == 1 && pfd.revents & POLLPRI ? 0 : 1);
	usleep(50000);
	EXPECT_EQ(0, set(self, "gc_percent", "200"));
	EXPECT_EQ(0, wait_child(pid));
}

TEST_F(sysfs, bad_values)
{
	static const char *const percents[] = {
		"", "\n", "-2", "x", "50x", "50 60", "2147483648", "-2147483649", "1e2", "none", "OFF",
		"50%", "0x10", "99999999999999999999",
	};
	static const char *const limits[] = {
		"", "-1", "x", "512MiB", "1 2", "9223372036854775808", "off", "0x10", "NONE",
	};
	struct tricolor_tunables t;
	size_t i;

	for (i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		int err = set(self, "gc_percent", percents[i]);

		/* Nothing to write is no write. */
		if (!*percents[i])
			continue;
		if (err != -EINVAL && err != -ERANGE)
			TH_LOG("gc_percent '%s': %d", percents[i], err);
		EXPECT_TRUE(err == -EINVAL || err == -ERANGE);
	}
	for (i = 1; i < sizeof(limits) / sizeof(limits[0]); i++) {
		int err = set(self, "memory_limit_bytes", limits[i]);

		if (err != -EINVAL && err != -ERANGE)
			TH_LOG("memory_limit_bytes '%s': %d", limits[i], err);
		EXPECT_TRUE(err == -EINVAL || err == -ERANGE);
	}
	t = tunables(self->collector);
	EXPECT_EQ(0, t.set);
	EXPECT_EQ(0, t.sequence);
	EXPECT_EQ(0, set(self, "gc_percent", "0"));
	EXPECT_EQ(0, set(self, "memory_limit_bytes", "0"));
	EXPECT_EQ(2, tunables(self->collector).sequence);
}

/* A file that was opened before can still be there, or not; nothing reaches the collector. */
TEST_F(sysfs, of_an_orphan)
{
	char path[128];
	int file;

	path_of(self, "gc_percent", path, sizeof(path));
	file = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	close(self->fd);
	EXPECT_EQ(-1, write(file, "50", 2));
	EXPECT_TRUE(errno == ESHUTDOWN || errno == ENODEV);
	close(file);
}

/* Files that somebody has open and reads do not keep an arena, nor outlive it. */
struct reader {
	const char *folder;
	_Atomic bool stop;
	_Atomic uint64_t reads;
};

static void *read_files(void *arg)
{
	struct reader *r = arg;
	char path[128], text[256];
	size_t i;

	while (!atomic_load(&r->stop)) {
		struct dirent *e;
		DIR *d = opendir("/sys/class/tricolor");

		while (d && (e = readdir(d))) {
			for (i = 0; i < FILES; i++) {
				snprintf(path, sizeof(path), "/sys/class/tricolor/%.40s/%s", e->d_name,
					 files[i].name);
				if (read_text(path, text, sizeof(text)))
					atomic_fetch_add(&r->reads, 1);
				if (files[i].mode & 0200)
					write_text(path, "100");
			}
		}
		if (d)
			closedir(d);
	}
	return NULL;
}

TEST_F(sysfs, arenas_that_go_while_they_are_read)
{
	struct reader r = { .folder = self->path };
	uint64_t end = now_ns() + 4000000000ull;
	pthread_t threads[2];
	char path[128], text[64];
	uint32_t id;
	int i, fd, file;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, read_files, &r));
	while (now_ns() < end) {
		fd = new_arena(PAGE, 0, &id);
		snprintf(path, sizeof(path), "/sys/class/tricolor/arena%u/cycles", id);
		file = open(path, O_RDONLY);
		EXPECT_LE(0, file);
		close(fd);
		/* Gone for good: an open file reads nothing any more. */
		EXPECT_TRUE(WAIT_FOR(access(path, F_OK)));
		EXPECT_EQ(-1, pread(file, text, sizeof(text), 0));
		EXPECT_EQ(ENODEV, errno);
		close(file);
	}
	atomic_store(&r.stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_LT(0, r.reads);
}

TEST_HARNESS_MAIN
