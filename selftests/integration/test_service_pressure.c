// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_service_pressure.c - MEMORY_PRESSURE_WATCH: what rings, what does not, and what makes no
 * sense
 *
 *	socket, fifo	what is asked for is written, a ring has a heap collected, and its free
 *			memory goes back
 *	kernel		the kernel's file takes the threshold
 *	none of these	is said in the log, changes nothing, and the collector serves
 *	whose		private collectors, markers and the collector of `tricolor run` leave their
 *			program's alone
 *
 * The test is the service manager.  What it has written is what a collector has read when a heap is
 * collected.
 */
#include "lib/served.h"

/* Of two seconds, as it has to be for who has no privileges, with a zero byte; and in base64. */
#define THRESHOLD "some 200000 2000000"
#define THRESHOLD_64 "c29tZSAyMDAwMDAgMjAwMDAwMAA="

static char folder[64], socket_path[108], log_path[128], watched[108], tool[512];

static void in_folder(const char *name, char *path, size_t room)
{
	snprintf(path, room, "%s/%s", folder, name);
}

/* It has looked at what it is to watch when it says that it listens. */
static pid_t start(const char *watch, const char *write)
{
	pid_t pid;

	unlink(log_path);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);

		dup2(fd, 2);
		setenv("MEMORY_PRESSURE_WATCH", watch, 1);
		if (write)
			setenv("MEMORY_PRESSURE_WRITE", write, 1);
		execl(daemon_path(), "tricolord", "--config", "/dev/null", "--log-level", "debug",
		      "--socket", socket_path, NULL);
		_exit(127);
	}
	if (!WAIT_FOR(strstr(read_text(log_path), "listening on"), 1000000, PATIENCE_NS))
		ksft_exit_fail_msg("tricolord does not listen: %s\n", read_text(log_path));
	return pid;
}

static bool stop(pid_t pid)
{
	kill(pid, SIGTERM);
	return !wait_status(pid);
}

static bool logged(const char *text)
{
	if (strstr(read_text(log_path), text))
		return true;
	ksft_print_msg("not in the log: %s; it has: %.1000s\n", text, read_text(log_path));
	return false;
}

static long long figure(const struct served *c, const char *name)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", c->pid);
	return json_number(run(tool, "stat", "--json", "--socket", socket_path, pid, NULL)->out,
			   name);
}

/* A client whose collector attaches, and garbage enough for a cycle before it is due. */
static struct served client_with_garbage(void)
{
	struct served c = served_start(socket_path, 0, NULL);

	if (!WAIT_FOR(figure(&c, "cycles") >= 1, 1000000, PATIENCE_NS))
		ksft_print_msg("client %d: no cycle\n", c.pid);
	served_tell(&c, 'a');
	served_tell(&c, 'a');
	return c;
}

/* Ring by @fd: a cycle runs that nothing else would start, and free memory goes. */
static bool rings(struct served *c, int fd)
{
	long long before = figure(c, "cycles");

	return before >= 1 && write(fd, "\n", 1) == 1 &&
	       WAIT_FOR(figure(c, "cycles") > before && figure(c, "free_bytes") == 0, 1000000,
			PATIENCE_NS);
}

static bool serves(void)
{
	struct served c = served_start(socket_path, 0, NULL);
	bool ok = WAIT_FOR(figure(&c, "cycles") >= 1, 1000000, PATIENCE_NS);

	return !served_end(&c) && ok;
}

/* ---- What rings ---- */

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1))
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	return fd;
}

static void test_socket(void)
{
	int listener = listen_at(watched), fd;
	pid_t pid = start(watched, THRESHOLD_64);
	char data[64] = "";
	struct served c;

	/* It has connected before it listened. */
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ksft_test_result(recv(fd, data, sizeof(data), 0) == sizeof(THRESHOLD) &&
				 !strcmp(data, THRESHOLD),
			 "socket: it is told what is asked for\n");
	c = client_with_garbage();
	ksft_test_result(rings(&c, fd), "socket: a ring has the heap collected\n");
	/* The client has the descriptor as well. */
	shutdown(fd, SHUT_RDWR);
	ksft_test_result(WAIT_FOR(strstr(read_text(log_path), "not watched any more"), 1000000,
				  PATIENCE_NS) &&
				 !served_tell(&c, 'g').error,
			 "socket: without its peer the collector goes on\n");
	close(fd);
	served_end(&c);
	ksft_test_result(stop(pid), "socket: and ends as it should\n");
	close(listener);
	unlink(watched);
}

static void test_fifo(void)
{
	struct served c;
	char data[4096];
	pid_t pid;
	bool ok;
	int fd;

	mkfifo(watched, 0600);
	pid = start(watched, THRESHOLD_64);
	fd = open(watched, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	c = client_with_garbage();
	ksft_test_result(rings(&c, fd), "fifo: a ring has the heap collected\n");
	served_tell(&c, 'a');
	served_tell(&c, 'a');
	ksft_test_result(rings(&c, fd), "fifo: one soon after it as well\n");
	/* As much as it takes, and more when that has been read. */
	memset(data, 'x', sizeof(data));
	while (write(fd, data, sizeof(data)) > 0)
		;
	ok = WAIT_FOR(write(fd, data, sizeof(data)) > 0, 1000000, PATIENCE_NS);
	ksft_test_result(ok && serves(), "fifo: a flood is read, and clients are served\n");
	close(fd);
	served_tell(&c, 'a');
	served_tell(&c, 'a');
	fd = open(watched, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	ksft_test_result(rings(&c, fd), "fifo: another writer is heard\n");
	close(fd);
	served_end(&c);
	stop(pid);
	unlink(watched);
}

static void test_kernel(void)
{
	static const char path[] = "/proc/pressure/memory";
	int fd = open(path, O_RDWR | O_CLOEXEC);
	pid_t pid;

	if (fd < 0 || write(fd, THRESHOLD, sizeof(THRESHOLD)) < 0) {
		ksft_test_result_skip("kernel: %s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	close(fd);
	pid = start(path, THRESHOLD_64);
	ksft_test_result(logged("memory pressure is watched at /proc/pressure/memory") &&
				 serves() && !strstr(read_text(log_path), "not watched"),
			 "kernel: its file takes the threshold\n");
	stop(pid);
}

/* ---- What does not ---- */

static void refused(const char *what, const char *watch, const char *write, const char *why)
{
	pid_t pid = start(watch, write);
	bool ok = why ? logged("memory pressure is not watched: ") && logged(why) :
			!strstr(read_text(log_path), "watched");

	ok = serves() && ok;
	ksft_test_result(stop(pid) && ok, "not watched, and served: %s\n", what);
}

static void test_refused(void)
{
	int fd;

	refused("turned off", "/dev/null", THRESHOLD_64, NULL);
	refused("missing", watched, THRESHOLD_64, "No such file");
	refused("relative", "memory.pressure", THRESHOLD_64, "Invalid argument");
	refused("a folder", folder, THRESHOLD_64, "no file of the kernel's, FIFO or socket");
	refused("a device", "/dev/full", THRESHOLD_64, "no file of the kernel's, FIFO or socket");
	write_text(watched, "untouched");
	refused("a file", watched, THRESHOLD_64, "no file of the kernel's, FIFO or socket");
	ksft_test_result(!strcmp(read_text(watched), "untouched"), "nothing is written to that\n");
	unlink(watched);
	fd = listen_at(watched);
	close(fd);
	refused("a socket that nobody listens at", watched, THRESHOLD_64, "Connection refused");
	unlink(watched);
	mkfifo(watched, 0600);
	refused("no base64", watched, "c29tZ!==", "MEMORY_PRESSURE_WRITE");
	refused("half of it", watched, "c29tZSA", "MEMORY_PRESSURE_WRITE");
	unlink(watched);
}

/* ---- Whose it is ---- */

/* Nobody has it open to be read. */
static bool left_alone(const char *fifo)
{
	int fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	bool alone = fd < 0 && errno == ENXIO;

	if (fd >= 0)
		close(fd);
	return alone;
}

/* The same, asked by a program that has the variable. */
static const char nobody_has_it[] =
	"[ -p \"$MEMORY_PRESSURE_WATCH\" ] || exit 2\n"
	"for f in /proc/[0-9]*/fd/*; do\n"
	"	[ ! \"$f\" -ef \"$MEMORY_PRESSURE_WATCH\" ] || exit 1\n"
	"done";

static void test_whose(void)
{
	char variable[160], theirs[108];
	struct served c;
	pid_t pid;

	in_folder("theirs", theirs, sizeof(theirs));
	snprintf(variable, sizeof(variable), "MEMORY_PRESSURE_WATCH=%s", theirs);
	mkfifo(watched, 0600);
	mkfifo(theirs, 0600);
	pid = start(watched, NULL);
	c = served_start(socket_path, 0, variable);
	ksft_test_result(WAIT_FOR(figure(&c, "cycles") >= 1, 1000000, PATIENCE_NS) &&
				 left_alone(theirs) && !left_alone(watched),
			 "a marker leaves its program's alone\n");
	served_end(&c);
	stop(pid);
	c = served_start("off", 0, variable);
	ksft_test_result(left_alone(theirs), "a private collector as well\n");
	served_end(&c);
	/* Its collector listens before the program begins. */
	setenv("MEMORY_PRESSURE_WATCH", theirs, 1);
	ksft_test_result(!run(tool, "run", "/bin/sh", "-c", nobody_has_it, NULL)->status,
			 "and the collector of a run, whose program has the variable\n");
	unsetenv("MEMORY_PRESSURE_WATCH");
	unlink(watched);
	unlink(theirs);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(23);
	snprintf(folder, sizeof(folder), "%s", temporary_folder());
	built_path("/bin/tricolor", tool, sizeof(tool));
	in_folder("s", socket_path, sizeof(socket_path));
	in_folder("log", log_path, sizeof(log_path));
	in_folder("watched", watched, sizeof(watched));
	unsetenv("MEMORY_PRESSURE_WATCH");
	unsetenv("MEMORY_PRESSURE_WRITE");

	test_socket();
	test_fifo();
	test_kernel();
	test_refused();
	test_whose();

	unlink(log_path);
	ksft_test_result(!rmdir(folder), "nothing is left behind\n");
	ksft_finished();
}
