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
 *  2. Roots are: the stack and registers of every thread (what that is on signal stacks and in
 *     coroutines, tri_stack_register() says), its thread-local variables and values of
 *     pthread_setspecific(), the writable data of every loaded object,
 *     ranges given to tri_root_add(), memory of tri_root_alloc(), and handles.  malloc() memory is
 *     not a root.
 *  3. Every store of a pointer into an object or into a root other than the thread's own stack
 *     and thread-local variables goes through tri_store() or one of tri_cas(), tri_exchange(),
 *     tri_move(), tri_clear().  Loads need nothing.  A variable on a stack, or a thread-local one,
 *     that other threads load from is not the thread's own in this: a result that a worker
 *     leaves in a struct on its creator's stack is stored with tri_store().
 *  4. A pointer to any byte of an object keeps it; on stacks and in registers a pointer one past
 *     its end does too.  A pointer that is marked in its low bits keeps the object if it still
 *     points into it, and so does one to a member, from which container_of() finds the start.  A
 *     pointer before the start does not, nor does one that is marked in its high bits.  Pointers
 *     must be stored at addresses divisible by 8.
 *  5. No function here is async-signal-safe unless its comment says so.  A signal handler that
 *     interrupts a blocking region (see tri_blocking_enter()) calls tri_poll() before it loads a
 *     pointer, or allocates or stores first: that has the same effect.
 *  6. The compiler leaves a pointer to each object that is still used where the collector looks.
 *     gcc does, in functions that come after this header or in files compiled with the options of
 *     `pkg-config --cflags tricolor`; an optimising clang does not, and is refused.  The C
 *     library's string and memory functions do (memcpy(), strcmp(), …).  Other functions that were
 *     compiled without this header may not: the caller keeps an object that it passes to them
 *     alive, by tri_keep_alive() after the call.  Functions that store pointers themselves
 *     (qsort(), memcpy()) must not move pointers within objects: see 3.
 *
 * Thread safety: every function may be called from any thread at any time unless its comment says
 * otherwise.  A thread that the library does not know yet is attached by its first call.
 *
 * fork(): the child goes on with a copy of the heap, at the same addresses, with its handles,
 * ranges, coroutines and settings.  It is a copy of the instant of fork(), but for what other
 * threads of the parent store while it is made: hold the lock that such data has over the fork(),
 * in handlers of pthread_atfork() or around it.  fork() takes as long as the copy, about 1 ms for
 * each MiB that is in use, in which other threads that need fresh pages wait.  No copy is made of a
 * heap of more than 256 MiB unless TRI_FORK_COPY asks for it, where both would pass the memory
 * limit, in a signal handler that interrupted this library, or without memory: standard error says
 * so once, the child has an empty heap, and touching an object of the parent in it is a
 * segmentation fault.  A child of _Fork() or clone() always has an empty heap.  A child of vfork()
 * must call nothing here.
 *
 * Errors: functions that return int give 0 or a negative errno; functions that return a pointer
 * give NULL and set errno where malloc() would.  tri_error() says more.
 */
#ifndef TRICOLOR_H
#define TRICOLOR_H

/*
 * An optimiser may compute with a pointer whatever it likes, as long as the addresses that it loads
 * from come out right.  Four passes of gcc, on from -O1 or -O2, keep a sum that is outside the
 * object in a register in place of p, and nothing else: the collector sees no pointer into the
 * object and frees it.  -fivopts keeps p + 8000 or p - 8 over a loop.  The others move the constant
 * of an index, as in p[i - 1000], into the displacement of the instruction, and keep p + i * size:
 * -ftree-slsr where several elements are used, -ftree-ter where one is copied, and
 * -fpredictive-commoning before and after a loop.
 * So these passes are off for every function that comes after this line.  What was included before
 * is not protected, nor is a file that does not include this header, unless it is compiled with
 * the options that pkg-config(1) prints.  Options and attributes that come later, optimize("O3")
 * among them, leave the passes off; but two optimize attributes on one function don't, where those
 * options are not on the command line.
 *
 * gcc before 12 forgets at such a pragma most -fno-… options of the command line.  Of those that a
 * program's meaning depends on only -fno-strict-aliasing is among them: so that is set as well.
 * Whoever depends on another one defines TRI_NO_PRAGMA, and compiles with pkg-config's options.
 *
 * clang knows no such pragma, and no options are enough: with -mllvm -disable-lsr, which is what
 * -fno-ivopts is there, clang 19 still lost objects.  So it is refused where it optimises.  A
 * program that defines TRI_UNSAFE_COMPILER has to keep its objects alive by tri_keep_alive() or
 * handles.
 */
#if defined(__clang__) && defined(__OPTIMIZE__) && !defined(TRI_UNSAFE_COMPILER)
#error "tricolor: an optimising clang hides objects from the collector: use gcc, or -O0, \
or define TRI_UNSAFE_COMPILER and see Compilers in tricolor(7)"
#endif
#if defined(__GNUC__) && !defined(__clang__) && !defined(TRI_NO_PRAGMA)
#if __GNUC__ >= 12
#pragma GCC optimize("no-ivopts", "no-tree-ter", "no-tree-slsr", "no-predictive-commoning")
#else
#pragma GCC optimize("no-ivopts", "no-tree-ter", "no-tree-slsr", "no-predictive-commoning", \
		     "no-strict-aliasing")
#endif
#endif

#include <pthread.h>
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
	TRI_LIMIT_CONTINUE =
		1, /**< the heap grows, and no more than half of the CPU goes to collecting it;
				     the default */
	TRI_LIMIT_FAIL_FAST = 2, /**< allocations that need more memory fail with ENOMEM */
};

/** What a child of fork() has. */
enum tri_fork {
	TRI_FORK_AUTO = 0,	/**< TRI_FORK_COPY if the heap has at most 256 MiB, else _FRESH */
	TRI_FORK_COPY = 1,	/**< a copy of the heap, if both are within the memory limit */
	TRI_FORK_FRESH = 2,	/**< an empty heap; touching an object of the parent is SIGSEGV */
};

/** Who calls cleanups and finalizers. */
enum tri_finalizers {
	TRI_FINALIZERS_AUTO = 0,	/**< as TRICOLOR_FINALIZERS says, or else _THREAD */
	TRI_FINALIZERS_THREAD = 1,	/**< a thread of the library's */
	TRI_FINALIZERS_PROGRAM = 2,	/**< the program, by tri_run_finalizers() */
};

/**
 * Options of tri_init().  Set @size to sizeof(struct tri_options), zero the rest, and fill in what
 * you want: zero means the default, which the environment variable of that name may set
 * (TRICOLOR_GC_PERCENT and so on, see tricolor(7)).  An option that is set wins.  A program that
 * was compiled with an older header, whose struct is shorter, sets none of the options that came
 * later.
 */
struct tri_options {
	size_t size;			/**< sizeof(struct tri_options) */
	uint64_t arena_bytes;		/**< address space for the heap; default 64 GiB, sparse */
	int64_t memory_limit_bytes;	/**< soft limit; TRI_LIMIT_NONE: none */
	int32_t gc_percent;		/**< GOGC: 100 is the default, -1 is off */
	uint32_t backing;		/**< enum tri_backing */
	int32_t handshake_signal;	/**< default SIGRTMIN + 2, or the next without a handler */
	uint32_t limit_policy;		/**< enum tri_limit_policy */
	const char *socket;		/**< path of a shared tricolord's socket */
	const char *trace;		/**< as TRICOLOR_TRACE */
	const char *debug;		/**< as TRICOLOR_DEBUG */
	uint32_t fork;			/**< enum tri_fork */
	uint32_t finalizers;		/**< enum tri_finalizers */
};

/**
 * Make the heap and look for a collector.  Optional: the first allocation does it with defaults.
 * @opts: NULL for the defaults.
 * Returns 0; -EALREADY if there is a heap and @opts is not NULL; -EINVAL for an option or an
 * environment variable that makes no sense; -E2BIG for an option that this library does not know;
 * another negative errno where the system refuses the memory, such as -ENOMEM, -ENOSYS, -EPERM, or
 * -ENOENT without /dev/tricolor.  A collector that can't be reached is no error: the heap works and
 * grows without one, up to half of the memory that the process may have, and the library goes on
 * trying.  It says so once on standard error (TRICOLOR_QUIET).
 */
int tri_init(const struct tri_options *opts);

/**
 * A failure as a sentence: what failed, why, what to do.  It is the last failure of a call in this
 * thread; a call that succeeds does not clear it, so ask only after one that failed.  If none has
 * failed, it is what the heap itself fails at now, such as that no collector can be had, or else
 * "no error".  Never NULL; valid until the next call in this thread.
 */
const char *tri_error(void);

/** "MAJOR.MINOR.PATCH" of the library that is loaded. */
const char *tri_version(void);

/* ------------------------------------------------------------------------------------------ */
/* Allocation                                                                                 */
/* ------------------------------------------------------------------------------------------ */

/**
 * Where an object's pointers are.  Bit i of @ptrmap (of word i / 64) is set if the 8 bytes at
 * offset 8·i may hold a pointer.  tri_alloc_typed() copies what it needs, so it need not outlive
 * the call.  Make one with TRI_TYPE().
 */
struct tri_type {
	size_t size;			/**< bytes of one element; a multiple of 8 */
	const uint64_t *ptrmap;		/**< ceil(size / 512) words */
	const char *name;		/**< for profiles and messages; may be NULL */
};

#ifndef TRI__API		/* the library defines it to emit the exported twins */
#define TRI__API static inline __attribute__((unused))
/*
 * In the function that allocates, also where nothing else is inlined: TRICOLOR_DEBUG=barriers names
 * that.
 */
#define TRI__API_ALLOC static inline __attribute__((unused, always_inline))
#endif

/* Sizes above this have a span of their own. */
#define TRI_SMALL_MAX 32768u

/**
 * Allocate @size bytes, zeroed, every aligned word of which may be a pointer.
 * Aligned to 16 bytes.  0 bytes give a distinct object.  Returns NULL with errno ENOMEM when the
 * arena is full and an emergency cycle has freed nothing.
 */
TRI__API_ALLOC void *tri_alloc(size_t size);

/** As tri_alloc(), for data without pointers: its contents are never scanned. */
TRI__API_ALLOC void *tri_alloc_leaf(size_t size);

/**
 * Allocate an array of @count objects of @type, zeroed; only the words that @type names are
 * scanned. @type: copied; its ptrmap is read during the call only.
 * Returns NULL with errno EINVAL for a size that is 0 or no multiple of 8, ENOMEM as tri_alloc().
 * By the name of a type, tri_new(T) is tri_alloc(), and tri_new_typed(type) this for one object;
 * both give a pointer to that type.
 */
void *tri_alloc_typed(const struct tri_type *type, size_t count);

/** tri_alloc() at a multiple of @align, a power of two up to 2 MiB.  EINVAL for another one. */
void *tri_alloc_aligned(size_t size, size_t align);

/**
 * tri_alloc_leaf() at a multiple of @align, a power of two up to 2 MiB.  EINVAL for another one.
 */
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

/**
 * tri_alloc() of an array of @n elements of @size bytes.  A product that is no size_t is larger
 * than any arena: NULL with errno ENOMEM.
 */
void *tri_calloc(size_t n, size_t size);

/**
 * Free @object now, and not in the cycle that finds it.  Never necessary.  The caller vouches that
 * nothing will be loaded, stored or called through any pointer to it: the next allocation, in any
 * thread, may have its memory.  A pointer that is left over somewhere, and not used, does no harm.
 * It is a permission: an object of up to 8 bytes without pointers, and one that can't be freed at
 * once, is left to the collector, as is all that is freed while TRICOLOR_DEBUG=barriers checks.
 * While a cycle marks, objects are kept until it has ended.  What it refers to is left alone.
 * @object: the start of an object; or NULL, which is ignored.  A pointer to anything else, or to an
 * object that was freed before, is an error of the program, whose consequences are those of free();
 * TRICOLOR_DEBUG=frees has them end it, with a sentence on standard error and SIGABRT.
 * Keeps errno.  Some nanoseconds where the thread allocates from the same place.
 */
void tri_free(void *object);

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
 * that neither allocates nor stores pointers may call it to be spared a signal.  Async-signal-safe,
 * if the handler returns: it must not be left by a jump.
 */
TRI__API void tri_poll(void);

/**
 * The thread is about to wait for something and will not load, store or hold new pointers into the
 * heap until tri_blocking_exit(); the library answers the collector for it and sends no signal.
 * The pointers that it holds already are kept.  The function that calls it must not return before
 * tri_blocking_exit().  poll(), select(), epoll_wait(), nanosleep() and their relatives do it
 * themselves.
 *
 * Any call of the library ends the region, also one in a signal handler, and a region in a region:
 * what is left of the outer one is no region, and its end does nothing.  longjmp(), siglongjmp(),
 * setcontext(), cancellation and C++ exceptions that leave a region end it; who leaves one in
 * another way calls tri_poll() before he loads a pointer.  Async-signal-safe, both.
 */
void tri_blocking_enter(void);
void tri_blocking_exit(void);

/**
 * Make the calling thread known to the library; implied by its first call of a function that needs
 * the heap.  A thread made by pthread_create() or thrd_create() is attached before it runs.  Of one
 * that was made in another way, and only loads pointers, the library learns by /proc/self/task, in
 * each cycle; it is scanned like the others.  (A thread made by clone() without CLONE_SETTLS is
 * scanned too, but can't call the library: it has no thread-local variables of its own.)
 * Returns 0, or -EAGAIN if 16384 threads are attached, or as tri_init().  A thread that can't be
 * attached may load and store pointers, slowly; its allocations fail with errno EAGAIN.
 */
int tri_thread_attach(void);

/**
 * Forget the calling thread.  Implied by its end.  What it holds is found as that of a thread that
 * never was attached.  Its next call attaches it again.
 */
void tri_thread_detach(void);

/*
 * In front of the C library's functions, by name: a thread that they start is attached before it
 * runs, its argument is a root until then, and what it returns is one until it is joined.  The
 * library's functions of the same names do this for calls in files that do not include this header,
 * but only if the library comes before the C library in lookup order: not in a program that links
 * only a library which uses tricolor.  Whoever wants these names left alone defines
 * TRI_NO_THREAD_REDIRECTS.
 */
int tri_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
		       void *arg);
/** As pthread_join(). */
int tri_pthread_join(pthread_t thread, void **result);
/** As pthread_detach(). */
int tri_pthread_detach(pthread_t thread);
/** As pthread_exit(). */
void tri_pthread_exit(void *result) __attribute__((noreturn));
/** As thrd_create(); the types are thrd_t and thrd_start_t of <threads.h>. */
int tri_thrd_create(unsigned long *thread, int (*fn)(void *arg), void *arg);

#ifndef TRI_NO_THREAD_REDIRECTS
#define pthread_create tri_pthread_create
#define pthread_join tri_pthread_join
#define pthread_detach tri_pthread_detach
#define pthread_exit tri_pthread_exit
#define thrd_create tri_thrd_create
#endif

/* ------------------------------------------------------------------------------------------ */
/* Stacks                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/*
 * What is scanned of a thread without being asked: its registers, and all that lies above its stack
 * pointer on the stack that it was started on, however that was made and however deep it is; while
 * a handler runs on a signal stack, that one and what the handler interrupted.  Pages that can't be
 * read are left out.  On a stack that the library does not know, the thread is scanned from its
 * stack pointer up to the first page that can't be read, and the stack that it was started on as a
 * whole: right, and slow.
 *
 * A stack that nobody runs on, a coroutine's that is suspended, is scanned only if it is
 * registered.  Neither jmp_buf nor ucontext_t is scanned as such, wherever they are: what is only
 * in the arguments of makecontext() has to be kept by something else until the coroutine has begun.
 *
 * A scheduler of coroutines registers each stack that it makes, and says before each switch which
 * one comes next, also when a coroutine goes on in another thread:
 *
 *	c->stack = tri_stack_register(memory, size);
 *	main_stack = tri_stack_self();
 *	...
 *	tri_stack_switch(c->stack);
 *	swapcontext(&main_context, &c->context);
 *
 * The last thing that a coroutine does before it returns to its uc_link is such a call, too.
 */

/** A stack that threads may leave and come back to. */
typedef struct tri_stack tri_stack;

/**
 * Make [@low, @low + @len) known as a stack on which a coroutine will run.  Until it first runs all
 * of it is scanned, so that what it begins with may lie there.  The memory stays the caller's, who
 * unregisters it before it is freed or used for something else.  Pages in it may be protected.
 * Returns NULL with errno EINVAL for a range that makes no sense, ENOMEM, or as
 * tri_thread_attach().  Takes a lock for some instructions: not for a signal handler.
 */
tri_stack *tri_stack_register(void *low, size_t len);

/**
 * Undo tri_stack_register().  No thread may run on the stack; what is on it is no root any more,
 * and a coroutine that is suspended there must not be resumed.  @stack: NULL is ignored.
 * Returns 0, -EBUSY if a thread runs on it, or -EINVAL if it is not registered.
 */
int tri_stack_unregister(tri_stack *stack);

/**
 * The stack that the calling thread runs on: the one that it was started on, or the one that it
 * last named in tri_stack_switch().  The first belongs to the thread, is never unregistered, and
 * void when the thread has ended or called tri_thread_detach().
 * Returns NULL with errno EINVAL on a stack that is not registered, ENOMEM, or as
 * tri_thread_attach().
 */
tri_stack *tri_stack_self(void);

/**
 * The calling thread is about to switch to @to, which is registered, or the stack that it was
 * started on.  Call it just before what switches, with nothing in between that loads or stores
 * pointers into the heap.  The stack that is left keeps what its frames, and the caller's
 * registers, hold now.  Some nanoseconds; in a mark phase, the scan of @to if this cycle has not
 * scanned it.
 *
 * A signal handler may call it, on the stack that it interrupted and not on a signal stack: a
 * scheduler that preempts.  On an error the thread must not switch: -EBUSY if another thread runs
 * on @to, or if the handler that calls it has interrupted the library; -EINVAL if @to is another
 * thread's own; -ENOMEM.  Idea: tsan's __tsan_switch_to_fiber(), and the address sanitizer's
 * __sanitizer_start_switch_fiber().
 */
int tri_stack_switch(tri_stack *to);

/**
 * Memory for a stack of up to @most bytes, at most 1 GiB, that grows and shrinks: only what is
 * touched takes memory, and a cycle gives unused memory back when less than a quarter of what the
 * stack has is used.  Below it lies a guard; running into it is a segmentation fault.
 *
 * Returns the lowest address; @most, rounded up to whole pages, may be used from there on.  It is
 * registered like any other stack, once at a time, by tri_stack_register(stack, most), and shrinks
 * while it is registered:
 *
 *	c->memory = tri_stack_new(256 << 20);
 *	c->stack = tri_stack_register(c->memory, 256 << 20);
 *
 * Below its stack pointer nothing lasts, as on any stack.  What it begins with lies in its upper
 * 64 KiB, and what switches to another stack may use 16 KiB of this one from tri_stack_switch() to
 * the switch.  Pages that mlock() or mlockall() has locked stay.
 * Returns NULL with errno EINVAL for a size that makes no sense, or ENOMEM.  Not for a signal
 * handler, as is tri_stack_free().
 */
void *tri_stack_new(size_t most);

/**
 * Free the memory of @stack, which tri_stack_new() returned, and unregister it if it is registered.
 * @stack: NULL is ignored.
 * Returns 0, -EBUSY if a thread runs on it, as tri_stack_unregister() says, or -EINVAL if it is
 * none; then nothing is freed.
 */
int tri_stack_free(void *stack);

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

/**
 * Allocate @size bytes, zeroed, at a multiple of @align, a power of two up to 32 KiB.  The memory
 * is a root, each aligned word of it, until the caller frees it by tri_root_free(): it is not
 * collected, and what it points to lives as long as it does.  Pointers into the heap must be stored
 * there with tri_store(); all else, pointers to other such memory among it, is stored plainly.
 * Each cycle reads all such memory.  It does not count in the pacer or the memory limit, and starts
 * no heap.
 * Returns NULL with errno ENOMEM, or EINVAL for an alignment that makes no sense.  Takes a lock for
 * some instructions; for some milliseconds, if more pages are needed while the collector reads a
 * large set of roots.  Idea: GC_malloc_uncollectable() of Boehm's collector.
 */
void *tri_root_alloc(size_t size, size_t align);

/**
 * Free @block, of tri_root_alloc().  NULL is ignored; anything else is an error of the program, as
 * with free().  Keeps errno.
 */
void tri_root_free(void *block);

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
/* Pools                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/**
 * A pool keeps objects that are in no use, so that they can be used again in place of new ones.
 * Cycles drain it: what no tri_pool_get() has returned when the second cycle since its
 * tri_pool_put() begins is collected.  So a pool suits what is costly to make or large and is
 * needed for a short time, and can't hold anything that must not be lost.  A pool is an object
 * itself: nobody frees it, and it must be reachable while it is used.  Idea: Go's sync.Pool.
 */
typedef struct tri_pool tri_pool;

/**
 * Make a pool, which is empty.
 * @make: called by tri_pool_get() when the pool has no object; NULL: none are made.
 * @reset: called by tri_pool_put() with each object before it is in the pool, such as to drop what
 * the object refers to; NULL: nothing is called.
 * @arg: given to both.  If it points to an object, the pool keeps that.
 * Both are called in the thread that gets or puts, with no lock of the library held: they may
 * allocate, use this pool, take locks of the program, and leave by a jump.
 * Returns NULL with errno ENOMEM, or as tri_thread_attach().
 */
tri_pool *tri_pool_new(void *(*make)(void *arg), void (*reset)(void *object, void *arg),
		       void *arg);

/**
 * Take an object out of the pool: one that this thread has put in, preferably its last one, or else
 * one of another thread's.  If there is none, the result is what make() returns, with its errno; or
 * NULL, if the pool has no make().  An object that is put in by another thread at the same moment,
 * or the last one that another thread has put in, may be passed over.  Some nanoseconds, without an
 * atomic instruction for a thread that puts back what it got.
 */
void *tri_pool_get(tri_pool *pool);

/**
 * Put @object into the pool.  The caller must not use it any more, nor tri_free() it, nor put it in
 * twice.
 * @object: a pointer to an object or into one, which tri_pool_get() returns as it is.  NULL is
 * ignored.  Other memory may be put in too, but is not kept, and is nobody's when a cycle drains
 * the pool.
 * Where there is no memory for the pool's tables, or the thread can't be attached, the object is
 * left to the collector.  A child of fork() finds all pools empty.
 */
void tri_pool_put(tri_pool *pool, void *object);

/* ------------------------------------------------------------------------------------------ */
/* Cleanups and finalizers                                                                    */
/* ------------------------------------------------------------------------------------------ */

/*
 * Functions that are called when an object is dead.  The cycle that finds the object dead queues
 * them.  A thread of the library's calls them one after the other, unless tri_options.finalizers
 * says that the program does.  That thread handles no signal of the program's, and does not keep
 * the process alive.  A function that blocks keeps all others waiting, which is reported after 10
 * seconds; one that takes long should start a thread.  None is called at exit: tri_finalize_all().
 *
 * A child of fork() with a copy of the heap has its own copies of all records, and calls what
 * becomes due for its own copies of the objects.  What was being called in the parent, or had been
 * taken for that, is the parent's alone.  If a function forks in the library's thread, that is the
 * child's only thread: the child ends with status 0 when the function returns in it.  Signals are
 * blocked in that thread, and so in such a child and what it executes.
 *
 * None of these functions is for signal handlers.  An object may die as soon as the program no
 * longer uses it, also before the function that allocated it returns: tri_keep_alive().
 */

/** Names a cleanup, for tri_cleanup_stop().  Plain data; all zeros name none. */
struct tri_cleanup {
	uint32_t record, use;
};

/**
 * Have @fn(@arg) called once, after @object is gone.  An object may have any number of cleanups,
 * which are called in no particular order.  Objects that refer to each other in a circle are no
 * obstacle.  An object that has a finalizer as well is gone when that has run and the object is
 * dead again.
 * @object: points into an object.  Two leaf objects of up to 8 bytes may share a slot, and then the
 *	cleanups of either wait for both.
 * @arg: a root until @fn has been called or the cleanup was stopped, so it must not lead to
 *	@object, which would never die.
 * @id: names the cleanup; may be NULL.
 * tri_free() of the object queues its cleanups; tri_realloc() that copies leaves them with the old
 * object.  Returns 0; -EINVAL if @object points into no object, @arg into the same one, or @fn is
 * NULL; -ENOMEM if there is no room (for one record for each KiB of the arena); -EAGAIN if there
 * can be no thread; or as tri_init().  Go's runtime.AddCleanup().
 */
int tri_add_cleanup(const void *object, void (*fn)(void *arg), void *arg, struct tri_cleanup *id);

/**
 * Stop a cleanup: it is not called.  Of this and the death of the object one comes first, in any
 * thread.  Returns 0, or -ENOENT if it was called, queued or stopped before.
 */
int tri_cleanup_stop(struct tri_cleanup id);

/**
 * Have @fn(@object, @arg) called once, when @object is dead.  The object lives for one more cycle,
 * with all that it refers to, and longer if @fn stores it somewhere; it has no finalizer then, and
 * may be given one.  If objects with finalizers refer to each other, the one to which no other
 * refers comes first, and the next one a cycle later.  Objects with finalizers that refer to each
 * other in a circle, or to themselves, are never freed.
 * @object: the start of an object.
 * @arg: lives as long as @object, as if @object referred to it.
 * @fn: NULL removes the finalizer; @arg is ignored.
 * tri_free() of the object removes it; tri_realloc() that copies leaves it with the old object.
 * Returns 0; -EEXIST if the object has one; -ENOENT if there is none to be removed; or as
 * tri_add_cleanup().  Go's runtime.SetFinalizer().
 */
int tri_set_finalizer(void *object, void (*fn)(void *object, void *arg), void *arg);

/**
 * Call up to @most cleanups and finalizers that are queued, in the calling thread, which may do so
 * beside the library's.  No lock is held meanwhile, so they may do anything, and may leave by a
 * jump.  Returns how many were called; -EINVAL for a negative number; -EAGAIN if the thread can't
 * be attached.
 */
int tri_run_finalizers(int most);

/**
 * Call all cleanups and finalizers that there are, whether or not their objects are dead, in the
 * calling thread and in no particular order; for a program that is about to end.  What is added
 * meanwhile may be left.  Returns as tri_run_finalizers().
 */
int tri_finalize_all(void);

/**
 * A new descriptor that can be read while something is queued, for poll() and its relatives; do not
 * read from it.  The caller owns it, and may close it at any time.  In a child of fork() the
 * parent's descriptors still say what the parent has queued: the child asks for one of its own.
 * Returns the descriptor, or a negative errno: -EMFILE and -ENFILE, -ENOENT without /proc,
 * -ETIMEDOUT if the library's own thread does not answer for 10 seconds, or as tri_init().
 */
int tri_finalizer_fd(void);

/* ------------------------------------------------------------------------------------------ */
/* The collector                                                                              */
/* ------------------------------------------------------------------------------------------ */

/**
 * Wait for a full cycle (mark and sweep) that began after the call.
 * Returns 0, or -ETIMEDOUT if no collector could be had, or the one there is did nothing, for 10
 * seconds.
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
	/** The container is past 90 % of its limit: drop what can be had again. */
	TRI_PRESSURE_NEAR = 1,
	/** The limit can't be kept, or not with half of the CPU time: shed load. */
	TRI_PRESSURE_OVER = 2,
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
 * Figures about the heap, for programs and tests.  Set @size before the call.  A newer library
 * fills in what fits, and an older one sets figures to 0 that it does not have.  Bytes and objects
 * unless named otherwise.
 */
struct tri_stats {
	size_t size;			/**< sizeof(struct tri_stats), set by the caller */
	uint64_t cycles;		/**< completed */
	uint64_t forced_cycles;		/**< of which asked for by tri_gc() or the 2-minute rule */
	uint64_t allocated_bytes;	/**< handed to thread caches since the start, less what
					 * they gave back unused */
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
	uint64_t limited_gc_ns;		/**< CPU time of collecting, with assists, under a limit */
	uint64_t limited_program_ns;	/**< CPU time of the program for itself, under a limit */
	uint64_t refused;		/**< allocations that failed by TRI_LIMIT_FAIL_FAST */
	uint64_t throttled;		/**< allocations that waited for a group's last memory */
	uint64_t throttled_ns;		/**< that they waited, all in all */
	uint64_t throttled_max_ns;	/**< the longest of these waits */
	uint64_t throttled_now;		/**< threads that wait so at this moment */
	uint64_t freed_bytes;		/**< by tri_free() since the start.  A slot that its thread
					 * gets again at once counts neither as freed nor as
					 * allocated again. */
};

/** Fill in @stats.  Returns 0, -EINVAL for a size that is too small, or as tri_init(). */
int tri_read_stats(struct tri_stats *stats);

#include "tricolor/inline.h"

#if !defined(__cplusplus) && !defined(TRI__EMIT)
/* The value must be assignable to what the slot holds. */
#define tri_store(slot, value)						\
	__extension__({							\
		__typeof__(*(slot)) tri__value = (value);		\
		(tri_store)((void *)(slot), (const void *)tri__value);	\
	})
#endif

#ifdef __cplusplus
}

template <typename T, typename V> static inline void tri_store(T **slot, V *value)
{
	T *checked = value;

	tri_store((void *)slot, (const void *)checked);
}
#endif

#include "tricolor/type.h"

#endif /* TRICOLOR_H */
