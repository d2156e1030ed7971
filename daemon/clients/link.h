/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * link.h - a policy and a marker, in two processes
 *
 * The *policy* decides about limits, and the *marker* marks one heap.  They share a *board*
 * (board.h), a page of a memory file that the policy has made, and the *link*, the connected
 * SOCK_SEQPACKET socket by which the client's agent connected to the policy.  The agent hands both
 * on to the marker (TRI_MSG_POLICY of core/proto/client.h).
 *
 * On the link both send struct link_msg.  The marker begins with ATTACH.  From then on RING says
 * that there is something new on the board, and the board says what.  So a RING that finds no room
 * in the socket's queue may be left out, as those before it have not been read yet, and the board
 * is read after them.  Neither side waits for the other, or for room in the queue.  An end of file
 * says that the other side has ended.
 *
 * Each side takes the other for hostile.  Reading board and link costs a bounded time: at most
 * LINK_MESSAGES of a marker are read in LINK_PAUSE_NS.
 */
#ifndef TRICOLOR_LINK_H
#define TRICOLOR_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/clients/board.h"

struct fault_guard;

/* Grows with each change of struct board or struct link_msg. */
#define LINK_VERSION 3u
#define LINK_MESSAGES 16
#define LINK_PAUSE_NS 5000000ull
/* If the agent has not started a marker in this time, it has another collector. */
#define LINK_ATTACH_S 10
/* A marker closes the link with a policy that does not read the board for so long. */
#define LINK_SILENCE_NS 5000000000ull

enum link_type {
	LINK_ATTACH = 1,		/* marker: version, pid */
	LINK_RING,			/* either: there is something new on the board */
	LINK_LOG,			/* marker: level, text, for the policy's log */
};

struct link_msg {
	uint32_t type;
	uint32_t version;		/* LINK_VERSION */
	int32_t pid;			/* the marker's, in its own namespace, to be shown */
	uint32_t level;			/* enum log_level */
	char text[240];
};

_Static_assert(sizeof(struct link_msg) == 256, "protocol");

/* ---- A board between processes ---- */

struct link_board {
	struct board *board;		/* NULL: there is none */
	struct fault_guard *guard;
};

/** Make a board and map it.  Returns its descriptor, which is sealed, or -errno. */
int link_board_make(struct link_board *b);

/** Map a board that was handed over.  Returns 0, or an errno and in @why a sentence. */
int link_board_map(struct link_board *b, int fd, const char **why);

void link_board_unmap(struct link_board *b);

/** Send without waiting.  False: the other side is gone. */
bool link_send(int sock, enum link_type type, int32_t pid, uint32_t level, const char *text);

#endif
