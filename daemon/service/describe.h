/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * describe.h - an arena in the words of the control protocol
 *
 * For whoever reports about an arena: answers to tricolor(1), the list of clients that have left,
 * and post-mortems.
 */
#ifndef TRICOLOR_DESCRIBE_H
#define TRICOLOR_DESCRIBE_H

#include "core/proto/control.h"

struct registry_arena;

/**
 * Fill in @out with what is known of @r, as of the figures that it published last.  Never waits.
 */
void describe_arena(struct registry_arena *r, struct control_arena *out);

#endif
