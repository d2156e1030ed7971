// SPDX-License-Identifier: GPL-2.0-only
/*
 * snapshot.c - what a tick has read of the arenas and limits of a tree
 *
 *  1. Arenas are read from outside: the size of the file, counters in the control page, and the
 *     figures that their threads publish.  No thread has to wake up for that.
 *
 *  2. Each limit is an *account*.
 *
 * 	soft limit	nine tenths of the limit
 * 	others		what the group uses, less inactive file cache, less the arenas
 * 	room		soft limit − others, which include arenas that have a limit of their own
 *
 *     Other collectors may have arenas in the same group, as each client may have a private
 *     collector.  Their arenas are among the others for us, and ours are for them.  With k
 *     collectors, each takes the k-th part of what is free.  Memory that one has taken and not used
 *     yet still looks free to the rest.  So no collector takes more before all have read the group
 *     again and seen what is used.  Then all that was taken fits.  While next to nothing is free, a
 *     collector that has more than the k-th part of the whole, and more than twice what lives in
 *     its heaps, gives some up, so that a new collector finds something.  All this concerns
 *     collectors that can't have one policy (elect.c), as they are of different users or in
 *     different network namespaces.
 *
 *     An administrator may have chosen one limit for all clients of a group together.  Against that
 *     limit the private memory of these clients counts as others, and nothing else in the group.
 *
 * A group cannot be seen where there are no cgroups, or in another container.  If a limit was
 * chosen for such clients, their own memory is counted: their arenas, and their private memory.
 */
#include "snapshot.h"

#include <stdio.h>
#include <unistd.h>

#include "core/system/saturate.h"
#include "other_collectors.h"
#include "tricolor.h"

#define MS 1000000ull
#define YOUNG_NS (2000 * MS)		/* so long after the first client others may follow */
#define RAISE_NS (500 * MS)		/* more is taken once in this time, longer than a period */
/*
 * While less than 1/FREE_PARTS of the soft limit is free, a collector that has more than its part
 * gives up 1/YIELD_PARTS of what it has at each tick.
 */
#define FREE_PARTS 16
#define YIELD_PARTS 32
#define GROWN_BYTES (1ull << 20)	/* growth of others after which collectors are counted */
#define FEW 4				/* with more clients than these we are probably alone */
#define SOFT_PARTS 10			/* the soft limit is a tenth below the real one */

/* ------------------------------------------------------------------------------------------ */
/* Arenas                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* The private memory of a process beside its arena, which is its anonymous pages. */
static uint64_t private_bytes(pid_t pid)
{
	unsigned long long resident = 0, shared = 0;
	char dir[32], text[128];

	snprintf(dir, sizeof(dir), "/proc/%d", pid);
	if (pid <= 0 || !tri_cgroup_read(dir, "statm", text, sizeof(text)) ||
	    sscanf(text, "%*s %llu %llu", &resident, &shared) != 2 || resident < shared)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void read_arenas(const struct groups *s, const struct limit_group *top,
			struct snapshot *snap)
{
	struct watched_arena *m;
	size_t n = 0;

	for (m = s->arenas; m; m = m->next) {
		if (!groups_in(m, top))
			continue;
		watched_arena_read(m, &snap->shares.arenas[n], snap->now);
		snap->active |= m->active;
		m->private_bytes = !top->level || snap->chosen_bytes ? private_bytes(m->r->pid) : 0;
		if (m->exempt) {
			if (m->share_bytes != UINT64_MAX)
				watched_arena_order_share(m, UINT64_MAX);
			continue;
		}
		snap->shares.share_bytes[n] = m->share_bytes == UINT64_MAX ? 0 : m->share_bytes;
		snap->arenas[n++] = m;
	}
	snap->shares.n = n;
	snap->young = n == 1 && snap->now - snap->arenas[0]->r->attached_ns < YOUNG_NS;
}

/* ------------------------------------------------------------------------------------------ */
/* Accounts                                                                                   */
/* ------------------------------------------------------------------------------------------ */

/*
 * A chosen limit holds for the arenas of which the group is the tightest one, and the group's own
 * limit for all arenas in it.
 */
bool snapshot_counts(const struct watched_arena *m, const struct account *a)
{
	return a->chosen ? groups_of(m) == a->g : groups_in(m, a->g);
}

void snapshot_select(struct snapshot *snap, const struct account *a)
{
	size_t i;

	snap->shares.nselected = 0;
	for (i = 0; i < snap->shares.n; i++)
		if (snapshot_counts(snap->arenas[i], a))
			snap->shares.selected[snap->shares.nselected++] = i;
}

/* Beside other collectors in the group we take no more than a fair part of what is free. */
static void share_room(const struct snapshot *snap, struct account *a, unsigned int collectors)
{
	uint64_t ours = sub_sat(a->used_bytes, a->other_bytes);
	uint64_t free = sub_sat(a->soft_bytes, a->used_bytes);
	struct pressure_state *t = a->state;
	uint64_t room = ours + free / collectors, live = 0;
	size_t i;

	for (i = 0; i < snap->shares.nselected; i++)
		live += snap->shares.arenas[snap->shares.selected[i]].live_bytes;
	if (!free)
		room = a->room_bytes;
	else if (ours > a->soft_bytes / collectors && ours > 2 * live &&
		 free < a->soft_bytes / FREE_PARTS)
		room = ours - ours / YIELD_PARTS;
	if (room > t->room_bytes && snap->now - t->raised_ns < RAISE_NS)
		room = t->room_bytes;
	else if (room > t->room_bytes)
		t->raised_ns = snap->now;
	t->room_bytes = a->room_bytes = room;
}

/*
 * Others have shares of a policy that has ended, and keep them until they have joined us.  So we
 * split no more than what our own arenas have of its shares.
 */
static void keep_promises(const struct snapshot *snap, struct account *a)
{
	uint64_t promised = 0;
	size_t i;

	for (i = 0; i < snap->shares.nselected; i++) {
		uint64_t bytes = snap->arenas[snap->shares.selected[i]]->in_force_bytes;

		if (bytes >= a->soft_bytes)
			return;
		promised += bytes;
	}
	if (promised < a->room_bytes)
		a->room_bytes = promised;
}

static void set_room(const struct groups *s, const struct snapshot *snap, struct account *a)
{
	unsigned int collectors;
	bool grown;

	a->room_bytes = sub_sat(a->soft_bytes, a->other_bytes);
	if (a->chosen)
		return;
	/* A collector with many clients is most likely the only one, and splits a budget. */
	grown = snap->shares.nselected <= FEW &&
		(snap->young || a->other_bytes > a->state->other_bytes + GROWN_BYTES);
	collectors_count(s, a->g, grown, snap->now);
	collectors = collectors_in(s, a->g);
	if (collectors > 1)
		share_room(snap, a, collectors);
	if (collectors_unjoined(s, a->g))
		keep_promises(snap, a);
}

/*
 * Fill in what is used.  It is read after the arenas, so what an arena grows by in between counts
 * as the others' and makes the room smaller.  Returns whether any arena counts against the limit.
 */
static bool fill_in(const struct groups *s, const struct snapshot *snap, struct account *a)
{
	uint64_t arenas = 0, exempt = 0, private = 0, used = TRI_CGROUP_NONE;
	const struct watched_arena *m;
	bool any = false;

	for (m = s->arenas; m; m = m->next) {
		if (!groups_of(m) || !snapshot_counts(m, a))
			continue;
		any = true;
		arenas += m->resident_bytes;
		exempt += m->exempt ? m->resident_bytes : 0;
		private += m->private_bytes;
	}
	a->other_bytes = exempt + private;
	a->used_bytes = arenas + private;
	if (a->chosen || !any)
		return any;
	/*
	 * Inactive file cache is left out.  To tell how much that is, the kernel has to add it up
	 * over all groups below.  So what is charged to the group with all its cache is read first,
	 * and mostly that is low enough.
	 */
	if (snap->shares.nselected && shares_wanted(&snap->shares) < a->soft_bytes) {
		used = tri_cgroup_files_charged(&a->g->level->files);
		if (used < a->soft_bytes &&
		    shares_wanted(&snap->shares) > a->soft_bytes - sub_sat(used, arenas) - exempt)
			used = TRI_CGROUP_NONE;
	}
	if (used >= a->soft_bytes)
		used = tri_cgroup_files_usage(&a->g->level->files);
	if (used == TRI_CGROUP_NONE)
		return true;
	a->used_bytes = used;
	a->other_bytes = sub_sat(used, arenas) + exempt;
	return true;
}

static void add_account(const struct groups *s, struct snapshot *snap, struct limit_group *g,
			bool chosen)
{
	uint64_t limit = chosen ? snap->chosen_bytes : g->limit_bytes;
	struct account *a = &snap->accounts[snap->naccounts];

	/* A limit that was chosen is kept as it is, with the reserve above it. */
	*a = (struct account){
		.g = g,
		.state = chosen ? &g->chosen : &g->own,
		.chosen = chosen,
		.soft_bytes = chosen ? limit : limit - limit / SOFT_PARTS,
		.hard_bytes = chosen ? limit + limit / (SOFT_PARTS - 1) : limit,
	};
	snapshot_select(snap, a);
	if (!fill_in(s, snap, a)) {
		a->state->reported_bytes = 0;
		return;
	}
	snap->naccounts++;
	set_room(s, snap, a);
	shares_limit(&snap->shares, a->room_bytes);
}

static void add_accounts(const struct groups *s, struct limit_group *top, struct snapshot *snap)
{
	struct limit_group *g;

	/* The list has the innermost groups first. */
	for (g = s->groups; g; g = g->next) {
		if (groups_top(g) != top)
			continue;
		if (snap->chosen_bytes)
			add_account(s, snap, g, true);
		else
			g->chosen.pressure = TRI_PRESSURE_NONE;
		if (g->limit_bytes != TRI_CGROUP_NONE)
			add_account(s, snap, g, false);
		else
			g->own.pressure = TRI_PRESSURE_NONE;
	}
}

void snapshot_read(const struct groups *s, struct limit_group *top, struct snapshot *snap)
{
	read_arenas(s, top, snap);
	add_accounts(s, top, snap);
}
