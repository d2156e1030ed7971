// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * checker.c - TRICOLOR_DEBUG=barriers: finds stores of pointers that no barrier saw
 *
 * Once a cycle, when marking is complete and before barriers go off:
 *
 *  1. The epoch of notes changes; fence; quiesce (fence.c).  Who has noted in the old one has
 *     stored.
 *  2. Every word of objects with pointers that are in use, of data segments and of registered
 *     ranges is read, and then its notes, of both epochs.  What differs from its shadow without a
 *     note is suspect.  Its shadow is then what was read: of objects that this cycle frees, 0.
 *  3. The notes of the old epoch are cleared, suspects reported, and watches set for the next
 *     interval.
 *
 * Why no store of the library's can be suspect is in design/checker.md.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "../../core/system/futex.h"
#include "../../core/system/point.h"
#include "../agent/agent.h"
#include "../base/attributes.h"
#include "checker.h"
#include "../threads/fence.h"
#include "../roots/loader.h"
#include "../base/lock.h"
#include "../roots/object.h"
#include "../roots/root_scan.h"
#include "../base/signals.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tricolor.h"

#define SUSPECTS 65536u			/* that are kept at a time */

static struct tri_suspect *suspects;	/* SUSPECTS of them, and TRI_WATCHED */
static size_t nsuspects;

/* A pass that is under way. */
struct pass {
	uint64_t heap_lo, heap_bytes;
	bool compares;			/* what comes now: else it is only read */
	bool keeps_segments;		/* no object was unloaded */
	bool full;			/* there is no memory for the shadow */
	bool last;
	struct tri_suspect what;	/* template of the words that come now */
};

static struct tri_ranges segments;	/* data segments that can go, as of the last pass */
static unsigned long long unloads;	/* as of then */
static bool unloads_known;

static void hand_over(void)
{
	tri_suspects_add(suspects, nsuspects);
	nsuspects = 0;
}

/* False: there is no room, and it is left for the next pass. */
static bool suspect(struct pass *p, uintptr_t at, uint64_t was, uint64_t now)
{
	/* Those of the heap are what they are; of roots that is known when all have been read. */
	if (nsuspects >= SUSPECTS && p->what.where == TRI_WHERE_HEAP)
		hand_over();
	/* There is always room for those that are watched. */
	if (!tri_suspect_read(at) && nsuspects >= SUSPECTS)
		return false;
	p->what.at = at;
	p->what.was = was;
	p->what.now = now;
	/* Here: until this cycle's sweep it is no other object's. */
	p->what.site = p->what.where == TRI_WHERE_HEAP ? (uint16_t)tri_sites_of(p->what.object) : 0;
	suspects[nsuspects++] = p->what;
	return true;
}

/*
 * Who waits for a cycle sees that it goes on: a pass over some GiB may take longer than they wait
 * in vain.
 */
static void go_on(void)
{
	tri_write(&tri_check_progress, tri_read(&tri_check_progress) + 1);
	TRI_POINT("check.looked");
}

static inline uint64_t in_heap(const struct pass *p, uint64_t word)
{
	return word - p->heap_lo < p->heap_bytes ? word : 0;
}

/*
 * @now was read at @at a moment ago, and @was is its shadow.  @keeps: the word is there until the
 * next pass.
 */
static void look(struct pass *p, uintptr_t at, uint64_t was, uint64_t now, bool keeps)
{
	uint64_t in = in_heap(p, now);

	if (in != was && p->compares && (tri_check_is_object(was) || tri_check_is_object(in))) {
		/* After the word: pairs with note() in shadow.c. */
		atomic_thread_fence(memory_order_acquire);
		if (!tri_noted(at) && !suspect(p, at, was, now) && keeps)
			return;
	}
	p->full |= !tri_shadow_set(at, keeps ? in : 0);
}

/* As look(), and most words need no more than this. */
static inline bool is_as_it_was(const struct pass *p, uint64_t was, uint64_t now, bool keeps)
{
	uint64_t in = in_heap(p, now);

	return in == was && (keeps || !in);
}

/* Of one page of 4 KiB. */
__attribute__((no_sanitize("address", "thread")))
static void look_at_page(struct pass *p, uint64_t offset, uint64_t end, bool keeps)
{
	const struct tri_view *v = &tri_g.view;
	tri_au64 *map = &v->ptrmap[0][0];
	const uint64_t *shadow = tri_shadow_page(v->heap_va + offset);

	for (; offset < end; offset += 8) {
		uint64_t now, was;

		if (p->what.sure && !(tri_read(&map[offset / 512]) >> (offset / 8 & 63) & 1))
			continue;
		now = __atomic_load_n((uint64_t *)(v->heap + offset), __ATOMIC_ACQUIRE);
		was = shadow ? shadow[offset % 4096 / 8] : 0;
		if (likely(is_as_it_was(p, was, now, keeps)))
			continue;
		look(p, v->heap_va + offset, was, now, keeps);
		/* It may be the first word of the page that is not 0. */
		if (!shadow)
			shadow = tri_shadow_page(v->heap_va + offset);
	}
}

static void look_at_words(struct pass *p, uint64_t offset, uint64_t bytes, bool keeps)
{
	uint64_t end = offset + bytes, stop;

	for (; offset < end; offset = stop) {
		stop = (offset & ~4095ull) + 4096;
		if (stop > end)
			stop = end;
		look_at_page(p, offset, stop, keeps);
	}
}

static void look_at_span(struct pass *p, uint32_t page, const struct tri_class *c)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t start = (uint64_t)page << TRI_PAGE_SHIFT;
	unsigned int w, words = (c->objects + 63u) / 64;

	for (w = 0; w < words; w++) {
		/*
		 * Acquire: pairs with open_window() in cache.c, which has zeroed the slots before.
		 */
		uint64_t used = tri_read_acquire(&v->marks[tri_g.gen & 1][page][w]) &
				tri_objects_mask(c->objects, w);
		uint64_t marked = p->last ? ~0ull : tri_read(&v->marks[~tri_g.gen & 1][page][w]);

		for (; used; used &= used - 1) {
			unsigned int bit = (unsigned int)__builtin_ctzll(used);
			uint64_t offset = start + (uint64_t)(w * 64 + bit) * c->size;

			p->what.object = v->heap_va + offset;
			look_at_words(p, offset, c->size, marked >> bit & 1);
		}
	}
}

/* Its holes are left alone: reading one would take memory. */
static void look_at_large(struct pass *p, uint32_t page, uint32_t pages)
{
	const struct tri_view *v = &tri_g.view;
	off_t base = (off_t)v->layout.heap;
	uint64_t at = (uint64_t)page << TRI_PAGE_SHIFT,
		 end = at + ((uint64_t)pages << TRI_PAGE_SHIFT);
	bool keeps = p->last || tri_bit(v->marks[~tri_g.gen & 1], page, 0);

	if (!tri_bit(v->marks[tri_g.gen & 1], page, 0))
		return;
	p->what.object = v->heap_va + at;
	p->what.object_bytes = end - at;
	if (tri_read_acquire(&v->spans[page].needs_zero)) {
		for (; at < end; at += 4096) {
			look_at_words(p, at, 4096, keeps);
			go_on();
		}
		return;
	}
	while (at < end) {
		off_t data = lseek(tri_g.mapping.fd, base + (off_t)at, SEEK_DATA);
		uint64_t stop;

		/* The device does not tell; ENXIO: there is no more. */
		if (data < 0 && errno != ENXIO) {
			look_at_words(p, at, end - at, keeps);
			return;
		}
		if (data < 0 || (uint64_t)(data - base) >= end)
			return;
		at = (uint64_t)(data - base);
		stop = (at & ~4095ull) + 4096;
		look_at_words(p, at, (stop < end ? stop : end) - at, keeps);
		go_on();
		at = stop;
	}
}

static void look_at_heap(struct pass *p)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t top = tri_read(&v->ctl->top_pages), page, step;

	p->what.where = TRI_WHERE_HEAP;
	for (page = 1; page < top && page < v->heap_pages; page += step) {
		unsigned int span_class = tri_read_acquire(&v->page_map[page]);
		const struct tri_class *c = &tri_classes[span_class];

		step = 1;
		if ((!c->size && !c->large) ||
		    ((c->large || c->pages > 1) && tri_read(&v->span_of[page]) != page))
			continue;
		step = c->large ? tri_large_pages(v, (uint32_t)page) : c->pages;
		if (!step)
			step = 1;
		if (c->kind == TRI__LEAF || page + step > v->heap_pages)
			continue;
		p->what.span_class = (uint8_t)span_class;
		p->what.object_bytes = c->size;
		p->what.sure = c->kind == TRI__TYPED;
		if (c->large)
			look_at_large(p, (uint32_t)page, (uint32_t)step);
		else
			look_at_span(p, (uint32_t)page, c);
		go_on();
	}
}

/* ---- Roots: see tri_roots_visit(). ---- */

static void begin_range(void *arg, uintptr_t lo, uintptr_t hi, bool segment)
{
	struct pass *p = arg;

	p->what = (struct tri_suspect){ .where = segment ? TRI_WHERE_GLOBAL : TRI_WHERE_ROOT };
	p->what.may_go = segment && !tri_object_is_program(lo);
	p->compares = !p->what.may_go || p->keeps_segments;
	if (p->what.may_go)
		p->full |= !tri_ranges_put(&segments, lo, hi);
}

static void see_words(void *arg, uintptr_t at, const uint64_t *words, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes / 8; i++) {
		uint64_t was = tri_shadow_get(at + i * 8);

		if (!is_as_it_was(arg, was, words[i], true))
			look(arg, at + i * 8, was, words[i], true);
	}
	go_on();
}

static void see_nothing(void *arg, uintptr_t lo, uintptr_t hi)
{
	(void)arg;
	tri_shadow_clear(lo, hi);
}

/* Of objects that may have gone since the last pass nothing is known. */
static void forget_segments(struct pass *p)
{
	unsigned long long now = 0;
	bool known = tri_loader_unloads(&now);
	size_t i;

	p->keeps_segments = known && unloads_known && now == unloads;
	for (i = 0; i < segments.n && !p->keeps_segments; i++)
		tri_shadow_clear(segments.range[i].lo, segments.range[i].hi);
	segments.n = 0;
	unloads = now;
	unloads_known = known;
}

static void look_at_roots(struct pass *p)
{
	struct tri_root_visitor visitor = { begin_range, see_words, see_nothing, p };
	unsigned long long now = 0;
	size_t i, n = 0, first = nsuspects;

	forget_segments(p);
	if (!tri_roots_visit(&visitor))
		unloads_known = false;
	/* An object that was unloaded meanwhile may have made room for anything. */
	if (tri_loader_unloads(&now) && now == unloads && unloads_known)
		return;
	unloads_known = false;
	for (i = n = first; i < nsuspects; i++)
		if (!suspects[i].may_go)
			suspects[n++] = suspects[i];
	nsuspects = n;
}

static void refuse(const char *why)
{
	tri_suspects_stop();
	tri_write(&tri_g.checks, 0);
	tri_report_refusal(why);
}

/*
 * ---- Pace ----
 *
 * Marking is over when a pass begins, and threads allocate without assisting.  If they do so faster
 * than the pass goes on, the next one has more to read, and lasts longer, in which more is
 * allocated: there is no end to that.  So a thread waits until a pass is over in which the heap has
 * grown by PACE_BYTES and a quarter of itself.
 *
 * It waits as in tri_step() of gc.c, and so can't lock up: a pass needs no thread, and ends.
 */

#define PACE_BYTES (16ull << 20)

static tri_au32 pace;			/* futex: odd during a pass; agent */
static tri_au64 pace_pages;		/* that the heap may have in this pass */

static void begin_pace(void)
{
	int64_t used = tri_read(&tri_g.view.ctl->used_pages);

	if (used < 0)
		used = 0;
	tri_write(&pace_pages,
		  (uint64_t)used + (uint64_t)used / 4 + (PACE_BYTES >> TRI_PAGE_SHIFT));
	/* Release: pairs with tri_check_pace(). */
	tri_write_release(&pace, tri_read(&pace) | 1);
}

static void end_pace(void)
{
	tri_write_release(&pace, (tri_read(&pace) | 1) + 1);
	tri_futex_wake(&pace);
}

/** @t has allocated.  Outside, and without a lock. */
void tri_check_pace(struct tri_thread *t)
{
	uint32_t seen = tri_read_acquire(&pace);

	if (!(seen & 1) || t == tri_g.common || t->depth || tri_between ||
	    tri_read(&tri_g.view.ctl->used_pages) <= (int64_t)tri_read(&pace_pages))
		return;
	TRI_POINT("check.pace");
	while (tri_read_acquire(&pace) == seen && tri_read(&tri_g.checks)) {
		if (tri_read(&t->pending))
			tri_signal_self(t);
		tri_futex_wait(&pace, seen, 100000000);
	}
}

/* The notes of what was stored so far are of the old epoch.  @last: not at the end of marking. */
static void pass_over_words(bool last)
{
	struct pass p = { .heap_lo = tri_g.view.heap_va,
			  .heap_bytes = tri_g.view.heap_pages << TRI_PAGE_SHIFT,
			  .last = last };
	uint64_t began_ns;

	/* Of a store that was not noted nobody knows whose it was. */
	if (tri_notes_lost()) {
		refuse("there is no address space for notes of what the library stores, 16 MiB for each GiB of the "
		       "program's that has such words; ulimit -v, or vm.overcommit_memory");
		return;
	}
	p.compares = true;
	nsuspects = 0;
	began_ns = tri_now_ns();
	TRI_POINT("check.pass");
	begin_pace();
	tri_report_pass();
	tri_suspects_begin();
	look_at_heap(&p);
	hand_over();
	look_at_roots(&p);
	hand_over();
	TRI_POINT("check.read");
	tri_notes_clear_old();
	tri_suspects_take(began_ns, last);
	/* What they store at once is watched. */
	end_pace();
	if (tri_sites_lost())
		tri_report_notice(
			"some objects have no allocation site in what is reported: sites take an eighth of "
			"the heap, and may take a quarter of TRICOLOR_DEBUG_MEMORY (1GiB), which can be set "
			"higher; and there may be 49152 of them");
	if (p.full && tri_shadow_bytes() + 4096 > tri_g.settings.debug_memory_bytes)
		refuse("there is no memory for what words were: it takes as much as words with pointers do, up to "
		       "TRICOLOR_DEBUG_MEMORY (1GiB)");
	else if (p.full)
		refuse("there is no address space for what words were, 1 GiB for each of the program's "
		       "that has words with pointers; ulimit -v, or vm.overcommit_memory");
}

/**
 * Agent: what was stored by the library so far is noted in the epoch that ends here, and then all
 * words are read.  @last: not at the end of marking.
 */
void tri_check_pass(bool last)
{
	if (likely(!tri_read(&tri_g.checks)))
		return;
	TRI_POINT("check.begins");
	pthread_mutex_lock(&tri_g.list_lock);
	tri_notes_turn();
	tri_fence_all();
	tri_quiesce();
	pthread_mutex_unlock(&tri_g.list_lock);
	pass_over_words(last);
}

/** The cycle is over: the next one is to begin at once. */
void tri_check_cycle_over(void)
{
	if (!tri_read(&tri_g.checks))
		return;
	atomic_fetch_add(&tri_g.gc_wanted, 1);
	tri_agent_wake(TRI_WAKE_GC);
}

/** Agent, at the start, before anything is allocated. */
void tri_check_begin(void)
{
	int err;

	if (!tri_g.settings.barriers || !tri_check_exit_begin())
		return;
	tri_report_open();
	suspects = tri_check_map((SUSPECTS + TRI_WATCHED) * sizeof(*suspects));
	err = suspects ? tri_shadow_open(tri_g.settings.debug_memory_bytes) : -ENOMEM;
	if (!err)
		err = tri_suspects_open();
	if (err) {
		tri_report_refusal(
			"there is no address space for it; ulimit -v, or vm.overcommit_memory");
		return;
	}
	if (tri_sites_open(tri_g.settings.debug_memory_bytes))
		tri_report_notice(
			"objects have no allocation site in what is reported: there is no address space for "
			"them; ulimit -v, or vm.overcommit_memory");
	if (tri_g.settings.barriers_status)
		tri_check_exit_watch();
	tri_write(&tri_g.checks, 1);
	atomic_fetch_add(&tri_g.gc_wanted, 1);
}

/** Agent: what was stored since the last pass is looked at now, for a thread that is in exit(). */
void tri_check_end(void)
{
	if (tri_read(&tri_g.checks)) {
		tri_check_pass(true);
		tri_tracer_let_go();
		tri_write(&tri_g.checks, 0);
	}
	tri_write_release(&tri_check_asked, 2);
	tri_futex_wake(&tri_check_asked);
}

/**
 * A child of fork(): it has nothing of this.  One whose parent had no heap yet makes one like any
 * other program.
 */
void tri_check_forked(void)
{
	tri_write(&tri_g.checks, 0);
	tri_write(&tri_check_asked, 0);
	tri_tracer_forked();
	tri_check_exit_forked();
}
