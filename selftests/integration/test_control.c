// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_control.c - control requests: who may, what is refused, and who must not notice
 *
 * Peers here speak the protocol themselves: right, wrong, at random, or not at all.  Through all of
 * it the clients of the collector go on with their cycles.
 */
#include <stddef.h>

#include "core/proto/control.h"
#include "lib/served.h"

#define FUZZ_NS 3000000000ull
#define GUESTS 64			/* that a user may have: see accept.c */
#define OWNER 12345
#define STRANGER 23456

static char socket_path[108], log_path[108];
static pid_t collector;

/* A connection; -1.  @where: a path, or @ and an abstract name. */
static int connect_socket(const char *where)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { 30, 0 };
	size_t n = strlen(where);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, where, n);
	if (*where == '@')
		addr.sun_path[0] = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*where != '@')))) {
		close(fd);
		return -1;
	}
	return fd;
}

static struct control_request request(uint32_t op, int64_t pid, int64_t value)
{
	return (struct control_request){
		.type = CONTROL_TYPE, .version = CONTROL_VERSION, .op = op,
		.size = sizeof(struct control_request), .pid = pid, .value = value,
	};
}

/* The reply to @bytes of @q, and the first arena that comes with it.  error -1: hung up. */
static struct control_reply ask(int fd, const void *q, size_t bytes, struct control_arena *arena)
{
	struct control_reply reply = { .error = UINT32_MAX };
	struct control_arena skipped;
	uint32_t i;

	if (send(fd, q, bytes, MSG_NOSIGNAL) != (ssize_t)bytes ||
	    recv(fd, &reply, sizeof(reply), 0) != sizeof(reply)) {
		reply.error = UINT32_MAX;
		return reply;
	}
	for (i = 0; i < reply.arenas; i++)
		if (recv(fd, i || !arena ? &skipped : arena, sizeof(skipped), 0) != sizeof(skipped))
			reply.error = UINT32_MAX;
	return reply;
}

/* One request on a connection of its own, as user @uid. */
static struct control_reply ask_as(uid_t uid, const char *where, struct control_request q,
				   struct control_arena *arena)
{
	struct shared {
		struct control_reply reply;
		struct control_arena arena;
	} *s = shared_memory(sizeof(*s));
	struct control_reply reply;
	pid_t pid = fork();

	if (pid == 0) {
		int fd;

		if (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
			_exit(3);
		fd = connect_socket(where);
		s->reply.error = UINT32_MAX;
		if (fd >= 0)
			s->reply = ask(fd, &q, sizeof(q), &s->arena);
		_exit(0);
	}
	wait_status(pid);
	reply = s->reply;
	if (arena)
		*arena = s->arena;
	munmap(s, sizeof(*s));
	return reply;
}

static void test_requests(struct served *c)
{
	struct control_arena a = { 0 }, b;
	struct control_request q;
	struct control_reply r;
	int fd = connect_socket(socket_path);

	q = request(CONTROL_LIST, 0, 0);
	r = ask(fd, &q, sizeof(q), &a);
	ksft_test_result(!r.error && r.arenas == 1 && a.pid == c->pid && a.id && a.cycles >= 1 &&
			 a.live_bytes >= 640000 && r.pid == collector,
			 "LIST has the client and its figures\n");
	q = request(CONTROL_STAT, 0, 0);
	q.id = a.id;
	r = ask(fd, &q, sizeof(q), &b);
	ksft_test_result(!r.error && b.pid == c->pid, "STAT by id, on the same connection\n");
	q.id = a.id + 1000;
	r = ask(fd, &q, sizeof(q), NULL);
	ksft_test_result(r.error == ESRCH && r.text[0], "no such id: %s\n", r.text);
	q = request(CONTROL_STAT, 1, 0);
	r = ask(fd, &q, sizeof(q), NULL);
	ksft_test_result(r.error == ESRCH, "no such process: %s\n", r.text);

	q = request(CONTROL_SET_GC_PERCENT, c->pid, 50);
	r = ask(fd, &q, sizeof(q), &b);
	ksft_test_result(!r.error && b.gc_percent == 50 && b.goal_bytes < a.goal_bytes,
			 "SET gc-percent holds in the reply, and the goal follows\n");
	q.value = -7;
	r = ask(fd, &q, sizeof(q), NULL);
	ksft_test_result(r.error == EINVAL, "out of range: %s\n", r.text);
	q = request(CONTROL_SET_MEMORY_LIMIT, c->pid, 100 << 20);
	r = ask(fd, &q, sizeof(q), &b);
	ksft_test_result(!r.error && b.limit_bytes == 100 << 20, "SET memory-limit\n");
	q = request(CONTROL_GC, c->pid, 0);
	r = ask(fd, &q, sizeof(q), &b);
	ksft_test_result(!r.error && b.cycles > a.cycles && b.forced_cycles > a.forced_cycles,
			 "GC is answered after a cycle\n");
	a = b;
	served_tell(c, 'a');
	q = request(CONTROL_FREE, c->pid, 0);
	r = ask(fd, &q, sizeof(q), &b);
	ksft_test_result(!r.error && b.cycles > a.cycles && !b.free_bytes,
			 "FREE is answered when no free memory is left\n");
	close(fd);
}

static void test_wrong(void)
{
	struct control_request q = request(CONTROL_LIST, 0, 0);
	struct {
		struct control_request q;
		char more[100];
	} longer = { .q = request(CONTROL_LIST, 0, 0) };
	struct control_reply r;
	int fd = connect_socket(socket_path);

	q.op = 77;
	r = ask(fd, &q, sizeof(q), NULL);
	ksft_test_result(r.error == EOPNOTSUPP, "a request that there is not: %s\n", r.text);
	longer.q.size = sizeof(longer);
	r = ask(fd, &longer, sizeof(longer), NULL);
	ksft_test_result(!r.error, "a newer peer's longer request is understood\n");
	q = request(CONTROL_LIST, 0, 0);
	r = ask(fd, &q, sizeof(q) - 8, NULL);
	ksft_test_result(r.error == EINVAL, "one that is cut: %s\n", r.text);
	r = ask(fd, &q, sizeof(q), NULL);
	ksft_test_result(r.error == UINT32_MAX, "and then it hangs up\n");
	close(fd);
	fd = connect_socket(socket_path);
	q.version = 9;
	r = ask(fd, &q, sizeof(q), NULL);
	ksft_test_result(r.error == EPROTONOSUPPORT && strstr(r.text, "version 9"),
			 "another version: %s\n", r.text);
	close(fd);
}

static void test_users(void)
{
	struct control_reply r;
	struct control_arena a;
	struct served c;

	if (geteuid()) {
		ksft_test_result_skip("other users: not root\n");
		ksft_test_result_skip("other users: not root\n");
		ksft_test_result_skip("other users: not root\n");
		ksft_test_result_skip("other users: not root\n");
		return;
	}
	c = served_start(socket_path, OWNER, NULL);
	r = ask_as(OWNER, socket_path, request(CONTROL_SET_GC_PERCENT, c.pid, 70), &a);
	ksft_test_result(!r.error && a.gc_percent == 70 && a.uid == OWNER, "a user's own heap\n");
	r = ask_as(STRANGER, socket_path, request(CONTROL_SET_GC_PERCENT, c.pid, 1), NULL);
	ksft_test_result(r.error == EPERM && strstr(r.text, "12345"), "somebody else's: %s\n",
			 r.text);
	r = ask_as(STRANGER, socket_path, request(CONTROL_GC, c.pid, 0), NULL);
	ksft_test_result(r.error == EPERM, "nor a cycle\n");
	r = ask_as(OWNER, socket_path, request(CONTROL_LIST, 0, 0), &a);
	ksft_test_result(!r.error && r.arenas == 1 && r.hidden >= 1 && a.pid == c.pid,
			 "LIST shows one's own, and how many there are beside\n");
	served_end(&c);
}

/* The end of what there is to read. */
static bool hung_up(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, 0) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

/* A user fills up all that it may have; others are served. */
static void test_guests(struct served *c)
{
	int *result = shared_memory(sizeof(int)), ready[2], end[2];
	struct control_reply r;
	char byte;
	pid_t pid;

	if (geteuid()) {
		ksft_test_result_skip("guests: not root\n");
		ksft_test_result_skip("guests: not root\n");
		return;
	}
	if (pipe(ready) || pipe(end))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	pid = fork();
	if (pid == 0) {
		int fds[GUESTS + 20], i;

		close(end[1]);
		if (setresuid(STRANGER, STRANGER, STRANGER))
			_exit(3);
		for (i = 0; i < GUESTS + 20; i++)
			fds[i] = connect_socket(socket_path);
		/* The last ones are hung up on without a word. */
		*result = WAIT_FOR(hung_up(fds[GUESTS + 19]), 1000000, PATIENCE_NS) &&
			  !hung_up(fds[0]);
		if (write(ready[1], "", 1) != 1 || read(end[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	if (read(ready[0], &byte, 1) != 1)
		ksft_print_msg("the guest is gone\n");
	ksft_test_result(*result, "a user has so many connections that say nothing, and no more\n");
	r = ask_as(OWNER, socket_path, request(CONTROL_LIST, 0, 0), NULL);
	ksft_test_result(!r.error && !served_tell(c, 'g').error, "others are answered meanwhile\n");
	close(end[1]);
	wait_status(pid);
}

/* Peers that ask and never read, while a client collects. */
static void test_slow(struct served *c)
{
	struct control_request q = request(CONTROL_LIST, 0, 0);
	int fds[20], i, k, errors = 0;

	for (i = 0; i < 20; i++) {
		fds[i] = connect_socket(socket_path);
		for (k = 0; k < 1000; k++)
			if (send(fds[i], &q, sizeof(q), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
				break;
	}
	for (i = 0; i < 20; i++)
		errors += served_tell(c, 'g').error != 0;
	ksft_test_result(!errors, "peers that never read hold no cycle up\n");
	for (i = 0; i < 20; i++)
		close(fds[i]);
}

/* Messages that are nearly right, or not at all. */
static void fuzz_once(uint64_t *state)
{
	char bytes[1200];
	struct control_request *q = (void *)bytes;
	int fd = connect_socket(socket_path), messages = (int)draw_below(state, 5) + 1;

	while (fd >= 0 && messages--) {
		size_t n = draw_below(state, 4) ? sizeof(*q) : draw_below(state, sizeof(bytes)), i;
		char reply[1200];

		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)draw(state);
		if (draw_below(state, 8))
			q->type = CONTROL_TYPE;
		if (draw_below(state, 8))
			q->version = CONTROL_VERSION;
		if (draw_below(state, 8))
			q->size = (uint32_t)n;
		if (draw_below(state, 8))
			q->reserved = 0;
		if (draw_below(state, 4))
			q->op = (uint32_t)draw_below(state, 8);
		if (draw_below(state, 2))
			q->id = draw_below(state, 4);
		/* Nothing that would change what the client is to do in the end. */
		if (q->op == CONTROL_SET_GC_PERCENT || q->op == CONTROL_SET_MEMORY_LIMIT)
			q->value = -2 - (int64_t)draw_below(state, 1 << 30);
		if (send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		while (draw_below(state, 2) && recv(fd, reply, sizeof(reply), MSG_DONTWAIT) > 0)
			;
	}
	if (fd >= 0)
		close(fd);
}

static void test_fuzz(struct served *c)
{
	uint64_t state = test_seed(), end = now_ns() + FUZZ_NS, n = 0;
	struct control_reply r;
	struct control_arena a;

	while (now_ns() < end) {
		fuzz_once(&state);
		n++;
	}
	/* Those of the last connections may still hold places of guests. */
	WAIT_FOR(!(r = ask_as(0, socket_path, request(CONTROL_GC, c->pid, 0), NULL)).error,
		 10000000, PATIENCE_NS);
	ksft_print_msg("%llu connections\n", (unsigned long long)n);
	ksft_test_result(!r.error && r.pid == collector && !kill(collector, 0),
			 "after random messages the same collector answers: %s\n", r.text);
	r = ask_as(0, socket_path, request(CONTROL_STAT, c->pid, 0), &a);
	ksft_test_result(!served_tell(c, 'g').error && !r.error && a.pid == c->pid,
			 "and has its client\n");
}

static void test_private(void)
{
	struct served c = served_start("off", 0, NULL), quiet;
	char where[64];
	struct control_reply r;
	struct control_arena a = { 0 };
	uint64_t before;

	snprintf(where, sizeof(where), "@" CONTROL_PRIVATE_PREFIX "%d", c.pid);
	WAIT_FOR(!(r = ask_as(0, where, request(CONTROL_STAT, c.pid, 0), &a)).error, 1000000,
		 PATIENCE_NS);
	ksft_test_result(!r.error && r.flags & CONTROL_IS_PRIVATE && a.pid == c.pid,
			 "a private collector answers at an address of its own\n");
	if (!geteuid())
		ksft_test_result(
			ask_as(STRANGER, where, request(CONTROL_GC, c.pid, 0), NULL).error == EPERM,
			"but not to anybody\n");
	else
		ksft_test_result_skip("other users: not root\n");

	/* Killed, its successor takes the address over. */
	before = served_tell(&c, 's').collector_pid;
	kill((pid_t)before, SIGKILL);
	ksft_test_result(
		WAIT_FOR(!(r = ask_as(0, where, request(CONTROL_STAT, c.pid, 0), &a)).error &&
				 r.pid != (int64_t)before,
			 10000000, PATIENCE_NS),
		"nor only the first one\n");
	served_end(&c);

	quiet = served_start("off", 0, "TRICOLOR_CONTROL=off");
	snprintf(where, sizeof(where), "@" CONTROL_PRIVATE_PREFIX "%d", quiet.pid);
	ksft_test_result(connect_socket(where) < 0 && !served_tell(&quiet, 'g').error,
			 "TRICOLOR_CONTROL=off: there is no such address\n");
	served_end(&quiet);
}

/* Half a second without one. */
static bool is_quiet(pid_t pid)
{
	uint64_t before = proc_switches(pid);

	pause_ns(500000000);
	return proc_switches(pid) == before;
}

static void test_idle(void)
{
	struct served c = served_start("off", 0, NULL);
	pid_t pid = (pid_t)served_tell(&c, 's').collector_pid;
	char maps[64];

	snprintf(maps, sizeof(maps), "/proc/%d/maps", pid);
	if (strstr(read_text(maps), "libtsan")) {
		ksft_test_result_skip("the thread sanitizer has a thread that wakes up\n");
		served_end(&c);
		return;
	}
	/* The scavenger has its work to do first; then nothing is left that would wake it. */
	ksft_test_result(WAIT_FOR(is_quiet(pid), 1, 3 * PATIENCE_NS),
			 "an idle private collector does not wake up (%llu times so far)\n",
			 (unsigned long long)proc_switches(pid));
	served_end(&c);
}

int main(void)
{
	char *folder = temporary_folder();
	struct served c;
	int silent;

	ksft_print_header();
	ksft_set_plan(31);
	chmod(folder, 0755);
	snprintf(socket_path, sizeof(socket_path), "%s/s", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	collector = start_daemon(socket_path, log_path);
	silent = connect_socket(socket_path);
	c = served_start(socket_path, 0, NULL);

	test_requests(&c);
	test_wrong();
	test_users();
	test_guests(&c);
	test_slow(&c);
	test_fuzz(&c);
	test_private();
	test_idle();
	ksft_test_result(WAIT_FOR(hung_up(silent), 10000000, 2 * CONTROL_SILENCE_S * 1000000000ull),
			 "who says nothing is hung up on in the end\n");

	ksft_test_result(served_end(&c) == 0, "the client ends\n");
	kill(collector, SIGTERM);
	ksft_test_result(wait_status(collector) == 0, "and so does the collector\n");
	unlink(log_path);
	rmdir(folder);
	ksft_finished();
}
