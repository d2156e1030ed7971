// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "workload.h"

static struct bench_edges *graph_object(uint64_t id, int typed)
{
	struct bench_edges *object;

	object = typed ? bind_alloc_typed() : bind_alloc(sizeof(*object));
	object->id = id;
	object->check = ~id;
	return object;
}

/*
 * The index keeps the objects while the edges are drawn.  It is collected memory itself, and
 * emptied before it is dropped: left in a stale word of the stack, it would be a short cut for the
 * marker.
 */
struct bench_edges *graph_build(uint32_t objects, const char *shape, int typed)
{
	struct bench_edges **index, *root;
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	index = bind_alloc_zeroed(objects * sizeof(*index));
	if (!index)
		fail("no memory for an index of %u objects", objects);
	for (uint32_t i = 0; i < objects; i++)
		bind_store(&index[i], graph_object(i, typed));
	for (uint32_t i = 0; i < objects; i++) {
		for (uint32_t e = 0; e < 4; e++) {
			uint64_t target;

			if (!strcmp(shape, "random"))
				target = random_below(&seed, objects);
			else if (!strcmp(shape, "tree"))
				target = 4ull * i + e + 1;
			else if (!strcmp(shape, "list"))
				target = e ? objects : i + 1ull;
			else
				fail("shape=%s: must be random, list or tree", shape);
			if (target < objects)
				bind_store(&index[i]->edge[e], index[target]);
		}
	}
	root = index[0];
	bind_store_none(index, objects);
	bind_free(index);
	return root;
}

uint64_t graph_count(struct bench_edges *root, uint32_t objects)
{
	/* Neither holds a root: the graph hangs on @root alone. */
	unsigned char *seen = calloc(objects, 1);
	struct bench_edges **queue = malloc(objects * sizeof(*queue));
	uint64_t head = 0, tail = 0;

	if (!seen || !queue)
		fail("no memory to count %u objects", objects);
	seen[root->id] = 1;
	queue[tail++] = root;
	while (head < tail) {
		struct bench_edges *object = queue[head++];

		for (unsigned int e = 0; e < 4; e++) {
			struct bench_edges *target = object->edge[e];

			if (!target)
				continue;
			if (target->id >= objects || target->check != ~target->id)
				fail("object %llu: edge %u leads to something that is no object",
				     (unsigned long long)object->id, e);
			if (!seen[target->id]) {
				seen[target->id] = 1;
				queue[tail++] = target;
			}
		}
	}
	free(seen);
	free(queue);
	return tail;
}
