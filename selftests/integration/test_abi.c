// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_abi.c - objects whose inline functions this library does not know
 *
 * Plugins have notes that were written by hand.  An object that does not fit is refused when the
 * heap starts, and when it is loaded later nothing is collected until it is unloaded.  What the
 * linker and the loader refuse, by the names of symbols, is tested by selftests/install/abi.sh.
 */
#include <dlfcn.h>
#include <limits.h>
#include <link.h>

#include "lib/process.h"
#include "tricolor.h"

static char folder[PATH_MAX];		/* of this program, and of the plugins */

static void *load(const char *name)
{
	char path[PATH_MAX + 64];
	void *handle;

	snprintf(path, sizeof(path), "%s/plugin_note_%s.so", folder, name);
	handle = dlopen(path, RTLD_NOW);
	if (!handle)
		ksft_exit_fail_msg("%s\n", dlerror());
	return handle;
}

/* Whether tri_error() names the plugin and its version. */
static bool is_named(const char *name, unsigned int version)
{
	char wanted[96];

	snprintf(wanted, sizeof(wanted), "plugin_note_%s.so was compiled for version %u of", name,
		 version);
	if (strstr(tri_error(), wanted))
		return true;
	ksft_print_msg("%s\n", tri_error());
	return false;
}

/* In a child that has no heap yet. */
static int start_with(const char *name, unsigned int version)
{
	void *object;

	load(name);
	errno = 0;
	object = tri_alloc(32);
	if (!version)
		return object && !tri_gc() ? 0 : 1;
	if (object || errno != ENOEXEC || !is_named(name, version == UINT_MAX ? 0 : version))
		return 2;
	/* It stays refused, and is no deadlock. */
	return tri_init(NULL) == -ENOEXEC ? 0 : 3;
}

static bool starts(const char *name, unsigned int version)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(start_with(name, version));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		ksft_print_msg("%s: status %#x\n", name, status);
	return !status;
}

/* In a child that has a heap, and objects that are garbage. */
static int go_on_with(const char *name, unsigned int version)
{
	struct tri_stats before = { .size = sizeof(before) }, after = { .size = sizeof(after) };
	void *handle;

	if (!tri_alloc(32) || tri_gc() || tri_read_stats(&before))
		return 1;
	handle = load(name);
	if (!version)
		return tri_gc() ? 2 : 0;
	if (tri_gc() != -ETIMEDOUT || !is_named(name, version) || tri_read_stats(&after))
		return 3;
	if (after.cycles != before.cycles)
		return 4;
	if (dlclose(handle))
		return 5;
	/* The next collector is there when the agent has started one. */
	return WAIT_FOR(!tri_gc(), 10000000, 60000000000ull) ? 0 : 6;
}

static bool goes_on(const char *name, unsigned int version)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(go_on_with(name, version));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		ksft_print_msg("%s: status %#x\n", name, status);
	return !status;
}

/* In a child: one that does not fit gets the place of one that did. */
static int replace(void)
{
	struct link_map *map;
	ElfW(Addr) bias;
	void *handle;

	if (!tri_alloc(32))
		return 1;
	handle = load("same");
	map = handle;
	bias = map->l_addr;
	if (tri_gc() || dlclose(handle))
		return 2;
	handle = load("newer");
	if (handle != map || ((struct link_map *)handle)->l_addr != bias)
		fprintf(stderr, "# it has another place\n");
	return tri_gc() == -ETIMEDOUT && is_named("newer", 2) ? 0 : 3;
}

/* In a child, after @steps handshakes of a cycle. */
static int load_after(unsigned int steps)
{
	struct tri_stats before = { .size = sizeof(before) }, after = { .size = sizeof(after) };

	setenv("TRICOLOR_DEBUG", "gc=1", 1);
	if (!tri_alloc(32) || tri_gc() || tri_read_stats(&before))
		return 1;
	while (steps--)
		if (!tri_alloc(32))
			return 2;
	load("newer");
	if (tri_gc() != -ETIMEDOUT || !is_named("newer", 2) || tri_read_stats(&after))
		return 3;
	return after.cycles == before.cycles ? 0 : 4;
}

static int load_after_start(void)
{
	return load_after(1);
}

static int load_after_collect(void)
{
	return load_after(2);
}

static bool ends_with_0(int (*child)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(child());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		ksft_print_msg("status %#x\n", status);
	return !status;
}

int main(int argc, char **argv)
{
	(void)argc;
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(argv[0], '/') - argv[0]), argv[0]);
	setenv("TRICOLOR_QUIET", "1", 1);
	ksft_print_header();
	ksft_set_plan(10);
	ksft_test_result(starts("right", 0), "notes of other owners and types are passed over\n");
	ksft_test_result(starts("newer", 2),
			 "an object with a later version is refused at the start\n");
	ksft_test_result(starts("last", 3), "also when its note is the last of many\n");
	ksft_test_result(starts("short", UINT_MAX), "a note without a version is refused\n");
	ksft_test_result(starts("based", 2),
			 "an object whose ELF header is not at its bias is refused\n");
	ksft_test_result(goes_on("based", 2), "also when it is loaded later\n");
	ksft_test_result(goes_on("right", 0), "a plugin that fits is nothing to speak of\n");
	ksft_test_result(goes_on("newer", 2),
			 "one that does not stops collecting until it is unloaded\n");
	ksft_test_result(ends_with_0(replace),
			 "also in the place of one that fits and was unloaded\n");
	ksft_test_result(ends_with_0(load_after_start) && ends_with_0(load_after_collect),
			 "one that comes while a cycle marks ends this cycle\n");
	ksft_finished();
}
