// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_limit.c - one heap and a memory limit of its own
 *
 *	over		more lives than the limit allows: collecting takes less than half of the CPU
 *			time, by the collector's books, and everybody is told
 *	fail-fast	the same, and allocations fail, until the program lets go of something
 *	slow		a collector that has a twentieth of a CPU
 *	stopped		one that is stopped while it is needed, and goes on
 *	killed		one that is killed while it is needed
 *
 * Clients are forked; they say what they found in shared memory.
 */
#include <math.h>
#include <pthread.h>

#include "lib/churn.h"
#include "lib/groups.h"
#include "lib/process.h"

#define MIB (1ull << 20)

struct report {
	_Atomic uint32_t ready, go;
	_Atomic uint64_t steps;
	uint64_t errors, refused, wrong_errno, cycles_seen;
	_Atomic uint32_t told, told_over;
	struct tri_stats stats, later;
	bool start_failed, refused_again, recovered, sentence;
};

static struct report *report;
static struct churn churn;
static char folder[64], socket_path[128], log_path[128], trace_path[128];

static void read_stats(struct tri_stats *s)
{
	s->size = sizeof(*s);
	if (tri_read_stats(s))
		_exit(9);
}

static void *told_object;		/* of the callback */

static void told(enum tri_pressure pressure, void *arg)
{
	void *object = tri_alloc(64);

	if (!object)
		return;
	tri_store(&told_object, object);
	report->told++;
	report->told_over += pressure == TRI_PRESSURE_OVER && arg == &churn;
}

/* CPU time of whole CPUs for a second: what the limiter lets pass at once. */
static uint64_t burst_ns(void)
{
	return (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000000000;
}

static bool start(uint64_t live)
{
	report->start_failed = !churn_start(&churn, live, 12345);
	return !report->start_failed;
}

static void finish(void)
{
	read_stats(&report->stats);
	report->errors = churn.errors;
	report->steps = churn.steps;
}

/* ---- over ---- */

static bool spent_enough(void)
{
	struct tri_stats s;

	read_stats(&s);
	/* Since the limit gave way the program has had as much again as the bucket holds. */
	return s.limit_events &&
	       s.limited_program_ns > report->later.limited_program_ns + burst_ns();
}

static int client_over(void)
{
	uint64_t i;

	/* Standard error before there is an agent that keeps it. */
	if (tri_on_pressure(told, &churn) || !start(64 * MIB))
		return 1;
	for (;;) {
		for (i = 0; i < 1000; i++)
			churn_step(&churn);
		if (!report->later.limit_events)
			read_stats(&report->later);
		if (spent_enough())
			break;
	}
	report->told_over += tri_pressure() == TRI_PRESSURE_OVER ? 100 : 0;
	finish();
	return 0;
}

static bool file_has(const char *path, const char *what)
{
	static char text[1 << 20];
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = 0;
	return strstr(text, what) != NULL;
}

static pid_t fork_client(int (*body)(void))
{
	pid_t pid;

	memset(report, 0, sizeof(*report));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int fd = open(trace_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		if (fd >= 0)
			dup2(fd, 2);
		_exit(body());
	}
	return pid;
}

static void test_over(void)
{
	pid_t daemon = start_daemon(socket_path, log_path);
	const struct tri_stats *s = &report->stats;
	double cycle_ns;
	int status;

	setenv("TRICOLOR_SOCKET", socket_path, 1);
	setenv("TRICOLOR_MEMORY_LIMIT", "32MiB", 1);
	setenv("TRICOLOR_TRACE", "limit", 1);
	status = wait_status(fork_client(client_over));
	ksft_print_msg(
		"over: gc %.2f s, program %.2f s, %llu cycles, gave way %llu times, %llu MiB\n",
		(double)s->limited_gc_ns / 1e9, (double)s->limited_program_ns / 1e9,
		(unsigned long long)s->cycles, (unsigned long long)s->limit_events,
		(unsigned long long)(s->heap_bytes >> 20));
	cycle_ns =
		s->cycles ? (double)(s->mark_cpu_ns + s->assist_ns) / (double)s->cycles : INFINITY;
	ksft_test_result(!status && !report->errors && s->live_bytes > 60 * MIB &&
				 s->limit_bytes == 32 * MIB,
			 "over: the client goes on (status %d)\n", status);
	/*
	 * What it may exceed its half by: the bucket, and the cycle under way, which may be a long
	 * one.
	 */
	ksft_test_result(!status && (double)s->limited_gc_ns <= (double)s->limited_program_ns +
			 (double)burst_ns() * 1.01 + 8 * cycle_ns,
			 "over: collecting took less than half of the CPU time\n");
	ksft_test_result(!status && s->limit_events >= 1 && s->pressure == TRI_PRESSURE_OVER &&
			 s->refused == 0, "over: statistics say it\n");
	ksft_test_result(!status && report->told_over > 100,
			 "over: tri_on_pressure() and tri_pressure()\n");
	ksft_test_result(file_has(log_path, "it gives way"), "over: the log says it\n");
	ksft_test_result(file_has(trace_path, "gives way"), "over: the trace says it\n");
	kill(daemon, SIGTERM);
	wait_status(daemon);
	unsetenv("TRICOLOR_TRACE");
}

/* ---- the callback's thread ---- */

/*
 * Ends as a program does whose threads end one by one; with the callback's there is one too many.
 */
static int client_leaves(void)
{
	if (tri_on_pressure(told, &churn) || tri_on_pressure(NULL, NULL) ||
	    tri_on_pressure(told, &churn))
		return 1;
	pthread_exit(NULL);
}

/* A child has a heap of its own and no callback, until it asks for one. */
static int client_forks(void)
{
	int status;
	pid_t pid;

	if (tri_on_pressure(told, &churn))
		return 1;
	pid = fork();
	if (!pid)
		_exit(!tri_alloc(64) || tri_pressure() != TRI_PRESSURE_NONE ||
		      tri_on_pressure(told, &churn));
	return waitpid(pid, &status, 0) != pid || status;
}

static bool ends(int (*body)(void))
{
	pid_t pid = fork_client(body);
	int status = -1;

	if (!WAIT_FOR(waitpid(pid, &status, WNOHANG) == pid, 1000000, PATIENCE_NS)) {
		kill(pid, SIGKILL);
		wait_status(pid);
	}
	return status == 0;
}

static void test_callback(void)
{
	setenv("TRICOLOR_SOCKET", "off", 1);
	ksft_test_result(ends(client_leaves), "callback: its thread does not keep the process\n");
	ksft_test_result(ends(client_forks), "callback: a child of fork() begins anew\n");
}

/* ---- fail-fast ---- */

static int client_fail_fast(void)
{
	uint64_t kept = 0, i;
	void **list;

	if (!start(8 * MIB))
		return 1;
	/* One object after another, all kept, until there is no more. */
	list = tri_alloc(sizeof(void *) * 65536);
	while (list && kept < 65536) {
		void *more = tri_alloc(4096);

		if (more) {
			tri_store(&list[kept++], more);
			for (i = 0; i < 100; i++)
				churn_step(&churn);
			continue;
		}
		report->wrong_errno = errno != ENOMEM;
		report->sentence = strstr(tri_error(), "memory limit") != NULL;
		break;
	}
	report->later.heap_bytes = kept;
	report->refused_again = !tri_alloc(8 * MIB);
	/* Now it lets go, and tries until it works. */
	tri_store(&churn.table, NULL);
	for (i = 0; !report->recovered && i < 5000; i++) {
		report->recovered = tri_alloc(MIB) != NULL;
		if (!report->recovered)
			pause_ns(2000000);
	}
	tri_keep_alive(list);
	finish();
	return 0;
}

static void test_fail_fast(void)
{
	int status;

	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_MEMORY_LIMIT", "32MiB", 1);
	setenv("TRICOLOR_LIMIT_POLICY", "fail-fast", 1);
	status = wait_status(fork_client(client_fail_fast));
	ksft_print_msg(
		"fail-fast: %llu refused, first after %llu objects of 4 KiB, limit events %llu\n",
		(unsigned long long)report->stats.refused,
		(unsigned long long)report->later.heap_bytes,
		(unsigned long long)report->stats.limit_events);
	ksft_test_result(!status && report->stats.refused > 0 && !report->wrong_errno &&
			 report->sentence && report->refused_again &&
			 report->later.heap_bytes < 32 * MIB / 4096,
			 "fail-fast: ENOMEM, and a sentence (status %d)\n", status);
	ksft_test_result(!status && report->recovered,
			 "fail-fast: memory again, once there is some\n");
	unsetenv("TRICOLOR_LIMIT_POLICY");
}

/* ---- collectors in trouble ---- */

/* Works until it is told to stop, with a quarter of the limit live. */
static int client_work(void)
{
	struct tri_stats s;
	uint64_t i;

	if (!start(16 * MIB))
		return 1;
	report->ready = 1;
	while (!report->go) {
		for (i = 0; i < 1000; i++)
			if (!churn_step(&churn))
				return 2;
		report->steps = churn.steps;
		read_stats(&s);
		report->later = s;
	}
	finish();
	return 0;
}

/* Whether the client does @steps more. */
static bool goes_on(uint64_t steps)
{
	uint64_t from = report->steps;

	return WAIT_FOR(report->steps >= from + steps, 1000000, 6 * PATIENCE_NS);
}

static bool collects(uint64_t cycles)
{
	uint64_t from = report->later.cycles;

	return WAIT_FOR(report->later.cycles >= from + cycles, 1000000, 6 * PATIENCE_NS);
}

/* With what is being allocated while a cycle runs, the heap is back within its limit. */
static bool within_limit(void)
{
	return WAIT_FOR(report->later.heap_bytes <= 64 * MIB, 1000000, 6 * PATIENCE_NS);
}

static void test_slow(void)
{
	struct test_group g;
	pid_t daemon, client;
	bool went, collected;
	int status;

	if (!group_make(&g, "cpu", "slow") || !group_cpus(&g, 5)) {
		ksft_test_result_skip("slow: %s\n", group_why());
		return;
	}
	daemon = start_daemon(socket_path, log_path);
	group_enter(&g, daemon);
	setenv("TRICOLOR_SOCKET", socket_path, 1);
	setenv("TRICOLOR_MEMORY_LIMIT", "64MiB", 1);
	client = fork_client(client_work);
	went = WAIT_FOR(report->ready, 1000000, 6 * PATIENCE_NS) && goes_on(1000000);
	collected = collects(2);
	report->go = 1;
	status = wait_status(client);
	ksft_print_msg("slow: %llu steps, %llu cycles, peak %llu MiB, assists %.2f s\n",
		       (unsigned long long)report->steps, (unsigned long long)report->stats.cycles,
		       (unsigned long long)(report->stats.peak_heap_bytes >> 20),
		       (double)report->stats.assist_ns / 1e9);
	ksft_test_result(!status && went && collected && !report->errors,
			 "slow: the client goes on, and is collected (status %d)\n", status);
	kill(daemon, SIGKILL);
	wait_status(daemon);
	group_remove(&g);
}

static void test_stopped(void)
{
	pid_t daemon = start_daemon(socket_path, log_path), client;
	bool went, collected;
	int status, round;

	setenv("TRICOLOR_SOCKET", socket_path, 1);
	setenv("TRICOLOR_MEMORY_LIMIT", "64MiB", 1);
	client = fork_client(client_work);
	went = WAIT_FOR(report->ready, 1000000, 6 * PATIENCE_NS) && collects(2);
	collected = true;
	for (round = 0; round < 5; round++) {
		kill(daemon, SIGSTOP);
		/* More than the limit. */
		went &= goes_on(400000);
		kill(daemon, SIGCONT);
		collected &= collects(2) && within_limit();
	}
	report->go = 1;
	status = wait_status(client);
	ksft_print_msg("stopped: peak %llu MiB, %llu cycles\n",
		       (unsigned long long)(report->stats.peak_heap_bytes >> 20),
		       (unsigned long long)report->stats.cycles);
	ksft_test_result(!status && went && !report->errors,
			 "stopped: the client goes on (status %d)\n", status);
	ksft_test_result(!status && collected && report->stats.reconnects == 0,
			 "stopped: and is within its limit again afterwards\n");
	kill(daemon, SIGTERM);
	wait_status(daemon);
}

static void test_killed(void)
{
	pid_t client;
	bool went, collected = true;
	int status, round;

	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_MEMORY_LIMIT", "64MiB", 1);
	client = fork_client(client_work);
	went = WAIT_FOR(report->ready, 1000000, 6 * PATIENCE_NS) && collects(2);
	for (round = 0; round < 20 && went; round++) {
		pid_t daemon = (pid_t)report->later.collector_pid;

		if (daemon > 0)
			kill(daemon, SIGKILL);
		went &= goes_on(100000);
		collected &= collects(2) && within_limit();
	}
	report->go = 1;
	status = wait_status(client);
	ksft_print_msg("killed: %llu reconnects, peak %llu MiB\n",
		       (unsigned long long)report->stats.reconnects,
		       (unsigned long long)(report->stats.peak_heap_bytes >> 20));
	ksft_test_result(!status && went && !report->errors,
			 "killed: the client goes on (status %d)\n", status);
	ksft_test_result(!status && collected && report->stats.reconnects >= 10,
			 "killed: and is within its limit again afterwards\n");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(15);
	report = shared_memory(sizeof(*report));
	strcpy(folder, temporary_folder());
	snprintf(socket_path, sizeof(socket_path), "%s/sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	snprintf(trace_path, sizeof(trace_path), "%s/trace", folder);
	test_over();
	test_callback();
	test_fail_fast();
	test_slow();
	test_stopped();
	test_killed();
	unlink(socket_path);
	unlink(log_path);
	unlink(trace_path);
	rmdir(folder);
	ksft_finished();
}
