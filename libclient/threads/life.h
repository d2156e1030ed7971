/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * life.h - which threads have ended, and whether the main thread has
 *
 * tri_life_begin() and tri_life_end() are called by the thread itself.
 */
#ifndef TRI_LIFE_H
#define TRI_LIFE_H

#include <stdbool.h>

#include "../base/attributes.h"

struct tri_thread;

void tri_life_begin(struct tri_thread *t, bool main) TRI_HIDDEN;	/* the thread itself */
void tri_life_end(struct tri_thread *t) TRI_HIDDEN;			/* the thread itself */
void tri_life_of_main(struct tri_thread *t) TRI_HIDDEN;
void tri_life_begin_main(void) TRI_HIDDEN;
bool tri_main_is_over(void) TRI_HIDDEN;
bool tri_main_lives(void) TRI_HIDDEN;
void tri_main_wait(void) TRI_HIDDEN;

#endif
