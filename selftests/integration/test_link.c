// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_link.c - a policy and a marker, each with an enemy at the other end
 *
 * The test is the client's agent, with an arena made by hand, and in turn the marker of a real
 * policy and the policy of a real marker.  It sees what either writes, and does what neither should
 * be harmed by.
 */
#include <poll.h>

#include "lib/by_hand.h"
#include "core/proto/control.h"
#include "lib/groups.h"
/* The protocol between two collectors, both ends of which are the daemon. */
#include "daemon/clients/link.h"
#include "lib/served.h"

#define MIB (1ll << 20)
#define HELD_MAX 1000			/* messages that a socket holds: far more than it does */

static char socket_path[128], log_path[128];
static pid_t daemon_pid;

static void set_patience(int sock)
{
	struct timeval patience = { PATIENCE_NS / 1000000000, 0 };

	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		ksft_exit_fail_msg("setsockopt: %s\n", strerror(errno));
}

static struct board *map_board(int fd)
{
	struct board *b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return b == MAP_FAILED ? NULL : b;
}

static bool say(int sock, uint32_t type, uint32_t version, uint32_t level, const char *text)
{
	struct link_msg msg = { .type = type, .version = version, .level = level, .pid = 77 };

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	return send(sock, &msg, sizeof(msg), MSG_NOSIGNAL) == sizeof(msg);
}

/* Whether the other side hangs up, whatever it says before. */
static bool at_end(int sock)
{
	struct tri_msg msg;
	ssize_t n;

	do
		n = recv(sock, &msg, sizeof(msg), 0);
	while (n > 0);
	return n == 0 || errno == ECONNRESET;
}

/* The same, without waiting for it. */
static bool hung_up(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1;
}

/* ------------------------------------------------------------------------------------------ */
/* The test is a marker                                                                       */
/* ------------------------------------------------------------------------------------------ */

struct marker {
	struct client c;
	struct board *board;
};

static bool begin(struct marker *m)
{
	struct tri_msg welcome;
	int fds[2];

	make_arena(&m->c);
	tri_write(&m->c.view.ctl->memory_limit_bytes, 0);
	m->c.sock = connect_to(socket_path);
	if (!hello(m->c.sock, m->c.file, TRI_HELLO_STARTS_MARKER, &welcome, fds))
		return false;
	m->board = fds[0] < 0 ? NULL : map_board(fds[0]);
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	return welcome.type == TRI_MSG_WELCOME && welcome.kind == TRI_WELCOME_POLICY && m->board;
}

static void leave(struct marker *m)
{
	close(m->c.sock);
	close(m->c.file);
	munmap(m->c.view.ctl, m->c.view.layout.file_bytes);
	if (m->board)
		munmap(m->board, 4096);
}

/* A request about us, on a socket of its own. */
static int request(enum control_op op, int64_t value)
{
	struct control_request q = { .type = CONTROL_TYPE, .version = CONTROL_VERSION, .op = op,
				     .size = sizeof(q), .pid = getpid(), .value = value };
	int sock = connect_to(socket_path);
	struct timeval patience = { 2 * CONTROL_SILENCE_S, 0 };

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(sock, &q, sizeof(q), MSG_NOSIGNAL) != sizeof(q))
		ksft_exit_fail_msg("%s: %s\n", socket_path, strerror(errno));
	return sock;
}

/* Its answer, and what it says of us; an errno. */
static int answer(int sock, struct control_arena *arena)
{
	struct control_reply reply = { .error = ETIMEDOUT };

	memset(arena, 0, sizeof(*arena));
	if (recv(sock, &reply, sizeof(reply), 0) > 0 && !reply.error && reply.arenas &&
	    recv(sock, arena, sizeof(*arena), 0) < 0)
		reply.error = ETIMEDOUT;
	close(sock);
	if (reply.error)
		ksft_print_msg("answer: %s %s\n", strerror((int)reply.error), reply.text);
	return (int)reply.error;
}

/* Meet an order of @kind that has come, or comes; its value. */
static int64_t meet(struct marker *m, enum board_order kind)
{
	uint32_t number;
	int64_t value;

	if (!WAIT_FOR(board_take(m->board, kind, atomic_load(&m->board->mailbox[kind].done),
				 &number, &value),
		      1000000, PATIENCE_NS))
		return INT64_MIN;
	board_done(m->board, kind, number);
	atomic_fetch_or(&m->board->wants, BOARD_MET);
	say(m->c.sock, LINK_RING, LINK_VERSION, 0, "");
	return value;
}

static bool attach(struct marker *m)
{
	struct control_arena arena;

	return begin(m) && say(m->c.sock, LINK_ATTACH, LINK_VERSION, 0, "") &&
	       WAIT_FOR(!answer(request(CONTROL_STAT, 0), &arena), 1000000, PATIENCE_NS);
}

static void test_welcome(void)
{
	struct tri_msg welcome = { 0 };
	struct client c = { .sock = -1 };
	struct stat st = { 0 };
	int fds[2], seals;
	char magic[4] = "";

	make_arena(&c);
	c.sock = connect_to(socket_path);
	hello(c.sock, c.file, TRI_HELLO_STARTS_MARKER, &welcome, fds);
	seals = fcntl(fds[0], F_GET_SEALS);
	ksft_test_result(welcome.type == TRI_MSG_WELCOME && welcome.kind == TRI_WELCOME_POLICY &&
				 seals == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) &&
				 ftruncate(fds[0], 0) < 0,
			 "a client that starts markers gets a board that can't be cut\n");
	ksft_test_result(welcome.welcome.descriptors == 1 ||
				 (welcome.welcome.descriptors == 2 && !fstat(fds[1], &st) &&
				  S_ISREG(st.st_mode) && pread(fds[1], magic, 4, 0) == 4 &&
				  !memcmp(magic, "\177ELF", 4) &&
				  (fcntl(fds[1], F_GETFL) & O_ACCMODE) == O_RDONLY),
			 "and a program, if there is one to lend, to be read only\n");
	close(fds[0]);
	close(fds[1]);
	close(c.sock);
	c.sock = connect_to(socket_path);
	hello(c.sock, c.file, 0, &welcome, fds);
	ksft_test_result(welcome.type == TRI_MSG_WELCOME && welcome.kind == TRI_WELCOME_MARKS &&
				 fds[0] < 0,
			 "one that does not is served as ever\n");
	close(c.sock);
	close(c.file);
	munmap(c.view.ctl, c.view.layout.file_bytes);
}

static void test_control(void)
{
	struct board_figures f = { .gc_percent = 33,
				   .live_bytes = 5 * MIB,
				   .limit_bytes = INT64_MAX };
	struct control_arena arena;
	struct marker m;
	int sock;
	bool ok = attach(&m);

	board_publish(m.board, &f);
	ok = ok && !answer(request(CONTROL_STAT, 0), &arena);
	ksft_test_result(ok && arena.live_bytes == 5 * MIB && arena.gc_percent == 33,
			 "what a marker publishes is what the policy says of it\n");
	sock = request(CONTROL_SET_GC_PERCENT, 44);
	ok = meet(&m, ORDER_GC_PERCENT) == 44;
	ksft_test_result(ok && !answer(sock, &arena),
			 "a setting goes to the marker, and its answer back\n");
	sock = request(CONTROL_GC, 0);
	ok = meet(&m, ORDER_GC) == 0;
	ksft_test_result(ok && !answer(sock, &arena), "so does a cycle that is asked for\n");
	sock = request(CONTROL_GC, 0);
	ok = WAIT_FOR(atomic_load(&m.board->mailbox[ORDER_GC].asked) == 2, 1000000, PATIENCE_NS);
	close(m.c.sock);
	ksft_test_result(ok && answer(sock, &arena) == ESRCH,
			 "who waits for a marker that ends is told\n");
	m.c.sock = -1;
	leave(&m);
}

static bool let_go_after(uint32_t type, uint32_t version, size_t size)
{
	struct link_msg msg = { .type = type, .version = version };
	struct marker m;
	bool ok = begin(&m) && send(m.c.sock, &msg, size, MSG_NOSIGNAL) == (ssize_t)size &&
		  at_end(m.c.sock);

	leave(&m);
	return ok;
}

/* How often a text is in the policy's log. */
static unsigned int logged(const char *text)
{
	const char *at = read_text(log_path);
	unsigned int n;

	for (n = 0; (at = strstr(at, text)); n++)
		at++;
	return n;
}

static void test_hostile_marker(void)
{
	struct control_arena arena;
	struct marker m, other;
	uint64_t began;
	unsigned int i;
	bool ok;

	ksft_test_result(let_go_after(LINK_RING, LINK_VERSION, sizeof(struct link_msg)) &&
			 let_go_after(LINK_ATTACH, LINK_VERSION + 1, sizeof(struct link_msg)) &&
			 let_go_after(LINK_ATTACH, LINK_VERSION, 7),
			 "one that begins with something else than ATTACH is let go of\n");
	ok = attach(&m);
	memset(m.board, 0xff, sizeof(*m.board));
	ok = ok && !answer(request(CONTROL_STAT, 0), &arena);
	ksft_test_result(ok && arena.live_bytes <= 2 * arena.arena_bytes && arena.phase < 16,
			 "a board full of ones is no harm\n");
	/* It rings for all that there is, and logs, without an end. */
	ok = true;
	began = now_ns();
	for (i = 0; i < 3000; i++) {
		atomic_store(&m.board->wants, ~0u);
		ok = ok &&
		     say(m.c.sock, LINK_LOG, LINK_VERSION, i % 2 ? 2 : 99,
			 "line of an enemy \033[2J\n") &&
		     say(m.c.sock, 1000 + i, LINK_VERSION, 0, "");
	}
	/* All but what the socket holds has been read by now, sixteen in each window. */
	ksft_test_result(ok && now_ns() - began >=
					 (6000 - HELD_MAX) / LINK_MESSAGES * LINK_PAUSE_NS,
			 "one that rings all the time is not heard all the time\n");
	ok = ok && attach(&other);
	ksft_test_result(ok, "one that rings all the time keeps no other from coming\n");
	leave(&other);
	leave(&m);
	/* The whole log has 200 lines at once: one marker is not to spend them all. */
	ksft_test_result(logged("line of an enemy") && logged("line of an enemy") < 100 &&
				 !logged("\033"),
			 "what it has logged is little, and clean\n");
	ksft_test_result(kill(daemon_pid, 0) == 0, "the policy lives\n");
}

static void test_log(void)
{
	struct marker m;
	bool ok = attach(&m) && say(m.c.sock, LINK_LOG, LINK_VERSION, 2, "a line of the marker");

	ok = ok &&
	     WAIT_FOR(strstr(read_text(log_path), "a line of the marker"), 1000000, PATIENCE_NS);
	ksft_test_result(ok && strstr(read_text(log_path), "marker of client"),
			 "a marker's line is in the policy's log, with whose it is\n");
	leave(&m);
}

/* ------------------------------------------------------------------------------------------ */
/* The test is a policy                                                                       */
/* ------------------------------------------------------------------------------------------ */

struct policy {
	struct client c;		/* and agent */
	pid_t pid;
	struct board *board;
	int link;			/* our end */
	uint32_t asked[ORDERS];
};

static int board_file(off_t bytes, int seals)
{
	int fd = memfd_create("board", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, bytes) || fcntl(fd, F_ADD_SEALS, seals))
		ksft_exit_fail_msg("no memfd: %s\n", strerror(errno));
	return fd;
}

#define GOOD (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Hand over a link and the board @fd, which is closed. */
static bool hand_over(struct policy *p, int fd)
{
	struct tri_msg msg = { .type = TRI_MSG_POLICY, .version = TRI_PROTO_ID };
	int pair[2];
	bool ok;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		ksft_exit_fail_msg("socketpair: %s\n", strerror(errno));
	set_patience(pair[0]);
	p->link = pair[0];
	p->board = map_board(fd);
	ok = send_with(p->c.sock, &msg, (int[]){ pair[1], fd }, 2);
	close(pair[1]);
	close(fd);
	memset(p->asked, 0, sizeof(p->asked));
	return ok;
}

static bool is_attached(struct policy *p)
{
	struct link_msg msg;

	return recv(p->link, &msg, sizeof(msg), 0) == sizeof(msg) && msg.type == LINK_ATTACH &&
	       msg.version == LINK_VERSION && msg.pid == p->pid;
}

/* A private collector, up to its WELCOME. */
static void start_marker(struct policy *p)
{
	char *argv[] = { (char *)daemon_path(), (char *)"--private", (char *)"3",
			 (char *)"--no-control", NULL };
	posix_spawn_file_actions_t files;
	struct tri_msg welcome;
	extern char **environ;
	int pair[2], none[2];

	memset(p, 0, sizeof(*p));
	p->link = -1;
	make_arena(&p->c);
	tri_write(&p->c.view.ctl->memory_limit_bytes, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		ksft_exit_fail_msg("socketpair: %s\n", strerror(errno));
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, pair[1], 3);
	if (posix_spawn(&p->pid, argv[0], &files, NULL, argv, environ))
		ksft_exit_fail_msg("%s: %s\n", argv[0], strerror(errno));
	posix_spawn_file_actions_destroy(&files);
	close(pair[1]);
	p->c.sock = pair[0];
	set_patience(p->c.sock);
	if (!hello(p->c.sock, p->c.file, TRI_HELLO_DEFAULT_GC_PERCENT, &welcome, none) ||
	    welcome.kind != TRI_WELCOME_MARKS)
		ksft_exit_fail_msg("the marker does not welcome its client\n");
}

static bool first_request(struct policy *p)
{
	struct tri_msg first = { .type = TRI_MSG_REQUEST };

	return send(p->c.sock, &first, sizeof(first), MSG_NOSIGNAL) == sizeof(first);
}

/*
 * Answer handshakes until one of @kind was answered, or POLICY_GONE came and is waited for (@kind
 * 0): its errno, or 0.  -1: nothing came.
 */
static int play_until(struct policy *p, uint32_t kind)
{
	struct tri_msg m;

	for (;;) {
		if (recv(p->c.sock, &m, sizeof(m), 0) != sizeof(m))
			return -1;
		if (m.type == TRI_MSG_POLICY_GONE && !kind)
			return (int)m.gone.error;
		if (m.type != TRI_MSG_HANDSHAKE)
			continue;
		kind = kind == m.kind ? ~0u : kind;
		m = (struct tri_msg){ .type = TRI_MSG_ANSWER,
				      .kind = m.kind,
				      .cycle = m.cycle,
				      .answer.threads = 1 };
		if (send(p->c.sock, &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m))
			return -1;
		if (kind == ~0u)
			return 0;
	}
}

static void give_order(struct policy *p, enum board_order kind, int64_t value)
{
	board_order(p->board, kind, ++p->asked[kind], value);
	say(p->link, LINK_RING, LINK_VERSION, 0, "");
}

static bool is_done(struct policy *p, enum board_order kind)
{
	return WAIT_FOR(board_is_met(p->board, kind, p->asked[kind]), 1000000, PATIENCE_NS);
}

/* A cycle that the client asks for, to its end. */
static bool runs_cycle(struct policy *p)
{
	struct tri_msg ask = { .type = TRI_MSG_REQUEST, .request.wants = TRI_REQUEST_GC,
			       .request.gc_number = tri_read(&p->c.view.ctl->gc_done) + 1 };

	return send(p->c.sock, &ask, sizeof(ask), MSG_NOSIGNAL) == sizeof(ask) &&
	       !play_until(p, TRI_HANDSHAKE_BARRIER_OFF) &&
	       WAIT_FOR(tri_read(&p->c.view.ctl->gc_done) == ask.request.gc_number, 1000000,
			PATIENCE_NS);
}

/* Its client and its policy are gone: whether it ends in order. */
static bool ends(struct policy *p)
{
	int status;

	close(p->c.sock);
	close(p->c.file);
	close(p->link);
	munmap(p->c.view.ctl, p->c.view.layout.file_bytes);
	if (p->board)
		munmap(p->board, 4096);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void end_marker(struct policy *p)
{
	ksft_test_result(ends(p), "the marker ended in order\n");
}

static bool rings_for(struct policy *p, uint32_t want)
{
	struct link_msg msg;

	while (recv(p->link, &msg, sizeof(msg), 0) == sizeof(msg))
		if (msg.type == LINK_RING && atomic_exchange(&p->board->wants, 0) & want)
			return true;
	return false;
}

static void test_orders(void)
{
	struct board_figures f;
	struct policy p;
	bool ok;

	start_marker(&p);
	/* Before the first request, and with a setting of the policy's on the board. */
	ok = hand_over(&p, board_file(4096, GOOD));
	atomic_store(&p.board->defaults.gc_percent, 55);
	ok = ok && first_request(&p) && is_attached(&p);
	ksft_test_result(
		ok && WAIT_FOR(board_read(p.board, &f, 100) && f.published_ns, 1000000,
			       PATIENCE_NS),
		"a policy that comes before the first request is attached, and sees figures\n");
	give_order(&p, ORDER_DEFAULTS, 0);
	ksft_test_result(is_done(&p, ORDER_DEFAULTS) && tri_read(&p.c.view.ctl->gc_percent) == 55,
			 "its configuration holds for who has not chosen\n");
	give_order(&p, ORDER_SHARE, 40 * MIB);
	ksft_test_result(is_done(&p, ORDER_SHARE) &&
				 tri_read(&p.c.view.ctl->limit_bytes) == 40 * MIB,
			 "a share is in force\n");
	give_order(&p, ORDER_GC, 0);
	ok = !play_until(&p, TRI_HANDSHAKE_BARRIER_OFF) && is_done(&p, ORDER_GC) &&
	     rings_for(&p, BOARD_MET);
	ksft_test_result(ok, "a cycle that it orders is run, and it is told\n");
	give_order(&p, ORDER_GC_PERCENT, 2000000000);
	give_order(&p, ORDER_SHARE, -5);
	give_order(&p, ORDER_PRESSURE, 1 << 20);
	ok = is_done(&p, ORDER_PRESSURE) && is_done(&p, ORDER_SHARE) &&
	     is_done(&p, ORDER_GC_PERCENT);
	ksft_test_result(ok && tri_read(&p.c.view.ctl->gc_percent) == 55 &&
				 tri_read(&p.c.view.ctl->limit_bytes) == 40 * MIB &&
				 tri_read(&p.c.view.ctl->pressure) < 8,
			 "orders that make no sense change nothing\n");
	atomic_store(&p.board->wants, 0);
	atomic_store(&p.board->asleep, 1);
	ok = runs_cycle(&p) && rings_for(&p, BOARD_WAKE) && !atomic_load(&p.board->asleep);
	ksft_test_result(ok, "a policy whose watcher sleeps is woken by a cycle\n");

	/* The policy dies between two handshakes. */
	give_order(&p, ORDER_GC, 0);
	ok = !play_until(&p, TRI_HANDSHAKE_START);
	close(p.link);
	ok = ok && !play_until(&p, TRI_HANDSHAKE_BARRIER_OFF) && runs_cycle(&p);
	ksft_test_result(ok, "its end in the midst of a cycle is none of the cycle's\n");
	munmap(p.board, 4096);
	ok = hand_over(&p, board_file(4096, GOOD)) && is_attached(&p) && runs_cycle(&p);
	ksft_test_result(ok, "the same marker takes another policy\n");
	/* That one ends just when it is told of an order that was met, and there are more. */
	shutdown(p.link, SHUT_RD);
	board_order(p.board, ORDER_GC_PERCENT, ++p.asked[ORDER_GC_PERCENT], 66);
	board_order(p.board, ORDER_MEMORY_LIMIT, ++p.asked[ORDER_MEMORY_LIMIT], 30 * MIB);
	say(p.link, LINK_RING, LINK_VERSION, 0, "");
	ok = !play_until(&p, 0) && runs_cycle(&p);
	ksft_test_result(ok && tri_read(&p.c.view.ctl->gc_percent) == 66,
			 "an end while orders are taken is noticed there\n");
	end_marker(&p);
}

static void test_replaced(void)
{
	struct policy p;
	int first;
	bool ok;

	start_marker(&p);
	ok = first_request(&p) && hand_over(&p, board_file(4096, GOOD)) && is_attached(&p);
	first = p.link;
	munmap(p.board, 4096);
	ok = ok && hand_over(&p, board_file(4096, GOOD)) && is_attached(&p) && at_end(first);
	close(first);
	give_order(&p, ORDER_SHARE, 30 * MIB);
	ok = ok && is_done(&p, ORDER_SHARE);
	ksft_test_result(ok && tri_read(&p.c.view.ctl->limit_bytes) == 30 * MIB,
			 "a second policy takes the place of the first\n");
	end_marker(&p);
}

static int64_t in_force(const struct policy *p)
{
	return tri_read(&p->c.view.ctl->limit_bytes);
}

/*
 * A client in @g, and a policy that gets no CPU time: what is in force until it has some, then, and
 * after its end.
 */
static int silent(const struct test_group *g)
{
	struct policy p;
	bool ok;

	if (!group_enter(g, getpid()))
		return 1;
	start_marker(&p);
	ok = hand_over(&p, board_file(4096, GOOD)) && first_request(&p) && is_attached(&p);
	if (!ok || !WAIT_FOR(in_force(&p) < 64 * MIB, 1000000, PATIENCE_NS))
		return 2;
	give_order(&p, ORDER_SHARE, 20 * MIB);
	if (!is_done(&p, ORDER_SHARE) || in_force(&p) != 20 * MIB)
		return 3;
	/* It ends. */
	munmap(p.board, 4096);
	close(p.link);
	if (!WAIT_FOR(in_force(&p) > 20 * MIB && in_force(&p) < 64 * MIB, 1000000, PATIENCE_NS))
		return 4;
	p.link = -1;
	p.board = NULL;
	return ends(&p) ? 0 : 5;
}

static void test_silent(void)
{
	struct test_group g;
	pid_t pid;
	int status;

	if (!group_make(&g, "memory", "link") || !group_limit(&g, 64 * MIB)) {
		ksft_test_result_skip("a policy that orders nothing: %s\n", group_why());
		return;
	}
	pid = fork();
	if (!pid)
		_exit(silent(&g));
	status = wait_status(pid);
	ksft_test_result(
		!status,
		"until a policy has ordered a share the marker finds one itself (status %d)\n",
		status);
	group_remove(&g);
}

/* Hand over a policy that is not taken: with what errno it is told. */
static int not_taken(struct policy *p, int fd)
{
	int err = hand_over(p, fd) ? play_until(p, 0) : -1;

	if (!at_end(p->link))
		err = -1;
	close(p->link);
	if (p->board)
		munmap(p->board, 4096);
	p->link = -1;
	p->board = NULL;
	return err;
}

static void test_hostile_policy(void)
{
	struct tri_msg bare = { .type = TRI_MSG_POLICY, .version = TRI_PROTO_ID };
	int link, err, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct policy p;
	bool ok;

	start_marker(&p);
	ok = first_request(&p) &&
	     not_taken(&p, board_file(4096, F_SEAL_GROW | F_SEAL_SEAL)) == EPERM &&
	     not_taken(&p, board_file(4096, F_SEAL_SHRINK | F_SEAL_GROW)) == EPERM &&
	     not_taken(&p, board_file(8192, GOOD)) == EPROTONOSUPPORT &&
	     not_taken(&p, board_file(0, GOOD)) == EPROTONOSUPPORT;
	ksft_test_result(ok && runs_cycle(&p),
			 "a board that could be cut, or has another size, is not taken\n");
	ok = send_with(p.c.sock, &bare, &null, 1) && play_until(&p, 0) > 0 &&
	     send_with(p.c.sock, &bare, (int[]){ null, board_file(4096, GOOD) }, 2) &&
	     play_until(&p, 0) > 0;
	ksft_test_result(ok && runs_cycle(&p), "nor is a link that is none\n");
	ok = hand_over(&p, board_file(4096, GOOD)) && is_attached(&p) &&
	     say(p.link, 99, LINK_VERSION, 0, "");
	err = play_until(&p, 0);
	link = p.link;
	ksft_test_result(ok && err == EPROTO && at_end(link) && runs_cycle(&p),
			 "a policy that talks nonsense is left, and the agent is told\n");
	close(link);
	munmap(p.board, 4096);
	ok = hand_over(&p, board_file(4096, GOOD)) && is_attached(&p);
	memset(p.board, 0xff, sizeof(*p.board));
	say(p.link, LINK_RING, LINK_VERSION, 0, "");
	ok = ok && runs_cycle(&p) && runs_cycle(&p);
	ksft_test_result(ok, "a board full of ones is no harm\n");
	close(p.link);
	err = play_until(&p, 0);
	munmap(p.board, 4096);
	ksft_test_result(err == 0, "the agent is told of an end\n");

	/* One that is stopped: it has been rung, and never looks. */
	ok = hand_over(&p, board_file(4096, GOOD)) && is_attached(&p);
	atomic_store(&p.board->asleep, 1);
	ok = ok && WAIT_FOR(!runs_cycle(&p) || hung_up(p.link), 20000000, 2 * PATIENCE_NS);
	ksft_test_result(ok, "a policy that does not look at its board for seconds is left\n");
	close(null);
	end_marker(&p);
}

int main(void)
{
	const char *folder = temporary_folder();

	ksft_print_header();
	ksft_set_plan(35);
	snprintf(socket_path, sizeof(socket_path), "%s/s", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	signal(SIGPIPE, SIG_IGN);
	daemon_pid = start_daemon(socket_path, log_path);
	test_welcome();
	test_control();
	test_log();
	test_hostile_marker();
	kill(daemon_pid, SIGTERM);
	ksft_test_result(wait_status(daemon_pid) == 0, "the policy ends when it is told to\n");
	test_orders();
	test_replaced();
	test_silent();
	test_hostile_policy();
	unlink(log_path);
	rmdir(folder);
	ksft_finished();
}
