/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * core.h - what a test needs of the library's inside to read or to make an arena, once in a program
 */
#ifndef TRICOLOR_SELFTESTS_CORE_H
#define TRICOLOR_SELFTESTS_CORE_H

#include "core/heap/layout.c"
#include "core/heap/sizeclass.c"
#include "core/heap/span.h"

#endif
