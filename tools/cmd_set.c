// SPDX-License-Identifier: GPL-2.0-only
/* cmd_set.c - tricolor set */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "core/size.h"
#include "show.h"
#include "target.h"
#include "target_options.h"

static bool parse(const char *name, const char *text, enum control_op *op, int64_t *value)
{
	int32_t percent;

	if (!strcmp(name, "gc-percent")) {
		*op = CONTROL_SET_GC_PERCENT;
		if (tri_parse_percent(text, &percent)) {
			*value = percent;
			return true;
		}
		complain("gc-percent %s: want a percentage from 0 to %d, or off", text,
			 TRI_GC_PERCENT_MAX);
		return false;
	}
	if (!strcmp(name, "memory-limit")) {
		*op = CONTROL_SET_MEMORY_LIMIT;
		if (tri_parse_limit(text, value))
			return true;
		complain("memory-limit %s: want a size such as 512MiB, auto or off", text);
		return false;
	}
	complain("there is no setting '%s'; there are gc-percent and memory-limit", name);
	return false;
}

int cmd_set(int argc, char **argv)
{
	struct target_options o;
	struct arena_of a;
	enum control_op op;
	int64_t value;
	char goal[32];

	target_options_parse(
		&o, 3, "ID|PID gc-percent PERCENT|off\nID|PID memory-limit SIZE|auto|off",
		"Change a setting of one heap, at once and until somebody changes it again.", argc,
		argv);
	if (!parse(o.arguments[1], o.arguments[2], &op, &value))
		return EXIT_ARGUMENTS;
	if (target_ask(o.socket, o.arguments[0], op, value, &a))
		return 1;
	if (o.json)
		show_arena_json(&a);
	else
		printf("%s (%s, process %lld): %s is %s, the goal now %s\n", a.id, a.arena.comm,
		       (long long)a.arena.pid, o.arguments[1], o.arguments[2],
		       show_bytes(a.arena.goal_bytes, goal));
	return 0;
}
