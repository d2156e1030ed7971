/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lastexit.h - the process ends when the program's last thread has ended
 *
 * lastexit.c ends it.  lastwatch.c tells the agent when to look whether a thread is left.
 */
#ifndef TRI_LASTEXIT_H
#define TRI_LASTEXIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/attributes.h"

/* ---- lastexit.c ---- */
int tri_last_exit_check(void) TRI_HIDDEN;
void tri_not_counted(void) TRI_HIDDEN;
void tri_counted_again(void) TRI_HIDDEN;
void tri_exit_if_alone(void) TRI_HIDDEN;

/* ---- lastwatch.c ---- */
void tri_last_watch_start(void) TRI_HIDDEN;	/* called by the thread that starts the agent */
int tri_last_watch_fd(void) TRI_HIDDEN;
uint64_t tri_last_watch_ns(void) TRI_HIDDEN;
void tri_last_watch_news(void) TRI_HIDDEN;
void tri_last_watch_look(bool notified) TRI_HIDDEN;
void tri_last_watch_reset(void) TRI_HIDDEN;

#endif
