/* SPDX-License-Identifier: GPL-2.0-only */
/* specials.h - the collector's part in cleanups and finalizers: see specials.c */
#ifndef TRICOLOR_SPECIALS_H
#define TRICOLOR_SPECIALS_H

#include <stdint.h>

#include "core/heap/layout.h"

struct marker;

/* What a record leads to: copies of the fields of a struct tri_special that is in use. */
struct special {
	uint64_t target;		/* heap offset of the object; may be anything */
	uint64_t argument;		/* as a heap offset; may be anything */
	bool finalizer, queued;
};

/** Whether @from is in use.  Then @to is a copy of it. */
bool specials_read(const struct tri_view *v, const struct tri_special *from, struct special *to);

/**
 * Call @each with the records of @v that have memory in the file @fd, at most 128 of them at a
 * time, until it returns false.
 */
void specials_each(const struct tri_view *v, int fd,
		   bool (*each)(void *arg, const struct tri_special *first, unsigned int n),
		   void *arg);

/** Mark what the records lead to, and what that leads to. */
void specials_walk(struct marker *m);

#endif
