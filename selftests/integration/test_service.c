// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_service.c - tricolord as a service: configuration, --dry-run, reload, sd_notify, stop
 *
 * The test is the service manager: what the collector says to NOTIFY_SOCKET is what it waits for.
 */
#include "lib/served.h"

static char folder_path[64], tool[512], config_path[128], drop_ins[128], socket_path[108],
	log_path[128];
static int notified = -1;		/* NOTIFY_SOCKET's other end */

static char *in_folder(const char *name, char *path, size_t room)
{
	snprintf(path, room, "%s/%s", folder_path, name);
	return path;
}

/* Wait for a message that has @what in it; "" if there is none. */
static const char *heard(const char *what)
{
	static char text[512];
	struct pollfd p = { .fd = notified, .events = POLLIN };
	ssize_t n;

	while (poll(&p, 1, PATIENCE_NS / 1000000) > 0) {
		n = recv(notified, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = 0;
		if (strstr(text, what))
			return text;
	}
	return "";
}

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(fd, 2);
		execl(daemon_path(), "tricolord", "--config", config_path, NULL);
		_exit(127);
	}
	return pid;
}

static void test_dry_run(void)
{
	struct output *o;
	char text[512], path[192];

	snprintf(text, sizeof(text),
		 "# a comment\n\n  socket = %s\ngc-percent=200\nmemory-limit = 1GiB\n",
		 socket_path);
	write_text(config_path, text);
	o = run(daemon_path(), "--config", config_path, "--dry-run", NULL);
	ksft_test_result(!o->status && strstr(o->out, "gc-percent = 200\n") &&
				 strstr(o->out, "memory-limit = 1GiB\n") &&
				 strstr(o->out, socket_path) && strstr(o->out, ":4\ngc-percent"),
			 "--dry-run says what holds, and from where\n");
	ksft_test_result(access(socket_path, F_OK) && strstr(o->out, "nothing is missing"),
			 "and does nothing\n");

	mkdir(drop_ins, 0700);
	snprintf(path, sizeof(path), "%s/20-b.conf", drop_ins);
	write_text(path, "gc-percent = 30\nworkers = 1\n");
	snprintf(path, sizeof(path), "%s/10-a.conf", drop_ins);
	write_text(path, "gc-percent = 40\nlog-level = debug\n");
	snprintf(path, sizeof(path), "%s/30-not-a-drop-in", drop_ins);
	write_text(path, "nonsense\n");
	o = run(daemon_path(), "--config", config_path, "--dry-run", NULL);
	ksft_test_result(!o->status && strstr(o->out, "20-b.conf:1\ngc-percent = 30\n") &&
				 strstr(o->out, "workers = 1\n"),
			 "drop-ins win, the later ones over the earlier\n");
	o = run(daemon_path(), "--config", config_path, "--gc-percent", "70", "--dry-run", NULL);
	ksft_test_result(!o->status && strstr(o->out, "# command line\ngc-percent = 70\n"),
			 "the command line wins over all\n");
	unlink(path);
	snprintf(path, sizeof(path), "%s/20-b.conf", drop_ins);
	unlink(path);
	snprintf(path, sizeof(path), "%s/10-a.conf", drop_ins);
	unlink(path);

	o = run(daemon_path(), "--socket", "/nonexistent/s", "--config", "/dev/null", "--dry-run",
		NULL);
	ksft_test_result(o->status == 1 && strstr(o->err, "/nonexistent: No such file"),
			 "a folder that is missing\n");
	o = run(daemon_path(), "--config", "/nonexistent/c", "--dry-run", NULL);
	ksft_test_result(o->status == 1 && strstr(o->err, "/nonexistent/c: No such file"),
			 "a file that is missing\n");
}

static void test_mistakes(void)
{
	char path[128], want[192];
	struct output *o;

	in_folder("bad", path, sizeof(path));
	write_text(path, "gc-percent = 100\ncolour = red\nworkers = many\nno equals sign\n");
	o = run(daemon_path(), "--config", path, NULL);
	snprintf(want, sizeof(want), "%s:2: there is no setting 'colour'", path);
	ksft_test_result(o->status == 1 && strstr(o->err, want), "an unknown key, with its line\n");
	snprintf(want, sizeof(want), "%s:3: workers = many: want", path);
	ksft_test_result(strstr(o->err, want) != NULL, "a value that is none\n");
	snprintf(want, sizeof(want), "%s:4: ", path);
	ksft_test_result(strstr(o->err, want) != NULL, "a line that is nothing\n");
	unlink(path);
}

/* A setting of a client's heap, as the collector knows it. */
static long long setting(struct served *c, const char *name)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", c->pid);
	return json_number(run(tool, "stat", "--json", "--socket", socket_path, pid, NULL)->out,
			   name);
}

static bool fails_fast(struct served *c)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", c->pid);
	return strstr(run(tool, "stat", "--json", "--socket", socket_path, pid, NULL)->out,
		      "\"limit_policy\": \"fail-fast\"") != NULL;
}

static void configure(pid_t pid, const char *more)
{
	char text[512];

	snprintf(text, sizeof(text), "socket = %s\n%s", socket_path, more);
	write_text(config_path, text);
	kill(pid, SIGHUP);
	heard("READY=1");
}

static void test_reload(pid_t pid)
{
	struct served plain = served_start(socket_path, 0, NULL);
	struct served by_variable = served_start(socket_path, 0, "TRICOLOR_GC_PERCENT=100");
	struct served by_call = served_start(socket_path, 0, NULL), later, stays;

	/* Their markers may not have attached yet. */
	ksft_test_result(WAIT_FOR(setting(&plain, "gc_percent") == 200, 10000000, PATIENCE_NS) &&
				 WAIT_FOR(setting(&by_variable, "gc_percent") == 100, 10000000,
					  PATIENCE_NS),
			 "a default is for those that have not chosen\n");
	ksft_test_result(setting(&plain, "memory_limit_bytes") == 1 << 30, "a limit as well\n");
	served_tell(&by_call, '5');
	kill(pid, SIGHUP);
	ksft_test_result(strstr(heard("RELOADING=1"), "MONOTONIC_USEC=") && heard("READY=1")[0],
			 "SIGHUP: RELOADING=1, and READY=1\n");
	configure(pid, "gc-percent = 300\nmemory-limit = 1GiB\n");
	ksft_test_result(WAIT_FOR(setting(&plain, "gc_percent") == 300, 10000000, PATIENCE_NS),
			 "a new default is for those that are there\n");
	ksft_test_result(setting(&by_variable, "gc_percent") == 100 &&
				 setting(&by_call, "gc_percent") == 50,
			 "but for those that have chosen\n");
	later = served_start(socket_path, 0, NULL);
	ksft_test_result(WAIT_FOR(setting(&later, "gc_percent") == 300, 10000000, PATIENCE_NS),
			 "and for those that come\n");
	ksft_test_result(strstr(read_text(log_path), "gc-percent: 300, was 200") != NULL,
			 "the log says what has changed\n");
	configure(pid, "gc-percent = 300\nmemory-limit = 1GiB\nworkers = 1\n");
	ksft_test_result(strstr(read_text(log_path), "workers stays auto: 1 takes a restart") !=
				 NULL,
			 "and what can't\n");
	configure(pid, "gc-percent = 300\nmemory-limit = 1GiB\nlimit-policy = fail-fast\n");
	stays = served_start(socket_path, 0, "TRICOLOR_LIMIT_POLICY=continue");
	ksft_test_result(WAIT_FOR(fails_fast(&later), 10000000, PATIENCE_NS) && !fails_fast(&stays),
			 "a policy is for those that have not chosen\n");
	configure(pid, "gc-percent = lots\n");
	ksft_test_result(strstr(read_text(log_path), "gc-percent = lots: want") &&
				 setting(&later, "gc_percent") == 300,
			 "with a mistake all stays as it was\n");
	served_end(&plain);
	served_end(&by_variable);
	served_end(&by_call);
	served_end(&later);
	served_end(&stays);
}

static void test_stop(pid_t pid)
{
	struct served c[3];
	struct served_answer a;
	int i, status, gone_on = 0;

	for (i = 0; i < 3; i++)
		c[i] = served_start(socket_path, 0, NULL);
	kill(pid, SIGTERM);
	ksft_test_result(heard("STOPPING=1")[0] != 0, "SIGTERM: STOPPING=1\n");
	status = wait_status(pid);
	ksft_test_result(!status && access(socket_path, F_OK),
			 "it ends with 0, and without its socket\n");
	for (i = 0; i < 3; i++) {
		a = served_tell(&c[i], 'g');
		gone_on += !a.error && a.collector_pid && a.collector_pid != (uint64_t)pid;
		served_end(&c[i]);
	}
	ksft_test_result(gone_on == 3, "its clients go on with others\n");
}

/* --until: it ends with the last client after the descriptor. */
static void test_until(void)
{
	struct served c;
	int pair[2], fd;
	char byte = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		ksft_exit_fail_msg("socketpair: %s\n", strerror(errno));
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, 2);
		dup2(pair[1], 9);
		execl(daemon_path(), "tricolord", "--config", "/dev/null", "--socket", socket_path,
		      "--until", "9", NULL);
		_exit(127);
	}
	close(pair[1]);
	heard("READY=1");
	c = served_start(socket_path, 0, NULL);
	shutdown(pair[0], SHUT_WR);
	ksft_test_result(recv(pair[0], &byte, 1, 0) == 1 && byte == 'u' && !kill(pid, 0),
			 "--until: it says that it has users still\n");
	/* Its marker may not have attached yet. */
	ksft_test_result(!served_tell(&c, 'g').error &&
				 WAIT_FOR(setting(&c, "gc_percent") == 100, 10000000, PATIENCE_NS),
			 "and serves them\n");
	served_end(&c);
	ksft_test_result(recv(pair[0], &byte, 1, 0) == 0 && !wait_status(pid),
			 "and ends with the last\n");
	close(pair[0]);
}

static void listen_for_notifications(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	in_folder("notify", addr.sun_path, sizeof(addr.sun_path));
	notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(notified, (struct sockaddr *)&addr, sizeof(addr)))
		ksft_exit_fail_msg("%s: %s\n", addr.sun_path, strerror(errno));
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
}

int main(void)
{
	char path[128];
	pid_t pid;

	ksft_print_header();
	ksft_set_plan(27);
	snprintf(folder_path, sizeof(folder_path), "%s", temporary_folder());
	built_path("/bin/tricolor", tool, sizeof(tool));
	in_folder("c", config_path, sizeof(config_path));
	in_folder("c.d", drop_ins, sizeof(drop_ins));
	in_folder("s", socket_path, sizeof(socket_path));
	in_folder("log", log_path, sizeof(log_path));

	test_dry_run();
	test_mistakes();
	listen_for_notifications();
	pid = start();
	ksft_test_result(strstr(heard("READY=1"), socket_path) != NULL,
			 "READY=1 when it listens\n");
	test_reload(pid);
	test_stop(pid);
	test_until();

	unlink(config_path);
	unlink(log_path);
	unlink(in_folder("notify", path, sizeof(path)));
	rmdir(drop_ins);
	rmdir(folder_path);
	ksft_test_result(access(folder_path, F_OK) != 0, "nothing is left behind\n");
	ksft_finished();
}
