// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a pointer store costs: bind_store() against a plain one, in three loops, while no collection
 * runs; and bind_store() while the collector marks.
 *
 *   array   a store into each slot of an array in turn
 *   tree    a binary tree is built, two stores a node, its allocation included
 *   list    nodes are moved from one doubly linked list to the other, six stores each
 *
 * stores=N objects=N marked_ms=N: stores in each loop, objects of the heap that is being marked,
 * time to look at stores during marking.
 *
 * The plain variants break the contract of a collected heap; nothing is collected while they run.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bind.h"
#include "graph.h"
#include "workload.h"

#define BARRIER_SLOTS 512	/* 4 KiB: in the first-level cache, as a new object is */
#define BARRIER_REPEATS 7	/* the best of them counts: all else in it is the machine's */
#define BARRIER_TREE_DEPTH 14
#define BARRIER_LIST_NODES 1024

struct barrier_node {
	struct barrier_node *next;
	struct barrier_node *prev;
};

/*
 * A plain store remains one store: the compiler may not use vectors, merge stores, or leave one
 * out.
 */
#define put(slot, value, barrier)					\
	do {								\
		if ((barrier) && BIND_BARRIER)				\
			bind_store(slot, value);			\
		else							\
			*(__typeof__(*(slot)) volatile *)(slot) = (value); \
	} while (0)

/*
 * Each loop does about @stores stores and returns their real number.  @barrier is a constant where
 * they are inlined.
 */
BIND_INLINE uint64_t array_loop(uint64_t stores, int barrier)
{
	void **slot = bind_alloc_zeroed(BARRIER_SLOTS * sizeof(*slot));
	void *value[2] = { slot, slot + 1 };

	for (uint64_t i = 0; i < stores; i++)
		put(&slot[i % BARRIER_SLOTS], value[i & 1], barrier);
	bind_free(slot);
	return stores;
}

BIND_INLINE void list_unlink(struct barrier_node *node, int barrier)
{
	put(&node->prev->next, node->next, barrier);
	put(&node->next->prev, node->prev, barrier);
}

BIND_INLINE void list_link_after(struct barrier_node *head, struct barrier_node *node, int barrier)
{
	struct barrier_node *next = head->next;

	put(&node->next, next, barrier);
	put(&node->prev, head, barrier);
	put(&next->prev, node, barrier);
	put(&head->next, node, barrier);
}

BIND_INLINE struct barrier_node *list_new(int barrier)
{
	struct barrier_node *head = bind_alloc(sizeof(*head));

	put(&head->next, head, barrier);
	put(&head->prev, head, barrier);
	return head;
}

BIND_INLINE uint64_t list_loop(uint64_t stores, int barrier)
{
	struct barrier_node *list[2] = { list_new(barrier), list_new(barrier) }, *node;
	uint64_t moves = stores / 6;

	for (unsigned int i = 0; i < BARRIER_LIST_NODES; i++)
		list_link_after(list[0], bind_alloc(sizeof(*node)), barrier);
	for (uint64_t i = 0; i < moves; i++) {
		unsigned int from = i / BARRIER_LIST_NODES & 1;

		node = list[from]->prev;
		list_unlink(node, barrier);
		list_link_after(list[!from], node, barrier);
	}
	for (unsigned int i = 0; i < 2; i++) {
		while ((node = list[i]->next) != list[i]) {
			list_unlink(node, barrier);
			bind_free(node);
		}
		bind_free(list[i]);
	}
	return moves * 6;
}

static struct barrier_node *tree_build_plain(unsigned int depth)
{
	struct barrier_node *node = bind_alloc(sizeof(*node));

	put(&node->next, depth ? tree_build_plain(depth - 1) : NULL, 0);
	put(&node->prev, depth ? tree_build_plain(depth - 1) : NULL, 0);
	return node;
}

static struct barrier_node *tree_build_barrier(unsigned int depth)
{
	struct barrier_node *node = bind_alloc(sizeof(*node));

	put(&node->next, depth ? tree_build_barrier(depth - 1) : NULL, 1);
	put(&node->prev, depth ? tree_build_barrier(depth - 1) : NULL, 1);
	return node;
}

static void tree_drop(struct barrier_node *node)
{
	if (BIND_COLLECTS || !node)
		return;
	tree_drop(node->next);
	tree_drop(node->prev);
	bind_free(node);
}

BIND_INLINE uint64_t tree_loop(uint64_t stores, int barrier)
{
	uint64_t tree_stores = 2 * ((2ull << BARRIER_TREE_DEPTH) - 1), done;

	/* Building a node costs as much as many stores, so a tenth as many are enough. */
	for (done = 0; done < stores / 10; done += tree_stores) {
		tree_drop(barrier ? tree_build_barrier(BARRIER_TREE_DEPTH) :
				    tree_build_plain(BARRIER_TREE_DEPTH));
	}
	return done;
}

#define BARRIER_VARIANTS(loop)						\
	static __attribute__((noinline)) uint64_t loop##_plain(uint64_t stores) \
	{								\
		return loop##_loop(stores, 0);				\
	}								\
	static __attribute__((noinline)) uint64_t loop##_barrier(uint64_t stores) \
	{								\
		return loop##_loop(stores, 1);				\
	}

BARRIER_VARIANTS(array)
BARRIER_VARIANTS(list)
BARRIER_VARIANTS(tree)

static double barrier_time(uint64_t (*loop)(uint64_t stores), uint64_t stores)
{
	uint64_t start, done;

	bind_collect();
	start = now_ns();
	done = loop(stores);
	return (double)(now_ns() - start) / done;
}

/* The two are run in alternation, so that both have the same conditions. */
static void barrier_off(const char *name, uint64_t (*plain)(uint64_t stores),
			uint64_t (*barrier)(uint64_t stores), uint64_t stores)
{
	double plain_ns = 1e9, barrier_ns = 1e9, ns;
	char key[32];

	for (unsigned int i = 0; i < BARRIER_REPEATS; i++) {
		ns = barrier_time(plain, stores / BARRIER_REPEATS);
		plain_ns = ns < plain_ns ? ns : plain_ns;
		ns = barrier_time(barrier, stores / BARRIER_REPEATS);
		barrier_ns = ns < barrier_ns ? ns : barrier_ns;
	}
	snprintf(key, sizeof(key), "%s_plain_ns", name);
	report(key, plain_ns);
	snprintf(key, sizeof(key), "%s_barrier_ns", name);
	report(key, barrier_ns);
	snprintf(key, sizeof(key), "%s_extra_ns", name);
	report(key, barrier_ns - plain_ns);
}

/* ---- while the collector marks ---- */

#define BARRIER_BATCH 64
#define BARRIER_SAMPLES 200000

static atomic_int barrier_done;

static void *barrier_collecting(void *unused)
{
	(void)unused;
	while (!atomic_load(&barrier_done))
		bind_collect();
	return NULL;
}

static int barrier_compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double clock_cost_ns(void)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t start = now_ns(), took = now_ns() - start;

		best = took < best ? took : best;
	}
	return best;
}

/*
 * Batches of stores, each timed.  A batch counts if the barrier was on before and after it: marking
 * takes milliseconds, a batch a microsecond.
 */
static void barrier_on(uint32_t objects, uint64_t marked_ms)
{
	struct bench_edges *root = graph_build(objects, "random", 0);
	void **slot = bind_alloc_zeroed(BARRIER_SLOTS * sizeof(*slot));
	float *sample = malloc(BARRIER_SAMPLES * sizeof(*sample));
	double clock_ns = clock_cost_ns(), sum = 0;
	uint64_t end, samples = 0, i = 0;
	struct bench_edges *object = root;
	pthread_t thread;

	if (!sample || pthread_create(&thread, NULL, barrier_collecting, NULL))
		fail("can't start a thread");
	for (end = now_ns() + marked_ms * 1000000; now_ns() < end && samples < BARRIER_SAMPLES;) {
		int on = bind_barrier_on();
		uint64_t start = now_ns(), took;

		for (unsigned int n = 0; n < BARRIER_BATCH; n++, i++)
			bind_store(&slot[i % BARRIER_SLOTS], object->edge[i & 3]);
		took = now_ns() - start;
		if (on && bind_barrier_on()) {
			double ns = took > clock_ns ? (took - clock_ns) / BARRIER_BATCH : 0;

			sum += ns;
			sample[samples++] = ns;
		}
		/*
		 * The values are other ones each time, since an object that is shaded already is
		 * cheaper to shade.
		 */
		if (object->edge[i >> 6 & 3])
			object = object->edge[i >> 6 & 3];
	}
	atomic_store(&barrier_done, 1);
	pthread_join(thread, NULL);
	if (samples) {
		qsort(sample, samples, sizeof(*sample), barrier_compare);
		report("on_mean_ns", sum / samples);
		report("on_median_ns", sample[samples / 2]);
		report("on_p999_ns", sample[samples - samples / 1000 - 1]);
	}
	report("on_samples", samples);
	free(sample);
	bind_free(slot);
}

void barrier_run(void)
{
	uint64_t stores = param_u64("stores");

	bind_off();
	barrier_off("array", array_plain, array_barrier, stores);
	barrier_off("list", list_plain, list_barrier, stores);
	barrier_off("tree", tree_plain, tree_barrier, stores);
	if (BIND_COLLECTS && param_u64("marked_ms"))
		barrier_on(param_u64("objects"), param_u64("marked_ms"));
}
