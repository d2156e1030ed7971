// SPDX-License-Identifier: GPL-2.0-only
/*
 * show_json.c - figures of arenas for programs
 *
 * Bytes, nanoseconds and counts are whole numbers; null stands for what is off or not known.  Names
 * do not change; new ones may be added.
 */
#include <json-c/json.h>
#include <stdio.h>

#include "show.h"
#include "tricolor.h"

static void add(json_object *o, const char *name, uint64_t n)
{
	json_object_object_add(o, name, json_object_new_uint64(n));
}

/* A number; @none becomes null. */
static void add_or(json_object *o, const char *name, uint64_t n, uint64_t none)
{
	json_object_object_add(o, name, n == none ? NULL : json_object_new_uint64(n));
}

static void add_text(json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, *text ? json_object_new_string(text) : NULL);
}

static const char *phase(uint32_t number)
{
	switch (number) {
	case CONTROL_PHASE_BARRIER:
		return "barrier";
	case CONTROL_PHASE_MARK:
		return "mark";
	case CONTROL_PHASE_TERMINATION:
		return "termination";
	case CONTROL_PHASE_SWEEP:
		return "sweep";
	}
	return "idle";
}

static const char *const pressures[] = { "none", "near", "over" };

static json_object *arena(const struct arena_of *of)
{
	const struct control_arena *a = &of->arena;
	json_object *o = json_object_new_object(), *c = json_object_new_object();

	add_text(o, "id", of->id);
	add(o, "pid", (uint64_t)a->pid);
	add_text(o, "command", a->comm);
	add(o, "uid", a->uid);
	add(o, "gid", a->gid);
	add_text(o, "cgroup", a->cgroup);
	add_or(o, "client_pid", (uint64_t)a->client_pid, 0);
	add_text(o, "host", a->host);
	add_text(o, "client_cgroup", a->client_cgroup);
	add_text(o, "limit_unseen", a->limit_unseen);
	json_object_object_add(o, "collector", c);
	add(c, "pid", (uint64_t)of->collector_pid);
	json_object_object_add(c, "private", json_object_new_boolean(of->is_private));
	add_text(c, "socket", of->collector);
	add_text(c, "version", of->release);
	add_text(o, "marked_by",
		 show_marker(of) ? "marker" :
		 of->is_private	 ? "private" :
				   "shared");
	add_or(o, "marker_pid", (uint64_t)show_marker(of), 0);
	add_or(o, "policy_pid", show_marker(of) ? (uint64_t)show_policy(of) : 0, 0);
	json_object_object_add(o, "attached_unix_s", json_object_new_int64(a->attached_s));
	add(o, "attached_ns", a->attached_age_ns);
	add(o, "figures_age_ns", a->published_age_ns);
	add_text(o, "phase", phase(a->phase));
	json_object_object_add(o, "gc_percent", a->gc_percent < 0 ? NULL :
			       json_object_new_int64(a->gc_percent));
	add_or(o, "memory_limit_bytes", (uint64_t)a->limit_bytes, INT64_MAX);
	add_text(o, "limit_policy",
		 a->limit_policy == TRI_LIMIT_FAIL_FAST ? "fail-fast" : "continue");
	add_text(o, "pressure", pressures[a->pressure <= TRI_PRESSURE_OVER ? a->pressure
									   : TRI_PRESSURE_OVER]);
	add(o, "limit_events", a->limit_events);
	add(o, "limited_gc_cpu_ns", a->limited_gc_ns);
	add(o, "limited_program_cpu_ns", a->limited_program_ns);
	add(o, "throttled", a->throttled);
	add(o, "throttled_ns", a->throttled_ns);
	add(o, "throttled_longest_ns", a->throttled_max_ns);
	add(o, "live_bytes", a->live_bytes);
	add(o, "now_bytes", a->now_bytes);
	add_or(o, "trigger_bytes", a->trigger_bytes, UINT64_MAX);
	add_or(o, "goal_bytes", a->goal_bytes, UINT64_MAX);
	add(o, "heap_bytes", a->heap_bytes);
	add(o, "peak_heap_bytes", a->peak_heap_bytes);
	add(o, "free_bytes", a->free_bytes);
	add(o, "released_bytes", a->released_bytes);
	add(o, "allocated_bytes", a->allocated_bytes);
	add(o, "freed_bytes", a->freed_bytes);
	add(o, "arena_bytes", a->arena_bytes);
	add(o, "cycles", a->cycles);
	add(o, "forced_cycles", a->forced_cycles);
	add(o, "collector_cpu_ns", a->mark_cpu_ns);
	add(o, "assist_ns", a->assist_ns);
	add(o, "interrupted_max_ns", a->interrupted_max_ns);
	add(o, "interrupted_total_ns", a->interrupted_total_ns);
	add(o, "interruptions", a->interruptions);
	add(o, "threads", a->threads);
	if (a->cycle_age_ns == UINT64_MAX) {
		json_object_object_add(o, "last_cycle", NULL);
		return o;
	}
	c = json_object_new_object();
	json_object_object_add(o, "last_cycle", c);
	add(c, "age_ns", a->cycle_age_ns);
	add(c, "wall_ns", a->cycle_wall_ns);
	add(c, "cpu_ns", a->cycle_cpu_ns);
	add(c, "objects", a->cycle_objects);
	add(c, "scan_bytes", a->cycle_scan_bytes);
	add(c, "root_bytes", a->cycle_root_bytes);
	return o;
}

static void print(json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

void show_arena_json(const struct arena_of *a)
{
	print(arena(a));
}

static json_object *silent_one(const struct silent_collector *s)
{
	json_object *o = json_object_new_object();

	add_or(o, "pid", (uint64_t)s->pid, 0);
	add_or(o, "client_pid", (uint64_t)s->client, 0);
	add_text(o, "socket", s->where);
	add_text(o, "why", s->why);
	return o;
}

void show_list_json(const struct arena_of *arenas, size_t n, unsigned int hidden,
		    const struct silent_collector *silent, size_t nsilent)
{
	json_object *o = json_object_new_object(), *list = json_object_new_array(),
		    *others = json_object_new_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(list, arena(&arenas[i]));
	for (i = 0; i < nsilent; i++)
		json_object_array_add(others, silent_one(&silent[i]));
	json_object_object_add(o, "arenas", list);
	add(o, "hidden", hidden);
	json_object_object_add(o, "silent", others);
	print(o);
}
