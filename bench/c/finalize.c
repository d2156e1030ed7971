// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finalizers: a table of objects is made, each gets a finalizer, cycles run while all live, and
 * then all are dropped and called.
 *
 * objects=N collections=N: objects; cycles whose mean is reported while the objects live.
 */
#include <sched.h>
#include <stdatomic.h>

#include "bind.h"
#include "workload.h"

#define FINALIZE_BYTES 64

static _Atomic uint64_t finalize_called;

static void finalize_count(void *object, void *arg)
{
	(void)object, (void)arg;
	atomic_fetch_add_explicit(&finalize_called, 1, memory_order_relaxed);
}

void finalize_run(void)
{
	uint64_t n = param_u64("objects"), collections = param_u64("collections"), i, start;
	uint64_t set_ns, live_ns = 0;
	void **table = bind_alloc_zeroed(n * sizeof(*table));

	if (!n || !collections)
		fail("objects and collections must be above 0");
	for (i = 0; i < n; i++)
		bind_store(&table[i], bind_alloc_zeroed(FINALIZE_BYTES));
	bind_collect();
	start = now_ns();
	for (i = 0; i < n; i++)
		bind_set_finalizer(table[i], finalize_count);
	set_ns = now_ns() - start;
	for (i = 0; i < collections; i++) {
		start = now_ns();
		bind_collect();
		live_ns += now_ns() - start;
	}
	if (finalize_called)
		fail("a finalizer was called though its object lives");
	bind_store_none(table, n);
	start = now_ns();
	/* Some words may still lead to one or the other: the last thousandth is not waited for. */
	while (finalize_called < n - n / 1000) {
		bind_collect();
		bind_run_finalizers();
		sched_yield();
	}
	report("set_ns", (double)set_ns / (double)n);
	report("live_cycle_ms", (double)live_ns / (double)collections / 1e6);
	report("dead_ns", (double)(now_ns() - start) / (double)n);
	if (!table)
		fail("no table");
}
