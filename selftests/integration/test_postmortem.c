// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_postmortem.c - what a collector writes about a heap whose program was killed
 *
 *	private		a signal: one file, and its numbers are those of the heap; exit(), _exit()
 *			and execve(): none
 *	fork		the child that was killed has one, and its parent, which exits, none
 *	hostile		tables that make no sense: a file in bounds, or none, and a collector that
 *			lives
 *	shared		the same by a shared collector, that is asked to stop while it still waits
 *			for the end's cause
 *	before		killed while its marker is started, and after markers that were lost: one
 *			file, also if one of its connections ends later
 *	oom		the kernel kills for memory: the file says so; with memory.oom.group it
 *			kills the marker, too, and the shared collector writes
 *	folders		missing, a link, somebody else's, full, with too many files: said, and
 *			nothing is overwritten
 *
 * That nothing is written is known when the collector has ended.
 */
#include <dirent.h>
#include <sys/mount.h>

#include "lib/arena_check.h"
#include "lib/by_hand.h"
#include "lib/groups.h"
/* The protocol between two collectors, both ends of which are the daemon. */
#include "daemon/clients/link.h"
#include "lib/served.h"

#define OBJECTS 10000
#define LARGE_BYTES 5000000
#define HOSTILE 8
#define OOM_BYTES (128ull << 20)	/* twice what the group has */

static char dir[128], socket_path[108], log_path[108];
static uint64_t seed;
static const char *marker = "own";	/* the shared collector's setting */

struct words {
	_Atomic(uint64_t) collector;
	_Atomic(uint32_t) ready;
};
static struct words *words;

static void *kept, *large;

static void make_heap(void)
{
	struct tri_stats s = { .size = sizeof(s) };
	int i;

	for (i = 0; i < OBJECTS; i++) {
		void **cell = tri_alloc_leaf(64);

		if (!cell)
			_exit(98);
		/* A list of leaves would be garbage: each is held by an object that is scanned. */
		void **holder = tri_alloc(32);

		if (!holder)
			_exit(98);
		tri_store(&holder[0], cell);
		tri_store(&holder[1], kept);
		tri_store(&kept, holder);
	}
	tri_store(&large, tri_alloc_leaf(LARGE_BYTES));
	if (tri_gc() || tri_read_stats(&s))
		_exit(97);
	words->collector = s.collector_pid;
	words->ready = 1;
}

/* Everything but the header may be anything. */
static void scribble(void)
{
	struct tri_view v;
	uint64_t i;

	if (!arena_find(&v))
		_exit(96);
	for (i = 1; i < 4096; i++) {
		tri_write(&v.page_map[i], (uint8_t)draw(&seed));
		tri_write(&v.span_of[i], (uint32_t)(draw(&seed) % 8192));
		tri_write(&v.spans[i].pages, (uint32_t)draw(&seed));
		v.spans[i].bytes = draw(&seed);
		tri_write(&v.spans[i].state, draw(&seed));
		tri_write(&v.marks[i & 1][i][0], draw(&seed));
	}
	tri_write(&v.ctl->top_pages, draw(&seed) | 1ull << 40);
	tri_write(&v.ctl->used_pages, -5);
}

/* As the library's handler of exit() does. */
static void say_leaving(void)
{
	struct tri_view v;

	if (!arena_find(&v))
		_exit(96);
	tri_write(&v.ctl->leaving, 1);
}

static __attribute__((noreturn)) void act(char what)
{
	void *more;
	int status;

	make_heap();
	switch (what) {
	case 'k':
		raise(SIGKILL);
		break;
	case 's':
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		break;
	case 'e':
		exit(3);
	case 'd':
		say_leaving();
		raise(SIGKILL);
		break;
	case 'w':
		/* Until somebody has a descriptor of the arena. */
		if (read(0, &what, 1) < 0)
			_exit(92);
		exit(0);
	case '_':
		_exit(0);
	case 'x':
		execl("/bin/cat", "cat", NULL);
		break;
	case 'h':
		scribble();
		raise(SIGKILL);
		break;
	case 'f':
		if (!fork()) {
			kept = NULL;
			make_heap();
			raise(SIGKILL);
		}
		if (wait(&status) < 0 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			exit(WIFEXITED(status) ? WEXITSTATUS(status) : 91);
		exit(0);
	case 'o':
		/*
		 * Whatever becomes of its markers: more than the group has, and none of it the
		 * heap's.
		 */
		more = mmap(NULL, OOM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		if (more == MAP_FAILED)
			_exit(95);
		memset(more, 1, OOM_BYTES);
		break;
	}
	_exit(94);
}

/*
 * What ended a process is told once its parent has waited for it, or before Linux 6.15 until then:
 * so who has ended is waited for at once, or left as it is until the next one, when everybody has
 * looked.
 */
static int status_of(pid_t pid)
{
	static pid_t left;
	siginfo_t info;

	if (left)
		wait_status(left);
	left = 0;
	if (kernel_tells_ends())
		return wait_status(pid);
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT))
		ksft_exit_fail_msg("waitid: %s\n", strerror(errno));
	left = pid;
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

/* A client that does @what; its status, and @collector: who served it. */
static int client(const char *socket, const struct test_group *g, char what, pid_t *collector,
		  pid_t *self)
{
	pid_t pid;
	int status;

	words->ready = 0;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setenv("TRICOLOR_SOCKET", socket, 1);
		/* With a shared collector the folder is that one's alone. */
		if (!strcmp(socket, "off"))
			setenv("TRICOLOR_ON_KILL", dir, 1);
		setenv("TRICOLOR_MEMORY_LIMIT", "off", 1);
		setenv("TRICOLOR_BACKING", "memfd", 1);
		signal(SIGSEGV, SIG_DFL);
		if (g && !group_enter(g, getpid()))
			_exit(93);
		act(what);
	}
	status = status_of(pid);
	*collector = (pid_t)words->collector;
	*self = pid;
	return status;
}

static bool gone(pid_t pid)
{
	return kill(pid, 0) && errno == ESRCH;
}

/* Number of entries of the folder; @path: one of them, of process @pid if that is not 0. */
static int entries(pid_t pid, char *path, size_t room)
{
	char number[32];
	struct dirent *e;
	DIR *d = opendir(dir);
	int n = 0;

	snprintf(number, sizeof(number), "-%d-", pid);
	path[0] = 0;
	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		n++;
		if (!pid || strstr(e->d_name, number))
			snprintf(path, room, "%s/%s", dir, e->d_name);
	}
	if (d)
		closedir(d);
	return n;
}

static void empty(void)
{
	char path[512];

	while (entries(0, path, sizeof(path)) && !unlink(path))
		;
}

/* A part of the file, as it is written there. */
static bool says(const char *path, const char *part)
{
	const char *text = read_text(path);
	bool found = strstr(text, part) != NULL;

	if (!found)
		ksft_print_msg("'%s' is not in %s: %.1500s\n", part, path, text);
	return found;
}

static bool mode_is_private(const char *path)
{
	struct stat st;

	return !stat(path, &st) && (st.st_mode & 07777) == 0600 && st.st_uid == geteuid() &&
	       st.st_size <= 65536;
}

static void test_private(void)
{
	char path[512];
	pid_t collector, self;
	int status = client("off", NULL, 'k', &collector, &self), n;

	WAIT_FOR(gone(collector), 1000000, PATIENCE_NS);
	n = entries(self, path, sizeof(path));
	ksft_test_result(status == 128 + SIGKILL && n == 1 && path[0] && mode_is_private(path),
			 "SIGKILL: a file, for its user alone: %s\n", path);
	ksft_test_result(says(path, "\"how\": \"signal\", \"signal\": 9,") &&
				 says(path, "(SIGKILL)\""),
			 "and it says what ended the program\n");
	ksft_test_result(
		says(path,
		     "{ \"object_bytes\": 64, \"kind\": \"leaf\", \"spans\": 79, \"span_bytes\": "
		     "647168, \"objects\": 10000, \"bytes\": 640000 }") &&
			says(path, "\"objects\": 10000, \"bytes\": 320000 }") &&
			says(path, "\"large\": { \"objects\": 1, \"bytes\": 5000000, "
				   "\"largest_bytes\": [5000000] }") &&
			says(path, "\"complete\": true"),
		"and what the heap held, to the object\n");
	empty();
	status = client("off", NULL, 's', &collector, &self);
	WAIT_FOR(gone(collector), 1000000, PATIENCE_NS);
	n = entries(self, path, sizeof(path));
	ksft_test_result(status == 128 + SIGSEGV && n == 1 && says(path, "\"signal\": 11,"),
			 "SIGSEGV\n");
	empty();
}

static void test_nothing(void)
{
	static const struct {
		char what;
		int status;
		const char *name;
	} ends[] = { { 'e', 3, "exit()" }, { '_', 0, "_exit()" },
		     { 'd', 128 + SIGKILL, "killed in exit()" } };
	char path[512];
	pid_t collector, self;
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		int status = client("off", NULL, ends[i].what, &collector, &self);
		bool ended = WAIT_FOR(gone(collector), 1000000, PATIENCE_NS);

		ksft_test_result(status == ends[i].status && ended &&
					 !entries(0, path, sizeof(path)),
				 "%s: nothing is written %s\n", ends[i].name, path);
		empty();
	}
}

/* A client that does @what, and reads from a pipe whose other end is @input. */
static pid_t start_reader(char what, int *input)
{
	int in[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	words->ready = 0;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(in[1]);
		dup2(in[0], 0);
		setenv("TRICOLOR_SOCKET", "off", 1);
		setenv("TRICOLOR_ON_KILL", dir, 1);
		setenv("TRICOLOR_BACKING", "memfd", 1);
		act(what);
	}
	close(in[0]);
	*input = in[1];
	WAIT_FOR(words->ready, 1000000, PATIENCE_NS);
	return pid;
}

/* It lives on without its heap, for longer than anybody waits for its end. */
static void test_exec(void)
{
	char path[512];
	int input;
	pid_t pid = start_reader('x', &input);
	bool ended;

	ended = WAIT_FOR(gone((pid_t)words->collector), 1000000, PATIENCE_NS);
	ksft_test_result(words->ready && ended && !kill(pid, 0) && !entries(0, path, sizeof(path)),
			 "execve(): nothing is written %s\n", path);
	close(input);
	wait_status(pid);
	empty();
}

/* A descriptor of the arena that collector @pid has. */
static int arena_of(pid_t pid)
{
	char path[300], link[128];
	struct dirent *e;
	int fd = -1;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && fd < 0 && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", pid, e->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = 0;
		if (strstr(link, "memfd:tricolor"))
			fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (d)
		closedir(d);
	return fd;
}

/* exit() says so in the control page, for kernels that do not tell. */
static void test_leaving(void)
{
	uint32_t before = 9, after = 9;
	const off_t at = offsetof(struct tri_ctl, leaving);
	int input, fd, status;
	pid_t pid = start_reader('w', &input);

	fd = arena_of((pid_t)words->collector);
	if (pread(fd, &before, sizeof(before), at) != sizeof(before))
		ksft_print_msg("no arena: %s\n", strerror(errno));
	close(input);
	status = wait_status(pid);
	ksft_test_result(!status && pread(fd, &after, sizeof(after), at) == sizeof(after) &&
				 !before && after == 1,
			 "exit() says so: %u, then %u\n", before, after);
	close(fd);
}

static void test_fork(void)
{
	char path[512];
	pid_t collector, self;
	int status = client("off", NULL, 'f', &collector, &self), n;
	bool ended;

	/* Of the child's, whose number the words have last. */
	ended = WAIT_FOR(gone(collector), 1000000, PATIENCE_NS);
	n = entries(self, path, sizeof(path));
	ksft_test_result(
		!status && ended && n == 1 && !path[0],
		"fork: the child's, and none of the parent's: status %#x, collector %d, %d files\n",
		(unsigned int)status, (int)collector, n);
	empty();
}

static void test_hostile(void)
{
	char path[512];
	pid_t collector, self;
	bool ok = true;
	int i;

	for (i = 0; i < HOSTILE; i++) {
		int status = client("off", NULL, 'h', &collector, &self);

		/*
		 * It ends in its own way: killed by what it reads it would have no time to write.
		 */
		ok = WAIT_FOR(gone(collector), 1000000, PATIENCE_NS) && ok;
		ok = status == 128 + SIGKILL && entries(self, path, sizeof(path)) == 1 &&
		     mode_is_private(path) && says(path, "\"complete\": ") && ok;
		draw(&seed);
		empty();
	}
	ksft_test_result(ok, "hostile: %d heaps of nonsense, %d files\n", HOSTILE, HOSTILE);
}

/* A shared collector with @folder; NULL: none. */
static pid_t start_shared(const char *folder)
{
	char *argv[] = { (char *)daemon_path(), (char *)"--config",
			 (char *)"/dev/null",	(char *)"--socket",
			 socket_path,		(char *)"--on-kill",
			 (char *)folder,	(char *)"--marker",
			 (char *)marker,	NULL };
	pid_t pid;
	int fd;

	unlink(log_path);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(fd, 2);
		execv(argv[0], argv);
		_exit(127);
	}
	if (!WAIT_FOR(can_connect(socket_path), 1000000, PATIENCE_NS))
		ksft_exit_fail_msg("%s does not listen at %s\n", argv[0], socket_path);
	return pid;
}

static void stop_shared(pid_t pid)
{
	kill(pid, SIGTERM);
	wait_status(pid);
}

static bool logged(const char *text)
{
	bool found = strstr(read_text(log_path), text) != NULL;

	if (!found)
		ksft_print_msg("not in the log: %s; it has: %.1000s\n", text, read_text(log_path));
	return found;
}

/* Whether a shared collector with @folder logs @text when a client is killed. */
static bool killed_says(const char *folder, const char *text)
{
	pid_t pid = start_shared(folder), collector, self;
	int status;

	status = client(socket_path, NULL, 'k', &collector, &self);
	WAIT_FOR(strstr(read_text(log_path), text), 1000000, PATIENCE_NS);
	stop_shared(pid);
	return status == 128 + SIGKILL && logged(text);
}

static void test_shared(const char *whose)
{
	char path[512];
	bool ok;

	marker = whose;
	ok = killed_says(dir, "was killed by signal 9 (SIGKILL); what its heap held is in ");

	ksft_test_result(ok && entries(0, path, sizeof(path)) == 1 &&
				 says(path, "\"objects\": 10000"),
			 "marker = %s: the same, and the log says where it is\n", whose);
	empty();
}

/* HELLO, with a heap that has nothing in it, as one that starts its marker itself. */
static void knock(struct client *c)
{
	struct tri_msg welcome;
	int fds[2];

	make_arena(c);
	c->sock = connect_to(socket_path);
	if (!hello(c->sock, c->file, TRI_HELLO_STARTS_MARKER, &welcome, fds) ||
	    welcome.type != TRI_MSG_WELCOME)
		_exit(91);
}

/* A marker says ATTACH, and is gone. */
static void lose_marker(struct client *c)
{
	struct link_msg attach = { .type = LINK_ATTACH, .version = LINK_VERSION, .pid = getpid() };

	if (send(c->sock, &attach, sizeof(attach), MSG_NOSIGNAL) != sizeof(attach))
		_exit(90);
	close(c->sock);
}

/*
 * A process without the library that says HELLO, loses @markers, and is killed after the last
 * HELLO.
 */
static void test_before(int markers)
{
	pid_t daemon = start_shared(dir), pid;
	char path[512];
	struct client c;
	int status, i;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		for (i = 0; i < markers; i++) {
			knock(&c);
			lose_marker(&c);
		}
		knock(&c);
		raise(SIGKILL);
	}
	status = status_of(pid);
	WAIT_FOR(strstr(read_text(log_path), "what its heap held"), 1000000, PATIENCE_NS);
	/* It waits for all that are under way. */
	stop_shared(daemon);
	ksft_test_result(status == 128 + SIGKILL && entries(pid, path, sizeof(path)) == 1 &&
				 says(path, "\"signal\": 9,") && says(path, "\"complete\": true"),
			 "before a marker attaches, after %d that were lost: a file\n", markers);
	empty();
}

/*
 * Has @c's connection when its client is dead, until @in is at its end; and then until the
 * collector has left.
 */
static __attribute__((noreturn)) void outlive(struct client *c, int in)
{
	struct tri_msg msg;

	if (read(in, &msg, 1) || shutdown(c->sock, SHUT_WR))
		_exit(1);
	while (recv(c->sock, &msg, sizeof(msg), 0) > 0)
		;
	_exit(0);
}

/* One of a client's connections ends when its death was written of. */
static void test_late(void)
{
	pid_t daemon = start_shared(dir), pid;
	int in[2], out[2], status;
	char path[512], byte;
	struct client c;
	bool first;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(in[1]);
		knock(&c);
		lose_marker(&c);
		knock(&c);
		if (!fork())
			outlive(&c, in[0]);
		raise(SIGKILL);
	}
	close(in[0]);
	close(out[1]);
	status = wait_status(pid);
	first = WAIT_FOR(strstr(read_text(log_path), "what its heap held"), 1000000, PATIENCE_NS);
	close(in[1]);
	if (read(out[0], &byte, 1))
		ksft_print_msg("the other process: %s\n", strerror(errno));
	close(out[0]);
	stop_shared(daemon);
	ksft_test_result(status == 128 + SIGKILL && first && entries(pid, path, sizeof(path)) == 1,
			 "a connection that ends later: no second file\n");
	empty();
}

static void oom(const char *name, bool whole)
{
	pid_t pid, collector, self;
	char path[512];
	struct test_group g;
	int status;

	if (!group_make(&g, "memory", "postmortem") || !group_limit(&g, 64ull << 20)) {
		ksft_test_result_skip("%s: %s\n", name, group_why());
		return;
	}
	if (whole && !group_write(g.dir, "memory.oom.group", "1")) {
		ksft_test_result_skip("%s: only v2 has it: %s\n", name, group_why());
		group_remove(&g);
		return;
	}
	pid = start_shared(dir);
	status = client(socket_path, &g, 'o', &collector, &self);
	WAIT_FOR(strstr(read_text(log_path), "what its heap held"), 1000000, PATIENCE_NS);
	stop_shared(pid);
	ksft_test_result(status == 128 + SIGKILL && entries(self, path, sizeof(path)) == 1 &&
				 says(path, "by the kernel for memory") &&
				 says(path, "\"group_kills_for_memory\": ") &&
				 !strstr(read_text(path), "\"group_kills_for_memory\": 0"),
			 "%s: the kernel, for memory\n", name);
	if (status != 128 + SIGKILL)
		ksft_print_msg("status %d\n", status);
	group_remove(&g);
	empty();
}

static void test_folders(void)
{
	char path[512], other[160];
	int i, fd;

	snprintf(other, sizeof(other), "%s.other", dir);
	ksft_test_result(killed_says(other, "no post-mortem could be written") && logged("make it"),
			 "folder: there is none\n");
	ksft_test_result(!symlink(dir, other) &&
				 killed_says(other, "no post-mortem could be written") &&
				 logged("no link to one") && !entries(0, path, sizeof(path)),
			 "folder: a link is not followed\n");
	unlink(other);
	for (i = 0; i < 256; i++) {
		snprintf(path, sizeof(path), "%s/tricolor-%d", dir, i);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		close(fd);
	}
	ksft_test_result(killed_says(dir, "it has 256 of them") &&
				 entries(0, path, sizeof(path)) == 256,
			 "folder: 256 files are enough\n");
	empty();
}

/* What only root can arrange: somebody else's folder, and a file system that is full. */
static void test_root_folders(void)
{
	char path[512];
	int fd;
	bool ok;

	if (geteuid() || mount("tmpfs", dir, "tmpfs", 0, "size=4096")) {
		ksft_test_result_skip("folder: no tmpfs can be mounted: %s\n", strerror(errno));
		ksft_test_result_skip("folder: somebody else's: not root\n");
		return;
	}
	snprintf(path, sizeof(path), "%s/full", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ok = fd >= 0 && write(fd, words, sizeof(*words)) == sizeof(*words);
	close(fd);
	ok = killed_says(dir, "No space left on device") && ok;
	ksft_test_result(ok && entries(0, path, sizeof(path)) == 1,
			 "folder: full, and nothing of ours is left in it\n");
	umount(dir);
	ok = !chown(dir, 12345, 12345) && killed_says(dir, "it belongs to user 12345") &&
	     !entries(0, path, sizeof(path));
	ksft_test_result(ok, "folder: somebody else's is refused\n");
	if (chown(dir, 0, 0))
		ksft_print_msg("%s: %s\n", dir, strerror(errno));
}

static void test_settings(void)
{
	struct output *o;
	char *const argv[] = { (char *)daemon_path(), (char *)"--config",	(char *)"/dev/null",
			       (char *)"--dry-run",   (char *)"--socket",	socket_path,
			       (char *)"--on-kill",   (char *)"/nonexistent/x", NULL };

	o = run_as(0, argv);
	ksft_test_result(o->status == 1 && strstr(o->err, "on-kill = /nonexistent/x: No such file"),
			 "--dry-run says that a folder is missing\n");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(25);
	seed = test_seed();
	words = shared_memory(sizeof(*words));
	snprintf(dir, sizeof(dir), "%s", temporary_folder());
	snprintf(socket_path, sizeof(socket_path), "%.90s.sock", dir);
	snprintf(log_path, sizeof(log_path), "%.90s.log", dir);

	test_private();
	test_nothing();
	test_exec();
	test_leaving();
	test_fork();
	test_hostile();
	test_shared("shared");
	test_shared("own");
	test_before(0);
	test_before(3);
	test_late();
	oom("oom", false);
	oom("oom.group", true);
	test_folders();
	test_root_folders();
	test_settings();
	unlink(log_path);
	ksft_test_result(!rmdir(dir), "nothing else is left behind\n");
	ksft_finished();
}
