// SPDX-License-Identifier: GPL-2.0-only
/*
 * specials.c - marking what cleanups and finalizers need (Documentation/design/lifetimes.md)
 *
 *  1. In each cycle the collector passes once over all records, from the first to the last, when
 *     what roots lead to has been marked for the first time.
 *  2. What it marks for a record depends on the record's state and kind; core/heap/special.h has
 *     the table.  A live finalizer's object itself is not marked, so that its death is seen.
 *  3. After each page of records all that they lead to is scanned.  So the queues hold no more than
 *     one page of records needs.
 *
 * The order of 1 has no influence on what is marked in the end.  But what roots lead to is marked
 * by then, and an object that is marked need not be scanned for its finalizer, as it is scanned
 * anyway.  If the records came first, each live object with a finalizer would be scanned twice.
 *
 * Nothing is written to a record, and nothing that is read there is believed.  A client that raises
 * specials_top without using the records has a hole of the file there.  A hole is not read, as that
 * would allocate its memory and charge us for it.
 */
#include "specials.h"

#include <unistd.h>

#include "core/heap/special.h"
#include "mark.h"

/* The unit of memory that a file has or has not. */
#define PART_BYTES 4096u
#define PART_RECORDS (PART_BYTES / sizeof(struct tri_special))

bool specials_read(const struct tri_view *v, const struct tri_special *from, struct special *to)
{
	/*
	 * The word comes first.  If the record is used again meanwhile, the other fields may be
	 * those of either use.  Both uses were shaded then, and it does no harm to mark more.
	 */
	uint32_t word = tri_read_acquire(&from->word);
	enum tri_special_state state = TRI_SPECIAL_STATE(word);
	enum tri_special_kind kind = TRI_SPECIAL_KIND(word);

	if (state != TRI_SPECIAL_LIVE && state != TRI_SPECIAL_QUEUED)
		return false;
	if (kind != TRI_SPECIAL_CLEANUP && kind != TRI_SPECIAL_FINALIZER)
		return false;
	to->target = tri_read(&from->target);
	to->argument = tri_read(&from->argument) - v->heap_va;
	to->finalizer = kind == TRI_SPECIAL_FINALIZER;
	to->queued = state == TRI_SPECIAL_QUEUED;
	return true;
}

void specials_each(const struct tri_view *v, int fd,
		   bool (*each)(void *arg, const struct tri_special *first, unsigned int n),
		   void *arg)
{
	uint64_t top = tri_read_acquire(&v->ctl->specials_top), room = tri_specials_room(v);
	uint64_t at = 0, end = (top < room ? top : room) * sizeof(struct tri_special), stop;
	off_t base = (off_t)v->layout.specials, data;

	while (at < end) {
		data = lseek(fd, base + (off_t)at, SEEK_DATA);
		if (data < 0 || (uint64_t)(data - base) >= end)
			return;
		at = (uint64_t)(data - base) & ~(uint64_t)(PART_BYTES - 1);
		stop = at + PART_BYTES < end ? at + PART_BYTES : end;
		if (!each(arg, v->specials + at / sizeof(struct tri_special),
			  (unsigned int)((stop - at) / sizeof(struct tri_special))))
			return;
		at = stop;
	}
}

static bool walk(void *arg, const struct tri_special *first, unsigned int n)
{
	struct marker *m = arg;
	struct special s;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!specials_read(m->v, &first[i], &s))
			continue;
		if (s.finalizer && s.queued)
			mark_object(m, s.target);
		else if (s.finalizer)
			mark_referents(m, s.target);
		mark_object(m, s.argument);
	}
	return mark_records(m, n * sizeof(*first));
}

void specials_walk(struct marker *m)
{
	specials_each(m->v, m->fd, walk, m);
}
