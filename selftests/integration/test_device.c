// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_device.c - heaps in arenas of /dev/tricolor: what they have more than those in a memfd
 *
 * State and settings in sysfs, memory that goes with its owner whatever the collector does, a
 * collector that adds nothing to an arena, and outlives one whose tables are torn out.  As root,
 * with the module loaded; elsewhere it skips.  That the heap works as such is the concern of all
 * other tests, which the VM runs with TRICOLOR_BACKING=dev.
 */
#include <tricolor.h>

#include "lib/arena_check.h"
#include "lib/process.h"

#define CLASS "/sys/class/tricolor"
#define MIB (1ull << 20)

struct shared {
	_Atomic uint64_t steps;		/* a client's that the parent follows */
	_Atomic int stage;
	_Atomic bool stop;
	uint64_t reconnects;
};

static struct shared *shared;
static char socket_path[128], log_path[128];
static pid_t collector;

/* ------------------------------------------------------------------------------------------ */
/* sysfs                                                                                      */
/* ------------------------------------------------------------------------------------------ */

static bool read_value(const char *arena, const char *name, char *value, size_t room)
{
	char path[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), CLASS "/%s/%s", arena, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, value, room - 1);
	if (fd >= 0)
		close(fd);
	if (n < 1 || value[n - 1] != '\n')
		return false;
	value[n - 1] = 0;
	return true;
}

static long long number(const char *arena, const char *name)
{
	char value[64];

	return read_value(arena, name, value, sizeof(value)) ? atoll(value) : -1;
}

static bool is(const char *arena, const char *name, const char *want)
{
	char value[64];

	return read_value(arena, name, value, sizeof(value)) && !strcmp(value, want);
}

/* 0 or the errno of writing @value. */
static int write_value(const char *arena, const char *name, const char *value)
{
	char path[256];
	int fd, err;

	snprintf(path, sizeof(path), CLASS "/%s/%s", arena, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	err = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value) ? 0 : errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* The name of the arena that process @pid has made. */
static bool arena_of(pid_t pid, char *name, size_t room)
{
	DIR *d = opendir(CLASS);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		if (strncmp(e->d_name, "arena", 5) || number(e->d_name, "owner") != pid)
			continue;
		snprintf(name, room, "%.32s", e->d_name);
		found = true;
	}
	if (d)
		closedir(d);
	return found;
}

/* ------------------------------------------------------------------------------------------ */
/* Clients: they say what they found by their exit status, a line number if something was wrong */
/* ------------------------------------------------------------------------------------------ */

#define NEED(condition)								\
	do {									\
		if (!(condition)) {						\
			ksft_print_msg("line %d: %s: %s\n", __LINE__, #condition, tri_error()); \
			_exit(1);						\
		}								\
	} while (0)

static struct tri_stats stats(void)
{
	struct tri_stats s = { .size = sizeof(s) };

	tri_read_stats(&s);
	return s;
}

static void client_sysfs(void)
{
	char arena[64];
	void **kept;

	NEED(!tri_init(NULL));
	kept = tri_alloc(MIB);
	NEED(kept && tri_root_add(&kept, sizeof(kept)) == 0);
	NEED(!tri_gc() && !tri_gc() && !tri_gc());
	NEED(arena_of(getpid(), arena, sizeof(arena)));
	NEED(is(arena, "state", "attached") && is(arena, "backing", "4k"));
	NEED(number(arena, "owner_uid") == getuid() && number(arena, "collectors") == 1);
	/* Published after the client has been told that the cycle is over. */
	NEED(WAIT_FOR(number(arena, "cycles") >= 3 && is(arena, "phase", "off"), 1000000,
		      PATIENCE_NS));
	NEED(number(arena, "live_bytes") >= (long long)MIB && number(arena, "mark_cpu_ns") > 0);
	NEED(number(arena, "goal_bytes") > number(arena, "live_bytes"));
	NEED(number(arena, "size_bytes") > (64ll << 30) && is(arena, "gc_percent", "100"));

	/* Asked for, followed, and said again. */
	NEED(!write_value(arena, "gc_percent", "300\n"));
	NEED(WAIT_FOR(is(arena, "gc_percent", "300"), 1000000, PATIENCE_NS));
	NEED(tri_set_gc_percent(100) == 300);
	NEED(WAIT_FOR(is(arena, "gc_percent", "100"), 1000000, PATIENCE_NS));
	NEED(!write_value(arena, "gc_percent", "off"));
	NEED(WAIT_FOR(is(arena, "gc_percent", "off"), 1000000, PATIENCE_NS));
	NEED(!write_value(arena, "gc_percent", "200"));
	NEED(WAIT_FOR(is(arena, "gc_percent", "200"), 1000000, PATIENCE_NS));
	/* What was set before by other means is not set again by this. */
	NEED(tri_set_gc_percent(50) == 200);
	NEED(!write_value(arena, "memory_limit_bytes", "536870912"));
	NEED(WAIT_FOR(is(arena, "memory_limit_bytes", "536870912"), 1000000, PATIENCE_NS));
	NEED(stats().limit_bytes == 536870912);
	NEED(tri_set_gc_percent(100) == 50);

	NEED(write_value(arena, "gc_percent", "-2") == EINVAL);
	NEED(write_value(arena, "gc_percent", "much") == EINVAL);
	NEED(write_value(arena, "memory_limit_bytes", "-1") == EINVAL);
	NEED(write_value(arena, "cycles", "1") == EACCES ||
	     write_value(arena, "cycles", "1") == EIO);
}

static void *volatile roots[4000];

/* Objects that nobody ever wrote: there may be no memory where the marker looks. */
static void client_unwritten(void)
{
	struct tri_stats s;
	char arena[64];
	int i;

	NEED(!tri_init(NULL));
	for (i = 0; i < 4000; i++)
		NEED(roots[i] = tri_alloc(i % 4 == 0 ? 16 :
					  i % 4 == 1 ? 200 :
					  i % 4 == 2 ? 3000 :
						       20000));
	NEED(roots[0] = tri_alloc(256 * MIB));
	NEED(roots[1] = tri_alloc_leaf(256 * MIB));
	for (i = 0; i < 3; i++)
		NEED(!tri_gc());
	s = stats();
	NEED(arena_of(getpid(), arena, sizeof(arena)));
	ksft_print_msg("%llu cycles, %llu reconnects, %llu MiB live, %lld MiB resident\n",
		       (unsigned long long)s.cycles, (unsigned long long)s.reconnects,
		       (unsigned long long)(s.live_bytes / MIB),
		       number(arena, "resident_bytes") / (long long)MIB);
	NEED(s.cycles >= 3 && s.reconnects == 0 && s.live_bytes >= 512 * MIB);
	NEED(number(arena, "resident_bytes") < (long long)(64 * MIB));
}

static void client_goes_on(void)
{
	uint64_t i;

	NEED(!tri_init(NULL));
	while (!shared->stop) {
		for (i = 0; i < 20000; i++)
			NEED(tri_alloc(i % 300));
		NEED(!tri_gc());
		shared->steps++;
	}
	shared->reconnects = stats().reconnects;
}

/* Tears pages out of its own tables, one kind after the other, and has it collected. */
static void client_torn(int part)
{
	struct tri_view v;
	char *at[7];

	NEED(!tri_init(NULL) && tri_alloc(64 * MIB) && tri_alloc(100));
	NEED(!tri_gc() && arena_find(&v));
	at[0] = (char *)v.page_map;
	at[1] = (char *)v.spans;
	at[2] = (char *)v.marks[0];
	at[3] = (char *)v.marks[1];
	at[4] = (char *)v.queued;
	at[5] = (char *)v.used;
	at[6] = v.heap + TRI_PAGE_BYTES;
	NEED(!madvise((void *)((uintptr_t)at[part] & ~4095ul), 4096, MADV_REMOVE));
	/* What becomes of this heap is its own affair. */
	tri_gc();
}

static void client_full(void)
{
	char *p;

	NEED(!tri_init(NULL) && (roots[0] = p = tri_alloc_leaf(64 * MIB)));
	memset(p, 1, 64 * MIB);
	NEED(!tri_gc());
	shared->stage = 1;
	for (;;)
		pause();
}

/* ------------------------------------------------------------------------------------------ */

static pid_t start(void (*client)(void))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		client();
		_exit(0);
	}
	return pid;
}

static void test_torn(void)
{
	pid_t going = start(client_goes_on), pid;
	uint64_t before;
	bool ok = WAIT_FOR(shared->steps > 0, 1000000, PATIENCE_NS);
	int part;

	for (part = 0; part < 7; part++) {
		pid = fork();
		if (!pid) {
			/* It may wait for a collector that does not take it any more. */
			alarm(1);
			client_torn(part);
			_exit(0);
		}
		wait_status(pid);
	}
	before = shared->steps;
	ok &= WAIT_FOR(shared->steps > before + 1, 1000000, PATIENCE_NS);
	shared->stop = true;
	ok &= wait_status(going) == 0 && !shared->reconnects;
	ksft_test_result(ok, "tables that are torn out are their client's trouble only\n");
	ksft_test_result(!kill(collector, 0) && can_connect(socket_path), "the collector lives\n");
}

static void test_killed(void)
{
	char arena[64], path[128];
	pid_t pid = start(client_full);
	bool ok;

	ok = WAIT_FOR(shared->stage == 1, 1000000, PATIENCE_NS) &&
	     arena_of(pid, arena, sizeof(arena)) &&
	     number(arena, "resident_bytes") > (long long)(64 * MIB);
	kill(collector, SIGSTOP);
	kill(pid, SIGKILL);
	wait_status(pid);
	if (!ok)
		ksft_print_msg("the client did not come to its memory\n");
	ok &= WAIT_FOR(is(arena, "state", "orphan"), 1000000, PATIENCE_NS) &&
	      number(arena, "resident_bytes") == 0;
	ksft_print_msg("%s: %lld bytes resident, %lld collectors\n", arena,
		       number(arena, "resident_bytes"), number(arena, "collectors"));
	ksft_test_result(ok, "a killed client's memory is gone while the collector is stopped\n");
	kill(collector, SIGCONT);
	snprintf(path, sizeof(path), CLASS "/%s", arena);
	ksft_test_result(WAIT_FOR(access(path, F_OK) && errno == ENOENT, 1000000, PATIENCE_NS),
			 "and the rest of it when that goes on\n");
}

int main(void)
{
	char *folder;

	ksft_print_header();
	if (access("/dev/tricolor", R_OK | W_OK))
		ksft_exit_skip("no /dev/tricolor: the module is not loaded\n");
	ksft_set_plan(6);
	shared = shared_memory(sizeof(*shared));
	folder = temporary_folder();
	snprintf(socket_path, sizeof(socket_path), "%s/sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	setenv("TRICOLOR_SOCKET", socket_path, 1);
	unsetenv("TRICOLOR_BACKING");
	collector = start_daemon(socket_path, log_path);

	ksft_test_result(wait_status(start(client_sysfs)) == 0, "state and settings in sysfs\n");
	ksft_test_result(wait_status(start(client_unwritten)) == 0,
			 "objects that were never written\n");
	test_torn();
	test_killed();

	kill(collector, SIGTERM);
	wait_status(collector);
	ksft_finished();
}
