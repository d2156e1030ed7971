// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * dumping.c - what of an arena is in a core dump
 *
 * Most of the arena is holes.  The kernel reads them when it writes a core dump, and then each
 * becomes a page.  So it is told not to dump the arena (MADV_DONTDUMP), but to dump the control
 * page and the chunks of the heap that have pages in use (MADV_DODUMP).  A debugger finds every
 * object there.  The tables are not dumped.
 *
 *  1. Whoever takes pages in a chunk has it dumped from then on.
 *  2. Once a cycle the agent looks for chunks in which nothing is used now, and nothing was a cycle
 *     ago.  They are not dumped any more.
 *
 * An arena of /dev/tricolor is not dumped at all, because MADV_DODUMP refuses such a mapping
 * (VM_DONTEXPAND).
 */
#include <string.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "backing.h"
#include "dumping.h"
#include "../base/state.h"

#define CHUNKS (TRI_MAX_HEAP_PAGES / TRI_CHUNK_PAGES)
#define CHUNK_BYTES ((uint64_t)TRI_CHUNK_PAGES << TRI_PAGE_SHIFT)

/* Sets of chunks, both under the page heap's lock. */
static uint64_t dumped[CHUNKS / 64], idle[CHUNKS / 64];

static bool has(const uint64_t *set, uint64_t chunk)
{
	return set[chunk / 64] >> (chunk % 64) & 1;
}

static void put(uint64_t *set, uint64_t chunk, bool in)
{
	set[chunk / 64] = (set[chunk / 64] & ~(1ull << (chunk % 64))) | (uint64_t)in
										<< (chunk % 64);
}

static bool advise(uint64_t chunk, int advice)
{
	return !madvise(tri_g.view.heap + chunk * CHUNK_BYTES, CHUNK_BYTES, advice);
}

static bool is_used(uint64_t chunk)
{
	const tri_au64 *used = &tri_g.view.used[chunk * TRI_CHUNK_PAGES / 64];
	unsigned int i;

	for (i = 0; i < TRI_CHUNK_PAGES / 64; i++)
		if (tri_read(&used[i]))
			return true;
	return false;
}

/** Begin, when the arena was just mapped where it is now.  Nobody takes pages yet. */
void tri_dump_begin(void)
{
	const struct tri_mapping *m = &tri_g.mapping;
	uint64_t page, top = tri_read(&tri_g.view.ctl->top_pages);

	memset(dumped, 0, sizeof(dumped));
	memset(idle, 0, sizeof(idle));
	if (madvise(m->base, m->layout.file_bytes, MADV_DONTDUMP) || m->is_device)
		return;
	madvise(m->base, TRI_SYSTEM_PAGE, MADV_DODUMP);
	for (page = 0; page < top; page += TRI_CHUNK_PAGES)
		if (is_used(page / TRI_CHUNK_PAGES))
			tri_dump_pages(page, 1);
}

/** Have pages that are being taken in core dumps.  Called with the page heap's lock held. */
void tri_dump_pages(uint64_t page, uint64_t pages)
{
	uint64_t chunk = page / TRI_CHUNK_PAGES, last = (page + pages - 1) / TRI_CHUNK_PAGES;

	if (tri_g.mapping.is_device)
		return;
	for (; chunk <= last; chunk++) {
		put(idle, chunk, false);
		if (!has(dumped, chunk))
			put(dumped, chunk, advise(chunk, MADV_DODUMP));
	}
}

/** Point 2.  Called by the agent once a cycle, with the page heap's lock held. */
void tri_dump_trim(void)
{
	uint64_t w, chunk;

	for (w = 0; w < CHUNKS / 64; w++) {
		for (chunk = w * 64; dumped[w] && chunk < (w + 1) * 64; chunk++) {
			bool used = !has(dumped, chunk) || is_used(chunk);

			if (!used && has(idle, chunk))
				put(dumped, chunk, !advise(chunk, MADV_DONTDUMP));
			put(idle, chunk, !used);
		}
	}
}
