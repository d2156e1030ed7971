/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * describe.h - an arena in the words of the control protocol
 *
 * Answers to tricolor(1), the list of clients that have ended, and post-mortems use it.
 */
#ifndef TRICOLOR_DESCRIBE_H
#define TRICOLOR_DESCRIBE_H

#include "core/proto/control.h"

struct registry_arena;

/**
 * Fill in @out with what is known of @r, by the figures that it published last.  Never waits.
 */
void describe_arena(struct registry_arena *r, struct control_arena *out);

#endif
