// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much do things cost with so much alive?  A random graph of 64 B objects stays; beside it
 * objects of the same size are allocated and dropped under the collector's own pacing; then full
 * collections are asked for and waited for.
 *
 * live_mib=N turnover=N least_mib=N collections=N: what is dropped is @turnover times what is
 * alive, but no less than @least_mib, or small heaps would be measured for a moment only.
 */
#include "bind.h"
#include "graph.h"
#include "workload.h"

#define LIVE_STEPS 1000000

/* A walk at random from @root: in a graph of a billion edges not every one can be looked at. */
static void live_check(struct bench_edges *root, uint32_t objects)
{
	uint64_t seed = 1;

	for (unsigned int i = 0; i < LIVE_STEPS; i++) {
		if (root->id >= objects || root->check != ~root->id)
			fail("a step of the walk has led to something that is no object");
		root = root->edge[random_below(&seed, 4)];
	}
}

static void live_drop(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct bench_edges *object = bind_alloc(sizeof(*object));

		object->id = i;
		__asm__ volatile("" : : "r"(object) : "memory");
		bind_free(object);
	}
}

void live_run(void)
{
	uint64_t objects = (param_u64("live_mib") << 20) / sizeof(struct bench_edges);
	uint64_t turnover = param_u64("turnover"), collections = param_u64("collections");
	uint64_t least = (param_u64("least_mib") << 20) / sizeof(struct bench_edges);
	uint64_t start, cpu_start, wall_ns, cpu_ns, dropped = turnover * objects;
	struct bench_edges *root;

	if (!objects || objects > UINT32_MAX || !turnover || !collections)
		fail("live_mib must be 1 to %u, the rest above 0", UINT32_MAX / (1u << 14));
	bind_off();		/* collections while it grows are no part of this */
	root = graph_build((uint32_t)objects, "random", 0);
	live_check(root, (uint32_t)objects);
	bind_on();
	bind_collect();		/* the index, and what else building has left */

	dropped = dropped < least ? least : dropped;
	/* First to the heap's goal: memory that is new to the machine has a price of its own. */
	live_drop(objects);
	start = now_ns();
	live_drop(dropped);
	report("ns", (double)(now_ns() - start) / dropped);

	cpu_start = process_cpu_ns() + bind_collector_cpu_ns();
	start = now_ns();
	for (uint64_t i = 0; i < collections; i++)
		bind_collect();
	wall_ns = now_ns() - start;
	cpu_ns = process_cpu_ns() + bind_collector_cpu_ns() - cpu_start;
	live_check(root, (uint32_t)objects);
	report("collection_ms", wall_ns / 1e6 / collections);
	report("collection_cpu_ms", cpu_ns / 1e6 / collections);
	report("cpu_ns_per_object", (double)cpu_ns / collections / objects);
}
