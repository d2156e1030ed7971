// SPDX-License-Identifier: GPL-2.0-only
/*
 * plugin_plain.c - a loadable object that stores without a barrier; for test_plain_stores.c, which
 * says what is marked
 */
#include "tricolor.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT void *plain_global;
static void *plain_static;
static __thread void *plain_thread;

EXPORT void plain_set(void *global, void *local, void *kept);

void plain_set(void *global, void *local, void *kept)
{
	plain_global = global; /* plain */
	*(void *volatile *)&plain_static = local; /* plain */
	*(void *volatile *)&plain_thread = kept;
}
