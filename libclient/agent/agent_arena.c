// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * agent_arena.c - the agent makes the arena, or takes over the copy in the child of a fork()
 */
#include <errno.h>
#include <pthread.h>

#include "../../core/heap/layout.h"
#include "agent.h"
#include "../heap/backing.h"
#include "../heap/copying.h"
#include "../heap/dumping.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "../limits/untouched.h"

static bool go_on(void *unused)
{
	(void)unused;
	return true;
}

/*
 * Take over @m, a forked child's copy of the arena.  If the program has closed the arena's
 * descriptor, another copy is put in its place.  Nothing writes to the arena meanwhile: the thread
 * that starts the agent waits for it, and there is no other thread, since a second one would have
 * started the agent.
 */
static int take_over(struct tri_mapping *m)
{
	struct tri_copy c = { .goes_on = go_on };
	int err;

	if (tri_backing_is_there(m))
		return 0;
	err = tri_backing_copy(&c.to, m);
	if (err)
		return err;
	tri_view_init(&c.tables, c.to.base, &c.to.layout, tri_g.view.heap_va);
	err = tri_copy_whole(&c);
	if (!err)
		err = tri_backing_install(&c.to, m->base);
	if (err)
		tri_backing_discard(&c.to);
	else
		*m = c.to;
	if (!err)
		tri_dump_begin();
	return err;
}

/** Make the arena, or take over a copy.  Returns 0 or a negative errno. */
int tri_agent_make_arena(void)
{
	struct tri_mapping *m = &tri_g.mapping;
	bool copied = m->base != NULL;
	int err = copied ? take_over(m) : tri_backing_open(m, &tri_g.settings);

	if (!err && !copied)
		err = tri_untouched_make(m->layout.heap_pages);
	if (err)
		return err;
	tri_view_init(&tri_g.view, m->base, &m->layout,
		      (uint64_t)(uintptr_t)m->base + m->layout.heap);
	pthread_mutex_lock(&tri_g.list_lock);
	tri_g.agent = tri_thread_new();
	tri_g.common = tri_thread_new();
	err = tri_g.agent && !tri_slot_take(tri_g.agent) && tri_g.common &&
			      !tri_slot_take(tri_g.common) ?
		      0 :
		      -ENOMEM;
	/* In a forked child's copy, cycles may have been done already. */
	if (!err)
		tri_g.agent->gen = tri_g.gen;
	pthread_mutex_unlock(&tri_g.list_lock);
	return err;
}
