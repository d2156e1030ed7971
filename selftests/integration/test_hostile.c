// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_hostile.c - clients that speak the protocol, and mean no good; one at a time
 *
 * selftests/fuzz throws anything at a collector.  Here is what has to be aimed: each client is a
 * connection of this process with an arena made by hand, and the collector is to come to no harm.
 */
#include <linux/userfaultfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "lib/by_hand.h"
#include "core/proto/control.h"
#include "lib/process.h"

#define HEAP_BYTES ((uint64_t)HEAP_PAGES << TRI_PAGE_SHIFT)
#define LARGE (TRI_SPAN_CLASS_LARGE + TRI__CONSERVATIVE)

static char socket_path[128], log_path[128];
static pid_t daemon_pid;

/* Up to its WELCOME. */
static bool knock(struct client *c)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct tri_msg hello = { .type = TRI_MSG_HELLO, .version = TRI_PROTO_ID, .text = "0.1.0" };
	struct iovec iov = { &hello, sizeof(hello) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	hello.client.fds[0] = TRI_FD_ARENA;
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &c->file, sizeof(int));
	c->sock = connect_to(socket_path);
	if (sendmsg(c->sock, &m, MSG_NOSIGNAL) != sizeof(hello) ||
	    recv(c->sock, &hello, sizeof(hello), 0) != sizeof(hello))
		return false;
	if (hello.type == TRI_MSG_REFUSE)
		ksft_print_msg("refused: %s\n", hello.text);
	return hello.type == TRI_MSG_WELCOME;
}

/* And the first request, without which a collector does nothing. */
static bool say_hello(struct client *c)
{
	struct tri_msg first = { .type = TRI_MSG_REQUEST };

	return knock(c) && send(c->sock, &first, sizeof(first), MSG_NOSIGNAL) == sizeof(first);
}

static void ask_for_cycle(struct client *c)
{
	struct tri_msg ask = { .type = TRI_MSG_REQUEST,
			       .request = { TRI_REQUEST_GC, .gc_number = 1 } };

	if (send(c->sock, &ask, sizeof(ask), MSG_NOSIGNAL) < 0)
		return;
}

/* The next handshake, answered as is right; its kind, 0: hung up on, -1: nothing came. */
static int play_along(struct client *c)
{
	struct tri_msg m;
	ssize_t n;

	do {
		n = recv(c->sock, &m, sizeof(m), 0);
		if (n <= 0)
			return n == 0 || errno == ECONNRESET ? 0 : -1;
	} while (m.type != TRI_MSG_HANDSHAKE);
	if (c->meddles)
		tri_write(&c->view.grey[7], 1);
	m = (struct tri_msg){ .type = TRI_MSG_ANSWER, .kind = m.kind, .cycle = m.cycle,
			      .answer.threads = 1 };
	if (send(c->sock, &m, sizeof(m), MSG_NOSIGNAL) < 0)
		return 0;
	return (int)m.kind;
}

static void leave(struct client *c)
{
	close(c->sock);
	close(c->file);
	munmap(c->view.ctl, c->view.layout.file_bytes);
}

/* A mutator hands over the object at @page: marked, to be scanned. */
static void hand_over(struct client *c, uint32_t page)
{
	struct tri_buffer *b = &c->view.buffers[0];

	tri_write(&b->entry[0], TRI_ENTRY_GREY | (uint64_t)page << TRI_PAGE_SHIFT);
	tri_write(&b->count, 1);
	tri_write(&b->state, TRI_BUFFER_FULL);
	tri_write(&c->view.ctl->full_buffers, 1);
	tri_write(&c->view.ctl->buffers_used, 1);
}

/*
 * One object as large as the heap, said to be zeroed and never written: whoever reads it gives it
 * memory, and pays.
 */
static bool test_holes(void)
{
	struct client c = { .sock = -1 };
	struct stat before, after;
	uint32_t page;
	int kind;

	make_arena(&c);
	for (page = 1; page < HEAP_PAGES; page++) {
		tri_write(&c.view.page_map[page], LARGE);
		tri_write(&c.view.span_of[page], 1);
	}
	tri_write(&c.view.spans[1].pages, HEAP_PAGES - 1);
	tri_write(&c.view.spans[1].needs_zero, 1);
	tri_write(&c.view.spans[1].state, TRI_STATE(LARGE, TRI_SPAN_LARGE, 0, 0));
	hand_over(&c, 1);
	if (fstat(c.file, &before) || !say_hello(&c))
		return false;
	ask_for_cycle(&c);
	do
		kind = play_along(&c);
	while (kind > 0 && kind != TRI_HANDSHAKE_BARRIER_OFF);
	if (fstat(c.file, &after))
		return false;
	ksft_print_msg("the arena has %lld KiB more than the client gave it\n",
		       (long long)(after.st_blocks - before.st_blocks) / 2);
	leave(&c);
	return kind >= 0 && (uint64_t)(after.st_blocks - before.st_blocks) * 512 < HEAP_BYTES / 16;
}

/*
 * It is welcomed, and says no more: as one does that has just lost patience, and has another
 * collector at work in the same arena by now.  Nothing may be written there: not a setting, and no
 * span is swept.
 */
static bool test_two_collectors(void)
{
	struct client c = { .sock = -1 };
	size_t bytes, i, differ = 0;
	char *before, byte;
	bool welcome;

	make_arena(&c);
	tri_write(&c.view.page_map[1], 1);
	tri_write(&c.view.spans[1].pages, 1);
	tri_write(&c.view.spans[1].state, TRI_STATE(1, TRI_SPAN_IDLE, 0, 5));
	/* Everything but buffers and heap. */
	bytes = c.view.layout.buffers;
	before = malloc(bytes);
	memcpy(before, c.view.ctl, bytes);
	welcome = knock(&c);
	/* Its end of file comes when the collector has let go of the arena. */
	shutdown(c.sock, SHUT_WR);
	welcome = welcome && recv(c.sock, &byte, 1, 0) == 0;
	for (i = 0; i < bytes; i++)
		differ += before[i] != ((char *)c.view.ctl)[i];
	ksft_print_msg("%zu bytes of tables were changed\n", differ);
	free(before);
	leave(&c);
	return welcome && !differ;
}

static bool order_gc_percent(int64_t percent)
{
	struct control_request q = { .type = CONTROL_TYPE,
				     .version = CONTROL_VERSION,
				     .op = CONTROL_SET_GC_PERCENT,
				     .size = sizeof(q),
				     .pid = getpid(),
				     .value = percent };
	struct control_reply reply = { .error = ~0u };
	int sock = connect_to(socket_path);
	struct timeval patience = { 2 * CONTROL_SILENCE_S, 0 };

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(sock, &q, sizeof(q), MSG_NOSIGNAL) == sizeof(q) &&
	    recv(sock, &reply, sizeof(reply), 0) < 0)
		reply.error = ETIMEDOUT;
	close(sock);
	if (reply.error)
		ksft_print_msg("answer to an order: %s %s\n", strerror((int)reply.error),
			       reply.text);
	return !reply.error;
}

/* It has begun to sweep two spans, and never ends: as one does that was stopped there. */
static bool test_sweep(void)
{
	const uint32_t pages[2] = { 1, HEAP_PAGES - 1 };
	struct client c = { .sock = -1 };
	uint64_t wakes;
	bool heard;
	int i;

	make_arena(&c);
	for (i = 0; i < 2; i++) {
		tri_write(&c.view.page_map[pages[i]], 1);
		tri_write(&c.view.spans[pages[i]].state, TRI_STATE(1, TRI_SPAN_CLIENT, 0, 5));
	}
	if (!say_hello(&c))
		return false;
	heard = order_gc_percent(50) && tri_read(&c.view.ctl->gc_percent) == 50;
	wakes = proc_switches(daemon_pid);
	pause_ns(2000000000);
	wakes = proc_switches(daemon_pid) - wakes;
	ksft_print_msg("%llu wake-ups in two seconds\n", (unsigned long long)wakes);
	leave(&c);
	return heard && wakes < 200;
}

/*
 * It gives back spans to be scanned that it was never offered.  Who does so all the time would keep
 * the marker at it for as long: that is not what ends a cycle, and the arena is given up.
 */
static bool test_grey(void)
{
	struct client c = { .sock = -1 };
	int kind;

	make_arena(&c);
	tri_write(&c.view.page_map[1], 1 + TRI__CONSERVATIVE);
	if (!say_hello(&c))
		return false;
	c.meddles = true;
	ask_for_cycle(&c);
	do
		kind = play_along(&c);
	while (kind > 0 && kind != TRI_HANDSHAKE_BARRIER_OFF);
	leave(&c);
	return kind == 0;
}

/*
 * A user who can do no more than connect makes arenas as large as they may be, of which none has
 * any memory, until no more is taken.  Others are served all the same.
 */
static bool test_address_space(void)
{
	struct client mine = { .sock = -1 };
	int got[2], until[2], taken = -1;
	pid_t pid;
	bool ok;

	if (pipe(got) || pipe(until))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	pid = fork();
	if (!pid) {
		struct client c = { .sock = -1 };
		char byte;

		close(until[1]);
		if (setgid(65534) || setuid(65534))
			_exit(2);
		for (taken = 0; taken < 200; taken++) {
			make_file(&c, TRI_MAX_HEAP_PAGES);
			if (!say_hello(&c))
				break;
			munmap(c.view.ctl, c.view.layout.file_bytes);
			close(c.file);
		}
		if (write(got[1], &taken, sizeof(taken)) != sizeof(taken))
			_exit(2);
		/* The connections live as long as this process. */
		_exit(read(until[0], &byte, 1) ? 2 : 0);
	}
	close(until[0]);
	close(got[1]);
	ok = pid > 0 && read(got[0], &taken, sizeof(taken)) == sizeof(taken);
	ksft_print_msg("%d arenas of 1 TiB were taken\n", taken);
	make_file(&mine, TRI_MAX_HEAP_PAGES);
	ok = ok && taken > 0 && say_hello(&mine);
	close(until[1]);
	ok = ok && wait_status(pid) == 0;
	leave(&mine);
	close(got[0]);
	return ok;
}

static unsigned int lines_of_log(void)
{
	FILE *f = fopen(log_path, "re");
	unsigned int n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

/* It is refused as fast as it can ask for it: the log stays a log. */
static bool test_log(void)
{
	struct tri_msg m = { .type = TRI_MSG_HELLO, .version = TRI_PROTO_ID };
	unsigned int lines = lines_of_log(), refused = 0;
	int i, sock;

	for (i = 0; i < 2000; i++) {
		sock = connect_to(socket_path);
		if (send(sock, &m, sizeof(m), MSG_NOSIGNAL) == sizeof(m) &&
		    recv(sock, &m, sizeof(m), 0) == sizeof(m) && m.type == TRI_MSG_REFUSE)
			refused++;
		m = (struct tri_msg){ .type = TRI_MSG_HELLO, .version = TRI_PROTO_ID };
		close(sock);
	}
	lines = lines_of_log() - lines;
	ksft_print_msg("%u refusals, %u lines in the log\n", refused, lines);
	return refused > 1000 && lines < refused;
}

/* What the daemon has when all have left: its own few, and two for each of the last clients. */
#define IDLE_DESCRIPTORS (13 + 2 * 16)
#define DESCRIPTORS 8			/* that it may have besides */
/* More than it can have, even if all of those are let go of meanwhile. */
#define CONNECTIONS (IDLE_DESCRIPTORS + DESCRIPTORS + 1)

/* More connections than there are descriptors for: some are hung up on, and nobody waits. */
static bool test_descriptors(void)
{
	/* Clients of the tests before are let go of; see daemon/service/ended_clients.c too. */
	bool ok = WAIT_FOR(proc_entries(daemon_pid, "fd") <= IDLE_DESCRIPTORS, 10000000,
			   PATIENCE_NS);
	rlim_t most = (rlim_t)proc_entries(daemon_pid, "fd") + DESCRIPTORS;
	struct rlimit limit = { most, most };
	unsigned int lines = lines_of_log();
	int sock[CONNECTIONS], i;
	char byte;

	if (prlimit(daemon_pid, RLIMIT_NOFILE, &limit, NULL))
		ksft_exit_fail_msg("prlimit: %s\n", strerror(errno));
	for (i = 0; i < CONNECTIONS; i++)
		sock[i] = connect_to(socket_path);
	ok = ok && recv(sock[CONNECTIONS - 1], &byte, 1, 0) == 0;
	for (i = 0; i < CONNECTIONS; i++)
		close(sock[i]);
	lines = lines_of_log() - lines;
	ksft_print_msg("%u lines in the log\n", lines);
	return ok && lines < 10;
}

static bool kernel_has_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int main(void)
{
	const char *folder = temporary_folder();

	ksft_print_header();
	ksft_set_plan(7);
	tri_classes_init();
	chmod(folder, 0755);
	snprintf(socket_path, sizeof(socket_path), "%s/sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	daemon_pid = start_marking_daemon(socket_path, log_path);

	if (kernel_has_userfaultfd())
		ksft_test_result(test_holes(), "a collector fills no holes\n");
	else
		ksft_test_result_skip("no userfaultfd here: a collector fills holes\n");

	ksft_test_result(test_two_collectors(),
			 "nothing is written for one that has turned away\n");
	ksft_test_result(test_sweep(), "one that sweeps for ever is waited for in peace\n");
	ksft_test_result(test_grey(), "one that makes up work is given up\n");
	if (!geteuid())
		ksft_test_result(test_address_space(),
				 "one user does not have all of the address space\n");
	else
		ksft_test_result_skip("there is one user only: not root\n");
	ksft_test_result(test_log(), "what a client has written to the log is bounded\n");
	ksft_test_result(test_descriptors(),
			 "out of descriptors, a collector turns clients away\n");

	kill(daemon_pid, SIGTERM);
	wait_status(daemon_pid);
	unlink(log_path);
	rmdir(folder);
	ksft_finished();
}
