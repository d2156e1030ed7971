/* SPDX-License-Identifier: GPL-2.0-only */
/* malloc() and free() by hand: glibc's, and mimalloc's under its own names. */
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "workload.h"

#define BIND_COLLECTS 0
#define BIND_BARRIER 0

#ifdef BENCH_MIMALLOC
#include <mimalloc.h>
#include <stdio.h>

#define BIND_NAME "mimalloc"
#define bind_alloc(size) mi_malloc(size)
#define bind_alloc_zeroed(size) mi_calloc(1, size)
#define bind_free(object) mi_free(object)

BIND_INLINE const char *bind_version(void)
{
	static char version[32];
	int v = mi_version();

	snprintf(version, sizeof(version), "%d.%d.%d", v / 100, v / 10 % 10, v % 10);
	return version;
}
#else
#include <gnu/libc-version.h>

#define BIND_NAME "glibc"
#define bind_alloc(size) malloc(size)
#define bind_alloc_zeroed(size) calloc(1, size)
#define bind_free(object) free(object)

BIND_INLINE const char *bind_version(void)
{
	return gnu_get_libc_version();
}
#endif

#define bind_alloc_leaf(size) bind_alloc(size)
#define bind_alloc_typed() bind_alloc(sizeof(struct bench_edges))
/* There are none: plan.c leaves the workload out. */
BIND_INLINE void bind_set_finalizer(void *object, void (*fn)(void *object, void *arg))
{
	(void)object, (void)fn;
	fail("%s has no finalizers", BIND_NAME);
}

BIND_INLINE void bind_run_finalizers(void)
{
}

#define bind_store(slot, value) (*(slot) = (value))

BIND_INLINE void bind_init(void)
{
}

BIND_INLINE void bind_store_none(void *slots, size_t count)
{
	memset(slots, 0, count * sizeof(void *));
}

BIND_INLINE void bind_collect(void)
{
}

BIND_INLINE uint64_t bind_collector_cpu_ns(void)
{
	return 0;
}

BIND_INLINE pid_t bind_collector_pid(void)
{
	return 0;
}

BIND_INLINE void bind_gc_percent(int percent)
{
	(void)percent;
}

BIND_INLINE void bind_off(void)
{
}

BIND_INLINE void bind_on(void)
{
}

BIND_INLINE int bind_barrier_on(void)
{
	return 0;
}

BIND_INLINE void bind_report(void)
{
}
