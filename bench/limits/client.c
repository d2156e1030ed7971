// SPDX-License-Identifier: GPL-2.0-only
/*
 * client.c - clients of the bench: processes of their own, forked before they have a heap
 *
 * A client with a pace does its steps in slices of 5 ms.  If a slice was late, the next ones make
 * up for it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/churn.h"
#include "lib/groups.h"
#include "limits.h"

#define SLICE_NS 5000000ull
#define BURST_NS SECOND
#define BURST_EVERY_NS (3 * SECOND)
#define BATCH 200

static struct churn churn;

static void pause_until(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / SECOND), (long)(ns % SECOND) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void batch(struct client *c, uint64_t n)
{
	while (n--)
		c->refused += !churn_step(&churn);
	c->done = churn.steps;
}

/*
 * How many slots are in use at this point of the work.  The table has room for all; objects are
 * added in the course of the work.
 */
static uint64_t slots_at(const struct client *c, uint64_t all, double progress)
{
	double bytes = (double)c->from_bytes + (double)(c->live_bytes - c->from_bytes) * progress;
	uint64_t n = (uint64_t)bytes / CHURN_SLOT;

	return n < all ? n : all;
}

/* Fill new slots.  These are steps too. */
static void grow(struct client *c, uint64_t to)
{
	while (churn.slots < to) {
		c->refused += !churn_put(&churn, churn.slots++);
		churn.steps++;
	}
}

static void let_go(uint64_t keep)
{
	uint64_t i;

	for (i = keep; i < churn.slots; i++)
		tri_store(&churn.table[i], NULL);
	churn.slots = keep;
}

static bool finished(const struct client *c)
{
	return c->stop || (c->steps && churn.steps >= c->steps);
}

static void work(struct client *c, uint64_t all)
{
	uint64_t slice = 0, turn = c->began_ns;
	struct tri_stats now_stats = { .size = sizeof(now_stats) };
	double owed = 0;

	while (!finished(c)) {
		uint64_t now = now_ns();

		if (c->kind == BURSTY && now - turn > BURST_NS) {
			let_go(c->from_bytes / CHURN_SLOT);
			turn += BURST_EVERY_NS;
			pause_until(turn);
			slice = 0;
			c->began_ns += BURST_EVERY_NS - BURST_NS;	/* pauses do not count as
									 * work */
			owed = 0;
			continue;
		}
		if (c->kind == BURSTY)
			grow(c, slots_at(c, all, (double)(now - turn) / BURST_NS));
		if (c->kind == GROWING)
			grow(c, slots_at(c, all, (double)churn.steps / (double)c->steps));
		if (c->pace <= 0) {
			batch(c, BATCH);
			continue;
		}
		if (slice < now)
			slice = slice ? slice : now;
		owed += c->pace * SLICE_NS / SECOND;
		if (owed > c->pace / 2)
			owed = c->pace / 2;	/* it makes up for half a second at most */
		batch(c, (uint64_t)owed);
		owed -= (double)(uint64_t)owed;
		tri_read_stats(&now_stats);
		c->limit_now = now_stats.limit_bytes;
		slice += SLICE_NS;
		pause_until(slice);
	}
}

static int run(struct client *c, const struct test_group *group)
{
	uint64_t all = c->live_bytes / CHURN_SLOT;

	if (!group_enter(group, getpid())) {
		fprintf(stderr, "limits: %s\n", group_why());
		return 2;
	}
	/* Before a collector has started and has looked at the group, nothing holds a heap back. */
	tri_gc();
	usleep(200000);
	c->begun.size = c->ended.size = sizeof(c->ended);
	churn.rnd = (uint64_t)getpid();
	tri_store(&churn.table, tri_alloc(all * sizeof(*churn.table)));
	if (!churn.table)
		return 3;
	grow(c, c->kind == STEADY ? all : c->from_bytes / CHURN_SLOT);
	churn.steps = 0;
	c->ready = true;
	while (!c->go)
		pause_until(now_ns() + 1000000);
	tri_read_stats(&c->begun);
	c->began_ns = now_ns();
	work(c, all);
	c->ended_ns = now_ns();
	tri_read_stats(&c->ended);
	c->errors = churn.errors;
	return 0;
}

void client_start(struct client *c, const struct test_group *group)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid) {
		c->pid = pid;		/* set by the parent alone, as it is shared */
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(run(c, group));
}

bool client_wait_ready(struct client *c)
{
	while (!c->ready) {
		if (waitpid(c->pid, &c->status, WNOHANG) == c->pid) {
			c->pid = 0;
			return false;
		}
		pause_until(now_ns() + 1000000);
	}
	return true;
}

void client_wait(struct client *c)
{
	if (c->pid > 0)
		waitpid(c->pid, &c->status, 0);
	c->pid = 0;
}
