// SPDX-License-Identifier: GPL-2.0-only
/*
 * tick.c - one reading of the arenas of a tree of control groups, and what follows from it
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
 *     yet still looks free to the rest, so no collector takes more before all have read the group
 *     again and seen what is used.  Then everything that is taken fits.  A collector that has more
 *     than the k-th part of the whole, and twice what lives in its heaps, gives some up while next
 *     to nothing is free, so that newcomers find something.  All this is for collectors that do not
 *     come under one policy (elect.c), because they belong to another user or are in another
 *     network.
 *
 *     Somebody may have chosen one limit for all clients of a group together.  Against that limit
 *     the private memory of these clients counts as others, and nothing else in the group does.
 *
 *  3. All accounts are split among the arenas that they are for, from the innermost group outwards
 *     (shares.c), and each arena's thread is ordered to keep its share.  Arenas that have to give
 *     memory up get their orders first.
 *
 *  4. When use is half-way from a soft limit to the real one, the arenas that count there are
 *     requested to release what they have in free pages at once, and to collect if enough was
 *     allocated since their last cycle.
 *
 *  5. Where the kernel does not tell that use grows (v2 knows no thresholds), a neighbour may grow
 *     while nobody reads. So before the watcher sleeps there, idle arenas give back what they do
 *     not need if the group is more than half full, and they are told to wake the watcher when they
 *     allocate again, before they have used much of shares that others may have taken meanwhile.
 *     The same holds where the kernel does not tell that a limit is written (without /proc there is
 *     no inotify on a descriptor): a limit that shrinks while all are idle is then read before any
 *     of them has used much of the old one.
 *
 *  6. No collection can keep a limit that is below what lives.  Whoever has set it is told so, once
 *     for each value as long as there is a client.  Memory that was allocated while a cycle marked
 *     counts as live until the next cycle, and does not count for this.
 *
 * Where a group cannot be seen (no cgroups, or another container) and somebody has chosen a limit,
 * the memory of the clients themselves is counted: their arenas, and their private memory.
 */
#include "tick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/system/saturate.h"
#include "daemon/heap/arena.h"
#include "daemon/heap/backing.h"
#include "daemon/process/log.h"
#include "shares.h"
#include "tricolor.h"

#define MS 1000000ull
#define TICK_SHORT_NS (20 * MS)		/* above a soft limit */
#define TICK_NS (100 * MS)		/* while parts are moving */
#define TICK_LONG_NS (400 * MS)		/* while they are not */
#define YOUNG_NS (2000 * MS)		/* one client alone may start with others */
/*
 * After so many ticks in which no arena was at work the watcher sleeps until it is woken.  Where
 * the kernel does not wake it, arenas are told that they are idle first.
 */
#define TICKS_IDLE 3
#define TICKS_IDLE_UNWATCHED 12
#define IDLE_RELEASE_PARTS 8		/* an idle arena gives back no less than this part of it */
#define WAKE_AFTER_BYTES (1ull << 20)	/* an idle arena wakes the watcher after such allocation */
/* If a request has not helped it is made again after so long, and then less and less often. */
#define REQUEST_NS (50 * MS)
#define REQUEST_MAX_NS (2000 * MS)
#define RAISE_NS (500 * MS)		/* longer than the longest time between two ticks */
/*
 * While less than this part of the soft limit is free, a collector that has more than its part
 * gives up this part of what it has at each tick.
 */
#define FREE_PARTS 16
#define YIELD_PARTS 32
#define GROWN_BYTES (1ull << 20)	/* others have, so that it is worth looking who they are */
#define FEW 4				/* clients */
#define SOFT_PARTS 10			/* the soft limit is a tenth below the real one */
/*
 * Clients are told that a limit is near after so many ticks with a quarter of the reserve used, and
 * that it is not after so many ticks well below the soft limit.
 */
#define NEAR_TICKS 2
#define ROOM_TICKS 10

/* A limit, and what counts against it, for the length of a tick. */
struct account {
	struct limit_group *g;
	struct pressure_state *state;	/* of @g: its own, or that of the chosen limit */
	bool chosen;
	uint64_t soft_bytes;
	uint64_t hard_bytes;		/* what must not be reached */
	uint64_t used_bytes;
	uint64_t other_bytes;		/* of that, what is no arena that has a share */
	uint64_t room_bytes;		/* for those that have one */
};

struct snapshot {
	struct watched_arena **arenas;	/* those that have a share */
	struct shares shares;		/* theirs, in the same order */
	struct account *accounts;
	size_t naccounts;
	uint64_t chosen_bytes, now;
	bool active, sleepy;
	bool young;			/* its one client has just come */
};

/* ------------------------------------------------------------------------------------------ */
/* Arenas                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* Private memory of a process beside its arena: anonymous pages. */
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

static bool read_counters(const struct watched_arena *m, struct tri_ctl *ctl)
{
	int fd = atomic_load(&m->r->file);

	if (fd < 0 || pread(fd, ctl, sizeof(*ctl), 0) != sizeof(*ctl))
		memset(ctl, 0, sizeof(*ctl));
	return tri_read(&ctl->allocated_bytes) != m->allocated_bytes;
}

bool tick_has_allocated(const struct watched_arena *m)
{
	struct tri_ctl ctl;

	return read_counters(m, &ctl);
}

static void read_arena(struct watched_arena *m, struct budget_arena *b, uint64_t now)
{
	struct board_figures f;
	struct tri_ctl ctl;
	uint64_t allocated;

	registry_read(m->r, &f);
	m->active = read_counters(m, &ctl);
	m->idle &= !m->active;
	m->gave_back &= !m->active;
	m->active |= f.cycles != m->cycles;
	allocated = tri_read(&ctl.allocated_bytes);
	m->exempt = tri_read(&ctl.memory_limit_bytes) != TRI_LIMIT_AUTO;
	m->in_force_bytes = f.limit_bytes < 0 ? 0 : (uint64_t)f.limit_bytes;
	m->resident_bytes = backing_resident_bytes(atomic_load(&m->r->file),
						   f.heap_bytes + f.free_bytes);
	budget_note_allocation(&m->pace, allocated > m->allocated_bytes ?
			       allocated - m->allocated_bytes : 0, now - m->read_ns);
	if (f.cycles > m->cycles)
		budget_note_cycle(&m->pace, f.live_bytes, f.cycle_cpu_ns);
	m->allocated_bytes = allocated;
	m->reached_bytes = f.reached_bytes;
	m->cycles = f.cycles;
	m->read_ns = now;
	b->live_bytes = f.live_bytes + f.overhead_bytes;
	/* What a newcomer has filled may all be alive: its first cycle will tell. */
	b->bound_bytes = f.cycles < 2 && m->resident_bytes > f.bound_bytes ? m->resident_bytes :
									     f.bound_bytes;
	b->cap_bytes = f.cap_bytes;
	b->weight = budget_weight(&m->pace, f.live_bytes);
}

static void order_share(struct watched_arena *m, uint64_t bytes)
{
	m->share_bytes = bytes;
	registry_order(m->r, ORDER_SHARE, bytes > INT64_MAX ? PACER_NO_LIMIT : (int64_t)bytes);
}

static void order_pressure(struct watched_arena *m, uint32_t pressure)
{
	if (m->pressure == pressure)
		return;
	m->pressure = pressure;
	registry_order(m->r, ORDER_PRESSURE, pressure);
}

static void read_arenas(const struct groups *s, const struct limit_group *top,
			struct snapshot *snap)
{
	struct watched_arena *m;
	size_t n = 0;

	for (m = s->arenas; m; m = m->next) {
		if (!groups_in(m, top))
			continue;
		read_arena(m, &snap->shares.arenas[n], snap->now);
		snap->active |= m->active;
		m->private_bytes = !top->level || snap->chosen_bytes ? private_bytes(m->r->pid) : 0;
		if (m->exempt) {
			if (m->share_bytes != UINT64_MAX)
				order_share(m, UINT64_MAX);
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

/* A chosen limit is for those of which the group is the tightest; the group's own for all in it. */
static bool counts(const struct watched_arena *m, const struct account *a)
{
	return a->chosen ? groups_of(m) == a->g : groups_in(m, a->g);
}

static void select_arenas(struct snapshot *snap, const struct account *a)
{
	size_t i;

	snap->shares.nselected = 0;
	for (i = 0; i < snap->shares.n; i++)
		if (counts(snap->arenas[i], a))
			snap->shares.selected[snap->shares.nselected++] = i;
}

/* With other collectors in the group one takes no more than a fair part of what is free. */
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
 * Others have shares of a policy that has ended, and keep them until they have joined us: so what
 * we split is what we have of its shares, and not more.
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
	/* Who has many clients is most likely the only one, and has a budget for them. */
	grown = snap->shares.nselected <= FEW &&
		(snap->young || a->other_bytes > a->state->other_bytes + GROWN_BYTES);
	groups_count(s, a->g, grown, snap->now);
	collectors = groups_collectors(s, a->g);
	if (collectors > 1)
		share_room(snap, a, collectors);
	if (groups_unjoined(s, a->g))
		keep_promises(snap, a);
}

/*
 * What is used is read after the arenas were looked at: what grows in between is taken for somebody
 * else's, and the room for less.  Returns whether anybody counts there.
 */
static bool fill_in(const struct groups *s, const struct snapshot *snap, struct account *a)
{
	uint64_t arenas = 0, exempt = 0, private = 0, used = TRI_CGROUP_NONE;
	const struct watched_arena *m;
	bool any = false;

	for (m = s->arenas; m; m = m->next) {
		if (!groups_of(m) || !counts(m, a))
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
	 * Inactive file cache is left out.  What that is, the kernel has to add up over
	 * all groups below.  So a group further up is first asked what is charged to it with all
	 * cache: mostly that leaves enough.
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

	/* A chosen limit is the soft limit itself. */
	*a = (struct account){
		.g = g,
		.state = chosen ? &g->chosen : &g->own,
		.chosen = chosen,
		.soft_bytes = chosen ? limit : limit - limit / SOFT_PARTS,
		.hard_bytes = chosen ? limit + limit / (SOFT_PARTS - 1) : limit,
	};
	select_arenas(snap, a);
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

	/* The innermost come first. */
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

/* ------------------------------------------------------------------------------------------ */
/* What follows                                                                               */
/* ------------------------------------------------------------------------------------------ */

/* Order what has changed, the ones that give first.  Returns how many there were. */
static size_t send_shares(struct snapshot *snap)
{
	size_t sent = 0, i;
	int gives;

	for (gives = 1; gives >= 0; gives--) {
		for (i = 0; i < snap->shares.n; i++) {
			uint64_t had = snap->arenas[i]->share_bytes,
				 share = snap->shares.share_bytes[i];

			if (share == had || (share < had) != gives)
				continue;
			order_share(snap->arenas[i], share);
			sent++;
		}
	}
	return sent;
}

static uint64_t near_bytes(const struct account *a)
{
	return a->soft_bytes + (a->hard_bytes - a->soft_bytes) / 4;
}

static uint64_t urgent_bytes(const struct account *a)
{
	return a->soft_bytes + (a->hard_bytes - a->soft_bytes) / 2;
}

static void judge_pressure(const struct account *a)
{
	struct pressure_state *t = a->state;

	if (a->used_bytes > near_bytes(a)) {
		t->near_ticks++;
		t->room_ticks = 0;
	} else {
		t->near_ticks = 0;
		t->room_ticks += a->used_bytes < a->soft_bytes - a->soft_bytes / 20;
	}
	if (a->used_bytes > urgent_bytes(a) || t->near_ticks >= NEAR_TICKS)
		t->pressure = TRI_PRESSURE_NEAR;
	else if (t->room_ticks >= ROOM_TICKS)
		t->pressure = TRI_PRESSURE_NONE;
}

/* What lives in the heaps that count in @a, how many these are, and one of them. */
static uint64_t reached_in(const struct groups *s, const struct account *a, size_t *heaps,
			   const struct registry_arena **one)
{
	const struct watched_arena *m;
	uint64_t bytes = 0;

	*heaps = 0;
	for (m = s->arenas; m; m = m->next) {
		if (!groups_of(m) || !counts(m, a))
			continue;
		/* Its client chooses any figure for it, and the sum is not to go round. */
		bytes +=
			m->reached_bytes < m->resident_bytes ? m->reached_bytes : m->resident_bytes;
		*one = m->r;
		++*heaps;
	}
	return bytes;
}

static void warn_if_too_low(const struct groups *s, const struct account *a)
{
	struct pressure_state *t = a->state;
	const struct registry_arena *one = NULL;
	size_t heaps;
	uint64_t live = reached_in(s, a, &heaps, &one),
		 limit = a->chosen ? a->soft_bytes : a->hard_bytes;
	char name[REGISTRY_NAME];

	if (live <= a->soft_bytes || t->reported_bytes == a->soft_bytes)
		return;
	t->reported_bytes = a->soft_bytes;
	if (heaps == 1)
		registry_name(one, name);
	else
		snprintf(name, sizeof(name), "%zu clients together", heaps);
	log_warning(
		"%s: %.1f MiB live, more than %sthe memory limit of %.1f MiB%s%s: it can't be "
		"kept; raise the limit, or have the program hold on to less",
		name, (double)live / (1 << 20), a->chosen ? "" : "nine tenths of ",
		(double)limit / (1 << 20), a->chosen ? "" : " of ",
		a->chosen ? "" : a->g->level->name);
}

/*
 * Use is half-way from the soft to the real limit: request cycles, less and less often if that does
 * not help.
 */
static void request_cycles(struct snapshot *snap, const struct account *a)
{
	struct pressure_state *t = a->state;
	size_t i;

	if (a->used_bytes <= a->soft_bytes) {
		t->request_interval_ns = REQUEST_NS;
		return;
	}
	if ((a->used_bytes <= urgent_bytes(a) && !a->g->rang) ||
	    snap->now - t->requested_ns < t->request_interval_ns)
		return;
	t->requested_ns = snap->now;
	t->request_interval_ns = t->request_interval_ns * 2 < REQUEST_MAX_NS ?
					 t->request_interval_ns * 2 :
					 REQUEST_MAX_NS;
	select_arenas(snap, a);
	for (i = 0; i < snap->shares.nselected; i++)
		registry_order(snap->arenas[snap->shares.selected[i]]->r, ORDER_URGENT, 0);
}

/* When to look at it again, at most @period_ns from now. */
static uint64_t next_period(const struct account *a, const struct limit_group *top,
			    uint64_t period_ns, uint64_t now)
{
	uint64_t had = a->state->other_bytes, other = a->other_bytes;

	a->state->other_bytes = other;
	if (a->used_bytes > a->soft_bytes)
		return TICK_SHORT_NS;
	if (other > had && top->ticked_ns) {
		/* Somebody else grows: look before half of what is left is gone at that pace. */
		double pace = (double)(other - had) / (double)(now - top->ticked_ns);
		double half_ns = (double)(a->hard_bytes - a->used_bytes) / pace / 2;

		if (half_ns < (double)period_ns)
			return half_ns > TICK_SHORT_NS ? (uint64_t)half_ns : TICK_SHORT_NS;
	}
	return period_ns;
}

/* Whether the kernel will not tell when use of the group grows, or its limit shrinks. */
static bool unwatched(const struct groups *s, const struct account *a)
{
	return !a->chosen && (s->levels.deaf || !alarm_on_use(&a->g->alarm));
}

static void set_idle(struct watched_arena *m)
{
	if (!m->idle)
		registry_order(m->r, ORDER_WAKE_AFTER, WAKE_AFTER_BYTES);
	m->idle = true;
}

static void release_idle(struct snapshot *snap, const struct account *a)
{
	size_t i;

	select_arenas(snap, a);
	for (i = 0; i < snap->shares.nselected; i++) {
		struct watched_arena *m = snap->arenas[snap->shares.selected[i]];
		uint64_t needs = snap->shares.arenas[snap->shares.selected[i]].live_bytes;

		set_idle(m);
		if (m->gave_back || a->used_bytes <= a->soft_bytes / 2 ||
		    sub_sat(m->resident_bytes, needs) <= m->resident_bytes / IDLE_RELEASE_PARTS)
			continue;
		registry_order(m->r, ORDER_FREE, 0);
		m->gave_back = true;
	}
}

/* No arena has allocated, and nothing was ordered.  Returns whether the watcher may sleep. */
static bool fall_idle(const struct groups *s, struct snapshot *snap, unsigned int ticks)
{
	bool sleepy = ticks >= TICKS_IDLE;
	size_t i;

	for (i = 0; i < snap->naccounts; i++) {
		if (!unwatched(s, &snap->accounts[i]))
			continue;
		sleepy = ticks >= TICKS_IDLE_UNWATCHED;
		if (sleepy)
			release_idle(snap, &snap->accounts[i]);
	}
	return sleepy;
}

static uint32_t pressure_on(const struct watched_arena *m)
{
	struct limit_group *g = groups_of(m);
	uint32_t pressure = g->chosen.pressure;

	for (; g; g = g->up)
		if (g->own.pressure > pressure)
			pressure = g->own.pressure;
	return pressure;
}

static void tick_tree(const struct groups *s, struct limit_group *top, struct snapshot *snap)
{
	uint64_t period = top->period_ns;
	struct watched_arena *m;
	size_t i, sent;

	read_arenas(s, top, snap);
	add_accounts(s, top, snap);
	for (i = 0; i < snap->naccounts; i++) {
		select_arenas(snap, &snap->accounts[i]);
		shares_settle(&snap->shares, snap->accounts[i].room_bytes);
	}
	sent = send_shares(snap);
	period = sent || !period ? TICK_NS : period * 2 < TICK_LONG_NS ? period * 2 : TICK_LONG_NS;
	if (snap->young)
		period = TICK_SHORT_NS;
	for (i = 0; i < snap->naccounts; i++) {
		const struct account *a = &snap->accounts[i];

		judge_pressure(a);
		warn_if_too_low(s, a);
		request_cycles(snap, a);
		/* The kernel counts what is in the group. */
		if (!a->chosen)
			alarm_thresholds(&a->g->alarm, &a->g->level->files, near_bytes(a),
					 urgent_bytes(a));
		period = next_period(a, top, period, snap->now);
		a->g->rang = false;
	}
	for (m = s->arenas; m; m = m->next)
		if (groups_in(m, top))
			order_pressure(m, pressure_on(m));
	top->period_ns = period;
	top->idle_ticks = snap->active || sent ? 0 : top->idle_ticks + 1;
	snap->sleepy = fall_idle(s, snap, top->idle_ticks);
}

/*
 * There is no limit, and nobody will tell when there is one: it is looked for as long as somebody
 * allocates, and who does not is to ring when it does.  Returns when to look again.
 */
static uint64_t listen_for_limits(const struct groups *s, struct limit_group *top, uint64_t now)
{
	bool active = false;
	struct tri_ctl ctl;
	struct watched_arena *m;

	for (m = s->arenas; m; m = m->next) {
		if (!groups_in(m, top) || !read_counters(m, &ctl))
			continue;
		m->allocated_bytes = tri_read(&ctl.allocated_bytes);
		m->idle = false;
		active = true;
	}
	if (active)
		return now + TICK_LONG_NS;
	for (m = s->arenas; m; m = m->next)
		if (groups_in(m, top))
			set_idle(m);
	return UINT64_MAX;
}

/* There is no limit, or not any more. */
static void lift_limits(const struct groups *s, struct limit_group *top)
{
	struct watched_arena *m;

	for (m = s->arenas; m; m = m->next) {
		if (!groups_in(m, top))
			continue;
		if (m->share_bytes != UINT64_MAX)
			order_share(m, UINT64_MAX);
		order_pressure(m, TRI_PRESSURE_NONE);
	}
	top->own.pressure = top->chosen.pressure = TRI_PRESSURE_NONE;
	top->rang = false;
	top->next_ns = UINT64_MAX;
}

static void count(const struct groups *s, const struct limit_group *top, size_t *members,
		  size_t *groups)
{
	const struct watched_arena *m;
	struct limit_group *g;

	*members = *groups = 0;
	for (m = s->arenas; m; m = m->next)
		*members += groups_in(m, top);
	for (g = s->groups; g; g = g->next)
		*groups += groups_top(g) == top;
}

void tick(const struct groups *s, struct limit_group *top, uint64_t chosen_bytes, uint64_t now)
{
	struct snapshot snap = { .chosen_bytes = chosen_bytes, .now = now };
	size_t members, groups;

	if (!tick_limited(top, chosen_bytes)) {
		lift_limits(s, top);
		top->ticked_ns = now;
		if (tick_listens(s, top))
			top->next_ns = listen_for_limits(s, top, now);
		return;
	}
	count(s, top, &members, &groups);
	snap.arenas = calloc(members + 1, sizeof(*snap.arenas));
	snap.accounts = calloc(2 * groups, sizeof(*snap.accounts));
	/* One arena more: each is looked at before it is known to be exempt. */
	if (shares_begin(&snap.shares, members + 1) && snap.arenas && snap.accounts)
		tick_tree(s, top, &snap);
	else
		top->period_ns = TICK_NS;
	shares_free(&snap.shares);
	free(snap.arenas);
	free(snap.accounts);
	top->ticked_ns = now;
	top->next_ns = snap.sleepy ? UINT64_MAX : now + top->period_ns;
}
