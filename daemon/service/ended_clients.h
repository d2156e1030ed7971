/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ended_clients.h - the last clients of a shared collector that have ended: see ended_clients.c
 */
#ifndef TRICOLOR_ENDED_CLIENTS_H
#define TRICOLOR_ENDED_CLIENTS_H

#include <stddef.h>

#include "core/proto/control.h"
#include "daemon/clients/client_end.h"
#include "daemon/clients/registry.h"

/** Add @r, which is about to leave the registry. */
void ended_clients_add(struct registry_arena *r, const struct client_end_watch *w);

/**
 * List them, newest first, with what is known of their ends by now.  Returns how many they are.
 */
size_t ended_clients_all(struct control_arena list[static CONTROL_ENDED_MAX]);

#endif
