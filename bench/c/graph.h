/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_GRAPH_H
#define BENCH_GRAPH_H

#include "bind.h"

/*
 * Build a graph of @objects, each 64 bytes with 4 edges, and return an object that all others of
 * the graph are reached from.
 * @shape: "random": each edge leads to any object, which leaves about 2 % of them unreachable;
 *	   "list": one edge, to the object allocated next; "tree": 4 edges down, breadth first.
 * @typed: the system is told where the pointers are.
 */
struct bench_edges *graph_build(uint32_t objects, const char *shape, int typed);

/* Objects reached from @root, each looked at; @objects is what graph_build() was given. */
uint64_t graph_count(struct bench_edges *root, uint32_t objects);

#endif
