// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

const struct bench_system bench_systems[SYSTEMS] = {
	[SYSTEM_TRICOLOR] = { "tricolor", "tricolor", "#c0392b" },
	[SYSTEM_GO] = { "go", "Go", "#2980b9" },
	[SYSTEM_GC] = { "gc", "Boehm", "#8e44ad" },
	[SYSTEM_GLIBC] = { "glibc", "glibc", "#7f8c8d" },
	[SYSTEM_MIMALLOC] = { "mimalloc", "mimalloc", "#27ae60" },
};

const char *const bench_sets[SETS] = {
	[SET_BENCH] = "bench",
	[SET_CURVES] = "curves",
	[SET_SCALE] = "scale",
};

/* ---- figures that several workloads have ---- */

/* The longest time that a thread was held up, as the library itself has measured it. */
#define INTERRUPTION { "interruption_max_us", "longest interruption, own account, µs", 0, 0 }

#define CPU_TIME							\
	{ "cpu_s", "CPU time, whole tree, s", 0, 1 },			\
	{ "helper_cpu_s", "  of which other processes, s", 0, 0 }

#define DROP_METRICS							\
	{								\
		{ "ns", "time an object, ns", 0, 1 },			\
		{ "cpu_s", "CPU time, whole tree, s", 0, 0 },		\
		{ "helper_cpu_s", "  of which other processes, s", 0, 0 }, \
		INTERRUPTION,						\
	}

#define TREES_METRICS							\
	{								\
		{ "wall_s", "wall time, s", 0, 1 },			\
		CPU_TIME,						\
		{ "peak_mib", "peak memory, MiB", 0, 1 },		\
		INTERRUPTION,						\
	}

#define LARSON_METRICS							\
	{								\
		{ "mops_per_s", "replacements a second, millions", 1, 1 }, \
		CPU_TIME,						\
		{ "peak_mib", "peak memory, MiB", 0, 1 },		\
		INTERRUPTION,						\
	}

#define LRU_METRICS							\
	{								\
		{ "mops_per_s", "operations a second, millions", 1, 1 }, \
		{ "max_us", "worst operation, µs", 0, 1 },		\
		{ "p9999_us", "99.99 % below, µs", 0, 1 },		\
		{ "hits_percent", "found, %", 1, 0 },			\
		CPU_TIME,						\
		{ "peak_mib", "peak memory, MiB", 0, 1 },		\
		INTERRUPTION,						\
	}

#define CHURN_METRICS							\
	{								\
		{ "footprint_ratio", "peak memory to live bytes", 0, 1 }, \
		{ "peak_mib", "peak memory, MiB", 0, 0 },		\
		{ "ns", "time a replacement, ns", 0, 1 },		\
		CPU_TIME,						\
		INTERRUPTION,						\
	}

#define MARK_METRICS							\
	{								\
		{ "mobjects_per_s", "objects a second, millions", 1, 1 }, \
		{ "mobjects_per_cpu_s", "objects a CPU second, millions", 1, 0 }, \
		{ "collection_ms", "a collection, ms", 0, 0 },		\
		{ "peak_mib", "peak memory, MiB", 0, 0 },		\
		INTERRUPTION,						\
	}

#define METER_METRICS							\
	{								\
		{ "held_max_us", "longest hold of a spinning thread, µs", 0, 1 }, \
		{ "gap_max_us", "  its longest gap, with preemption, µs", 0, 0 }, \
		INTERRUPTION,						\
	}

/* ---- parameters that several workloads have ---- */

#define DROP_PARAMS(size, kind, threads)				\
	{								\
		{ "ops", "30000000", "2000000" },			\
		{ "size", size, NULL },					\
		{ "kind", kind, NULL },					\
		{ "threads", threads, NULL },				\
	}

#define TREES_PARAMS(threads) { { "depth", "20", "16" }, { "threads", threads, NULL } }

#define GCBENCH_PARAMS(stretch, lasting, depth, threads)		\
	{								\
		{ "stretch", stretch, "16" },				\
		{ "lasting", lasting, "14" },				\
		{ "array", "500000", "100000" },			\
		{ "depth", depth, "14" },				\
		{ "threads", threads, NULL },				\
	}

#define LARSON_PARAMS(min, max)						\
	{								\
		{ "threads", "2", "2" },				\
		{ "objects", "10000", "1000" },				\
		{ "min", min, NULL },					\
		{ "max", max, NULL },					\
		{ "replacements", "500000", "20000" },			\
		{ "generations", "20", "10" },				\
	}

#define LRU_PARAMS(threads)						\
	{								\
		{ "capacity", "1000000", "50000" },			\
		{ "keys", "16777216", "1048576" },			\
		{ "threads", threads, NULL },				\
		{ "ops", "4000000", "500000" },				\
	}

#define CHURN_PARAMS(mix, percent)					\
	{								\
		{ "live_mib", "128", "16" },				\
		{ "turnover", "3", "2" },				\
		{ "repeats", "1", "1" },					\
		{ "mix", mix, NULL },					\
		{ "gc_percent", percent, NULL },			\
	}

#define MARK_PARAMS(shape, typed, collections)				\
	{								\
		{ "objects", "8000000", "400000" },			\
		{ "collections", collections, "3" },			\
		{ "shape", shape, NULL },				\
		{ "typed", typed, NULL },				\
	}

#define RING_PARAMS							\
	{								\
		{ "slots", "200000", "50000" },				\
		{ "messages", "1000000", "250000" },			\
		{ "bytes", "1024", "1024" },				\
	}

#define DROP(bytes, kind, what)						\
	{								\
		.name = "drop-" bytes "-" kind,				\
		.program = "drop",					\
		.title = "allocate and drop " bytes " B, " what,	\
		.systems = SYSTEMS_ALL,					\
		.params = DROP_PARAMS(bytes, kind, "1"),		\
		.metrics = DROP_METRICS,				\
	}

#define DROP_VARIANT(bytes, kind, threads, what)			\
	{								\
		.name = "drop-" bytes "-" kind "-" threads,		\
		.program = "drop",					\
		.title = "allocate and drop " bytes " B, " what ", threads: " threads, \
		.systems = SYSTEMS_ALL,					\
		.variant = 1,						\
		.params = DROP_PARAMS(bytes, kind, threads),		\
		.metrics = DROP_METRICS,				\
	}

#define LIVE_PARAMS(mib, meter)						\
	{								\
		{ "live_mib", mib, NULL },				\
		{ "turnover", "2", "1" },				\
		{ "least_mib", "2048", "64" },				\
		{ "collections", "3", "2" },				\
		{ "meter", meter, NULL },				\
	}

/* A workload of its own, since the meter takes a CPU. */
#define LIVE(mib, which)						\
	{								\
		.name = "live-" mib,					\
		.program = "live",					\
		.title = "cost with " mib " MiB alive",			\
		.set = SET_CURVES,					\
		.systems = which,					\
		.params = LIVE_PARAMS(mib, "0"),			\
		.metrics = {						\
			{ "ns", "time an allocation, ns", 0, 1 },	\
			{ "collection_ms", "a collection, ms", 0, 1 },	\
			{ "collection_cpu_ms", "a collection, CPU ms", 0, 1 }, \
			{ "cpu_ns_per_object", "a collection, CPU ns an object", 0, 1 }, \
			INTERRUPTION,					\
		},							\
	},								\
	{								\
		.name = "live-" mib "-meter",				\
		.program = "live",					\
		.title = "threads held up with " mib " MiB alive",	\
		.set = SET_CURVES,					\
		.systems = which,					\
		.params = LIVE_PARAMS(mib, "1"),			\
		.metrics = METER_METRICS,				\
	}

#define TREES_VARIANT(full_depth, count)				\
	{								\
		.name = "trees-" count "-depth-" full_depth,		\
		.program = "trees",					\
		.title = "binary trees of other depths, threads: " count, \
		.systems = SYSTEMS_ALL,					\
		.watch_memory = 1,					\
		.variant = 1,						\
		.params = { { "depth", full_depth, "14" }, { "threads", count, NULL } }, \
		.metrics = TREES_METRICS,				\
	}

const struct bench_workload bench_workloads[] = {
	DROP("16", "pointers", "may hold pointers (malloc)"),
	DROP("64", "pointers", "may hold pointers (malloc)"),
	DROP("256", "pointers", "may hold pointers (malloc)"),
	DROP("16", "leaf", "no pointers (malloc)"),
	DROP("64", "leaf", "no pointers (malloc)"),
	DROP("256", "leaf", "no pointers (malloc)"),
	DROP("16", "zeroed", "zeroed (calloc)"),
	DROP("64", "zeroed", "zeroed (calloc)"),
	DROP("256", "zeroed", "zeroed (calloc)"),
	DROP_VARIANT("32", "pointers", "1", "may hold pointers"),
	DROP_VARIANT("128", "pointers", "1", "may hold pointers"),
	DROP_VARIANT("1024", "pointers", "1", "may hold pointers"),
	DROP_VARIANT("32", "leaf", "1", "no pointers"),
	DROP_VARIANT("128", "leaf", "1", "no pointers"),
	DROP_VARIANT("1024", "leaf", "1", "no pointers"),
	DROP_VARIANT("16", "pointers", "2", "may hold pointers"),
	DROP_VARIANT("64", "pointers", "2", "may hold pointers"),
	DROP_VARIANT("256", "leaf", "2", "no pointers"),
	{
		.name = "trees-1",
		.program = "trees",
		.title = "binary trees, one thread",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.params = TREES_PARAMS("1"),
		.metrics = TREES_METRICS,
	},
	{
		.name = "trees-2",
		.program = "trees",
		.title = "binary trees, two threads",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.params = TREES_PARAMS("2"),
		.metrics = TREES_METRICS,
	},
	TREES_VARIANT("16", "1"),
	TREES_VARIANT("22", "1"),
	TREES_VARIANT("20", "4"),
	{
		.name = "gcbench",
		.program = "gcbench",
		.title = "GCBench: trees top down and bottom up",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.params = GCBENCH_PARAMS("18", "16", "16", "1"),
		.metrics = TREES_METRICS,
	},
	{
		.name = "gcbench-large",
		.program = "gcbench",
		.title = "GCBench, larger, two threads",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.variant = 1,
		.params = GCBENCH_PARAMS("21", "20", "18", "2"),
		.metrics = TREES_METRICS,
	},
	{
		.name = "larson",
		.program = "larson",
		.title = "Larson's server: objects of 10 to 500 B",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.params = LARSON_PARAMS("10", "500"),
		.metrics = LARSON_METRICS,
	},
	{
		.name = "larson-4096",
		.program = "larson",
		.title = "Larson's server: objects of 16 to 4096 B",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.variant = 1,
		.params = LARSON_PARAMS("16", "4096"),
		.metrics = LARSON_METRICS,
	},
	{
		.name = "finalize",
		.program = "finalize",
		.title = "a finalizer for each of a million objects",
		.systems = SYSTEMS_COLLECTED,
		.params = {
			{ "objects", "1000000", "20000" },
			{ "collections", "5", "2" },
		},
		.metrics = {
			{ "set_ns", "set a finalizer, ns", 0, 1 },
			{ "live_cycle_ms", "a cycle while all live, ms", 0, 1 },
			{ "dead_ns", "found dead and called, ns an object", 0, 1 },
			CPU_TIME,
		},
	},
	{
		.name = "strings",
		.program = "strings",
		.title = "string operations with a buffer of 8 KiB each",
		/* In Go such a buffer stays on the stack, or is a strings.Builder that grows. */
		.systems = SYSTEMS_ALL & ~SYSTEM_BIT(SYSTEM_GO),
		.watch_memory = 1,
		.params = {
			{ "ops", "3000000", "100000" },
			{ "buffer", "8192", "8192" },
			{ "strings", "10000", "1000" },
		},
		.metrics = {
			{ "ns", "time an operation, ns", 0, 1 },
			{ "program_cpu_ns", "  CPU time of the program, ns", 0, 0 },
			CPU_TIME,
			{ "peak_mib", "peak memory, MiB", 0, 1 },
			INTERRUPTION,
		},
	},
	{
		.name = "lru",
		.program = "lru",
		.title = "a cache that two threads share",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.params = LRU_PARAMS("2"),
		.metrics = LRU_METRICS,
	},
	{
		.name = "lru-1",
		.program = "lru",
		.title = "a cache, one thread",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.variant = 1,
		.params = LRU_PARAMS("1"),
		.metrics = LRU_METRICS,
	},
	{
		.name = "churn",
		.program = "churn",
		.title = "memory for objects of 16 B to 16 KiB, GOGC=25",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.params = CHURN_PARAMS("steady", "25"),
		.metrics = CHURN_METRICS,
	},
	{
		.name = "churn-phases",
		.program = "churn",
		.title = "memory when the sizes change, GOGC=25",
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.params = CHURN_PARAMS("phases", "25"),
		.metrics = CHURN_METRICS,
	},
	{
		.name = "mark-random",
		.program = "mark",
		.title = "mark 64 B objects with 4 random edges",
		.systems = SYSTEMS_COLLECTED,
		.watch_memory = 1,
		.params = MARK_PARAMS("random", "0", "5"),
		.metrics = MARK_METRICS,
	},
	{
		.name = "mark-random-1",
		.program = "mark",
		.title = "mark random 64 B objects, one marking thread",
		.systems = SYSTEMS_COLLECTED,
		.params = { { "objects", "4000000", "400000" },
			    { "collections", "3", "3" },
			    { "shape", "random", NULL },
			    { "typed", "0", NULL } },
		.metrics = MARK_METRICS,
		.environment = { { SYSTEM_TRICOLOR, "TRICOLOR_DAEMON", "./one-worker.sh" },
				 { SYSTEM_GO, "GOMAXPROCS", "1" },
				 { SYSTEM_GC, "GC_MARKERS", "1" } },
	},
	{
		.name = "mark-typed",
		.program = "mark",
		.title = "mark 64 B objects, their pointers described",
		.systems = SYSTEMS_TYPED,
		.watch_memory = 1,
		.params = MARK_PARAMS("random", "1", "5"),
		.metrics = MARK_METRICS,
	},
	{
		.name = "mark-list",
		.program = "mark",
		.title = "mark a list of 64 B objects, in order",
		.systems = SYSTEMS_COLLECTED,
		.params = MARK_PARAMS("list", "0", "3"),
		.metrics = MARK_METRICS,
	},
	{
		.name = "mark-tree",
		.program = "mark",
		.title = "mark a tree of 64 B objects, 4 children each",
		.systems = SYSTEMS_COLLECTED,
		.params = MARK_PARAMS("tree", "0", "3"),
		.metrics = MARK_METRICS,
	},
	{
		.name = "ring",
		.program = "ring",
		.title = "insertions into a ring of messages",
		.systems = SYSTEMS_ALL,
		.params = RING_PARAMS,
		.metrics = {
			{ "max_us", "worst insertion, µs", 0, 1 },
			{ "p9999_us", "99.99 % below, µs", 0, 0 },
			{ "p999_us", "99.9 % below, µs", 0, 1 },
			{ "ns", "mean, ns", 0, 0 },
			INTERRUPTION,
		},
	},
	{
		.name = "barrier",
		.program = "barrier",
		.title = "pointer stores",
		.systems = SYSTEMS_BARRIER,
		.params = {
			{ "stores", "300000000", "50000000" },
			{ "objects", "2000000", "200000" },
			{ "marked_ms", "5000", "1000" },
		},
		.metrics = {
			{ "array_plain_ns", "into an array, plain, ns", 0, 0 },
			{ "array_barrier_ns", "into an array, ns", 0, 1 },
			{ "list_plain_ns", "list splicing, plain, ns a store", 0, 0 },
			{ "list_barrier_ns", "list splicing, ns a store", 0, 1 },
			{ "tree_plain_ns", "tree building, plain, ns a store", 0, 0 },
			{ "tree_barrier_ns", "tree building, ns a store", 0, 1 },
			{ "on_mean_ns", "while marking, mean, ns", 0, 0 },
			{ "on_median_ns", "while marking, median, ns", 0, 0 },
			{ "on_p999_ns", "while marking, 99.9 % below, ns", 0, 0 },
			INTERRUPTION,
		},
	},
	{
		.name = "meter-drop",
		.program = "drop",
		.title = "threads held up: allocate and drop 64 B",
		.systems = SYSTEMS_ALL,
		.params = { { "ops", "100000000", "4000000" },
			    { "size", "64", NULL },
			    { "kind", "pointers", NULL },
			    { "threads", "1", NULL },
			    { "meter", "1", NULL } },
		.metrics = METER_METRICS,
	},
	{
		.name = "meter-trees",
		.program = "trees",
		.title = "threads held up: binary trees",
		.systems = SYSTEMS_ALL,
		.params = { { "depth", "18", "16" },
			    { "threads", "1", NULL },
			    { "meter", "1", NULL } },
		.metrics = METER_METRICS,
	},
	{
		.name = "meter-mark",
		.program = "mark",
		.title = "threads held up: marking random 64 B objects",
		.systems = SYSTEMS_COLLECTED,
		.params = { { "objects", "2000000", "200000" },
			    { "collections", "5", "3" },
			    { "shape", "random", NULL },
			    { "typed", "0", NULL },
			    { "meter", "1", NULL } },
		.metrics = METER_METRICS,
	},
	{
		.name = "meter-ring",
		.program = "ring",
		.title = "threads held up: a ring of messages",
		.systems = SYSTEMS_ALL,
		.params = { { "slots", "200000", "50000" },
			    { "messages", "1000000", "250000" },
			    { "bytes", "1024", "1024" },
			    { "meter", "1", NULL } },
		.metrics = METER_METRICS,
	},
	LIVE("16", SYSTEMS_TYPED),
	LIVE("64", SYSTEMS_TYPED),
	LIVE("256", SYSTEMS_TYPED),
	LIVE("1024", SYSTEMS_TYPED),
	LIVE("4096", SYSTEM_BIT(SYSTEM_TRICOLOR)),
	{
		.name = "idle",
		.program = "idle",
		.title = "a program that sleeps",
		.set = SET_SCALE,
		.systems = SYSTEM_BIT(SYSTEM_TRICOLOR) | SYSTEM_BIT(SYSTEM_GC),
		.params = { { "live_mib", "256", "16" },
			    { "settle_ms", "1000", "1000" },
			    { "idle_ms", "10000", "2000" },
			    { "threads", "1", NULL },
			    { "collections", "100", "10" } },
		.metrics = {
			{ "program_switches_per_s", "context switches a second, program", 0, 1 },
			{ "helper_switches_per_s", "  its collector", 0, 1 },
			{ "program_sleeps_per_collection", "sleeps a collection, program", 0, 0 },
			{ "helper_sleeps_per_collection", "  its collector", 0, 0 },
			{ "helper_anon_mib", "collector's own memory, MiB", 0, 1 },
			{ "helper_shmem_mib", "  of the heap mapped and touched", 0, 0 },
		},
	},
	{
		.name = "threads",
		.program = "threads",
		.title = "a thousand threads, half of them wait",
		.set = SET_SCALE,
		.systems = SYSTEMS_ALL,
		.watch_memory = 1,
		.params = { { "threads", "1000", "200" },
			    { "idle", "500", "100" },
			    { "lists", "1000", "200" },
			    { "nodes", "50", "50" } },
		.metrics = {
			{ "wall_s", "wall time, s", 0, 1 },
			CPU_TIME,
			{ "peak_mib", "peak memory, MiB", 0, 1 },
			{ "cycles", "collections", 0, 0 },
			{ "cycle_cpu_ms", "  CPU of the collector for each, ms", 0, 0 },
			INTERRUPTION,
		},
	},
	{
		.name = "clients",
		.program = "churn",
		.launcher = "clients.sh",
		.title = "a hundred programs, one collector",
		.set = SET_SCALE,
		.systems = SYSTEMS_ALL,
		.params = { { "clients", "100", "10" },
			    { "live_mib", "4", "4" },
			    { "turnover", "3", "3" },
			    { "repeats", "10", "2" },
			    { "mix", "steady", NULL },
			    { "gc_percent", "100", NULL } },
		.metrics = {
			{ "wall_s", "wall time, s", 0, 1 },
			{ "cpu_s", "CPU time, all of them, s", 0, 1 },
			{ "collector_cpu_s", "  of which the collector, s", 0, 0 },
			{ "collector_anon_mib", "collector's own memory, MiB", 0, 1 },
			{ "collector_rss_mib", "  with the heaps that it has mapped", 0, 0 },
			{ "collector_threads", "collector's threads", 0, 0 },
			{ "cycles", "collections in a program", 0, 0 },
			INTERRUPTION,
		},
	},
};

const size_t bench_workload_count = sizeof(bench_workloads) / sizeof(bench_workloads[0]);

const char *bench_param_value(const struct bench_param *param, int quick)
{
	const char *value;
	char name[64];
	size_t len;

	if (!param->quick)
		return param->full;
	len = (size_t)snprintf(name, sizeof(name), "BENCH_%s", param->key);
	for (size_t i = 0; i < len; i++)
		name[i] = (char)toupper((unsigned char)name[i]);
	value = getenv(name);
	if (value && *value)
		return value;
	return quick ? param->quick : param->full;
}
