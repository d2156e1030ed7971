// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_kvcache.c - the cache server of the examples does what its protocol says, and stays in its
 * bounds
 *
 * Each test has a server of its own, on a port that is free, which has to end as asked.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#define ANSWER_S	30	/* the longest wait for a byte; far more than it takes */
#define BIG		200000u
#define REPLIES		(512 * 1024)

static pid_t server;
static unsigned int port;
static char reply[REPLIES];

/* build/examples/NAME, from the test's own place in build/tests/integration. */
static const char *example(const char *name)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);

	if (n < 0)
		exit(1);
	path[n] = 0;
	for (int up = 0; up < 3; up++)
		*strrchr(path, '/') = 0;
	return strcat(strcat(path, "/examples/"), name);
}

static bool start(const char *memory)
{
	char line[128] = "";
	FILE *output;
	int out[2];

	if (pipe(out))
		return false;
	server = fork();
	if (!server) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		execl(example("kvcache"), "kvcache", "--port", "0", "--memory", memory,
		      "--value-size", "256KiB", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	output = fdopen(out[0], "r");
	return output && fgets(line, sizeof(line), output) &&
	       sscanf(line, "kvcache: listening on 127.0.0.1 port %u", &port) == 1;
}

/* Returns the status with which the server ended. */
static int stop(void)
{
	int status = -1;

	kill(server, SIGTERM);
	waitpid(server, &status, 0);
	return status;
}

static int connect_socket(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval most = { .tv_sec = ANSWER_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

static bool say(int fd, const char *bytes, size_t n)
{
	return send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Take in what comes until @n bytes are there, or the server hangs up.  Returns how many. */
static size_t hear(int fd, size_t n)
{
	size_t got = 0;
	ssize_t more;

	while (got < n && (more = recv(fd, reply + got, n - got, 0)) > 0)
		got += (size_t)more;
	return got;
}

/* A conversation on a connection of its own, whose requests arrive in pieces of @piece bytes. */
static bool says(const char *request, const char *expected, size_t piece)
{
	size_t n = strlen(request), got;
	int fd = connect_socket();

	for (size_t at = 0; at < n; at += piece)
		if (!say(fd, request + at, at + piece < n ? piece : n - at))
			break;
	shutdown(fd, SHUT_WR);
	got = hear(fd, sizeof(reply) - 1);
	reply[got] = 0;
	close(fd);
	if (!strcmp(reply, expected))
		return true;
	ksft_print_msg("to %s it says %s and not %s\n", request, reply, expected);
	return false;
}

static uint64_t figure(const char *name)
{
	char wanted[64], *at;
	int fd = connect_socket();
	size_t got;

	say(fd, "stats\r\nquit\r\n", 13);
	got = hear(fd, sizeof(reply) - 1);
	reply[got] = 0;
	close(fd);
	snprintf(wanted, sizeof(wanted), "STAT %s ", name);
	at = strstr(reply, wanted);
	return at ? strtoull(at + strlen(wanted), NULL, 10) : UINT64_MAX;
}

/* Put an entry of BIG bytes, all @fill. */
static bool put_big(int fd, const char *key, char fill)
{
	static char request[BIG + 64];
	int n = snprintf(request, sizeof(request), "set %s 0 0 %u\r\n", key, BIG);

	memset(request + n, fill, BIG);
	memcpy(request + n + BIG, "\r\n", 2);
	return say(fd, request, (size_t)n + BIG + 2) && hear(fd, 8) == 8 &&
	       !memcmp(reply, "STORED\r\n", 8);
}

static const struct {
	const char *request, *reply;
} talks[] = {
	{ "set a 5 0 3\r\nabc\r\nget a\r\n", "STORED\r\nVALUE a 5 3\r\nabc\r\nEND\r\n" },
	{ "get a nothing a\r\n", "VALUE a 5 3\r\nabc\r\nVALUE a 5 3\r\nabc\r\nEND\r\n" },
	{ "set a 0 0 0\n\r\nget a\n", "STORED\r\nVALUE a 0 0\r\n\r\nEND\r\n" },
	{ "set q 1 0 1 noreply\r\nx\r\nget q\r\n", "VALUE q 1 1\r\nx\r\nEND\r\n" },
	{ "set d 0 0 1\r\nx\r\ndelete d\r\ndelete d\r\nget d\r\n",
	  "STORED\r\nDELETED\r\nNOT_FOUND\r\nEND\r\n" },
	{ "set q 0 0 1\r\ny\r\ndelete q noreply\r\nget q\r\n", "STORED\r\nEND\r\n" },
	/* Times that have passed: below 0, and of a day in 1970. */
	{ "set e 0 -1 1\r\nx\r\nget e\r\ndelete e\r\n", "STORED\r\nEND\r\nNOT_FOUND\r\n" },
	{ "set e 0 2592001 1\r\nx\r\nget e\r\n", "STORED\r\nEND\r\n" },
	{ "set e 0 1000 1\r\nx\r\nget e\r\n", "STORED\r\nVALUE e 0 1\r\nx\r\nEND\r\n" },
	{ "version\r\nnonsense\r\n\r\nversion\r\n",
	  "VERSION kvcache\r\nERROR\r\nERROR\r\nVERSION kvcache\r\n" },
	{ "quit\r\nversion\r\n", "" },
	/* What it can't find its way after ends the connection. */
	{ "get\r\n", "CLIENT_ERROR bad command line format\r\n" },
	{ "set a 0 0\r\n", "CLIENT_ERROR bad command line format\r\n" },
	{ "set a 0 0 -1\r\n", "CLIENT_ERROR bad command line format\r\n" },
	{ "set a 0 0 99999999999999999999\r\n", "CLIENT_ERROR bad command line format\r\n" },
	{ "set a 0 0 1\r\nxyz\r\n", "CLIENT_ERROR bad data chunk\r\n" },
};

TEST(requests)
{
	ASSERT_TRUE(start("16MiB"));
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		EXPECT_TRUE(says(talks[i].request, talks[i].reply, 4096));
		if (i > 1)
			EXPECT_TRUE(says(talks[i].request, talks[i].reply, 1));
	}
	EXPECT_EQ(0, stop());
}

/* A value that is larger than any may be is taken in and dropped, and so is one with a bad key. */
TEST(refused_values)
{
	static const char too_large[] =
		"SERVER_ERROR object too large for cache\r\nVERSION kvcache\r\n";
	static char request[600000];
	int fd, n;

	ASSERT_TRUE(start("16MiB"));
	fd = connect_socket();
	n = snprintf(request, sizeof(request), "set a 0 0 %u\r\n", 500000u);
	memset(request + n, 'x', 500000);
	memcpy(request + n + 500000, "\r\nversion\r\n", 11);
	EXPECT_TRUE(say(fd, request, (size_t)n + 500011));
	EXPECT_EQ(strlen(too_large), hear(fd, strlen(too_large)));
	EXPECT_EQ(0, memcmp(reply, too_large, strlen(too_large)));
	memset(request, 'k', 300);
	n = snprintf(request + 300, 200, " 0 0 1\r\nx\r\nversion\r\n");
	EXPECT_TRUE(say(fd, "set ", 4) && say(fd, request, 300 + (size_t)n));
	EXPECT_EQ(39u, hear(fd, 39));
	EXPECT_EQ(0, memcmp(reply, "CLIENT_ERROR bad key\r\nVERSION kvcache\r\n", 39));
	/* A line that never ends. */
	memset(request, 'x', 3000);
	EXPECT_TRUE(say(fd, request, 3000));
	EXPECT_EQ(28u, hear(fd, 28));
	EXPECT_EQ(0, memcmp(reply, "CLIENT_ERROR line too long\r\n", 28));
	close(fd);
	EXPECT_EQ(0, stop());
}

/* More than fits: what was used last stays, and the bytes do not pass the bound. */
TEST(eviction)
{
	char key[32];
	int fd;

	ASSERT_TRUE(start("4MiB"));
	fd = connect_socket();
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "big%d", i);
		ASSERT_TRUE(put_big(fd, key, 'b'));
	}
	close(fd);
	EXPECT_GE(4u << 20, figure("bytes"));
	EXPECT_EQ(200u, figure("evictions") + figure("curr_items"));
	EXPECT_LT(4u, figure("curr_items"));
	EXPECT_EQ(1u, figure("curr_connections"));
	fd = connect_socket();
	EXPECT_TRUE(say(fd, "get big199\r\n", 12));
	EXPECT_LT((size_t)BIG, hear(fd, BIG + 25));
	EXPECT_TRUE(says("get big0\r\n", "END\r\n", 4096));
	close(fd);
	EXPECT_EQ(0, stop());
}

/*
 * Replies that a client does not take are the entries' own texts: they stay what they were,
 * whatever becomes of the entries meanwhile.
 */
TEST(slow_reader)
{
	static const char header[] = "VALUE slow 0 200000\r\n";
	size_t length = strlen(header) + BIG + strlen("\r\nEND\r\n");
	int slow, other;

	ASSERT_TRUE(start("4MiB"));
	slow = connect_socket();
	other = connect_socket();
	ASSERT_TRUE(put_big(other, "slow", 's'));
	for (int i = 0; i < 60; i++)
		ASSERT_TRUE(say(slow, "get slow\r\n", 10));
	/* The first reply has begun, so the look-ups of a full ring are done. */
	ASSERT_EQ(strlen(header), hear(slow, strlen(header)));
	ASSERT_TRUE(put_big(other, "slow", 't'));
	for (int i = 0; i < 300; i++)
		ASSERT_TRUE(put_big(other, i % 2 ? "odd" : "even", 'o'));
	ASSERT_EQ(BIG + 7, hear(slow, BIG + 7));
	EXPECT_EQ('s', reply[0]);
	EXPECT_EQ(0, memcmp(reply, reply + 1, BIG - 1));
	for (int i = 1; i < 60; i++) {
		ASSERT_EQ(length, hear(slow, length));
		ASSERT_EQ(0, memcmp(reply, header, strlen(header)));
		ASSERT_EQ(0, memcmp(reply + strlen(header), reply + strlen(header) + 1, BIG - 1));
	}
	close(slow);
	close(other);
	EXPECT_EQ(0, stop());
}

/* Connections that are open, and one in the middle of a value, do not keep it from ending. */
/* What the epoll set at @fd of the server watches; 0: it is none. */
static int watched_by(const char *fd)
{
	char path[300], line[128];
	FILE *info;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", server, fd);
	info = fopen(path, "r");
	while (info && fgets(line, sizeof(line), info))
		n += !strncmp(line, "tfd:", 4);
	if (info)
		fclose(info);
	return n;
}

/*
 * Each thread that serves has an epoll set: with the listening socket, what ends it, and its
 * connections.
 */
TEST(all_threads_serve)
{
	int fds[8], sets = 0, even = 0, n;
	char path[64];
	struct dirent *entry;
	DIR *dir;

	ASSERT_TRUE(start("4MiB"));
	for (int i = 0; i < 8; i++) {
		fds[i] = connect_socket();
		ASSERT_TRUE(say(fds[i], "version\r\n", 9));
		ASSERT_EQ(1, hear(fds[i], 1));
	}
	snprintf(path, sizeof(path), "/proc/%d/fdinfo", server);
	dir = opendir(path);
	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir))) {
		n = watched_by(entry->d_name);
		sets += n > 0;
		even += n == 2 + 8 / 4;
	}
	closedir(dir);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	EXPECT_EQ(0, stop());
	EXPECT_EQ(4, sets);
	EXPECT_EQ(4, even);
}

TEST(end)
{
	int idle, half;

	ASSERT_TRUE(start("16MiB"));
	idle = connect_socket();
	half = connect_socket();
	EXPECT_TRUE(say(half, "set a 0 0 1000\r\nxx", 18));
	EXPECT_EQ(0, stop());
	EXPECT_EQ(0u, hear(idle, 1));
	close(idle);
	close(half);
}

TEST(load)
{
	char number[16];
	int status = -1;
	pid_t load;

	ASSERT_TRUE(start("4MiB"));
	snprintf(number, sizeof(number), "%u", port);
	load = fork();
	if (!load) {
		execl(example("kvload"), "kvload", "--port", number, "--operations", "20000",
		      "--seconds", "60", "--keys", "5000", "--fill", (char *)NULL);
		_exit(127);
	}
	waitpid(load, &status, 0);
	EXPECT_EQ(0, status);
	EXPECT_LT(0u, figure("get_hits"));
	EXPECT_EQ(0, stop());
}

TEST_HARNESS_MAIN
