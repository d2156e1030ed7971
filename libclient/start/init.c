// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * init.c - start of the heap
 *
 * The heap starts with the first call that needs it, in whatever thread that is.  The agent makes
 * the arena, since the arena's descriptor is in the agent's own table.  The calling thread waits
 * for the arena.  It does not wait for a collector.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <time.h>

#include "../../core/heap/layout.h"
#include "../../core/heap/sizeclass.h"
#include "../../core/proto/version.h"
#include "../../core/system/futex.h"
#include "../agent/agent.h"
#include "../base/attributes.h"
#include "../heap/backing.h"
#include "../heap/central.h"
#include "../base/error.h"
#include "init.h"
#include "../threads/lastexit.h"
#include "../threads/main_thread.h"
#include "../heap/pageheap.h"
#include "../threads/raw_fork.h"
#include "../base/real.h"
#include "../roots/scan.h"
#include "../base/settings.h"
#include "../base/signals.h"
#include "../roots/stack.h"
#include "../base/state.h"
#include "../roots/tls.h"
#include "tricolor.h"
#include "../base/watched.h"
#include "../heap/specials.h"

#define FIRST_TRIGGER_BYTES (4ull << 20)
#define AGENT_RETRY_NS 1000000000ull

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static bool inherited;			/* the settings are those of the parent process */

TRI_EXPORT const char *tri_version(void)
{
	return TRI_VERSION;
}

static void detect(void)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	bool rseq_fence =
		commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) &&
		!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);

	/* Signals restart sequences as well, so rseq can be used without membarrier. */
	tri_g.rseq = __rseq_size != 0 && !tri_g.settings.no_rseq && !tri_g.settings.barriers;
	tri_g.membarrier =
		commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
		!tri_g.settings.no_membarrier && (rseq_fence || !tri_g.rseq) &&
		!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	tri_scan_detect();
}

/* Whether signals can be sent to threads, and to the agent.  Signal 0 only asks for that. */
static int can_signal(void)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_code = SI_QUEUE;
	info.si_pid = tri_g.pid;
	if (!syscall(SYS_rt_tgsigqueueinfo, tri_g.pid, gettid(), 0, &info))
		return 0;
	return tri_fail(errno, "tricolor: can't signal a thread: %s; let the sandbox allow "
			"rt_tgsigqueueinfo(2)", strerror(errno));
}

/**
 * Fill the control page of an arena that no collector has seen.  Its counter of allocated bytes is
 * at @allocated_bytes.
 */
void tri_ctl_fill(uint64_t allocated_bytes)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	const struct tri_settings *s = &tri_g.settings;

	ctl->layout_version = TRI_LAYOUT_VERSION;
	ctl->ctl_bytes = sizeof(*ctl);
	ctl->heap_pages = tri_g.view.heap_pages;
	ctl->file_bytes = tri_g.view.layout.file_bytes;
	ctl->heap_va = tri_g.view.heap_va;
	ctl->pid = (uint32_t)tri_g.pid;
	tri_write(&ctl->gc_percent, s->gc_percent);
	tri_write(&ctl->memory_limit_bytes, s->memory_limit_bytes);
	tri_write(&ctl->limit_policy, s->limit_policy);
	tri_write(&ctl->limit_bytes, INT64_MAX);
	tri_write(&ctl->debug, (s->checkmark ? TRI_DEBUG_CHECKMARK : 0u) |
		  (s->clobberfree ? TRI_DEBUG_CLOBBERFREE : 0u));
	/* The collector sets better values when it attaches. */
	tri_write(&ctl->trigger_bytes, allocated_bytes + FIRST_TRIGGER_BYTES);
	tri_write(&ctl->late_bytes, UINT64_MAX);
	tri_write(&ctl->far_bytes, UINT64_MAX);
	ctl->magic = TRI_MAGIC;
}

static int start(const struct tri_options *opts)
{
	const char *missing = tri_real_missing();
	int err;

	if (missing)
		return tri_fail(
			ENOSYS,
			"tricolor: the C library's own %s() can't be found; glibc 2.35 or later is needed",
			missing);
	err = tri_stack_check();
	if (!err)
		err = tri_watched_check();
	if (!err)
		err = tri_last_exit_check();
	if (!err && (!inherited || opts))
		err = tri_settings_read(&tri_g.settings, opts);
	if (err)
		return err;
	tri_write(&tri_g.state, TRI_STATE_STARTING);
	tri_g.pid = getpid();
	err = tri_raw_fork_init();
	if (err)
		return err;
	tri_classes_init();
	detect();
	err = can_signal();
	if (!err)
		err = tri_tls_init();
	if (err)
		return err;
	err = tri_signal_install(tri_signal_handler);
	if (err)
		return tri_fail(-err, "tricolor: can't handle signal %d: %s", tri_g.settings.signal,
				strerror(-err));
	/*
	 * Nothing may fail after this: the agent would stay, and the next call would start another.
	 */
	err = tri_agent_start();
	if (err)
		return err;
	tri_ctl_fill(0);
	tri_pageheap_init();
	tri_central_init();
	/* The main thread is attached before the first cycle, which would otherwise miss it. */
	tri_main_thread_attach();
	tri_write_release(&tri_g.state, TRI_STATE_READY);
	tri_futex_wake(&tri_g.state);
	return 0;
}

/** In the child of a fork().  @inherit: the parent had a heap, and its settings stay. */
void tri_start_reset(bool inherit)
{
	pthread_mutex_init(&start_lock, NULL);
	inherited |= inherit;
}

/**
 * For fork(): keep all threads from starting the heap or its agent.  False: the lock could not be
 * taken until @ns.
 */
bool tri_start_hold(uint64_t ns)
{
	struct timespec until = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	return !pthread_mutex_clocklock(&start_lock, CLOCK_MONOTONIC, &until);
}

void tri_start_release(void)
{
	pthread_mutex_unlock(&start_lock);
}

/**
 * Start the agent if there is none: a forked child with a copy of the heap has no agent until it
 * needs one.  Called outside, with no lock held.  Returns 0 or a negative errno.
 */
int tri_agent_ensure(void)
{
	static uint64_t failed_ns;	/* start_lock */
	struct tri_mapping was;
	int err = 0;

	if (likely(__atomic_load_n(&tri_g.agent_tid, __ATOMIC_ACQUIRE)))
		return 0;
	pthread_mutex_lock(&start_lock);
	if (!tri_g.agent_tid && tri_now_ns() - failed_ns < AGENT_RETRY_NS)
		err = -EAGAIN;
	if (!tri_g.agent_tid && !err) {
		was = tri_g.mapping;
		detect();
		err = tri_agent_start();
		/* The agent has the arena's descriptor in its own table now. */
		if (!err && tri_backing_is_there(&was))
			close(was.fd);
		if (err) {
			failed_ns = tri_now_ns();
			tri_g.agent_tid = 0;
			dprintf(2, "%s\n", tri_error());
		}
	}
	pthread_mutex_unlock(&start_lock);
	/* In a child of fork() records may be queued from now on, and nobody may call for long. */
	if (!err && tri_specials_exist() && tri_special_runner.ensure)
		err = tri_special_runner.ensure();
	return err;
}

/** Called in place of a start if the heap is there already.  With @opts that is an error. */
int tri_start_again(const struct tri_options *opts)
{
	return opts ? tri_fail(
			      EALREADY,
			      "tricolor: there is a heap already; call tri_init() with options before "
			      "any other function") :
		      0;
}

/**
 * Start the heap, unless another thread has done so meanwhile.  Called outside and without a lock.
 * Returns 0 or a negative errno.
 */
int tri_start_here(const struct tri_options *opts)
{
	static bool said;		/* start_lock */
	int err;

	pthread_mutex_lock(&start_lock);
	if (tri_read(&tri_g.state) == TRI_STATE_READY) {
		err = tri_start_again(opts);
	} else {
		err = start(opts);
		if (err) {
			tri_write(&tri_g.state, TRI_STATE_NONE);
			/*
			 * A program that only calls tri_alloc() would not print the reason, and
			 * each further call would fail.
			 */
			if (!opts && !said)
				tri_print(tri_error());
			said |= !opts;
		}
	}
	pthread_mutex_unlock(&start_lock);
	return err;
}
