// SPDX-License-Identifier: GPL-2.0-only
/* test_command.c - tricolor list, stat, set, gc, free: as a user types them */
#include "lib/served.h"

#define STRANGER 23456

static char tool[512], socket_path[108], log_path[108];

static char *number(pid_t pid)
{
	static char text[4][16];
	static int n;

	n = (n + 1) % 4;
	snprintf(text[n], sizeof(text[n]), "%d", pid);
	return text[n];
}

static void test_usage(void)
{
	struct output *o = run(tool, NULL);

	ksft_test_result(o->status == 64 && strstr(o->err, "Usage: tricolor"),
			 "no command: usage, 64\n");
	o = run(tool, "--help", NULL);
	ksft_test_result(!o->status && strstr(o->out, "  list ") && !o->err[0], "--help\n");
	o = run(tool, "help", "set", NULL);
	ksft_test_result(!o->status && strstr(o->out, "Usage: tricolor set"), "help set\n");
	o = run(tool, "--version", NULL);
	ksft_test_result(!o->status && !strncmp(o->out, "tricolor ", 9) &&
				 strstr(o->out, tri_version()),
			 "--version\n");
	o = run(tool, "frobnicate", NULL);
	ksft_test_result(o->status == 64 && strstr(o->err, "'frobnicate'"), "an unknown command\n");
	o = run(tool, "stat", NULL);
	ksft_test_result(o->status == 64 && strstr(o->err, "tricolor stat: too few"),
			 "no argument\n");
	o = run(tool, "list", "1", NULL);
	ksft_test_result(o->status == 64, "too many arguments\n");
	o = run(tool, "stat", "12x", NULL);
	ksft_test_result(o->status == 1 && strstr(o->err, "'12x' is neither"),
			 "neither PID nor ID\n");
	o = run(tool, "list", "--socket", "/nonexistent/s", NULL);
	ksft_test_result(o->status == 1 && strstr(o->err, "/nonexistent/s: No such file"),
			 "no such socket\n");
}

static void test_list(struct served *shared, struct served *private)
{
	struct output *o = run(tool, "list", "--socket", socket_path, NULL);

	ksft_test_result(!o->status && !strncmp(o->out, "ID ", 3) &&
				 strstr(o->out, number(shared->pid)) &&
				 !strstr(o->out, number(private->pid)),
			 "list of one collector\n");
	setenv("TRICOLOR_SOCKET", socket_path, 1);
	o = run(tool, "list", NULL);
	/* 2: somebody else's collector on this machine may be stopped. */
	ksft_test_result((!o->status || o->status == 2) && strstr(o->out, number(shared->pid)) &&
				 strstr(o->out, number(private->pid)),
			 "list of all, private ones included\n");
	o = run(tool, "list", "--json", NULL);
	ksft_test_result((!o->status || o->status == 2) && o->out[0] == '{' &&
				 json_number(o->out, "hidden") == 0 &&
				 strstr(o->out, "\"private\": true"),
			 "the same as JSON\n");
	unsetenv("TRICOLOR_SOCKET");
}

/* The ID that goes with a PID; it is on the same line. */
static bool find_id(const char *list, pid_t pid, char *id)
{
	char copy[sizeof(((struct output *)0)->out)], *line, *state;
	int p;

	strcpy(copy, list);
	for (line = strtok_r(copy, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		if (sscanf(line, "%39s %d", id, &p) == 2 && p == pid)
			return true;
	return false;
}

static void test_stat(struct served *c, pid_t collector)
{
	char id[40] = "", want[40], *pid = number(c->pid);
	struct output *o = run(tool, "list", "--socket", socket_path, NULL);

	snprintf(want, sizeof(want), "%d.", collector);
	ksft_test_result(find_id(o->out, c->pid, id) && !strncmp(id, want, strlen(want)),
			 "an ID is the collector's PID and a number: %s\n", id);
	o = run(tool, "stat", "--socket", socket_path, id, NULL);
	ksft_test_result(!o->status && strstr(o->out, pid) && strstr(o->out, "live, last cycle"),
			 "stat ID\n");
	o = run(tool, "stat", "--json", "--socket", socket_path, pid, NULL);
	ksft_test_result(!o->status && json_number(o->out, "pid") == c->pid &&
				 json_number(o->out, "cycles") >= 1 &&
				 json_number(o->out, "live_bytes") >= 640000 &&
				 json_number(o->out, "gc_percent") == 100 &&
				 json_number(o->out, "figures_age_ns") < 10000000000ll,
			 "stat --json PID\n");
	o = run(tool, "stat", "--socket", socket_path, "1", NULL);
	ksft_test_result(o->status == 1 && strstr(o->err, "no heap of process 1"), "not there\n");
	o = run(tool, "stat", "--socket", socket_path, "1.1", NULL);
	ksft_test_result(o->status == 1 && strstr(o->err, "no collector 1"), "no such collector\n");
}

/* With the command's own search, so that private and shared ones are alike. */
static void test_changes(struct served *c, const char *what)
{
	char *pid = number(c->pid);
	long long cycles, released;
	struct output *o;

	o = run(tool, "set", pid, "gc-percent", "50", NULL);
	ksft_test_result(!o->status && strstr(o->out, "gc-percent is 50"), "%s: set gc-percent\n",
			 what);
	o = run(tool, "set", pid, "memory-limit", "100MiB", NULL);
	ksft_test_result(!o->status, "%s: set memory-limit\n", what);
	o = run(tool, "stat", "--json", pid, NULL);
	cycles = json_number(o->out, "cycles");
	released = json_number(o->out, "released_bytes");
	ksft_test_result(json_number(o->out, "gc_percent") == 50 &&
				 json_number(o->out, "memory_limit_bytes") == 100 << 20,
			 "%s: both hold\n", what);
	o = run(tool, "gc", pid, NULL);
	ksft_test_result(!o->status && strstr(o->out, "MiB live") == NULL &&
				 strstr(o->out, "KiB live"),
			 "%s: gc\n", what);
	ksft_test_result((long long)served_tell(c, 's').cycles > cycles,
			 "%s: the client has seen it\n", what);
	served_tell(c, 'a');
	o = run(tool, "free", "--json", pid, NULL);
	ksft_test_result(!o->status && json_number(o->out, "free_bytes") == 0 &&
			 json_number(o->out, "released_bytes") > released, "%s: free\n", what);
	o = run(tool, "set", pid, "gc-percent", "off", NULL);
	o = run(tool, "stat", "--json", pid, NULL);
	ksft_test_result(strstr(o->out, "\"gc_percent\": null") &&
				 strstr(o->out, "\"command\": \""),
			 "%s: off is null\n", what);
}

/* The other heaps are listed, and why one is not. */
static void test_silent(struct served *shared, struct served *private)
{
	pid_t collector = (pid_t)served_tell(private, 's').collector_pid;
	char id[64], line[64], *pid = number(private->pid);
	struct output *o;

	kill(collector, SIGSTOP);
	snprintf(line, sizeof(line), "collector %d of process %d ", collector, private->pid);
	WAIT_FOR(strstr(run(tool, "list", NULL)->out, line), 10000000, PATIENCE_NS);
	o = run(tool, "list", NULL);
	ksft_test_result(o->status == 2 && find_id(o->out, shared->pid, id) &&
				 strstr(o->out, line) && strstr(o->out, ") is stopped"),
			 "a stopped collector has a line, and the others theirs\n");
	o = run(tool, "list", "--json", NULL);
	ksft_test_result(o->status == 2 && strstr(o->out, "\"silent\": [\n") &&
				 strstr(o->out, "\"why\": \"is stopped"),
			 "the same as JSON\n");
	o = run(tool, "stat", pid, NULL);
	ksft_test_result(o->status == 1 && strstr(o->err, "is stopped; SIGCONT"),
			 "stat says so at once\n");
	kill(collector, SIGCONT);
	o = run(tool, "list", NULL);
	ksft_test_result(find_id(o->out, private->pid, id) && !strstr(o->out, line),
			 "it goes on, and so does the list\n");
}

static void test_room(struct served *c, const char *what)
{
	char *pid = number(c->pid);
	struct output *o = run(tool, "set", pid, "memory-limit", "64M", "--wait", NULL);

	ksft_test_result(!o->status && strstr(o->out, "the heap has ") && !o->err[0],
			 "%s: room is made\n", what);
	o = run(tool, "set", pid, "memory-limit", "4K", "--wait", NULL);
	ksft_test_result(o->status == 1 && strstr(o->err, "there is no room down to 4 KiB"),
			 "%s: more lives, and that is said\n", what);
	o = run(tool, "set", pid, "memory-limit", "4K", NULL);
	ksft_test_result(!o->status && strstr(o->err, "warning: ") &&
				 strstr(o->err, "more than the limit of 4 KiB"),
			 "%s: a limit below what lives is set with a warning\n", what);
	o = run(tool, "set", pid, "memory-limit", "off", "--wait", NULL);
	ksft_test_result(o->status == 64 && strstr(o->err, "--wait"),
			 "%s: there is nothing to wait for\n", what);
	run(tool, "set", pid, "memory-limit", "off", NULL);
}

static void test_mistakes(struct served *c)
{
	char *pid = number(c->pid);
	struct output *o = run(tool, "set", pid, "gc-percent", "fast", NULL);

	ksft_test_result(o->status == 64 && strstr(o->err, "want a percentage"), "no percentage\n");
	o = run(tool, "set", pid, "memory-limit", "10QB", NULL);
	ksft_test_result(o->status == 64 && strstr(o->err, "want a size such as"), "no size\n");
	o = run(tool, "set", pid, "colour", "red", NULL);
	ksft_test_result(o->status == 64 && strstr(o->err, "no setting 'colour'"),
			 "no such setting\n");
	o = run(tool, "set", pid, "gc-percent", NULL);
	ksft_test_result(o->status == 64, "no value\n");
}

static void test_stranger(struct served *c)
{
	char *const stat[] = { tool, (char *)"stat", number(c->pid), NULL };
	char *const list[] = { tool, (char *)"list", NULL };
	struct output *o;

	if (geteuid()) {
		ksft_test_result_skip("another user: not root\n");
		ksft_test_result_skip("another user: not root\n");
		return;
	}
	o = run_as(STRANGER, stat);
	if (o->status == 127) {
		ksft_test_result_skip("another user can't run %s\n", tool);
		ksft_test_result_skip("another user can't run %s\n", tool);
		return;
	}
	ksft_test_result(o->status == 1 && strstr(o->err, "you are user 23456"),
			 "not another user's\n");
	o = run_as(STRANGER, list);
	ksft_test_result((!o->status || o->status == 2) && strstr(o->out, "more of other users") &&
			 !strstr(o->out, number(c->pid)), "it is only counted in a list\n");
}

/* Somebody else's socket at the address of a private collector. */
static void test_squatter(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct output *o;
	int ready[2];
	char byte, *me = number(getpid());
	pid_t pid;

	if (geteuid()) {
		ksft_test_result_skip("another user: not root\n");
		return;
	}
	if (pipe(ready))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	pid = fork();
	if (pid == 0) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		int n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "tricolor/%s", me);

		if (setresuid(STRANGER, STRANGER, STRANGER) ||
		    bind(fd, (struct sockaddr *)&addr,
			 (socklen_t)((size_t)(addr.sun_path - (char *)&addr) + 1 + (size_t)n)) ||
		    listen(fd, 5) || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		ksft_print_msg("the squatter has no socket\n");
	o = run(tool, "stat", me, NULL);
	ksft_test_result(o->status == 1 && strstr(o->err, "somebody else (user 23456"),
			 "a squatter is not believed\n");
	close(ready[0]);
	kill(pid, SIGKILL);
	wait_status(pid);
}

/* Somebody's collector that has a heap of ours: it is believed if it is named. */
static void test_doubt(const char *folder)
{
	char place[128], path[160];
	struct served c;
	struct output *o;
	bool shown;
	pid_t pid;

	if (geteuid()) {
		ksft_test_result_skip("another user: not root\n");
		ksft_test_result_skip("another user: not root\n");
		return;
	}
	snprintf(place, sizeof(place), "%s/other", folder);
	snprintf(path, sizeof(path), "%s/tricolord.sock", place);
	if (mkdir(place, 0755) || chown(place, STRANGER, STRANGER))
		ksft_exit_fail_msg("%s: %s\n", place, strerror(errno));
	pid = fork();
	if (pid == 0) {
		if (setresgid(STRANGER, STRANGER, STRANGER) ||
		    setresuid(STRANGER, STRANGER, STRANGER))
			_exit(3);
		close(2);
		execl(daemon_path(), "tricolord", "--config", "/dev/null", "--marker", "shared",
		      "--socket", path, NULL);
		_exit(127);
	}
	if (!WAIT_FOR(can_connect(path), 1000000, PATIENCE_NS))
		ksft_exit_fail_msg("no collector of another user\n");
	c = served_start(path, 0, NULL);
	o = run(tool, "list", NULL);
	ksft_test_result(!strstr(o->out, number(c.pid)) && strstr(o->err, "user 23456's collector"),
			 "what another user's collector says of our heaps is not believed\n");
	o = run(tool, "list", "--socket", path, NULL);
	shown = strstr(o->out, number(c.pid)) != NULL;
	ksft_test_result(shown && !o->err[0], "unless it is named\n");
	served_end(&c);
	kill(pid, SIGTERM);
	wait_status(pid);
	rmdir(place);
}

int main(void)
{
	char *folder = temporary_folder();
	struct served shared, private;
	pid_t collector;

	ksft_print_header();
	ksft_set_plan(52);
	unsetenv("TRICOLOR_SOCKET");
	built_path("/bin/tricolor", tool, sizeof(tool));
	chmod(folder, 0755);
	/* By its name it is found without --socket. */
	snprintf(socket_path, sizeof(socket_path), "%s/tricolord.sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	collector = start_daemon(socket_path, log_path);
	shared = served_start(socket_path, 0, NULL);
	private = served_start("off", 0, NULL);

	test_usage();
	test_list(&shared, &private);
	test_stat(&shared, collector);
	test_changes(&shared, "shared");
	test_changes(&private, "private");
	test_room(&shared, "shared");
	test_room(&private, "private");
	test_silent(&shared, &private);
	test_mistakes(&shared);
	test_stranger(&private);
	test_squatter();
	test_doubt(folder);

	served_end(&private);
	served_end(&shared);
	kill(collector, SIGTERM);
	wait_status(collector);
	unlink(log_path);
	rmdir(folder);
	ksft_finished();
}
