// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - the bench of memory limits: what `make bench-limits` does
 *
 *	limits sweep [SECONDS]	one client whose live heap is 50 … 95 % of its group's limit
 *	limits keep [SECONDS]	one client at 75 %, for long
 *	limits share [SECONDS]	three clients under one limit: one budget, equal parts, no
 *				coordination
 *	limits arenas [SECONDS]	fifty arenas at one collector whose parts move all the time
 *
 * All of them run in memory groups of their own, in which the kernel kills at the limit, and need
 * the right to make such groups.  Tables go to standard output.  The picture of the sweep goes to
 * the build folder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limits.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const char *build, double seconds);
		double seconds;
	} parts[] = {
		{ "sweep", sweep, 8 }, { "keep", keep, 150 }, { "share", share, 25 },
		{ "arenas", arenas, 15 },
	};
	const char *build = getenv("O") ? getenv("O") : "build";
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (argc > 1 && !strcmp(argv[1], parts[i].name))
			return parts[i].run(build, argc > 2 ? atof(argv[2]) : parts[i].seconds);
	fprintf(stderr, "usage: limits sweep|keep|share|arenas [SECONDS]\n");
	return 2;
}
