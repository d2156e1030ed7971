// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_daemon_killed.c - the collector is killed again and again under a client at work
 *
 * A forked client has three threads that each tend a forest (forest.h), and one that asks for
 * cycles all the time; a fourth comes and goes.  Its main thread kills the collector with SIGKILL:
 * at a random instant, a random moment after barriers went on (while it marks), or after they went
 * off (while it sweeps and scavenges); two times in three again before the next one has finished a
 * cycle.  Now and then the next one is stopped as soon as it is there, and every thread must go on
 * without it.
 *
 * It is run with private collectors, and with a shared one that is started anew while the client
 * is left to find one: then private and shared ones take turns.
 *
 * At the end everything is dropped and collected.  The heap must be as large as before the load,
 * and the arena's own books must agree: no page, span or buffer went with a collector.
 */
#include <pthread.h>

#include "lib/arena_check.h"
#include "lib/forest.h"

#define WORKERS 3
#define SLOTS 400
#define HEAP_MAX_BYTES (2ull << 30)
#define KILLS 200
#define SHARED_KILLS 60
#define STOP_EACH 12			/* kills */
#define STEPS 100			/* of each thread, while there is only a collector that
					 * does nothing */
#define CYCLE_NS (PATIENCE_NS / 4)	/* without a cycle: then one is waited for, as requests
					 * are refused some day */

struct report {
	uint64_t kills, in_mark, cycles, reconnects, ops, errors, worst_step_ns, worst_recovery_ns;
	uint64_t baseline_bytes, end_bytes, requests, refused, shared_used, stops;
	struct arena_faults faults;
	bool stuck, attached, no_memory, stalled;
};

struct client {
	struct report *report;
	const char *socket, *log;	/* of a shared collector; NULL: private ones */
	pid_t daemon;			/* the shared one */
	uint64_t kills, rnd;
	struct forest forest[WORKERS];
	_Atomic bool stop;
	_Atomic bool no_memory;
	_Atomic uint64_t stops;		/* begun and ended: odd while a collector is stopped */
	_Atomic uint64_t requests, refused;
};

static void read_stats(struct tri_stats *s)
{
	s->size = sizeof(*s);
	tri_read_stats(s);
}

static uint64_t cycles(void)
{
	struct tri_stats s;

	read_stats(&s);
	return s.cycles;
}

static pid_t collector(void)
{
	struct tri_stats s;

	read_stats(&s);
	return (pid_t)s.collector_pid;
}

static struct client client;

/*
 * Nothing collects while collectors die faster than they can finish a cycle, for seconds on a
 * machine that is short of CPUs: then the heap is to stay within what a machine has.  No wait is
 * for longer than a cycle takes.
 */
static void rest(void)
{
	struct tri_stats s;
	uint64_t before = cycles();

	do {
		read_stats(&s);
		if (s.heap_bytes < HEAP_MAX_BYTES || s.cycles != before || client.stops & 1)
			return;
		pause_ns(1000000);
	} while (!client.stop);
}

static void *tend(void *arg)
{
	struct forest *f = arg;
	unsigned int n = 0;

	while (!client.stop) {
		if (!forest_step(f)) {
			client.no_memory = true;
			break;
		}
		if (!(++n & 63))
			rest();
	}
	return NULL;
}

static void *request(void *unused)
{
	unsigned int n = 0;

	(void)unused;
	while (!client.stop) {
		uint64_t stops = client.stops;
		bool refused = (n++ & 3 ? tri_gc() : tri_free_os_memory()) != 0;

		/*
		 * One that is stopped for ten seconds, as threads have so few CPUs for their steps,
		 * is another matter.
		 */
		client.refused += refused && !(stops & 1) && stops == client.stops;
		client.requests++;
	}
	return NULL;
}

/* Attaching and ending threads hand over buffers and spans while the collector dies. */
static void *brief(void *arg)
{
	struct forest_node *n = tri_alloc(64), *keep = arg;
	int i;

	for (i = 0; n && i < 200; i++) {
		tri_store(&n->next, keep);
		tri_store(&n->payload, tri_alloc_leaf(40));
	}
	return NULL;
}

static void *come_and_go(void *unused)
{
	pthread_t t;

	(void)unused;
	while (!client.stop) {
		if (pthread_create(&t, NULL, brief, tri_alloc(48)))
			break;
		pthread_join(t, NULL);
	}
	return NULL;
}

/* The moment of the kill. */
static bool choose_moment(void)
{
	uint64_t kind = draw_below(&client.rnd, 3), end = now_ns() + 20000000;
	bool marked;

	if (kind) {
		/* This thread's own flag, that the inline barrier reads. */
		while (!*(volatile uint32_t *)&tri__tls.barrier && now_ns() < end)
			tri_poll();
		if (kind == 2)
			while (*(volatile uint32_t *)&tri__tls.barrier && now_ns() < end)
				tri_poll();
	}
	end = now_ns() + draw_below(&client.rnd, kind == 1 ? 1500000 : 3000000);
	while (now_ns() < end)
		tri_poll();
	marked = *(volatile uint32_t *)&tri__tls.barrier;
	return marked;
}

static uint64_t steps(unsigned int worker)
{
	return __atomic_load_n(&client.forest[worker].ops, __ATOMIC_RELAXED);
}

static bool all_step_on(void)
{
	uint64_t from[WORKERS];
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		from[i] = steps(i);
	for (i = 0; i < WORKERS; i++)
		if (!WAIT_FOR(steps(i) >= from[i] + STEPS, 1000000, 6 * PATIENCE_NS))
			return false;
	return true;
}

/*
 * The one after @pid does nothing from its first moment on, but for what it has done when we come.
 */
static void stop_next(pid_t pid)
{
	struct report *r = client.report;
	pid_t next = 0;

	if (!WAIT_FOR((next = collector()) && next != pid, 50000, PATIENCE_NS))
		return;
	client.stops++;
	if (!kill(next, SIGSTOP)) {
		r->stops++;
		r->stalled |= !all_step_on();
		kill(next, SIGCONT);
	}
	client.stops++;
}

static bool cycle_is_overdue(void)
{
	static uint64_t seen, seen_ns;
	uint64_t now = cycles();

	if (now != seen || !seen_ns)
		seen_ns = now_ns();
	seen = now;
	return now_ns() - seen_ns > CYCLE_NS;
}

static void kill_once(void)
{
	struct report *r = client.report;
	pid_t pid = collector();
	uint64_t before, began, took;

	if (!pid) {
		pause_ns(100000);
		return;
	}
	r->in_mark += choose_moment();
	before = cycles();
	if (kill(pid, SIGKILL))
		return;
	r->kills++;
	if (client.daemon > 0 && pid == client.daemon) {
		r->shared_used++;
		wait_status(client.daemon);
		client.daemon = start_marking_daemon(client.socket, client.log);
	}
	if (r->kills % STOP_EACH == 0)
		stop_next(pid);
	if (!cycle_is_overdue() && draw_below(&client.rnd, 3)) {
		/* The next one does not get as far as a cycle. */
		WAIT_FOR(collector() && collector() != pid, 50000, PATIENCE_NS);
		return;
	}
	began = now_ns();
	if (!WAIT_FOR(cycles() > before, 100000, PATIENCE_NS))
		r->stuck = true;
	took = now_ns() - began;
	if (took > r->worst_recovery_ns)
		r->worst_recovery_ns = took;
}

static int settle(void)
{
	return tri_gc() || tri_gc() || tri_free_os_memory();
}

static bool sound(const struct tri_view *v, struct arena_faults *f)
{
	*f = arena_faults(v);
	return !arena_fault_sum(f);
}

/* Not inlined: nothing of it is left on the stack of the main thread. */
static __attribute__((noinline)) void run_load(void)
{
	struct report *r = client.report;
	pthread_t worker[WORKERS], requester, comer;
	int i;

	for (i = 0; i < WORKERS; i++) {
		struct forest *f = &client.forest[i];

		f->large_one_in = 300;
		if (!forest_init(f, SLOTS, draw(&client.rnd)))
			_exit(1);
		pthread_create(&worker[i], NULL, tend, f);
	}
	pthread_create(&requester, NULL, request, NULL);
	pthread_create(&comer, NULL, come_and_go, NULL);
	while (r->kills < client.kills && !r->stuck && !client.no_memory)
		kill_once();
	client.stop = true;
	for (i = 0; i < WORKERS; i++)
		pthread_join(worker[i], NULL);
	pthread_join(requester, NULL);
	pthread_join(comer, NULL);
	for (i = 0; i < WORKERS; i++) {
		struct forest *f = &client.forest[i];

		forest_check_all(f);
		r->ops += f->ops;
		r->errors += f->errors;
		if (f->worst_ns > r->worst_step_ns)
			r->worst_step_ns = f->worst_ns;
		forest_drop(f);
	}
}

/* Overwrite what calls have left on the stack below. */
static __attribute__((noinline)) void wipe_stack(void)
{
	volatile char junk[65536];

	memset((char *)junk, 0, sizeof(junk));
	tri_keep_alive((const void *)junk);
}

static int run_client(void)
{
	struct report *r = client.report;
	struct tri_view v;
	struct tri_stats s;

	setenv("TRICOLOR_SOCKET", client.socket ? client.socket : "off", 1);
	setenv("TRICOLOR_GC_PERCENT", "50", 1);
	if (tri_init(NULL) || tri_thread_attach() || !arena_find(&v))
		return 1;
	r->attached = WAIT_FOR(collector() != 0, 1000000, PATIENCE_NS);
	if (!r->attached || settle())
		return 1;
	read_stats(&s);
	r->baseline_bytes = s.heap_bytes;
	run_load();
	wipe_stack();
	settle();
	WAIT_FOR(sound(&v, &r->faults), 10000000, PATIENCE_NS);
	read_stats(&s);
	r->end_bytes = s.heap_bytes;
	r->cycles = s.cycles;
	r->reconnects = s.reconnects;
	r->requests = client.requests;
	r->refused = client.refused;
	r->no_memory = client.no_memory;
	if (client.daemon > 0) {
		kill(client.daemon, SIGTERM);
		wait_status(client.daemon);
	}
	return 0;
}

static void test(const char *what, uint64_t kills, const char *socket, const char *log,
		 uint64_t seed)
{
	struct report *r = shared_memory(sizeof(*r));
	const struct arena_faults *f = &r->faults;
	pid_t pid;
	int status;

	client = (struct client){ .report = r, .socket = socket, .log = log, .kills = kills,
				  .rnd = seed };
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (socket)
			client.daemon = start_marking_daemon(socket, log);
		_exit(run_client());
	}
	status = wait_status(pid);
	ksft_print_msg(
		"%s: %llu kills (%llu in a mark phase, %llu of a shared collector), %llu cycles, "
		"%llu steps, %llu requests\n",
		what, (unsigned long long)r->kills, (unsigned long long)r->in_mark,
		(unsigned long long)r->shared_used, (unsigned long long)r->cycles,
		(unsigned long long)r->ops, (unsigned long long)r->requests);
	ksft_print_msg(
		"%s: longest time without a cycle after a kill %.0f ms, longest step of a thread "
		"%.0f ms\n",
		what, (double)r->worst_recovery_ns / 1e6, (double)r->worst_step_ns / 1e6);
	ksft_test_result(!status && r->attached, "%s: the client is alive (status %d)\n", what,
			 status);
	ksft_test_result(r->kills >= kills && !r->stuck && !r->no_memory && r->reconnects,
			 "%s: it was collected again after each kill\n", what);
	ksft_test_result(
		r->ops && r->stops && !r->stalled && !r->refused,
		"%s: no thread waits for a collector that does nothing (%llu times), and no request was refused\n",
		what, (unsigned long long)r->stops);
	ksft_test_result(r->ops && !r->errors, "%s: nothing was lost\n", what);
	if (!status && arena_fault_sum(f))
		ksft_print_msg(
			"%s: pages counted wrong %llu, without a span %llu, not used %llu, spans "
			"%llu, buffers %llu, hidden chunks %llu\n",
			what, (unsigned long long)f->used_count, (unsigned long long)f->orphans,
			(unsigned long long)f->ghosts, (unsigned long long)f->spans,
			(unsigned long long)f->buffers, (unsigned long long)f->hidden);
	ksft_test_result(!status && !arena_fault_sum(f), "%s: the arena's books agree\n", what);
	ksft_print_msg("%s: heap of %llu KiB before, %llu KiB after\n", what,
		       (unsigned long long)(r->baseline_bytes >> 10),
		       (unsigned long long)(r->end_bytes >> 10));
	/* A dead value on a stack may keep a chain. */
	ksft_test_result(!status && r->end_bytes <= r->baseline_bytes + (1 << 20),
			 "%s: the heap is back at its size\n", what);
}

int main(void)
{
	char socket[128], log[128], *folder = temporary_folder();
	uint64_t seed;

	ksft_print_header();
	ksft_set_plan(12);
	seed = test_seed();
	snprintf(socket, sizeof(socket), "%s/sock", folder);
	snprintf(log, sizeof(log), "%s/log", folder);
	test("private", KILLS, NULL, NULL, draw(&seed));
	test("shared", SHARED_KILLS, socket, log, draw(&seed));
	unlink(socket);
	unlink(log);
	rmdir(folder);
	ksft_finished();
}
