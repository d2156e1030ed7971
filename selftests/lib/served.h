/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * served.h - a client that does what it is told, and programs whose output is looked at
 *
 * The client is a forked child with a heap.  It reads commands of one letter, executes them, and
 * answers each with a line of numbers, so that a test decides when something is done and sees the
 * result.
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
	int error;			/* the command's error, or 0 */
	uint64_t collector_pid, cycles, live_bytes, goal_bytes;
};

/**
 * Give the client a command and wait until it is done.  'g': tri_gc(); 'a': allocate a million
 * bytes of garbage; '5': tri_set_gc_percent(50); 's': do nothing; 'q': end.
 */
struct served_answer served_tell(struct served *c, char command);

/**
 * Start a client of the collector at @socket ("off": a private one), as user @uid.  It has been
 * through a cycle when this returns.  @variable: one more for its environment, or NULL.
 */
struct served served_start(const char *socket, uid_t uid, const char *variable);

/** Have the client end.  Returns its exit status as wait_status() does. */
int served_end(struct served *c);

/* What a program printed and how it ended. */
struct output {
	int status;			/* as wait_status() */
	char out[262144], err[8192];	/* a list of all heaps is long if other tests run on the
					 * machine */
};

/** All that can be read from @fd, as much as there is room for, as text. */
void read_all(int fd, char *text, size_t room);

/**
 * Run @argv as user @uid and wait for its end.  Its output goes to files, so it never blocks on a
 * full pipe.
 */
struct output *run_as(uid_t uid, char *const argv[]);

/** The same for @program and arguments up to NULL. */
struct output *run(const char *program, ...);

/** Print the output as remarks of the test. */
void show_output(const struct output *o);

/** The number that has this name in a JSON text; LLONG_MIN: there is none, or it is null. */
long long json_number(const char *text, const char *name);

/** Append to a file, which is made if there is none. */
void write_text(const char *path, const char *text);

/** The content of a file; "" if it can't be read. */
const char *read_text(const char *path);

#endif
