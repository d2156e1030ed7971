/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The plan of what is run: the systems that are compared, the workloads, their parameters, their
 * figures.
 */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <stddef.h>

enum bench_system_id {
	SYSTEM_TRICOLOR,	/* the first one: ratios are of its figures to the others' */
	SYSTEM_GO,
	SYSTEM_GC,
	SYSTEM_GLIBC,
	SYSTEM_MIMALLOC,
	SYSTEMS,
};

#define SYSTEM_BIT(id) (1u << (id))
#define SYSTEMS_ALL (SYSTEM_BIT(SYSTEMS) - 1)
#define SYSTEMS_COLLECTED \
	(SYSTEM_BIT(SYSTEM_TRICOLOR) | SYSTEM_BIT(SYSTEM_GO) | SYSTEM_BIT(SYSTEM_GC))
#define SYSTEMS_TYPED (SYSTEM_BIT(SYSTEM_TRICOLOR) | SYSTEM_BIT(SYSTEM_GO))
#define SYSTEMS_BARRIER \
	(SYSTEM_BIT(SYSTEM_TRICOLOR) | SYSTEM_BIT(SYSTEM_GO) | SYSTEM_BIT(SYSTEM_GLIBC))

struct bench_system {
	const char *name;	/* of its program, and in BENCH_SYSTEMS */
	const char *label;
	const char *color;	/* in the picture */
};

/*
 * A set of workloads that are run together.  Its name is also that of the files with its results.
 */
enum bench_set {
	SET_BENCH,	/* the comparison; the one by default */
	SET_CURVES,	/* the comparison at several sizes of the live heap, with lines instead of
			 * bars */
	SET_SCALE,	/* many threads, many processes, and idle ones */
	SETS,
};

/*
 * A parameter that a workload's program is given.  Without @quick it makes the workload what it is;
 * else the environment variable BENCH_<KEY> overrides it.
 */
struct bench_param {
	const char *key;
	const char *full;
	const char *quick;
};

struct bench_metric {
	const char *key;	/* as reported by the program, or one of run.h's */
	const char *label;	/* with the unit */
	int higher_is_better;
	int in_picture;
};

/*
 * An environment variable of a workload's programs on one system.  A value that begins with ./ is a
 * path below the folder of the driver.
 */
struct bench_setting {
	enum bench_system_id system;
	const char *name;
	const char *value;
};

#define BENCH_MAX_PARAMS 8
#define BENCH_MAX_METRICS 10
#define BENCH_MAX_SETTINGS 4

struct bench_workload {
	const char *name;	/* in BENCH_WORKLOADS */
	const char *program;	/* the workload of the programs that it runs */
	const char *launcher;	/* a script in the driver's folder that starts it; or NULL */
	const char *title;
	enum bench_set set;
	unsigned int systems;	/* SYSTEM_BIT()s */
	int watch_memory;	/* off where it would disturb what is measured */
	int variant;		/* only if BENCH_VARIANTS=1, or named by BENCH_WORKLOADS */
	struct bench_param params[BENCH_MAX_PARAMS];
	struct bench_metric metrics[BENCH_MAX_METRICS];
	struct bench_setting environment[BENCH_MAX_SETTINGS];
};

extern const struct bench_system bench_systems[SYSTEMS];
extern const char *const bench_sets[SETS];
extern const struct bench_workload bench_workloads[];
extern const size_t bench_workload_count;

/* The value of @param in this run, from the environment if it is there. */
const char *bench_param_value(const struct bench_param *param, int quick);

#endif
