// SPDX-License-Identifier: GPL-2.0-only
/*
 * sweep.c - one client under a limit: what it costs to live near it
 *
 * GOGC is off, so that the heap uses all memory that it may.  "live" is what the program keeps
 * alive.  The limit is the group's, of which the collector keeps a tenth free.  The first line is
 * measured without any limit, with GOGC at 100.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/groups.h"
#include "limits.h"

#define LIMIT_MIB 256

static struct client *shared_client(void)
{
	return mmap(NULL, sizeof(struct client), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
}

/* Run one client; @c has the result.  Returns the group's peak; 0: there is no group. */
static uint64_t run_one(struct client *c, uint64_t limit, uint64_t live, double seconds,
			uint64_t *kills)
{
	struct test_group g;
	uint64_t peak, end;

	memset(c, 0, sizeof(*c));
	c->kind = STEADY;
	c->live_bytes = live;
	if (!group_make(&g, "memory", "sweep") || (limit && !group_limit(&g, limit))) {
		fprintf(stderr, "limits: %s\n", group_why());
		return 0;
	}
	client_start(c, &g);
	if (client_wait_ready(c)) {
		c->go = true;
		for (end = now_ns() + (uint64_t)(seconds * SECOND); now_ns() < end;) {
			usleep(10000);
			if (waitpid(c->pid, &c->status, WNOHANG) == c->pid) {
				c->pid = 0;
				break;
			}
		}
		c->stop = true;
	}
	client_wait(c);
	peak = group_peak(&g);
	*kills = group_kills(&g);
	group_remove(&g);
	return peak ? peak : 1;
}

static double gc_share(const struct client *c, double *seconds)
{
	double gc = (double)(c->ended.limited_gc_ns - c->begun.limited_gc_ns);
	double program = (double)(c->ended.limited_program_ns - c->begun.limited_program_ns);

	*seconds = gc / 1e9;
	return gc + program > 0 ? gc / (gc + program) : NAN;
}

static void line(const char *name, const struct client *c, uint64_t peak, uint64_t kills,
		 double rate, double share)
{
	if (c->status) {
		printf("%9s %9.0f %8s %10s %7s %8s %8s %9.1f %s\n", name,
		       (double)c->live_bytes / MIB, "-", "-", "-", "-", "-", (double)peak / MIB,
		       kills ? "killed" : "failed");
		return;
	}
	printf("%9s %9.0f %8.1f %10.2f %7.1f %8llu %8.1f %9.1f %s\n", name,
	       (double)c->live_bytes / MIB, (double)c->ended.limit_bytes < 1e18 ?
	       (double)c->ended.limit_bytes / MIB : 0.0, rate / 1e6, 100 * share,
	       (unsigned long long)(c->ended.cycles - c->begun.cycles),
	       (double)c->ended.interruption_max_ns / 1e6, (double)peak / MIB,
	       kills ? "killed" : c->errors ? "WRONG" :
	       c->ended.limit_events ? "limit gave way" : "");
}

static void head(void)
{
	printf("%9s %9s %8s %10s %7s %8s %8s %9s\n", "live/lim", "live MiB", "heap may",
	       "M steps/s", "GC CPU%", "cycles", "max ms", "peak MiB");
}

int sweep(const char *build, double seconds)
{
	double xs[10], rates[10], shares[10], gc_s;
	struct client *c = shared_client();
	uint64_t kills, peak;
	char path[512], name[16];
	unsigned int i;

	setenv("TRICOLOR_SOCKET", "off", 1);
	printf("One client in a group of %d MiB, a private collector, %g s each\n", LIMIT_MIB,
	       seconds);
	head();
	setenv("TRICOLOR_GC_PERCENT", "100", 1);
	peak = run_one(c, 0, LIMIT_MIB * MIB / 2, seconds, &kills);
	if (!peak)
		return 4;
	line("no limit", c, peak, kills,
	     (double)c->done / ((double)(c->ended_ns - c->began_ns) / 1e9), NAN);
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	for (i = 0; i < 10; i++) {
		unsigned int percent = 50 + 5 * i;

		peak = run_one(c, LIMIT_MIB * MIB, LIMIT_MIB * MIB * percent / 100, seconds,
			       &kills);
		if (!peak)
			return 4;
		xs[i] = percent;
		rates[i] = c->status ? NAN :
			   (double)c->done / ((double)(c->ended_ns - c->began_ns) / 1e9) / 1e6;
		shares[i] = c->status ? NAN : 100 * gc_share(c, &gc_s);
		snprintf(name, sizeof(name), "%u %%", percent);
		line(name, c, peak, kills, rates[i] * 1e6, shares[i] / 100);
	}
	snprintf(path, sizeof(path), "%s/bench/limits.svg", build);
	if (!plot_write(path, &(struct plot){ .title = "Live heap near its limit",
					      .x = "live heap, per cent of the group's limit",
					      .left = "M steps/s",
					      .right = "GC CPU %",
					      .xs = xs,
					      .lefts = rates,
					      .rights = shares,
					      .n = 10,
					      .x_min = 45,
					      .x_max = 100 }))
		fprintf(stderr, "limits: %s can't be written\n", path);
	return 0;
}

int keep(const char *build, double seconds)
{
	struct client *c = shared_client();
	uint64_t kills, peak;
	double gc_s;

	(void)build;
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	printf("One client that lives with 75 %% of its group's %d MiB, %g s\n", LIMIT_MIB,
	       seconds);
	head();
	peak = run_one(c, LIMIT_MIB * MIB, LIMIT_MIB * MIB * 3 / 4, seconds, &kills);
	if (!peak)
		return 4;
	line("75 %", c, peak, kills, (double)c->done / ((double)(c->ended_ns - c->began_ns) / 1e9),
	     gc_share(c, &gc_s));
	return kills || c->status;
}
