// SPDX-License-Identifier: GPL-2.0-only
/*
 * other_collectors.c - how many other collectors share a group's limits
 *
 * A private collector is in the control group of its client.  Other collectors that are listed in
 * that group share its limits with us.  Where collectors elect a policy (elect.c), those that have
 * joined it are its peer markers.
 */
#include "other_collectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/clients/registry.h"
#include "daemon/process/config.h"

/*
 * Other collectors in a group are counted once in COUNT_NS; once in COUNT_GROWN_NS while a new one
 * may have come; and once in COUNT_UNJOINED_NS while one is about to join us.
 */
#define COUNT_NS 5000000000ull
#define COUNT_GROWN_NS 15000000ull
#define COUNT_UNJOINED_NS 100000000ull
#define COUNT_MAX 512			/* no more processes than these are looked through */
#define LIST_BYTES 8192			/* of cgroup.procs */

/* Count process @pid by its name, which linked.c sets. */
static void note_collector(int pid, unsigned int *collectors, unsigned int *peers)
{
	char dir[32], name[32];

	snprintf(dir, sizeof(dir), "/proc/%d", pid);
	if (!tri_cgroup_read(dir, "comm", name, sizeof(name)))
		return;
	*collectors += !strcmp(name, "tricolord\n");
	*peers += !strcmp(name, "tricolor-peer\n");
}

/* The number of markers in @p that are linked with us, if we are an elected policy. */
static unsigned int joined(const struct groups *s, const struct client_cgroup *p)
{
	const struct watched_arena *m;
	unsigned int n = 0;

	for (m = s->arenas; m; m = m->next)
		n += config_is_private() && m->cgroup == p && registry_is_linked(m->r);
	return n;
}

static void count_others(const struct groups *s, struct client_cgroup *p, uint64_t now)
{
	unsigned int n, collectors = 0, peers = 0, ours = joined(s, p);
	char list[LIST_BYTES], *at = list, *end;
	int self = getpid();

	p->counted_ns = now;
	if (!p->cg.version || !tri_cgroup_read(p->cg.dir, "cgroup.procs", list, sizeof(list)))
		return;
	for (n = 0; n < COUNT_MAX && *at; n++, at = end) {
		int pid = (int)strtol(at, &end, 10);

		if (end == at)
			break;
		/* 0 stands for a process of another PID namespace. */
		if (pid > 0 && pid != self)
			note_collector(pid, &collectors, &peers);
	}
	p->unjoined = peers > ours ? peers - ours : 0;
	p->others = collectors + p->unjoined;
}

unsigned int collectors_in(const struct groups *s, const struct limit_group *g)
{
	const struct client_cgroup *p;
	unsigned int n = 1;

	for (p = s->cgroups; p; p = p->next)
		n += groups_is_within(p->group, g) ? p->others : 0;
	return n;
}

unsigned int collectors_unjoined(const struct groups *s, const struct limit_group *g)
{
	const struct client_cgroup *p;
	unsigned int n = 0;

	for (p = s->cgroups; p; p = p->next)
		n += groups_is_within(p->group, g) ? p->unjoined : 0;
	return n;
}

void collectors_recount(struct groups *s)
{
	struct client_cgroup *p;

	for (p = s->cgroups; p; p = p->next)
		p->counted_ns = 0;
}

void collectors_count(const struct groups *s, const struct limit_group *g, bool grown, uint64_t now)
{
	uint64_t age_ns = grown ? COUNT_GROWN_NS : COUNT_NS;
	struct client_cgroup *p;

	/* Client cgroups that another group limits are counted for that one. */
	for (p = s->cgroups; p; p = p->next)
		if (p->group == g &&
		    now - p->counted_ns >= (p->unjoined ? COUNT_UNJOINED_NS : age_ns))
			count_others(s, p, now);
}
