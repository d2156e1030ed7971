// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * watching.c - which words are watched from one pass of the checker to the next
 *
 *  1. Places that were suspect take turns, so that each is watched for some passes (rank()).
 *  2. For a place, one of three words is watched: the word that was suspect, or the word behind it,
 *     or the same word in an object that is yet to be made.
 *  3. The choice changes only when the place was suspect while it was watched and no watch told who
 *     had stored.  A pass in which the place was not suspect changes nothing.  So it does not
 *     matter how often the place is stored to, nor how many passes lie between two stores.
 *  4. A watch that goes on is not set anew by a pass.  Otherwise a store between the read of the
 *     word and the new watch might be missed each time.
 */
#include <errno.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "../../core/system/held.h"
#include "../heap/cache.h"
#include "checker.h"
#include "../start/init.h"
#include "../base/lock.h"
#include "../base/state.h"
#include "suspect.h"
#include "../threads/thread.h"

#define LOCK_NS 1000000ull		/* how long a thread's cache lock is waited for */

enum aim { AT_SLOT, AT_NEXT_OBJECT, AT_NEXT_WORD, AIMS };

struct tri_suspects *tri_suspects;
size_t tri_nplaces, tri_nwatches;
uint64_t tri_unwatched, tri_check_number;

/* Places to be watched in new objects, once windows have been given back. */
static size_t wanted[TRI_WATCHES], nwanted;

/* Whether the next pass will find the word at @at, in the same object. */
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

/* List the threads.  Returns how many there are, which may be more than @room. */
static size_t list_threads(pid_t *tids, size_t room)
{
	struct tri_thread *t;
	size_t n = 0;

	tri_assert_held(&tri_g.list_lock);
	for (t = tri_g.threads; t; t = t->next, n++)
		if (n < room)
			tids[n] = t->tid;
	return n;
}

static void watch(uintptr_t at, uint64_t was, const pid_t *tids, size_t n, bool only)
{
	struct tri_watch *w = &tri_suspects->watch[tri_nwatches];

	if (tri_nwatches == TRI_WATCHED)
		return;
	w->at = at;
	w->was = was;
	if (tri_watch_begin(w, tids, n, only))
		tri_nwatches++;
	else
		tri_unwatched++;
}

/* Choose the word.  A word that held no pointer before is mostly stored to only once. */
static enum aim aim_of(const struct tri_place *p)
{
	static const enum aim of_new[AIMS] = { AT_NEXT_OBJECT, AT_SLOT, AT_NEXT_WORD };
	static const enum aim of_old[AIMS] = { AT_SLOT, AT_NEXT_OBJECT, AT_NEXT_WORD };
	enum aim aim = p->latest.was ? of_old[p->elsewhere % AIMS] : of_new[p->elsewhere % AIMS];

	if (p->latest.where != TRI_WHERE_HEAP)
		return AT_SLOT;
	return aim == AT_NEXT_OBJECT && tri_classes[p->latest.span_class].large ? AT_NEXT_WORD :
										  aim;
}

/* The address of the word of @place to be watched; 0: there is none yet. */
static uintptr_t aim_at(size_t place)
{
	struct tri_place *p = &tri_suspects->place[place];
	enum aim aim = aim_of(p);
	uintptr_t at = aim == AT_NEXT_WORD ? p->highest + 8 : p->latest.at;

	if (aim != AT_NEXT_OBJECT && !stays(&p->latest, at))
		aim = AT_NEXT_OBJECT;
	p->turns++;
	p->chosen = tri_check_number;
	if (aim != AT_NEXT_OBJECT)
		return at;
	if (!tri_classes[p->latest.span_class].large)
		wanted[nwanted++] = place;
	return 0;
}

/*
 * The places of the lowest rank are watched first.  New ones are watched for some passes each.  A
 * place that is watched stays so until it has been suspect, or its passes are over.  If it took
 * turns with others in each pass, it might never be watched when it is stored to.
 */
static uint64_t rank(const struct tri_place *p)
{
	if (p->turns < TRI_STINT)
		return p->turns;
	return TRI_STINT +
	       (p->chosen + 1 != tri_check_number || p->seen == tri_check_number ? p->turns : 0);
}

/* The next place to be watched; the number of places: there is none. */
static size_t next_place(void)
{
	size_t best = tri_nplaces, i;

	for (i = 0; i < tri_nplaces; i++) {
		const struct tri_place *p = &tri_suspects->place[i];

		if (p->left && p->chosen != tri_check_number &&
		    tri_check_number >= p->rests_until &&
		    (best == tri_nplaces || rank(p) < rank(&tri_suspects->place[best])))
			best = i;
	}
	return best;
}

/*
 * Go on watching those words of @at that are watched already, whose entry in @at becomes 0.  Stop
 * watching all others.
 */
static void keep_watches(uintptr_t at[TRI_WATCHES], size_t n, uint64_t pass_ns)
{
	size_t i, k, kept = 0;

	for (i = 0; i < tri_nwatches; i++) {
		struct tri_watch *w = &tri_suspects->watch[i];

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
			tri_suspects->watch[kept] = *w;
		kept++;
	}
	tri_nwatches = kept;
}

/** Choose the words that are watched until the next pass.  @none: none are. */
void tri_watching_choose(uint64_t pass_ns, bool none)
{
	pid_t tids[TRI_WATCHED_THREADS];
	uintptr_t at[TRI_WATCHES];
	size_t i, n, place, nat = 0;

	pthread_mutex_lock(&tri_g.list_lock);
	n = list_threads(tids, sizeof(tids) / sizeof(tids[0]));
	pthread_mutex_unlock(&tri_g.list_lock);
	nwanted = 0;
	for (i = 0; i < TRI_WATCHES && !none && (place = next_place()) < tri_nplaces; i++) {
		at[nat] = aim_at(place);
		nat += at[nat] != 0;
	}
	keep_watches(at, nat, pass_ns);
	for (i = 0; i < nat; i++)
		if (at[i])
			watch(at[i], tri_shadow_get(at[i]), tids, n, false);
}

/*
 * Watch words in the slots that @t will hand out next.  Its cache lock is held, so it hands out
 * none meanwhile.
 */
static void watch_next_objects(struct tri_thread *t)
{
	const struct tri_suspect *s;
	uintptr_t at;
	size_t i;

	for (i = 0; i < nwanted; i++) {
		s = &tri_suspects->place[wanted[i]].latest;
		at = (uintptr_t)tri_cache_next(t, s->span_class);
		if (at)
			watch(at + (s->at - s->object), 0, &t->tid, 1, true);
	}
}

/**
 * Watch words in objects that are yet to be made.  Called when barriers are off again and all
 * windows have been given back: those that are opened now stay open until the next pass.
 */
void tri_watching_aim(void)
{
	struct tri_thread *held[TRI_WATCHED], *t;
	size_t first = tri_nwatches, n = 0;

	if (!nwanted)
		return;
	pthread_mutex_lock(&tri_g.list_lock);
	for (t = tri_g.threads; t && n < TRI_WATCHED && tri_nwatches < TRI_WATCHED; t = t->next) {
		/* A thread that was stopped while it held its lock is left for the next cycle. */
		if (!tri_lock_until(&t->cache_lock, tri_now_ns() + LOCK_NS))
			continue;
		held[n++] = t;
		watch_next_objects(t);
	}
	tri_watches_start(&tri_suspects->watch[first], tri_nwatches - first);
	while (n)
		tri_unlock(&held[--n]->cache_lock);
	nwanted = 0;
	pthread_mutex_unlock(&tri_g.list_lock);
}

/** Stop watching all words. */
void tri_watching_stop(void)
{
	size_t i;

	for (i = 0; i < tri_nwatches; i++)
		tri_watch_end(&tri_suspects->watch[i]);
	tri_nwatches = nwanted = 0;
}
