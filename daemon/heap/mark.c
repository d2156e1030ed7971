// SPDX-License-Identifier: GPL-2.0-only
/*
 * mark.c - the marker: core/heap/marking.h with queues
 *
 *  1. Each worker has a FIFO of spans with objects to scan, and a stack of larger objects, which
 *     are scanned in pieces of 128 KiB.  A few of either are taken out in advance, and prefetched.
 *  2. The arena's thread is the first worker.  When its FIFO is long and a CPU is idle, it shares
 *     spans with helpers (workers.c).  It also keeps a few spans on offer in the arena for mutators
 *     that have to assist, and takes back those that nobody wanted.
 *  3. A mutator that assists hands over what it marked and did not scan as GREY entries of its
 *     buffer.
 *
 * A client that clears mark bits could keep us marking for ever.  But no heap has more to scan than
 * scan_most() says, and no span comes back that was not offered.  So a cycle that exceeds one of
 * these is given up, and the arena with it.
 *
 * Nor may a client make our queues grow without bounds.  It can claim any size for its heap, but
 * not have memory that it does not pay for.  A piece (24 B) is queued for an object that is marked,
 * for an entry of a buffer (8 B), or for the record of a finalizer (32 B, and no more than one page
 * of records at a time).  The page of an object that is marked has a line in each of two bitmaps
 * (128 B), and holds at most 14 objects that are queued one by one (336 B of pieces).  Spans are
 * fewer and smaller.  So a queue never needs more than three times the memory that the arena has,
 * which is read when a queue grows.
 */
#include "mark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backing.h"
#include "core/system/held.h"
#include "core/system/clock.h"
#include "core/system/futex.h"
#include "core/heap/marking.h"

#define PIECE_BYTES (128ull << 10)
/* A queue may have QUEUE_FACTOR times the arena's resident bytes, and QUEUE_SLACK_BYTES more. */
#define QUEUE_FACTOR 3
#define QUEUE_SLACK_BYTES (1ull << 20)
#define QUEUE_KEEP_BYTES (1ull << 20)	/* a helper keeps a queue of this size for the next arena */
#define CREDIT_BYTES (64ull << 10)
#define SHARE_FROM 128		/* spans in a FIFO from which it is shared: 1 MiB of heap */
#define OFFER_FROM 16
#define BATCH 64
#define VISITS 8		/* spans whose objects are being fetched; a power of two */
#define FETCHING 16		/* objects in those spans that are enough */
#define PIECES 4		/* pieces that are being fetched; a power of two */
#define PIECE_LINES 8		/* lines of each that are fetched; the CPU fetches the others */

struct mark_worker {
	struct tri_marking k;		/* first, as queue functions cast it to the worker */
	struct marker *m;
	uint32_t *span;			/* FIFO of first pages, a ring of room entries */
	uint32_t head, tail, room;	/* head - tail are queued */
	struct mark_piece *piece;	/* stack */
	uint64_t npieces, pieces_room;

	/* Rings of what is about to be scanned, and is being fetched into the cache. */
	struct tri_visit visit[VISITS];
	struct mark_piece next[PIECES];
	uint32_t visit_head, visit_tail, next_head, next_tail;
	uint32_t fetching;		/* objects in visit */
	uint32_t taken;			/* spans taken; it times what is done now and then */
	uint64_t offered;		/* most spans that mutators were offered and may return */
	uint64_t credited_bytes;	/* part of scan_bytes that mutators got credit for */
	uint64_t record_bytes;		/* part of scan_bytes that is records of specials */
	bool failed;			/* no memory, or a corrupt heap: the cycle is void */
};

/* Whether a queue that has @bytes may have more. */
static bool may_grow(const struct mark_worker *w, uint64_t bytes)
{
	uint64_t claimed = w->k.limit, resident = backing_resident_bytes(w->m->fd, claimed);

	return bytes < QUEUE_SLACK_BYTES + QUEUE_FACTOR * (resident < claimed ? resident : claimed);
}

static void put_span(struct mark_worker *w, uint32_t page)
{
	if (w->head - w->tail == w->room) {
		uint32_t room = w->room ? w->room * 2 : 1024, i, n = w->head - w->tail;
		uint32_t *ring = room && may_grow(w, n * sizeof(*ring)) ?
				 malloc((size_t)room * sizeof(*ring)) : NULL;

		if (!ring) {
			w->failed = true;
			return;
		}
		for (i = 0; i < n; i++)
			ring[i] = w->span[(w->tail + i) & (w->room - 1)];
		free(w->span);
		w->span = ring;
		w->room = room;
		w->tail = 0;
		w->head = n;
	}
	w->span[w->head++ & (w->room - 1)] = page;
}

static void put_piece(struct mark_worker *w, struct mark_piece piece)
{
	if (w->npieces == w->pieces_room) {
		uint64_t room = w->pieces_room ? w->pieces_room * 2 : 256;
		struct mark_piece *more = may_grow(w, w->npieces * sizeof(*more)) ?
					  realloc(w->piece, room * sizeof(*more)) : NULL;

		if (!more) {
			w->failed = true;
			return;
		}
		w->piece = more;
		w->pieces_room = room;
	}
	w->piece[w->npieces++] = piece;
}

static void marking_queue_span(struct tri_marking *k, uint32_t page)
{
	put_span((struct mark_worker *)k, page);
}

static void marking_queue_object(struct tri_marking *k, const struct tri_class *c, uint32_t page,
				 uint32_t index)
{
	uint64_t offset = ((uint64_t)page << TRI_PAGE_SHIFT) + (uint64_t)index * c->size;
	uint64_t bytes = tri_slot_bytes(k->v, c, page);

	if (offset + bytes <= k->v->heap_pages << TRI_PAGE_SHIFT)
		put_piece((struct mark_worker *)k,
			  (struct mark_piece){ offset, bytes, c->kind == TRI__TYPED,
					       !tri_read(&k->v->spans[page].needs_zero) });
}

static void scan_range(struct mark_worker *w, uint64_t offset, uint64_t bytes, bool typed)
{
	if (typed)
		tri_marking_scan_typed(&w->k, offset, bytes);
	else
		tri_marking_scan_words(&w->k, offset, bytes);
}

/*
 * Objects whose memory came fresh from the system were not zeroed, and may have holes where they
 * were never written.  A hole must not be read, as that would allocate a page and charge us for it.
 * The file is asked page by page, because the kernel would look for the end of the data up to the
 * end of the heap.
 */
static void scan_sparse(struct mark_worker *w, const struct mark_piece *p)
{
	const struct marker *m = w->m;
	off_t base = (off_t)m->v->layout.heap;
	uint64_t at = p->offset, end = p->offset + p->bytes;

	while (at < end) {
		off_t data = lseek(m->fd, base + (off_t)at, SEEK_DATA);
		uint64_t stop;

		if (data < 0 || (uint64_t)(data - base) >= end)
			return;
		at = (uint64_t)(data - base);
		stop = (at & ~4095ull) + 4096;
		if (stop > end)
			stop = end;
		scan_range(w, at, stop - at, p->typed);
		at = stop;
	}
}

static void fetch_piece(struct mark_worker *w)
{
	struct mark_piece p = w->piece[--w->npieces];
	const char *at = w->k.v->heap + p.offset;
	unsigned int i;

	if (p.bytes > PIECE_BYTES) {
		struct mark_piece rest = p;

		rest.offset += PIECE_BYTES;
		rest.bytes -= PIECE_BYTES;
		put_piece(w, rest);
		p.bytes = PIECE_BYTES;
	}
	/* This reads no hole: a prefetch does not fault. */
	for (i = 0; i < PIECE_LINES && i * TRI_LINE < p.bytes; i++)
		__builtin_prefetch(at + i * TRI_LINE);
	w->next[w->next_head++ & (PIECES - 1)] = p;
}

static void scan_piece(struct mark_worker *w)
{
	struct mark_piece p = w->next[w->next_tail++ & (PIECES - 1)];

	w->k.scan_bytes += p.bytes;
	if (p.holes)
		scan_sparse(w, &p);
	else
		scan_range(w, p.offset, p.bytes, p.typed);
}

/** Wake threads that wait for credit, or for the end of the cycle. */
void mark_wake_assists(struct marker *m)
{
	struct tri_ctl *ctl = m->v->ctl;

	atomic_fetch_add(&ctl->work_seq, 1);
	if (tri_read(&ctl->waiting))
		tri_futex_wake(&ctl->work_seq);
}

/*
 * More than @w can have to scan in a heap that is sound.  Marking scans an object once, or twice if
 * two threads claim it at the same moment.  The walk over the records scans it once more if it has
 * a finalizer and is not marked by then.
 */
static uint64_t scan_most(const struct mark_worker *w)
{
	return 3 * w->k.limit + w->record_bytes + (64ull << 20);
}

/* Give allocating threads credit for the work that was done. */
static void credit(struct mark_worker *w)
{
	struct tri_ctl *ctl = w->m->v->ctl;
	uint64_t bytes = w->k.scan_bytes - w->credited_bytes;

	w->credited_bytes = w->k.scan_bytes;
	atomic_fetch_add_explicit(&ctl->credit_bytes, (int64_t)bytes, memory_order_relaxed);
	mark_wake_assists(w->m);
	if (w->k.scan_bytes > scan_most(w))
		w->failed = true;
	if (w == w->m->self && w->m->progress)
		w->m->progress(w->m->progress_arg);
}

static uint32_t next_span(struct mark_worker *w)
{
	return w->span[w->tail++ & (w->room - 1)];
}

/* Give half of a long FIFO to helpers, if there are any without work. */
static void share(struct mark_worker *w)
{
	struct marker *m = w->m;
	uint32_t n = (w->head - w->tail) / 2;

	if (!workers_idle())
		return;
	pthread_mutex_lock(&m->job.lock);
	if (m->nshared + n > m->shared_room) {
		uint32_t *more =
			may_grow(w, m->nshared * sizeof(*more)) ?
				realloc(m->shared, (size_t)(m->nshared + n) * sizeof(*more)) :
				NULL;

		if (more) {
			m->shared = more;
			m->shared_room = m->nshared + n;
		} else {
			n = 0;
		}
	}
	for (; n; n--)
		m->shared[m->nshared++] = next_span(w);
	pthread_cond_broadcast(&m->job.changed);
	pthread_mutex_unlock(&m->job.lock);
	workers_offer(&m->job);
}

/* Give @w a batch of shared spans. */
static bool take_shared(struct mark_worker *w)
{
	struct marker *m = w->m;
	uint32_t n = m->nshared < BATCH ? m->nshared : BATCH, i;

	tri_assert_held(&m->job.lock);
	for (i = 0; i < n; i++)
		put_span(w, m->shared[--m->nshared]);
	return n != 0;
}

/* Fill the places that assisting mutators have emptied. */
static void offer(struct mark_worker *w)
{
	const struct tri_view *v = w->m->v;
	uint32_t i;

	if (tri_read(&v->ctl->grey_count) >= TRI_GREY_SLOTS / 2)
		return;
	for (i = 0; i < TRI_GREY_SLOTS && w->head - w->tail > OFFER_FROM; i++) {
		uint32_t empty = 0, page;

		if (tri_read(&v->grey[i]))
			continue;
		page = next_span(w);
		if (atomic_compare_exchange_strong(&v->grey[i], &empty, page))
			w->offered++;
		else
			put_span(w, page);
	}
	tri_write(&v->ctl->grey_count, TRI_GREY_SLOTS);
}

/* Take back spans that are on offer.  True: there were some. */
static bool take_back(struct mark_worker *w)
{
	const struct tri_view *v = w->m->v;
	bool any = false;
	uint32_t i;

	for (i = 0; i < TRI_GREY_SLOTS; i++) {
		uint32_t page = tri_read(&v->grey[i]) ? atomic_exchange(&v->grey[i], 0) : 0;

		if (!page || page >= v->heap_pages)
			continue;
		if (!w->offered) {
			w->failed = true;
			return false;
		}
		w->offered--;
		put_span(w, page);
		any = true;
	}
	tri_write(&v->ctl->grey_count, 0);
	return any;
}

static void fetch_span(struct mark_worker *w)
{
	const struct tri_view *v = w->k.v;
	uint32_t n = w->head - w->tail, page = next_span(w);
	struct tri_visit *visit = &w->visit[w->visit_head & (VISITS - 1)];

	if (n > 4) {
		uint32_t ahead = w->span[(w->tail + 3) & (w->room - 1)];

		__builtin_prefetch((void *)w->k.marks[ahead], 0);
		__builtin_prefetch((void *)v->scanned[ahead], 1);
	}
	if (tri_marking_take(&w->k, page, visit)) {
		w->visit_head++;
		w->fetching += visit->objects;
	}
	if (n > SHARE_FROM && !(++w->taken & 15)) {
		share(w);
		if (w == w->m->self && tri_read(&v->ctl->assist_q16))
			offer(w);
	}
}

static void scan_span(struct mark_worker *w)
{
	struct tri_visit *visit = &w->visit[w->visit_tail++ & (VISITS - 1)];

	w->fetching -= visit->objects;
	tri_marking_visit(&w->k, visit);
}

/* All that was fetched is scanned before this returns, unless the cycle is void. */
static void work(struct mark_worker *w)
{
	while (!w->failed) {
		if (w->npieces && w->next_head - w->next_tail < PIECES) {
			fetch_piece(w);
			continue;
		}
		if (w->next_head != w->next_tail) {
			scan_piece(w);
		} else if (w->head != w->tail && w->fetching < FETCHING &&
			   w->visit_head - w->visit_tail < VISITS) {
			fetch_span(w);
			continue;
		} else if (w->visit_head != w->visit_tail) {
			scan_span(w);
		} else {
			tri_marking_flush(&w->k);
			if (w->head == w->tail && !w->npieces && (w != w->m->self || !take_back(w)))
				break;
		}
		if (w->k.scan_bytes - w->credited_bytes >= CREDIT_BYTES)
			credit(w);
	}
}

void mark_drain(struct marker *m)
{
	for (;;) {
		work(m->self);
		pthread_mutex_lock(&m->job.lock);
		while (m->self->failed || !take_shared(m->self)) {
			if (m->self->failed)
				m->nshared = 0;
			if (!m->job.helpers) {
				pthread_mutex_unlock(&m->job.lock);
				workers_withdraw(&m->job);
				return;
			}
			pthread_cond_wait(&m->job.changed, &m->job.lock);
		}
		pthread_mutex_unlock(&m->job.lock);
	}
}

static void begin(struct mark_worker *w, struct marker *m)
{
	tri_marking_init(&w->k, m->v, m->cycle);
	w->m = m;
	w->head = w->tail = 0;
	w->npieces = 0;
	w->visit_head = w->visit_tail = w->next_head = w->next_tail = 0;
	w->fetching = 0;
	w->offered = 0;
	w->credited_bytes = 0;
	w->record_bytes = 0;
	w->failed = false;
}

/* A helper goes on to other arenas.  Queues that one arena made large are freed before. */
static void trim_queues(struct mark_worker *w)
{
	if (w->room * sizeof(*w->span) > QUEUE_KEEP_BYTES) {
		free(w->span);
		w->span = NULL;
		w->room = 0;
	}
	if (w->pieces_room * sizeof(*w->piece) > QUEUE_KEEP_BYTES) {
		free(w->piece);
		w->piece = NULL;
		w->pieces_room = 0;
	}
}

/*
 * What a helper runs that has joined.  m->job.helpers counts it until it returns, and the arena's
 * thread waits for that.
 */
static void help(void *marker, void **scratch)
{
	struct marker *m = marker;
	struct mark_worker *w = *scratch;
	uint64_t cpu = clock_cpu_ns();
	bool more;

	if (!w)
		w = *scratch = calloc(1, sizeof(*w));
	if (!w)
		return;
	begin(w, m);
	for (;;) {
		pthread_mutex_lock(&m->job.lock);
		more = take_shared(w);
		if (!more)
			break;
		pthread_mutex_unlock(&m->job.lock);
		work(w);
	}
	trim_queues(w);
	m->helper_objects += w->k.objects;
	m->helper_marked_bytes += w->k.marked_bytes;
	m->helper_scan_bytes += w->k.scan_bytes;
	m->helper_cpu_ns += clock_cpu_ns() - cpu;
	m->helper_failed |= w->failed;
	pthread_mutex_unlock(&m->job.lock);
}

/* Mark an object that is allocated, if it is white. */
static void mark_white(struct marker *m, const struct tri_object *o)
{
	uint64_t bit = 1ull << (o->index & 63);

	if (!tri_bit(m->allocated, o->page, o->index) || tri_bit(m->marks, o->page, o->index))
		return;
	if (!(atomic_fetch_or(&m->marks[o->page][o->index / 64], bit) & bit))
		tri_marking_grey(&m->self->k, o->class, o->page, o->index & ~63u, bit);
}

void mark_object(struct marker *m, uint64_t offset)
{
	struct tri_object o;

	if (offset < m->self->k.limit && tri_resolve(m->v, offset, &o))
		mark_white(m, &o);
}

void mark_entry(struct marker *m, uint64_t entry)
{
	struct mark_worker *w = m->self;
	uint64_t offset = entry & ~TRI_ENTRY_GREY;
	struct tri_object o;

	if (!(entry & TRI_ENTRY_GREY)) {
		mark_object(m, entry - m->v->heap_va);
		return;
	}
	if (offset >= w->k.limit || !tri_resolve(m->v, offset, &o))
		return;
	m->supplied = true;
	if (o.class->pages == 1)
		put_span(w, o.page);
	else if (o.class->kind != TRI__LEAF)
		marking_queue_object(&w->k, o.class, o.page, o.index);
}

/*
 * The object is scanned by itself, and not with its span: a span is scanned for those of its
 * objects that are marked.  One that is marked already is scanned anyway.
 */
void mark_referents(struct marker *m, uint64_t offset)
{
	struct mark_worker *w = m->self;
	struct tri_object o;

	if (offset >= w->k.limit || !tri_resolve(m->v, offset, &o) || o.class->kind == TRI__LEAF ||
	    !tri_bit(m->allocated, o.page, o.index) || tri_bit(m->marks, o.page, o.index))
		return;
	if (o.class->pages != 1) {
		marking_queue_object(&w->k, o.class, o.page, o.index);
		return;
	}
	/* A span of one page has no holes, as with visits. */
	put_piece(w, (struct mark_piece){
			     .offset = ((uint64_t)o.page << TRI_PAGE_SHIFT) +
				       (uint64_t)o.index * o.class->size,
			     .bytes = o.class->size,
			     .typed = o.class->kind == TRI__TYPED,
		     });
}

bool mark_records(struct marker *m, uint64_t bytes)
{
	struct mark_worker *w = m->self;

	w->k.scan_bytes += bytes;
	w->record_bytes += bytes;
	work(w);
	if (w->k.scan_bytes - w->credited_bytes >= CREDIT_BYTES)
		credit(w);
	return !w->failed;
}

int marker_init(struct marker *m, const struct tri_view *v, int fd)
{
	memset(m, 0, sizeof(*m));
	m->self = calloc(1, sizeof(*m->self));
	if (!m->self)
		return -ENOMEM;
	m->v = v;
	m->fd = fd;
	workers_job_init(&m->job, help, m);
	return 0;
}

void marker_exit(struct marker *m)
{
	free(m->self->span);
	free(m->self->piece);
	free(m->self);
	free(m->shared);
	workers_job_exit(&m->job);
}

void mark_begin(struct marker *m, uint32_t cycle)
{
	struct tri_ctl *ctl = m->v->ctl;

	assert(!m->job.helpers && !m->job.offered);
	m->cycle = cycle;
	m->marks = m->v->marks[cycle & 1];
	m->allocated = m->v->marks[~cycle & 1];
	begin(m->self, m);
	m->nshared = 0;
	m->helper_objects = m->helper_marked_bytes = m->helper_scan_bytes = m->helper_cpu_ns = 0;
	m->job.joined = 0;
	m->helper_failed = false;
	m->assist_marked_at = tri_read(&ctl->assist_marked_bytes);
	m->assist_scan_at = tri_read(&ctl->assist_scan_bytes);
	m->assist_objects_at = tri_read(&ctl->assist_objects);
	tri_write(&ctl->credit_bytes, 0);
}

uint64_t mark_objects(struct marker *m)
{
	return m->self->k.objects + m->helper_objects +
	       (tri_read(&m->v->ctl->assist_objects) - m->assist_objects_at);
}

uint64_t mark_bytes(struct marker *m)
{
	return m->self->k.marked_bytes + m->helper_marked_bytes +
	       (tri_read(&m->v->ctl->assist_marked_bytes) - m->assist_marked_at);
}

/* Helpers may be at work, and leave, while this is called. */
uint64_t mark_scan_bytes(struct marker *m)
{
	uint64_t helpers;

	pthread_mutex_lock(&m->job.lock);
	helpers = m->helper_scan_bytes;
	pthread_mutex_unlock(&m->job.lock);
	return m->self->k.scan_bytes + helpers +
	       (tri_read(&m->v->ctl->assist_scan_bytes) - m->assist_scan_at);
}

bool mark_failed(struct marker *m)
{
	return m->self->failed || m->helper_failed;
}
