// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmd_check_barriers.c - tricolor check-barriers: run a program, and name what stores pointers
 * without a barrier
 *
 *  1. The program runs with TRICOLOR_DEBUG=barriers, and what else there was in that variable, and
 *     writes what it finds to a file that has no name.
 *  2. When it has ended that is read, and printed with functions, files and lines.
 *  3. We end with its status, or with 1 if that would be 0 and something was found.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "complain.h"
#include "run_program.h"
#include "source.h"
#include "stores.h"

struct options {
	bool json, abort;
	const char *output;
	char **program;
};

static const struct argp_option argp_options[] = {
	{ "abort", 'a', NULL, 0, "End the program at the first such store, with SIGABRT", 0 },
	{ "json", 'j', NULL, 0, "Print JSON", 0 },
	{ "output", 'o', "FILE", 0, "Print to FILE in place of standard error", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'a':
		o->abort = true;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'o':
		o->output = arg;
		return 0;
	}
	return run_program_option(key, state, &o->program);
}

static const struct argp argp = {
	argp_options,
	parse_option,
	"PROGRAM [ARGUMENT...]",
	"Run a program, and name what stores pointers without a barrier.\v"
	"What is found is printed when the program has ended. Ends as the program does, or with 1 if that is 0 and "
	"there are such stores. Files and lines need a program that was compiled with -g.",
	NULL,
	NULL,
	NULL,
};

/*
 * Open the file for the reports.  The program, and what it starts, find it as a descriptor of this
 * process, as long as this process lives.
 */
static FILE *open_file(void)
{
	int fd = memfd_create("check-barriers", MFD_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char path[64];

	if (!file) {
		complain("can't have a file for what is found: %s", strerror(errno));
		return NULL;
	}
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	setenv("TRICOLOR_DEBUG_FILE", path, 1);
	return file;
}

static bool set_debug(bool aborts)
{
	const char *old = getenv("TRICOLOR_DEBUG");
	char *words;

	if (asprintf(&words, "%s%s%s", old ? old : "", old && *old ? "," : "",
		     aborts ? "barriers=abort" : "barriers") < 0)
		return false;
	setenv("TRICOLOR_DEBUG", words, 1);
	free(words);
	return true;
}

static int run(const struct options *o, int *status)
{
	struct run_program p = { 0 };
	sigset_t mask;
	int err;

	run_program_block_signals(&mask);
	if (!run_program_fork(&p, o->program, &mask))
		return EXIT_OURS;
	err = run_program_go(&p, NULL, o->program[0]);
	if (!err)
		*status = run_program_wait(&p);
	return err;
}

/* This is called before the program runs, which may take hours. */
static FILE *open_output(const struct options *o)
{
	FILE *out = o->output ? fopen(o->output, "we") : o->json ? stdout : stderr;

	if (!out)
		complain("can't write %s: %s", o->output, strerror(errno));
	return out;
}

static bool print(const struct options *o, json_object *stores, FILE *out)
{
	bool fine;

	if (o->json)
		fprintf(out, "%s\n",
			json_object_to_json_string_ext(stores,
						       JSON_C_TO_STRING_PRETTY |
							       JSON_C_TO_STRING_SPACED |
							       JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		stores_show(stores, out);
	fine = !ferror(out) && !fflush(out);
	if (o->output)
		fine = !fclose(out) && fine;
	if (!fine)
		complain("can't write what was found: %s", strerror(errno));
	return fine;
}

/* Whether all was checked; if not, print what was not. */
static bool was_checked(json_object *stores, const char *program)
{
	json_object *processes = json_object_object_get(stores, "processes"), *p, *why;
	size_t n = json_object_array_length(processes), i;
	bool all = true;

	if (!n) {
		complain(
			"%s has made no heap, or its library knows of no TRICOLOR_DEBUG=barriers: nothing was checked",
			program);
		return false;
	}
	for (i = 0; i < n; i++) {
		p = json_object_array_get_idx(processes, i);
		why = json_object_object_get(p, "refused");
		/*
		 * The process was killed, or ended by _exit() or exec(): that is no failure of the
		 * check.
		 */
		if (!why && !json_object_object_get(p, "passes"))
			complain(
				"process %s did not end by exit(): what it stored last was not looked at",
				json_object_get_string(json_object_object_get(p, "pid")));
		if (!why)
			continue;
		complain("process %s was not checked to its end: %s",
			 json_object_get_string(json_object_object_get(p, "pid")),
			 json_object_get_string(why));
		all = false;
	}
	return all;
}

int cmd_check_barriers(int argc, char **argv)
{
	struct options o = { 0 };
	json_object *stores;
	bool found, fine;
	FILE *file, *out;
	int err, status;

	argp_err_exit_status = EXIT_OURS;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &o);
	out = open_output(&o);
	file = out ? open_file() : NULL;
	if (!file || !set_debug(o.abort))
		return EXIT_OURS;
	if (!source_is_known())
		complain("built without libdw: no functions, files and lines");
	err = run(&o, &status);
	if (err)
		return err;
	stores = stores_read(file);
	fclose(file);
	if (!stores)
		return EXIT_OURS;
	found = json_object_array_length(json_object_object_get(stores, "sites"));
	fine = was_checked(stores, o.program[0]);
	fine = print(&o, stores, out) && fine;
	json_object_put(stores);
	if (WIFEXITED(status) && !WEXITSTATUS(status) && (found || !fine))
		return found ? 1 : EXIT_OURS;
	run_program_exit(status);
}
