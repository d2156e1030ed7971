/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * tricolor.h - arenas of /dev/tricolor, and their collectors
 *
 * Two kinds of descriptor:
 *
 *  owner      open("/dev/tricolor"), then TRICOLOR_IOC_CREATE: one arena.  Its mappings (shared,
 *             not inherited by fork) allocate memory where they are touched, charged to the memory
 *             cgroup of who touches it.  The arena lives as long as the descriptor or a mapping
 *             made from it; when the last of them is gone its memory is freed, whoever else looks
 *             at it.
 *  collector  made by TRICOLOR_IOC_COLLECTOR on an owner's descriptor, to be passed to a collector
 *             with SCM_RIGHTS: there is no other way to an arena than from its owner.  Its mappings
 *             show the same memory and never allocate any: touching a page that has none is SIGBUS,
 *             or EFAULT in a system call.  pread() reads holes as zeros; lseek() with SEEK_DATA and
 *             SEEK_HOLE finds them.
 *
 * poll(): an owner's descriptor has POLLIN while there is a collector's descriptor.  A collector's
 * has POLLPRI when a tunable was set since its last TRICOLOR_IOC_TUNABLES, and POLLHUP once the
 * owner is gone.
 *
 * Structures.  Each begins with its `size` in bytes, set by the caller to the sizeof it was
 * compiled with.  They only ever grow at the end.  A module that is newer takes missing fields as
 * 0; one that is older accepts a longer structure if what it does not know is 0.  Reserved fields
 * must be 0.  Fields marked (out) are written by the module, as far as they fit into `size`.
 *
 * Errors, of all calls:
 *
 *	EINVAL		`size` is less than the first version's; a flag is unknown, or a reserved
 *			field not 0; an offset, a length or a number is out of bounds or not aligned
 *	E2BIG		`size` is more than the module knows, and the rest is not 0
 *	EFAULT		a pointer leads nowhere
 *	ENOTTY		no such call on this kind of descriptor
 *	ENXIO		no arena yet: TRICOLOR_IOC_CREATE comes first
 *	EBUSY		there is an arena already (TRICOLOR_IOC_CREATE)
 *	EFBIG		the arena would be larger than the module's limit for one, or than
 *			RLIMIT_FSIZE
 *	EDQUOT		the user, or the owner of a user namespace that the caller is in, would have
 *			more arenas, or bytes of them, than the module's limits allow without
 *			CAP_SYS_RESOURCE
 *	EOPNOTSUPP	not on this kernel, or not with this arena's pages; TRICOLOR_IOC_QUERY tells
 *	ENODATA		dirty pages are collected, but nobody said TRICOLOR_DIRTY_START
 *	ENOMEM		no memory
 *	ESHUTDOWN	the owner is gone, and its memory with it
 *	EINTR		a fatal signal; `done` says how far it came
 */
#ifndef _UAPI_LINUX_TRICOLOR_H
#define _UAPI_LINUX_TRICOLOR_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Raised when something changes that old users would trip over.
 *
 *	2	no /dev/tricolorctl, no LIST (0x10) and ATTACH (0x11), no flag for owners that admit
 *		no strangers (bit 1 of tricolor_create.flags)
 *	3	no lazy freeing, no REUSE (0x05) and POPULATE (0x06); tricolor_info ends with
 *		reclaimed_bytes, and lazy_bytes before that is gone
 *
 * Numbers of calls and bits that are gone are not used again.
 */
#define TRICOLOR_VERSION	3

/* The size is in the structure, and not in the number of the call.  Both: owner and collector. */
#define TRICOLOR_IOC(nr)	_IO(0xc7, nr)

#define TRICOLOR_IOC_QUERY	TRICOLOR_IOC(0x00)	/* any: struct tricolor_query */
#define TRICOLOR_IOC_CREATE	TRICOLOR_IOC(0x01)	/* owner: struct tricolor_create */
#define TRICOLOR_IOC_COLLECTOR	TRICOLOR_IOC(0x02)	/* owner: struct tricolor_collector */
#define TRICOLOR_IOC_INFO	TRICOLOR_IOC(0x03)	/* both: struct tricolor_info */
#define TRICOLOR_IOC_RECLAIM	TRICOLOR_IOC(0x04)	/* both: struct tricolor_ranges */
#define TRICOLOR_IOC_DIRTY	TRICOLOR_IOC(0x07)	/* both: struct tricolor_dirty */
#define TRICOLOR_IOC_PUBLISH	TRICOLOR_IOC(0x08)	/* collector: struct tricolor_pacer */
#define TRICOLOR_IOC_TUNABLES	TRICOLOR_IOC(0x09)	/* collector: struct tricolor_tunables */

/* Bits of tricolor_query.features: what this module on this kernel can do. */
#define TRICOLOR_FEATURE_RECLAIM	(1ull << 0)	/* TRICOLOR_IOC_RECLAIM */
#define TRICOLOR_FEATURE_DIRTY		(1ull << 3)	/* TRICOLOR_IOC_DIRTY */
#define TRICOLOR_FEATURE_HUGE		(1ull << 4)	/* TRICOLOR_CREATE_HUGE */
#define TRICOLOR_FEATURE_SYSFS		(1ull << 5)	/* /sys/class/tricolor */
#define TRICOLOR_FEATURE_NETLINK	(1ull << 6)	/* the generic netlink family "tricolor" */
#define TRICOLOR_FEATURE_SAFEPOINT	(1ull << 7)	/* signal-free safepoints: not yet */

/*
 * The only call that needs no arena.  Limits are the module's parameters; 0: none.
 */
struct tricolor_query {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 version;			/* (out) TRICOLOR_VERSION of the module */
	__u32 reserved;
	__u64 features;			/* (out) TRICOLOR_FEATURE_* */
	__u64 max_arena_bytes;		/* (out) */
	__u64 max_user_bytes;		/* (out) */
	__u32 max_user_arenas;		/* (out) */
	__u32 max_ranges;		/* (out) most ranges in one call */
};

/* 2 MiB pages, whatever the system's settings for shared memory; `bytes` is a multiple of 2 MiB. */
#define TRICOLOR_CREATE_HUGE		(1u << 0)

struct tricolor_create {
	__u32 size;
	__u32 flags;			/* TRICOLOR_CREATE_* */
	__u64 bytes;			/* of the arena, for good; a multiple of the page size */
	__u32 id;			/* (out) its number: N of /sys/class/tricolor/arenaN */
	__u32 reserved;
};

struct tricolor_collector {
	__u32 size;
	__u32 flags;			/* 0 */
	__s32 fd;			/* (out) a new collector's descriptor, close-on-exec */
	__u32 reserved;
};

/* Bits of tricolor_info.state. */
#define TRICOLOR_STATE_ORPHAN		(1u << 0)	/* the owner is gone, with all memory */
#define TRICOLOR_STATE_DIRTY		(1u << 1)	/* dirty pages are tracked */

/*
 * Bytes are a snapshot.  Swapped-out pages are not resident.
 */
struct tricolor_info {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 id;			/* (out) */
	__u32 create_flags;		/* (out) TRICOLOR_CREATE_* */
	__u32 state;			/* (out) TRICOLOR_STATE_* */
	__u32 collectors;		/* (out) descriptors of that kind */
	__s32 owner_pid;		/* (out) who made it; 0: not in the caller's namespace */
	__u32 owner_uid;		/* (out) in the caller's user namespace */
	__u64 bytes;			/* (out) size */
	__u64 resident_bytes;		/* (out) */
	__u64 reclaimed_bytes;		/* (out) freed by TRICOLOR_IOC_RECLAIM, in total */
};

/* One range of an arena. */
struct tricolor_range {
	__u64 offset;			/* both: multiples of 4 KiB */
	__u64 length;			/* 0: nothing to do */
	__s32 result;			/* (out) 0, or a negative errno */
	__u32 flags;			/* (out) 0 */
};

/*
 * A vector of ranges, done in order.  The call succeeds if it could look at all of them; each says
 * for itself how it went.  Whatever it returns, `done` of them have been done.
 *
 * RECLAIM frees the memory of the ranges: they are holes when the call returns.  The pages stay
 * mapped, and are given new memory when they are touched.
 *
 * With TRICOLOR_CREATE_HUGE, ranges that are no multiples of 2 MiB cut large pages into small ones.
 */
struct tricolor_ranges {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 nr;			/* number of ranges, at most tricolor_query.max_ranges */
	__u32 done;			/* (out) */
	__u64 ranges;			/* pointer to struct tricolor_range[nr] */
	__u64 bytes;			/* (out) bytes that were freed, about */
};

/* Forget what was written so far, and track the range from now on. */
#define TRICOLOR_DIRTY_START	(1u << 0)
/* No more tracking in the whole arena; offset, length and bitmap are 0. */
#define TRICOLOR_DIRTY_STOP	(1u << 1)

/*
 * Which pages were written, by any mapping, since they were last asked about; asking starts anew.
 * Without write faults: the processor's dirty bits are read and cleared.  Pages that are swapped
 * out, or that no process has mapped, count as written, and so do those that were and have been
 * mapped again since.  Missed are writes by a mapper that has dropped the page since (exit,
 * MADV_DONTNEED) if another still maps it, by devices and other kernel code through pages pinned
 * before, and those before a page was swapped out if it came back by way of a mapping that root
 * made of /proc/PID/map_files.  Not with TRICOLOR_CREATE_HUGE.
 *
 * While they are tracked, a fault that reads maps one page, and not some around it as well.
 */
struct tricolor_dirty {
	__u32 size;
	__u32 flags;			/* 0: collect; or TRICOLOR_DIRTY_START or _STOP */
	__u64 offset;
	__u64 length;			/* bytes; both multiples of 4 KiB.  (out) collect that fails
					 * with other than EINVAL and EOPNOTSUPP: bytes for which
					 * the bitmap was written; the rest is told the next time */
	__u64 bitmap;			/* collect: pointer to __u64[(pages + 63) / 64]; bit 0 of
					 * the first is the page at `offset` */
	__u64 dirty_pages;		/* (out) bits that are set */
};

/* Values of tricolor_pacer.phase. */
enum tricolor_phase {
	TRICOLOR_PHASE_OFF,		/* between cycles */
	TRICOLOR_PHASE_BARRIER,		/* barriers go on, stacks are scanned */
	TRICOLOR_PHASE_MARK,
	TRICOLOR_PHASE_TERMINATION,
	TRICOLOR_PHASE_SWEEP,
};

/* Bits of tricolor_pacer.events: what made the collector publish, and the tracepoint for it. */
#define TRICOLOR_EVENT_PHASE	(1u << 0)	/* a phase begins: tricolor_phase */
#define TRICOLOR_EVENT_PACER	(1u << 1)	/* new numbers: tricolor_pacer */
#define TRICOLOR_EVENT_LIMIT	(1u << 2)	/* limit or budget changed: tricolor_limit */
#define TRICOLOR_EVENT_LIMITER	(1u << 3)	/* the limiter went on or off: tricolor_limiter */

/*
 * What the collector has to tell, for sysfs and tracepoints.  The module believes and changes
 * nothing of it.
 */
struct tricolor_pacer {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 events;			/* TRICOLOR_EVENT_* */
	__u32 phase;			/* enum tricolor_phase */
	__u64 goal_bytes;
	__u64 trigger_bytes;
	__u64 live_bytes;		/* marked by the last cycle */
	__s64 memory_limit_bytes;	/* in force; S64_MAX: none */
	__u64 budget_bytes;		/* this arena's part of it; U64_MAX: none */
	__u64 cycles;			/* completed */
	__u64 mark_cpu_ns;		/* of all cycles */
	__u64 assist_bytes;		/* scanned by mutators, all cycles */
	__u64 interrupted_max_ns;	/* longest interruption of a thread, last cycle */
	__s32 gc_percent;		/* in force; -1: off */
	__u32 gc_cpu_ppm;		/* of the CPU time that there was, millionths */
	__u32 limiter;			/* 1: the CPU limiter holds assists back */
	__u32 reserved;
};

/* Bits of tricolor_tunables.set. */
#define TRICOLOR_TUNABLE_GC_PERCENT	(1u << 0)
#define TRICOLOR_TUNABLE_MEMORY_LIMIT	(1u << 1)

/*
 * What was asked for through sysfs or netlink.  It is for the collector to follow it, and to
 * publish what it has made of it.
 */
struct tricolor_tunables {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 set;			/* (out) TRICOLOR_TUNABLE_*: those that anybody ever set */
	__s32 gc_percent;		/* (out) -1: off */
	__s64 memory_limit_bytes;	/* (out) S64_MAX: none */
	__u64 sequence;			/* (out) number of times that something was set */
	__u32 changed;			/* (out) TRICOLOR_TUNABLE_*: those set since the last call
					 * on this descriptor */
	__u32 reserved;
};

#endif
