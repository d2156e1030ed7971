// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_run.c - tricolor run: exit status, signals, children, limits, and nothing left behind
 *
 * The program that is run is mostly this one, with a word that says what to do.
 */
#include <sys/prctl.h>

#include <pthread.h>
#include <sys/syscall.h>

#include "lib/groups.h"
#include "lib/served.h"

#define LIMIT_BYTES (64ll << 20)

static char tool[512], self[512], folder[64];

/* ---- What is run ---- */

static volatile sig_atomic_t caught;

static void note_signal(int sig)
{
	caught = sig;
}

static int say(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s.new", getenv("TEST_FOLDER"), name);
	write_text(path, text);
	snprintf(folder, sizeof(folder), "%s/%s", getenv("TEST_FOLDER"), name);
	return rename(path, folder);
}

/* A heap, and what there is to know about it, as the client's own words. */
static int heap(void)
{
	struct tri_stats s = { .size = sizeof(s) };
	char text[256];

	if (tri_gc()) {
		fprintf(stderr, "%s\n", tri_error());
		return 1;
	}
	/* The collector's watcher says a moment later what there is for this heap. */
	WAIT_FOR(tri_read_stats(&s) || !getenv("TEST_LIMIT") || s.limit_bytes != INT64_MAX, 1000000,
		 PATIENCE_NS);
	snprintf(text, sizeof(text), "%s %llu %lld\n", getenv("TRICOLOR_SOCKET"),
		 (unsigned long long)s.collector_pid,
		 s.limit_bytes == INT64_MAX ? -1ll : (long long)s.limit_bytes);
	return say("heap", text);
}

static void *kept;

/* 64 KiB more that live. */
static bool keep_more(void)
{
	void **more = tri_alloc(64 << 10);

	if (!more)
		return false;
	memset(more, 0, 64 << 10);
	tri_store(more, kept);
	tri_store(&kept, more);
	return true;
}

/* All of it live, until there is no more. */
static int grow(void)
{
	size_t i;

	tri_set_memory_limit(TRI_LIMIT_NONE);
	for (i = 0; i < 4096; i++)
		if (!keep_more() || (i == 160 && tri_gc()))
			return 1;
	return 0;
}

static int stay(void)
{
	char text[64];

	signal(SIGTERM, note_signal);
	if (heap())
		return 1;
	snprintf(text, sizeof(text), "%d\n", getpid());
	say("ready", text);
	while (!caught)
		pause_ns(1000000);
	return 0;
}

/* With @mib that live. */
static int keep(long mib)
{
	long i;

	for (i = 0; i < mib * 16; i++)
		if (!keep_more())
			return 1;
	return stay();
}

#define DYING_BYTES (256ul << 20)

/*
 * The last thread of its process, which frees its memory when it is killed.  @fd: told when it has
 * that.
 */
static void *last_thread(void *fd)
{
	char *memory =
		mmap(NULL, DYING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		_exit(1);
	/* Pages of 4 KiB take longest. */
	madvise(memory, DYING_BYTES, MADV_NOHUGEPAGE);
	memset(memory, 1, DYING_BYTES);
	if (write((int)(intptr_t)fd, "", 1) != 1)
		_exit(1);
	pause();
	return NULL;
}

/* Ends while a child of its is about to, whose first thread has ended before. */
static int leave_dying(void)
{
	pthread_t thread;
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe(ready))
		return 1;
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		if (pthread_create(&thread, NULL, last_thread, (void *)(intptr_t)ready[1]))
			_exit(1);
		syscall(SYS_exit, 0);
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		return 1;
	kill(pid, SIGKILL);
	_exit(0);
}

static int be_run(char **argv)
{
	const char *what = argv[1];
	char text[64];
	int sig;

	if (!strcmp(what, "exit"))
		return atoi(argv[2]);
	if (!strcmp(what, "die"))
		return raise(atoi(argv[2]));
	if (!strcmp(what, "heap"))
		return heap();
	if (!strcmp(what, "catch")) {
		sig = atoi(argv[2]);
		signal(sig, note_signal);
		snprintf(text, sizeof(text), "%d\n", getpid());
		say("ready", text);
		while (!caught)
			pause_ns(1000000);
		return 40;
	}
	if (!strcmp(what, "stay"))
		return stay();
	if (!strcmp(what, "leave-dying"))
		return leave_dying();
	if (!strcmp(what, "keep"))
		return keep(atol(argv[2]));
	if (!strcmp(what, "leave")) {
		/* A child that lives on, with a heap, until it is told to go. */
		int fd, ready[2];

		if (pipe(ready))
			return 1;
		if (fork())
			return read(ready[0], text, 1) == 1 ? 5 : 1;
		fd = open(argv[2], O_RDONLY);
		if (heap() || write(ready[1], "", 1) != 1)
			return 1;
		return read(fd, text, 1) < 0;
	}
	if (!strcmp(what, "grow"))
		return grow();
	if (!strcmp(what, "parent")) {
		pid_t pid = fork();

		return pid ? (wait_status(pid) == 128 + SIGKILL ? 6 : 1) : grow();
	}
	return 99;
}

/* ---- The test ---- */

/* "NAME" of the program's words, when it has said it. */
static const char *said(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (!WAIT_FOR(!access(path, F_OK), 1000000, PATIENCE_NS))
		ksft_exit_fail_msg("the program has not said its %s\n", name);
	return read_text(path);
}

/* The same of one that has ended, and what it said otherwise. */
static const char *said_in(const struct output *o, const char *name)
{
	if (o->status)
		show_output(o);
	return said(name);
}

static void forget(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
}

static bool gone(pid_t pid)
{
	/* It may have been left to us. */
	waitpid(pid, NULL, WNOHANG);
	return kill(pid, 0) && errno == ESRCH;
}

static void test_status(void)
{
	struct output *o = run(tool, "run", "--", self, "exit", "7", NULL);

	ksft_test_result(o->status == 7 && !o->out[0] && !o->err[0],
			 "its exit status, and no word\n");
	o = run(tool, "run", self, "exit", "0", NULL);
	ksft_test_result(o->status == 0, "0 as well, and without --\n");
	o = run(tool, "run", self, "die", "15", NULL);
	ksft_test_result(o->status == 128 + SIGTERM, "the signal that it died of\n");
	o = run(tool, "run", "/nonexistent/program", NULL);
	ksft_test_result(o->status == 127 && strstr(o->err, "can't run /nonexistent/program"),
			 "127: there is none\n");
	o = run(tool, "run", "/etc/passwd", NULL);
	ksft_test_result(o->status == 126, "126: it is no program\n");
	o = run(tool, "run", NULL);
	ksft_test_result(o->status == 125 && strstr(o->err, "which program?"), "125: which?\n");
	o = run(tool, "run", "--memory-limit", "64QB", self, "exit", "0", NULL);
	ksft_test_result(o->status == 125 && strstr(o->err, "no such unit") &&
				 strstr(o->err, "512MiB"),
			 "125: no size\n");
	setenv("TRICOLOR_DAEMON", "/nonexistent/tricolord", 1);
	o = run(tool, "run", self, "exit", "0", NULL);
	ksft_test_result(o->status == 125 && strstr(o->err, "/nonexistent/tricolord"),
			 "125: no collector\n");
	unsetenv("TRICOLOR_DAEMON");
}

/* What it says of a program that was killed, and how it ends. */
static void test_killer(void)
{
	char *argv[] = { tool, (char *)"run", self, (char *)"die", (char *)"2", NULL };
	struct output *o = run(tool, "run", self, "die", "11", NULL);
	int status;
	pid_t pid;

	ksft_test_result(o->status == 128 + SIGSEGV &&
				 strstr(o->err, "was killed by signal 11 (SIGSEGV)"),
			 "a signal is called by its name\n");
	o = run(tool, "run", self, "die", "9", NULL);
	ksft_test_result(o->status == 128 + SIGKILL &&
				 strstr(o->err, "was killed by signal 9 (SIGKILL)") &&
				 !strstr(o->err, "kernel"),
			 "SIGKILL that was somebody's is not called the kernel's\n");
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		execv(tool, argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	ksft_test_result(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT,
			 "after SIGINT it dies of SIGINT\n");
	pid = fork();
	if (pid == 0) {
		argv[4] = (char *)"15";
		execv(tool, argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	ksft_test_result(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM,
			 "after another signal it exits with 128 and its number\n");
}

/* The kernel kills the program, or a child of it, in the group that was made. */
static void test_out_of_memory(void)
{
	/* Its own parent has waited for the child. */
	const char *how =
		kernel_tells_ends() ?
			") was killed by the kernel: memory limit of 64 MiB, " :
			") has ended, as the kernel killed processes of its group: memory "
			"limit of 64 MiB, ";
	struct output *o = run(tool, "run", "--memory-limit", "64M", self, "grow", NULL);
	const char *named;

	if (!strstr(o->err, "by the kernel") && strstr(o->err, "no cgroup of its own")) {
		ksft_test_result_skip("killed by the kernel: %s\n", strtok(o->err, "\n"));
		ksft_test_result_skip("killed by the kernel: no cgroup can be made\n");
		return;
	}
	ksft_test_result(o->status == 128 + SIGKILL &&
				 strstr(o->err,
					") was killed by the kernel: memory limit of 64 MiB, ") &&
				 strstr(o->err, " MiB live at the last collection"),
			 "killed by the kernel: limit and figures are named\n");
	if (o->status != 128 + SIGKILL)
		show_output(o);
	o = run(tool, "run", "--memory-limit", "64M", self, "parent", NULL);
	named = strstr(o->err, "its child ");
	ksft_test_result(
		o->status == 6 && named && !strstr(named + 1, "its child ") && strstr(named, how) &&
			strstr(named, " MiB live at the last collection"),
		"killed by the kernel: a child is named once, and the program's status is ours\n");
	if (o->status != 6 || !named || strstr(named + 1, "its child ") || !strstr(named, how))
		show_output(o);
}

static void test_collector(void)
{
	char socket[128] = "";
	int collector = 0;
	long long limit = 0;
	struct output *o = run(tool, "run", self, "heap", NULL);

	sscanf(said_in(o, "heap"), "%127s %d %lld", socket, &collector, &limit);
	ksft_test_result(!o->status && strstr(socket, "/tricolor-run.") && collector > 0,
			 "its heap has a collector of its own: %s\n", socket);
	/*
	 * If the collector has not noticed the end yet, who is left behind waits for that, not we.
	 */
	ksft_test_result(WAIT_FOR(gone(collector), 1000000, PATIENCE_NS), "which ends with it\n");
	*strrchr(socket, '/') = 0;
	ksft_test_result(WAIT_FOR(access(socket, F_OK) && errno == ENOENT, 1000000, PATIENCE_NS),
			 "and its folder with that\n");
	forget("heap");
}

/* Whether there may be cgroups for it here. */
static bool have_groups(void)
{
	struct output *o =
		run(tool, "run", "-v", "--memory-limit", "64MiB", self, "exit", "0", NULL);

	group_set_why("%.200s", o->err);
	return strstr(o->err, "the limit is that of ") != NULL;
}

/* Whether @group is removed; if not, who is in it is said. */
static bool is_removed(const char *group)
{
	char path[600], status[600];
	const char *at;
	int pid, n;

	if (WAIT_FOR(access(group, F_OK) && errno == ENOENT, 1000000, PATIENCE_NS))
		return true;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	snprintf(status, sizeof(status), "%s", read_text(path));
	for (at = status; sscanf(at, "%d%n", &pid, &n) == 1; at += n) {
		snprintf(path, sizeof(path), "/proc/%d/status", pid);
		ksft_print_msg("in the group: %d: %.120s\n", pid, read_text(path));
	}
	snprintf(path, sizeof(path), "%s/cgroup.events", group);
	ksft_print_msg("%s is still there: %s\n", group, read_text(path));
	return false;
}

/* A process is not listed any more, and still there. */
static void test_dying(void)
{
	char group[512] = "", *at;
	struct output *o;
	int i, left = 0;

	for (i = 0; i < 5; i++) {
		o = run(tool, "run", "-v", "--memory-limit", "512MiB", self, "leave-dying", NULL);
		at = strstr(o->err, "the limit is that of ");
		if (o->status || !at || sscanf(at, "the limit is that of %511s", group) != 1 ||
		    strstr(o->err, "can't remove") || !is_removed(group)) {
			ksft_print_msg("status %d: %.600s\n", o->status, o->err);
			left++;
		}
	}
	ksft_test_result(!left,
			 "also where a process takes its time to end: %d of 5 groups were left\n",
			 left);
}

static void test_limit(void)
{
	char socket[128] = "", group[512] = "", *at;
	int collector;
	long long limit = 0;
	struct output *o;

	if (!have_groups()) {
		ksft_test_result_skip("no cgroup can be made: %s\n", group_why());
		ksft_test_result_skip("no cgroup can be made\n");
		ksft_test_result_skip("no cgroup can be made\n");
	} else {
		setenv("TEST_LIMIT", "", 1);
		o = run(tool, "run", "-v", "--memory-limit", "64MiB", self, "heap", NULL);
		at = strstr(o->err, "the limit is that of ");
		if (at)
			sscanf(at, "the limit is that of %511s", group);
		sscanf(said_in(o, "heap"), "%127s %d %lld", socket, &collector, &limit);
		ksft_test_result(!o->status && group[0] && limit > 0 && limit <= LIMIT_BYTES,
				 "a cgroup of its own: %s, %lld bytes for its heap\n", group,
				 limit);
		ksft_test_result(is_removed(group), "which is removed with it\n");
		forget("heap");
		unsetenv("TEST_LIMIT");
		test_dying();
	}
	setenv("TEST_LIMIT", "", 1);
	o = run(tool, "run", "--cgroup=none", "--memory-limit", "64MiB", self, "heap", NULL);
	unsetenv("TEST_LIMIT");
	sscanf(said_in(o, "heap"), "%127s %d %lld", socket, &collector, &limit);
	ksft_test_result(!o->status && !o->err[0] && limit > 0 && limit <= LIMIT_BYTES,
			 "without one the collector keeps it: %lld bytes for its heap\n", limit);
	forget("heap");
}

/*
 * A run that goes on while the test looks; it is in a process group of its own, as from a shell.
 * @errors: a file for what it says, or NULL.
 */
static pid_t start(char *const argv[], const char *errors)
{
	pid_t pid = fork();
	int fd;

	if (pid == 0) {
		setpgid(0, 0);
		fd = errors ? open(errors, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
		if (fd >= 0)
			dup2(fd, 2);
		execv(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static void test_signals(void)
{
	char number[16];
	char *argv[] = { tool, (char *)"run", self, (char *)"catch", number, NULL };
	const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGWINCH };
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		pid_t pid;

		snprintf(number, sizeof(number), "%d", signals[i]);
		pid = start(argv, NULL);
		said("ready");
		forget("ready");
		kill(pid, signals[i]);
		ksft_test_result(wait_status(pid) == 40, "%s is passed on\n",
				 strsignal(signals[i]));
	}
}

static void test_children(bool group, const char *what)
{
	char fifo[128], socket[128] = "";
	char *argv[] = { tool, (char *)"run", (char *)(group ? "--cgroup=auto" : "--cgroup=none"),
			 (char *)"--memory-limit=64MiB", self, (char *)"leave", fifo, NULL };
	int collector = 0, fd;
	long long limit;
	pid_t pid;

	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	mkfifo(fifo, 0600);
	pid = start(argv, NULL);
	/* The child opens its end when its parent has gone, or before. */
	fd = open(fifo, O_RDWR);
	ksft_test_result(wait_status(pid) == 5,
			 "%s: it ends with the program, not with its children\n", what);
	sscanf(said("heap"), "%127s %d %lld", socket, &collector, &limit);
	ksft_test_result(collector > 0 && !gone(collector) && !access(socket, F_OK),
			 "%s: they have the collector still\n", what);
	if (write(fd, "x", 1) != 1)
		ksft_print_msg("%s: %s\n", fifo, strerror(errno));
	*strrchr(socket, '/') = 0;
	ksft_test_result(WAIT_FOR(gone(collector) && access(socket, F_OK), 10000000, PATIENCE_NS),
			 "%s: it ends with the last of them\n", what);
	close(fd);
	unlink(fifo);
	forget("heap");
}

/* The cgroup that a run with -v has said in file @path that it has made; "": none. */
static void made_group(const char *path, char *dir, size_t room)
{
	const char *at = strstr(read_text(path), "the limit is that of ");

	dir[0] = 0;
	if (at)
		snprintf(dir, room, "%.*s", (int)strcspn(at + 21, "\n"), at + 21);
}

/* `tricolor run` itself is killed: the program goes on, and when it has ended nothing is left. */
static void test_killed(bool group, const char *what)
{
	char *argv[] = { tool, (char *)"run", (char *)"-v",
			 (char *)(group ? "--cgroup=auto" : "--cgroup=none"),
			 (char *)"--memory-limit=64MiB", self, (char *)"stay", NULL };
	char socket[128] = "", dir[600] = "", errors[128];
	int collector = 0, program;
	long long limit;
	pid_t pid;

	snprintf(errors, sizeof(errors), "%s/errors", folder);
	pid = start(argv, errors);
	sscanf(said("heap"), "%127s %d %lld", socket, &collector, &limit);
	program = atoi(said("ready"));
	made_group(errors, dir, sizeof(dir));
	unlink(errors);
	kill(pid, SIGKILL);
	wait_status(pid);
	ksft_test_result(program > 0 && !kill(program, 0) && !gone(collector) &&
				 !access(socket, F_OK) && (!dir[0] || !access(dir, F_OK)),
			 "%s: the program has what it had\n", what);
	kill(program, SIGTERM);
	*strrchr(socket, '/') = 0;
	ksft_test_result(WAIT_FOR(gone(program) && gone(collector) && access(socket, F_OK) &&
				  (!dir[0] || access(dir, F_OK)), 1000000, PATIENCE_NS),
			 "%s: nothing is left when it has ended: %s %s\n", what, socket, dir);
	forget("heap");
	forget("ready");
}

/* @mib live under @limit, which is said as @want; or NULL: nothing is said. */
static void test_too_low(const char *group, const char *limit, const char *mib, const char *want)
{
	char errors[128], *argv[] = { tool, (char *)"run",  (char *)group, (char *)limit,
				      self, (char *)"keep", (char *)mib,   NULL };
	const char *at;
	int program, status;
	pid_t pid;

	snprintf(errors, sizeof(errors), "%s/errors", folder);
	/*
	 * That a collector is long in starting, on a machine that is busy, is no matter of the
	 * limit.
	 */
	setenv("TRICOLOR_QUIET", "1", 1);
	pid = start(argv, errors);
	unsetenv("TRICOLOR_QUIET");
	program = atoi(said("ready"));
	if (want)
		WAIT_FOR(strchr(read_text(errors), '\n'), 1000000, PATIENCE_NS);
	kill(program, SIGTERM);
	status = wait_status(pid);
	at = read_text(errors);
	if (want)
		ksft_test_result(!status && strstr(at, want) && strchr(at, '\n')[1] == 0,
				 "%s MiB live, %s: %s", mib, limit, at);
	else
		ksft_test_result(!status && !*at, "%s MiB live, %s: nothing is said %s\n", mib,
				 limit, at);
	unlink(errors);
	forget("heap");
	forget("ready");
}

static void test_all_too_low(void)
{
	test_too_low("--cgroup=none", "--memory-limit=12MiB", "20",
		     " MiB live, more than the memory limit of 12.0 MiB: it can't be kept");
	test_too_low("--cgroup=none", "--memory-limit=64MiB", "20", NULL);
	setenv("TRICOLOR_MEMORY_LIMIT", "12MiB", 1);
	test_too_low("--cgroup=none", "--gc-percent=100", "20",
		     " MiB live, more than its own memory limit of 12.0 MiB: it can't be kept");
	setenv("TRICOLOR_MEMORY_LIMIT", "64MiB", 1);
	test_too_low("--cgroup=none", "--gc-percent=100", "20", NULL);
	unsetenv("TRICOLOR_MEMORY_LIMIT");
	if (have_groups())
		test_too_low(
			"--cgroup=auto", "--memory-limit=128MiB", "118",
			" MiB live, more than nine tenths of the memory limit of 128.0 MiB of /");
	else
		ksft_test_result_skip("no cgroup can be made: %s\n", group_why());
}

static void test_environment(void)
{
	struct output *o;
	char *const argv[] = { tool,
			       (char *)"run",
			       (char *)"--memory-limit=64MiB",
			       (char *)"--gc-percent=50",
			       (char *)"--cgroup=none",
			       (char *)"/bin/sh",
			       (char *)"-c",
			       (char *)"echo \"$TRICOLOR_GC_PERCENT|$TRICOLOR_MEMORY_LIMIT|"
				       "$NOTIFY_SOCKET|$OTHER\"",
			       NULL };

	setenv("TRICOLOR_GC_PERCENT", "20", 1);
	setenv("TRICOLOR_MEMORY_LIMIT", "1GiB", 1);
	setenv("OTHER", "other", 1);
	o = run_as(0, argv);
	ksft_test_result(!strcmp(o->out, "|||other\n"),
			 "its options win over variables; others stay\n");
	unsetenv("TRICOLOR_GC_PERCENT");
	unsetenv("TRICOLOR_MEMORY_LIMIT");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return be_run(argv);
	ksft_print_header();
	ksft_set_plan(43);
	/* Those that are left by a run are ours to wait for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	unsetenv("TRICOLOR_SOCKET");
	built_path("/bin/tricolor", tool, sizeof(tool));
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		ksft_exit_fail_msg("/proc/self/exe: %s\n", strerror(errno));
	snprintf(folder, sizeof(folder), "%s", temporary_folder());
	setenv("TEST_FOLDER", folder, 1);

	test_status();
	test_killer();
	test_out_of_memory();
	test_collector();
	test_limit();
	test_signals();
	test_all_too_low();
	test_environment();
	test_children(false, "no cgroup");
	test_children(true, "cgroup");
	test_killed(false, "killed, no cgroup");
	test_killed(true, "killed, cgroup");
	rmdir(folder);
	ksft_test_result(access(folder, F_OK) != 0, "nothing is left behind\n");
	ksft_finished();
}
