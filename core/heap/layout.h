/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.h - the arena, as the client and the collector see it
 *
 * One file (a sealed memfd, or an arena of /dev/tricolor) that both map MAP_SHARED, each at the
 * address it gets:
 *
 *	control page    struct tri_ctl
 *	thread slots    struct tri_slot, one a thread: where its barrier buffer is
 *	page map        one byte a heap page: the span class of the span there, or 0
 *	span-of         u32 a heap page: first page of the span, for spans of several pages
 *	span table      struct tri_span, indexed by a span's first page
 *	used, backed    one bit a heap page: in use; has memory
 *	chunks          u32 per 512 pages: hint about the longest free run
 *	marks[2]        64 bytes a heap page: bit i = object i of the span that begins there
 *	scanned         64 bytes a heap page: marked objects that have been scanned
 *	ptrmap          128 bytes a heap page: pointer bitmap of typed spans
 *	queued          one byte a heap page: the span that begins there is in a marking queue
 *	grey            spans that have objects to scan, for assisting mutators
 *	buffers         struct tri_buffer: raw pointers from barriers and root scans
 *	cards           one byte per 512 bytes of heap: room for the remembered set of minor cycles
 *	specials_of     u32 a heap page: first special of the objects that begin there, or 0
 *	specials        struct tri_special: what is to happen when an object dies; see special.h
 *	heap            8 KiB pages, 2 MiB aligned
 *
 * Everything but the heap's own pages is indexed by page number, so that a pointer leads to its
 * mark bit by one read of the page map and arithmetic.  The bitmaps are beside the heap and not
 * inside the spans (where Go has them): 64 lines of marks share a 4 KiB page, so that marking at
 * random over 512 MiB needs a thousand TLB entries for marks and not 65,000.
 *
 * Marks and allocation bits are the same two bitmaps in turn.  In cycle n, marks[n & 1] collects
 * marks while marks[(n - 1) & 1] says which slots are allocated; when the cycle ends, what was
 * marked is what is allocated, without copying, and sweeping a span means clearing the other bitmap
 * for the next cycle and counting.  A sweep that dies half-way is done again from the start.
 *
 * Trust.  The client may write anything anywhere at any time.  The collector takes the geometry
 * from its own struct tri_view, made from numbers that it has checked, reads each shared word once,
 * and checks an index before it uses it.
 *
 * Page 0 of the heap is never used, so that 0 can mean "no span".
 *
 * Room.  Nothing reads or writes the cards yet.  They are there so that a library that uses them
 * and a collector that does not can still agree on where everything is: what the library relies on
 * is in tri_ctl.features, and a collector that does not know a bit of these refuses the heap.
 * Parts that are not used are holes of the file and take no memory.  A card is 512 bytes, as in
 * Go's and HotSpot's card tables: 16 cards share a page, so cards take 0.2 % of the heap, and a
 * card holds at most 32 objects.  There is a special for each KiB of heap.
 */
#ifndef TRI_CORE_LAYOUT_H
#define TRI_CORE_LAYOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRI_MAGIC		0x726f6c6f63697274ull	/* "tricolor" */
#define TRI_LAYOUT_VERSION	8u

#define TRI_PAGE_SHIFT		13
#define TRI_PAGE_BYTES		(1ull << TRI_PAGE_SHIFT)
#define TRI_CHUNK_PAGES		512u			/* 4 MiB */
#define TRI_HUGE_BYTES		(2ull << 20)
#define TRI_MARK_WORDS		8			/* of 64 bits, a page: 512 objects of 16
							 * B */
#define TRI_PTRMAP_WORDS	16			/* 1024 words of 8 B a page */
#define TRI_SLOTS		16384u			/* threads of one client */
#define TRI_BUFFERS		65536u			/* at most; else one for each page of the
							 * heap */
#define TRI_MIN_BUFFERS		2048u			/* at least */
#define TRI_BUFFER_ENTRIES	510
#define TRI_GREY_SLOTS		256u
#define TRI_CARD_SHIFT		9
#define TRI_SPECIALS_PER_PAGE	8u
#define TRI_MIN_HEAP_PAGES	TRI_CHUNK_PAGES
#define TRI_MAX_HEAP_PAGES	(1ull << 27)		/* 1 TiB */

/* Read a word once, though the other side may be writing it (READ_ONCE in the kernel). */
#define tri_read(p)		atomic_load_explicit((p), memory_order_relaxed)
#define tri_write(p, v)		atomic_store_explicit((p), (v), memory_order_relaxed)
#define tri_read_acquire(p)	atomic_load_explicit((p), memory_order_acquire)
#define tri_write_release(p, v)	atomic_store_explicit((p), (v), memory_order_release)

typedef _Atomic(uint64_t) tri_au64;
typedef _Atomic(int64_t) tri_as64;
typedef _Atomic(uint32_t) tri_au32;
typedef _Atomic(int32_t) tri_as32;
typedef _Atomic(uint8_t) tri_au8;

/*
 * The control page lives as long as the arena.  Each block of fields has a cache line of its own,
 * and its comment says who writes it.
 */
struct tri_ctl {
	/* Identity: written by the client before it attaches, checked once by the collector. */
	uint64_t magic;
	uint32_t layout_version;
	uint32_t ctl_bytes;		/* sizeof(struct tri_ctl) */
	uint64_t heap_pages;
	uint64_t file_bytes;
	uint64_t heap_va;		/* address of the heap in the client */
	uint32_t pid;
	uint32_t features;		/* what a collector must know of to mark this heap;
					 * TRI_FEATURES */

	/*
	 * Settings: written by the client, and by the collector where the client has chosen none or
	 * its user orders it; read by the collector when it is told of a change.
	 */
	_Alignas(64) tri_as32 gc_percent;	/* -1: off */
	tri_au32 debug;				/* TRI_DEBUG_* */
	tri_as64 memory_limit_bytes;		/* TRI_LIMIT_AUTO; INT64_MAX: none */
	tri_au32 limit_policy;			/* enum tri_limit_policy */
	tri_au32 leaving;			/* 1: the program is in exit(), as far as the
						 * client knows */

	/*
	 * Counters of the client; any of its threads, by atomic addition.  The pacer's counter is
	 * one word and not the difference of two that only rise: whoever takes it past the trigger
	 * has to notice, and of two additions to different words neither may see the other's.
	 */
	_Alignas(64) tri_au64 allocated_bytes;	/* handed to thread caches since the start, less
						 * freed_bytes */
	tri_au64 top_pages;			/* pages from here on were never used */
	tri_au64 peak_pages;			/* highest number of pages in use */
	tri_au32 slots_top;			/* thread slots from here on were never used */
	tri_au64 freed_bytes;			/* by tri_free() since the start; only rises */

	/* Page heap: by whoever takes or frees pages. */
	_Alignas(64) tri_as64 used_pages;
	tri_au64 search;		/* tag << 32 | first chunk that may have a free page */

	/* The pacer's orders: written by the collector, read by allocating threads. */
	_Alignas(64) tri_au64 trigger_bytes;	/* value of allocated_bytes that starts a cycle */
	tri_au64 assist_q16;			/* scan bytes owed an allocated byte, × 65536 */
	tri_au64 goal_bytes;
	tri_au64 live_bytes;
	tri_au64 late_bytes;		/* value of allocated_bytes from which on threads wait */
	tri_au64 far_bytes;		/* value from which on they wait for long */

	/* Marking credit: added by the collector as it scans, taken by allocating threads. */
	_Alignas(64) tri_as64 credit_bytes;
	tri_au32 work_seq;			/* futex: waiting assists, woken by the collector */
	tri_au32 waiting;			/* number of them; client */

	/* Progress: written by the collector; futexes of tri_gc(). */
	_Alignas(64) tri_au32 gc_done;		/* newest request that a finished cycle covers */
	tri_au32 free_done;			/* same, for tri_free_os_memory() */

	/* Queues of buffers, as tag << 32 | index + 1.  Lock-free; see core/heap/buffer.h. */
	_Alignas(64) tri_au64 full_buffers;
	_Alignas(64) tri_au64 free_buffers;
	tri_au32 buffers_used;			/* never-used ones start here */

	/* Statistics by the collector. */
	_Alignas(64) tri_au64 cycles;
	tri_au64 forced_cycles;
	tri_au64 mark_cpu_ns;
	tri_au64 released_bytes;
	tri_au64 free_backed_bytes;
	tri_au64 checkmark_cycles;		/* TRICOLOR_DEBUG=checkmark: cycles checked */
	tri_au64 checkmark_missed;		/* pointers whose object was missed in these */

	/*
	 * Work of assisting mutators: added by them, read by the collector.  The spans that are
	 * offered to them are in the grey array: pages, put there by the collector and taken by
	 * an exchange with 0.
	 */
	_Alignas(64) tri_au64 assist_marked_bytes;
	tri_au64 assist_scan_bytes;
	tri_au64 assist_objects;
	tri_au32 grey_count;			/* hint: about how many are on offer; both */
	tri_au64 assist_ns;			/* time that threads spent on it: statistics, CPU
						 * limiter */
	tri_au64 assist_slept_ns;		/* the part of it in which they had no CPU */

	/* The limit in force: written by the collector, but for `refused`. */
	_Alignas(64) tri_as64 limit_bytes;	/* INT64_MAX: none */
	tri_au32 pressure;			/* enum tri_pressure; futex of tri_on_pressure() */
	tri_au32 refuse;			/* fail-fast: no more pages until what lives fits
						 * again */
	tri_au64 limit_events;			/* times that the limit had to give way */
	tri_au64 limited_gc_ns;			/* under a limit: CPU time of the collector, and
						 * for it */
	tri_au64 limited_program_ns;		/* under a limit: CPU time of the program for
						 * itself */
	tri_au64 refused;			/* allocations; any thread of the client */

	/*
	 * Threads that are held back before the kernel's limit is reached: written by the client,
	 * read by the collector, which adds to the futex and wakes it when a cycle has ended and
	 * somebody waits.
	 */
	_Alignas(64) tri_au32 throttle_seq;	/* futex */
	tri_au32 throttled_now;			/* threads that wait */
	tri_au64 throttled;			/* allocations that had to wait */
	tri_au64 throttled_ns;			/* all in all */
	tri_au64 throttled_max_ns;		/* the longest */

	/* Specials: written by the client. */
	_Alignas(64) tri_au32 specials_top;	/* records from here on were never used; 0: none
						 * was */
	tri_au32 specials_live;			/* cleanups and finalizers that are not queued */
	tri_au64 specials_queued;		/* since the start */
	tri_au64 specials_run;			/* since the start: functions that were called */
};

/*
 * Bytes that were handed to thread caches since the start, with those that tri_free() has freed.
 * A free raises freed_bytes before it lowers allocated_bytes, and the two are read the other way
 * round, so that the sum of a moment is never too low.  It may be too high by what is being freed.
 */
static inline uint64_t tri_allocated_in_all(const struct tri_ctl *ctl)
{
	uint64_t left = tri_read_acquire(&ctl->allocated_bytes);

	return left + tri_read(&ctl->freed_bytes);
}

/* Bits of tri_ctl.features that this version knows: none yet. */
#define TRI_FEATURES 0u

enum { TRI_DEBUG_CHECKMARK = 1, TRI_DEBUG_CLOBBERFREE = 2 };

/*
 * One thread's part that the collector reads.  Written by the thread, or under the library's
 * list_lock by who removes a thread that has ended; 0 while unused.
 */
struct tri_slot {
	_Alignas(64) tri_au32 buffer;		/* index + 1 of the buffer that it fills, or 0 */
};

/*
 * Raw pointers (client addresses) that may be grey.  An entry with TRI_ENTRY_GREY is a heap offset:
 * an assisting mutator has marked the object there and not scanned it.  The state says who owns the
 * buffer.  The count is written by the thread that fills it, and set to 0 by the agent when
 * barriers go off: by then nothing in the buffer is of any use.
 */
struct tri_buffer {
	tri_au32 next;				/* index + 1 in the queue that it is on */
	tri_au32 state;				/* enum tri_buffer_state */
	tri_au32 count;
	tri_au32 reserved;
	tri_au64 entry[TRI_BUFFER_ENTRIES];
};

/*
 * What is to happen when an object dies.  Record 0 is never used.  special.h has what the fields
 * mean, and who changes them when.
 */
struct tri_special {
	tri_au64 target;			/* heap offset of the object */
	tri_au64 function;			/* client address */
	tri_au64 argument;			/* client address */
	tri_au32 next;				/* in the list that it is on; 0: the last */
	tri_au32 word;				/* state, kind and number of use */
};

enum tri_buffer_state {
	TRI_BUFFER_FREE,			/* on the free queue, or never used */
	TRI_BUFFER_THREAD,			/* being filled */
	TRI_BUFFER_FULL,			/* on the full queue */
	TRI_BUFFER_COLLECTOR,			/* being drained; the agent frees it if the
						 * collector dies */
};

#define TRI_ENTRY_GREY (1ull << 63)

/*
 * A run of pages.  The state word holds everything that both sides change, so that one
 * compare-and-swap claims a span:
 *
 *	bits 0-7	span class (0: never used)
 *	bits 8-15	enum tri_span_state
 *	bits 16-31	free slots, as of the sweep or the release
 *	bits 32-63	cycle after which it was swept last
 */
struct tri_span {
	tri_au64 state;
	tri_au64 list_entry;			/* client: span class << 32 | index in the
						 * central list of that class */
	tri_au32 pages;				/* written before the page map is */
	tri_au32 needs_zero;			/* free slots hold old data; large: zeroed, so
						 * without holes */
	uint64_t bytes;				/* large: size that was asked for; client */
};

enum tri_span_state {
	TRI_SPAN_FREE,
	TRI_SPAN_IDLE,				/* anyone may claim it */
	TRI_SPAN_CACHED,			/* a thread allocates from it */
	TRI_SPAN_CLIENT,			/* being swept by the client */
	TRI_SPAN_COLLECTOR,			/* being swept by the collector */
	TRI_SPAN_LARGE,				/* one large object */
};

#define TRI_STATE(span_class, st, nfree, cycle)                                   \
	((uint64_t)(span_class) | (uint64_t)(st) << 8 | (uint64_t)(nfree) << 16 | \
	 (uint64_t)(cycle) << 32)
#define TRI_STATE_CLASS(s)	((unsigned int)((s) & 0xff))
#define TRI_STATE_OWNER(s)	((enum tri_span_state)((s) >> 8 & 0xff))
#define TRI_STATE_NFREE(s)	((unsigned int)((s) >> 16 & 0xffff))
#define TRI_STATE_CYCLE(s)	((uint32_t)((s) >> 32))

/*
 * Span classes: what the page map says of a page.  As in Go, one number stands for a size class and
 * for whether its objects hold pointers.  0 is a free page; 1 + (size class - 1) * 3 + kind is a
 * small object's, see tri_span_class(); then come the spans of tiny leaf objects, two to a slot,
 * and large objects by kind.
 */
#define TRI_CLASSES		72
#define TRI_SPAN_CLASS_TINY	(1 + TRI_CLASSES * 3)		/* 217 */
#define TRI_SPAN_CLASS_LARGE	(TRI_SPAN_CLASS_TINY + 1)	/* 218, 219, 220 */
#define TRI_SPAN_CLASS_MAX	(TRI_SPAN_CLASS_LARGE + 2)
#define TRI_SPAN_CLASS_TAKEN	255	/* pages taken from the page heap, no span yet */

/* Offsets of the parts in the file.  A function of heap_pages alone. */
struct tri_layout {
	uint64_t heap_pages;
	uint32_t nbuffers;
	uint64_t slots, page_map, span_of, spans, used, backed, chunks;
	uint64_t marks[2], scanned, ptrmap, queued, grey, buffers, cards, specials_of, specials,
		heap;
	uint64_t file_bytes;
};

/*
 * One side's view of an arena: where its own mapping is, and geometry that only it can change.
 * In the collector, heap is a read-only mapping.
 */
struct tri_view {
	struct tri_ctl *ctl;
	struct tri_slot *slots;
	tri_au8 *page_map;
	tri_au32 *span_of;
	struct tri_span *spans;
	tri_au64 *used;
	tri_au64 *backed;
	tri_au32 *chunks;
	tri_au64 (*marks[2])[TRI_MARK_WORDS];
	tri_au64 (*scanned)[TRI_MARK_WORDS];
	tri_au64 (*ptrmap)[TRI_PTRMAP_WORDS];
	tri_au8 *queued;
	tri_au32 *grey;
	struct tri_buffer *buffers;
	tri_au32 *specials_of;
	struct tri_special *specials;
	char *heap;
	uint64_t heap_va;		/* of page 0 in the client */
	uint64_t heap_pages;
	struct tri_layout layout;
};

/**
 * Offsets for a heap of @heap_pages.  Returns 0, or -EINVAL for a number that is no multiple of
 * TRI_CHUNK_PAGES or out of bounds.
 */
int tri_layout_init(struct tri_layout *layout, uint64_t heap_pages);

/** Make @view of a mapping at @base. */
void tri_view_init(struct tri_view *view, void *base, const struct tri_layout *layout,
		   uint64_t heap_va);

/*
 * layout.c asserts the offsets of all fields: a change of one of them is a new TRI_LAYOUT_VERSION.
 */

#endif
