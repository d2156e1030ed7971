// SPDX-License-Identifier: LGPL-2.1-or-later
#include <argp.h>

#include "common/arguments.h"
#include "wordindex.h"

#define DIRS_MAX 64

enum { OPT_JSON = 256, OPT_CHECKS, OPT_INDEXERS, OPT_PLAIN };

static const struct argp_option options[] = {
	{ "dir", 'd', "DIR", 0, "Index the files below DIR; may be repeated "
	  "(default: /usr/share and the current folder)", 0 },
	{ "max-bytes", 'm', "SIZE", 0, "Text to load, with a suffix KiB, MiB or GiB or without "
	  "(default 48MiB)", 0 },
	{ "seconds", 's', "N", 0, "Query and update for N seconds (default 20)", 0 },
	{ "threads", 't', "N", 0, "Threads that query (default 4)", 0 },
	{ "indexers", OPT_INDEXERS, "N", 0, "Threads that read and index files (default 2)", 0 },
	{ "updates", 'u', "N", 0, "Documents a second to index again or to drop (default 200)", 0 },
	{ "checks", OPT_CHECKS, "N", 0, "Answers to check against a naive scan (default 200)", 0 },
	{ "seed", 'S', "N", 0, "Seed of everything random (default 1)", 0 },
	{ "name", 'n', "NAME", 0, "Name of this process in its output (default wordindex)", 0 },
	{ "json", OPT_JSON, "FILE", 0, "Write the final figures to FILE", 0 },
	{ "plain", OPT_PLAIN, NULL, 0, "Print lines one below the other on a terminal, too", 0 },
	{ 0 },
};

struct parse {
	struct config *config;
	const char *dir[DIRS_MAX + 1];
	int dirs;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct parse *parse = state->input;
	struct config *config = parse->config;

	switch (key) {
	case 'd':
		if (parse->dirs == DIRS_MAX)
			argp_error(state, "at most %d folders", DIRS_MAX);
		parse->dir[parse->dirs++] = arg;
		break;
	case 'm':
		config->max_bytes = argument_size(state, "--max-bytes", arg, 1ull << 40);
		break;
	case 's':
		config->seconds =
			(unsigned int)argument_number(state, "--seconds", arg, 0, 1u << 30);
		break;
	case 't':
		config->threads = (unsigned int)argument_number(state, "--threads", arg, 1, 1024);
		break;
	case 'u':
		config->updates = (unsigned int)argument_number(state, "--updates", arg, 0, 100000);
		break;
	case 'S':
		config->seed = argument_number(state, "--seed", arg, 0, UINT64_MAX);
		break;
	case 'n':
		config->name = arg;
		break;
	case OPT_INDEXERS:
		config->indexers = (unsigned int)argument_number(state, "--indexers", arg, 1, 64);
		break;
	case OPT_CHECKS:
		config->checks = (unsigned int)argument_number(state, "--checks", arg, 0, 100000);
		break;
	case OPT_JSON:
		config->json = arg;
		break;
	case OPT_PLAIN:
		config->plain = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* Ends the program on a mistake. */
void options_parse(int argc, char **argv, struct config *into)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Index real files on a collected heap, and query the index while it "
		       "changes.\vThe exit status is 0 if all answers that were checked were "
		       "right, 1 if one was wrong, 2 if the program could not run.  The library's "
		       "own settings are environment variables: see tricolor(7).",
	};
	static struct parse parse;

	*into = (struct config){
		.name = "wordindex",
		.max_bytes = 48ull << 20,
		.seed = 1,
		.threads = 4,
		.indexers = 2,
		.seconds = 20,
		.checks = 200,
		.updates = 200,
	};
	parse.config = into;
	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &parse);
	if (!parse.dirs) {
		parse.dir[parse.dirs++] = "/usr/share";
		parse.dir[parse.dirs++] = ".";
	}
	into->dirs = parse.dir;
}
