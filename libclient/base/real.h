/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * real.h - the C library's own definition of a function that this library stands in front of
 *
 * Each use of REAL() puts an entry into a table, and all of the table is looked up by a
 * constructor: dlsym() is not async-signal-safe, and some of these functions are called in signal
 * handlers.
 */
#ifndef TRI_REAL_H
#define TRI_REAL_H

#include <stdbool.h>

#include "attributes.h"

struct tri_real {
	const char *name;
	void *fn;			/* NULL: not looked up yet; written once, by any thread */
	void *named;			/* what the linker takes the name for: ours, or the C
					 * library's */
};

/* The function of an entry.  Never NULL: one that does not exist says so when it is called. */
void *tri_real_find(struct tri_real *real) TRI_HIDDEN;

/* The real definition of @name, for which some file has REAL(). */
void *tri_real_of(const char *name) TRI_HIDDEN;

/* Whether calls of @name, for which some file has REAL(), come to this library's function. */
bool tri_real_is_in_front(const char *name) TRI_HIDDEN;

/* The name of a function whose real definition can't be found, or NULL: they are all there. */
const char *tri_real_missing(void) TRI_HIDDEN;

/* A variable of the C library's that it exports for debuggers only, or NULL. */
void *tri_libc_private(const char *name) TRI_HIDDEN;

/* Only in a program that has libtricolor.a; else NULL.  See static/linked.c. */
bool tri_is_static(void) TRI_HIDDEN __attribute__((weak));
void *tri_linked(const char *name) TRI_HIDDEN __attribute__((weak));

/* A pointer to each entry, so that there are no gaps: the linker collects them. */
#define REAL(name)							\
	({								\
		static struct tri_real real_ = { #name, NULL, (void *)&name }; \
		static struct tri_real *const entry_			\
			__attribute__((section("tri_real"), used)) = &real_; \
		void *fn_ = __atomic_load_n(&real_.fn, __ATOMIC_RELAXED); \
									\
		(void)entry_;						\
		if (unlikely(!fn_))					\
			fn_ = tri_real_find(&real_);			\
		(__typeof__(&name))fn_;					\
	})

#endif
