/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * arena.h - what tests of the module need: descriptors of each kind, calls, mappings, facts
 *
 * Calls return 0 or -errno.  What can't fail in a test that makes sense is asserted here.
 */
#ifndef TRICOLOR_SELFTESTS_ARENA_H
#define TRICOLOR_SELFTESTS_ARENA_H

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/tricolor.h>

#include "draw.h"
#include "kselftest_harness.h"

#define DEV "/dev/tricolor"

#define PAGE 4096ull
#define HUGE (2ull << 20)
#define MiB (1ull << 20)

#define UNUSED __attribute__((unused))

/* Where there is no module the tests skip; in the VM its absence is a failure. */
#define REQUIRE_MODULE()							\
	do {									\
		if (access(DEV, F_OK) && !getenv("TRICOLOR_IN_VM"))		\
			SKIP(return, "no " DEV ": the module is not loaded");	\
		ASSERT_EQ(0, access(DEV, F_OK));				\
	} while (0)

static inline int call(int fd, unsigned long nr, void *argument)
{
	return ioctl(fd, nr, argument) < 0 ? -errno : 0;
}

static inline int open_dev(void)
{
	int fd = open(DEV, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	return fd;
}

static inline int create(int fd, uint64_t bytes, uint32_t flags, uint32_t *id)
{
	struct tricolor_create c = { .size = sizeof(c), .flags = flags, .bytes = bytes };
	int err = call(fd, TRICOLOR_IOC_CREATE, &c);

	if (id)
		*id = c.id;
	return err;
}

/* An arena of @bytes; returns its owner's descriptor. */
static UNUSED int new_arena(uint64_t bytes, uint32_t flags, uint32_t *id)
{
	int fd = open_dev();

	ASSERT_EQ(0, create(fd, bytes, flags, id));
	return fd;
}

/* A collector's descriptor of the owner's @fd. */
static UNUSED int new_collector(int fd)
{
	struct tricolor_collector c = { .size = sizeof(c), .fd = -1 };

	ASSERT_EQ(0, call(fd, TRICOLOR_IOC_COLLECTOR, &c));
	ASSERT_LE(0, c.fd);
	return c.fd;
}

static UNUSED char *map(int fd, uint64_t bytes, int protection)
{
	char *p = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, p);
	return p;
}

static UNUSED char *map_rw(int fd, uint64_t bytes)
{
	return map(fd, bytes, PROT_READ | PROT_WRITE);
}

static UNUSED struct tricolor_info info(int fd)
{
	struct tricolor_info i = { .size = sizeof(i) };

	ASSERT_EQ(0, call(fd, TRICOLOR_IOC_INFO, &i));
	return i;
}

static UNUSED struct tricolor_query query(void)
{
	struct tricolor_query q = { .size = sizeof(q) };
	int fd = open_dev();

	ASSERT_EQ(0, call(fd, TRICOLOR_IOC_QUERY, &q));
	close(fd);
	return q;
}

static UNUSED bool has_feature(uint64_t feature)
{
	return query().features & feature;
}

/* @result: what is returned besides, for one. */
static inline int reclaim_ranges(int fd, struct tricolor_range *r, uint32_t n,
				 struct tricolor_ranges *result)
{
	struct tricolor_ranges v = { .size = sizeof(v), .nr = n, .ranges = (uintptr_t)r };
	int err = call(fd, TRICOLOR_IOC_RECLAIM, &v);

	if (result)
		*result = v;
	return err;
}

/* One range, whose own result counts. */
static inline int reclaim(int fd, uint64_t offset, uint64_t length)
{
	struct tricolor_range r = { .offset = offset, .length = length };
	int err = reclaim_ranges(fd, &r, 1, NULL);

	return err ? err : r.result;
}

static inline int dirty_call(int fd, uint32_t flags, uint64_t offset, uint64_t length,
			     uint64_t *bitmap, uint64_t *pages)
{
	struct tricolor_dirty d = { .size = sizeof(d), .flags = flags, .offset = offset,
				    .length = length, .bitmap = (uintptr_t)bitmap };
	int err = call(fd, TRICOLOR_IOC_DIRTY, &d);

	if (pages)
		*pages = d.dirty_pages;
	return err;
}

/* A descriptor to another process, and from it. */
static UNUSED void send_descriptor(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	ASSERT_EQ(1, sendmsg(socket, &m, 0));
}

static UNUSED int receive_descriptor(int socket)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int fd = -1;

	ASSERT_EQ(1, recvmsg(socket, &m, MSG_CMSG_CLOEXEC));
	ASSERT_NE(NULL, CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	ASSERT_LE(0, fd);
	return fd;
}

/* The page's number and the seed decide what is in it, all through. */
static UNUSED void fill_page(char *page, uint64_t number)
{
	uint64_t *w = (uint64_t *)page;
	size_t i;

	for (i = 0; i < PAGE / sizeof(*w); i++)
		w[i] = (number + 1) * 0x9e3779b97f4a7c15ull + i;
}

static UNUSED bool page_is(const char *page, uint64_t number)
{
	const uint64_t *w = (const uint64_t *)page;
	size_t i;

	for (i = 0; i < PAGE / sizeof(*w); i++)
		if (w[i] != (number + 1) * 0x9e3779b97f4a7c15ull + i)
			return false;
	return true;
}

static UNUSED bool page_is_zero(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE - 1);
}

/* A child's exit status, or 128 + the signal that killed it. */
static UNUSED int wait_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Run statements in a child; what it ended with, as wait_child() says. */
#define IN_CHILD(...)						\
	({							\
		pid_t child_ = fork();				\
								\
		if (!child_) {					\
			th.failed = false;			\
			__VA_ARGS__;				\
			_exit(th.failed ? KSFT_FAIL : 0);	\
		}						\
		ASSERT_LT(0, child_);				\
		wait_child(child_);				\
	})

/* Give up all that root may do.  For a child: there is no way back. */
static UNUSED void become_nobody(void)
{
	ASSERT_EQ(0, setgid(65534));
	ASSERT_EQ(0, setuid(65534));
}

/* Wait until @condition holds, for far longer than that can take. */
#define WAIT_FOR(condition)								\
	({										\
		uint64_t end_ = now_ns() + 20000000000ull;				\
		bool holds_;								\
											\
		while (!(holds_ = (condition)) && now_ns() < end_)			\
			usleep(2000);							\
		holds_;									\
	})

static UNUSED uint64_t test_seed(void)
{
	uint64_t seed = seed_from_environment();

	ksft_print_msg("SEED=%#llx\n", (unsigned long long)seed);
	return seed;
}

/* The text of a file below 4 KiB, without its last newline; false if it can't be read. */
static UNUSED bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	*text = 0;
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	if (n >= 0)
		text[n] = 0;
	else
		*text = 0;
	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = 0;
	close(fd);
	return n >= 0;
}

/* 0 or -errno. */
static UNUSED int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	if (!err && write(fd, text, strlen(text)) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

#endif
