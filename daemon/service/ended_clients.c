// SPDX-License-Identifier: GPL-2.0-only
/*
 * ended_clients.c - the last clients of a shared collector that have ended
 *
 * A parent that waits for a program, as `tricolor run` does, learns that it was killed and asks
 * what its heap had.  By then the heap is gone.  So the last figures of the last few clients are
 * kept, with a pidfd each.  How a client ended may be known only when its parent has waited for it,
 * which may be long after its connection has ended.
 */
#include "ended_clients.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "daemon/process/config.h"
#include "describe.h"

struct ended_client {
	struct control_arena arena;
	struct client_end_watch watch;	/* its own descriptors */
	struct client_end end;		/* what is known so far */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ended_client ring[CONTROL_ENDED_MAX];
static size_t added;			/* clients so far; under the lock, as ring is */

static int again(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

void ended_clients_add(struct registry_arena *r, const struct client_end_watch *w)
{
	struct ended_client d = { .watch = *w, .end = CLIENT_END_NOTHING };
	struct ended_client *slot;

	/*
	 * A private collector ends with its client, so nobody could ask it.  An entry without
	 * figures would only take the place of one with figures.
	 */
	if (config_is_private() || !registry_has_figures(r))
		return;
	describe_arena(r, &d.arena);
	d.watch.pidfd = again(w->pidfd);
	d.watch.events_fd = again(w->events_fd);
	pthread_mutex_lock(&lock);
	slot = &ring[added % CONTROL_ENDED_MAX];
	if (added >= CONTROL_ENDED_MAX)
		client_end_forget(&slot->watch);
	*slot = d;
	added++;
	pthread_mutex_unlock(&lock);
}

static uint32_t ended_how(enum client_end_how how)
{
	switch (how) {
	case CLIENT_END_ALIVE:
		return CONTROL_END_ALIVE;
	case CLIENT_END_EXIT:
		return CONTROL_END_EXIT;
	case CLIENT_END_SIGNAL:
		return CONTROL_END_SIGNAL;
	case CLIENT_END_UNKNOWN:
		return CONTROL_END_UNKNOWN;
	case CLIENT_END_UNSEEN:
		break;
	}
	return CONTROL_END_UNSEEN;
}

size_t ended_clients_all(struct control_arena list[static CONTROL_ENDED_MAX])
{
	size_t n = 0, i;

	pthread_mutex_lock(&lock);
	for (i = added; i && n < CONTROL_ENDED_MAX; i--, n++) {
		struct ended_client *d = &ring[(i - 1) % CONTROL_ENDED_MAX];

		client_end_read(&d->watch, &d->end);
		list[n] = d->arena;
		list[n].ended_how = ended_how(d->end.how);
		list[n].ended_signal = (uint32_t)d->end.signal;
		list[n].ended_kills = d->end.oom_kills;
	}
	pthread_mutex_unlock(&lock);
	return n;
}
