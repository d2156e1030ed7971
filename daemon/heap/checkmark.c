// SPDX-License-Identifier: GPL-2.0-only
/*
 * checkmark.c - TRICOLOR_DEBUG=checkmark: was everything reachable marked?
 *
 * After marking has ended, and before anything is swept, all threads are stopped.  Their stacks and
 * the roots are scanned again, and the heap is traversed anew with marks of its own.  If a marked
 * object holds a pointer to an unmarked one, the barrier has missed that one, or the program has
 * stored the pointer without a barrier.  Both objects are reported.
 *
 * What the records of cleanups and finalizers lead to is checked as well, record by record: the
 * argument, the object of a finalizer that is queued, and what the object of a live finalizer
 * refers to.  These must be marked, as the walk over the records is over (specials.c).  The object
 * of a live finalizer may be white.
 *
 * A word on a stack that leads to an unmarked object is no proof, as it may be a dead value of an
 * earlier call.  Such words are not followed.  But a pointer that another thread has put on its own
 * stack by a plain store, and that this thread has loaded from there, looks the same.  So it is
 * reported once that there are such words.  In a program that calls tri_free(), a word may also
 * point to an object that was freed, whose slot is not used again yet.
 */
#include "checkmark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "core/heap/buffer.h"
#include "core/heap/span.h"
#include "handshake.h"
#include "mark.h"
#include "specials.h"
#include "trace.h"

#define REPORTS_MAX 10

struct check {
	struct arena *a;
	uint64_t (*seen)[TRI_MARK_WORDS];
	struct tri_object *stack;
	size_t n, room;
	uint64_t missed, visited, limit;
	uint64_t unmarked;		/* words in roots that lead to unmarked objects */
	bool failed;
};

static bool push(struct check *c, const struct tri_object *o)
{
	uint64_t *word = &c->seen[o->page][o->index / 64], bit = 1ull << (o->index & 63);

	if (*word & bit)
		return true;
	*word |= bit;
	if (c->n == c->room) {
		size_t room = c->room ? c->room * 2 : 4096;
		struct tri_object *more = realloc(c->stack, room * sizeof(*more));

		if (!more) {
			c->failed = true;
			return false;
		}
		c->stack = more;
		c->room = room;
	}
	c->stack[c->n++] = *o;
	c->visited++;
	return true;
}

/*
 * Something that is alive leads to byte @offset of the heap.  If an object is there that is marked,
 * it is traversed.  Returns whether one was missed, and is to be reported.
 */
static bool misses(struct check *c, uint64_t offset)
{
	struct arena *a = c->a;
	struct tri_object o;

	if (offset >= c->limit || !tri_resolve(&a->view, offset, &o) ||
	    !tri_bit(a->marker.allocated, o.page, o.index))
		return false;
	if (tri_bit(a->marker.marks, o.page, o.index)) {
		push(c, &o);
		return false;
	}
	return c->missed++ < REPORTS_MAX;
}

static void check_word(struct check *c, const struct tri_object *holder, uint64_t at,
		       uint64_t value)
{
	struct arena *a = c->a;

	if (misses(c, value - a->view.heap_va))
		trace_line(
			a,
			"tricolor: checkmark: cycle %u missed the object that %#llx points to, "
			"which is in the slot at offset %llu of the %s %u-byte object at %#llx",
			a->cycle + 1, (unsigned long long)value, (unsigned long long)at,
			tri_bit(a->marker.marks, holder->page, holder->index) ? "marked" :
										"finalizable",
			holder->class->size,
			(unsigned long long)(a->view.heap_va +
					     ((uint64_t)holder->page << TRI_PAGE_SHIFT) +
					     (uint64_t)holder->index * holder->class->size));
}

static void scan(struct check *c, const struct tri_object *o)
{
	const struct tri_view *v = &c->a->view;
	uint64_t offset = ((uint64_t)o->page << TRI_PAGE_SHIFT) +
			  (uint64_t)o->index * o->class->size;
	uint64_t bytes = tri_slot_bytes(v, o->class, o->page);
	tri_au64 *map = &v->ptrmap[0][0];
	uint64_t at;

	if (o->class->kind == TRI__LEAF)
		return;
	for (at = 0; at < bytes; at += 8) {
		uint64_t bit = (offset + at) / 8;

		/* As scan_sparse() in mark.c: a hole holds nothing, and is not to be read. */
		if (o->class->large && !(at & 4095)) {
			off_t page = (off_t)(v->layout.heap + offset + at);
			off_t data = lseek(c->a->fd, page, SEEK_DATA);

			if (data < 0 || (uint64_t)(data - page) >= bytes - at)
				return;
			at += (uint64_t)(data - page);
			bit = (offset + at) / 8;
		}
		if (o->class->kind == TRI__TYPED && !(tri_read(&map[bit / 64]) >> (bit & 63) & 1))
			continue;
		check_word(c, o, at, *(const volatile uint64_t *)(v->heap + offset + at));
	}
}

/* The traversal begins at the marked objects that words of roots lead to. */
static void root(struct check *c, uint64_t value)
{
	struct arena *a = c->a;
	uint64_t offset = value - a->view.heap_va;
	struct tri_object o;

	if (offset >= c->limit || !tri_resolve(&a->view, offset, &o))
		return;
	if (tri_bit(a->marker.marks, o.page, o.index))
		push(c, &o);
	else
		c->unmarked += tri_bit(a->marker.allocated, o.page, o.index);
}

static void roots_of_buffer(struct check *c, uint32_t index)
{
	const struct tri_buffer *b = &c->a->view.buffers[index];
	uint32_t n = tri_read_acquire(&b->count), i;

	for (i = 0; i < n && i < TRI_BUFFER_ENTRIES; i++)
		root(c, tri_read(&b->entry[i]));
}

static void roots(struct check *c)
{
	const struct tri_view *v = &c->a->view;
	uint32_t i, n = tri_read(&v->ctl->slots_top), next, left = v->layout.nbuffers;

	for (i = 0; i < n && i < TRI_SLOTS; i++) {
		uint32_t buffer = tri_read_acquire(&v->slots[i].buffer);

		if (buffer && buffer <= v->layout.nbuffers)
			roots_of_buffer(c, buffer - 1);
	}
	next = (uint32_t)atomic_exchange(&v->ctl->full_buffers, 0);
	while (next && next <= v->layout.nbuffers && left--) {
		i = next - 1;
		next = tri_read(&v->buffers[i].next);
		roots_of_buffer(c, i);
		tri_write(&v->buffers[i].state, TRI_BUFFER_FREE);
		tri_buffer_push(v, &v->ctl->free_buffers, i);
	}
}

/* What byte @offset of the heap belongs to has to be marked, as a record needs it. */
static void check_need(struct check *c, uint64_t offset, const char *what,
		       const struct special *s)
{
	struct arena *a = c->a;

	if (misses(c, offset))
		trace_line(a,
			   "tricolor: checkmark: cycle %u missed the object at %#llx, which is the "
			   "%s of a %s %s",
			   a->cycle + 1, (unsigned long long)(a->view.heap_va + offset), what,
			   s->queued ? "queued" : "live", s->finalizer ? "finalizer" : "cleanup");
}

/*
 * The object of a live finalizer is traversed once, whether it is marked or not.  If something else
 * refers to it although it is white, check_word() reports that, whether it was traversed or not.
 */
static void check_referents(struct check *c, uint64_t offset)
{
	struct arena *a = c->a;
	struct tri_object o;

	if (offset < c->limit && tri_resolve(&a->view, offset, &o) &&
	    (tri_bit(a->marker.allocated, o.page, o.index) ||
	     tri_bit(a->marker.marks, o.page, o.index)))
		push(c, &o);
}

static bool check_records(void *arg, const struct tri_special *first, unsigned int n)
{
	struct check *c = arg;
	struct special s;
	unsigned int i;

	for (i = 0; i < n && !c->failed; i++) {
		if (!specials_read(&c->a->view, &first[i], &s))
			continue;
		check_need(c, s.argument, "argument", &s);
		if (s.finalizer && s.queued)
			check_need(c, s.target, "object", &s);
		else if (s.finalizer)
			check_referents(c, s.target);
	}
	return !c->failed;
}

bool checkmark_run(struct arena *a)
{
	uint64_t top = tri_read(&a->view.ctl->top_pages);
	struct check c = { .a = a };
	struct tri_msg answer;

	if (!handshake(a, TRI_HANDSHAKE_STOP, &answer))
		return false;
	c.limit = (top < a->view.heap_pages ? top : a->view.heap_pages) << TRI_PAGE_SHIFT;
	c.seen = mmap(NULL, a->view.heap_pages * sizeof(*c.seen), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c.seen == MAP_FAILED) {
		c.failed = true;
	} else {
		roots(&c);
		specials_each(&a->view, a->fd, check_records, &c);
		while (c.n && !c.failed) {
			struct tri_object o = c.stack[--c.n];

			scan(&c, &o);
		}
		munmap(c.seen, a->view.heap_pages * sizeof(*c.seen));
	}
	free(c.stack);
	if (c.failed)
		trace_line(a, "tricolor: checkmark: cycle %u not checked: %s", a->cycle + 1,
			   strerror(ENOMEM));
	else if (c.missed)
		trace_line(
			a,
			"tricolor: checkmark: cycle %u missed %llu pointers, %llu objects checked",
			a->cycle + 1, (unsigned long long)c.missed, (unsigned long long)c.visited);
	if (c.unmarked && !c.failed && !a->debug.reported_words) {
		a->debug.reported_words = true;
		trace_line(
			a,
			"tricolor: checkmark: cycle %u: %llu words in roots lead to unmarked "
			"objects.  Dead values on stacks do%s; but so does a plain store into a "
			"global, or into a variable on "
			"a stack or a thread-local one that another thread loads from",
			a->cycle + 1, (unsigned long long)c.unmarked,
			tri_read(&a->view.ctl->freed_bytes) ?
				", and so do pointers to objects that tri_free() has freed, which "
				"are harmless if nothing is loaded through them" :
				"");
	}
	atomic_fetch_add(&a->view.ctl->checkmark_missed, c.missed);
	atomic_fetch_add(&a->view.ctl->checkmark_cycles, 1);
	return handshake(a, TRI_HANDSHAKE_RESUME, &answer);
}
