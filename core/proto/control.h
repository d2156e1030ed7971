/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.h - the protocol between tricolor(1) and a collector
 *
 * It is spoken on the socket that clients attach at, of type SOCK_SEQPACKET.  A private collector
 * listens at the abstract address "@tricolor/PID", with the PID of its client.  A connection's
 * first message says what the peer is: a HELLO of core/proto/client.h, or a request of this file.
 *
 *	peer       struct control_request
 *	collector  struct control_reply, and then reply.arenas times struct control_arena
 *
 * This may be repeated, one request after the other.  The first four words of both structs never
 * change their meaning.  Within a version, structs grow at their end only.  Each side says how
 * large its own structs are and uses the fields that both have; a field that the other side did not
 * send is 0.
 *
 * Requests are permitted to root, to the user that the collector runs as, and, for an arena, to the
 * user of its client.  LIST answers with the arenas that the peer may see and with the number of
 * those that it may not.
 */
#ifndef TRI_CORE_CONTROL_H
#define TRI_CORE_CONTROL_H

#include <stdint.h>

#define CONTROL_TYPE		0x6c727463u	/* "ctrl"; no enum tri_msg_type */
#define CONTROL_VERSION		1u
#define CONTROL_PRIVATE_PREFIX	"tricolor/"	/* after the zero byte of an abstract address */

/* A collector closes a connection whose peer has sent or read nothing for this time. */
#define CONTROL_SILENCE_S	10

/* It answers GC, FREE and MAKE_ROOM with ETIMEDOUT if no cycle has ended in this time. */
#define CONTROL_CYCLE_S		60

/* The most clients that ENDED answers with: a collector remembers no more. */
#define CONTROL_ENDED_MAX	16

enum control_op {
	CONTROL_LIST = 1,
	CONTROL_STAT,
	CONTROL_SET_GC_PERCENT,		/* value: per cent; -1: off */
	CONTROL_SET_MEMORY_LIMIT,	/* value: bytes; INT64_MAX: none */
	CONTROL_GC,			/* answered when a cycle that began after the request has
					 * ended */
	CONTROL_FREE,			/* as GC, and free memory has been given back to the
					 * system */
	/*
	 * value: bytes.  The heap's limit is set as by SET_MEMORY_LIMIT, and then the collector
	 * runs cycles and releases memory.  The answer comes when heap_bytes + free_bytes are no
	 * more than value.  It also comes when a cycle that began after the request, and the
	 * release after it, have left more: then the live objects need more.  Neither case is an
	 * error: the figures tell which one it is.
	 */
	CONTROL_MAKE_ROOM,
	CONTROL_ENDED,			/* clients that have ended lately: see struct
					 * control_arena.  pid: of one; 0: all */
};

struct control_request {
	uint32_t type;			/* CONTROL_TYPE */
	uint32_t version;		/* CONTROL_VERSION */
	uint32_t op;			/* enum control_op */
	uint32_t size;			/* of this struct */
	uint64_t id;			/* of the arena; 0: see pid.  Not for LIST */
	int64_t pid;			/* of its client, in the collector's namespace */
	int64_t value;
	uint64_t reserved;		/* 0 */
};

/* A private collector that is linked has a policy.  The policy may list the same heap. */
enum { CONTROL_IS_PRIVATE = 1, CONTROL_IS_LINKED = 2 };

struct control_reply {
	uint32_t type;			/* CONTROL_TYPE */
	uint32_t version;		/* the collector's */
	uint32_t error;			/* errno; 0: done */
	uint32_t size;			/* of this struct */
	uint32_t arenas;		/* packets that follow */
	uint32_t arena_size;		/* of each */
	uint32_t hidden;		/* LIST: arenas that the peer may not see */
	uint32_t flags;			/* CONTROL_IS_* */
	int64_t pid;			/* the collector's, in its own namespace */
	int64_t reserved;
	char release[32];		/* its version, such as 0.1.0 */
	char text[256];			/* what to do about the error, or "" */
};

/* What a heap's collector is doing.  The numbers are the protocol's: they never change. */
enum control_phase {
	CONTROL_PHASE_BARRIER = 0,	/* a cycle starts: threads turn the write barrier on */
	CONTROL_PHASE_MARK = 1,
	CONTROL_PHASE_TERMINATION = 2,	/* marking seems done: threads agree that it is */
	CONTROL_PHASE_SWEEP = 3,
	CONTROL_PHASE_IDLE = 4,		/* between cycles */
};

/* How a client ended, as far as that can be known.  The numbers never change. */
enum control_end {
	CONTROL_END_ALIVE = 0,	/* it has not ended; its connection has */
	CONTROL_END_EXIT = 1,		/* by exit() or _exit() */
	CONTROL_END_SIGNAL = 2,	/* by ended_signal */
	CONTROL_END_UNKNOWN = 3,	/* it has ended, and the kernel does not tell how */
	CONTROL_END_UNSEEN = 4,	/* the collector cannot see whether it has ended */
};

/*
 * Numbers are those of struct board_figures.  Times of CLOCK_MONOTONIC have become ages, as of the
 * reply.
 */
struct control_arena {
	uint64_t id;
	int64_t pid;
	uint32_t uid, gid;
	char comm[16];
	int64_t attached_s;		/* wall clock */
	uint64_t attached_age_ns;
	uint64_t published_age_ns;	/* how old the figures are */
	uint64_t arena_bytes;
	uint32_t phase;			/* enum control_phase */
	uint32_t threads;
	int64_t gc_percent;		/* -1: off */
	int64_t limit_bytes;		/* in force; INT64_MAX: none */
	uint64_t allocated_bytes;
	uint64_t live_bytes;
	uint64_t now_bytes;
	uint64_t goal_bytes;		/* UINT64_MAX: collection is off */
	uint64_t trigger_bytes;
	uint64_t heap_bytes;
	uint64_t peak_heap_bytes;
	uint64_t free_bytes;
	uint64_t released_bytes;
	uint64_t cycles, forced_cycles;
	uint64_t mark_cpu_ns;
	uint64_t assist_ns;
	uint64_t interrupted_max_ns;
	uint64_t interrupted_total_ns;
	uint64_t interruptions;
	uint64_t cycle_age_ns;		/* since the last cycle ended; UINT64_MAX: none yet */
	uint64_t cycle_wall_ns;
	uint64_t cycle_cpu_ns;
	uint64_t cycle_scan_bytes, cycle_objects, cycle_root_bytes;
	uint32_t pressure;		/* enum tri_pressure */
	uint32_t limit_policy;		/* enum tri_limit_policy */
	uint64_t limit_events;		/* times that the limit had to give way */
	uint64_t limited_gc_ns, limited_program_ns;	/* CPU time while there was a limit */
	uint64_t throttled, throttled_ns, throttled_max_ns;	/* allocations that waited for
								 * the kernel's limit */
	char cgroup[720];		/* of the client; "": not known */
	/*
	 * For ENDED, the figures are the last ones of the client, and these fields say what is
	 * known about its end.
	 */
	uint32_t ended_how;		/* enum control_end; else 0 */
	uint32_t ended_signal;
	uint64_t ended_kills;		/* of its cgroup by the kernel for memory, while it was
					 * served */
	/*
	 * What the client says about itself, as seen in its own namespaces.  It is shown to users,
	 * and no decision relies on it.
	 */
	int64_t client_pid;		/* 0: it does not say */
	char host[64];			/* utsname.nodename: in a pod its name */
	char client_cgroup[128];	/* path */
	uint32_t cgroup_seen;		/* enum control_seen */
	uint32_t cgroup_levels;		/* how many groups are seen, from the client's upwards */
	char limit_unseen[128];		/* why its memory limit can't be seen; "": it is, or
					 * there is none */
	int64_t marker_pid;		/* of another process that marks, as that says; 0: this
					 * collector does */
	int64_t policy_pid;		/* of who decides for it, with CONTROL_IS_LINKED; 0: it
					 * can't be seen */
	uint64_t freed_bytes;		/* of allocated_bytes, by the program itself */
};

/* How the collector knows the client's memory cgroup. */
enum control_seen {
	CONTROL_SEEN_NOT,
	CONTROL_SEEN_FOUND,		/* by its PID */
	CONTROL_SEEN_SENT,		/* by files that it has sent */
};

_Static_assert(sizeof(struct control_request) == 48, "control protocol");
_Static_assert(sizeof(struct control_reply) == 336, "control protocol");
_Static_assert(sizeof(struct control_arena) == 1424, "control protocol");

#endif
