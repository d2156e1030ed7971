// SPDX-License-Identifier: GPL-2.0-only
/* cmd_gc.c - tricolor gc */
#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "show.h"
#include "target.h"
#include "target_options.h"

int cmd_gc(int argc, char **argv)
{
	struct target_options o = { .may_wait = false };
	struct arena_of a;
	char live[32], heap[32];

	target_options_parse(&o, 1, "ID|PID", "Collect a heap now, and wait for it.", argc, argv);
	if (target_ask(o.socket, o.arguments[0], CONTROL_GC, 0, &a))
		return 1;
	if (o.json)
		show_arena_json(&a);
	else
		printf("%s (%s, process %lld): cycle %" PRIu64
		       ", %.1f ms, %.1f ms of CPU; %s live, "
		       "heap %s\n",
		       a.id, a.arena.comm, (long long)a.arena.pid, a.arena.cycles,
		       (double)a.arena.cycle_wall_ns / 1e6, (double)a.arena.cycle_cpu_ns / 1e6,
		       show_bytes(a.arena.live_bytes, live), show_bytes(a.arena.heap_bytes, heap));
	return 0;
}
