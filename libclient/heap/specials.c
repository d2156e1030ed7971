// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * specials.c - records of cleanups and finalizers
 *
 * special.h (core) has what a record is, and Documentation/design/lifetimes.md the argument.  Here
 * are the lists that a record is on:
 *
 *	free	records that were used before.  Those that were never used begin at specials_top.
 *	a page	live records of the objects that begin in the page
 *	queue	records whose function is to be called, in the order in which they were queued
 *
 * A live record changes its state with the lock of its page's list.  So of two threads, and the
 * agent, one finds it live.  A thread is inside from before it changes a record until it has shaded
 * what the record leads to, so that a round of marking waits for that.
 */
#include "specials.h"

#include <errno.h>
#include <string.h>

#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "../base/lock.h"
#include "../roots/shade.h"
#include "../agent/agent.h"
#include "../threads/thread.h"
#include "tricolor.h"

#define LISTS 64u
#define AT_ONCE 256u			/* records for which a thread stays inside */

struct tri_special_busy tri_special_busy;
struct tri_special_runner tri_special_runner = { .lock = PTHREAD_MUTEX_INITIALIZER };
tri_au32 tri_specials_watched;

static struct tri_lock list_locks[LISTS];	/* page % LISTS: the page's list */

static struct {
	struct tri_lock lock;		/* after that of a list */
	uint32_t first, last;
	tri_au32 length;
	tri_au32 futex;
} queue;

static struct {
	struct tri_lock lock;		/* after that of the queue */
	uint32_t free;
} records;

static struct tri_special *record_at(uint32_t i)
{
	return &tri_g.view.specials[i];
}

static uint32_t page_of(uint64_t target)
{
	return (uint32_t)(target >> TRI_PAGE_SHIFT);
}

static struct tri_lock *lock_of(uint32_t page)
{
	return &list_locks[page % LISTS];
}

/* ------------------------------------------------------------------------------------------ */
/* Lists                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/* A record that nobody uses; 0: there is no room for another one. */
static uint32_t get(void)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	uint32_t i;

	tri_lock(&records.lock);
	i = records.free;
	if (i) {
		records.free = tri_read(&record_at(i)->next);
	} else {
		i = tri_read(&ctl->specials_top);
		i += !i;
		if (i >= tri_specials_room(&tri_g.view)) {
			i = 0;
		} else {
			/* The collector must not be the first to touch the record's memory. */
			tri_write(&record_at(i)->word, 0);
			tri_write_release(&ctl->specials_top, i + 1);
		}
	}
	tri_unlock(&records.lock);
	/* From now on whoever frees an object has to look at its page's list. */
	tri_g.settings.frees_at_once = false;
	return i;
}

/* The record is on no list any more. */
static void put(uint32_t i)
{
	struct tri_special *s = record_at(i);
	uint32_t use = TRI_SPECIAL_USE(tri_read(&s->word)) + 1;

	if (use == TRI_SPECIAL_USES) {
		tri_write_release(&s->word, TRI_SPECIAL_WORD(TRI_SPECIAL_FREE, 0, use - 1));
		return;
	}
	tri_write_release(&s->word, TRI_SPECIAL_WORD(TRI_SPECIAL_FREE, 0, use));
	tri_lock(&records.lock);
	tri_write(&s->next, records.free);
	records.free = i;
	tri_unlock(&records.lock);
}

/* The finalizer of the object at @target, or 0.  Called with the lock of the list. */
static uint32_t finalizer_of(uint64_t target)
{
	uint32_t i = tri_read(&tri_g.view.specials_of[page_of(target)]);

	for (; i; i = tri_read(&record_at(i)->next))
		if (TRI_SPECIAL_KIND(tri_read(&record_at(i)->word)) == TRI_SPECIAL_FINALIZER &&
		    tri_read(&record_at(i)->target) == target)
			return i;
	return 0;
}

/* Take the record that @link leads to from its list.  Called with the lock of the list. */
static void unlink_at(tri_au32 *link)
{
	tri_write(link, tri_read(&record_at(tri_read(link))->next));
	atomic_fetch_sub(&tri_g.view.ctl->specials_live, 1);
}

/* Take a record from the list of its page.  Called with the lock of the list. */
static void unlink_live(uint32_t i)
{
	tri_au32 *link = &tri_g.view.specials_of[page_of(tri_read(&record_at(i)->target))];

	while (tri_read(link) != i)
		link = &record_at(tri_read(link))->next;
	unlink_at(link);
}

/* Append a record that is on no list any more.  Called with the lock of the list. */
static void append_to_queue(uint32_t i)
{
	struct tri_special *s = record_at(i);
	uint32_t word = tri_read(&s->word);

	tri_write(&s->next, 0);
	tri_lock(&queue.lock);
	tri_write_release(&s->word, TRI_SPECIAL_WORD(TRI_SPECIAL_QUEUED, TRI_SPECIAL_KIND(word),
						     TRI_SPECIAL_USE(word)));
	if (queue.first)
		tri_write(&record_at(queue.last)->next, i);
	else
		queue.first = i;
	queue.last = i;
	tri_write(&queue.length, tri_read(&queue.length) + 1);
	tri_unlock(&queue.lock);
	atomic_fetch_add(&tri_g.view.ctl->specials_queued, 1);
}

/* Wake whoever waits for the queue. */
static void announce(void)
{
	atomic_fetch_add(&queue.futex, 1);
	tri_futex_wake(&queue.futex);
	if (tri_read(&tri_specials_watched))
		tri_agent_wake(TRI_WAKE_QUEUE);
}

static void shade(struct tri_thread *t, uint64_t address)
{
	if (address && tri_read(&t->marking))
		tri_shade(t, (const void *)(uintptr_t)address);
}

static uint64_t object_address(const struct tri_special *s)
{
	return tri_g.view.heap_va + tri_read(&s->target);
}

/* ------------------------------------------------------------------------------------------ */
/* Threads                                                                                    */
/* ------------------------------------------------------------------------------------------ */

int tri_special_add(struct tri_thread *t, enum tri_special_kind kind, const void *object,
		    uintptr_t function, const void *argument, struct tri_cleanup *id)
{
	uint64_t target = tri_offset(object);
	uint32_t page = page_of(target), i = get(), use;
	tri_au32 *head = &tri_g.view.specials_of[page];
	struct tri_special *s;

	if (!i)
		return -ENOMEM;
	s = record_at(i);
	use = TRI_SPECIAL_USE(tri_read(&s->word));
	tri_lock(lock_of(page));
	if (kind == TRI_SPECIAL_FINALIZER && finalizer_of(target)) {
		tri_unlock(lock_of(page));
		put(i);
		return -EEXIST;
	}
	tri_write(&s->target, target);
	tri_write(&s->function, function);
	tri_write(&s->argument, (uint64_t)(uintptr_t)argument);
	tri_write(&s->next, tri_read(head));
	tri_write(head, i);
	/* Release: who finds the record live finds the fields. */
	tri_write_release(&s->word, TRI_SPECIAL_WORD(TRI_SPECIAL_LIVE, kind, use));
	atomic_fetch_add(&tri_g.view.ctl->specials_live, 1);
	tri_unlock(lock_of(page));
	TRI_POINT("special.added");
	/* The walk may be over: FINAL_SET_NO_SHADE. */
	shade(t, (uint64_t)(uintptr_t)argument);
	if (kind == TRI_SPECIAL_FINALIZER)
		shade(t, (uint64_t)(uintptr_t)object);
	if (id)
		*id = (struct tri_cleanup){ i, use };
	return 0;
}

bool tri_special_stop(struct tri_thread *t, const struct tri_cleanup *id)
{
	uint32_t live = TRI_SPECIAL_WORD(TRI_SPECIAL_LIVE, TRI_SPECIAL_CLEANUP, id->use), page;
	struct tri_special *s;
	uint64_t argument;

	if (!id->record || id->record >= tri_read_acquire(&tri_g.view.ctl->specials_top) ||
	    id->use >= TRI_SPECIAL_USES)
		return false;
	s = record_at(id->record);
	/* Acquire: pairs with tri_special_add().  The target is that of this use. */
	if (tri_read_acquire(&s->word) != live)
		return false;
	page = page_of(tri_read(&s->target));
	if (page >= tri_g.view.heap_pages)
		return false;
	TRI_POINT("special.stops");
	tri_lock(lock_of(page));
	/* The record may have been queued meanwhile, or be another one's. */
	if (tri_read(&s->word) != live) {
		tri_unlock(lock_of(page));
		return false;
	}
	unlink_live(id->record);
	argument = tri_read(&s->argument);
	put(id->record);
	tri_unlock(lock_of(page));
	TRI_POINT("special.stopped");
	shade(t, argument);
	return true;
}

bool tri_special_remove(struct tri_thread *t, const void *object)
{
	uint64_t target = tri_offset(object), argument = 0;
	uint32_t page = page_of(target), i;

	tri_lock(lock_of(page));
	i = finalizer_of(target);
	if (i) {
		unlink_live(i);
		argument = tri_read(&record_at(i)->argument);
		put(i);
	}
	tri_unlock(lock_of(page));
	shade(t, argument);
	return i != 0;
}

void tri_special_object_freed(struct tri_thread *t, const void *object)
{
	uint64_t target = tri_offset(object), argument = 0;
	uint32_t page = page_of(target), i;
	tri_au32 *link = &tri_g.view.specials_of[page];
	bool any = false;

	if (!tri_read(link))
		return;
	tri_lock(lock_of(page));
	while ((i = tri_read(link))) {
		struct tri_special *s = record_at(i);

		if (tri_read(&s->target) != target) {
			link = &s->next;
			continue;
		}
		unlink_at(link);
		if (TRI_SPECIAL_KIND(tri_read(&s->word)) == TRI_SPECIAL_FINALIZER) {
			argument = tri_read(&s->argument);
			put(i);
		} else {
			append_to_queue(i);
			any = true;
		}
	}
	tri_unlock(lock_of(page));
	shade(t, argument);
	if (any)
		announce();
}

uint32_t tri_special_queue_live(struct tri_thread *t, uint32_t from)
{
	uint32_t top = tri_read_acquire(&tri_g.view.ctl->specials_top), i = from ? from : 1, end, k;

	end = top - i > AT_ONCE ? i + AT_ONCE : top;
	for (; i < end; i++) {
		struct tri_special *s = record_at(i);
		uint32_t page;
		tri_au32 *link;

		/* Acquire: pairs with tri_special_add().  The target is that of this use. */
		if (TRI_SPECIAL_STATE(tri_read_acquire(&s->word)) != TRI_SPECIAL_LIVE)
			continue;
		page = page_of(tri_read(&s->target));
		if (page >= tri_g.view.heap_pages)
			continue;
		/* The whole list of the page, from its head: no record has to be looked for. */
		link = &tri_g.view.specials_of[page];
		tri_lock(lock_of(page));
		while ((k = tri_read(link))) {
			s = record_at(k);
			/* The walk may have passed it when it was live. */
			if (TRI_SPECIAL_KIND(tri_read(&s->word)) == TRI_SPECIAL_FINALIZER)
				shade(t, object_address(s));
			unlink_at(link);
			append_to_queue(k);
		}
		tri_unlock(lock_of(page));
	}
	announce();
	return i < top ? i : 0;
}

bool tri_special_take(struct tri_thread *t, struct tri_special_taken *taken)
{
	struct tri_special *s;
	uint32_t i;

	if (!tri_read(&queue.length))
		return false;
	tri_lock(&queue.lock);
	i = queue.first;
	if (!i) {
		tri_unlock(&queue.lock);
		return false;
	}
	s = record_at(i);
	queue.first = tri_read(&s->next);
	tri_write(&queue.length, tri_read(&queue.length) - 1);
	/* Whoever waits for the descriptor is told that nothing is queued any more. */
	if (!queue.first && tri_read(&tri_specials_watched))
		tri_agent_wake(TRI_WAKE_QUEUE);
	taken->kind = TRI_SPECIAL_KIND(tri_read(&s->word));
	taken->argument = (void *)(uintptr_t)tri_read(&s->argument);
	taken->object = NULL;
	if (taken->kind == TRI_SPECIAL_FINALIZER) {
		taken->object = (void *)(uintptr_t)object_address(s);
		taken->finalizer = (void (*)(void *, void *))(uintptr_t)tri_read(&s->function);
	} else {
		taken->cleanup = (void (*)(void *))(uintptr_t)tri_read(&s->function);
	}
	put(i);
	tri_unlock(&queue.lock);
	TRI_POINT("special.taken");
	/* This thread's stack may have been scanned: FINAL_TAKE_NO_SHADE. */
	shade(t, (uint64_t)(uintptr_t)taken->object);
	shade(t, (uint64_t)(uintptr_t)taken->argument);
	atomic_fetch_add(&tri_g.view.ctl->specials_run, 1);
	return true;
}

uint32_t tri_specials_queued(void)
{
	return tri_read(&queue.length);
}

tri_au32 *tri_specials_futex(void)
{
	return &queue.futex;
}

/* ------------------------------------------------------------------------------------------ */
/* Settling                                                                                   */
/* ------------------------------------------------------------------------------------------ */

/* Whether the object of a record is white.  If so, @o describes it. */
static bool is_white(const struct tri_special *s, struct tri_object *o,
		     tri_au64 (*marks)[TRI_MARK_WORDS])
{
	return tri_resolve(&tri_g.view, tri_read(&s->target), o) &&
	       !tri_bit(marks, o->page, o->index);
}

/*
 * Queue the records of @kind in the list of @page whose object is white.  One pass over the list,
 * however many they are.  Returns the bytes of objects that are marked because of that.
 */
static uint64_t settle_kind(uint32_t page, enum tri_special_kind kind,
			    tri_au64 (*marks)[TRI_MARK_WORDS])
{
	tri_au32 *link = &tri_g.view.specials_of[page];
	struct tri_object o;
	uint64_t kept = 0;
	uint32_t i;

	while ((i = tri_read(link))) {
		struct tri_special *s = record_at(i);

		if (TRI_SPECIAL_KIND(tri_read(&s->word)) != kind || !is_white(s, &o, marks)) {
			link = &s->next;
			continue;
		}
		if (kind == TRI_SPECIAL_FINALIZER) {
			/* Threads that allocate black set bits in the same words. */
			atomic_fetch_or(&marks[o.page][o.index / 64], 1ull << (o.index & 63));
			kept += tri_slot_bytes(&tri_g.view, o.class, o.page);
		}
		unlink_at(link);
		append_to_queue(i);
	}
	return kept;
}

bool tri_specials_settle(uint64_t patience_ns, uint64_t *kept)
{
	tri_au64(*marks)[TRI_MARK_WORDS] = tri_g.view.marks[(tri_g.gen + 1) & 1];
	uint32_t top = tri_read_acquire(&tri_g.view.ctl->specials_top), i, page;
	uint64_t queued = tri_read(&tri_g.view.ctl->specials_queued);
	bool done = true;
	struct tri_object o;

	*kept = 0;
	for (i = 1; i < top; i++) {
		struct tri_special *s = record_at(i);

		if (TRI_SPECIAL_STATE(tri_read_acquire(&s->word)) != TRI_SPECIAL_LIVE ||
		    !is_white(s, &o, marks))
			continue;
		/*
		 * The whole list of the page is settled: one with many dead objects is walked once.
		 * An object's finalizer comes first, and then the object is not white any more.
		 */
		page = page_of(tri_read(&s->target));
		TRI_POINT("special.settles");
		done = tri_lock_until(lock_of(page), tri_now_ns() + patience_ns);
		if (!done)
			break;
		*kept += settle_kind(page, TRI_SPECIAL_FINALIZER, marks);
		settle_kind(page, TRI_SPECIAL_CLEANUP, marks);
		tri_unlock(lock_of(page));
	}
	if (tri_read(&tri_g.view.ctl->specials_queued) != queued)
		announce();
	return done;
}

/* ------------------------------------------------------------------------------------------ */
/* fork()                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static void release_lists(unsigned int n)
{
	while (n)
		tri_unlock(&list_locks[--n]);
}

bool tri_specials_hold(uint64_t ns)
{
	unsigned int i;

	for (i = 0; i < LISTS; i++)
		if (!tri_lock_until(&list_locks[i], ns))
			break;
	if (i == LISTS && tri_lock_until(&queue.lock, ns)) {
		if (tri_lock_until(&records.lock, ns))
			return true;
		tri_unlock(&queue.lock);
	}
	release_lists(i);
	return false;
}

void tri_specials_release(void)
{
	tri_unlock(&records.lock);
	tri_unlock(&queue.lock);
	release_lists(LISTS);
}

void tri_specials_copy(const struct tri_view *to)
{
	const struct tri_view *from = &tri_g.view;
	uint32_t top = tri_read(&from->ctl->specials_top), i;

	tri_write(&to->ctl->specials_live, tri_read(&from->ctl->specials_live));
	tri_write(&to->ctl->specials_queued, tri_read(&from->ctl->specials_queued));
	tri_write(&to->ctl->specials_run, tri_read(&from->ctl->specials_run));
	for (i = 1; i < top; i++) {
		const struct tri_special *s = &from->specials[i];
		uint32_t word = tri_read(&s->word), page;

		tri_write(&to->specials[i].target, tri_read(&s->target));
		tri_write(&to->specials[i].function, tri_read(&s->function));
		tri_write(&to->specials[i].argument, tri_read(&s->argument));
		tri_write(&to->specials[i].next, tri_read(&s->next));
		tri_write(&to->specials[i].word, word);
		/* A page's list is only read where there is one, as the rest may be a hole. */
		if (TRI_SPECIAL_STATE(word) == TRI_SPECIAL_LIVE) {
			page = page_of(tri_read(&s->target));
			tri_write(&to->specials_of[page], tri_read(&from->specials_of[page]));
		}
	}
	tri_write(&to->ctl->specials_top, top);
}

void tri_specials_forked(void)
{
	tri_write(&tri_specials_watched, 0);
	pthread_mutex_init(&tri_special_runner.lock, NULL);
	tri_special_runner.started = false;
	tri_special_runner.era++;
	tri_write(&tri_special_busy.since_ns, 0);
	memset(list_locks, 0, sizeof(list_locks));
	records.lock = (struct tri_lock){ 0 };
	queue.lock = (struct tri_lock){ 0 };
}

void tri_specials_reset(void)
{
	tri_specials_forked();
	records.free = queue.first = queue.last = 0;
	tri_write(&queue.length, 0);
}
