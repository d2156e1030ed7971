// SPDX-License-Identifier: GPL-2.0-only
/*
 * groups.c - which client is in which control group, and which limits hold there
 *
 *  1. The registry says which arenas there are.  The control group of an arena's client is looked
 *     up by its PID.  If the client has sent files of the same group that show more of its levels,
 *     or if the look-up finds nothing, what the client says is taken instead.  Nothing tells when a
 *     client is moved, so clients are looked up again now and then.  A client that has sent files
 *     sends new ones when it starts another marker.
 *  2. levels.c finds the limits that may bind a client cgroup.  Each limit has a limit group, which
 *     client cgroups have in common.  inotify tells when one of the files of limits is written.
 */
#include "groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/process/config.h"
#include "core/proto/control.h"
#include "daemon/process/log.h"
#include "daemon/clients/users.h"
#include "other_collectors.h"

#define LOOKUP_NS 5000000000ull

struct limit_group *groups_top(struct limit_group *g)
{
	while (g->up)
		g = g->up;
	return g;
}

bool groups_in(const struct watched_arena *m, const struct limit_group *g)
{
	return groups_is_within(groups_of(m), g);
}

void groups_tick_soon(struct limit_group *g)
{
	groups_top(g)->next_ns = 0;
}

/* ------------------------------------------------------------------------------------------ */
/* Limits                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static const char *name_of(const struct level *l)
{
	return l ? l->name : "clients whose groups can't be seen";
}

static struct limit_group *group_of(struct groups *s, struct level *l)
{
	struct limit_group *g;

	for (g = s->groups; g; g = g->next)
		if (g->level == l)
			return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->level = l;
	g->limit_bytes = TRI_CGROUP_NONE;
	alarm_open(&g->alarm, l ? &l->files : NULL);
	g->next = s->groups;
	s->groups = g;
	return g;
}

static unsigned int height(const struct limit_group *g)
{
	unsigned int n = 0;

	for (; g->up; g = g->up)
		n++;
	return n;
}

/* Sort groups so that each comes before those that it is in. */
static void put_in_order(struct groups *s)
{
	struct limit_group *remaining = s->groups, *g, **at;

	s->groups = NULL;
	while ((g = remaining)) {
		remaining = g->next;
		for (at = &s->groups; *at && height(*at) >= height(g);)
			at = &(*at)->next;
		g->next = *at;
		*at = g;
	}
}

static void set_limit(struct limit_group *g, uint64_t limit_bytes, bool hidden)
{
	if (g->limit_bytes == limit_bytes)
		return;
	g->limit_bytes = limit_bytes;
	groups_tick_soon(g);
	if (limit_bytes == TRI_CGROUP_NONE)
		log_line("%s: no memory limit", name_of(g->level));
	else
		log_line("%s: memory limit %.1f MiB%s", name_of(g->level),
			 (double)limit_bytes / (1 << 20),
			 hidden ? ", of a group above that can't be seen from here" : "");
}

static void set_up(struct groups *s, struct limit_group *g, struct limit_group *up)
{
	if (g->up == up)
		return;
	s->untidy = true;
	g->up = up;
	groups_tick_soon(g);
}

/* Read the limits of a client cgroup again, and with that which groups its memory counts in. */
static void read_limits_of(struct groups *s, struct client_cgroup *p)
{
	struct level_limit limits[LEVEL_LIMITS];
	size_t n = p->level ? levels_limits(p->level, limits, LEVEL_LIMITS) : 0, i;
	struct limit_group *g, *below = NULL, *tightest = NULL;

	for (i = 0; i < n; i++) {
		g = group_of(s, limits[i].level);
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
		tightest = below = group_of(s, p->level);
		if (tightest)
			set_limit(tightest, TRI_CGROUP_NONE, false);
	}
	if (!tightest)
		return;
	/* A group that there was no memory for is left out until limits are read again. */
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
	struct client_cgroup *p;

	for (p = s->cgroups; p; p = p->next)
		read_limits_of(s, p);
	put_in_order(s);
}

/* ------------------------------------------------------------------------------------------ */
/* Clients                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/* The level of the group that we have found, which may be known already. */
static struct level *find_level(struct groups *s, const struct tri_cgroup *cg)
{
	const struct client_cgroup *p;

	if (!cg->version)
		return NULL;
	for (p = s->cgroups; p; p = p->next)
		/* The group itself may have no memory controller, and its level be one above. */
		if (p->cg.version && !strcmp(p->cg.dir, cg->dir) &&
		    !strcmp(p->level->name, cg->dir))
			return p->level;
	return levels_at(&s->levels, cg);
}

/* Say how the client's group is known, or why it is not, in the log and in the registry. */
static void report_cgroup(struct registry_arena *r, const struct level *l,
			  const struct tri_cgroup *cg)
{
	struct registry_seen seen = { .levels = levels_seen(l) };
	const struct claim *c = r->claim;
	char name[REGISTRY_NAME];

	registry_name(r, name);
	if (l)
		seen.by = l->owner == LEVEL_OURS ? CONTROL_SEEN_FOUND : CONTROL_SEEN_SENT;
	else if (!cg->none && (!c || c->why[0] || !c->sends))
		snprintf(seen.why, sizeof(seen.why), "%.127s",
			 c && c->why[0] ? c->why :
			 cg->version	? "no file of its group can be read" :
					  cg->why);
	registry_set_seen(r, &seen);
	if (l)
		log_at(seen.by == CONTROL_SEEN_SENT ? LOG_INFO : LOG_DEBUG,
		       "%s: in group %s, %s; levels that are seen: %u", name, l->name,
		       seen.by == CONTROL_SEEN_SENT ? "by files that it has sent" :
						      "found by its PID",
		       seen.levels);
	else if (seen.why[0])
		log_line(
			"%s: its memory limit can't be seen: %s. If it has one, set "
			"total-memory-limit in tricolord.conf, or TRICOLOR_MEMORY_LIMIT for the "
			"program",
			name, seen.why);
}

/* The client cgroup of a private collector's own client; NULL: it was not found yet. */
static struct client_cgroup *own_cgroup(const struct groups *s)
{
	const struct watched_arena *m;

	for (m = s->arenas; m && registry_is_linked(m->r);)
		m = m->next;
	return m ? m->cgroup : NULL;
}

static struct client_cgroup *cgroup_of(struct groups *s, struct watched_arena *m,
				       struct tri_cgroup *cg)
{
	struct level *found, *l;
	struct client_cgroup *p;

	tri_cgroup_find("", m->r->pid, "memory", cg);
	if (!registry_client_lives(m->r)) {
		/* A client that has ended leaves soon, and stays where it was until then. */
		if (m->cgroup)
			return m->cgroup;
		cg->version = 0;
		cg->none = false;
		snprintf(cg->why, sizeof(cg->why), "the process that has connected has ended");
	}
	found = find_level(s, cg);
	l = found;
	if (m->claimed && (!found || (levels_same(found, m->claimed) &&
				      levels_seen(found) < levels_seen(m->claimed))))
		l = m->claimed;
	/* A peer marker that we can't look up has joined us because this is its group. */
	if (!l && config_is_private() && registry_is_linked(m->r))
		return own_cgroup(s);
	for (p = s->cgroups; p; p = p->next)
		if (p->level == l)
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->level = l;
	if (l && l == found)
		p->cg = *cg;
	p->next = s->cgroups;
	s->cgroups = p;
	read_limits_of(s, p);
	put_in_order(s);
	return p;
}

static void look_up_cgroup(struct groups *s, struct watched_arena *m, uint64_t now)
{
	struct tri_cgroup cg;
	struct client_cgroup *p = cgroup_of(s, m, &cg);

	m->looked_up_ns = now;
	if (!p || p == m->cgroup)
		return;
	if (groups_of(m)) {
		s->untidy = true;
		groups_tick_soon(groups_of(m));
	}
	m->cgroup = p;
	if (p->level)
		registry_set_cgroup(m->r, p->level->name);
	report_cgroup(m->r, p->level, &cg);
	if (p->group)
		groups_tick_soon(p->group);
}

static void drop_arena(struct groups *s, struct watched_arena **at)
{
	struct watched_arena *m = *at;

	*at = m->next;
	if (groups_of(m))
		groups_tick_soon(groups_of(m));
	s->untidy = true;
	if (registry_is_linked(m->r))
		collectors_recount(s);
	registry_put(m->r);
	free(m);
}

static struct watched_arena *find_arena(const struct groups *s, const struct registry_arena *r)
{
	struct watched_arena *m = s->arenas;

	while (m && m->r != r)
		m = m->next;
	return m;
}

/*
 * The owner of what @r's client says: its user, or the client alone if our namespace does not tell
 * its user from others.
 */
static int64_t claimant(const struct registry_arena *r)
{
	return users_is_nobody(r->uid) ? -1 - (int64_t)r->id : (int64_t)r->uid;
}

/* Takes the reference.  NULL: no memory; the next update tries again. */
static struct watched_arena *add_arena(struct groups *s, struct registry_arena *r, uint64_t now)
{
	struct watched_arena *m = calloc(1, sizeof(*m));

	if (!m) {
		registry_put(r);
		return NULL;
	}
	m->r = r;
	m->share_bytes = UINT64_MAX;
	if (registry_is_linked(r)) {
		groups_order_anew(m);
		collectors_recount(s);
	}
	m->read_ns = r->attached_ns;
	m->claimed = levels_claimed(&s->levels, r->claim, claimant(r));
	m->next = s->arenas;
	s->arenas = m;
	look_up_cgroup(s, m, now);
	return m;
}

void groups_update(struct groups *s, uint64_t now)
{
	size_t n, room = registry_count() + 16, i;
	struct registry_arena **list = calloc(room, sizeof(*list));
	struct watched_arena *m, **at;

	if (!list)
		return;
	n = registry_all(list, room);
	for (m = s->arenas; m; m = m->next)
		m->present = false;
	for (i = 0; i < (n < room ? n : room); i++) {
		m = find_arena(s, list[i]);
		if (m)
			registry_put(list[i]);
		else
			m = add_arena(s, list[i], now);
		if (m)
			m->present = true;
	}
	/*
	 * If there were more than the list has room for, the registry has changed since it was
	 * counted, and another update follows.
	 */
	for (at = &s->arenas; *at && n <= room;)
		if ((*at)->present)
			at = &(*at)->next;
		else
			drop_arena(s, at);
	free(list);
	for (m = s->arenas; m; m = m->next)
		if (!m->cgroup || now - m->looked_up_ns >= LOOKUP_NS)
			look_up_cgroup(s, m, now);
}

/* ------------------------------------------------------------------------------------------ */
/* Tidying                                                                                    */
/* ------------------------------------------------------------------------------------------ */

uint64_t groups_tidy_ns(const struct groups *s)
{
	return s->untidy ? s->tidied_ns + LOOKUP_NS : UINT64_MAX;
}

static bool has_clients(const struct groups *s, const struct client_cgroup *p)
{
	const struct watched_arena *m = s->arenas;

	while (m && m->cgroup != p)
		m = m->next;
	return m;
}

/* Remove the levels in and below which there is no client cgroup and no arena. */
static void tidy_levels(struct groups *s)
{
	const struct watched_arena *m;
	const struct client_cgroup *p;
	struct level *l;

	for (l = s->levels.first; l; l = l->next)
		l->used = false;
	for (p = s->cgroups; p; p = p->next)
		for (l = p->level; l && !l->used; l = l->parent)
			l->used = true;
	for (m = s->arenas; m; m = m->next)
		for (l = m->claimed; l && !l->used; l = l->parent)
			l->used = true;
	levels_tidy(&s->levels);
}

void groups_tidy(struct groups *s, uint64_t now)
{
	struct client_cgroup **p = &s->cgroups;
	struct limit_group **at, *g;

	if (now < groups_tidy_ns(s))
		return;
	s->untidy = false;
	s->tidied_ns = now;
	for (g = s->groups; g; g = g->next)
		g->used = false;
	while (*p) {
		struct client_cgroup *old = *p;

		if (has_clients(s, old)) {
			for (g = old->group; g; g = g->up)
				g->used = true;
			p = &old->next;
			continue;
		}
		*p = old->next;
		free(old);
	}
	/* No group that is used leads to one that is not. */
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
	tidy_levels(s);
}
