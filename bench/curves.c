// SPDX-License-Identifier: GPL-2.0-only
/*
 * The picture of a set of workloads that differ in the live heap: a panel a figure, a line a
 * system, both axes logarithmic.  A figure that grows with the heap rises like the dotted line; one
 * that does not depend on it is level.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "result.h"

#define COLUMNS 3
#define PANEL_WIDTH 380
#define PANEL_HEIGHT 300
#define MARGIN 24
#define TOP 70
#define PLOT_LEFT 50
#define PLOT_TOP 34
#define PLOT_WIDTH 300
#define PLOT_HEIGHT 210

#define MAX_METRICS 32
#define MAX_POINTS 32

struct point {
	double x, y;
};

/* The points of one figure; of a system the first counts[] are used. */
struct panel {
	const struct bench_metric *metric;
	struct point points[SYSTEMS][MAX_POINTS];
	unsigned int counts[SYSTEMS];
	struct point low, high;		/* of all of them, in powers of ten */
};

static double live_mib(const struct bench_workload *workload, int quick)
{
	for (size_t i = 0; i < BENCH_MAX_PARAMS && workload->params[i].key; i++) {
		if (!strcmp(workload->params[i].key, "live_mib"))
			return atof(bench_param_value(&workload->params[i], quick));
	}
	return 0;
}

static void panel_add(struct panel *panel, const struct results *results, size_t w)
{
	double x = live_mib(&bench_workloads[w], results->quick);

	for (unsigned int s = 0; s < SYSTEMS; s++) {
		struct summary summary = cell_summary(&results->cells[w][s], results->rounds,
						      panel->metric->key);
		struct point p = { log10(x), log10(summary.median) };

		if (!summary.count || x <= 0 || summary.median <= 0 ||
		    panel->counts[s] == MAX_POINTS)
			continue;
		panel->points[s][panel->counts[s]++] = p;
		panel->low.x = fmin(panel->low.x, p.x);
		panel->low.y = fmin(panel->low.y, floor(p.y));
		panel->high.x = fmax(panel->high.x, p.x);
		panel->high.y = fmax(panel->high.y, ceil(p.y));
	}
}

/* One panel for each key, from all workloads that have it. */
static unsigned int find_panels(const struct results *results, struct panel *panels)
{
	unsigned int count = 0, p;

	for (size_t w = 0; w < bench_workload_count; w++) {
		const struct bench_metric *metrics = bench_workloads[w].metrics;

		if (!results->selected[w])
			continue;
		for (size_t m = 0; m < BENCH_MAX_METRICS && metrics[m].key; m++) {
			for (p = 0; p < count; p++) {
				if (!strcmp(panels[p].metric->label, metrics[m].label))
					break;
			}
			if (p == MAX_METRICS)
				continue;
			if (p == count) {
				memset(&panels[count++], 0, sizeof(*panels));
				panels[p].metric = &metrics[m];
				panels[p].low = (struct point){ INFINITY, INFINITY };
				panels[p].high = (struct point){ -INFINITY, -INFINITY };
			}
			panel_add(&panels[p], results, w);
		}
	}
	return count;
}

static double plot_x(const struct panel *panel, double left, double x)
{
	double range = panel->high.x - panel->low.x;

	return left + PLOT_LEFT + (range > 0 ? (x - panel->low.x) / range : 0.5) * PLOT_WIDTH;
}

static double plot_y(const struct panel *panel, double top, double y)
{
	double range = panel->high.y - panel->low.y;

	return top + PLOT_TOP + (range > 0 ? (panel->high.y - y) / range : 0.5) * PLOT_HEIGHT;
}

static void write_axes(FILE *file, const struct panel *panel, double left, double top)
{
	double bottom = top + PLOT_TOP + PLOT_HEIGHT, right = left + PLOT_LEFT + PLOT_WIDTH;
	double rise = fmin(panel->high.x - panel->low.x, panel->high.y - panel->low.y);
	unsigned int widest = 0;

	for (double y = panel->low.y; y <= panel->high.y; y++) {
		fprintf(file, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#ddd\"/>\n", left + PLOT_LEFT,
			plot_y(panel, top, y), right);
		fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" class=\"s\" text-anchor=\"end\">%g"
			"</text>\n", left + PLOT_LEFT - 6, plot_y(panel, top, y) + 4, pow(10, y));
	}
	for (unsigned int s = 1; s < SYSTEMS; s++)
		widest = panel->counts[s] > panel->counts[widest] ? s : widest;
	for (unsigned int i = 0; i < panel->counts[widest]; i++) {
		double x = panel->points[widest][i].x;

		fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" class=\"s\" text-anchor=\"middle\">%.0f"
			"</text>\n", plot_x(panel, left, x), bottom + 16, pow(10, x));
	}
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" class=\"s\" text-anchor=\"end\" fill=\"#555\">"
		"live heap, MiB</text>\n", right, bottom + 30);
	fprintf(file, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#aaa\" stroke-dasharray=\"2 4\"/>"
		"\n", plot_x(panel, left, panel->low.x), plot_y(panel, top, panel->low.y),
		plot_x(panel, left, panel->low.x + rise), plot_y(panel, top, panel->low.y + rise));
}

static void write_panel(FILE *file, const struct panel *panel, double left, double top)
{
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" class=\"t\">%s</text>\n", left, top + 16,
		panel->metric->label + strspn(panel->metric->label, " "));
	write_axes(file, panel, left, top);
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		const char *color = bench_systems[s].color;

		if (!panel->counts[s])
			continue;
		fprintf(file, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"", color);
		for (unsigned int i = 0; i < panel->counts[s]; i++)
			fprintf(file, "%c%.1f %.1f", i ? 'L' : 'M',
				plot_x(panel, left, panel->points[s][i].x),
				plot_y(panel, top, panel->points[s][i].y));
		fputs("\"/>\n", file);
		for (unsigned int i = 0; i < panel->counts[s]; i++)
			fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
				plot_x(panel, left, panel->points[s][i].x),
				plot_y(panel, top, panel->points[s][i].y), color);
	}
}

static void write_head(FILE *file, const struct results *results, unsigned int panels)
{
	double x = MARGIN;

	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\">\n"
		"<style>text { font-family: sans-serif; } .s { font-size: 11px; }"
		" .t { font-size: 13px; font-weight: bold; }</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
		"<text x=\"%d\" y=\"28\" class=\"s\" fill=\"#555\">%s; medians of %u</text>\n",
		2 * MARGIN + COLUMNS * PANEL_WIDTH,
		TOP + (panels + COLUMNS - 1) / COLUMNS * PANEL_HEIGHT, MARGIN, results->machine,
		results->rounds);
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		if (!results->active[s])
			continue;
		fprintf(file, "<text x=\"%.0f\" y=\"50\" class=\"t\" fill=\"%s\">%s %s</text>\n", x,
			bench_systems[s].color, bench_systems[s].label, results->versions[s]);
		x += 140;
	}
}

int curves_write(const struct results *results, const char *path)
{
	struct panel *panels = calloc(MAX_METRICS, sizeof(*panels));
	FILE *file = panels ? fopen(path, "w") : NULL;
	unsigned int count, shown = 0;

	if (!file) {
		int err = panels ? -errno : -ENOMEM;

		free(panels);
		return err;
	}
	count = find_panels(results, panels);
	write_head(file, results, count);
	for (unsigned int p = 0; p < count; p++) {
		if (panels[p].low.x > panels[p].high.x)
			continue;	/* no system has it */
		write_panel(file, &panels[p], MARGIN + shown % COLUMNS * PANEL_WIDTH,
			    TOP + shown / COLUMNS * PANEL_HEIGHT);
		shown++;
	}
	fputs("</svg>\n", file);
	free(panels);
	if (ferror(file) | fclose(file))
		return -EIO;
	return 0;
}
