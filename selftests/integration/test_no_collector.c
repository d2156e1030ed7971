// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_no_collector.c - what a program sees of a collector that can't be had, or does nothing
 *
 *	it can't be started: the program is told once, by name and reason, or not at all if it wants
 *	so; tri_error() has the reason in any thread; and the heap ends before the machine does it
 *	is stopped: requests and allocations fail after a while, and go on when it goes on a shared
 *	one is stopped, or its queue full: a private one is started, and that is said its program,
 *	or a shared one's socket, is on a file system that does not answer: that is said, and nobody
 *	waits for ever there is no /dev, no /proc, no standard stream
 *
 * Each is a child of its own, which has what it says on standard error in a file.
 */
#include <linux/filter.h>
#include <linux/fuse.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include "core/proto/client.h"
#include "lib/groups.h"
#include "lib/process.h"
#include "lib/witness.h"

#define MOST 24				/* scenarios */
#define SKIPPED 4			/* exit status: it can't be tried here */
#define BROKEN 5			/* the test itself */
/*
 * On a machine that is short of CPUs a collector may take a second to come, and that is said.  So
 * it is no line that counts, but where it can't be otherwise.
 */
#define SECOND "no collector for a second by now"
#define ALSO_SECOND 16			/* that is said, too */
#define ANY (-1)			/* number of lines */
#define SILENT (-2)			/* not even that */

struct setting {
	const char *name, *value;
};

/* They run side by side, as most of them wait for something. */
static struct scenario {
	const char *what;
	int lines;			/* to be said, beside SECOND; + ALSO_SECOND, ANY or
					 * SILENT */
	const char *word;		/* in one of them */
	char said[128];			/* a file */
	pid_t pid;
} scenarios[MOST];
static unsigned int count;

static const char *folder;
static char said_path[128], socket_path[128];	/* of the scenario that this is */

/* What it has said on standard error. */
static const char *said(const char *path)
{
	static char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		close(fd);
	return text;
}

/* Lines with @word; NULL: all lines. */
static int lines(const char *text, const char *word)
{
	const char *end, *at;
	int n = 0;

	for (; (end = strchr(text, '\n')); text = end + 1) {
		at = word ? strstr(text, word) : text;
		n += at && at < end;
	}
	return n;
}

static bool says_what_it_should(const struct scenario *s, const char *text)
{
	int all = lines(text, NULL), seconds = lines(text, SECOND);

	if (s->word && !strstr(text, s->word))
		return false;
	if (s->lines == ANY)
		return true;
	if (s->lines == SILENT)
		return !*text;
	if (s->lines >= ALSO_SECOND)
		return seconds && all - seconds == s->lines - ALSO_SECOND;
	return all - seconds == s->lines;
}

static void begin(const char *what, bool (*fn)(void), const struct setting *settings, int say,
		  const char *word)
{
	struct scenario *s = &scenarios[count];
	int status, fd;

	*s = (struct scenario){ .what = what, .lines = say, .word = word };
	snprintf(s->said, sizeof(s->said), "%s/said-%u", folder, count);
	snprintf(socket_path, sizeof(socket_path), "%s/sock-%u", folder, count);
	strcpy(said_path, s->said);
	count++;
	fflush(stdout);
	s->pid = fork();
	if (s->pid)
		return;
	alarm(60);
	setenv("TRICOLOR_SOCKET", "off", 1);
	for (; settings && settings->name; settings++)
		setenv(settings->name, settings->value ? settings->value : socket_path, 1);
	fd = open(said_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, 2) < 0)
		_exit(BROKEN);
	close(fd);
	status = fn() ? 0 : 1;
	fflush(stdout);
	_exit(status);
}

static void end(const struct scenario *s)
{
	int status = s->pid < 0 ? -1 : wait_status(s->pid);
	const char *text = said(s->said);
	bool ok;

	if (status == SKIPPED) {
		ksft_test_result_skip("%s: not permitted\n", s->what);
		return;
	}
	ok = !status && says_what_it_should(s, text);
	if (!ok)
		ksft_print_msg("status %d, and it said %d lines: %s\n", status, lines(text, NULL),
			       text);
	ksft_test_result(ok, "%s\n", s->what);
	unlink(s->said);
}

#define CHECK(what)							\
	do {								\
		if (!(what)) {						\
			ksft_print_msg("line %d: not so: %s (%s)\n", __LINE__, #what, tri_error()); \
			return false;					\
		}							\
	} while (0)

static bool grow(size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i += 4096)
		if (!tri_alloc_leaf(4096))
			return false;
	return true;
}

static void *read_error(void *text)
{
	strncpy(text, tri_error(), 255);
	return NULL;
}

/* It never asks.  Another thread than the agent can read why. */
static bool grows_on(void)
{
	char text[256] = "";
	struct tri_stats s;
	pthread_t t;

	/* As long as it takes to find out that there is none. */
	CHECK(WAIT_FOR(grow(1 << 20) && strstr(tri_error(), "/nonexistent/tricolord"), 1000000,
		       PATIENCE_NS));
	CHECK(grow(64 << 20));
	s = read_stats();
	CHECK(!s.collector_pid && !s.cycles);
	CHECK(!pthread_create(&t, NULL, read_error, text) && !pthread_join(t, NULL));
	CHECK(strstr(text, "/nonexistent/tricolord") && strstr(text, strerror(ENOENT)));
	return true;
}

/* Its own failures come first, and the heap's is gone with it. */
static bool error_of_thread(void)
{
	CHECK(!tri_alloc_aligned(16, 3));
	CHECK(strstr(tri_error(), "alignment"));
	CHECK(WAIT_FOR(grow(1 << 20) && read_stats().reconnects == 0 && !read_stats().collector_pid,
		       1000000, PATIENCE_NS));
	CHECK(strstr(tri_error(), "alignment"));
	return true;
}

static struct test_group small_group;	/* without a folder: there is none */

/* The bound is half of what its control group allows.  The heap's pages are not touched. */
static bool has_a_brake(void)
{
	size_t bytes = 0, object = 256 << 10;
	uint64_t began;

	if (!*small_group.dir || !group_enter(&small_group, getpid()))
		_exit(SKIPPED);
	CHECK(!tri_init(NULL));
	/* The agent has looked at the group when it knows that there is no collector. */
	CHECK(WAIT_FOR(strstr(tri_error(), "/nonexistent/tricolord"), 1000000, PATIENCE_NS));
	while (bytes < 1 << 30 && tri_alloc_leaf(object))
		bytes += object;
	ksft_print_msg("a heap without a collector ended at %zu MiB of 128\n", bytes >> 20);
	CHECK(bytes >= 56 << 20 && bytes <= 64 << 20 && errno == ENOMEM);
	CHECK(strstr(tri_error(), "without a collector") &&
	      strstr(tri_error(), "/nonexistent/tricolord"));
	/* Who is refused once need not wait again. */
	began = now_ns();
	CHECK(!tri_alloc_leaf(object) && now_ns() - began < PATIENCE_NS / 2);
	return true;
}

/* It does nothing and asks for nothing: no thread of its comes by to say what the agent knows. */
static bool idles(void)
{
	CHECK(!tri_init(NULL));
	CHECK(WAIT_FOR(strstr(said(said_path), "/nonexistent/tricolord"), 10000000, PATIENCE_NS));
	return true;
}

/* It is a program that ends at once. */
static bool ends_at_once(void)
{
	CHECK(WAIT_FOR(grow(1 << 20) && strstr(said(said_path), "/bin/true"), 1000000,
		       PATIENCE_NS));
	CHECK(strstr(tri_error(), "/bin/true") && strstr(tri_error(), "hung up"));
	return true;
}

/*
 * Its program is somewhere that does not answer: a filter has execve() wait until we let it go on.
 */
static bool does_not_start(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };
	struct seccomp_notif asked = { 0 };
	struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	int fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(SKIPPED);
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			  &program);
	if (fd < 0)
		_exit(SKIPPED);
	CHECK(WAIT_FOR(grow(1 << 20) && strstr(said(said_path), "does not start"), 10000000,
		       PATIENCE_NS));
	CHECK(strstr(tri_error(), "does not start") && strstr(tri_error(), "tricolord"));
	CHECK(!ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &asked));
	answer.id = asked.id;
	CHECK(!ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer));
	CHECK(WAIT_FOR(read_stats().collector_pid, 1000000, PATIENCE_NS) && !tri_gc());
	CHECK(!strcmp(tri_error(), "no error"));
	return true;
}

static struct witness *everything;

static NOINLINE void drop(void)
{
	tri_store(&everything, NULL);
}

/* The arena is full, and the collector stopped. */
static bool stopped(void)
{
	struct tri_stats s;
	struct witness *w;
	char name[64];
	uint64_t began;
	int i, err;

	CHECK(!tri_gc());
	s = read_stats();
	CHECK(s.collector_pid && !kill((pid_t)s.collector_pid, SIGSTOP));
	snprintf(name, sizeof(name), "kill -CONT %llu", (unsigned long long)s.collector_pid);
	err = tri_gc();
	CHECK(err == -ETIMEDOUT && strstr(tri_error(), name));
	/*
	 * It is known to do nothing by now: neither a request nor an allocation waits for it again.
	 */
	began = now_ns();
	CHECK(tri_gc() == -ETIMEDOUT);
	for (i = 0; (w = tri_alloc(8000)); i++)
		tri_store(&everything, w);
	CHECK(errno == ENOMEM && i > 1000);
	CHECK(now_ns() - began < PATIENCE_NS / 2);
	/* It goes on. */
	CHECK(!kill((pid_t)s.collector_pid, SIGCONT));
	drop();
	wipe_stack();
	CHECK(WAIT_FOR(!tri_gc(), 1000000, PATIENCE_NS));
	CHECK(tri_alloc(8000));
	return true;
}

/* It asks so often that what it asks does not fit into the socket of a stopped collector. */
static bool many_requests(void)
{
	struct tri_stats s;
	int i;

	CHECK(!tri_gc());
	s = read_stats();
	CHECK(s.collector_pid && !kill((pid_t)s.collector_pid, SIGSTOP));
	for (i = 0; i < 20000; i++) {
		tri_set_gc_percent(50 + i % 50);
		/* Signals that are pending already are one. */
		if (!(i & 7))
			pause_ns(1000);
	}
	CHECK(!kill((pid_t)s.collector_pid, SIGCONT));
	tri_set_gc_percent(33);
	CHECK(!tri_gc() && read_stats().collector_pid == s.collector_pid &&
	      !read_stats().reconnects);
	return true;
}

/* It may have fewer descriptors than it waits for: poll() fails for good. */
static bool cannot_wait(void)
{
	const struct rlimit few = { 1, 1 };
	struct tri_stats s;

	CHECK(!tri_gc());
	s = read_stats();
	CHECK(s.collector_pid && !prlimit((pid_t)s.collector_pid, RLIMIT_NOFILE, &few, NULL));
	/* It ends, and another one does what it was asked. */
	CHECK(!tri_gc());
	CHECK(read_stats().reconnects == 1 && read_stats().collector_pid != s.collector_pid);
	CHECK(WAIT_FOR(proc_status((pid_t)s.collector_pid, "VmSize") < 0, 1000000, PATIENCE_NS));
	return true;
}

static int listener(int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, socket_path);
	unlink(socket_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, backlog))
		_exit(BROKEN);
	return fd;
}

/* Nobody accepts, and the queue is full. */
static bool queue_full(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int l = listener(0), c = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, socket_path);
	while (!connect(c, (struct sockaddr *)&addr, sizeof(addr)))
		c = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(errno == EAGAIN);
	CHECK(!tri_gc());
	CHECK(read_stats().collector_pid);
	close(l);
	return true;
}

/* The connection is taken, by nobody who says anything. */
static bool no_welcome(void)
{
	int l = listener(8);

	CHECK(!tri_gc());
	close(l);
	return true;
}

/*
 * A file system that is mounted, and then does nothing.  Who asks it can be seen at what this
 * returns.
 */
static int mount_dead(const char *where)
{
	struct {
		struct fuse_out_header head;
		struct fuse_init_out init;
	} answer = { .head = { .len = sizeof(answer) } };
	static char asked[1 << 16];
	const struct fuse_in_header *head = (const struct fuse_in_header *)asked;
	const struct fuse_init_in *init = (const struct fuse_init_in *)(head + 1);
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[80];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || mount("dead", where, "fuse", 0, options))
		_exit(SKIPPED);
	if (read(fd, asked, sizeof(asked)) < (ssize_t)(sizeof(*head) + 16) ||
	    head->opcode != FUSE_INIT)
		_exit(BROKEN);
	answer.head.unique = head->unique;
	answer.init.major = init->major;
	answer.init.minor = init->minor;
	answer.init.max_write = 4096;
	if (write(fd, &answer, sizeof(answer)) != sizeof(answer))
		_exit(BROKEN);
	return fd;
}

static bool is_asked(int dead)
{
	struct pollfd p = { .fd = dead, .events = POLLIN };

	return poll(&p, 1, (int)(PATIENCE_NS / 1000000)) == 1;
}

/* A folder for the scenario's socket, in which something can be mounted that nobody else sees. */
static void socket_in_folder(void)
{
	if (mkdir(socket_path, 0755))
		_exit(BROKEN);
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(SKIPPED);
	strcat(socket_path, "/sock");
	setenv("TRICOLOR_SOCKET", socket_path, 1);
}

static const char *socket_folder(void)
{
	static char path[sizeof(socket_path)];

	strcpy(path, socket_path);
	*strrchr(path, '/') = 0;
	return path;
}

static bool dead_path(void)
{
	struct tri_stats s;
	int dead;

	socket_in_folder();
	dead = mount_dead(socket_folder());
	CHECK(!tri_gc());
	CHECK(is_asked(dead));
	/* Nor is it waited for again. */
	s = read_stats();
	CHECK(s.collector_pid && !kill((pid_t)s.collector_pid, SIGKILL));
	CHECK(WAIT_FOR(read_stats().reconnects, 1000000, PATIENCE_NS) && !tri_gc());
	return true;
}

/* It dies while a shared collector is looked for, which waits for nothing. */
static bool dying_path(void)
{
	int dir, dead;

	socket_in_folder();
	dir = open(socket_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(!tri_gc());
	dead = mount_dead(socket_folder());
	/*
	 * What is looked for seems to be there: in the folder, which is watched, but not at its
	 * path.
	 */
	CHECK(openat(dir, "sock", O_CREAT | O_WRONLY | O_CLOEXEC, 0644) >= 0);
	CHECK(is_asked(dead));
	CHECK(!tri_gc() && !tri_gc() && !read_stats().reconnects);
	CHECK(!unlinkat(dir, "sock", 0));
	return true;
}

/* What is said there is no answer. */
static void *talk_nonsense(void *arg)
{
	int fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);

	if (send(fd, "hello", 5, MSG_NOSIGNAL) != 5)
		return arg;
	return NULL;
}

static bool nonsense(void)
{
	int l = listener(8);
	void *failed;
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, talk_nonsense, &l));
	CHECK(!tri_gc());
	CHECK(!pthread_join(t, &failed) && !failed);
	close(l);
	return true;
}

/* It welcomes a client, talks nonsense then, and stays: what the agent hangs up on. */
static void welcome_and_stay(int fd)
{
	struct tri_msg m;

	if (recv(fd, &m, sizeof(m), 0) != sizeof(m) || m.type != TRI_MSG_HELLO)
		_exit(BROKEN);
	m = (struct tri_msg){ .type = TRI_MSG_WELCOME,
			      .version = TRI_PROTO_ID,
			      .welcome.pid = (uint64_t)getpid() };
	if (send(fd, &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m) ||
	    recv(fd, &m, sizeof(m), 0) != sizeof(m) || m.type != TRI_MSG_REQUEST)
		_exit(BROKEN);
	m.type = 4711;
	if (send(fd, &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m))
		_exit(BROKEN);
}

/*
 * A shared one that does not let go of the arena is spoken of, and no other is had until it does.
 */
static bool clings(void)
{
	int l = listener(8), fd;

	CHECK(!tri_init(NULL));
	fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	close(l);
	welcome_and_stay(fd);
	CHECK(WAIT_FOR(grow(1 << 20) && strstr(said(said_path), "kill -CONT"), 10000000,
		       PATIENCE_NS));
	CHECK(!read_stats().collector_pid && strstr(tri_error(), "let go"));
	close(fd);
	CHECK(!tri_gc());
	return true;
}

/*
 * This program as a private collector that does so, the first time; its name is where the
 * scenario's is.
 */
static int false_daemon(const char *path)
{
	char mark[256], *argv[] = { (char *)"tricolord", (char *)"--private", (char *)"3", NULL };
	int fd;

	snprintf(mark, sizeof(mark), "%s.was-here", path);
	fd = open(mark, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return execv(daemon_path(), argv);
	welcome_and_stay(3);
	for (;;)
		pause();
}

/* A private one that does not let go is killed. */
static bool clings_in_private(void)
{
	char mark[256];

	CHECK(!tri_init(NULL));
	snprintf(mark, sizeof(mark), "%s.was-here", getenv("TRICOLOR_DAEMON"));
	CHECK(WAIT_FOR(read_stats().reconnects == 1, 10000000, 2 * PATIENCE_NS));
	CHECK(!tri_gc());
	CHECK(!unlink(mark));
	return true;
}

static bool bare_machine(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/proc", "tmpfs", 0, NULL) || mount("none", "/dev", "tmpfs", 0, NULL) ||
	    mount("none", "/sys", "tmpfs", 0, NULL))
		_exit(SKIPPED);
	CHECK(!tri_gc() && read_stats().collector_pid);
	return true;
}

static bool no_streams(void)
{
	int i;

	for (i = 0; i < 3; i++)
		close(i);
	return !tri_gc() && !tri_gc() && read_stats().collector_pid;
}

static _Atomic int spinning;

static void *spin(void *unused)
{
	for (spinning = 1;;)
		;
	return unused;
}

/* A sandbox that the program enters with all of its threads: none can be interrupted any more. */
static bool signals_refused(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_tgsigqueueinfo, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };
	pthread_t thread;

	CHECK(!tri_gc());
	CHECK(!pthread_create(&thread, NULL, spin, NULL));
	while (!spinning)
		sched_yield();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
		_exit(SKIPPED);
	CHECK(tri_gc() == -ETIMEDOUT && strstr(tri_error(), "rt_tgsigqueueinfo"));
	/* The heap goes on. */
	CHECK(witness_ok(witness_new(1), 1));
	return true;
}

int main(int argc, char **argv)
{
	static const struct setting none[] = {
		{ "TRICOLOR_DAEMON", "/nonexistent/tricolord" }, { NULL, NULL },
	}, quiet[] = {
		{ "TRICOLOR_DAEMON", "/nonexistent/tricolord" }, { "TRICOLOR_QUIET", "1" }, { NULL, NULL },
	}, quiet_works[] = {
		{ "TRICOLOR_QUIET", "1" }, { NULL, NULL },
	}, ends[] = {
		{ "TRICOLOR_DAEMON", "/bin/true" }, { NULL, NULL },
	}, small[] = {
		{ "TRICOLOR_ARENA_SIZE", "32MiB" }, { NULL, NULL },
	}, shared[] = {
		{ "TRICOLOR_SOCKET", NULL }, { NULL, NULL },
	};
	static char path[128], exe[512];
	static const struct setting is_false[] = { { "TRICOLOR_DAEMON", path }, { NULL, NULL } };
	ssize_t n;
	unsigned int i;

	if (argc == 3 && !strcmp(argv[1], "--private"))
		return false_daemon(argv[0]);
	ksft_print_header();
	folder = temporary_folder();
	snprintf(path, sizeof(path), "%s/tricolord", folder);
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n < 0 || symlink(exe, path))
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));

	begin("one that can't be started is spoken of once", grows_on, none, 1,
	      "/nonexistent/tricolord");
	begin("in a program that does nothing, too", idles, none, 1, "/nonexistent/tricolord");
	begin("and not to who wants to hear nothing", grows_on, quiet, SILENT, NULL);
	begin("a thread's own failure comes first", error_of_thread, none, ANY, NULL);
	if (group_make(&small_group, "memory", "brake"))
		group_limit(&small_group, 128 << 20);
	begin("a heap without a collector ends before its memory does", has_a_brake, quiet, SILENT,
	      NULL);
	begin("one that ends at once is spoken of", ends_at_once, ends, 1, "--dry-run");
	begin("one whose program can't be reached is spoken of", does_not_start, NULL,
	      1 + ALSO_SECOND, "does not start within");
	begin("one that is stopped is waited for once", stopped, small, 0, NULL);
	begin("what it is asked meanwhile is summed up", many_requests, NULL, 0, NULL);
	begin("one that can't wait for its client ends", cannot_wait, NULL, 0, NULL);
	begin("a shared one with a full queue is passed over", queue_full, shared, 1, "queue");
	begin("and one that says nothing", no_welcome, shared, 1 + ALSO_SECOND, "passed over");
	begin("and one at a path that does not answer", dead_path, shared, 1, "passed over");
	begin("which nobody waits for while another one marks", dying_path, shared, 0, NULL);
	begin("and one that talks nonsense", nonsense, shared, 1, "no tricolord");
	begin("one that does not let go is waited for", clings, shared, 1 + ALSO_SECOND,
	      "kill -CONT");
	begin("and killed if it is private", clings_in_private, is_false, ALSO_SECOND, NULL);
	begin("no /dev, no /proc, no /sys", bare_machine, NULL, 0, NULL);
	begin("no standard streams", no_streams, NULL, 0, NULL);
	begin("threads that can't be interrupted", signals_refused, quiet_works, SILENT, NULL);
	ksft_set_plan(count);
	for (i = 0; i < count; i++) {
		end(&scenarios[i]);
		snprintf(socket_path, sizeof(socket_path), "%s/sock-%u", folder, i);
		if (unlink(socket_path))
			rmdir(socket_path);
	}
	if (*small_group.dir)
		group_remove(&small_group);
	unlink(path);
	rmdir(folder);
	ksft_finished();
}
