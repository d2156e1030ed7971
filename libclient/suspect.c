// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * suspect.c - from words that changed without a note to sites that are reported; agent
 *
 *  1. Each suspect word is at a place: a global, an offset in objects of one class and kind, or a
 *     large object.
 *  2. From one pass to the next the words of some places are watched: where it was, the word behind
 *     that, or in an object that is yet to be made.
 *  3. A watched word that is suspect again was stored to by those whom the samples name, and by
 *     nobody else: the last of them has stored what is there, and, if that is no pointer, the first
 *     one has overwritten what was.  That instruction is a site.
 *  4. How a place is watched is changed by what is known only: it was suspect while it was watched,
 *     and no watch told by whom.  Passes in which it was not suspect say nothing of that.  So it
 *     does not matter how often it is stored to, nor how many passes lie between two of its stores.
 *     A watch that goes on is not touched by a pass: between the read of a word and the watch that
 *     comes after it there may be a store each time.
 *  5. It is watched for @stint passes after it was suspect.  If it was not again in these, there
 *     will be twice as many the next time: a place that is stored to in each Nth pass is watched
 *     for N passes in the end.
 *  6. A place for which no instruction is found is a site itself; until one is found after all.
 */
#include <errno.h>
#include <string.h>

#include "../core/heap/layout.h"
#include "../core/heap/sizeclass.h"
#include "../core/heap/span.h"
#include "cache.h"
#include "checker.h"
#include "init.h"
#include "lock.h"
#include "state.h"
#include "thread.h"

#define PLACES 4096u			/* of each; later ones are counted as the last */
#define SITES 4096u
#define SLOTS (4 * PLACES)		/* of a table that leads to them */
#define PATIENCE 16			/* times that no watch told who it was, before that is
					 * reported */
#define STINT 32u			/* passes that a place is watched for, at first */
#define STINT_MOST (1u << 30)
#define REST_MOST 1024		/* passes in which one whose instruction is known is left alone */
#define LOCK_NS 1000000ull
#define WATCHED TRI_WATCHED		/* words at a time; four for each thread */

enum aim { AT_SLOT, AT_NEXT_OBJECT, AT_NEXT_WORD, AIMS };

/* What the watches have told of a word that was suspect. */
enum told { ELSEWHERE, BY_ONE, BY_SEVERAL, BY_NOBODY };

struct place {
	uint64_t key;
	struct tri_suspect latest;
	uintptr_t highest;		/* address that was suspect */
	uint64_t pending;		/* suspects that no site has yet */
	uint64_t turns;			/* passes that it was watched for */
	uint32_t stint, left;		/* those that it is to be watched for after it was
					 * suspect, and from now on */
	bool in_vain;			/* it was not suspect again in one */
	uint32_t missed;		/* times that it was suspect while it was watched, and no
					 * watch told by whom */
	uint32_t elsewhere;		/* of these, what was suspect was not what was watched */
	enum told told;			/* the last time that it was watched */
	uint64_t seen, chosen;		/* the last pass in which it was suspect, was chosen to
					 * be watched */
	uint64_t known;			/* the last pass in which a watch told by whom */
	size_t site;			/* + 1; 0: none yet */
	bool is_bare;			/* the site is the place itself: no instruction is known */
	uintptr_t first;		/* the address that was suspect first; of words that are
					 * places of their own, too */
	bool differs;			/* others were, later */
	bool is_told;			/* it was reported that it is suspect */
	uint64_t counted;		/* suspects that the bare site has from here */
	uint64_t rest, rests_until;	/* an instruction is known, and another one is not looked
					 * for before that pass */
};

struct table {
	uint64_t key[SLOTS];
	uint32_t index[SLOTS];		/* + 1; 0: unused */
};

struct all {
	struct table places_by_key, sites_by_ip;
	struct place place[PLACES];
	uint64_t count[SITES];
	struct tri_watch watch[WATCHED];
	struct tri_hit hit;
};

static struct all *all;
static size_t nplaces, nsites, nwatches;
/* To be watched in new objects, once windows have been given back. */
static size_t wanted[TRI_WATCHES], nwanted;
static uint64_t unwatched, pass;

/** 0 or -ENOMEM. */
int tri_suspects_open(void)
{
	all = tri_check_map(sizeof(*all));
	return all ? 0 : -ENOMEM;
}

/* The entry of @key; it is made if there is room for @n + 1 of them.  NULL: there is not. */
static uint32_t *find(struct table *t, uint64_t key, bool may_make)
{
	uint64_t i = key * 0x9e3779b97f4a7c15ull >> 40;

	for (i %= SLOTS; t->index[i]; i = (i + 1) % SLOTS)
		if (t->key[i] == key)
			return &t->index[i];
	if (!may_make)
		return NULL;
	t->key[i] = key;
	return &t->index[i];
}

/*
 * What it is in common with others: a word that is stored to once is watched in the next object
 * like its own.
 */
static uint64_t common_key(const struct tri_suspect *s)
{
	if (s->where != TRI_WHERE_HEAP)
		return s->at;
	if (tri_classes[s->span_class].large)
		return s->object | 1;
	return 1ull << 63 | (uint64_t)s->span_class << 32 | (s->at - s->object);
}

/* The place of that key; NULL: it is none yet, and there may be no more than @most. */
static struct place *place_with(uint64_t key, size_t most)
{
	uint32_t *entry = find(&all->places_by_key, key, nplaces < most);

	if (!entry)
		return NULL;
	if (!*entry) {
		*entry = (uint32_t)++nplaces;
		all->place[nplaces - 1].key = key;
		all->place[nplaces - 1].stint = STINT;
	}
	return &all->place[*entry - 1];
}

static struct place *common_place(const struct tri_suspect *s)
{
	struct place *p = place_with(common_key(s), PLACES);

	return p ? p : &all->place[PLACES - 1];
}

/*
 * A word that held a pointer is one that is stored to again, mostly, and many instructions store to
 * words of one offset.  So it is a place of its own, while there is room.
 */
static struct place *place_of(const struct tri_suspect *s)
{
	struct place *common = common_place(s), *p = s->was ? place_with(s->at, PLACES / 2) : NULL;

	if (!common->first)
		common->first = s->at;
	common->differs |= common->first != s->at;
	if (!p)
		p = common;
	if (s->at > p->highest || s->object != p->latest.object)
		p->highest = s->at;
	if (p->seen != pass)
		p->told = ELSEWHERE;
	p->latest = *s;
	p->seen = pass;
	p->left = p->stint;
	return p;
}

static size_t number_of(const struct place *p)
{
	return (size_t)(p - all->place) + 1;
}

static size_t new_site(void)
{
	return nsites < SITES ? nsites++ : SITES - 1;
}

/*
 * What waits is @site's.  So is what the place's own site has from here, if it gave way to one with
 * an instruction.
 */
static void count_for(struct place *p, size_t site)
{
	size_t bare = p->site - 1;

	if (p->is_bare && bare != site) {
		all->count[bare] -= p->counted;
		p->pending += p->counted;
		p->is_bare = false;
		tri_report_known(number_of(p), bare + 1, site + 1);
	} else if (p->is_told && !p->site) {
		tri_report_known(number_of(p), 0, site + 1);
	}
	if (p->is_bare)
		p->counted += p->pending;
	all->count[site] += p->pending;
	p->pending = 0;
	p->site = site + 1;
}

/* The place is a site itself: @why no instruction is known. */
static void count_for_itself(struct place *p, const char *why)
{
	size_t site = new_site();

	p->site = site + 1;
	p->is_bare = true;
	count_for(p, site);
	tri_report_store(site + 1, &p->latest, NULL, number_of(p), why);
	tri_check_found();
}

/*
 * Of a word that was stored to, over a pointer and not, by what is one instruction as far as is
 * known.
 */
static void count_common(const struct tri_suspect *s, size_t site)
{
	struct place *common = common_place(s);

	if (common->differs || (common->site && !common->is_bare))
		return;
	count_for(common, site);
	common->left = 0;
}

/* @hit has stored at @p, or overwritten what was there. */
static void found(struct place *p, const struct tri_suspect *s, const struct tri_hit *hit)
{
	uint32_t *entry = find(&all->sites_by_ip, hit->ip, nsites < SITES);
	size_t site = entry && *entry ? *entry - 1 : new_site();
	bool is_new = !entry || !*entry;

	/*
	 * Its word may be stored to at each turn of a loop, and each time costs a microsecond or
	 * two.
	 */
	p->rest = !p->rest ? 1 : p->rest < REST_MOST ? p->rest * 2 : p->rest;
	p->rests_until = pass + p->rest;
	p->known = pass;
	if (entry)
		*entry = (uint32_t)site + 1;
	if (is_new)
		tri_report_store(site + 1, s, hit, number_of(p), NULL);
	count_for(p, site);
	count_common(s, site);
	if (is_new)
		tri_check_found();
}

/** A word is suspect: if it is watched, what it holds is looked at at once.  Whether it is. */
bool tri_suspect_read(uintptr_t at)
{
	bool watched = false;
	size_t i;

	for (i = 0; i < nwatches; i++) {
		if (all->watch[i].at != at)
			continue;
		tri_watch_read(&all->watch[i]);
		watched = true;
	}
	return watched;
}

/* What the watch of its word tells, if there is one. */
static enum told attribute(struct place *p, const struct tri_suspect *s)
{
	size_t i;

	for (i = 0; i < nwatches; i++) {
		struct tri_watch *w = &all->watch[i];

		if (w->at != s->at || w->was != s->was || !w->read_ns || !w->is_readable ||
		    w->now == w->was)
			continue;
		if (tri_check_is_object(w->now) ? tri_watch_last(w, &all->hit) :
		    tri_check_is_object(w->was) && tri_watch_first(w, &all->hit)) {
			found(p, s, &all->hit);
			return BY_ONE;
		}
		return tri_watch_is_nobody(w) ? BY_NOBODY : BY_SEVERAL;
	}
	return ELSEWHERE;
}

/* An end may come in which nothing more is said: what is known by then is in the file. */
static void tell(const struct place *p, const struct tri_suspect *s)
{
	struct place *common = common_place(s);

	if (p->site || common->site || common->is_told)
		return;
	common->is_told = true;
	tri_report_suspect(number_of(common), s);
}

/* @p was watched since the last pass, and what came of it is known. */
static void review(struct place *p)
{
	if (p->seen == pass) {
		p->missed += p->known != pass;
		p->elsewhere += p->told == ELSEWHERE;
	} else if (p->left && !--p->left) {
		p->in_vain = true;
		if (p->stint < STINT_MOST)
			p->stint *= 2;
	}
}

/* @over: what has ended before more could be known, or NULL. */
static const char *why_not(const struct place *p, const char *over)
{
	const char *no_events = tri_watch_why();

	if (*no_events)
		return no_events;
	if (p->missed && p->told == BY_NOBODY)
		return "it was stored to while it was watched, and no thread that uses the heap did: the kernel stores "
		       "there, as for read(), or a thread that the heap does not know";
	if (p->missed && p->told == BY_SEVERAL)
		return "which of the instructions that store there it was could not be told";
	if (p->missed)
		return "it was stored to again, but in other words than those that were watched";
	return over ? over : "it was not stored to again while it was watched";
}

/*
 * Whether the word that is all of @p is a place of its own meanwhile, of which more may come to be
 * known.
 */
static bool is_waited_for(const struct place *p)
{
	uint32_t *entry = p->differs ? NULL : find(&all->places_by_key, p->first, false);

	return entry && *entry && *entry != number_of(p) && all->place[*entry - 1].pending;
}

static void give_up_waiting(struct place *p, const char *over)
{
	struct place *common;

	if (!p->pending || !(over || *tri_watch_why() || p->missed > PATIENCE ||
			     (p->in_vain && !is_waited_for(p))))
		return;
	/* One word is not worth a report of its own. */
	common = common_place(&p->latest);
	if (common == p) {
		count_for_itself(p, why_not(p, over));
		return;
	}
	common->latest = p->latest;
	common->pending += p->pending;
	common->in_vain |= p->in_vain;
	if (p->missed) {
		common->missed += p->missed;
		common->told = p->told;
	}
	p->pending = 0;
	if (common->site)
		count_for(common, common->site - 1);
}

static void give_up_all(const char *over)
{
	size_t i;

	/*
	 * From the last one on: what words have in common is a place that came later, if it came by
	 * this.
	 */
	for (i = nplaces; i--;)
		give_up_waiting(&all->place[i], over);
	for (i = 0; i < nplaces; i++)
		give_up_waiting(&all->place[i], over);
}

/* The next pass finds it there, and the same object. */
static bool stays(const struct tri_suspect *s, uintptr_t at)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t offset = at - v->heap_va;
	struct tri_object o;

	if (s->where != TRI_WHERE_HEAP)
		return true;
	return at < s->object + s->object_bytes && tri_resolve(v, offset, &o) &&
	       tri_bit(v->marks[tri_g.gen & 1], o.page, o.index) &&
	       tri_bit(v->marks[~tri_g.gen & 1], o.page, o.index);
}

/* How many there are, which may be more than there is room for. */
static size_t list_threads(pid_t *tids, size_t room)
{
	struct tri_thread *t;
	size_t n = 0;

	for (t = tri_g.threads; t; t = t->next, n++)
		if (n < room)
			tids[n] = t->tid;
	return n;
}

static void watch(uintptr_t at, uint64_t was, const pid_t *tids, size_t n, bool only)
{
	struct tri_watch *w = &all->watch[nwatches];

	if (nwatches == WATCHED)
		return;
	w->at = at;
	w->was = was;
	if (tri_watch_begin(w, tids, n, only))
		nwatches++;
	else
		unwatched++;
}

/* A word that held nothing is one that is stored to once, mostly. */
static enum aim aim_of(const struct place *p)
{
	static const enum aim of_new[AIMS] = { AT_NEXT_OBJECT, AT_SLOT, AT_NEXT_WORD };
	static const enum aim of_old[AIMS] = { AT_SLOT, AT_NEXT_OBJECT, AT_NEXT_WORD };
	enum aim aim = p->latest.was ? of_old[p->elsewhere % AIMS] : of_new[p->elsewhere % AIMS];

	if (p->latest.where != TRI_WHERE_HEAP)
		return AT_SLOT;
	return aim == AT_NEXT_OBJECT && tri_classes[p->latest.span_class].large ? AT_NEXT_WORD :
										  aim;
}

/* The word to be watched; 0: there is none yet. */
static uintptr_t aim_at(size_t place)
{
	struct place *p = &all->place[place];
	enum aim aim = aim_of(p);
	uintptr_t at = aim == AT_NEXT_WORD ? p->highest + 8 : p->latest.at;

	if (aim != AT_NEXT_OBJECT && !stays(&p->latest, at))
		aim = AT_NEXT_OBJECT;
	p->turns++;
	p->chosen = pass;
	if (aim != AT_NEXT_OBJECT)
		return at;
	if (!tri_classes[p->latest.span_class].large)
		wanted[nwanted++] = place;
	return 0;
}

/*
 * Who comes first.  Those that are new are watched for some passes each.  One that is watched stays
 * that until it has been suspect, or its passes are over: taking turns with others in each pass it
 * might miss its own.
 */
static uint64_t rank(const struct place *p)
{
	if (p->turns < STINT)
		return p->turns;
	return STINT + (p->chosen + 1 != pass || p->seen == pass ? p->turns : 0);
}

/* The next one to be watched.  @nplaces: there is none. */
static size_t next_place(void)
{
	size_t best = nplaces, i;

	for (i = 0; i < nplaces; i++) {
		const struct place *p = &all->place[i];

		if (p->left && p->chosen != pass && pass >= p->rests_until &&
		    (best == nplaces || rank(p) < rank(&all->place[best])))
			best = i;
	}
	return best;
}

/* What of @at is watched goes on to be, and is 0 then; what else is watched is not any more. */
static void keep_watches(uintptr_t at[TRI_WATCHES], size_t n, uint64_t pass_ns)
{
	size_t i, k, kept = 0;

	for (i = 0; i < nwatches; i++) {
		struct tri_watch *w = &all->watch[i];

		for (k = 0; k < n && at[k] != w->at; k++)
			;
		if (k == n || w->only || w->read_ns || w->was != tri_shadow_get(w->at)) {
			tri_watch_end(w);
			continue;
		}
		at[k] = 0;
		w->since_ns = pass_ns;
		w->is_kept = true;
		if (kept != i)
			all->watch[kept] = *w;
		kept++;
	}
	nwatches = kept;
}

static void watch_some(uint64_t pass_ns, bool none)
{
	pid_t tids[TRI_WATCHED_THREADS];
	uintptr_t at[TRI_WATCHES];
	size_t i, n, place, nat = 0;

	pthread_mutex_lock(&tri_g.list_lock);
	n = list_threads(tids, sizeof(tids) / sizeof(tids[0]));
	pthread_mutex_unlock(&tri_g.list_lock);
	nwanted = 0;
	for (i = 0; i < TRI_WATCHES && !none && (place = next_place()) < nplaces; i++) {
		at[nat] = aim_at(place);
		nat += at[nat] != 0;
	}
	keep_watches(at, nat, pass_ns);
	for (i = 0; i < nat; i++)
		if (at[i])
			watch(at[i], tri_shadow_get(at[i]), tids, n, false);
}

/*
 * The slots that @t will hand out next for what is wanted.  Its cache lock is held: it hands out
 * none.
 */
static void watch_next_objects(struct tri_thread *t)
{
	const struct tri_suspect *s;
	uintptr_t at;
	size_t i;

	for (i = 0; i < nwanted; i++) {
		s = &all->place[wanted[i]].latest;
		at = (uintptr_t)tri_cache_next(t, s->span_class);
		if (at)
			watch(at + (s->at - s->object), 0, &t->tid, 1, true);
	}
}

/**
 * Barriers are off again, and all windows given back: those that are opened now stay until the next
 * pass.
 */
void tri_suspects_aim(void)
{
	struct tri_thread *held[WATCHED], *t;
	size_t first = nwatches, n = 0;

	if (!nwanted)
		return;
	pthread_mutex_lock(&tri_g.list_lock);
	for (t = tri_g.threads; t && n < WATCHED && nwatches < WATCHED; t = t->next) {
		/* One that was stopped with its lock in its hands is left for the next cycle. */
		if (!tri_lock_until(&t->cache_lock, tri_now_ns() + LOCK_NS))
			continue;
		held[n++] = t;
		watch_next_objects(t);
	}
	tri_watches_start(&all->watch[first], nwatches - first);
	while (n)
		tri_unlock(&held[--n]->cache_lock);
	nwanted = 0;
	pthread_mutex_unlock(&tri_g.list_lock);
}

/** Nothing is watched any more. */
void tri_suspects_stop(void)
{
	size_t i;

	for (i = 0; i < nwatches; i++)
		tri_watch_end(&all->watch[i]);
	nwatches = nwanted = 0;
	give_up_all("checking ended before it was seen to be stored to again");
	pthread_mutex_lock(&tri_g.list_lock);
	tri_watches_start(NULL, 0);
	pthread_mutex_unlock(&tri_g.list_lock);
}

static void sum_up(void)
{
	uint64_t stores = 0;
	size_t i, n = 0;

	/*
	 * A site that has none is one whose instruction is that of another site, as came to be
	 * known.
	 */
	for (i = 0; i < nsites; i++) {
		if (!all->count[i])
			continue;
		tri_report_count(i + 1, all->count[i]);
		stores += all->count[i];
		n++;
	}
	tri_report_end(n, stores, unwatched);
}

/** A pass begins. */
void tri_suspects_begin(void)
{
	pass++;
}

/** Some of its suspects, which were read a moment ago. */
void tri_suspects_add(const struct tri_suspect *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct place *p = place_of(&s[i]);
		enum told told;

		p->pending++;
		told = attribute(p, &s[i]);
		if (told != ELSEWHERE)
			p->told = told;
		if (p->pending && p->site)
			count_for(p, p->site - 1);
		tell(p, &s[i]);
	}
}

/**
 * There are no more.  None was read before @pass_ns, nor before all that has a note of the last
 * epoch was stored.  @last: there is no other pass.
 */
void tri_suspects_take(uint64_t pass_ns, bool last)
{
	size_t i;

	for (i = 0; i < nplaces; i++)
		if (all->place[i].chosen && all->place[i].chosen + 1 == pass)
			review(&all->place[i]);
	watch_some(pass_ns, last);
	pthread_mutex_lock(&tri_g.list_lock);
	tri_watches_start(all->watch, nwatches);
	pthread_mutex_unlock(&tri_g.list_lock);
	give_up_all(
		last ? "the program ended before it was seen to be stored to again: let it run for longer" :
		       NULL);
	if (last)
		sum_up();
}
