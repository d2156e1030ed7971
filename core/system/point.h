/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * point.h - named places where a test may hold a thread, or have a call fail
 *
 *	TRI_POINT("flush.pushed");			a thread that a test wants here stops here
 *	if (!index || TRI_POINT_FAILS("buffers.out"))	a test may have this come out as a failure
 *
 * Both compile to nothing unless the library, or the collector, is built with TRI_POINTS (make
 * POINTS=1).  With it, each looks for its name in a table that the test shares with the processes
 * it tests: a file whose path is in TRICOLOR_POINTS.  selftests/lib/points.h is the test's side.
 *
 * They may stand anywhere, in signal handlers too: core/system/point.c makes system calls only, and
 * keeps errno.
 */
#ifndef TRI_POINT_H
#define TRI_POINT_H

#ifdef TRI_POINTS

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TRI_POINT_ENTRIES 32
#define TRI_POINT_NAME 48
#define TRI_POINT_HOLD_NS 20000000000ull	/* then it goes on, and the entry says so */

enum tri_point_state {
	TRI_POINT_OFF,			/* count the threads that come by */
	TRI_POINT_HOLD,			/* hold the next thread that comes by */
	TRI_POINT_HELD,			/* a thread is held here */
	TRI_POINT_EXPIRED,		/* it went on, as the test did not release it */
	TRI_POINT_FAIL,			/* TRI_POINT_FAILS() is true */
};

/* All fields but name may be written by either side at any time; the test writes names first. */
struct tri_point {
	char name[TRI_POINT_NAME];
	_Atomic uint32_t state;		/* enum tri_point_state; futex */
	_Atomic uint32_t only;		/* thread ID that this is meant for; 0: any */
	_Atomic uint32_t skip;		/* let so many pass first */
	_Atomic uint32_t deaf;		/* no signal is handled while it is held, as if it had no
					 * CPU */
	_Atomic uint32_t holder;	/* thread ID */
	_Atomic uint32_t passed;	/* threads that came by, held or not */
};

struct tri_point_table {
	_Atomic uint32_t n;
	struct tri_point point[TRI_POINT_ENTRIES];
};

void tri_point(const char *name) __attribute__((visibility("hidden")));
bool tri_point_fails(const char *name) __attribute__((visibility("hidden")));

#define TRI_POINT(name) tri_point(name)
#define TRI_POINT_FAILS(name) tri_point_fails(name)

#else

#define TRI_POINT(name) ((void)0)
#define TRI_POINT_FAILS(name) 0

#endif
#endif
