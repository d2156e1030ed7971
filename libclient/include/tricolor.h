/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tricolor.h - a garbage-collected heap whose collector is another process
 *
 * The only header that a program needs.  Link with -ltricolor.
 *
 * The contract:
 *
 *  1. Objects come zeroed from tri_alloc() and its relatives, never move, and live for as long as
 *     a root reaches them.
 *  2. Roots are: the stack and registers of every thread, thread-local variables of the program
 *     and of the libraries it started with, the writable data of every loaded object,
 *     ranges given to tri_root_add(), and handles.  malloc() memory is not a root.
 *  3. Every store of a pointer into an object or into a root other than the thread's own stack
 *     and thread-local variables goes through tri_store() or one of tri_cas(), tri_exchange(),
 *     tri_move(), tri_clear().  Loads need nothing.
 *  4. A pointer to any byte of an object keeps it; on stacks and in registers a pointer one past
 *     its end does too.  Pointers must be stored at addresses divisible by 8.
 *  5. No function here is async-signal-safe unless its comment says so; and a signal handler that
 *     interrupts a blocking region (see tri_blocking_enter()) must not work with objects.
 *
 * Thread safety: every function may be called from any thread at any time unless its comment says
 * otherwise.  A thread that the library does not know yet is attached by its first call.
 *
 * fork(): the child gets no copy of the heap, and a fresh one at its first allocation; touching an
 * object of the parent in it is a segmentation fault.
 *
 * Errors: functions that return int give 0 or a negative errno; functions that return a pointer
 * give NULL and set errno where malloc() would.  tri_error() says more.
 */
#ifndef TRICOLOR_H
#define TRICOLOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TRI_VERSION_MAJOR 0
#define TRI_VERSION_MINOR 1
#define TRI_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------ */
/* Start                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/** What backs the heap. */
enum tri_backing {
	TRI_BACKING_AUTO = 0,	/**< the device where it can be opened, else a memfd */
	TRI_BACKING_MEMFD = 1,	/**< a sealed memfd: needs no privileges and no module */
	TRI_BACKING_DEV = 2,	/**< /dev/tricolor */
};

/** What tri_set_memory_limit() and tri_options.memory_limit_bytes take beside bytes. */
#define TRI_LIMIT_AUTO 0		/**< what the container allows; the default */
#define TRI_LIMIT_NONE INT64_MAX	/**< no limit */

/** What happens when more lives than the limit allows. */
enum tri_limit_policy {
	TRI_LIMIT_CONTINUE = 1,	/**< the heap grows, and no more than half of the CPU goes to collecting it;
				     the default */
	TRI_LIMIT_FAIL_FAST = 2,	/**< allocations that need more memory fail with ENOMEM */
};

/**
 * Options of tri_init().  Set @size to sizeof(struct tri_options), zero the rest, and fill in what
 * you want: zero means the default, which the environment variable of that name may set
 * (TRICOLOR_GC_PERCENT and so on, see tricolor(7)).  An option that is set wins.
 */
struct tri_options {
	size_t size;			/**< sizeof(struct tri_options) */
	uint64_t arena_bytes;		/**< address space for the heap; default 64 GiB, sparse */
	int64_t memory_limit_bytes;	/**< soft limit; TRI_LIMIT_NONE: none */
	int32_t gc_percent;		/**< GOGC: 100 is the default, -1 is off */
	uint32_t backing;		/**< enum tri_backing */
	int32_t handshake_signal;	/**< default SIGURG */
	uint32_t limit_policy;		/**< enum tri_limit_policy */
	const char *socket;		/**< path of a shared tricolord's socket */
	const char *trace;		/**< as TRICOLOR_TRACE */
	const char *debug;		/**< as TRICOLOR_DEBUG */
};

/**
 * Make the heap and look for a collector.  Optional: the first allocation does it with defaults.
 * @opts: NULL for the defaults.
 * Returns 0; -EALREADY if there is a heap and @opts is not NULL; -EINVAL for an option that makes
 * no sense; -ENOMEM, -ENOSYS or -EPERM where the system refuses the memory.  A collector that can't
 * be reached is no error: the heap works and grows without one, and the library goes on trying.
 */
int tri_init(const struct tri_options *opts);

/** The last failure in this thread as a sentence: what failed, why, what to do.  Never NULL. */
const char *tri_error(void);

/** "MAJOR.MINOR.PATCH" of the library that is loaded. */
const char *tri_version(void);

/* ------------------------------------------------------------------------------------------ */
/* Allocation                                                                                 */
/* ------------------------------------------------------------------------------------------ */

/**
 * Where an object's pointers are.  Bit i of @ptrmap (of word i / 64) is set if the 8 bytes at
 * offset 8·i may hold a pointer.  Must stay valid and unchanged while the program runs.  Make one
 * with TRI_TYPE().
 */
struct tri_type {
	size_t size;			/**< bytes of one element; a multiple of 8 */
	const uint64_t *ptrmap;		/**< ceil(size / 512) words */
	const char *name;		/**< for profiles and messages; may be NULL */
};

#if defined(__x86_64__) && defined(__linux__) && !defined(TRI_NO_INLINE)
#define TRI__INLINE 1
#else
#define TRI__INLINE 0
#endif

#ifndef TRI__API		/* the library defines it to emit the exported twins */
#define TRI__API static inline __attribute__((unused))
#endif

/* Sizes above this have a span of their own. */
#define TRI_SMALL_MAX 32768u

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

/* The order is part of the layout shared with the collector (core/layout.h). */
enum tri__kind { TRI__LEAF = 0, TRI__CONSERVATIVE = 1, TRI__TYPED = 2 };

/*
 * One entry of a thread's cache.  @free is the only word that the fast path writes, and the last
 * thing that it does: see tri__take().
 */
struct tri__cache {
	uint64_t free;			/* slots of the window that are free, bit 0 = @base */
	char *base;
	uint32_t size;			/* of a slot, in bytes */
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

extern __thread struct tri__tls tri__tls __attribute__((tls_model("initial-exec")));

/* Out of line halves of the inline functions. */
void *tri__alloc_slow(size_t size, unsigned int kind);
void tri__store_slow(void *slot, const void *value);
void tri__poll_slow(void);

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

static inline __attribute__((unused, always_inline)) uintptr_t tri__tls_offset(void)
{
	uintptr_t offset;

	__asm__("movq tri__tls@gottpoff(%%rip), %0" : "=r"(offset));
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

/**
 * Allocate @size bytes, zeroed, every aligned word of which may be a pointer.
 * Aligned to 16 bytes.  0 bytes give a distinct object.  Returns NULL with errno ENOMEM when the
 * arena is full and an emergency cycle has freed nothing.
 */
TRI__API void *tri_alloc(size_t size);

/** As tri_alloc(), for data without pointers: its contents are never scanned. */
TRI__API void *tri_alloc_leaf(size_t size);

#if TRI__INLINE || defined(TRI__EMIT)
TRI__API void *tri_alloc(size_t size)
{
#if TRI__INLINE
	if (__builtin_constant_p(size) && size <= 512)
		return tri__alloc_inline(size, TRI__CONSERVATIVE);
#endif
	return tri__alloc_slow(size, TRI__CONSERVATIVE);
}

TRI__API void *tri_alloc_leaf(size_t size)
{
#if TRI__INLINE
	if (__builtin_constant_p(size) && size > TRI__TINY_MAX && size <= 512)
		return tri__alloc_inline(size, TRI__LEAF);
#endif
	return tri__alloc_slow(size, TRI__LEAF);
}
#else
TRI__API void *tri_alloc(size_t size)
{
	return tri__alloc_slow(size, TRI__CONSERVATIVE);
}

TRI__API void *tri_alloc_leaf(size_t size)
{
	return tri__alloc_slow(size, TRI__LEAF);
}
#endif

/**
 * Allocate an array of @count objects of @type, zeroed; only the words that @type names are
 * scanned. @type: copied; its ptrmap is read during the call only.
 * Returns NULL with errno EINVAL for a size that is 0 or no multiple of 8, ENOMEM as tri_alloc().
 */
void *tri_alloc_typed(const struct tri_type *type, size_t count);

/** tri_alloc() at a multiple of @align, a power of two up to 2 MiB.  EINVAL for another one. */
void *tri_alloc_aligned(size_t size, size_t align);

/** tri_alloc_leaf() at a multiple of @align, a power of two up to 2 MiB.  EINVAL for another one. */
void *tri_alloc_leaf_aligned(size_t size, size_t align);

/**
 * Give @object a size of @size bytes, in place where its slot is large enough.
 * The new object is of the same kind.  A typed object's pointer map goes with it as far as the
 * old size goes; words beyond that are not scanned: allocate a longer array of a type and
 * tri_move() instead. New bytes are zero.  The old object is left to the collector.
 * @object: the start of an object, or NULL: then as tri_alloc().
 * Returns NULL with errno ENOMEM, or EINVAL for a pointer that is no object; @object is untouched.
 */
void *tri_realloc(void *object, size_t size);

/** A leaf copy of @string, or NULL with errno ENOMEM. */
char *tri_strdup(const char *string);

/** A leaf copy of at most @n bytes of @string, terminated; or NULL with errno ENOMEM. */
char *tri_strndup(const char *string, size_t n);

/** Bytes that may be used at @object, the start of an object; 0 if it is none. */
size_t tri_usable_size(const void *object);

/** The start of the object that @pointer points into, or NULL if it points into none. */
void *tri_base(const void *pointer);

/* ------------------------------------------------------------------------------------------ */
/* Pointer stores                                                                             */
/* ------------------------------------------------------------------------------------------ */

/**
 * Store @value at @slot (release order, no tearing).
 * @slot: 8-byte aligned; in an object, a global or any memory.  A plain store and a test while no
 * mark phase runs; about 20 ns in one.  Sources: Yuasa's deletion and Dijkstra's insertion barrier,
 * joined as in the Go runtime ("Eliminate STW stack re-scanning", golang/proposal 17503).
 */
TRI__API void tri_store(void *slot, const void *value);

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

#if !defined(__cplusplus) && !defined(TRI__EMIT)
/* The value must be assignable to what the slot holds. */
#define tri_store(slot, value)						\
	__extension__({							\
		__typeof__(*(slot)) tri__value = (value);		\
		(tri_store)((void *)(slot), (const void *)tri__value);	\
	})
#endif

/**
 * If @slot holds @expected, store @value there (sequentially consistent).
 * Returns 1 if it did, 0 if it did not.
 */
int tri_cas(void *slot, const void *expected, const void *value);

/** Store @value at @slot and return what was there (sequentially consistent). */
void *tri_exchange(void *slot, const void *value);

/**
 * Copy @words words of 8 bytes from @src to @dst, which may overlap.  Any of them may be a pointer.
 * Each word is copied whole; the copy as a whole is not atomic.
 */
void tri_move(void *dst, const void *src, size_t words);

/** Store NULL in @words words of 8 bytes at @dst. */
void tri_clear(void *dst, size_t words);

/* ------------------------------------------------------------------------------------------ */
/* Threads                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/**
 * Answer the collector if it asks for something; else a load and a test.  A thread in a long loop
 * that neither allocates nor stores pointers may call it to be spared a signal.
 */
TRI__API void tri_poll(void);

TRI__API void tri_poll(void)
{
	if (__builtin_expect(tri__tls.attention, 0))
		tri__poll_slow();
}

/**
 * The thread is about to wait for something and will not load, store or hold new pointers into the
 * heap until tri_blocking_exit(); the library answers the collector for it and sends no signal.
 * The pointers that it holds already are kept.  The function that calls it must not return before
 * tri_blocking_exit().  Calls nest.  poll(), select(), epoll_wait(), nanosleep() and their
 * relatives do it themselves.
 */
void tri_blocking_enter(void);
void tri_blocking_exit(void);

/**
 * Make the calling thread known to the library; implied by its first call of any function.
 * A thread made by pthread_create() or thrd_create() is attached before it runs.
 * Returns 0, or -EAGAIN if the arena has no thread slot left, or as tri_init().
 */
int tri_thread_attach(void);

/**
 * Forget the calling thread: its stack is no root any more.  Implied by its end.  Its next call
 * attaches it again.
 */
void tri_thread_detach(void);

/* ------------------------------------------------------------------------------------------ */
/* Roots                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/**
 * Treat [@start, @start + @len) as roots, each aligned word of it.  Pointers must be stored there
 * with tri_store().  Ranges may overlap.  Returns 0, -EINVAL or -ENOMEM.
 */
int tri_root_add(void *start, size_t len);

/** Undo one tri_root_add() with the same arguments.  Returns 0, or -ENOENT if there was none. */
int tri_root_remove(void *start, size_t len);

/** A root cell for one object, for pointers that live where the collector does not look. */
typedef struct tri_handle tri_handle;

/** A handle that holds @object, or NULL with errno ENOMEM.  The caller frees it. */
tri_handle *tri_handle_new(const void *object);
/** What @handle holds. */
void *tri_handle_get(const tri_handle *handle);
/** Make @handle hold @object. */
void tri_handle_set(tri_handle *handle, const void *object);
/** Free @handle, not the object.  NULL is ignored. */
void tri_handle_free(tri_handle *handle);

/** Keep @pointer's object alive up to this point of the program.  Async-signal-safe. */
static inline __attribute__((unused)) void tri_keep_alive(const void *pointer)
{
	__asm__ volatile("" : : "r"(pointer) : "memory");
}

/* ------------------------------------------------------------------------------------------ */
/* The collector                                                                              */
/* ------------------------------------------------------------------------------------------ */

/**
 * Wait for a full cycle (mark and sweep) that began after the call.
 * Returns 0, or -ETIMEDOUT if no collector could be had for 10 seconds.
 */
int tri_gc(void);

/** Collect, then give all free memory back to the system.  Returns as tri_gc(). */
int tri_free_os_memory(void);

/** Set GOGC in per cent; -1 is off.  Takes effect at once.  Returns the old value. */
int tri_set_gc_percent(int percent);

/**
 * Set the soft memory limit of this heap in bytes, TRI_LIMIT_AUTO or TRI_LIMIT_NONE; negative only
 * asks.  Takes effect at once.  Returns the old one.
 */
int64_t tri_set_memory_limit(int64_t bytes);

/** How near the heap is to its limit. */
enum tri_pressure {
	TRI_PRESSURE_NONE = 0,	/**< there is room */
	TRI_PRESSURE_NEAR = 1,	/**< its container is past 90 % of its limit: drop what can be had again */
	TRI_PRESSURE_OVER = 2,	/**< the limit can't be kept, or not with half of the CPU time: shed load */
};

/** The pressure now.  A load and a comparison; async-signal-safe. */
enum tri_pressure tri_pressure(void);

/**
 * Have @fn called with each new pressure, and with @arg.  NULL: no longer.
 *
 * It is called in a thread of its own, which the first call of this function starts: never in a
 * signal handler, never in two threads at once, and with no lock of the library held.  It may
 * allocate, store, and take locks of the program.  While it runs, further changes are not queued:
 * it is called again with what is true then.  The change to NULL does not wait for a call that is
 * under way.  A child of fork() has no such thread and no @fn.
 *
 * Returns 0, -EAGAIN if there can be no thread, or as tri_init().
 */
int tri_on_pressure(void (*fn)(enum tri_pressure pressure, void *arg), void *arg);

/**
 * Figures about the heap, for programs and tests.  Set @size before the call; a newer library
 * fills in what fits.  Bytes and objects unless named otherwise.
 */
struct tri_stats {
	size_t size;			/**< sizeof(struct tri_stats), set by the caller */
	uint64_t cycles;		/**< completed */
	uint64_t forced_cycles;		/**< of which asked for by tri_gc() or the 2-minute rule */
	uint64_t allocated_bytes;	/**< handed to thread caches since the start */
	uint64_t live_bytes;		/**< marked by the last cycle */
	uint64_t goal_bytes;		/**< heap size that the pacer aims at */
	uint64_t heap_bytes;		/**< in spans */
	uint64_t peak_heap_bytes;	/**< highest heap_bytes */
	uint64_t free_bytes;		/**< in free pages that still have memory */
	uint64_t released_bytes;	/**< given back to the system since the start */
	uint64_t interruption_max_ns;	/**< longest time that any thread was held up */
	uint64_t interruption_total_ns;	/**< sum over all threads */
	uint64_t interruptions;		/**< number */
	uint64_t assist_ns;		/**< time that allocating threads spent on marking */
	uint64_t mark_cpu_ns;		/**< the collector's CPU time for this heap */
	uint64_t threads;		/**< attached now */
	uint64_t collector_pid;		/**< 0: none at the moment */
	uint64_t reconnects;		/**< times that a collector was lost */
	uint64_t limit_bytes;		/**< memory limit in force; INT64_MAX: none */
	uint64_t pressure;		/**< enum tri_pressure */
	uint64_t limit_events;		/**< times that the limit had to give way */
	uint64_t limited_gc_ns;		/**< while there was a limit: CPU time of collecting, assists included */
	uint64_t limited_program_ns;	/**< while there was a limit: CPU time of the program for itself */
	uint64_t refused;		/**< allocations that failed by TRI_LIMIT_FAIL_FAST */
};

/** Fill in @stats.  Returns 0, -EINVAL for a size that is too small, or as tri_init(). */
int tri_read_stats(struct tri_stats *stats);

#ifdef __cplusplus
}

template <typename T, typename V> static inline void tri_store(T **slot, V *value)
{
	T *checked = value;

	tri_store((void *)slot, (const void *)checked);
}
#endif

/*
 * TRI_TYPE(name, struct node, left, right) defines `static const struct tri_type name` for a type
 * of at most 4 KiB; each field is a pointer or an array of pointers.  Up to 16 fields.
 */
#define TRI__BITS_BELOW(n) ((n) <= 0 ? 0ull : (n) >= 64 ? ~0ull : (1ull << ((n) & 63)) - 1)
#define TRI__FIELD_BITS(T, f, w)					\
	(TRI__BITS_BELOW((long)((offsetof(T, f) + sizeof(((T *)0)->f)) / 8) - 64 * (w)) & \
	 ~TRI__BITS_BELOW((long)(offsetof(T, f) / 8) - 64 * (w)))
#define TRI__F1(T, w, f) TRI__FIELD_BITS(T, f, w)
#define TRI__F2(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F1(T, w, __VA_ARGS__)
#define TRI__F3(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F2(T, w, __VA_ARGS__)
#define TRI__F4(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F3(T, w, __VA_ARGS__)
#define TRI__F5(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F4(T, w, __VA_ARGS__)
#define TRI__F6(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F5(T, w, __VA_ARGS__)
#define TRI__F7(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F6(T, w, __VA_ARGS__)
#define TRI__F8(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F7(T, w, __VA_ARGS__)
#define TRI__F9(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F8(T, w, __VA_ARGS__)
#define TRI__F10(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F9(T, w, __VA_ARGS__)
#define TRI__F11(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F10(T, w, __VA_ARGS__)
#define TRI__F12(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F11(T, w, __VA_ARGS__)
#define TRI__F13(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F12(T, w, __VA_ARGS__)
#define TRI__F14(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F13(T, w, __VA_ARGS__)
#define TRI__F15(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F14(T, w, __VA_ARGS__)
#define TRI__F16(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F15(T, w, __VA_ARGS__)
#define TRI__PICK(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, n, ...) n
#define TRI__FIELDS(T, w, ...)						\
	TRI__PICK(__VA_ARGS__, TRI__F16, TRI__F15, TRI__F14, TRI__F13, TRI__F12, TRI__F11, TRI__F10, \
		  TRI__F9, TRI__F8, TRI__F7, TRI__F6, TRI__F5, TRI__F4, TRI__F3, TRI__F2, TRI__F1, 0) \
	(T, w, __VA_ARGS__)
#define TRI_TYPE(name, T, ...)						\
	static const uint64_t name##__ptrmap[8] = {			\
		TRI__FIELDS(T, 0, __VA_ARGS__), TRI__FIELDS(T, 1, __VA_ARGS__), \
		TRI__FIELDS(T, 2, __VA_ARGS__), TRI__FIELDS(T, 3, __VA_ARGS__), \
		TRI__FIELDS(T, 4, __VA_ARGS__), TRI__FIELDS(T, 5, __VA_ARGS__), \
		TRI__FIELDS(T, 6, __VA_ARGS__), TRI__FIELDS(T, 7, __VA_ARGS__) }; \
	static const struct tri_type name = {				\
		sizeof(T) + 0 * sizeof(char[sizeof(T) <= 4096 && sizeof(T) % 8 == 0 ? 1 : -1]), \
		name##__ptrmap, #T }

#endif /* TRICOLOR_H */
