// SPDX-License-Identifier: GPL-2.0-only
/* The same as JSON: every figure of every run, and a summary of each. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "result.h"

static void write_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < 0x20)
			fprintf(file, "\\u%04x", c);
		else
			fputc(c, file);
	}
	fputc('"', file);
}

static void write_params(FILE *file, const struct bench_workload *workload, int quick)
{
	fputs("\"params\": {", file);
	for (size_t i = 0; i < BENCH_MAX_PARAMS && workload->params[i].key; i++) {
		fputs(i ? ", " : " ", file);
		write_string(file, workload->params[i].key);
		fputs(": ", file);
		write_string(file, bench_param_value(&workload->params[i], quick));
	}
	fputs(" }", file);
}

static void write_run(FILE *file, const struct run *run)
{
	fputs("{ ", file);
	if (*run->failure) {
		fputs("\"failure\": ", file);
		write_string(file, run->failure);
		fputs(run->count ? ", " : "", file);
	}
	for (size_t i = 0; i < run->count; i++) {
		fputs(i ? ", " : "", file);
		write_string(file, run->values[i].key);
		fprintf(file, ": %.10g", run->values[i].value);
	}
	fputs(" }", file);
}

static void write_summaries(FILE *file, const struct cell *cell, unsigned int rounds,
			    const struct bench_workload *workload)
{
	const char *separator = "";

	fputs("\"summary\": {", file);
	for (size_t m = 0; m < BENCH_MAX_METRICS && workload->metrics[m].key; m++) {
		const char *key = workload->metrics[m].key;
		struct summary summary = cell_summary(cell, rounds, key);

		if (!summary.count)
			continue;
		fprintf(file, "%s ", separator);
		write_string(file, key);
		fprintf(file, ": { \"median\": %.10g, \"min\": %.10g, \"max\": %.10g }",
			summary.median, summary.min, summary.max);
		separator = ",";
	}
	fputs(" }", file);
}

static void write_cell(FILE *file, const struct cell *cell, unsigned int rounds,
		       const struct bench_workload *workload, const char *system)
{
	const char *separator = "";

	fputs("        ", file);
	write_string(file, system);
	fputs(": { ", file);
	write_summaries(file, cell, rounds, workload);
	fputs(",\n          \"runs\": [", file);
	for (unsigned int i = 0; i < rounds; i++) {
		if (!cell->runs[i].done)
			continue;
		fprintf(file, "%s\n            ", separator);
		write_run(file, &cell->runs[i]);
		separator = ",";
	}
	fputs(" ] }", file);
}

static void write_workload(FILE *file, const struct results *results, size_t w)
{
	const struct bench_workload *workload = &bench_workloads[w];
	const char *separator = "";

	fputs("    ", file);
	write_string(file, workload->name);
	fputs(": {\n      \"title\": ", file);
	write_string(file, workload->title);
	fputs(", ", file);
	write_params(file, workload, results->quick);
	fputs(",\n      \"systems\": {", file);
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		const struct cell *cell = &results->cells[w][s];

		if (!cell->runs[0].done)
			continue;
		fprintf(file, "%s\n", separator);
		write_cell(file, cell, results->rounds, workload, bench_systems[s].name);
		separator = ",";
	}
	fputs(" } }", file);
}

int json_write(const struct results *results, const char *path)
{
	FILE *file = fopen(path, "w");
	const char *separator = "";

	if (!file)
		return -errno;
	fputs("{\n  \"machine\": ", file);
	write_string(file, results->machine);
	fputs(",\n  \"started\": ", file);
	write_string(file, results->started);
	fprintf(file, ",\n  \"rounds\": %u,\n  \"quick\": %s,\n  \"versions\": {", results->rounds,
		results->quick ? "true" : "false");
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		if (!results->active[s])
			continue;
		fprintf(file, "%s ", separator);
		write_string(file, bench_systems[s].name);
		fputs(": ", file);
		write_string(file, results->versions[s]);
		separator = ",";
	}
	fputs(" },\n  \"workloads\": {", file);
	separator = "";
	for (size_t w = 0; w < bench_workload_count; w++) {
		if (!results->selected[w])
			continue;
		fprintf(file, "%s\n", separator);
		write_workload(file, results, w);
		separator = ",";
	}
	fputs(" }\n}\n", file);
	if (ferror(file) | fclose(file))
		return -EIO;
	return 0;
}
