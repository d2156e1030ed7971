/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * workers.h - threads that help with the jobs of all arenas of the daemon
 *
 * A job that is more than one thread's is offered.  Helpers that have nothing to do join it, run
 * its function, and leave when that returns.  What the function does is the job's owner's business.
 */
#ifndef TRICOLOR_WORKERS_H
#define TRICOLOR_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A part of what the job is about.  Lock order: the pool's lock, then the job's. */
struct workers_job {
	/* Constant. */
	void (*run)(void *arg, void **scratch);
	void *arg;

	pthread_mutex_t lock;		/* also for what the owner and its helpers have in common */
	pthread_cond_t changed;		/* a helper has left; the owner may use it for more */
	uint32_t helpers;		/* at work on it; lock */
	uint32_t joined;		/* since the owner has set it to 0; lock */

	/* The pool's lock: see workers.c. */
	struct workers_job *next;
	bool offered;
};

/** Start @helpers threads, once.  Fewer is no error: work takes longer. */
void workers_start(unsigned int helpers);

/**
 * @run is called in a helper, with @arg and with a pointer that is the helper's own: NULL at first,
 * and what it was set to from then on, whatever job comes next.
 */
void workers_job_init(struct workers_job *job, void (*run)(void *arg, void **scratch), void *arg);
void workers_job_exit(struct workers_job *job);

/** Whether an offer would find a helper, and the helper a CPU. */
bool workers_idle(void);

/**
 * A helper may join @job, if there is one; to be called again for more.  Not with the job's lock.
 */
void workers_offer(struct workers_job *job);

/** No helper will join @job after this, and none is at work on it.  Not with the job's lock. */
void workers_withdraw(struct workers_job *job);

#endif
