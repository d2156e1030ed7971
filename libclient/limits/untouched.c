// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * untouched.c - pages that were taken and have no memory yet
 *
 * The kernel gives a page memory, and charges it, when the page is touched.  So pages that the
 * heap has taken and not touched are still to be charged, which nobody else can see (grant.c).
 * The size of the arena's file does not say how many they are, as it is the sum of tables, buffers
 * and pages.  So:
 *
 *  1. A page that is taken and has no memory (`backed`) gets a bit here, under
 *     tri_g.page_lock.
 *  2. The agent asks the kernel which pages with a bit have memory by now, and takes the bits of
 *     those away: memory that a page has it keeps until the collector has freed the page and takes
 *     it, and then the page heap does not give the page out again without a new bit.  The lock is
 *     held from the question to the answer, so that no such bit is taken away.
 *
 * All that is wrong here counts too much, and the next measurement is to find it: pages that are
 * not asked about for want of time or of the lock, and pages that the collector has freed
 * meanwhile.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../heap/dumping.h"
#include "../base/lock.h"
#include "../heap/pageheap.h"
#include "../base/state.h"
#include "untouched.h"

#define WORDS_MAX 1024			/* asked about in a measurement: 512 MiB, some milliseconds
					 * where they are all holes */
#define LOCK_NS 1000000			/* for the page heap's lock: a handler may keep a thread
					 * from releasing it */
#define PARTS (TRI_PAGE_BYTES / TRI_SYSTEM_PAGE)

static tri_au64 *bits;			/* one a page of the heap; set and cleared with the page
					 * heap's lock held */
static size_t bits_bytes;
static tri_au64 top;			/* words from here on have none; page heap's lock */
static uint64_t next;			/* word at which the next measurement begins; agent */

/** For a new arena of @heap_pages.  Agent, before anything is taken.  Returns 0 or -ENOMEM. */
int tri_untouched_make(uint64_t heap_pages)
{
	void *p = mmap(NULL, heap_pages / 8, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	/* A forked child has the parent's. */
	if (bits)
		munmap(bits, bits_bytes);
	bits = p;
	bits_bytes = heap_pages / 8;
	tri_write(&top, 0);
	next = 0;
	return 0;
}

/**
 * Pages of word @word of the bitmaps have been taken: those in @mask had no memory.  With the page
 * heap's lock held.
 */
void tri_untouched_add(uint64_t word, uint64_t mask)
{
	tri_write(&bits[word], tri_read(&bits[word]) | mask);
	if (word >= tri_read(&top))
		tri_write(&top, word + 1);
}

/** A forked child has a copy of the heap, with holes of its own. */
void tri_untouched_copied(void)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t words = (tri_read(&v->ctl->top_pages) + 63) / 64, w;

	for (w = 0; w < words; w++)
		tri_write(&bits[w], tri_read(&v->backed[w]));
	tri_write(&top, words);
	next = 0;
}

static uint64_t most(uint64_t word)
{
	return (uint64_t)__builtin_popcountll(tri_read(&bits[word])) * TRI_TAKEN_BYTES;
}

/*
 * What is promised to the pages of @word.  A thread writes the tables of its pages before it
 * touches these: as long as there is a hole the tables may be missing, too.
 */
static uint64_t measure_word(uint64_t word)
{
	const struct tri_view *v = &tri_g.view;
	unsigned char there[64 * PARTS];
	uint64_t left, bytes = 0;
	unsigned int i, part, holes;
	int err;

	if (!tri_lock_until(&tri_g.page_lock, tri_now_ns() + LOCK_NS))
		return most(word);
	/* Those that were given back untouched are promised nothing. */
	left = tri_read(&bits[word]) & tri_read(&v->backed[word]);
	err = mincore(v->heap + (word * 64 << TRI_PAGE_SHIFT), 64 << TRI_PAGE_SHIFT, there) ?
		      errno :
		      0;
	if (err == EAGAIN) {
		tri_unlock(&tri_g.page_lock);
		return most(word);
	}
	/*
	 * Where a sandbox forbids the question, nothing is known, and a heap must not stand still
	 * for that.
	 */
	if (err)
		left = 0;
	tri_write(&bits[word], left);
	for (; left; left &= left - 1) {
		i = (unsigned int)__builtin_ctzll(left);
		for (part = holes = 0; part < PARTS; part++)
			holes += !(there[i * PARTS + part] & 1);
		if (holes)
			bytes += holes * TRI_SYSTEM_PAGE + TRI_TABLES_BYTES;
		else
			tri_write(&bits[word], tri_read(&bits[word]) & ~(1ull << i));
	}
	tri_unlock(&tri_g.page_lock);
	return bytes;
}

/** Bytes that pages which were taken before have still to get, tables and all; or more.  Agent. */
uint64_t tri_untouched_bytes(void)
{
	uint64_t words = tri_read(&top), bytes = 0, asked = 0, first = next, w, i;

	for (i = 0; i < words; i++) {
		w = (first + i) % words;
		if (!tri_read(&bits[w]))
			continue;
		if (asked == WORDS_MAX) {
			bytes += most(w);
			continue;
		}
		bytes += measure_word(w);
		asked++;
		next = w + 1;
	}
	return bytes;
}
