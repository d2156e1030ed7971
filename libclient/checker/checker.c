// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * checker.c - TRICOLOR_DEBUG=barriers: finds stores of pointers that no barrier saw
 *
 * Once a cycle, when marking is complete and before barriers go off:
 *
 *  1. A new epoch of notes begins.  Fence and quiesce (fence.c).  After this, each store with a
 *     note of the old epoch has been made.
 *  2. Every word is read that lies in an object with pointers, in a data segment or in a registered
 *     range.  Then its notes of both epochs are read.  A word that differs from its shadow and has
 *     no note is suspect.  The value that was read becomes the shadow.  In objects that this cycle
 *     frees, the shadow becomes 0.
 *  3. The notes of the old epoch are cleared, suspects are reported, and watches are set for the
 *     time until the next pass.
 *
 * design/checker.md has the reasons why no store of the library can be suspect.
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

#define SUSPECTS 65536u			/* at most so many are kept at a time */

static struct tri_suspect *suspects;	/* SUSPECTS of them, and TRI_WATCHED */
static size_t nsuspects;

/* The state of a pass. */
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

/* Note a suspect word.  False: there is no room, and the word is left for the next pass. */
static bool suspect(struct pass *p, uintptr_t at, uint64_t was, uint64_t now)
{
	/*
	 * Suspects in the heap can be handed over at any time.  Those in roots may have to be
	 * dropped again when all roots have been read: see look_at_roots().
	 */
	if (nsuspects >= SUSPECTS && p->what.where == TRI_WHERE_HEAP)
		hand_over();
	/* There is always room for words that are watched. */
	if (!tri_suspect_read(at) && nsuspects >= SUSPECTS)
		return false;
	p->what.at = at;
	p->what.was = was;
	p->what.now = now;
	/* The site is read here: after this cycle's sweep it may be that of another object. */
	p->what.site = p->what.where == TRI_WHERE_HEAP ? (uint16_t)tri_sites_of(p->what.object) : 0;
	suspects[nsuspects++] = p->what;
	return true;
}

/*
 * Report progress, so that threads keep waiting for the cycle.  A pass over some GiB may take
 * longer than they wait for a collector that does nothing.
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
 * Compare a word.  @now was read at @at a moment ago, and @was is its shadow.  @keeps: the word
 * will still belong to the same object in the next pass.
 */
static void look(struct pass *p, uintptr_t at, uint64_t was, uint64_t now, bool keeps)
{
	uint64_t in = in_heap(p, now);

	if (in != was && p->compares && (tri_check_is_object(was) || tri_check_is_object(in))) {
		/* The note is read after the word: pairs with note() in shadow.c. */
		atomic_thread_fence(memory_order_acquire);
		if (!tri_noted(at) && !suspect(p, at, was, now) && keeps)
			return;
	}
	p->full |= !tri_shadow_set(at, keeps ? in : 0);
}

/* Whether look() has nothing to do.  For most words this is all that is needed. */
static inline bool is_as_it_was(const struct pass *p, uint64_t was, uint64_t now, bool keeps)
{
	uint64_t in = in_heap(p, now);

	return in == was && (keeps || !in);
}

/* Look at words in one page of 4 KiB. */
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
		/* The page gets a shadow with its first word that is not 0. */
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

/* Look at a large object.  Its holes are not read, since reading one would take memory. */
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

		/* The device does not tell where data are.  ENXIO: there are no more. */
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

/*
 * If an object was unloaded since the last pass, forget the shadows of all segments that can be
 * unloaded.
 */
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
	/*
	 * If an object was unloaded meanwhile, anything may be mapped at its address.  So suspects
	 * in segments that can be unloaded are dropped.
	 */
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
 * Marking is over when a pass begins, so threads allocate without assisting.  If they allocate
 * faster than the pass reads, the next pass has more to read and takes longer, and they allocate
 * still more.  That would never end.  So when the heap has grown in one pass by PACE_BYTES and a
 * quarter of itself, allocating threads wait until the pass is over.
 *
 * They wait as in tri_step() of gc.c.  This can't deadlock, as a pass waits for no thread.
 */

#define PACE_BYTES (16ull << 20)

static tri_au32 pace;			/* futex: odd during a pass; written by the agent */
static tri_au64 pace_pages;		/* how large the heap may become in this pass */

static void begin_pace(void)
{
	int64_t used = tri_read(&tri_g.view.ctl->used_pages);

	if (used < 0)
		used = 0;
	tri_write(&pace_pages,
		  (uint64_t)used + (uint64_t)used / 4 + (PACE_BYTES >> TRI_PAGE_SHIFT));
	/* Release: pairs with the acquire in tri_check_pace(). */
	tri_write_release(&pace, tri_read(&pace) | 1);
}

static void end_pace(void)
{
	tri_write_release(&pace, (tri_read(&pace) | 1) + 1);
	tri_futex_wake(&pace);
}

/** @t has allocated: have it wait if that is needed.  Called outside and without a lock. */
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

/*
 * Read all words.  All that was stored so far has a note of the old epoch.  @last: this is the last
 * pass, and not at the end of marking.
 */
static void pass_over_words(bool last)
{
	struct pass p = { .heap_lo = tri_g.view.heap_va,
			  .heap_bytes = tri_g.view.heap_pages << TRI_PAGE_SHIFT,
			  .last = last };
	uint64_t began_ns;

	/* If a note was lost, a store of the library's might be reported. */
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
	/* Threads go on only now, so that their next stores are watched. */
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
 * Agent: make a pass.  All that the library has stored so far is noted in the epoch that ends here.
 * @last: this is the last pass, and not at the end of marking.
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

/** A cycle is over: ask for the next one at once. */
void tri_check_cycle_over(void)
{
	if (!tri_read(&tri_g.checks))
		return;
	atomic_fetch_add(&tri_g.gc_wanted, 1);
	tri_agent_wake(TRI_WAKE_GC);
}

/** The agent calls this at the start, before anything is allocated. */
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

/** Agent: make the last pass, for a thread that is in exit(). */
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
 * In the child of a fork(): stop checking.  If the parent had no heap yet, the child may start one
 * that is checked, like any other program.
 */
void tri_check_forked(void)
{
	tri_write(&tri_g.checks, 0);
	tri_write(&tri_check_asked, 0);
	tri_tracer_forked();
	tri_check_exit_forked();
}
