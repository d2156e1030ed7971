// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_free.c - tri_free() and tri_calloc()
 *
 * Each scenario is a process of its own.  Objects carry a number and a checksum from their
 * allocation on, so that one that is handed out twice, or freed while something leads to it, is
 * found by whoever looks at it next.
 *
 *	without a collector	memory comes back at once: nothing else can free it
 *	while cycles run	threads free what they and others have made, and keep what it led to
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "lib/arena_check.h"
#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/witness.h"

#define MIB (1ull << 20)

static bool is_zero(const void *p, size_t bytes)
{
	const unsigned char *c = p;

	return !bytes || (!c[0] && !memcmp(c, c + 1, bytes - 1));
}

/* The collector may be sweeping or scavenging yet: nothing says when it is at rest. */
static bool arena_is_sound(void)
{
	struct tri_view v;
	struct arena_faults f;

	if (!arena_find(&v))
		return false;
	if (WAIT_FOR((f = arena_faults(&v), !arena_fault_sum(&f)), 10000000, PATIENCE_NS))
		return true;
	ksft_print_msg("used %llu, orphans %llu, ghosts %llu, spans %llu, buffers %llu, hidden %llu\n",
		       (unsigned long long)f.used_count, (unsigned long long)f.orphans,
		       (unsigned long long)f.ghosts, (unsigned long long)f.spans,
		       (unsigned long long)f.buffers, (unsigned long long)f.hidden);
	return false;
}

/* ------------------------------------------------------------------------------------------ */
/* Without cycles                                                                             */
/* ------------------------------------------------------------------------------------------ */

static const uint64_t first_word = 1;
static const struct tri_type pair = { 16, &first_word, "pair" };

static void *alloc_of(unsigned int kind, size_t size)
{
	switch (kind) {
	case 0:
		return tri_alloc(size);
	case 1:
		return tri_alloc_leaf(size);
	case 2:
		return tri_alloc_typed(&pair, (size + 15) / 16);
	default:
		return tri_calloc((size + 7) / 8, 8);
	}
}

/*
 * 4 GiB of each kind go through a heap of some MiB, as objects come and go one by one, and by the
 * hundred in any order.
 */
static bool memory_comes_back(void)
{
	static const size_t sizes[] = { 9,    16,   48,	  64,	 200,	512,   1000,   1024,
					1100, 4096, 8192, 30000, 32768, 32769, 100000, 3 * MIB };
	static void *held[100];
	uint64_t seed = 1;
	unsigned int kind, k, i;
	size_t n, size;

	tri_set_gc_percent(-1);
	for (kind = 0; kind < 4; kind++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			size = sizes[i];
			for (n = 0; n < 64 * MIB / size && n < 200000; n++) {
				char *p = alloc_of(kind, size);

				CHECK(p && is_zero(p, size));
				memset(p, 0xee, size);
				tri_free(p);
			}
			for (n = 0; size < MIB && n < 64 * MIB / size && n < 200000; n += 100) {
				for (k = 0; k < 100; k++) {
					char *p = alloc_of(kind, size);

					CHECK(p && is_zero(p, size));
					memset(p, 0xee, size);
					tri_store(&held[k], p);
				}
				for (k = 100; k--;) {
					unsigned int other = (unsigned int)(draw(&seed) % (k + 1));
					void *p = held[other];

					tri_store(&held[other], held[k]);
					tri_store(&held[k], NULL);
					tri_free(p);
				}
			}
		}
	}
	CHECK(read_stats().cycles == 0);
	CHECK(read_stats().peak_heap_bytes < 64 * MIB);
	CHECK(arena_is_sound());
	ksft_print_msg("at most %llu MiB\n", (unsigned long long)(read_stats().peak_heap_bytes / MIB));
	return true;
}

/* Spans that are empty serve other classes. */
static bool pages_serve_all_classes(void)
{
	enum { TOTAL = 8 << 20 };
	void **held = tri_alloc(TOTAL / 16 * sizeof(*held));
	size_t size, n, i;

	tri_set_gc_percent(-1);
	for (size = 16; size <= 32768; size += size / 4 / 16 * 16 + 16) {
		n = TOTAL / size;
		for (i = 0; i < n; i++)
			tri_store(&held[i], tri_alloc(size));
		for (i = 0; i < n; i++) {
			void *p = held[i];

			tri_store(&held[i], NULL);
			tri_free(p);
		}
	}
	CHECK(read_stats().cycles == 0);
	CHECK(read_stats().peak_heap_bytes < 8 * TOTAL);
	CHECK(arena_is_sound());
	return true;
}

/*
 * Spans of which every other object is freed are allocated from again, though they never become
 * empty and no cycle runs.
 */
static bool holes_are_filled(void)
{
	enum { SIZE = 48, COUNT = (16 << 20) / SIZE };
	void **held = tri_alloc(COUNT * sizeof(*held));
	uint64_t full;
	size_t i;
	int round;

	tri_set_gc_percent(-1);
	for (i = 0; i < COUNT; i++)
		tri_store(&held[i], tri_alloc(SIZE));
	full = read_stats().heap_bytes;
	for (round = 0; round < 10; round++) {
		for (i = (size_t)round % 2; i < COUNT; i += 2) {
			void *p = held[i];

			tri_store(&held[i], NULL);
			tri_free(p);
		}
		for (i = (size_t)round % 2; i < COUNT; i += 2)
			tri_store(&held[i], tri_alloc(SIZE));
	}
	CHECK(read_stats().cycles == 0);
	CHECK(read_stats().peak_heap_bytes < full + full / 4);
	CHECK(arena_is_sound());
	return true;
}

/* What is freed does not count towards the next cycle, and counts as allocated all the same. */
static bool cycles_are_put_off(void)
{
	struct tri_stats before, after;
	void *p;
	int i;

	collect();
	before = read_stats();
	for (i = 0; i < 2000; i++) {
		p = tri_alloc_leaf(100000);
		CHECK(p);
		tri_free(p);
	}
	after = read_stats();
	CHECK(after.cycles == 1);
	CHECK(after.live_bytes < 4 * MIB);
	CHECK(after.allocated_bytes - before.allocated_bytes >= 2000 * 100000);
	CHECK(after.freed_bytes - before.freed_bytes >= 2000 * 100000);
	CHECK(after.freed_bytes <= after.allocated_bytes);
	return true;
}

static bool calloc_overflows(void)
{
	char *p = tri_calloc(0, 100);

	CHECK(p && tri_calloc(100, 0));
	errno = 0;
	CHECK(!tri_calloc(SIZE_MAX / 2, 3) && errno == ENOMEM);
	errno = 0;
	CHECK(!tri_calloc(3, SIZE_MAX / 2) && errno == ENOMEM);
	p = tri_calloc(1000, 33);
	CHECK(p && is_zero(p, 33000) && tri_usable_size(p) >= 33000);
	return true;
}

/* Whatever is no object is left alone, as far as it can be told, and errno with it. */
static bool others_are_ignored(void)
{
	int here;
	char *p = tri_alloc(100), *tiny = tri_alloc_leaf(4), *next = tri_alloc_leaf(4), *old;
	void *other = malloc(100);

	errno = EDOM;
	tri_free(NULL);
	tri_free(&here);
	tri_free(other);
	tri_free((void *)8);
	tri_free(others_are_ignored);
	tri_free(tiny);
	CHECK(errno == EDOM);
	memcpy(next, "abc", 4);
	CHECK(tri_base(tiny) == tiny && !strcmp(next, "abc"));
	free(other);
	/* The pointer is left over here, on the stack: the slot stays free all the same. */
	old = p;
	tri_free(p);
	collect_times(2);
	p = tri_alloc(100);
	CHECK(p && is_zero(p, 100) && old);
	CHECK(arena_is_sound());
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* While cycles run                                                                           */
/* ------------------------------------------------------------------------------------------ */

#define PLACES 512
#define THREADS 4

struct node {
	uint64_t id, check;
	struct node *child;
	uint64_t pad[1];
};

static struct node *places[PLACES];
static _Atomic uint64_t last_id;
static _Atomic bool stop, failed;

static struct node *node_new(struct node *child)
{
	uint64_t id = atomic_fetch_add(&last_id, 1) + 1;
	size_t size = sizeof(struct node) + id % 7 * id % 600;
	struct node *n = id % 997 ? tri_alloc(size) : tri_alloc(40000);

	if (!n || n->id || n->check || n->child) {
		failed = true;
		return NULL;
	}
	n->id = id;
	n->check = witness_check(id);
	tri_store(&n->child, child);
	return n;
}

static void node_look(const struct node *n)
{
	if (n->check != witness_check(n->id))
		failed = true;
}

static void node_free(struct node *n)
{
	node_look(n);
	n->check = 0;
	n->id = 0;
	tri_free(n);
}

/*
 * Take a node from its place, which makes it this thread's own; keep its child, free the node, and
 * put the child under a new one.  The child is loaded into a stack that may have been scanned, from
 * an object whose memory is then used again.
 */
static void *churn(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!stop && !failed) {
		struct node **place = &places[draw(&seed) % PLACES];
		struct node *n = tri_exchange(place, NULL), *child;

		if (!n) {
			tri_store(place, node_new(NULL));
			continue;
		}
		node_look(n);
		child = n->child;
		node_free(n);
		if (child)
			node_look(child);
		switch (draw(&seed) % 8) {
		case 0:
			/* All of it goes: the child is the last. */
			while (child) {
				n = child;
				child = n->child;
				node_free(n);
			}
			break;
		case 1:
			/* The collector finds it. */
			continue;
		}
		n = node_new(child);
		n = n ? node_new(n) : NULL;
		n = n ? tri_exchange(place, n) : NULL;
		/* Another thread was here: this one is ours now. */
		if (n) {
			node_look(n);
			node_free(n);
		}
	}
	return NULL;
}

/* Threads that come and go with notes in their records. */
static void *churn_briefly(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	int i;

	for (i = 0; i < 300 && !failed; i++) {
		struct node **place = &places[draw(&seed) % PLACES];
		struct node *n = tri_exchange(place, node_new(NULL));

		if (n)
			node_free(n);
	}
	return NULL;
}

static bool churn_for(int cycles, void (*meanwhile)(int i))
{
	pthread_t thread[THREADS], brief;
	uintptr_t i;
	int n;

	stop = failed = false;
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, churn, (void *)(i + 1)));
	for (n = 0; n < cycles && !failed; n++) {
		CHECK(!pthread_create(&brief, NULL, churn_briefly, (void *)(uintptr_t)(n + 77)));
		if (meanwhile)
			meanwhile(n);
		else
			tri_gc();
		CHECK(!pthread_join(brief, NULL));
	}
	stop = true;
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(thread[i], NULL));
	CHECK(!failed);
	for (i = 0; i < PLACES; i++) {
		struct node *at = places[i];

		for (; at; at = at->child)
			node_look(at);
	}
	CHECK(!failed);
	return true;
}

static bool threads_free_while_cycles_run(void)
{
	CHECK(churn_for(150, NULL));
	collect_times(2);
	CHECK(arena_is_sound());
	return true;
}

static void kill_collector(int i)
{
	struct tri_stats s = read_stats();

	if (i % 3 == 0 && s.collector_pid > 0)
		kill((pid_t)s.collector_pid, SIGKILL);
	else
		tri_gc();
}

static bool collectors_die(void)
{
	CHECK(churn_for(60, kill_collector));
	collect_times(2);
	CHECK(arena_is_sound());
	return true;
}

static _Atomic bool child_failed;

static void fork_one(int i)
{
	pid_t pid;

	if (i % 8) {
		tri_gc();
		return;
	}
	pid = fork();
	if (!pid) {
		uint64_t seed = (uint64_t)i;
		int k;

		/* What other threads of the parent had in their hands is not to be looked at. */
		for (k = 0; k < PLACES; k++)
			tri_store(&places[k], NULL);
		for (k = 0; k < 20000; k++) {
			struct node **place = &places[draw(&seed) % PLACES];
			struct node *n = tri_exchange(place, node_new(NULL));

			if (n)
				node_free(n);
			if (k % 5000 == 4999 && tri_gc())
				_exit(2);
		}
		_exit(failed);
	}
	if (pid < 0 || status_of(pid))
		child_failed = true;
}

static bool children_free(void)
{
	CHECK(churn_for(40, fork_one));
	CHECK(!child_failed);
	return true;
}

/* A child goes on with what its parent's thread had freed, and had not given back yet. */
static bool notes_go_along(void)
{
	static struct node *mine[50];
	pid_t pid;
	int i;

	tri_set_gc_percent(-1);
	for (i = 0; i < 50; i++)
		tri_store(&mine[i], node_new(NULL));
	/* Another window, so that these are not pushed. */
	for (i = 0; i < 5000; i++)
		CHECK(node_new(NULL));
	for (i = 0; i < 50; i += 2) {
		struct node *n = mine[i];

		tri_store(&mine[i], NULL);
		node_free(n);
	}
	pid = fork();
	CHECK(pid >= 0);
	collect_times(2);
	for (i = 1; i < 50; i += 2) {
		node_look(mine[i]);
		node_free(mine[i]);
		tri_store(&mine[i], NULL);
	}
	for (i = 0; i < 50000; i++) {
		struct node *n = node_new(NULL);

		CHECK(n);
		node_free(n);
	}
	if (!pid)
		_exit(failed || !arena_is_sound());
	CHECK(!status_of(pid));
	CHECK(!failed && arena_is_sound());
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* In modes of the library                                                                     */
/* ------------------------------------------------------------------------------------------ */

static bool with_debug(int which)
{
	static const char *const debug[] = { "checkmark", "clobberfree", "frees", "norseq",
					     "nomembarrier", "gc=50", "barriers" };
	struct tri_view v;

	setenv("TRICOLOR_DEBUG", debug[which], 1);
	CHECK(churn_for(which == 5 ? 10 : 30, NULL));
	collect();
	CHECK(arena_find(&v) && tri_read(&v.ctl->checkmark_missed) == 0);
	CHECK(arena_is_sound());
	return true;
}

static const struct scenario scenarios[] = {
	{ .name = "memory comes back at once", .fn = memory_comes_back },
	{ .name = "empty spans serve other classes", .fn = pages_serve_all_classes },
	{ .name = "holes are filled", .fn = holes_are_filled },
	{ .name = "what is freed puts off the next cycle", .fn = cycles_are_put_off },
	{ .name = "tri_calloc()", .fn = calloc_overflows },
	{ .name = "what is no object is ignored", .fn = others_are_ignored },
	{ .name = "threads free while cycles run", .fn = threads_free_while_cycles_run },
	{ .name = "and while collectors die", .fn = collectors_die },
	{ .name = "and while they fork", .fn = children_free },
	{ .name = "what is noted goes along with fork()", .fn = notes_go_along },
	{ .name = "with checkmark", .with = with_debug, .arg = 0 },
	{ .name = "with clobberfree", .with = with_debug, .arg = 1 },
	{ .name = "with frees", .with = with_debug, .arg = 2 },
	{ .name = "with norseq", .with = with_debug, .arg = 3 },
	{ .name = "with nomembarrier", .with = with_debug, .arg = 4 },
	{ .name = "with gc=50", .with = with_debug, .arg = 5 },
	{ .name = "with barriers", .with = with_debug, .arg = 6 },
};

int main(int argc, char **argv)
{
	/* A collector of its own for every process. */
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_FORK", "copy", 1);
	scenarios_run(scenarios, sizeof(scenarios) / sizeof(scenarios[0]), argc, argv);
}
