// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_checker_end.c - how a program ends that TRICOLOR_DEBUG=barriers checks: its exit status, an
 * abort, another program in its place
 *
 * The program is this one, run again with an argument (lib/checked.h).
 */
#include <signal.h>
#include <sys/wait.h>

#include "lib/checked.h"
#include "lib/process.h"
#include "lib/witness.h"

#define TURNS 60

struct node {
	struct node *next;
	uint64_t value;
	struct node *other;
	uint64_t pad;
};

TRI_TYPE(node_type, struct node, next, other);

static struct node *global, *keep;
static unsigned long turn;

static NOINLINE struct node *new_node(void)
{
	struct node *n = tri_alloc(sizeof(*n));

	if (!n)
		exit(3);
	n->value = turn;
	return n;
}

/* Volatile: nothing here reads the global, so the compiler could leave a plain store out. */
static NOINLINE void store_global(void)
{
	*(struct node *volatile *)&global = new_node();
}

static NOINLINE void store_field(void)
{
	keep->next = new_node();
}

static int run_and_end(const char *name)
{
	tri_store(&keep, tri_alloc_typed(&node_type, 1));
	if (!strcmp(name, "exec")) {
		for (turn = 0; turn < 20; turn++) {
			store_field();
			collect();
		}
		execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
		return 9;
	}
	for (turn = 0; turn < TURNS; turn++) {
		store_global();
		collect();
	}
	return 0;
}

/* A program that another one becomes by exec() is not checked. */
static bool exec_goes_on(void)
{
	char path[64];
	struct checked c;
	int i, status;

	for (i = 0; i < 2; i++) {
		status = checked_run_traced("exec", "barriers", i, path);
		c = checked_read(path, NULL, NULL);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 7 || !c.stores || c.ended) {
			ksft_print_msg("wait status %#x\n", status);
			return false;
		}
	}
	return true;
}

/*
 * With a tracer as well, which is gone by the very end of the program: what traces the program
 * then, as the leak sanitizer does, finds no tracer in its way.
 */
static bool exits_as_ever(void)
{
	char path[64];
	struct checked c;
	int i, status;

	for (i = 0; i < 2; i++) {
		status = checked_run_traced("store_global", "barriers", i, path);
		c = checked_read(path, NULL, NULL);
		if (status || !c.stores || !c.ended || !c.sites) {
			ksft_print_msg("wait status %#x\n", status);
			return false;
		}
	}
	return true;
}

static bool aborts(void)
{
	char path[64];
	int status = checked_run("store_global", "barriers=abort", NULL, path);
	struct checked c = checked_read(path, NULL, NULL);

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && c.stores == 1 && !c.ended;
}

int main(int argc, char **argv)
{
	checked_main(argc, argv);
	if (argc > 1)
		return run_and_end(argv[1]);
	ksft_print_header();
	ksft_set_plan(3);
	ksft_test_result(exec_goes_on(), "a program that comes by exec() is not watched\n");
	ksft_test_result(exits_as_ever(), "the status is not changed unless that is asked for\n");
	ksft_test_result(aborts(), "barriers=abort\n");
	ksft_finished();
}
