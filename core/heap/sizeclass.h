/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sizeclass.h - size classes and span classes
 *
 * Sizes are those of tri__class() in tricolor/inline.h: 16-byte steps to 128 B, then eight to each
 * doubling up to 32 KiB, 72 in all.  The smallest object is 16 B: C's malloc() promises that
 * alignment, and one mark line of 64 bytes then covers a page of any class.
 *
 * A span has as few pages as hold enough objects to pay for a refill, and waste at most an eighth
 * at the end.
 */
#ifndef TRI_CORE_SIZECLASS_H
#define TRI_CORE_SIZECLASS_H

#include "layout.h"
#include "tricolor.h"

#define TRI_SPAN_PAGES_MAX 16

/* What a span class stands for.  Both processes compute it from the size class, and so agree. */
struct tri_class {
	uint32_t size;		/* of an object, bytes; 0: no such class, or large */
	uint32_t magic;		/* ceil(2^32 / size): object = offset * magic >> 32 */
	uint16_t objects;	/* in a span */
	uint8_t pages;		/* of a span */
	uint8_t kind;		/* enum tri__kind */
	uint8_t large;
};

extern struct tri_class tri_classes[256];

/** Fill in tri_classes.  Call once before anything else; calling it again changes nothing. */
void tri_classes_init(void);

static inline unsigned int tri_span_class(unsigned int size_class, unsigned int kind)
{
	return 1 + (size_class - 1) * 3 + kind;
}

/* Index of the object that byte @offset of a span lies in; exact for every offset in a span. */
static inline uint32_t tri_object_index(const struct tri_class *c, uint32_t offset)
{
	return (uint32_t)((uint64_t)offset * c->magic >> 32);
}

#endif
