// SPDX-License-Identifier: GPL-2.0-only
/*
 * workers.c - threads that help with the jobs of all arenas of the daemon: see workers.h
 *
 * Helpers use CPUs that nobody else wants; the dedicated worker is the arena's thread alone.  So
 * before a job is offered workers_idle() says whether some CPU is idle, by the number of runnable
 * tasks in /proc/loadavg, which is read at most once a millisecond.
 */
#include "workers.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/heap/layout.h"
#include "daemon/process/cpus.h"
#include "daemon/process/log.h"
#include "daemon/process/thread_start.h"

#define READ_NS 1000000
#define STACK_BYTES (256u << 10)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static struct workers_job *offered;	/* under the lock */
static tri_au32 waiting;		/* helpers without work */
static tri_au64 read_ns;
static tri_au32 cpu_idle;		/* whether a CPU was idle at read_ns */
static int loadavg = -1;

void workers_job_init(struct workers_job *job, void (*run)(void *arg, void **scratch), void *arg)
{
	*job = (struct workers_job){ .run = run, .arg = arg };
	pthread_mutex_init(&job->lock, NULL);
	pthread_cond_init(&job->changed, NULL);
}

void workers_job_exit(struct workers_job *job)
{
	pthread_mutex_destroy(&job->lock);
	pthread_cond_destroy(&job->changed);
}

static void *helper(void *unused)
{
	struct workers_job *job;
	void *scratch = NULL;

	(void)unused;
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!offered)
			pthread_cond_wait(&wanted, &lock);
		job = offered;
		offered = job->next;
		job->offered = false;
		/* It joins under the pool's lock, so that workers_withdraw() sees it. */
		pthread_mutex_lock(&job->lock);
		job->helpers++;
		job->joined++;
		pthread_mutex_unlock(&job->lock);
		pthread_mutex_unlock(&lock);
		atomic_fetch_sub(&waiting, 1);
		job->run(job->arg, &scratch);
		pthread_mutex_lock(&job->lock);
		assert(job->helpers);
		job->helpers--;
		pthread_cond_broadcast(&job->changed);
		pthread_mutex_unlock(&job->lock);
		atomic_fetch_add(&waiting, 1);
	}
	return NULL;
}

void workers_start(unsigned int helpers)
{
	int err;

	loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	for (; helpers; helpers--) {
		err = thread_start(helper, NULL, STACK_BYTES, NULL);
		if (err) {
			log_line("only some of the marker's helpers could be started: %s",
				 strerror(err));
			break;
		}
		atomic_fetch_add(&waiting, 1);
	}
}

static bool read_loadavg(void)
{
	char text[128], *slash;
	ssize_t n = pread(loadavg, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = 0;
	/* In "0.20 0.18 0.12 1/80 11206" 1 task is runnable, the reader included. */
	slash = strchr(text, '/');
	if (!slash)
		return false;
	while (slash > text && slash[-1] != ' ')
		slash--;
	return (unsigned int)atoi(slash) < cpus_online();
}

bool workers_idle(void)
{
	struct timespec ts;
	uint64_t now, then = tri_read(&read_ns);

	if (!tri_read(&waiting) || loadavg < 0)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	if (now - then >= READ_NS && atomic_compare_exchange_strong(&read_ns, &then, now))
		tri_write(&cpu_idle, read_loadavg());
	return tri_read(&cpu_idle);
}

void workers_offer(struct workers_job *job)
{
	pthread_mutex_lock(&lock);
	if (!job->offered) {
		job->offered = true;
		job->next = offered;
		offered = job;
	}
	pthread_cond_signal(&wanted);
	pthread_mutex_unlock(&lock);
}

void workers_withdraw(struct workers_job *job)
{
	struct workers_job **p;

	pthread_mutex_lock(&lock);
	for (p = &offered; job->offered && *p; p = &(*p)->next) {
		if (*p == job) {
			*p = job->next;
			job->offered = false;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	pthread_mutex_lock(&job->lock);
	while (job->helpers)
		pthread_cond_wait(&job->changed, &job->lock);
	pthread_mutex_unlock(&job->lock);
}
