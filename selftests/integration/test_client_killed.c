// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_client_killed.c - clients of a shared collector die in every way, at every moment
 *
 * Victims collect all the time, so that a cycle is nearly always under way, and end after a random
 * moment: killed with SIGKILL, by exec() of another program, by exit() from a thread that is not
 * the main one, or by _exit().  Two bystanders tend their forests (forest.h) on the same collector
 * meanwhile, and must go on being collected and lose nothing, without a reconnect.
 *
 * When all are gone, the collector has what it had before: threads, descriptors, mappings and
 * memory.  Of the last few that left it keeps two descriptors each (ended_clients.h).
 */
#include <pthread.h>

#include "core/proto/control.h"
#include "lib/forest.h"

#define BYSTANDERS 2
/* As many as the collector keeps two descriptors of, so that it has all of these from then on. */
#define WARM_UP (CONTROL_ENDED_MAX + AT_ONCE)
#define VICTIMS 180
#define AT_ONCE 3
/* malloc() in the collector keeps what its threads have freed: so much may differ. */
#define RSS_SLACK_KB 4096

enum way { KILLED, EXEC, EXIT, EXIT_GROUP, ENDINGS };

static const char *const ending_names[ENDINGS] = { "SIGKILL", "exec", "exit", "_exit" };

struct bystander {
	_Atomic uint64_t cycles, steps;
	uint64_t errors, reconnects, cycles_end;
	bool done;
};

struct victim {
	_Atomic uint32_t ready;
	_Atomic uint32_t marking;	/* its thread's barrier flag, as it runs */
};

struct shared {
	struct bystander bystander[BYSTANDERS];
	_Atomic bool stop;
	struct victim victim[AT_ONCE];
};

static struct shared *shared;
static const char *socket_path;

/* ------------------------------------------------------------------------------------------ */
/* Clients                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static int bystander(struct bystander *b, uint64_t seed)
{
	struct tri_stats s = { .size = sizeof(s) };
	static struct forest f;

	f.large_one_in = 500;
	if (!forest_init(&f, 300, seed))
		return 1;
	while (!shared->stop) {
		if (!forest_step(&f))
			return 1;
		b->steps++;
		if (!(b->steps & 63)) {
			tri_read_stats(&s);
			b->cycles = s.cycles;
		}
	}
	forest_check_all(&f);
	tri_read_stats(&s);
	b->errors = f.errors;
	b->reconnects = s.reconnects;
	b->done = true;
	return 0;
}

struct victim_args {
	struct victim *v;
	enum way ending;
	uint64_t seed, after_ns;
};

static void *collect(void *unused)
{
	(void)unused;
	for (;;)
		tri_gc();
	return NULL;
}

/* A thread that works, and that ends the process if that is how it ends. */
static void *work(void *arg)
{
	static struct forest f;
	struct victim_args *a = arg;
	uint64_t end;

	f.large_one_in = 100;
	if (!forest_init(&f, 200, a->seed))
		_exit(9);
	while (f.ops < 200)
		forest_step(&f);
	a->v->ready = 1;
	end = now_ns() + a->after_ns;
	for (;;) {
		if (!forest_step(&f) || f.errors)
			_exit(9);
		a->v->marking = tri__tls.barrier;
		if (a->ending != KILLED && now_ns() >= end)
			break;
	}
	switch (a->ending) {
	case EXEC:
		execl("/bin/true", "true", NULL);
		_exit(9);
	case EXIT:
		exit(0);
	default:
		_exit(0);
	}
}

static int victim(struct victim_args *a)
{
	pthread_t t;

	if (pthread_create(&t, NULL, collect, NULL) || pthread_create(&t, NULL, work, a))
		return 9;
	for (;;)
		pause();
}

/* ------------------------------------------------------------------------------------------ */
/* The collector's possessions                                                                */
/* ------------------------------------------------------------------------------------------ */

struct possessions {
	long threads, descriptors, anon_kb, shmem_kb, address_kb;
};

static void print_links(const char *folder)
{
	char path[400], target[256];
	DIR *d = opendir(folder);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n > 0)
			ksft_print_msg("%s: %.*s\n", e->d_name, (int)n, target);
	}
	if (d)
		closedir(d);
}

static struct possessions possessions(pid_t pid)
{
	return (struct possessions){
		.threads = proc_status(pid, "Threads"),
		.descriptors = proc_entries(pid, "fd"),
		.anon_kb = proc_status(pid, "RssAnon"),
		.shmem_kb = proc_status(pid, "RssShmem"),
		.address_kb = proc_status(pid, "VmSize"),
	};
}

/*
 * Wait until the collector has the threads and descriptors of @p; say what it has if that is not
 * so.  The thread that served start_daemon()'s greeting may have been in @p still.
 */
static bool at_rest(pid_t daemon, const struct possessions *p)
{
	char folder[64];

	if (WAIT_FOR(proc_status(daemon, "Threads") <= p->threads &&
		     proc_entries(daemon, "fd") == p->descriptors, 1000000, PATIENCE_NS))
		return true;
	snprintf(folder, sizeof(folder), "/proc/%d/fd", daemon);
	print_links(folder);
	return false;
}

static void print(const char *when, const struct possessions *p)
{
	ksft_print_msg(
		"%s: %ld threads, %ld descriptors, %ld KiB anonymous, %ld KiB shared, address space "
		"%ld MiB\n",
		when, p->threads, p->descriptors, p->anon_kb, p->shmem_kb, p->address_kb >> 10);
}

static uint64_t in_mark, ended[ENDINGS], wrong;

/* One batch of victims, from start to end. */
static void sacrifice(uint64_t *seed)
{
	struct victim_args args[AT_ONCE];
	pid_t pid[AT_ONCE];
	int i;

	for (i = 0; i < AT_ONCE; i++) {
		shared->victim[i].ready = 0;
		args[i] = (struct victim_args){
			.v = &shared->victim[i], .ending = (enum way)draw_below(seed, ENDINGS),
			.seed = draw(seed), .after_ns = draw_below(seed, 20000000),
		};
		fflush(stdout);
		pid[i] = fork();
		if (!pid[i])
			_exit(victim(&args[i]));
	}
	for (i = 0; i < AT_ONCE; i++) {
		int status, want = args[i].ending == KILLED ? 128 + SIGKILL : 0;

		if (args[i].ending == KILLED) {
			/* Some before they have attached. */
			if (draw_below(seed, 8))
				WAIT_FOR(args[i].v->ready, 100000, PATIENCE_NS);
			pause_ns(args[i].after_ns);
			in_mark += args[i].v->marking;
			kill(pid[i], SIGKILL);
		}
		status = wait_status(pid[i]);
		if (status != want) {
			ksft_print_msg("a victim of %s ended with %d\n",
				       ending_names[args[i].ending], status);
			wrong++;
		}
		ended[args[i].ending]++;
	}
}

int main(void)
{
	char socket_name[128], log[128], *folder = temporary_folder();
	struct possessions before, after;
	pid_t daemon, pid[BYSTANDERS];
	uint64_t seed, cycles_before[BYSTANDERS];
	bool ok = true;
	int i, n;

	ksft_print_header();
	ksft_set_plan(8);
	seed = test_seed();
	shared = shared_memory(sizeof(*shared));
	snprintf(socket_name, sizeof(socket_name), "%s/sock", folder);
	snprintf(log, sizeof(log), "%s/log", folder);
	socket_path = socket_name;
	setenv("TRICOLOR_SOCKET", socket_path, 1);
	daemon = start_marking_daemon(socket_path, log);
	/* A private collector would hide the death of the shared one. */
	setenv("TRICOLOR_DAEMON", "/nonexistent", 1);
	before = possessions(daemon);
	before.descriptors += 2 * CONTROL_ENDED_MAX;
	print("new, with those of clients that will have left", &before);
	for (n = 0; n < WARM_UP; n += AT_ONCE)
		sacrifice(&seed);
	ksft_test_result(at_rest(daemon, &before), "the collector is at rest after the warm-up\n");
	before = possessions(daemon);
	print("before", &before);

	for (i = 0; i < BYSTANDERS; i++) {
		fflush(stdout);
		pid[i] = fork();
		if (!pid[i])
			_exit(bystander(&shared->bystander[i], draw(&seed) + (uint64_t)i));
	}
	for (i = 0; i < BYSTANDERS; i++) {
		ok &= WAIT_FOR(shared->bystander[i].cycles > 2, 1000000, PATIENCE_NS);
		cycles_before[i] = shared->bystander[i].cycles;
	}
	memset(ended, 0, sizeof(ended));
	in_mark = 0;
	for (n = 0; n < VICTIMS; n += AT_ONCE)
		sacrifice(&seed);
	for (i = 0; i < ENDINGS; i++)
		ksft_print_msg("%llu ended by %s\n", (unsigned long long)ended[i], ending_names[i]);
	ksft_print_msg("%llu were killed in a mark phase\n", (unsigned long long)in_mark);
	ksft_test_result(!wrong && ended[KILLED] && ended[EXEC] && ended[EXIT] && ended[EXIT_GROUP],
			 "victims ended as they should\n");
	ksft_test_result(!kill(daemon, 0) && waitpid(daemon, NULL, WNOHANG) == 0,
			 "the collector is alive\n");

	/* The bystanders have been collected meanwhile, and go on being. */
	for (i = 0; i < BYSTANDERS; i++) {
		uint64_t now = shared->bystander[i].cycles;

		ksft_print_msg("bystander %d: %llu cycles\n", i,
			       (unsigned long long)(now - cycles_before[i]));
		ok &= now > cycles_before[i];
		ok &= WAIT_FOR(shared->bystander[i].cycles > now, 1000000, PATIENCE_NS);
	}
	ksft_test_result(ok, "bystanders were collected all along\n");
	shared->stop = true;
	for (ok = true, i = 0; i < BYSTANDERS; i++)
		ok &= !wait_status(pid[i]) && shared->bystander[i].done &&
		      !shared->bystander[i].errors && !shared->bystander[i].reconnects;
	ksft_test_result(ok, "bystanders lost neither objects nor the collector\n");

	ok = at_rest(daemon, &before);
	after = possessions(daemon);
	print("after", &after);
	ksft_test_result(ok, "threads and descriptors of the collector are those of before\n");
	ksft_test_result(after.shmem_kb <= before.shmem_kb &&
			 after.address_kb <= before.address_kb + (1 << 20),
			 "no arena is mapped any more\n");
	ksft_test_result(after.anon_kb <= before.anon_kb + RSS_SLACK_KB,
			 "the collector's own memory is that of before\n");
	kill(daemon, SIGTERM);
	wait_status(daemon);
	unlink(socket_path);
	unlink(log);
	rmdir(folder);
	ksft_finished();
}
