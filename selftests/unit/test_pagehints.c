// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pagehints.c - pages that are freed while the page heap looks for some
 *
 * The page heap lowers a hint when it has found nothing, by a compare-and-swap that must fail if
 * pages were freed there since it looked.  Here they are freed exactly between the two: this
 * program puts itself into the places where libclient/heap/pageheap.c has its test points.
 */
#include <string.h>

#include "lib/check.h"
#include "kselftest.h"
#include "core/system/point.h"

static void at(const char *point);

#undef TRI_POINT
#define TRI_POINT(name) at(name)

/* Included, so that the test points in it are this program's. */
#include "libclient/heap/pageheap.c"
#include "pageheap_alone.h"
#include "lib/plain_arena.h"

#define PAGES (TRI_CHUNK_PAGES * 4)

static const char *where;		/* free @freed there, once */
static uint32_t freed;

static void at(const char *point)
{
	if (!where || strcmp(point, where))
		return;
	where = NULL;
	/* As the collector does. */
	tri_span_free(&tri_g.view, freed, 1);
}

static void fill_arena(void)
{
	bool backed;

	plain_arena(&tri_g.view, PAGES);
	tri_pageheap_init();
	where = NULL;
	while (tri_pageheap_take(1, 1, &backed))
		;
}

/* The hint of @page's chunk promises one page at least, and the search does not begin behind it. */
static bool hinted(uint32_t page)
{
	const struct tri_view *v = &tri_g.view;
	uint32_t chunk = page / TRI_CHUNK_PAGES;

	return (tri_read(&v->chunks[chunk]) & 0xffff) < TRI_CHUNK_PAGES &&
	       (uint32_t)tri_read(&v->ctl->search) <= chunk;
}

/* Have the chunk's hint say that all of it may be free, as a release elsewhere in it does. */
static void promise(uint32_t page)
{
	tri_span_free(&tri_g.view, page, 1);
	tri_pages_hint(&tri_g.view, page);
	/* Taken again without the page heap, which would correct the hint. */
	atomic_fetch_or(&tri_g.view.used[page / 64], tri_pages_mask(page, 1));
	atomic_fetch_add(&tri_g.view.ctl->used_pages, 1);
}

static void test_freed_at(const char *point)
{
	bool backed;

	fill_arena();
	promise(700);
	where = point;
	freed = 710;
	check(!tri_pageheap_take(2, 1, &backed));
	check(!where);
	check(hinted(710));
	check(tri_pageheap_take(1, 1, &backed) == 710);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(2);
	tri_classes_init();
	test_freed_at("pageheap.searched_chunk");
	result("a page is freed after its chunk was searched: the chunk's hint stays");
	test_freed_at("pageheap.all_full");
	result("a page is freed when all was found full: the search begins no higher");
	ksft_finished();
}
