// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fork_first.c - children of fork() that first close descriptors, end, execute another program
 * or use the heap, and children that the library does not see
 *
 * Each scenario is a child of its own, forked from a process that has no heap, and says by its exit
 * status whether all went well.  In it a parent builds lists of witnesses, forks, and both look at
 * them, change them and collect.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/proto/client.h"
#include "core/proto/version.h"
#include "lib/lists.h"
#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/witness.h"

extern char **environ;

static bool close_everything(void)
{
	pid_t pid;
	int i;

	lists_build(LISTS * 100);
	for (i = 0; i < 2; i++) {
		pid = fork();
		if (!pid) {
			alarm(30);
			if (i)
				lists_push(0, 100);
			close_range(0, ~0u, 0);
			if (i)
				lists[0] = lists[0]->next;
			/* Numbers that were the arena's may be others' now. */
			while (open("/dev/null", O_RDONLY | O_CLOEXEC) < 1000 && errno != EMFILE)
				;
			close_range(3, 20, 0);
			_exit(lists_go_on(100, 50) ? 0 : 1);
		}
		CHECK(status_of(pid) == 0);
	}
	return true;
}

/*
 * Without a collector until one is needed: a child that stores a little and ends has started
 * nothing.
 */
static bool no_collector_for_a_little(void)
{
	pid_t pid;

	lists_build(LISTS * 10);
	pid = fork();
	if (!pid) {
		lists_build(LISTS);
		_exit(read_stats().collector_pid ? 1 : 0);
	}
	CHECK(status_of(pid) == 0);
	pid = fork();
	if (!pid) {
		unsigned int i;

		alarm(30);
		/* Enough that it comes by itself. */
		for (i = 0; i < 10000000 && !read_stats().cycles; i++)
			witness_new(i);
		_exit(read_stats().cycles && lists_go_on(10, 10) ? 0 : 1);
	}
	CHECK(status_of(pid) == 0);
	return true;
}

/* A client has connected at @listener.  Returns its socket, and its first message in @m; or -1. */
static int welcome(int listener, struct tri_msg *m)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (recv(fd, m, sizeof(*m), 0) != sizeof(*m) || m->type != TRI_MSG_HELLO)
		return -1;
	*m = (struct tri_msg){ .type = TRI_MSG_WELCOME,
			       .version = TRI_PROTO_ID,
			       .welcome.pid = (uint64_t)getpid() };
	if (send(fd, m, sizeof(*m), MSG_NOSIGNAL) != sizeof(*m) ||
	    recv(fd, m, sizeof(*m), 0) != sizeof(*m))
		return -1;
	return fd;
}

/* Ask for so many answers that they don't fit into the client's socket, and read none. */
static bool fill_socket(int fd)
{
	struct tri_msg ask = { .type = TRI_MSG_HANDSHAKE,
			       .version = TRI_PROTO_ID,
			       .kind = TRI_HANDSHAKE_COLLECT,
			       .cycle = 1 };
	socklen_t len = sizeof(int);
	int room, n;

	/* As much as both sockets could hold, had their messages no overhead. */
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &len))
		return false;
	for (n = 2 * room / (int)sizeof(ask); n >= 0; n--)
		if (send(fd, &ask, sizeof(ask), MSG_NOSIGNAL) != sizeof(ask))
			return false;
	return true;
}

/*
 * The parent's collector reads no answers when the parent forks.  Those that are left over are not
 * for the child's collector.
 */
static bool answers_left_over(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd, childs;
	char *folder = temporary_folder();
	struct tri_msg m;
	pid_t pid;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", folder);
	CHECK(!bind(listener, (struct sockaddr *)&addr, sizeof(addr)) && !listen(listener, 8));
	setenv("TRICOLOR_SOCKET", addr.sun_path, 1);
	lists_build(LISTS * 10);
	fd = welcome(listener, &m);
	CHECK(fd >= 0 && m.type == TRI_MSG_REQUEST && fill_socket(fd));
	pid = fork();
	if (!pid) {
		close(listener);
		close(fd);
		_exit(lists_go_on(10, 10) ? 0 : 1);
	}
	childs = welcome(listener, &m);
	CHECK(childs >= 0 && m.type == TRI_MSG_REQUEST);
	/* Both go on with collectors of their own. */
	close(listener);
	close(childs);
	CHECK(status_of(pid) == 0);
	close(fd);
	CHECK(lists_go_on(10, 10));
	unlink(addr.sun_path);
	return !rmdir(folder);
}

static char *const again[] = { "test_fork_first", "use", NULL };

static bool exec_and_spawn(void)
{
	pid_t pid;

	lists_build(LISTS * 100);
	pid = fork();
	if (!pid) {
		execv("/proc/self/exe", again);
		_exit(127);
	}
	CHECK(status_of(pid) == 0);
	pid = vfork();
	if (!pid) {
		execv("/proc/self/exe", again);
		_exit(127);
	}
	CHECK(status_of(pid) == 0);
	CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ) == 0);
	CHECK(status_of(pid) == 0);
	CHECK(system("exit 3") == 3 << 8);
	return lists_ok(100);
}

/*
 * Children that no handler of pthread_atfork() sees: no heap of the parent, one of their own, and
 * no crash.
 */
static bool raw_fork(void)
{
	struct rlimit none = { 0, 0 };
	int how, what;
	pid_t pid;

	lists_build(LISTS * 100);
	for (how = 0; how < 2; how++) {
		for (what = 0; what < 6; what++) {
			pid = how ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : _Fork();
			if (!pid) {
				struct witness *volatile parents = lists[0];

				setrlimit(RLIMIT_CORE, &none);
				alarm(30);
				memset(lists, 0, sizeof(lists));
				/* The first thing that it does: */
				if (what == 0)
					tri_alloc(24);
				else if (what == 1)
					(tri_store)(&lists[1], NULL);
				else if (what == 2)
					read_stats();
				else if (what == 3)
					collect();
				else if (what == 4)
					tri_base(lists);
				else if (tri_pressure() || tri_alloc_leaf(100000) == NULL)
					_exit(4);
				lists[1] = NULL;
				lists_build(LISTS * 10);
				if (!lists_go_on(10, 10))
					_exit(1);
				_exit(parents->id ? 2 : 3);
			}
			CHECK(status_of(pid) == SIGSEGV);
		}
	}
	return lists_go_on(100, 10);
}

int main(int argc, char **argv)
{
	/* Every process has a collector of its own. */
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_FORK", "copy", 1);
	if (argc > 1 && !strcmp(argv[1], "use")) {
		lists_build(LISTS * 10);
		return !lists_go_on(10, 10);
	}
	ksft_print_header();
	ksft_set_plan(5);
	ksft_test_result(scenario(close_everything), "a child that closes all descriptors\n");
	ksft_test_result(scenario(no_collector_for_a_little), "a collector when it is needed\n");
	ksft_test_result(scenario(answers_left_over), "a parent whose collector reads no answers\n");
	ksft_test_result(scenario(exec_and_spawn), "exec(), vfork(), posix_spawn(), system()\n");
	ksft_test_result(scenario(raw_fork), "_Fork() and clone()\n");
	ksft_finished();
}
