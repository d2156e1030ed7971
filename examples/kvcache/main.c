// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * main.c - start the server, drop expired entries, end the server
 *
 * The main thread waits for SIGTERM and SIGINT, and for the next second.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "kvcache.h"
#include "options.h"

#define SPARE_FDS 256u

static struct config chosen;
const struct config *config = &chosen;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "kvcache: %s: %s\n", what, why);
	exit(1);
}

uint32_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)now.tv_sec + 2;	/* more than 1, the time of entries that have always
						 * expired */
}

/* Each connection is a descriptor. */
static void raise_descriptors(void)
{
	rlim_t want = config->connections + SPARE_FDS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < want)
		fprintf(stderr,
			"kvcache: only %llu descriptors are allowed (ulimit -n): fewer than %u "
			"connections at a time will be served\n",
			(unsigned long long)limit.rlim_cur, config->connections);
}

/*
 * Other processes of the container may cause the pressure, too.  So drop entries, which clients can
 * set again.
 */
static void on_pressure(enum tri_pressure pressure, void *unused)
{
	(void)unused;
	if (pressure != TRI_PRESSURE_NONE)
		store_shed();
}

/* All threads that are started later have these signals blocked as well. */
static int catch_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		fail("can't wait for signals", strerror(errno));
	return fd;
}

static void run_until_signalled(int signals)
{
	struct pollfd poll_signals = { .fd = signals, .events = POLLIN };
	uint32_t reaped = now_seconds();

	while (poll(&poll_signals, 1, 1000) <= 0)
		if (reaped != now_seconds()) {
			reaped = now_seconds();
			store_reap();
		}
}

static void report(void)
{
	struct server_figures server;
	struct store_figures store;

	workers_read(&server);
	store_read(&store);
	printf("kvcache: ended: %llu connections, %llu hits, %llu misses, %llu sets, %llu evicted, "
	       "%llu expired\n",
	       (unsigned long long)server.accepted, (unsigned long long)store.hits,
	       (unsigned long long)store.misses, (unsigned long long)store.sets,
	       (unsigned long long)store.evicted, (unsigned long long)store.expired);
}

int main(int argc, char **argv)
{
	int signals, listener, err;

	options_parse(argc, argv, &chosen);
	setvbuf(stdout, NULL, _IOLBF, 0);
	raise_descriptors();
	/* This comes before the library starts its threads, which inherit the blocked signals. */
	signals = catch_signals();
	if (tri_init(NULL))
		fail("no heap", tri_error());
	err = store_init(config->memory_bytes);
	if (err)
		fail("no store", strerror(-err));
	if (config->shed && tri_on_pressure(on_pressure, NULL))
		fail("can't hear of pressure", tri_error());
	listener = listen_open();
	if (listener < 0)
		return 1;
	err = workers_start(listener);
	if (err)
		fail("can't start the threads", strerror(-err));
	run_until_signalled(signals);
	listen_remove();
	close(listener);
	workers_stop();
	report();
	timing_report();
	return 0;
}
