// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_elect.c - private collectors in one control group: one of them splits the limit for all
 *
 *	budget		parts follow what the heaps need, and fit together, as under a shared
 *			collector
 *	killed		the collector that splits is killed in the midst
 *	exit		its client ends: the others have another one; a client that comes late joins
 *			it
 *	shared		its client finds a shared collector, and the others look for none: they have
 *			another one
 *	squatter	another user's process has the address: each is alone, and nobody waits for
 *			it
 *
 * usage: test_elect [PART]
 */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/proto/client.h"
#include "lib/limited.h"

#define GROUP_BYTES (208 * MIB)
#define NOBODY 65534

static bool begin(const char *what, unsigned int points)
{
	if (group_make(&group, "memory", what) && group_limit(&group, GROUP_BYTES)) {
		setenv("TRICOLOR_GC_PERCENT", "off", 1);
		return true;
	}
	skip_points(what, points);
	return false;
}

/* What the collector of @r says that it is. */
static bool is_named(const struct report *r, const char *name)
{
	char path[64], text[32];
	uint32_t pid = r->stats.collector_pid;

	snprintf(path, sizeof(path), "/proc/%u", pid);
	return pid && group_read(path, "comm", text, sizeof(text)) &&
	       !strncmp(text, name, strlen(name)) && text[strlen(name)] == '\n';
}

static unsigned int how_many(const char *name, int n)
{
	unsigned int found = 0;
	int i;

	for (i = 0; i < n; i++)
		found += is_named(&reports[i], name);
	return found;
}

/* One of @n collectors is the policy, and the others are its peer markers; its number, or -1. */
static int policy_of(int n)
{
	int i;

	if (!WAIT_FOR(how_many("tricolord", n) == 1 &&
			      how_many("tricolor-peer", n) == (unsigned int)n - 1,
		      1000000, 3 * PATIENCE_NS))
		return -1;
	for (i = 0; i < n && !is_named(&reports[i], "tricolord"); i++)
		;
	return i < n ? i : -1;
}

static bool all_ready(int n)
{
	bool ran = true;
	int i;

	for (i = 0; i < n; i++)
		ran &= ready(&reports[i]);
	return ran;
}

/* All @n have run a cycle more; the sum of their parts, as they are after that. */
static uint64_t parts(int n, bool *ran)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < n; i++)
		*ran &= collected(&reports[i], 1);
	for (i = 0; i < n; i++)
		sum += reports[i].limit_bytes;
	return sum;
}

static int end_all(int n, bool *ran)
{
	int status = 0, i;

	for (i = 0; i < n; i++)
		reports[i].go = 1;
	for (i = 0; i < n; i++) {
		status |= wait_status(reports[i].pid);
		*ran &= !reports[i].errors;
		ksft_print_msg("%llu MiB live, limit %llu, %llu cycles\n",
			       (unsigned long long)(reports[i].live_bytes >> 20),
			       (unsigned long long)(reports[i].limit_bytes >> 20),
			       (unsigned long long)reports[i].cycles);
	}
	return status;
}

/* The most rounds in which parts may come to what they are to be. */
#define ROUNDS_MAX 2000

static bool more_for_more(void)
{
	return reports[0].limit_bytes > reports[1].limit_bytes &&
	       reports[1].limit_bytes > reports[2].limit_bytes;
}

static void test_budget(void)
{
	const uint64_t live[CLIENTS] = { 60 * MIB, 24 * MIB, 4 * MIB };
	bool ran, fits = true, ordered;
	uint64_t sum = 0;
	int status, i, round, policy;

	if (!begin("elect-budget", 3))
		return;
	for (i = 0; i < CLIENTS; i++)
		start_client(&reports[i], live[i]);
	ran = all_ready(CLIENTS);
	policy = ran ? policy_of(CLIENTS) : -1;
	for (round = 0; (round < 20 || !more_for_more()) && round < ROUNDS_MAX && ran; round++) {
		sum = parts(CLIENTS, &ran);
		fits &= sum < GROUP_BYTES * 95 / 100;
	}
	ordered = more_for_more();
	ksft_print_msg("%d rounds\n", round);
	status = end_all(CLIENTS, &ran);
	ksft_test_result(!status && ran && policy >= 0 && !group_kills(&group),
			 "budget: one splits, nobody is killed (status %d)\n", status);
	ksft_test_result(fits, "budget: parts fit together (%llu MiB)\n",
			 (unsigned long long)(sum >> 20));
	ksft_test_result(ordered, "budget: who lives with more has more\n");
	group_end(&group, "elect-budget");
}

static void test_killed(void)
{
	bool ran, fits = true;
	int status, i, policy, next = -1;
	uint32_t old = 0;

	if (!begin("elect-killed", 3))
		return;
	for (i = 0; i < CLIENTS; i++)
		start_client(&reports[i], 24 * MIB);
	ran = all_ready(CLIENTS);
	policy = ran ? policy_of(CLIENTS) : -1;
	if (policy >= 0) {
		old = reports[policy].stats.collector_pid;
		kill((pid_t)old, SIGKILL);
		ran &= WAIT_FOR_CLIENT(&reports[policy],
				       reports[policy].stats.collector_pid != old &&
					       reports[policy].stats.collector_pid,
				       3 * PATIENCE_NS);
		next = policy_of(CLIENTS);
		/*
		 * Who has joined keeps the part that it had from the dead one, until the new one
		 * has split anew.
		 */
		ran &= WAIT_FOR(parts(CLIENTS, &ran) < GROUP_BYTES * 95 / 100 || !ran, 1000000,
				3 * PATIENCE_NS);
	}
	for (i = 0; i < 10 && ran; i++)
		fits &= parts(CLIENTS, &ran) < GROUP_BYTES * 95 / 100;
	status = end_all(CLIENTS, &ran);
	ksft_test_result(!status && ran && policy >= 0 && !group_kills(&group),
			 "killed: clients go on (status %d)\n", status);
	ksft_test_result(next >= 0, "killed: there is another one, which all join\n");
	ksft_test_result(fits, "killed: parts fit together\n");
	group_end(&group, "elect-killed");
}

/* Nobody has anything to do: neither who splits, nor a peer marker, nor their clients. */
static bool all_asleep(void)
{
	bool asleep = true;
	int i;

	for (i = 0; i < CLIENTS; i++)
		asleep &= pauses(&reports[i], PAUSE_COLLECTED);
	for (i = 0; i < CLIENTS && asleep; i++)
		asleep &= falls_asleep(reports[i].pid, (pid_t)reports[i].stats.collector_pid);
	for (i = 0; i < CLIENTS; i++)
		asleep &= resumes(&reports[i]);
	return asleep;
}

static void test_exit(void)
{
	bool ran, asleep = false, another = false, late = false;
	int status, i, policy;

	if (!begin("elect-exit", 4))
		return;
	for (i = 0; i < CLIENTS; i++)
		start_client(&reports[i], 16 * MIB);
	ran = all_ready(CLIENTS);
	policy = ran ? policy_of(CLIENTS) : -1;
	if (policy >= 0) {
		reports[policy].go = 1;
		ran &= !wait_status(reports[policy].pid);
		reports[policy].stats.collector_pid = 0;
		another = WAIT_FOR(how_many("tricolord", CLIENTS) == 1 &&
					   how_many("tricolor-peer", CLIENTS) == CLIENTS - 2,
				   1000000, 3 * PATIENCE_NS);
		start_client(&reports[policy], 16 * MIB);
		ran &= ready(&reports[policy]);
		late = policy_of(CLIENTS) >= 0 && is_named(&reports[policy], "tricolor-peer");
		asleep = all_asleep();
	}
	status = end_all(CLIENTS, &ran);
	ksft_test_result(!status && ran && policy >= 0 && !group_kills(&group),
			 "exit: nobody is killed (status %d)\n", status);
	ksft_test_result(another, "exit: those that are left have another one\n");
	ksft_test_result(late, "exit: who comes late joins it\n");
	ksft_test_result(asleep, "exit: then nobody wakes up\n");
	group_end(&group, "elect-exit");
}

static void test_shared(void)
{
	char dir[64], socket[108], log[108];
	bool ran, another = false;
	pid_t daemon;
	int status, i;

	if (!begin("elect-shared", 2))
		return;
	snprintf(dir, sizeof(dir), "%s", temporary_folder());
	snprintf(socket, sizeof(socket), "%s/sock", dir);
	snprintf(log, sizeof(log), "%s/log", dir);
	/* Alone, it is the one that splits. */
	setenv("TRICOLOR_SOCKET", socket, 1);
	start_client(&reports[0], 16 * MIB);
	setenv("TRICOLOR_SOCKET", "off", 1);
	ran = ready(&reports[0]);
	for (i = 1; i < CLIENTS; i++)
		start_client(&reports[i], 16 * MIB);
	ran &= all_ready(CLIENTS) && policy_of(CLIENTS) == 0;
	daemon = start_daemon(socket, log);
	if (ran)
		another = WAIT_FOR(is_named(&reports[0], "tricolor-marker") &&
					   how_many("tricolord", CLIENTS) == 1 &&
					   how_many("tricolor-peer", CLIENTS) == CLIENTS - 2,
				   1000000, 6 * PATIENCE_NS);
	status = end_all(CLIENTS, &ran);
	ksft_test_result(!status && ran && !group_kills(&group),
			 "shared: nobody is killed (status %d)\n", status);
	ksft_test_result(another, "shared: those that have none elect another one\n");
	kill(daemon, SIGTERM);
	wait_status(daemon);
	unlink(log);
	rmdir(dir);
	group_end(&group, "elect-shared");
}

static _Atomic uint32_t *squatter_heard;	/* 1: it listens; 2: somebody has told it
						 * something */

/* Accept, and hear what it is told. */
static __attribute__((noreturn)) void squat_listening(int fd, _Atomic uint32_t *there)
{
	if (listen(fd, 8))
		_exit(1);
	*there = 1;
	for (;;) {
		char byte;
		int sock = accept(fd, NULL, NULL);

		if (sock >= 0 && recv(sock, &byte, 1, 0) > 0)
			*there = 2;
		close(sock);
	}
}

/* Keep what those send who wait, and so never answer. */
static __attribute__((noreturn)) void squat_silent(int fd, _Atomic uint32_t *there)
{
	static const struct tri_msg nothing;
	char control[CMSG_SPACE(sizeof(int))];
	struct tri_msg msg;
	struct iovec iov = { &msg, sizeof(msg) };

	*there = 1;
	for (;;) {
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };

		if (recvmsg(fd, &m, 0) != sizeof(msg) || memcmp(&msg, &nothing, sizeof(msg)))
			*there = 2;
	}
}

/* Holds an address of the group's, "policy" or "lock", as another user. */
static pid_t start_squatter(const char *what, int type,
			    void (*squat)(int fd, _Atomic uint32_t *there)
				    __attribute__((noreturn)))
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_Atomic uint32_t *there = squatter_heard = shared_memory(sizeof(*there));
	char path[512];
	struct stat st;
	socklen_t len;
	pid_t pid;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group.dir,
		 group.version == 1 ? "memory.limit_in_bytes" : "memory.max");
	if (stat(path, &st))
		return -1;
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
	      (socklen_t)snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1,
				  "tricolor/%s/%u/%llx/%llx", what, geteuid(),
				  (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = setuid(NOBODY) ? -1 : socket(AF_UNIX, type, 0);
		if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len))
			_exit(1);
		squat(fd, there);
	}
	if (WAIT_FOR(*there || !alive(pid), 1000000, PATIENCE_NS) && *there)
		return pid;
	wait_status(pid);
	return -1;
}

static void squatted(const char *name, const char *what, int type,
		     void (*squat)(int fd, _Atomic uint32_t *there) __attribute__((noreturn)))
{
	char group_name[32];
	bool ran, limited;
	pid_t squatter;
	int status, i;

	if (geteuid()) {
		group_set_why("it takes another user");
		skip_points(name, 2);
		return;
	}
	snprintf(group_name, sizeof(group_name), "elect-%s", name);
	if (!begin(group_name, 2))
		return;
	squatter = start_squatter(what, type, squat);
	for (i = 0; i < 2; i++)
		start_client(&reports[i], 16 * MIB);
	ran = squatter > 0 && all_ready(2);
	limited = ran;
	for (i = 0; i < 2 && ran; i++)
		limited &=
			WAIT_FOR_CLIENT(&reports[i], reports[i].limit_bytes < GROUP_BYTES * 9 / 10,
					PATIENCE_NS);
	limited &= how_many("tricolord", 2) == 2 && *squatter_heard == 1;
	parts(2, &ran);
	status = end_all(2, &ran);
	if (squatter > 0)
		end_neighbour(squatter);
	ksft_test_result(!status && ran && !group_kills(&group),
			 "%s: nobody is killed (status %d)\n", name, status);
	ksft_test_result(limited, "%s: each goes on alone, with a limit, and tells it nothing\n",
			 name);
	group_end(&group, group_name);
}

static void test_squatter(void)
{
	squatted("squatter", "policy", SOCK_SEQPACKET, squat_listening);
}

static void test_lock(void)
{
	squatted("lock", "lock", SOCK_DGRAM, squat_silent);
}

int main(int argc, char **argv)
{
	static const struct limited_part all[] = {
		{ "budget", test_budget, 3 },
		{ "killed", test_killed, 3 },
		{ "exit", test_exit, 4 },
		{ "shared", test_shared, 2 },
		{ "squatter", test_squatter, 2 },
		{ "lock", test_lock, 2 },
	};

	limited_run(all, sizeof(all) / sizeof(all[0]), argc < 2 ? NULL : argv[1]);
}
