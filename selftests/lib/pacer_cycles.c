// SPDX-License-Identifier: GPL-2.0-only
/* pacer_cycles.c - see pacer_cycles.h */
#include "pacer_cycles.h"

#include <math.h>

bool is_near(double value, double wanted)
{
	return fabs(value - wanted) <= 1e-9 * fabs(wanted);
}

struct pacer_config config_of(int32_t gc_percent, int64_t memory_limit_bytes)
{
	return (struct pacer_config){
		.gc_percent = gc_percent,
		.memory_limit_bytes = memory_limit_bytes,
		.procs = 8,
		.heap_minimum_bytes = PACER_HEAP_MINIMUM_BYTES,
	};
}

void pacer_of(struct pacer *p, int32_t gc_percent, int64_t memory_limit_bytes)
{
	struct pacer_config config = config_of(gc_percent, memory_limit_bytes);

	pacer_init(p, &config);
}

void start_cycle(struct pacer *p, uint64_t heap_live_bytes)
{
	struct pacer_start s = { .heap_live_bytes = heap_live_bytes };

	pacer_cycle_start(p, &s);
}

void whole_cycle(struct pacer *p, uint64_t from, uint64_t to, uint64_t marked, uint64_t scanned)
{
	struct pacer_end e = {
		.heap_live_bytes = to,
		.marked_bytes = marked,
		.heap_scan_bytes = scanned,
		.gc_utilization = 0.25,
		.memory = p->memory,
	};

	start_cycle(p, from);
	pacer_cycle_end(p, &e);
}
