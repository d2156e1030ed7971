// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * main_thread.c - the main thread, which another thread may attach
 *
 * The main thread may hold pointers that it loads from globals without ever calling the library.
 * So the thread that starts the heap attaches it, and has to know where its thread-local data are.
 */
#include <sys/rseq.h>
#include <unistd.h>

#include "life.h"
#include "main_thread.h"
#include "../roots/stack.h"
#include "../base/state.h"
#include "thread.h"

/* All of the main thread.  NULL: another thread has loaded the library later. */
static struct tri__tls *main_tls;
static pthread_t main_pthread;
static uint64_t *main_rseq_cs;

/**
 * The word in which the kernel finds the restartable sequence that the calling thread is in.  NULL:
 * there is no rseq.
 */
uint64_t *tri_rseq_word(void)
{
	return __rseq_size ? (uint64_t *)((char *)__builtin_thread_pointer() + __rseq_offset + 8) :
			     NULL;
}

/** The caller is the main thread: at the library's start, and in the child of a fork(). */
void tri_main_thread_is_here(void)
{
	tri_life_begin_main();
	main_tls = &tri__tls;
	main_pthread = pthread_self();
	main_rseq_cs = tri_rseq_word();
}

bool tri_is_main_thread(void)
{
	return main_tls == &tri__tls;
}

__attribute__((constructor)) static void remember_main(void)
{
	if (gettid() == getpid())
		tri_main_thread_is_here();
}

/** Before the heap is ready: attach the main thread, if it is not the caller. */
void tri_main_thread_attach(void)
{
	struct tri_thread *t;

	if (!main_tls || main_tls == &tri__tls || tri_main_is_over())
		return;
	t = tri_thread_new_with_slot();
	if (!t)
		return;
	t->tid = tri_g.pid;
	t->rseq_cs = main_rseq_cs;
	tri_stack_find(t, main_pthread, false);
	tri_life_of_main(t);
	pthread_mutex_lock(&tri_g.list_lock);
	if (main_tls->thread)
		tri_thread_discard(t);
	else
		tri_thread_link(t, main_tls, true);
	pthread_mutex_unlock(&tri_g.list_lock);
}
