// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * child.c - in the child of a fork(): the state that belongs to the parent is reset
 *
 * A child with a copy of the heap (forking.c) goes on with it, and has no agent yet.  A child
 * without a copy has no heap.  The next call that needs one starts it, with the parent's settings.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/heap/layout.h"
#include "../agent/async_connect.h"
#include "../base/attributes.h"
#include "../heap/backing.h"
#include "../checker/checker.h"
#include "child.h"
#include "../agent/connect.h"
#include "../roots/coroutine.h"
#include "../base/error.h"
#include "../heap/freed.h"
#include "forking.h"
#include "../limits/grant.h"
#include "init.h"
#include "../threads/lastexit.h"
#include "../threads/libc_threads.h"
#include "../roots/loader.h"
#include "../threads/main_thread.h"
#include "../threads/own_thread.h"
#include "../roots/pool_roots.h"
#include "../limits/pressure.h"
#include "../threads/raw_fork.h"
#include "../roots/root_scan.h"
#include "../roots/root_table.h"
#include "../base/settings.h"
#include "../roots/starting.h"
#include "../heap/specials.h"
#include "../agent/queue_pipe.h"
#include "../base/state.h"
#include "../threads/tasks.h"
#include "../threads/thread.h"
#include "../limits/throttle.h"
#include "../threads/unattached.h"
/*
 * The handler that runs in the child.  Another thread of the parent may have held any lock, or may
 * have been about to start the heap, so all of that is reset.
 */
static void forked(void)
{
	struct tri_settings settings = tri_g.settings;
	const struct tri_mapping *m = &tri_g.mapping;
	const tri_au32 *same = tri_g.same;
	bool started = tri_read(&tri_g.state) != TRI_STATE_NONE, copied = tri_fork_copied();

	tri_start_reset(started && !copied);
	tri_coroutines_reset(copied);
	tri_roots_reset(copied);
	tri_pool_roots_reset();
	tri_root_scan_reset();
	tri_starting_reset();
	tri_pressure_reset();
	tri_queue_pipe_reset();
	tri_last_watch_reset();
	tri_own_threads_reset();
	tri_tasks_reset();
	tri_libc_threads_reset();
	tri_unattached_reset();
	tri_error_reset();
	tri_grant_reset();
	tri_throttle_reset();
	tri_spawn_reset();
	tri_policy_reset();
	tri_async_connect_reset();
	if (!copied) {
		/*
		 * A pointer into the parent's arena must fault in this process, and not lead to a
		 * new object.
		 */
		if (m->base)
			mmap(m->base, m->layout.file_bytes, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		tri_backing_close(&tri_g.mapping);
		tri_main_thread_is_here();
		tri_threads_reset();
		tri_free_reset();
		tri_specials_reset();
		memset(&tri_g, 0, sizeof(tri_g));
		pthread_mutex_init(&tri_g.list_lock, NULL);
		tri_g.settings = settings;
		tri_g.same = same;
		if (same)
			tri_raw_fork_init();
	}
	tri_fork_reset();
	tri_check_forked();
}

/* This runs at the library's load, before a second thread could start the heap during a fork(). */
__attribute__((constructor)) static void watch_forks(void)
{
	tri_loader_find();
	if (pthread_atfork(tri_fork_prepare, tri_fork_over, forked))
		dprintf(2, "tricolor: no memory for a fork handler\n");
}

/**
 * Start the heap if it has not started.  Each function that needs the heap calls this first,
 * outside and without a lock.  Returns 0 or a negative errno.
 */
int tri_start(const struct tri_options *opts)
{
	const tri_au32 *same;

	if (likely(tri_is_ready()))
		return tri_start_again(opts);
	/* The kernel has wiped the page: this is a child of _Fork() or clone().  See raw_fork.c. */
	same = __atomic_load_n(&tri_g.same, __ATOMIC_ACQUIRE);
	if (same && !tri_read(same))
		forked();
	return tri_start_here(opts);
}
