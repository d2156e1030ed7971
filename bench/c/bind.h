/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory management that a workload is compiled against.  One binding a system, chosen by the
 * Makefile; all of them offer:
 *
 *   BIND_NAME		the system's name on the driver's side
 *   BIND_COLLECTS	1 if garbage is collected, 0 if the workload frees by hand
 *   BIND_BARRIER	1 if bind_store() is more than a store
 *   bind_init()	before anything else, in main()
 *   bind_version()	of the library that is loaded
 *   bind_alloc()	memory that may hold pointers; zeroed only where the system does so anyway
 *   bind_alloc_zeroed()	as that, zeroed
 *   bind_alloc_leaf()	memory that holds no pointers; zeroed only where the system does so anyway
 *   bind_alloc_typed()	a struct bench_edges, with the system told where its pointers are
 *   bind_free()	nothing where BIND_COLLECTS
 *   bind_store()	a pointer into an object or a global
 *   bind_store_none()	NULL into @count such slots
 *   bind_collect()	a full collection, waited for
 *   bind_collector_cpu_ns()	CPU time that the collector took outside this process
 *   bind_collector_pid()	the process that collects, if it is another one; else 0
 *   bind_gc_percent()	growth before a collection, where the system takes it in per cent
 *   bind_off()		no more collections but by bind_collect()
 *   bind_on()		as it was before bind_off()
 *   bind_barrier_on()	non-zero while bind_store() has more to do than to store
 *   bind_report()	the system's own figures, at the end
 *
 * An allocation that fails is not tested for in the loops that are timed: the write that follows
 * ends the program, and the driver reports it.
 */
#ifndef BENCH_BIND_H
#define BENCH_BIND_H

#include <stddef.h>
#include <stdint.h>

/* The object of the graph workloads: 64 bytes, half of them pointers. */
struct bench_edges {
	struct bench_edges *edge[4];
	uint64_t id;
	uint64_t check;
	uint64_t payload[2];
};

#define BIND_INLINE static inline __attribute__((unused, always_inline))

#if defined(BENCH_TRICOLOR)
#include "bind_tricolor.h"
#elif defined(BENCH_GC)
#include "bind_gc.h"
#elif defined(BENCH_GLIBC) || defined(BENCH_MIMALLOC)
#include "bind_malloc.h"
#else
#error "compile with -DBENCH_<SYSTEM>"
#endif

#endif
