// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_core.c - core dumps of a program with a heap, mlockall(), valgrind
 *
 * What is to be dumped is what /proc/self/smaps says of each mapping ("dd": not dumped), which the
 * kernel and gcore(1) go by.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/witness.h"

static struct witness *list;
static char *big;

static void build(int n)
{
	for (int i = 0; i < n; i++) {
		struct witness *w = witness_new((uint64_t)i);

		tri_store(&w->next, list);
		tri_store(&list, w);
	}
}

struct sums {
	uint64_t dumped_kib, resident_kib, locked_kib;	/* of arenas */
	bool dumps_it;					/* the address that was asked for */
};

static struct sums look(const void *address)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	struct sums s = { 0 };
	unsigned long lo, hi;
	uint64_t size = 0, kib;
	bool arena = false, here = false;
	char line[1024];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2) {
			arena = strstr(line, "memfd:tricolor") != NULL;
			here = (uintptr_t)address >= lo && (uintptr_t)address < hi;
			size = (hi - lo) >> 10;
		} else if (arena && sscanf(line, "Rss: %lu", &kib) == 1) {
			s.resident_kib += kib;
		} else if (arena && sscanf(line, "Locked: %lu", &kib) == 1) {
			s.locked_kib += kib;
		} else if (arena && !strncmp(line, "VmFlags:", 8) && !strstr(line, " dd")) {
			s.dumped_kib += size;
			s.dumps_it |= here;
		}
	}
	if (f)
		fclose(f);
	return s;
}

static bool used_is_dumped(void)
{
	struct sums s;

	build(10000);
	s = look(list);
	ksft_print_msg("%llu KiB of an arena are dumped\n", (unsigned long long)s.dumped_kib);
	CHECK(s.dumps_it);
	CHECK(s.dumped_kib < 64 << 10);
	/* Something large, and then no more. */
	tri_store(&big, tri_alloc_leaf(200 << 20));
	s = look(big + (150 << 20));
	CHECK(s.dumps_it && s.dumped_kib >= 200 << 10);
	tri_store(&big, NULL);
	collect_times(4);
	CHECK(tri_free_os_memory() == 0);
	collect_times(2);
	CHECK(look(list).dumped_kib < 64 << 10);
	CHECK(look(list).dumps_it);
	/* What is taken again is dumped again. */
	tri_store(&big, tri_alloc_leaf(100 << 20));
	CHECK(look(big + (50 << 20)).dumps_it);
	return witness_ok(list, 9999);
}

static bool copy_is_dumped(void)
{
	pid_t pid;
	int status;

	build(10000);
	pid = fork();
	if (!pid) {
		struct sums s = look(list);

		_exit(s.dumps_it && s.dumped_kib < 64 << 10 ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	return true;
}

/* A real one, where the kernel writes it into a file of the folder that a process is in. */
static bool kernel_dumps_little(void)
{
	struct rlimit core = { 512 << 20, 512 << 20 }, may;
	char pattern[128] = "", command[128];
	const char *folder;
	FILE *f = fopen("/proc/sys/kernel/core_pattern", "r");
	uint64_t before, took;
	pid_t pid;
	int status;

	if (f) {
		if (!fgets(pattern, sizeof(pattern), f))
			*pattern = 0;
		fclose(f);
	}
	if (*pattern == '|' || strchr(pattern, '/') || getrlimit(RLIMIT_CORE, &may) ||
	    may.rlim_max < core.rlim_max) {
		ksft_print_msg("no core files here\n");
		return true;
	}
	folder = temporary_folder();
	before = now_ns();
	pid = fork();
	if (!pid) {
		build(10000);
		if (chdir(folder) || setrlimit(RLIMIT_CORE, &core))
			_exit(1);
		abort();
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGABRT);
	took = now_ns() - before;
	ksft_print_msg("a core after %llu ms\n", (unsigned long long)(took / 1000000));
	/* Not cut off: all that was to be dumped was less than the limit. */
	snprintf(command, sizeof(command), "test $(du -sk %s | cut -f1) -lt 65536", folder);
	status = system(command);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	CHECK(system(command) == 0);
	return status == 0;
}

static uint64_t memory_kib(void)
{
	return look(NULL).resident_kib;
}

static bool may_lock(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	if (!setrlimit(RLIMIT_MEMLOCK, &all) || !geteuid())
		return true;
	ksft_print_msg("not allowed to lock memory\n");
	return false;
}

static bool lock_before(void)
{
	if (!may_lock())
		return true;
	CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
	build(10000);
	collect_times(2);
	CHECK(memory_kib() < 64 << 10);
	CHECK(look(NULL).locked_kib != 0);
	CHECK(look(NULL).locked_kib < 64 << 10);
	return witness_ok(list, 9999);
}

static bool lock_after(void)
{
	static const int flags[] = { MCL_CURRENT | MCL_FUTURE, MCL_CURRENT, MCL_FUTURE };
	size_t bytes = 1 << 20, i;
	unsigned char there[256];
	char *untouched, *later;

	if (!may_lock())
		return true;
	build(10000);
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		CHECK(munlockall() == 0);
		untouched = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0);
		CHECK(mlockall(flags[i]) == 0);
		collect_times(2);
		CHECK(memory_kib() < 64 << 10);
		/* All else as without a heap: what is there comes in, and what comes later. */
		CHECK(mincore(untouched, bytes, there) == 0);
		ksft_print_msg("flags %#x: the last page of what was there is %s\n",
			       (unsigned int)flags[i], there[255] & 1 ? "in memory" : "not");
		CHECK((there[255] & 1) == (flags[i] & MCL_CURRENT));
		later = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
		CHECK(mincore(later, bytes, there) == 0 &&
		      (there[255] & 1) == !!(flags[i] & MCL_FUTURE));
	}
	return witness_ok(list, 9999);
}

/* To be unmapped; NULL: nothing.  The compiler takes it that mlockall() does not come back here. */
static char *volatile neighbour;

/* The library's call comes here.  Another thread unmaps a part of the mapping just before it. */
int mlock(const void *at, size_t bytes)
{
	char *gone = neighbour;

	if (gone && (const char *)at <= gone && (const char *)at + bytes > gone) {
		neighbour = NULL;
		munmap(gone, 1 << 20);
	}
	return (int)syscall(SYS_mlock, at, bytes);
}

static bool lock_while_unmapped(void)
{
	size_t bytes = 1 << 20;
	unsigned char there[256];
	char *both;

	if (!may_lock())
		return true;
	build(10000);
	both = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(both != MAP_FAILED);
	neighbour = both + bytes;
	CHECK(mlockall(MCL_CURRENT) == 0);
	CHECK(!neighbour);
	CHECK(mincore(both, bytes, there) == 0 && there[0] & there[255] & 1);
	return witness_ok(list, 9999);
}

static bool lock_little(void)
{
	struct rlimit some = { 4 << 20, 4 << 20 };

	/* Without the right to lock more. */
	if (setrlimit(RLIMIT_MEMLOCK, &some) || (!geteuid() && setresuid(65534, 65534, 65534)))
		return false;
	if (mlockall(MCL_FUTURE))
		return true;
	/* No heap fits; it says so. */
	errno = 0;
	CHECK(!tri_alloc(16) && errno);
	ksft_print_msg("%s\n", tri_error());
	return strstr(tri_error(), "RLIMIT_MEMLOCK") != NULL;
}

/* Without a collector, which the program says, and otherwise as usual. */
static bool under_valgrind(void)
{
	char command[4200] = "valgrind -q ";
	ssize_t n = readlink("/proc/self/exe", command + 12, 4000);

	if (n <= 0 || system("command -v valgrind >/dev/null")) {
		ksft_print_msg("no valgrind here\n");
		return true;
	}
	strcpy(command + 12 + n, " allocate >/dev/null 2>&1");
	return system(command) == 0;
}

int main(int argc, char **argv)
{
	setenv("TRICOLOR_SOCKET", "off", 1);
	if (argc > 1 && !strcmp(argv[1], "allocate")) {
		build(1000);
		return !witness_ok(list, 999) || tri_alloc_leaf(1 << 20) == NULL;
	}
	setenv("TRICOLOR_BACKING", "memfd", 1);
	ksft_print_header();
	ksft_set_plan(8);
	ksft_test_result(scenario(used_is_dumped), "what is used is dumped, and no more\n");
	ksft_test_result(scenario(copy_is_dumped), "nor of a forked child's copy\n");
	ksft_test_result(scenario(kernel_dumps_little), "a core is small\n");
	ksft_test_result(scenario(lock_before), "mlockall() before the heap\n");
	ksft_test_result(scenario(lock_after), "mlockall() after\n");
	ksft_test_result(scenario(lock_while_unmapped), "mlockall() while another thread unmaps\n");
	ksft_test_result(scenario(lock_little), "little may be locked\n");
	ksft_test_result(scenario(under_valgrind), "valgrind\n");
	ksft_finished();
}
