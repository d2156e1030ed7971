// SPDX-License-Identifier: GPL-2.0-only
/*
 * postmortem_text.c - the text of a post-mortem
 *
 * It is JSON with one value a line, so that people can read it as well as programs.  It has no
 * names of the program's and none of the heap's contents.
 */
#include "postmortem_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/heap/layout.h"
#include "core/heap/sizeclass.h"

static void add(struct postmortem_text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add(struct postmortem_text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->at + t->used, t->room - t->used, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= t->room - t->used)
		t->full = true;
	else
		t->used += (size_t)n;
}

/* Add a string from a client, with question marks in place of what is not plain text. */
static void add_string(struct postmortem_text *t, const char *name, const char *value, size_t room)
{
	size_t i;

	add(t, "  \"%s\": \"", name);
	for (i = 0; i < room && value[i]; i++) {
		if (value[i] == '"' || value[i] == '\\')
			add(t, "\\%c", value[i]);
		else
			add(t, "%c", value[i] < ' ' || value[i] > '~' ? '?' : value[i]);
	}
	add(t, "\",\n");
}

static void add_number(struct postmortem_text *t, const char *name, uint64_t n)
{
	/* These stand for no limit, and for a goal that is never reached. */
	if (n == UINT64_MAX || n == INT64_MAX)
		add(t, "  \"%s\": null,\n", name);
	else
		add(t, "  \"%s\": %" PRIu64 ",\n", name, n);
}

static void add_end(struct postmortem_text *t, const struct client_end *e)
{
	char sentence[128];

	add(t, "  \"ended\": { \"how\": \"%s\"",
	    e->how == CLIENT_END_SIGNAL ? "signal" : "not known");
	if (e->how == CLIENT_END_SIGNAL)
		add(t, ", \"signal\": %d, \"core\": %s", e->signal, e->core ? "true" : "false");
	if (e->oom_known)
		add(t, ", \"group_kills_for_memory\": %" PRIu64, e->oom_kills);
	add(t, ", \"text\": \"%s\" },\n", client_end_text(e, sentence));
}

static void add_figures(struct postmortem_text *t, const struct control_arena *a)
{
	add_number(t, "memory_limit_bytes", (uint64_t)a->limit_bytes);
	add_number(t, "gc_percent", a->gc_percent < 0 ? UINT64_MAX : (uint64_t)a->gc_percent);
	add_number(t, "heap_bytes", a->heap_bytes);
	add_number(t, "peak_heap_bytes", a->peak_heap_bytes);
	add_number(t, "live_bytes", a->live_bytes);
	add_number(t, "now_bytes", a->now_bytes);
	add_number(t, "goal_bytes", a->goal_bytes);
	add_number(t, "allocated_bytes", a->allocated_bytes);
	add_number(t, "freed_bytes", a->freed_bytes);
	add_number(t, "released_bytes", a->released_bytes);
	add_number(t, "limit_events", a->limit_events);
	add_number(t, "threads", a->threads);
	add_number(t, "figures_age_ns", a->published_age_ns);
	add_number(t, "cycles", a->cycles);
	if (a->cycle_age_ns == UINT64_MAX)
		add(t, "  \"last_cycle\": null,\n");
	else
		add(t,
		    "  \"last_cycle\": { \"age_ns\": %" PRIu64 ", \"wall_ns\": %" PRIu64
		    ", \"cpu_ns\": %" PRIu64 ", \"objects\": %" PRIu64 ", \"scan_bytes\": %" PRIu64
		    ", \"root_bytes\": %" PRIu64 " },\n",
		    a->cycle_age_ns, a->cycle_wall_ns, a->cycle_cpu_ns, a->cycle_objects,
		    a->cycle_scan_bytes, a->cycle_root_bytes);
}

static const char *const kinds[] = {
	[TRI__LEAF] = "leaf",
	[TRI__CONSERVATIVE] = "conservative",
	[TRI__TYPED] = "typed",
};

static void add_classes(struct postmortem_text *t, const struct postmortem_heap *h)
{
	const char *comma = "";
	unsigned int i;

	add(t, "  \"size_classes\": [");
	for (i = 0; i < 256; i++) {
		const struct postmortem_class *o = &h->classes[i];
		const struct tri_class *c = &tri_classes[i];

		if (!o->spans || c->large)
			continue;
		add(t,
		    "%s\n    { \"object_bytes\": %u, \"kind\": \"%s\", \"spans\": %" PRIu64
		    ", \"span_bytes\": %" PRIu64 ", \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64
		    " }",
		    comma, c->size, c->kind < 3 ? kinds[c->kind] : "?", o->spans,
		    o->spans * c->pages << TRI_PAGE_SHIFT, o->objects, o->objects * c->size);
		comma = ",";
	}
	add(t, "%s],\n", *comma ? "\n  " : "");
	add(t,
	    "  \"large\": { \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"largest_bytes\": [",
	    h->large_objects, h->large_bytes);
	for (i = 0; i < POSTMORTEM_LARGEST && h->largest[i]; i++)
		add(t, "%s%" PRIu64, i ? ", " : "", h->largest[i]);
	add(t, "] },\n");
}

void postmortem_compose(struct postmortem_text *t, const struct postmortem_facts *f,
			const struct client_end *e, time_t now)
{
	const struct postmortem_heap *h = &f->heap;
	bool whole = h->read_pages == h->top_pages;
	char when[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	add(t, "{\n  \"post_mortem\": 1,\n");
	add_string(t, "time", when, sizeof(when));
	add_string(t, "host", f->identity.host, sizeof(f->identity.host));
	add_number(t, "pid", (uint64_t)f->identity.pid);
	add_string(t, "command", f->figures.comm, sizeof(f->figures.comm));
	add_number(t, "uid", f->figures.uid);
	add_string(t, "cgroup", f->figures.cgroup, sizeof(f->figures.cgroup));
	add_end(t, e);
	if (f->has_figures)
		add_figures(t, &f->figures);
	add_number(t, "spans_bytes", h->used_pages << TRI_PAGE_SHIFT);
	add_number(t, "free_bytes", h->free_backed_pages << TRI_PAGE_SHIFT);
	add_classes(t, h);
	add_number(t, "reading_took_ns", f->read_ns);
	add(t, "  \"complete\": %s", whole ? "true" : "false");
	if (!whole)
		add(t,
		    ",\n  \"incomplete_because\": \"%s\",\n  \"read_pages\": %" PRIu64
		    ",\n  \"all_pages\": %" PRIu64,
		    h->is_device ? "the memory of a heap of /dev/tricolor goes with its program" :
		    f->was_stopped ?
				   "another program of the same user came and needed the memory" :
				   "a second was over, or there was no memory to read it into",
		    h->read_pages, h->top_pages);
	add(t, "\n}\n");
}
