// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * async_connect.c - connecting to the shared collector, whose path may not answer
 *
 * The path may lead to a file system that does not answer.  Then connect() and inotify_add_watch()
 * do not come back, whatever flags or time-outs the socket has, and nothing but SIGKILL ends them.
 * The agent must not wait for that: it answers handshakes.
 *
 *  1. A thread of its own makes these calls.  It belongs to our process, because the collector is
 *     to see the connection as ours.  The C library does not know the thread.  It has the agent's
 *     thread pointer and descriptors, and uses nothing but bare system calls.  All signals are
 *     blocked in it, as in the agent.
 *  2. It tells by an eventfd that it is done.  Whoever has waited long enough abandons it.  It
 *     keeps the descriptors that it was given until the calls return, as their numbers may not be
 *     used again before that.
 *  3. There is never a second such thread.  While one is abandoned, the path is not tried.
 *  4. It ends with the process, or with an exec: the kernel kills it, which ends such waits.
 *  5. It counts as a thread of the library where the program's threads are looked for
 *     (unattached.c).  The kernel clears its number before another thread can have that number.
 *
 * Where no thread can be made (a sandbox, valgrind), the agent makes the calls itself, and waits as
 * long as they take.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "agent.h"
#include "../base/bare.h"
#include "async_connect.h"
#include "../base/lock.h"
#include "../threads/own_thread.h"
#include "../base/state.h"
#include "../base/watched.h"

#define STACK_BYTES 16384
#define EVENTS (IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

static struct {
	bool under_way;			/* an attempt has begun, and was not seen to end */
	bool abandoned;			/* nobody waits for it any more */
	int over_fd;			/* eventfd; -1: not made yet */

	/* The thread's own while an attempt is under way. */
	struct tri_async_connected d;
	struct sockaddr_un addr;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	/* Where the path's slashes are, from the last one on. */
	int slash[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int folders;
	tri_au32 over;			/* released by the thread when all of this is written */
	_Alignas(64) char stack[STACK_BYTES];
} attempt = { .over_fd = -1 };

/* The kernel writes the ID of the thread there, and 0 when the thread has ended. */
static tri_au32 *const own_tid = &tri_own_tids[TRI_OWN_CONNECT];

/* Watch @folder, in which @name is to appear.  False: this can't be done. */
static bool watch(const char *folder, const char *name)
{
	long watch = tri_bare(SYS_inotify_add_watch, attempt.d.inotify, (long)folder, EVENTS, 0);

	if (watch < 0)
		return false;
	attempt.d.watch = (int)watch;
	attempt.d.awaited = name;
	return true;
}

/* Watch the nearest folder that exists, for the next name on the path. */
static void watch_nearest(void)
{
	int i, at = -1;

	for (i = 0; i < attempt.folders; i++) {
		at = attempt.slash[i];
		if (!at)
			break;
		attempt.path[at] = 0;
		if (watch(attempt.path, attempt.path + at + 1))
			return;
	}
	watch(at ? "." : "/", at ? attempt.path : attempt.path + 1);
}

/* The folder is watched before the socket is tried, so that what comes in between is seen. */
static void call(void)
{
	if (attempt.d.inotify >= 0)
		watch_nearest();
	attempt.d.err = (int)tri_bare(SYS_connect, attempt.d.sock, (long)&attempt.addr,
					sizeof(attempt.addr), 0);
}

static int caller(void *unused)
{
	uint64_t one = 1;

	(void)unused;
	call();
	tri_write_release(&attempt.over, 1);
	tri_bare(SYS_write, attempt.over_fd, (long)&one, sizeof(one), 0);
	tri_bare(SYS_exit, 0, 0, 0, 0);
	return 0;
}

static void close_all(void)
{
	if (attempt.d.sock >= 0)
		close(attempt.d.sock);
	if (attempt.d.inotify >= 0)
		close(attempt.d.inotify);
}

/* Whether the attempt is over.  If so, the thread has ended. */
static bool reap(void)
{
	uint64_t times;
	uint32_t tid;

	if (!tri_read_acquire(&attempt.over) || read(attempt.over_fd, &times, sizeof(times)) < 0)
		return false;
	/* The thread is about to leave its stack, which the next one gets. */
	while ((tid = tri_read_acquire(own_tid)))
		tri_futex_wait(own_tid, tid, -1);
	attempt.under_way = false;
	return true;
}

/* Whether an attempt may begin.  One that was abandoned is waited for until @wait_ms. */
static bool is_free(int wait_ms)
{
	struct pollfd p = { .fd = attempt.over_fd, .events = POLLIN };

	if (!attempt.under_way)
		return true;
	tri_agent_poll(&p, 1, wait_ms);
	if (!reap())
		return false;
	if (attempt.abandoned)
		close_all();
	return true;
}

static void note_folders(void)
{
	int i;

	strcpy(attempt.path, tri_g.settings.socket);
	attempt.folders = 0;
	for (i = (int)strlen(attempt.path); i-- > 0;)
		if (attempt.path[i] == '/')
			attempt.slash[attempt.folders++] = i;
}

static bool begin_thread(void)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			  CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

	return !tri_on_valgrind() &&
	       clone(caller, attempt.stack + STACK_BYTES, flags, NULL, own_tid, NULL, own_tid) >= 0;
}

/**
 * Begin to connect @sock to the shared collector's socket and, if @inotify is a descriptor, to
 * have the nearest folder of its path watched before.  Both belong to this file until
 * tri_async_connect_end().  Returns 0 or a negative errno; -EBUSY: the last attempt has not come to
 * an end within @wait_ms.
 */
int tri_async_connect_begin(int sock, int inotify, int wait_ms)
{
	if (!is_free(wait_ms))
		return -EBUSY;
	if (attempt.over_fd < 0)
		attempt.over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (attempt.over_fd < 0)
		return -errno;
	attempt.under_way = true;
	attempt.abandoned = false;
	attempt.d = (struct tri_async_connected){
		.sock = sock, .inotify = inotify, .watch = -1, .err = -ESRCH
	};
	attempt.addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(attempt.addr.sun_path, tri_g.settings.socket);
	note_folders();
	tri_write(&attempt.over, 0);
	if (begin_thread())
		return 0;
	call();
	tri_write(&attempt.over, 1);
	attempt.under_way = !eventfd_write(attempt.over_fd, 1);
	return attempt.under_way ? 0 : -errno;
}

/** A descriptor that is readable when the attempt is over. */
int tri_async_connect_fd(void)
{
	return attempt.over_fd;
}

/** The result of the attempt, whose descriptors are the caller's again.  False: it is not over. */
bool tri_async_connect_end(struct tri_async_connected *d)
{
	if (!reap())
		return false;
	*d = attempt.d;
	return true;
}

/** Nobody waits for the attempt any more. */
void tri_async_connect_abandon(void)
{
	attempt.abandoned = true;
}

/** In the child of a fork(): the descriptors are the parent's. */
void tri_async_connect_reset(void)
{
	attempt.under_way = false;
	attempt.over_fd = -1;
}
