/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* find_object.h - which object of the heap a pointer points into: see find_object.c */
#ifndef TRI_FIND_OBJECT_H
#define TRI_FIND_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/attributes.h"

struct tri_object;

bool tri_find_object(const void *pointer, struct tri_object *o) TRI_HIDDEN;
char *tri_object_start(const struct tri_object *o, const void *pointer) TRI_HIDDEN;
size_t tri_object_bytes(const struct tri_object *o) TRI_HIDDEN;

#endif
