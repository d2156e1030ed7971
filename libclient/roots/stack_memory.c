// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stack_memory.c - stacks that grow and shrink: the memory of tri_stack_new()
 *
 * A stack is a range that is reserved as a whole.  The kernel gives memory to a page when it is
 * first touched, so growing needs nothing.  In each cycle, the memory below the stack pointer goes
 * back to the kernel if less than a quarter of what the stack has is used:
 *
 *  - of the stack that a thread runs on, by that thread, when it has scanned itself;
 *  - of a stack that was left by tri_stack_switch(), by the agent, when it has scanned it.  Rule 5
 *    in coroutine.c says when nobody can be on such a stack.
 *
 * Nobody else's stack pointer is known well enough.  A thread in a blocking region, for which the
 * agent answers, goes on with its stack at any time.
 *
 * This file has the table of these ranges, which says whether a stack that is registered is one of
 * them.  Entries are never unmapped.  Each change of the table is one store, so a child of fork()
 * finds it whole.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../base/lock.h"
#include "../threads/thread.h"
#include "stack_memory.h"

#define PAGE 4096ul
#define SMALL_BYTES 65536ul	/* a stack that has no more memory keeps it */
#define BUCKETS 1024
#define CHUNK_ENTRIES 170

struct memory {
	uintptr_t lo;
	size_t bytes;
	struct tri_stack *stack;	/* that it is registered as; NULL: it is not */
	struct memory *next;		/* in its bucket, or of the free ones */
};

/* Protects all that follows. */
static struct tri_lock lock;
static struct memory *buckets[BUCKETS];
static struct memory *free_entries;

static struct memory **bucket(uintptr_t lo)
{
	return &buckets[(lo / PAGE * 0x9e3779b97f4a7c15ull) >> 54];
}

/* Where the entry of the range that begins at @lo hangs.  *NULL*: there is none. */
static struct memory **find(uintptr_t lo)
{
	struct memory **m = bucket(lo);

	while (*m && (*m)->lo != lo)
		m = &(*m)->next;
	return m;
}

static struct memory *entry_new(void)
{
	struct memory *m, *chunk;
	unsigned int i;

	if (!free_entries) {
		chunk = mmap(NULL, CHUNK_ENTRIES * sizeof(*chunk), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (chunk == MAP_FAILED)
			return NULL;
		for (i = 0; i < CHUNK_ENTRIES; i++) {
			chunk[i].next = free_entries;
			free_entries = &chunk[i];
		}
	}
	m = free_entries;
	free_entries = m->next;
	return m;
}

/** Note a range.  Returns 0 or -ENOMEM. */
int tri_stack_memory_add(uintptr_t lo, size_t bytes)
{
	struct memory *m;

	tri_lock(&lock);
	m = entry_new();
	if (m) {
		m->lo = lo;
		m->bytes = bytes;
		m->stack = NULL;
		m->next = *bucket(lo);
		*bucket(lo) = m;
	}
	tri_unlock(&lock);
	return m ? 0 : -ENOMEM;
}

/** Forget the range that begins at @lo.  Returns its size; 0: there is none. */
size_t tri_stack_memory_remove(uintptr_t lo)
{
	struct memory **at, *m;
	size_t bytes = 0;

	tri_lock(&lock);
	at = find(lo);
	m = *at;
	if (m) {
		bytes = m->bytes;
		*at = m->next;
		m->next = free_entries;
		free_entries = m;
	}
	tri_unlock(&lock);
	return bytes;
}

/** The stack that the range which begins at @lo is registered as, or NULL. */
struct tri_stack *tri_stack_memory_owner(uintptr_t lo)
{
	struct tri_stack *s;

	tri_lock(&lock);
	s = *find(lo) ? (*find(lo))->stack : NULL;
	tri_unlock(&lock);
	return s;
}

/**
 * @s, from @lo on, is about to be registered.  Returns 1 if it is a range of the table, 0 if it is
 * none, and -EBUSY if the range is registered already: two descriptors would each have a stack
 * pointer of their own.
 */
int tri_stack_memory_register(uintptr_t lo, struct tri_stack *s)
{
	struct memory *m;
	int is = 0;

	tri_lock(&lock);
	m = *find(lo);
	if (m)
		is = m->stack ? -EBUSY : 1;
	if (is == 1)
		m->stack = s;
	tri_unlock(&lock);
	return is;
}

/** @s, whose memory is a range of the table, is no longer registered. */
void tri_stack_memory_unregister(const struct tri_stack *s)
{
	struct memory *m;

	tri_lock(&lock);
	m = *find(s->lo);
	if (m && m->stack == s)
		m->stack = NULL;
	tri_unlock(&lock);
}

/** In a forked child another thread of the parent may have had the lock. */
void tri_stack_memory_reset(void)
{
	memset(&lock, 0, sizeof(lock));
}

/* ------------------------------------------------------------------------------------------ */
/* Giving memory back                                                                         */
/* ------------------------------------------------------------------------------------------ */

/**
 * Whether less than a quarter of the memory of a stack is used, from @sp up to @hi, and the rest
 * can go: what lies between @lo and @end.  Pages in swap do not count.  @to: as in tri_scan_copy().
 */
bool tri_stack_wants_to_shrink(struct tri_thread *to, uintptr_t lo, uintptr_t hi, uintptr_t sp,
			       uintptr_t end)
{
	uintptr_t from, used = hi - sp, has = hi - end;
	size_t i;

	if (end <= lo)
		return false;
	for (from = lo; from < end; from += sizeof(to->copy) * PAGE) {
		uintptr_t pages = (end - from) / PAGE;

		if (pages > sizeof(to->copy))
			pages = sizeof(to->copy);
		if (syscall(SYS_mincore, from, pages * PAGE, to->copy))
			return false;
		for (i = 0; i < pages; i++)
			has += (to->copy[i] & 1) * PAGE;
	}
	return has > SMALL_BYTES && has > hi - end && used < has / 4;
}

/** Give the memory of whole pages back.  False: the kernel does not, as they are locked. */
bool tri_stack_give_back(uintptr_t lo, uintptr_t end)
{
	return !syscall(SYS_madvise, lo, end - lo, MADV_DONTNEED);
}

/**
 * Shrink the stack that the calling thread runs on, on which @sp is the lowest address in use that
 * it knows of.  The frames of this function and of its callers may lie below that, on the same
 * stack.  The page below the lowest frame stays, for what the functions called from here need.
 */
__attribute__((noinline))
void tri_stack_shrink_running(struct tri_thread *t, const struct tri_stack *s, uintptr_t sp)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), end;

	if (here >= s->lo && here < sp)
		sp = here;
	end = (sp - PAGE) & ~(PAGE - 1);
	/* A signal stack below the stack pointer, where it should not be. */
	if (end <= s->lo || (t->signal_lo < end && t->signal_hi > s->lo))
		return;
	if (tri_stack_wants_to_shrink(t, s->lo, s->hi, sp, end))
		tri_stack_give_back(s->lo, end);
}
