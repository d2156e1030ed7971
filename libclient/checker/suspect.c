// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * suspect.c - from words that changed without a note to sites that are reported
 *
 *  1. Each suspect word is at a *place*: a global, an offset in objects of one class and kind, or a
 *     large object.
 *  2. From one pass to the next, words of some places are watched (watching.c).
 *  3. If a watched word is suspect again, the samples of the watch name all instructions that have
 *     stored to it.  The last of these has stored the value that is there now.  If that is no
 *     pointer, the fault is that of the first one, which has overwritten a pointer.  The
 *     instruction is a *site*.
 *  4. After a place was suspect, it is watched for a number of passes, its stint.  If it is not
 *     suspect again in these, the next stint is twice as long.  So a place that is stored to in
 *     each Nth pass is in the end watched for N passes.
 *  5. A place for which no instruction is found is a site itself, until one is found.
 *
 * For the agent only.
 */
#include <errno.h>
#include <string.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "checker.h"
#include "../base/state.h"
#include "suspect.h"

#define PATIENCE 16			/* after so many watches that did not tell, report a
					 * place without an instruction */
#define STINT_MOST (1u << 30)
#define REST_MOST 1024			/* passes in which a place whose instruction is known is
					 * not watched, at most */

static size_t nsites;

/** Get the memory for places and sites.  Returns 0 or -ENOMEM. */
int tri_suspects_open(void)
{
	tri_suspects = tri_check_map(sizeof(*tri_suspects));
	return tri_suspects ? 0 : -ENOMEM;
}

/* Find the entry of @key.  If there is none, make it (@may_make) or return NULL. */
static uint32_t *find(struct tri_table *t, uint64_t key, bool may_make)
{
	uint64_t i = key * 0x9e3779b97f4a7c15ull >> 40;

	for (i %= TRI_TABLE_SLOTS; t->index[i]; i = (i + 1) % TRI_TABLE_SLOTS)
		if (t->key[i] == key)
			return &t->index[i];
	if (!may_make)
		return NULL;
	t->key[i] = key;
	return &t->index[i];
}

/*
 * The key that the word has in common with others like it.  A word that is stored to once is
 * watched in the next object of its kind.
 */
static uint64_t common_key(const struct tri_suspect *s)
{
	if (s->where != TRI_WHERE_HEAP)
		return s->at;
	if (tri_classes[s->span_class].large)
		return s->object | 1;
	return 1ull << 63 | (uint64_t)s->span_class << 32 | (s->at - s->object);
}

/* Find the place of @key, or make it if there are fewer than @most places.  Else return NULL. */
static struct tri_place *place_with(uint64_t key, size_t most)
{
	uint32_t *entry =
		find(&tri_suspects->places_by_key, key, tri_nplaces < most);

	if (!entry)
		return NULL;
	if (!*entry) {
		*entry = (uint32_t)++tri_nplaces;
		tri_suspects->place[tri_nplaces - 1].key = key;
		tri_suspects->place[tri_nplaces - 1].stint = TRI_STINT;
	}
	return &tri_suspects->place[*entry - 1];
}

static struct tri_place *common_place(const struct tri_suspect *s)
{
	struct tri_place *p = place_with(common_key(s), TRI_PLACES);

	return p ? p : &tri_suspects->place[TRI_PLACES - 1];
}

/*
 * The place of a suspect.  Mostly, a word that held a pointer is stored to again, and many
 * instructions store to words at one offset.  So such a word is a place of its own, while there is
 * room.
 */
static struct tri_place *place_of(const struct tri_suspect *s)
{
	struct tri_place *common = common_place(s);
	struct tri_place *p = s->was ? place_with(s->at, TRI_PLACES / 2) : NULL;

	if (!common->first)
		common->first = s->at;
	common->differs |= common->first != s->at;
	if (!p)
		p = common;
	if (s->at > p->highest || s->object != p->latest.object)
		p->highest = s->at;
	if (p->seen != tri_check_number)
		p->told = TRI_TOLD_ELSEWHERE;
	p->latest = *s;
	p->seen = tri_check_number;
	p->left = p->stint;
	return p;
}

/* The number of a place, as reports have it. */
static size_t number_of(const struct tri_place *p)
{
	return (size_t)(p - tri_suspects->place) + 1;
}

/* The index of a new site, or of the last one if there is no room. */
static size_t new_site(void)
{
	return nsites < TRI_SITES ? nsites++ : TRI_SITES - 1;
}

/*
 * Count the pending suspects of @p for @site.  If the place was a site itself and @site has an
 * instruction, what was counted for the place becomes @site's, too.
 */
static void count_for(struct tri_place *p, size_t site)
{
	size_t bare = p->site - 1;

	if (p->is_bare && bare != site) {
		tri_suspects->count[bare] -= p->counted;
		p->pending += p->counted;
		p->is_bare = false;
		tri_report_known(number_of(p), bare + 1, site + 1);
	} else if (p->is_told && !p->site) {
		tri_report_known(number_of(p), 0, site + 1);
	}
	if (p->is_bare)
		p->counted += p->pending;
	tri_suspects->count[site] += p->pending;
	p->pending = 0;
	p->site = site + 1;
}

/* Make the place a site itself.  @why: why no instruction is known. */
static void count_for_itself(struct tri_place *p, const char *why)
{
	size_t site = new_site();

	p->site = site + 1;
	p->is_bare = true;
	count_for(p, site);
	tri_report_store(site + 1, &p->latest, NULL, number_of(p), why);
	tri_check_found();
}

/*
 * Count for @site also what the place that the word has in common with others has pending, if only
 * this word was suspect there and no other instruction is known.
 */
static void count_common(const struct tri_suspect *s, size_t site)
{
	struct tri_place *common = common_place(s);

	if (common->differs || (common->site && !common->is_bare))
		return;
	count_for(common, site);
	common->left = 0;
}

/* The instruction of @hit has stored to the word of @s, or overwritten what was there. */
static void found(struct tri_place *p, const struct tri_suspect *s, const struct tri_hit *hit)
{
	uint32_t *entry = find(&tri_suspects->sites_by_ip, hit->ip, nsites < TRI_SITES);
	size_t site = entry && *entry ? *entry - 1 : new_site();
	bool is_new = !entry || !*entry;

	/*
	 * A loop may store to the word each time around, and each store costs a microsecond or two
	 * while it is watched.
	 */
	p->rest = !p->rest ? 1 : p->rest < REST_MOST ? p->rest * 2 : p->rest;
	p->rests_until = tri_check_number + p->rest;
	p->known = tri_check_number;
	if (entry)
		*entry = (uint32_t)site + 1;
	if (is_new)
		tri_report_store(site + 1, s, hit, number_of(p), NULL);
	count_for(p, site);
	count_common(s, site);
	if (is_new)
		tri_check_found();
}

/** The word at @at is suspect.  If it is watched, it is read at once.  Returns whether it is. */
bool tri_suspect_read(uintptr_t at)
{
	bool watched = false;
	size_t i;

	for (i = 0; i < tri_nwatches; i++) {
		if (tri_suspects->watch[i].at != at)
			continue;
		tri_watch_read(&tri_suspects->watch[i]);
		watched = true;
	}
	return watched;
}

/* Find out from the watch of @s, if there is one, which instruction has stored. */
static enum tri_told attribute(struct tri_place *p, const struct tri_suspect *s)
{
	size_t i;

	for (i = 0; i < tri_nwatches; i++) {
		struct tri_watch *w = &tri_suspects->watch[i];

		if (w->at != s->at || w->was != s->was || !w->read_ns || !w->is_readable ||
		    w->now == w->was)
			continue;
		if (tri_check_is_object(w->now) ? tri_watch_last(w, &tri_suspects->hit) :
		    tri_check_is_object(w->was) && tri_watch_first(w, &tri_suspects->hit)) {
			found(p, s, &tri_suspects->hit);
			return TRI_TOLD_ONE;
		}
		return tri_watch_is_nobody(w) ? TRI_TOLD_NOBODY : TRI_TOLD_SEVERAL;
	}
	return TRI_TOLD_ELSEWHERE;
}

/*
 * Write the suspect into the file, if no site is known.  The program may end in a way in which
 * nothing more is reported.
 */
static void tell(const struct tri_place *p, const struct tri_suspect *s)
{
	struct tri_place *common = common_place(s);

	if (p->site || common->site || common->is_told)
		return;
	common->is_told = true;
	tri_report_suspect(number_of(common), s);
}

/* Note whether @p, which was watched since the last pass, was suspect, and what was found out. */
static void review(struct tri_place *p)
{
	if (p->seen == tri_check_number) {
		p->missed += p->known != tri_check_number;
		p->elsewhere += p->told == TRI_TOLD_ELSEWHERE;
	} else if (p->left && !--p->left) {
		p->in_vain = true;
		if (p->stint < STINT_MOST)
			p->stint *= 2;
	}
}

/* Why no instruction is known.  @over: why nothing more can be found out, or NULL. */
static const char *why_not(const struct tri_place *p, const char *over)
{
	const char *no_events = tri_watch_why();

	if (*no_events)
		return no_events;
	if (p->missed && p->told == TRI_TOLD_NOBODY)
		return "it was stored to while it was watched, and no thread that uses the heap did: the kernel stores "
		       "there, as for read(), or a thread that the heap does not know";
	if (p->missed && p->told == TRI_TOLD_SEVERAL)
		return "which of the instructions that store there it was could not be told";
	if (p->missed)
		return "it was stored to again, but in other words than those that were watched";
	return over ? over : "it was not stored to again while it was watched";
}

/*
 * Whether @p had one word only, that word is a place of its own by now, and its instruction may
 * still be found.
 */
static bool is_waited_for(const struct tri_place *p)
{
	uint32_t *entry = p->differs ? NULL : find(&tri_suspects->places_by_key, p->first, false);

	return entry && *entry && *entry != number_of(p) && tri_suspects->place[*entry - 1].pending;
}

/*
 * Report the pending suspects of @p without an instruction, if it is not worthwhile to wait for one
 * any longer.
 */
static void give_up_waiting(struct tri_place *p, const char *over)
{
	struct tri_place *common;

	if (!p->pending || !(over || *tri_watch_why() || p->missed > PATIENCE ||
			     (p->in_vain && !is_waited_for(p))))
		return;
	/* A place of one word is not reported.  It is counted with others like it. */
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
	 * A place that words have in common may be made by this, and is the last one then.  So this
	 * goes from the last place to the first, and then once more.
	 */
	for (i = tri_nplaces; i--;)
		give_up_waiting(&tri_suspects->place[i], over);
	for (i = 0; i < tri_nplaces; i++)
		give_up_waiting(&tri_suspects->place[i], over);
}

/** Checking has ended: stop watching, and report what was waited for.  Takes list_lock. */
void tri_suspects_stop(void)
{
	tri_watching_stop();
	give_up_all("checking ended before it was seen to be stored to again");
	pthread_mutex_lock(&tri_g.list_lock);
	tri_watches_start(NULL, 0);
	pthread_mutex_unlock(&tri_g.list_lock);
}

static void sum_up(void)
{
	uint64_t stores = 0;
	size_t i, n = 0;

	/* A site without stores turned out to have the instruction of another site. */
	for (i = 0; i < nsites; i++) {
		if (!tri_suspects->count[i])
			continue;
		tri_report_count(i + 1, tri_suspects->count[i]);
		stores += tri_suspects->count[i];
		n++;
	}
	tri_report_end(n, stores, tri_unwatched);
}

/** A pass begins. */
void tri_suspects_begin(void)
{
	tri_check_number++;
}

/** Take some suspects of the pass, which were read a moment ago. */
void tri_suspects_add(const struct tri_suspect *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct tri_place *p = place_of(&s[i]);
		enum tri_told told;

		p->pending++;
		told = attribute(p, &s[i]);
		if (told != TRI_TOLD_ELSEWHERE)
			p->told = told;
		if (p->pending && p->site)
			count_for(p, p->site - 1);
		tell(p, &s[i]);
	}
}

/**
 * The pass has no more suspects.  None was read before @pass_ns, nor before everything that has a
 * note of the last epoch was stored.  @last: there will be no other pass.  Takes list_lock.
 */
void tri_suspects_take(uint64_t pass_ns, bool last)
{
	struct tri_suspects *all = tri_suspects;
	size_t i;

	for (i = 0; i < tri_nplaces; i++)
		if (all->place[i].chosen && all->place[i].chosen + 1 == tri_check_number)
			review(&all->place[i]);
	tri_watching_choose(pass_ns, last);
	pthread_mutex_lock(&tri_g.list_lock);
	tri_watches_start(tri_suspects->watch, tri_nwatches);
	pthread_mutex_unlock(&tri_g.list_lock);
	give_up_all(
		last ? "the program ended before it was seen to be stored to again: let it run for longer" :
		       NULL);
	if (last)
		sum_up();
}
