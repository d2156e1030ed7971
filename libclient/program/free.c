// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * free.c - tri_free(): objects that the program frees itself
 *
 * The caller promises that nothing will be loaded through the object any more.  The library may use
 * that, but need not.  If the slot can't be used again at once, or the object has no slot of its
 * own, the object is left to the collector, as if it had not been freed.  So nothing here waits,
 * and nothing fails.
 *
 *	while nothing is marked
 *	  in the window		A restartable sequence puts the slot back into the 64 from which the
 *				thread allocates.  It is handed out next.
 *	  elsewhere		Another sequence notes the object in the thread's record.  64 of
 *				these are freed together: their allocation bits are cleared.  Spans
 *				with enough free slots go to their central list, and empty spans to
 *				the page heap.
 *	  large			The pages of the object go back to the page heap.
 *	while something is marked
 *				The object is only noted.  H4 takes the notes, and clears the marks
 *				of the objects before anything is swept.
 *
 * An object must not be freed during a mark phase for this reason.  Object o refers to c.  A thread
 * whose stack has been scanned loads c from o, and frees o, whose memory is used again.  Then the
 * reference to c has vanished without a barrier, and c is lost.  Documentation/design/lifetimes.md
 * has the argument, and selftests/model/free.pml the model.
 *
 * A note is valid until the end of the first cycle that completes after it was made.  No sweep
 * frees the object before that: it was reachable when the mark phase began, or is black, or no
 * phase is on.  An abandoned cycle sweeps nothing, and leaves the notes as they are.
 *
 * Order: `needs_zero` is set before an allocation bit is cleared, since a thread that finds a slot
 * free may take it for zeroed.  A span is claimed before its pages are given back, since other
 * threads allocate from it.  Pages are given back with the page lock held, since the agent frees
 * pages that look half-freed when a collector has died.
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
 * Put the slot at @object back into the window of the cache entry at @entry.  False: it is not in
 * this window, or stores shade, or the slot is free already.  The entry is marked as not zeroed
 * before it gets the slot.  If the sequence is aborted between the two, some slots are zeroed that
 * need not be.
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

/* Note @object in the record of @t, the caller.  False: the record is full, or stores shade. */
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
	/* A handler of the program would run while the thread is inside. */
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

		/* fork() takes this lock before it copies what both of these write to. */
		tri_lock(&t->cache_lock);
		/*
		 * While the checker is on, a slot must be empty when it is handed out again.  Only
		 * the collector sees to that, so the object is left to it.
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

/* A function of its own, so that tri_free() uses no registers that it would have to save. */
static __attribute__((noinline)) void free_later(void *object)
{
	if (!note(tri__tls.thread, object))
		free_slow(object);
}

TRI_EXPORT void tri_free(void *object)
{
	uint64_t offset = tri_offset(object);

	/* Without a heap there are no pages.  A thread without a record has its barrier on. */
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
