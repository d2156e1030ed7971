// SPDX-License-Identifier: GPL-2.0-only
/*
 * workers.c - marker helpers, shared by all arenas of the daemon
 *
 * A helper waits for an arena that has more spans to scan than one thread should, joins it, and leaves
 * when there is nothing to take.  Helpers use CPUs that nobody else wants: an arena's thread
 * alone is the dedicated worker.  So a marker that would share asks first whether some CPU is idle,
 * by the number of runnable tasks in /proc/loadavg, at most once a millisecond.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/process/cpus.h"
#include "daemon/process/log.h"
#include "mark.h"
#include "daemon/process/thread.h"

#define LOOK_NS 1000000
#define STACK_BYTES (256u << 10)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static struct marker *wanting;		/* lock */
static tri_au32 waiting;		/* helpers without work */
static tri_au64 looked_ns;
static tri_au32 cpu_idle;		/* what was seen then */
static int loadavg = -1;

static void *helper(void *unused)
{
	struct mark_worker *w = mark_worker_new();
	struct marker *m;

	(void)unused;
	if (!w) {
		atomic_fetch_sub(&waiting, 1);
		return NULL;
	}
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!wanting)
			pthread_cond_wait(&wanted, &lock);
		m = wanting;
		wanting = m->next_wanting;
		m->wanting = false;
		/* Joined before the pool's lock goes: see workers_dismiss(). */
		pthread_mutex_lock(&m->lock);
		m->helpers++;
		m->helpers_seen++;
		pthread_mutex_unlock(&m->lock);
		pthread_mutex_unlock(&lock);
		atomic_fetch_sub(&waiting, 1);
		mark_help(m, w);
		atomic_fetch_add(&waiting, 1);
	}
	return NULL;
}

/** Start @helpers threads.  Fewer is no error: marking takes longer. */
void workers_start(unsigned int helpers)
{
	int err;

	loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	for (; helpers; helpers--) {
		err = thread_start(helper, NULL, STACK_BYTES, NULL);
		if (err) {
			log_line("only some of the marker's helpers could be started: %s", strerror(err));
			break;
		}
		atomic_fetch_add(&waiting, 1);
	}
}

static bool look(void)
{
	char text[128], *slash;
	ssize_t n = pread(loadavg, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = 0;
	/* "0.20 0.18 0.12 1/80 11206": runnable now, the reader included */
	slash = strchr(text, '/');
	if (!slash)
		return false;
	while (slash > text && slash[-1] != ' ')
		slash--;
	return (unsigned int)atoi(slash) < cpus_online();
}

/** Whether sharing work would find a helper, and the helper a CPU. */
bool workers_idle(void)
{
	struct timespec ts;
	uint64_t now, then = tri_read(&looked_ns);

	if (!tri_read(&waiting) || loadavg < 0)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	if (now - then >= LOOK_NS && atomic_compare_exchange_strong(&looked_ns, &then, now))
		tri_write(&cpu_idle, look());
	return tri_read(&cpu_idle);
}

/** @m has shared something. */
void workers_call(struct marker *m)
{
	pthread_mutex_lock(&lock);
	if (!m->wanting) {
		m->wanting = true;
		m->next_wanting = wanting;
		wanting = m;
	}
	pthread_cond_signal(&wanted);
	pthread_mutex_unlock(&lock);
}

/** No helper will join @m after this, and none is at work on it. */
void workers_dismiss(struct marker *m)
{
	struct marker **p;

	pthread_mutex_lock(&lock);
	for (p = &wanting; m->wanting && *p; p = &(*p)->next_wanting) {
		if (*p == m) {
			*p = m->next_wanting;
			m->wanting = false;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	pthread_mutex_lock(&m->lock);
	while (m->helpers)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
}
