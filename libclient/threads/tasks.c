// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tasks.c - the threads of the process, as the kernel lists them in /proc/self/task
 *
 * The kernel counts them: the link count of the folder is the number of threads plus two.  If that
 * is no more than are known to be alive, there are no others.  If it is more, the folder is listed,
 * and the known threads are left out.  Attached threads are known, and those that were visited in
 * this cycle (visit.h), and the library's own.
 *
 * Only the agent calls these functions.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/system/held.h"
#include "../base/error.h"
#include "life.h"
#include "own_thread.h"
#include "../base/real.h"
#include "../roots/stack.h"
#include "../base/state.h"
#include "tasks.h"
#include "thread.h"
#include "visit.h"

#define PIDFD_THREAD O_EXCL		/* of Linux 6.9; older headers have no name for it */

struct listing {
	pid_t *tid;
	size_t n;
	char *text;			/* what getdents64() gives */
	size_t room;			/* for text */
};

static int folder = -1;			/* /proc/self/task, in the agent's descriptor table */
static bool counts;			/* its link count is the number of threads plus two */
static bool main_is_zombie;
static struct listing list;
static pid_t *known;			/* a hash table of thread IDs; 0: free */
static size_t known_room;		/* a power of two */
static struct tri_thread *visited;	/* describes a visited thread to tri_scan_stack() */

/* ------------------------------------------------------------------------------------------ */
/* The folder                                                                                 */
/* ------------------------------------------------------------------------------------------ */

/**
 * Go on without the kernel's list of threads.  It may be missing from the start, or a sandbox may
 * deny it later.  From now on only those threads are scanned that the library has seen begin or
 * that have called it.
 */
void tri_tasks_give_up(void)
{
	if (folder >= 0)
		close(folder);
	folder = -1;
	if (!tri_real_is_in_front("pthread_create"))
		tri_complain(TRI_COMPLAINT_THREADS, true, "tricolor: threads that never call it may lose "
			     "objects: /proc/self/task can't be read, and the C library comes first, so that "
			     "it does not see threads begin; mount /proc, or link the program with -ltricolor");
}

/** Whether the kernel lists the threads of the process. */
bool tri_tasks_are_listed(void)
{
	return folder >= 0;
}

/*
 * How many threads the process has, or 0 if that is unknown.  A main thread that has ended is
 * among them until the process ends.
 */
static size_t count_tasks(void)
{
	struct stat st;

	return fstat(folder, &st) || st.st_nlink < 3 ? 0 : (size_t)st.st_nlink - 2;
}

static void *more_memory(void *old, size_t *bytes, size_t want)
{
	void *more;

	if (want <= *bytes)
		return old;
	want = (want + want / 2 + 4095) & ~4095ul;
	more = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (more == MAP_FAILED)
		return NULL;
	if (old)
		munmap(old, *bytes);
	*bytes = want;
	return more;
}

/*
 * Put the IDs of all threads into @list, after @tasks were counted.  Returns 0, -EAGAIN if a thread
 * that was counted may be missing, or another error.
 */
static int list_tasks(size_t tasks)
{
	size_t bytes = list.room;
	struct dirent64 *d;
	ssize_t got, at;

	/* 64 bytes are two entries with names of seven digits: there is room for twice as many. */
	list.text = more_memory(list.text, &bytes, (tasks + 64) * 64);
	list.room = bytes;
	if (!list.text)
		return -ENOMEM;
	if (lseek(folder, 0, SEEK_SET))
		return -errno;
	got = getdents64(folder, list.text, list.room);
	if (got <= 0)
		return got ? -errno : -ENOENT;
	list.tid = (pid_t *)list.text;
	list.n = 0;
	/*
	 * The IDs overwrite the entries.  An ID is shorter than an entry, so it reaches no entry
	 * that has yet to be read.  In the first entry it lies before d_reclen.
	 */
	for (at = 0; at < got; at += d->d_reclen) {
		d = (struct dirent64 *)(list.text + at);
		if (d->d_name[0] != '.')
			list.tid[list.n++] = (pid_t)atoi(d->d_name);
	}
	/*
	 * The kernel goes from thread to thread, and stops at one that has just ended.  It puts new
	 * threads at the end.  So if a counted thread is missing, fewer are listed than counted.
	 */
	return (size_t)got < list.room - 512 && list.n >= tasks ? 0 : -EAGAIN;
}

/* ------------------------------------------------------------------------------------------ */
/* Which are known                                                                            */
/* ------------------------------------------------------------------------------------------ */

static pid_t *known_cell(pid_t tid)
{
	size_t i = (size_t)tid * 0x9e3779b97f4a7c15ull >> 20 & (known_room - 1);

	while (known[i] && known[i] != tid)
		i = (i + 1) & (known_room - 1);
	return &known[i];
}

static bool main_is_over(void)
{
	return main_is_zombie || tri_main_is_over();
}

/*
 * How many threads of this library there are.  The agent and the thread that watches the main
 * thread begin before any cycle, and the agent itself begins the thread that connects.  A thread of
 * the program's begins those that run the program's functions, at any time.
 */
static size_t own_threads(void)
{
	size_t n = 1, i;

	for (i = 0; i < TRI_OWN_THREADS; i++)
		n += tri_own_tid(i) != 0;
	return n;
}

static bool is_own(pid_t tid)
{
	int i;

	for (i = 0; i < TRI_OWN_THREADS; i++)
		if (tid == tri_own_tid(i))
			return true;
	return tid == tri_g.agent_tid;
}

/*
 * Whether all @tasks threads that were counted are known.  @own has the IDs of this library's
 * threads before the count.  A thread that is there before and after was counted.  One that began
 * or ended meanwhile may not have been, and must not stand for an unknown one.
 */
static bool none_unknown(size_t tasks, const pid_t own[TRI_OWN_THREADS])
{
	size_t alive = 1 + main_is_over(), i;
	struct tri_thread *t;

	for (i = 0; i < TRI_OWN_THREADS; i++)
		alive += own[i] && own[i] == tri_own_tid(i);
	tri_assert_held(&tri_g.list_lock);
	for (t = tri_g.threads; t; t = t->next)
		if (!is_own(t->tid) && tri_life_holds(t->life))
			alive++;
	return counts && tasks <= alive;
}

/* Make a table of the threads that need no visit.  False: there is no memory. */
static bool collect_known(void)
{
	size_t want = 64, bytes = known_room * sizeof(*known);
	struct tri_thread *t;
	uint32_t i;

	tri_assert_held(&tri_g.list_lock);
	while (want < 4ul * (tri_g.nthreads + tri_visits_used + 4))
		want *= 2;
	if (want > known_room) {
		known = more_memory(known, &bytes, want * sizeof(*known));
		known_room = known ? want : 0;
		if (!known)
			return false;
	}
	memset(known, 0, known_room * sizeof(*known));
	for (t = tri_g.threads; t; t = t->next)
		*known_cell(t->tid) = t->tid;
	for (i = 0; i < tri_visits_used; i++)
		if (tri_visits[i].scanned)
			*known_cell(tri_visit_tid(&tri_visits[i])) = tri_visit_tid(&tri_visits[i]);
	*known_cell(tri_g.agent_tid) = tri_g.agent_tid;
	for (i = 0; i < TRI_OWN_THREADS; i++) {
		pid_t own = tri_own_tid(i);

		if (own)
			*known_cell(own) = own;
	}
	if (main_is_over())
		*known_cell(tri_g.pid) = tri_g.pid;
	return true;
}

/**
 * Look for threads that are neither attached nor visited.  Returns how many there are, -EAGAIN if
 * the caller has to look again, or another error.  Their IDs are in @tids, until the next look.
 */
int tri_tasks_look(const pid_t **tids)
{
	pid_t own[TRI_OWN_THREADS];
	size_t tasks, i, n = 0;
	bool none, ok;
	int err;

	pthread_mutex_lock(&tri_g.list_lock);
	tri_threads_reap();
	for (i = 0; i < TRI_OWN_THREADS; i++)
		own[i] = tri_own_tid(i);
	tasks = count_tasks();
	none = tasks && none_unknown(tasks, own);
	pthread_mutex_unlock(&tri_g.list_lock);
	if (none)
		return 0;
	err = tasks ? list_tasks(tasks) : -EPERM;
	if (err)
		return err;
	/*
	 * A thread that has attached since it was listed is known, and one that has ended needs
	 * nothing.
	 */
	pthread_mutex_lock(&tri_g.list_lock);
	tri_threads_reap();
	ok = collect_known();
	pthread_mutex_unlock(&tri_g.list_lock);
	if (!ok)
		return -ENOMEM;
	for (i = 0; i < list.n; i++)
		if (!*known_cell(list.tid[i]))
			list.tid[n++] = list.tid[i];
	*tids = list.tid;
	return (int)n;
}

/**
 * Whether a thread that does not answer has ended, though the kernel may still list it.  If so and
 * the kernel tells, its exit status is put into @status.
 */
bool tri_task_has_ended(pid_t tid, int *status)
{
	char path[32], line[512], *p, *last;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%d/stat", (int)tid);
	fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ESRCH;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return n < 0 && errno == ESRCH;
	line[n] = 0;
	/* The state follows the name in parentheses; the last field is what wait() would give. */
	p = strrchr(line, ')');
	last = strrchr(line, ' ');
	if (!p || !last || !p[1] || (p[2] != 'Z' && p[2] != 'X'))
		return false;
	main_is_zombie |= tid == tri_g.pid;
	*status = atoi(last + 1) >> 8 & 0xff;
	return true;
}

/** Read the file @name about thread @tid in /proc into @text.  False: there is nothing to read. */
bool tri_task_read(pid_t tid, const char *name, char *text, size_t room)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%d/%s", (int)tid, name);
	fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, room - 1);
	close(fd);
	text[n < 0 ? 0 : n] = 0;
	return n > 0;
}

/** Whether a thread has blocked the handshake signal, as its status says. */
bool tri_task_blocks_signal(pid_t tid)
{
	char text[4096], *p;

	if (!tri_task_read(tid, "status", text, sizeof(text)))
		return false;
	p = strstr(text, "SigBlk:");
	return p && strtoull(p + 7, NULL, 16) >> (tri_g.settings.signal - 1) & 1;
}

/**
 * Scan the stack from @sp up of a thread that is not attached and does not run, whose thread
 * pointer is @thread_pointer.
 */
void tri_task_scan_stack(pid_t tid, uintptr_t thread_pointer, uintptr_t sp, uintptr_t signal_lo,
			 uintptr_t signal_hi)
{
	visited->tid = tid;
	visited->tp = thread_pointer;
	visited->signal_lo = signal_lo;
	visited->signal_hi = signal_hi;
	tri_stack_find(visited, (pthread_t)thread_pointer, true);
	tri_scan_stack(visited, tri_g.agent, sp, false);
}

/** Called once.  False: the kernel does not list the threads. */
bool tri_tasks_open(void)
{
	size_t tasks = 0;
	int tries;

	folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0) {
		tri_tasks_give_up();
		return false;
	}
	pthread_mutex_lock(&tri_g.list_lock);
	visited = tri_thread_new();
	pthread_mutex_unlock(&tri_g.list_lock);
	/*
	 * Find out whether the link count is the number of threads plus two, as Linux makes it.
	 * It is if the list agrees with the counts before and after it.  It may fail to agree
	 * because threads begin or end meanwhile, so this is tried again.
	 */
	for (tries = 0; tries < 100 && !counts; tries++) {
		tasks = count_tasks();
		counts = tasks && !list_tasks(tasks) && list.n == tasks && count_tasks() == tasks;
	}
	if (!visited || !tasks) {
		tri_tasks_give_up();
		return false;
	}
	return true;
}

/**
 * Whether no thread of the program is left, when none is attached.  @status is the exit status of
 * the main thread.
 */
bool tri_tasks_are_ours(int *status)
{
	size_t tasks = folder < 0 ? 0 : count_tasks();

	if (!tasks || tasks > 1 + own_threads())
		return false;
	/* The main thread may have left by the system call, without ever being attached. */
	if (!tri_task_has_ended(tri_g.pid, status))
		return false;
	return tasks == 1 + own_threads();
}

/**
 * Open a pidfd of some thread of the program other than the main one.  It becomes readable when
 * that thread has ended.  -1: there is no such thread, or the kernel has no such pidfd, or a
 * sandbox denies it.
 */
int tri_tasks_open_other(void)
{
	size_t tasks = folder < 0 ? 0 : count_tasks(), i;
	char name[16];
	int fd;

	if (!tasks || list_tasks(tasks))
		return -1;
	for (i = 0; i < list.n; i++) {
		if (is_own(list.tid[i]) || list.tid[i] == tri_g.pid)
			continue;
		fd = (int)syscall(SYS_pidfd_open, list.tid[i], PIDFD_THREAD);
		if (fd < 0 && errno != ESRCH)
			return -1;
		/* The thread may have ended before, and another process may have its ID. */
		snprintf(name, sizeof(name), "%d", (int)list.tid[i]);
		if (fd >= 0 && !faccessat(folder, name, F_OK, 0))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

/** In the child of a fork(). */
void tri_tasks_reset(void)
{
	folder = -1;
	counts = main_is_zombie = false;
	visited = NULL;
}
