// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocate and drop: one object after the other, each written to once and forgotten, or freed at
 * once where that is done by hand.
 *
 * ops=N size=BYTES kind=pointers|leaf|zeroed threads=N.  `zeroed` is calloc() for the systems that
 * free by hand; the collected ones hand out zeroed memory under `pointers` already.  Each thread
 * does all of the operations: the time an object stays the same with more threads if they do not
 * disturb each other.
 */
#include <pthread.h>
#include <string.h>

#include "bind.h"
#include "workload.h"

enum drop_kind { DROP_POINTERS, DROP_LEAF, DROP_ZEROED };

/* Inlined once for each size and kind: sizes are constants in programs, and systems rely on it. */
BIND_INLINE void drop_loop(uint64_t ops, size_t size, enum drop_kind kind)
{
	for (uint64_t i = 0; i < ops; i++) {
		uint64_t *object;

		if (kind == DROP_LEAF)
			object = bind_alloc_leaf(size);
		else if (kind == DROP_ZEROED)
			object = bind_alloc_zeroed(size);
		else
			object = bind_alloc(size);
		*object = i;
		/* The object is taken to be used here, all of it. */
		__asm__ volatile("" : : "r"(object) : "memory");
		bind_free(object);
	}
}

#define DROP_MAX_THREADS 64

#define DROP_SIZE(size)							\
	static void drop_##size(uint64_t ops, enum drop_kind kind)	\
	{								\
		switch (kind) {						\
		case DROP_POINTERS:					\
			drop_loop(ops, size, DROP_POINTERS);		\
			break;						\
		case DROP_LEAF:						\
			drop_loop(ops, size, DROP_LEAF);		\
			break;						\
		case DROP_ZEROED:					\
			drop_loop(ops, size, DROP_ZEROED);		\
			break;						\
		}							\
	}

DROP_SIZE(16)
DROP_SIZE(24)
DROP_SIZE(32)
DROP_SIZE(48)
DROP_SIZE(64)
DROP_SIZE(96)
DROP_SIZE(128)
DROP_SIZE(256)
DROP_SIZE(512)
DROP_SIZE(1024)
DROP_SIZE(4096)
DROP_SIZE(32768)

static const struct {
	size_t size;
	void (*run)(uint64_t ops, enum drop_kind kind);
} drop_sizes[] = {
	{ 16, drop_16 },     { 24, drop_24 },	  { 32, drop_32 },     { 48, drop_48 },
	{ 64, drop_64 },     { 96, drop_96 },	  { 128, drop_128 },   { 256, drop_256 },
	{ 512, drop_512 },   { 1024, drop_1024 }, { 4096, drop_4096 }, { 32768, drop_32768 },
};

static enum drop_kind drop_kind(const char *name)
{
	if (!strcmp(name, "pointers"))
		return DROP_POINTERS;
	if (!strcmp(name, "leaf"))
		return DROP_LEAF;
	if (!strcmp(name, "zeroed"))
		return DROP_ZEROED;
	fail("kind=%s: must be pointers, leaf or zeroed", name);
}

struct drop_job {
	void (*run)(uint64_t ops, enum drop_kind kind);
	uint64_t ops;
	enum drop_kind kind;
};

static void *drop_thread(void *arg)
{
	const struct drop_job *job = arg;

	job->run(job->ops, job->kind);
	return NULL;
}

void drop_run(void)
{
	struct drop_job job = { .kind = drop_kind(param_string("kind")) };
	uint64_t ops = param_u64("ops"), size = param_u64("size"), start;
	uint64_t threads = param_u64("threads");
	pthread_t ids[DROP_MAX_THREADS];

	for (size_t i = 0; i < sizeof(drop_sizes) / sizeof(drop_sizes[0]); i++) {
		if (drop_sizes[i].size == size)
			job.run = drop_sizes[i].run;
	}
	if (!job.run)
		fail("size=%llu: not one of the sizes in drop.c", (unsigned long long)size);
	if (!threads || threads > DROP_MAX_THREADS)
		fail("threads must be 1 to %d", DROP_MAX_THREADS);
	job.ops = ops / 10;
	drop_thread(&job);
	job.ops = ops;
	start = now_ns();
	for (uint64_t t = 1; t < threads; t++) {
		if (pthread_create(&ids[t], NULL, drop_thread, &job))
			fail("can't start a thread");
	}
	drop_thread(&job);
	for (uint64_t t = 1; t < threads; t++)
		pthread_join(ids[t], NULL);
	report("ns", (double)(now_ns() - start) / ops);
}
