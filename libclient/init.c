// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * init.c - start of the heap, fork, errors
 *
 * The heap starts with the first call that needs it, in whatever thread that is.  The agent makes the
 * arena (its descriptors are its own); the starter waits for that, and not for a collector.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <time.h>

#include "futex.h"
#include "internal.h"

#define FIRST_TRIGGER_BYTES (4ull << 20)

struct tri_global tri_g = { .list_lock = PTHREAD_MUTEX_INITIALIZER };

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static bool inherited;			/* settings are those of the process that forked us */
static __thread char error_text[256] __attribute__((tls_model("initial-exec")));

uint64_t tri_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int tri_fail(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(error_text, sizeof(error_text), fmt, args);
	va_end(args);
	return -err;
}

TRI_EXPORT const char *tri_error(void)
{
	return error_text[0] ? error_text : "no error";
}

#define STRING_(x) #x
#define STRING(x) STRING_(x)

TRI_EXPORT const char *tri_version(void)
{
	return STRING(TRI_VERSION_MAJOR) "." STRING(TRI_VERSION_MINOR) "." STRING(TRI_VERSION_PATCH);
}

/* In the child.  Another thread may have been in any lock, and about to start the heap. */
static void forked(void)
{
	struct tri_settings settings = tri_g.settings;
	const struct tri_mapping *m = &tri_g.mapping;
	bool started = tri_read(&tri_g.state) != TRI_STATE_NONE;

	/* What pointed into the parent's arena must fault here and not meet a new object. */
	if (m->base)
		mmap(m->base, m->layout.file_bytes, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	tri_backing_close(&tri_g.mapping);
	tri_threads_reset();
	tri_fork_reset();
	tri_roots_reset();
	tri_starting_reset();
	tri_pressure_reset();
	memset(&tri_g, 0, sizeof(tri_g));
	pthread_mutex_init(&tri_g.list_lock, NULL);
	pthread_mutex_init(&start_lock, NULL);
	tri_g.settings = settings;
	inherited |= started;
}

/* Before there is a second thread that could be starting the heap during a fork(). */
__attribute__((constructor)) static void watch_forks(void)
{
	if (pthread_atfork(tri_fork_prepare, tri_fork_over, forked))
		dprintf(2, "tricolor: no memory for a fork handler\n");
}

static void detect(void)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	bool rseq_fence = commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) &&
			  !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);

	/* A signal restarts a sequence as well, so that rseq does not depend on membarrier. */
	tri_g.rseq = __rseq_size != 0 && !tri_g.settings.no_rseq;
	tri_g.membarrier = commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
			   !tri_g.settings.no_membarrier && (rseq_fence || !tri_g.rseq) &&
			   !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

static void fill_ctl(void)
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
	/* The collector has better ones when it attaches. */
	tri_write(&ctl->trigger_bytes, FIRST_TRIGGER_BYTES);
	tri_write(&ctl->late_bytes, UINT64_MAX);
	tri_write(&ctl->far_bytes, UINT64_MAX);
	ctl->magic = TRI_MAGIC;
}

static int start(const struct tri_options *opts)
{
	int err = 0;

	if (!inherited || opts)
		err = tri_settings_read(&tri_g.settings, opts);
	if (err)
		return err;
	tri_write(&tri_g.state, TRI_STATE_STARTING);
	tri_g.pid = getpid();
	tri_classes_init();
	detect();
	err = tri_agent_start();
	if (err)
		return err;
	fill_ctl();
	tri_pageheap_init();
	tri_central_init();
	err = tri_signal_install();
	if (err)
		return tri_fail(-err, "tricolor: can't handle signal %d: %s", tri_g.settings.signal,
				strerror(-err));
	/* Before there can be a cycle that would miss its stack. */
	tri_main_thread_attach();
	tri_write_release(&tri_g.state, TRI_STATE_READY);
	tri_agent_wake(TRI_WAKE_THREADS);
	return 0;
}

int tri_start(const struct tri_options *opts)
{
	int err = 0;

	if (likely(tri_read_acquire(&tri_g.state) == TRI_STATE_READY))
		return opts ? -EALREADY : 0;
	pthread_mutex_lock(&start_lock);
	if (tri_read(&tri_g.state) == TRI_STATE_READY) {
		err = opts ? -EALREADY : 0;
	} else {
		err = start(opts);
		if (err) {
			tri_write(&tri_g.state, TRI_STATE_NONE);
			/* A program that only allocates would never say why it can't. */
			if (!opts)
				dprintf(2, "%s\n", tri_error());
		}
	}
	pthread_mutex_unlock(&start_lock);
	return err;
}

TRI_EXPORT int tri_init(const struct tri_options *opts)
{
	return tri_start(opts);
}
