// SPDX-License-Identifier: GPL-2.0-only
/* plot.c - two curves over one axis as an SVG: one by the left scale, one by the right */
#include <math.h>
#include <stdio.h>

#include "limits.h"

#define WIDTH 640
#define HEIGHT 360
#define LEFT 70
#define RIGHT 70
#define TOP 46
#define BOTTOM 52
#define STEPS 5

static double most(const double *v, unsigned int n)
{
	double max = 0, power;

	while (n--)
		if (!isnan(v[n]) && v[n] > max)
			max = v[n];
	/* The next of 1, 2, 5 times a power of ten. */
	power = pow(10, floor(log10(max > 0 ? max : 1)));
	return max <= power ? power : max <= 2 * power ? 2 * power : max <= 5 * power ? 5 * power :
	       10 * power;
}

static void curve(FILE *f, const struct plot *p, const double *v, double max, const char *color)
{
	unsigned int i;
	bool down = false;

	fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"", color);
	for (i = 0; i < p->n; i++) {
		double x = LEFT +
			   (p->xs[i] - p->x_min) / (p->x_max - p->x_min) * (WIDTH - LEFT - RIGHT);
		double y = HEIGHT - BOTTOM - v[i] / max * (HEIGHT - TOP - BOTTOM);

		if (isnan(v[i])) {
			down = false;
			continue;
		}
		fprintf(f, "%c%.1f %.1f", down ? 'L' : 'M', x, y);
		down = true;
	}
	fprintf(f, "\"/>\n");
}

static void scale(FILE *f, double x, const char *anchor, double max, const char *name,
		  const char *color)
{
	int i;

	for (i = 0; i <= STEPS; i++)
		fprintf(f, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\" fill=\"%s\">%g</text>\n",
			x, HEIGHT - BOTTOM - (double)i / STEPS * (HEIGHT - TOP - BOTTOM) + 4,
			anchor, color, max * i / STEPS);
	fprintf(f, "<text x=\"%.0f\" y=\"%d\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x,
		TOP - 12, anchor, color, name);
}

bool plot_write(const char *path, const struct plot *p)
{
	double left = most(p->lefts, p->n), right = most(p->rights, p->n);
	FILE *f = fopen(path, "w");
	unsigned int i;

	if (!f)
		return false;
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" "
		"fill=\"#fff\"/>\n<text x=\"%d\" y=\"18\" text-anchor=\"middle\" font-size=\"13\">%s</text>\n",
		WIDTH, HEIGHT, WIDTH / 2, p->title);
	for (i = 0; i <= STEPS; i++)
		fprintf(f, "<path stroke=\"#ddd\" d=\"M%d %.1fH%d\"/>\n", LEFT,
			HEIGHT - BOTTOM - (double)i / STEPS * (HEIGHT - TOP - BOTTOM),
			WIDTH - RIGHT);
	for (i = 0; i < p->n; i++)
		fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
			LEFT + (p->xs[i] - p->x_min) / (p->x_max - p->x_min) *
					(WIDTH - LEFT - RIGHT),
			HEIGHT - BOTTOM + 18, p->xs[i]);
	fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", WIDTH / 2,
		HEIGHT - 14, p->x);
	scale(f, LEFT - 8, "end", left, p->left, "#1f5fa8");
	scale(f, WIDTH - RIGHT + 8, "start", right, p->right, "#b3421e");
	curve(f, p, p->lefts, left, "#1f5fa8");
	curve(f, p, p->rights, right, "#b3421e");
	fprintf(f, "</svg>\n");
	return !fclose(f);
}
