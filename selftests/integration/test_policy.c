// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_policy.c - a shared collector that decides, and markers that its clients start
 *
 * Both are killed at any moment, and clients must lose nothing by it, neither their heaps nor their
 * share of the memory: a marker that goes alone comes back to the next policy, and who has lost its
 * marker gets another one.  What either does with an enemy at the other end is test_link.c's.
 */
#include <sys/prctl.h>

#include "core/proto/control.h"
#include "lib/served.h"

#define TOTAL_BYTES (96ll << 20)
#define KILLS 5

static char tool[512], socket_path[128], log_path[128];
static void *kept;			/* the list of the client that marks itself: a root */

/* A number of the policy's about a client's heap; LLONG_MIN: it knows of none. */
static long long figure(const struct served *c, const char *name)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", c->pid);
	return json_number(run(tool, "stat", "--json", "--socket", socket_path, pid, NULL)->out,
			   name);
}

static bool is_known(const struct served *c)
{
	return figure(c, "cycles") != LLONG_MIN;
}

static bool becomes_known(const struct served *c)
{
	return WAIT_FOR(is_known(c), 10000000, PATIENCE_NS);
}

/* The policy has its marker run a cycle. */
static bool orders_cycle(const struct served *c)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", c->pid);
	return !run(tool, "gc", "--socket", socket_path, pid, NULL)->status;
}

static bool has_name(pid_t pid, const char *name)
{
	char path[64], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	read_all(fd, text, sizeof(text));
	close(fd);
	text[strcspn(text, "\n")] = 0;
	return !strcmp(text, name);
}

/* As user @uid. */
static pid_t start_as(uid_t uid, const char *marker, const char *total)
{
	char *argv[] = { (char *)daemon_path(), (char *)"--config",
			 (char *)"/dev/null",	(char *)"--socket",
			 socket_path,		(char *)"--marker",
			 (char *)marker,	(char *)"--total-memory-limit",
			 (char *)total,		NULL };
	pid_t pid;
	int fd;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
		if (fd < 0 || dup2(fd, 2) < 0 ||
		    (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))))
			_exit(126);
		execv(argv[0], argv);
		_exit(127);
	}
	if (!WAIT_FOR(can_connect(socket_path), 1000000, PATIENCE_NS))
		ksft_exit_fail_msg("%s does not listen at %s\n", argv[0], socket_path);
	return pid;
}

static pid_t start(const char *marker, const char *total)
{
	return start_as(0, marker, total);
}

static void end(pid_t *policy, int sig)
{
	kill(*policy, sig);
	wait_status(*policy);
	*policy = 0;
}

/* What the marker of @c says if it is asked at its own address. */
static bool is_own_word(const struct served *c, pid_t marker, pid_t policy)
{
	char pid[16], address[32];
	const char *text;

	snprintf(pid, sizeof(pid), "%d", c->pid);
	snprintf(address, sizeof(address), "@tricolor/%d", c->pid);
	text = run(tool, "stat", "--json", "--socket", address, pid, NULL)->out;
	return json_number(text, "marker_pid") == marker &&
	       json_number(text, "policy_pid") == policy;
}

static void test_place(void)
{
	pid_t policy = start("own", "auto"), marker;
	struct served c = served_start(socket_path, 0, NULL);
	struct served_answer a = served_tell(&c, 's');

	marker = (pid_t)a.collector_pid;
	ksft_test_result(marker && marker != policy && getsid(marker) == getsid(c.pid),
			 "the heap is marked by a process in the client's session\n");
	ksft_test_result(becomes_known(&c) && has_name(marker, "tricolor-marker"),
			 "which is known as a policy's\n");
	ksft_test_result(figure(&c, "marker_pid") == marker && figure(&c, "policy_pid") == policy,
			 "and the policy says which one\n");
	ksft_test_result(is_own_word(&c, marker, policy), "as the marker does itself\n");
	end(&policy, SIGTERM);
	ksft_test_result(WAIT_FOR(has_name(marker, "tricolord"), 1000000, PATIENCE_NS) &&
				 !served_tell(&c, 'g').error &&
				 served_tell(&c, 's').collector_pid == (uint64_t)marker,
			 "and goes on alone when the policy ends\n");
	served_end(&c);
	policy = start("shared", "auto");
	c = served_start(socket_path, 0, NULL);
	ksft_test_result(served_tell(&c, 's').collector_pid == (uint64_t)policy,
			 "marker = shared: it is marked by the shared collector\n");
	served_end(&c);
	end(&policy, SIGTERM);
}

static void test_control(void)
{
	pid_t policy = start("own", "auto");
	struct served c = served_start(socket_path, 0, NULL);
	long long cycles;
	char pid[16];
	bool ok;

	snprintf(pid, sizeof(pid), "%d", c.pid);
	ok = becomes_known(&c) && figure(&c, "live_bytes") > 0;
	ksft_test_result(ok, "stat: figures are there\n");
	ok = run(tool, "set", "--socket", socket_path, pid, "gc-percent", "77", NULL)->status ==
		     0 &&
	     figure(&c, "gc_percent") == 77;
	ksft_test_result(ok, "set: gc-percent\n");
	ok = run(tool, "set", "--socket", socket_path, pid, "memory-limit", "123MiB", NULL)
			     ->status == 0 &&
	     figure(&c, "memory_limit_bytes") == 123ll << 20;
	ksft_test_result(ok, "set: memory-limit\n");
	cycles = figure(&c, "cycles");
	ok = orders_cycle(&c) && figure(&c, "cycles") > cycles;
	ksft_test_result(ok, "gc: answered when the cycle has ended\n");
	ksft_test_result(run(tool, "free", "--socket", socket_path, pid, NULL)->status == 0,
			 "free\n");
	served_end(&c);
	ksft_test_result(WAIT_FOR(!is_known(&c), 10000000, PATIENCE_NS), "an end is noticed\n");
	end(&policy, SIGTERM);
}

static bool shares_fit(const struct served *c, int n)
{
	long long sum = 0, share;
	int i;

	for (i = 0; i < n; i++) {
		share = figure(&c[i], "memory_limit_bytes");
		if (share <= 0 || share > TOTAL_BYTES)
			return false;
		sum += share;
	}
	return sum <= TOTAL_BYTES;
}

static void test_budget(void)
{
	pid_t policy = start("own", "96MiB");
	struct served c[2] = { served_start(socket_path, 0, NULL),
			       served_start(socket_path, 0, NULL) };
	bool ok = becomes_known(&c[0]) && becomes_known(&c[1]);
	long long before;
	int i;

	ok = ok && WAIT_FOR(served_tell(&c[0], 'a').cycles && served_tell(&c[1], 'a').cycles &&
				    shares_fit(c, 2),
			    10000000, PATIENCE_NS);
	ksft_test_result(ok, "two markers have shares of one budget\n");
	before = figure(&c[0], "memory_limit_bytes");
	for (i = 0; i < KILLS && ok; i++) {
		end(&policy, SIGKILL);
		ok = !served_tell(&c[0], 'g').error && !served_tell(&c[1], 'a').error;
		policy = start("own", "96MiB");
		ok = ok && becomes_known(&c[0]) && becomes_known(&c[1]) &&
		     WAIT_FOR(served_tell(&c[0], 'a').cycles && served_tell(&c[1], 'a').cycles &&
				      shares_fit(c, 2),
			      10000000, PATIENCE_NS);
	}
	ksft_print_msg("the first had %lld KiB, and has %lld\n", before / 1024,
		       figure(&c[0], "memory_limit_bytes") / 1024);
	ksft_test_result(ok, "and have them again after each death of the policy\n");
	served_end(&c[0]);
	served_end(&c[1]);
	end(&policy, SIGTERM);
}

/*
 * A client that has cycles without end, looks at what it holds after each, and says who marks it.
 */
static void storm(int report)
{
	struct tri_stats s = { .size = sizeof(s) };
	uint64_t i, n;
	void **cell;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < 5000; i++) {
		cell = tri_alloc(64);
		if (!cell)
			_exit(2);
		cell[1] = (void *)(i * 2 + 1);
		tri_store(cell, kept);
		tri_store(&kept, cell);
	}
	for (;;) {
		pid_t collector;

		for (i = 0; i < 2000; i++)
			if (!tri_alloc(200))
				_exit(2);
		tri_gc();
		for (cell = kept, n = 5000; cell && n; cell = cell[0])
			if (cell[1] != (void *)(--n * 2 + 1))
				_exit(3);
		if (cell || n)
			_exit(3);
		tri_read_stats(&s);
		collector = (pid_t)s.collector_pid;
		if (write(report, &collector, sizeof(collector)) != sizeof(collector))
			_exit(0);
	}
}

/*
 * Wait until it has been through @n rounds more.  Who marked in the last one; -1: it has ended, or
 * hangs.
 */
static pid_t rounds(int report, int n)
{
	struct pollfd p = { .fd = report, .events = POLLIN };
	pid_t collector = -1;

	while (n--)
		if (poll(&p, 1, PATIENCE_NS / 1000000) != 1 ||
		    read(report, &collector, sizeof(collector)) != sizeof(collector))
			return -1;
	return collector;
}

static uint64_t kills_seed;

/* In the midst of cycles: after a time that is drawn. */
static void some_time(void)
{
	pause_ns(draw_below(&kills_seed, 8000000));
}

/* The marker of @c, and wait until there is another one, which the policy knows. */
static bool kill_marker(int report, const struct served *c)
{
	pid_t marker = rounds(report, 1), next = 0;
	bool known = false;

	some_time();
	if (marker > 0 && !kill(marker, SIGKILL) &&
	    WAIT_FOR((next = rounds(report, 1)) < 0 || (next && next != marker), 0,
		     PATIENCE_NS) &&
	    next > 0)
		known = becomes_known(c);
	if (!known)
		ksft_print_msg("marker %d was killed: %s; then %d marks; it is %sknown\n", marker,
			       marker > 0 ? strerror(errno) : "none", next, known ? "" : "not ");
	return known;
}

static void test_kills(void)
{
	pid_t policy = start("own", "auto"), pid, first;
	struct served c = { .in = -1 };
	int report[2], i, fds, threads;
	bool ok;

	kills_seed = test_seed();
	if (pipe2(report, O_CLOEXEC))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	pid = fork();
	if (!pid) {
		setenv("TRICOLOR_SOCKET", socket_path, 1);
		storm(report[1]);
	}
	close(report[1]);
	c.pid = pid;
	first = rounds(report[0], 3);
	ok = first > 0 && becomes_known(&c);
	for (i = 0; i < KILLS && ok; i++) {
		some_time();
		end(&policy, SIGKILL);
		ok = rounds(report[0], 3) == first;
		policy = start("own", "auto");
		ok = ok && becomes_known(&c) && rounds(report[0], 3) == first;
	}
	ksft_test_result(
		ok, "policies that are killed in the midst of cycles: the same marker goes on\n");
	/* It keeps two descriptors of each of the last that have left (ended_clients.c). */
	fds = proc_entries(policy, "fd") + 2 * CONTROL_ENDED_MAX;
	threads = proc_entries(policy, "task");
	for (i = 0; i < CONTROL_ENDED_MAX + KILLS && ok; i++)
		ok = kill_marker(report[0], &c);
	/* The last one has taken its place with the policy when it does what that is asked. */
	ok = ok && WAIT_FOR(orders_cycle(&c), 10000000, PATIENCE_NS);
	ksft_test_result(ok,
			 "markers that are killed in the midst of cycles: another one goes on\n");
	ok = WAIT_FOR(proc_entries(policy, "fd") <= fds && proc_entries(policy, "task") <= threads,
		      10000000, PATIENCE_NS);
	ksft_test_result(
		ok,
		"and nothing of them is left: %d descriptors, at most %d, and %d threads, at most %d\n",
		proc_entries(policy, "fd"), fds, proc_entries(policy, "task"), threads);
	kill(pid, SIGKILL);
	wait_status(pid);
	close(report[0]);
	end(&policy, SIGTERM);
}

/* ------------------------------------------------------------------------------------------ */
/* A program that is lent                                                                     */
/* ------------------------------------------------------------------------------------------ */

#define NO_DAEMON "TRICOLOR_DAEMON=/nonexistent/tricolord"
#define OF_POLICY 4711			/* users */
#define OF_CLIENT 4712

/* What a policy lends, if that has been built. */
static bool lends(void)
{
	char path[600];

	snprintf(path, sizeof(path), "%s", daemon_path());
	strcpy(strrchr(path, '/'), "/../libexec/tricolor/tricolor-marker");
	return !access(path, X_OK);
}

static bool runs_lent(pid_t pid)
{
	char path[64], exe[512];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = 0;
	return strstr(exe, "/tricolor-marker");
}

/* Who has no tricolord is lent one, as often as it needs one. */
static void test_lent(void)
{
	pid_t policy = start("own", "auto"), first, next = 0;
	struct served c = served_start(socket_path, 0, NO_DAEMON);

	first = (pid_t)served_tell(&c, 's').collector_pid;
	ksft_test_result(runs_lent(first) && becomes_known(&c),
			 "a client without a tricolord is lent one\n");
	ksft_test_result(
		!kill(first, SIGKILL) &&
			WAIT_FOR(!served_tell(&c, 'g').error &&
					 (next = (pid_t)served_tell(&c, 's').collector_pid) &&
					 next != first,
				 0, PATIENCE_NS) &&
			runs_lent(next) && becomes_known(&c),
		"and another one when that is killed\n");
	ksft_test_result(!served_end(&c), "its client ends in order\n");
	end(&policy, SIGTERM);
}

/*
 * It would run with the client's rights: that of a stranger is not started, unless the client says
 * so.
 */
static void test_stranger(void)
{
	pid_t policy = start_as(OF_POLICY, "own", "auto"), marker;
	struct served c = served_start(socket_path, OF_CLIENT, NO_DAEMON);

	ksft_test_result(served_tell(&c, 's').collector_pid == (uint64_t)policy,
			 "a stranger marks, and what it lends is not started\n");
	served_end(&c);
	setenv("TRICOLOR_MARKER", "lent", 1);
	c = served_start(socket_path, OF_CLIENT, NO_DAEMON);
	unsetenv("TRICOLOR_MARKER");
	marker = (pid_t)served_tell(&c, 's').collector_pid;
	ksft_test_result(runs_lent(marker) && proc_status(marker, "Uid") == OF_CLIENT &&
				 becomes_known(&c),
			 "TRICOLOR_MARKER=lent: it is, as the client's user\n");
	served_end(&c);
	end(&policy, SIGTERM);
}

int main(void)
{
	const char *folder = temporary_folder();
	bool lent = lends();

	ksft_print_header();
	ksft_set_plan(17 + (lent ? 3 : 0) + (lent && !geteuid() ? 2 : 0));
	built_path("/bin/tricolor", tool, sizeof(tool));
	snprintf(socket_path, sizeof(socket_path), "%s/s", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	signal(SIGPIPE, SIG_IGN);
	test_place();
	test_control();
	test_budget();
	test_kills();
	if (lent)
		test_lent();
	if (lent && !geteuid()) {
		chmod(folder, 0777);
		unlink(log_path);
		test_stranger();
	}
	unlink(log_path);
	unlink(socket_path);
	rmdir(folder);
	ksft_finished();
}
