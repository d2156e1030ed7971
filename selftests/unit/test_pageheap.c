// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pageheap.c - runs of pages, against a model that is one byte a page
 *
 * The library's page heap works here on an arena of this program's own.  Random runs are taken and
 * given back, by the page heap and, as the collector does it, by core/heap/pages.h; after each step
 * the bitmap is that of the model, and no hint hides a free page: what the model can find, the page
 * heap finds, and it never gives out a page twice.  Then the same with threads, and a collector's
 * death at each step of freeing and of scavenging.
 */
#include <pthread.h>
#include <string.h>

#include "kselftest.h"
#include "pageheap_alone.h"
#include "lib/plain_arena.h"

#define PAGES (TRI_CHUNK_PAGES * 8)

static uint8_t model[PAGES];		/* 1: used */
static uint64_t seed = 88172645463325252ull;

static uint64_t rnd_below(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % n;
}

static const struct tri_view *fresh_arena(void)
{
	plain_arena(&tri_g.view, PAGES);
	tri_pageheap_init();
	memset(model, 0, sizeof(model));
	model[0] = 1;
	return &tri_g.view;
}

static bool model_has(uint64_t n, uint64_t align)
{
	uint64_t at, i;

	for (at = align; at + n <= PAGES; at += align) {
		for (i = 0; i < n && !model[at + i]; i++)
			;
		if (i == n)
			return true;
	}
	return false;
}

/* Differences between bitmap, counter and hints, and the model. */
static unsigned int faults(const struct tri_view *v)
{
	uint64_t page, used = 0, chunk, first = (uint32_t)tri_read(&v->ctl->search);
	unsigned int n = 0;

	for (page = 0; page < PAGES; page++) {
		n += (tri_read(&v->used[page / 64]) >> (page & 63) & 1) != model[page];
		used += model[page];
	}
	n += (int64_t)used - 1 != tri_read(&v->ctl->used_pages);
	for (chunk = 0; chunk < PAGES / TRI_CHUNK_PAGES; chunk++) {
		uint64_t longest = TRI_CHUNK_PAGES - (tri_read(&v->chunks[chunk]) & 0xffff);
		uint64_t run = 0, best = 0, i;

		for (i = 0; i < TRI_CHUNK_PAGES; i++) {
			run = model[chunk * TRI_CHUNK_PAGES + i] ? 0 : run + 1;
			best = run > best ? run : best;
		}
		n += best > longest || (best && chunk < first);
	}
	return n;
}

struct run {
	uint32_t page, pages;
};

static unsigned int take(struct run *r, uint32_t pages, uint32_t align)
{
	bool backed, has = model_has(pages, align);
	unsigned int wrong = 0;
	uint32_t i;

	r->pages = pages;
	r->page = tri_pageheap_take(pages, align, &backed);
	if ((r->page != 0) != has)
		return 1;
	if (!r->page)
		return 0;
	wrong += r->page % align != 0 || r->page + pages > PAGES;
	for (i = 0; i < pages; i++) {
		wrong += model[r->page + i] ||
			 tri_read(&tri_g.view.page_map[r->page + i]) != TRI_SPAN_CLASS_TAKEN;
		model[r->page + i] = 1;
	}
	wrong += tri_read(&tri_g.view.ctl->top_pages) < r->page + pages;
	return wrong;
}

static void give(const struct tri_view *v, struct run *r)
{
	tri_span_free(v, r->page, r->pages);
	memset(model + r->page, 0, r->pages);
	r->page = 0;
}

static void test_random(void)
{
	const struct tri_view *v = fresh_arena();
	static struct run runs[600];
	unsigned int wrong = 0, full = 0, step;

	for (step = 0; step < 30000; step++) {
		struct run *r = &runs[rnd_below(600)];

		if (r->page) {
			give(v, r);
		} else {
			uint64_t kind = rnd_below(20);
			uint32_t pages = kind < 12 ? 1 + (uint32_t)rnd_below(3) :
					 kind < 18 ? 1 + (uint32_t)rnd_below(16) :
					 kind < 19 ? 1 + (uint32_t)rnd_below(300) :
					 1 + (uint32_t)rnd_below(1500);
			uint32_t align = rnd_below(4) ? 1 : 1u << rnd_below(9);

			wrong += take(r, pages, align);
			full += !r->page;
		}
		if (!(step & 7))
			wrong += faults(v);
	}
	ksft_test_result(!wrong, "30000 random steps agree with the model (%u wrong)\n", wrong);
	ksft_test_result(full > 100, "the heap was full %u times\n", full);
}

/* Page by page until nothing is left, then a hole anywhere is found again. */
static void test_exhaustion(void)
{
	const struct tri_view *v = fresh_arena();
	struct run r, hole;
	unsigned int wrong = 0, n, i;

	for (n = 0; !take(&r, 1, 1) && r.page; n++)
		;
	ksft_test_result(n == PAGES - 1, "%u of %u pages could be taken\n", n, PAGES - 1);
	for (i = 0; i < 2000; i++) {
		hole.pages = 1 + (uint32_t)rnd_below(20);
		hole.page = 1 + (uint32_t)rnd_below(PAGES - hole.pages - 1);
		give(v, &(struct run){ hole.page, hole.pages });
		wrong += take(&r, hole.pages + 1, 1) || r.page;
		wrong += take(&r, hole.pages, 1) || r.page != hole.page;
		wrong += faults(v);
	}
	ksft_test_result(!wrong, "every hole is found, and none that is too short\n");
}

/* ------------------------------------------------------------------------------------------ */

static _Atomic uint8_t owner[PAGES];
static _Atomic unsigned int races;

static void *worker(void *arg)
{
	uint64_t s = (uintptr_t)arg * 0x9e3779b97f4a7c15ull | 1;
	struct run runs[24] = { 0 };
	unsigned int step;
	uint32_t k;

	for (step = 0; step < 20000; step++) {
		struct run *r;
		bool backed;

		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
		r = &runs[s % 24];
		if (r->page) {
			for (k = 0; k < r->pages; k++)
				races += atomic_exchange(&owner[r->page + k], 0) != (uintptr_t)arg;
			tri_span_free(&tri_g.view, r->page, r->pages);
			r->page = 0;
			continue;
		}
		r->pages = 1 + (uint32_t)(s >> 20) % 30;
		r->page = tri_pageheap_take(r->pages, 1, &backed);
		for (k = 0; r->page && k < r->pages; k++)
			races += atomic_exchange(&owner[r->page + k], (uint8_t)(uintptr_t)arg) != 0;
	}
	for (k = 0; k < 24; k++)
		for (step = 0; runs[k].page && step < runs[k].pages; step++)
			atomic_exchange(&owner[runs[k].page + step], 0);
	for (k = 0; k < 24; k++)
		if (runs[k].page)
			tri_span_free(&tri_g.view, runs[k].page, runs[k].pages);
	return NULL;
}

static void test_threads(void)
{
	const struct tri_view *v = fresh_arena();
	pthread_t t[4];
	uintptr_t i;

	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, worker, (void *)(i + 1));
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ksft_test_result(!races, "no page had two owners in four threads (%u)\n", races);
	ksft_test_result(!faults(v), "all is free after them, and no hint hides it\n");
}

/* ------------------------------------------------------------------------------------------ */

/* What a collector that frees @r has done by its death after @steps steps. */
static void die_freeing(const struct tri_view *v, const struct run *r, unsigned int steps)
{
	uint64_t page = r->page, n = r->pages;
	uint32_t i;

	for (i = 0; i < r->pages; i++)
		tri_write(&v->page_map[r->page + i], 0);
	if (!steps--)
		return;
	atomic_fetch_sub(&v->ctl->used_pages, (int64_t)n);
	while (n) {
		uint64_t here = 64 - (page & 63) < n ? 64 - (page & 63) : n;

		if (!steps--)
			return;
		atomic_fetch_and(&v->used[page / 64], ~tri_pages_mask(page, here));
		if (!steps--)
			return;
		tri_pages_hint(v, page);
		page += here;
		n -= here;
	}
}

static void test_recovery(void)
{
	unsigned int wrong = 0, steps, i;
	struct run r, other;

	for (steps = 0; steps < 12; steps++) {
		const struct tri_view *v = fresh_arena();

		/* Full, so that the hints hide everything. */
		for (i = 0; !take(&other, 1, 1) && other.page; i++)
			tri_write(&v->page_map[other.page], 4);
		r = (struct run){ 700, 200 };
		die_freeing(v, &r, steps);
		tri_pageheap_recover();
		memset(model + r.page, 0, r.pages);
		wrong += faults(v);
		wrong += take(&other, 200, 1) || other.page != 700;
	}
	ksft_test_result(!wrong, "a collector's death while it frees loses no page\n");
	for (wrong = 0, steps = 0; steps < 4; steps++) {
		const struct tri_view *v = fresh_arena();

		/* The scavenger claims free pages, which nobody else may take, and dies. */
		wrong += take(&r, 100, 1);
		for (i = 0; i < r.pages; i++)
			tri_write(&v->page_map[r.page + i], 4);
		give(v, &r);
		for (i = 0; i < steps; i++)
			atomic_fetch_or(&v->used[1], 3ull << (i * 10));
		tri_pageheap_recover();
		wrong += faults(v);
	}
	ksft_test_result(!wrong, "a scavenger's death leaves no page claimed\n");
}

/* Pages are known to hold zeros exactly until they have been taken once. */
static void test_backed(void)
{
	const struct tri_view *v = fresh_arena();
	unsigned int wrong = 0;
	bool backed;
	uint32_t page = tri_pageheap_take(10, 1, &backed);

	wrong += backed;
	tri_span_free(v, page, 10);
	wrong += tri_pageheap_take(5, 1, &backed) != page || !backed;
	/* One page of the run has been used. */
	wrong += tri_pageheap_take(9, 1, &backed) != page + 5 || !backed;
	wrong += tri_pageheap_take(9, 1, &backed) != page + 14 || backed;
	ksft_test_result(!wrong,
			 "a run with a page that was used before is not known to be zero\n");
}

/* While the limit refuses pages none is taken, and nothing has changed afterwards. */
static void test_refusal(void)
{
	const struct tri_view *v = fresh_arena();
	uint64_t top = tri_read(&v->ctl->top_pages);
	bool backed;
	uint32_t page;

	pageheap_refusing = true;
	page = tri_pageheap_take(1, 1, &backed);
	ksft_test_result(!page && !tri_read(&v->ctl->used_pages) &&
				 tri_read(&v->ctl->top_pages) == top,
			 "no pages while the limit refuses them\n");
	pageheap_refusing = false;
	page = tri_pageheap_take(1, 1, &backed);
	ksft_test_result(page == 1 && tri_read(&v->ctl->used_pages) == 1, "pages again\n");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(11);
	tri_classes_init();
	test_random();
	test_exhaustion();
	test_threads();
	test_recovery();
	test_backed();
	test_refusal();
	ksft_finished();
}
