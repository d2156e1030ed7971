/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * workers.h - threads that help with the jobs of all arenas of the daemon
 *
 * A job that several threads can share is offered.  Helpers that have nothing to do join it, run
 * its function, and leave when that returns.  The owner of the job decides what the function does.
 */
#ifndef TRICOLOR_WORKERS_H
#define TRICOLOR_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The owner's struct contains it.  Lock order: the pool's lock, then the job's. */
struct workers_job {
	/* Constant. */
	void (*run)(void *arg, void **scratch);
	void *arg;

	pthread_mutex_t lock;		/* also for what the owner and its helpers share */
	pthread_cond_t changed;		/* a helper has left; the owner may use it for more */
	uint32_t helpers;		/* at work on it; under the lock */
	uint32_t joined;		/* since the owner set it to 0; under the lock */

	/* The pool's lock: see workers.c. */
	struct workers_job *next;
	bool offered;
};

/** Start @helpers threads, once.  If some can't be started, work only takes longer. */
void workers_start(unsigned int helpers);

/**
 * @run is called in a helper, with @arg and with a pointer of the helper's own.  That is NULL at
 * first, and keeps the value that a job has given it.
 */
void workers_job_init(struct workers_job *job, void (*run)(void *arg, void **scratch), void *arg);
void workers_job_exit(struct workers_job *job);

/** Whether an offer would find a helper, and the helper a CPU. */
bool workers_idle(void);

/**
 * Let one helper join @job, if there is one without work.  Each call lets one more join.  Not to be
 * called with the job's lock.
 */
void workers_offer(struct workers_job *job);

/** Wait until no helper is at work on @job or will join it.  Not to be called with its lock. */
void workers_withdraw(struct workers_job *job);

#endif
