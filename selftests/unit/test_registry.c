// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_registry.c - the list of arenas: consistent figures, orders that are met, members that leave
 *
 * A thread plays an arena's thread; the others are readers and those who give orders.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "daemon/heap/arena.h"
#include "core/system/clock.h"
#include "kselftest.h"
#include "daemon/clients/registry.h"

#define PATIENCE_NS 10000000000ull
#define CHANGES 2000

static _Atomic(bool) stop;

/* Publishes figures whose words are all the same number. */
static void *publisher(void *arg)
{
	struct registry_arena *r = arg;
	struct board_figures f;
	uint64_t words[BOARD_WORDS], n = 0, i;

	while (!stop) {
		n++;
		for (i = 0; i < BOARD_WORDS; i++)
			words[i] = n;
		memcpy(&f, words, sizeof(f));
		board_publish(r->board, &f);
	}
	return NULL;
}

static void test_figures(void)
{
	struct registry_arena *r = registry_enter(getpid(), -1, 1, 2, 1 << 20, NULL);
	struct board_figures f;
	uint64_t words[BOARD_WORDS], last = 0, i, torn = 0, back = 0, changes = 0;
	pthread_t t;
	int round = 0;

	pthread_create(&t, NULL, publisher, r);
	for (; changes < CHANGES; round++) {
		registry_read(r, &f);
		memcpy(words, &f, sizeof(words));
		for (i = 1; i < BOARD_WORDS; i++)
			torn += words[i] != words[0];
		back += words[0] < last;
		changes += words[0] != last;
		last = words[0];
	}
	stop = true;
	pthread_join(t, NULL);
	ksft_test_result(!torn && !back,
			 "figures are never torn, nor older than before (%d reads)\n", round);
	registry_leave(r);
}

static void test_list(void)
{
	struct registry_arena *a = registry_enter(getpid(), -1, 10, 20, 4096, NULL), *b, *c,
			      *list[2];
	struct pollfd p = { .fd = registry_watch(), .events = POLLIN };
	uint64_t n;

	ksft_test_result(poll(&p, 1, 0) == 0, "who watches hears of nothing at first\n");
	b = registry_enter(1, -1, 0, 0, 4096, NULL);
	c = registry_enter(0, -1, 0, 0, 4096, NULL);
	ksft_test_result(poll(&p, 1, 0) == 1 && read(p.fd, &n, sizeof(n)) == sizeof(n) && n == 2,
			 "and then of two that came\n");
	ksft_test_result(a->id && a->id < b->id && b->id < c->id, "ids grow\n");
	ksft_test_result(!strncmp(a->comm, "test_registry", 13) && !c->comm[0],
			 "the name is the process's; none for one that is not visible\n");
	ksft_test_result(registry_all(list, 2) == 3 && list[0] == a && list[1] == b,
			 "the list is the oldest first, and says how many there are\n");
	registry_put(list[0]);
	registry_put(list[1]);

	n = b->id;
	list[0] = registry_get(n);
	registry_leave(b);
	ksft_test_result(list[0] == b && !registry_get(n) && registry_count() == 2,
			 "one that has left is not found\n");
	ksft_test_result(registry_wait(b, ORDER_GC, 1, clock_ns() + PATIENCE_NS) == -ESRCH,
			 "an order to it fails at once\n");
	registry_put(b);
	b = registry_enter(getpid(), -1, 0, 0, 4096, NULL);
	ksft_test_result(b->id > c->id, "an id is not used again\n");
	registry_leave(c);
	registry_leave(b);
	ksft_test_result(registry_wait_empty(clock_ns() + 1000) == 1,
			 "waiting for an empty list ends\n");
	registry_leave(a);
	ksft_test_result(registry_wait_empty(clock_ns() + PATIENCE_NS) == 0, "the list is empty\n");
	close(p.fd);
}

/* Meets orders as an arena's thread does, until it is told to stop. */
static void *arena_thread(void *arg)
{
	struct registry_arena *r = arg;
	struct pollfd p = { .fd = r->order_fd, .events = POLLIN };
	int64_t value, percent = 0;
	uint32_t number, met[ORDERS] = { 0 };
	uint64_t rung;
	int kind;

	for (;;) {
		poll(&p, 1, -1);
		if (read(p.fd, &rung, sizeof(rung)) < 0)
			continue;
		for (kind = 0; kind < ORDERS; kind++) {
			struct board_figures f = { 0 };

			if (!board_take(r->board, kind, met[kind], &number, &value))
				continue;
			if (kind == ORDER_STOP) {
				registry_leave(r);
				return NULL;
			}
			if (kind == ORDER_GC_PERCENT)
				percent = value;
			f.gc_percent = percent;
			board_publish(r->board, &f);
			met[kind] = number;
			board_done(r->board, kind, number);
			registry_notify(r);
		}
	}
}

struct commander {
	struct registry_arena *r;
	uint64_t unmet;
};

static void *commander(void *arg)
{
	struct commander *c = arg;
	int i;

	for (i = 0; i < 2000; i++) {
		uint32_t n = registry_order(c->r, ORDER_GC, 0);

		c->unmet += registry_wait(c->r, ORDER_GC, n, clock_ns() + PATIENCE_NS) != 0;
	}
	return NULL;
}

static void test_orders(void)
{
	struct registry_arena *r = registry_enter(getpid(), -1, 0, 0, 4096, NULL),
			      *mine = registry_get(r->id);
	struct commander c[3] = { { mine, 0 }, { mine, 0 }, { mine, 0 } };
	struct board_figures f;
	uint64_t wrong = 0;
	pthread_t t, others[3];
	uint32_t n;
	int i;

	n = registry_order(mine, ORDER_FREE, 0);
	ksft_test_result(registry_wait(mine, ORDER_FREE, n, clock_ns() + 1000000) == -ETIMEDOUT,
			 "an order that nobody takes is waited for so long and no longer\n");
	pthread_create(&t, NULL, arena_thread, r);
	ksft_test_result(!registry_wait(mine, ORDER_FREE, n, clock_ns() + PATIENCE_NS),
			 "it is met once there is somebody\n");
	for (i = 0; i < 3; i++)
		pthread_create(&others[i], NULL, commander, &c[i]);
	for (i = 1; i <= 2000; i++) {
		n = registry_order(mine, ORDER_GC_PERCENT, i);
		if (registry_wait(mine, ORDER_GC_PERCENT, n, clock_ns() + PATIENCE_NS))
			wrong++;
		registry_read(mine, &f);
		wrong += f.gc_percent != i;
	}
	for (i = 0; i < 3; i++)
		pthread_join(others[i], NULL);
	ksft_test_result(!wrong, "a setting has been made when its order was met\n");
	ksft_test_result(!c[0].unmet && !c[1].unmet && !c[2].unmet,
			 "orders of several threads at once are all met\n");
	registry_order(mine, ORDER_STOP, 0);
	n = registry_order(mine, ORDER_GC, 0);
	pthread_join(t, NULL);
	ksft_test_result(registry_wait(mine, ORDER_GC, n, clock_ns() + PATIENCE_NS) != -ETIMEDOUT,
			 "who waits is told when it leaves\n");
	registry_put(mine);
}

static void test_cgroup(void)
{
	struct registry_arena *r = registry_enter(getpid(), -1, 0, 0, 4096, NULL);
	char path[8];

	ksft_test_result(!registry_cgroup(r, path, sizeof(path)), "no cgroup is known at first\n");
	registry_set_cgroup(r, "/a/b");
	ksft_test_result(registry_cgroup(r, path, sizeof(path)) && !strcmp(path, "/a/b"),
			 "it is the one that was set\n");
	registry_set_cgroup(r, "/a/longer");
	ksft_test_result(!registry_cgroup(r, path, sizeof(path)) && !strcmp(path, "/a/b"),
			 "one that does not fit is not cut\n");
	registry_leave(r);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(19);
	test_figures();
	test_list();
	test_orders();
	test_cgroup();
	ksft_finished();
}
