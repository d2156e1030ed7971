// SPDX-License-Identifier: GPL-2.0-only
/* registry.c - the arenas that this daemon serves: see registry.h */
#include "registry.h"

#include <assert.h>
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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/cgroup.h"
#include "core/system/size.h"
#include "peer.h"
#include "tricolor.h"

/* The list's lock: see registry.h for who holds it, and for how long. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registry_arena *first;
static struct registry_arena **last = &first;
static uint64_t ids;			/* given out so far */
static _Atomic(uint32_t) count;		/* futex; written under the lock */

#define WATCHERS 4
#define TRIES 64			/* of reading figures that another process writes */
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

	/* It fails only if the counter is full, and then the eventfd is readable. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static void notify_watchers(void)
{
	int i, fd;

	for (i = 0; i < WATCHERS && (fd = atomic_load(&watch_fds[i])) > 0; i++)
		ring(fd);
}

bool registry_client_lives(const struct registry_arena *r)
{
	return peer_lives(r->pidfd);
}

/* Name the client by what we see of its process, or else by what it says. */
static void read_comm(struct registry_arena *r)
{
	char dir[32], comm[sizeof(r->comm) + 1] = "";

	if (r->claim)
		memcpy(r->comm, r->claim->comm, sizeof(r->comm));
	snprintf(dir, sizeof(dir), "/proc/%d", r->pid);
	if (r->pid <= 0 || !tri_cgroup_read(dir, "comm", comm, sizeof(comm)) ||
	    !registry_client_lives(r))
		return;
	comm[strcspn(comm, "\n")] = 0;
	memcpy(r->comm, comm, sizeof(r->comm));
}

/* Make an entry, without a descriptor yet by which its thread is told of orders. */
static struct registry_arena *make_entry(pid_t pid, int pidfd, uid_t uid, gid_t gid,
					 uint64_t arena_bytes, struct claim *claim)
{
	struct registry_arena *r = calloc(1, sizeof(*r));
	int own = r && pidfd >= 0 ? fcntl(pidfd, F_DUPFD_CLOEXEC, 3) : pidfd;

	if (!r || (own < 0 && pidfd >= 0)) {
		int err = r ? errno : ENOMEM;

		claim_free(claim);
		free(r);
		errno = err;
		return NULL;
	}
	r->claim = claim;
	r->order_fd = r->link = -1;
	r->pid = pid;
	r->pidfd = own;
	r->uid = uid;
	r->gid = gid;
	r->arena_bytes = arena_bytes;
	r->attached_s = time(NULL);
	r->attached_ns = clock_ns();
	r->board = &r->own;
	atomic_init(&r->own.phase, PHASES);
	pthread_mutex_init(&r->last_lock, NULL);
	atomic_init(&r->file, -1);
	atomic_init(&r->refs, 1);
	read_comm(r);
	return r;
}

/* Put @r into the list; or free it, if there is no @fd by which its thread is told of orders. */
static struct registry_arena *enter(struct registry_arena *r, int fd)
{
	if (fd < 0) {
		int err = errno;

		claim_free(r->claim);
		if (r->pidfd >= 0)
			close(r->pidfd);
		free(r);
		errno = err;
		return NULL;
	}
	pthread_mutex_lock(&lock);
	r->id = ++ids;
	r->prev = last;
	*last = r;
	last = &r->next;
	atomic_fetch_add(&count, 1);
	pthread_mutex_unlock(&lock);
	notify_watchers();
	return r;
}

struct registry_arena *registry_enter(pid_t pid, int pidfd, uid_t uid, gid_t gid,
				      uint64_t arena_bytes, struct claim *claim)
{
	struct registry_arena *r = make_entry(pid, pidfd, uid, gid, arena_bytes, claim);

	if (!r)
		return NULL;
	r->order_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return enter(r, r->order_fd);
}

struct registry_arena *registry_enter_linked(pid_t pid, int pidfd, uid_t uid, gid_t gid,
					     uint64_t arena_bytes, struct claim *claim,
					     const struct link_board *b, int sock, pid_t marker)
{
	struct registry_arena *r = make_entry(pid, pidfd, uid, gid, arena_bytes, claim);

	if (!r)
		return NULL;
	r->link = fcntl(sock, F_DUPFD_CLOEXEC, 3);
	r->marker = marker;
	r->shared = *b;
	r->board = b->board;
	return enter(r, r->link);
}

void registry_set_file(struct registry_arena *r, int fd)
{
	atomic_store(&r->file, fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

void registry_leave(struct registry_arena *r)
{
	pthread_mutex_lock(&lock);
	assert(*r->prev == r);
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		last = r->prev;
	atomic_fetch_sub(&count, 1);
	pthread_mutex_unlock(&lock);
	atomic_store(&r->gone, true);
	registry_notify(r);
	futex_wake(&count);
	notify_watchers();
	registry_put(r);
}

void registry_put(struct registry_arena *r)
{
	uint32_t refs = atomic_fetch_sub(&r->refs, 1);

	assert(refs);
	if (refs != 1)
		return;
	if (r->order_fd >= 0)
		close(r->order_fd);
	if (r->link >= 0)
		close(r->link);
	if (r->pidfd >= 0)
		close(r->pidfd);
	link_board_unmap(&r->shared);
	if (atomic_load(&r->file) >= 0)
		close(atomic_load(&r->file));
	claim_free(r->claim);
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

/* Bound @bytes by what there can be, so that no sum overflows. */
static void bound(const struct registry_arena *r, uint64_t *bytes)
{
	if (*bytes > 2 * r->arena_bytes)
		*bytes = 2 * r->arena_bytes;
}

/* Bound what another process says of its arena, so that our threads can compute with it. */
static void make_sane(const struct registry_arena *r, struct board_figures *f)
{
	bound(r, &f->live_bytes);
	bound(r, &f->now_bytes);
	bound(r, &f->heap_bytes);
	bound(r, &f->peak_heap_bytes);
	bound(r, &f->free_bytes);
	bound(r, &f->overhead_bytes);
	bound(r, &f->bound_bytes);
	if (f->gc_percent < -1 || f->gc_percent > TRI_GC_PERCENT_MAX)
		f->gc_percent = -1;
	if (f->limit_bytes < 0)
		f->limit_bytes = 0;
	if (f->pressure > TRI_PRESSURE_OVER)
		f->pressure = TRI_PRESSURE_NONE;
	if (f->limit_policy > TRI_LIMIT_FAIL_FAST)
		f->limit_policy = TRI_LIMIT_CONTINUE;
}

void registry_read(struct registry_arena *r, struct board_figures *f)
{
	if (!registry_is_linked(r)) {
		/* The writer is a thread of ours, which will end its writing. */
		while (!board_read(r->board, f, UINT_MAX))
			;
		return;
	}
	pthread_mutex_lock(&r->last_lock);
	if (board_read(r->board, &r->last, TRIES))
		make_sane(r, &r->last);
	*f = r->last;
	pthread_mutex_unlock(&r->last_lock);
}

bool registry_has_figures(struct registry_arena *r)
{
	struct board_figures f;

	registry_read(r, &f);
	return f.published_ns;
}

void registry_asleep(struct registry_arena *r, bool asleep)
{
	if (registry_is_linked(r))
		atomic_store(&r->board->asleep, asleep);
}

/*
 * Tell the arena's thread that there is an order, which is in its mailbox.  If the link is full of
 * RINGs, they will be read after this, and then the mailbox is.
 */
static void ring_arena(struct registry_arena *r, enum board_order kind)
{
	if (!registry_is_linked(r))
		ring(r->order_fd);
	else if (kind == ORDER_STOP)
		shutdown(r->link, SHUT_RDWR);
	else
		link_send(r->link, LINK_RING, 0, 0, "");
}

uint32_t registry_order(struct registry_arena *r, enum board_order kind, int64_t value)
{
	uint32_t number;

	/* Under the lock, so that number and value of an order belong together. */
	pthread_mutex_lock(&lock);
	number = ++r->asked[kind];
	board_order(r->board, kind, number, value);
	pthread_mutex_unlock(&lock);
	ring_arena(r, kind);
	return number;
}

void registry_notify(struct registry_arena *r)
{
	atomic_fetch_add(&r->news, 1);
	futex_wake(&r->news);
}

int registry_wait(struct registry_arena *r, enum board_order kind, uint32_t number,
		  uint64_t until_ns)
{
	for (;;) {
		uint32_t news = atomic_load(&r->news);

		if (board_is_met(r->board, kind, number))
			return 0;
		if (atomic_load(&r->gone))
			return -ESRCH;
		/*
		 * A hostile marker may cause any number of wake-ups, so the clock is read as well.
		 */
		if (!futex_wait(&r->news, news, until_ns) || clock_ns() >= until_ns)
			return -ETIMEDOUT;
	}
}

bool registry_wait_gone(struct registry_arena *r, uint64_t until_ns)
{
	for (;;) {
		uint32_t news = atomic_load(&r->news);

		if (atomic_load(&r->gone))
			return true;
		/*
		 * A hostile marker may cause any number of wake-ups, so the clock is read as well.
		 */
		if (!futex_wait(&r->news, news, until_ns) || clock_ns() >= until_ns)
			return false;
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
	/* In watch_fds 0 stands for none.  A process without standard input could get it as fd. */
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

void registry_set_seen(struct registry_arena *r, const struct registry_seen *seen)
{
	pthread_mutex_lock(&lock);
	r->seen = *seen;
	pthread_mutex_unlock(&lock);
}

struct registry_seen registry_seen(struct registry_arena *r)
{
	struct registry_seen seen;

	pthread_mutex_lock(&lock);
	seen = r->seen;
	pthread_mutex_unlock(&lock);
	return seen;
}

const char *registry_name(const struct registry_arena *r, char name[static REGISTRY_NAME])
{
	const struct claim *c = r->claim;

	if (r->pid > 0)
		snprintf(name, REGISTRY_NAME, "client %d", r->pid);
	else if (c && c->pid > 0)
		snprintf(name, REGISTRY_NAME, "client %llu (%.15s, process %d of %.63s)",
			 (unsigned long long)r->id, r->comm[0] ? r->comm : "?", c->pid,
			 c->host[0] ? c->host : "another namespace");
	else
		snprintf(name, REGISTRY_NAME, "client %llu (of another pid namespace)",
			 (unsigned long long)r->id);
	return name;
}
