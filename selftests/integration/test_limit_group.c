// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_limit_group.c - heaps in a control group with a limit, and the kernel's killer armed
 *
 *	churn		three quarters of the limit live, and all of it is replaced over and over;
 *			half, where CPUs are emulated: collecting costs twice as much there, and
 *			must not take more than the program
 *	moved		the limit is halved and doubled while the client is at work
 *	neighbour	somebody takes 30 % of the limit with malloc(), and gives it back
 *	cache		a file larger than the limit is read: no reason to collect
 *	idle		then neither client nor collector wakes up
 *	shared		three clients of one collector: parts that fit together, none starved
 *	private		two clients with a collector each: these see each other
 *
 * usage: test_limit_group [PART]
 */
#include <linux/magic.h>
#include <sys/vfs.h>

#include "lib/limited.h"

static bool begin(const char *what, uint64_t limit)
{
	if (group_make(&group, "memory", what) && group_limit(&group, limit))
		return true;
	return false;
}

static void test_churn(void)
{
	const uint64_t live = emulated() ? 128 * MIB : 192 * MIB;
	struct report *r = &reports[0];
	bool ran;
	int status;
	pid_t pid;

	if (!begin("churn", 256 * MIB)) {
		skip_points("churn", 2);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, live);
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
	group_end(&group, "churn");
}

static void test_moved(void)
{
	struct report *r = &reports[0];
	bool halved = true, doubled = true, moved = true;
	int status, round;
	pid_t pid;

	if (!begin("moved", 320 * MIB)) {
		skip_points("moved", 2);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "100", 1);
	pid = start_client(r, 16 * MIB);
	moved = ready(r) && collected(r, 3);
	for (round = 0; round < 5 && moved; round++) {
		/* v1 refuses while the group uses more, and tries to reclaim: that is heard of. */
		moved &= WAIT_FOR_CLIENT(r, group_limit(&group, 160 * MIB), PATIENCE_NS);
		halved &= WAIT_FOR_CLIENT(r, r->limit_bytes < 144 * MIB, PATIENCE_NS) &&
			  collected(r, 3);
		moved &= group_limit(&group, 320 * MIB);
		doubled &= WAIT_FOR_CLIENT(r, r->limit_bytes > 240 * MIB &&
					   r->limit_bytes < 288 * MIB, PATIENCE_NS);
	}
	if (!moved)
		ksft_print_msg("moved: %s\n", group_why());
	r->go = 1;
	status = wait_status(pid);
	ksft_test_result(!status && moved && !r->errors && !group_kills(&group),
			 "moved: nobody is killed (status %d)\n", status);
	ksft_test_result(halved && doubled, "moved: the heap's limit follows\n");
	group_end(&group, "moved");
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
		skip_points("neighbour", 3);
		return;
	}
	/* Without GOGC the heap fills all that it may have. */
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, 48 * MIB);
	filled = ready(r) && collected(r, 5);
	before = r->limit_bytes;
	released = r->released_bytes;
	neighbour = start_neighbour(&group, 192 * MIB * 3 / 10, r, NEIGHBOUR_STEPS, full);
	came = WAIT_FOR(*full || !alive(neighbour), 1000000, 9 * PATIENCE_NS) && *full;
	came &= WAIT_FOR(r->limit_bytes < before - 50 * MIB, 1000000, PATIENCE_NS) &&
		collected(r, 3);
	with = r->limit_bytes;
	released = r->released_bytes - released;
	end_neighbour(neighbour);
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
	group_end(&group, "neighbour");
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

static void test_cache(void)
{
	struct report *r = &reports[0];
	char path[] = "/var/tmp/tricolor-cache-XXXXXX";
	uint64_t cycles, limit, use, end_use;
	struct statfs fs;
	bool filled, asleep;
	int status, reader, fd = mkstemp(path);
	pid_t pid, child;

	if (fd < 0) {
		group_set_why("no folder for a file at %s: %s", path,
			 strerror(errno));
		skip_points("cache", 3);
		return;
	}
	unlink(path);
	if (!fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)) {
		group_set_why("/var/tmp is in memory");
		skip_points("cache", 3);
		close(fd);
		return;
	}
	if (!write_file(fd, 192 * MIB))
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	if (!begin("cache", 128 * MIB)) {
		skip_points("cache", 3);
		close(fd);
		return;
	}
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	pid = start_client(r, 48 * MIB);
	filled = ready(r) && collected(r, 3);
	use = group_usage(&group);
	filled &= pauses(r, PAUSE_COLLECTED);
	asleep = falls_asleep(pid, (pid_t)r->stats.collector_pid);
	cycles = unforced(r);
	limit = r->limit_bytes;
	child = fork();
	if (!child)
		_exit(!(group_enter(&group, getpid()) && read_file(fd, 192 * MIB)));
	reader = wait_status(child);
	end_use = group_usage(&group);
	ksft_test_result(filled && asleep, "idle: neither client nor collector wakes up\n");
	filled &= resumes(r);
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
	group_end(&group, "cache");
	close(fd);
}

#define SHARED_BYTES (208 * MIB)

/* A hog that lets its heap grow as far as it may, a steady client, and a small one. */
static void test_shared(void)
{
	const uint64_t live[CLIENTS] = { emulated() ? 56 * MIB : 80 * MIB, 30 * MIB, 4 * MIB };
	char *folder = temporary_folder(), socket_path[128], log_path[128];
	uint64_t sum = 0, small = 0, most = 0;
	bool ran = true, fits = true;
	int status = 0, i, round;
	pid_t pids[CLIENTS], daemon;

	if (!begin("shared", SHARED_BYTES)) {
		skip_points("shared", 3);
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
		if (sum < SHARED_BYTES * 95 / 100 && small >= live[2] + 3 * MIB)
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
	ksft_test_result(fits && most > SHARED_BYTES / 2,
			 "shared: parts fit together, and the small one has what it needs\n");
	ksft_test_result(reports[0].limit_bytes > reports[1].limit_bytes &&
			 reports[1].limit_bytes > reports[2].limit_bytes,
			 "shared: who lives with more has more\n");
	group_end(&group, "shared");
	unlink(socket_path);
	unlink(log_path);
	rmdir(folder);
}

/*
 * Each would think that what the other does not use is its own.  One sleeps, so that there is room:
 * by how much heaps overshoot that fill it, and have no budget together, is not to be relied on.
 */
static void test_private(void)
{
	struct report *idle = &reports[0], *busy = &reports[1];
	bool ran, fair;
	int status;

	if (!begin("private", 256 * MIB)) {
		skip_points("private", 2);
		return;
	}
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_GC_PERCENT", "100", 1);
	start_client(idle, 12 * MIB);
	ran = ready(idle) && pauses(idle, PAUSE_COLLECTED);
	start_client(busy, 12 * MIB);
	ran &= ready(busy) && collected(busy, 10);
	/* Its heap and half of what is free; alone it would have all of that. */
	fair = WAIT_FOR_CLIENT(busy, busy->limit_bytes < 256 * MIB * 7 / 10, PATIENCE_NS);
	ksft_print_msg("private: limit %llu MiB\n", (unsigned long long)(busy->limit_bytes >> 20));
	ran &= resumes(idle);
	idle->go = busy->go = 1;
	status = wait_status(idle->pid) | wait_status(busy->pid);
	ksft_test_result(!status && ran && !group_kills(&group),
			 "private: nobody is killed (status %d)\n", status);
	ksft_test_result(fair, "private: it leaves a part of what is free to the other\n");
	group_end(&group, "private");
}

int main(int argc, char **argv)
{
	static const struct limited_part parts[] = {
		{ "churn", test_churn, 2 },	    { "moved", test_moved, 2 },
		{ "neighbour", test_neighbour, 3 }, { "cache", test_cache, 3 },
		{ "shared", test_shared, 3 },	    { "private", test_private, 2 },
	};

	limited_run(parts, sizeof(parts) / sizeof(parts[0]), argc < 2 ? NULL : argv[1]);
}
