/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * served.h - a client that does what it is told, and programs whose output is looked at
 *
 * The client is a forked child with a heap.  It reads commands of one letter, does them, and
 * answers with a line of numbers, so that a test knows when and how something is done.
 */
#ifndef TRICOLOR_SELFTESTS_SERVED_H
#define TRICOLOR_SELFTESTS_SERVED_H

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <tricolor.h>

#include "process.h"

struct served {
	pid_t pid;
	int in, out;			/* commands to it, answers from it */
};

struct served_answer {
	int error;			/* of what it was told */
	uint64_t collector_pid, cycles, live_bytes, goal_bytes;
};

/**
 * Tell it something and wait until it is done.  'g': tri_gc(); 'a': a million bytes of garbage;
 * '5': tri_set_gc_percent(50); 's': nothing; 'q': the end.
 */
struct served_answer served_tell(struct served *c, char command);

/**
 * A client of the collector at @socket ("off": a private one), as user @uid.  It has been through a
 * cycle when this returns.  @variable: one more for its environment, or NULL.
 */
struct served served_start(const char *socket, uid_t uid, const char *variable);

/** Have it end.  Its exit status, as of wait_status(). */
int served_end(struct served *c);

/* What a program said and how it ended. */
struct output {
	int status;			/* as wait_status() */
	char out[262144], err[8192];	/* a list of all heaps of a machine that other tests run
					 * on is long */
};

/** All that can be read from @fd, as much as there is room for, as text. */
void read_all(int fd, char *text, size_t room);

/** Run @argv as user @uid and wait for it.  Its output goes to files: nothing can fill up. */
struct output *run_as(uid_t uid, char *const argv[]);

/** The same for @program and words up to NULL. */
struct output *run(const char *program, ...);

/** As remarks of the test. */
void show_output(const struct output *o);

/** A number of a JSON text by its name; LLONG_MIN: there is none, or it is null. */
long long json_number(const char *text, const char *name);

/** Append to, or make, a file. */
void write_text(const char *path, const char *text);

/** What a file has; "" if it can't be read. */
const char *read_text(const char *path);

#endif
