// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_namespaces.c - client and shared collector in containers of their own
 *
 * For each kind of namespace, and for all of them together: the collector is in one of its own, the
 * client in another one, in a memory cgroup with a limit.  The client is told the limit, hears of
 * it when it is lowered and raised, and is not killed.
 *
 *	mount, pid, user, cgroup, net	one each
 *	all		all of them; nothing is mounted at the collector's /sys/fs/cgroup
 *	bare		that, without /proc in the collector, whose root is read-only.  Then nobody
 *			tells the collector when a limit is written: it is lowered while all are
 *			asleep, too
 *	host's, over	the client has a cgroup namespace of its own, and the host's mount, which
 *			names groups above that it has no names for; or that mount lies over the one
 *			of its own part, which is listed, too
 *	above		all of them, and the limit is that of a group above the client's
 *
 * usage: test_namespaces [NAME]
 */
#include <linux/futex.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/churn.h"
#include "lib/groups.h"
#include "lib/process.h"

#define MIB (1ull << 20)
#define LIVE (8 * MIB)
#define HOST_ID 100000			/* root of a user namespace */
#define ALL                                                                            \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWCGROUP | CLONE_NEWNET | \
	 CLONE_NEWIPC | CLONE_NEWUTS)

struct box {
	const char *name;
	int flags;
	bool hides;			/* no cgroups in the collector … */
	bool bare;			/* … and no /proc, and a root that is read-only */
	enum { OWN, HOSTS, OVER } mounts;	/* what a client in a cgroup namespace of its own
						 * sees of the cgroups */
};

static const struct box boxes[] = {
	{ "mount", CLONE_NEWNS, true, false, OWN },
	{ "pid", CLONE_NEWPID | CLONE_NEWNS, false, false, OWN },
	{ "user", CLONE_NEWUSER, false, false, OWN },
	{ "cgroup", CLONE_NEWCGROUP | CLONE_NEWNS, false, false, OWN },
	{ "net", CLONE_NEWNET, false, false, OWN },
	{ "all", ALL, true, false, OWN },
	{ "bare", ALL, true, true, OWN },
	{ "host's", CLONE_NEWCGROUP | CLONE_NEWNS, true, false, HOSTS },
	{ "over", CLONE_NEWCGROUP | CLONE_NEWNS, true, false, OVER },
};

#define POINTS 5

/* What the client says, and is told. */
struct said {
	_Atomic uint32_t ready, pause, paused, go;
	_Atomic uint64_t limit_bytes, steps, errors;
};

static struct said *said;
static struct test_group group;
static char folder[64], socket_path[96], log_path[96];
static const char *program;
static struct churn churn;

/* ------------------------------------------------------------------------------------------ */
/* Into a container                                                                           */
/* ------------------------------------------------------------------------------------------ */

/* Over a file of /proc of process @pid; the parent's part of making a user namespace. */
static void write_proc(pid_t pid, const char *name, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	close(fd);
}

static void cover(const char *where)
{
	if (mount("none", where, "tmpfs", MS_RDONLY, NULL))
		_exit(41);
}

/*
 * What a container has mounted of the cgroups is the part that it is in; and over it, with @over,
 * what was there.
 */
static void mount_own(bool over)
{
	bool v1 = group.version == 1;
	const char *at = v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup",
		   *type = v1 ? "cgroup" : "cgroup2";
	int hosts = open_tree(AT_FDCWD, at, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	/* No file system is mounted on itself. */
	cover(at);
	if (mount(type, at, type, 0, v1 ? "memory" : NULL))
		_exit(44);
	if (over && move_mount(hosts, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH))
		_exit(49);
	close(hosts);
}

/* In its own mount namespace, by now. */
static void furnish(const struct box *b, bool collector)
{
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(42);
	if (b->flags & CLONE_NEWPID && mount("proc", "/proc", "proc", 0, NULL))
		_exit(43);
	if (!collector && b->flags & CLONE_NEWCGROUP && b->mounts != HOSTS)
		mount_own(b->mounts == OVER);
	if (!collector)
		return;
	if (b->hides)
		cover("/sys/fs/cgroup");
	if (!b->bare)
		return;
	cover("/proc");
	if (mount(folder, folder, NULL, MS_BIND, NULL) ||
	    mount("/", "/", NULL, MS_BIND | MS_REC, NULL) ||
	    mount("none", "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
		_exit(45);
}

/* The child's part of start_in(). */
static void enter(const struct box *b, bool collector, int ready, int go, int (*run)(void))
{
	char byte = 0;

	if (b->flags & CLONE_NEWUSER) {
		if (unshare(CLONE_NEWUSER) || write(ready, &byte, 1) != 1 ||
		    read(go, &byte, 1) != 1 || setresgid(0, 0, 0) || setresuid(0, 0, 0))
			_exit(46);
	}
	if (unshare(b->flags & ~CLONE_NEWUSER))
		_exit(47);
	prctl(PR_SET_DUMPABLE, 1);
	/* A change of user has ended it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (b->flags & CLONE_NEWPID) {
		pid_t pid = fork();

		if (pid)
			_exit(pid < 0 ? 48 : wait_status(pid));
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	if (b->flags & CLONE_NEWNS)
		furnish(b, collector);
	_exit(run());
}

/* @run in a container as @b says, and in @g; it is not there yet. */
static pid_t start_in(const struct box *b, const struct test_group *g, bool collector,
		      int (*run)(void))
{
	int ready[2], go[2];
	char byte, map[32];
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) || pipe2(go, O_CLOEXEC))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		close(go[1]);
		if (!group_enter(g, getpid()))
			_exit(40);
		enter(b, collector, ready[1], go[0], run);
	}
	close(ready[1]);
	close(go[0]);
	if (b->flags & CLONE_NEWUSER && read(ready[0], &byte, 1) == 1) {
		snprintf(map, sizeof(map), "0 %d 65536", HOST_ID);
		write_proc(pid, "uid_map", map);
		write_proc(pid, "gid_map", map);
		if (write(go[1], &byte, 1) != 1)
			ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	}
	close(ready[0]);
	close(go[1]);
	return pid;
}

static int run_collector(void)
{
	int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0666);

	if (fd < 0 || dup2(fd, 2) < 0)
		return 30;
	execl(program, "tricolord", "--config", "/dev/null", "--log-level", "debug", "--socket",
	      socket_path, (char *)NULL);
	return 31;
}

/* ------------------------------------------------------------------------------------------ */
/* A client                                                                                   */
/* ------------------------------------------------------------------------------------------ */

static int run_client(void)
{
	struct tri_stats s = { .size = sizeof(s) };
	int i;

	if (tri_gc() || !churn_start(&churn, LIVE, LIVE))
		return 20;
	while (!said->go) {
		if (said->pause) {
			/* From here on nothing but the limit holds it back. */
			tri_set_gc_percent(-1);
			if (tri_free_os_memory())
				return 21;
			said->paused = 1;
			while (said->pause)
				syscall(SYS_futex, &said->pause, FUTEX_WAIT, 1, NULL, NULL, 0);
			said->paused = 0;
		}
		for (i = 0; i < 1000; i++)
			if (!churn_step(&churn))
				return 22;
		if (tri_read_stats(&s))
			return 23;
		said->limit_bytes = s.limit_bytes;
		said->steps = churn.steps;
		said->errors = churn.errors;
		said->ready = 1;
	}
	return 0;
}

/* The share of a limit: nine tenths, less what else is in the group. */
static bool told(uint64_t limit)
{
	uint64_t share = said->limit_bytes;

	return share > limit / 2 && share <= limit * 9 / 10;
}

static bool hears(pid_t pid, const struct test_group *g, uint64_t limit)
{
	/* v1 refuses a limit that is less than what is used, until there is less. */
	bool heard = WAIT_FOR(group_limit(g, limit), 1000000, PATIENCE_NS) &&
		     WAIT_FOR(told(limit) || waitpid(pid, NULL, WNOHANG) != 0, 1000000,
			      3 * PATIENCE_NS) &&
		     told(limit);

	if (!heard)
		ksft_print_msg("%llu MiB: %s; the client was told %llu MiB\n",
			       (unsigned long long)(limit >> 20), group_why(),
			       (unsigned long long)(said->limit_bytes >> 20));
	return heard;
}

static void show_log(void)
{
	char line[512];
	FILE *f = fopen(log_path, "re");

	while (f && fgets(line, sizeof(line), f))
		ksft_print_msg("%s", line);
	if (f)
		fclose(f);
}

static bool is_logged(const char *word)
{
	char line[512];
	FILE *f = fopen(log_path, "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, word);
	if (f)
		fclose(f);
	return found;
}

/*
 * Whether it was the shared collector that found the group: a private one has no difficulty.  The
 * client may know its limit, by its own marker, before the shared one has come to say where it has
 * found it.
 */
static bool logged(const char *word)
{
	return WAIT_FOR(is_logged(word), 1000000, PATIENCE_NS);
}

static bool asleep(pid_t collector)
{
	int try;

	said->pause = 1;
	if (!WAIT_FOR(said->paused, 1000000, PATIENCE_NS))
		return false;
	for (try = 0; try < 30; try++) {
		uint64_t before = proc_switches(collector);

		pause_ns(1000000000);
		if (proc_switches(collector) == before)
			return true;
	}
	return false;
}

/* The process that @pid has forked into a pid namespace. */
static pid_t child_of(pid_t pid)
{
	char path[64], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	if (fd >= 0)
		close(fd);
	return (pid_t)atoi(text);
}

static void test_asleep(const struct box *b, pid_t client, pid_t daemon)
{
	pid_t collector = b->flags & CLONE_NEWPID ? child_of(daemon) : daemon;
	bool slept = asleep(collector);

	/* A quarter of what it was: who goes on as before is killed. */
	if (!group_limit(&group, 40 * MIB))
		ksft_print_msg("%s, and %llu MiB are used\n", group_why(),
			       (unsigned long long)(group_usage(&group) >> 20));
	said->pause = 0;
	syscall(SYS_futex, &said->pause, FUTEX_WAKE, 1, NULL, NULL, 0);
	ksft_test_result(slept && hears(client, &group, 40 * MIB),
			 "%s: a limit that is lowered while all are asleep\n", b->name);
}

/* Collector and client, each in a container as @b says, the client in `group`. */
struct pair {
	struct test_group other;		/* the collector's */
	pid_t daemon, client;
};

static void begin(struct pair *p, const struct box *b)
{
	int status = 0;

	memset(said, 0, sizeof(*said));
	if (!group_make(&p->other, "memory", "collector"))
		ksft_exit_fail_msg("%s\n", group_why());
	unlink(socket_path);
	unlink(log_path);
	p->daemon = start_in(b, &p->other, true, run_collector);
	if (!WAIT_FOR(can_connect(socket_path), 1000000, PATIENCE_NS)) {
		show_log();
		ksft_exit_fail_msg("%s: no collector: status %d\n", b->name,
				   wait_status(p->daemon));
	}
	p->client = start_in(b, &group, false, run_client);
	if (!WAIT_FOR(said->ready || waitpid(p->client, &status, WNOHANG), 1000000,
		      3 * PATIENCE_NS) ||
	    !said->ready)
		ksft_print_msg("%s: the client does not begin: status %#x\n", b->name,
			       (unsigned int)status);
}

/* One point. */
static void end(struct pair *p, const char *name)
{
	uint64_t kills;
	int status;

	said->go = 1;
	said->pause = 0;
	syscall(SYS_futex, &said->pause, FUTEX_WAKE, 1, NULL, NULL, 0);
	status = wait_status(p->client);
	kills = group_kills(&group);
	ksft_test_result(!status && !kills && !said->errors,
			 "%s: the client lives: status %d, %llu kills\n", name, status,
			 (unsigned long long)kills);
	kill(p->daemon, SIGKILL);
	wait_status(p->daemon);
	group_remove(&group);
	group_remove(&p->other);
}

static void test_box(const struct box *b)
{
	bool first, lower, higher;
	struct pair p;

	if (!group_make(&group, "memory", "client") || !group_limit(&group, 128 * MIB))
		ksft_exit_fail_msg("%s\n", group_why());
	begin(&p, b);
	first = hears(p.client, &group, 128 * MIB) && logged(": in group ");
	/* Whose number means nothing to the collector has the name that it has told. */
	first = first && (!(b->flags & CLONE_NEWPID) || logged(" (test_namespaces, process "));
	ksft_test_result(first, "%s: the limit is known, and whose it is\n", b->name);
	lower = first && hears(p.client, &group, 80 * MIB);
	ksft_test_result(lower, "%s: one that is lowered\n", b->name);
	higher = lower && hears(p.client, &group, 160 * MIB);
	ksft_test_result(higher, "%s: one that is raised\n", b->name);
	if (!higher)
		show_log();
	if (b->bare)
		test_asleep(b, p.client, p.daemon);
	else
		ksft_test_result(higher && hears(p.client, &group, 64 * MIB),
				 "%s: and lowered again\n", b->name);
	end(&p, b->name);
}

#define ABOVE "above"
#define ABOVE_POINTS 4

/*
 * The limit of a pod: that of a group above the client's own, which is in no container's sight.
 * Only v1 tells.
 */
static void test_above(const struct box *b)
{
	struct test_group pod;
	struct pair p;
	bool known;
	int i;

	if (!group_make(&pod, "memory", "pod"))
		ksft_exit_fail_msg("%s\n", group_why());
	if (pod.version == 2) {
		for (i = 0; i < ABOVE_POINTS; i++)
			ksft_test_result_skip(
				ABOVE ": version 2 tells nothing of groups that are not seen\n");
		group_remove(&pod);
		return;
	}
	if (!group_limit(&pod, 96 * MIB) || !group_make_in(&group, &pod, "client") ||
	    !group_limit(&group, 512 * MIB))
		ksft_exit_fail_msg("%s\n", group_why());
	begin(&p, b);
	known = hears(p.client, &pod, 96 * MIB) && logged("of a group above that can't be seen");
	ksft_test_result(known, ABOVE ": a pod's limit is known\n");
	ksft_test_result(known && hears(p.client, &pod, 72 * MIB), ABOVE ": one that is lowered\n");
	/* And one's own counts again when it is the tighter one. */
	ksft_test_result(known && hears(p.client, &group, 64 * MIB),
			 ABOVE ": and the container's own\n");
	if (!known)
		show_log();
	end(&p, ABOVE);
	group_remove(&pod);
}

static const struct box *box_named(const char *name)
{
	const struct box *b = boxes;

	while (strcmp(b->name, name))
		b++;
	return b;
}

static bool is_chosen(int argc, char **argv, const char *name)
{
	return argc < 2 || !strcmp(argv[1], name);
}

int main(int argc, char **argv)
{
	size_t n = sizeof(boxes) / sizeof(boxes[0]), i, runs = 0;
	bool above;

	ksft_print_header();
	if (geteuid())
		ksft_exit_skip("only root makes such namespaces\n");
	if (!group_make(&group, "memory", "probe"))
		ksft_exit_skip("%s\n", group_why());
	group_remove(&group);
	for (i = 0; i < n; i++)
		runs += is_chosen(argc, argv, boxes[i].name);
	above = is_chosen(argc, argv, ABOVE);
	ksft_set_plan((unsigned int)runs * POINTS + (above ? ABOVE_POINTS : 0));
	come_first();
	said = shared_memory(sizeof(*said));
	program = daemon_path();
	strcpy(folder, temporary_folder());
	chmod(folder, 0777);
	snprintf(socket_path, sizeof(socket_path), "%s/tricolord.sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	setenv("TRICOLOR_SOCKET", socket_path, 1);
	setenv("TRICOLOR_GC_PERCENT", "200", 1);
	for (i = 0; i < n; i++)
		if (is_chosen(argc, argv, boxes[i].name))
			test_box(&boxes[i]);
	if (above)
		test_above(box_named("all"));
	unlink(socket_path);
	unlink(log_path);
	rmdir(folder);
	ksft_finished();
}
