// SPDX-License-Identifier: LGPL-2.1-or-later
/* sizeclass.c - the table of size classes: see sizeclass.h */
#include "sizeclass.h"

struct tri_class tri_classes[256];

static unsigned int class_bytes(unsigned int c)
{
	unsigned int k = 7 + (c - 9) / 8;

	return c <= 8 ? c * 16 : (1u << k) + (((c - 9) % 8 + 1) << (k - 3));
}

static unsigned int span_pages(unsigned int size)
{
	unsigned int objects = size <= 2048 ? 16 : size <= 8192 ? 8 : 4;
	unsigned int pages;

	for (pages = 1; pages < TRI_SPAN_PAGES_MAX; pages++) {
		unsigned int bytes = pages << TRI_PAGE_SHIFT;

		if (bytes / size >= objects && bytes % size <= bytes / 8)
			break;
	}
	return pages;
}

void tri_classes_init(void)
{
	unsigned int c, kind;

	for (c = 1; c <= TRI_CLASSES; c++) {
		for (kind = 0; kind < 3; kind++) {
			struct tri_class *t = &tri_classes[tri_span_class(c, kind)];

			t->size = class_bytes(c);
			t->pages = (uint8_t)span_pages(t->size);
			t->objects = (uint16_t)(((uint32_t)t->pages << TRI_PAGE_SHIFT) / t->size);
			t->magic = (uint32_t)(((1ull << 32) + t->size - 1) / t->size);
			t->kind = (uint8_t)kind;
		}
	}
	/*
	 * Slots of 16 B for leaf objects: each holds two objects of 8 B that live and die together.
	 */
	tri_classes[TRI_SPAN_CLASS_TINY] = tri_classes[tri_span_class(1, TRI__LEAF)];
	for (kind = 0; kind < 3; kind++) {
		tri_classes[TRI_SPAN_CLASS_LARGE + kind].kind = (uint8_t)kind;
		tri_classes[TRI_SPAN_CLASS_LARGE + kind].large = 1;
	}
}
