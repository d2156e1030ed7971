// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_place.c - where a collector runs that a program has started
 *
 *	it is scheduled and charged with its client: same session and autogroup, same cpu and memory
 *	groups the kernel takes it first when memory is short, and it is not started in a group that
 *	has no room for it the client has no child by it, and no SIGCHLD keys at the client's
 *	terminal are not for it, nor does the terminal stop it it ends with its client when the
 *	terminal hangs up, and goes on with one that does not mind
 */
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/groups.h"
#include "lib/process.h"
#include "tricolor.h"

struct report {
	pid_t collector;
	uint64_t reconnects;
	int error;			/* of a collection */
	bool has_child;
	int children, keys;		/* SIGCHLD and SIGINT so far */
};

struct client {
	pid_t pid;
	int in, out;
};

static _Atomic int caught[64];

static void count(int sig)
{
	caught[sig]++;
}

/* Collects and reports whenever it is told to. */
static __attribute__((noreturn)) void client_main(int in, int out)
{
	char command;

	signal(SIGCHLD, count);
	signal(SIGINT, count);
	while (read(in, &command, 1) == 1) {
		struct report r = { .error = tri_gc(),
				    .children = caught[SIGCHLD],
				    .keys = caught[SIGINT] };
		struct tri_stats s = { .size = sizeof(s) };

		tri_read_stats(&s);
		r.collector = (pid_t)s.collector_pid;
		r.reconnects = s.reconnects;
		r.has_child = waitpid(-1, NULL, WNOHANG | __WALL) != -1 || errno != ECHILD;
		if (write(out, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0);
}

static struct client start(void (*prepare)(void *arg), void *arg)
{
	int in[2], out[2];
	struct client c;

	fflush(stdout);
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	c.pid = fork();
	if (!c.pid) {
		close(in[1]);
		close(out[0]);
		prepare(arg);
		client_main(in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	c.in = in[1];
	c.out = out[0];
	return c;
}

static struct report ask(const struct client *c)
{
	struct report r = { .error = -EPIPE };
	struct pollfd p = { .fd = c->out, .events = POLLIN };

	if (write(c->in, "g", 1) != 1 || poll(&p, 1, 30000) != 1 ||
	    read(c->out, &r, sizeof(r)) != sizeof(r))
		ksft_print_msg("client %d does not answer\n", c->pid);
	return r;
}

static bool goes_on(const struct client *c, pid_t collector)
{
	struct report r = ask(c);

	if (r.error || r.collector != collector || r.reconnects)
		ksft_print_msg("error %d, collector %d was %d, %llu reconnects\n", r.error,
			       r.collector, collector, (unsigned long long)r.reconnects);
	return !r.error && r.collector == collector && !r.reconnects;
}

static bool ends(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	bool over = poll(&p, 1, (int)(PATIENCE_NS / 1000000)) == 1;

	close(pidfd);
	return over;
}

static bool end(struct client *c, pid_t collector)
{
	int pidfd = (int)syscall(SYS_pidfd_open, collector, 0);

	close(c->in);
	close(c->out);
	return wait_status(c->pid) == 0 && pidfd >= 0 && ends(pidfd);
}

static struct test_group memory, cpu;

/*
 * In groups of its own, where they can be had: else all processes of a test are in the same ones.
 */
static void enter_groups(void *made)
{
	int i;

	for (i = 0; i < 2; i++)
		if (((bool *)made)[i] && !group_enter(i ? &cpu : &memory, getpid()))
			_exit(2);
	if (setsid() < 0)
		_exit(3);
}

static void beside(void)
{
	bool made[2] = { group_make(&memory, "memory", "place"), group_make(&cpu, "cpu", "place") };
	char a[256], b[256];
	struct client c = start(enter_groups, made);
	struct report r = ask(&c);

	ksft_test_result(!r.error && getsid(r.collector) == c.pid &&
				 getpgid(r.collector) != getpgid(c.pid),
			 "session of the client, and a process group of its own\n");
	group_proc_text(c.pid, "autogroup", a, sizeof(a));
	group_proc_text(r.collector, "autogroup", b, sizeof(b));
	if (*a)
		ksft_test_result(!strcmp(a, b), "autogroup of the client: %s and %s\n",
				 strtok(a, "\n"), strtok(b, "\n"));
	else
		ksft_test_result_skip("this kernel has no autogroup\n");
	ksft_test_result(group_is_same(c.pid, r.collector, "cpu"), "cpu group of the client\n");
	ksft_test_result(group_is_same(c.pid, r.collector, "memory"),
			 "memory group of the client\n");
	ksft_test_result(atoi(group_proc_text(r.collector, "oom_score_adj", a, sizeof(a))) ==
					 1000 &&
				 atoi(group_proc_text(c.pid, "oom_score_adj", b, sizeof(b))) !=
					 1000,
			 "the kernel takes it before the client\n");
	ksft_test_result(!r.has_child && !r.children, "the client has no child by it\n");
	ksft_test_result(end(&c, r.collector), "it ends with its client\n");
	if (made[0])
		group_remove(&memory);
	if (made[1])
		group_remove(&cpu);
}

/* ------------------------------------------------------------------------------------------ */
/* A terminal                                                                                 */
/* ------------------------------------------------------------------------------------------ */

struct terminal {
	int master, slave;
	bool minds;			/* of a hang-up */
};

static void take_terminal(void *arg)
{
	struct terminal *t = arg;

	close(t->master);
	/* Its foreground process group is then ours. */
	if (setsid() < 0 || ioctl(t->slave, TIOCSCTTY, 0))
		_exit(4);
	close(t->slave);
	if (!t->minds)
		signal(SIGHUP, SIG_IGN);
}

static struct client start_at_terminal(struct terminal *t, bool minds)
{
	struct client c;

	if (openpty(&t->master, &t->slave, NULL, NULL, NULL))
		ksft_exit_fail_msg("no terminal: %s\n", strerror(errno));
	t->minds = minds;
	c = start(take_terminal, t);
	close(t->slave);
	return c;
}

static void at_terminal(void)
{
	struct terminal t;
	struct client c = start_at_terminal(&t, true);
	pid_t collector = ask(&c).collector;
	int pidfd = (int)syscall(SYS_pidfd_open, collector, 0);

	/* Who is signalled is so in one step: when the client has had it. */
	ksft_test_result(write(t.master, "\003", 1) == 1 &&
				 WAIT_FOR(ask(&c).keys == 1, 1000000, PATIENCE_NS) &&
				 goes_on(&c, collector),
			 "the interrupt key does not reach it\n");
	ksft_test_result(write(t.master, "\034", 1) == 1 && wait_status(c.pid) == 128 + SIGQUIT &&
				 ends(pidfd),
			 "the quit key ends the client, and it ends with that\n");
	close(t.master);
	close(c.in);
	close(c.out);

	c = start_at_terminal(&t, true);
	pidfd = (int)syscall(SYS_pidfd_open, ask(&c).collector, 0);
	close(t.master);
	ksft_test_result(wait_status(c.pid) == 128 + SIGHUP && ends(pidfd),
			 "a hang-up does not leave it behind\n");
	close(c.in);
	close(c.out);

	c = start_at_terminal(&t, false);
	collector = ask(&c).collector;
	close(t.master);
	ksft_test_result(goes_on(&c, collector),
			 "nor does it take it from a client that goes on\n");
	ksft_test_result(end(&c, collector), "and it ends with that one too\n");
}

static void adopt(void *unused)
{
	(void)unused;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		_exit(5);
}

/* There its parent is in the same session, so that a terminal could stop it. */
static void of_subreaper(void)
{
	struct client c = start(adopt, NULL);
	pid_t collector = ask(&c).collector;

	ksft_test_result(!kill(collector, SIGTTOU) && goes_on(&c, collector),
			 "a terminal that stops who writes does not stop it\n");
	ksft_test_result(end(&c, collector), "it ends with a subreaper too\n");
}

/* ------------------------------------------------------------------------------------------ */
/* A group that is full                                                                       */
/* ------------------------------------------------------------------------------------------ */

#define FULL_BYTES (48ull << 20)
#define FULL_STEP (16ull << 10)
#define FULL_STEPS 40

/* There is no program of that name until the group is full. */
static char later[128];

static struct full {
	struct test_group group;
	uint64_t room;
	_Atomic bool filled, refused, served;
} *full;

static bool is_served(void)
{
	struct tri_stats s = { .size = sizeof(s) };

	return !tri_read_stats(&s) && s.collector_pid;
}

/*
 * Leaves so much of the group to a collector; if that does not even start, four times as much as
 * one takes.
 */
static __attribute__((noreturn)) void full_main(void)
{
	char *p = mmap(NULL, FULL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0),
	     *at = p;

	setenv("TRICOLOR_DAEMON", later, 1);
	if (p == MAP_FAILED || !group_enter(&full->group, getpid()) || tri_init(NULL) ||
	    !tri_alloc(64))
		_exit(2);
	while (group_usage(&full->group) + full->room < FULL_BYTES) {
		*at = 1;
		at += 4096;
	}
	full->filled = true;
	while (!is_served() && !strstr(tri_error(), "leaves no room"))
		pause_ns(1000000);
	if (!is_served()) {
		full->refused = true;
		munmap(p, 2 << 20);
	}
	while (!is_served())
		pause_ns(1000000);
	full->served = true;
	pause();
	_exit(3);
}

/* Whether the client and its collector live in a group in which @room is left. */
static bool full_survives(uint64_t room, unsigned int *refused)
{
	int status = 0;
	bool over = false;
	uint64_t kills;
	pid_t pid;

	full->room = room;
	full->filled = full->served = full->refused = false;
	fflush(stdout);
	pid = fork();
	if (!pid)
		full_main();
	WAIT_FOR(full->filled || (over = waitpid(pid, &status, WNOHANG) == pid), 1000000,
		 PATIENCE_NS);
	if (symlink(daemon_path(), later))
		ksft_exit_fail_msg("%s: %s\n", later, strerror(errno));
	WAIT_FOR(over || (over = waitpid(pid, &status, WNOHANG) == pid) || full->served, 1000000,
		 PATIENCE_NS);
	kills = group_kills(&full->group);
	if (!full->served || kills)
		ksft_print_msg("%llu KiB left: the kernel has killed %llu, %s%s%s\n",
			       (unsigned long long)room >> 10, (unsigned long long)kills,
			       full->refused ? "refused, " : "",
			       full->served ? "served" : "not served",
			       over ? ", and the client is dead" : "");
	if (!over) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	unlink(later);
	*refused += full->refused;
	/* The collector may be taken, if others are quicker: then there is another one. */
	return !over && full->served;
}

static void in_full_group(void)
{
	unsigned int i, good = 0, refused = 0;

	full = shared_memory(sizeof(*full));
	snprintf(later, sizeof(later), "%s/tricolord", temporary_folder());
	for (i = 0; i < FULL_STEPS; i++) {
		if (!group_make(&full->group, "memory", "full") ||
		    !group_limit(&full->group, FULL_BYTES)) {
			ksft_test_result_skip("a full group: %s\n", group_why());
			return;
		}
		good += full_survives((uint64_t)i * FULL_STEP, &refused);
		group_remove(&full->group);
	}
	*strrchr(later, '/') = 0;
	rmdir(later);
	ksft_test_result(
		good == FULL_STEPS && refused && refused < FULL_STEPS,
		"a full group: started when there is room: %u of %u, %u of them had to wait\n",
		good, FULL_STEPS, refused);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(15);
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_QUIET", "1", 1);
	beside();
	at_terminal();
	of_subreaper();
	in_full_group();
	ksft_finished();
}
