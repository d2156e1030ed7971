// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * worker.c - threads that serve connections
 *
 * All workers wait for the listening socket, and one of them is woken for each new connection.  The
 * kernel chooses which one, and chooses the same one each time while that one keeps up.  So the
 * connection goes to the worker that has the fewest connections, and stays there.  A table by
 * descriptor holds the connections, because epoll's data is no root.  An eventfd that is never read
 * ends all workers.
 *
 * When the process has no descriptors left, a worker does not wait for the listening socket for a
 * while: the socket would be ready all the time, and the worker could do nothing about it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvcache.h"

#define EVENTS_MAX	64
#define SPARE_FDS	128u	/* descriptors that are not connections */
#define ACCEPT_AGAIN_MS	100

struct worker {
	pthread_t thread;
	int epoll;
	_Atomic uint32_t conns;
	bool listens;			/* whether it waits for the listening socket; used by its
					 * own thread, once that runs */
};

static struct conn **conns;	/* by descriptor; a slot belongs to the worker of its connection */
static uint32_t conn_slots;
static struct worker *workers;
static uint32_t started;
static int listener = -1, ending = -1;
static _Atomic uint32_t connected;
static _Atomic uint64_t accepted, turned_away;

void workers_read(struct server_figures *figures)
{
	figures->connected = connected;
	figures->accepted = accepted;
	figures->turned_away = turned_away;
}

static int watch(struct worker *worker, int op, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(worker->epoll, op, fd, &event) ? -errno : 0;
}

/*
 * ---- connections ------------------------------------------------------------------------------
 */

static void conn_close(struct conn *conn)
{
	int fd = conn->fd;

	/*
	 * The slot is cleared first: once the descriptor is closed, another worker may get the same
	 * one.
	 */
	tri_store(&conns[fd], NULL);
	close(fd);
	atomic_fetch_sub(&connected, 1);
}

/*
 * Workers that accept at the same time may choose the same worker, which then has a few connections
 * more than others.
 */
static struct worker *least_busy(void)
{
	struct worker *least = &workers[0];

	for (uint32_t i = 1; i < config->threads; i++)
		if (workers[i].conns < least->conns)
			least = &workers[i];
	return least;
}

/* From here on the connection belongs to @worker, whichever thread calls this. */
static bool hand_over(struct worker *worker, struct conn *conn)
{
	conn->events = EPOLLIN;
	tri_store(&conns[conn->fd], conn);
	atomic_fetch_add(&worker->conns, 1);
	if (!watch(worker, EPOLL_CTL_ADD, conn->fd, EPOLLIN))
		return true;
	tri_store(&conns[conn->fd], NULL);
	atomic_fetch_sub(&worker->conns, 1);
	return false;
}

static void turn_away(int fd, struct text why)
{
	atomic_fetch_add(&turned_away, 1);
	/* Send as much as the socket takes: the connection ends in any case. */
	(void)!send(fd, why.bytes, why.length, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void welcome(int fd)
{
	struct conn *conn;
	int one = 1;

	if (atomic_fetch_add(&connected, 1) >= config->connections || (uint32_t)fd >= conn_slots) {
		atomic_fetch_sub(&connected, 1);
		turn_away(fd, CONSTANT("SERVER_ERROR too many connections\r\n"));
		return;
	}
	/* Has no effect on a Unix socket, which needs none. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn = conn_new(fd);
	atomic_fetch_add(&accepted, 1);
	if (!conn || !hand_over(least_busy(), conn)) {
		atomic_fetch_sub(&accepted, 1);
		atomic_fetch_sub(&connected, 1);
		turn_away(fd, CONSTANT("SERVER_ERROR out of memory\r\n"));
	}
}

static void listen_again(struct worker *worker)
{
	worker->listens = !watch(worker, EPOLL_CTL_ADD, listener, EPOLLIN | EPOLLEXCLUSIVE);
}

static void accept_one(struct worker *worker)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		welcome(fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		watch(worker, EPOLL_CTL_DEL, listener, 0);
		worker->listens = false;
	}
	/* Other errors mean that the connection is gone, or that another worker was faster. */
}

static void serve(struct worker *worker, struct conn *conn)
{
	uint32_t before = conn->events;

	if (!conn_serve(conn) ||
	    (conn->events != before && watch(worker, EPOLL_CTL_MOD, conn->fd, conn->events))) {
		atomic_fetch_sub(&worker->conns, 1);
		conn_close(conn);
	}
}

/*
 * ---- the thread -------------------------------------------------------------------------------
 */

/* Returns false when the server ends. */
static bool handle(struct worker *worker, int fd)
{
	if (fd == ending)
		return false;
	if (fd == listener)
		accept_one(worker);
	else
		serve(worker, conns[fd]);
	return true;
}

static void *work(void *argument)
{
	struct epoll_event events[EVENTS_MAX];
	struct worker *worker = argument;
	bool goes_on = true;

	while (goes_on) {
		int ready = epoll_wait(worker->epoll, events, EVENTS_MAX,
				       worker->listens ? -1 : ACCEPT_AGAIN_MS);

		for (int i = 0; i < ready && goes_on; i++)
			goes_on = handle(worker, events[i].data.fd);
		if (!worker->listens)
			listen_again(worker);
	}
	return NULL;
}

static int worker_open(struct worker *worker)
{
	int err;

	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll < 0)
		return -errno;
	err = watch(worker, EPOLL_CTL_ADD, ending, EPOLLIN);
	if (!err)
		err = watch(worker, EPOLL_CTL_ADD, listener, EPOLLIN | EPOLLEXCLUSIVE);
	worker->listens = true;
	return err;
}

int workers_start(int listener_fd)
{
	struct conn **table;
	int err = 0;

	listener = listener_fd;
	conn_slots = config->connections + SPARE_FDS;
	table = tri_alloc(conn_slots * sizeof(*table));
	workers = calloc(config->threads, sizeof(*workers));
	if (!table || !workers)
		return -ENOMEM;
	tri_store(&conns, table);
	ending = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ending < 0)
		return -errno;
	/* All workers are made before any of them runs, as each may be given a connection. */
	for (uint32_t i = 0; i < config->threads && !err; i++)
		err = worker_open(&workers[i]);
	while (started < config->threads && !err) {
		err = -pthread_create(&workers[started].thread, NULL, work, &workers[started]);
		started += !err;
	}
	return err;
}

void workers_stop(void)
{
	/* One to an eventfd at 0 does not fail. */
	eventfd_write(ending, 1);
	for (uint32_t i = 0; i < started; i++) {
		tri_blocking_enter();
		pthread_join(workers[i].thread, NULL);
		tri_blocking_exit();
		close(workers[i].epoll);
	}
	for (uint32_t i = 0; i < conn_slots; i++)
		if (conns[i])
			conn_close(conns[i]);
	close(ending);
	free(workers);
}
