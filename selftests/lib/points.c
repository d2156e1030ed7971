// SPDX-License-Identifier: GPL-2.0-only
/* points.c - see points.h */
#include "points.h"

static struct tri_point_table *points;

void points_open(void)
{
	int fd = memfd_create("tricolor-points", MFD_CLOEXEC);
	char path[64];

	if (fd < 0 || ftruncate(fd, sizeof(*points)))
		ksft_exit_fail_msg("points: %s\n", strerror(errno));
	points = mmap(NULL, sizeof(*points), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (points == MAP_FAILED)
		ksft_exit_fail_msg("points: %s\n", strerror(errno));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	setenv("TRICOLOR_POINTS", path, 1);
}

/*
 * Take an unused entry, and never use it for anything else.  The caller fills it in, and then sets
 * its state.
 */
static struct tri_point *point_new(const char *name, pid_t only)
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

struct tri_point *point_hold(const char *name, pid_t only)
{
	struct tri_point *p = point_new(name, only);

	atomic_store(&p->state, TRI_POINT_HOLD);
	return p;
}

void point_hold_again(struct tri_point *p)
{
	atomic_store(&p->state, TRI_POINT_HOLD);
}

struct tri_point *point_hold_deaf(const char *name, pid_t only)
{
	struct tri_point *p = point_new(name, only);

	atomic_store(&p->deaf, 1);
	atomic_store(&p->state, TRI_POINT_HOLD);
	return p;
}

struct tri_point *point_watch(const char *name)
{
	return point_new(name, 0);
}

struct tri_point *point_fail(const char *name, pid_t only)
{
	struct tri_point *p = point_new(name, only);

	atomic_store(&p->state, TRI_POINT_FAIL);
	return p;
}

uint32_t point_passed(struct tri_point *p)
{
	return atomic_load(&p->passed);
}

static bool point_is_held(struct tri_point *p)
{
	return atomic_load(&p->state) == TRI_POINT_HELD;
}

static bool point_wait_until(uint64_t end, struct tri_point *p)
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

bool point_reached(struct tri_point *p)
{
	return point_wait_until(now_ns() + PATIENCE_NS, p);
}

bool point_passed_times(struct tri_point *p, uint32_t n)
{
	return WAIT_FOR(point_passed(p) >= n, 20000, PATIENCE_NS);
}

bool point_release(struct tri_point *p)
{
	uint32_t was = atomic_exchange(&p->state, TRI_POINT_OFF);

	syscall(SYS_futex, &p->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return was != TRI_POINT_EXPIRED;
}

void point_off(struct tri_point *p)
{
	point_release(p);
}
