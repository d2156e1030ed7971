// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_marking.c - the scanning kernel and the marker against a traversal that anybody can check
 *
 *	small arenas with spans of all classes and kinds, large objects, free pages, and words of
 *	all sorts in them: the same marks, counts and bytes as the traversal finds, word by word
 *	and by vector; objects that are black before stay so and are never scanned
 *	several threads, and one that allocates black in the same words: the same marks
 *	the marker with its queues: the same, and no hole of the file gets memory
 *	tables full of nonsense: an end, and no access outside the heap
 *
 * `test_marking SEED` repeats a run.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/heap/marking.h"
#include "kselftest.h"
#include "daemon/heap/mark.h"
#include "lib/plain_arena.h"

#define PAGES TRI_CHUNK_PAGES
#define TOP (PAGES - 3)			/* pages from here on are above the limit */
#define CYCLE 7
#define ROOTS 8
#define THREADS 3

static struct tri_view view;
static int fd;
static uint64_t seed;
static uint64_t roots[ROOTS];

/* What the traversal finds. */
static uint64_t want[PAGES][TRI_MARK_WORDS], black[PAGES][TRI_MARK_WORDS];
static uint64_t want_objects, want_bytes, want_scan_bytes;
static struct tri_object stack[PAGES * 512];

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t below(uint64_t n)
{
	return rnd() % n;
}

/* The heap's end is the mapping's; behind it nothing may be touched. */
static void make_view(void)
{
	struct tri_layout layout;
	char *base;

	tri_layout_init(&layout, PAGES);
	fd = memfd_create("test_marking", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)layout.file_bytes))
		ksft_exit_fail_msg("no file for an arena\n");
	base = mmap(NULL, layout.file_bytes + (1 << 20), PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED || mmap(base, layout.file_bytes, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_FIXED, fd, 0) != base)
		ksft_exit_fail_msg("no memory\n");
	/* An address that has nothing to do with where the heap is here. */
	tri_view_init(&view, base, &layout, 0x123456789000);
}

/* Everything up to the buffers, and the heap, zero and without memory. */
static void clear(void)
{
	plain_arena_clear(&view, fd);
	memset(want, 0, sizeof(want));
	memset(black, 0, sizeof(black));
	want_objects = want_bytes = want_scan_bytes = 0;
	tri_write(&view.ctl->top_pages, TOP);
}

static uint64_t object_bytes(const struct tri_object *o)
{
	return o->class->large ? (uint64_t)tri_large_pages(&view, o->page) << TRI_PAGE_SHIFT :
				 o->class->size;
}

static uint64_t object_offset(const struct tri_object *o)
{
	return ((uint64_t)o->page << TRI_PAGE_SHIFT) + (uint64_t)o->index * o->class->size;
}

static uint64_t any_word(uint32_t page)
{
	uint64_t heap = PAGES << TRI_PAGE_SHIFT, limit = (uint64_t)TOP << TRI_PAGE_SHIFT;
	uint64_t span = view.heap_va + ((uint64_t)page << TRI_PAGE_SHIFT);

	switch (below(8)) {
	case 0:
		return below(1 << 20);
	case 1:
		return rnd();
	case 2:	/* in the same span, or next to it */
		return span + below(TRI_PAGE_BYTES + 16);
	case 3:	/* at the heap's bounds, and the limit's */
		return view.heap_va + (below(2) ? heap : limit) - 32 + below(64);
	case 4:
		return view.heap_va - below(64);
	default:
		return view.heap_va + below(heap);
	}
}

/* @density of 1000 words are not 0.  Half of the rounds have one class only. */
static void make_heap(unsigned int density)
{
	unsigned int one = below(2) ? 1 + (unsigned int)below(TRI_SPAN_CLASS_TINY) : 0, i;
	uint32_t page = 1, n, k;

	while (page < PAGES) {
		unsigned int span_class = one ? one : 1 + (unsigned int)below(TRI_SPAN_CLASS_MAX);
		const struct tri_class *c = &tri_classes[span_class];
		bool fresh = !below(8), holes;
		uint64_t *p;

		n = c->large ? 1 + (uint32_t)below(40) : c->pages;
		if (!below(16) || page + n > PAGES) {
			tri_write(&view.page_map[page++], below(2) ? TRI_SPAN_CLASS_TAKEN : 0);
			continue;
		}
		tri_write(&view.spans[page].pages, n);
		/* Fresh memory of several pages is never written where it need not be. */
		holes = fresh && n > 1;
		tri_write(&view.spans[page].needs_zero, !holes);
		for (k = 0; k < n; k++) {
			tri_write(&view.page_map[page + k], (uint8_t)span_class);
			if (c->pages != 1)
				tri_write(&view.span_of[page + k], page);
			for (i = 0; i < TRI_PTRMAP_WORDS && c->kind == TRI__TYPED; i++)
				tri_write(&view.ptrmap[page + k][i], rnd() & rnd());
			p = (uint64_t *)(view.heap + ((uint64_t)(page + k) << TRI_PAGE_SHIFT));
			if (holes && below(4))
				continue;
			if (!holes)
				memset(p, 0, TRI_PAGE_BYTES);
			for (i = 0; i < TRI_PAGE_BYTES / 8; i++)
				if (below(1000) < density)
					p[i] = any_word(page + k);
		}
		page += n;
	}
	for (i = 0; i < ROOTS; i++)
		roots[i] = view.heap_va + below((uint64_t)TOP << TRI_PAGE_SHIFT);
	/* As mark_entry() wants it: all slots are allocated. */
	memset(view.marks[~CYCLE & 1], 0xff, PAGES * sizeof(view.marks[0][0]));
}

/* Some objects are black from the start. */
static void blacken(void)
{
	uint32_t page, w;

	for (page = 1; page < TOP; page++) {
		const struct tri_class *c = &tri_classes[tri_read(&view.page_map[page])];

		for (w = 0; c->pages == 1 && w < TRI_MARK_WORDS; w++)
			if (!below(3))
				black[page][w] = rnd() & rnd() & tri_objects_mask(c->objects, w);
	}
}

static void reset_marks(void)
{
	uint32_t page, w;

	tri_write(&view.grey[0], 0);
	for (page = 0; page < PAGES; page++) {
		tri_write(&view.queued[page], 0);
		for (w = 0; w < TRI_MARK_WORDS; w++) {
			tri_write(&view.marks[CYCLE & 1][page][w], black[page][w]);
			tri_write(&view.scanned[page][w], black[page][w]);
		}
	}
}

/* The traversal.  `want` is what marks should be in the end. */
static void reach(uint64_t word, size_t *n)
{
	uint64_t to = word - view.heap_va, *mark;
	struct tri_object o;

	if (to >= (uint64_t)TOP << TRI_PAGE_SHIFT || !tri_resolve(&view, to, &o))
		return;
	mark = &want[o.page][o.index / 64];
	if (*mark >> (o.index & 63) & 1)
		return;
	*mark |= 1ull << (o.index & 63);
	want_objects++;
	want_bytes += object_bytes(&o);
	if (o.class->kind != TRI__LEAF) {
		want_scan_bytes += object_bytes(&o);
		stack[(*n)++] = o;
	}
}

static void traverse(void)
{
	tri_au64 *map = &view.ptrmap[0][0];
	size_t n = 0;
	int i;

	memcpy(want, black, sizeof(want));
	for (i = 0; i < ROOTS; i++)
		reach(roots[i], &n);
	while (n) {
		struct tri_object o = stack[--n];
		uint64_t at = object_offset(&o), end = at + object_bytes(&o);

		for (; at < end; at += 8)
			if (o.class->kind != TRI__TYPED ||
			    tri_read(&map[at / 512]) >> (at / 8 & 63) & 1)
				reach(*(uint64_t *)(view.heap + at), &n);
	}
}

static unsigned int wrong_marks(void)
{
	uint32_t page, w;
	unsigned int wrong = 0;

	for (page = 0; page < PAGES; page++)
		for (w = 0; w < TRI_MARK_WORDS; w++)
			wrong += tri_read(&view.marks[CYCLE & 1][page][w]) != want[page][w];
	return wrong;
}

/* ------------------------------------------------------------------------------------------ */

/* Queues that give out in no order at all; shared by threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t spans[PAGES + 1];
static struct tri_object objects[PAGES * 16];
static uint32_t nspans, nobjects, busy, overflow;
static _Atomic uint64_t sum_objects, sum_bytes;
static _Thread_local uint64_t order = 88172645463325252ull;

static void marking_queue_span(struct tri_marking *k, uint32_t page)
{
	(void)k;
	pthread_mutex_lock(&lock);
	if (nspans < PAGES)
		spans[nspans++] = page;
	else
		overflow++;
	pthread_mutex_unlock(&lock);
}

static void marking_queue_object(struct tri_marking *k, const struct tri_class *c, uint32_t page,
				 uint32_t index)
{
	(void)k;
	pthread_mutex_lock(&lock);
	if (nobjects < PAGES * 16)
		objects[nobjects++] = (struct tri_object){ c, page, index };
	else
		overflow++;
	pthread_mutex_unlock(&lock);
}

static uint32_t choose(uint32_t n)
{
	order ^= order << 13;
	order ^= order >> 7;
	order ^= order << 17;
	return (uint32_t)(order % n);
}

/* True if there was something to do. */
static bool step(struct tri_marking *k)
{
	struct tri_object o = { NULL, 0, 0 };
	uint32_t page = 0, i;

	pthread_mutex_lock(&lock);
	if (nspans) {
		i = choose(nspans);
		page = spans[i];
		spans[i] = spans[--nspans];
	} else if (nobjects) {
		i = choose(nobjects);
		o = objects[i];
		objects[i] = objects[--nobjects];
	}
	busy += page || o.class;
	pthread_mutex_unlock(&lock);
	if (page) {
		tri_marking_scan_span(k, page);
	} else if (o.class) {
		k->scan_bytes += object_bytes(&o);
		if (o.class->kind == TRI__TYPED)
			tri_marking_scan_typed(k, object_offset(&o), object_bytes(&o));
		else
			tri_marking_scan_words(k, object_offset(&o), object_bytes(&o));
	} else {
		return false;
	}
	if (!choose(4))
		tri_marking_flush(k);
	return true;
}

/* Alone, or with others: who has nothing to do flushes, and ends when nobody has. */
static void mark_all(struct tri_marking *k)
{
	bool end = false;

	while (!end) {
		uint32_t held = 0;

		while (step(k))
			held++;
		tri_marking_flush(k);
		pthread_mutex_lock(&lock);
		busy -= held;
		end = !busy && !nspans && !nobjects;
		pthread_mutex_unlock(&lock);
	}
}

static void init_kernel(struct tri_marking *k, bool vector)
{
	tri_marking_init(k, &view, CYCLE);
	k->vector = vector;
}

/* Roots go in as a conservative object would bring them. */
static void mark_roots(struct tri_marking *k)
{
	int i;

	for (i = 0; i < ROOTS; i++) {
		k->found[k->nfound] = roots[i] - view.heap_va;
		k->nfound += roots[i] - view.heap_va < k->limit;
	}
	tri_marking_flush(k);
}

static bool same_as_traversal(bool vector)
{
	struct tri_marking k;

	reset_marks();
	init_kernel(&k, vector);
	mark_roots(&k);
	mark_all(&k);
	return !wrong_marks() && !overflow && k.objects == want_objects &&
	       k.marked_bytes == want_bytes && k.scan_bytes == want_scan_bytes;
}

static void test_kernel(bool vector, const char *what)
{
	uint64_t start = seed, marked = 0;
	unsigned int round, wrong = 0;

	if (vector && !tri_marking_can_vector()) {
		ksft_test_result_skip("no AVX-512 here: %s\n", what);
		return;
	}
	for (round = 0; round < 80; round++) {
		clear();
		make_heap(1 + (unsigned int)below(round & 1 ? 30 : 300));
		if (round & 2)
			blacken();
		traverse();
		wrong += !same_as_traversal(vector);
		marked += want_objects;
	}
	ksft_test_result(!wrong && marked > 10000, "%s: %llu objects, seed %llu\n", what,
			 (unsigned long long)marked, (unsigned long long)start);
}

/* Two objects that point to each other, the rest of the page free: found by hand. */
static void test_pair(void)
{
	unsigned int span_class, wrong = 0, kernels = tri_marking_can_vector() ? 2 : 1, i;

	for (span_class = 1; span_class < TRI_SPAN_CLASS_TINY; span_class++) {
		const struct tri_class *c = &tri_classes[span_class];
		uint64_t last = (c->objects - 1u) * c->size, *p;

		if (c->pages != 1)
			continue;
		clear();
		tri_write(&view.page_map[1], (uint8_t)span_class);
		p = (uint64_t *)(view.heap + TRI_PAGE_BYTES);
		memset(view.ptrmap[1], 0xff, sizeof(view.ptrmap[1]));
		/* The last word of the first leads to the last byte of the last, and back. */
		p[c->size / 8 - 1] = view.heap_va + TRI_PAGE_BYTES + last + c->size - 1;
		p[(last + c->size) / 8 - 1] = view.heap_va + TRI_PAGE_BYTES;
		/* The span's rest is no object. */
		p[last / 8] = view.heap_va + TRI_PAGE_BYTES * 2 - 1;
		for (i = 0; i < ROOTS; i++)
			roots[i] = view.heap_va + TRI_PAGE_BYTES;
		traverse();
		for (i = 0; i < kernels; i++)
			wrong += !same_as_traversal(i);
		wrong += want_objects != (c->kind == TRI__LEAF ? 1 : 2);
	}
	ksft_test_result(!wrong, "in each class the first and the last object of a span\n");
}

/* ------------------------------------------------------------------------------------------ */

static pthread_barrier_t together;
static bool mutate;

static void *mark_thread(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	struct tri_marking k;

	order += me * 0x9e3779b97f4a7c15ull;
	init_kernel(&k, me & 1 && tri_marking_can_vector());
	pthread_barrier_wait(&together);
	if (!me)
		mark_roots(&k);
	pthread_barrier_wait(&together);
	mark_all(&k);
	sum_objects += k.objects;
	sum_bytes += k.marked_bytes;
	return NULL;
}

/* What cache.c does for a window of free slots; here, those that the traversal did not reach. */
static void *black_thread(void *unused)
{
	uint32_t page, w;

	(void)unused;
	pthread_barrier_wait(&together);
	pthread_barrier_wait(&together);
	for (page = 1; page < TOP && mutate; page++) {
		const struct tri_class *c = &tri_classes[tri_read(&view.page_map[page])];

		for (w = 0; c->pages == 1 && w < TRI_MARK_WORDS; w++) {
			uint64_t slots = ~want[page][w] & tri_objects_mask(c->objects, w);

			atomic_fetch_or(&view.scanned[page][w], slots);
			atomic_fetch_or(&view.marks[CYCLE & 1][page][w], slots);
		}
	}
	return NULL;
}

static void test_threads(void)
{
	uint64_t start = seed;
	unsigned int round, wrong = 0;
	uint32_t page, w;

	for (round = 0; round < 40; round++) {
		pthread_t thread[THREADS + 1];
		uintptr_t i;

		clear();
		make_heap(20 + (unsigned int)below(200));
		traverse();
		reset_marks();
		sum_objects = sum_bytes = 0;
		mutate = round & 1;
		pthread_barrier_init(&together, NULL, THREADS + 1);
		for (i = 0; i < THREADS; i++)
			pthread_create(&thread[i], NULL, mark_thread, (void *)i);
		pthread_create(&thread[i], NULL, black_thread, NULL);
		for (i = 0; i <= THREADS; i++)
			pthread_join(thread[i], NULL);
		pthread_barrier_destroy(&together);
		wrong += sum_objects != want_objects || sum_bytes != want_bytes || overflow;
		for (page = 1; page < TOP && mutate; page++) {
			const struct tri_class *c = &tri_classes[tri_read(&view.page_map[page])];

			for (w = 0; c->pages == 1 && w < TRI_MARK_WORDS; w++)
				want[page][w] |= tri_objects_mask(c->objects, w);
		}
		wrong += wrong_marks() != 0;
	}
	ksft_test_result(!wrong, "%d threads mark what one does, seed %llu\n", THREADS,
			 (unsigned long long)start);
}

/* ------------------------------------------------------------------------------------------ */

static uint64_t heap_memory(void)
{
	struct stat st;

	fstat(fd, &st);
	return (uint64_t)st.st_blocks;
}

static void drain(struct marker *m)
{
	int i;

	mark_begin(m, CYCLE);
	for (i = 0; i < ROOTS; i++)
		mark_entry(m, roots[i]);
	mark_drain(m);
}

static void test_marker(void)
{
	uint64_t start = seed, before;
	unsigned int round, wrong = 0, filled = 0, ended = 0;
	struct marker m;

	if (marker_init(&m, &view, fd))
		ksft_exit_fail_msg("no memory\n");
	for (round = 0; round < 80; round++) {
		clear();
		make_heap(1 + (unsigned int)below(round & 1 ? 30 : 300));
		reset_marks();
		before = heap_memory();
		drain(&m);
		filled += heap_memory() != before;
		/* This one does read the holes. */
		traverse();
		wrong += wrong_marks() || mark_failed(&m) || mark_objects(&m) != want_objects ||
			 mark_bytes(&m) != want_bytes || mark_scan_bytes(&m) != want_scan_bytes;
	}
	ksft_test_result(!wrong, "the marker marks what the traversal does, seed %llu\n",
			 (unsigned long long)start);
	ksft_test_result(!filled, "no hole of the file got memory\n");
	for (round = 0; round < 20; round++) {
		uint32_t page;

		clear();
		make_heap(100);
		for (page = 1; page < PAGES; page++) {
			if (below(2))
				tri_write(&view.page_map[page], (uint8_t)rnd());
			if (below(2))
				tri_write(&view.span_of[page], (uint32_t)below(PAGES * 2));
			if (below(2))
				tri_write(&view.spans[page].pages, (uint32_t)rnd() >> below(32));
		}
		reset_marks();
		drain(&m);
		ended++;
	}
	marker_exit(&m);
	ksft_test_result(ended == 20, "nonsense in the tables is survived\n");
}

int main(int argc, char **argv)
{
	struct timespec ts;

	ksft_print_header();
	ksft_set_plan(7);
	clock_gettime(CLOCK_REALTIME, &ts);
	seed = argc > 1 ? strtoull(argv[1], NULL, 0) :
			  (uint64_t)ts.tv_sec << 20 ^ (uint64_t)ts.tv_nsec;
	seed += !seed;
	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	tri_classes_init();
	make_view();
	test_pair();
	test_kernel(false, "word by word");
	test_kernel(true, "by vector");
	test_threads();
	test_marker();
	ksft_finished();
}
