// SPDX-License-Identifier: GPL-2.0-only
/*
 * groups.c - which client is in which control group, and which limits hold there
 *
 *  1. The registry says which arenas there are.  The control group of an arena's client is its
 *     *place*.  Clients may be moved, and nothing tells: they are looked up again now and then.
 *  2. A private collector is in the group of its client: those that are listed there beside us
 *     share its limits with us.
 *  3. For a place cgroup.c finds the limits that may bind.  Each has a group; places have them in
 *     common.  inotify rings when one of these files is written.
 */
#include "groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define PLACE_NS 5000000000ull
#define COUNT_NS 5000000000ull		/* collectors are not counted more often … */
#define COUNT_GROWN_NS 15000000ull	/* … unless there may be a new one … */
#define COUNT_MAX 512			/* … nor among more processes than so many */
#define LIST_BYTES 8192			/* of cgroup.procs */

struct group *groups_top(struct group *g)
{
	while (g->up)
		g = g->up;
	return g;
}

static bool is_within(const struct group *of, const struct group *g)
{
	while (of && of != g)
		of = of->up;
	return of;
}

bool groups_in(const struct member *m, const struct group *g)
{
	return is_within(groups_of(m), g);
}

void groups_tick_soon(struct group *g)
{
	groups_top(g)->next_ns = 0;
}

/* ------------------------------------------------------------------------------------------ */
/* Other collectors                                                                           */
/* ------------------------------------------------------------------------------------------ */

static bool is_collector(int pid)
{
	char dir[32], name[32];

	snprintf(dir, sizeof(dir), "/proc/%d", pid);
	return cgroup_read(dir, "comm", name, sizeof(name)) && !strcmp(name, "tricolord\n");
}

static void count_others(struct place *p, uint64_t now)
{
	char list[LIST_BYTES], *at = list, *end;
	unsigned int n, others = 0;
	int self = getpid();

	p->counted_ns = now;
	if (!p->cg.version || !cgroup_read(p->cg.dir, "cgroup.procs", list, sizeof(list)))
		return;
	for (n = 0; n < COUNT_MAX && *at; n++, at = end) {
		int pid = (int)strtol(at, &end, 10);

		if (end == at)
			break;
		/* 0: not in our pid namespace. */
		others += pid > 0 && pid != self && is_collector(pid);
	}
	p->others = others;
}

unsigned int groups_collectors(const struct groups *s, const struct group *g)
{
	const struct place *p;
	unsigned int n = 1;

	for (p = s->places; p; p = p->next)
		n += is_within(p->group, g) ? p->others : 0;
	return n;
}

void groups_count(const struct groups *s, const struct group *g, bool grown, uint64_t now)
{
	uint64_t age_ns = grown ? COUNT_GROWN_NS : COUNT_NS;
	struct place *p;

	/* Those of other groups are counted for these. */
	for (p = s->places; p; p = p->next)
		if (p->group == g && now - p->counted_ns >= age_ns)
			count_others(p, now);
}

/* ------------------------------------------------------------------------------------------ */
/* Limits                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static struct group *group_of(struct groups *s, const struct cgroup *cg, const char *dir)
{
	struct group *g, **at;

	for (g = s->groups; g; g = g->next)
		if (!strcmp(g->dir, dir))
			return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	strcpy(g->dir, dir);
	g->version = cg->version;
	g->limit_bytes = CGROUP_NONE;
	alarm_open(&g->alarm, g->dir, g->version);
	/* What is below another group has a longer path. */
	for (at = &s->groups; *at && strlen((*at)->dir) > strlen(dir);)
		at = &(*at)->next;
	g->next = *at;
	*at = g;
	return g;
}

static void set_limit(struct group *g, uint64_t limit_bytes, bool hidden)
{
	if (g->limit_bytes == limit_bytes)
		return;
	g->limit_bytes = limit_bytes;
	groups_tick_soon(g);
	if (limit_bytes == CGROUP_NONE)
		log_line("%s: no memory limit", g->dir);
	else
		log_line("%s: memory limit %.1f MiB%s", g->dir, (double)limit_bytes / (1 << 20),
			 hidden ? ", of a group above that can't be seen from here" : "");
}

static void set_up(struct groups *s, struct group *g, struct group *up)
{
	if (g->up == up)
		return;
	s->untidy = true;
	g->up = up;
	groups_tick_soon(g);
}

/* Read the limits of a place again: which groups count its memory. */
static void look_at_place(struct groups *s, struct place *p)
{
	struct cgroup_limit limits[CGROUP_LIMITS];
	size_t n = cgroup_limits(&p->cg, limits, CGROUP_LIMITS), i;
	struct group *g, *below = NULL, *tightest = NULL;

	for (i = 0; i < n; i++) {
		g = group_of(s, &p->cg, limits[i].dir);
		if (!g)
			break;
		if (below)
			set_up(s, below, g);
		else
			tightest = g;
		below = g;
		set_limit(g, limits[i].limit_bytes, limits[i].hidden);
	}
	if (!n) {
		tightest = below = group_of(s, &p->cg, p->cg.dir);
		if (tightest)
			set_limit(tightest, CGROUP_NONE, false);
	}
	if (!tightest)
		return;
	/* What there was no memory for is missed until limits are read again. */
	set_up(s, below, NULL);
	if (p->group == tightest)
		return;
	if (p->group) {
		s->untidy = true;
		groups_tick_soon(p->group);
	}
	p->group = tightest;
	groups_tick_soon(tightest);
}

void groups_read_limits(struct groups *s)
{
	struct place *p;

	for (p = s->places; p; p = p->next)
		look_at_place(s, p);
}

/* ------------------------------------------------------------------------------------------ */
/* Clients                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static struct place *place_of(struct groups *s, const struct registry_arena *r)
{
	struct cgroup cg;
	struct place *p;

	cgroup_find("", r->pid, "memory", &cg);
	for (p = s->places; p; p = p->next)
		if (!strcmp(p->cg.dir, cg.dir))
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->cg = cg;
	p->next = s->places;
	s->places = p;
	if (!cg.version)
		log_line("client %d: its memory limit can't be seen: %s", r->pid, cg.why);
	alarm_on_limits(s->limits_fd, &p->cg);
	look_at_place(s, p);
	return p;
}

static void place(struct groups *s, struct member *m, uint64_t now)
{
	struct place *p = place_of(s, m->r);

	m->placed_ns = now;
	if (!p || p == m->place)
		return;
	if (groups_of(m)) {
		s->untidy = true;
		groups_tick_soon(groups_of(m));
	}
	m->place = p;
	if (p->cg.version)
		registry_set_cgroup(m->r, p->cg.dir);
	if (p->group)
		groups_tick_soon(p->group);
}

static void drop_member(struct groups *s, struct member **at)
{
	struct member *m = *at;

	*at = m->next;
	if (groups_of(m))
		groups_tick_soon(groups_of(m));
	s->untidy = true;
	registry_put(m->r);
	free(m);
}

static struct member *find_member(const struct groups *s, const struct registry_arena *r)
{
	struct member *m = s->members;

	while (m && m->r != r)
		m = m->next;
	return m;
}

/* Takes the reference; NULL: no memory, and the next time it is met may be better. */
static struct member *add_member(struct groups *s, struct registry_arena *r, uint64_t now)
{
	struct member *m = calloc(1, sizeof(*m));

	if (!m) {
		registry_put(r);
		return NULL;
	}
	m->r = r;
	m->share_bytes = UINT64_MAX;
	m->looked_ns = r->attached_ns;
	m->next = s->members;
	s->members = m;
	place(s, m, now);
	return m;
}

void groups_meet(struct groups *s, uint64_t now)
{
	size_t n, room = registry_count() + 16, i;
	struct registry_arena **list = calloc(room, sizeof(*list));
	struct member *m, **at;

	if (!list)
		return;
	n = registry_all(list, room);
	for (m = s->members; m; m = m->next)
		m->present = false;
	for (i = 0; i < (n < room ? n : room); i++) {
		m = find_member(s, list[i]);
		if (m)
			registry_put(list[i]);
		else
			m = add_member(s, list[i], now);
		if (m)
			m->present = true;
	}
	/* More than there was room for: the list has rung again by now. */
	for (at = &s->members; *at && n <= room;)
		if ((*at)->present)
			at = &(*at)->next;
		else
			drop_member(s, at);
	free(list);
	for (m = s->members; m; m = m->next)
		if (!m->place || now - m->placed_ns >= PLACE_NS)
			place(s, m, now);
}

/* ------------------------------------------------------------------------------------------ */
/* Tidying                                                                                    */
/* ------------------------------------------------------------------------------------------ */

uint64_t groups_tidy_ns(const struct groups *s)
{
	return s->untidy ? s->tidied_ns + PLACE_NS : UINT64_MAX;
}

static bool anybody_at(const struct groups *s, const struct place *p)
{
	const struct member *m = s->members;

	while (m && m->place != p)
		m = m->next;
	return m;
}

void groups_tidy(struct groups *s, uint64_t now)
{
	struct place **p = &s->places;
	struct group **at, *g;

	if (now < groups_tidy_ns(s))
		return;
	s->untidy = false;
	s->tidied_ns = now;
	for (g = s->groups; g; g = g->next)
		g->used = false;
	while (*p) {
		struct place *old = *p;

		if (anybody_at(s, old)) {
			for (g = old->group; g; g = g->up)
				g->used = true;
			p = &old->next;
			continue;
		}
		*p = old->next;
		free(old);
	}
	/* A group that is used leads to such only. */
	for (at = &s->groups; *at;) {
		g = *at;
		if (g->used) {
			at = &g->next;
			continue;
		}
		*at = g->next;
		alarm_close(&g->alarm);
		free(g);
	}
}
