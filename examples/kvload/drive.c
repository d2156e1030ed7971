// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * drive.c - the threads
 *
 * Each thread sends a request on all of its connections, and a new one when the answer has arrived.
 * When the time is over, or the operations are used up, it waits for the answers that are still to
 * come, and ends.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "kvload.h"

#define EVENTS_MAX 64

struct driver {
	pthread_t thread;
	int epoll;
	struct client *clients;
	uint32_t count;
	uint32_t under_way;
	int err;
	struct results results;
};

static uint64_t end_ns;
static _Atomic uint64_t begun;		/* operations */
static _Atomic bool failed;		/* a thread has given up: so do all */
static bool filling;

/* Keys with low numbers are requested more often, as some keys are in every cache. */
static uint32_t draw_key(struct client *client)
{
	uint32_t below = (uint32_t)(next_random(&client->random) % config->keys) + 1;

	return (uint32_t)(next_random(&client->random) % below);
}

/* Begin one more operation, if there is to be one. */
static int ask_next(struct driver *driver, struct client *client)
{
	uint64_t number, most = filling ? config->keys : config->operations;
	uint32_t key;
	int err;

	if (failed || now_ns() >= end_ns)
		return 0;
	number = atomic_fetch_add(&begun, 1);
	if (most && number >= most)
		return 0;
	key = filling ? (uint32_t)number : draw_key(client);
	err = client_ask(client, key,
			 filling || next_random(&client->random) % 100 < config->set_percent);
	driver->under_way += !err;
	return err;
}

static int watch(struct driver *driver, struct client *client, int op)
{
	struct epoll_event event = {
		.events = EPOLLIN | (client_is_sending(client) ? EPOLLOUT : 0),
		.data.ptr = client,
	};

	return epoll_ctl(driver->epoll, op, client->fd, &event) ? -errno : 0;
}

static int handle(struct driver *driver, const struct epoll_event *ready)
{
	struct client *client = ready->data.ptr;
	bool was_sending = client_is_sending(client);
	int outcome = client_go_on(client, &driver->results), err = 0;

	if (outcome < 0)
		return outcome;
	if (outcome) {
		driver->under_way--;
		err = ask_next(driver, client);
	}
	if (!err && client_is_sending(client) != was_sending)
		err = watch(driver, client, EPOLL_CTL_MOD);
	return err;
}

static int run(struct driver *driver)
{
	bool first = filling || !config->fill;
	struct epoll_event events[EVENTS_MAX];
	int err = 0;

	for (uint32_t i = 0; i < driver->count && !err; i++) {
		err = ask_next(driver, &driver->clients[i]);
		if (!err)
			err = watch(driver, &driver->clients[i],
				    first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
	}
	while (!err && driver->under_way && !failed) {
		int ready = epoll_wait(driver->epoll, events, EVENTS_MAX, ANSWER_SECONDS * 1000);

		if (ready < 0 && errno != EINTR)
			err = -errno;
		else if (!ready)
			err = -ETIMEDOUT;
		for (int i = 0; i < ready && !err; i++)
			err = handle(driver, &events[i]);
	}
	return err;
}

static void *driver_main(void *argument)
{
	struct driver *driver = argument;

	driver->err = run(driver);
	if (driver->err)
		failed = true;
	return NULL;
}

/*
 * ---- start and end ----------------------------------------------------------------------------
 */

static int driver_open(struct driver *driver, uint32_t number)
{
	uint32_t count = config->connections / config->threads +
			 (number < config->connections % config->threads);
	int err = 0;

	driver->epoll = epoll_create1(EPOLL_CLOEXEC);
	driver->clients = calloc(count, sizeof(*driver->clients));
	if (driver->epoll < 0 || !driver->clients)
		return -errno;
	while (driver->count < count && !err) {
		err = client_open(&driver->clients[driver->count],
				  config->seed * 1000003 + number * 1009 + driver->count);
		driver->count += !err;
	}
	return err;
}

static void driver_close(struct driver *driver)
{
	for (uint32_t i = 0; i < driver->count; i++)
		client_close(&driver->clients[i]);
	free(driver->clients);
	if (driver->epoll >= 0)
		close(driver->epoll);
}

static void add_up(struct results *sum, const struct results *part)
{
	sum->operations += part->operations;
	sum->hits += part->hits;
	sum->misses += part->misses;
	sum->refused += part->refused;
	sum->wrong += part->wrong;
	latency_join(&sum->latency, &part->latency);
}

static int run_all(struct driver *drivers, uint32_t seconds)
{
	uint32_t started = 0;
	int err = 0;

	begun = 0;
	end_ns = now_ns() + seconds * 1000000000ull;
	while (started < config->threads && !err) {
		err = -pthread_create(&drivers[started].thread, NULL, driver_main,
				      &drivers[started]);
		started += !err;
	}
	if (err)
		failed = true;
	for (uint32_t i = 0; i < started; i++) {
		pthread_join(drivers[i].thread, NULL);
		if (!err)
			err = drivers[i].err;
	}
	return err;
}

/* The measurement begins when the keys have been set. */
static int fill(struct driver *drivers)
{
	int err;

	filling = true;
	err = run_all(drivers, FILL_SECONDS);
	filling = false;
	if (!err)
		for (uint32_t i = 0; i < config->threads; i++)
			memset(&drivers[i].results, 0, sizeof(drivers[i].results));
	return err;
}

int drive(struct results *sum, uint64_t *took_ns)
{
	struct driver *drivers = calloc(config->threads, sizeof(*drivers));
	const char *what = "can't connect to the server";
	uint32_t opened = 0;
	int err = drivers ? 0 : -ENOMEM;

	while (!err && opened < config->threads) {
		err = driver_open(&drivers[opened], opened);
		opened++;
	}
	if (!err) {
		what = "lost the server";
		err = config->fill ? fill(drivers) : 0;
	}
	if (!err) {
		*took_ns = now_ns();
		err = run_all(drivers, config->seconds);
		*took_ns = now_ns() - *took_ns;
	}
	if (err)
		fprintf(stderr, "kvload: %s: %s\n", err == -EPROTO ? "wrong answer" : what,
			strerror(-err));
	for (uint32_t i = 0; i < opened; i++) {
		add_up(sum, &drivers[i].results);
		driver_close(&drivers[i]);
	}
	free(drivers);
	return err;
}
