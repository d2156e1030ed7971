// SPDX-License-Identifier: GPL-2.0-only
/*
 * plugin_store.c - a loadable object that has roots, and stores with the inline barrier
 *
 * Its descriptors of restartable sequences are unmapped with it.
 */
#include "tricolor.h"

void *plugin_global;
static void *plugin_static;
static void *plugin_array[20000];

void plugin_set(void *global, void *local, void *element);
void plugin_churn(void **slot, void *value, int times);

void plugin_set(void *global, void *local, void *element)
{
	tri_store(&plugin_global, global);
	tri_store(&plugin_static, local);
	tri_store(&plugin_array[12345], element);
}

/* The last sequence that the thread was in is one of this object's. */
void plugin_churn(void **slot, void *value, int times)
{
	while (times--) {
		tri_store(slot, value);
		tri_store(slot, tri_alloc(48));
	}
	tri_store(slot, value);
}
