/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * checker.h - TRICOLOR_DEBUG=barriers: stores of pointers that no barrier saw; design/checker.md
 *
 *	checker.c	a pass: reads all words and compares them with what they were
 *	check_exit.c	how the program ends, and with which status
 *	shadow.c	what they were, and notes of what the library stored
 *	sites.c		where objects were allocated
 *	suspect.c	what is made of words that changed: places and sites
 *	watching.c	which words are watched
 *	breakpoint.c	the watching, by events
 *	tracer.c	the watching, where there are no events; tracer_process.c: the process
 *			that does it
 *	probe.c		whether a sandbox lets us
 *	report.c	what is reported
 *
 * Only the agent calls these functions, except tri_note(), tri_sites_note() and tri_check_pace().
 * Their data are in mapped memory, because in a static program variables of the library are roots.
 */
#ifndef TRI_CHECKER_H
#define TRI_CHECKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../core/heap/span.h"
#include "../base/attributes.h"
#include "../base/state.h"

enum tri_where { TRI_WHERE_HEAP, TRI_WHERE_GLOBAL, TRI_WHERE_ROOT };

/* A word that has changed without a note. */
struct tri_suspect {
	uintptr_t at;
	uint64_t was, now;
	uintptr_t object;		/* heap */
	uint64_t object_bytes;
	enum tri_where where;
	uint8_t span_class;		/* of the object; heap */
	uint16_t site;			/* that has allocated the object; heap; 0: not known */
	bool sure;			/* a type map says that it is a pointer */
	bool may_go;			/* in an object that can be unloaded */
};

/* ---- checker.c ---- */
void tri_check_begin(void) TRI_HIDDEN;
void tri_check_pass(bool last) TRI_HIDDEN;
void tri_check_cycle_over(void) TRI_HIDDEN;
void tri_check_end(void) TRI_HIDDEN;
void tri_check_forked(void) TRI_HIDDEN;
void tri_check_pace(struct tri_thread *t) TRI_HIDDEN;	/* any thread */

void tri_watching_aim(void) TRI_HIDDEN;	/* watching.c */

/* Whether @word, one of the heap's addresses, is that of an object in use. */
static inline bool tri_check_is_object(uint64_t word)
{
	const struct tri_view *v = &tri_g.view;
	uint64_t offset = word - v->heap_va;
	struct tri_object o;

	return offset >> TRI_PAGE_SHIFT < v->heap_pages && tri_in_heap(offset) &&
	       tri_resolve(v, offset, &o) && tri_bit(v->marks[tri_g.gen & 1], o.page, o.index);
}

/* ---- check_exit.c ---- */
bool tri_check_exit_begin(void) TRI_HIDDEN;
void tri_check_exit_watch(void) TRI_HIDDEN;
void tri_check_exit_forked(void) TRI_HIDDEN;
void tri_check_found(void) TRI_HIDDEN;
extern tri_au32 tri_check_asked TRI_HIDDEN;	/* a thread in exit() waits for the end */

extern tri_au32 tri_check_progress TRI_HIDDEN;	/* changes while a pass goes on */

static inline void tri_check_end_if_asked(void)
{
	if (unlikely(tri_read(&tri_check_asked) == 1))
		tri_check_end();
}

static inline void tri_check_barriers_off(void)
{
	if (unlikely(tri_read(&tri_g.checks)))
		tri_watching_aim();
}

/* ---- shadow.c ---- */
void *tri_check_map(size_t bytes) TRI_HIDDEN;
int tri_shadow_open(uint64_t most_bytes) TRI_HIDDEN;
void tri_note_slot(const void *slot) TRI_HIDDEN;
void tri_note_range(uintptr_t lo, uintptr_t hi) TRI_HIDDEN;
void tri_notes_turn(void) TRI_HIDDEN;
bool tri_notes_lost(void) TRI_HIDDEN;
void tri_notes_clear_old(void) TRI_HIDDEN;
bool tri_noted(uintptr_t at) TRI_HIDDEN;
const uint64_t *tri_shadow_page(uintptr_t at) TRI_HIDDEN;
uint64_t tri_shadow_get(uintptr_t at) TRI_HIDDEN;
bool tri_shadow_set(uintptr_t at, uint64_t word) TRI_HIDDEN;
void tri_shadow_clear(uintptr_t lo, uintptr_t hi) TRI_HIDDEN;
uint64_t tri_shadow_bytes(void) TRI_HIDDEN;

/* Called by any thread, inside, before it stores to @slot. */
static inline void tri_note(const void *slot)
{
	if (unlikely(tri_read(&tri_g.checks)))
		tri_note_slot(slot);
}

/* ---- sites.c ---- */
int tri_sites_open(uint64_t most_bytes) TRI_HIDDEN;
void tri_sites_note(const void *object, const char *type, const void *ip) TRI_HIDDEN;
unsigned int tri_sites_of(uintptr_t object) TRI_HIDDEN;
uintptr_t tri_sites_ip(unsigned int site, const char **type) TRI_HIDDEN;
bool tri_sites_lost(void) TRI_HIDDEN;

/* ---- suspect.c ---- */
int tri_suspects_open(void) TRI_HIDDEN;
void tri_suspects_stop(void) TRI_HIDDEN;
#define TRI_WATCHED 64
bool tri_suspect_read(uintptr_t at) TRI_HIDDEN;
void tri_suspects_begin(void) TRI_HIDDEN;
void tri_suspects_add(const struct tri_suspect *s, size_t n) TRI_HIDDEN;
void tri_suspects_take(uint64_t pass_ns, bool last) TRI_HIDDEN;

/* ---- breakpoint.c ---- */
#define TRI_HIT_STACK 2048u		/* qsort() of some hundred bytes has that much on it */

enum tri_hit_register {
	TRI_HIT_IP,
	TRI_HIT_SP,
	TRI_HIT_BP,
	TRI_HIT_BX,
	TRI_HIT_R12,
	TRI_HIT_R13,
	TRI_HIT_R14,
	TRI_HIT_R15,
	TRI_HIT_REGISTERS
};

/* A store, by the instruction before @ip. */
struct tri_hit {
	uint64_t time_ns, ip;
	uint32_t tid;
	uint32_t stack_bytes;
	uint64_t registers[TRI_HIT_REGISTERS];
	unsigned char stack[TRI_HIT_STACK];
};

#define TRI_WATCHES 4			/* debug registers */
#define TRI_WATCHED_THREADS 64		/* by events */

/* A word that is watched, by all threads or one. */
struct tri_watch {
	uintptr_t at;
	uint64_t was;
	uint64_t read_ns;		/* when it was read and held @now; 0: it was not read yet */
	uint64_t since_ns;		/* a time after which it held @was */
	uint64_t now;
	bool is_readable;
	unsigned int events;
	int fd[TRI_WATCHED_THREADS];
	void *ring[TRI_WATCHED_THREADS];
	bool whole;			/* no event was missed since it held @was */
	bool is_kept;			/* it was watched before the last pass, too */
	bool only;			/* one thread is watched, and others may store, too */
	bool nobody_else;		/* the threads are those of when it began; else others
					 * are watched too */
	uint32_t made;			/* tri_g.threads_made when it began */
	unsigned int trace;		/* by the tracer, where it is number @trace - 1; 0: by
					 * events */
	struct tri_hit hit;		/* of one of the rings */
};

bool tri_watch_begin(struct tri_watch *w, const pid_t *tids, size_t n, bool only) TRI_HIDDEN;
void tri_watches_start(struct tri_watch *w, size_t n) TRI_HIDDEN;	/* list_lock */
void tri_watch_read(struct tri_watch *w) TRI_HIDDEN;
bool tri_watch_first(struct tri_watch *w, struct tri_hit *hit) TRI_HIDDEN;
bool tri_watch_last(struct tri_watch *w, struct tri_hit *hit) TRI_HIDDEN;
bool tri_watch_is_nobody(const struct tri_watch *w) TRI_HIDDEN;
void tri_watch_end(struct tri_watch *w) TRI_HIDDEN;
const char *tri_watch_why(void) TRI_HIDDEN;

/* ---- probe.c ---- */
int tri_probe(long number) TRI_HIDDEN;

/* ---- tracer.c; agent, but for tri_tracer_region_over() ---- */
bool tri_tracer_open(void) TRI_HIDDEN;
bool tri_tracer_begin(struct tri_watch *w, pid_t only) TRI_HIDDEN;
bool tri_tracer_start(void) TRI_HIDDEN;
bool tri_tracer_is_stale(void) TRI_HIDDEN;
bool tri_tracer_read(struct tri_watch *w) TRI_HIDDEN;
bool tri_tracer_first(const struct tri_watch *w, struct tri_hit *hit) TRI_HIDDEN;
bool tri_tracer_last(const struct tri_watch *w, struct tri_hit *hit) TRI_HIDDEN;
bool tri_tracer_is_nobody(const struct tri_watch *w) TRI_HIDDEN;
void tri_tracer_end(struct tri_watch *w) TRI_HIDDEN;
void tri_tracer_let_go(void) TRI_HIDDEN;
const char *tri_tracer_why(void) TRI_HIDDEN;
void tri_tracer_region_over(struct tri_thread *t) TRI_HIDDEN;
void tri_tracer_forked(void) TRI_HIDDEN;

static inline void tri_check_region_over(struct tri_thread *t)
{
	if (unlikely(tri_read(&tri_g.checks)))
		tri_tracer_region_over(t);
}

/* ---- report.c ---- */
void tri_report_open(void) TRI_HIDDEN;
void tri_report_suspect(size_t place, const struct tri_suspect *s) TRI_HIDDEN;
void tri_report_store(size_t site, const struct tri_suspect *s, const struct tri_hit *hit,
		      size_t place, const char *why) TRI_HIDDEN;
void tri_report_known(size_t place, size_t bare, size_t site) TRI_HIDDEN;
void tri_report_count(size_t site, uint64_t count) TRI_HIDDEN;
void tri_report_end(size_t sites, uint64_t stores, uint64_t unwatched) TRI_HIDDEN;
void tri_report_refusal(const char *why) TRI_HIDDEN;
void tri_report_pass(void) TRI_HIDDEN;
void tri_report_notice(const char *what) TRI_HIDDEN;

#endif
