// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binary trees, after the benchmarks game: a tree that lives throughout, and beside it many trees
 * of depths 4, 6 … @depth that are built, counted and dropped; the deeper, the fewer.
 *
 * depth=N threads=N.  The threads share the iterations of each depth.
 */
#include <pthread.h>

#include "bind.h"
#include "workload.h"

#define TREES_MIN_DEPTH 4
#define TREES_MAX_THREADS 64

struct tree {
	struct tree *left;
	struct tree *right;
};

struct trees_thread {
	pthread_t id;
	unsigned int number;
	unsigned int threads;
	unsigned int depth;
	uint64_t nodes;		/* counted in the trees that were dropped */
};

static struct tree *tree_build(unsigned int depth)
{
	struct tree *left = NULL, *right = NULL, *tree;

	if (depth) {
		left = tree_build(depth - 1);
		right = tree_build(depth - 1);
	}
	tree = bind_alloc(sizeof(*tree));
	bind_store(&tree->left, left);
	bind_store(&tree->right, right);
	return tree;
}

static uint64_t tree_count(const struct tree *tree)
{
	if (!tree->left)
		return 1;
	return 1 + tree_count(tree->left) + tree_count(tree->right);
}

/* A walk that only frees by hand need; gone where garbage is collected. */
static void tree_free(struct tree *tree)
{
	if (BIND_COLLECTS)
		return;
	if (tree->left) {
		tree_free(tree->left);
		tree_free(tree->right);
	}
	bind_free(tree);
}

static uint64_t trees_at(unsigned int depth, unsigned int max_depth)
{
	return 1ull << (max_depth - depth + TREES_MIN_DEPTH);
}

static void *trees_thread(void *arg)
{
	struct trees_thread *self = arg;
	uint64_t nodes = 0;

	for (unsigned int d = TREES_MIN_DEPTH; d <= self->depth; d += 2) {
		for (uint64_t i = self->number; i < trees_at(d, self->depth); i += self->threads) {
			struct tree *tree = tree_build(d);

			nodes += tree_count(tree);
			tree_free(tree);
		}
	}
	self->nodes = nodes;
	return NULL;
}

static void trees_check(const char *what, uint64_t nodes, uint64_t expected)
{
	if (nodes != expected)
		fail("%s: %llu nodes instead of %llu", what, (unsigned long long)nodes,
		     (unsigned long long)expected);
}

void trees_run(void)
{
	unsigned int depth = param_u64("depth"), threads = param_u64("threads");
	struct trees_thread thread[TREES_MAX_THREADS] = { 0 };
	uint64_t nodes = 0, expected = 0;
	struct tree *tree;

	if (depth < TREES_MIN_DEPTH || depth > 32)
		fail("depth=%u: must be 4 to 32", depth);
	if (!threads || threads > TREES_MAX_THREADS)
		fail("threads=%u: must be 1 to %d", threads, TREES_MAX_THREADS);

	tree = tree_build(depth + 1);
	trees_check("first tree", tree_count(tree), (4ull << depth) - 1);
	tree_free(tree);
	tree = tree_build(depth);
	for (unsigned int t = 0; t < threads; t++) {
		thread[t].number = t;
		thread[t].threads = threads;
		thread[t].depth = depth;
		if (t && pthread_create(&thread[t].id, NULL, trees_thread, &thread[t]))
			fail("can't start a thread");
	}
	trees_thread(&thread[0]);
	for (unsigned int t = 0; t < threads; t++) {
		if (t)
			pthread_join(thread[t].id, NULL);
		nodes += thread[t].nodes;
	}
	for (unsigned int d = TREES_MIN_DEPTH; d <= depth; d += 2)
		expected += trees_at(d, depth) * ((2ull << d) - 1);
	trees_check("dropped trees", nodes, expected);
	trees_check("lasting tree", tree_count(tree), (2ull << depth) - 1);
	tree_free(tree);
	report("nodes", nodes);
}
