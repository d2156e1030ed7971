// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_steps.c - TRICOLOR_DEBUG=gc=N: a small program meets every phase of a cycle; linked
 * statically
 *
 * With N = 1 each operation is one handshake later than the one before.  A cycle of a heap like
 * this one has three or four, so that a dozen of them meet marking, and the time between two
 * cycles.
 */
#include <sys/wait.h>

#include "libclient/internal.h"
#include "lib/parts.h"
#include "lib/process.h"
#include "lib/witness.h"

#define TURNS 12
#define EVERY 7
#define CHAIN 40

struct node {
	struct node *next, *other;
	uint64_t number;
};

TRI_TYPE(node_type, struct node, next, other);

static struct node *head, *spare[4];
static size_t any_size = 48;

static void alloc_inline(void)
{
	tri_alloc(sizeof(struct node));
}

static void alloc_any(void)
{
	tri_alloc(any_size);
}

static void alloc_tiny(void)
{
	tri_alloc_leaf(8);
}

static void alloc_typed(void)
{
	tri_alloc_typed(&node_type, 1);
}

static void alloc_large(void)
{
	tri_alloc_aligned(1 << 16, 8192);
}

static void store(void)
{
	tri_store(&spare[0], head);
}

static void cas(void)
{
	tri_cas(&spare[1], spare[1], head);
}

static void exchange(void)
{
	tri_exchange(&spare[2], head);
}

static void move(void)
{
	tri_move(&spare[3], &head, 1);
}

static void clear(void)
{
	tri_clear(spare, 4);
}

/* A failed one is one as well. */
static void cas_in_vain(void)
{
	tri_cas(&spare[1], &any_size, head);
}

static const struct operation {
	const char *name;
	void (*run)(void);
} operations[] = {
	{ "alloc", alloc_inline },
	{ "alloc of any size", alloc_any },
	{ "tiny", alloc_tiny },
	{ "typed", alloc_typed },
	{ "large", alloc_large },
	{ "store", store },
	{ "cas", cas },
	{ "exchange", exchange },
	{ "move", move },
	{ "clear", clear },
	{ "cas in vain", cas_in_vain },
};

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static void make_chain(void)
{
	struct node *n;
	uint64_t i;

	for (i = 0; i < CHAIN; i++) {
		n = tri_alloc_typed(&node_type, 1);
		n->number = i;
		tri_store(&n->next, head);
		tri_store(&head, n);
	}
}

static bool chain_is_whole(void)
{
	const struct node *n;
	uint64_t i = CHAIN;

	for (n = head; n; n = n->next)
		if (n->number != --i)
			return false;
	return !i;
}

/* How often each of several of @op in a row began while no cycle marked, and while one did. */
static void meet(const struct operation *op, unsigned int met[2])
{
	unsigned int i;

	met[0] = met[1] = 0;
	for (i = 0; i < TURNS; i++) {
		bool marking = tri_g.phase != TRI_PHASE_OFF;

		op->run();
		met[marking]++;
	}
}

static bool every_phase(void)
{
	unsigned int met[2], wrong = 0;
	size_t i;

	for (i = 0; i < OPERATIONS; i++) {
		tri_store(&head, NULL);
		make_chain();
		meet(&operations[i], met);
		ksft_print_msg("%s: %u between cycles, %u while one marked\n", operations[i].name,
			       met[0], met[1]);
		wrong += !met[0] || !met[1] || !chain_is_whole();
	}
	return !wrong;
}

/* Each operation by itself, EVERY times, waits for one step at least. */
static bool each_counts(void)
{
	unsigned int wrong = 0, n;
	size_t i;

	make_chain();
	for (i = 0; i < OPERATIONS; i++) {
		uint32_t steps = tri_read(&tri_g.steps);

		for (n = 0; n < EVERY; n++)
			operations[i].run();
		if (tri_read(&tri_g.steps) != steps)
			continue;
		ksft_print_msg("%s: no step in %u operations\n", operations[i].name, EVERY);
		wrong++;
	}
	return !wrong;
}

/* Threads that meet each other in all of it, under the collector's own checks. */
static void *work(void *unused)
{
	struct node *mine = NULL, *n;
	unsigned int i;

	(void)unused;
	for (i = 0; i < 300; i++) {
		n = tri_alloc_typed(&node_type, 1);
		n->number = i;
		tri_store(&n->next, mine);
		tri_store(&n->other, tri_exchange(&spare[i % 4], n));
		mine = i % 50 ? n : NULL;
	}
	return NULL;
}

static bool threads(void)
{
	pthread_t thread[3];
	unsigned int i;

	make_chain();
	for (i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, work, NULL);
	work(NULL);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	return chain_is_whole() && tri_read(&tri_g.view.ctl->checkmark_cycles) &&
	       !tri_read(&tri_g.view.ctl->checkmark_missed);
}

/* A child of fork(), and handlers of fork() that hold the heap, take turns as well. */
static void in_handler(void)
{
	tri_store(&spare[0], head);
}

static bool forks(void)
{
	int status;
	pid_t pid;

	make_chain();
	pthread_atfork(in_handler, in_handler, in_handler);
	pid = fork();
	if (!pid) {
		make_chain();
		_exit(tri_read(&tri_g.steps) ? 0 : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status && chain_is_whole();
}

/* Linked statically, the program has no place from which the library would find the collector. */
static void somebody(void)
{
	setenv("TRICOLOR_DAEMON", daemon_path(), 1);
}

/* Nobody to wait for: the program goes on. */
static void nobody(void)
{
	setenv("TRICOLOR_DAEMON", "off", 1);
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_QUIET", "1", 1);
}

static bool alone(void)
{
	make_chain();
	return chain_is_whole() && !tri_read(&tri_g.steps);
}

int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "every_phase", every_phase, "gc=1",
		  "each operation meets marking, and the time between cycles", somebody, NULL },
		{ "each_counts", each_counts, "gc=7", "each kind of operation counts", somebody,
		  NULL },
		{ "threads", threads, "gc=3,checkmark,clobberfree",
		  "threads take turns, and nothing is lost", somebody, NULL },
		{ "forks", forks, "gc=1,clobberfree",
		  "so do forked children, and handlers of fork() do not wait", somebody, NULL },
		{ "alone", alone, "gc=1", "without a collector the program goes on", nobody, NULL },
	};

	return run_parts(parts, sizeof(parts) / sizeof(parts[0]), argc, argv);
}
