/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lists.h - lists of witnesses, for tests in which several processes look at a heap and change it
 *
 * The lists are roots.  The witnesses of a list are numbered from 0, and the newest one is first.
 */
#ifndef TRICOLOR_SELFTESTS_LISTS_H
#define TRICOLOR_SELFTESTS_LISTS_H

#include <stdbool.h>
#include <stdint.h>

#include "witness.h"

#define LISTS 64

extern struct witness *lists[LISTS];

/** Put a new witness with number @id at the head of list @list. */
void lists_push(unsigned int list, uint64_t id);

/** Make @n witnesses and add them to the lists in turn.  The lists must be empty. */
void lists_build(unsigned int n);

/** Whether each list has @n witnesses, all of them whole. */
bool lists_ok(unsigned int n);

/**
 * Check the lists, which have @n witnesses each, add @more to each, collect, and check them again.
 */
bool lists_go_on(unsigned int n, unsigned int more);

#endif
