/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * witness.h - objects that a test can ask about without keeping them alive
 *
 * A witness has a number and a checksum.  A test remembers it by its number and its *hidden*
 * address (all bits inverted), which the collector takes for no pointer, and asks later whether
 * there is still an object at that address, and whether it is the same one.
 *
 * Before a test asks whether an object is gone, everything that may have kept its address is
 * overwritten, above all dead stack frames.  This is what noinline and wipe_stack() are for.
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
#define UNDER_TSAN 1			/* the sanitizer delays signals until a call that it
					 * knows */
#else
#define UNDER_TSAN 0
#endif

struct witness {
	uint64_t id, check;
	struct witness *next;		/* for tests that link them */
	uint64_t pad[5];
};

/* Inline, as is reveal(), so that no frame but the caller's has the address. */
static inline uintptr_t hide(const void *p)
{
	uintptr_t hidden = ~(uintptr_t)p;

	/*
	 * Hide the value from the compiler, which otherwise may keep the pointer itself and invert
	 * it later.
	 */
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

/** Make a witness with number @id; ends the test if there is no memory. */
NOINLINE struct witness *witness_new(uint64_t id);

/** Is @w the object that witness_new() made, and does the heap know it as one? */
NOINLINE bool witness_ok(const struct witness *w, uint64_t id);

/** Is there any object at that address? */
NOINLINE bool is_object(uintptr_t hidden);

/** witness_ok() of a hidden address. */
NOINLINE bool hidden_ok(uintptr_t hidden, uint64_t id);

/** Run one whole cycle; ends the test if that fails. */
NOINLINE void collect(void);

/** Run @n cycles, after the dead parts of this stack have been wiped. */
void collect_times(int n);

/** tri_read_stats(), which ends the test if it fails. */
struct tri_stats read_stats(void);

/**
 * A seed: argument 1, or one made from the clock.  It is printed, so that a failure can be
 * repeated.
 */
uint64_t seed_from(int argc, char **argv);

/* An event that happens once.  A test that waits for it for a minute fails. */
struct event {
	_Atomic uint32_t happened;
};

/**
 * Set the event, and wake those who wait for it.  Any thread or process that maps the memory may
 * call this.
 */
void event_set(struct event *e);
bool event_is_set(struct event *e);
void event_wait(struct event *e);

/** Wait until thread @tid of this process sleeps in the kernel, or has set @over. */
void wait_asleep(pid_t tid, struct event *over);

/** Wait until thread @tid of this process has ended. */
void wait_gone(pid_t tid);

#endif
