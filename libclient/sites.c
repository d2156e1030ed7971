// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * sites.c - where objects with pointers were allocated, and of which type; for checker.c
 *
 * With the checker on every allocation is a call.  Its return address and the name of its type are
 * a *site*; there is a table of them.  Each object has the number of its site in a map: two bytes
 * for each 16 of the heap, found by where the object begins.  So that is an eighth of what memory
 * objects take, and it may be MOST_PART of what the shadow may take.  Above that, and when the
 * table is full, what is allocated has no site, and the agent says so once.
 *
 * Any thread writes, also one that has interrupted itself: there are no locks.  An entry is
 * claimed, filled in and then shown.  Who meets one that is not shown yet takes another one: a site
 * may be there twice.  Numbers stay.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../core/heap/layout.h"
#include "attributes.h"
#include "checker.h"
#include "state.h"

#define ENTRIES 65536u			/* a number has 16 bits */
#define ENTRIES_MOST (ENTRIES / 4 * 3)	/* in use: looking for one stays short */
#define TYPE_BYTES 48u			/* of a name, with its end; what is longer is cut */
#define UNIT_SHIFT 4			/* objects begin at multiples of 16 */
#define PAGE 4096ul
#define UNITS (PAGE / sizeof(uint16_t))
#define MOST_PART 4

enum { FREE, CLAIMED, SHOWN };

struct entry {
	tri_au32 state;
	char type[TYPE_BYTES];		/* empty: none */
	uintptr_t ip;			/* behind the call */
};

static struct entry *entries;		/* NULL: no sites are kept */
static _Atomic uint16_t *numbers;
static tri_au64 *touched;		/* a bit for each page of them; those that have none hold
					 * 0 */
static tri_au64 most_pages, pages;
static tri_au32 in_use;			/* entries */
static tri_au32 full;			/* 1: an object had no place; 2: and that was said */

/** 0 or -ENOMEM: then no sites are kept.  @most: what the shadow may take, in bytes. */
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

/* The number of a site, which is made if it is new; 0: there is no room. */
static uint32_t number_of(uintptr_t ip, const char *type)
{
	uint32_t i = hash(ip, type), looked, state;

	for (looked = 0; looked < ENTRIES; looked++, i++) {
		struct entry *e = &entries[i % ENTRIES];

		/* A number is never 0. */
		if (!(i % ENTRIES))
			continue;
		/* pairs with the release below */
		state = tri_read_acquire(&e->state);
		if (state == SHOWN && is_same(e, ip, type))
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
		tri_write_release(&e->state, SHOWN);
		return i % ENTRIES;
	}
	return 0;
}

static bool is_touched(uint64_t page)
{
	return tri_read(&touched[page / 64]) >> (page & 63) & 1;
}

/*
 * Whether there is memory for the numbers of @page.  The limit is one of pages, so that one too
 * many is none.
 */
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

/* The agent is to say so, if it has not. */
static void lose(void)
{
	uint32_t none = 0;

	if (!tri_read(&full))
		atomic_compare_exchange_strong(&full, &none, 1);
}

/** Any thread: @object was allocated by a call that returns to @ip.  @type: NULL if it has none. */
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
	/* 0, too: what was here before had another one. */
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

/** What is behind the call of a site, and the name of its type, empty if it has none. */
uintptr_t tri_sites_ip(unsigned int site, const char **type)
{
	*type = entries[site].type;
	return entries[site].ip;
}

/** Agent: whether an object was left without a site, for the first time. */
bool tri_sites_lost(void)
{
	uint32_t lost = 1;

	return tri_read(&full) == 1 && atomic_compare_exchange_strong(&full, &lost, 2);
}
