// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_board.c - a board that another process writes to, and the link beside it
 *
 * The test is the other process, and means no good.  What it does must cost the policy no wait
 * without an end, no number that others of it could not use, and no lost order.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/heap/arena.h"
#include "lib/check.h"
#include "core/system/clock.h"
#include "daemon/process/fault.h"
#include "daemon/clients/registry.h"
#include "tricolor.h"

#define ARENA_BYTES (1ull << 20)
#define PATIENCE_NS 10000000000ull
#define MANY 20000

/* A linked arena, and the marker's side of it. */
struct both {
	struct registry_arena *r;
	int sock;
	struct link_board theirs;
};

static struct both link_up(void)
{
	struct link_board ours = { 0 };
	int fd = link_board_make(&ours), pair[2];
	const char *why;
	struct both b = { 0 };

	if (fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	    link_board_map(&b.theirs, fd, &why))
		ksft_exit_fail_msg("no board, or no link: %s\n", strerror(errno));
	b.r = registry_enter_linked(getpid(), -1, 1, 2, ARENA_BYTES, NULL, &ours, pair[0], 0);
	if (!b.r)
		ksft_exit_fail_msg("no arena: %s\n", strerror(errno));
	b.sock = pair[1];
	close(pair[0]);
	close(fd);
	return b;
}

static void part(struct both *b)
{
	registry_leave(b->r);
	link_board_unmap(&b->theirs);
	close(b->sock);
}

static void fill(struct board_figures *f, uint64_t n)
{
	uint64_t words[BOARD_WORDS], i;

	for (i = 0; i < BOARD_WORDS; i++)
		words[i] = n;
	memcpy(f, words, sizeof(*f));
}

static void test_figures(void)
{
	struct both b = link_up();
	struct board_figures f, g;

	fill(&f, 1);
	f.live_bytes = 4711;
	board_publish(b.theirs.board, &f);
	registry_read(b.r, &g);
	check(g.live_bytes == 4711 && g.cycles == 1);
	result("figures that a marker publishes are the policy's");

	atomic_store(&b.theirs.board->sequence, 7);
	atomic_store(&b.theirs.board->figures[4], 99);
	registry_read(b.r, &g);
	check(g.live_bytes == 4711 && g.cycles == 1);
	check(!board_read(b.theirs.board, &g, 3) && g.live_bytes == 4711);
	result("a sequence lock that never settles gives the last good copy");

	fill(&f, UINT64_MAX);
	board_publish(b.theirs.board, &f);
	registry_read(b.r, &g);
	check(g.live_bytes <= 2 * ARENA_BYTES && g.overhead_bytes <= 2 * ARENA_BYTES);
	check(g.heap_bytes <= 2 * ARENA_BYTES && g.free_bytes <= 2 * ARENA_BYTES);
	check(g.bound_bytes <= 2 * ARENA_BYTES && g.now_bytes <= 2 * ARENA_BYTES);
	check(g.pressure <= TRI_PRESSURE_OVER && g.limit_policy <= TRI_LIMIT_FAIL_FAST &&
	      g.gc_percent == -1);
	result("sizes and kinds that can't be are not passed on");
	/* Publishing goes on after a sequence number that was odd. */
	atomic_store(&b.theirs.board->sequence, 7);
	fill(&f, 3);
	board_publish(b.theirs.board, &f);
	registry_read(b.r, &g);
	check(g.cycles == 3);
	result("an odd number left behind is no end of publishing");
	part(&b);
}

static void test_numbers(void)
{
	struct both b = link_up();
	struct board *board = b.theirs.board;
	uint32_t number, met = 0;
	int64_t value;

	check(registry_order(b.r, ORDER_GC_PERCENT, 50) == 1);
	atomic_store(&board->mailbox[ORDER_GC_PERCENT].asked, 77);
	check(registry_order(b.r, ORDER_GC_PERCENT, 60) == 2);
	check(board_take(board, ORDER_GC_PERCENT, met, &number, &value) && number == 2 &&
	      value == 60);
	result("the policy counts its orders by itself");

	atomic_store(&board->mailbox[ORDER_GC].done, 5);
	number = registry_order(b.r, ORDER_GC, 0);
	check(!registry_wait(b.r, ORDER_GC, number, clock_ns() + PATIENCE_NS));
	atomic_store(&board->mailbox[ORDER_GC].done, number - 1);
	check(registry_wait(b.r, ORDER_GC, number, clock_ns() + 1000000) == -ETIMEDOUT);
	result("who waits for an order is fooled, or not, and never for longer than was said");
	part(&b);
}

static _Atomic(bool) stop;

static void *teller(void *arg)
{
	while (!stop)
		registry_notify(arg);
	return NULL;
}

static void test_told_too_often(void)
{
	struct both b = link_up();
	uint32_t number = registry_order(b.r, ORDER_GC, 0);
	pthread_t t;

	pthread_create(&t, NULL, teller, b.r);
	check(registry_wait(b.r, ORDER_GC, number, clock_ns() + 20000000) == -ETIMEDOUT);
	stop = true;
	pthread_join(t, NULL);
	result("a marker that rings all the time keeps nobody waiting for ever");
	part(&b);
}

static void test_ring(void)
{
	struct both b = link_up();
	struct link_msg msg;
	unsigned int rings = 0;
	uint32_t number;
	int64_t value;
	int i;

	for (i = 1; i <= MANY; i++)
		registry_order(b.r, ORDER_SHARE, i);
	while (recv(b.sock, &msg, sizeof(msg), MSG_DONTWAIT) == sizeof(msg))
		rings += msg.type == LINK_RING && msg.version == LINK_VERSION;
	check(rings && rings < MANY);
	check(atomic_load(&b.theirs.board->has_orders));
	check(board_take(b.theirs.board, ORDER_SHARE, 0, &number, &value) && number == MANY &&
	      value == MANY);
	result("orders never wait for a marker that reads nothing, and the last one is there");

	registry_order(b.r, ORDER_WAKE_AFTER, 1);
	check(recv(b.sock, &msg, sizeof(msg), MSG_DONTWAIT) == sizeof(msg) &&
	      msg.type == LINK_RING);
	result("one that has read all is rung again");

	registry_asleep(b.r, true);
	check(atomic_load(&b.theirs.board->asleep) == 1);
	registry_asleep(b.r, false);
	check(!atomic_load(&b.theirs.board->asleep));
	registry_order(b.r, ORDER_STOP, 0);
	check(recv(b.sock, &msg, sizeof(msg), MSG_DONTWAIT) == 0);
	result("a policy that stops hangs up");
	part(&b);
}

static int make_file(int size, int seals, unsigned int flags)
{
	int fd = memfd_create("test", MFD_CLOEXEC | flags);

	if (fd < 0 || ftruncate(fd, size) || (seals && fcntl(fd, F_ADD_SEALS, seals)))
		ksft_exit_fail_msg("no memfd: %s\n", strerror(errno));
	return fd;
}

static int try(int fd)
{
	struct link_board b = { 0 };
	const char *why = NULL;
	int err = link_board_map(&b, fd, &why);

	check(err ? !b.board && why && strlen(why) > 20 : b.board != NULL);
	link_board_unmap(&b);
	close(fd);
	return err;
}

static void test_seals(void)
{
	const int good = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct link_board b = { 0 };
	int fd = link_board_make(&b);

	check(fd >= 0 && ftruncate(fd, 0) < 0 && ftruncate(fd, 8192) < 0);
	check(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
	link_board_unmap(&b);
	check(!try(fd));
	result("a board that was made can be neither cut nor sealed by the other side, and is taken");

	check(!try(make_file(4096, good, MFD_ALLOW_SEALING)));
	check(try(make_file(4096, F_SEAL_GROW | F_SEAL_SEAL, MFD_ALLOW_SEALING)) == EPERM);
	check(try(make_file(4096, F_SEAL_SHRINK | F_SEAL_GROW, MFD_ALLOW_SEALING)) == EPERM);
	check(try(make_file(4096, good | F_SEAL_FUTURE_WRITE, MFD_ALLOW_SEALING)) == EPERM);
	check(try(make_file(4096, 0, 0)) == EPERM);
	check(try(open("/dev/zero", O_RDWR | O_CLOEXEC)) == EPERM);
	result("what could be cut, or sealed later, is no board");
	check(try(make_file(0, good, MFD_ALLOW_SEALING)) == EPROTONOSUPPORT);
	check(try(make_file(8192, good, MFD_ALLOW_SEALING)) == EPROTONOSUPPORT);
	result("nor is what has another size");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(13);
	fault_init();
	test_figures();
	test_numbers();
	test_told_too_often();
	test_ring();
	test_seals();
	ksft_finished();
}
