// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The current view, and the only places that replace it.  Writers take the lock; readers do not.
 */
#include "wordindex.h"

TRI_TYPE(view_type, struct view, pages, segments);

/*
 * An object points to the view, not a global.  A pointer in a root may mean the end of the object
 * in front of its target, and keeps that object, too.  In front of a view there may be an old view,
 * which would keep its whole version of the index.  A pointer in an object means its target alone.
 */
struct index {
	struct view *view;
};

TRI_TYPE(index_type, struct index, view);

static struct index *top;		/* a root: .bss is scanned */
static uint32_t serial;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* writers of the view, @merging */

static uint32_t pages_of(uint32_t slots)
{
	return (slots + PAGE_SLOTS - 1) / PAGE_SLOTS;
}

/* Make the table, with room for @slots documents.  It never grows. */
void index_init(uint32_t slots)
{
	struct index *index = need(tri_alloc_typed(&index_type, 1));
	struct view *view = need(tri_alloc_typed(&view_type, 1));

	view->slots = slots;
	tri_store(&view->pages, need(tri_alloc(pages_of(slots) * sizeof(view->pages[0]))));
	tri_store(&view->segments, need(tri_alloc(0)));
	tri_store(&index->view, view);
	tri_store(&top, index);
}

/* The current view; NULL before index_init().  The loads pair with the release of tri_store(). */
struct view *index_view(void)
{
	struct index *index = __atomic_load_n(&top, __ATOMIC_ACQUIRE);

	return index ? __atomic_load_n(&index->view, __ATOMIC_ACQUIRE) : NULL;
}

uint32_t index_next_serial(void)
{
	return __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
}

/* A copy of a view to change: it shares all pages, and has no segments yet. */
static struct view *copy_view(const struct view *from, uint32_t segment_capacity)
{
	struct view *copy = need(tri_alloc_typed(&view_type, 1));
	uint32_t pages = pages_of(from->slots);

	copy->version = from->version + 1;
	copy->text_bytes = from->text_bytes;
	copy->slots = from->slots;
	copy->documents = from->documents;
	tri_store(&copy->pages, need(tri_alloc(pages * sizeof(copy->pages[0]))));
	tri_move(copy->pages, from->pages, pages);
	tri_store(&copy->segments,
		  need(tri_alloc(segment_capacity * sizeof(copy->segments[0]))));
	return copy;
}

static void copy_segments(struct view *copy, const struct view *from)
{
	tri_move(copy->segments, from->segments, from->segment_count);
	copy->segment_count = from->segment_count;
}

/* Put @doc into @slot of an unpublished view.  A page that is still shared is copied first. */
static void set_slot(struct view *view, uint32_t slot, struct document *doc)
{
	uint32_t page = slot / PAGE_SLOTS;
	struct document *old = view_document(view, slot);

	if (old == doc)
		return;
	if (!view->pages[page] || view->pages[page] == top->view->pages[page]) {
		struct document **copy = need(tri_alloc(PAGE_SLOTS * sizeof(copy[0])));

		if (view->pages[page])
			tri_move(copy, view->pages[page], PAGE_SLOTS);
		tri_store(&view->pages[page], copy);
	}
	tri_store(&view->pages[page][slot % PAGE_SLOTS], doc);
	view->documents += !!doc - !!old;
	view->text_bytes += (doc ? doc->text_bytes : 0) - (uint64_t)(old ? old->text_bytes : 0);
}

/* What the change means for the counters: slots in @view are filled, replaced or emptied. */
static void count_change(const struct view *view, uint32_t slot, const struct document *doc)
{
	bool had = view_document(view, slot);

	if (doc && had)
		count(reindexed, 1);
	else if (doc)
		count(indexed, 1);
	else if (had)
		count(dropped, 1);
}

/* Publish @segment, or none if it is NULL, and @docs in @slots, in this order; NULL drops. */
void index_commit(struct segment *segment, struct document *const *docs, const uint32_t *slots,
		  uint32_t changes)
{
	struct view *view;

	pthread_mutex_lock(&lock);
	view = copy_view(top->view, top->view->segment_count + 1);
	copy_segments(view, top->view);
	if (segment)
		tri_store(&view->segments[view->segment_count++], segment);
	for (uint32_t i = 0; i < changes; i++) {
		count_change(view, slots[i], docs[i]);
		set_slot(view, slots[i], docs[i]);
	}
	tri_store(&top->view, view);
	pthread_mutex_unlock(&lock);
}

/* Publish a view with @out, unless it is NULL, in place of the @n segments @in. */
static void replace(struct segment *const *in, uint32_t n, struct segment *out)
{
	struct view *view;

	pthread_mutex_lock(&lock);
	view = copy_view(top->view, top->view->segment_count + 1);
	for (uint32_t i = 0; i < top->view->segment_count; i++) {
		struct segment *segment = top->view->segments[i];
		bool replaced = false;

		for (uint32_t j = 0; j < n; j++)
			replaced |= segment == in[j];
		if (!replaced)
			tri_store(&view->segments[view->segment_count++], segment);
	}
	if (out)
		tri_store(&view->segments[view->segment_count++], out);
	tri_store(&top->view, view);
	pthread_mutex_unlock(&lock);
	count(merges, 1);
}

/*
 * Merge some segments if there are too many of them.  Commits go on meanwhile: documents that they
 * replace or drop after the merge has read them stay in the merged segment as dead ones.  Returns
 * whether it did anything.
 */
bool index_merge_some(void)
{
	struct segment *in[MERGE_WIDTH];
	struct view *view;
	uint32_t n;

	pthread_mutex_lock(&lock);
	view = top->view;
	n = merge_pick(view, in);
	for (uint32_t i = 0; i < n; i++)
		in[i]->merging = true;
	pthread_mutex_unlock(&lock);
	if (n)
		replace(in, n, merge_segments(view, in, n));
	return n;
}

/*
 * Drop all documents except every @nth, and merge the rest into one segment.  To be called when no
 * other thread writes any more.
 */
void index_keep_every(uint32_t nth)
{
	struct view *view;
	uint32_t seen = 0;

	pthread_mutex_lock(&lock);
	view = copy_view(top->view, top->view->segment_count);
	copy_segments(view, top->view);
	for (uint32_t slot = 0; slot < view->slots; slot++) {
		if (!view_document(view, slot) || seen++ % nth == 0)
			continue;
		set_slot(view, slot, NULL);
	}
	tri_store(&top->view, view);
	pthread_mutex_unlock(&lock);

	/* The first round removes the dead from every segment, the others what is left to join. */
	for (uint32_t n = top->view->segment_count; n; n--) {
		struct segment *first = top->view->segments[0];

		replace(&first, 1, merge_segments(top->view, &first, 1));
	}
	while (top->view->segment_count > 1) {
		struct segment *in[MERGE_WIDTH];
		uint32_t n = top->view->segment_count;

		if (n > MERGE_WIDTH)
			n = MERGE_WIDTH;
		for (uint32_t i = 0; i < n; i++)
			in[i] = top->view->segments[i];
		replace(in, n, merge_segments(top->view, in, n));
	}
}

/* Different terms in the view: each counts in the first segment that has it. */
uint64_t view_terms(const struct view *view)
{
	uint64_t terms = 0;

	for (uint32_t i = 0; i < view->segment_count; i++) {
		const struct segment *segment = view->segments[i];

		for (uint32_t b = 0; b < segment->bucket_count; b++) {
			for (const struct term *t = segment->buckets[b]; t; t = t->next) {
				uint32_t j = 0;

				while (j < i && !segment_find(view->segments[j], t->text,
							      t->length, t->hash))
					j++;
				terms += j == i;
			}
		}
	}
	return terms;
}

uint64_t view_postings(const struct view *view)
{
	uint64_t postings = 0;

	for (uint32_t i = 0; i < view->segment_count; i++)
		postings += view->segments[i]->postings;
	return postings;
}
