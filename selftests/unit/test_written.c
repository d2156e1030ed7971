// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_written.c - which pages were written: no page is missed, and none is told without a reason
 *
 * Each test runs with each provider that there is: userfaultfd on a memfd, and an arena of
 * /dev/tricolor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/tricolor.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"
#include "core/heap/written.h"

#define PAGE ((size_t)4096)
#define BYTES ((size_t)32 << 20)
#define PAGES (BYTES / PAGE)
#define WORDS (PAGES / 64)
#define TABLE (512 * PAGE)		/* what one page table maps */
#define SMALL ((size_t)8 << 20)
#define NOBODY 65534

/* An arena, what is tracked of it, and what was told last. */
struct arena {
	int fd;
	char *p;
	size_t bytes;
	struct tri_written w;
	uint64_t bits[WORDS];
};

static struct arena arena;
static enum tri_written_by by;

static int device_file(size_t bytes)
{
	struct tricolor_create create = { .size = sizeof(create), .bytes = bytes };
	int fd = open("/dev/tricolor", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, TRICOLOR_IOC_CREATE, &create)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int memory_file(size_t bytes)
{
	int fd = memfd_create("test_written", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)bytes)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static bool map(size_t bytes)
{
	arena.bytes = bytes;
	arena.fd = by == TRI_WRITTEN_BY_DEVICE ? device_file(bytes) : memory_file(bytes);
	arena.p = arena.fd < 0 ? MAP_FAILED :
				 mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, arena.fd, 0);
	return arena.p != MAP_FAILED;
}

static bool begin(size_t bytes)
{
	bool ok = map(bytes) && !tri_written_open(&arena.w, arena.fd, arena.p, bytes) &&
		  arena.w.by == by;

	check(ok);
	return ok;
}

static void end(const char *what)
{
	char name[96];

	tri_written_close(&arena.w);
	munmap(arena.p, arena.bytes);
	close(arena.fd);
	snprintf(name, sizeof(name), "%s: %s", tri_written_name(by), what);
	result(name);
}

static void write_page(size_t page)
{
	++*(volatile char *)(arena.p + page * PAGE + 64);
}

static void write_pages(size_t first, size_t n)
{
	while (n--)
		write_page(first++);
}

static bool told(size_t page)
{
	return arena.bits[page / 64] >> (page % 64) & 1;
}

static size_t count(size_t first, size_t n)
{
	size_t sum = 0, i;

	for (i = first; i < first + n; i++)
		sum += told(i);
	return sum;
}

/* How many are told, of the first PAGES. */
static size_t collect(void)
{
	size_t pages = arena.bytes < BYTES ? arena.bytes / PAGE : PAGES;

	memset(arena.bits, 0x55, sizeof(arena.bits));
	check(!tri_written_collect(&arena.w, 0, pages, arena.bits));
	return count(0, pages);
}

static void test_exact(void)
{
	if (begin(BYTES)) {
		write_pages(0, PAGES);
		check(!tri_written_start(&arena.w));
		check(collect() == 0);
		write_page(0);
		write_page(63);
		write_page(64);
		write_page(PAGES - 1);
		check(collect() == 4 && told(0) && told(63) && told(64) && told(PAGES - 1));
		check(collect() == 0);
		write_page(64);
		check(collect() == 1 && told(64));
		/* To forget is no asking. */
		write_pages(0, PAGES);
		check(!tri_written_start(&arena.w) && collect() == 0);
	}
	end("those that were written, once");
}

/* More regions than one call of the kernel's tells. */
static void test_scattered(void)
{
	size_t i;

	if (begin(BYTES)) {
		write_pages(0, PAGES);
		check(!tri_written_start(&arena.w));
		for (i = 0; i < PAGES; i += 2)
			write_page(i);
		check(collect() == PAGES / 2);
		for (i = 0; i < PAGES; i++)
			check(told(i) == !(i % 2));
		check(collect() == 0);
		write_pages(0, PAGES);
		check(collect() == PAGES && collect() == 0);
	}
	end("every other page");
}

static void test_parts(void)
{
	uint64_t bits[3];

	if (begin(BYTES)) {
		write_pages(0, PAGES);
		check(!tri_written_start(&arena.w));
		write_pages(1000, 100);
		memset(bits, 0xff, sizeof(bits));
		check(!tri_written_collect(&arena.w, 1030, 65, bits));
		check(bits[0] == ~0ull && bits[1] == 1 && bits[2] == ~0ull);
		memset(bits, 0xff, sizeof(bits));
		check(!tri_written_collect(&arena.w, 1090, 20, bits));
		/* 1095 to 1099 are left of it. */
		check(bits[0] == 0x3e0 && bits[1] == ~0ull);
		check(!tri_written_collect(&arena.w, 5, 0, NULL));
		check(collect() == 30 && count(1000, 30) == 30);
	}
	end("a part is asked about, and the rest is kept");
}

/* Entries of page tables go, and with them what they knew; also whole page tables. */
static void test_dropped(void)
{
	volatile char c;

	if (begin(BYTES)) {
		write_pages(0, PAGES);
		check(!tri_written_start(&arena.w));
		write_pages(0, 2048);
		write_page(5000);
		check(!madvise(arena.p, 4 * TABLE, MADV_DONTNEED));
		check(!madvise(arena.p + 5000 * PAGE, PAGE, MADV_DONTNEED));
		/* Read again, with an entry that is clean. */
		c = arena.p[7 * PAGE];
		c = arena.p[5000 * PAGE];
		(void)c;
		collect();
		check(count(0, 2048) == 2048 && told(5000));
		/*
		 * What was not written when it was dropped may be told, and what is written then
		 * must be.
		 */
		check(!madvise(arena.p + 8 * TABLE, TABLE, MADV_DONTNEED));
		write_page(8 * 512 + 3);
		collect();
		check(told(8 * 512 + 3) && !told(8 * 512 - 1) && !told(9 * 512));
	}
	end("entries that were dropped count as written");
}

static void test_holes(void)
{
	if (begin(BYTES)) {
		write_pages(0, 1000);
		check(!tri_written_start(&arena.w));
		check(!madvise(arena.p + 100 * PAGE, 100 * PAGE, MADV_REMOVE));
		write_page(150);
		check(collect() == 1 && told(150));
		/* It has its first memory after the start. */
		write_page(1200);
		write_page(PAGES - 1);
		check(collect() == 2 && told(1200) && told(PAGES - 1));
		check(collect() == 0);
	}
	end("where there is no memory nothing was written");
}

static size_t page_tables(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	size_t kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPTE: %zu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib << 10;
}

/* 16 MiB of page tables if all of it had them. */
static void test_sparse(void)
{
	size_t bytes = (size_t)8 << 30, before;

	if (by == TRI_WRITTEN_BY_DEVICE)
		bytes = (size_t)1 << 30;
	if (begin(bytes)) {
		uint64_t *bits = calloc(bytes / PAGE / 64, 8);

		write_page(3);
		write_page(bytes / PAGE - 5);
		before = page_tables();
		check(!tri_written_start(&arena.w));
		write_page(bytes / PAGE / 2);
		check(!tri_written_collect(&arena.w, 0, bytes / PAGE, bits));
		check(bits[bytes / PAGE / 128] == 1 && !bits[0] && !bits[bytes / PAGE / 64 - 1]);
		check(before && page_tables() < before + (64 << 10));
		free(bits);
	}
	end("a sparse arena gets no page tables");
}

/* ------------------------------------------------------------------------------------------ */
/* Beside writers                                                                             */
/* ------------------------------------------------------------------------------------------ */

#define WRITES 60000			/* of each */

static _Atomic unsigned int writing;

/* Also pages that have no memory yet, or none any more. */
static void *writer(void *arg)
{
	uint64_t x = (uintptr_t)arg * 0x9e3779b97f4a7c15ull + 1;
	unsigned int n;

	for (n = 0; n < WRITES; n++) {
		size_t page;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		/*
		 * Few pages, so that each is written and asked about at the same time; and some new
		 * ones.
		 */
		page = n % 8 ? x % 300 : x % (SMALL / PAGE);
		atomic_fetch_add_explicit((_Atomic uint64_t *)(arena.p + page * PAGE), 1,
					  memory_order_relaxed);
		if (n % 4096 == 4095 &&
		    madvise(arena.p + (x >> 20) % (SMALL / TABLE) * TABLE, TABLE, MADV_DONTNEED))
			break;
	}
	atomic_fetch_sub(&writing, 1);
	return (void *)(uintptr_t)(n == WRITES);
}

static void test_beside(void)
{
	static uint64_t copy[SMALL / PAGE];
	pthread_t threads[2];
	size_t i, rounds = 0, missed = 0, n = 0;
	bool last;
	void *done;

	memset(copy, 0, sizeof(copy));
	atomic_store(&writing, 2);
	if (begin(SMALL) && !tri_written_start(&arena.w)) {
		for (i = 0; i < 2; i++)
			check(!pthread_create(&threads[i], NULL, writer, (void *)(i + 1)));
		/*
		 * Nothing that is copied too early is copied too late: what is written after it is
		 * told again.
		 */
		do {
			last = !atomic_load(&writing);
			n += collect();
			for (i = 0; i < SMALL / PAGE; i++)
				if (told(i))
					copy[i] = atomic_load(
						(_Atomic uint64_t *)(arena.p + i * PAGE));
			rounds++;
		} while (!last);
		for (i = 0; i < 2; i++)
			check(!pthread_join(threads[i], &done) && done);
		for (i = 0; i < SMALL / PAGE; i++)
			missed += copy[i] != *(uint64_t *)(arena.p + i * PAGE);
		ksft_print_msg("%zu pages told in %zu rounds, %zu missed\n", n, rounds, missed);
		check(n > SMALL / PAGE / 2 && !missed);
	}
	end("beside writers, none is missed");
}

/* ------------------------------------------------------------------------------------------ */
/* Another process                                                                            */
/* ------------------------------------------------------------------------------------------ */

/* The collector: of another user, who may not open the pagemap. */
static int collector(int go)
{
	struct tri_written w;
	char c;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 2;
	if (tri_written_adopt(&w, arena.fd, fcntl(arena.w.pagemap, F_DUPFD_CLOEXEC, 0),
			      (uintptr_t)arena.p, BYTES))
		return 3;
	if (by == TRI_WRITTEN_BY_UFFD && (w.uffd != -1 || w.by != by))
		return 4;
	if (tri_written_start(&w))
		return 5;
	/* The other process writes, and says so. */
	if (write(go, "g", 1) != 1 || read(go, &c, 1) != 1)
		return 6;
	if (tri_written_collect(&w, 0, PAGES, arena.bits) || count(0, PAGES) != 2 || !told(10) ||
	    !told(20))
		return 7;
	if (tri_written_collect(&w, 0, PAGES, arena.bits) || count(0, PAGES))
		return 8;
	tri_written_leave(&w);
	return 0;
}

static void test_adopt(void)
{
	int pair[2], status = -1;
	pid_t pid;
	char c;

	if (begin(BYTES) && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		write_pages(0, PAGES);
		pid = fork();
		if (!pid) {
			close(pair[0]);
			_exit(collector(pair[1]));
		}
		close(pair[1]);
		check(read(pair[0], &c, 1) == 1);
		write_page(10);
		write_page(20);
		check(write(pair[0], "w", 1) == 1);
		check(waitpid(pid, &status, 0) == pid && !status);
		if (status)
			ksft_print_msg("the collector: wait status 0x%x\n", (unsigned int)status);
		/* It goes on for this one, which has to start for itself. */
		check(!tri_written_start(&arena.w) && collect() == 0);
		write_page(30);
		check(collect() == 1 && told(30));
		close(pair[0]);
	}
	end("another user's process asks");
}

/* A child leaves, and its parent's goes on. */
static void test_forked(void)
{
	int status = -1;
	pid_t pid;

	if (begin(BYTES)) {
		write_pages(0, 100);
		check(!tri_written_start(&arena.w));
		pid = fork();
		if (!pid) {
			tri_written_leave(&arena.w);
			_exit(arena.w.by != TRI_WRITTEN_BY_NOBODY);
		}
		check(waitpid(pid, &status, 0) == pid && !status);
		write_page(9);
		collect();
		check(told(9) && (by == TRI_WRITTEN_BY_DEVICE || count(0, PAGES) == 1));
	}
	end("after a fork the parent's goes on");
}

/* ------------------------------------------------------------------------------------------ */
/* Errors                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static void test_errors(void)
{
	struct tri_written w;

	if (begin(BYTES)) {
		write_pages(0, 100);
		memset(arena.bits, 0, sizeof(arena.bits));
		check(tri_written_collect(&arena.w, 0, 65, arena.bits) == -ENODATA);
		check(arena.bits[0] == ~0ull && arena.bits[1] == 1);
		check(!tri_written_start(&arena.w));
		check(tri_written_collect(&arena.w, PAGES - 1, 2, arena.bits) == -EINVAL &&
		      arena.bits[0] == 3);
		check(tri_written_collect(&arena.w, SIZE_MAX, 1, arena.bits) == -EINVAL &&
		      arena.bits[0] == 1);
		check(tri_written_collect(&arena.w, 0, 0, NULL) == 0);
		check(tri_written_open(&w, arena.fd, arena.p + 1, PAGE) == -EINVAL);
		check(tri_written_open(&w, arena.fd, arena.p, PAGE + 1) == -EINVAL);
		check(tri_written_open(&w, arena.fd, arena.p, 0) == -EINVAL);
		check(tri_written_open(&w, -1, arena.p, BYTES) == -EOPNOTSUPP &&
		      w.by == TRI_WRITTEN_BY_NOBODY);
		check(tri_written_open(&w, arena.fd, arena.p, 2 * BYTES) == -EOPNOTSUPP);
		check(tri_written_start(&w) == -EOPNOTSUPP);
	}
	end("errors, and then all counts as written");
}

/* The mapping is gone: what is not known is no fact. */
static void test_unmapped(void)
{
	if (begin(BYTES)) {
		write_pages(0, PAGES);
		check(!tri_written_start(&arena.w));
		check(mmap(arena.p, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, arena.fd,
			   0) == arena.p);
		write_page(5);
		if (by == TRI_WRITTEN_BY_UFFD) {
			memset(arena.bits, 0, sizeof(arena.bits));
			check(tri_written_collect(&arena.w, 0, PAGES, arena.bits) < 0 &&
			      count(0, PAGES) == PAGES);
		} else {
			collect();
			check(told(5));
		}
	}
	end("mapped anew");
}

static void test_pagemap(void)
{
	struct tri_written w;

	if (begin(BYTES)) {
		check(tri_written_adopt(&w, arena.fd, memory_file(BYTES), (uintptr_t)arena.p,
					BYTES) == -EOPNOTSUPP);
		check(w.pagemap == -1 && w.error[TRI_WRITTEN_BY_UFFD] == -EINVAL);
		check(tri_written_adopt(&w, arena.fd,
					open("/proc/self/status", O_RDONLY | O_CLOEXEC),
					(uintptr_t)arena.p, BYTES) == -EOPNOTSUPP);
		check(tri_written_adopt(&w, arena.fd, -1, (uintptr_t)arena.p, BYTES) ==
		      -EOPNOTSUPP);
		check(w.error[TRI_WRITTEN_BY_UFFD] == -EBADF);
	}
	end("a pagemap that is none is refused");
}

static int denied(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	struct tri_written w;
	char text[512];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 2;
	if (!map(BYTES) || tri_written_open(&w, arena.fd, arena.p, BYTES) != -EOPNOTSUPP)
		return 3;
	if (w.by != TRI_WRITTEN_BY_NOBODY || strcmp(tri_written_name(w.by), "none") ||
	    w.uffd != -1 || w.pagemap != -1)
		return 4;
	tri_written_explain(&w, text, sizeof(text));
	ksft_print_msg("%s\n", text);
	return strstr(text, "denied") && strstr(text, "/dev/tricolor") ? 0 : 5;
}

static void test_denied(void)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		status = denied();
		fflush(stdout);
		_exit(status);
	}
	ksft_test_result(waitpid(pid, &status, 0) == pid && !status,
			 "denied as in a container: it says so\n");
}

static const struct {
	void (*run)(void);
	bool on_memfd_only;
} tests[] = {
	{ test_exact, false },	{ test_scattered, false }, { test_parts, false },
	{ test_dropped, true }, { test_holes, false },	   { test_sparse, false },
	{ test_beside, true },	{ test_adopt, true },	   { test_forked, false },
	{ test_errors, true },	{ test_unmapped, false },  { test_pagemap, true },
};

#define TESTS (sizeof(tests) / sizeof(tests[0]))

/* Whether there is such a provider; if not, @why. */
static bool is_there(char *why, size_t size)
{
	bool there = map(BYTES);

	snprintf(why, size, "no /dev/tricolor");
	if (!there)
		return false;
	there = !tri_written_open(&arena.w, arena.fd, arena.p, BYTES) && arena.w.by == by;
	if (!there)
		tri_written_explain(&arena.w, why, size);
	tri_written_close(&arena.w);
	munmap(arena.p, BYTES);
	close(arena.fd);
	return there;
}

static bool is_for(size_t test)
{
	return by != TRI_WRITTEN_BY_DEVICE || !tests[test].on_memfd_only;
}

/* A result for each test, or one for a provider that is not there; and one more. */
static unsigned int planned(const bool *there)
{
	unsigned int n = 1;
	size_t i;

	for (by = 0; by < TRI_WRITTEN_KINDS; by++) {
		n += !there[by];
		for (i = 0; i < TESTS; i++)
			n += there[by] && is_for(i);
	}
	return n;
}

int main(void)
{
	bool there[TRI_WRITTEN_KINDS];
	char why[TRI_WRITTEN_KINDS][512];
	size_t i;

	ksft_print_header();
	for (by = 0; by < TRI_WRITTEN_KINDS; by++)
		there[by] = is_there(why[by], sizeof(why[by]));
	ksft_set_plan(planned(there));
	for (by = 0; by < TRI_WRITTEN_KINDS; by++) {
		if (!there[by])
			ksft_test_result_skip("%s\n", why[by]);
		for (i = 0; i < TESTS && there[by]; i++)
			if (is_for(i))
				tests[i].run();
	}
	by = TRI_WRITTEN_BY_UFFD;
	test_denied();
	ksft_finished();
}
