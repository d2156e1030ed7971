/* SPDX-License-Identifier: GPL-2.0-only */
/* control.h - answering tricolor(1) */
#ifndef TRICOLOR_CONTROL_H
#define TRICOLOR_CONTROL_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/proto/control.h"

struct registry_arena;

/** Answer the requests that come at @sock until the peer is gone, silent, or makes no sense. */
void control_serve(int sock);

/** What there is to say about an arena, as of its last figures. */
void control_describe(struct registry_arena *r, struct control_arena *out);

#endif
