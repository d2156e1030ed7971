// SPDX-License-Identifier: GPL-2.0-only
/* cmd_stat.c - tricolor stat */
#include "command.h"
#include "show.h"
#include "target.h"
#include "target_options.h"

int cmd_stat(int argc, char **argv)
{
	struct target_options o = { .may_wait = false };
	struct arena_of a;

	target_options_parse(&o, 1, "ID|PID", "All figures of one heap.", argc, argv);
	if (target_ask(o.socket, o.arguments[0], CONTROL_STAT, 0, &a))
		return 1;
	if (o.json)
		show_arena_json(&a);
	else
		show_arena(&a);
	return 0;
}
