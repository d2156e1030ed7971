/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * limited.h - clients in a control group with a limit, that tend a heap of a given size
 *
 * Each is forked into the group before it has a heap; so its private collector is in there too.
 * They say what they see in shared memory.
 *
 * The kernel kills within tenths of a second.  A collector that gets no CPU for a whole one can't
 * keep a limit, and is not what these tests are about: all of them come first.
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

/* What a client is told about pausing, and says about it. */
enum pause { PAUSE_NONE, PAUSE_COLLECTED, PAUSE_AS_IT_IS, PAUSED };

struct report {
	_Atomic uint32_t ready, pause, go, awake;	/* pause: enum pause */
	_Atomic uint64_t steps, cycles, limit_bytes, heap_bytes, live_bytes, released_bytes;
	_Atomic uint64_t resident_bytes;
	pid_t pid;
	uint64_t live;			/* what it is to have */
	uint64_t errors;
	uint64_t cycles_asleep;		/* unforced() when its pause was over */
	struct tri_stats stats;
};

static struct report *reports;
static struct group group;
static struct churn churn;
static bool litters;			/* clients to come drop what they allocate */

static inline void publish(struct report *r)
{
	struct tri_stats s = { .size = sizeof(s) };

	if (tri_read_stats(&s))
		_exit(9);
	r->stats = s;
	r->steps = churn.steps;
	r->cycles = s.cycles;
	r->limit_bytes = s.limit_bytes;
	r->heap_bytes = s.heap_bytes;
	r->live_bytes = s.live_bytes;
	r->released_bytes = s.released_bytes;
}

/* Cycles that nobody has asked for: what an idle heap gives back is asked for. */
static inline uint64_t unforced(const struct report *r)
{
	return r->stats.cycles - r->stats.forced_cycles;
}

/* Until a collector is there and has looked at the group, nothing holds a heap back. */
static inline bool limit_known(void)
{
	struct tri_stats s = { .size = sizeof(s) };

	if (tri_gc() || tri_read_stats(&s))
		return false;
	return WAIT_FOR(!tri_read_stats(&s) && s.limit_bytes < INT64_MAX, 1000000, PATIENCE_NS);
}

/* Tends its heap until it is told to go; idle while it is told to pause. */
static inline int client(struct report *r)
{
	uint64_t i;

	if (!group_enter(&group, getpid()) || !limit_known())
		return 8;
	if (!churn_start(&churn, r->live, r->live))
		return 7;
	publish(r);
	r->ready = 1;
	while (!r->go) {
		if (r->pause) {
			/* Then there is nothing to collect. */
			if (r->pause == PAUSE_COLLECTED && tri_gc())
				return 5;
			publish(r);
			r->pause = PAUSED;
			while (r->pause)
				syscall(SYS_futex, &r->pause, FUTEX_WAIT, PAUSED, NULL, NULL, 0);
			/* What has happened meanwhile. */
			publish(r);
			r->cycles_asleep = unforced(r);
			r->awake = 1;
		}
		for (i = 0; i < 1000; i++)
			if (litters ? !tri_alloc(1024) : !churn_step(&churn)) {
				/* Why it is refused, where that is not what a test is about. */
				ksft_print_msg("client %d: %s\n", getpid(), tri_error());
				return 6;
			}
		publish(r);
	}
	r->errors = churn.errors;
	return 0;
}

static inline pid_t start_client(struct report *r, uint64_t live)
{
	pid_t pid;

	memset(r, 0, sizeof(*r));
	r->live = live;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(client(r));
	}
	r->pid = pid;
	return pid;
}

/* Whether @pid is alive; who is not is still there to be waited for. */
static inline bool alive(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) && !info.si_pid;
}

/* Wait for a client until @condition holds, or it is dead. */
#define WAIT_FOR_CLIENT(r, condition, ns)					\
	({									\
		bool held_ = false;						\
										\
		(void)WAIT_FOR((held_ = (condition)) || !alive((r)->pid), 1000000, ns); \
		held_;								\
	})

static inline bool ready(struct report *r)
{
	return WAIT_FOR_CLIENT(r, r->ready, 6 * PATIENCE_NS);
}

static inline bool collected(struct report *r, uint64_t cycles)
{
	uint64_t from = r->cycles;

	return WAIT_FOR_CLIENT(r, r->cycles >= from + cycles, 6 * PATIENCE_NS);
}

static inline bool pauses(struct report *r, enum pause how)
{
	r->pause = how;
	return WAIT_FOR_CLIENT(r, r->pause == PAUSED, PATIENCE_NS);
}

static inline bool resumes(struct report *r)
{
	r->pause = PAUSE_NONE;
	syscall(SYS_futex, &r->pause, FUTEX_WAKE, 1, NULL, NULL, 0);
	return WAIT_FOR_CLIENT(r, r->awake, PATIENCE_NS);
}

/*
 * Whether both stay asleep, some time soon: for longer than anything that looks at something once a second could.  What
 * is scavenged, and a cycle that is due, may wake them up before.
 */
static inline bool falls_asleep(pid_t a, pid_t b)
{
	int try;

	for (try = 0; try < 12; try++) {
		uint64_t before = proc_switches(a) + proc_switches(b);

		pause_ns(2500000000);
		if (proc_switches(a) + proc_switches(b) == before)
			return true;
	}
	ksft_print_msg("idle: %llu and %llu wake-ups\n", (unsigned long long)proc_switches(a),
		       (unsigned long long)proc_switches(b));
	return false;
}

/*
 * Takes @bytes in @g, a fiftieth at a time, and holds them until it is killed; @full says that it has
 * them.  Each time it waits until client @r has made @steps more: objects do not move, so a heap that
 * has filled all it may gives pages back as fast as it replaces what is in them, and that is as fast
 * as CPUs are.  With 0 it waits until the group has room: collectors are to make it when use is half-way from
 * nine tenths of the limit to the limit (daemon/limits/tick.c), and it comes a little closer than that.
 */
static inline pid_t start_neighbour(const struct group *g, uint64_t bytes, struct report *r,
				    uint64_t steps, _Atomic uint32_t *full)
{
	pid_t pid = fork();
	uint64_t i, from, room = group_limit_bytes(g) / 100 * 96;
	char *p;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	p = group_enter(g, getpid()) ? malloc(bytes) : NULL;
	if (!p)
		_exit(1);
	for (i = 0; i < bytes; i += 4096) {
		p[i] = 1;
		if (i % (bytes / 50) >= 4096)
			continue;
		from = r->steps;
		if (!(steps ? WAIT_FOR(r->steps >= from + steps, 1000000, PATIENCE_NS) :
			      WAIT_FOR(group_usage(g) < room, 1000000, PATIENCE_NS)))
			_exit(2);
	}
	*full = 1;
	for (;;)
		pause_ns(1000000000);
}

static inline void end_neighbour(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_status(pid);
}

/* A group's end. */
static inline void group_end(const struct group *g, const char *what)
{
	ksft_print_msg("%s: peak %llu MiB of the group, %llu kills\n", what,
		       (unsigned long long)(group_peak(g) >> 20),
		       (unsigned long long)group_kills(g));
	group_remove(g);
}

static inline void skip_points(const char *what, unsigned int points)
{
	while (points--)
		ksft_test_result_skip("%s: %s\n", what, group_why());
}

/* A part of a test program, and the points that it reports. */
struct part {
	const char *name;
	void (*run)(void);
	unsigned int points;
};

/* Run @parts, or @only one of them, and exit. */
static inline void run_parts(const struct part *parts, size_t n, const char *only)
{
	unsigned int points = 0;
	size_t i;

	ksft_print_header();
	for (i = 0; i < n; i++)
		points += !only || !strcmp(only, parts[i].name) ? parts[i].points : 0;
	ksft_set_plan(points);
	come_first();
	reports = shared_memory(sizeof(*reports) * CLIENTS);
	setenv("TRICOLOR_SOCKET", "off", 1);
	for (i = 0; i < n; i++)
		if (!only || !strcmp(only, parts[i].name))
			parts[i].run();
	ksft_finished();
}

#endif
