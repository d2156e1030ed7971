// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_throttle.c - a collector that does nothing, and the kernel's limit: see throttle.c of the
 * library
 *
 *	stopped		the collector of a heap with 40 % of the limit live is stopped for good:
 *			threads wait before the limit is reached; it goes on, and so do they
 *	threads		the same with 24 threads
 *	given up	it stays stopped: after TRICOLOR_MAX_WAIT the allocation fails, in words;
 *			and does not once the collector is back
 *	forged		meanwhile the control page says that all has been done that anybody asked
 *			for
 *	handler		a handler of the program's jumps out of a wait, and others allocate in one
 *	forked		a thread waits while another one forks; the child uses a heap of its own
 *	beginning	a collector that accepts connections and says nothing; the client allocates
 *			at full speed
 *	several		four heaps that nobody collects, nor splits the limit for, grow at once
 *			until they may not any more
 *	unlimited	no limit but the client's own, which nobody enforces: nobody waits for long
 *
 * Clients are in a group of 64 MiB, with a collector of their own.  What a thread waits for has no
 * end before the test lets it go on, so nothing here depends on how fast anything is.
 *
 * usage: test_throttle [PART]
 */
#include <pthread.h>
#include <setjmp.h>

#include "lib/arena_check.h"
#include "lib/limited.h"

#define LIMIT (64 * MIB)
#define LIVE (LIMIT * 2 / 5)
#define MANY 24
#define LOOKS 400
#define SEVERAL 4
#define NO_END "3600"			/* seconds that threads wait; before that the test is
					 * over */

/* What a client says, and what it is told. */
struct told {
	_Atomic uint32_t go, waiting, failed, jumped, handled, child_done;
	_Atomic uint32_t asleep;	/* looks of the observer in a row that found the first
					 * thread in a wait, asleep */
	_Atomic uint32_t looks;		/* of the observer */
	_Atomic uint64_t cycles, collector;
	_Atomic uint64_t steps[MANY];
	_Atomic uint64_t again;		/* 1 and the ns that threads waited after the first had
					 * failed */
	char words[256];
	struct tri_stats end;
};

static struct told *told;

static struct tri_stats stats(void)
{
	struct tri_stats s = { .size = sizeof(s) };

	if (tri_read_stats(&s))
		_exit(9);
	return s;
}

/* Whether the first thread sleeps. */
static bool first_sleeps(void)
{
	char path[64], text[512], *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strrchr(text, ')');
	return at && at[1] == ' ' && at[2] == 'S';
}

/* A thread that says what it sees: those that wait say nothing. */
static void *observe(void *unused)
{
	(void)unused;
	while (told->go < 2) {
		struct tri_stats s = stats();

		told->waiting = (uint32_t)s.throttled_now;
		told->cycles = s.cycles;
		told->collector = s.collector_pid;
		told->asleep = s.throttled_now && first_sleeps() ? told->asleep + 1 : 0;
		told->looks++;
		pause_ns(1000000);
	}
	return NULL;
}

static struct churn churns[MANY];	/* roots */

/* Replace objects until the end, or until there is no memory. */
static void *tend(void *arg)
{
	uintptr_t n = (uintptr_t)arg;
	struct churn *c = &churns[n];

	while (told->go < 2) {
		if (churn_step(c)) {
			told->steps[n]++;
			continue;
		}
		if (!told->failed)
			snprintf(told->words, sizeof(told->words), "%s", tri_error());
		told->failed = errno == ENOMEM ? 1 : 2;
		pause_ns(1000000);
	}
	return NULL;
}

static bool begin_client(unsigned int threads, pthread_t *ids)
{
	uintptr_t i;

	if (pthread_create(&ids[MANY], NULL, observe, NULL))
		return false;
	for (i = 0; i < threads; i++)
		if (!churn_start(&churns[i], LIVE / threads, i + 1))
			return false;
	if (tri_gc())
		return false;
	for (i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, tend, (void *)i))
			return false;
	return true;
}

static int end_client(unsigned int threads, pthread_t *ids)
{
	uint64_t errors = 0;
	unsigned int i;

	for (i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		errors += churns[i].errors;
	}
	pthread_join(ids[MANY], NULL);
	told->end = stats();
	return errors ? 4 : 0;
}

static int churning(unsigned int threads)
{
	pthread_t ids[MANY + 1];

	if (!begin_client(threads, ids))
		return 3;
	told->go = 1;
	return end_client(threads, ids);
}

static int one_thread(void)
{
	return churning(1);
}

static int many_threads(void)
{
	return churning(MANY);
}

/* Runs @fn in a child, in the group from its start on. */
static pid_t start(int (*fn)(void), const char *name, const char *value)
{
	pid_t pid;

	memset(told, 0, sizeof(*told));
	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("TRICOLOR_SOCKET", "off", 1);
	if (name)
		setenv(name, value, 1);
	if (group.version && !group_enter(&group, getpid()))
		_exit(8);
	_exit(fn());
}

/* Until @condition holds, or the client is dead. */
#define UNTIL(pid, condition)								\
	({										\
		bool held_ = false;							\
											\
		(void)WAIT_FOR((held_ = (condition)) || !alive(pid), 1000000, 6 * PATIENCE_NS);	\
		held_;									\
	})

static uint64_t all_steps(void)
{
	uint64_t n = 0, i;

	for (i = 0; i < MANY; i++)
		n += told->steps[i];
	return n;
}

static bool go_on(pid_t pid)
{
	uint64_t from = all_steps(), cycles = told->cycles;

	return UNTIL(pid, all_steps() > from + 10000 && told->cycles > cycles + 2);
}

static bool works(pid_t pid)
{
	return UNTIL(pid, told->go == 1 && told->collector) && go_on(pid);
}

static int finish(pid_t pid)
{
	told->go = 2;
	return wait_status(pid);
}

static bool begin(const char *what)
{
	return group_make(&group, "memory", what) && group_limit(&group, LIMIT);
}

static void say(const char *what, int status)
{
	ksft_print_msg(
		"%s: status %d, %llu waits, %.1f ms in all, longest %.1f ms; peak %.1f of %.1f MiB\n",
		what, status, (unsigned long long)told->end.throttled,
		(double)told->end.throttled_ns / 1e6, (double)told->end.throttled_max_ns / 1e6,
		(double)group_peak(&group) / (1 << 20), (double)LIMIT / (1 << 20));
}

static void stop_and_go(const char *what, int (*fn)(void), unsigned int threads)
{
	bool ran, waits, goes, in_bounds;
	pid_t pid, collector;
	int status;

	if (!begin(what)) {
		skip_points(what, 2);
		return;
	}
	pid = start(fn, "TRICOLOR_MAX_WAIT", NO_END);
	ran = works(pid);
	collector = (pid_t)told->collector;
	kill(collector, SIGSTOP);
	waits = ran && UNTIL(pid, told->waiting == threads);
	ksft_print_msg("%s: %u of %u threads wait, %.1f MiB used\n", what, told->waiting, threads,
		       (double)group_usage(&group) / (1 << 20));
	ran &= alive(pid);
	/* The heap leaves the margin alone, and what is no heap has not grown by half of it. */
	in_bounds = group_usage(&group) <= LIMIT - LIMIT / 64;
	kill(collector, SIGCONT);
	goes = ran && UNTIL(pid, !told->waiting) && go_on(pid);
	status = finish(pid);
	say(what, status);
	ksft_test_result(!status && waits && in_bounds && !group_kills(&group),
			 "%s: all wait where they should, and nobody is killed\n", what);
	ksft_test_result(goes && !told->failed && told->end.throttled >= threads &&
				 told->end.throttled_max_ns &&
				 told->end.throttled_ns >= told->end.throttled_max_ns &&
				 !told->end.throttled_now,
			 "%s: they go on, and it is told how long they waited\n", what);
	group_end(&group, what);
}

static void test_stopped(void)
{
	stop_and_go("stopped", one_thread, 1);
}

static void test_threads(void)
{
	stop_and_go("threads", many_threads, MANY);
}

/*
 * Another thread wants memory when the first has waited in vain: more than what is left for a turn.
 */
static void *want_more(void *unused)
{
	uint64_t before;

	(void)unused;
	if (!WAIT_FOR(told->failed || told->go == 2, 1000000, 6 * PATIENCE_NS))
		return NULL;
	before = stats().throttled_ns;
	while (told->go < 2 && tri_alloc_leaf(64 << 10))
		;
	told->again = 1 + stats().throttled_ns - before;
	return NULL;
}

static int given_up(void)
{
	pthread_t more;
	int status;

	if (pthread_create(&more, NULL, want_more, NULL))
		return 3;
	status = churning(1);
	pthread_join(more, NULL);
	return status;
}

/* The collector stays stopped. */
static void fails(const char *what, int (*fn)(void))
{
	bool ran, failed, goes;
	pid_t pid, collector;
	int status;

	if (!begin(what)) {
		skip_points(what, 2);
		return;
	}
	pid = start(fn, "TRICOLOR_MAX_WAIT", "1");
	ran = works(pid);
	collector = (pid_t)told->collector;
	kill(collector, SIGSTOP);
	failed = ran && UNTIL(pid, told->failed);
	ksft_print_msg("%s: %s\n", what, told->words);
	failed &= told->failed == 1 && strstr(told->words, "TRICOLOR_MAX_WAIT") &&
		  strstr(told->words, "kill -CONT");
	if (fn == given_up) {
		/* All of a thread's patience is a second. */
		failed = failed && UNTIL(pid, told->again) && told->again < 1000000000;
		ksft_print_msg("%s: %.1f ms were waited after that\n", what,
			       (double)told->again / 1e6);
	}
	kill(collector, SIGCONT);
	goes = failed && go_on(pid);
	status = finish(pid);
	say(what, status);
	ksft_test_result(!status && failed && !group_kills(&group),
			 "%s: it fails, and nobody waits again or is killed\n", what);
	ksft_test_result(goes, "%s: and goes on with the collector\n", what);
	group_end(&group, what);
}

static void test_given_up(void)
{
	fails("given up", given_up);
}

/* What a hostile collector might write, as soon and as often as it can. */
static void *forge(void *unused)
{
	struct tri_view v;

	(void)unused;
	if (!arena_find(&v))
		_exit(7);
	while (told->go < 2) {
		if (!told->waiting)
			continue;
		atomic_fetch_add(&v.ctl->gc_done, 1u << 30);
		atomic_store(&v.ctl->limit_bytes, (int64_t)atomic_load(&v.ctl->gc_done) << 20);
		atomic_store(&v.ctl->far_bytes, UINT64_MAX);
		atomic_store(&v.ctl->throttled_now, 0);
		tri_write(&v.ctl->free_backed_bytes, UINT64_MAX / 2);
		atomic_fetch_add(&v.ctl->throttle_seq, 1);
	}
	return NULL;
}

static int forged(void)
{
	pthread_t ids[MANY + 1], forger;

	if (!begin_client(1, ids) || pthread_create(&forger, NULL, forge, NULL))
		return 3;
	told->go = 1;
	pthread_join(forger, NULL);
	return end_client(1, ids);
}

/* Nothing that is written there lets the heap grow to the limit, or a wait last for ever. */
static void test_forged(void)
{
	bool ran, failed;
	pid_t pid, collector;
	int status;

	if (!begin("forged")) {
		skip_points("forged", 1);
		return;
	}
	pid = start(forged, "TRICOLOR_MAX_WAIT", "1");
	ran = works(pid);
	collector = (pid_t)told->collector;
	kill(collector, SIGSTOP);
	failed = ran && UNTIL(pid, told->failed);
	ran &= alive(pid);
	/* It has lost what it would need to go on: this one has no end to come to. */
	status = finish(pid);
	kill(collector, SIGKILL);
	say("forged", status);
	ksft_test_result(failed && ran && !group_kills(&group),
			 "forged: it fails all the same, and nobody is killed\n");
	group_end(&group, "forged");
}

static sigjmp_buf out;
static volatile sig_atomic_t jumps;

static void handler(int sig)
{
	uint64_t *p;

	if (sig == SIGUSR2 && jumps)
		siglongjmp(out, 1);
	told->handled = 1;
	/* It may have to wait itself. */
	p = tri_alloc(64);
	if (p)
		*p = (uint64_t)sig;
}

static int handled(void)
{
	pthread_t observer;

	signal(SIGUSR1, handler);
	signal(SIGUSR2, handler);
	if (pthread_create(&observer, NULL, observe, NULL) || !churn_start(&churns[0], LIVE, 1) ||
	    tri_gc())
		return 3;
	told->go = 1;
	if (sigsetjmp(out, 1))
		told->jumped++;
	jumps = 1;
	while (told->go < 2 && churn_step(&churns[0]))
		told->steps[0]++;
	jumps = 0;
	pthread_join(observer, NULL);
	told->end = stats();
	return churns[0].errors || told->go < 2 ? 4 : 0;
}

/*
 * Whether the thread waits for a cycle, as the observer has found since we asked: an allocation in
 * a handler is sound where that interrupts a wait, and nowhere else in the library.  A wait for the
 * thread's turn is a tenth of a second at most, and then it goes on: one that sleeps at each of so
 * many looks, a millisecond apart, is in the other kind, which does not end as long as the
 * collector is stopped and patience lasts.
 */
static bool waits_now(pid_t pid)
{
	uint32_t seen = told->looks;

	/* The first look may have begun before. */
	return UNTIL(pid, told->looks - seen > LOOKS && told->asleep >= LOOKS);
}

static void test_handler(void)
{
	bool ran, jumped = false, goes;
	pid_t pid, collector;
	int status;

	if (!begin("handler")) {
		skip_points("handler", 2);
		return;
	}
	pid = start(handled, "TRICOLOR_MAX_WAIT", NO_END);
	ran = works(pid);
	collector = (pid_t)told->collector;
	kill(collector, SIGSTOP);
	ran = ran && waits_now(pid);
	/* The thread itself: its process has others. */
	syscall(SYS_tgkill, pid, pid, SIGUSR2);
	jumped = ran && UNTIL(pid, told->jumped) && waits_now(pid);
	syscall(SYS_tgkill, pid, pid, SIGUSR1);
	jumped = jumped && UNTIL(pid, told->handled);
	kill(collector, SIGCONT);
	goes = jumped && go_on(pid);
	status = finish(pid);
	say("handler", status);
	ksft_test_result(!status && jumped && !group_kills(&group),
			 "handler: it jumps out, and nobody is killed\n");
	ksft_test_result(goes, "handler: and the thread goes on\n");
	group_end(&group, "handler");
}

static int forks(void)
{
	pthread_t ids[MANY + 1];
	pid_t child;

	if (!begin_client(1, ids))
		return 3;
	told->go = 1;
	while (!told->waiting && told->go < 2)
		pause_ns(1000000);
	child = fork();
	if (!child) {
		struct tri_stats s;

		/* It is in the same group, and its own collector works. */
		if (!churn_start(&churns[MANY - 1], MIB, 1) || tri_gc())
			_exit(1);
		s = stats();
		_exit(s.cycles && s.throttled_now == 0 ? 0 : 2);
	}
	told->child_done = 1 + (uint32_t)wait_status(child);
	return end_client(1, ids);
}

static void test_forked(void)
{
	pid_t pid, collector;
	bool ran, forked;
	int status;

	if (!begin("forked")) {
		skip_points("forked", 1);
		return;
	}
	pid = start(forks, "TRICOLOR_FORK", "fresh");
	ran = works(pid);
	collector = (pid_t)told->collector;
	kill(collector, SIGSTOP);
	forked = ran && UNTIL(pid, told->child_done);
	kill(collector, SIGCONT);
	ran &= forked && go_on(pid);
	status = finish(pid);
	say("forked", status);
	ksft_test_result(!status && ran && told->child_done == 1 && !group_kills(&group),
			 "forked: the child has a heap, and the parent goes on (child: %d)\n",
			 (int)told->child_done - 1);
	group_end(&group, "forked");
}

static int litters_at_once(void)
{
	uint64_t i;

	told->go = 1;
	for (i = 0; i < 8 * LIMIT; i += 1024)
		if (!tri_alloc(1024))
			return 6;
	told->end = stats();
	return 0;
}

static void test_beginning(void)
{
	char *folder = temporary_folder(), socket_path[128], log_path[128];
	pid_t daemon, pid;
	int status;

	if (!begin("beginning")) {
		skip_points("beginning", 1);
		return;
	}
	snprintf(socket_path, sizeof(socket_path), "%s/sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	daemon = start_daemon(socket_path, log_path);
	kill(daemon, SIGSTOP);
	memset(told, 0, sizeof(*told));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("TRICOLOR_SOCKET", socket_path, 1);
		setenv("TRICOLOR_QUIET", "1", 1);
		_exit(group_enter(&group, getpid()) ? litters_at_once() : 8);
	}
	/* It passes the shared one over after five seconds. */
	status = wait_status(pid);
	say("beginning", status);
	ksft_test_result(!status && !group_kills(&group),
			 "beginning: nobody is killed before there is a collector\n");
	kill(daemon, SIGKILL);
	kill(daemon, SIGCONT);
	wait_status(daemon);
	group_end(&group, "beginning");
}

/* Nothing is freed: there is no collector. */
static int grows(unsigned int n)
{
	if (!group_enter(&group, getpid()) || tri_thread_attach())
		return 8;
	told->steps[n] = 1;
	while (told->go < 1)
		pause_ns(100000);
	while (tri_alloc(1000))
		told->steps[n]++;
	if (errno != ENOMEM)
		return 6;
	/* It keeps what it has until all have come to their end. */
	told->failed++;
	while (told->go < 2)
		pause_ns(1000000);
	return 0;
}

static bool all_have_begun(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < SEVERAL; i++)
		n += told->steps[i] > 0;
	return n == SEVERAL;
}

static bool all_live(const pid_t *pids)
{
	unsigned int i;

	for (i = 0; i < SEVERAL && alive(pids[i]); i++)
		;
	return i == SEVERAL;
}

static void test_several(void)
{
	bool ended = false, live = true;
	pid_t pids[SEVERAL];
	int status = 0;
	unsigned int i;

	if (!begin("several")) {
		skip_points("several", 1);
		return;
	}
	memset(told, 0, sizeof(*told));
	fflush(stdout);
	for (i = 0; i < SEVERAL; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("TRICOLOR_DAEMON", "off", 1);
		setenv("TRICOLOR_MAX_WAIT", "1", 1);
		setenv("TRICOLOR_QUIET", "1", 1);
		_exit(grows(i));
	}
	live = WAIT_FOR(all_have_begun() || !all_live(pids), 1000000, PATIENCE_NS) &&
	       all_live(pids);
	told->go = 1;
	ended = WAIT_FOR(told->failed == SEVERAL || !all_live(pids), 1000000, 6 * PATIENCE_NS) &&
		all_live(pids);
	told->go = 2;
	for (i = 0; i < SEVERAL; i++) {
		status |= wait_status(pids[i]);
		ksft_print_msg("several: %.1f MiB\n", (double)told->steps[i] * 1024 / (1 << 20));
	}
	ksft_test_result(
		!status && live && ended && !group_kills(&group),
		"several: all come to the end of the limit, and nobody is killed (status %d)\n",
		status);
	group_end(&group, "several");
}

static void test_unlimited(void)
{
	pid_t pid, collector;
	bool ran, grows;
	uint64_t from;
	int status;

	group.version = 0;
	setenv("TRICOLOR_MEMORY_LIMIT", "64MiB", 1);
	pid = start(one_thread, NULL, NULL);
	ran = works(pid);
	collector = (pid_t)told->collector;
	kill(collector, SIGSTOP);
	from = all_steps();
	/* More than its limit has room for, beside what lives. */
	grows = ran && UNTIL(pid, all_steps() > from + 2 * LIMIT / CHURN_CELL);
	kill(collector, SIGCONT);
	status = finish(pid);
	unsetenv("TRICOLOR_MEMORY_LIMIT");
	ksft_print_msg("unlimited: %llu waits\n", (unsigned long long)told->end.throttled);
	ksft_test_result(!status && grows && !told->end.throttled,
			 "unlimited: a limit that nobody enforces holds nobody back\n");
}

int main(int argc, char **argv)
{
	static const struct limited_part parts[] = {
		{ "stopped", test_stopped, 2 },	    { "threads", test_threads, 2 },
		{ "given-up", test_given_up, 2 },   { "forged", test_forged, 1 },
		{ "handler", test_handler, 2 },	    { "forked", test_forked, 1 },
		{ "beginning", test_beginning, 1 }, { "several", test_several, 1 },
		{ "unlimited", test_unlimited, 1 },
	};

	told = shared_memory(sizeof(*told));
	limited_run(parts, sizeof(parts) / sizeof(parts[0]), argc < 2 ? NULL : argv[1]);
}
