// SPDX-License-Identifier: GPL-2.0-only
/* election.c - what the threads know about the election of a policy: see election.h */
#include "election.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/system/clock.h"

#define AGAIN_NS 5000000000ull		/* no election sooner, after one has failed */

static struct {
	pthread_mutex_t lock;
	int wake_fd;	/* constant while there are threads; -1: there is no election */

	/* Under the lock. */
	struct election_key wanted;
	bool barred, over;
	uint64_t failed_ns;		/* when the last election failed; 0: it has not */
	enum election_result result;
	int given[2];
	bool has_hello;			/* from then on hello is constant */

	struct election_hello hello;
} election = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake_fd = -1, .given = { -1, -1 } };

static bool same(struct election_key a, struct election_key b)
{
	return a.ino == b.ino && (!a.ino || a.dev == b.dev);
}

static void wake(void)
{
	uint64_t one = 1;

	/* It fails only if the counter is full, and then the eventfd is readable. */
	if (election.wake_fd >= 0 && write(election.wake_fd, &one, sizeof(one)) < 0)
		return;
}

void election_group(dev_t dev, ino_t ino)
{
	struct election_key key = { dev, ino };
	bool changed;

	pthread_mutex_lock(&election.lock);
	changed = !same(election.wanted, key);
	election.wanted = key;
	if (changed || (election.failed_ns && clock_ns() - election.failed_ns >= AGAIN_NS)) {
		election.failed_ns = 0;
		changed = true;
	}
	pthread_mutex_unlock(&election.lock);
	if (changed)
		wake();
}

void election_hello(const struct tri_msg *hello, pid_t pid, const int *fds, size_t n)
{
	struct election_hello *h = &election.hello;

	if (election.wake_fd < 0)
		return;
	h->msg = *hello;
	h->msg.client.pid = pid;
	for (h->nfds = 0; h->nfds < n && h->nfds < TRI_HELLO_FDS; h->nfds++) {
		h->fds[h->nfds] = fcntl(fds[h->nfds], F_DUPFD_CLOEXEC, 3);
		if (h->fds[h->nfds] >= 0)
			continue;
		/* Without all descriptors the HELLO can't be sent to a policy. */
		while (h->nfds)
			close(h->fds[--h->nfds]);
		return;
	}
	pthread_mutex_lock(&election.lock);
	election.has_hello = true;
	pthread_mutex_unlock(&election.lock);
	wake();
}

enum election_result election_take(int given[2])
{
	enum election_result result;

	if (election.wake_fd < 0)
		return ELECTION_NOTHING;
	pthread_mutex_lock(&election.lock);
	result = election.result;
	memcpy(given, election.given, sizeof(election.given));
	election.result = ELECTION_NOTHING;
	election.given[0] = election.given[1] = -1;
	pthread_mutex_unlock(&election.lock);
	return result;
}

void election_link_over(void)
{
	pthread_mutex_lock(&election.lock);
	election.over = true;
	pthread_mutex_unlock(&election.lock);
	wake();
}

void election_bar(bool barred)
{
	pthread_mutex_lock(&election.lock);
	election.barred = barred;
	pthread_mutex_unlock(&election.lock);
	wake();
}

int election_open(void)
{
	election.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return election.wake_fd;
}

void election_close(void)
{
	close(election.wake_fd);
	election.wake_fd = -1;
}

struct election_state election_read(void)
{
	struct election_state s = { .wanted = { 0, 0 } };

	pthread_mutex_lock(&election.lock);
	if (!election.barred && election.has_hello)
		s.wanted = election.wanted;
	s.barred = election.barred;
	s.failed = election.failed_ns;
	s.over = election.over;
	election.over = false;
	pthread_mutex_unlock(&election.lock);
	return s;
}

const struct election_hello *election_client(void)
{
	return &election.hello;
}

void election_failed(void)
{
	pthread_mutex_lock(&election.lock);
	election.failed_ns = clock_ns();
	pthread_mutex_unlock(&election.lock);
}

void election_answer(enum election_result result, int sock, int board)
{
	int old[2], i;

	pthread_mutex_lock(&election.lock);
	memcpy(old, election.given, sizeof(old));
	election.result = result;
	election.given[0] = sock;
	election.given[1] = board;
	pthread_mutex_unlock(&election.lock);
	for (i = 0; i < 2; i++)
		if (old[i] >= 0)
			close(old[i]);
}
