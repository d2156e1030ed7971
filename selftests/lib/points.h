/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * points.h - a test's side of core/system/point.h: hold a thread, or the agent, or the collector,
 * at a named place of the code, let others run, and let it go on
 *
 *	points_open();					before the first use of the library
 *	struct tri_point *p = point_hold("flush.pushed", tid);
 *	... start what comes by there ...
 *	ASSERT_TRUE(point_reached(p));			it stands there now
 *	... what must happen meanwhile ...
 *	ASSERT_TRUE(point_release(p));
 *
 * For programs of `make POINTS=1` alone.  The table is a memory file, which the test's children and
 * their collectors open by TRICOLOR_POINTS while the process that called points_open() lives.
 * Waits are bounded: point_reached() gives up after PATIENCE_NS.  A thread that nobody releases
 * goes on after TRI_POINT_HOLD_NS, and point_release() is then false.
 */
#ifndef TRICOLOR_SELFTESTS_POINTS_H
#define TRICOLOR_SELFTESTS_POINTS_H

#ifndef TRI_POINTS
#error "test points are for builds with POINTS=1"
#endif

#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/system/point.h"
#include "process.h"

/**
 * Make the table.  To be called before the first use of the library, and before any child is
 * started.
 */
void points_open(void);

/** Hold the next thread that comes by; if @only is not 0, the next time that thread @only does. */
struct tri_point *point_hold(const char *name, pid_t only);

/** Hold again at the same point, where no thread is held now. */
void point_hold_again(struct tri_point *p);

/** The same, but the held thread handles no signals, as if it got no CPU. */
struct tri_point *point_hold_deaf(const char *name, pid_t only);

/** Hold nothing, but count the threads that come by: see point_passed(). */
struct tri_point *point_watch(const char *name);

/** Make TRI_POINT_FAILS() true there until point_off(). */
struct tri_point *point_fail(const char *name, pid_t only);

/** How often a thread came by. */
uint32_t point_passed(struct tri_point *p);

/** Wait until a thread is held there. */
bool point_reached(struct tri_point *p);

/** Wait until threads have come by @p @n times in all; false if they do not. */
bool point_passed_times(struct tri_point *p, uint32_t n);

/** Release the held thread, and hold no other.  False if it went on by itself before. */
bool point_release(struct tri_point *p);

/** The same if no thread is held. */
void point_off(struct tri_point *p);

#endif
