// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mark rate: full collections, one after the other, of a heap in which nothing changes.
 *
 * objects=N shape=random|list|tree typed=0|1 collections=N.  The figures are the medians over the
 * collections; the CPU time is that of all threads and of a collector in another process.
 */
#include <stdlib.h>

#include "bind.h"
#include "graph.h"
#include "workload.h"

#define MARK_MAX_COLLECTIONS 100

static int mark_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double mark_median(double *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), mark_compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void mark_run(void)
{
	uint32_t objects = param_u64("objects");
	unsigned int collections = param_u64("collections");
	double wall[MARK_MAX_COLLECTIONS], cpu[MARK_MAX_COLLECTIONS];
	struct bench_edges *root;
	uint64_t reached;

	if (!objects || !collections || collections > MARK_MAX_COLLECTIONS)
		fail("objects must be above 0, collections 1 to %d", MARK_MAX_COLLECTIONS);

	root = graph_build(objects, param_string("shape"), param_u64("typed"));
	reached = graph_count(root, objects);
	/* The first collection also finds the index and other garbage from building the heap. */
	bind_collect();
	for (unsigned int i = 0; i < collections; i++) {
		uint64_t cpu_start = process_cpu_ns() + bind_collector_cpu_ns();
		uint64_t start = now_ns();

		bind_collect();
		wall[i] = now_ns() - start;
		cpu[i] = process_cpu_ns() + bind_collector_cpu_ns() - cpu_start;
	}
	if (graph_count(root, objects) != reached)
		fail("the collections have lost objects");
	report("reached", reached);
	report("collection_ms", mark_median(wall, collections) / 1e6);
	report("collection_cpu_ms", mark_median(cpu, collections) / 1e6);
	report("mobjects_per_s", reached * 1e3 / mark_median(wall, collections));
	report("mobjects_per_cpu_s", reached * 1e3 / mark_median(cpu, collections));
}
