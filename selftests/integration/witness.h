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

static inline UNUSED uintptr_t hide(const void *p)
{
	uintptr_t hidden = ~(uintptr_t)p;

	/* Opaque, or the compiler may keep the pointer itself and invert it later. */
	__asm__ volatile("" : "+r"(hidden));
	return hidden;
}

static inline UNUSED void *reveal(uintptr_t hidden)
{
	__asm__ volatile("" : "+r"(hidden));
	return (void *)~hidden;
}

/* Overwrite what earlier calls left below the caller's frame, and in registers. */
static NOINLINE UNUSED void wipe_stack(void)
{
	volatile char dead[32768];
	size_t i;

	for (i = 0; i < sizeof(dead); i++)
		dead[i] = 0;
	__asm__ volatile("" : : : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
			 "rbx", "r12", "r13", "r14", "r15", "memory");
}

static inline UNUSED uint64_t witness_check(uint64_t id)
{
	return ~id * 0x9e3779b97f4a7c15ull;
}

static NOINLINE UNUSED struct witness *witness_new(uint64_t id)
{
	struct witness *w = tri_alloc(sizeof(*w));

	if (!w)
		ksft_exit_fail_msg("no memory for a witness: %s\n", tri_error());
	w->id = id;
	w->check = witness_check(id);
	return w;
}

/* Is @w the object that witness_new() made, and does the heap know it as one? */
static NOINLINE UNUSED bool witness_ok(const struct witness *w, uint64_t id)
{
	return tri_base(w) == w && w->id == id && w->check == witness_check(id);
}

/* Is there an object at all? */
static NOINLINE UNUSED bool is_object(uintptr_t hidden)
{
	return tri_base(reveal(hidden)) != NULL;
}

static NOINLINE UNUSED bool hidden_ok(uintptr_t hidden, uint64_t id)
{
	return witness_ok(reveal(hidden), id);
}

static NOINLINE UNUSED void collect(void)
{
	int err = tri_gc();

	if (err)
		ksft_exit_fail_msg("tri_gc: %s: %s\n", strerror(-err), tri_error());
}

/* Cycles, with the dead parts of this stack wiped first. */
static UNUSED void collect_times(int n)
{
	while (n--) {
		wipe_stack();
		collect();
	}
}

static UNUSED struct tri_stats read_stats(void)
{
	struct tri_stats s = { .size = sizeof(s) };

	if (tri_read_stats(&s))
		ksft_exit_fail_msg("tri_read_stats: %s\n", tri_error());
	return s;
}

/* Argument 1, or one of the clock.  Printed, so that a failure can be had again. */
static UNUSED uint64_t seed_from(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : now_ns() | 1;

	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	return seed ? seed : 1;
}

/* Something that happens once.  A test that waits for a minute has failed. */
struct event {
	_Atomic uint32_t happened;
};

static UNUSED void event_set(struct event *e)
{
	atomic_store(&e->happened, 1);
	syscall(SYS_futex, &e->happened, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static UNUSED bool event_is_set(struct event *e)
{
	return atomic_load_explicit(&e->happened, memory_order_acquire);
}

static UNUSED void event_wait(struct event *e)
{
	uint64_t end = now_ns() + 60000000000ull;
	struct timespec second = { 1, 0 };

	while (!event_is_set(e)) {
		syscall(SYS_futex, &e->happened, FUTEX_WAIT, 0, &second, NULL, 0);
		if (now_ns() > end)
			ksft_exit_fail_msg("an event did not come within a minute\n");
	}
}

/* Wait until thread @tid of this process sleeps in the kernel, or has set @over. */
static UNUSED void wait_asleep(pid_t tid, struct event *over)
{
	uint64_t end = now_ns() + 60000000000ull;
	char path[64], line[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	do {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
		if (fd >= 0)
			close(fd);
		if (n > 0) {
			line[n] = 0;
			p = strrchr(line, ')');
			if (p && p[2] == 'S')
				return;
		}
		if (over && event_is_set(over))
			return;
		sched_yield();
	} while (now_ns() < end);
	ksft_exit_fail_msg("thread %d did not go to sleep within a minute\n", tid);
}

/* Wait until thread @tid of this process is no more. */
static UNUSED void wait_gone(pid_t tid)
{
	uint64_t end = now_ns() + 60000000000ull;

	while (!syscall(SYS_tgkill, getpid(), tid, 0)) {
		sched_yield();
		if (now_ns() > end)
			ksft_exit_fail_msg("thread %d did not end within a minute\n", tid);
	}
}

#endif
