// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_check_barriers.c - TRICOLOR_DEBUG=barriers where something is in its way: no room, bad
 * settings, ends of all kinds
 *
 * This program runs itself with the name of a part as its argument.  Each part stores a pointer
 * plainly, and ends in its own way.
 */
#include <ftw.h>

#include "lib/served.h"
#include "lib/witness.h"

static char self[512], tool[512];
static struct node { struct node *next; } *global;

/* ------------------------------------------------------------------------------------------ */
/* Parts                                                                                      */
/* ------------------------------------------------------------------------------------------ */

static NOINLINE void store_plainly(int times)
{
	int i;

	for (i = 0; i < times; i++) {
		*(struct node *volatile *)&global = tri_alloc(sizeof(*global));
		tri_gc();
	}
}

static void handle_abort(int sig)
{
	(void)sig;
	_exit(42);
}

static void *wait_for_end(void *unused)
{
	pause();
	return unused;
}

static int part(const char *name)
{
	struct rlimit no_core = { 0, 0 };
	pthread_t thread;
	int i;

	setrlimit(RLIMIT_CORE, &no_core);
	alarm(60);
	if (!strcmp(name, "bad")) {
		/* The heap does not start. */
		return tri_alloc(1) ? 1 : 0;
	}
	if (!strcmp(name, "crash")) {
		store_plainly(1);
		raise(SIGSEGV);
	}
	if (!strcmp(name, "handler"))
		signal(SIGABRT, handle_abort);
	for (i = 0; !strcmp(name, "crowd") && i < 90; i++)
		if (pthread_create(&thread, NULL, wait_for_end, NULL))
			return 2;
	store_plainly(30);
	if (!strcmp(name, "_exit"))
		_exit(0);
	if (!strcmp(name, "killed"))
		raise(SIGKILL);
	return 0;
}

/* ------------------------------------------------------------------------------------------ */
/* What is said of them                                                                       */
/* ------------------------------------------------------------------------------------------ */

#define SUMMARY "stores without a barrier at"

/* A part by itself, with TRICOLOR_DEBUG_FILE=@file unless that is NULL. */
static struct output *run_part_with(const char *name, const char *debug, const char *file)
{
	struct output *o;

	setenv("TRICOLOR_DEBUG", debug, 1);
	if (file)
		setenv("TRICOLOR_DEBUG_FILE", file, 1);
	o = run(self, name, NULL);
	unsetenv("TRICOLOR_DEBUG");
	unsetenv("TRICOLOR_DEBUG_FILE");
	return o;
}

static void report(bool fine, const struct output *o, const char *what)
{
	if (!fine)
		show_output(o);
	ksft_test_result(fine, "%s\n", what);
}

static void test_files(void)
{
	char fifo[] = "/tmp/check-barriers-XXXXXX";
	struct output *o = run_part_with("plain", "barriers", "/dev/full");

	report(!o->status &&
		       strstr(o->err, "TRICOLOR_DEBUG_FILE=/dev/full: No space left on device") &&
		       strstr(o->err, SUMMARY),
	       o, "a full disk is spoken of, once, and checking goes on");
	o = run_part_with("plain", "barriers", "/nonexistent/file");
	report(!o->status &&
		       strstr(o->err, "TRICOLOR_DEBUG_FILE=/nonexistent/file: No such file") &&
		       strstr(o->err, SUMMARY),
	       o, "so is a file that can't be opened");
	if (!mkdtemp(fifo) || rmdir(fifo) || mkfifo(fifo, 0600))
		ksft_exit_fail_msg("%s: %s\n", fifo, strerror(errno));
	o = run_part_with("plain", "barriers", fifo);
	report(!o->status && strstr(o->err, "nobody reads it") && strstr(o->err, SUMMARY), o,
	       "and a FIFO that nobody reads");
	unlink(fifo);
}

static void test_settings(void)
{
	struct output *o;

	o = run_part_with("bad", "barriers=maybe", NULL);
	report(!o->status && strstr(o->err, "barriers=maybe") && strstr(o->err, "barriers=status"),
	       o, "a word that is none is refused, and those that are are named");
	setenv("TRICOLOR_DEBUG_MEMORY", "lots", 1);
	o = run_part_with("bad", "barriers", NULL);
	report(!o->status && strstr(o->err, "TRICOLOR_DEBUG_MEMORY"), o,
	       "so is an amount that is none");
	unsetenv("TRICOLOR_DEBUG_MEMORY");
}

static void test_address_space(void)
{
	static const char what[] = "without address space that is said";
	struct output *o;

#ifdef __SANITIZE_ADDRESS__
	ksft_test_result_skip("%s: the address sanitizer needs more than that\n", what);
	return;
#endif
	setenv("TRICOLOR_DEBUG", "barriers", 1);
	o = run("/bin/sh", "-c", "ulimit -v 900000; exec \"$0\" plain", self, NULL);
	unsetenv("TRICOLOR_DEBUG");
	report(!o->status && strstr(o->err, "stores are not checked") &&
		       strstr(o->err, "ulimit -v"),
	       o, what);
}

static void test_ends(void)
{
	struct output *o = run_part_with("handler", "barriers=abort", NULL);

	report(o->status == 128 + SIGABRT, o,
	       "barriers=abort is not for a handler of the program's");
	o = run_part_with("crowd", "barriers=status", NULL);
	report(o->status == 1 && strstr(o->err, "by thread"), o,
	       "more threads than there can be events for");
	o = run(tool, "check-barriers", "--", self, "_exit", NULL);
	report(o->status == 1 && strstr(o->err, "did not end by exit()"), o,
	       "what has ended otherwise than by exit() is said not to have been checked to its end");
	o = run(tool, "check-barriers", "--", self, "killed", NULL);
	report(o->status == 128 + SIGKILL && strstr(o->err, "did not end by exit()") &&
		       strstr(o->err, "stored without a barrier in global"),
	       o, "what was found before is printed all the same");
	o = run(tool, "check-barriers", "--", self, "crash", NULL);
	report(o->status == 128 + SIGSEGV && strstr(o->err, "stored without a barrier in global") &&
	       strstr(o->err, "not by exit()") && strstr(o->err, "1 place stores"), o,
	       "so is what it would have watched from then on");
}

static int remove_it(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Long names make long lines. */
static void test_long_path(void)
{
	char top[] = "/tmp/check-barriers-XXXXXX", lib[512], deep[4000], part_name[201];
	struct output *o;
	size_t n;

	memset(part_name, 'd', 200);
	part_name[200] = 0;
	if (!mkdtemp(top))
		ksft_exit_fail_msg("%s: %s\n", top, strerror(errno));
	n = (size_t)snprintf(deep, sizeof(deep), "%s", top);
	while (n < 3700) {
		n += (size_t)snprintf(deep + n, sizeof(deep) - n, "/%s", part_name);
		if (mkdir(deep, 0700))
			ksft_exit_fail_msg("%s: %s\n", deep, strerror(errno));
	}
	snprintf(deep + n, sizeof(deep) - n, "/program");
	o = run("/bin/cp", self, deep, NULL);
	setenv("LD_LIBRARY_PATH", built_path("/lib", lib, sizeof(lib)), 1);
	/* There its library does not find the collector, nor the library itself. */
	snprintf(deep + n, sizeof(deep) - n, "/libtricolor.so.0");
	snprintf(lib + strlen(lib), sizeof(lib) - strlen(lib), "/libtricolor.so.0");
	o = run("/bin/cp", lib, deep, NULL);
	deep[n] = 0;
	setenv("LD_LIBRARY_PATH", deep, 1);
	setenv("TRICOLOR_DAEMON", daemon_path(), 1);
	snprintf(deep + n, sizeof(deep) - n, "/program");
	o = run(tool, "check-barriers", "--", deep, "plain", NULL);
	unsetenv("LD_LIBRARY_PATH");
	unsetenv("TRICOLOR_DAEMON");
	report(o->status == 1 && strstr(o->err, "stored without a barrier in global") &&
		       !strstr(o->err, "no JSON"),
	       o, "paths as long as there can be");
	nftw(top, remove_it, 16, FTW_DEPTH | FTW_PHYS);
}

static void test_output(void)
{
	struct output *o = run(tool, "check-barriers", "-o", "/nonexistent/file", "--", "/bin/echo",
			       "has run", NULL);
	const char *first;

	report(o->status == 125 && !strstr(o->out, "has run") &&
		       strstr(o->err, "/nonexistent/file: No such file"),
	       o, "an output that can't be written is known before the program runs");
	setenv("PART", self, 1);
	o = run(tool, "check-barriers", "--json", "--", "/bin/sh", "-c",
		"$PART plain & $PART plain & wait", NULL);
	unsetenv("PART");
	first = strstr(o->out, "\"passes\": ");
	report(o->status == 1 && first && strstr(first + 1, "\"passes\": ") &&
		       !strstr(o->out, "\"passes\": null") && !strstr(o->err, "no JSON"),
	       o, "two processes report at once");
}

/* As clang makes them. */
static void test_no_table(void)
{
	static const char what[] = "lines are found without a table of units";
	char copy[] = "/tmp/check-barriers-XXXXXX", lib[512];
	int fd = mkstemp(copy);
	struct output *o;

	if (fd < 0)
		ksft_exit_fail_msg("%s: %s\n", copy, strerror(errno));
	close(fd);
	o = run("/usr/bin/objcopy", "--remove-section=.debug_aranges", self, copy, NULL);
	if (o->status) {
		unlink(copy);
		ksft_test_result_skip("%s: no objcopy\n", what);
		return;
	}
	chmod(copy, 0700);
	setenv("LD_LIBRARY_PATH", built_path("/lib", lib, sizeof(lib)), 1);
	setenv("TRICOLOR_DAEMON", daemon_path(), 1);
	o = run(tool, "check-barriers", "--", copy, "plain", NULL);
	unsetenv("LD_LIBRARY_PATH");
	unsetenv("TRICOLOR_DAEMON");
	unlink(copy);
	report(o->status == 1 && strstr(o->err, "test_check_barriers.c:"), o, what);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return part(argv[1]);
	built_path("/tests/integration/test_check_barriers", self, sizeof(self));
	built_path("/bin/tricolor", tool, sizeof(tool));
	ksft_print_header();
	ksft_set_plan(15);
	test_files();
	test_settings();
	test_address_space();
	test_ends();
	test_long_path();
	test_output();
	test_no_table();
	ksft_finished();
}
