// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * freed.c - freeing the objects that were passed to tri_free(), at once or in H4
 *
 * The rules are in free.c, which has the function that programs call.
 */
#include <string.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "../../core/system/point.h"
#include "central.h"
#include "freed.h"
#include "../base/lock.h"
#include "../roots/object.h"
#include "pageheap.h"
#include "specials.h"
#include "../base/state.h"
#include "../threads/thread.h"

/* At most so many notes in a mark phase: 8 MiB.  Further objects are left to the collector. */
#define NOTES_MAX (1u << 20)

/* Notes for H4 that were taken from threads whose records were full, or that have ended. */
static struct {
	struct tri_lock lock;		/* after a cache lock, before a central list's */
	uintptr_t *object;
	size_t n, room;
} notes;

tri_au32 tri_freed_bits;

/*
 * For TRICOLOR_DEBUG=frees: a bit for each slot, which is set from tri_free() until H4 has freed
 * the object.  Mapped at the first use.
 */
static uint64_t (*gone)[TRI_MARK_WORDS];

/* ------------------------------------------------------------------------------------------ */
/* Freeing, while nothing is marked.  The thread is inside, with its cache lock.              */
/* ------------------------------------------------------------------------------------------ */

static char *start_of(const struct tri_object *o)
{
	return tri_g.view.heap + ((uint64_t)o->page << TRI_PAGE_SHIFT) +
	       (size_t)o->index * o->class->size;
}

/* Whether a slot begins at @object.  If so, @o describes it. */
static bool resolve(uintptr_t object, struct tri_object *o)
{
	uint64_t offset = tri_offset((const void *)object);

	return tri_in_heap(offset) && tri_resolve(&tri_g.view, offset, o) &&
	       (char *)object == start_of(o);
}

/* Whether an object begins there, by the bitmap of cycle @gen. */
static bool find(uintptr_t object, uint32_t gen, struct tri_object *o)
{
	return resolve(object, o) && tri_bit(tri_g.view.marks[gen & 1], o->page, o->index);
}

static bool is_empty(const struct tri_class *c, uint32_t page, uint32_t gen)
{
	uint64_t any = 0;
	unsigned int w;

	for (w = 0; w < (c->objects + 63u) / 64; w++)
		any |= tri_read(&tri_g.view.marks[gen & 1][page][w]) &
		       tri_objects_mask(c->objects, w);
	return !any;
}

/*
 * The last object of the span at @page was freed, when the span's state was @state.  Give its pages
 * back if it is still empty.  False: its state has changed meanwhile, and the caller tries again.
 */
static bool give_back(const struct tri_class *c, uint32_t page, uint64_t state)
{
	struct tri_span *span = &tri_g.view.spans[page];
	unsigned int span_class = TRI_STATE_CLASS(state);
	uint32_t gen = TRI_STATE_CYCLE(state);

	if (!atomic_compare_exchange_strong(&span->state, &state,
					    TRI_STATE(span_class, TRI_SPAN_CLIENT, 0, gen)))
		return false;
	/* Other threads have allocated from the span and released it before the claim. */
	if (!is_empty(c, page, gen)) {
		tri_write_release(&span->state, TRI_STATE(span_class, TRI_SPAN_IDLE,
							  TRI_STATE_NFREE(state) + 1, gen));
		return true;
	}
	tri_pageheap_give(page, c->pages);
	return true;
}

/*
 * Count a slot of the span that is free again.  If another thread has the span in its cache, or the
 * span is being swept, nothing is counted, and the clear bit alone says that the slot is free.  A
 * span that is yet to be swept is counted by the sweep.
 */
static void count_free(const struct tri_class *c, uint32_t page, uint32_t gen)
{
	struct tri_span *span = &tri_g.view.spans[page];
	uint64_t state = tri_read_acquire(&span->state);

	while (&tri_classes[TRI_STATE_CLASS(state)] == c &&
	       TRI_STATE_OWNER(state) == TRI_SPAN_IDLE && TRI_STATE_CYCLE(state) == gen) {
		unsigned int nfree = TRI_STATE_NFREE(state) + 1;

		if (nfree >= c->objects) {
			if (give_back(c, page, state))
				return;
			state = tri_read_acquire(&span->state);
			continue;
		}
		if (!atomic_compare_exchange_weak(&span->state, &state,
						  TRI_STATE(TRI_STATE_CLASS(state), TRI_SPAN_IDLE,
							    nfree, gen)))
			continue;
		if (nfree == tri_central_least(c))
			tri_central_put(page, TRI_STATE_CLASS(state));
		return;
	}
}

/*
 * An allocation bit of the span is about to be cleared.  Whoever finds the slot free takes it for
 * zeroed, unless this was called before.
 */
static void before_clearing(uint32_t page)
{
	tri_au32 *needs_zero = &tri_g.view.spans[page].needs_zero;

	if (unlikely(!tri_freed_any()))
		tri_write(&tri_freed_bits, 1);
	if (!tri_read(needs_zero))
		tri_write(needs_zero, 1);
}

/* Free an object that has a slot.  Returns how many bytes became free. */
static uint64_t free_small(const struct tri_object *o, uint32_t gen)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t bit = 1ull << (o->index & 63);

	if (tri_g.settings.clobberfree)
		memset(start_of(o), 0xdb, o->class->size);
	before_clearing(o->page);
	TRI_POINT("free.clears");
	/*
	 * Release, pairs with open_window(): a thread that finds the bit clear also finds that the
	 * span is not zeroed.
	 */
	if (!(atomic_fetch_and(&v->marks[gen & 1][o->page][o->index / 64], ~bit) & bit))
		return 0;
	count_free(o->class, o->page, gen);
	return o->class->size;
}

/*
 * Free a large object.  Nothing is marked at present, so the collector looks at large spans only to
 * sweep them.  If it is sweeping this one now, the object is left to the collector, which frees it
 * in the next cycle.
 */
static uint64_t free_large(const struct tri_object *o, uint32_t gen)
{
	const struct tri_view *v = &tri_g.view;
	struct tri_span *span = &v->spans[o->page];
	uint64_t state = tri_read_acquire(&span->state);
	uint32_t pages = tri_large_pages(v, o->page);

	if (!pages || TRI_STATE_OWNER(state) != TRI_SPAN_LARGE ||
	    !atomic_compare_exchange_strong(&span->state, &state,
					    TRI_STATE(TRI_STATE_CLASS(state), TRI_SPAN_CLIENT, 0,
						      TRI_STATE_CYCLE(state))))
		return 0;
	tri_write(&v->marks[gen & 1][o->page][0], 0);
	tri_pageheap_give(o->page, pages);
	return (uint64_t)pages << TRI_PAGE_SHIFT;
}

/* In this order: see tri_allocated_in_all(). */
static void count_freed(uint64_t bytes)
{
	if (!bytes)
		return;
	atomic_fetch_add(&tri_g.view.ctl->freed_bytes, bytes);
	atomic_fetch_sub(&tri_g.view.ctl->allocated_bytes, bytes);
}

static void free_noted(struct tri_thread *t)
{
	struct tri_object o;
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < t->nfreed; i++)
		if (find(t->freed[i], t->gen, &o))
			bytes += o.class->large ? free_large(&o, t->gen) : free_small(&o, t->gen);
	t->nfreed = 0;
	count_freed(bytes);
}

/* ------------------------------------------------------------------------------------------ */
/* Notes for the end of the cycle                                                             */
/* ------------------------------------------------------------------------------------------ */

static uint64_t *gone_word(const struct tri_object *o)
{
	return &gone[o->page][o->index / 64];
}

/*
 * Keep notes for H4.  Called with the lock of the notes.  An object for which there is no room is
 * left to the collector.
 */
static void keep(const uintptr_t *object, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n && notes.n < NOTES_MAX; i++) {
		if (notes.n == notes.room) {
			uintptr_t *more = tri_array_grow(notes.object, &notes.room,
							 sizeof(*notes.object), notes.n);

			if (!more)
				return;
			notes.object = more;
		}
		notes.object[notes.n++] = object[i];
	}
}

void tri_free_take_notes(struct tri_thread *t)
{
	if (!t->nfreed)
		return;
	tri_lock(&notes.lock);
	keep(t->freed, t->nfreed);
	tri_unlock(&notes.lock);
	t->nfreed = 0;
}

void tri_free_withdraw(uint32_t gen)
{
	const struct tri_view *v = &tri_g.view;
	struct tri_object o;
	uint64_t bytes = 0;
	size_t i;

	tri_lock(&notes.lock);
	for (i = 0; i < notes.n; i++) {
		uint64_t bit;

		if (!resolve(notes.object[i], &o))
			continue;
		bit = 1ull << (o.index & 63);
		/*
		 * A sweep says so of its span; but this one may have been taken since its thread
		 * changed over, and is not swept then.
		 */
		if (!o.class->large)
			before_clearing(o.page);
		if (atomic_fetch_and(&v->marks[gen & 1][o.page][o.index / 64], ~bit) & bit)
			bytes += tri_slot_bytes(v, o.class, o.page);
		if (gone)
			__atomic_fetch_and(gone_word(&o), ~bit, __ATOMIC_RELAXED);
	}
	notes.n = 0;
	tri_unlock(&notes.lock);
	count_freed(bytes);
}

void tri_free_leave(struct tri_thread *t)
{
	if (tri_read(&t->marking))
		tri_free_take_notes(t);
	else
		free_noted(t);
}

void tri_free_forked(void)
{
	notes.lock = (struct tri_lock){ 0 };
}

void tri_free_reset(void)
{
	notes.lock = (struct tri_lock){ 0 };
	notes.n = 0;
	tri_write(&tri_freed_bits, 0);
	if (gone)
		munmap(gone, tri_g.view.heap_pages * sizeof(*gone));
	gone = NULL;
}

/*
 * Whether there is an object.  While H4 changes threads over, one that has may allocate in the
 * bitmap of the new cycle alone, and hand the object to one that has not.
 */
static bool is_allocated(const struct tri_thread *t, const struct tri_object *o)
{
	const struct tri_view *v = &tri_g.view;

	return tri_bit(v->marks[t->gen & 1], o->page, o->index) ||
	       (tri_read(&t->marking) && tri_bit(v->marks[~t->gen & 1], o->page, o->index));
}

/**
 * Free with checks.  The object is kept until a cycle has completed, so that a second tri_free() of
 * it can be detected.  Two tiny objects share a slot, so these are never freed by the program.
 * Called inside, with the cache lock.  Returns NULL, or what is wrong with the call.
 */
const char *tri_freed_check(struct tri_thread *t, void *object)
{
	uintptr_t address = (uintptr_t)object;
	uint64_t offset = tri_offset(object), bit;
	struct tri_object o;
	uint64_t *word;

	if (!tri_in_heap(offset))
		return "it is no object of this heap";
	if (!tri_resolve(&tri_g.view, offset, &o) || !is_allocated(t, &o))
		return "there is no object: it was freed before, or collected";
	if (o.class == &tri_classes[TRI_SPAN_CLASS_TINY]) {
		if (address & 7)
			return "it is not the start of an object";
		return NULL;
	}
	if (start_of(&o) != (char *)object)
		return "it is not the start of an object";
	tri_lock(&notes.lock);
	if (!gone) {
		gone = mmap(NULL, tri_g.view.heap_pages * sizeof(*gone), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (gone == MAP_FAILED) {
			gone = NULL;
			tri_unlock(&notes.lock);
			return "no address space for TRICOLOR_DEBUG=frees";
		}
	}
	bit = 1ull << (o.index & 63);
	word = gone_word(&o);
	if (__atomic_load_n(word, __ATOMIC_RELAXED) & bit) {
		tri_unlock(&notes.lock);
		return "it was freed before";
	}
	if (notes.n < NOTES_MAX) {
		size_t n = notes.n;

		keep(&address, 1);
		if (notes.n != n)
			__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
	}
	tri_unlock(&notes.lock);
	if (tri_specials_exist())
		tri_special_object_freed(t, object);
	return NULL;
}

/** Free @object, at once or later.  Called inside, with the cache lock. */
void tri_freed_add(struct tri_thread *t, void *object)
{
	struct tri_object o;

	if (t->nfreed == TRI_FREED) {
		if (tri_read(&t->marking))
			tri_free_take_notes(t);
		else
			free_noted(t);
	}
	if (!find((uintptr_t)object, t->gen, &o) || o.class == &tri_classes[TRI_SPAN_CLASS_TINY])
		return;
	if (tri_specials_exist())
		tri_special_object_freed(t, object);
	t->freed[t->nfreed++] = (uintptr_t)object;
	if (!tri_read(&t->marking) && (o.class->large || o.class->size > TRI_NOTED_MAX))
		free_noted(t);
}
