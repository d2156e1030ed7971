/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * limited.h - clients in a control group with a limit, that tend a heap of a given size
 *
 * Each client is forked into the group before it has a heap, so its private collector is in the
 * group too.  Clients report in shared memory.
 *
 * The kernel kills within tenths of a second.  A collector that gets no CPU for a whole second
 * can't keep a limit, which is not what these tests are about.  So all of them get CPUs before
 * other processes (come_first()).
 */
#ifndef TRICOLOR_SELFTESTS_LIMITED_H
#define TRICOLOR_SELFTESTS_LIMITED_H

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "churn.h"
#include "groups.h"
#include "process.h"

#define MIB (1ull << 20)
#define CLIENTS 3
#define NEIGHBOUR_STEPS 120000		/* some four seconds for all of it, on CPUs that are free */

/* Shared by a client and the test: what the client is told about pausing, and what it reports. */
enum pause { PAUSE_NONE, PAUSE_COLLECTED, PAUSE_AS_IT_IS, PAUSED };

struct report {
	_Atomic uint32_t ready, pause, go, awake;	/* pause: enum pause */
	_Atomic uint64_t steps, cycles, limit_bytes, heap_bytes, live_bytes, released_bytes;
	_Atomic uint64_t resident_bytes;
	pid_t pid;
	uint64_t live;			/* bytes that the client keeps alive */
	uint64_t errors;
	uint64_t cycles_asleep;		/* unforced() when its pause was over */
	struct tri_stats stats;
};

extern struct report *reports;
extern struct test_group group;
extern bool litters;			/* clients that are started from now on drop what they
					 * allocate */

/** Called by a client: write the state of its heap into @r. */
void publish(struct report *r);

/**
 * The number of cycles that nobody has asked for.  When an idle heap gives memory back, cycles are
 * asked for.
 */
uint64_t unforced(const struct report *r);

/**
 * Wait until the collector has started and has looked at the group: before that nothing holds a
 * heap back.
 */
bool limit_known(void);

/** Start a client with @live bytes to tend, which reports to @r. */
pid_t start_client(struct report *r, uint64_t live);

/** Whether @pid is alive.  A process that has ended can still be waited for. */
bool alive(pid_t pid);

/* Wait for a client until @condition holds, or it is dead. */
#define WAIT_FOR_CLIENT(r, condition, ns)					\
	({									\
		bool held_ = false;						\
										\
		(void)WAIT_FOR((held_ = (condition)) || !alive((r)->pid), 1000000, ns); \
		held_;								\
	})

/**
 * Wait until the client tends its heap, and until its collector has run @cycles more.  False: it is
 * dead, or too slow.
 */
bool ready(struct report *r);
bool collected(struct report *r, uint64_t cycles);

/** Have the client pause, and have it go on; false as above. */
bool pauses(struct report *r, enum pause how);
bool resumes(struct report *r);

/**
 * Whether both fall asleep before long, and stay so for longer than the period of anything that
 * looks once a second.  What is scavenged, and a cycle that is due, may wake them before.
 */
bool falls_asleep(pid_t a, pid_t b);

/**
 * A process that takes @bytes in @g, a fiftieth at a time, and holds them until it is killed.
 * @full says that it has all of them.  Each time it waits until client @r has made @steps more.
 * Objects do not move, so a heap that has filled all it may gives pages back only as fast as it
 * replaces what is in them, which depends on the CPUs.  If @steps is 0, it waits until the group
 * has room.  Collectors are to make room when use is half-way from nine tenths of the limit to the
 * limit (daemon/limits/pressure.c), and this process comes a little closer to the limit than that.
 */
pid_t start_neighbour(const struct test_group *g, uint64_t bytes, struct report *r,
		      uint64_t steps, _Atomic uint32_t *full);

/** Kill it. */
void end_neighbour(pid_t pid);

/** Remove a group. */
void group_end(const struct test_group *g, const char *what);

/** Skip so many @points of the plan, for the reason in group_why(). */
void skip_points(const char *what, unsigned int points);

/* A part of a test program, and the points that it reports. */
struct limited_part {
	const char *name;
	void (*run)(void);
	unsigned int points;
};

/** Run @parts, or @only one of them, and exit. */
void limited_run(const struct limited_part *parts, size_t n, const char *only);

#endif
