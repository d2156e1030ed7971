// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wordindex: load, query while updating, drop, report.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wordindex.h"

#define KEEP_NTH 10u		/* documents that stay when most are dropped: one in this many */
#define SECOND_NS 1000000000ull

static struct config chosen = { .name = "wordindex" };
const struct config *config = &chosen;
struct counters counters;

static volatile sig_atomic_t signalled;
static bool over;		/* atomic, relaxed */

void die(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", config->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	/* Other threads go on meanwhile: leave at once, without destructors. */
	fflush(NULL);
	_Exit(2);
}

bool interrupted(void)
{
	return signalled;
}

bool stopping(void)
{
	return signalled || __atomic_load_n(&over, __ATOMIC_RELAXED);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

void sleep_ns(uint64_t ns)
{
	struct timespec time = { .tv_sec = (time_t)(ns / SECOND_NS),
				 .tv_nsec = (long)(ns % SECOND_NS) };

	nanosleep(&time, NULL);
}

pthread_t thread_start(void *(*run)(void *), void *argument)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, run, argument);

	if (err)
		die("can't start a thread: %s", strerror(err));
	return thread;
}

void wait_on(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	tri_blocking_enter();
	pthread_cond_wait(cond, lock);
	tri_blocking_exit();
}

void wait_for(pthread_t thread)
{
	tri_blocking_enter();
	pthread_join(thread, NULL);
	tri_blocking_exit();
}

static void on_signal(int number)
{
	(void)number;
	signalled = 1;
}

/* ---- the phases, each a thread that the main thread reports on ------------------------------- */

/*
 * Each phase has a thread of its own, whose stack goes with it.  So no stale word on the main
 * thread's stack keeps a version of the index alive, which the figures at the end must not include.
 */
static bool phase_over;		/* atomic */
static bool not_given_back;	/* the collection at the end failed */

static void run_phase(const char *name, void *(*phase)(void *), void *argument)
{
	uint64_t next_ns = now_ns() + SECOND_NS;
	pthread_t thread;

	__atomic_store_n(&phase_over, false, __ATOMIC_RELAXED);
	thread = thread_start(phase, argument);
	while (!__atomic_load_n(&phase_over, __ATOMIC_ACQUIRE)) {
		if (now_ns() >= next_ns) {
			report_progress(name);
			next_ns += SECOND_NS;
		}
		sleep_ns(20000000);
	}
	wait_for(thread);
}

static void *phase_done(void)
{
	__atomic_store_n(&phase_over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *load(void *slots)
{
	struct catalogue *catalogue = catalogue_scan(config->dirs, config->seed);

	if (!catalogue->count && !interrupted())
		die("no files to index: name a folder that has some with --dir");
	index_init(catalogue->count);
	cache_init();
	indexer_start(catalogue);
	*(uint32_t *)slots = indexer_load(catalogue);
	return phase_done();
}

static void *query(void *slots)
{
	uint64_t start_ns = now_ns(), end_ns = start_ns + config->seconds * SECOND_NS;

	workload_start(*(uint32_t *)slots);
	audit_start();
	while (now_ns() < end_ns && !stopping())
		sleep_ns(10000000);
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	workload_stop();
	report_queries(now_ns() - start_ns);
	indexer_stop();
	return phase_done();
}

static void *finish_checks(void *unused)
{
	(void)unused;
	audit_stop();
	return phase_done();
}

static void *drop(void *unused)
{
	(void)unused;
	report_drop();
	index_keep_every(KEEP_NTH);
	cache_clear();
	return phase_done();
}

static void *give_back(void *unused)
{
	int err = tri_free_os_memory();

	(void)unused;
	if (err) {
		fprintf(stderr, "%s: could not collect at the end: %s: %s\n", config->name,
			strerror(-err), tri_error());
		not_given_back = true;
	}
	report_final();
	return phase_done();
}

static void *check_rest(void *unused)
{
	(void)unused;
	if (counted(checked) < config->checks)
		audit_now((unsigned int)(config->checks - counted(checked)));
	return phase_done();
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	uint32_t slots = 0;

	options_parse(argc, argv, &chosen);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (tri_init(NULL))
		die("no heap: %s", tri_error());

	report_start();
	run_phase("load", load, &slots);
	run_phase("query", query, &slots);
	run_phase("check", finish_checks, NULL);
	run_phase("drop", drop, NULL);
	run_phase("free", give_back, NULL);
	run_phase("check", check_rest, NULL);
	report_end();
	if (counted(wrong))
		return 1;
	return interrupted() || not_given_back ? 2 : 0;
}
