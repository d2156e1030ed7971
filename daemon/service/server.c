// SPDX-License-Identifier: GPL-2.0-only
/*
 * server.c - the life of a shared collector
 *
 *  1. It listens, and says READY to the service manager.
 *  2. The main thread accepts connections, which accept.c serves, and reads signals.  On SIGHUP the
 *     configuration is read again; if there is a mistake in it, the one in force stays.
 *  3. On SIGTERM or SIGINT no new client is accepted, and each connection is closed when the cycle
 *     under way has ended.  After two seconds the process ends in any case, as a client survives
 *     the death of its collector at any moment.
 *  4. --until FD: an end of file on FD means that no new client will come.  The process ends with
 *     the last client.
 *  5. The service manager may tell that memory is short (service_pressure.c).  Then heaps give back
 *     what is free, and are collected if enough was allocated since their last cycle, as if one of
 *     their limits were near.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/heap/settings.h"
#include "core/system/clock.h"
#include "accept.h"
#include "listen.h"
#include "notify.h"
#include "postmortem.h"
#include "postmortem_file.h"
#include "daemon/limits/service_pressure.h"
#include "daemon/clients/registry.h"
#include "daemon/limits/watch.h"

#define STOP_NS 2000000000ull
#define REPEAT_NS 60000000000ull	/* the log has the same line once in this time */
#define SNATCHED_MS 100

enum { POLL_LISTENER, POLL_SIGNALS, POLL_UNTIL, POLL_ARENAS, POLL_PRESSURE, POLLS };

static void signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void server_block_signals(void)
{
	sigset_t set;

	signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Give order @kind to all arenas.  Those that come meanwhile have the new settings. */
static void order_all(enum board_order kind)
{
	size_t room = registry_count() + 64, n, i;
	struct registry_arena **list = calloc(room, sizeof(*list));

	if (!list)
		return;
	n = registry_all(list, room);
	for (i = 0; i < n && i < room; i++) {
		/* Markers in other processes read our configuration from their boards. */
		if (kind == ORDER_DEFAULTS)
			settings_write_defaults(list[i]->board);
		registry_order(list[i], kind, 0);
		registry_put(list[i]);
	}
	free(list);
}

static void reload(const struct options *o, struct config *c)
{
	struct config next;

	notify_reloading();
	if (!options_config(o, &next)) {
		log_error("the configuration stays as it was");
	} else {
		config_keep(c, &next);
		if (!config_compare(c, &next))
			log_line("configuration read again: no change");
		*c = next;
		config_enforce(c);
		watch_set_total((uint64_t)c->total_limit_bytes);
		order_all(ORDER_DEFAULTS);
	}
	notify("READY=1");
}

static bool failed;

static int reserve = -1;	/* a descriptor for refusing clients when there is no other */

static void keep_reserve(void)
{
	if (reserve < 0)
		reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Sleep without poll(), which may be the call that fails. */
static void nap(void)
{
	struct timespec ts = { 0, SNATCHED_MS * 1000000l };

	nanosleep(&ts, NULL);
}

/*
 * A connection for which there is no descriptor would stay in the queue, and poll() would report it
 * for ever.  So one descriptor is kept in reserve, with which such a connection is accepted and
 * closed.  Another thread may take it first.
 */
static void accept_one(int listener)
{
	static uint64_t told_ns;
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC), err = errno;

	if (sock < 0 && (err == EMFILE || err == ENFILE)) {
		if (reserve >= 0)
			close(reserve);
		reserve = -1;
		sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (sock >= 0)
			close(sock);
		else
			nap();
		if (!told_ns || clock_ns() - told_ns > REPEAT_NS) {
			told_ns = clock_ns();
			log_warning("clients are turned away: %s; raise the limit of open files",
				    strerror(err));
		}
	} else if (sock >= 0) {
		accept_connection(sock);
	} else if (err != EAGAIN && err != EINTR && err != ECONNABORTED) {
		/* It is still in the queue, so poll() would return at once. */
		nap();
	}
	keep_reserve();
}

/* Serve until a signal or --until says to stop.  Returns the reason in words. */
static const char *serve(const struct options *o, struct config *c, struct pollfd *p)
{
	static char reason[64];
	struct signalfd_siginfo info;
	char byte;
	uint64_t n;

	for (;;) {
		if (poll(p, POLLS, service_pressure_timeout()) < 0) {
			if (errno == EINTR)
				continue;
			/*
			 * A sandbox or a low limit of descriptors: the next call would fail, too.
			 */
			snprintf(reason, sizeof(reason), "poll: %s", strerror(errno));
			log_error("can't wait for clients: %s", reason);
			failed = true;
			return reason;
		}
		if (p[POLL_SIGNALS].revents &&
		    read(p[POLL_SIGNALS].fd, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo != SIGHUP) {
				snprintf(reason, sizeof(reason), "signal %u", info.ssi_signo);
				return reason;
			}
			reload(o, c);
		}
		if (p[POLL_UNTIL].revents && read(p[POLL_UNTIL].fd, &byte, 1) <= 0) {
			/*
			 * Now the end of the last client ends the process; the peer may want to
			 * know.
			 */
			p[POLL_UNTIL].fd = -1;
			p[POLL_ARENAS].fd = registry_watch();
			if (registry_count() && send(o->until_fd, "u", 1, MSG_NOSIGNAL) < 0 &&
			    errno != ENOTSOCK && errno != EPIPE)
				log_debug("descriptor %d: %s", o->until_fd, strerror(errno));
		}
		if (service_pressure_signalled(&p[POLL_PRESSURE])) {
			log_debug("memory is short, says the service manager");
			order_all(ORDER_URGENT);
			malloc_trim(0);
		}
		if (p[POLL_ARENAS].revents && read(p[POLL_ARENAS].fd, &n, sizeof(n)) < 0)
			continue;
		if (o->until_fd >= 0 && p[POLL_UNTIL].fd < 0 && !registry_count())
			return "the end of its last client";
		if (p[POLL_LISTENER].revents)
			accept_one(p[POLL_LISTENER].fd);
	}
}

int server_run(const struct options *o, struct config *c)
{
	struct pollfd p[POLLS];
	const char *reason;
	char why[160];
	size_t left;
	sigset_t set;
	int i;

	signals(&set);
	for (i = 0; i < POLLS; i++)
		p[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	p[POLL_LISTENER].fd = listen_at(c->socket);
	if (p[POLL_LISTENER].fd < 0)
		return 1;
	keep_reserve();
	p[POLL_SIGNALS].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	p[POLL_UNTIL].fd = o->until_fd;
	service_pressure_open(&p[POLL_PRESSURE]);
	if (c->on_kill[0] && postmortem_check(c->on_kill, why))
		log_error("on-kill = %s: %s; until then no post-mortem is written", c->on_kill,
			  why);
	log_line("listening on %s", c->socket);
	notify("READY=1\nSTATUS=Listening on %s", c->socket);

	reason = serve(o, c, p);

	notify("STOPPING=1\nSTATUS=Letting clients go");
	unlink(c->socket);
	close(p[POLL_LISTENER].fd);
	postmortem_no_more();
	order_all(ORDER_STOP);
	left = registry_wait_empty(clock_ns() + STOP_NS);
	postmortem_finish(clock_ns() + STOP_NS);
	if (left)
		log_line("%zu clients were in the middle of a cycle", left);
	log_line("stopped by %s", reason);
	return failed;
}
