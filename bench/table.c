// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table has a block for each workload, a line for each figure, a column for each system, and
 * then the ratios.
 */
#include <stdio.h>
#include <string.h>

#include "result.h"

#define LABEL_WIDTH 38
#define VALUE_WIDTH 15
#define RATIO_WIDTH 12

/* @text, then blanks up to @width columns; a negative width puts them first.  UTF-8. */
static void print_padded(const char *text, int width)
{
	int columns = 0, left = width < 0;

	for (const char *p = text; *p; p++)
		columns += (*p & 0xc0) != 0x80;
	width = left ? -width : width;
	if (left)
		printf("%*s", width > columns ? width - columns : 0, "");
	fputs(text, stdout);
	if (!left)
		printf("%*s", width > columns ? width - columns : 0, "");
}

static void print_head(const struct results *results)
{
	char text[64];

	print_padded("", LABEL_WIDTH);
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		if (results->active[s])
			print_padded(bench_systems[s].label, -VALUE_WIDTH);
	}
	for (unsigned int s = 1; s < SYSTEMS && results->active[0]; s++) {
		if (!results->active[s])
			continue;
		snprintf(text, sizeof(text), "t/%s", bench_systems[s].label);
		print_padded(text, -RATIO_WIDTH);
	}
	putchar('\n');
}

static void print_value(const struct summary *summary, int failed)
{
	char number[32], text[64];

	if (!summary->count) {
		print_padded(failed ? "failed" : "–", -VALUE_WIDTH);
		return;
	}
	format_value(number, sizeof(number), summary->median);
	if (summary->count > 1)
		snprintf(text, sizeof(text), "%s ±%.0f%%%s", number, summary_spread(summary),
			 failed ? "!" : "");
	else
		snprintf(text, sizeof(text), "%s%s", number, failed ? "!" : "");
	print_padded(text, -VALUE_WIDTH);
}

static void print_ratio(const struct summary *ours, const struct summary *theirs)
{
	char text[32];

	if (ours->count && theirs->count && theirs->median > 0)
		format_value(text, sizeof(text), ours->median / theirs->median);
	else
		strcpy(text, "–");
	print_padded(text, -RATIO_WIDTH);
}

static void print_metric(const struct results *results, size_t w, const struct bench_metric *metric)
{
	struct summary summaries[SYSTEMS];
	char label[128];
	int any = 0;

	for (unsigned int s = 0; s < SYSTEMS; s++) {
		summaries[s] = cell_summary(&results->cells[w][s], results->rounds, metric->key);
		any |= summaries[s].count ||
		       cell_failure(&results->cells[w][s], results->rounds);
	}
	if (!any)
		return;
	snprintf(label, sizeof(label), "  %s%s", metric->label,
		 metric->higher_is_better ? " ↑" : "");
	print_padded(label, LABEL_WIDTH);
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		if (results->active[s])
			print_value(&summaries[s],
				    cell_failure(&results->cells[w][s], results->rounds) != NULL);
	}
	for (unsigned int s = 1; s < SYSTEMS && results->active[0]; s++) {
		if (results->active[s])
			print_ratio(&summaries[0], &summaries[s]);
	}
	putchar('\n');
}

static void print_failures(const struct results *results)
{
	for (size_t w = 0; w < bench_workload_count; w++) {
		for (unsigned int s = 0; s < SYSTEMS; s++) {
			const char *failure = cell_failure(&results->cells[w][s], results->rounds);

			if (failure)
				printf("failed: %s on %s: %s\n", bench_workloads[w].name,
				       bench_systems[s].label, failure);
		}
	}
}

void table_print(const struct results *results)
{
	const char *separator = "";

	printf("%s\n", results->machine);
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		if (!results->active[s])
			continue;
		printf("%s%s %s", separator, bench_systems[s].label, results->versions[s]);
		separator = ", ";
	}
	printf("\nmedians of %u %s, ± half the range; t/x: tricolor's figure to that of x; "
	       "less is better but for ↑\n\n", results->rounds,
	       results->rounds == 1 ? "run" : "runs");
	print_head(results);
	for (size_t w = 0; w < bench_workload_count; w++) {
		const struct bench_workload *workload = &bench_workloads[w];
		char params[256];

		if (!results->selected[w])
			continue;
		workload_params(params, sizeof(params), workload, results->quick);
		printf("%s (%s)\n", workload->title, params);
		for (size_t m = 0; m < BENCH_MAX_METRICS && workload->metrics[m].key; m++)
			print_metric(results, w, &workload->metrics[m]);
	}
	print_failures(results);
}
