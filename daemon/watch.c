// SPDX-License-Identifier: GPL-2.0-only
/*
 * watch.c - the thread that knows what memory there is, and splits it among arenas
 *
 *  1. Each client is in a control group, its *place*; the group from there upwards that has the
 *     tightest limit is what its memory is counted in.  All clients of such a *group* share what
 *     its limit leaves.
 *
 *	soft limit	nine tenths of the group's limit
 *	others		what the group uses, less inactive file cache, less the arenas
 *	budget		soft limit − others, which include arenas that have a limit of their own
 *
 *     Somebody may have chosen a limit for the clients of a group together.  Against that, what is
 *     private memory of theirs is others, and what else is in the group is not.  The tighter holds.
 *
 *  2. A *tick* of a group looks at its arenas from outside (size of the file, counters in the
 *     control page, figures that their threads publish), splits the budget (budget.c) and orders
 *     each arena's thread to keep its share.  Who is to give gets its order first.
 *
 *  3. Ticks come by the clock while any arena of a limited group is at work: often if parts are
 *     still moving, seldom if not.  When nobody is at work the watcher sleeps without a timer:
 *     shares are reserved, so what an arena does within its share concerns nobody.  It is woken by
 *     an arena that starts a cycle, by clients that come and go, and by the kernel (alarm.c), if a
 *     limit is written or memory is getting short.
 *
 *  4. If the group is half-way from its soft limit to the real one, its arenas are urged: they
 *     release at once what they have in free pages, and collect if there is anything to be had.
 *
 * Nobody waits for the watcher.  It holds no lock but the registry's, for moments.  What arenas say
 * is not believed beyond budget.c, where any figure is harmless: an arena can claim a larger part,
 * as it could by allocating, but no more than leaves the others their floors.
 *
 * Where a group can't be seen (no cgroups, another container) and somebody has chosen a limit, what
 * is known of the clients themselves is counted: their arenas, and their private memory.
 */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "alarm.h"
#include "arena.h"
#include "backing.h"
#include "budget.h"
#include "cgroup.h"
#include "clock.h"
#include "log.h"
#include "registry.h"
#include "tricolor.h"

#define STACK_BYTES (256u << 10)
#define MS 1000000ull
#define TICK_MIN_NS (10 * MS)		/* no two ticks are nearer, whatever rings */
#define TICK_SHORT_NS (20 * MS)		/* above the soft limit */
#define TICK_NS (100 * MS)		/* while parts are moving */
#define TICK_LONG_NS (400 * MS)		/* while they are not */
#define TICKS_IDLE 3			/* without anybody at work: then sleep */
#define PLACE_NS (5000 * MS)		/* clients may be moved to another group, and nothing tells */
#define LIMIT_NS (1000 * MS)		/* limits are read again, in case inotify does not work there */
#define URGE_NS (50 * MS)		/* urged again after so long, if it has not helped … */
#define URGE_MAX_NS (2000 * MS)		/* … and less and less often */
#define SOFT_PARTS 10			/* the soft limit is a tenth below the real one */
#define NEAR_TICKS 2			/* a quarter into the reserve before clients are told … */
#define ROOM_TICKS 10			/* … and well below it before they are told that it is over */

struct group {
	char dir[PATH_MAX];		/* its folder; "": can't be seen */
	unsigned int version;
	uint64_t limit_bytes;		/* CGROUP_NONE */
	struct alarm alarm;
	uint32_t pressure;		/* as ordered */
	unsigned int near_ticks, room_ticks, idle_ticks;
	uint64_t other_bytes, ticked_ns, next_ns, period_ns, urged_ns, urge_ns;
	bool rang;
	struct group *next;
};

struct place {
	struct cgroup cg;
	struct group *group;
	struct place *next;
};

struct member {
	struct registry_arena *r;	/* a reference */
	struct place *place;
	uint64_t placed_ns;
	bool present;			/* met while the list was read */

	/* As of the last tick. */
	struct budget_pace pace;
	uint64_t allocated_bytes, cycles, looked_ns;
	uint64_t resident_bytes, private_bytes;
	bool active;
	bool exempt;			/* has a limit of its own, or wants none */
	uint64_t share_bytes;		/* as ordered; UINT64_MAX: none */
	uint32_t pressure;
	struct member *next;
};

/* All of the watcher's thread but for what is atomic. */
static struct {
	int wake_fd, limits_fd;
	struct member *members;
	struct place *places;
	struct group *groups;
	bool untidy;			/* somebody has left a place or a group */
	uint64_t tidied_ns;
	_Atomic(bool) asleep;
	_Atomic(uint64_t) total_bytes;
} watch = { .wake_fd = -1, .limits_fd = -1 };

void watch_wake(void)
{
	uint64_t one = 1;

	/* pairs with fall_asleep() */
	if (atomic_load(&watch.asleep) && atomic_exchange(&watch.asleep, false) &&
	    write(watch.wake_fd, &one, sizeof(one)) < 0)
		return;
}

void watch_hurry(void)
{
	uint64_t one = 1;

	if (watch.wake_fd >= 0 && write(watch.wake_fd, &one, sizeof(one)) < 0)
		return;
}

void watch_set_total(uint64_t total_bytes)
{
	uint64_t one = 1;

	atomic_store(&watch.total_bytes, total_bytes);
	if (watch.wake_fd >= 0 && write(watch.wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* ------------------------------------------------------------------------------------------ */
/* Who is where                                                                               */
/* ------------------------------------------------------------------------------------------ */

static struct group *group_of(const struct cgroup *cg, const struct cgroup_limit *limit)
{
	struct group *g;

	for (g = watch.groups; g; g = g->next)
		if (!strcmp(g->dir, limit->dir))
			return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	strcpy(g->dir, limit->dir);
	g->version = cg->version;
	g->limit_bytes = CGROUP_NONE;
	g->period_ns = TICK_NS;
	g->urge_ns = URGE_NS;
	alarm_open(&g->alarm, g->dir, g->version);
	g->next = watch.groups;
	watch.groups = g;
	return g;
}

static void set_limit(struct group *g, const struct cgroup_limit *limit)
{
	if (g->limit_bytes == limit->limit_bytes)
		return;
	g->limit_bytes = limit->limit_bytes;
	g->next_ns = 0;
	if (limit->limit_bytes == CGROUP_NONE)
		log_line("%s: no memory limit", g->dir);
	else
		log_line("%s: memory limit %.1f MiB%s", g->dir,
			 (double)limit->limit_bytes / (1 << 20),
			 limit->hidden ? ", of a group above that can't be seen from here" : "");
}

/* Read the limits of a place again: which group counts its memory. */
static void look_at_place(struct place *p)
{
	struct cgroup_limit limit = { .limit_bytes = CGROUP_NONE };
	struct group *g;

	if (p->cg.version)
		cgroup_tightest(&p->cg, &limit);
	g = group_of(&p->cg, &limit);
	if (!g)
		return;
	watch.untidy |= p->group && p->group != g;
	p->group = g;
	set_limit(g, &limit);
}

static struct place *place_of(const struct registry_arena *r)
{
	struct cgroup cg;
	struct place *p;

	cgroup_find("", r->pid, "memory", &cg);
	for (p = watch.places; p; p = p->next)
		if (!strcmp(p->cg.dir, cg.dir))
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->cg = cg;
	p->next = watch.places;
	watch.places = p;
	if (!cg.version)
		log_line("client %d: its memory limit can't be seen: %s", r->pid, cg.why);
	alarm_on_limits(watch.limits_fd, &p->cg);
	look_at_place(p);
	return p;
}

static void place(struct member *m, uint64_t now)
{
	struct place *p = place_of(m->r);

	m->placed_ns = now;
	if (!p || p == m->place)
		return;
	watch.untidy |= m->place != NULL;
	m->place = p;
	if (p->cg.version)
		registry_set_cgroup(m->r, p->cg.dir);
	if (p->group)
		p->group->next_ns = 0;
}

static void drop_member(struct member **at)
{
	struct member *m = *at;

	*at = m->next;
	if (m->place && m->place->group)
		m->place->group->next_ns = 0;
	watch.untidy = true;
	registry_put(m->r);
	free(m);
}

/* Take those that have come, and let go of those that have left. */
static void meet(uint64_t now)
{
	size_t n, room = registry_count() + 16, i;
	struct registry_arena **list = calloc(room, sizeof(*list));
	struct member *m, **at;

	if (!list)
		return;
	n = registry_all(list, room);
	for (m = watch.members; m; m = m->next)
		m->present = false;
	for (i = 0; i < (n < room ? n : room); i++) {
		for (m = watch.members; m && m->r != list[i]; m = m->next)
			;
		if (m) {
			registry_put(list[i]);
		} else {
			m = calloc(1, sizeof(*m));
			if (!m) {
				registry_put(list[i]);
				continue;
			}
			m->r = list[i];
			m->share_bytes = UINT64_MAX;
			m->looked_ns = list[i]->attached_ns;
			m->next = watch.members;
			watch.members = m;
			place(m, now);
		}
		m->present = true;
	}
	/* More than there was room for: the list has rung again by now. */
	for (at = &watch.members; *at && n <= room;)
		if ((*at)->present)
			at = &(*at)->next;
		else
			drop_member(at);
	free(list);
}

/*
 * Let go of places and groups that nobody is in any more, with the descriptors of their alarms.  Not
 * at once: processes that come and go one by one would have all of it made anew each time.
 */
static void tidy(uint64_t now)
{
	struct place **p = &watch.places;
	struct group **g = &watch.groups;
	struct member *m;

	if (!watch.untidy || now - watch.tidied_ns < PLACE_NS)
		return;
	watch.untidy = false;
	watch.tidied_ns = now;
	while (*p) {
		struct place *old = *p;

		for (m = watch.members; m && m->place != old; m = m->next)
			;
		if (m) {
			p = &old->next;
		} else {
			*p = old->next;
			free(old);
		}
	}
	while (*g) {
		struct group *old = *g;
		struct place *in;

		for (in = watch.places; in && in->group != old; in = in->next)
			;
		if (in) {
			g = &old->next;
		} else {
			*g = old->next;
			alarm_close(&old->alarm);
			free(old);
		}
	}
}

/* ------------------------------------------------------------------------------------------ */
/* A tick                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/*
 * A limit, and what counts against it.  There may be two: the group's, against which all counts
 * that is in the group; and one that somebody has chosen for the clients, against which they count
 * alone, with their arenas and their private memory.
 */
struct bounds {
	uint64_t soft_bytes;		/* CGROUP_NONE: there is no such limit */
	uint64_t hard_bytes;		/* what must not be reached */
	uint64_t used_bytes;
	uint64_t other_bytes;		/* of that, what is no arena that has a share */
};

static bool limited(const struct group *g)
{
	return g->limit_bytes != CGROUP_NONE || atomic_load(&watch.total_bytes);
}

static bool in_group(const struct member *m, const struct group *g)
{
	return m->place && m->place->group == g;
}

/* Private memory of a process beside its arena: anonymous pages. */
static uint64_t private_bytes(pid_t pid)
{
	unsigned long long resident = 0, shared = 0;
	char dir[32], text[128];

	snprintf(dir, sizeof(dir), "/proc/%d", pid);
	if (pid <= 0 || !cgroup_read(dir, "statm", text, sizeof(text)) ||
	    sscanf(text, "%*s %llu %llu", &resident, &shared) != 2 || resident < shared)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Whether the arena has allocated since it was looked at. */
static bool look_at_counters(struct member *m, struct tri_ctl *ctl)
{
	int fd = atomic_load(&m->r->file);

	if (fd < 0 || pread(fd, ctl, sizeof(*ctl), 0) != sizeof(*ctl))
		memset(ctl, 0, sizeof(*ctl));
	return tri_read(&ctl->allocated_bytes) != m->allocated_bytes;
}

/* An arena as it is seen from outside; nothing of it has to wake up for that. */
static void look(struct member *m, struct budget_arena *b, uint64_t now)
{
	struct registry_figures f;
	struct tri_ctl ctl;
	uint64_t allocated;
	int fd = atomic_load(&m->r->file);

	registry_read(m->r, &f);
	m->active = look_at_counters(m, &ctl) || f.cycles != m->cycles;
	allocated = tri_read(&ctl.allocated_bytes);
	m->exempt = tri_read(&ctl.memory_limit_bytes) != TRI_LIMIT_AUTO;
	m->resident_bytes = backing_resident_bytes(fd, f.heap_bytes + f.free_bytes);
	budget_note_allocation(&m->pace, allocated > m->allocated_bytes ?
			       allocated - m->allocated_bytes : 0, now - m->looked_ns);
	if (f.cycles > m->cycles)
		budget_note_cycle(&m->pace, f.live_bytes, f.cycle_cpu_ns);
	m->allocated_bytes = allocated;
	m->cycles = f.cycles;
	m->looked_ns = now;
	b->live_bytes = f.live_bytes + f.overhead_bytes;
	/* What a newcomer has filled may all be alive: its first cycle will tell. */
	b->bound_bytes = f.cycles < 2 && m->resident_bytes > f.bound_bytes ? m->resident_bytes :
			 f.bound_bytes;
	b->cap_bytes = f.cap_bytes;
	b->weight = budget_weight(&m->pace, f.live_bytes);
}

static void order_share(struct member *m, uint64_t bytes)
{
	m->share_bytes = bytes;
	registry_order(m->r, ORDER_SHARE, bytes > INT64_MAX ? PACER_NO_LIMIT : (int64_t)bytes);
}

static void order_pressure(struct member *m, uint32_t pressure)
{
	if (m->pressure == pressure)
		return;
	m->pressure = pressure;
	registry_order(m->r, ORDER_PRESSURE, pressure);
}

static uint64_t room(const struct bounds *b)
{
	return b->soft_bytes > b->other_bytes ? b->soft_bytes - b->other_bytes : 0;
}

/* The tighter one.  @arenas: of all clients; @exempt: of those that have no share. */
static struct bounds bounds_of(const struct group *g, uint64_t arenas, uint64_t exempt,
			       uint64_t private)
{
	uint64_t total = atomic_load(&watch.total_bytes);
	struct bounds group = { .soft_bytes = CGROUP_NONE }, chosen = {
		.soft_bytes = total,
		.hard_bytes = total + total / (SOFT_PARTS - 1),
		.used_bytes = arenas + private,
		.other_bytes = exempt + private,
	};

	if (g->limit_bytes != CGROUP_NONE) {
		/* File cache that nobody misses is left out. */
		uint64_t used = g->version ? cgroup_usage(g->dir, g->version) : CGROUP_NONE;

		if (used == CGROUP_NONE)
			used = arenas + private;
		group = (struct bounds){
			.soft_bytes = g->limit_bytes - g->limit_bytes / SOFT_PARTS,
			.hard_bytes = g->limit_bytes,
			.used_bytes = used,
			.other_bytes = (used > arenas ? used - arenas : 0) + exempt,
		};
	}
	return !total || (group.soft_bytes != CGROUP_NONE && room(&group) < room(&chosen)) ? group :
											     chosen;
}

static void judge_pressure(struct group *g, uint64_t used, uint64_t soft, uint64_t near,
			   uint64_t urgent)
{
	if (used > near) {
		g->near_ticks++;
		g->room_ticks = 0;
	} else {
		g->near_ticks = 0;
		g->room_ticks += used < soft - soft / 20;
	}
	if (used > urgent || g->near_ticks >= NEAR_TICKS)
		g->pressure = TRI_PRESSURE_NEAR;
	else if (g->room_ticks >= ROOM_TICKS)
		g->pressure = TRI_PRESSURE_NONE;
}

/* Order what has changed, the ones that give first. */
static size_t send_shares(struct member **list, const uint64_t *share, size_t n)
{
	size_t sent = 0, i;
	int gives;

	for (gives = 1; gives >= 0; gives--) {
		for (i = 0; i < n; i++) {
			uint64_t had = list[i]->share_bytes;

			if (share[i] == had || (share[i] < had) != gives)
				continue;
			order_share(list[i], share[i]);
			sent++;
		}
	}
	return sent;
}

struct split {
	struct member **list;
	struct budget_arena *arenas;
	uint64_t *share;
};

static size_t count_members(void)
{
	struct member *m;
	size_t n = 0;

	for (m = watch.members; m; m = m->next)
		n++;
	return n;
}

static bool make_room(struct split *s, size_t n)
{
	s->list = calloc(n, sizeof(*s->list));
	s->arenas = calloc(n, sizeof(*s->arenas));
	s->share = calloc(n, sizeof(*s->share));
	return s->list && s->arenas && s->share;
}

/* Half-way from soft to real limit: less and less often, if it does not help. */
static void urge(struct group *g, struct member **list, size_t n, const struct bounds *bounds,
		 uint64_t urgent_bytes, uint64_t now)
{
	size_t i;

	if (bounds->used_bytes <= bounds->soft_bytes) {
		g->urge_ns = URGE_NS;
		return;
	}
	if ((bounds->used_bytes <= urgent_bytes && !g->rang) || now - g->urged_ns < g->urge_ns)
		return;
	g->urged_ns = now;
	g->urge_ns = g->urge_ns * 2 < URGE_MAX_NS ? g->urge_ns * 2 : URGE_MAX_NS;
	for (i = 0; i < n; i++)
		registry_order(list[i]->r, ORDER_URGENT, 0);
}

/* When to look again. */
static void set_period(struct group *g, const struct bounds *bounds, bool moved, uint64_t now)
{
	uint64_t other = bounds->other_bytes, left = bounds->hard_bytes - bounds->used_bytes;

	if (moved)
		g->period_ns = TICK_NS;
	else if (g->period_ns < TICK_LONG_NS)
		g->period_ns *= 2;
	if (other > g->other_bytes && g->ticked_ns && bounds->used_bytes < bounds->hard_bytes) {
		/* Somebody else grows: look before half of what is left is gone at that pace. */
		double pace = (double)(other - g->other_bytes) / (double)(now - g->ticked_ns);
		double half_ns = (double)left / pace / 2;

		if (half_ns < (double)g->period_ns)
			g->period_ns = half_ns > TICK_SHORT_NS ? (uint64_t)half_ns : TICK_SHORT_NS;
	}
	if (bounds->used_bytes > bounds->soft_bytes)
		g->period_ns = TICK_SHORT_NS;
	g->other_bytes = other;
}

static void tick_members(struct group *g, struct split *s, uint64_t now)
{
	uint64_t arenas = 0, exempt = 0, private = 0, budget, reserve, near, urgent;
	bool active = false, chosen = atomic_load(&watch.total_bytes);
	struct bounds bounds;
	size_t n = 0, i, sent;
	struct member *m;

	for (m = watch.members; m; m = m->next) {
		if (!in_group(m, g))
			continue;
		look(m, &s->arenas[n], now);
		active |= m->active;
		arenas += m->resident_bytes;
		if (!g->version || chosen)
			private += private_bytes(m->r->pid);
		if (m->exempt) {
			exempt += m->resident_bytes;
			if (m->share_bytes != UINT64_MAX)
				order_share(m, UINT64_MAX);
			continue;
		}
		s->list[n++] = m;
	}
	/* After the arenas: what grows in between is taken for somebody else's, and the budget for less. */
	bounds = bounds_of(g, arenas, exempt, private);
	budget = room(&bounds);
	for (i = 0; i < n; i++)
		s->share[i] = s->list[i]->share_bytes == UINT64_MAX ? 0 : s->list[i]->share_bytes;
	budget_split(s->arenas, n, budget);
	budget_settle(s->arenas, n, budget, s->share);
	sent = send_shares(s->list, s->share, n);

	reserve = bounds.hard_bytes - bounds.soft_bytes;
	near = bounds.soft_bytes + reserve / 4;
	urgent = bounds.soft_bytes + reserve / 2;
	judge_pressure(g, bounds.used_bytes, bounds.soft_bytes, near, urgent);
	urge(g, s->list, n, &bounds, urgent, now);
	for (m = watch.members; m; m = m->next)
		if (in_group(m, g))
			order_pressure(m, g->pressure);
	/* The kernel counts what is in the group. */
	if (bounds.hard_bytes == g->limit_bytes)
		alarm_thresholds(&g->alarm, g->dir, near, urgent);
	set_period(g, &bounds, sent != 0, now);
	g->idle_ticks = active || sent ? 0 : g->idle_ticks + 1;
}

static void tick(struct group *g, uint64_t now)
{
	struct split s = { NULL, NULL, NULL };
	struct member *m;

	if (!limited(g)) {
		for (m = watch.members; m; m = m->next) {
			if (!in_group(m, g))
				continue;
			if (m->share_bytes != UINT64_MAX)
				order_share(m, UINT64_MAX);
			order_pressure(m, TRI_PRESSURE_NONE);
		}
		g->pressure = TRI_PRESSURE_NONE;
		g->next_ns = UINT64_MAX;
		return;
	}
	if (make_room(&s, count_members() + 1))
		tick_members(g, &s, now);
	free(s.list);
	free(s.arenas);
	free(s.share);
	g->rang = false;
	g->ticked_ns = now;
	g->next_ns = g->idle_ticks >= TICKS_IDLE ? UINT64_MAX : now + g->period_ns;
}

/* ------------------------------------------------------------------------------------------ */
/* The thread                                                                                 */
/* ------------------------------------------------------------------------------------------ */

/*
 * Get ready to sleep until somebody rings, if no tick is due.  An arena's thread that starts a cycle
 * reads `asleep` after its client has counted what made the cycle due: either it sees that we sleep,
 * and rings, or we see the counter.
 */
static void fall_asleep(void)
{
	struct tri_ctl ctl;
	struct member *m;
	struct group *g;
	bool any = false;

	for (g = watch.groups; g; g = g->next) {
		if (g->next_ns != UINT64_MAX)
			return;
		any |= limited(g);
	}
	/* Cycles are nothing to us. */
	if (!any)
		return;
	/* pairs with watch_wake() */
	atomic_store(&watch.asleep, true);
	for (m = watch.members; m; m = m->next) {
		if (!m->place || !m->place->group || !limited(m->place->group) ||
		    !look_at_counters(m, &ctl))
			continue;
		m->place->group->next_ns = 0;
		atomic_store(&watch.asleep, false);
		return;
	}
}

static int next_timeout(uint64_t now)
{
	uint64_t due = watch.untidy ? watch.tidied_ns + PLACE_NS : UINT64_MAX;
	struct group *g;

	for (g = watch.groups; g; g = g->next)
		if (g->next_ns < due)
			due = g->next_ns;
	if (due == UINT64_MAX)
		return -1;
	return due <= now ? 0 : (int)((due - now + MS - 1) / MS);
}

/* Wait, and note who has rung.  Returns whether a limit may have changed. */
static bool wait_for_news(void)
{
	struct pollfd *p;
	struct group *g;
	size_t n = 2;
	uint64_t times;
	bool limits;

	for (g = watch.groups; g; g = g->next)
		n += ALARM_FDS;
	p = calloc(n, sizeof(*p));
	if (!p) {
		poll(NULL, 0, 100);
		return true;
	}
	p[0] = (struct pollfd){ .fd = watch.wake_fd, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = watch.limits_fd, .events = POLLIN };
	for (g = watch.groups, n = 2; g; g = g->next, n += ALARM_FDS)
		alarm_poll(&g->alarm, &p[n]);
	fall_asleep();
	if (poll(p, n, next_timeout(clock_ns())) < 0)
		memset(p, 0, n * sizeof(*p));
	atomic_store(&watch.asleep, false);
	limits = p[1].revents != 0;
	if (limits)
		alarm_limits_drain(watch.limits_fd);
	if (p[0].revents && read(watch.wake_fd, &times, sizeof(times)) > 0) {
		for (g = watch.groups; g; g = g->next) {
			g->next_ns = 0;
			g->idle_ticks = 0;
		}
	}
	for (g = watch.groups, n = 2; g; g = g->next, n += ALARM_FDS) {
		if (alarm_rang(&g->alarm, &p[n])) {
			g->rang = true;
			g->next_ns = 0;
		}
	}
	free(p);
	return limits;
}

static void *watcher(void *unused)
{
	uint64_t limits_ns = 0;

	(void)unused;
	for (;;) {
		bool limits = wait_for_news();
		uint64_t now = clock_ns();
		struct member *m;
		struct place *p;
		struct group *g;

		meet(now);
		if (limits || now - limits_ns >= LIMIT_NS) {
			limits_ns = now;
			for (p = watch.places; p; p = p->next)
				look_at_place(p);
		}
		for (m = watch.members; m; m = m->next)
			if (!m->place || now - m->placed_ns >= PLACE_NS)
				place(m, now);
		tidy(now);
		for (g = watch.groups; g; g = g->next) {
			if (g->next_ns > now)
				continue;
			if (g->next_ns || now - g->ticked_ns >= TICK_MIN_NS)
				tick(g, now);
			else
				g->next_ns = g->ticked_ns + TICK_MIN_NS;
		}
	}
	return NULL;
}

void watch_start(uint64_t total_bytes)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	atomic_store(&watch.total_bytes, total_bytes);
	watch.wake_fd = registry_watch();
	watch.limits_fd = alarm_limits_open();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = watch.wake_fd < 0 ? -watch.wake_fd : pthread_create(&thread, &attr, watcher, NULL);
	pthread_attr_destroy(&attr);
	if (!err)
		pthread_setname_np(thread, "tricolord-watch");
	else
		log_line("memory limits of containers are not kept: no thread to watch them: %s",
			 strerror(err));
}
