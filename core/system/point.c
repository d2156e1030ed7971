// SPDX-License-Identifier: LGPL-2.1-or-later
/* point.c - test points, in builds that have them: see point.h */
#include "point.h"

#ifdef TRI_POINTS

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/*
 * The test's table.  A test may set TRICOLOR_POINTS after this was loaded, so the variable is
 * looked up until it is there.  If two threads find it at the same time, both map the file, and one
 * of the two mappings stays unused.
 */
static struct tri_point_table *table(void)
{
	static _Atomic(struct tri_point_table *) found;
	struct tri_point_table *t = atomic_load(&found);
	const char *path;
	int fd;

	if (t || !(path = getenv("TRICOLOR_POINTS")))
		return t;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	t = (void *)syscall(SYS_mmap, NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (t == MAP_FAILED)
		return NULL;
	atomic_store(&found, t);
	return t;
}

static void hold(struct tri_point *p)
{
	uint64_t until = clock_ns() + TRI_POINT_HOLD_NS, mask = ~0ull, old = 0;
	struct timespec tick = { 0, 100000000 };
	uint32_t held = TRI_POINT_HELD;
	bool deaf = atomic_load(&p->deaf);

	if (deaf)
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &old, 8);
	syscall(SYS_futex, &p->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	while (atomic_load(&p->state) == TRI_POINT_HELD && clock_ns() < until)
		syscall(SYS_futex, &p->state, FUTEX_WAIT, TRI_POINT_HELD, &tick, NULL, 0);
	atomic_compare_exchange_strong(&p->state, &held, TRI_POINT_EXPIRED);
	if (deaf)
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
}

/* Whether the point @p, whose name matches, waits for the calling thread. */
static bool meant(struct tri_point *p, uint32_t tid)
{
	uint32_t only = atomic_load(&p->only), skip;

	if (only && only != tid)
		return false;
	atomic_fetch_add(&p->passed, 1);
	for (skip = atomic_load(&p->skip); skip;)
		if (atomic_compare_exchange_weak(&p->skip, &skip, skip - 1))
			return false;
	return true;
}

void tri_point(const char *name)
{
	int saved_errno = errno;
	struct tri_point_table *t = table();
	uint32_t i, n = t ? atomic_load(&t->n) : 0;

	for (i = 0; i < n && i < TRI_POINT_ENTRIES; i++) {
		struct tri_point *p = &t->point[i];
		uint32_t armed = TRI_POINT_HOLD, tid;

		if (strncmp(p->name, name, sizeof(p->name)))
			continue;
		tid = (uint32_t)syscall(SYS_gettid);
		if (!meant(p, tid) ||
		    !atomic_compare_exchange_strong(&p->state, &armed, TRI_POINT_HELD))
			continue;
		atomic_store(&p->holder, tid);
		hold(p);
	}
	errno = saved_errno;
}

bool tri_point_fails(const char *name)
{
	int saved_errno = errno;
	struct tri_point_table *t = table();
	uint32_t i, n = t ? atomic_load(&t->n) : 0;
	bool fails = false;

	for (i = 0; i < n && i < TRI_POINT_ENTRIES; i++) {
		struct tri_point *p = &t->point[i];

		if (!strncmp(p->name, name, sizeof(p->name)) &&
		    meant(p, (uint32_t)syscall(SYS_gettid)) &&
		    atomic_load(&p->state) == TRI_POINT_FAIL)
			fails = true;
	}
	errno = saved_errno;
	return fails;
}

#endif
