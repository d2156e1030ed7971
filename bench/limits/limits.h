/* SPDX-License-Identifier: GPL-2.0-only */
/* limits.h - the parts of the bench of memory limits: see main.c */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "draw.h"
#include "tricolor.h"

#define MIB (1ull << 20)
#define SECOND 1000000000ull

struct test_group;

/* What a client does.  The driver sets it before it forks the client. */
enum kind {
	STEADY,				/* a live heap of `live` bytes, replaced object by object */
	GROWING,			/* the same, growing from `from` to `live` while it works */
	BURSTY,				/* one second of work in three; between bursts most objects
					 * are dropped */
};

/* Memory that the driver and a client share. */
struct client {
	/* Written by the driver. */
	enum kind kind;
	uint64_t from_bytes, live_bytes;
	uint64_t steps;			/* to do; 0: until told to stop */
	double pace;			/* steps a second; 0: as fast as it goes */
	_Atomic bool go, stop;

	/* Written by the client. */
	_Atomic bool ready;
	_Atomic uint64_t done;		/* steps */
	_Atomic uint64_t limit_now;	/* in force */
	uint64_t began_ns, ended_ns;	/* the time of the steps, without the start */
	uint64_t refused, errors;
	struct tri_stats begun, ended;	/* the heap's figures at these times */

	/* Written by the driver after the client's end. */
	pid_t pid;
	int status;
};

/* client.c */
void client_start(struct client *c, const struct test_group *group);
bool client_wait_ready(struct client *c);
void client_wait(struct client *c);

/* collector.c: a shared tricolord */
pid_t collector_start(const char *build, const char *socket);
void collector_end(pid_t pid, const char *socket);

/* plot.c: two curves over one axis, as an SVG */
struct plot {
	const char *title, *x, *left, *right;
	const double *xs, *lefts, *rights;
	unsigned int n;
	double x_min, x_max;
};
bool plot_write(const char *path, const struct plot *p);

int sweep(const char *build, double seconds);
int keep(const char *build, double seconds);
int share(const char *build, double seconds);
int arenas(const char *build, double seconds);

#endif
