/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watched.h - programs under valgrind, rr or the thread sanitizer: see watched.c */
#ifndef TRI_WATCHED_H
#define TRI_WATCHED_H

#include <stdbool.h>

#include "attributes.h"

int tri_watched_check(void) TRI_HIDDEN;
bool tri_on_valgrind(void) TRI_HIDDEN;

#endif
