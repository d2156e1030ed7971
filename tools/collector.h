/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * collector.h - collectors on this system, and talking to one
 *
 * A collector is believed if its socket was named (--socket, TRICOLOR_SOCKET, the usual path), or
 * if root or we ourselves run it.  What is found by looking around may belong to anybody: it is
 * asked only if its user is root, we, or (if we are root) anyone, and what it says of processes is
 * taken only if they are its user's.
 */
#ifndef TRICOLOR_COLLECTOR_H
#define TRICOLOR_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/proto/control.h"

/* A connection.  collector_close(). */
struct collector {
	int sock;
	pid_t pid;			/* SO_PEERCRED; 0: in another namespace */
	uid_t uid;
	bool named;
	unsigned int doubted;		/* arenas of its last answer that it was not believed
					 * about */
	pid_t client;			/* of a private one, by its address; 0: it is shared */
	char where[112];		/* path, or @name */
};

/* What is known about one arena, and by whom. */
struct arena_of {
	struct control_arena arena;
	char id[40];			/* as users see it: COLLECTOR.NUMBER */
	pid_t collector_pid;
	bool is_private;
	bool is_linked;			/* and has a policy, which knows of the heap as well */
	char collector[112];		/* where */
	char release[32];
};

/* One that could be reached, and has not answered. */
struct silent_collector {
	pid_t pid;			/* 0: in another namespace */
	pid_t client;			/* of a private one; 0: shared */
	char where[112];
	char why[200];
};

/**
 * Why it can't answer, if that is known without asking: it is stopped, traced, or ending.  NULL: it
 * may answer.
 */
const char *collector_state(const struct collector *c);

/**
 * Call @fn for each collector that can be reached and is not to be doubted, until it returns false.
 * @socket: the only one to ask; NULL: all.  Returns 0, or 1 when @socket can't be reached: that
 * was said.
 */
int collectors_each(const char *socket, bool (*fn)(struct collector *c, void *arg), void *arg);

/**
 * Ask, and wait for at most @seconds.  Returns 0, or an errno with a sentence in @reply->text.
 * @arenas: the @reply->arenas that came with it, to be freed, or NULL.
 */
int collector_ask(struct collector *c, const struct control_request *q, unsigned int seconds,
		  struct control_reply *reply, struct arena_of **arenas);

/** Connect to the abstract address of @client's private collector.  False: there is none. */
bool collector_private(pid_t client, struct collector *c);

void collector_close(struct collector *c);

/** The request with nothing but its head. */
struct control_request collector_request(enum control_op op);

#endif
