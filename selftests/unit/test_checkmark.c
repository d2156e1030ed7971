// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_checkmark.c - what TRICOLOR_DEBUG=checkmark says of records of cleanups and finalizers
 *
 *	each row of the table in core/heap/special.h: what has to be marked is reported if it is
 *	not, and nothing else is
 *	what is reported names the kind of the record
 *	an object that only a live finalizer has is traversed, and need not be marked
 */
#include <stdarg.h>
#include <string.h>

#include "core/heap/special.h"
#include "kselftest.h"
#include "lib/check.h"
#include "lib/plain_arena.h"

/* Included for its parts.  The client and its standard error are here. */
#include "daemon/heap/checkmark.c"

#define PAGES (TRI_CHUNK_PAGES * 4)

static struct arena arena;
static char line[4096];			/* what was reported first */
static unsigned int asked;

bool handshake(struct arena *a, enum tri_handshake kind, struct tri_msg *answer)
{
	(void)a;
	(void)kind;
	(void)answer;
	asked++;
	return true;
}

void trace_line(struct arena *a, const char *fmt, ...)
{
	va_list args;

	(void)a;
	if (line[0])
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
}

static void make_arena(void)
{
	arena.fd = plain_arena_in_file(&arena.view, PAGES);
	arena.marker.marks = arena.view.marks[0];
	arena.marker.allocated = arena.view.marks[1];
}

static void begin(void)
{
	plain_arena_clear(&arena.view, arena.fd);
	tri_write(&arena.view.ctl->top_pages, PAGES);
	line[0] = 0;
	asked = 0;
}

static void set(tri_au64 (*bits)[TRI_MARK_WORDS], uint64_t offset)
{
	struct tri_object o;

	if (!tri_resolve(&arena.view, offset, &o))
		ksft_exit_fail_msg("no object at %#llx\n", (unsigned long long)offset);
	atomic_fetch_or(&bits[o.page][o.index / 64], 1ull << (o.index & 63));
}

/* A conservative object of 64 bytes, alone in its page, whose first word is @refers. */
static uint64_t object(uint32_t page, uint64_t refers)
{
	uint64_t offset = (uint64_t)page << TRI_PAGE_SHIFT;
	unsigned int span_class = tri_span_class(tri__class(64), TRI__CONSERVATIVE);

	tri_write(&arena.view.spans[page].pages, 1);
	tri_write(&arena.view.span_of[page], page);
	tri_write(&arena.view.page_map[page], (uint8_t)span_class);
	set(arena.marker.allocated, offset);
	*(volatile uint64_t *)(arena.view.heap + offset) = refers;
	return offset;
}

static uint64_t address(uint64_t offset)
{
	return arena.view.heap_va + offset;
}

enum { ARGUMENT = 1, OBJECT = 2, REFERENT = 4, BEHIND = 8 };

static const struct row {
	unsigned int state, kind, needs;	/* what has to be marked */
	const char *record;
} rows[] = {
	{ TRI_SPECIAL_LIVE, TRI_SPECIAL_CLEANUP, ARGUMENT, "live cleanup" },
	{ TRI_SPECIAL_QUEUED, TRI_SPECIAL_CLEANUP, ARGUMENT, "queued cleanup" },
	{ TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER, ARGUMENT | REFERENT | BEHIND,
	  "live finalizer" },
	{ TRI_SPECIAL_QUEUED, TRI_SPECIAL_FINALIZER, ARGUMENT | OBJECT | REFERENT | BEHIND,
	  "queued finalizer" },
	{ TRI_SPECIAL_FREE, TRI_SPECIAL_FINALIZER, 0, NULL },
	{ TRI_SPECIAL_LIVE, TRI_SPECIAL_FINALIZER + 1, 0, NULL },
};

/* Of an object, its referent, what lies behind that and the argument, those in @marked are. */
static uint64_t missed_of(const struct row *row, unsigned int marked)
{
	uint64_t behind, referent, o, argument, before;
	struct tri_special *s;

	begin();
	behind = object(1, 0);
	referent = object(2, address(behind));
	o = object(3, address(referent));
	argument = object(4, 0);
	if (marked & ARGUMENT)
		set(arena.marker.marks, argument);
	if (marked & OBJECT)
		set(arena.marker.marks, o);
	if (marked & REFERENT)
		set(arena.marker.marks, referent);
	if (marked & BEHIND)
		set(arena.marker.marks, behind);
	s = &arena.view.specials[200];
	tri_write(&s->target, o);
	tri_write(&s->argument, address(argument));
	tri_write(&s->word, TRI_SPECIAL_WORD(row->state, row->kind, 3));
	tri_write(&arena.view.ctl->specials_top, 201);
	before = tri_read(&arena.view.ctl->checkmark_missed);
	check(checkmark_run(&arena) && asked == 2);
	return tri_read(&arena.view.ctl->checkmark_missed) - before;
}

static void test_rows(void)
{
	unsigned int r, bit;

	for (r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		unsigned int needs = rows[r].needs;

		check(missed_of(&rows[r], needs) == 0 && !line[0]);
		/* Whether the object of a live finalizer is marked makes no difference. */
		check(missed_of(&rows[r], ARGUMENT | OBJECT | REFERENT | BEHIND) == 0 && !line[0]);
		for (bit = ARGUMENT; bit <= BEHIND; bit <<= 1) {
			if (!(needs & bit))
				continue;
			check(missed_of(&rows[r], needs & ~bit) == 1);
			check(strstr(line, "missed the object"));
		}
	}
	result("what a record needs is reported if it is not marked");
}

static void test_texts(void)
{
	unsigned int r;

	for (r = 0; rows[r].record; r++) {
		missed_of(&rows[r], rows[r].needs & ~(unsigned int)ARGUMENT);
		check(strstr(line, "the argument of a ") && strstr(line, rows[r].record));
	}
	missed_of(&rows[3], rows[3].needs & ~(unsigned int)OBJECT);
	check(strstr(line, "the object of a queued finalizer"));
	missed_of(&rows[2], rows[2].needs & ~(unsigned int)REFERENT);
	check(strstr(line, "of the finalizable 64-byte object"));
	missed_of(&rows[2], (rows[2].needs | OBJECT) & ~(unsigned int)REFERENT);
	check(strstr(line, "of the marked 64-byte object"));
	result("reports name the record");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(2);
	tri_classes_init();
	make_arena();
	test_rows();
	test_texts();
	ksft_finished();
}
