// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_sizeclass.c - size classes, spans and the layout of an arena, against what they promise
 */
#include <errno.h>
#include <string.h>

#include "core/heap/layout.h"
#include "core/heap/sizeclass.h"
#include "core/heap/span.h"
#include "kselftest.h"

static void test_classes(void)
{
	unsigned int c, before = 0, worst_waste = 0, wrong = 0;
	size_t size;

	for (c = 1; c <= TRI_CLASSES; c++) {
		unsigned int bytes = tri_classes[tri_span_class(c, 0)].size;

		wrong += bytes <= before || bytes % 16 || tri__class_bytes(c) != bytes;
		before = bytes;
	}
	ksft_test_result(!wrong && before == TRI_SMALL_MAX, "%u classes grow up to %u bytes\n",
			 TRI_CLASSES, before);
	for (wrong = 0, size = 1; size <= TRI_SMALL_MAX; size++) {
		unsigned int class = tri__class(size);
		unsigned int bytes = tri_classes[tri_span_class(class, 0)].size;

		/* The smallest class that holds it. */
		wrong += class < 1 || class > TRI_CLASSES || bytes < size ||
			 (class > 1 && tri_classes[tri_span_class(class - 1, 0)].size >= size);
		/* In thousandths of the slot; small ones are rounded to 16. */
		if (size > 128 && (bytes - size) * 1000 / bytes > worst_waste)
			worst_waste = (unsigned int)((bytes - size) * 1000 / bytes);
	}
	ksft_test_result(!wrong, "every size gets the smallest class that holds it\n");
	ksft_test_result(worst_waste <= 125, "an object wastes at most %u.%u %% of its slot\n",
			 worst_waste / 10, worst_waste % 10);
	ksft_test_result(tri__class(0) == 1, "an object of 0 bytes has a slot of its own\n");
}

static void test_spans(void)
{
	unsigned int span_class, wrong = 0, worst_tail = 0, kinds = 0, most = 0;
	uint32_t offset;

	for (span_class = 0; span_class < 256; span_class++) {
		const struct tri_class *t = &tri_classes[span_class];
		uint32_t bytes = (uint32_t)t->pages << TRI_PAGE_SHIFT, tail;

		if (!t->size) {
			wrong += t->pages || t->objects;
			continue;
		}
		/* Blocks of tiny objects: another name for the smallest leaves. */
		if (span_class == TRI_SPAN_CLASS_TINY) {
			wrong += memcmp(t, &tri_classes[tri_span_class(1, TRI__LEAF)],
					sizeof(*t)) != 0;
			continue;
		}
		kinds++;
		tail = bytes - t->objects * t->size;
		if (tail * 1000 / bytes > worst_tail)
			worst_tail = tail * 1000 / bytes;
		wrong += !t->pages || t->pages > TRI_SPAN_PAGES_MAX || tail >= t->size ||
			 t->objects > TRI_MARK_WORDS * 64 ||
			 span_class != tri_span_class(tri__class(t->size), t->kind);
		/*
		 * The marker queues spans of one page for objects of up to 512 B, and only those.
		 */
		wrong += (t->pages == 1) != (t->size <= 512);
		most = t->objects > most ? t->objects : most;
	}
	ksft_test_result(!wrong && kinds == TRI_CLASSES * 3,
			 "%u kinds of span, of at most %u objects, in bounds\n", kinds, most);
	ksft_test_result(worst_tail <= 125, "a span wastes at most %u.%u %% at its end\n",
			 worst_tail / 10, worst_tail % 10);
	for (wrong = 0, span_class = 0; span_class < 256; span_class++) {
		const struct tri_class *t = &tri_classes[span_class];

		for (offset = 0; t->size && offset < (uint32_t)t->pages << TRI_PAGE_SHIFT; offset++)
			wrong += tri_object_index(t, offset) != offset / t->size;
	}
	ksft_test_result(!wrong, "the object of every offset of every span is exact\n");
	for (wrong = 0, span_class = TRI_SPAN_CLASS_LARGE; span_class <= TRI_SPAN_CLASS_MAX;
	     span_class++)
		wrong += !tri_classes[span_class].large || tri_classes[span_class].size ||
			 tri_classes[span_class].kind != span_class - TRI_SPAN_CLASS_LARGE;
	wrong += tri_classes[0].large || tri_classes[TRI_SPAN_CLASS_TAKEN].large ||
		 tri_classes[TRI_SPAN_CLASS_TAKEN].size;
	ksft_test_result(!wrong, "span classes of large objects, and those of none\n");
}

static int by_offset(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Parts: in bounds, disjoint, as large as they must be. */
static unsigned int layout_faults(const struct tri_layout *l, uint64_t pages)
{
	const uint64_t part[][2] = {
		{ 0, sizeof(struct tri_ctl) },
		{ l->slots, TRI_SLOTS * sizeof(struct tri_slot) },
		{ l->page_map, pages },
		{ l->span_of, pages * 4 },
		{ l->spans, pages * sizeof(struct tri_span) },
		{ l->used, pages / 8 },
		{ l->backed, pages / 8 },
		{ l->chunks, pages / TRI_CHUNK_PAGES * 4 },
		{ l->marks[0], pages * 64 },
		{ l->marks[1], pages * 64 },
		{ l->scanned, pages * 64 },
		{ l->ptrmap, pages * 128 },
		{ l->queued, pages },
		{ l->grey, TRI_GREY_SLOTS * 4 },
		{ l->buffers, l->nbuffers * sizeof(struct tri_buffer) },
		{ l->heap, pages << TRI_PAGE_SHIFT },
	};
	uint64_t sorted[sizeof(part) / sizeof(part[0])][2];
	size_t n = sizeof(part) / sizeof(part[0]), i;
	unsigned int faults = 0;

	memcpy(sorted, part, sizeof(part));
	qsort(sorted, n, sizeof(sorted[0]), by_offset);
	for (i = 0; i < n; i++)
		faults += sorted[i][0] % 4096 || sorted[i][0] + sorted[i][1] >
			  (i + 1 < n ? sorted[i + 1][0] : l->file_bytes);
	faults += l->heap % TRI_HUGE_BYTES || l->heap_pages != pages || sorted[n - 1][0] != l->heap;
	return faults;
}

static void test_layout(void)
{
	static const uint64_t bad[] = { 0,
					1,
					TRI_CHUNK_PAGES - 1,
					TRI_CHUNK_PAGES + 1,
					TRI_MAX_HEAP_PAGES + 1,
					TRI_MAX_HEAP_PAGES + TRI_CHUNK_PAGES,
					TRI_MAX_HEAP_PAGES * 2,
					1ull << 51,
					1ull << 63,
					UINT64_MAX,
					UINT64_MAX - TRI_CHUNK_PAGES + 1 };
	struct tri_layout l;
	unsigned int wrong = 0;
	uint64_t pages;
	size_t i;

	for (pages = TRI_MIN_HEAP_PAGES; pages <= TRI_MAX_HEAP_PAGES; pages *= 2) {
		wrong += tri_layout_init(&l, pages) || layout_faults(&l, pages);
		if (pages < TRI_MAX_HEAP_PAGES)
			wrong += tri_layout_init(&l, pages + TRI_CHUNK_PAGES) ||
				 layout_faults(&l, pages + TRI_CHUNK_PAGES);
	}
	ksft_test_result(!wrong, "parts of an arena are disjoint, aligned and large enough\n");
	for (wrong = 0, i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		wrong += tri_layout_init(&l, bad[i]) != -EINVAL;
	ksft_test_result(!wrong, "numbers of pages that make no arena are refused\n");
}

static void test_masks(void)
{
	unsigned int objects, w, i, wrong = 0;
	uint64_t page, n;

	for (objects = 0; objects <= 512; objects++)
		for (w = 0; w < 8; w++)
			for (i = 0; i < 64; i++)
				wrong += (tri_objects_mask(objects, w) >> i & 1) !=
					 (w * 64 + i < objects);
	for (page = 0; page < 64; page++)
		for (n = 1; n <= 64 - page; n++)
			for (i = 0; i < 64; i++)
				wrong += (tri_pages_mask(page + 640, n) >> i & 1) !=
					 (i >= page && i < page + n);
	ksft_test_result(!wrong, "masks of objects and pages\n");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(11);
	tri_classes_init();
	tri_classes_init();
	test_classes();
	test_spans();
	test_layout();
	test_masks();
	ksft_finished();
}
