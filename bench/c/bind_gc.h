/* SPDX-License-Identifier: GPL-2.0-only */
/* Boehm's collector (libgc), as its documentation tells a threaded program to use it. */
#define GC_THREADS	/* redirects pthread_create() to the collector's */
#include <gc.h>
#include <gc/gc_typed.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "workload.h"

#define BIND_NAME "gc"
#define BIND_COLLECTS 1
#define BIND_BARRIER 0

BIND_INLINE void bind_init(void)
{
	GC_INIT();
}

BIND_INLINE const char *bind_version(void)
{
	static char version[32];
	unsigned int v = GC_get_version();

	snprintf(version, sizeof(version), "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
	return version;
}

#define bind_alloc(size) GC_MALLOC(size)
#define bind_alloc_zeroed(size) GC_MALLOC(size)
#define bind_alloc_leaf(size) GC_MALLOC_ATOMIC(size)

BIND_INLINE void *bind_alloc_typed(void)
{
	static GC_descr edges;

	if (!edges) {
		GC_word map[1] = { 0xf };

		edges = GC_make_descriptor(map, sizeof(struct bench_edges) / sizeof(void *));
	}
	return GC_MALLOC_EXPLICITLY_TYPED(sizeof(struct bench_edges), edges);
}

BIND_INLINE void bind_free(void *object)
{
	(void)object;
}

BIND_INLINE void bind_set_finalizer(void *object, void (*fn)(void *object, void *arg))
{
	GC_register_finalizer(object, fn, NULL, NULL, NULL);
}

/* It calls them when the program allocates, or now. */
BIND_INLINE void bind_run_finalizers(void)
{
	GC_invoke_finalizers();
}

#define bind_store(slot, value) (*(slot) = (value))

BIND_INLINE void bind_store_none(void *slots, size_t count)
{
	memset(slots, 0, count * sizeof(void *));
}

BIND_INLINE void bind_collect(void)
{
	int off = GC_is_disabled();

	if (off)
		GC_enable();
	GC_gcollect();
	if (off)
		GC_disable();
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
	GC_disable();
}

BIND_INLINE void bind_on(void)
{
	GC_enable();
}

BIND_INLINE int bind_barrier_on(void)
{
	return 0;
}

BIND_INLINE void bind_report(void)
{
	report("cycles", GC_get_gc_no());
	report("peak_heap_mib", GC_get_heap_size() / 1048576.0);
}
