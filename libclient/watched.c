// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * watched.c - programs that something runs which wants to know all that they do
 *
 * valgrind: its tools keep a record of each byte of a mapping, so that an arena of 64 GiB takes
 * half an hour; and it ends a program that makes a process as spawn.c does.  So a heap is small
 * there (settings.c), and has no private collector.  A shared one serves it.
 *
 * rr: what it replays is what it has recorded, and it does not record what a process outside writes
 * to shared memory.  Refused.
 *
 * The thread sanitizer: it holds signals back until its thread is at a place that it likes, where
 * our handler finds other registers than those that were interrupted, and crashes in threads that
 * it has not seen begin, as the agent.  Refused.
 */
#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "watched.h"

/* Of programs that are built with -fsanitize=thread. */
void __tsan_init(void) __attribute__((weak));

/** 0, or -ENOTSUP where a heap would not work. */
int tri_watched_check(void)
{
	if (secure_getenv("RUNNING_UNDER_RR"))
		return tri_fail(
			ENOTSUP,
			"tricolor: rr can't record a heap that another process writes to; run the "
			"program without rr");
#ifndef __SANITIZE_THREAD__
	if (__tsan_init)
		return tri_fail(
			ENOTSUP,
			"tricolor: this program is built with -fsanitize=thread, which holds back "
			"the signal that threads are scanned by: build it without");
#endif
	return 0;
}

/**
 * Whether this program runs in valgrind: a request that it answers, and that a processor makes
 * nothing of.
 */
bool tri_on_valgrind(void)
{
#ifdef __x86_64__
	uint64_t request[6] = { 0x1001 /* VG_USERREQ__RUNNING_ON_VALGRIND */ }, answer = 0;

	__asm__ volatile("rolq $3, %%rdi\n\t"
			 "rolq $13, %%rdi\n\t"
			 "rolq $61, %%rdi\n\t"
			 "rolq $51, %%rdi\n\t"
			 "xchgq %%rbx, %%rbx"
			 : "+d"(answer)
			 : "a"(request)
			 : "cc", "memory");
	return answer != 0;
#else
	return false;
#endif
}
