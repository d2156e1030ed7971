// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmd_run.c - tricolor run: a program, with a collector and a memory limit for it and its children
 *
 *  1. A child that waits, and a cgroup with the limit for it, where one can be made.
 *  2. A collector for whatever starts in there; it stays outside of the cgroup, so that the limit
 *     that it keeps for others neither slows it nor kills it.
 *  3. The child becomes the program.  Signals go there.
 *  4. When it has ended we say what killed it, if it was killed, and end with its status.  Children
 *     of it that are still there keep cgroup and collector: the keeper, a process that is there
 *     from 2. on, removes both when the last is gone, in whatever way we have gone ourselves.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "complain.h"
#include "core/system/size.h"
#include "run_collector.h"
#include "run_end.h"
#include "run_group.h"
#include "run_keeper.h"
#include "run_program.h"

struct options {
	const char *gc_percent;
	int64_t limit_bytes;		/* INT64_MAX: none */
	bool limit_given, no_group, verbose;
	char **program;
};

enum { KEY_LIMIT = 256, KEY_PERCENT, KEY_GROUP };

static const struct argp_option argp_options[] = {
	{ "memory-limit", KEY_LIMIT, "SIZE", 0,
	  "What the program and its children may use, such as 512MiB", 0 },
	{ "gc-percent", KEY_PERCENT, "N", 0,
	  "Growth of heaps before a collection, in per cent, or off", 0 },
	{ "cgroup", KEY_GROUP, "auto|none", 0,
	  "Whether the limit gets a cgroup of its own, where that is permitted (default auto)", 0 },
	{ "verbose", 'v', NULL, 0, "Say what is made for the program", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	int32_t percent;

	switch (key) {
	case KEY_LIMIT:
		if (!tri_parse_limit(arg, &o->limit_bytes))
			argp_error(state, "--memory-limit=%s: %s; want " TRI_SIZE_FORMS ", or off",
				   arg, tri_size_mistake(arg));
		/* The limit of its container holds in any case. */
		if (!o->limit_bytes)
			o->limit_bytes = INT64_MAX;
		o->limit_given = true;
		return 0;
	case KEY_PERCENT:
		if (!tri_parse_percent(arg, &percent))
			argp_error(state, "--gc-percent=%s: want a percentage from 0 to %d, or off",
				   arg, TRI_GC_PERCENT_MAX);
		o->gc_percent = arg;
		return 0;
	case KEY_GROUP:
		if (strcmp(arg, "auto") && strcmp(arg, "none"))
			argp_error(state, "--cgroup=%s: want auto or none", arg);
		o->no_group = !strcmp(arg, "none");
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	}
	return run_program_option(key, state, &o->program);
}

static const struct argp argp = {
	argp_options, parse_option, "PROGRAM [ARGUMENT...]",
	"Run a program with a collector for it and its children.\v"
	"Ends as the program does. In a cgroup of its own the kernel enforces the limit as well, "
	"and the collector aims at nine tenths of it; without one the collector alone keeps it.",
	NULL, NULL, NULL,
};

/*
 * Make a cgroup with the child in it.  False: there is none; if one was wanted, a message says why.
 */
static bool make_group(const struct options *o, struct run_group *g, pid_t child)
{
	if (o->no_group || o->limit_bytes == INT64_MAX)
		return false;
	if (run_group_make(g, "", (uint64_t)o->limit_bytes) && run_group_add(g, child)) {
		if (o->verbose)
			fprintf(stderr, "tricolor: the limit is that of %s\n", g->dir);
		return true;
	}
	complain("no cgroup of its own, so the collector alone keeps the limit: %s (--cgroup=none "
		 "does without)", g->why);
	return false;
}

static bool start_collector(const struct options *o, bool group, struct run_collector *c,
			    const sigset_t *mask)
{
	const char *settings[5];
	char limit[32];
	size_t n = 0;

	if (o->gc_percent) {
		settings[n++] = "--gc-percent";
		settings[n++] = o->gc_percent;
	}
	/* The collector finds the cgroup's limit by itself. */
	if (o->limit_bytes != INT64_MAX && !group) {
		snprintf(limit, sizeof(limit), "%lld", (long long)o->limit_bytes);
		settings[n++] = "--total-memory-limit";
		settings[n++] = limit;
	}
	settings[n] = NULL;
	if (!run_collector_start(c, settings, mask))
		return false;
	if (o->verbose)
		fprintf(stderr, "tricolor: collector %d listens at %s\n", c->pid, c->socket);
	return true;
}

/* Called when the program has ended.  Returns whether nothing is left behind. */
static bool finish(struct run_group *g, struct run_collector *c)
{
	if ((g->dir[0] && !run_group_is_empty(g)) || !run_collector_release(c))
		return false;
	run_collector_clean(c);
	if (g->dir[0] && !run_group_remove(g))
		complain("%s", g->why);
	return true;
}

int cmd_run(int argc, char **argv)
{
	struct options o = { .limit_bytes = INT64_MAX };
	struct run_collector c = { 0 };
	struct run_keeper keeper;
	struct run_program p = { 0 };
	struct run_end end;
	struct run_group g = { 0 };
	sigset_t mask;
	int status;
	bool group;

	argp_err_exit_status = EXIT_OURS;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &o);
	p.own_gc_percent = o.gc_percent;
	p.own_memory_limit = o.limit_given;
	run_program_block_signals(&mask);
	if (!run_program_fork(&p, o.program, &mask))
		return EXIT_OURS;
	group = make_group(&o, &g, p.pid);
	if (!start_collector(&o, group, &c, &mask)) {
		run_program_cancel(&p);
		if (group && !run_group_remove(&g))
			complain("%s", g.why);
		return EXIT_OURS;
	}
	if (!run_keeper_start(&keeper, &g, &c)) {
		run_program_cancel(&p);
		finish(&g, &c);
		return EXIT_OURS;
	}
	run_end_begin(&end, g.dir);
	status = run_program_go(&p, c.socket, o.program[0]);
	if (status) {
		run_keeper_end(&keeper, finish(&g, &c));
		return status;
	}
	status = run_program_wait(&p);
	run_end_say(&end, o.program[0], p.pid, status, c.socket);
	run_keeper_end(&keeper, finish(&g, &c));
	run_program_exit(status);
}
