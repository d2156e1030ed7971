/* SPDX-License-Identifier: GPL-2.0-only */
/* threads.h - threads of a test that hold witnesses */
#ifndef TRICOLOR_SELFTESTS_THREADS_H
#define TRICOLOR_SELFTESTS_THREADS_H

#include <pthread.h>

#include "witness.h"

/** Ends the test if @err is not 0. */
void must(int err, const char *what);

/** A thread that runs @fn; ends the test if there can't be one. */
pthread_t start_thread(void *(*fn)(void *), void *arg);

/**
 * Wait until the library counts @want threads; false if it does not.  A thread may be joined a
 * little before it is gone.
 */
bool threads_are(uint64_t want);

/* A thread that holds a witness in a register, in a loop that never calls the library. */
struct spinner {
	struct event ready, stop;
	uint64_t id;
	uintptr_t hidden;
	bool ok;			/* set at its end: the witness is still an object */
};

/** The function that such a thread runs; @arg is its struct spinner. */
void *spin(void *arg);

#endif
