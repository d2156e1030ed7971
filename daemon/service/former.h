/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * former.h - the clients that a shared collector had lately: see former.c
 */
#ifndef TRICOLOR_FORMER_H
#define TRICOLOR_FORMER_H

#include <stddef.h>

#include "core/proto/control.h"
#include "daemon/clients/ending.h"
#include "daemon/clients/registry.h"

/** @r is about to leave the registry. */
void former_add(struct registry_arena *r, const struct ending_watch *w);

/**
 * Those that are remembered, newest first, with what is known of their ends by now.  Returns how
 * many.
 */
size_t former_all(struct control_arena list[static CONTROL_ENDED_MAX]);

#endif
