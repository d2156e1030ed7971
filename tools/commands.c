// SPDX-License-Identifier: GPL-2.0-only
/* commands.c - the table of subcommands */
#include "command.h"

#include <string.h>

const struct command commands[] = {
	{ "run", "run a program, with a collector and a memory limit for it and its children",
	  cmd_run },
	{ "check-barriers", "run a program, and name what stores pointers without a barrier",
	  cmd_check_barriers },
	{ "list", "heaps on this system and their collectors", cmd_list },
	{ "stat", "all figures of one heap", cmd_stat },
	{ "set", "change gc-percent or memory-limit of a heap", cmd_set },
	{ "gc", "collect a heap now", cmd_gc },
	{ "free", "collect a heap now and give all its free memory back", cmd_free },
	{ NULL, NULL, NULL },
};

const struct command *command_find(const char *name)
{
	const struct command *c;

	for (c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}
