/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* starting.h - records of threads from their creation to their join: see starting.c */
#ifndef TRI_STARTING_H
#define TRI_STARTING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_thread;

/* The record of one thread.  The lock of starting.c protects all fields but fn, arg and result. */
struct tri_starting {
	void *(*fn)(void *);		/* fixed before the record is added */
	void *arg;			/* a root until the thread is attached; the thread
					 * clears it */
	void *result;			/* a root until the thread is joined; written by the
					 * thread */
	pthread_t thread;
	uint64_t serial;		/* unlike a pthread_t, it is never used again */
	bool joinable, ended;
	struct tri_starting *next, **prev;
};

/* Whether the library's pthread_create() has made this thread. */
extern __thread bool tri_begun_here TRI_HIDDEN __attribute__((tls_model("initial-exec")));

/* The calling thread's record; NULL: it has none. */
extern __thread struct tri_starting *tri_starting_self TRI_HIDDEN
	__attribute__((tls_model("initial-exec")));

void tri_starting_lock(void) TRI_HIDDEN;
void tri_starting_unlock(void) TRI_HIDDEN;
void tri_starting_add(struct tri_starting *s, uintptr_t routine) TRI_HIDDEN;
void tri_starting_made(struct tri_starting *s, pthread_t thread) TRI_HIDDEN;	/* lock */
void tri_starting_drop(struct tri_starting *s) TRI_HIDDEN;			/* lock */
void tri_starting_ended(struct tri_starting *s) TRI_HIDDEN;
uint64_t tri_starting_serial(pthread_t thread) TRI_HIDDEN;
void tri_starting_joined(uint64_t serial) TRI_HIDDEN;
bool tri_starting_begins_with(uintptr_t routine) TRI_HIDDEN;
void tri_starting_scan(struct tri_thread *to, bool all) TRI_HIDDEN;
void tri_starting_reset(void) TRI_HIDDEN;

#endif
