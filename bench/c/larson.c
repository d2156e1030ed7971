// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server in the manner of Larson and Krishnan ("Memory allocation for long-running server
 * applications", ISMM 1998): each thread replaces random objects of an array by new ones of random
 * sizes, then hands the array to a new thread and ends.  What a thread drops was allocated by its
 * predecessors.
 *
 * threads=N objects=N min=BYTES max=BYTES replacements=N generations=N: objects of each array,
 * replacements by each thread before it hands on, threads one after another.
 */
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "bind.h"
#include "workload.h"

#define LARSON_MAX_THREADS 64
#define LARSON_MIN_BYTES 8

/* One array, and the threads that own it one after another.  It is on the stack of main(). */
struct larson_lane {
	unsigned char **slots;
	uint64_t seed;
	uint64_t generations_left;
	uint64_t replaced;
};

static uint32_t larson_objects, larson_min, larson_max;
static uint64_t larson_replacements;
static sem_t larson_done;	/* posted by each lane whose last thread has ended */

/* Both ends of an object hold its size. */
static unsigned char *larson_object(uint64_t *seed)
{
	uint32_t size = larson_min + random_below(seed, larson_max - larson_min + 1);
	unsigned char *object = bind_alloc_leaf(size);

	memcpy(object, &size, sizeof(size));
	object[size - 1] = (unsigned char)size;
	return object;
}

static void larson_drop(unsigned char *object)
{
	uint32_t size;

	memcpy(&size, object, sizeof(size));
	if (size < larson_min || size > larson_max || object[size - 1] != (unsigned char)size)
		fail("an object has other contents");
	bind_free(object);
}

static void larson_start(struct larson_lane *lane);

static void *larson_thread(void *arg)
{
	struct larson_lane *lane = arg;

	for (uint64_t i = 0; i < larson_replacements; i++) {
		unsigned char **slot = &lane->slots[random_below(&lane->seed, larson_objects)];

		larson_drop(*slot);
		bind_store(slot, larson_object(&lane->seed));
	}
	lane->replaced += larson_replacements;
	if (--lane->generations_left)
		larson_start(lane);
	else
		sem_post(&larson_done);
	return NULL;
}

static void larson_start(struct larson_lane *lane)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, larson_thread, lane))
		fail("can't start a thread");
	pthread_attr_destroy(&attr);
}

void larson_run(void)
{
	struct larson_lane lanes[LARSON_MAX_THREADS] = { 0 };
	uint64_t threads = param_u64("threads"), generations = param_u64("generations");
	uint64_t start, took, replaced = 0;

	larson_objects = param_u64("objects");
	larson_min = param_u64("min");
	larson_max = param_u64("max");
	larson_replacements = param_u64("replacements");
	if (!threads || threads > LARSON_MAX_THREADS)
		fail("threads must be 1 to %d", LARSON_MAX_THREADS);
	if (!larson_objects || larson_min < LARSON_MIN_BYTES || larson_max < larson_min ||
	    !generations || !larson_replacements)
		fail("min must be at least %d, max no less, the rest above 0", LARSON_MIN_BYTES);
	sem_init(&larson_done, 0, 0);
	for (uint64_t t = 0; t < threads; t++) {
		lanes[t].seed = 0x9e3779b97f4a7c15ull * (t + 1);
		lanes[t].generations_left = generations;
		lanes[t].slots = bind_alloc_zeroed(larson_objects * sizeof(*lanes[t].slots));
		for (uint32_t i = 0; i < larson_objects; i++)
			bind_store(&lanes[t].slots[i], larson_object(&lanes[t].seed));
	}
	start = now_ns();
	for (uint64_t t = 0; t < threads; t++)
		larson_start(&lanes[t]);
	for (uint64_t t = 0; t < threads; t++) {
		while (sem_wait(&larson_done))
			;
	}
	took = now_ns() - start;
	for (uint64_t t = 0; t < threads; t++) {
		replaced += lanes[t].replaced;
		for (uint32_t i = 0; i < larson_objects; i++)
			larson_drop(lanes[t].slots[i]);
		bind_free(lanes[t].slots);
	}
	if (replaced != threads * generations * larson_replacements)
		fail("%llu objects replaced", (unsigned long long)replaced);
	report("replaced", replaced);
	report("mops_per_s", replaced * 1e3 / took);
}
