// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the program shows: a line a second while it runs, and a table at the end, which is also
 * written as JSON.  The figures come from the program's own counters, tri_read_stats() and /proc.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "wordindex.h"

struct memory {
	uint64_t rss;		/* VmRSS: all pages in memory that are mapped here */
	uint64_t peak_rss;	/* VmHWM */
	uint64_t pss;		/* as rss, but pages that the collector maps, too, count by half */
};

struct index_figures {
	uint64_t documents, terms, postings, text_bytes, segments;
};

static bool rewrite;			/* rewrite the line on the terminal instead of adding one */
static uint64_t start_ns;
static double query_rate;
static uint64_t line_ns, line_queries;	/* at the last line, for the rate since */
static uint64_t peak_pss;		/* highest of those that were sampled */
static struct index_figures before, after;	/* documents were dropped */
static struct memory memory_before, memory_after;
static struct tri_stats stats_after;

/* ---- sources -------------------------------------------------------------------------------- */

/* The figure behind @key, such as "VmRSS:", which is in kB, as bytes; 0 if it is not there. */
static uint64_t proc_bytes(const char *path, const char *key)
{
	unsigned long long kb = 0;
	char line[256];
	FILE *file = fopen(path, "re");

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, strlen(key))) {
			kb = strtoull(line + strlen(key), NULL, 10);
			break;
		}
	}
	fclose(file);
	return kb * 1024;
}

static struct memory memory_now(void)
{
	struct memory memory = {
		.rss = proc_bytes("/proc/self/status", "VmRSS:"),
		.peak_rss = proc_bytes("/proc/self/status", "VmHWM:"),
		.pss = proc_bytes("/proc/self/smaps_rollup", "Pss:"),
	};

	if (memory.pss > peak_pss)
		peak_pss = memory.pss;
	return memory;
}

static struct tri_stats stats_now(void)
{
	struct tri_stats stats = { .size = sizeof(stats) };

	if (tri_read_stats(&stats))
		die("can't read the heap's figures: %s", tri_error());
	return stats;
}

static struct index_figures index_now(bool with_terms)
{
	struct view *view = index_view();

	if (!view)
		return (struct index_figures){ 0 };
	return (struct index_figures){
		.documents = view->documents,
		.terms = with_terms ? view_terms(view) : 0,
		.postings = view_postings(view),
		.text_bytes = view->text_bytes,
		.segments = view->segment_count,
	};
}

/* ---- progress ------------------------------------------------------------------------------- */

void report_start(void)
{
	rewrite = isatty(STDOUT_FILENO) && !config->plain;
	setvbuf(stdout, NULL, _IOLBF, 0);
	start_ns = line_ns = now_ns();
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

void report_progress(const char *phase)
{
	struct index_figures index = index_now(false);
	struct tri_stats stats = stats_now();
	struct memory memory = memory_now();
	uint64_t now = now_ns(), queries = counted(queries);
	struct winsize window;
	char line[512];
	int n;

	n = snprintf(line, sizeof(line),
		     "%-8.64s %3.0f s  %-5s  %5llu docs  %6.0f queries/s  %4llu re-indexed  "
		     "%4llu dropped  %3llu checked  %llu wrong  heap %3.0f MiB  memory %3.0f MiB  "
		     "%2llu cycles  longest %.0f us",
		     config->name, (double)(now - start_ns) / 1e9, phase,
		     (unsigned long long)index.documents,
		     (double)(queries - line_queries) * 1e9 / (double)(now - line_ns),
		     (unsigned long long)counted(reindexed), (unsigned long long)counted(dropped),
		     (unsigned long long)counted(checked), (unsigned long long)counted(wrong),
		     mib(stats.heap_bytes), mib(memory.rss), (unsigned long long)stats.cycles,
		     (double)stats.interruption_max_ns / 1e3);
	if (rewrite) {
		/* A line that wraps can't be rewritten. */
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) || !window.ws_col)
			window.ws_col = 80;
		if (n >= window.ws_col)
			line[window.ws_col - 1] = 0;
		printf("\r\033[K%s", line);
	} else {
		puts(line);
	}
	fflush(stdout);
	line_ns = now;
	line_queries = queries;
}

/* The threads that query have run for @ns. */
void report_queries(uint64_t ns)
{
	query_rate = (double)counted(queries) * 1e9 / (double)ns;
}

/* Documents are about to be dropped. */
void report_drop(void)
{
	before = index_now(true);
	memory_before = memory_now();
}

/* They were dropped, and the memory was given back. */
void report_final(void)
{
	memory_after = memory_now();
	stats_after = stats_now();
	after = index_now(true);
}

/* ---- the table ------------------------------------------------------------------------------ */

enum unit { UNIT_COUNT, UNIT_RATE, UNIT_BYTES, UNIT_US, UNIT_MS, UNIT_S };

/* @value: a number, bytes or nanoseconds; the unit says how to show it. */
struct row {
	const char *label;
	const char *key;
	enum unit unit;
	double value;
};

static void print_grouped(char *to, size_t bytes, double value)
{
	char digits[32];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%.0f", value), at = 0;

	for (size_t i = 0; i < n && at + 2 < bytes; i++) {
		if (i && (n - i) % 3 == 0)
			to[at++] = ',';
		to[at++] = digits[i];
	}
	to[at] = 0;
}

static void print_row(const struct row *row)
{
	static const struct {
		double per;
		int decimals;
		const char *name;
	} unit[] = {
		[UNIT_COUNT] = { 1, 0, "" },
		[UNIT_RATE] = { 1, 0, "/s" },
		[UNIT_BYTES] = { 1 << 20, 1, "MiB" },
		[UNIT_US] = { 1e3, 1, "us" },
		[UNIT_MS] = { 1e6, 1, "ms" },
		[UNIT_S] = { 1e9, 2, "s" },
	};
	char text[48];

	if (unit[row->unit].decimals)
		snprintf(text, sizeof(text), "%.*f", unit[row->unit].decimals,
			 row->value / unit[row->unit].per);
	else
		print_grouped(text, sizeof(text), row->value);
	printf("  %-44s %14s %s\n", row->label, text, unit[row->unit].name);
}

static bool write_json(const struct row *row, size_t rows)
{
	FILE *file = fopen(config->json, "we");

	if (!file)
		return false;
	fputs("{\n  \"name\": \"", file);
	for (const char *c = config->name; *c; c++) {
		if ((unsigned char)*c < ' ')
			continue;
		if (*c == '"' || *c == '\\')
			fputc('\\', file);
		fputc(*c, file);
	}
	fprintf(file, "\",\n  \"collector_pid\": %llu",
		(unsigned long long)stats_after.collector_pid);
	for (size_t i = 0; i < rows; i++)
		fprintf(file, ",\n  \"%s\": %.0f", row[i].key, row[i].value);
	fputs("\n}\n", file);
	return !(ferror(file) | fclose(file));
}

void report_end(void)
{
	const struct tri_stats *stats = &stats_after;
	const struct row row[] = {
		{ "documents", "documents", UNIT_COUNT, before.documents },
		{ "text in them", "text_bytes", UNIT_BYTES, before.text_bytes },
		{ "terms", "terms", UNIT_COUNT, before.terms },
		{ "postings", "postings", UNIT_COUNT, before.postings },
		{ "segments", "segments", UNIT_COUNT, before.segments },
		{ "files left out (binary, empty, unreadable)", "skipped", UNIT_COUNT,
		  counted(skipped) },
		{ "queries", "queries", UNIT_COUNT, counted(queries) },
		{ "queries a second", "queries_per_second", UNIT_RATE, query_rate },
		{ "of them from the cache", "cache_hits", UNIT_COUNT, counted(cache_hits) },
		{ "documents in the answers", "matches", UNIT_COUNT, counted(matches) },
		{ "answers checked", "checked", UNIT_COUNT, counted(checked) },
		{ "answers wrong", "wrong", UNIT_COUNT, counted(wrong) },
		{ "documents re-indexed", "reindexed", UNIT_COUNT, counted(reindexed) },
		{ "documents dropped", "dropped", UNIT_COUNT, counted(dropped) },
		{ "merges of segments", "merges", UNIT_COUNT, counted(merges) },
		{ "documents dropped at the end", "dropped_final", UNIT_COUNT,
		  before.documents - after.documents },
		{ "documents that stayed", "documents_final", UNIT_COUNT, after.documents },
		{ "cycles", "cycles", UNIT_COUNT, stats->cycles },
		{ "allocated in all", "allocated_bytes", UNIT_BYTES, stats->allocated_bytes },
		{ "longest interruption of a thread", "interruption_max_ns", UNIT_US,
		  stats->interruption_max_ns },
		{ "interruptions", "interruptions", UNIT_COUNT, stats->interruptions },
		{ "interruptions together, all threads", "interruption_total_ns", UNIT_MS,
		  stats->interruption_total_ns },
		{ "assists, all threads", "assist_ns", UNIT_MS, stats->assist_ns },
		{ "mark CPU of the collector", "mark_cpu_ns", UNIT_S, stats->mark_cpu_ns },
		{ "peak heap", "peak_heap_bytes", UNIT_BYTES, stats->peak_heap_bytes },
		{ "final heap", "heap_bytes", UNIT_BYTES, stats->heap_bytes },
		{ "final heap, live", "live_bytes", UNIT_BYTES, stats->live_bytes },
		{ "peak memory of the process (VmHWM)", "peak_rss_bytes", UNIT_BYTES,
		  memory_after.peak_rss },
		{ "peak memory, its share (Pss, sampled)", "peak_pss_bytes", UNIT_BYTES, peak_pss },
		{ "memory before documents were dropped (VmRSS)", "rss_before_bytes", UNIT_BYTES,
		  memory_before.rss },
		{ "final memory (VmRSS)", "rss_bytes", UNIT_BYTES, memory_after.rss },
		{ "final memory, its share (Pss)", "pss_bytes", UNIT_BYTES, memory_after.pss },
		{ "returned to the system, in all", "released_bytes", UNIT_BYTES,
		  stats->released_bytes },
		{ "collectors lost", "reconnects", UNIT_COUNT, stats->reconnects },
		{ "wall time", "wall_ns", UNIT_S, now_ns() - start_ns },
	};
	size_t rows = sizeof(row) / sizeof(row[0]);

	printf("%s%s\n", rewrite ? "\n" : "", config->name);
	for (size_t i = 0; i < rows; i++)
		print_row(&row[i]);
	if (config->json && !write_json(row, rows))
		die("can't write %s: %s", config->json, strerror(errno));
}
