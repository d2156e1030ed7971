/* SPDX-License-Identifier: GPL-2.0-only */
/* target_options.h - what the commands that ask collectors have in common on their command lines */
#ifndef TRICOLOR_TARGET_OPTIONS_H
#define TRICOLOR_TARGET_OPTIONS_H

#include <argp.h>
#include <stdbool.h>

#define TARGET_ARGUMENTS 3

struct target_options {
	const char *socket;		/* NULL: look for collectors */
	bool json;
	bool may_wait;			/* in: there is an option --wait */
	bool wait;
	unsigned int wanted;		/* number of arguments */
	const char *arguments[TARGET_ARGUMENTS];

	/* argp's. */
	unsigned int given;
};

/**
 * Parse the command line; ends the program after a mistake or --help.  @usage: names of the
 * arguments; @doc: a sentence for the help text.
 */
void target_options_parse(struct target_options *o, unsigned int wanted, const char *usage,
			  const char *doc, int argc, char **argv);

#endif
