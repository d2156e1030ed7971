// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_module.c - loading and unloading
 *
 * Takes the module out and puts it back from the file that TRICOLOR_MODULE names (in the VM:
 * /lib/modules/tricolor.ko); without one it skips, as on a machine whose module others use.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "arena.h"

static const char *module_file(void)
{
	const char *e = getenv("TRICOLOR_MODULE");

	return e ? e : getenv("TRICOLOR_IN_VM") ? "/lib/modules/tricolor.ko" : NULL;
}

static int load(const char *parameters)
{
	int fd = open(module_file(), O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return err;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "tricolor", O_NONBLOCK) ? -errno : 0;
}

FIXTURE(module)
{
	char unused;
};

FIXTURE_SETUP(module)
{
	if (!module_file())
		SKIP(return, "no module file: set TRICOLOR_MODULE to load and unload it");
	if (access(DEV, F_OK))
		ASSERT_EQ(0, load(""));
	/* What earlier tests had is let go of in the background. */
	ASSERT_TRUE(WAIT_FOR(!unload()));
	ASSERT_EQ(0, load(""));
}

FIXTURE_TEARDOWN(module)
{
	if (access(DEV, F_OK))
		EXPECT_EQ(0, load(""));
}

static uint64_t slab_objects(const char *name)
{
	char line[512];
	uint64_t n = 0;
	FILE *f;

	/* KASAN keeps what is freed for a while, and as in use; this makes it let go. */
	snprintf(line, sizeof(line), "/sys/kernel/slab/%s/shrink", name);
	write_text(line, "1");
	f = fopen("/proc/slabinfo", "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ' ')
			n = strtoull(line + strlen(name), NULL, 10);
	if (f)
		fclose(f);
	return n;
}

static int count_lines(const char *path, const char *text)
{
	char line[512];
	int n = 0;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	if (f)
		fclose(f);
	return n;
}

/* Each name that the module gives something in the kernel. */
static int traces_left(void)
{
	int n = 0;

	n += !access(DEV, F_OK);
	n += !access("/sys/class/tricolor", F_OK);
	n += !access("/sys/module/tricolor", F_OK);
	n += !access("/sys/kernel/tracing/events/tricolor", F_OK);
	n += !access("/sys/kernel/btf/tricolor", F_OK);
	n += count_lines("/proc/misc", "tricolor");
	n += count_lines("/proc/slabinfo", "tricolor");
	n += count_lines("/proc/kallsyms", "[tricolor]");
	n += count_lines("/proc/self/mountinfo", "tricolor");
	return n;
}

/* A bit of everything, so that each list, cache and file has been used. */
static void use(void)
{
	uint32_t id;
	int fd = new_arena(4 * MiB, 0, &id), collector = new_collector(fd);
	char *p = map_rw(fd, 4 * MiB), path[96], text[64];

	memset(p, 1, MiB);
	reclaim(collector, 0, 8 * PAGE);
	dirty_call(collector, TRICOLOR_DIRTY_START, 0, 4 * MiB, NULL, NULL);
	snprintf(path, sizeof(path), "/sys/class/tricolor/arena%u/state", id);
	read_text(path, text, sizeof(text));
	munmap(p, 4 * MiB);
	close(fd);
	close(collector);
}

TEST_F_TIMEOUT(module, a_hundred_times, 240)
{
	uint64_t before, after, inodes;
	int i;

	/* What the first few leave in caches that grow once. */
	for (i = 0; i < 5; i++) {
		use();
		ASSERT_TRUE(WAIT_FOR(!unload()));
		ASSERT_EQ(0, load(""));
	}
	ASSERT_TRUE(WAIT_FOR(!unload()));
	EXPECT_EQ(0, traces_left());
	inodes = slab_objects("shmem_inode_cache");
	before = slab_objects("kmalloc-1k");
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, load(""));
		if (i % 10 == 0)
			use();
		ASSERT_TRUE(WAIT_FOR(!unload()));
		ASSERT_EQ(0, access(DEV, F_OK) ? 0 : 1);
	}
	EXPECT_EQ(0, traces_left());
	/* 100 of anything would show. */
	after = slab_objects("kmalloc-1k");
	EXPECT_LE(after, before + 80);
	EXPECT_LE(slab_objects("shmem_inode_cache"), inodes + 80);
}

#define EXPECT_BUSY() EXPECT_EQ(-EWOULDBLOCK, unload())

TEST_F(module, not_while_in_use)
{
	int fd = open_dev(), collector;
	char *p;

	EXPECT_BUSY();
	ASSERT_EQ(0, create(fd, 4 * MiB, 0, NULL));
	EXPECT_BUSY();
	p = map_rw(fd, 4 * MiB);
	*p = 1;
	close(fd);
	/* A mapping alone keeps it, */
	EXPECT_BUSY();
	munmap(p, 4 * MiB);
	/* and so does a collector's descriptor or mapping of an arena that is gone, */
	fd = new_arena(4 * MiB, 0, NULL);
	collector = new_collector(fd);
	close(fd);
	EXPECT_BUSY();
	close(collector);
	fd = new_arena(4 * MiB, 0, NULL);
	collector = new_collector(fd);
	p = map(collector, 4 * MiB, PROT_READ);
	close(fd);
	close(collector);
	EXPECT_BUSY();
	munmap(p, 4 * MiB);
	EXPECT_TRUE(WAIT_FOR(!unload()));
	EXPECT_EQ(0, traces_left());
}

/* Root's other door to an arena's file holds no code of ours. */
TEST_F(module, with_map_files_open)
{
	int fd = new_arena(4 * MiB, 0, NULL), other;
	char *p = map_rw(fd, 4 * MiB), path[96], byte, *q;

	*p = 1;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%llx", (unsigned long)p,
		 (unsigned long)p + 4 * MiB);
	other = open(path, O_RDWR | O_CLOEXEC);
	if (other < 0)
		SKIP(return, "map_files can't be opened here: %s", strerror(errno));
	q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, other, 0);
	munmap(p, 4 * MiB);
	close(fd);
	/* It may keep the module or not; either way what is used afterwards must be there. */
	if (WAIT_FOR(!unload()))
		TH_LOG("unloaded under it");
	EXPECT_NE(1, pread(other, &byte, 1, 0));
	fcntl(other, F_GETFL);
	if (q != MAP_FAILED)
		munmap(q, PAGE);
	close(other);
	WAIT_FOR(!unload() || errno == ENOENT);
}

TEST_F(module, parameters)
{
	struct tricolor_query q;

	ASSERT_EQ(0, unload());
	EXPECT_EQ(-EINVAL, load("max_user_arenas=many"));
	ASSERT_EQ(0, load("max_user_arenas=7 max_user_bytes=8192 max_arena_bytes=4096"));
	q = query();
	EXPECT_EQ(7, q.max_user_arenas);
	EXPECT_EQ(8192, q.max_user_bytes);
	EXPECT_EQ(4096, q.max_arena_bytes);
	ASSERT_TRUE(WAIT_FOR(!unload()));
}

/* Opened by some while others take it out and put it back. */
struct opener {
	_Atomic bool stop;
	_Atomic uint64_t opened;
};

static void *open_and_close(void *arg)
{
	struct opener *o = arg;

	while (!atomic_load(&o->stop)) {
		int fd = open(DEV, O_RDWR | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (!create(fd, 64 * PAGE, 0, NULL)) {
			char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

			if (p != MAP_FAILED) {
				*p = 1;
				munmap(p, PAGE);
			}
		}
		close(fd);
		atomic_fetch_add(&o->opened, 1);
	}
	return NULL;
}

TEST_F(module, unloaded_under_openers)
{
	struct opener o = { 0 };
	uint64_t end = now_ns() + 5000000000ull;
	int i, unloads = 0;
	pthread_t threads[2];

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, open_and_close, &o));
	while (now_ns() < end)
		if (!unload()) {
			unloads++;
			ASSERT_EQ(0, load(""));
		}
	atomic_store(&o.stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%d unloads, %llu opens", unloads, (unsigned long long)o.opened);
	EXPECT_LT(0, o.opened);
}

TEST_HARNESS_MAIN
