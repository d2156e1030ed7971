// SPDX-License-Identifier: GPL-2.0-only
/* arena_check.c - see arena_check.h */
#include "arena_check.h"

bool arena_find(struct tri_view *v)
{
	FILE *f = fopen("/proc/self/maps", "re");
	struct tri_layout layout;
	char line[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		uintptr_t lo, hi;
		uint64_t offset;

		if (!strstr(line, "tricolor (deleted)") ||
		    sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %" SCNx64, &lo, &hi, &offset) !=
			    3 ||
		    offset)
			continue;
		if (tri_layout_init(&layout, ((struct tri_ctl *)lo)->heap_pages))
			continue;
		tri_classes_init();
		tri_view_init(v, (void *)lo, &layout, lo + layout.heap);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

uint64_t arena_fault_sum(const struct arena_faults *f)
{
	return f->used_count + f->orphans + f->ghosts + f->spans + f->buffers + f->hidden;
}

static bool arena_used(const struct tri_view *v, uint64_t page)
{
	return tri_read(&v->used[page / 64]) >> (page & 63) & 1;
}

static void arena_check_pages(const struct tri_view *v, struct arena_faults *f)
{
	uint64_t page, top = tri_read(&v->ctl->top_pages), used = 0;

	for (page = 0; page < v->heap_pages / 64; page++)
		used += (uint64_t)__builtin_popcountll(tri_read(&v->used[page]));
	/* The bit of page 0 is set, and the page is not counted. */
	f->used_count = used - 1 != (uint64_t)tri_read(&v->ctl->used_pages);
	for (page = 1; page < top;) {
		unsigned int span_class = tri_read(&v->page_map[page]);
		const struct tri_class *c = &tri_classes[span_class];
		uint64_t state = tri_read(&v->spans[page].state), pages = c->pages, i;

		if (!c->size && !c->large) {
			f->orphans += arena_used(v, page);
			page++;
			continue;
		}
		if (c->large)
			pages = tri_large_pages(v, (uint32_t)page);
		if (!pages || TRI_STATE_CLASS(state) != span_class ||
		    (TRI_STATE_OWNER(state) != TRI_SPAN_IDLE &&
		     TRI_STATE_OWNER(state) != TRI_SPAN_CACHED &&
		     TRI_STATE_OWNER(state) != TRI_SPAN_LARGE)) {
			f->spans++;
			pages = pages ? pages : 1;
		}
		for (i = 0; i < pages; i++) {
			f->ghosts += !arena_used(v, page + i);
			f->spans += tri_read(&v->page_map[page + i]) != span_class;
		}
		page += pages;
	}
}

static void arena_check_hints(const struct tri_view *v, struct arena_faults *f)
{
	uint64_t chunk, chunks = v->heap_pages / TRI_CHUNK_PAGES;
	uint64_t first = (uint32_t)tri_read(&v->ctl->search);

	for (chunk = 0; chunk < chunks; chunk++) {
		uint64_t longest = TRI_CHUNK_PAGES - (tri_read(&v->chunks[chunk]) & 0xffff);
		uint64_t run = 0, best = 0, i;

		for (i = 0; i < TRI_CHUNK_PAGES; i++) {
			run = arena_used(v, chunk * TRI_CHUNK_PAGES + i) ? 0 : run + 1;
			best = run > best ? run : best;
		}
		f->hidden += best > longest || (best && chunk < first);
	}
}

static void arena_check_buffers(const struct tri_view *v, struct arena_faults *f)
{
	static uint8_t seen[TRI_BUFFERS];
	uint32_t i, n = tri_read(&v->ctl->buffers_used), next, left, q;

	memset(seen, 0, sizeof(seen));
	for (q = 0; q < 2; q++) {
		next = (uint32_t)tri_read(q ? &v->ctl->full_buffers : &v->ctl->free_buffers);
		for (left = TRI_BUFFERS; next && left; left--) {
			seen[next - 1]++;
			next = tri_read(&v->buffers[next - 1].next);
		}
		f->buffers += !left;	/* the queue has a circle */
	}
	for (i = 0; i < tri_read(&v->ctl->slots_top); i++)
		if ((next = tri_read(&v->slots[i].buffer)))
			seen[next - 1]++;
	for (i = 0; i < n; i++)
		f->buffers += seen[i] != 1;
}

struct arena_faults arena_faults(const struct tri_view *v)
{
	struct arena_faults f = { 0 };

	arena_check_pages(v, &f);
	arena_check_hints(v, &f);
	arena_check_buffers(v, &f);
	return f;
}
