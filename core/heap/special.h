/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * special.h - the records of what is to happen when an object dies
 *
 * A record ("special") belongs to one object.  An object may have many cleanups, and one finalizer.
 *
 *			free -> live -> queued -> free
 *			           \--> free
 *
 * A *live* record waits for the death of its object.  It is on the list of the page in which its
 * object begins (specials_of).  A *queued* record waits for its function to be called, and is on
 * the client's queue.  Only the client writes to a record: threads make and stop it, and the agent
 * queues it, all with a lock that the collector does not know of.  The collector reads records
 * while it marks, one after the other, without the lists.
 *
 * A record that is live from before barriers are on until marking ends does not change meanwhile.
 * So the collector may read the fields of a record one by one.  Whoever makes, stops or takes a
 * record while something is marked shades what the record leads to, so nothing is lost if the
 * collector has read a record while it was changing.
 *
 * Of a client's records the collector believes nothing: a target is resolved like an entry of a
 * buffer, an argument is one.
 */
#ifndef TRI_CORE_SPECIAL_H
#define TRI_CORE_SPECIAL_H

#include "layout.h"

enum tri_special_state {
	TRI_SPECIAL_FREE,
	TRI_SPECIAL_LIVE,			/* waits for the object's death */
	TRI_SPECIAL_QUEUED,			/* waits for its call */
};

/*
 * What the collector marks for a record:
 *
 *			live					queued
 *	CLEANUP		the argument				the argument
 *	FINALIZER	the argument, and what the object	the argument, and the object
 *			refers to, but not the object
 */
enum tri_special_kind {
	TRI_SPECIAL_CLEANUP = 1,
	TRI_SPECIAL_FINALIZER,
};

/*
 * tri_special.word: state in bits 0 to 1, kind in bits 2 to 4, and above these how often the record
 * was used before, so that the name of an earlier use is recognised.  A record whose number of uses
 * would no longer fit is not used again.
 */
#define TRI_SPECIAL_USES	(1u << 27)
#define TRI_SPECIAL_WORD(state, kind, use) \
	((uint32_t)(state) | (uint32_t)(kind) << 2 | (uint32_t)(use) << 5)
#define TRI_SPECIAL_STATE(w)	((enum tri_special_state)((w) & 3))
#define TRI_SPECIAL_KIND(w)	((enum tri_special_kind)((w) >> 2 & 7))
#define TRI_SPECIAL_USE(w)	((uint32_t)(w) >> 5)

/** How many records there is room for, record 0 included. */
static inline uint64_t tri_specials_room(const struct tri_view *v)
{
	uint64_t room = v->heap_pages * TRI_SPECIALS_PER_PAGE;

	return room < UINT32_MAX ? room : UINT32_MAX;
}

#endif
