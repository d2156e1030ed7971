/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* error.h - failures, as sentences: see error.c */
#ifndef TRI_ERROR_H
#define TRI_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/heap/layout.h"
#include "attributes.h"

/* Failures of the heap that belong to no call.  Each is printed once in a process. */
enum tri_complaint {
	TRI_COMPLAINT_NO_COLLECTOR,	/* no collector can be had */
	TRI_COMPLAINT_WITHOUT,		/* there was none for a second, and it is not known why */
	TRI_COMPLAINT_SHARED,		/* the shared one does not serve us; there is a private
					 * one */
	TRI_COMPLAINT_STUCK,		/* a former collector does not give up the arena */
	TRI_COMPLAINT_ROOTS,		/* the roots can't be known */
	TRI_COMPLAINT_THREADS,		/* there may be threads that nobody scans, or one can't
					 * be */
	TRI_COMPLAINT_STACKS,		/* the scan of a stack without a known end takes long */
	TRI_COMPLAINT_FINALIZERS,	/* one runs for long, and others wait */
	TRI_COMPLAINTS
};

/** Leave a sentence with the calling thread, for tri_error().  Returns -@err. */
int tri_fail(int err, const char *fmt, ...) TRI_HIDDEN __attribute__((format(printf, 2, 3)));

void tri_complain(enum tri_complaint kind, bool say, const char *fmt, ...) TRI_HIDDEN
	__attribute__((format(printf, 3, 4)));
void tri_complain_now(enum tri_complaint kind) TRI_HIDDEN;
void tri_complaint_over(enum tri_complaint kind) TRI_HIDDEN;
const char *tri_complaint(enum tri_complaint kind) TRI_HIDDEN;
void tri_print(const char *text) TRI_HIDDEN;
void tri_say(void) TRI_HIDDEN;
#define TRI_SAY_WITHOUT_NS 1000000000ull	/* so long without a collector is reported */
void tri_without_since(uint64_t ns) TRI_HIDDEN;
void tri_say_without(void) TRI_HIDDEN;
void tri_error_reset(void) TRI_HIDDEN;

extern tri_au32 tri_unsaid TRI_HIDDEN;

/* Called outside the library, now and then. */
static inline void tri_say_unsaid(void)
{
	if (unlikely(tri_read(&tri_unsaid)))
		tri_say();
}

#endif
