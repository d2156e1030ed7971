// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * untouched.c - pages that were taken and have no memory yet
 *
 * The kernel gives a page memory, and charges it, when the page is first touched.  So pages that
 * the heap has taken and not touched will be charged later, and only the library can know how many
 * they are (grant.c).  The size of the arena's file does not tell, as it is the sum of tables,
 * buffers and pages.  So:
 *
 *  1. A page that is taken and has no memory (`backed`) gets a bit here, under
 *     tri_g.page_lock.
 *  2. The agent asks the kernel which pages with a bit have memory by now, and clears the bits of
 *     those.  A page keeps its memory until the collector has freed the page and takes the memory.
 *     If the page heap then gives the page out again, it gets a new bit.  The agent holds the lock
 *     from the question until the bits are cleared, so it can't clear such a new bit.
 *
 * If this account is wrong, it counts too much.  It counts pages that the agent did not ask about
 * because it had no time or not the lock, and pages that the collector has freed meanwhile.  Later
 * measurements correct that.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../heap/dumping.h"
#include "../base/lock.h"
#include "../heap/pageheap.h"
#include "../base/state.h"
#include "untouched.h"

#define WORDS_MAX 1024			/* asked about in one measurement: 512 MiB, which takes
					 * some milliseconds if all of it is holes */
#define LOCK_NS 1000000			/* how long the page heap's lock is waited for: a handler
					 * may keep its holder from releasing it */
#define PARTS (TRI_PAGE_BYTES / TRI_SYSTEM_PAGE)

static tri_au64 *bits;			/* one a page of the heap; set and cleared with the page
					 * heap's lock held */
static size_t bits_bytes;
static tri_au64 top;			/* words from here on have none; page heap's lock */
static uint64_t next;			/* word at which the next measurement begins; agent */

/**
 * Make the bits for a new arena of @heap_pages.  The agent calls this before anything is taken.
 * Returns 0 or -ENOMEM.
 */
int tri_untouched_make(uint64_t heap_pages)
{
	void *p = mmap(NULL, heap_pages / 8, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	/* A forked child has the bits of its parent. */
	if (bits)
		munmap(bits, bits_bytes);
	bits = p;
	bits_bytes = heap_pages / 8;
	tri_write(&top, 0);
	next = 0;
	return 0;
}

/**
 * Pages of word @word of the bitmaps were taken, and those in @mask had no memory.  Called with the
 * page heap's lock held.
 */
void tri_untouched_add(uint64_t word, uint64_t mask)
{
	tri_write(&bits[word], tri_read(&bits[word]) | mask);
	if (word >= tri_read(&top))
		tri_write(&top, word + 1);
}

/** In a forked child with a copy of the heap, whose pages without memory are others. */
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
 * How many bytes the pages of @word have still to get.  A thread writes the tables of its pages
 * before it touches the pages.  So while a page has no memory, its tables may have none either.
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
	/* Pages that were given back before they were touched get nothing. */
	left = tri_read(&bits[word]) & tri_read(&v->backed[word]);
	err = mincore(v->heap + (word * 64 << TRI_PAGE_SHIFT), 64 << TRI_PAGE_SHIFT, there) ?
		      errno :
		      0;
	if (err == EAGAIN) {
		tri_unlock(&tri_g.page_lock);
		return most(word);
	}
	/*
	 * If a sandbox forbids the question, nothing can be known.  That must not stop the heap, so
	 * the pages are not counted.
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

/**
 * How many bytes the pages that were taken before have still to get, their tables included.  The
 * result may be too large.  Agent only.
 */
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
