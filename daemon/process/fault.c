// SPDX-License-Identifier: GPL-2.0-only
/*
 * fault.c - mappings that lose a page while they are read
 *
 * The collector must survive a page that is missing.  A client of /dev/tricolor may have punched a
 * hole into its tables, or its end may have freed all of its memory while we read it.  Any page of
 * shared memory may be out of reach when no memory is left.  To touch such a page is a bus error.
 *
 * No code has to be prepared for it.  The handler maps zeros of our own over the whole mapping and
 * notes that it did.  The thread that touched the page goes on with an arena that is empty: zeros
 * are no objects, no spans and no work, so all loops come to their ends.  The arena's thread reads
 * the note (fault_happened()) before it relies on what it has seen, and gives the arena up.
 *
 * Guards are never freed but used again, so that the handler may walk the list without a lock.
 */
#include "fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct fault_guard {
	struct fault_guard *next;		/* set before it is in the list */
	_Atomic(uintptr_t) base;		/* 0: unused; writers hold lock */
	_Atomic(size_t) bytes;			/* written while base is 0 */
	atomic_bool happened;			/* the handler */
	_Atomic(size_t) offset;			/* the handler, before that */
};

static _Atomic(struct fault_guard *) guards;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct fault_guard *find(uintptr_t at)
{
	struct fault_guard *g;

	/* pairs with the release in fault_guard() */
	for (g = atomic_load_explicit(&guards, memory_order_acquire); g; g = g->next) {
		uintptr_t base = atomic_load_explicit(&g->base, memory_order_acquire);

		/*
		 * The thread that touched the page owns the guard, so nobody takes that away now.
		 */
		if (base && at - base < atomic_load(&g->bytes))
			return g;
	}
	return NULL;
}

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	struct fault_guard *g = find((uintptr_t)info->si_addr);
	int err = errno;

	(void)context;
	if (g && !atomic_load(&g->happened))
		atomic_store(&g->offset, (uintptr_t)info->si_addr - atomic_load(&g->base));
	if (g && mmap((void *)atomic_load(&g->base), atomic_load(&g->bytes), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED)
		atomic_store(&g->happened, true);
	else
		/*
		 * This page can't be replaced: the instruction is repeated, and ends the process.
		 */
		signal(sig, SIG_DFL);
	errno = err;
}

void fault_init(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_bus_error;
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigaction(SIGBUS, &action, NULL);
}

struct fault_guard *fault_guard(void *base, size_t bytes)
{
	struct fault_guard *g;

	pthread_mutex_lock(&lock);
	for (g = atomic_load(&guards); g && atomic_load(&g->base); g = g->next)
		;
	if (!g) {
		g = calloc(1, sizeof(*g));
		if (g) {
			g->next = atomic_load(&guards);
			/* pairs with the acquire in find() */
			atomic_store_explicit(&guards, g, memory_order_release);
		}
	}
	if (g) {
		atomic_store(&g->bytes, bytes);
		atomic_store(&g->happened, false);
		atomic_store_explicit(&g->base, (uintptr_t)base, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return g;
}

void fault_unguard(struct fault_guard *g)
{
	pthread_mutex_lock(&lock);
	atomic_store(&g->base, 0);
	pthread_mutex_unlock(&lock);
}

bool fault_happened(const struct fault_guard *g)
{
	return atomic_load_explicit(&g->happened, memory_order_acquire);
}

size_t fault_offset(const struct fault_guard *g)
{
	return atomic_load(&g->offset);
}
