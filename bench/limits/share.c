// SPDX-License-Identifier: GPL-2.0-only
/*
 * share.c - three clients under one limit
 *
 *	one budget	a shared collector splits what the limit leaves, by the square-root rule
 *	equal parts	each client has a third of that, by TRICOLOR_MEMORY_LIMIT
 *	none		each believes that the whole of it is its own
 *
 * All do the same steps at the same pace, so the CPU time for collection can be compared.  GOGC is
 * off, so that the heaps use all memory that they may.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/groups.h"
#include "limits.h"

#define LIMIT_MIB 448
#define CLIENTS 3

enum mode { BUDGET, EQUAL, NONE, MODES };

static const char *const mode_names[MODES] = { "one budget", "equal parts", "none" };
static const char *const names[CLIENTS] = { "growing", "steady", "bursty" };

struct outcome {
	double gc_s, program_s, late_s, peak_mib;
	uint64_t kills;
	unsigned int failed;
};

static void set_up(struct client *c, double seconds)
{
	c[0] = (struct client){ .kind = GROWING, .from_bytes = 16 * MIB, .live_bytes = 96 * MIB,
				.pace = 800e3, .steps = (uint64_t)(800e3 * seconds) };
	c[1] = (struct client){ .kind = STEADY, .live_bytes = 32 * MIB,
				.pace = 400e3, .steps = (uint64_t)(400e3 * seconds) };
	/* The client works a third of the time, at three times the pace. */
	c[2] = (struct client){ .kind = BURSTY, .from_bytes = 8 * MIB, .live_bytes = 48 * MIB,
				.pace = 960e3, .steps = (uint64_t)(320e3 * seconds) };
}

/* Print a client's figures, and add them to the sum.  A client that was killed has left none. */
static void add_up(struct outcome *o, const struct client *c, const char *mode, const char *name)
{
	double gc = (double)(c->ended.limited_gc_ns - c->begun.limited_gc_ns) / 1e9;
	double program = (double)(c->ended.limited_program_ns - c->begun.limited_program_ns) / 1e9;

	o->failed += c->status || c->errors || c->refused;
	if (c->status) {
		printf("  %-12s %-8s killed, or failed, after %.1f of %.1f M steps\n", mode, name,
		       (double)c->done / 1e6, (double)c->steps / 1e6);
		return;
	}
	o->gc_s += gc;
	o->program_s += program;
	printf("  %-12s %-8s %6.2f s GC CPU, %4llu cycles, assists %.2f s, %.0f MiB live, limit at end "
	       "%.0f MiB\n",
	       mode, name, gc, (unsigned long long)(c->ended.cycles - c->begun.cycles),
	       (double)(c->ended.assist_ns - c->begun.assist_ns) / 1e9,
	       (double)c->ended.live_bytes / MIB, (double)c->ended.limit_bytes / MIB);
}

static bool run_mode(const char *build, enum mode mode, double seconds, struct outcome *o)
{
	struct client *c = mmap(NULL, CLIENTS * sizeof(*c), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char socket[64], limit[32];
	uint64_t began;
	struct test_group g;
	pid_t daemon;
	int i;

	memset(o, 0, sizeof(*o));
	if (!group_make(&g, "memory", "share") || !group_limit(&g, LIMIT_MIB * MIB)) {
		fprintf(stderr, "limits: %s\n", group_why());
		return false;
	}
	snprintf(socket, sizeof(socket), "/tmp/tricolor-bench-%d", getpid());
	daemon = collector_start(build, socket);
	setenv("TRICOLOR_SOCKET", socket, 1);
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	snprintf(limit, sizeof(limit), "%lluMiB",
		 LIMIT_MIB * 9ull / 10 / (mode == EQUAL ? CLIENTS : 1));
	setenv("TRICOLOR_MEMORY_LIMIT", mode == BUDGET ? "auto" : limit, 1);
	set_up(c, seconds);
	for (i = 0; i < CLIENTS; i++)
		client_start(&c[i], &g);
	for (i = 0; i < CLIENTS; i++)
		client_wait_ready(&c[i]);
	began = now_ns();
	for (i = 0; i < CLIENTS; i++)
		c[i].go = true;
	for (i = 0; i < CLIENTS; i++)
		client_wait(&c[i]);
	for (i = 0; i < CLIENTS; i++)
		add_up(o, &c[i], mode_names[mode], names[i]);
	o->late_s = (double)(now_ns() - began) / 1e9;
	o->peak_mib = (double)group_peak(&g) / MIB;
	o->kills = group_kills(&g);
	collector_end(daemon, socket);
	group_remove(&g);
	return true;
}

int share(const char *build, double seconds)
{
	struct outcome o[MODES];
	int m;

	printf("Three clients in a group of %d MiB, %g s of work each\n", LIMIT_MIB, seconds);
	for (m = 0; m < MODES; m++)
		if (!run_mode(build, m, seconds, &o[m]))
			return 4;
	printf("%-12s %9s %12s %8s %9s %s\n", "", "GC CPU s", "program s", "wall s", "peak MiB",
	       "killed");
	for (m = 0; m < MODES; m++)
		printf("%-12s %9.2f %12.2f %8.1f %9.0f %llu%s\n", mode_names[m], o[m].gc_s,
		       o[m].program_s, o[m].late_s, o[m].peak_mib, (unsigned long long)o[m].kills,
		       o[m].failed ? " (figures of the others)" : "");
	printf("one budget against equal parts: %+.0f %% GC CPU at %+.0f %% peak memory\n",
	       100 * (o[BUDGET].gc_s / o[EQUAL].gc_s - 1),
	       100 * (o[BUDGET].peak_mib / o[EQUAL].peak_mib - 1));
	return 0;
}
