/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tls.h - thread-local variables are roots of their thread: see tls.c */
#ifndef TRI_TLS_H
#define TRI_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/attributes.h"
#include "tricolor.h"

struct tri_thread;

int tri_tls_init(void) TRI_HIDDEN;
void tri_tls_refresh(void) TRI_HIDDEN;
uintptr_t tri_tls_pointer(const struct tri__tls *tls) TRI_HIDDEN;
void tri_tls_scan(struct tri_thread *t, struct tri_thread *to, bool all) TRI_HIDDEN;
size_t tri_tls_stack_bytes(size_t bytes) TRI_HIDDEN;

#endif
