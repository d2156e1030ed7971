// SPDX-License-Identifier: GPL-2.0-only
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "result.h"

void run_add(struct run *run, const char *key, double value)
{
	struct run_value *slot;

	if (run->count == RUN_MAX_VALUES || strlen(key) >= sizeof(slot->key)) {
		snprintf(run->failure, sizeof(run->failure), "no room for the figure %.64s", key);
		return;
	}
	slot = &run->values[run->count++];
	strcpy(slot->key, key);
	slot->value = value;
}

const double *run_get(const struct run *run, const char *key)
{
	for (size_t i = 0; i < run->count; i++) {
		if (!strcmp(run->values[i].key, key))
			return &run->values[i].value;
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct summary cell_summary(const struct cell *cell, unsigned int rounds, const char *key)
{
	struct summary summary = { 0 };
	double sorted[BENCH_MAX_ROUNDS];
	unsigned int n = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		const struct run *run = &cell->runs[i];
		const double *value = run_get(run, key);

		if (run->done && !*run->failure && value)
			sorted[n++] = *value;
	}
	if (!n)
		return summary;
	qsort(sorted, n, sizeof(*sorted), compare);
	summary.count = n;
	summary.min = sorted[0];
	summary.max = sorted[n - 1];
	summary.median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
	return summary;
}

const char *cell_failure(const struct cell *cell, unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		if (*cell->runs[i].failure)
			return cell->runs[i].failure;
	}
	return NULL;
}

double summary_spread(const struct summary *summary)
{
	if (summary->median == 0)
		return 0;
	return (summary->max - summary->min) / 2 / fabs(summary->median) * 100;
}

void format_value(char *text, size_t size, double value)
{
	double magnitude = fabs(value);

	snprintf(text, size, "%.*f",
		 magnitude >= 99.95 || magnitude == 0 ? 0 : magnitude >= 9.995 ? 1 :
		 magnitude >= 0.9995 ? 2 : 3, value);
}

void workload_params(char *text, size_t size, const struct bench_workload *workload, int quick)
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < BENCH_MAX_PARAMS && workload->params[i].key; i++) {
		const struct bench_param *param = &workload->params[i];

		if (!param->quick)
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s%s=%s", used ? " " : "",
					 param->key, bench_param_value(param, quick));
		if (used >= size)
			return;
	}
}
