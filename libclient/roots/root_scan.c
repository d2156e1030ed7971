// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * root_scan.c - the scan of roots that are not stacks: data segments, registered ranges, handles
 *
 * The writable segments of all loaded objects are looked up in each cycle (objects.c), as dlopen()
 * adds objects and dlclose() removes them.  Stores into roots go through the barrier, so the scan
 * can run while the program does.
 *
 * How roots are read
 *
 *  1. The program may unmap, protect or truncate this memory at any time.  So the agent writes it
 *     into a memory file, which is mapped as the window, and scans the window.  Where a plain read
 *     would fault, write() returns an error.  It costs half of what process_vm_readv() does.
 *  2. A page that is protected against reads keeps its contents, and the program may read it again
 *     later.  The agent reads it through /proc/self/mem.  An unmapped page holds no pointers.
 *
 * Which pages are left out
 *
 *  In large ranges, pages that were never written are not read, since that would cost page tables
 *  or memory.  /proc/self/pagemap tells which pages this process has in its page table or in swap.
 *  Other pages of a private anonymous mapping hold zeros, and are left out.  In shared memory such
 *  pages may hold anything, since the kernel may take a page out of a page table at any time.  One
 *  is left out if it is a page of the kernel's own tmpfs, mincore() does not find it, and there is
 *  no swap that it could be in.  Then it is a hole.  All other pages are read.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "abi.h"
#include "../base/error.h"
#include "object.h"
#include "pool_roots.h"
#include "root_scan.h"
#include "root_table.h"
#include "scan.h"
#include "starting.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tls.h"

#define PAGEMAP_FROM (256ul << 10)
#define PAGES_AT_ONCE 512u
#define WINDOW_BYTES (64ul << 10)

/* All of this is the agent's.  The descriptors are in its own table. */
static struct tri_ranges segments;	/* as of the last scan */
static uint64_t scanned_bytes;
static int pagemap = -1, memory = -1, window_file = -1;
static char *window;			/* NULL: none yet */
static bool no_window, mappings_known, swap;
static const struct tri_root_visitor *visitor;	/* gets the words; NULL: they are scanned */

/* ------------------------------------------------------------------------------------------ */
/* Reading memory that the program may unmap                                                  */
/* ------------------------------------------------------------------------------------------ */

static bool open_window(void)
{
	if (window || no_window)
		return window;
	no_window = true;
	window_file = memfd_create("tricolor-roots", MFD_CLOEXEC);
	if (window_file < 0 || ftruncate(window_file, WINDOW_BYTES))
		return false;
	window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, window_file, 0);
	if (window == MAP_FAILED) {
		window = NULL;
		return false;
	}
	madvise(window, WINDOW_BYTES, MADV_DONTFORK);
	no_window = false;
	return true;
}

/* Read into the window from a page that is protected.  Returns how many bytes were read. */
static size_t read_protected(uintptr_t lo, uintptr_t hi)
{
	uintptr_t end = (lo & ~4095ul) + 4096;
	ssize_t n;

	if (memory < 0)
		memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	if (memory < 0)
		return 0;
	n = pread(memory, window, (end < hi ? end : hi) - lo, (off_t)lo);
	return n > 0 ? (size_t)n : 0;
}

/*
 * Copy the beginning of [@lo, @hi) into the window.  Returns how many bytes were copied, or -1 if
 * the window can't be used.
 */
static ssize_t look_at(uintptr_t lo, uintptr_t hi)
{
	/*
	 * Not by pwrite(): the address sanitizer has its own, which takes a read of the gaps
	 * between variables for an error.
	 */
	ssize_t n = syscall(SYS_pwrite64, window_file, lo,
			    hi - lo < WINDOW_BYTES ? hi - lo : WINDOW_BYTES, 0L);

	if (n >= 8)
		return n & ~7l;
	if (n < 0 && errno != EFAULT)
		return -1;
	return (ssize_t)read_protected(lo, hi);
}

/*
 * Scan or show @n bytes at @lo, of which a copy is at @copy.  If @n is 0, the rest of the page at
 * @lo can't be read.
 */
static void see(struct tri_thread *to, uintptr_t lo, const void *copy, size_t n, bool all)
{
	if (!visitor)
		tri_scan_range(to, (uintptr_t)copy, (uintptr_t)copy + n, all);
	else if (n)
		visitor->words(visitor->arg, lo, copy, n);
	else
		visitor->nothing(visitor->arg, lo, (lo & ~4095ul) + 4096);
}

/* Show [@lo, @hi) to the visitor where there is no window. */
static void see_foreign(struct tri_thread *to, uintptr_t lo, uintptr_t hi)
{
	while (lo < hi) {
		size_t n = tri_scan_copy(to, lo, hi);

		see(to, lo, to->copy, n, false);
		lo = n ? lo + n : (lo & ~4095ul) + 4096;
	}
}

static void scan_bytes(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all)
{
	lo = (lo + 7) & ~7ul;
	hi &= ~7ul;
	while (lo < hi && open_window()) {
		ssize_t n = look_at(lo, hi);

		/* The reason may be RLIMIT_FSIZE, or a lack of memory. */
		if (n < 0) {
			no_window = true;
			munmap(window, WINDOW_BYTES);
			window = NULL;
			break;
		}
		see(to, lo, window, (size_t)n, all);
		scanned_bytes += (uint64_t)n;
		lo = n ? lo + (size_t)n : (lo & ~4095ul) + 4096;
	}
	if (lo < hi && visitor)
		see_foreign(to, lo, hi);
	else if (lo < hi)
		scanned_bytes += tri_scan_foreign(to, lo, hi, all, false).bytes;
}

/* ------------------------------------------------------------------------------------------ */
/* Pages that are left out                                                                    */
/* ------------------------------------------------------------------------------------------ */

/* The pages of [@first, @end), which are in one mapping. */
struct pages {
	uintptr_t first, end;
	enum tri_mapping_kind kind;
	bool mapped;
	unsigned char resident[PAGES_AT_ONCE];
};

static void find_mapping(struct pages *p, uintptr_t at, uintptr_t hi)
{
	struct sysinfo info;

	if (!mappings_known) {
		mappings_known = tri_mappings_read();
		swap = sysinfo(&info) || info.totalswap;
	}
	p->first = at;
	p->end = hi;
	p->kind = TRI_MAPPING_OTHER;
	p->mapped = !mappings_known || tri_mapping_at(at, &p->kind, &p->end);
	if (!p->mapped || p->end > hi)
		p->end = p->mapped ? hi : at + 4096;
	if (p->kind == TRI_MAPPING_SHMEM &&
	    (swap || mincore((void *)at, p->end - at, p->resident)))
		p->kind = TRI_MAPPING_OTHER;
}

/* Whether a page that is neither in the page table nor in swap holds no pointers. */
static bool is_hole(struct pages *p, uintptr_t at, uintptr_t hi)
{
	if (at < p->first || at >= p->end)
		find_mapping(p, at, hi);
	if (!p->mapped || p->kind == TRI_MAPPING_PRIVATE)
		return true;
	return p->kind == TRI_MAPPING_SHMEM && !(p->resident[(at - p->first) / 4096] & 1);
}

/* Scan a range without the pages that hold no pointers. */
static void scan_sparse(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all)
{
	uintptr_t page = lo & ~4095ul, from = lo;	/* all before @from is done */
	uint64_t entry[PAGES_AT_ONCE];

	if (hi - lo >= PAGEMAP_FROM && pagemap < 0)
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (hi - lo < PAGEMAP_FROM || pagemap < 0) {
		scan_bytes(to, lo, hi, all);
		return;
	}
	while (page < hi) {
		size_t want = (hi - page + 4095) / 4096, i;
		struct pages p = { .end = 0 };
		uintptr_t end;
		ssize_t got;

		if (want > PAGES_AT_ONCE)
			want = PAGES_AT_ONCE;
		end = page + want * 4096;
		got = pread(pagemap, entry, want * 8, (off_t)(page / 4096 * 8));
		for (i = 0; i < want; i++, page += 4096) {
			/* Bit 63: present, 62: swapped.  An unreadable entry is scanned. */
			if ((ssize_t)((i + 1) * 8) > got || entry[i] >> 62 ||
			    !is_hole(&p, page, end))
				continue;
			if (page > from)
				scan_bytes(to, from, page, all);
			from = page + 4096;
			if (visitor)
				visitor->nothing(visitor->arg, page, from < hi ? from : hi);
		}
	}
	if (from < hi)
		scan_bytes(to, from, hi, all);
}

/* ------------------------------------------------------------------------------------------ */
/* The scan                                                                                   */
/* ------------------------------------------------------------------------------------------ */

/* Not all roots are known, so nothing may be freed: give up the cycle. */
static void give_up(void)
{
	tri_write(&tri_g.cycle_is_void, 1);
	tri_complain(
		TRI_COMPLAINT_ROOTS, true,
		"tricolor: the writable data of the loaded objects can't be "
		"found, so that nothing is collected: no memory, no /proc, or dlopen() and dlclose() "
		"without a pause");
}

/**
 * Agent: give up the cycle if a loaded object was compiled for another version of the inlined
 * paths.  Its stores may bypass the barrier.
 */
void tri_roots_refuse_misfits(void)
{
	const struct tri_abi_fault *f;

	if (!tri_abi_check(&f)) {
		give_up();
		return;
	}
	if (!f) {
		tri_complaint_over(TRI_COMPLAINT_ROOTS);
		return;
	}
	tri_write(&tri_g.cycle_is_void, 1);
	tri_abi_complain(TRI_COMPLAINT_ROOTS, true,
			 ", so that nothing is collected while it is loaded", f);
}

/* Agent: scan all roots.  @all: the program's threads are stopped. */
void tri_roots_scan(struct tri_thread *to, bool all)
{
	struct tri_root_table *table = &tri_root_table;
	struct tri_handle_chunk *c;
	size_t i;

	scanned_bytes = 0;
	mappings_known = false;
	tri_tls_refresh();
	/*
	 * If this fails while threads are stopped, one may be in dlopen() and have left the
	 * loader's list half-changed.  Then the segments of the last scan are used.
	 */
	if (!tri_objects_segments(&segments)) {
		if (!all)
			give_up();
	} else if (!all) {
		tri_roots_refuse_misfits();
	}
	for (i = 0; i < segments.n; i++)
		scan_sparse(to, segments.range[i].lo, segments.range[i].hi, all);
	if (all ? pthread_mutex_trylock(&table->lock) : pthread_mutex_lock(&table->lock))
		return;
	for (i = 0; i < table->added.n; i++)
		scan_sparse(to, table->added.range[i].lo, table->added.range[i].hi, all);
	for (i = 0; i < table->pieces.n; i++)
		scan_sparse(to, table->pieces.range[i].lo, table->pieces.range[i].hi, all);
	for (c = table->chunks; c; c = c->next)
		scan_sparse(to, (uintptr_t)c->cell, (uintptr_t)(c->cell + TRI_HANDLE_CHUNK), all);
	pthread_mutex_unlock(&table->lock);
	tri_starting_scan(to, all);
	tri_pool_roots_scan(to, all);
}

static void visit_ranges(const struct tri_ranges *r, bool are_segments)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		visitor->range(visitor->arg, r->range[i].lo, r->range[i].hi, are_segments);
		scan_sparse(tri_g.agent, r->range[i].lo, r->range[i].hi, false);
	}
}

/**
 * Agent: show data segments and registered ranges to @v.  False: the segments can't be known, and
 * only the ranges were shown.
 */
bool tri_roots_visit(const struct tri_root_visitor *v)
{
	uint64_t scanned = scanned_bytes;
	bool known = tri_objects_segments(&segments);

	visitor = v;
	mappings_known = false;
	if (known)
		visit_ranges(&segments, true);
	pthread_mutex_lock(&tri_root_table.lock);
	visit_ranges(&tri_root_table.added, false);
	visit_ranges(&tri_root_table.pieces, false);
	pthread_mutex_unlock(&tri_root_table.lock);
	visitor = NULL;
	scanned_bytes = scanned;
	return known;
}

/*
 * The agent calls this at the start, to map what it needs in each cycle before the program goes on.
 * The program may later unmap some memory and then map other memory at the same address.  Nothing
 * of the agent's may have come there in between.
 */
void tri_roots_prepare(void)
{
	open_window();
	tri_objects_segments(&segments);
}

uint64_t tri_roots_bytes(void)
{
	return scanned_bytes;
}

/** In the child of a fork(): forget the descriptors, which the parent's agent has. */
void tri_root_scan_reset(void)
{
	segments.n = 0;
	pagemap = memory = window_file = -1;
	window = NULL;
	no_window = false;
}
