// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * unseen.c - children that no handler of pthread_atfork() is called for: of _Fork() and clone()
 *
 * Such a child has none of the heap, whose mapping is not inherited, but all of the library's
 * memory, which says that there is a heap.  So a page that the kernel wipes in children
 * (MADV_WIPEONFORK) says whose memory it is, and the records of threads are wiped too: the inline
 * paths find empty caches there, and tri_enter() a record of nobody.  Either leads to tri_start(),
 * which does what the handler would have done; the child has a fresh heap.
 *
 * A child that shares its parent's memory (vfork(), posix_spawn()) is the parent's thread as far as
 * this library can tell.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../core/heap/layout.h"
#include "../core/system/point.h"
#include "dumping.h"
#include "error.h"
#include "state.h"
#include "thread.h"
#include "unseen.h"

/** When the heap starts.  Returns 0 or -ENOMEM. */
int tri_unseen_watch(void)
{
	tri_au32 *page = (tri_au32 *)tri_g.same;

	/* A forked child has the parent's, wiped. */
	if (!page) {
		page = mmap(NULL, TRI_SYSTEM_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (page == MAP_FAILED)
			return tri_fail(ENOMEM, "tricolor: no memory for a page");
		madvise(page, TRI_SYSTEM_PAGE, MADV_WIPEONFORK);
	}
	/*
	 * First what it says, and then where: another thread that sees a page without it takes
	 * itself for a child.
	 */
	tri_write(page, 1);
	__atomic_store_n(&tri_g.same, page, __ATOMIC_RELEASE);
	TRI_POINT("unseen.watched");
	return 0;
}

/** Whether @t, a mapping of its own, is wiped in a child. */
void tri_unseen_wipe(struct tri_thread *t, bool wipe)
{
	madvise(t, sizeof(*t), wipe ? MADV_WIPEONFORK : MADV_KEEPONFORK);
}
