// SPDX-License-Identifier: GPL-2.0-only
/*
 * mark.c - the marker
 *
 *  1. A pointer is found in a buffer or in an object.  One page-map byte says what kind of span it
 *     leads into; arithmetic gives the object's mark bit.  The mark word is prefetched, and the edge
 *     put into a ring.
 *  2. When the ring has come round, the edge's bit is tested and set.  A leaf ends here.  Otherwise
 *     the object's span (objects of up to 512 B, one page) goes into a FIFO, once: while it waits,
 *     more of its objects get marked.
 *  3. A span that is taken from the FIFO has all its objects scanned that are marked and not yet
 *     scanned, in address order.  Who sets an object's scanned bit scans it.
 *  4. Larger objects are scanned one by one, in pieces of 128 KiB, from a stack.
 *  5. When its FIFO is long and a CPU is idle, a worker shares spans with helpers (workers.c).
 *
 * Nothing that is read here is trusted: page numbers come from offsets below `limit`, which is
 * at most the heap's size, and every number read from the arena is bounded before it is used.
 * What a client makes us believe about its own heap is its own loss.
 */
#include "mark.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/sizeclass.h"
#include "core/span.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define PIECE_BYTES (128ull << 10)
#define CREDIT_BYTES (64ull << 10)
#define SHARE_FROM 128		/* spans in a FIFO that are worth sharing: 1 MiB of heap */
#define BATCH 64

static bool grow(void **array, uint32_t *room, size_t size, uint32_t least)
{
	uint32_t more = *room ? *room * 2 : least;
	void *p = realloc(*array, (size_t)more * size);

	if (!p)
		return false;
	*array = p;
	*room = more;
	return true;
}

static void put_span(struct mark_worker *w, uint32_t page)
{
	if (w->head - w->tail == w->room) {
		uint32_t old = w->room, i, n = w->head - w->tail;
		uint32_t *ring = malloc((size_t)(old ? old * 2 : 1024) * sizeof(*ring));

		if (!ring) {
			w->failed = true;
			return;
		}
		for (i = 0; i < n; i++)
			ring[i] = w->span[(w->tail + i) & (old - 1)];
		free(w->span);
		w->span = ring;
		w->room = old ? old * 2 : 1024;
		w->tail = 0;
		w->head = n;
	}
	w->span[w->head++ & (w->room - 1)] = page;
}

static void put_piece(struct mark_worker *w, uint64_t offset, uint64_t bytes, bool typed)
{
	if (w->npieces == w->pieces_room &&
	    !grow((void **)&w->piece, &w->pieces_room, sizeof(*w->piece), 256)) {
		w->failed = true;
		return;
	}
	w->piece[w->npieces++] = (struct mark_piece){ offset, bytes, typed };
}

/* The object at @page, @index has just been marked. */
static void grey(struct mark_worker *w, const struct tri_class *c, uint32_t page, uint32_t index)
{
	struct marker *m = w->m;
	uint64_t offset, bytes;

	w->objects++;
	if (likely(c->pages == 1)) {
		w->marked_bytes += c->size;
		if (c->kind == TRI__LEAF)
			return;
		/* The mark is set before this is read: pairs with scan_span(). */
		if (!tri_read(&m->queued[page]) && !atomic_exchange(&m->queued[page], 1))
			put_span(w, page);
		return;
	}
	offset = ((uint64_t)page << TRI_PAGE_SHIFT) + (uint64_t)index * c->size;
	bytes = c->large ? (uint64_t)tri_large_pages(m->v, page) << TRI_PAGE_SHIFT : c->size;
	w->marked_bytes += bytes;
	if (c->kind == TRI__LEAF)
		return;
	for (; bytes > PIECE_BYTES; bytes -= PIECE_BYTES, offset += PIECE_BYTES)
		put_piece(w, offset, PIECE_BYTES, c->kind == TRI__TYPED);
	if (bytes)
		put_piece(w, offset, bytes, c->kind == TRI__TYPED);
}

static inline void test_edge(struct mark_worker *w, const struct mark_edge *e)
{
	if (tri_read(e->word) & e->bit)
		return;
	if (!(atomic_fetch_or_explicit(e->word, e->bit, memory_order_seq_cst) & e->bit))
		grey(w, &tri_classes[e->byte], e->page, e->index);
}

/* @offset is below the limit. */
static inline void found(struct mark_worker *w, uint64_t offset)
{
	struct marker *m = w->m;
	uint32_t page = (uint32_t)(offset >> TRI_PAGE_SHIFT), index;
	uint32_t byte = tri_read(&m->v->page_map[page]);
	const struct tri_class *c = &tri_classes[byte];
	struct mark_edge *e = &w->ring[w->at & (MARK_RING - 1)];

	if (likely(c->pages == 1)) {
		index = tri_object_index(c, (uint32_t)offset & (TRI_PAGE_BYTES - 1));
		if (unlikely(index >= c->objects))
			return;
	} else {
		struct tri_object o;

		if (!tri_resolve(m->v, offset, &o))
			return;
		/* Read again in tri_resolve(): a client that changes it meanwhile fools itself. */
		c = o.class;
		byte = (uint32_t)(c - tri_classes);
		page = o.page;
		index = o.index;
	}
	if (likely(e->word))
		test_edge(w, e);
	e->word = &m->marks[page][index / 64];
	e->bit = 1ull << (index & 63);
	e->page = page;
	e->index = index;
	e->byte = byte;
	__builtin_prefetch((void *)e->word, 1);
	w->at++;
}

void mark_flush(struct mark_worker *w)
{
	int i;

	for (i = 0; i < MARK_RING; i++, w->at++) {
		struct mark_edge *e = &w->ring[w->at & (MARK_RING - 1)];
		struct mark_edge edge = *e;

		e->word = NULL;
		if (edge.word)
			test_edge(w, &edge);
	}
}

/* Scan every word of an object. */
static inline void scan_words(struct mark_worker *w, uint64_t offset, uint64_t bytes)
{
	const struct marker *m = w->m;
	const volatile uint64_t *p = (const volatile uint64_t *)(m->v->heap + offset);
	const volatile uint64_t *end = p + bytes / 8;
	uint64_t va = m->heap_va, limit = m->limit;

	for (; p < end; p++) {
		uint64_t to = *p - va;

		if (to < limit)
			found(w, to);
	}
}

/* Scan the words that the pointer map names. */
static inline void scan_typed(struct mark_worker *w, uint64_t offset, uint64_t bytes)
{
	const struct marker *m = w->m;
	const volatile uint64_t *p = (const volatile uint64_t *)(m->v->heap + offset);
	tri_au64 *map = &m->v->ptrmap[0][0];
	uint64_t bit = offset / 8, end = bit + bytes / 8;

	while (bit < end) {
		uint64_t n = 64 - (bit & 63), bits;

		if (n > end - bit)
			n = end - bit;
		bits = tri_read(&map[bit / 64]) >> (bit & 63);
		if (n < 64)
			bits &= (1ull << n) - 1;
		for (; bits; bits &= bits - 1) {
			uint64_t to = p[__builtin_ctzll(bits)] - m->heap_va;

			if (to < m->limit)
				found(w, to);
		}
		p += n;
		bit += n;
	}
}

static void scan_span(struct mark_worker *w, uint32_t page)
{
	struct marker *m = w->m;
	uint32_t byte = tri_read(&m->v->page_map[page]);
	const struct tri_class *c = &tri_classes[byte];
	uint64_t base = (uint64_t)page << TRI_PAGE_SHIFT;
	unsigned int i, words = (c->objects + 63u) / 64;

	/* From here on a mark in this span queues it again: pairs with grey(). */
	atomic_exchange(&m->queued[page], 0);
	if (unlikely(c->pages != 1))
		return;
	for (i = 0; i < words; i++) {
		uint64_t todo = tri_read(&m->marks[page][i]) & ~tri_read(&m->v->scanned[page][i]) &
				tri_objects_mask(c->objects, i), ahead;

		if (!todo)
			continue;
		todo &= ~atomic_fetch_or(&m->v->scanned[page][i], todo);
		for (ahead = todo; ahead; ahead &= ahead - 1)
			__builtin_prefetch(m->v->heap + base +
					   (i * 64 + (unsigned int)__builtin_ctzll(ahead)) * c->size);
		w->scan_bytes += (uint64_t)__builtin_popcountll(todo) * c->size;
		for (; todo; todo &= todo - 1) {
			uint64_t offset = base + (i * 64 + (uint64_t)__builtin_ctzll(todo)) * c->size;

			if (c->kind == TRI__TYPED)
				scan_typed(w, offset, c->size);
			else
				scan_words(w, offset, c->size);
		}
	}
}

/*
 * A piece of a large object may never have been written: then it is a hole, which must not be read,
 * as that would allocate memory and charge us for it.
 */
static void scan_piece(struct mark_worker *w, const struct mark_piece *p)
{
	const struct marker *m = w->m;
	uint64_t at = p->offset, end = p->offset + p->bytes;

	w->scan_bytes += p->bytes;
	while (at < end) {
		uint64_t stop = end;

		if (p->bytes >= TRI_PAGE_BYTES) {
			off_t base = (off_t)m->v->layout.heap;
			off_t data = lseek(m->fd, base + (off_t)at, SEEK_DATA), hole;

			if (data < 0 || (uint64_t)(data - base) >= end)
				return;
			hole = lseek(m->fd, data, SEEK_HOLE);
			at = (uint64_t)(data - base);
			if (hole > data && (uint64_t)(hole - base) < end)
				stop = (uint64_t)(hole - base);
		}
		if (p->typed)
			scan_typed(w, at, stop - at);
		else
			scan_words(w, at, stop - at);
		at = stop;
	}
}

static void wake_assists(struct tri_ctl *ctl)
{
	atomic_fetch_add_explicit(&ctl->work_seq, 1, memory_order_relaxed);
	if (tri_read(&ctl->waiting))
		syscall(SYS_futex, &ctl->work_seq, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Work done is credit for allocating threads. */
static void credit(struct mark_worker *w)
{
	struct tri_ctl *ctl = w->m->v->ctl;
	uint64_t bytes = w->scan_bytes - w->credited_bytes;

	w->credited_bytes = w->scan_bytes;
	atomic_fetch_add_explicit(&ctl->credit_bytes, (int64_t)bytes, memory_order_relaxed);
	wake_assists(ctl);
	if (w == &w->m->self && w->m->progress)
		w->m->progress(w->m->progress_arg);
}

/* Give half of a long FIFO to helpers, if there are any without work. */
static void share(struct mark_worker *w)
{
	struct marker *m = w->m;
	uint32_t n = (w->head - w->tail) / 2;

	if (!workers_idle())
		return;
	pthread_mutex_lock(&m->lock);
	while (m->nshared + n > m->shared_room)
		if (!grow((void **)&m->shared, &m->shared_room, sizeof(*m->shared), 4096))
			n = 0;
	for (; n; n--)
		m->shared[m->nshared++] = w->span[w->tail++ & (w->room - 1)];
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	workers_call(m);
}

/* A batch of shared spans for @w; `lock` is held. */
static bool take_shared(struct mark_worker *w)
{
	struct marker *m = w->m;
	uint32_t n = m->nshared < BATCH ? m->nshared : BATCH, i;

	for (i = 0; i < n; i++)
		put_span(w, m->shared[--m->nshared]);
	return n != 0;
}

static void work(struct mark_worker *w)
{
	struct marker *m = w->m;
	unsigned int since = 0;

	for (;;) {
		if (w->npieces) {
			struct mark_piece p = w->piece[--w->npieces];

			scan_piece(w, &p);
		} else if (w->head != w->tail) {
			uint32_t n = w->head - w->tail;
			uint32_t page = w->span[w->tail++ & (w->room - 1)];

			if (n > 4) {
				uint32_t next = w->span[(w->tail + 3) & (w->room - 1)];

				__builtin_prefetch((void *)m->marks[next], 0);
				__builtin_prefetch((void *)m->v->scanned[next], 1);
			}
			scan_span(w, page);
			if (n > SHARE_FROM && !(++since & 15))
				share(w);
		} else {
			mark_flush(w);
			if (w->head == w->tail && !w->npieces)
				break;
		}
		if (w->scan_bytes - w->credited_bytes >= CREDIT_BYTES)
			credit(w);
	}
}

void mark_drain(struct marker *m)
{
	for (;;) {
		work(&m->self);
		pthread_mutex_lock(&m->lock);
		while (!take_shared(&m->self)) {
			if (!m->helpers) {
				pthread_mutex_unlock(&m->lock);
				workers_dismiss(m);
				return;
			}
			pthread_cond_wait(&m->changed, &m->lock);
		}
		pthread_mutex_unlock(&m->lock);
	}
}

/* A helper's stay.  It counts in m->helpers already, so that the arena's thread waits for it. */
void mark_help(struct marker *m, struct mark_worker *w)
{
	struct timespec before, after;
	bool more;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	w->m = m;
	w->objects = w->marked_bytes = w->scan_bytes = w->credited_bytes = 0;
	w->failed = false;
	for (;;) {
		pthread_mutex_lock(&m->lock);
		more = take_shared(w);
		if (!more)
			break;
		pthread_mutex_unlock(&m->lock);
		work(w);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	m->helper_objects += w->objects;
	m->helper_marked_bytes += w->marked_bytes;
	m->helper_scan_bytes += w->scan_bytes;
	m->helper_cpu_ns += (uint64_t)((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec -
				       before.tv_nsec);
	m->helper_failed |= w->failed;
	m->helpers--;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

void mark_entry(struct mark_worker *w, uint64_t entry)
{
	struct marker *m = w->m;
	uint64_t offset = entry - m->heap_va;
	struct tri_object o;

	if (offset >= m->limit || !tri_resolve(m->v, offset, &o) ||
	    !tri_bit(m->allocated, o.page, o.index) || tri_bit(m->marks, o.page, o.index))
		return;
	if (!(atomic_fetch_or(&m->marks[o.page][o.index / 64], 1ull << (o.index & 63)) >>
	      (o.index & 63) & 1))
		grey(w, o.class, o.page, o.index);
}

int marker_init(struct marker *m, const struct tri_view *v, int fd)
{
	memset(m, 0, sizeof(*m));
	m->v = v;
	m->fd = fd;
	m->heap_va = v->heap_va;
	m->self.m = m;
	m->queued = mmap(NULL, v->heap_pages, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->queued == MAP_FAILED)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	return 0;
}

void marker_exit(struct marker *m)
{
	munmap(m->queued, m->v->heap_pages);
	free(m->self.span);
	free(m->self.piece);
	free(m->shared);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->changed);
}

void mark_begin(struct marker *m, uint32_t cycle)
{
	uint64_t top = tri_read(&m->v->ctl->top_pages);

	m->marks = m->v->marks[cycle & 1];
	m->allocated = m->v->marks[~cycle & 1];
	/* What is allocated above, from now on, is black. */
	m->limit = (top < m->v->heap_pages ? top : m->v->heap_pages) << TRI_PAGE_SHIFT;
	m->self.objects = m->self.marked_bytes = m->self.scan_bytes = m->self.credited_bytes = 0;
	m->self.failed = false;
	m->helper_objects = m->helper_marked_bytes = m->helper_scan_bytes = m->helper_cpu_ns = 0;
	m->helpers_seen = 0;
	m->helper_failed = false;
	tri_write(&m->v->ctl->credit_bytes, 0);
}

uint64_t mark_objects(struct marker *m)
{
	return m->self.objects + m->helper_objects;
}

uint64_t mark_bytes(struct marker *m)
{
	return m->self.marked_bytes + m->helper_marked_bytes;
}

uint64_t mark_scan_bytes(struct marker *m)
{
	return m->self.scan_bytes + m->helper_scan_bytes;
}

bool mark_failed(struct marker *m)
{
	return m->self.failed || m->helper_failed;
}
