/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* restart.h - system calls that the library's signal has interrupted go on: see restart.c */
#ifndef TRI_RESTART_H
#define TRI_RESTART_H

#include <ucontext.h>

#include "../base/attributes.h"

struct tri_thread;

void tri_restart(struct tri_thread *t, ucontext_t *uc) TRI_HIDDEN;
void tri_handler_returns(ucontext_t *uc, int restarts) TRI_HIDDEN;
void tri_restorer(void) TRI_HIDDEN;
void tri_restorer_restarts(void) TRI_HIDDEN;
extern const char tri_syscall_done[] TRI_HIDDEN;

#endif
