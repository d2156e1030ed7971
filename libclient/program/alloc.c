// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * alloc.c - allocation
 *
 * The inline path of tricolor.h takes a slot from the thread's cache.  Everything else comes here:
 *
 *	the size is no constant	the same restartable sequence, with a class computed at run time
 *	the entry is empty	cache.c refills it, with the cache lock held
 *	a typed object		the same, and the type's bitmap is written
 *	a leaf of up to 8 B	two of them share a slot
 *	above 32 KiB		the object gets a span of its own
 *	no page is free		one cycle is waited for; then NULL and ENOMEM
 *
 * Zeroing comes last, when the thread is outside again, because it takes a while for a large
 * object. The scan of a slot that still holds old data keeps objects that it need not keep, but
 * loses none.
 */
#include <errno.h>
#include <string.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "assist.h"
#include "../base/attributes.h"
#include "../limits/uncollected.h"
#include "../heap/cache.h"
#include "../checker/checker.h"
#include "../start/child.h"
#include "../base/error.h"
#include "find_object.h"
#include "gc.h"
#include "../start/init.h"
#include "inside.h"
#include "../base/lock.h"
#include "../heap/pageheap.h"
#include "../limits/pressure.h"
#include "../roots/pool_roots.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "../limits/throttle.h"
#include "tricolor.h"

/*
 * Write the lowest @n bits of @bits to the pointer map from bit @at on.  The caller owns the span.
 */
static void put_bits(tri_au64 *map, uint64_t at, unsigned int n, uint64_t bits)
{
	uint64_t mask = n == 64 ? ~0ull : (1ull << n) - 1;
	tri_au64 *word = &map[at / 64];
	unsigned int shift = at & 63;

	bits &= mask;
	tri_write(word, (tri_read(word) & ~(mask << shift)) | bits << shift);
	if (shift + n > 64) {
		word++;
		tri_write(word, (tri_read(word) & ~(mask >> (64 - shift))) | bits >> (64 - shift));
	}
}

/*
 * Write to the pointer map that the slot of @slot_bytes at @object holds @count elements of @type,
 * and no pointers behind them.
 */
static void write_type(const void *object, size_t slot_bytes, const struct tri_type *type,
		       size_t count)
{
	tri_au64 *map = &tri_g.view.ptrmap[0][0];
	uint64_t at = tri_offset(object) / 8, end = at + slot_bytes / 8;
	size_t words = type->size / 8, i, w;

	for (i = 0; i < count; i++) {
		for (w = 0; w < words; w += 64) {
			unsigned int n = words - w < 64 ? (unsigned int)(words - w) : 64;

			put_bits(map, at, n, type->ptrmap[w / 64]);
			at += n;
		}
	}
	for (; at < end; at += 64)
		put_bits(map, at, end - at < 64 ? (unsigned int)(end - at) : 64, 0);
}

/*
 * There are no pages: wait for a cycle.  Returns whether one has run, so that another try is
 * worthwhile.  Where the limit policy refuses the allocation (fail-fast), it is refused at once,
 * because the collector has had all the CPU time that it may take.
 */
static bool emergency(void)
{
	return !tri_refusing() &&
	       tri_gc_wait(&tri_g.gc_wanted, &tri_g.view.ctl->gc_done, TRI_WAKE_GC) == 0;
}

/*
 * There are no pages, or none before the thread has waited.  Returns whether another try is
 * worthwhile.  That is so after one cycle, and after a second one if that lets go of what pools
 * hold.
 */
static bool try_again(struct tri_thread *t, struct tri_throttled *w, unsigned int *cycles)
{
	bool again = false;

	tri_leave(t);
	if (t->short_bytes) {
		/*
		 * A child of fork() has no agent before it needs one.  Without an agent no cycle
		 * would end the wait.
		 */
		if (tri_g.settings.max_wait_s && !t->depth)
			tri_agent_ensure();
		again = tri_throttle_wait(t, w);
	} else if (!*cycles || (*cycles == 1 && tri_pool_roots_victim())) {
		++*cycles;
		again = emergency();
	}
	tri_enter();
	return again;
}

/*
 * How the user gets a larger arena.  If it is smaller than was asked for, the system allows no
 * larger one.
 */
static const char *larger_arena(void)
{
	if (tri_g.view.heap_pages << TRI_PAGE_SHIFT < tri_g.settings.arena_bytes)
		return "raise the limit of address space or of file sizes (ulimit -v, ulimit -f), which allows "
		       "no larger one";
	return "set TRICOLOR_ARENA_SIZE or tri_options.arena_bytes higher";
}

/*
 * Leave a sentence that says why @pages could not be had; UINT64_MAX: more than there are addresses
 * for.  @throttled: the thread has waited, and has got nothing.
 */
static void *out_of_memory(uint64_t pages, bool throttled)
{
	if (tri_refused())
		return NULL;
	errno = ENOMEM;
	if (throttled) {
		tri_throttle_why();
		return NULL;
	}
	if (pages >= tri_g.view.heap_pages) {
		tri_fail(
			ENOMEM,
			"tricolor: an object of that size is larger than the arena of %llu MiB; %s",
			(unsigned long long)(tri_g.view.heap_pages >> (20 - TRI_PAGE_SHIFT)),
			larger_arena());
		return NULL;
	}
	if (tri_uncollected_is_full(pages)) {
		tri_uncollected_why();
		return NULL;
	}
	tri_fail(ENOMEM,
		 "tricolor: the arena of %llu MiB is full and a collection freed too little; %s",
		 (unsigned long long)(tri_g.view.heap_pages >> (20 - TRI_PAGE_SHIFT)),
		 larger_arena());
	return NULL;
}

static void *too_large(void)
{
	return tri_start(NULL) ? NULL : out_of_memory(UINT64_MAX, false);
}

/* Try to take a slot.  *@zeroed: whether it is known to hold zeros.  Called inside. */
static inline void *take_small(struct tri_thread *t, unsigned int span_class,
			       const struct tri_type *type, size_t count, bool *zeroed)
{
	uint32_t size = tri_classes[span_class].size;
	char *object =
		type ? tri__take((size_t)span_class * sizeof(struct tri__cache), size) : NULL;

	if (object) {
		write_type(object, size, type, count);
		return object;
	}
	tri_lock(&t->cache_lock);
	TRI_POINT("alloc.locked");
	object = tri_cache_alloc(t, span_class, zeroed);
	if (object && type)
		write_type(object, size, type, count);
	tri_unlock(&t->cache_lock);
	return object;
}

/*
 * Wait and try again, as long as that makes sense.  *@throttled becomes true if the thread has
 * waited and has got nothing.
 */
static __attribute__((noinline)) void *take_small_again(struct tri_thread *t,
							unsigned int span_class,
							const struct tri_type *type, size_t count,
							bool *zeroed, bool *throttled)
{
	struct tri_throttled w;
	unsigned int cycles = 0;
	void *object = NULL;

	tri_throttle_begin(&w);
	while (!object && try_again(t, &w, &cycles))
		object = take_small(t, span_class, type, count, zeroed);
	tri_throttle_end(t, &w);
	*throttled = w.failed;
	return object;
}

/* Nearly all allocations need not wait, and so the state of a wait is not in this function. */
static void *alloc_small(struct tri_thread *t, unsigned int span_class, const struct tri_type *type,
			 size_t count)
{
	bool zeroed = false, throttled = false;
	void *object = take_small(t, span_class, type, count, &zeroed);

	if (unlikely(!object))
		object = take_small_again(t, span_class, type, count, &zeroed, &throttled);
	tri_leave(t);
	tri_assist(t);
	if (!object)
		return out_of_memory(tri_classes[span_class].pages, throttled);
	return zeroed ? object : memset(object, 0, tri_classes[span_class].size);
}

/* Leaf objects of up to 8 B: two share a slot, which lives as long as one of them does. */
static void *alloc_tiny(struct tri_thread *t)
{
	char *object;
	bool zeroed;

	tri_lock(&t->cache_lock);
	object = t->tiny;
	t->tiny = NULL;
	if (!object) {
		object = tri_cache_alloc(t, TRI_SPAN_CLASS_TINY, &zeroed);
		if (object)
			t->tiny = memset(object, 0, 16) + 8;
	}
	tri_unlock(&t->cache_lock);
	if (!object)
		return alloc_small(t, TRI_SPAN_CLASS_TINY, NULL, 0);
	tri_leave(t);
	tri_assist(t);
	return object;
}

static uint32_t take_large(struct tri_thread *t, uint32_t pages, uint32_t align, unsigned int kind,
			   size_t size, bool *backed)
{
	const struct tri_view *v = &tri_g.view;
	uint32_t page = tri_pageheap_take(pages, align, backed), i;

	if (!page)
		return 0;
	/* For the second marking and the checker, as in open_window() in cache.c. */
	if (*backed && (tri_g.settings.checkmark || tri_g.settings.barriers))
		memset(v->heap + ((uint64_t)page << TRI_PAGE_SHIFT), 0,
		       (uint64_t)pages << TRI_PAGE_SHIFT);
	tri_lock(&t->cache_lock);
	tri_write(&v->marks[t->gen & 1][page][0], 1);
	tri_write(&v->marks[~t->gen & 1][page][0], t->black);
	tri_write(&v->scanned[page][0], t->black);
	tri_write(&v->queued[page], 0);
	for (i = 0; i < pages && kind == TRI__TYPED; i++)
		(void)tri_read(&v->ptrmap[page + i][0]);
	tri_write(&v->spans[page].pages, pages);
	tri_write(&v->spans[page].list_entry, 0);
	/* The span may have holes until alloc_large() has zeroed it. */
	tri_write(&v->spans[page].needs_zero, 0);
	v->spans[page].bytes = size;
	tri_write_release(&v->spans[page].state,
			  TRI_STATE(TRI_SPAN_CLASS_LARGE + kind, TRI_SPAN_LARGE, 0, t->gen));
	for (i = 0; i < pages; i++)
		tri_write(&v->span_of[page + i], page);
	for (i = 0; i < pages; i++)
		tri_write_release(&v->page_map[page + i], (uint8_t)(TRI_SPAN_CLASS_LARGE + kind));
	tri_unlock(&t->cache_lock);
	tri_count_allocated(t, (uint64_t)pages << TRI_PAGE_SHIFT);
	return page;
}

static void *alloc_large(struct tri_thread *t, size_t size, size_t align, unsigned int kind,
			 const struct tri_type *type, size_t count)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t pages = (uint64_t)size / TRI_PAGE_BYTES + (size % TRI_PAGE_BYTES != 0);
	uint32_t align_pages = align > TRI_PAGE_BYTES ? (uint32_t)(align >> TRI_PAGE_SHIFT) : 1;
	unsigned int cycles = 0;
	bool backed = false;
	struct tri_throttled w;
	uint32_t page = 0;
	char *object;

	tri_throttle_begin(&w);
	for (;;) {
		if (pages < v->heap_pages)
			page = take_large(t, (uint32_t)pages, align_pages, kind, size, &backed);
		if (page || pages >= v->heap_pages || !try_again(t, &w, &cycles))
			break;
	}
	tri_throttle_end(t, &w);
	object = page ? v->heap + ((uint64_t)page << TRI_PAGE_SHIFT) : NULL;
	if (object && type)
		write_type(object, pages << TRI_PAGE_SHIFT, type, count);
	tri_leave(t);
	tri_assist(t);
	if (!object)
		return out_of_memory(pages, w.failed);
	if (!backed && !tri_g.settings.clobberfree)
		return object;
	/* The rest of the last page is zeroed too: the program may use it, and it is scanned. */
	memset(object, 0, pages << TRI_PAGE_SHIFT);
	/*
	 * From here on the span has no holes, and scan_sparse() in daemon/heap/mark.c need not look
	 * for them.
	 */
	tri_write_release(&v->spans[page].needs_zero, 1);
	return object;
}

/* If the checker is on, note where @object was allocated.  @by: the address behind the call. */
static inline void *made(void *object, unsigned int kind, const char *type, const void *by)
{
	if (unlikely(tri_read(&tri_g.checks)) && object && kind != TRI__LEAF)
		tri_sites_note(object, type, by);
	return object;
}

static void *alloc(size_t size, unsigned int kind)
{
	struct tri_thread *t;
	unsigned int span_class;
	char *object;

	if (size > TRI_SMALL_MAX) {
		t = tri_enter();
		return t ? alloc_large(t, size, 16, kind, NULL, 0) : NULL;
	}
	span_class = tri_span_class(tri__class(size), kind);
	if (kind == TRI__LEAF && size <= TRI__TINY_MAX) {
		t = tri_enter();
		return t ? alloc_tiny(t) : NULL;
	}
	object = tri__take((size_t)span_class * sizeof(struct tri__cache),
			   tri_classes[span_class].size);
	if (likely(object)) {
		/*
		 * Only this thread refills the entry, so @zeroed is about the window of the slot;
		 * or the agent has flushed the entry since, and then it is false.
		 */
		t = tri__tls.thread;
		if (t->caches[span_class].zeroed)
			return object;
		return memset(object, 0, tri_classes[span_class].size);
	}
	t = tri_enter();
	return t ? alloc_small(t, span_class, NULL, 0) : NULL;
}

TRI_EXPORT void *tri__alloc_slow(size_t size, unsigned int kind)
{
	return made(alloc(size, kind), kind, NULL, __builtin_return_address(0));
}

TRI_EXPORT void *tri_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > PTRDIFF_MAX)
		return too_large();
	return made(alloc(bytes, TRI__CONSERVATIVE), TRI__CONSERVATIVE, NULL,
		    __builtin_return_address(0));
}

static void *alloc_typed(const struct tri_type *type, size_t count)
{
	struct tri_thread *t;
	size_t size;

	if (!type || !type->size || type->size % 8 || !type->ptrmap) {
		tri_fail(EINVAL,
			 "tricolor: a type's size must be a multiple of 8 above 0 and its ptrmap "
			 "set; define it with TRI_TYPE()");
		errno = EINVAL;
		return NULL;
	}
	if (__builtin_mul_overflow(type->size, count, &size) || size > PTRDIFF_MAX)
		return too_large();
	t = tri_enter();
	if (!t)
		return NULL;
	if (size > TRI_SMALL_MAX)
		return alloc_large(t, size, 16, TRI__TYPED, type, count);
	return alloc_small(t, tri_span_class(tri__class(size), TRI__TYPED), type, count);
}

TRI_EXPORT void *tri_alloc_typed(const struct tri_type *type, size_t count)
{
	void *object = alloc_typed(type, count);

	return object ? made(object, TRI__TYPED, type->name, __builtin_return_address(0)) : NULL;
}

static void *alloc_aligned(size_t size, size_t align, unsigned int kind)
{
	struct tri_thread *t;

	if (!align || align & (align - 1) || align > TRI_HUGE_BYTES) {
		tri_fail(EINVAL, "tricolor: an alignment of %zu is no power of two up to 2 MiB",
			 align);
		errno = EINVAL;
		return NULL;
	}
	if (align <= 16)
		return alloc(size < 16 ? 16 : size, kind);
	/*
	 * A slot whose size is a power of two is aligned to it, as spans begin at page boundaries.
	 */
	if (size <= TRI_SMALL_MAX && align <= TRI_PAGE_BYTES) {
		size_t power = align;

		while (power < size)
			power *= 2;
		if (power <= TRI_SMALL_MAX)
			return alloc(power, kind);
	}
	t = tri_enter();
	return t ? alloc_large(t, size > TRI_SMALL_MAX ? size : TRI_SMALL_MAX + 1, align, kind,
			       NULL, 0) :
		   NULL;
}

TRI_EXPORT void *tri_alloc_aligned(size_t size, size_t align)
{
	return made(alloc_aligned(size, align, TRI__CONSERVATIVE), TRI__CONSERVATIVE, NULL,
		    __builtin_return_address(0));
}

TRI_EXPORT void *tri_alloc_leaf_aligned(size_t size, size_t align)
{
	return alloc_aligned(size, align, TRI__LEAF);
}

/* Copy @n bits of the pointer map, from bit @at on, to the bitmap of a type. */
static void get_bits(uint64_t *to, uint64_t at, uint64_t n)
{
	tri_au64 *map = &tri_g.view.ptrmap[0][0];
	uint64_t i;

	for (i = 0; i < n; i++)
		to[i / 64] |= (tri_read(&map[(at + i) / 64]) >> ((at + i) & 63) & 1) << (i & 63);
}

/*
 * Allocate an object of @size for a copy of @object.  It has the same kind, and if that is typed
 * the same pointers; words beyond the old size are no pointers.
 */
static void *alloc_like(const struct tri_object *o, const void *object, size_t size)
{
	uint64_t bits[TRI_SMALL_MAX / 512 + 1] = { 0 }, i;
	struct tri_type type = { (size + 7) & ~7ull, bits, NULL };
	size_t words = (size < tri_object_bytes(o) ? size : tri_object_bytes(o)) / 8;
	tri_au64 *map = &tri_g.view.ptrmap[0][0];
	uint64_t from = tri_offset(object) / 8, to;
	void *copy;

	if (o->class->kind != TRI__TYPED)
		return alloc(size, o->class->kind);
	if (type.size <= TRI_SMALL_MAX) {
		get_bits(bits, from, words);
		return alloc_typed(&type, 1);
	}
	/* A large object shares no word of the map with others, so the map may be written later. */
	type.size = 8;
	copy = alloc_typed(&type, (size + 7) / 8);
	if (!copy)
		return NULL;
	to = tri_offset(copy) / 8;
	for (i = 0; i < words; i += 64) {
		uint64_t word = 0;

		get_bits(&word, from + i, words - i < 64 ? words - i : 64);
		tri_write(&map[to / 64 + i / 64], word);
	}
	return copy;
}

/*
 * Make an object with pointers @size bytes long in its slot.  What comes behind becomes zero, since
 * the object may grow again.
 */
static void cut(char *object, size_t size, size_t old)
{
	if (size % 8) {
		uintptr_t *word = (uintptr_t *)(object + size / 8 * 8);

		(tri_store)(word, (void *)(*word & ((1ull << size % 8 * 8) - 1)));
		size = (size + 7) / 8 * 8;
	}
	tri_clear(object + size, (old - size) / 8);
}

/*
 * Copy less than a word.  The bytes may be a whole pointer if its other bytes are zero, so the
 * checker is told.
 */
static void copy_rest(char *to, const char *from, size_t bytes)
{
	struct tri_thread *t = unlikely(tri_read(&tri_g.checks)) ? tri_enter_any() : NULL;

	tri_note(to);
	memcpy(to, from, bytes);
	if (t)
		tri_leave_any(t);
}

/* As made(), with the type of the object that was copied. */
static void *made_copy(void *copy, const struct tri_object *o, const void *object, const void *by)
{
	const char *type = NULL;
	unsigned int site;

	if (likely(!tri_read(&tri_g.checks)))
		return copy;
	site = tri_sites_of((uintptr_t)object);
	if (site)
		tri_sites_ip(site, &type);
	return made(copy, o->class->kind, type, by);
}

TRI_EXPORT void *tri_realloc(void *object, size_t size)
{
	struct tri_object o;
	size_t old;
	void *copy;

	if (!object)
		return made(alloc(size, TRI__CONSERVATIVE), TRI__CONSERVATIVE, NULL,
			    __builtin_return_address(0));
	if (!tri_find_object(object, &o) || tri_object_start(&o, object) != object) {
		tri_fail(EINVAL, "tricolor: %p is not the start of an object of this heap", object);
		errno = EINVAL;
		return NULL;
	}
	if (size > PTRDIFF_MAX)
		return too_large();
	old = tri_object_bytes(&o);
	if (size <= old && size >= old / 2) {
		if (o.class->kind == TRI__LEAF)
			memset((char *)object + size, 0, old - size);
		else
			cut(object, size, old);
		return object;
	}
	copy = made_copy(alloc_like(&o, object, size), &o, object, __builtin_return_address(0));
	if (!copy)
		return NULL;
	if (old > size)
		old = size;
	if (o.class->kind == TRI__LEAF) {
		memcpy(copy, object, old);
	} else {
		tri_move(copy, object, old / 8);
		copy_rest((char *)copy + old / 8 * 8, (char *)object + old / 8 * 8, old % 8);
	}
	return copy;
}

TRI_EXPORT char *tri_strndup(const char *string, size_t n)
{
	size_t len = strnlen(string, n);
	char *copy = alloc(len + 1, TRI__LEAF);

	/* What is behind the string is zero already. */
	return copy ? memcpy(copy, string, len) : NULL;
}

TRI_EXPORT char *tri_strdup(const char *string)
{
	return tri_strndup(string, strlen(string));
}
