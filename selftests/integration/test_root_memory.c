// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_root_memory.c - tri_root_alloc() and tri_root_free()
 *
 * Each scenario is a process of its own.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/threads.h"

static bool is_zero(const void *p, size_t bytes)
{
	const unsigned char *c = p;

	return !bytes || (!c[0] && !memcmp(c, c + 1, bytes - 1));
}

/* ------------------------------------------------------------------------------------------ */
/* Blocks                                                                                     */
/* ------------------------------------------------------------------------------------------ */

#define HELD 64

/* Blocks of each size and alignment are apart from each other, zero, and aligned. */
static bool blocks(void)
{
	static const size_t sizes[] = { 0,   1,	   8,	 16,   17,   48,   100,	  128,	  129,	200,
					500, 1000, 2048, 4000, 4096, 4097, 10000, 65536, 300000 };
	unsigned char *held[HELD];
	size_t size, align;
	unsigned int i, n, round;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size = sizes[i];
		for (align = 1; align <= 32768; align *= 2) {
			for (round = 0; round < 2; round++) {
				for (n = 0; n < HELD; n++) {
					held[n] = tri_root_alloc(size, align);
					CHECK(held[n] && !((uintptr_t)held[n] & (align - 1)));
					CHECK(is_zero(held[n], size));
					memset(held[n], (int)n + 1, size);
				}
				for (n = 0; n < HELD; n++) {
					CHECK(!size || (held[n][0] == n + 1 &&
							!memcmp(held[n], held[n] + 1, size - 1)));
					tri_root_free(held[n]);
				}
			}
		}
	}
	tri_root_free(NULL);
	for (i = 0; i < 2; i++) {
		errno = 0;
		CHECK(!tri_root_alloc(8, i ? 24 : 0) && errno == EINVAL);
	}
	errno = 0;
	CHECK(!tri_root_alloc(8, 65536) && errno == EINVAL);
	errno = 0;
	CHECK(!tri_root_alloc(SIZE_MAX - 4096, 8) && errno == ENOMEM);
	errno = 0;
	CHECK(!tri_root_alloc(SIZE_MAX, 8) && errno == ENOMEM);
	return true;
}

/* What is freed goes back to the system, in whatever order. */
static bool memory_comes_back(void)
{
	enum { N = 300000 };
	static void *held[N];
	uint64_t seed = 1;
	long before, full;
	unsigned int i;

	before = proc_status(getpid(), "VmSize");
	for (i = 0; i < N; i++)
		CHECK(held[i] = tri_root_alloc(200, 16));
	full = proc_status(getpid(), "VmSize");
	for (i = N; i--;) {
		unsigned int other = (unsigned int)(draw(&seed) % (i + 1));
		void *p = held[other];

		held[other] = held[i];
		tri_root_free(p);
	}
	ksft_print_msg("%ld KiB before, %ld with all, %ld after\n", before, full,
		       proc_status(getpid(), "VmSize"));
	CHECK(full - before > N / 1024 * 200);
	CHECK(proc_status(getpid(), "VmSize") - before < 2048);
	return true;
}

/* Memory may be allocated before there is a heap, and does not make one. */
static bool starts_no_heap(void)
{
	struct tri_options opts = { .size = sizeof(opts), .gc_percent = 77 };
	struct witness **block = tri_root_alloc(sizeof(*block), 8);
	uintptr_t hidden;

	CHECK(block && tri_init(&opts) == 0 && tri_set_gc_percent(100) == 77);
	tri_store(block, witness_new(1));
	hidden = hide(*block);
	collect_times(2);
	CHECK(hidden_ok(hidden, 1));
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* Roots                                                                                      */
/* ------------------------------------------------------------------------------------------ */

enum { COUNT = 5000 };
static uintptr_t hidden_at[COUNT];
static struct witness **block_at[COUNT];

/* The first, the last, or another word of the block holds the witness. */
static NOINLINE size_t place(unsigned int i)
{
	return i % 50;
}

static NOINLINE void fill(void)
{
	unsigned int i;

	for (i = 0; i < COUNT; i++) {
		block_at[i] = tri_root_alloc(i % 100 ? 50 * 8 : 50000, 16);
		if (!block_at[i])
			ksft_exit_fail_msg("no memory\n");
		tri_store(&block_at[i][place(i)], witness_new(i));
		hidden_at[i] = hide(block_at[i][place(i)]);
	}
}

static NOINLINE unsigned int alive(unsigned int from, unsigned int step)
{
	unsigned int i, n = 0;

	for (i = from; i < COUNT; i += step)
		n += hidden_ok(hidden_at[i], i);
	return n;
}

static NOINLINE void drop(unsigned int from, unsigned int step)
{
	unsigned int i;

	for (i = from; i < COUNT; i += step)
		tri_root_free(block_at[i]);
}

/* What a block points to lives as long as the block does. */
static bool keeps_and_lets_go(void)
{
	fill();
	collect_times(2);
	CHECK(alive(0, 1) == COUNT);
	drop(0, 2);
	collect_times(2);
	CHECK(alive(1, 2) == COUNT / 2);
	CHECK(alive(0, 2) < 10);
	drop(1, 2);
	collect_times(2);
	CHECK(alive(1, 2) < 10);
	return true;
}

static struct event stop;
static _Atomic unsigned int failures;

/*
 * Lists whose nodes are blocks: the links are plain stores, and the values move from node to node
 * while cycles run.
 */
struct node {
	struct node *next;
	struct witness *value;
	uint64_t id;
};

static void *churn(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg, id;
	struct node *list = NULL, *n, *moved;
	unsigned int i;

	while (!event_is_set(&stop)) {
		for (i = 0; i < 200; i++) {
			id = draw(&seed);
			n = tri_root_alloc(sizeof(*n) + id % 500, 8);
			n->id = id;
			tri_store(&n->value, witness_new(id));
			n->next = list;
			list = n;
		}
		/* As a container does that grows: all values move to other memory. */
		for (moved = NULL; list;) {
			n = tri_root_alloc(sizeof(*n), 8);
			n->id = list->id;
			tri_store(&n->value, list->value);
			n->next = moved;
			moved = n;
			n = list->next;
			tri_root_free(list);
			list = n;
		}
		for (list = moved; list && draw(&seed) % 100; list = n) {
			failures += !witness_ok(list->value, list->id);
			n = list->next;
			tri_root_free(list);
		}
	}
	return NULL;
}

static bool threads_while_cycles_run(void)
{
	pthread_t thread[3];
	unsigned int i;

	for (i = 0; i < 3; i++)
		thread[i] = start_thread(churn, (void *)(uintptr_t)(i + 1));
	for (i = 0; i < 60; i++)
		collect();
	event_set(&stop);
	for (i = 0; i < 3; i++)
		must(pthread_join(thread[i], NULL), "pthread_join");
	CHECK(!failures);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* fork()                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* Another thread allocates during the fork. */
static bool fork_while_others_allocate(int copied)
{
	pthread_t thread;
	unsigned int i, n, bad = 0;
	pid_t pid;

	setenv("TRICOLOR_FORK", copied ? "copy" : "fresh", 1);
	fill();
	thread = start_thread(churn, (void *)7);
	for (i = 0; i < 20; i++) {
		pid = fork();
		if (!pid) {
			void *held[500];

			alarm(30);
			event_set(&stop);
			for (n = 0; n < 500; n++)
				if (!(held[n] = tri_root_alloc(n, 8)) || !is_zero(held[n], n))
					_exit(1);
			for (n = 0; n < 500; n++)
				tri_root_free(held[n]);
			if (copied) {
				collect_times(2);
				if (alive(0, 1) != COUNT)
					_exit(2);
			}
			drop(0, 1);
			fill();
			collect_times(2);
			_exit(alive(0, 1) == COUNT ? 0 : 3);
		}
		bad += status_of(pid) != 0;
	}
	event_set(&stop);
	must(pthread_join(thread, NULL), "pthread_join");
	CHECK(!bad);
	return true;
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(7);
	ksft_test_result(scenario(blocks), "blocks are apart, zero and aligned\n");
	ksft_test_result(scenario(memory_comes_back), "memory goes back to the system\n");
	ksft_test_result(scenario(starts_no_heap), "no heap is started\n");
	ksft_test_result(scenario(keeps_and_lets_go), "a block keeps what it points to\n");
	ksft_test_result(scenario(threads_while_cycles_run), "threads while cycles run\n");
	ksft_test_result(scenario_with(fork_while_others_allocate, 1), "fork() with a copy\n");
	ksft_test_result(scenario_with(fork_while_others_allocate, 0), "fork() without one\n");
	ksft_finished();
}
