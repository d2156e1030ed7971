/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proto.h - messages between a client's agent and its collector
 *
 * SOCK_SEQPACKET on a unix socket, one struct tri_msg a packet.  (On the same socket a peer may speak
 * another protocol: core/proto/control.h.)  The agent says HELLO with the arena's descriptor and those of
 * its control groups; the collector says WELCOME or REFUSE.
 *
 * A WELCOME of kind TRI_WELCOME_MARKS means: I mark this heap.  The agent sends a REQUEST, empty or not:
 * until it has that the collector writes nothing into the arena.  From then on the collector asks for
 * handshakes one at a time and the agent answers each with ANSWER; the agent may send REQUEST at any time.
 *
 * A WELCOME of kind TRI_WELCOME_POLICY means: I decide about limits, and the heap needs a marker, which is
 * a tricolord that the agent starts (its own, or the one whose descriptor came with WELCOME).  This
 * connection is the *link*, and belongs to the marker: the agent says HELLO to the marker as to any
 * collector, and hands it the link and the board with POLICY, which may come before the first REQUEST and
 * at any time after it.  What is said on the link is daemon/clients/link.h.  A marker whose link has ended goes on
 * alone, and says POLICY_GONE; the agent looks for another policy then.
 *
 * An end of file is the death of the other side.
 */
#ifndef TRI_CORE_PROTO_H
#define TRI_CORE_PROTO_H

#include "../heap/layout.h"

#define TRI_PROTO_VERSION 2u
#define TRI_PROTO_TEXT 440

enum tri_msg_type {
	TRI_MSG_HELLO = 1,	/* client: version, a = flags, hello; descriptors as in hello.fds */
	TRI_MSG_WELCOME,	/* collector: version, text = its version, a = pid, kind = TRI_WELCOME_*,
				 * b = number of descriptors: the board, and maybe the marker's program */
	TRI_MSG_REFUSE,		/* collector: a = errno, text = what to do */
	TRI_MSG_HANDSHAKE,	/* collector: kind, cycle */
	TRI_MSG_ANSWER,		/* client: kind, cycle, figures */
	TRI_MSG_REQUEST,	/* client: a = TRI_REQUEST_*, b = tri_gc() number, kind = which of
				 * TRI_HELLO_DEFAULT_* still holds */
	TRI_MSG_TRACE,		/* collector: text, a line for the client's standard error */
	TRI_MSG_POLICY,		/* client to its marker: two descriptors, the link and the board */
	TRI_MSG_POLICY_GONE,	/* marker: the link has ended; a = errno or 0, text = why */
	TRI_MSG_REPLACE,	/* marker, between cycles: start another one in my place, the client has moved to
				 * another session or control group; text = what has changed */
};

enum {
	TRI_WELCOME_MARKS,
	TRI_WELCOME_POLICY,
};

/*
 * What a descriptor that comes with HELLO is: one of these, and from TRI_FD_LEVEL on how many groups up from
 * the client's own (0: its own).  In v1 and v2 the files that answer the same question have the same kind.
 */
enum tri_fd_kind {
	TRI_FD_NONE,
	TRI_FD_ARENA,
	TRI_FD_LIMIT,			/* memory.max, memory.limit_in_bytes */
	TRI_FD_HIGH,			/* memory.high */
	TRI_FD_USE,			/* memory.current, memory.usage_in_bytes */
	TRI_FD_STAT,			/* memory.stat */
	TRI_FD_EVENTS,			/* memory.events, memory.oom_control */
	TRI_FD_PRESSURE,		/* memory.pressure, to be written if the client may; v1: memory.pressure_level */
	TRI_FD_EVENT_CONTROL,		/* v1, to be written: cgroup.event_control */
	TRI_FD_CPU,			/* cpu.max, cpu.cfs_quota_us */
	TRI_FD_CPU_PERIOD,		/* v1: cpu.cfs_period_us */
	TRI_FD_KINDS,
	TRI_FD_LEVEL = 16,
};
#define TRI_FD_LEVELS 8
#define TRI_HELLO_FDS 64

/*
 * What the client knows of itself, in its own namespaces.  To be shown, and believed by nobody: which user it
 * is SO_PEERCRED says, and what a descriptor is fstat() and fstatfs() do.
 */
struct tri_hello {
	char release[32];		/* of the library */
	int32_t pid;
	uint32_t uid, gid;
	uint32_t cgroup_version;	/* of the groups' files; 0: none could be opened, and `why` says why */
	uint8_t fds[TRI_HELLO_FDS];	/* kind + level * TRI_FD_LEVEL, in the order of SCM_RIGHTS; 0 ends them */
	char comm[16];
	char host[64];			/* utsname.nodename: in a pod its name */
	char cgroup[128];		/* path, the end of it if it is longer */
	char why[96];
	int32_t tid;			/* of its agent, whose session and control groups a marker inherits */
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
	/* The client can start a marker.  Without it the collector marks, or refuses. */
	TRI_HELLO_STARTS_MARKER = 128,
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
	union {
		char text[TRI_PROTO_TEXT];
		struct tri_hello hello;
	};
};

_Static_assert(sizeof(struct tri_hello) <= TRI_PROTO_TEXT, "protocol");
_Static_assert(sizeof(struct tri_msg) == 512, "protocol");

#define TRI_PROTO_ID (TRI_PROTO_VERSION << 16 | TRI_LAYOUT_VERSION)

#endif
