/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.h - the protocol between a client's agent and its collector
 *
 * SOCK_SEQPACKET on a unix socket, one struct tri_msg a packet.  (On the same socket a peer may
 * speak another protocol: core/proto/control.h.)  The agent says HELLO with the arena's descriptor
 * and those of its control groups; the collector says WELCOME or REFUSE.
 *
 * A WELCOME of kind TRI_WELCOME_MARKS means: I mark this heap.  The agent sends a REQUEST, which
 * may ask for nothing; until the collector has received it, it writes nothing into the arena.  From
 * then on the collector asks for handshakes, one at a time, and the agent answers each with ANSWER.
 * The agent may send REQUEST at any time.
 *
 * A WELCOME of kind TRI_WELCOME_POLICY means: I decide about limits, and the heap needs a marker,
 * which is a tricolord that the agent starts (its own, or the one whose descriptor came with
 * WELCOME).  This connection is the *link*, and belongs to the marker: the agent says HELLO to the
 * marker as to any collector, and hands it the link and the board with POLICY, which may come
 * before the first REQUEST and at any time after it.  What is said on the link is
 * daemon/clients/link.h.  A marker whose link has ended goes on alone, and says POLICY_GONE; the
 * agent looks for another policy then.
 *
 * An end of file means that the other side has ended.
 */
#ifndef TRI_CORE_CLIENT_H
#define TRI_CORE_CLIENT_H

#include <stddef.h>

#include "../heap/layout.h"

#define TRI_PROTO_VERSION 2u
#define TRI_PROTO_TEXT 440

enum tri_msg_type {
	/* Client: version, hello, client; descriptors as in client.fds. */
	TRI_MSG_HELLO = 1,
	/*
	 * Collector: version, welcome, kind = TRI_WELCOME_*, text = its release.  The board, and
	 * maybe the marker's program, come with it as descriptors.
	 */
	TRI_MSG_WELCOME,
	/* Collector: refuse, text = what to do. */
	TRI_MSG_REFUSE,
	/* Collector: kind = enum tri_handshake, cycle. */
	TRI_MSG_HANDSHAKE,
	/* Client: kind and cycle of the handshake, answer. */
	TRI_MSG_ANSWER,
	/* Client: request, kind = which of TRI_HELLO_DEFAULT_* still hold. */
	TRI_MSG_REQUEST,
	/* Collector: text, a line for the client's standard error. */
	TRI_MSG_TRACE,
	/* Client, to its marker: two descriptors, the link and the board. */
	TRI_MSG_POLICY,
	/* Marker: the link has ended; gone, text = why. */
	TRI_MSG_POLICY_GONE,
	/*
	 * Marker, between cycles: the client has moved to another session or control group, and
	 * should start another marker in this one's place.  text = what has changed.
	 */
	TRI_MSG_REPLACE,
};

enum {
	TRI_WELCOME_MARKS,
	TRI_WELCOME_POLICY,
};

/*
 * What a descriptor that comes with HELLO is: one of these kinds, plus TRI_FD_LEVEL times the
 * number of groups that its group lies above the client's own (0: the client's own).  Files of v1
 * and v2 that answer the same question have the same kind.
 */
enum tri_fd_kind {
	TRI_FD_NONE,
	TRI_FD_ARENA,
	TRI_FD_LIMIT,			/* memory.max, memory.limit_in_bytes */
	TRI_FD_HIGH,			/* memory.high */
	TRI_FD_USE,			/* memory.current, memory.usage_in_bytes */
	TRI_FD_STAT,			/* memory.stat */
	TRI_FD_EVENTS,			/* memory.events, memory.oom_control */
	TRI_FD_PRESSURE,		/* memory.pressure, to be written if the client may; v1:
					 * memory.pressure_level */
	TRI_FD_EVENT_CONTROL,		/* v1, to be written: cgroup.event_control */
	TRI_FD_CPU,			/* cpu.max, cpu.cfs_quota_us */
	TRI_FD_CPU_PERIOD,		/* v1: cpu.cfs_period_us */
	TRI_FD_KINDS,
	TRI_FD_LEVEL = 16,
};
#define TRI_FD_LEVELS 8
#define TRI_HELLO_FDS 64

/*
 * What the client says about itself, as seen in its own namespaces.  A collector shows this to
 * users and never relies on it: SO_PEERCRED tells which user the client is, and fstat() and
 * fstatfs() tell what a descriptor is.
 */
struct tri_hello {
	char release[32];		/* of the library */
	int32_t pid;
	uint32_t uid, gid;
	uint32_t cgroup_version;	/* of the groups' files; 0: none could be opened, and
					 * `why` says why */
	uint8_t fds[TRI_HELLO_FDS];	/* kind + level * TRI_FD_LEVEL, in the order of
					 * SCM_RIGHTS; 0 ends them */
	char comm[16];
	char host[64];			/* utsname.nodename: in a pod its name */
	char cgroup[128];		/* path, the end of it if it is longer */
	char why[96];
	int32_t tid;			/* of its agent, whose session and control groups a
					 * marker inherits */
};

/* In the order in which a cycle asks for them: see handshake.c. */
enum tri_handshake {
	TRI_HANDSHAKE_START = 1, /* H1 and H2: every thread shades and allocates black, and then
					 * every stack and root has been put into buffers */
	TRI_HANDSHAKE_COLLECT, /* H3: what threads shaded before is in the buffers */
	TRI_HANDSHAKE_STOP, /* checkmark: all threads held, roots in buffers again */
	TRI_HANDSHAKE_RESUME, /* checkmark: threads run again */
	TRI_HANDSHAKE_BARRIER_OFF, /* H4: no thread uses a span of before, sweeping may
					 * begin */
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
	/* The client can start a marker.  Without it the collector marks, or refuses. */
	TRI_HELLO_STARTS_MARKER = 128,
};

/*
 * What messages carry by their type.  Each struct is as large as the largest one, so that what an
 * initialiser does not name is 0 on the wire.
 */
struct tri_msg_hello {
	uint64_t flags;			/* TRI_HELLO_* */
	uint64_t marker_pid;		/* of a marker that speaks for its client, in its own
					 * namespace; else 0 */
	uint64_t reserved[5];
};

struct tri_msg_welcome {
	uint64_t pid;			/* the collector's, in its own namespace */
	uint64_t descriptors;		/* that come with it */
	uint64_t reserved[5];
};

struct tri_msg_refuse {
	uint64_t error;			/* errno */
	uint64_t reserved[6];
};

struct tri_msg_answer {
	uint64_t incomplete;		/* pointers that found no buffer: this cycle must free
					 * nothing */
	uint64_t allocated_bytes;	/* START: when allocation became black; BARRIER_OFF: when
					 * it no longer was */
	/* Since the previous answer. */
	uint64_t interrupted_max_ns;
	uint64_t interrupted_total_ns;
	uint32_t interruptions;
	uint32_t threads;
	uint64_t kept_bytes;		/* BARRIER_OFF: dead objects that live on for their
					 * finalizers, which the agent has marked */
	uint64_t root_bytes;
};

struct tri_msg_request {
	uint64_t wants;			/* TRI_REQUEST_* */
	uint32_t gc_number;		/* of the newest tri_gc(): see gc_done of struct tri_ctl */
	uint32_t free_number;		/* of the newest tri_free_os_memory(): see free_done */
	uint64_t reserved[5];
};

struct tri_msg_gone {
	uint64_t error;			/* errno, or 0 */
	uint64_t reserved[6];
};

struct tri_msg {
	uint32_t type;
	uint32_t version;		/* TRI_PROTO_VERSION << 16 | TRI_LAYOUT_VERSION */
	uint32_t kind;
	uint32_t cycle;
	union {
		struct tri_msg_hello hello;
		struct tri_msg_welcome welcome;
		struct tri_msg_refuse refuse;
		struct tri_msg_answer answer;
		struct tri_msg_request request;
		struct tri_msg_gone gone;
	};
	union {
		char text[TRI_PROTO_TEXT];
		struct tri_hello client;
	};
};

_Static_assert(sizeof(struct tri_hello) <= TRI_PROTO_TEXT, "protocol");
_Static_assert(sizeof(struct tri_msg) == 512, "protocol");
_Static_assert(sizeof(struct tri_msg_hello) == 56 && sizeof(struct tri_msg_welcome) == 56 &&
		       sizeof(struct tri_msg_refuse) == 56 && sizeof(struct tri_msg_answer) == 56 &&
		       sizeof(struct tri_msg_request) == 56 && sizeof(struct tri_msg_gone) == 56,
	       "protocol");
_Static_assert(offsetof(struct tri_msg, hello) == 16 && offsetof(struct tri_msg, text) == 72,
	       "protocol");
_Static_assert(offsetof(struct tri_msg_answer, interrupted_max_ns) == 16 &&
		       offsetof(struct tri_msg_answer, threads) == 36 &&
		       offsetof(struct tri_msg_answer, root_bytes) == 48,
	       "protocol");

#define TRI_PROTO_ID (TRI_PROTO_VERSION << 16 | TRI_LAYOUT_VERSION)

#endif
