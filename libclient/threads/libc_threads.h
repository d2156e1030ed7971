/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libc_threads.h - threads of the C library's own: see libc_threads.c.  For the agent only.
 */
#ifndef TRI_LIBC_THREADS_H
#define TRI_LIBC_THREADS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/attributes.h"

bool tri_libc_thread_scan(pid_t tid) TRI_HIDDEN;
bool tri_libc_thread_is_known(pid_t tid) TRI_HIDDEN;
void tri_libc_thread_note(pid_t tid) TRI_HIDDEN;
bool tri_thread_is_beginning(uintptr_t self) TRI_HIDDEN;
void tri_libc_threads_reset(void) TRI_HIDDEN;

#endif
