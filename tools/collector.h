/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * collector.h - collectors on this system, and talking to one
 *
 * A collector is believed if its socket was named (--socket, TRICOLOR_SOCKET, the usual path), or
 * if root or we ourselves run it.  A collector whose socket was found may belong to anybody.  It is
 * asked only if its user is root or we, or if we are root.  What it says about a process is
 * believed only if the process belongs to its user.
 */
#ifndef TRICOLOR_COLLECTOR_H
#define TRICOLOR_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/proto/control.h"

/* A connection to a collector.  It is closed by collector_close(). */
struct collector {
	int sock;
	pid_t pid;			/* SO_PEERCRED; 0: in another namespace */
	uid_t uid;
	bool named;
	unsigned int doubted;		/* arenas of its last answer that we did not believe */
	pid_t client;			/* the client of a private collector, by its address; 0: the
					 * collector is shared */
	char where[112];		/* path, or @name */
};

/* What is known about one arena, and which collector said so. */
struct arena_of {
	struct control_arena arena;
	char id[40];			/* as users see it: COLLECTOR.NUMBER */
	pid_t collector_pid;
	bool is_private;
	bool is_linked;			/* its collector has a policy, which also knows the heap */
	char collector[112];		/* where */
	char release[32];
};

/* A collector that could be reached and has not answered. */
struct silent_collector {
	pid_t pid;			/* 0: in another namespace */
	pid_t client;			/* the client of a private collector; 0: the collector is
					 * shared */
	char where[112];
	char why[200];
};

/**
 * Why a collector can't answer, if that is known without asking it: its process is stopped, traced,
 * or ending.  NULL: it may answer.
 */
const char *collector_state(const struct collector *c);

/**
 * Call @fn for each collector that can be reached and is believed, until it returns false.
 * @socket: the only one to ask; NULL: all.  Returns 0, or 1 after an error message when @socket
 * can't be reached.
 */
int collectors_each(const char *socket, bool (*fn)(struct collector *c, void *arg), void *arg);

/**
 * Send a request, and wait for the answer for at most @seconds.  Returns 0, or an errno with a
 * sentence in @reply->text.  @arenas is set to the @reply->arenas that came with it, which the
 * caller frees, or to NULL.
 */
int collector_ask(struct collector *c, const struct control_request *q, unsigned int seconds,
		  struct control_reply *reply, struct arena_of **arenas);

/** Connect to the abstract address of @client's private collector.  False: there is none. */
bool collector_private(pid_t client, struct collector *c);

void collector_close(struct collector *c);

/** A request of which only the first fields are set. */
struct control_request collector_request(enum control_op op);

#endif
