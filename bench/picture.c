// SPDX-License-Identifier: GPL-2.0-only
/*
 * The picture, an SVG: a panel for each figure that plan.c wants to see, a bar for each system,
 * from zero to the median, with a line over the range.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "result.h"

#define COLUMNS 3
#define PANEL_WIDTH 380
#define PANEL_GAP 20
#define MARGIN 24
#define TOP 78
#define BAR_HEIGHT 14
#define BAR_STEP 19
#define BAR_LEFT 66
#define BAR_MAX 210
#define PANEL_HEIGHT (46 + SYSTEMS * BAR_STEP)

static void write_text(FILE *file, double x, double y, const char *style, const char *text)
{
	fprintf(file, "<text x=\"%.0f\" y=\"%.0f\" %s>", x, y, style);
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", file);
		else if (*text == '&')
			fputs("&amp;", file);
		else
			fputc(*text, file);
	}
	fputs("</text>\n", file);
}

static void write_bar(FILE *file, double x, double y, const struct bench_system *system,
		      const struct summary *summary, double scale)
{
	double middle = y + BAR_HEIGHT / 2.0;
	char value[32];

	write_text(file, x + BAR_LEFT - 6, y + BAR_HEIGHT - 3, "class=\"s\" text-anchor=\"end\"",
		   system->label);
	fprintf(file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
		x + BAR_LEFT, y, summary->median * scale, BAR_HEIGHT, system->color);
	if (summary->count > 1)
		fprintf(file, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#222\"/>\n",
			x + BAR_LEFT + summary->min * scale, middle,
			x + BAR_LEFT + summary->max * scale);
	format_value(value, sizeof(value), summary->median);
	write_text(file, x + BAR_LEFT + summary->max * scale + 6, y + BAR_HEIGHT - 3,
		   "class=\"s\"", value);
}

/* Returns 0 if the panel would be empty. */
static int write_panel(FILE *file, const struct results *results, size_t w,
		       const struct bench_metric *metric, double x, double y)
{
	struct summary summaries[SYSTEMS];
	double longest = 0;
	char label[128];

	for (unsigned int s = 0; s < SYSTEMS; s++) {
		summaries[s] = cell_summary(&results->cells[w][s], results->rounds, metric->key);
		if (summaries[s].count && summaries[s].max > longest)
			longest = summaries[s].max;
	}
	if (longest <= 0)
		return 0;
	write_text(file, x, y, "class=\"t\"", bench_workloads[w].title);
	snprintf(label, sizeof(label), "%s, %s is better", metric->label,
		 metric->higher_is_better ? "more" : "less");
	write_text(file, x, y + 15, "class=\"s\" fill=\"#555\"", label);
	y += 24;
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		if (!summaries[s].count)
			continue;
		write_bar(file, x, y, &bench_systems[s], &summaries[s], BAR_MAX / longest);
		y += BAR_STEP;
	}
	return 1;
}

/* Draw all panels, and return their number.  A first pass, with nothing drawn, counts them. */
static int write_panels(FILE *file, const struct results *results)
{
	int panels = 0;

	for (size_t w = 0; w < bench_workload_count; w++) {
		const struct bench_metric *metrics = bench_workloads[w].metrics;

		for (size_t m = 0; m < BENCH_MAX_METRICS && metrics[m].key; m++) {
			double x = MARGIN + panels % COLUMNS * (PANEL_WIDTH + PANEL_GAP);
			double y = TOP + panels / COLUMNS * PANEL_HEIGHT;

			if (results->selected[w] && metrics[m].in_picture)
				panels += write_panel(file, results, w, &metrics[m], x, y);
		}
	}
	return panels;
}

int picture_write(const struct results *results, const char *path)
{
	int panels, width = 2 * MARGIN + COLUMNS * PANEL_WIDTH + (COLUMNS - 1) * PANEL_GAP;
	char line[512] = "";
	FILE *file;

	file = fopen("/dev/null", "w");
	if (!file)
		return -errno;
	panels = write_panels(file, results);
	fclose(file);

	file = fopen(path, "w");
	if (!file)
		return -errno;
	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\">\n"
		"<style>text { font-family: sans-serif; } .s { font-size: 11px; }"
		" .t { font-size: 13px; font-weight: bold; }"
		" .h { font-size: 18px; font-weight: bold; }</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		width, TOP + (panels + COLUMNS - 1) / COLUMNS * PANEL_HEIGHT);
	write_text(file, MARGIN, 30, "class=\"h\"", "tricolor and its peers");
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		size_t used = strlen(line);

		if (results->active[s])
			snprintf(line + used, sizeof(line) - used, "%s%s %s", used ? ", " : "",
				 bench_systems[s].label, results->versions[s]);
	}
	snprintf(line + strlen(line), sizeof(line) - strlen(line), "; %s; medians of %u",
		 results->machine, results->rounds);
	write_text(file, MARGIN, 50, "class=\"s\" fill=\"#555\"", line);
	write_panels(file, results);
	fputs("</svg>\n", file);
	if (ferror(file) | fclose(file))
		return -EIO;
	return 0;
}
