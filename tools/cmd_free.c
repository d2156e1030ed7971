// SPDX-License-Identifier: GPL-2.0-only
/* cmd_free.c - tricolor free */
#include <stdio.h>

#include "command.h"
#include "show.h"
#include "target.h"
#include "target_options.h"

int cmd_free(int argc, char **argv)
{
	struct target_options o = { .may_wait = false };
	struct arena_of before, a;
	char released[32], live[32], heap[32];

	target_options_parse(&o, 1, "ID|PID",
			     "Collect a heap now, and give all its free memory back to the system.",
			     argc, argv);
	if (target_ask(o.socket, o.arguments[0], CONTROL_STAT, 0, &before) ||
	    target_ask(o.socket, o.arguments[0], CONTROL_FREE, 0, &a))
		return 1;
	if (o.json)
		show_arena_json(&a);
	else
		printf("%s (%s, process %lld): %s given back; %s live, heap %s\n", a.id,
		       a.arena.comm, (long long)a.arena.pid,
		       show_bytes(a.arena.released_bytes - before.arena.released_bytes, released),
		       show_bytes(a.arena.live_bytes, live), show_bytes(a.arena.heap_bytes, heap));
	return 0;
}
