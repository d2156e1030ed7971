/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inline.h - what tricolor.h compiles into the program: the fast paths of allocation, barrier and
 * poll
 *
 * Included by tricolor.h, and by nothing else.  A program does not name what begins with tri__ or
 * TRI__.
 *
 * This code is part of the program, and may be older or newer than the library that the program
 * finds.  So all that the two share has a version, TRI__INLINE_VERSION: the thread-local record
 * that the fast paths read, the functions that they call, and the rules by which they store.
 * Documentation/design/barrier.md says when it is raised.  It is in the names of the symbols, so
 * that the linker and the loader refuse what does not fit, and in a note in each object file, for
 * the library and for tools.
 */
#ifndef TRICOLOR_INLINE_H
#define TRICOLOR_INLINE_H

#define TRI__INLINE_VERSION 1

#define TRI__STRING_(x) #x
#define TRI__STRING(x) TRI__STRING_(x)
/* The name that a symbol of the fast paths has in object files. */
#define TRI__VERSIONED(name) #name "_v" TRI__STRING(TRI__INLINE_VERSION)

/* asm goto has outputs since gcc 11. */
#if defined(__x86_64__) && defined(__linux__) && !defined(TRI_NO_INLINE) && \
	(defined(__clang__) || __GNUC__ >= 11)
#define TRI__INLINE 1
#else
#define TRI__INLINE 0
#endif

/*
 * The note: 32 bytes in each object file, which the linker collects in a PT_NOTE segment.  They
 * survive strip(1) and --gc-sections.  Not in a section group: the linker would drop the notes of
 * all object files but one.
 */
#define TRI__NOTE_OWNER "tricolor"
#define TRI__NOTE_INLINE 0x10	/* type: two words of 4 bytes, the version and the flags */
#define TRI__NOTE_FAST 1		/* flag: has fast paths inline; else each store and
					 * allocation is a call */

/* The library's own files have none: it fits itself. */
#if defined(__ELF__) && !defined(TRI__NO_NOTE)
__asm__(".pushsection .note.tricolor, \"a\", %note\n\t"
	".balign 4\n\t"
	".long 2f - 1f, 4f - 3f, " TRI__STRING(TRI__NOTE_INLINE) "\n"
	"1:\t.asciz \"" TRI__NOTE_OWNER "\"\n"
	"2:\t.balign 4\n"
	"3:\t.long " TRI__STRING(TRI__INLINE_VERSION) ", " TRI__STRING(TRI__INLINE) "\n"
	"4:\t.popsection");
#endif

/*
 * Size classes: steps of 16 B up to 128 B, then eight classes for each doubling, so that no request
 * above 128 B wastes more than an eighth of the object.  1 … 72.
 */
static inline __attribute__((unused, always_inline)) unsigned int tri__class(size_t size)
{
	unsigned int k;

	if (size <= 128)
		return (unsigned int)((size + 15 + !size) >> 4);
	k = 63u - (unsigned int)__builtin_clzll((unsigned long long)size - 1);
	return ((k - 7) << 3) + 9 + (((unsigned int)(size - 1) >> (k - 3)) & 7);
}

/* The order is part of the layout shared with the collector (core/heap/layout.h). */
enum tri__kind { TRI__LEAF = 0, TRI__CONSERVATIVE = 1, TRI__TYPED = 2 };

/*
 * One entry of a thread's cache.  @free is the only word that the fast path writes, and the last
 * thing that it does: see tri__take().
 */
struct tri__cache {
	uint64_t free;			/* slots of the window that are free, bit 0 = @base */
	char *base;
	uint32_t bytes;			/* of the window */
	uint32_t zeroed;		/* the slots hold zeros already */
};

#define TRI__CACHES 218			/* 1 + (class - 1) * 3 + kind; 217: pairs of tiny ones */
#define TRI__TINY_MAX 8			/* leaf objects of up to 8 B come two to a slot */

/*
 * Thread-local state that the inline paths read.  A thread that is not attached has @caches
 * pointing at an empty one and @barrier set, so that both paths lead into the library.
 */
struct tri__tls {
	struct tri__cache *caches;	/* written by the thread and, to divert it, by the agent */
	uint32_t barrier;		/* non-zero: stores go through the library; by the agent */
	uint32_t attention;		/* non-zero: tri_poll() has something to do */
	void *thread;
};

extern __thread struct tri__tls tri__tls __asm__(TRI__VERSIONED(tri__tls))
	__attribute__((tls_model("initial-exec")));

/* Out of line halves of the inline functions. */
void *tri__alloc_slow(size_t size, unsigned int kind) __asm__(TRI__VERSIONED(tri__alloc_slow));
void tri__store_slow(void *slot, const void *value) __asm__(TRI__VERSIONED(tri__store_slow));
void tri__poll_slow(void) __asm__(TRI__VERSIONED(tri__poll_slow));
void tri__unload(void) __attribute__((weak));		/* the collector has none */

#if TRI__INLINE
extern const ptrdiff_t __rseq_offset;	/* glibc 2.35; the library refuses older ones */

/*
 * A restartable sequence from label 1 to label 2: a signal, a preemption or a membarrier that hits
 * it sends the thread back to label 3.  Everything up to 2 may run several times; only the last
 * instruction may have an effect.
 */
#define TRI__RSEQ_ENTER							\
	".pushsection __rseq_cs, \"aw?\"\n\t"				\
	".balign 32\n"							\
	"7:\n\t"							\
	".long 0, 0\n\t"						\
	".quad 1f, 2f - 1f, 4f\n\t"					\
	".popsection\n"							\
	"3:\n\t"							\
	"leaq 7b(%%rip), %%rax\n\t"					\
	"movq %%rax, %%fs:8(%[rseq])\n"					\
	"1:\n\t"
#define TRI__RSEQ_LEAVE							\
	"2:\n\t"							\
	".pushsection __rseq_failure, \"ax?\"\n\t"			\
	".byte 0x0f, 0xb9, 0x3d\n\t"					\
	".long 0x53053053\n"						\
	"4:\n\t"							\
	"jmp 3b\n\t"							\
	".popsection\n\t"

/*
 * The last destructor of an object with such sequences: no thread may name one when they are
 * unmapped.
 */
#ifndef TRI__EMIT
static __attribute__((destructor(101), unused)) void tri__unload_this(void)
{
	if (tri__unload)
		tri__unload();
}
#endif

static inline __attribute__((unused, always_inline)) uintptr_t tri__tls_offset(void)
{
	uintptr_t offset;

	__asm__("movq " TRI__VERSIONED(tri__tls) "@gottpoff(%%rip), %0" : "=r"(offset));
	return offset;
}

/*
 * Take the next free slot of a cache entry, or NULL.  The pointer is computed before its bit is
 * consumed: an interruption in between finds the slot free and the pointer dead.
 */
static inline __attribute__((unused, always_inline)) char *tri__take(size_t entry_offset,
								     uint32_t size)
{
	char *object;
	uint64_t rest;

	__asm__ goto(
		TRI__RSEQ_ENTER
		"movq %%fs:(%[tls]), %%rcx\n\t"
		"addq %[entry], %%rcx\n\t"
		"movq (%%rcx), %[rest]\n\t"
		"bsfq %[rest], %[object]\n\t"
		"jz %l[empty]\n\t"
		"leaq -1(%[rest]), %%rax\n\t"
		"andq %%rax, %[rest]\n\t"
		"imulq %[size], %[object]\n\t"
		"addq 8(%%rcx), %[object]\n\t"
		"movq %[rest], (%%rcx)\n"
		TRI__RSEQ_LEAVE
		: [object] "=&r"(object), [rest] "=&r"(rest)
		: [rseq] "r"(__rseq_offset), [tls] "r"(tri__tls_offset()),
		  [entry] "er"(entry_offset), [size] "er"((uint64_t)size)
		: "rax", "rcx", "cc", "memory"
		: empty);
	return object;
empty:
	return NULL;
}

static inline __attribute__((unused, always_inline)) uint32_t tri__class_bytes(unsigned int c)
{
	unsigned int k = 7 + (c - 9) / 8;

	return c <= 8 ? c * 16 : (1u << k) + (((c - 9) % 8 + 1) << (k - 3));
}

/*
 * Zero a slot.  Compilers make a string instruction of a constant memset() above 128 B, which
 * takes four times as long as libc's own; so that one is called, under a name that they do not
 * know.
 */
extern void *tri__memset(void *to, int value, size_t bytes) __asm__("memset");

static inline __attribute__((unused, always_inline)) void *tri__zero(void *object, size_t bytes)
{
	return bytes <= 128 ? memset(object, 0, bytes) : tri__memset(object, 0, bytes);
}

static inline __attribute__((unused, always_inline)) void *tri__alloc_inline(size_t size,
									     unsigned int kind)
{
	unsigned int c = tri__class(size);
	size_t entry = (size_t)(1 + (c - 1) * 3 + kind) * sizeof(struct tri__cache);
	uint32_t bytes = tri__class_bytes(c);
	char *object = tri__take(entry, bytes);

	if (__builtin_expect(!object, 0))
		return tri__alloc_slow(size, kind);
	return tri__zero(object, bytes);
}
#endif /* TRI__INLINE */

#if TRI__INLINE || defined(TRI__EMIT)
TRI__API_ALLOC void *tri_alloc(size_t size)
{
#if TRI__INLINE
	if (__builtin_constant_p(size) && size <= 512)
		return tri__alloc_inline(size, TRI__CONSERVATIVE);
#endif
	return tri__alloc_slow(size, TRI__CONSERVATIVE);
}

TRI__API_ALLOC void *tri_alloc_leaf(size_t size)
{
#if TRI__INLINE
	if (__builtin_constant_p(size) && size > TRI__TINY_MAX && size <= 512)
		return tri__alloc_inline(size, TRI__LEAF);
#endif
	return tri__alloc_slow(size, TRI__LEAF);
}
#else
TRI__API_ALLOC void *tri_alloc(size_t size)
{
	return tri__alloc_slow(size, TRI__CONSERVATIVE);
}

TRI__API_ALLOC void *tri_alloc_leaf(size_t size)
{
	return tri__alloc_slow(size, TRI__LEAF);
}
#endif

#if TRI__INLINE
TRI__API void tri_store(void *slot, const void *value)
{
	__asm__ goto(
		TRI__RSEQ_ENTER
		"cmpl $0, %%fs:8(%[tls])\n\t"
		"jne %l[slow]\n\t"
		"movq %[value], (%[slot])\n"
		TRI__RSEQ_LEAVE
		:
		: [rseq] "r"(__rseq_offset), [tls] "r"(tri__tls_offset()), [slot] "r"(slot),
		  [value] "r"(value)
		: "rax", "cc", "memory"
		: slow);
	return;
slow:
	tri__store_slow(slot, value);
}
#else
TRI__API void tri_store(void *slot, const void *value)
{
	tri__store_slow(slot, value);
}
#endif

TRI__API void tri_poll(void)
{
	if (__builtin_expect(tri__tls.attention, 0))
		tri__poll_slow();
}

#endif /* TRICOLOR_INLINE_H */
