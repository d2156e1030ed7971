// SPDX-License-Identifier: GPL-2.0-only
/* tricolor.c - main() of the command: it calls the subcommand */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "complain.h"
#include "core/proto/version.h"

const char *argp_program_version = "tricolor " TRI_VERSION;

static void help(FILE *out)
{
	const struct command *c;

	fputs("Usage: tricolor COMMAND [ARGUMENT...]\n"
	      "Look at and steer collected heaps: see tricolor(1).\n\n", out);
	for (c = commands; c->name; c++)
		fprintf(out, "  %-14s %s\n", c->name, c->summary);
	fputs("\n'tricolor COMMAND --help' says more about one of them.\n", out);
}

int main(int argc, char **argv)
{
	const struct command *c;
	char name[64];

	if (argc < 2) {
		help(stderr);
		return EXIT_ARGUMENTS;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?") || !strcmp(argv[1], "-h")) {
		help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts(argp_program_version);
		return 0;
	}
	if (!strcmp(argv[1], "help")) {
		char *ask[] = { name, (char *)"--help", NULL };

		c = argc > 2 ? command_find(argv[2]) : NULL;
		if (c) {
			snprintf(name, sizeof(name), "tricolor %s", c->name);
			return c->run(2, ask);
		}
		help(argc > 2 ? stderr : stdout);
		return argc > 2 ? EXIT_ARGUMENTS : 0;
	}
	c = command_find(argv[1]);
	if (!c) {
		complain("there is no command '%s'; 'tricolor --help' lists those that there are",
			 argv[1]);
		return EXIT_ARGUMENTS;
	}
	/* Messages and usage lines name the whole command. */
	snprintf(name, sizeof(name), "tricolor %s", c->name);
	argv[1] = name;
	return c->run(argc - 1, argv + 1);
}
