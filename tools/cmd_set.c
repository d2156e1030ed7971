// SPDX-License-Identifier: GPL-2.0-only
/* cmd_set.c - tricolor set */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "complain.h"
#include "core/system/size.h"
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
		complain("memory-limit %s: %s; want " TRI_SIZE_FORMS ", auto or off", text,
			 tri_size_mistake(text));
		return false;
	}
	complain("there is no setting '%s'; there are gc-percent and memory-limit", name);
	return false;
}

/* All memory that the kernel counts: objects and free memory. */
static uint64_t has_bytes(const struct control_arena *a)
{
	return a->heap_bytes + a->free_bytes;
}

/*
 * Warn about a limit that can't be kept, which is set all the same.  Returns whether it can be
 * kept.
 */
static bool check_limit(const struct arena_of *a, int64_t limit_bytes, bool waited)
{
	char live[32], has[32], limit[32];

	show_bytes(a->arena.live_bytes, live);
	show_bytes(has_bytes(&a->arena), has);
	show_bytes((uint64_t)limit_bytes, limit);
	if (waited && has_bytes(&a->arena) > (uint64_t)limit_bytes)
		complain(
			"%s: the limit is set, but there is no room down to %s: the heap has %s of memory, with %s "
			"live in it.  The program has to drop some of that first",
			a->id, limit, has, live);
	else if (!waited && a->arena.live_bytes > (uint64_t)limit_bytes)
		complain(
			"warning: %s: %s live, which is more than the limit of %s: it can't be kept until the "
			"program drops some of that",
			a->id, live, limit);
	else
		return true;
	return false;
}

static void show(const struct target_options *o, const struct arena_of *a)
{
	char goal[32], has[32], live[32];

	if (o->json)
		show_arena_json(a);
	else if (o->wait)
		printf("%s (%s, process %lld): %s is %s; the heap has %s of memory, with %s live in it\n",
		       a->id, a->arena.comm, (long long)a->arena.pid, o->arguments[1],
		       o->arguments[2], show_bytes(has_bytes(&a->arena), has),
		       show_bytes(a->arena.live_bytes, live));
	else
		printf("%s (%s, process %lld): %s is %s, the goal now %s\n", a->id, a->arena.comm,
		       (long long)a->arena.pid, o->arguments[1], o->arguments[2],
		       show_bytes(a->arena.goal_bytes, goal));
}

int cmd_set(int argc, char **argv)
{
	struct target_options o = { .may_wait = true };
	struct arena_of a;
	enum control_op op;
	int64_t value;
	bool fits = true;

	target_options_parse(
		&o, 3, "ID|PID gc-percent PERCENT|off\nID|PID memory-limit SIZE|auto|off",
		"Change a setting of one heap, at once and until somebody changes it again.", argc,
		argv);
	if (!parse(o.arguments[1], o.arguments[2], &op, &value))
		return EXIT_ARGUMENTS;
	if (o.wait) {
		if (op != CONTROL_SET_MEMORY_LIMIT || !value || value == INT64_MAX) {
			complain("--wait makes room for a memory-limit, and that has to be a size");
			return EXIT_ARGUMENTS;
		}
		op = CONTROL_MAKE_ROOM;
	}
	if (target_ask(o.socket, o.arguments[0], op, value, &a))
		return 1;
	if (op != CONTROL_SET_GC_PERCENT && value && value != INT64_MAX)
		fits = check_limit(&a, value, o.wait);
	show(&o, &a);
	return o.wait && !fits;
}
