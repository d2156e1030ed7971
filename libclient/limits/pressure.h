/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pressure.h - how near its memory limit the program is, as it is told: see pressure.c */
#ifndef TRI_PRESSURE_H
#define TRI_PRESSURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"
#include "tricolor.h"

/* The function that tri_on_pressure() was given: see on_pressure.c. */
extern struct tri_pressure_waiter {
	pthread_mutex_t lock;					/* for all below */
	void (*fn)(enum tri_pressure pressure, void *arg);
	void *arg;
	bool started;						/* there is a thread that waits */
} tri_pressure_waiter TRI_HIDDEN;

/* What the collector has written, as a value that programs know. */
static inline enum tri_pressure tri_pressure_known(uint32_t word)
{
	return word <= TRI_PRESSURE_OVER ? (enum tri_pressure)word : TRI_PRESSURE_OVER;
}

bool tri_refusing(void) TRI_HIDDEN;	/* refusing.c */
bool tri_refused(void) TRI_HIDDEN;
void tri_pressure_reset(void) TRI_HIDDEN;

#endif
