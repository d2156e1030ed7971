// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * raw_fork.c - children of _Fork() and clone(), for which no handler of pthread_atfork() is called
 *
 * Such a child does not inherit the mapping of the heap.  It has a copy of all of the library's
 * memory, which says that there is a heap.  So the kernel is asked to wipe two things in children
 * (MADV_WIPEONFORK):
 *
 *  1. A page that holds a 1.  Where it reads 0, the process is such a child.
 *  2. The records of threads.  The inline paths find empty caches in a wiped record, and
 *     tri_enter() finds that it belongs to no thread.
 *
 * Either leads to tri_start(), which does what the handler would have done.  The child gets a fresh
 * heap.
 *
 * The library cannot tell a child that shares its parent's memory (vfork(), posix_spawn()) from a
 * thread of the parent.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../../core/system/point.h"
#include "../heap/dumping.h"
#include "../base/error.h"
#include "../base/state.h"
#include "thread.h"
#include "raw_fork.h"

/** Make the page.  Called when the heap starts.  Returns 0 or -ENOMEM. */
int tri_raw_fork_init(void)
{
	tri_au32 *page = (tri_au32 *)tri_g.same;

	/* A child that forked by itself has its parent's page, wiped. */
	if (!page) {
		page = mmap(NULL, TRI_SYSTEM_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (page == MAP_FAILED)
			return tri_fail(ENOMEM, "tricolor: no memory for a page");
		madvise(page, TRI_SYSTEM_PAGE, MADV_WIPEONFORK);
	}
	/*
	 * The page gets its 1 before it is published.  A thread that found a page without the 1
	 * would take itself for a child.  Pairs with the acquire in tri_start().
	 */
	tri_write(page, 1);
	__atomic_store_n(&tri_g.same, page, __ATOMIC_RELEASE);
	TRI_POINT("raw_fork.init");
	return 0;
}

/** Choose whether the kernel wipes @t in a child.  @t is a mapping of its own. */
void tri_raw_fork_wipe(struct tri_thread *t, bool wipe)
{
	madvise(t, sizeof(*t), wipe ? MADV_WIPEONFORK : MADV_KEEPONFORK);
}
