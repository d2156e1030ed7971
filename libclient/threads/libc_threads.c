// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libc_threads.c - threads of the C library's own, and the C library's descriptors of threads
 *
 * The C library has threads for timers and message queues with SIGEV_THREAD, and for asynchronous
 * transfers and look-ups.  They block all signals, so they can't answer the handshake signal.  But
 * while such a thread sleeps in the C library it runs no function of the program, and its stack can
 * be scanned from outside.
 *
 * Only the agent calls these functions.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "libc_threads.h"
#include "../base/real.h"
#include "../roots/scan.h"
#include "../roots/starting.h"
#include "../base/state.h"
#include "tasks.h"
#include "thread.h"

#define KNOWN 16u			/* threads that are remembered */
#define STACK_BYTES (16ul << 20)	/* how far a stack is searched for its descriptor */

static pid_t known[KNOWN];		/* threads that are sent no signal */
static uint32_t nknown;

/* The offset of a field in a thread's descriptor, or 0 if the C library does not tell. */
static uint32_t descriptor_field(const char *symbol)
{
	const uint32_t *d = (const uint32_t *)tri_libc_private(symbol);

	return d ? d[2] : 0;
}

/*
 * Whether @word is a return address in an object that is neither @libc nor this library: it follows
 * a call instruction there.
 *
 * A return address into this library is ignored.  It is mostly left over from an earlier use of the
 * stack: the C library keeps the stacks of threads that have ended, and after a fork() those of the
 * parent's threads, and the library's own threads are among these.  If it is not left over, the
 * program has called the library, and the return address into the program is on the stack as well.
 * There is one exception: a handler of the program that has ended with a jump into the C library.
 * What that has left is in the C library's frames and in the arguments of the system call.
 */
static bool returns_elsewhere(uintptr_t word, const struct link_map *libc)
{
	struct dl_find_object o, own;
	unsigned char before[7];
	int n;

	if (_dl_find_object((void *)word, &o) || o.dlfo_link_map == libc ||
	    (!_dl_find_object((void *)returns_elsewhere, &own) &&
	     o.dlfo_link_map == own.dlfo_link_map) ||
	    !tri_read_foreign(before, word - sizeof(before), sizeof(before)))
		return false;
	for (n = 2; n <= 7; n++)
		if (before[7 - n] == 0xff && (before[8 - n] & 0x38) == 0x10)
			return true;
	return before[2] == 0xe8;
}

/*
 * Find the descriptor of thread @tid, whose stack pointer is @sp, if the thread is one of the C
 * library's: it began in the C library, and all return addresses from @sp up to the descriptor lead
 * there.  0: it is another thread, or the library can't know.
 */
static uintptr_t closed_descriptor(pid_t tid, uintptr_t sp)
{
	uint32_t tid_at = descriptor_field("_thread_db_pthread_tid");
	uint32_t start_at = descriptor_field("_thread_db_pthread_start_routine");
	uintptr_t word[512], at, address, start;
	struct dl_find_object libc, o;
	pid_t its;
	size_t i;

	if (!tid_at || !start_at || (tri_is_static && tri_is_static()) ||
	    _dl_find_object(tri_libc_private("_thread_db_pthread_tid"), &libc))
		return 0;
	for (at = sp & ~7ul; at < sp + STACK_BYTES; at += i * sizeof(*word)) {
		size_t bytes = 4096 - (at & 4095);

		if (!tri_read_foreign(word, at, bytes))
			return 0;
		for (i = 0; i < bytes / sizeof(*word); i++) {
			address = at + i * sizeof(*word);
			/* A descriptor begins with its own address. */
			if (word[i] == address &&
			    tri_read_foreign(&its, address + tid_at, sizeof(its)) && its == tid &&
			    tri_read_foreign(&start, address + start_at, sizeof(start)))
				return !_dl_find_object((void *)start, &o) &&
				       o.dlfo_link_map == libc.dlfo_link_map ? address : 0;
			if (returns_elsewhere(word[i], libc.dlfo_link_map))
				return 0;
		}
	}
	return 0;
}

/**
 * Scan @tid if it is a thread of the C library's that blocks the handshake signal and sleeps.
 * Returns whether it is.
 */
bool tri_libc_thread_scan(pid_t tid)
{
	char text[512], *p;
	uintptr_t field[7] = { 0 }, sp, self;
	int n;

	if (!tri_task_blocks_signal(tid) || !tri_task_read(tid, "syscall", text, sizeof(text)))
		return false;
	/* Number, six arguments, stack pointer, instruction pointer; or the word "running". */
	for (p = text, n = 0; n < 7; n++) {
		p = strchr(p, ' ');
		if (!p)
			return false;
		field[n] = strtoul(++p, NULL, 16);
	}
	sp = field[6];
	self = sp ? closed_descriptor(tid, sp) : 0;
	if (!self)
		return false;
	tri_g.agent->fake_stack = NULL;
	tri_scan_range(tri_g.agent, (uintptr_t)field, (uintptr_t)&field[6], false);
	tri_task_scan_stack(tid, self, sp - 128, 0, 0);
	return true;
}

/** Whether tri_libc_thread_note() was called for @tid. */
bool tri_libc_thread_is_known(pid_t tid)
{
	uint32_t i;

	for (i = 0; i < KNOWN; i++)
		if (known[i] == tid)
			return true;
	return false;
}

/** Remember that @tid is a thread of the C library's. */
void tri_libc_thread_note(pid_t tid)
{
	known[nknown++ % KNOWN] = tid;
}

/**
 * Whether the thread with the descriptor @self was made by the library's pthread_create().  It may
 * not have run that function's routine yet.  False also where the C library does not tell.
 */
bool tri_thread_is_beginning(uintptr_t self)
{
	uint32_t start_at = descriptor_field("_thread_db_pthread_start_routine");
	uintptr_t start;

	return start_at && tri_read_foreign(&start, self + start_at, sizeof(start)) &&
	       tri_starting_begins_with(start);
}

/** In the child of a fork(). */
void tri_libc_threads_reset(void)
{
	memset(known, 0, sizeof(known));
}
