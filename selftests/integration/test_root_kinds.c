// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_root_kinds.c - roots in memory of all kinds: protected, shared, sparse, truncated, unmapped
 *
 * Each part runs in a process of its own, which this program starts with the part's name.  In every
 * cycle freed objects are overwritten.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/parts.h"
#include "lib/witness.h"

#define ID(n) (0x0a03000000000000ull + (uint64_t)(n))
#define PAGE 4096ul
#define WORDS (PAGE / sizeof(void *))

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

/* An object for each page of @area, in the page's last word. */
static NOINLINE void fill(void **area, size_t pages)
{
	size_t i;

	for (i = 0; i < pages; i++)
		tri_store(&area[i * WORDS + WORDS - 1], witness_new(ID(i)));
}

static NOINLINE bool all_there(void **area, size_t pages, const char *what)
{
	size_t i, lost = 0;

	for (i = 0; i < pages; i++)
		lost += !witness_ok(area[i * WORDS + WORDS - 1], ID(i));
	if (lost)
		ksft_print_msg("%s: %zu of %zu objects are lost\n", what, lost, pages);
	return !lost;
}

static void *map(size_t bytes, int flags, int fd)
{
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (area == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	return area;
}

/* ------------------------------------------------------------------------------------------ */
/* Protected                                                                                  */
/* ------------------------------------------------------------------------------------------ */

static void *small_area[8 * WORDS] __attribute__((aligned(4096)));
static void *large_area[128 * WORDS] __attribute__((aligned(4096)));

/* What is in a page that nobody can read for a time is there afterwards. */
static bool keeps_protected(void **area, size_t pages, const char *what)
{
	char *page = (char *)(area + pages / 2 * WORDS);

	fill(area, pages);
	wipe_stack();
	if (mprotect(page, PAGE, PROT_NONE))
		ksft_exit_fail_msg("mprotect: %s\n", strerror(errno));
	collect_times(3);
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	return all_there(area, pages, what);
}

static bool part_protected(void)
{
	void **range = map(64 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	bool ok = keeps_protected(small_area, 8, "a small array") &&
		  keeps_protected(large_area, 128, "a large array");

	return !tri_root_add(range, 64 * PAGE) && keeps_protected(range, 64, "a range") && ok;
}

/* Added while barriers are on, too. */
static struct event stop;

static void *cycles(void *unused)
{
	while (!event_is_set(&stop))
		collect();
	return unused;
}

static bool part_added(void)
{
	void **range = map(16 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	pthread_t thread;
	int i;

	pthread_create(&thread, NULL, cycles, NULL);
	mprotect(range + 8 * WORDS, PAGE, PROT_NONE);
	for (i = 0; i < 20000; i++)
		if (tri_root_add(range, 16 * PAGE) || tri_root_remove(range, 16 * PAGE))
			return false;
	event_set(&stop);
	pthread_join(thread, NULL);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* Shared                                                                                     */
/* ------------------------------------------------------------------------------------------ */

#define SHARED_PAGES 256ul

static bool keeps_without_page_table(void **area, int advice, const char *what)
{
	bool ok;

	if (tri_root_add(area, SHARED_PAGES * PAGE))
		return false;
	fill(area, SHARED_PAGES);
	wipe_stack();
	if (madvise(area, SHARED_PAGES * PAGE, advice))
		ksft_exit_fail_msg("madvise: %s\n", strerror(errno));
	collect_times(3);
	ok = all_there(area, SHARED_PAGES, what);
	return !tri_root_remove(area, SHARED_PAGES * PAGE) && ok;
}

static int file_of(const char *path, size_t bytes)
{
	int fd = path ? open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) :
			memfd_create("test", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)bytes))
		ksft_exit_fail_msg("ftruncate: %s\n", strerror(errno));
	return fd;
}

static bool part_shared(void)
{
	size_t bytes = SHARED_PAGES * PAGE;
	int fd = file_of("/var/tmp", bytes);
	bool ok;

	ok = keeps_without_page_table(map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1), MADV_PAGEOUT,
				      "shared memory, paged out") &&
	     keeps_without_page_table(map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1), MADV_DONTNEED,
				      "shared memory, not needed") &&
	     keeps_without_page_table(map(bytes, MAP_SHARED, file_of(NULL, bytes)), MADV_DONTNEED,
				      "a memory file");
	/* Not every file system has unnamed files. */
	if (fd >= 0)
		ok = keeps_without_page_table(map(bytes, MAP_SHARED, fd), MADV_DONTNEED,
					      "a file") &&
		     ok;
	return ok;
}

/* Holes of shared memory stay holes. */
static bool part_sparse(void)
{
	size_t bytes = 256ul << 20;
	int fd = file_of(NULL, bytes);
	void **area = map(bytes, MAP_SHARED, fd);
	struct stat st;
	bool ok;

	if (tri_root_add(area, bytes))
		return false;
	fill(area + 1000 * WORDS, 10);
	wipe_stack();
	madvise(area, bytes, MADV_DONTNEED);
	collect_times(3);
	ok = all_there(area + 1000 * WORDS, 10, "a sparse file");
	fstat(fd, &st);
	ksft_print_msg("%lld KiB in the file\n", (long long)st.st_blocks / 2);
	return ok && st.st_blocks / 2 < 4096;
}

/* ------------------------------------------------------------------------------------------ */
/* Gone                                                                                       */
/* ------------------------------------------------------------------------------------------ */

static bool no_files;

/* The heap is a file too, and has its size by then. */
static void forbid_files(void)
{
	struct rlimit none = { 0, RLIM_INFINITY };

	if (tri_init(NULL) || setrlimit(RLIMIT_FSIZE, &none))
		ksft_exit_fail_msg("no limit for files: %s\n", strerror(errno));
}

/* The file is cut: what lies behind its end would be a SIGBUS. */
static bool part_truncated(void)
{
	int fd = file_of(NULL, SHARED_PAGES * PAGE);
	void **area = map(SHARED_PAGES * PAGE, MAP_SHARED, fd);

	if (no_files)
		forbid_files();
	if (tri_root_add(area, SHARED_PAGES * PAGE))
		return false;
	fill(area, SHARED_PAGES);
	if (ftruncate(fd, 3 * PAGE))
		return false;
	collect_times(3);
	return all_there(area, 3, "a file that was cut");
}

static bool part_unmapped(void)
{
	void **area = map(SHARED_PAGES * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	pthread_t thread;
	int i;

	if (tri_root_add(area, SHARED_PAGES * PAGE) || tri_root_add(area, 4 * PAGE))
		return false;
	pthread_create(&thread, NULL, cycles, NULL);
	for (i = 0; i < 200; i++) {
		/* Not unmapped: the library or the C library might be given that place. */
		if (mmap(area, SHARED_PAGES * PAGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != area)
			ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
		sched_yield();
		if (mprotect(area, SHARED_PAGES * PAGE, PROT_READ | PROT_WRITE))
			ksft_exit_fail_msg("mprotect: %s\n", strerror(errno));
		fill(area, 8);
		mprotect(area + 2 * WORDS, PAGE, PROT_NONE);
		collect();
		mprotect(area + 2 * WORDS, PAGE, PROT_READ | PROT_WRITE);
		if (!all_there(area, 8, "a range that was mapped again"))
			return false;
	}
	munmap(area, SHARED_PAGES * PAGE);
	collect_times(2);
	event_set(&stop);
	pthread_join(thread, NULL);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* The loader                                                                                 */
/* ------------------------------------------------------------------------------------------ */

static void *late_root;
static char plugin_path[PATH_MAX];
static void (*plugin_set)(void *global, void *local, void *element);
static void **plugin_global;

static NOINLINE void set_late(void)
{
	tri_store(&late_root, witness_new(ID(1)));
	plugin_set(witness_new(ID(2)), NULL, NULL);
}

/* The loader's lock is held here, by a thread that waits for cycles. */
static int in_callback(struct dl_phdr_info *info, size_t size, void *ok)
{
	(void)info;
	(void)size;
	set_late();
	collect_times(3);
	*(bool *)ok = witness_ok(late_root, ID(1)) && witness_ok(*plugin_global, ID(2));
	return 1;
}

static bool part_callback(void)
{
	void *handle = dlopen(plugin_path, RTLD_NOW);
	bool ok = false;

	if (!handle)
		ksft_exit_fail_msg("%s\n", dlerror());
	plugin_set = (__typeof__(plugin_set))dlsym(handle, "plugin_set");
	plugin_global = (void **)dlsym(handle, "plugin_global");
	return dl_iterate_phdr(in_callback, &ok) == 1 && ok;
}

/* The first use of the heap is there. */
static int starts_in_callback(struct dl_phdr_info *info, size_t size, void *ok)
{
	(void)info;
	(void)size;
	tri_store(&late_root, witness_new(ID(3)));
	collect_times(2);
	*(bool *)ok = witness_ok(late_root, ID(3));
	return 1;
}

static bool part_first(void)
{
	bool ok = false;

	return dl_iterate_phdr(starts_in_callback, &ok) == 1 && ok;
}

static void *load_and_unload(void *unused)
{
	while (!event_is_set(&stop)) {
		void *handle = dlopen(plugin_path, RTLD_NOW);

		if (!handle)
			ksft_exit_fail_msg("%s\n", dlerror());
		dlclose(handle);
	}
	return unused;
}

/* Objects come and go as fast as they can, in a cycle too. */
static bool part_churn(void)
{
	uint64_t before = read_stats().reconnects;
	pthread_t thread;
	int i;

	pthread_create(&thread, NULL, load_and_unload, NULL);
	for (i = 0; i < 200; i++) {
		tri_store(&late_root, witness_new(ID(i)));
		collect();
		if (!witness_ok(late_root, ID(i)))
			return false;
	}
	event_set(&stop);
	pthread_join(thread, NULL);
	return read_stats().reconnects == before;
}

/* ------------------------------------------------------------------------------------------ */

static const struct part parts[] = {
	{ "protected", part_protected, CLOBBER, "pages that can't be read for a time", NULL, NULL },
	{ "added", part_added, CLOBBER, "a range with one is added and removed", NULL, NULL },
	{ "shared", part_shared, CLOBBER, "shared memory that is not in the page table", NULL,
	  NULL },
	{ "shared", part_shared, PROBE, "the same without process_vm_readv()", NULL, NULL },
	{ "sparse", part_sparse, CLOBBER, "holes of shared memory", NULL, NULL },
	{ "truncated", part_truncated, CLOBBER, "a file that was cut", NULL, NULL },
	{ "truncated", part_truncated, CLOBBER, "the same where no file may grow", NULL, "none" },
	{ "unmapped", part_unmapped, CLOBBER, "a range that is unmapped and mapped again", NULL,
	  NULL },
	{ "callback", part_callback, CLOBBER, "cycles in a callback of dl_iterate_phdr()", NULL,
	  NULL },
	{ "callback", part_callback, PROBE, "the same without process_vm_readv()", NULL, NULL },
	{ "first", part_first, CLOBBER, "the heap starts in one", NULL, NULL },
	{ "churn", part_churn, CLOBBER, "objects that are loaded and unloaded all the time", NULL,
	  NULL },
};

int main(int argc, char **argv)
{
	char *slash;

	snprintf(plugin_path, sizeof(plugin_path) - 32, "%s", argv[0]);
	slash = strrchr(plugin_path, '/');
	strcpy(slash ? slash + 1 : plugin_path, slash ? "plugin_store.so" : "./plugin_store.so");
	no_files = argc > 2;
	return run_parts(parts, sizeof(parts) / sizeof(parts[0]), argc, argv);
}
