/* SPDX-License-Identifier: GPL-2.0-only */
/* command.h - the subcommands of tricolor(1), one cmd_*.c each */
#ifndef TRICOLOR_COMMAND_H
#define TRICOLOR_COMMAND_H

/* Exit statuses of `tricolor run` beside the program's own, as env(1) and timeout(1) have them. */
enum { EXIT_OURS = 125, EXIT_NO_EXEC = 126, EXIT_NOT_FOUND = 127 };

/* Exit status for arguments that make no sense, as argp has it. */
enum { EXIT_ARGUMENTS = 64 };

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);	/* argv[0]: "tricolor NAME" */
};

/* The subcommands in the order of the help text; the last one has a NULL name. */
extern const struct command commands[];

/** Find a subcommand; NULL: none has that name. */
const struct command *command_find(const char *name);

int cmd_check_barriers(int argc, char **argv);
int cmd_free(int argc, char **argv);
int cmd_gc(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_set(int argc, char **argv);
int cmd_stat(int argc, char **argv);

#endif
