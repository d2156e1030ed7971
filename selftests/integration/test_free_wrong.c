// SPDX-License-Identifier: GPL-2.0-only
/* test_free_wrong.c - what TRICOLOR_DEBUG=frees says of wrong calls of tri_free() */
#include <signal.h>
#include <sys/wait.h>

#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/witness.h"

static bool dies_saying(void (*fn)(void), const char *what)
{
	int ends[2], status;
	char text[1024];
	ssize_t n, all = 0;
	pid_t pid;

	CHECK(!pipe(ends));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		setenv("TRICOLOR_DEBUG", "frees", 1);
		fn();
		_exit(0);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + all, sizeof(text) - 1 - (size_t)all)) > 0)
		all += n;
	text[all] = 0;
	close(ends[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(text, what)) {
		ksft_print_msg("status %#x, said: %s\n", status, text);
		return false;
	}
	return true;
}

static void free_twice(void)
{
	void *p = tri_alloc(100);

	tri_free(p);
	tri_free(p);
}

static void free_twice_with_others_between(void)
{
	void *p = tri_alloc(100);
	int i;

	tri_free(p);
	for (i = 0; i < 1000; i++)
		tri_free(tri_alloc(100));
	tri_free(p);
}

static void free_large_twice(void)
{
	void *p = tri_alloc(1 << 20);

	tri_free(p);
	tri_free(p);
}

static void free_after_cycle(void)
{
	static uintptr_t hidden;
	void *p = tri_alloc(100);

	hidden = hide(p);
	tri_free(p);
	p = NULL;
	collect_times(2);
	tri_free(reveal(hidden));
}

static void free_foreign(void)
{
	tri_free(malloc(100));
}

static void free_variable(void)
{
	int here;

	tri_free(&here);
}

static void free_interior(void)
{
	tri_free((char *)tri_alloc(100) + 8);
}

static void free_rightly(void)
{
	static void *p[100];
	int i, k;

	for (k = 0; k < 20; k++) {
		for (i = 0; i < 100; i++)
			tri_store(&p[i], tri_alloc((size_t)(i * 400)));
		for (i = 0; i < 100; i++) {
			void *q = p[i];

			tri_store(&p[i], NULL);
			tri_free(q);
		}
		tri_free(NULL);
		tri_free(tri_alloc_leaf(3));
		collect();
	}
	fprintf(stderr, "all was right\n");
	abort();
}

static bool wrong_frees(void)
{
	CHECK(dies_saying(free_twice, "it was freed before"));
	CHECK(dies_saying(free_twice_with_others_between, "it was freed before"));
	CHECK(dies_saying(free_large_twice, "it was freed before"));
	CHECK(dies_saying(free_after_cycle, "it was freed before, or collected"));
	CHECK(dies_saying(free_foreign, "it is no object of this heap"));
	CHECK(dies_saying(free_variable, "it is no object of this heap"));
	CHECK(dies_saying(free_interior, "it is not the start of an object"));
	CHECK(dies_saying(free_rightly, "all was right"));
	return true;
}

static const struct scenario scenarios[] = {
	{ .name = "what is wrong is said", .fn = wrong_frees },
};

int main(int argc, char **argv)
{
	/* A collector of its own for every process. */
	setenv("TRICOLOR_SOCKET", "off", 1);
	scenarios_run(scenarios, sizeof(scenarios) / sizeof(scenarios[0]), argc, argv);
}
