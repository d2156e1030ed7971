/* SPDX-License-Identifier: GPL-2.0-only */
/* Figures of runs, and their medians. */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include <stddef.h>

#include "plan.h"

#define RUN_MAX_VALUES 48
#define BENCH_MAX_ROUNDS 101

struct run_value {
	char key[32];
	double value;
};

/* One run of one program. */
struct run {
	int done;			/* it was started */
	char failure[256];		/* empty if it went well; its figures count only then */
	size_t count;
	struct run_value values[RUN_MAX_VALUES];
};

/* All runs of a workload on a system, one a round. */
struct cell {
	struct run runs[BENCH_MAX_ROUNDS];
};

/* Figures of one key over the rounds. */
struct summary {
	unsigned int count;		/* runs that have it; 0: the rest is meaningless */
	double median, min, max;
};

/* All that the bench has found out.  @cells is [workload][system]. */
struct results {
	enum bench_set set;
	unsigned int rounds;
	int quick;
	int active[SYSTEMS];		/* the system takes part */
	char versions[SYSTEMS][64];
	char machine[256];
	char started[32];
	struct cell (*cells)[SYSTEMS];
	int *selected;			/* [workload] */
};

void run_add(struct run *run, const char *key, double value);
/* The value of @key, or NULL. */
const double *run_get(const struct run *run, const char *key);

struct summary cell_summary(const struct cell *cell, unsigned int rounds, const char *key);
/* The first failure, or NULL. */
const char *cell_failure(const struct cell *cell, unsigned int rounds);
/* Half the range, in per cent of the median. */
double summary_spread(const struct summary *summary);

/* Three significant digits. */
void format_value(char *text, size_t size, double value);

/* "key=value key=value": what is not in the title. */
void workload_params(char *text, size_t size, const struct bench_workload *workload, int quick);

/* Each writes all of it.  Those with a path return 0 or -errno. */
void table_print(const struct results *results);
int json_write(const struct results *results, const char *path);
int picture_write(const struct results *results, const char *path);
int curves_write(const struct results *results, const char *path);

#endif
