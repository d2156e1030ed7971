/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* starting.h - threads from their creation to their join: see starting.c */
#ifndef TRI_STARTING_H
#define TRI_STARTING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "attributes.h"

struct tri_thread;

/* This thread was begun by our pthread_create(). */
extern __thread bool tri_begun_here TRI_HIDDEN __attribute__((tls_model("initial-exec")));

bool tri_starts_threads(uintptr_t start) TRI_HIDDEN;
void tri_starting_scan(struct tri_thread *to, bool all) TRI_HIDDEN;
void tri_starting_reset(void) TRI_HIDDEN;

#endif
