// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * watched.c - programs under valgrind, rr or the thread sanitizer
 *
 * valgrind keeps a record of each byte of a mapping, so an arena of 64 GiB would take half an
 * hour.  It also ends a program that makes a process as spawn.c does.  So a heap is small there
 * (settings.c), and has no private collector.  A shared one serves it.
 *
 * rr replays what it has recorded, and does not record what another process writes to shared
 * memory. It is refused.
 *
 * The thread sanitizer holds a signal back until its thread is at certain places, where our
 * handler finds other registers than those that were interrupted.  It also crashes in threads that
 * it has not seen begin, such as the agent.  It is refused.
 */
#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "watched.h"

/* Programs that are built with -fsanitize=thread have this function. */
void __tsan_init(void) __attribute__((weak));

/** Check that a heap would work.  Returns 0 or -ENOTSUP. */
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
 * Whether this program runs in valgrind.  These instructions are a request to valgrind, and change
 * nothing on a processor.
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
