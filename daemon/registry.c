// SPDX-License-Identifier: GPL-2.0-only
/* registry.c - see registry.h */
#include "registry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"

/* The list's lock: see registry.h for who holds it, and for how long. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registry_arena *first;
static struct registry_arena **last = &first;
static uint64_t ids;			/* given out so far */
static _Atomic(uint32_t) count;		/* futex; written under the lock */

#define WATCHERS 4
static _Atomic(int) watch_fds[WATCHERS];	/* from the first on; 0: none */

static void futex_wake(_Atomic(uint32_t) *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* False: @until_ns is over. */
static bool futex_wait(_Atomic(uint32_t) *word, uint32_t value, uint64_t until_ns)
{
	struct timespec ts = { (time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000) };

	return !syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, &ts, NULL,
			FUTEX_BITSET_MATCH_ANY) || errno != ETIMEDOUT;
}

static void ring(int fd)
{
	uint64_t one = 1;

	/* It can't fail but for a counter that is full: then it is readable. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static void tell_watchers(void)
{
	int i, fd;

	for (i = 0; i < WATCHERS && (fd = atomic_load(&watch_fds[i])) > 0; i++)
		ring(fd);
}

/* What the client called itself.  Empty if its process is in another namespace. */
static void read_comm(struct registry_arena *r)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", r->pid);
	fd = r->pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	n = read(fd, r->comm, sizeof(r->comm) - 1);
	close(fd);
	r->comm[n > 0 ? strcspn(r->comm, "\n") : 0] = 0;
}

struct registry_arena *registry_enter(pid_t pid, uid_t uid, gid_t gid, uint64_t arena_bytes)
{
	struct registry_arena *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->order_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->order_fd < 0) {
		free(r);
		return NULL;
	}
	r->pid = pid;
	r->uid = uid;
	r->gid = gid;
	r->arena_bytes = arena_bytes;
	r->attached_s = time(NULL);
	r->attached_ns = clock_ns();
	atomic_init(&r->phase, PHASES);
	atomic_init(&r->file, -1);
	atomic_init(&r->refs, 1);
	read_comm(r);
	pthread_mutex_lock(&lock);
	r->id = ++ids;
	r->prev = last;
	*last = r;
	last = &r->next;
	atomic_fetch_add(&count, 1);
	pthread_mutex_unlock(&lock);
	tell_watchers();
	return r;
}

void registry_set_file(struct registry_arena *r, int fd)
{
	atomic_store(&r->file, fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

void registry_leave(struct registry_arena *r)
{
	pthread_mutex_lock(&lock);
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		last = r->prev;
	atomic_fetch_sub(&count, 1);
	pthread_mutex_unlock(&lock);
	atomic_store(&r->gone, true);
	atomic_fetch_add(&r->news, 1);
	futex_wake(&r->news);
	futex_wake(&count);
	tell_watchers();
	registry_put(r);
}

void registry_put(struct registry_arena *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	close(r->order_fd);
	if (atomic_load(&r->file) >= 0)
		close(atomic_load(&r->file));
	free(r->cgroup);
	free(r);
}

struct registry_arena *registry_get(uint64_t id)
{
	struct registry_arena *r;

	pthread_mutex_lock(&lock);
	for (r = first; r && r->id != id; r = r->next)
		;
	if (r)
		atomic_fetch_add(&r->refs, 1);
	pthread_mutex_unlock(&lock);
	return r;
}

size_t registry_all(struct registry_arena **list, size_t room)
{
	struct registry_arena *r;
	size_t n = 0;

	pthread_mutex_lock(&lock);
	for (r = first; r; r = r->next, n++) {
		if (n >= room)
			continue;
		atomic_fetch_add(&r->refs, 1);
		list[n] = r;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

size_t registry_count(void)
{
	return atomic_load(&count);
}

void registry_publish(struct registry_arena *r, const struct registry_figures *f)
{
	uint32_t sequence = atomic_load_explicit(&r->sequence, memory_order_relaxed);
	uint64_t words[REGISTRY_WORDS];
	size_t i;

	memcpy(words, f, sizeof(words));
	atomic_store_explicit(&r->sequence, sequence + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); /* pairs with the fence in registry_read() */
	for (i = 0; i < REGISTRY_WORDS; i++)
		atomic_store_explicit(&r->figures[i], words[i], memory_order_relaxed);
	/* pairs with the first load in registry_read() */
	atomic_store_explicit(&r->sequence, sequence + 2, memory_order_release);
}

void registry_read(struct registry_arena *r, struct registry_figures *f)
{
	uint64_t words[REGISTRY_WORDS];
	uint32_t before;
	size_t i;

	for (;;) {
		before = atomic_load_explicit(&r->sequence, memory_order_acquire);
		for (i = 0; i < REGISTRY_WORDS; i++)
			words[i] = atomic_load_explicit(&r->figures[i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (!(before & 1) &&
		    before == atomic_load_explicit(&r->sequence, memory_order_relaxed))
			break;
		/* It lost its CPU between two words: a thread that spins won't give it back. */
		sched_yield();
	}
	memcpy(f, words, sizeof(*f));
}

uint32_t registry_order(struct registry_arena *r, enum registry_order kind, int64_t value)
{
	struct registry_mailbox *m = &r->mailbox[kind];
	uint32_t number;

	/* The lock makes value and number of two orders at once belong together. */
	pthread_mutex_lock(&lock);
	atomic_store_explicit(&m->value, value, memory_order_relaxed);
	number = atomic_load_explicit(&m->asked, memory_order_relaxed) + 1;
	/* pairs with registry_take() */
	atomic_store_explicit(&m->asked, number, memory_order_release);
	pthread_mutex_unlock(&lock);
	atomic_store(&r->rung, true);
	ring(r->order_fd);
	return number;
}

bool registry_take(struct registry_arena *r, enum registry_order kind, uint32_t *number,
		   int64_t *value)
{
	struct registry_mailbox *m = &r->mailbox[kind];

	/* pairs with registry_order().  A value newer than its number is taken twice. */
	*number = atomic_load_explicit(&m->asked, memory_order_acquire);
	*value = atomic_load_explicit(&m->value, memory_order_relaxed);
	return *number != atomic_load_explicit(&m->done, memory_order_relaxed);
}

void registry_done(struct registry_arena *r, enum registry_order kind, uint32_t number)
{
	atomic_store(&r->mailbox[kind].done, number);
	atomic_fetch_add(&r->news, 1);
	futex_wake(&r->news);
}

int registry_wait(struct registry_arena *r, enum registry_order kind, uint32_t number,
		  uint64_t until_ns)
{
	for (;;) {
		uint32_t news = atomic_load(&r->news);

		if ((int32_t)(atomic_load(&r->mailbox[kind].done) - number) >= 0)
			return 0;
		if (atomic_load(&r->gone))
			return -ESRCH;
		if (!futex_wait(&r->news, news, until_ns))
			return -ETIMEDOUT;
	}
}

size_t registry_wait_empty(uint64_t until_ns)
{
	uint32_t n;

	while ((n = atomic_load(&count)) && futex_wait(&count, n, until_ns))
		;
	return n;
}

int registry_watch(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), i, none = 0;

	if (fd < 0)
		return -errno;
	/* 0 says "none": a process without standard input could get it. */
	for (i = 0; fd > 0 && i < WATCHERS; i++, none = 0)
		if (atomic_compare_exchange_strong(&watch_fds[i], &none, fd))
			return fd;
	close(fd);
	return -EMFILE;
}

void registry_set_cgroup(struct registry_arena *r, const char *path)
{
	char *copy = path ? strdup(path) : NULL, *old;

	pthread_mutex_lock(&lock);
	old = r->cgroup;
	r->cgroup = copy;
	pthread_mutex_unlock(&lock);
	free(old);
}

bool registry_cgroup(struct registry_arena *r, char *path, size_t room)
{
	bool fits;

	pthread_mutex_lock(&lock);
	fits = r->cgroup && strlen(r->cgroup) < room;
	if (fits)
		strcpy(path, r->cgroup);
	pthread_mutex_unlock(&lock);
	return fits;
}
