// SPDX-License-Identifier: LGPL-2.1-or-later
/* find_object.c - which object of the heap a pointer points into */
#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "../../core/system/point.h"
#include "../base/attributes.h"
#include "find_object.h"
#include "inside.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tricolor.h"

/* Whether bitmap @gen has an object that @pointer points into.  If so, @o is that object. */
static bool find_in(const void *pointer, uint32_t gen, struct tri_object *o)
{
	uint64_t offset = tri_offset(pointer);

	return tri_in_heap(offset) && tri_resolve(&tri_g.view, offset, o) &&
	       tri_bit(tri_g.view.marks[gen & 1], o->page, o->index);
}

/**
 * Find the object of the heap that @pointer points into.  False: there is none.  Called outside.
 *
 * While a cycle ends, threads change to the new bitmap one after the other.  If another thread has
 * changed already and then makes an object, that is in the new bitmap only.  So if this thread does
 * not find an object in the old bitmap, there may be one all the same.  It then takes list_lock,
 * and there are two cases:
 *
 *  1. All threads have changed, and this thread looks again in its bitmap.
 *  2. The agent is changing threads, and has released list_lock because some thread does not answer
 *     (unresponsive.c).  This thread has not changed yet.  It looks in the new bitmap.  Nothing is
 *     swept before the agent has list_lock again.
 */
bool tri_find_object(const void *pointer, struct tri_object *o)
{
	uint32_t gen;
	bool found, stale;

	do {
		struct tri_thread *t = tri_enter();

		if (!t)
			return false;
		gen = t->gen;
		found = find_in(pointer, gen, o);
		tri_leave(t);
		if (found)
			return true;
		TRI_POINT("find.locks");
		tri_list_lock(t);
		TRI_POINT("find.locked");
		stale = t->gen != gen;
		found = !stale && tri_g.gen != gen && find_in(pointer, tri_g.gen, o);
		tri_list_unlock(t);
	} while (stale);
	return found;
}

static bool is_tiny(const struct tri_object *o)
{
	return o->class == &tri_classes[TRI_SPAN_CLASS_TINY];
}

/** The first byte of object @o, which @pointer points into. */
char *tri_object_start(const struct tri_object *o, const void *pointer)
{
	if (is_tiny(o))
		return (char *)((uintptr_t)pointer & ~7ul);
	return tri_g.view.heap + ((uint64_t)o->page << TRI_PAGE_SHIFT) +
	       (size_t)o->index * o->class->size;
}

/** The usable size of object @o. */
size_t tri_object_bytes(const struct tri_object *o)
{
	if (is_tiny(o))
		return TRI__TINY_MAX;
	if (o->class->size)
		return o->class->size;
	return (size_t)tri_large_pages(&tri_g.view, o->page) << TRI_PAGE_SHIFT;
}

TRI_EXPORT void *tri_base(const void *pointer)
{
	struct tri_object o;

	return tri_find_object(pointer, &o) ? tri_object_start(&o, pointer) : NULL;
}

TRI_EXPORT size_t tri_usable_size(const void *object)
{
	struct tri_object o;

	return tri_find_object(object, &o) && tri_object_start(&o, object) == object ?
		       tri_object_bytes(&o) :
		       0;
}
