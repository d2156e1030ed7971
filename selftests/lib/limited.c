// SPDX-License-Identifier: GPL-2.0-only
/* limited.c - see limited.h */
#include "limited.h"

struct report *reports;

struct test_group group;

static struct churn churn;

bool litters;

void publish(struct report *r)
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

uint64_t unforced(const struct report *r)
{
	return r->stats.cycles - r->stats.forced_cycles;
}

bool limit_known(void)
{
	struct tri_stats s = { .size = sizeof(s) };

	if (tri_gc() || tri_read_stats(&s))
		return false;
	return WAIT_FOR(!tri_read_stats(&s) && s.limit_bytes < INT64_MAX, 1000000, PATIENCE_NS);
}

/* Use the heap until the test says that the client may end.  Idle while it is told to pause. */
static int client(struct report *r)
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
			/* After this there is nothing to collect. */
			if (r->pause == PAUSE_COLLECTED && tri_gc())
				return 5;
			publish(r);
			r->pause = PAUSED;
			while (r->pause)
				syscall(SYS_futex, &r->pause, FUTEX_WAIT, PAUSED, NULL, NULL, 0);
			/* Record what happened during the pause. */
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

pid_t start_client(struct report *r, uint64_t live)
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

bool alive(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) && !info.si_pid;
}

bool ready(struct report *r)
{
	return WAIT_FOR_CLIENT(r, r->ready, 6 * PATIENCE_NS);
}

bool collected(struct report *r, uint64_t cycles)
{
	uint64_t from = r->cycles;

	return WAIT_FOR_CLIENT(r, r->cycles >= from + cycles, 6 * PATIENCE_NS);
}

bool pauses(struct report *r, enum pause how)
{
	r->pause = how;
	return WAIT_FOR_CLIENT(r, r->pause == PAUSED, PATIENCE_NS);
}

bool resumes(struct report *r)
{
	r->pause = PAUSE_NONE;
	syscall(SYS_futex, &r->pause, FUTEX_WAKE, 1, NULL, NULL, 0);
	return WAIT_FOR_CLIENT(r, r->awake, PATIENCE_NS);
}

bool falls_asleep(pid_t a, pid_t b)
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

pid_t start_neighbour(const struct test_group *g, uint64_t bytes, struct report *r,
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

void end_neighbour(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_status(pid);
}

void group_end(const struct test_group *g, const char *what)
{
	ksft_print_msg("%s: peak %llu MiB of the group, %llu kills\n", what,
		       (unsigned long long)(group_peak(g) >> 20),
		       (unsigned long long)group_kills(g));
	group_remove(g);
}

void skip_points(const char *what, unsigned int points)
{
	while (points--)
		ksft_test_result_skip("%s: %s\n", what, group_why());
}

void limited_run(const struct limited_part *parts, size_t n, const char *only)
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
