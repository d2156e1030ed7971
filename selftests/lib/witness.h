/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * witness.h - objects that a test can ask about without keeping them alive
 *
 * A witness has a number and a checksum.  A test remembers it by its number and its *hidden*
 * address (all bits inverted), which the collector takes for no pointer, and asks later whether
 * there is still an object at that address, and whether it is the same one.
 *
 * That an object is gone is only asked after everything that may have left its address behind, dead
 * stack frames above all, has been overwritten: hence the noinline and wipe_stack().
 */
#ifndef TRICOLOR_WITNESS_H
#define TRICOLOR_WITNESS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "draw.h"
#include "kselftest.h"
#include "tricolor.h"

#define NOINLINE __attribute__((noinline, noclone))
#define UNUSED __attribute__((unused))

#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN 1			/* signals wait for a call that the sanitizer knows */
#else
#define UNDER_TSAN 0
#endif

struct witness {
	uint64_t id, check;
	struct witness *next;		/* for tests that link them */
	uint64_t pad[5];
};

/* Inline, as reveal(): no frame but the caller's has the address. */
static inline uintptr_t hide(const void *p)
{
	uintptr_t hidden = ~(uintptr_t)p;

	/* Opaque, or the compiler may keep the pointer itself and invert it later. */
	__asm__ volatile("" : "+r"(hidden));
	return hidden;
}

static inline void *reveal(uintptr_t hidden)
{
	__asm__ volatile("" : "+r"(hidden));
	return (void *)~hidden;
}

/** Overwrite what earlier calls left below the caller's frame, and in registers. */
NOINLINE void wipe_stack(void);

/** The checksum of number @id. */
uint64_t witness_check(uint64_t id);

/** A new one with number @id; ends the test if there is no memory. */
NOINLINE struct witness *witness_new(uint64_t id);

/** Is @w the object that witness_new() made, and does the heap know it as one? */
NOINLINE bool witness_ok(const struct witness *w, uint64_t id);

/** Is there an object at all? */
NOINLINE bool is_object(uintptr_t hidden);

/** The same as witness_ok() of a hidden address. */
NOINLINE bool hidden_ok(uintptr_t hidden, uint64_t id);

/** One whole cycle; ends the test if there can't be one. */
NOINLINE void collect(void);

/** Cycles, with the dead parts of this stack wiped first. */
void collect_times(int n);

/** tri_read_stats(), which ends the test if it fails. */
struct tri_stats read_stats(void);

/** Argument 1, or one of the clock.  Printed, so that a failure can be had again. */
uint64_t seed_from(int argc, char **argv);

/* Something that happens once.  A test that waits for a minute has failed. */
struct event {
	_Atomic uint32_t happened;
};

/** Set it, and wake who waits for it.  Any thread or process that has the memory. */
void event_set(struct event *e);
bool event_is_set(struct event *e);
void event_wait(struct event *e);

/** Wait until thread @tid of this process sleeps in the kernel, or has set @over. */
void wait_asleep(pid_t tid, struct event *over);

/** Wait until thread @tid of this process is no more. */
void wait_gone(pid_t tid);

#endif
