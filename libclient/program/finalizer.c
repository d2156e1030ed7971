// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * finalizer.c - cleanups and finalizers: what programs call
 *
 * Documentation/design/lifetimes.md has the argument, specials.c the records.
 */
#include <errno.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/heap/span.h"
#include "../agent/queue_pipe.h"
#include "../base/attributes.h"
#include "../base/error.h"
#include "../base/lock.h"
#include "../base/state.h"
#include "../heap/specials.h"
#include "../start/init.h"
#include "../heap/cache.h"
#include "../threads/thread.h"
#include "find_object.h"
#include "inside.h"
#include "runner.h"
#include "tricolor.h"

#define PIPE_PATIENCE_NS 10000000000ull

/*
 * The object that @object points into: it begins at *@start.  Returns 0, or -EINVAL if there is
 * none, or if @arg points into it.
 */
static int find(const char *function, const void *object, const void *arg, struct tri_object *o,
		char **start)
{
	size_t bytes;

	if (!tri_find_object(object, o))
		return tri_fail(EINVAL, "tricolor: %s(%p): it points into no object of this heap",
				function, object);
	*start = tri_object_start(o, object);
	bytes = tri_object_bytes(o);
	if ((uintptr_t)arg - (uintptr_t)*start < bytes)
		return tri_fail(EINVAL, "tricolor: %s(%p): its argument points into the object, which "
				"would never die; pass what the function needs in another object",
				function, object);
	return 0;
}

/*
 * The thread has the second half of the slot in which its last tiny object is.  If that is @start,
 * nobody gets the other half, and the object does not live longer than it is needed.
 */
static void keep_alone(struct tri_thread *t, const struct tri_object *o, const char *start)
{
	if (o->class != &tri_classes[TRI_SPAN_CLASS_TINY])
		return;
	tri_lock(&t->cache_lock);
	if (t->tiny == start + TRI__TINY_MAX)
		t->tiny = NULL;
	tri_unlock(&t->cache_lock);
}

static int add(const char *function, enum tri_special_kind kind, const void *object, uintptr_t fn,
	       const void *arg, struct tri_cleanup *id)
{
	struct tri_object o;
	struct tri_thread *t;
	char *start;
	int err;

	if (!fn)
		return tri_fail(EINVAL, "tricolor: %s(%p): there is no function to call", function,
				object);
	err = find(function, object, arg, &o, &start);
	if (!err && kind == TRI_SPECIAL_FINALIZER && start != object)
		err = tri_fail(EINVAL, "tricolor: %s(%p): it is not the start of an object", function,
			       object);
	if (!err)
		err = tri_runner_ensure();
	if (err)
		return err;
	t = tri_enter();
	if (!t)
		return -errno;
	keep_alone(t, &o, start);
	err = tri_special_add(t, kind, start, fn, arg, id);
	/* Who makes many records of few objects has cycles too. */
	if (!err)
		tri_count_allocated(t, sizeof(struct tri_special));
	tri_leave(t);
	tri_keep_alive(object);
	tri_keep_alive(arg);
	if (err == -EEXIST)
		return tri_fail(EEXIST, "tricolor: %s(%p): the object has a finalizer; remove it "
				"first, with NULL for the function", function, object);
	if (err)
		return tri_fail(-err, "tricolor: %s(%p): no room for another record: there is one for "
				"each KiB of the arena; set TRICOLOR_ARENA_SIZE higher", function,
				object);
	return 0;
}

TRI_EXPORT int tri_add_cleanup(const void *object, void (*fn)(void *arg), void *arg,
			       struct tri_cleanup *id)
{
	return add("tri_add_cleanup", TRI_SPECIAL_CLEANUP, object, (uintptr_t)fn, arg, id);
}

TRI_EXPORT int tri_cleanup_stop(struct tri_cleanup id)
{
	struct tri_thread *t;
	bool stopped;

	if (!tri_is_ready())
		return -ENOENT;
	t = tri_enter();
	if (!t)
		return -errno;
	stopped = tri_special_stop(t, &id);
	tri_leave(t);
	return stopped ? 0 : -ENOENT;
}

TRI_EXPORT int tri_set_finalizer(void *object, void (*fn)(void *object, void *arg), void *arg)
{
	struct tri_object o;
	struct tri_thread *t;
	bool removed;
	char *start;
	int err;

	if (fn)
		return add("tri_set_finalizer", TRI_SPECIAL_FINALIZER, object, (uintptr_t)fn, arg,
			   NULL);
	err = find("tri_set_finalizer", object, NULL, &o, &start);
	if (err)
		return err;
	t = tri_enter();
	if (!t)
		return -errno;
	removed = tri_special_remove(t, start);
	tri_leave(t);
	tri_keep_alive(object);
	return removed ? 0 : -ENOENT;
}

TRI_EXPORT int tri_run_finalizers(int most)
{
	int n = 0, err = 0;

	if (most < 0)
		return tri_fail(EINVAL, "tricolor: tri_run_finalizers(%d): a negative number", most);
	if (!tri_is_ready())
		return 0;
	while (n < most && (err = tri_call_next()) > 0)
		n++;
	return n || err >= 0 ? n : err;
}

TRI_EXPORT int tri_finalize_all(void)
{
	struct tri_thread *t;
	uint32_t from = 0, most;
	int n = 0, err = 0;

	if (!tri_is_ready() || !tri_specials_exist())
		return 0;
	do {
		t = tri_enter();
		if (!t)
			return -errno;
		from = tri_special_queue_live(t, from);
		tri_leave(t);
	} while (from);
	/* Other threads may queue more all the time, which is not waited for. */
	most = tri_specials_queued();
	while ((uint32_t)n < most && (err = tri_call_next()) > 0)
		n++;
	return n || err >= 0 ? n : err;
}

TRI_EXPORT int tri_finalizer_fd(void)
{
	int err = tri_start_attached(NULL);

	if (!err)
		err = tri_agent_ensure();
	return err ? err : tri_queue_pipe_open(tri_now_ns() + PIPE_PATIENCE_NS);
}
