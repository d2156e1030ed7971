/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main_thread.h - the main thread, which another thread may attach: see main_thread.c */
#ifndef TRI_MAIN_THREAD_H
#define TRI_MAIN_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

void tri_main_thread_is_here(void) TRI_HIDDEN;		/* called by the main thread */
bool tri_is_main_thread(void) TRI_HIDDEN;		/* is the caller the main thread? */
void tri_main_thread_attach(void) TRI_HIDDEN;		/* by the thread that starts the heap */
uint64_t *tri_rseq_word(void) TRI_HIDDEN;		/* the caller's own */

#endif
