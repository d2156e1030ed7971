// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_limit_group.c - heaps in a control group with a limit, and the kernel's killer armed
 *
 *	churn		three quarters of the limit live, and all of it is replaced over and over
 *	moved		the limit is halved and doubled while the client is at work
 *	neighbour	somebody takes 30 % of the limit with malloc(), and gives it back
 *	cache		a file larger than the limit is read: no reason to collect
 *	idle		then neither client nor collector wakes up
 *	shared		three clients of one collector: parts that fit together, none starved
 *
 * Each client is forked into the group before it has a heap; so its private collector is in there
 * too.
 *
 * usage: test_limit_group [PART]
 */
#include <pthread.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "churn.h"
#include "groups.h"
#include "process.h"

#define MIB (1ull << 20)
#define CLIENTS 3

struct report {
	_Atomic uint32_t ready, pause, go, awake;
	_Atomic uint64_t steps, cycles, limit_bytes, heap_bytes, live_bytes, released_bytes;
	_Atomic uint64_t resident_bytes;
	uint64_t live;			/* what it is to have */
	uint64_t errors, cycles_asleep;
	struct tri_stats stats;
};

static struct report *reports;
static struct group group;
static struct churn churn;

static void publish(struct report *r)
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

/* Until a collector is there and has looked at the group, nothing holds a heap back. */
static bool limit_known(void)
{
	struct tri_stats s = { .size = sizeof(s) };

	return !tri_gc() && WAIT_FOR(!tri_read_stats(&s) && s.limit_bytes < INT64_MAX, 1000000,
				     PATIENCE_NS);
}

/* Tends its heap until it is told to go; idle while it is told to pause. */
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
			/* Then there is nothing to collect. */
			if (tri_gc())
				return 5;
			publish(r);
			r->pause = 2;
			while (r->pause)
				syscall(SYS_futex, &r->pause, FUTEX_WAIT, 2, NULL, NULL, 0);
			/* What has happened meanwhile. */
			publish(r);
			r->cycles_asleep = r->cycles;
			r->awake = 1;
		}
		for (i = 0; i < 1000; i++)
			if (!churn_step(&churn))
				return 6;
		publish(r);
	}
	r->errors = churn.errors;
	return 0;
}

static pid_t start_client(struct report *r, uint64_t live)
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
	return pid;
}

static bool ready(struct report *r)
{
	return WAIT_FOR(r->ready, 1000000, 6 * PATIENCE_NS);
}

static bool alive(pid_t pid)
{
	return !waitpid(pid, NULL, WNOHANG);
}

static bool collected(struct report *r, uint64_t cycles)
{
	uint64_t from = r->cycles;

	return WAIT_FOR(r->cycles >= from + cycles, 1000000, 6 * PATIENCE_NS);
}

static bool begin(const char *what, uint64_t limit)
{
	if (group_make(&group, "memory", what) && group_limit(&group, limit))
		return true;
	return false;
}

static void end(const char *what)
{
	ksft_print_msg("%s: peak %llu MiB of the group, %llu kills\n", what,
		       (unsigned long long)(group_peak(&group) >> 20),
		       (unsigned long long)group_kills(&group));
	group_remove(&group);
}

static void skip(const char *what, unsigned int points)
{
	while (points--)
		ksft_test_result_skip("%s: %s\n", what, group_why());
}

static void test_churn(void)
{
	struct report *r = &reports[0];
	bool ran;
	int status;
	pid_t pid;

	if (!begin("churn", 256 * MIB)) {
		skip("churn", 2);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, 192 * MIB);
	ran = ready(r) && collected(r, 40);
	r->go = 1;
	status = wait_status(pid);
	ksft_print_msg(
		"churn: %llu cycles, %llu MiB live, limit %llu MiB, gc %.1f s program %.1f s\n",
		(unsigned long long)r->cycles, (unsigned long long)(r->live_bytes >> 20),
		(unsigned long long)(r->limit_bytes >> 20), (double)r->stats.limited_gc_ns / 1e9,
		(double)r->stats.limited_program_ns / 1e9);
	ksft_test_result(!status && ran && !r->errors && !group_kills(&group),
			 "churn: nobody is killed (status %d)\n", status);
	ksft_test_result(r->limit_bytes > 192 * MIB && r->limit_bytes < 256 * MIB * 9 / 10,
			 "churn: nine tenths of the group's limit, less what else is in there\n");
	end("churn");
}

static void test_moved(void)
{
	struct report *r = &reports[0];
	bool halved = true, doubled = true, moved = true;
	int status, round;
	pid_t pid;

	if (!begin("moved", 160 * MIB)) {
		skip("moved", 2);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "100", 1);
	pid = start_client(r, 16 * MIB);
	moved = ready(r) && collected(r, 3);
	for (round = 0; round < 5 && moved; round++) {
		moved &= group_limit(&group, 80 * MIB);
		halved &= WAIT_FOR(r->limit_bytes < 72 * MIB, 1000000, PATIENCE_NS) &&
			  collected(r, 3);
		moved &= group_limit(&group, 160 * MIB);
		doubled &= WAIT_FOR(r->limit_bytes > 120 * MIB && r->limit_bytes < 144 * MIB,
				    1000000, PATIENCE_NS);
	}
	if (!moved)
		ksft_print_msg("moved: %s\n", group_why());
	r->go = 1;
	status = wait_status(pid);
	ksft_test_result(!status && moved && !r->errors && !group_kills(&group),
			 "moved: nobody is killed (status %d)\n", status);
	ksft_test_result(halved && doubled, "moved: the heap's limit follows\n");
	end("moved");
}

/*
 * Takes @bytes in some four seconds, and holds them until it is killed.  Objects do not move: a
 * heap that has filled all it may gives pages back as fast as it replaces what is in them.
 */
static pid_t start_neighbour(uint64_t bytes, _Atomic uint32_t *full)
{
	pid_t pid = fork();
	uint64_t i;
	char *p;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	p = group_enter(&group, getpid()) ? malloc(bytes) : NULL;
	if (!p)
		_exit(1);
	for (i = 0; i < bytes; i += 4096) {
		p[i] = 1;
		if (i % (bytes / 50) < 4096)
			pause_ns(80000000);
	}
	*full = 1;
	for (;;)
		pause();
}

static void test_neighbour(void)
{
	struct report *r = &reports[0];
	_Atomic uint32_t *full = shared_memory(sizeof(*full));
	uint64_t before, with, after, released;
	bool filled, came, went;
	int status;
	pid_t pid, neighbour;

	if (!begin("neighbour", 192 * MIB)) {
		skip("neighbour", 3);
		return;
	}
	/* Without GOGC the heap fills all that it may have. */
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, 48 * MIB);
	filled = ready(r) && collected(r, 5);
	before = r->limit_bytes;
	released = r->released_bytes;
	neighbour = start_neighbour(192 * MIB * 3 / 10, full);
	came = WAIT_FOR(*full || !alive(neighbour), 1000000, 6 * PATIENCE_NS) && *full;
	came &= WAIT_FOR(r->limit_bytes < before - 50 * MIB, 1000000, PATIENCE_NS) &&
		collected(r, 3);
	with = r->limit_bytes;
	released = r->released_bytes - released;
	kill(neighbour, SIGKILL);
	waitpid(neighbour, NULL, 0);
	went = WAIT_FOR(r->limit_bytes > before - 8 * MIB, 1000000, PATIENCE_NS);
	after = r->limit_bytes;
	r->go = 1;
	status = wait_status(pid);
	ksft_print_msg(
		"neighbour: limit %llu, with it %llu, after it %llu MiB; %llu MiB released\n",
		(unsigned long long)(before >> 20), (unsigned long long)(with >> 20),
		(unsigned long long)(after >> 20), (unsigned long long)(released >> 20));
	ksft_test_result(!status && filled && !r->errors && !group_kills(&group),
			 "neighbour: nobody is killed (status %d)\n", status);
	ksft_test_result(came && released > 20 * MIB, "neighbour: the heap makes room\n");
	ksft_test_result(went, "neighbour: and has it again\n");
	end("neighbour");
}

static char block[1 << 20];

/* On the disk, and not in memory. */
static bool write_file(int fd, uint64_t bytes)
{
	uint64_t at;

	for (at = 0; at < bytes; at += sizeof(block))
		if (write(fd, block, sizeof(block)) != sizeof(block))
			return false;
	return !fsync(fd) && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static bool read_file(int fd, uint64_t bytes)
{
	uint64_t at;

	for (at = 0; at < bytes; at += sizeof(block))
		if (pread(fd, block, sizeof(block), (off_t)at) != sizeof(block))
			return false;
	return true;
}

/* Whether both stay asleep for a second, some time soon. */
static bool falls_asleep(pid_t a, pid_t b)
{
	int try;

	for (try = 0; try < 30; try++) {
		uint64_t before = proc_switches(a) + proc_switches(b);

		pause_ns(1000000000);
		if (proc_switches(a) + proc_switches(b) == before)
			return true;
	}
	ksft_print_msg("idle: %llu and %llu wake-ups\n", (unsigned long long)proc_switches(a),
		       (unsigned long long)proc_switches(b));
	return false;
}

static void test_cache(void)
{
	struct report *r = &reports[0];
	char path[] = "/var/tmp/tricolor-cache-XXXXXX";
	uint64_t cycles, limit, use, end_use;
	bool filled, asleep;
	int status, reader, fd = mkstemp(path);
	pid_t pid, child;

	if (fd < 0) {
		snprintf(group_reason, sizeof(group_reason), "no folder for a file at %s: %s", path,
			 strerror(errno));
		skip("cache", 3);
		return;
	}
	unlink(path);
	if (!write_file(fd, 192 * MIB))
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	if (!begin("cache", 128 * MIB)) {
		skip("cache", 3);
		close(fd);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, 48 * MIB);
	filled = ready(r) && collected(r, 3);
	use = group_usage(&group);
	r->pause = 1;
	filled &= WAIT_FOR(r->pause == 2, 1000000, PATIENCE_NS);
	asleep = falls_asleep(pid, (pid_t)r->stats.collector_pid);
	cycles = r->cycles;
	limit = r->limit_bytes;
	child = fork();
	if (!child)
		_exit(!(group_enter(&group, getpid()) && read_file(fd, 192 * MIB)));
	reader = wait_status(child);
	end_use = group_usage(&group);
	ksft_test_result(filled && asleep, "idle: neither client nor collector wakes up\n");
	r->pause = 0;
	syscall(SYS_futex, &r->pause, FUTEX_WAKE, 1, NULL, NULL, 0);
	filled &= WAIT_FOR(r->awake, 1000000, PATIENCE_NS);
	ksft_print_msg(
		"cache: use %llu, then %llu MiB; cycles %llu, then %llu; limit %llu, then %llu MiB\n",
		(unsigned long long)(use >> 20), (unsigned long long)(end_use >> 20),
		(unsigned long long)cycles, (unsigned long long)r->cycles_asleep,
		(unsigned long long)(limit >> 20), (unsigned long long)(r->limit_bytes >> 20));
	ksft_test_result(filled && !reader && end_use > 115 * MIB && r->cycles_asleep == cycles,
			 "cache: a file that is read collects nothing\n");
	r->go = 1;
	status = wait_status(pid);
	ksft_test_result(!status && !r->errors && !group_kills(&group),
			 "cache: nobody is killed (status %d)\n", status);
	end("cache");
	close(fd);
}

/* A hog that lets its heap grow as far as it may, a steady client, and a small one. */
static void test_shared(void)
{
	static const uint64_t live[CLIENTS] = { 80 * MIB, 30 * MIB, 4 * MIB };
	char *folder = temporary_folder(), socket_path[128], log_path[128];
	uint64_t sum = 0, small = 0, most = 0;
	bool ran = true, fits = true;
	int status = 0, i, round;
	pid_t pids[CLIENTS], daemon;

	if (!begin("shared", 192 * MIB)) {
		skip("shared", 3);
		return;
	}
	snprintf(socket_path, sizeof(socket_path), "%s/sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	daemon = start_daemon(socket_path, log_path);
	setenv("TRICOLOR_SOCKET", socket_path, 1);
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	for (i = 0; i < CLIENTS; i++)
		pids[i] = start_client(&reports[i], live[i]);
	for (i = 0; i < CLIENTS; i++)
		ran &= ready(&reports[i]);
	for (round = 0; round < 30 && ran; round++) {
		sum = 0;
		for (i = 0; i < CLIENTS; i++) {
			ran &= collected(&reports[i], 1);
			sum += reports[i].limit_bytes;
		}
		/* Read one after the other, while parts move: the sum may be off by a move. */
		most = sum > most ? sum : most;
		small = reports[2].limit_bytes;
		if (sum < 192 * MIB * 95 / 100 && small >= reports[2].live_bytes + 3 * MIB)
			continue;
		fits = false;
		ksft_print_msg(
			"shared: parts of %llu MiB in all; the small one has %llu, and %llu live\n",
			(unsigned long long)(sum >> 20), (unsigned long long)(small >> 20),
			(unsigned long long)(reports[2].live_bytes >> 20));
	}
	for (i = 0; i < CLIENTS; i++)
		reports[i].go = 1;
	for (i = 0; i < CLIENTS; i++) {
		status |= wait_status(pids[i]);
		ran &= !reports[i].errors;
		ksft_print_msg(
			"shared: %llu MiB live, limit %llu, %llu cycles, gc %.2f s program %.2f s\n",
			(unsigned long long)(reports[i].live_bytes >> 20),
			(unsigned long long)(reports[i].limit_bytes >> 20),
			(unsigned long long)reports[i].cycles,
			(double)reports[i].stats.limited_gc_ns / 1e9,
			(double)reports[i].stats.limited_program_ns / 1e9);
	}
	kill(daemon, SIGTERM);
	wait_status(daemon);
	ksft_test_result(!status && ran && !group_kills(&group),
			 "shared: nobody is killed (status %d)\n", status);
	ksft_test_result(fits && most > 192 * MIB / 2,
			 "shared: parts fit together, and the small one has what it needs\n");
	ksft_test_result(reports[0].limit_bytes > reports[1].limit_bytes &&
			 reports[1].limit_bytes > reports[2].limit_bytes,
			 "shared: who lives with more has more\n");
	end("shared");
	unlink(socket_path);
	unlink(log_path);
	rmdir(folder);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
		unsigned int points;
	} parts[] = {
		{ "churn", test_churn, 2 },	    { "moved", test_moved, 2 },
		{ "neighbour", test_neighbour, 3 }, { "cache", test_cache, 3 },
		{ "shared", test_shared, 3 },
	};
	unsigned int points = 0;
	size_t i;

	ksft_print_header();
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		points += argc < 2 || !strcmp(argv[1], parts[i].name) ? parts[i].points : 0;
	ksft_set_plan(points);
	reports = shared_memory(sizeof(*reports) * CLIENTS);
	setenv("TRICOLOR_SOCKET", "off", 1);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (argc < 2 || !strcmp(argv[1], parts[i].name))
			parts[i].run();
	ksft_finished();
}
