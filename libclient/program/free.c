// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * free.c - tri_free(): objects that the program frees itself
 *
 * The caller vouches that nothing will be loaded through the object any more.  That is a
 * permission: an object whose slot can't be used again at once, or that has no slot of its own, is
 * left to the collector, which finds it as it finds all others.  So nothing here waits, and nothing
 * fails.
 *
 *	while nothing is marked
 *	  in the window		The slot goes back into the 64 that the thread allocates from: it
 *				is the next to be handed out.  A restartable sequence.
 *	  elsewhere		The object is noted in the thread's record, by another sequence, and
 *				64 are freed together: their allocation bits are cleared, and spans
 *				with enough free slots go to their central list, empty ones to the
 *				page heap.
 *	  large			Its pages go back to the page heap.
 *	while something is marked
 *				The object is noted, and no more.  H4 takes the notes, and withdraws
 *				the marks of the objects before anything is swept.
 *
 * Why a mark phase has to be waited for: o refers to c, c is loaded into a stack that has been
 * scanned, o is freed, and its memory is used again.  The reference to c is gone without a barrier,
 * and c is lost.  Documentation/design/lifetimes.md has the argument, and selftests/model/free.pml
 * the model.
 *
 * A note holds until the end of the first cycle that completes after it was made.  Its object was
 * reachable when the mark phase began, or is black, or no phase is on: so no sweep has freed it
 * before.  An abandoned cycle sweeps nothing, and leaves the notes as they are.
 *
 * Order: `needs_zero` is set before an allocation bit is cleared, as whoever finds a slot free may
 * take it for zeroed.  A span is claimed before its pages are given back, as others allocate from
 * it.  Pages are given back with the page lock held, as the agent frees what looks half-freed when
 * a collector has died.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../base/attributes.h"
#include "../base/error.h"
#include "../heap/freed.h"
#include "inside.h"
#include "../base/lock.h"
#include "../base/real.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tricolor.h"


/* ------------------------------------------------------------------------------------------ */
/* Restartable sequences                                                                      */
/* ------------------------------------------------------------------------------------------ */

#if TRI__INLINE
/*
 * Put the slot at @object back into the window of the cache entry at @entry.  False: it is in
 * another one, or stores shade, or the slot is free already.  The entry says "not zeroed" before it
 * has the slot; if the sequence ends between the two, somebody zeroes in vain.
 */
static inline bool push(size_t entry, const struct tri_class *c, const void *object)
{
	uint64_t index, free;

	__asm__ volatile goto(
		TRI__RSEQ_ENTER
		"cmpl $0, %%fs:8(%[tls])\n\t"
		"jne %l[no]\n\t"
		"movq %%fs:(%[tls]), %%rcx\n\t"
		"addq %[entry], %%rcx\n\t"
		"movq %[object], %[index]\n\t"
		"subq 8(%%rcx), %[index]\n\t"
		"movl 16(%%rcx), %%eax\n\t"
		"cmpq %%rax, %[index]\n\t"
		"jae %l[no]\n\t"
		"movl %c[magic](%[class]), %%eax\n\t"
		"imulq %%rax, %[index]\n\t"
		"shrq $32, %[index]\n\t"
		"movq (%%rcx), %[free]\n\t"
		"btsq %[index], %[free]\n\t"
		"jc %l[no]\n\t"
		"movl $0, 20(%%rcx)\n\t"
		"movq %[free], (%%rcx)\n"
		TRI__RSEQ_LEAVE
		: [index] "=&r"(index), [free] "=&r"(free)
		: [rseq] "r"(__rseq_offset), [tls] "r"(tri__tls_offset()), [entry] "r"(entry),
		  [object] "r"(object), [class] "r"(c),
		  [magic] "i"(offsetof(struct tri_class, magic))
		: "rax", "rcx", "cc", "memory"
		: no);
	return true;
no:
	return false;
}

/* Note @object in the record of @t, the calling thread.  False: it is full, or stores shade. */
static inline bool note(struct tri_thread *t, const void *object)
{
	__asm__ volatile goto(
		TRI__RSEQ_ENTER
		"cmpl $0, %%fs:8(%[tls])\n\t"
		"jne %l[no]\n\t"
		"movl %c[count](%[thread]), %%ecx\n\t"
		"cmpl %[room], %%ecx\n\t"
		"jae %l[no]\n\t"
		"movq %[object], %c[notes](%[thread],%%rcx,8)\n\t"
		"incl %%ecx\n\t"
		"movl %%ecx, %c[count](%[thread])\n"
		TRI__RSEQ_LEAVE
		:
		: [rseq] "r"(__rseq_offset), [tls] "r"(tri__tls_offset()), [thread] "r"(t),
		  [object] "r"(object), [room] "i"(TRI_FREED),
		  [count] "i"(offsetof(struct tri_thread, nfreed)),
		  [notes] "i"(offsetof(struct tri_thread, freed))
		: "rax", "rcx", "cc", "memory"
		: no);
	return true;
no:
	return false;
}
_Static_assert(offsetof(struct tri__cache, free) == 0 && offsetof(struct tri__cache, base) == 8 &&
		       offsetof(struct tri__cache, bytes) == 16 &&
		       offsetof(struct tri__cache, zeroed) == 20,
	       "push()");
#else
static inline bool push(size_t entry, const struct tri_class *c, const void *object)
{
	(void)entry, (void)c, (void)object;
	return false;
}

static inline bool note(struct tri_thread *t, const void *object)
{
	(void)t, (void)object;
	return false;
}
#endif

/* ------------------------------------------------------------------------------------------ */
/* tri_free()                                                                                 */
/* ------------------------------------------------------------------------------------------ */

static void __attribute__((noreturn)) wrong(const void *object, const char *what)
{
	static const struct sigaction by_default = { .sa_handler = SIG_DFL };
	char text[256];

	snprintf(text, sizeof(text), "tricolor: tri_free(%p): %s", object, what);
	tri_print(text);
	/* A handler of the program's would run inside. */
	tri_real_sigaction(SIGABRT, &by_default, NULL);
	abort();
}

static __attribute__((noinline)) void free_slow(void *object)
{
	struct tri_thread *t;
	int err = errno;

	if (!object)
		return;
	t = tri_enter();
	if (t) {
		const char *fault = NULL;

		/* What both write to must be whole when fork() copies it, which takes this lock. */
		tri_lock(&t->cache_lock);
		/*
		 * With the checker on a slot that is handed out anew has to be empty: the
		 * collector's.
		 */
		if (tri_g.settings.frees)
			fault = tri_freed_check(t, object);
		else if (!tri_g.settings.barriers)
			tri_freed_add(t, object);
		tri_unlock(&t->cache_lock);
		if (fault)
			wrong(object, fault);
		tri_leave(t);
	}
	errno = err;
}

/* By itself, so that tri_free() needs no registers that it would have to save. */
static __attribute__((noinline)) void free_later(void *object)
{
	if (!note(tri__tls.thread, object))
		free_slow(object);
}

TRI_EXPORT void tri_free(void *object)
{
	uint64_t offset = tri_offset(object);

	/* No heap: no pages.  What is not attached finds its barrier on. */
	if (likely(offset >> TRI_PAGE_SHIFT < tri_g.view.heap_pages &&
		   tri_g.settings.frees_at_once)) {
		unsigned int span_class = tri_read(&tri_g.view.page_map[offset >> TRI_PAGE_SHIFT]);
		const struct tri_class *c = &tri_classes[span_class];

		if (likely(c->size && span_class != TRI_SPAN_CLASS_TINY)) {
			if (likely(push((size_t)span_class * sizeof(struct tri__cache), c, object)))
				return;
			if (c->size <= TRI_NOTED_MAX) {
				free_later(object);
				return;
			}
		}
	}
	free_slow(object);
}
