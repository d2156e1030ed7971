/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connect.h - finding a collector: connect.c, shared.c, policy.c, spawn.c
 *
 * For the agent only.
 */
#ifndef TRI_CONNECT_H
#define TRI_CONNECT_H

#include <poll.h>

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"

/* connect.c */
int tri_connect(void) TRI_HIDDEN;
bool tri_connected_private(void) TRI_HIDDEN;	/* the collector that tri_connect() found is one
						 * of ours */

/* shared.c */
int tri_shared_socket(int flags) TRI_HIDDEN;
void tri_shared_put_off(uint64_t ns) TRI_HIDDEN;
bool tri_shared_is_put_off(void) TRI_HIDDEN;
void tri_shared_is_back(void) TRI_HIDDEN;
bool tri_shared_is_wanted(void) TRI_HIDDEN;
bool tri_may_spawn(void) TRI_HIDDEN;

/* policy.c */
#define TRI_POLICY_FDS 2

enum tri_policy_news {
	TRI_POLICY_NOTHING,
	TRI_POLICY_MARKS,		/* a shared collector that marks was found: connect to
					 * it */
};

void tri_policy_search(void) TRI_HIDDEN;
void tri_policy_linked(void) TRI_HIDDEN;
void tri_policy_stop(void) TRI_HIDDEN;
unsigned int tri_policy_poll(struct pollfd *p, uint64_t *until_ns) TRI_HIDDEN;
enum tri_policy_news tri_policy_receive(int marker, const struct pollfd *p,
					unsigned int n) TRI_HIDDEN;
void tri_policy_reset(void) TRI_HIDDEN;

/* spawn.c */
int tri_spawn(int program, bool say) TRI_HIDDEN;
bool tri_spawn_kill(void) TRI_HIDDEN;
const char *tri_spawn_name(void) TRI_HIDDEN;
void tri_spawn_reset(void) TRI_HIDDEN;

#endif
