// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many threads: each keeps a list of its own, on its own stack alone, for as long as it runs.  Some
 * build and drop lists besides; the others wait, and have to be scanned all the same.
 *
 * threads=N idle=N lists=N nodes=N: threads, those of them that wait, lists that each of the rest
 * drops, nodes of a list.
 */
#include <pthread.h>
#include <stdlib.h>

#include "bind.h"
#include "workload.h"

#define THREADS_STACK_BYTES (256u << 10)

struct threads_node {
	struct threads_node *next;
	uint64_t owner;
	uint64_t number;
};

static uint64_t threads_lists, threads_nodes, threads_busy;
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t threads_over = PTHREAD_COND_INITIALIZER;

static struct threads_node *threads_list(uint64_t owner)
{
	struct threads_node *list = NULL;

	for (uint64_t i = 0; i < threads_nodes; i++) {
		struct threads_node *node = bind_alloc(sizeof(*node));

		node->owner = owner;
		node->number = i;
		bind_store(&node->next, list);
		list = node;
	}
	return list;
}

static void threads_drop(struct threads_node *list, uint64_t owner)
{
	uint64_t left = threads_nodes;

	while (list) {
		struct threads_node *next = list->next;

		if (list->owner != owner || list->number != --left)
			fail("thread %llu has another's node", (unsigned long long)owner);
		bind_free(list);
		list = next;
	}
	if (left)
		fail("thread %llu has lost nodes", (unsigned long long)owner);
}

static void threads_wait(void)
{
	pthread_mutex_lock(&threads_lock);
	while (threads_busy)
		pthread_cond_wait(&threads_over, &threads_lock);
	pthread_mutex_unlock(&threads_lock);
}

static void threads_work(uint64_t owner)
{
	for (uint64_t i = 0; i < threads_lists; i++)
		threads_drop(threads_list(owner), owner);
	pthread_mutex_lock(&threads_lock);
	if (!--threads_busy)
		pthread_cond_broadcast(&threads_over);
	pthread_mutex_unlock(&threads_lock);
}

/* @arg: twice the number of the thread, and one more if it is to wait. */
static void *threads_thread(void *arg)
{
	uint64_t owner = (uintptr_t)arg >> 1;
	struct threads_node *kept = threads_list(owner);

	if ((uintptr_t)arg & 1)
		threads_wait();
	else
		threads_work(owner);
	threads_drop(kept, owner);
	return NULL;
}

void threads_run(void)
{
	uint64_t threads = param_u64("threads"), idle = param_u64("idle");
	pthread_t *ids = calloc(threads, sizeof(*ids));
	pthread_attr_t attr;

	threads_lists = param_u64("lists");
	threads_nodes = param_u64("nodes");
	if (!ids || !threads || idle >= threads || !threads_nodes)
		fail("threads must be above idle, nodes above 0");
	threads_busy = threads - idle;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREADS_STACK_BYTES);
	/*
	 * The waiting threads are started first, so that the others run beside them all the time.
	 */
	for (uint64_t t = 0; t < threads; t++) {
		if (pthread_create(&ids[t], &attr, threads_thread,
				   (void *)(uintptr_t)(t << 1 | (t < idle))))
			fail("can't start thread %llu", (unsigned long long)t);
	}
	for (uint64_t t = 0; t < threads; t++)
		pthread_join(ids[t], NULL);
	pthread_attr_destroy(&attr);
	free(ids);
}
