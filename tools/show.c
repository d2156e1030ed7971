// SPDX-License-Identifier: GPL-2.0-only
/* show.c - figures of arenas for people; show_json.c has those for programs */
#include "show.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "tricolor.h"

const char *show_bytes(uint64_t bytes, char text[static 32])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes == UINT64_MAX || bytes == INT64_MAX) {
		strcpy(text, "off");
		return text;
	}
	for (; n >= 999.95 && unit < 4; unit++)
		n /= 1024;
	snprintf(text, 32, "%.*f %s", unit ? 1 : 0, n, units[unit]);
	return text;
}

static const char *user(uint32_t uid, char text[static 32])
{
	const struct passwd *p = getpwuid(uid);

	if (p)
		snprintf(text, 32, "%.31s", p->pw_name);
	else
		snprintf(text, 32, "%u", uid);
	return text;
}

static const char *duration(uint64_t ns, char text[static 32])
{
	double s = (double)ns / 1e9;

	if (s < 1e-3)
		snprintf(text, 32, "%.0f us", s * 1e6);
	else if (s < 1)
		snprintf(text, 32, "%.1f ms", s * 1e3);
	else if (s < 600)
		snprintf(text, 32, "%.1f s", s);
	else if (s < 2 * 86400)
		snprintf(text, 32, "%.0f h %02.0f min", (double)(int)(s / 3600),
			 (double)((int)(s / 60) % 60));
	else
		snprintf(text, 32, "%.1f days", s / 86400);
	return text;
}

static const char *phase(uint32_t number)
{
	switch (number) {
	case CONTROL_PHASE_BARRIER:
		return "starting";
	case CONTROL_PHASE_MARK:
		return "marking";
	case CONTROL_PHASE_TERMINATION:
		return "ending";
	case CONTROL_PHASE_SWEEP:
		return "sweeping";
	}
	return "idle";
}

/*
 * The client's PID as its collector sees it, or, if it is in another PID namespace, as the client
 * says it.
 */
static long long pid_of(const struct control_arena *a)
{
	return a->pid ? a->pid : a->client_pid;
}

static const char *comm(const struct control_arena *a)
{
	return a->comm[0] ? a->comm : "?";
}

static const char *percent(int64_t n, char text[static 32])
{
	if (n < 0)
		strcpy(text, "off");
	else
		snprintf(text, 32, "%lld", (long long)n);
	return text;
}

/*
 * How long threads waited for the kernel's limit, in all.  They may also wait when the collector
 * keeps no limit.
 */
static const char *held(const struct control_arena *a, char text[static 32])
{
	return a->throttled ? duration(a->throttled_ns, text) : "-";
}

long long show_marker(const struct arena_of *of)
{
	return of->is_private && of->is_linked ? of->collector_pid : of->arena.marker_pid;
}

long long show_policy(const struct arena_of *of)
{
	return of->is_private && of->is_linked ? of->arena.policy_pid : of->collector_pid;
}

static const char *marker(const struct arena_of *of, char text[static 32])
{
	long long pid = show_marker(of);

	if (!pid)
		return of->is_private ? "private" : "shared";
	snprintf(text, 32, "%lld", pid);
	return text;
}

void show_table(const struct arena_of *arenas, size_t n)
{
	char t[8][32];
	int id = 2, name = 7;
	size_t i;

	for (i = 0; i < n; i++) {
		int w = (int)strlen(arenas[i].id);

		id = w > id ? w : id;
		w = (int)strlen(comm(&arenas[i].arena));
		name = w > name ? w : name;
	}
	printf("%-*s %7s %-8s %-*s %9s %9s %9s %9s %8s %4s %7s %7s  %s\n", id, "ID", "PID", "USER",
	       name, "COMMAND", "LIVE", "HEAP", "GOAL", "LIMIT", "HELD", "GC%", "CYCLES", "MARKER",
	       "PHASE");
	for (i = 0; i < n; i++) {
		const struct control_arena *a = &arenas[i].arena;

		printf("%-*s %7lld %-8s %-*s %9s %9s %9s %9s %8s %4s %7" PRIu64 " %7s  %s\n", id,
		       arenas[i].id, pid_of(a), user(a->uid, t[0]), name, comm(a),
		       show_bytes(a->live_bytes, t[1]), show_bytes(a->heap_bytes, t[2]),
		       show_bytes(a->goal_bytes, t[3]), show_bytes((uint64_t)a->limit_bytes, t[4]),
		       held(a, t[6]), percent(a->gc_percent, t[5]), a->cycles,
		       marker(&arenas[i], t[7]), phase(a->phase));
	}
}

void show_silent(const struct silent_collector *silent, size_t n)
{
	char of[64];
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(of, sizeof(of), silent[i].client ? "of process %d " : "",
			 silent[i].client);
		printf("collector %d %s(%s) %s\n", silent[i].pid, of, silent[i].where,
		       silent[i].why);
	}
}

static void line(const char *name, const char *value)
{
	printf("  %-20s %s\n", name, value);
}

static void show_memory(const struct control_arena *a)
{
	char t[32], u[32];

	line("live, last cycle", show_bytes(a->live_bytes, t));
	line("and allocated since", show_bytes(a->now_bytes - a->live_bytes, t));
	line("trigger", show_bytes(a->trigger_bytes, t));
	line("goal", show_bytes(a->goal_bytes, t));
	line("gc-percent", percent(a->gc_percent, t));
	line("memory-limit", show_bytes((uint64_t)a->limit_bytes, t));
	printf("  %-20s %s, at most %s so far\n", "heap in use", show_bytes(a->heap_bytes, t),
	       show_bytes(a->peak_heap_bytes, u));
	printf("  %-20s %s; given back so far: %s\n", "free, with memory",
	       show_bytes(a->free_bytes, t), show_bytes(a->released_bytes, u));
	if (a->freed_bytes)
		printf("  %-20s %s; freed by the program: %s\n", "allocated in all",
		       show_bytes(a->allocated_bytes, t), show_bytes(a->freed_bytes, u));
	else
		line("allocated in all", show_bytes(a->allocated_bytes, t));
	line("address space", show_bytes(a->arena_bytes, t));
	line("the kernel counts it", "as shmem in memory.stat, not as anon");
}

/*
 * Threads are held back by the kernel's limit, which may be another one than the collector keeps.
 */
static void show_held(const struct control_arena *a)
{
	char t[32], u[32];

	if (a->throttled)
		printf("  %-20s %" PRIu64 " allocations, %s in all, %s the longest\n", "held back",
		       a->throttled, duration(a->throttled_ns, t),
		       duration(a->throttled_max_ns, u));
}

/* Print what is known about the limit; without a limit, print nothing. */
static void show_limit(const struct control_arena *a)
{
	static const char *const pressures[] = { "none", "near the limit", "over the limit" };
	uint64_t all = a->limited_gc_ns + a->limited_program_ns;

	if (a->limit_bytes == INT64_MAX)
		return;
	line("limit policy", a->limit_policy == TRI_LIMIT_FAIL_FAST ? "fail-fast" : "continue");
	printf("  %-20s %s; the limit gave way %" PRIu64 " times\n", "pressure",
	       pressures[a->pressure <= TRI_PRESSURE_OVER ? a->pressure : TRI_PRESSURE_OVER],
	       a->limit_events);
	if (all)
		printf("  %-20s %.1f %% of the CPU time under it\n", "collecting took",
		       100.0 * (double)a->limited_gc_ns / (double)all);
}

static void show_work(const struct control_arena *a)
{
	char t[32], u[32], v[32];
	double share = a->attached_age_ns ?
			       100.0 * (double)a->mark_cpu_ns / (double)a->attached_age_ns :
			       0;

	printf("  %-20s %" PRIu64 ", %" PRIu64 " of them forced\n", "cycles", a->cycles,
	       a->forced_cycles);
	printf("  %-20s %s, %.1f %% of one CPU\n", "collector's CPU", duration(a->mark_cpu_ns, t),
	       share);
	line("assists", duration(a->assist_ns, t));
	printf("  %-20s longest %s; %" PRIu64 " in all, %s\n", "interruptions",
	       duration(a->interrupted_max_ns, t), a->interruptions,
	       duration(a->interrupted_total_ns, u));
	printf("  %-20s %u\n", "threads", a->threads);
	if (a->cycle_age_ns == UINT64_MAX) {
		line("last cycle", "none yet by this collector");
		return;
	}
	printf("  %-20s %s ago, took %s, %s of CPU\n", "last cycle", duration(a->cycle_age_ns, t),
	       duration(a->cycle_wall_ns, u), duration(a->cycle_cpu_ns, v));
	printf("  %-20s %" PRIu64 " objects, %s scanned, %s of roots\n", "", a->cycle_objects,
	       show_bytes(a->cycle_scan_bytes, t), show_bytes(a->cycle_root_bytes, u));
}

static void show_who_marks(const struct arena_of *of)
{
	long long pid = show_marker(of), policy = show_policy(of);

	if (!pid)
		line("marked by",
		     of->is_private ? "its private collector" : "the shared collector");
	else if (policy)
		printf("  %-20s marker %lld of policy %lld\n", "marked by", pid, policy);
	else
		printf("  %-20s marker %lld of a policy in another namespace\n", "marked by", pid);
}

void show_arena(const struct arena_of *of)
{
	const struct control_arena *a = &of->arena;
	char t[32];

	printf("heap %s of %s, process %lld%s%s of user %s\n", of->id, comm(a), pid_of(a),
	       a->pid || !a->host[0] ? "" : " at ", a->pid ? "" : a->host, user(a->uid, t));
	printf("  %-20s %d, %s, tricolord %s at %s\n", "collector", of->collector_pid,
	       of->is_private ? "private" : "shared", of->release, of->collector);
	show_who_marks(of);
	if (a->cgroup[0])
		printf("  %-20s %s, %s\n", "cgroup", a->cgroup,
		       a->cgroup_seen == CONTROL_SEEN_SENT ? "by files that it has sent" :
							     "found by its PID");
	if (a->limit_unseen[0])
		printf("  %-20s can't be seen: %s\n", "container's limit", a->limit_unseen);
	line("attached for", duration(a->attached_age_ns, t));
	line("phase", phase(a->phase));
	/* The collector was asked for new figures, and had a tenth of a second to publish them. */
	if (a->published_age_ns > 500000000)
		line("figures are old", duration(a->published_age_ns, t));
	show_memory(a);
	show_limit(a);
	show_held(a);
	show_work(a);
}
