/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * points.h - a test's side of core/system/point.h: hold a thread, or the agent, or the collector, at a
 * named place of the code, let others run, and let it go on
 *
 *	points_open();					before the first use of the library
 *	struct tri_point *p = point_hold("flush.pushed", tid);
 *	... start what comes by there ...
 *	ASSERT_TRUE(point_reached(p));			it stands there now
 *	... what must happen meanwhile ...
 *	ASSERT_TRUE(point_release(p));
 *
 * For programs of `make POINTS=1` alone.  The table is in a memory file that the test's children and
 * their collectors open by TRICOLOR_POINTS, as long as the process that called points_open() lives.
 * Waits are bounded: point_reached() gives up after PATIENCE_NS, a thread that nobody releases goes
 * on after TRI_POINT_HOLD_NS, and point_release() is then false.
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

static struct tri_point_table *points;

static inline void points_open(void)
{
	int fd = memfd_create("tricolor-points", MFD_CLOEXEC);
	char path[64];

	/* Out of the way of whoever counts descriptors, or closes the low ones. */
	if (fd < 0 || ftruncate(fd, sizeof(*points)))
		ksft_exit_fail_msg("points: %s\n", strerror(errno));
	points = mmap(NULL, sizeof(*points), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (points == MAP_FAILED)
		ksft_exit_fail_msg("points: %s\n", strerror(errno));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	setenv("TRICOLOR_POINTS", path, 1);
}

/* An entry of its own; entries are not used again.  To be filled in, and then given a state. */
static inline struct tri_point *point_new(const char *name, pid_t only)
{
	uint32_t n = atomic_load(&points->n);
	struct tri_point *p = &points->point[n];

	if (n == TRI_POINT_ENTRIES || strlen(name) >= sizeof(p->name))
		ksft_exit_fail_msg("points: no room for %s\n", name);
	strcpy(p->name, name);
	atomic_store(&p->only, (uint32_t)only);
	atomic_store(&points->n, n + 1);
	return p;
}

/* Hold the next that comes by, or the next time that thread @only does (0: any). */
static inline struct tri_point *point_hold(const char *name, pid_t only)
{
	struct tri_point *p = point_new(name, only);

	atomic_store(&p->state, TRI_POINT_HOLD);
	return p;
}

/* Hold there once more; nobody is held now. */
static inline void point_hold_again(struct tri_point *p)
{
	atomic_store(&p->state, TRI_POINT_HOLD);
}

/* The same, as if it got no CPU: no signal is handled meanwhile. */
static inline struct tri_point *point_hold_deaf(const char *name, pid_t only)
{
	struct tri_point *p = point_new(name, only);

	atomic_store(&p->deaf, 1);
	atomic_store(&p->state, TRI_POINT_HOLD);
	return p;
}

/* Only count who comes by: point_passed(). */
static inline struct tri_point *point_watch(const char *name)
{
	return point_new(name, 0);
}

/* TRI_POINT_FAILS() is true there until point_off(). */
static inline struct tri_point *point_fail(const char *name, pid_t only)
{
	struct tri_point *p = point_new(name, only);

	atomic_store(&p->state, TRI_POINT_FAIL);
	return p;
}

static inline uint32_t point_passed(struct tri_point *p)
{
	return atomic_load(&p->passed);
}

static inline bool point_is_held(struct tri_point *p)
{
	return atomic_load(&p->state) == TRI_POINT_HELD;
}

static inline bool point_wait_until(uint64_t end, struct tri_point *p)
{
	while (!point_is_held(p)) {
		uint32_t state = atomic_load(&p->state);
		struct timespec tick = { 0, 20000000 };

		if (state == TRI_POINT_EXPIRED || now_ns() > end)
			return false;
		if (state != TRI_POINT_HELD)
			syscall(SYS_futex, &p->state, FUTEX_WAIT, state, &tick, NULL, 0);
	}
	return true;
}

/* Wait until somebody is held there. */
static inline bool point_reached(struct tri_point *p)
{
	return point_wait_until(now_ns() + PATIENCE_NS, p);
}

/* Whether @p came by @n times in all. */
static inline bool point_passed_times(struct tri_point *p, uint32_t n)
{
	return WAIT_FOR(point_passed(p) >= n, 20000, PATIENCE_NS);
}

/* Let go who is held, and hold nobody any more.  False if it went on by itself long ago. */
static inline bool point_release(struct tri_point *p)
{
	uint32_t was = atomic_exchange(&p->state, TRI_POINT_OFF);

	syscall(SYS_futex, &p->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return was != TRI_POINT_EXPIRED;
}

static inline void point_off(struct tri_point *p)
{
	point_release(p);
}

#endif
