/* SPDX-License-Identifier: GPL-2.0-only */
#include <sys/types.h>
#include <tricolor.h>

#include "workload.h"

#define BIND_NAME "tricolor"
#define BIND_COLLECTS 1
#define BIND_BARRIER 1

BIND_INLINE void bind_init(void)
{
	if (tri_init(NULL))
		fail("tri_init: %s", tri_error());
}

BIND_INLINE const char *bind_version(void)
{
	return tri_version();
}

#define bind_alloc(size) tri_alloc(size)
#define bind_alloc_zeroed(size) tri_alloc(size)
#define bind_alloc_leaf(size) tri_alloc_leaf(size)

TRI_TYPE(bind_edges_type, struct bench_edges, edge);

BIND_INLINE void *bind_alloc_typed(void)
{
	return tri_alloc_typed(&bind_edges_type, 1);
}

/* With BENCH_FREE programs free by hand what they can. */
BIND_INLINE void bind_free(void *object)
{
#ifdef BENCH_FREE
	tri_free(object);
#else
	(void)object;
#endif
}

BIND_INLINE void bind_set_finalizer(void *object, void (*fn)(void *object, void *arg))
{
	if (tri_set_finalizer(object, fn, NULL))
		fail("tri_set_finalizer: %s", tri_error());
}

/* A thread of the library's calls them. */
BIND_INLINE void bind_run_finalizers(void)
{
}

#define bind_store(slot, value) tri_store(slot, value)

BIND_INLINE void bind_store_none(void *slots, size_t count)
{
	tri_clear(slots, count);
}

BIND_INLINE void bind_collect(void)
{
	if (tri_gc())
		fail("tri_gc: %s", tri_error());
}

BIND_INLINE struct tri_stats bind_stats(void)
{
	struct tri_stats stats = { .size = sizeof(stats) };

	if (tri_read_stats(&stats))
		fail("tri_read_stats: %s", tri_error());
	return stats;
}

BIND_INLINE uint64_t bind_collector_cpu_ns(void)
{
	return bind_stats().mark_cpu_ns;
}

BIND_INLINE pid_t bind_collector_pid(void)
{
	return (pid_t)bind_stats().collector_pid;
}

BIND_INLINE void bind_gc_percent(int percent)
{
	tri_set_gc_percent(percent);
}

BIND_INLINE void bind_off(void)
{
	tri_set_gc_percent(-1);
}

BIND_INLINE void bind_on(void)
{
	tri_set_gc_percent(100);
}

BIND_INLINE int bind_barrier_on(void)
{
	return *(volatile uint32_t *)&tri__tls.barrier != 0;
}

BIND_INLINE void bind_report(void)
{
	struct tri_stats stats = bind_stats();

	report("cycles", stats.cycles);
	report("interruption_max_us", stats.interruption_max_ns / 1e3);
	report("interruptions", stats.interruptions);
	report("interruption_total_us", stats.interruption_total_ns / 1e3);
	report("assist_ms", stats.assist_ns / 1e6);
	report("collector_cpu_ms", stats.mark_cpu_ns / 1e6);
	if (stats.cycles)
		report("cycle_cpu_ms", stats.mark_cpu_ns / 1e6 / stats.cycles);
	report("peak_heap_mib", stats.peak_heap_bytes / 1048576.0);
	report("reconnects", stats.reconnects);
}
