// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * shadow.c - a value and two notes for each word of the address space; for checker.c
 *
 * Both are found by the address.  Its lowest 30 bits are a position in a leaf, and the others one
 * in a table of leaves.  A leaf is mapped when it is first needed, and only those of its pages
 * take memory that are written to.
 *
 * Any thread sets notes, in the bitmap of the present epoch.  The agent reads and clears them.  The
 * shadow is the agent's alone.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../../core/system/held.h"
#include "../../core/system/point.h"
#include "../checker/checker.h"

#define LEAF_SHIFT 30
#define LEAVES (1u << (47 - LEAF_SHIFT))
#define LEAF_BYTES (1ul << LEAF_SHIFT)
#define NOTE_BYTES (LEAF_BYTES / 64)
#define PAGE 4096ul
#define TOUCHED_BYTES (LEAF_BYTES / PAGE / 8)

struct leaves {
	_Atomic(tri_au64 *) notes[2][LEAVES];
	uint64_t *shadow[LEAVES];
	uint64_t *touched[LEAVES];		/* a bit for each page of the shadow that has
						 * been written to */
};

static struct leaves *leaves;
static tri_au32 epoch;				/* written by the agent under list_lock */
static tri_au32 lost;				/* a note found no memory in this epoch; written
						 * by any thread */
static uint64_t shadow_bytes, most_bytes;

/**
 * Map memory for the checker, which holds zeros and is neither in children of fork() nor in core
 * dumps.  NULL: there is none.
 */
void *tri_check_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_DONTFORK);
	madvise(p, bytes, MADV_DONTDUMP);
	return p;
}

/** Begin with an empty shadow of at most @most bytes.  Returns 0 or -ENOMEM. */
int tri_shadow_open(uint64_t most)
{
	most_bytes = most;
	leaves = tri_check_map(sizeof(*leaves));
	return leaves ? 0 : -ENOMEM;
}

static tri_au64 *new_notes(uintptr_t leaf, uint32_t parity)
{
	tri_au64 *bits = tri_check_map(NOTE_BYTES), *other = NULL;

	if (!bits)
		return NULL;
	if (atomic_compare_exchange_strong(&leaves->notes[parity][leaf], &other, bits))
		return bits;
	munmap(bits, NOTE_BYTES);
	return other;
}

static tri_au64 *note_word(uintptr_t at, uint32_t parity, bool make)
{
	uintptr_t leaf = at >> LEAF_SHIFT;
	tri_au64 *bits;

	if (leaf >= LEAVES)
		return NULL;
	bits = tri_read_acquire(&leaves->notes[parity][leaf]);
	if (!bits && make)
		bits = new_notes(leaf, parity);
	return bits ? &bits[(at & (LEAF_BYTES - 1)) / 512] : NULL;
}

static void note(uintptr_t at, uint64_t bits)
{
	tri_au64 *word = note_word(at, tri_read(&epoch) & 1, true);

	if (!word)
		tri_write(&lost, 1);
	/*
	 * This is a full barrier before the caller's store.  So a reader that finds the stored
	 * value in the slot, and then reads the note, finds the note as well.  If the note was set
	 * already, the load of it comes before the store, since this processor does not reorder a
	 * load with a later store.  Pairs with the fence in look() of checker.c.
	 */
	else if ((tri_read(word) & bits) != bits)
		atomic_fetch_or(word, bits);
	TRI_POINT("note.noted");
}

/** Note that the library stores to @slot.  Called by any thread, inside. */
void tri_note_slot(const void *slot)
{
	uintptr_t at = (uintptr_t)slot;

	note(at, 1ull << (at / 8 & 63));
}

/** Like tri_note_slot(), for all words of a range. */
void tri_note_range(uintptr_t lo, uintptr_t hi)
{
	for (lo = (lo + 7) & ~7ul; lo + 8 <= hi; lo += 8) {
		if (lo % 512 || lo + 512 > hi) {
			tri_note_slot((void *)lo);
		} else {
			note(lo, ~0ull);
			lo += 512 - 8;
		}
	}
}

/** Begin an epoch.  Called with list_lock held.  The caller makes a fence and quiesces next. */
void tri_notes_turn(void)
{
	tri_assert_held(&tri_g.list_lock);
	tri_write(&epoch, tri_read(&epoch) + 1);
}

/** Whether a note was lost since the last call. */
bool tri_notes_lost(void)
{
	return atomic_exchange(&lost, 0);
}

/** Whether the library has stored to the word at @at in this epoch or the one before. */
bool tri_noted(uintptr_t at)
{
	uint32_t parity;

	for (parity = 0; parity < 2; parity++) {
		tri_au64 *word = note_word(at, parity, false);

		if (word && tri_read_acquire(word) >> (at / 8 & 63) & 1)
			return true;
	}
	return false;
}

/** Clear the notes of the epoch before this one. */
void tri_notes_clear_old(void)
{
	uint32_t parity = ~tri_read(&epoch) & 1;
	size_t i;

	for (i = 0; i < LEAVES; i++) {
		tri_au64 *bits = tri_read_acquire(&leaves->notes[parity][i]);

		/* The kernel refuses this where memory is locked. */
		if (bits && madvise(bits, NOTE_BYTES, MADV_DONTNEED))
			memset(bits, 0, NOTE_BYTES);
	}
}

/** The shadow of the page of 4 KiB that @at is in; NULL: all of it is 0. */
const uint64_t *tri_shadow_page(uintptr_t at)
{
	uintptr_t leaf = at >> LEAF_SHIFT;
	size_t page = (at & (LEAF_BYTES - 1)) / PAGE;

	/* A page that was never written to is not read either, as that would take page tables. */
	if (leaf >= LEAVES || !leaves->shadow[leaf] ||
	    !(leaves->touched[leaf][page / 64] >> (page & 63) & 1))
		return NULL;
	return leaves->shadow[leaf] + page * (PAGE / 8);
}

uint64_t tri_shadow_get(uintptr_t at)
{
	const uint64_t *page = tri_shadow_page(at);

	return page ? page[at % PAGE / 8] : 0;
}

/** Set the shadow of the word at @at.  False: this takes more memory than is allowed. */
bool tri_shadow_set(uintptr_t at, uint64_t word)
{
	uintptr_t leaf = at >> LEAF_SHIFT;
	size_t page = (at & (LEAF_BYTES - 1)) / PAGE;
	uint64_t bit = 1ull << (page & 63);

	if (leaf >= LEAVES || word == tri_shadow_get(at))
		return true;
	if (!leaves->shadow[leaf]) {
		uint64_t *touched = tri_check_map(TOUCHED_BYTES),
			 *shadow = touched ? tri_check_map(LEAF_BYTES) : NULL;

		if (!shadow) {
			if (touched)
				munmap(touched, TOUCHED_BYTES);
			return false;
		}
		leaves->touched[leaf] = touched;
		leaves->shadow[leaf] = shadow;
	}
	if (!(leaves->touched[leaf][page / 64] & bit)) {
		if (shadow_bytes + PAGE > most_bytes)
			return false;
		shadow_bytes += PAGE;
		leaves->touched[leaf][page / 64] |= bit;
	}
	leaves->shadow[leaf][(at & (LEAF_BYTES - 1)) / 8] = word;
	return true;
}

/** Set the shadow of a range that is not mapped any more to 0. */
void tri_shadow_clear(uintptr_t lo, uintptr_t hi)
{
	uintptr_t at, end;

	for (at = lo & ~7ul; at < hi; at = end) {
		uintptr_t leaf = at >> LEAF_SHIFT;
		size_t page = (at & (LEAF_BYTES - 1)) / PAGE;

		end = (at & ~(PAGE - 1)) + PAGE;
		if (end > hi)
			end = hi;
		if (leaf >= LEAVES)
			return;
		if (leaves->shadow[leaf] && leaves->touched[leaf][page / 64] >> (page & 63) & 1)
			memset(&leaves->shadow[leaf][(at & (LEAF_BYTES - 1)) / 8], 0, end - at);
	}
}

uint64_t tri_shadow_bytes(void)
{
	return shadow_bytes;
}
