// SPDX-License-Identifier: GPL-2.0-only
/*
 * postmortem.c - what the heap of a client held that was killed
 *
 *  1. The connection has ended, and we still have the arena's file.  If the client has begun to
 *     exit(), its control page says so, and there is nothing to do.
 *  2. The arena's tables are read and counted (postmortem_heap.c).  This may take a second at most,
 *     and a new client of the same user ends it, because that client's memory comes first.
 *  3. The caller unmaps the arena and closes its file.
 *  4. Only then we wait until it is known how the client ended (client_end.c), a second at most.
 *     If a signal ended it, or this kernel does not tell, a file is written (postmortem_file.c).
 *
 * A client that dies gets one file.  The kernel kills a marker before its client, maybe several
 * times in turn, and then a client has had several connections when it ends.  Of all that wait for
 * the end of one client only the one with the newest figures writes, and none does after one has.
 */
#include "postmortem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/held.h"
#include "daemon/process/config.h"
#include "daemon/process/log.h"
#include "describe.h"
#include "postmortem_file.h"

#define READ_NS 1000000000ull
#define WAIT_NS 1000000000ull
#define ACTIVE_MAX 64			/* at a time, as each has a thread that may wait */
#define RECENT 256			/* deaths that are remembered */

struct postmortem {
	struct postmortem *next;	/* under the lock */
	bool reading;			/* under the lock */
	atomic_bool stop;		/* a new client of the same user needs the memory */
	uint64_t hello;			/* the number of its connection's HELLO */
	struct postmortem_facts facts;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct postmortem *begun;	/* those that may still write; under the lock */
/* The last deaths of which there is a file; under the lock. */
static struct death {
	uint64_t hellos;		/* the number of HELLOs before it */
	struct postmortem_client identity;
} recent[RECENT];
static uint64_t deaths;			/* so far; under the lock */
static uint64_t hellos;			/* so far; under the lock */
static unsigned int active;		/* post-mortems under way; under the lock */
static atomic_bool no_more;
static pthread_cond_t fewer = PTHREAD_COND_INITIALIZER;

uint64_t postmortem_hello(uid_t uid)
{
	struct postmortem *p;
	uint64_t number;

	pthread_mutex_lock(&lock);
	for (p = begun; p; p = p->next)
		if (p->reading && p->facts.identity.uid == uid)
			atomic_store(&p->stop, true);
	number = ++hellos;
	pthread_mutex_unlock(&lock);
	return number;
}

static void list_add(struct postmortem *p)
{
	pthread_mutex_lock(&lock);
	p->reading = true;
	p->next = begun;
	begun = p;
	pthread_mutex_unlock(&lock);
}

static void has_read(struct postmortem *p)
{
	pthread_mutex_lock(&lock);
	p->reading = false;
	pthread_mutex_unlock(&lock);
}

/* Take @p out of the list. */
static void remove_locked(struct postmortem *p)
{
	struct postmortem **at;

	tri_assert_held(&lock);
	for (at = &begun; *at != p; at = &(*at)->next)
		;
	*at = p->next;
}

static void list_remove(struct postmortem *p)
{
	pthread_mutex_lock(&lock);
	remove_locked(p);
	pthread_mutex_unlock(&lock);
}

static bool is_same(const struct postmortem_client *a, const struct postmortem_client *b)
{
	return a->service_pid == b->service_pid && a->pid == b->pid && a->uid == b->uid &&
	       a->inode == b->inode && !strcmp(a->host, b->host);
}

/* Whether @p has figures of the client and @other has none, or older ones. */
static bool has_newer_figures(const struct postmortem *p, const struct postmortem *other)
{
	if (p->facts.has_figures != other->facts.has_figures)
		return p->facts.has_figures;
	return p->hello > other->hello;
}

/* Whether there is a file about the client's death since this connection began. */
static bool is_written(const struct postmortem *p)
{
	size_t i;

	tri_assert_held(&lock);
	for (i = 0; i < RECENT && i < deaths; i++)
		if (recent[i].hellos >= p->hello &&
		    is_same(&recent[i].identity, &p->facts.identity))
			return true;
	return false;
}

static bool is_kill(const struct client_end *e)
{
	return e->how == CLIENT_END_SIGNAL || e->how == CLIENT_END_UNKNOWN;
}

/*
 * The wait of @p is over, so it leaves the list.  Returns whether it is the one that writes, with
 * how the client ended in @e.  That is read under the lock.  Otherwise one of two that wait for the
 * same client could leave the file to the other, whose time is up before it sees the end.
 */
static bool is_the_one(struct postmortem *p, const struct client_end_watch *w, struct client_end *e)
{
	struct postmortem *other;
	bool one;

	pthread_mutex_lock(&lock);
	remove_locked(p);
	client_end_read(w, e);
	one = is_kill(e) && !is_written(p);
	for (other = begun; one && other; other = other->next)
		if (is_same(&other->facts.identity, &p->facts.identity) &&
		    has_newer_figures(other, p))
			one = false;
	if (one)
		recent[deaths++ % RECENT] = (struct death){ hellos, p->facts.identity };
	pthread_mutex_unlock(&lock);
	return one;
}

/* Begin one more post-mortem.  False: there are too many. */
static bool enter(void)
{
	bool may;

	pthread_mutex_lock(&lock);
	may = active < ACTIVE_MAX;
	active += may;
	pthread_mutex_unlock(&lock);
	return may;
}

static void leave(void)
{
	pthread_mutex_lock(&lock);
	active--;
	pthread_cond_broadcast(&fewer);
	pthread_mutex_unlock(&lock);
}

void postmortem_no_more(void)
{
	atomic_store(&no_more, true);
}

void postmortem_finish(uint64_t until_ns)
{
	struct timespec ts = { (time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000) };

	pthread_mutex_lock(&lock);
	while (active && !pthread_cond_clockwait(&fewer, &lock, CLOCK_MONOTONIC, &ts))
		;
	pthread_mutex_unlock(&lock);
}

/* Identify the client, by its own PID and host, which people know it by, if it has sent them. */
static void name_client(struct postmortem_client *identity, const struct registry_arena *r,
			const struct client_end_watch *w)
{
	struct stat st;

	identity->uid = r->uid;
	identity->service_pid = r->pid;
	identity->pid = r->claim && r->claim->pid > 0 ? r->claim->pid : r->pid;
	identity->inode = w->pidfd >= 0 && !fstat(w->pidfd, &st) ? st.st_ino : 0;
	if (r->claim && r->claim->host[0])
		memcpy(identity->host, r->claim->host, sizeof(identity->host));
	else if (gethostname(identity->host, sizeof(identity->host)))
		strcpy(identity->host, "unknown");
	identity->host[sizeof(identity->host) - 1] = 0;
}

struct postmortem *postmortem_read(struct registry_arena *r, const struct client_end_watch *w,
				   int fd, uint64_t hello)
{
	uint64_t began = clock_ns();
	struct postmortem *p;

	if (!config_on_kill()[0] || atomic_load(&no_more))
		return NULL;
	if (!enter()) {
		log_warning("process %d: no post-mortem: %d others are under way", r->pid,
			    ACTIVE_MAX);
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		log_warning("process %d: no memory for a post-mortem", r->pid);
		goto none;
	}
	p->hello = hello;
	p->facts.has_figures = registry_has_figures(r);
	describe_arena(r, &p->facts.figures);
	name_client(&p->facts.identity, r, w);
	list_add(p);
	/*
	 * The memory of an arena of the device is gone with its client.  Who was killed is to be
	 * known nevertheless.
	 */
	if (!postmortem_read_heap(&p->facts.heap, fd, began + READ_NS, &p->stop) &&
	    !p->facts.heap.is_device) {
		list_remove(p);
		free(p);
		goto none;
	}
	has_read(p);
	p->facts.read_ns = clock_ns() - began;
	return p;
none:
	leave();
	return NULL;
}

void postmortem_write(struct postmortem *p, const struct client_end_watch *w)
{
	struct client_end e;

	if (!p)
		return;
	client_end_wait(w, clock_ns() + WAIT_NS, &e);
	if (is_the_one(p, w, &e)) {
		p->facts.was_stopped = atomic_load(&p->stop);
		postmortem_put(&p->facts, &e);
	} else if (e.how == CLIENT_END_UNSEEN) {
		log_line(
			"process %d (%.16s) has gone, how can't be known here, and so there is no "
			"post-mortem",
			p->facts.identity.pid, p->facts.figures.comm);
	}
	free(p);
	leave();
}
