/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent.h - the library's own thread: see agent.c */
#ifndef TRI_AGENT_H
#define TRI_AGENT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

struct pollfd;

/* Whether the calling thread is the agent. */
extern __thread bool tri_is_agent TRI_HIDDEN __attribute__((tls_model("initial-exec")));

int tri_agent_start(void) TRI_HIDDEN;
void tri_agent_wake(uint32_t what) TRI_HIDDEN;

/* ---- agent_poll.c; agent ---- */
extern sigset_t tri_agent_mask TRI_HIDDEN;	/* what it blocks while it waits: not the
						 * handshake signal */
void tri_agent_measure_if_asked(void) TRI_HIDDEN;
uint64_t tri_agent_until(uint64_t until_ns) TRI_HIDDEN;
int tri_agent_poll(struct pollfd *p, unsigned int n, int ms) TRI_HIDDEN;

/* ---- agent_descriptors.c, agent_arena.c, agent_session.c; agent ---- */
int tri_agent_own_descriptors(void) TRI_HIDDEN;
int tri_agent_make_arena(void) TRI_HIDDEN;
void tri_agent_session(int socket) TRI_HIDDEN;

#endif
