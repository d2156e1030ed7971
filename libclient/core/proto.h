/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proto.h - messages between a client's agent and its collector
 *
 * SOCK_SEQPACKET on a unix socket, one struct tri_msg a packet.  (On the same socket a peer may speak
 * another protocol: daemon/control_proto.h.)  The agent says HELLO with the arena's
 * descriptor; the collector says WELCOME or REFUSE.  From then on the collector asks for handshakes
 * one at a time and the agent answers each with ANSWER; the agent may send REQUEST at any time.
 * An end of file is the death of the other side.
 */
#ifndef TRI_CORE_PROTO_H
#define TRI_CORE_PROTO_H

#include "core/layout.h"

#define TRI_PROTO_VERSION 1u
#define TRI_PROTO_TEXT 440

enum tri_msg_type {
	TRI_MSG_HELLO = 1,	/* client: version, text = library version, a = flags, descriptor */
	TRI_MSG_WELCOME,	/* collector: version, text = its version, a = pid */
	TRI_MSG_REFUSE,		/* collector: a = errno, text = what to do */
	TRI_MSG_HANDSHAKE,	/* collector: kind, cycle */
	TRI_MSG_ANSWER,		/* client: kind, cycle, figures */
	TRI_MSG_REQUEST,	/* client: a = TRI_REQUEST_*, b = tri_gc() number, kind = which of
				 * TRI_HELLO_DEFAULT_* still holds */
	TRI_MSG_TRACE,		/* collector: text, a line for the client's standard error */
};

/* In the order of a cycle; see handshake.c. */
enum tri_handshake {
	TRI_HANDSHAKE_START = 1,	/* H1 and H2: every thread shades and allocates black, and then
					 * every stack and root has been put into buffers; ANSWER: b =
					 * allocated_bytes when allocation became black */
	TRI_HANDSHAKE_COLLECT,		/* H3: what threads shaded before is in the buffers */
	TRI_HANDSHAKE_STOP,		/* checkmark: all threads held, roots in buffers again */
	TRI_HANDSHAKE_RESUME,		/* checkmark: threads run again */
	TRI_HANDSHAKE_BARRIER_OFF,	/* H4: no thread uses a span of before, sweeping may begin */
};

enum {
	TRI_REQUEST_TRIGGER = 1,	/* allocated_bytes passed trigger_bytes */
	TRI_REQUEST_GC = 2,		/* tri_gc() */
	TRI_REQUEST_FREE = 4,		/* tri_free_os_memory() */
	TRI_REQUEST_SETTINGS = 8,	/* ctl->gc_percent or memory_limit_bytes changed */
};

enum {
	TRI_HELLO_TRACE_GC = 1,
	TRI_HELLO_TRACE_PACER = 2,
	TRI_HELLO_TRACE_SCAV = 4,
	TRI_HELLO_TRACE_LIMIT = 8,
	/* Neither the program nor its environment have chosen one: the collector may. */
	TRI_HELLO_DEFAULT_GC_PERCENT = 16,
	TRI_HELLO_DEFAULT_MEMORY_LIMIT = 32,
	TRI_HELLO_DEFAULT_LIMIT_POLICY = 64,
};

struct tri_msg {
	uint32_t type;
	uint32_t version;		/* TRI_PROTO_VERSION << 16 | TRI_LAYOUT_VERSION */
	uint32_t kind;
	uint32_t cycle;
	uint64_t a, b;
	/* ANSWER: since the previous one */
	uint64_t interrupted_max_ns;
	uint64_t interrupted_total_ns;
	uint32_t interruptions;
	uint32_t threads;
	uint64_t stack_bytes;
	uint64_t root_bytes;
	char text[TRI_PROTO_TEXT];
};

_Static_assert(sizeof(struct tri_msg) == 512, "protocol");

#define TRI_PROTO_ID (TRI_PROTO_VERSION << 16 | TRI_LAYOUT_VERSION)

#endif
