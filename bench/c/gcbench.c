// SPDX-License-Identifier: GPL-2.0-only
/*
 * GCBench, after the description of the benchmark by Ellis, Kovac and Boehm: a tree is built and
 * dropped to stretch the heap; a tree and an array of numbers live throughout; then trees of depths
 * 4, 6 … @depth are built and dropped, half of them top down, which stores into old objects, and
 * half bottom up, which does not.
 *
 * stretch=N lasting=N array=N depth=N threads=N: depths of the first and the lasting tree, numbers
 * in the array, largest depth of the many.  The threads share the trees of each depth.
 */
#include <pthread.h>

#include "bind.h"
#include "workload.h"

#define GCBENCH_MIN_DEPTH 4
#define GCBENCH_MAX_THREADS 64

struct gcbench_node {
	struct gcbench_node *left;
	struct gcbench_node *right;
	uint32_t level;
	uint32_t unused;
};

struct gcbench_thread {
	pthread_t id;
	unsigned int number;
	unsigned int threads;
	unsigned int stretch;
	unsigned int depth;
	uint64_t nodes;
};

static struct gcbench_node *gcbench_leaf(unsigned int level)
{
	struct gcbench_node *node = bind_alloc(sizeof(*node));

	bind_store(&node->left, NULL);
	bind_store(&node->right, NULL);
	node->level = level;
	return node;
}

static struct gcbench_node *gcbench_bottom_up(unsigned int depth)
{
	struct gcbench_node *left, *right, *node;

	if (!depth)
		return gcbench_leaf(0);
	left = gcbench_bottom_up(depth - 1);
	right = gcbench_bottom_up(depth - 1);
	node = bind_alloc(sizeof(*node));
	bind_store(&node->left, left);
	bind_store(&node->right, right);
	node->level = depth;
	return node;
}

static void gcbench_top_down(struct gcbench_node *node)
{
	if (!node->level)
		return;
	bind_store(&node->left, gcbench_leaf(node->level - 1));
	bind_store(&node->right, gcbench_leaf(node->level - 1));
	gcbench_top_down(node->left);
	gcbench_top_down(node->right);
}

/* How many nodes of a tree of @depth have the right level. */
static uint64_t gcbench_count(const struct gcbench_node *node, unsigned int depth)
{
	if (node->level != depth)
		fail("a node of level %u is at level %u", node->level, depth);
	if (!depth)
		return 1;
	return 1 + gcbench_count(node->left, depth - 1) + gcbench_count(node->right, depth - 1);
}

static void gcbench_free(struct gcbench_node *node)
{
	if (BIND_COLLECTS)
		return;
	if (node->left) {
		gcbench_free(node->left);
		gcbench_free(node->right);
	}
	bind_free(node);
}

static uint64_t gcbench_nodes(unsigned int depth)
{
	return (2ull << depth) - 1;
}

/* There are as many trees of each depth as have twice the nodes of the first tree together. */
static uint64_t gcbench_trees(unsigned int stretch, unsigned int depth)
{
	return 2 * gcbench_nodes(stretch) / gcbench_nodes(depth);
}

/* As in the original, only the root of each tree is checked: walking trees is not measured here. */
static void *gcbench_thread(void *arg)
{
	struct gcbench_thread *self = arg;
	uint64_t nodes = 0;

	for (unsigned int d = GCBENCH_MIN_DEPTH; d <= self->depth; d += 2) {
		uint64_t trees = gcbench_trees(self->stretch, d);

		for (uint64_t i = self->number; i < trees; i += self->threads) {
			struct gcbench_node *tree = gcbench_leaf(d);

			gcbench_top_down(tree);
			nodes += gcbench_nodes(tree->level);
			gcbench_free(tree);
		}
		for (uint64_t i = self->number; i < trees; i += self->threads) {
			struct gcbench_node *tree = gcbench_bottom_up(d);

			nodes += gcbench_nodes(tree->level);
			gcbench_free(tree);
		}
	}
	self->nodes = nodes;
	return NULL;
}

static __attribute__((noinline)) void gcbench_stretch(unsigned int depth)
{
	struct gcbench_node *tree = gcbench_bottom_up(depth);

	if (gcbench_count(tree, depth) != gcbench_nodes(depth))
		fail("the first tree has lost nodes");
	gcbench_free(tree);
}

/*
 * Where stacks are scanned conservatively, a word that the first tree has left on the stack would
 * keep the tree.
 */
static __attribute__((noinline)) void gcbench_wipe_stack(void)
{
	uint64_t words[1024] = { 0 };

	__asm__ volatile("" : : "r"(words) : "memory");
}

void gcbench_run(void)
{
	unsigned int stretch = param_u64("stretch"), lasting = param_u64("lasting");
	unsigned int depth = param_u64("depth"), threads = param_u64("threads");
	uint64_t count = param_u64("array"), nodes = 0, expected = 0;
	struct gcbench_thread thread[GCBENCH_MAX_THREADS] = { 0 };
	struct gcbench_node *tree;
	double *array;

	if (stretch > 32 || lasting > 32 || depth < GCBENCH_MIN_DEPTH || depth > stretch)
		fail("depths must be up to 32, depth at least %d and at most stretch",
		     GCBENCH_MIN_DEPTH);
	if (!threads || threads > GCBENCH_MAX_THREADS)
		fail("threads=%u: must be 1 to %d", threads, GCBENCH_MAX_THREADS);

	gcbench_stretch(stretch);
	gcbench_wipe_stack();
	tree = gcbench_leaf(lasting);
	gcbench_top_down(tree);
	array = bind_alloc_leaf(count * sizeof(*array));
	for (uint64_t i = 0; i < count; i++)
		array[i] = 1.0 / (i + 1);

	for (unsigned int t = 0; t < threads; t++) {
		thread[t].number = t;
		thread[t].threads = threads;
		thread[t].stretch = stretch;
		thread[t].depth = depth;
		if (t && pthread_create(&thread[t].id, NULL, gcbench_thread, &thread[t]))
			fail("can't start a thread");
	}
	gcbench_thread(&thread[0]);
	for (unsigned int t = 0; t < threads; t++) {
		if (t)
			pthread_join(thread[t].id, NULL);
		nodes += thread[t].nodes;
	}
	for (unsigned int d = GCBENCH_MIN_DEPTH; d <= depth; d += 2)
		expected += 2 * gcbench_trees(stretch, d) * gcbench_nodes(d);
	if (nodes != expected)
		fail("%llu nodes instead of %llu", (unsigned long long)nodes,
		     (unsigned long long)expected);
	if (gcbench_count(tree, lasting) != gcbench_nodes(lasting))
		fail("the lasting tree has lost nodes");
	for (uint64_t i = 0; i < count; i++) {
		if (array[i] != 1.0 / (i + 1))
			fail("element %llu of the array has changed", (unsigned long long)i);
	}
	gcbench_free(tree);
	bind_free(array);
	report("nodes", nodes);
}
