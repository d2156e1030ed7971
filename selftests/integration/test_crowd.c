// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_crowd - far more runnable threads than processors
 *
 *	held		the heap stays near its goal, though agent and collector are two of hundreds
 *			that want a processor; each thread's list is whole at the end
 *	stopped		the same with a collector that is stopped for good: nobody waits for it for
 *			ever
 */
#include <pthread.h>

#include "lib/process.h"
#include "tricolor.h"

#define THREADS 300
#define LISTS 800
#define NODES 50
#define NODE_BYTES 32

struct node {
	struct node *next;
	uint64_t owner, number;
};

struct shared {
	_Atomic uint32_t ready, go, whole;
	uint64_t peak_bytes, allocated_bytes, cycles;
	int32_t collector;
};

static struct shared *shared;

static struct node *list_new(uint64_t owner)
{
	struct node *list = NULL, *n;
	uint64_t i;

	for (i = 0; i < NODES; i++) {
		n = tri_alloc(sizeof(*n));
		if (!n)
			_exit(9);
		n->owner = owner;
		n->number = i;
		tri_store(&n->next, list);
		list = n;
	}
	return list;
}

static bool list_whole(const struct node *list, uint64_t owner)
{
	uint64_t left = NODES;

	for (; list; list = list->next)
		if (list->owner != owner || list->number != --left)
			return false;
	return !left;
}

static void *work(void *arg)
{
	uint64_t owner = (uintptr_t)arg, i;
	struct node *kept = list_new(owner);
	bool whole = true;

	/* All begin at once. */
	shared->ready++;
	while (!shared->go)
		usleep(1000);
	for (i = 0; whole && i < LISTS; i++)
		whole = list_whole(list_new(owner), owner);
	shared->whole += whole && list_whole(kept, owner);
	return NULL;
}

static int client(void)
{
	struct tri_stats s = { .size = sizeof(s) };
	pthread_t thread[THREADS];
	pthread_attr_t attr;
	uintptr_t i;

	/* Until there is a collector the heap grows as it likes. */
	if (tri_gc() || tri_read_stats(&s))
		return 9;
	shared->collector = s.collector_pid;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], &attr, work, (void *)(i + 1)))
			return 8;
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	if (tri_read_stats(&s))
		return 9;
	shared->peak_bytes = s.peak_heap_bytes;
	shared->allocated_bytes = s.allocated_bytes;
	shared->cycles = s.cycles;
	return 0;
}

static int run(bool stop)
{
	int status;
	bool ready;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(client());
	ready = WAIT_FOR(shared->ready == THREADS || proc_status(pid, "Threads") < 0, 1000000,
			 6 * PATIENCE_NS);
	if (ready && stop && (shared->collector <= 1 || kill(shared->collector, SIGSTOP)))
		ksft_print_msg("can't stop the collector %d\n", shared->collector);
	shared->go = 1;
	status = wait_status(pid);
	/* It ends when it sees that its client has. */
	if (stop && shared->collector > 1)
		kill(shared->collector, SIGCONT);
	return status;
}

int main(void)
{
	int status;

	ksft_print_header();
	ksft_set_plan(4);
	shared = shared_memory(sizeof(*shared));
	setenv("TRICOLOR_SOCKET", "off", 1);

	status = run(false);
	ksft_print_msg("held: %llu MiB allocated, peak %llu MiB, %llu cycles\n",
		       (unsigned long long)(shared->allocated_bytes >> 20),
		       (unsigned long long)(shared->peak_bytes >> 20),
		       (unsigned long long)shared->cycles);
	ksft_test_result(!status && shared->whole == THREADS,
			 "held: all lists are whole (status %d)\n", status);
	ksft_test_result(!status &&
				 shared->allocated_bytes >=
					 (uint64_t)THREADS * LISTS * NODES * NODE_BYTES &&
				 shared->peak_bytes < shared->allocated_bytes / 3,
			 "held: the heap stays near its goal\n");

	status = run(true);
	ksft_print_msg("stopped: %llu MiB allocated, peak %llu MiB\n",
		       (unsigned long long)(shared->allocated_bytes >> 20),
		       (unsigned long long)(shared->peak_bytes >> 20));
	ksft_test_result(!status && shared->whole == THREADS,
			 "stopped: all threads end, lists whole (status %d)\n", status);
	ksft_test_result(!status && shared->collector > 1,
			 "stopped: there was a collector to stop\n");
	ksft_finished();
}
