// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * sites.c - where objects with pointers were allocated, and of which type; for checker.c
 *
 * When the checker is on, every allocation is a call.  Its return address and the name of its type
 * are a *site*, and there is a table of sites.  A map has the number of each object's site: two
 * bytes for each 16 of the heap, found by the address at which the object begins.  So it takes an
 * eighth of the memory that objects take, and at most a MOST_PART-th of what the shadow may take.
 * Above that, or when the table is full, objects that are allocated have no site, and the agent
 * reports that once.
 *
 * Any thread writes, also one that has interrupted itself, so there are no locks.  An entry is
 * claimed, filled in and then published.  A thread that meets an entry which is not published yet
 * takes another one, so a site may be there twice.  Numbers never change.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"
#include "checker.h"
#include "../base/state.h"

#define ENTRIES 65536u			/* a number has 16 bits */
#define ENTRIES_MOST (ENTRIES / 4 * 3)	/* that are used, so that searches stay short */
#define TYPE_BYTES 48u			/* of a name with its end; longer ones are cut */
#define UNIT_SHIFT 4			/* objects begin at multiples of 16 */
#define PAGE 4096ul
#define UNITS (PAGE / sizeof(uint16_t))
#define MOST_PART 4

enum { FREE, CLAIMED, PUBLISHED };

struct entry {
	tri_au32 state;
	char type[TYPE_BYTES];		/* empty: none */
	uintptr_t ip;			/* the address behind the call */
};

static struct entry *entries;		/* NULL: no sites are kept */
static _Atomic uint16_t *numbers;
static tri_au64 *touched;		/* a bit for each page of numbers; a page without one holds
					 * 0 */
static tri_au64 most_pages, pages;
static tri_au32 in_use;			/* entries */
static tri_au32 full;			/* 1: an object got no site; 2: and this was reported */

/**
 * Begin to keep sites.  @most: how many bytes the shadow may take.  Returns 0 or -ENOMEM, and then
 * no sites are kept.
 */
int tri_sites_open(uint64_t most)
{
	uint64_t units = tri_g.view.heap_pages << TRI_PAGE_SHIFT >> UNIT_SHIFT,
		 npages = units / UNITS + 1;
	void *e = tri_check_map(ENTRIES * sizeof(*entries)), *n = tri_check_map(npages * PAGE);
	void *t = tri_check_map((npages / 64 + 1) * 8);

	if (!e || !n || !t) {
		if (e)
			munmap(e, ENTRIES * sizeof(*entries));
		if (n)
			munmap(n, npages * PAGE);
		if (t)
			munmap(t, (npages / 64 + 1) * 8);
		return -ENOMEM;
	}
	most_pages = most / MOST_PART / PAGE;
	numbers = n;
	touched = t;
	entries = e;
	return 0;
}

static uint32_t hash(uintptr_t ip, const char *type)
{
	uint64_t h = ip;
	unsigned int i;

	for (i = 0; i < TYPE_BYTES - 1 && type[i]; i++)
		h = (h ^ (unsigned char)type[i]) * 0x100000001b3ull;
	return (uint32_t)(h * 0x9e3779b97f4a7c15ull >> 32);
}

static bool is_same(const struct entry *e, uintptr_t ip, const char *type)
{
	return e->ip == ip && !strncmp(e->type, type, TYPE_BYTES - 1);
}

/* The number of a site, which is added if it is new; 0: there is no room. */
static uint32_t number_of(uintptr_t ip, const char *type)
{
	uint32_t i = hash(ip, type), looked, state;

	for (looked = 0; looked < ENTRIES; looked++, i++) {
		struct entry *e = &entries[i % ENTRIES];

		/* No site has the number 0. */
		if (!(i % ENTRIES))
			continue;
		/* Acquire: pairs with the release below. */
		state = tri_read_acquire(&e->state);
		if (state == PUBLISHED && is_same(e, ip, type))
			return i % ENTRIES;
		if (state != FREE)
			continue;
		if (tri_read(&in_use) >= ENTRIES_MOST)
			return 0;
		if (!atomic_compare_exchange_strong(&e->state, &state, CLAIMED))
			continue;
		atomic_fetch_add(&in_use, 1);
		e->ip = ip;
		memccpy(e->type, type, 0, TYPE_BYTES - 1);
		tri_write_release(&e->state, PUBLISHED);
		return i % ENTRIES;
	}
	return 0;
}

static bool is_touched(uint64_t page)
{
	return tri_read(&touched[page / 64]) >> (page & 63) & 1;
}

/* Whether there is memory for page @page of the numbers, within the limit. */
static bool touch(uint64_t page)
{
	uint64_t bit = 1ull << (page & 63);

	if (likely(is_touched(page)))
		return true;
	if (atomic_fetch_add(&pages, 1) >= tri_read(&most_pages)) {
		atomic_fetch_sub(&pages, 1);
		return false;
	}
	if (atomic_fetch_or(&touched[page / 64], bit) & bit)
		atomic_fetch_sub(&pages, 1);
	return true;
}

/* Have the agent report that an object got no site, if it has not done so. */
static void lose(void)
{
	uint32_t none = 0;

	if (!tri_read(&full))
		atomic_compare_exchange_strong(&full, &none, 1);
}

/**
 * Note that @object was allocated by a call that returns to @ip.  @type: NULL if it has none.
 * Called by any thread.
 */
void tri_sites_note(const void *object, const char *type, const void *ip)
{
	uint64_t unit = tri_offset(object) >> UNIT_SHIFT;
	uint32_t number;

	if (!entries)
		return;
	if (!touch(unit / UNITS)) {
		lose();
		return;
	}
	number = number_of((uintptr_t)ip, type ? type : "");
	if (!number)
		lose();
	/* This is also done for 0, since an object that was here before had another site. */
	atomic_store_explicit(&numbers[unit], (uint16_t)number, memory_order_relaxed);
}

/** The site of the object that begins at @object; 0: it is not known. */
unsigned int tri_sites_of(uintptr_t object)
{
	uint64_t unit = tri_offset((void *)object) >> UNIT_SHIFT;

	if (!entries || !is_touched(unit / UNITS))
		return 0;
	return atomic_load_explicit(&numbers[unit], memory_order_relaxed);
}

/** The address behind the call of a site.  *@type: the name of its type, empty if it has none. */
uintptr_t tri_sites_ip(unsigned int site, const char **type)
{
	*type = entries[site].type;
	return entries[site].ip;
}

/** Whether an object got no site, for the first time.  Called by the agent. */
bool tri_sites_lost(void)
{
	uint32_t lost = 1;

	return tri_read(&full) == 1 && atomic_compare_exchange_strong(&full, &lost, 2);
}
