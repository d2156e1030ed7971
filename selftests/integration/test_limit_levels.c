// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_limit_levels.c - groups in groups, memory.high, and what happens while nobody is at work
 *
 *	inner		the tighter limit is the inner one
 *	outer		the outer limit is larger, but another group in there takes what it allows
 *	high		v2: memory.high is halved and doubled while the client is at work
 *	asleep		a neighbour grows while clients and collectors are asleep
 *	reclaim		v2: memory.reclaim is no reason to collect, and does no harm
 *	refuse		fail-fast: ENOMEM before the kernel kills
 *
 * usage: test_limit_levels [PART]
 */
#include "lib/limited.h"

static bool begin(const char *what, uint64_t limit)
{
	return group_make(&group, "memory", what) && group_limit(&group, limit);
}

/* The client's group is one in @outer, then. */
static bool begin_inner(struct test_group *outer, const char *what, uint64_t limit, uint64_t inner)
{
	if (!begin(what, limit))
		return false;
	*outer = group;
	return group_make_in(&group, outer, "inner") && group_limit(&group, inner);
}

static void test_inner(void)
{
	struct report *r = &reports[0];
	struct test_group outer;
	bool ran;
	int status;
	pid_t pid;

	if (!begin_inner(&outer, "inner", 256 * MIB, 128 * MIB)) {
		skip_points("inner", 2);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, 32 * MIB);
	ran = ready(r) && collected(r, 5);
	r->go = 1;
	status = wait_status(pid);
	ksft_test_result(!status && ran && !r->errors && !group_kills(&group),
			 "inner: nobody is killed (status %d)\n", status);
	ksft_test_result(r->limit_bytes > 96 * MIB && r->limit_bytes < 128 * MIB * 9 / 10,
			 "inner: its limit is the one that holds: %llu MiB\n",
			 (unsigned long long)(r->limit_bytes >> 20));
	group_end(&group, "inner");
	group_remove(&outer);
}

static void test_outer(void)
{
	struct report *r = &reports[0];
	_Atomic uint32_t *full = shared_memory(sizeof(*full));
	struct test_group outer, other;
	uint64_t before, with;
	bool filled, came, went;
	pid_t pid, neighbour;
	int status;

	if (!begin_inner(&outer, "outer", 256 * MIB, 192 * MIB) ||
	    !group_make_in(&other, &outer, "other")) {
		skip_points("outer", 3);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, 48 * MIB);
	filled = ready(r) && collected(r, 5);
	before = r->limit_bytes;
	/* 256 * 9 / 10 - 112 is less than what the inner limit would allow. */
	neighbour = start_neighbour(&other, 112 * MIB, r, NEIGHBOUR_STEPS, full);
	came = WAIT_FOR(*full || !alive(neighbour), 1000000, 6 * PATIENCE_NS) && *full;
	came &= WAIT_FOR_CLIENT(r, r->limit_bytes < 120 * MIB, PATIENCE_NS) && collected(r, 3);
	with = r->limit_bytes;
	end_neighbour(neighbour);
	went = WAIT_FOR_CLIENT(r, r->limit_bytes > 160 * MIB, PATIENCE_NS);
	r->go = 1;
	status = wait_status(pid);
	ksft_print_msg("outer: limit %llu, with the other group's use %llu, after it %llu MiB\n",
		       (unsigned long long)(before >> 20), (unsigned long long)(with >> 20),
		       (unsigned long long)(r->limit_bytes >> 20));
	ksft_test_result(!status && filled && !r->errors && !group_kills(&group) &&
				 !group_kills(&other) && !group_kills(&outer),
			 "outer: nobody is killed (status %d)\n", status);
	ksft_test_result(came, "outer: the heap has what the other group leaves\n");
	ksft_test_result(went, "outer: and the inner limit counts again\n");
	group_end(&group, "outer");
	group_remove(&other);
	group_remove(&outer);
}

static void test_high(void)
{
	struct report *r = &reports[0];
	bool halved = true, doubled = true, moved = true;
	int status, round;
	pid_t pid;

	if (!group_make(&group, "memory", "high")) {
		skip_points("high", 2);
		return;
	}
	if (group.version != 2) {
		group_set_why("v1 has no memory.high");
		skip_points("high", 2);
		group_remove(&group);
		return;
	}
	group_high(&group, 160 * MIB);
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, 24 * MIB);
	moved = ready(r) && collected(r, 3);
	for (round = 0; round < 5 && moved; round++) {
		moved &= group_high(&group, 80 * MIB);
		/* It is throttled until it has let go of what is too much. */
		halved &= WAIT_FOR_CLIENT(r, r->limit_bytes < 72 * MIB, PATIENCE_NS) &&
			  collected(r, 3) &&
			  WAIT_FOR_CLIENT(r, group_usage(&group) < 80 * MIB, 6 * PATIENCE_NS);
		moved &= group_high(&group, 160 * MIB);
		doubled &= WAIT_FOR_CLIENT(r, r->limit_bytes > 120 * MIB &&
					   r->limit_bytes < 144 * MIB, PATIENCE_NS);
	}
	r->go = 1;
	status = wait_status(pid);
	ksft_print_msg("high: %llu times above it\n",
		       (unsigned long long)group_number(&group, "memory.events", "high"));
	ksft_test_result(!status && moved && !r->errors, "high: the client goes on (status %d)\n",
			 status);
	ksft_test_result(halved && doubled, "high: heap and limit follow\n");
	group_end(&group, "high");
}

static void test_asleep(void)
{
	struct report *r = &reports[0];
	_Atomic uint32_t *full = shared_memory(sizeof(*full));
	bool filled, asleep, came, woke;
	uint64_t before, after;
	pid_t pid, neighbour;
	int status;

	if (!begin("asleep", 192 * MIB)) {
		skip_points("asleep", 4);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	/*
	 * It stops in the midst of its work, with all that is dead in its heap.  What lives is not
	 * all over it: objects do not move.
	 */
	litters = true;
	pid = start_client(r, 48 * MIB);
	litters = false;
	filled = ready(r) && collected(r, 5) && pauses(r, PAUSE_AS_IT_IS);
	before = group_usage(&group);
	asleep = falls_asleep(pid, (pid_t)r->stats.collector_pid);
	ksft_test_result(filled && asleep, "asleep: client and collector are\n");
	neighbour = start_neighbour(&group, 80 * MIB, r, 0, full);
	came = WAIT_FOR(*full || !alive(neighbour), 1000000, 6 * PATIENCE_NS) && *full;
	after = group_usage(&group);
	ksft_print_msg("asleep: use %llu, with another 80 MiB %llu MiB\n",
		       (unsigned long long)(before >> 20), (unsigned long long)(after >> 20));
	ksft_test_result(came && before > 112 * MIB && !group_kills(&group),
			 "asleep: the heap makes room\n");
	woke = resumes(r) && collected(r, 5);
	ksft_test_result(woke && r->limit_bytes < 100 * MIB,
			 "asleep: and after it has woken up it has what is left: %llu MiB\n",
			 (unsigned long long)(r->limit_bytes >> 20));
	r->go = 1;
	status = wait_status(pid);
	ksft_test_result(!status && !r->errors && !group_kills(&group),
			 "asleep: nobody is killed (status %d)\n", status);
	end_neighbour(neighbour);
	group_end(&group, "asleep");
}

static void test_reclaim(void)
{
	struct report *r = &reports[0];
	bool filled, asked, worked;
	uint64_t cycles;
	int status, round;
	pid_t pid;

	if (!begin("reclaim", 128 * MIB)) {
		skip_points("reclaim", 2);
		return;
	}
	if (group.version != 2 || !group_write(group.dir, "memory.reclaim", "4096")) {
		/* An empty group has nothing to give, which is an error too. */
		if (group.version != 2 || errno != EAGAIN) {
			group_set_why("there is no memory.reclaim");
			skip_points("reclaim", 2);
			group_remove(&group);
			return;
		}
	}
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, 32 * MIB);
	filled = ready(r) && collected(r, 3) && pauses(r, PAUSE_COLLECTED);
	asked = falls_asleep(pid, (pid_t)r->stats.collector_pid);
	cycles = unforced(r);
	/* The kernel takes what it can, swap if there is any. */
	for (round = 0; round < 10; round++)
		group_write(group.dir, "memory.reclaim", "16M");
	asked &= resumes(r);
	ksft_test_result(filled && asked && r->cycles_asleep == cycles,
			 "reclaim: collects nothing\n");
	worked = true;
	for (round = 0; round < 10 && worked; round++) {
		group_write(group.dir, "memory.reclaim", "8M");
		worked = collected(r, 1);
	}
	r->go = 1;
	status = wait_status(pid);
	ksft_test_result(!status && worked && !r->errors && !group_kills(&group),
			 "reclaim: the client goes on (status %d)\n", status);
	group_end(&group, "reclaim");
}

/* Keeps all that it allocates, until there is no more; then lets go of half. */
static int client_refused(struct report *r)
{
	uint64_t kept = 0, most = 65536, i;
	void **list;

	if (!group_enter(&group, getpid()) || !limit_known())
		return 8;
	list = tri_alloc(sizeof(*list) * most);
	for (; list && kept < most; kept++) {
		void *more = tri_alloc(4096);

		if (!more)
			break;
		tri_store(&list[kept], more);
	}
	r->live = kept * 4096;
	r->errors = !list || kept == most || errno != ENOMEM;
	for (i = 0; i < kept; i += 2)
		tri_store(&list[i], NULL);
	/* It is told by the next cycle that there is room again. */
	if (!WAIT_FOR(tri_alloc(4096) != NULL, 1000000, PATIENCE_NS))
		r->errors += 2;
	publish(r);
	tri_keep_alive(list);
	return 0;
}

static void test_refuse(void)
{
	struct report *r = &reports[0];
	int status;
	pid_t pid;

	if (!begin("refuse", 128 * MIB)) {
		skip_points("refuse", 2);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "100", 1);
	setenv("TRICOLOR_LIMIT_POLICY", "fail-fast", 1);
	memset(r, 0, sizeof(*r));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(client_refused(r));
	}
	status = wait_status(pid);
	unsetenv("TRICOLOR_LIMIT_POLICY");
	ksft_print_msg("refuse: %llu MiB kept, %llu refused, limit %llu MiB, errors %llu\n",
		       (unsigned long long)(r->live >> 20), (unsigned long long)r->stats.refused,
		       (unsigned long long)(r->stats.limit_bytes >> 20),
		       (unsigned long long)r->errors);
	ksft_test_result(!status && !group_kills(&group), "refuse: nobody is killed (status %d)\n",
			 status);
	ksft_test_result(!r->errors && r->stats.refused && r->live > 64 * MIB,
			 "refuse: ENOMEM, and memory again once there is some\n");
	group_end(&group, "refuse");
}

int main(int argc, char **argv)
{
	static const struct limited_part parts[] = {
		{ "inner", test_inner, 2 },   { "outer", test_outer, 3 },
		{ "high", test_high, 2 },     { "asleep", test_asleep, 4 },
		{ "reclaim", test_reclaim, 2 }, { "refuse", test_refuse, 2 },
	};

	limited_run(parts, sizeof(parts) / sizeof(parts[0]), argc < 2 ? NULL : argv[1]);
}
