// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_backing.c - what the collector takes for an arena, and what becomes of one that loses pages
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/heap/backing.h"
#include "daemon/process/fault.h"
#include "kselftest.h"

#define PAGE 4096
#define BYTES (64 * PAGE)

static int sealed(unsigned int flags, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | flags);

	if (fd < 0 || ftruncate(fd, BYTES) || (seals && fcntl(fd, F_ADD_SEALS, seals)))
		ksft_exit_fail_msg("no memfd: %s\n", strerror(errno));
	return fd;
}

static int check(int fd)
{
	const char *why = NULL;
	uint64_t bytes = 0;
	bool is_device = true;
	int err = backing_check(fd, &is_device, &bytes, &why);

	if (is_device || (err ? !why || strlen(why) < 20 : bytes != BYTES))
		return -1;
	return err;
}

static void test_check(void)
{
	int pipes[2], zero = open("/dev/zero", O_RDWR | O_CLOEXEC);

	ksft_test_result(!check(sealed(MFD_ALLOW_SEALING, F_SEAL_SHRINK | F_SEAL_GROW)),
			 "a sealed memfd\n");
	ksft_test_result(check(sealed(MFD_ALLOW_SEALING, F_SEAL_GROW)) == EPERM,
			 "one that may shrink\n");
	ksft_test_result(check(sealed(0, 0)) == EPERM, "one without seals\n");
	/* A device's node may be on tmpfs. */
	ksft_test_result(!pipe(pipes) && check(pipes[0]) == EMEDIUMTYPE && check(zero) > 0,
			 "no memfd\n");
	ksft_test_result(check(-1) == EMEDIUMTYPE, "no descriptor\n");
}

static void test_release(void)
{
	int fd = sealed(MFD_ALLOW_SEALING, F_SEAL_SHRINK | F_SEAL_GROW);
	char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	const struct backing_range ranges[] = { { 0, PAGE }, { 5 * PAGE, 3 * PAGE } };
	bool ok = p != MAP_FAILED;

	memset(p, 1, BYTES);
	ok &= backing_resident_bytes(fd, 0) == BYTES && !backing_release(fd, false, ranges, 2) &&
	      backing_resident_bytes(fd, 0) == BYTES - 4 * PAGE;
	ok &= !p[0] && p[PAGE] && p[4 * PAGE] && !p[5 * PAGE] && !p[7 * PAGE] && p[8 * PAGE];
	ksft_test_result(ok, "ranges are released, and no more\n");
	ksft_test_result(backing_release(fd, false, (struct backing_range[]){ { 0, 0 } }, 1) ==
					 EINVAL &&
				 backing_resident_bytes(-1, 77) == 77,
			 "what can't be done is said\n");
}

/* ------------------------------------------------------------------------------------------ */

static char *map_file(int *fd)
{
	char *p;

	*fd = sealed(0, 0);
	p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (p == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	memset(p, 7, BYTES);
	return p;
}

static uint64_t sum(const char *p)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < BYTES; i++)
		n += (unsigned char)*(const volatile char *)(p + i);
	return n;
}

static void test_fault(void)
{
	int fd, other_fd;
	char *p = map_file(&fd), *other = map_file(&other_fd);
	struct fault_guard *g = fault_guard(p, BYTES), *h = fault_guard(other, BYTES);
	bool ok;

	ok = g && h && sum(p) == 7 * BYTES && !fault_happened(g);
	ksft_test_result(ok, "nothing happens to whole arenas\n");

	ok = !ftruncate(fd, 10 * PAGE) && p[9 * PAGE] == 7 && !fault_happened(g);
	p[20 * PAGE + 5] = 3;
	ok &= fault_happened(g) && fault_offset(g) == 20 * PAGE + 5;
	ksft_test_result(ok, "a missing page is noted, with its place\n");
	ksft_test_result(sum(p) == 3, "from then on all of it is zeros that can be written\n");
	ksft_test_result(!fault_happened(h) && sum(other) == 7 * BYTES,
			 "its neighbour is as it was\n");

	fault_unguard(g);
	munmap(p, BYTES);
	p = map_file(&fd);
	g = fault_guard(p, BYTES);
	ok = g && !fault_happened(g) && sum(p) == 7 * BYTES && !ftruncate(fd, 0) && !sum(p) &&
	     fault_happened(g) && !fault_happened(h);
	ksft_test_result(ok, "a guard that is used again knows nothing of before\n");
	fault_unguard(g);
	fault_unguard(h);
}

static _Atomic(char *) volatile target;
static atomic_int rounds_left;

/* Touches whatever the other thread maps and takes away. */
static void *toucher(void *arg)
{
	(void)arg;
	while (atomic_load(&rounds_left)) {
		char *p = atomic_exchange(&target, NULL);

		if (p && sum(p) > 7 * BYTES)
			return p;
		if (p)
			atomic_fetch_sub(&rounds_left, 1);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t thread;
	void *result;
	bool ok = true;
	int i;

	atomic_store(&rounds_left, 200);
	pthread_create(&thread, NULL, toucher, NULL);
	for (i = 0; i < 200; i++) {
		int fd, left = 200 - i;
		char *p = map_file(&fd);
		struct fault_guard *g = fault_guard(p, BYTES);

		atomic_store(&target, p);
		ok &= g && !ftruncate(fd, 0);
		/* It has seen some of it whole, and some of it missing; then it is ours again. */
		while (atomic_load(&rounds_left) == left)
			;
		fault_unguard(g);
		munmap(p, BYTES);
		close(fd);
	}
	pthread_join(thread, &result);
	ksft_test_result(ok && !result, "arenas that are taken away while a thread reads them\n");
}

static void test_foreign(void)
{
	int status, fd;
	pid_t pid = fork();

	if (!pid) {
		char *p = map_file(&fd);

		if (ftruncate(fd, 0))
			_exit(1);
		p[0] = 1;
		_exit(0);
	}
	ksft_test_result(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
				 WTERMSIG(status) == SIGBUS,
			 "a bus error that is no arena's still ends us\n");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(14);
	fault_init();
	test_check();
	test_release();
	test_fault();
	test_threads();
	test_foreign();
	ksft_finished();
}
