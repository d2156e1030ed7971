// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * root.c - the functions by which a program registers roots: ranges of its memory, and handles
 *
 * Stores into roots go through the barrier, so that the scan may run beside the program.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../start/attach.h"
#include "../base/attributes.h"
#include "../checker/checker.h"
#include "../base/error.h"
#include "inside.h"
#include "../roots/root_memory.h"
#include "../roots/root_table.h"
#include "../roots/scan.h"
#include "../base/state.h"
#include "tricolor.h"

/*
 * Add a range to the table.  For the checker, what the range holds already counts as stored by the
 * library.  The thread is inside, so no pass of the checker comes between the notes and the entry.
 */
static bool put_added(uintptr_t lo, uintptr_t hi)
{
	struct tri_thread *t = unlikely(tri_read(&tri_g.checks)) ? tri_enter_any() : NULL;
	bool ok;

	if (t)
		tri_note_range(lo, hi);
	pthread_mutex_lock(&tri_root_table.lock);
	ok = tri_ranges_put(&tri_root_table.added, lo, hi);
	pthread_mutex_unlock(&tri_root_table.lock);
	if (t)
		tri_leave_any(t);
	return ok;
}

TRI_EXPORT int tri_root_add(void *start, size_t len)
{
	int err = tri_start_attached(NULL);

	if (err)
		return err;
	if (!start || (uintptr_t)start + len < (uintptr_t)start)
		return -EINVAL;
	if (!put_added((uintptr_t)start, (uintptr_t)start + len))
		err = -ENOMEM;
	/* Pointers that the range holds already were stored before it was a root. */
	if (!err) {
		struct tri_thread *t = tri_enter_any();

		if (t && tri_read(&t->marking))
			tri_scan_foreign(t, (uintptr_t)start, (uintptr_t)start + len, false, false);
		if (t)
			tri_leave_any(t);
	}
	return err;
}

TRI_EXPORT int tri_root_remove(void *start, size_t len)
{
	struct tri_ranges *added = &tri_root_table.added;
	int err = -ENOENT;
	size_t i;

	pthread_mutex_lock(&tri_root_table.lock);
	for (i = 0; i < added->n; i++) {
		if (added->range[i].lo == (uintptr_t)start &&
		    added->range[i].hi == (uintptr_t)start + len) {
			added->range[i] = added->range[--added->n];
			err = 0;
			break;
		}
	}
	pthread_mutex_unlock(&tri_root_table.lock);
	/* What the program has loaded from the range is safe: stacks are scanned after roots. */
	return err ? tri_fail(
			     -err,
			     "tricolor: no tri_root_add() of %zu bytes at %p is there to be undone; "
			     "both arguments have to be the same",
			     len, start) :
		     0;
}

TRI_EXPORT void tri_root_free(void *block)
{
	if (!block)
		return;
	/* The checker takes a pointer that vanishes for one that was overwritten by mistake. */
	if (unlikely(tri_read(&tri_g.checks)))
		tri_clear(block, tri_root_block_bytes(block) / 8);
	tri_root_block_free(block);
}

TRI_EXPORT tri_handle *tri_handle_new(const void *object)
{
	tri_handle *h;
	int i;

	if (tri_start_attached(NULL))
		return NULL;
	pthread_mutex_lock(&tri_root_table.lock);
	if (!tri_root_table.free_cells) {
		struct tri_handle_chunk *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (c == MAP_FAILED) {
			pthread_mutex_unlock(&tri_root_table.lock);
			errno = ENOMEM;
			return NULL;
		}
		c->next = tri_root_table.chunks;
		tri_root_table.chunks = c;
		for (i = 0; i < TRI_HANDLE_CHUNK; i++) {
			c->cell[i].object = (void *)((uintptr_t)tri_root_table.free_cells | 1);
			tri_root_table.free_cells = &c->cell[i];
		}
	}
	h = tri_root_table.free_cells;
	tri_root_table.free_cells = (void *)((uintptr_t)h->object & ~1ul);
	h->object = NULL;
	pthread_mutex_unlock(&tri_root_table.lock);
	(tri_store)(&h->object, object);
	return h;
}

TRI_EXPORT void *tri_handle_get(const tri_handle *handle)
{
	return __atomic_load_n(&handle->object, __ATOMIC_ACQUIRE);
}

TRI_EXPORT void tri_handle_set(tri_handle *handle, const void *object)
{
	(tri_store)(&handle->object, object);
}

TRI_EXPORT void tri_handle_free(tri_handle *handle)
{
	if (!handle)
		return;
	(tri_store)(&handle->object, NULL);
	pthread_mutex_lock(&tri_root_table.lock);
	handle->object = (void *)((uintptr_t)tri_root_table.free_cells | 1);
	tri_root_table.free_cells = handle;
	pthread_mutex_unlock(&tri_root_table.lock);
}
