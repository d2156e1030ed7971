// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_marker.c - a client, the marker that it starts, and a shared collector that comes and goes
 *
 *	the client's own tricolord marks for a shared one a shared one that dies and returns finds
 *	the same marker a client that went alone has a shared one as soon as there is one, whose
 *	folder may be made later a client in another session has another marker there, and one that
 *	is moved to another control group a client that can start none has its heap marked by the
 *	shared one, and by the next one when that has died a hostile shared one harms nobody: it
 *	talks nonsense, or passes what is no board
 *
 * The client tends a forest (forest.h) all the time, and so knows that nothing was lost.
 */
#include <pthread.h>
#include <sys/prctl.h>

#include "core/proto/client.h"
#include "lib/forest.h"
#include "lib/groups.h"

struct report {
	_Atomic bool go, ready, move;
	_Atomic uint64_t collector, cycles, reconnects, errors, steps;
};

static struct report *r;
static char folder[64], sock_path[128], log_path[128];

static void publish(const struct forest *f)
{
	struct tri_stats s = { .size = sizeof(s) };

	tri_read_stats(&s);
	r->collector = s.collector_pid;
	r->cycles = s.cycles;
	r->reconnects = s.reconnects;
	r->errors = f->errors;
	r->steps = f->ops;
}

static int client(void)
{
	static struct forest f;
	unsigned int n = 0;

	if (!forest_init(&f, 200, 4711) || tri_gc())
		return 2;
	while (!r->go) {
		if (!forest_step(&f))
			return 3;
		if (r->move) {
			r->move = false;
			if (setsid() < 0)
				return 4;
		}
		if (!(++n & 255)) {
			publish(&f);
			r->ready = true;
			pause_ns(1000000);
		}
	}
	forest_check_all(&f);
	publish(&f);
	return f.errors ? 5 : 0;
}

static pid_t start(const char *daemon)
{
	pid_t pid;

	memset(r, 0, sizeof(*r));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("TRICOLOR_SOCKET", sock_path, 1);
		setenv("TRICOLOR_QUIET", "1", 1);
		if (daemon)
			setenv("TRICOLOR_DAEMON", daemon, 1);
		_exit(client());
	}
	if (!WAIT_FOR(r->ready, 1000000, 6 * PATIENCE_NS))
		ksft_print_msg("client %d does not get ready\n", pid);
	return pid;
}

static bool end(pid_t pid)
{
	int status;

	r->go = true;
	status = wait_status(pid);
	if (status)
		ksft_print_msg("the client ended with %d, after %llu steps\n", status,
			       (unsigned long long)r->steps);
	return !status;
}

/* The process's name, which a marker that has a policy changes. */
static bool is_marker(pid_t pid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = 0;
	if (f)
		fclose(f);
	return !strcmp(name, "tricolor-marker");
}

static bool linked(pid_t marker)
{
	return WAIT_FOR(is_marker(marker), 1000000, 6 * PATIENCE_NS);
}

static void stop(pid_t daemon, int sig)
{
	kill(daemon, sig);
	wait_status(daemon);
}

static void comes_and_goes(void)
{
	pid_t daemon = start_daemon(sock_path, log_path), pid = start(NULL),
	      marker = (pid_t)r->collector;
	uint64_t cycles;

	ksft_test_result(marker != daemon && linked(marker), "the client's own tricolord marks\n");
	stop(daemon, SIGKILL);
	cycles = r->cycles;
	ksft_test_result(WAIT_FOR(!is_marker(marker), 1000000, 6 * PATIENCE_NS) &&
				 WAIT_FOR(r->cycles > cycles + 1, 1000000, 6 * PATIENCE_NS) &&
				 r->collector == (uint64_t)marker,
			 "it goes on alone without the shared one\n");
	daemon = start_daemon(sock_path, log_path);
	ksft_test_result(linked(marker) && r->collector == (uint64_t)marker && !r->reconnects,
			 "and is found by the next one\n");
	r->move = true;
	ksft_test_result(WAIT_FOR(r->collector && r->collector != (uint64_t)marker &&
					  getsid((pid_t)r->collector) == pid,
				  1000000, 6 * PATIENCE_NS) &&
				 linked((pid_t)r->collector),
			 "a client in another session has another one there\n");
	ksft_test_result(end(pid), "nothing was lost\n");
	stop(daemon, SIGTERM);
}

/* Somebody moves the client, whose marker may not follow by itself. */
static void moves_to(pid_t pid, const char *controller, struct test_group *group)
{
	pid_t marker = (pid_t)r->collector;

	if (!group_make(group, controller, "moved")) {
		ksft_test_result_skip("a client is moved: %s\n", group_why());
		*group->dir = 0;
		return;
	}
	ksft_test_result(group_enter(group, pid) && !group_is_same(pid, marker, controller) &&
				 WAIT_FOR(r->collector && r->collector != (uint64_t)marker &&
						  group_is_same(pid, (pid_t)r->collector,
								controller),
					  1000000, 6 * PATIENCE_NS) &&
				 linked((pid_t)r->collector),
			 "a client in another %s group has another marker there\n", controller);
}

static void is_moved(void)
{
	pid_t daemon = start_daemon(sock_path, log_path), pid = start(NULL);
	struct test_group groups[2];
	int i;

	moves_to(pid, "cpu", &groups[0]);
	moves_to(pid, "memory", &groups[1]);
	ksft_test_result(end(pid), "and nothing was lost\n");
	for (i = 0; i < 2; i++)
		if (*groups[i].dir)
			group_remove(&groups[i]);
	stop(daemon, SIGTERM);
}

static void comes_late(void)
{
	pid_t daemon, pid, marker;

	snprintf(sock_path, sizeof(sock_path), "%s/later/still/sock", folder);
	pid = start(NULL);
	marker = (pid_t)r->collector;
	ksft_test_result(!is_marker(marker), "a client goes alone\n");
	snprintf(log_path, sizeof(log_path), "%s/later", folder);
	if (mkdir(log_path, 0755))
		ksft_print_msg("%s: %s\n", log_path, strerror(errno));
	strcat(log_path, "/still");
	if (mkdir(log_path, 0755))
		ksft_print_msg("%s: %s\n", log_path, strerror(errno));
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	daemon = start_daemon(sock_path, log_path);
	ksft_test_result(linked(marker) && r->collector == (uint64_t)marker && !r->reconnects,
			 "and has a shared one when its folder and socket are made\n");
	ksft_test_result(end(pid), "nothing was lost by that\n");
	stop(daemon, SIGTERM);
	unlink(sock_path);
	snprintf(sock_path, sizeof(sock_path), "%s/later/still", folder);
	rmdir(sock_path);
	snprintf(sock_path, sizeof(sock_path), "%s/later", folder);
	rmdir(sock_path);
	snprintf(sock_path, sizeof(sock_path), "%s/sock", folder);
}

static void none_to_start(void)
{
	pid_t daemon = start_daemon(sock_path, log_path), pid = start("off");

	ksft_test_result(r->collector == (uint64_t)daemon,
			 "the shared one marks for who may start none\n");
	stop(daemon, SIGKILL);
	daemon = start_daemon(sock_path, log_path);
	ksft_test_result(WAIT_FOR(r->collector == (uint64_t)daemon, 1000000, 6 * PATIENCE_NS),
			 "and the next one, when it has died\n");
	ksft_test_result(end(pid), "and loses nothing\n");
	stop(daemon, SIGTERM);
}

/* What marks meanwhile is a collector of the client's own, which it leaves between two cycles. */
static void marks_again(void)
{
	pid_t daemon = start_marking_daemon(sock_path, log_path), pid = start(NULL);
	uint64_t cycles;

	ksft_test_result(r->collector == (uint64_t)daemon, "a shared one marks\n");
	stop(daemon, SIGKILL);
	ksft_test_result(WAIT_FOR(r->collector && r->collector != (uint64_t)daemon, 1000000,
				  6 * PATIENCE_NS),
			 "without it the client has one of its own\n");
	cycles = r->cycles;
	daemon = start_marking_daemon(sock_path, log_path);
	ksft_test_result(WAIT_FOR(r->collector == (uint64_t)daemon && r->cycles > cycles + 1,
				  1000000, 6 * PATIENCE_NS),
			 "and the shared one again, when that is back at the same path\n");
	ksft_test_result(end(pid), "and loses nothing by it\n");
	stop(daemon, SIGTERM);
	unsetenv("TRICOLOR_TEST_MARKER");
}

/* ------------------------------------------------------------------------------------------ */
/* Hostile ones                                                                               */
/* ------------------------------------------------------------------------------------------ */

/* What is passed with WELCOME, and what it says: @fds of the read end of a pipe. */
struct hostile {
	const char *what;
	uint32_t type, kind;
	uint64_t count;
	unsigned int fds;
	size_t bytes;			/* of the message */
};

static void answer(int fd, const struct hostile *h)
{
	struct tri_msg m;
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = "" };
	struct iovec iov = { &m, h->bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int ends[2], fds[8];
	unsigned int i;

	if (recv(fd, &m, sizeof(m), 0) != sizeof(m) || pipe(ends))
		return;
	m = (struct tri_msg){ .type = h->type,
			      .version = TRI_PROTO_ID,
			      .kind = h->kind,
			      .welcome.descriptors = h->count };
	if (h->fds) {
		for (i = 0; i < h->fds; i++)
			fds[i] = ends[0];
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(h->fds * sizeof(int));
		control.align =
			(struct cmsghdr){ CMSG_LEN(h->fds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.align), fds, h->fds * sizeof(int));
	}
	sendmsg(fd, &msg, MSG_NOSIGNAL);
	close(ends[0]);
	close(ends[1]);
}

static void serve(const struct hostile *h)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int l = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd;

	strcpy(addr.sun_path, sock_path);
	if (l < 0 || bind(l, (struct sockaddr *)&addr, sizeof(addr)) || listen(l, 8))
		_exit(1);
	/* Connections stay open: nothing is said on them any more. */
	while ((fd = accept4(l, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		answer(fd, h);
	_exit(0);
}

/* Whether the client's agent, which has descriptors of its own, has one of a pipe. */
static bool agent_has_pipe(pid_t pid)
{
	char path[300], text[64];
	struct dirent *e;
	bool has = false;
	DIR *d;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s", pid, e->d_name);
		if (!group_read(path, "comm", text, sizeof(text)) ||
		    strcmp(text, "tricolor-agent\n"))
			continue;
		for (i = 0; i < 256 && !has; i++) {
			ssize_t n;

			snprintf(path, sizeof(path), "/proc/%d/task/%.16s/fd/%d", pid, e->d_name,
				 i);
			n = readlink(path, text, sizeof(text) - 1);
			has = n > 5 && !memcmp(text, "pipe:", 5);
		}
	}
	if (d)
		closedir(d);
	return has;
}

static void harms(const struct hostile *h)
{
	struct stat st;
	pid_t policy, pid;
	uint64_t cycles;

	unlink(sock_path);
	fflush(stdout);
	policy = fork();
	if (!policy) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(h);
	}
	if (!WAIT_FOR(!stat(sock_path, &st), 1000000, PATIENCE_NS))
		ksft_print_msg("no socket\n");
	pid = start(NULL);
	cycles = r->cycles;
	ksft_test_result(WAIT_FOR(r->cycles > cycles + 3, 1000000, 6 * PATIENCE_NS) &&
				 !is_marker((pid_t)r->collector) &&
				 WAIT_FOR(!agent_has_pipe(pid), 1000000, PATIENCE_NS) && end(pid),
			 "a shared one with %s harms nobody\n", h->what);
	stop(policy, SIGKILL);
	unlink(sock_path);
}

int main(void)
{
	static const struct hostile hostile[] = {
		{ "a short message", TRI_MSG_WELCOME, TRI_WELCOME_MARKS, 0, 0, 8 },
		{ "no board", TRI_MSG_WELCOME, TRI_WELCOME_POLICY, 1, 0, sizeof(struct tri_msg) },
		{ "a pipe as board", TRI_MSG_WELCOME, TRI_WELCOME_POLICY, 1, 1,
		  sizeof(struct tri_msg) },
		{ "a pipe as program", TRI_MSG_WELCOME, TRI_WELCOME_POLICY, 2, 2,
		  sizeof(struct tri_msg) },
		{ "more descriptors than it says", TRI_MSG_WELCOME, TRI_WELCOME_POLICY, 2, 8,
		  sizeof(struct tri_msg) },
		{ "an unknown kind", TRI_MSG_WELCOME, 4711, 0, 0, sizeof(struct tri_msg) },
		{ "something else than WELCOME", TRI_MSG_TRACE, TRI_WELCOME_MARKS, 0, 0,
		  sizeof(struct tri_msg) },
	};
	size_t i, n = sizeof(hostile) / sizeof(hostile[0]);

	ksft_print_header();
	ksft_set_plan((unsigned int)(18 + n));
	r = shared_memory(sizeof(*r));
	strcpy(folder, temporary_folder());
	snprintf(sock_path, sizeof(sock_path), "%s/sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	comes_and_goes();
	comes_late();
	is_moved();
	none_to_start();
	marks_again();
	for (i = 0; i < n; i++)
		harms(&hostile[i]);
	unlink(log_path);
	rmdir(folder);
	ksft_finished();
}
