/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stack_memory.h - stacks that grow and shrink: see stack_memory.c */
#ifndef TRI_STACK_MEMORY_H
#define TRI_STACK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack.h"

/*
 * How much of a stack may be in use below the frame that called tri_stack_switch(): what the
 * program's own switch keeps there.  tricolor.h promises the number.
 */
#define TRI_STACK_ROOM 16384ul

/*
 * How much of a stack is scanned before it first runs: what it begins with lies there.  tricolor.h
 * promises the number.
 */
#define TRI_STACK_BEGINNING 65536ul

/* The table of tri_stack_new().  0 or -errno. */
int tri_stack_memory_add(uintptr_t lo, size_t bytes) TRI_HIDDEN;
size_t tri_stack_memory_remove(uintptr_t lo) TRI_HIDDEN;
struct tri_stack *tri_stack_memory_owner(uintptr_t lo) TRI_HIDDEN;
int tri_stack_memory_register(uintptr_t lo, struct tri_stack *s) TRI_HIDDEN;
void tri_stack_memory_unregister(const struct tri_stack *s) TRI_HIDDEN;
void tri_stack_memory_reset(void) TRI_HIDDEN;

/* Giving memory back.  Async-signal-safe. */
bool tri_stack_wants_to_shrink(struct tri_thread *to, uintptr_t lo, uintptr_t hi, uintptr_t sp,
			       uintptr_t end) TRI_HIDDEN;
void tri_stack_shrink_running(struct tri_thread *t, const struct tri_stack *s,
			      uintptr_t sp) TRI_HIDDEN;
bool tri_stack_give_back(uintptr_t lo, uintptr_t end) TRI_HIDDEN;

/* The stack pointer of a stack that has not run yet; 0: all of it is scanned. */
static inline uintptr_t tri_stack_begins_at(uintptr_t lo, uintptr_t hi)
{
	return hi - lo > TRI_STACK_BEGINNING ? hi - TRI_STACK_BEGINNING : 0;
}

/* Up to where a stack that was left at @sp may be given back. */
static inline uintptr_t tri_stack_unused_end(uintptr_t sp)
{
	return (sp - TRI_STACK_ROOM) & ~4095ul;
}

#endif
