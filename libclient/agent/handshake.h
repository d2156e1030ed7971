/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* handshake.h - the client's half of a cycle, which the agent runs: see handshake.c */
#ifndef TRI_HANDSHAKE_H
#define TRI_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_msg;
void tri_handshake(const struct tri_msg *ask, struct tri_msg *answer) TRI_HIDDEN;
void tri_handshake_abandon(void) TRI_HIDDEN;
void tri_handshake_wait(uint64_t until_ns) TRI_HIDDEN;	/* any thread, outside */

#endif
