// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fork_copy.c - children of fork() that go on with a copy of the heap
 *
 * Each scenario is a child of its own, forked from a process that has no heap, and says by its exit
 * status whether all went well.  In it a parent builds lists of witnesses, forks, and both look at
 * them, change them and collect.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "core/proto/client.h"
#include "core/proto/version.h"
#include "lib/process.h"
#include "lib/scenario.h"
#include "lib/witness.h"

extern char **environ;

#define LISTS 64

static struct witness *lists[LISTS];
static struct event threads_stop;

static void push(unsigned int list, uint64_t id)
{
	struct witness *w = witness_new(id);

	tri_store(&w->next, lists[list]);
	tri_store(&lists[list], w);
}

static void build(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		push(i % LISTS, i / LISTS);
}

/* Lists of @n witnesses each, the newest first. */
static bool lists_ok(unsigned int n)
{
	struct witness *w;
	unsigned int i, id;

	for (i = 0; i < LISTS; i++) {
		for (w = lists[i], id = n; id--; w = w->next)
			if (!witness_ok(w, id))
				return false;
		if (w)
			return false;
	}
	return true;
}

/* Look at the lists of @n each, make them longer by @more each, collect, and look again. */
static bool go_on_with(unsigned int n, unsigned int more)
{
	unsigned int i, j;

	if (!lists_ok(n))
		return false;
	for (j = 0; j < more; j++) {
		for (i = 0; i < LISTS; i++)
			push(i, n + j);
		if (j == more / 2)
			collect();
	}
	collect_times(2);
	return lists_ok(n + more);
}

/* ------------------------------------------------------------------------------------------ */
/* What a child has                                                                           */
/* ------------------------------------------------------------------------------------------ */

static bool child_goes_on(void)
{
	pid_t pid;

	build(LISTS * 100);
	pid = fork();
	if (!pid) {
		alarm(30);
		_exit(go_on_with(100, 50) ? 0 : 1);
	}
	CHECK(go_on_with(100, 200));
	CHECK(status_of(pid) == 0);
	CHECK(lists_ok(300));
	return true;
}

/* No process sees what the other stores, or loses what the other drops. */
static bool copies_are_apart(void)
{
	pid_t pid;
	int i;

	build(LISTS * 100);
	for (i = 0; i < 2; i++) {
		pid = fork();
		if (!pid == !i) {
			/* One of them: in the first round the child. */
			memset(lists, 0, sizeof(lists));
			collect_times(2);
			build(LISTS * 200);
			collect();
			if (!lists_ok(200))
				_exit(1);
			if (!pid)
				_exit(0);
		} else {
			collect_times(2);
			if (!pid)
				_exit(go_on_with(100, 100) ? 0 : 1);
			CHECK(lists_ok(100));
		}
		CHECK(status_of(pid) == 0);
	}
	return true;
}

static bool children_of_children(void)
{
	unsigned int depth;
	pid_t pid = 0;

	build(LISTS * 10);
	for (depth = 0; depth < 5; depth++) {
		/* Every second one has an agent of its own when it forks. */
		if (depth % 2)
			collect();
		pid = fork();
		if (pid)
			break;
		alarm(30);
	}
	/* All are of a different length. */
	if (!go_on_with(10, 10 * (depth + 1)))
		_exit(1);
	if (pid && status_of(pid))
		_exit(2);
	if (depth)
		_exit(0);
	return true;
}

static uint64_t large_ok(const uint64_t *words, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (words[i] != i * 3)
			return false;
	return true;
}

struct pair {
	uint64_t number;
	struct witness *w;
};

TRI_TYPE(pair_type, struct pair, w);

/* Every kind of object, by every kind of root. */
static bool kinds(void)
{
	enum { WORDS = 1 << 16 };
	static uint64_t *big;
	static char *text, *tiny;
	static struct pair *pairs;
	struct witness *on_stack = witness_new(5), **range;
	tri_handle *h = tri_handle_new(witness_new(6));
	static char *sparse;
	size_t i;
	pid_t pid;

	range = malloc(sizeof(*range));
	CHECK(range && tri_root_add(range, sizeof(*range)) == 0);
	*range = NULL;
	tri_store(range, witness_new(7));
	tri_store(&big, tri_alloc_leaf(WORDS * 8));
	for (i = 0; i < WORDS; i++)
		big[i] = i * 3;
	tri_store(&text, tri_strdup("a text that the parent wrote"));
	tri_store(&tiny, tri_strdup("tiny"));
	tri_store(&pairs, tri_alloc_typed(&pair_type, 100));
	for (i = 0; i < 100; i++) {
		pairs[i].number = i;
		tri_store(&pairs[i].w, witness_new(i));
	}
	/* A gigabyte of which three pages are there. */
	tri_store(&sparse, tri_alloc_leaf(1ul << 30));
	for (i = 0; i < 3; i++)
		sparse[i * (300ul << 20) + 5] = (char)('a' + i);
	/* Larger than auto copies, by its size. */
	pid = fork();
	if (!pid) {
		alarm(30);
		build(LISTS * 10);
		collect_times(3);
		build(LISTS * 1000);
		collect();
		for (i = 0; i < 100; i++)
			if (pairs[i].number != i || !witness_ok(pairs[i].w, i))
				_exit(1);
		if (!large_ok(big, WORDS) || strcmp(text, "a text that the parent wrote") ||
		    strcmp(tiny, "tiny"))
			_exit(2);
		if (!witness_ok(on_stack, 5) || !witness_ok(tri_handle_get(h), 6) ||
		    !witness_ok(*range, 7))
			_exit(3);
		for (i = 0; i < 3; i++)
			if (sparse[i * (300ul << 20) + 5] != 'a' + (int)i ||
			    sparse[i * (300ul << 20) + 5000])
				_exit(4);
		tri_handle_free(h);
		_exit(tri_root_remove(range, sizeof(*range)) ? 5 : 0);
	}
	CHECK(status_of(pid) == 0);
	CHECK(witness_ok(on_stack, 5));
	return true;
}

static bool settings_go_along(void)
{
	pid_t pid;

	build(LISTS);
	tri_set_gc_percent(37);
	pid = fork();
	if (!pid) {
		alarm(30);
		if (tri_set_gc_percent(38) != 37)
			_exit(1);
		collect();
		_exit(tri_set_gc_percent(39) == 38 ? 0 : 2);
	}
	CHECK(status_of(pid) == 0);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* When                                                                                       */
/* ------------------------------------------------------------------------------------------ */

/* Allocates and stores in all ways, and knows what must be there. */
static void *mutate_until_told(void *unused)
{
	struct witness *list = NULL;
	char *text = NULL;
	uint64_t n = 0, i;

	while (!event_is_set(&threads_stop)) {
		struct witness *w = witness_new(n++);

		tri_store(&w->next, list);
		list = w;
		text = n % 64 ? text : tri_alloc_leaf(100 + n * 97 % 100000);
		if (n % 500 == 0) {
			for (i = n; i--; list = list->next)
				if (!witness_ok(list, i))
					_exit(9);
			n = 0;
		}
	}
	(void)text;
	return unused;
}

static void *collect_until_told(void *unused)
{
	while (!event_is_set(&threads_stop))
		collect();
	return unused;
}

static void *allocate_one(void *unused)
{
	return witness_new((uintptr_t)unused);
}

static void *come_and_go(void *unused)
{
	pthread_t thread;

	while (!event_is_set(&threads_stop)) {
		if (pthread_create(&thread, NULL, allocate_one, NULL))
			_exit(8);
		pthread_join(thread, NULL);
	}
	return unused;
}

static void *load_and_unload(void *path)
{
	while (!event_is_set(&threads_stop)) {
		void *lib = dlopen(path, RTLD_NOW);

		if (lib)
			dlclose(lib);
	}
	return NULL;
}

static char plugin[4096];

/* Children at arbitrary instants, while others allocate, collect, come, go, load and unload. */
static bool among_threads(void)
{
	void *(*const fn[])(void *) = { mutate_until_told, mutate_until_told, collect_until_told,
					come_and_go, load_and_unload };
	enum { THREADS = sizeof(fn) / sizeof(fn[0]), CHILDREN = 20 };
	pthread_t thread[THREADS];
	pid_t pid[CHILDREN];
	int i;

	build(LISTS * 100);
	for (i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, fn[i], plugin) == 0);
	for (i = 0; i < CHILDREN; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			alarm(40);
			/* One in three ends at once, as those that exec() do. */
			_exit(i % 3 == 1 || go_on_with(100, 20) ? 0 : 1);
		}
		CHECK(pid[i] > 0);
		/* At most four at a time. */
		if (i >= 3)
			CHECK(status_of(pid[i - 3]) == 0);
	}
	for (i = CHILDREN - 3; i < CHILDREN; i++)
		CHECK(status_of(pid[i]) == 0);
	event_set(&threads_stop);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	CHECK(go_on_with(100, 20));
	return true;
}

static struct event in_callback, callback_over;

static int stay(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	(void)size;
	(void)arg;
	event_set(&in_callback);
	event_wait(&callback_over);
	return 1;
}

static void *stay_in_loader(void *unused)
{
	dl_iterate_phdr(stay, NULL);
	return unused;
}

/* The loader's lock is another thread's at the fork(), and nobody's in the child. */
static bool loader_locked(void)
{
	pthread_t thread;
	pid_t pid;

	build(LISTS * 10);
	pthread_create(&thread, NULL, stay_in_loader, NULL);
	event_wait(&in_callback);
	pid = fork();
	if (!pid) {
		alarm(20);
		_exit(go_on_with(10, 10) ? 0 : 1);
	}
	CHECK(status_of(pid) == 0);
	event_set(&callback_over);
	pthread_join(thread, NULL);
	return go_on_with(10, 10);
}

/* A child has threads of its own. */
static bool threads_in_child(void)
{
	pthread_t thread[3];
	pid_t pid;
	int i;

	build(LISTS * 100);
	pid = fork();
	if (!pid) {
		alarm(30);
		for (i = 0; i < 3; i++)
			if (pthread_create(&thread[i], NULL,
					   i ? mutate_until_told : collect_until_told, NULL))
				_exit(2);
		for (i = 0; i < 5; i++)
			if (!go_on_with(100 + 20 * (unsigned int)i, 20))
				_exit(1);
		event_set(&threads_stop);
		for (i = 0; i < 3; i++)
			pthread_join(thread[i], NULL);
		_exit(go_on_with(200, 20) ? 0 : 3);
	}
	CHECK(status_of(pid) == 0);
	return true;
}

/* A thread that the main thread does not know of forks, and its child is that thread alone. */
static void *fork_here(void *ended)
{
	struct witness *volatile mine = witness_new(77);
	pid_t pid = fork();

	if (!pid) {
		alarm(30);
		if (!go_on_with(100, 50))
			_exit(1);
		_exit(witness_ok(mine, 77) ? 0 : 2);
	}
	*(int *)ended = status_of(pid);
	return NULL;
}

static bool from_a_worker(void)
{
	pthread_t thread;
	int ended = -1, detached;

	build(LISTS * 100);
	for (detached = 0; detached < 2; detached++) {
		pthread_create(&thread, NULL, fork_here, &ended);
		pthread_join(thread, NULL);
		CHECK(ended == 0);
	}
	return lists_ok(100);
}

static bool from_a_thread_that_is_not_attached(void)
{
	struct witness *volatile mine = witness_new(3);
	pid_t pid;

	build(LISTS * 10);
	tri_thread_detach();
	pid = fork();
	if (!pid) {
		alarm(30);
		_exit(go_on_with(10, 100) && witness_ok(mine, 3) ? 0 : 1);
	}
	CHECK(status_of(pid) == 0);
	return lists_ok(10);
}

static volatile sig_atomic_t handled, handler_failed;

static void fork_in_handler(int sig)
{
	int saved = errno;
	pid_t pid = fork();

	(void)sig;
	if (!pid)
		_exit(0);
	if (status_of(pid))
		handler_failed = 1;
	handled++;
	errno = saved;
}

/* The handler may find the thread with any of the library's locks in its hands: no deadlock. */
static bool in_a_handler(void)
{
	struct itimerval soon = { { 0, 0 }, { 0, 300 } };
	struct sigaction act = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };
	unsigned int n = 0;
	int armed = 0;

	sigaction(SIGALRM, &act, NULL);
	build(LISTS * 10);
	while (handled < 50) {
		if (handled == armed) {
			armed = handled + 1;
			soon.it_value.tv_usec = 50 + handled * 37 % 400;
			setitimer(ITIMER_REAL, &soon, NULL);
		}
		push(n % LISTS, 10 + n / LISTS);
		n++;
		tri_alloc_leaf(40000);
	}
	for (; n % LISTS; n++)
		push(n % LISTS, 10 + n / LISTS);
	CHECK(!handler_failed);
	return go_on_with(10 + n / LISTS, 10);
}

/* ------------------------------------------------------------------------------------------ */
/* What a child does first                                                                    */
/* ------------------------------------------------------------------------------------------ */

static bool close_everything(void)
{
	pid_t pid;
	int i;

	build(LISTS * 100);
	for (i = 0; i < 2; i++) {
		pid = fork();
		if (!pid) {
			alarm(30);
			if (i)
				push(0, 100);
			close_range(0, ~0u, 0);
			if (i)
				lists[0] = lists[0]->next;
			/* Numbers that were the arena's may be others' now. */
			while (open("/dev/null", O_RDONLY | O_CLOEXEC) < 1000 && errno != EMFILE)
				;
			close_range(3, 20, 0);
			_exit(go_on_with(100, 50) ? 0 : 1);
		}
		CHECK(status_of(pid) == 0);
	}
	return true;
}

/*
 * Without a collector until one is needed: a child that stores a little and ends has started
 * nothing.
 */
static bool no_collector_for_a_little(void)
{
	pid_t pid;

	build(LISTS * 10);
	pid = fork();
	if (!pid) {
		build(LISTS);
		_exit(read_stats().collector_pid ? 1 : 0);
	}
	CHECK(status_of(pid) == 0);
	pid = fork();
	if (!pid) {
		unsigned int i;

		alarm(30);
		/* Enough that it comes by itself. */
		for (i = 0; i < 10000000 && !read_stats().cycles; i++)
			witness_new(i);
		_exit(read_stats().cycles && go_on_with(10, 10) ? 0 : 1);
	}
	CHECK(status_of(pid) == 0);
	return true;
}

/* A client has connected at @listener.  Returns its socket, and its first message in @m; or -1. */
static int welcome(int listener, struct tri_msg *m)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (recv(fd, m, sizeof(*m), 0) != sizeof(*m) || m->type != TRI_MSG_HELLO)
		return -1;
	*m = (struct tri_msg){ .type = TRI_MSG_WELCOME,
			       .version = TRI_PROTO_ID,
			       .welcome.pid = (uint64_t)getpid() };
	if (send(fd, m, sizeof(*m), MSG_NOSIGNAL) != sizeof(*m) ||
	    recv(fd, m, sizeof(*m), 0) != sizeof(*m))
		return -1;
	return fd;
}

/* Ask for so many answers that they don't fit into the client's socket, and read none. */
static bool fill_socket(int fd)
{
	struct tri_msg ask = { .type = TRI_MSG_HANDSHAKE,
			       .version = TRI_PROTO_ID,
			       .kind = TRI_HANDSHAKE_COLLECT,
			       .cycle = 1 };
	socklen_t len = sizeof(int);
	int room, n;

	/* As much as both sockets could hold, had their messages no overhead. */
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &len))
		return false;
	for (n = 2 * room / (int)sizeof(ask); n >= 0; n--)
		if (send(fd, &ask, sizeof(ask), MSG_NOSIGNAL) != sizeof(ask))
			return false;
	return true;
}

/*
 * The parent's collector reads no answers when the parent forks.  Those that are left over are not
 * for the child's collector.
 */
static bool answers_left_over(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd, childs;
	char *folder = temporary_folder();
	struct tri_msg m;
	pid_t pid;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", folder);
	CHECK(!bind(listener, (struct sockaddr *)&addr, sizeof(addr)) && !listen(listener, 8));
	setenv("TRICOLOR_SOCKET", addr.sun_path, 1);
	build(LISTS * 10);
	fd = welcome(listener, &m);
	CHECK(fd >= 0 && m.type == TRI_MSG_REQUEST && fill_socket(fd));
	pid = fork();
	if (!pid) {
		close(listener);
		close(fd);
		_exit(go_on_with(10, 10) ? 0 : 1);
	}
	childs = welcome(listener, &m);
	CHECK(childs >= 0 && m.type == TRI_MSG_REQUEST);
	/* Both go on with collectors of their own. */
	close(listener);
	close(childs);
	CHECK(status_of(pid) == 0);
	close(fd);
	CHECK(go_on_with(10, 10));
	unlink(addr.sun_path);
	return !rmdir(folder);
}

static char *const again[] = { "test_fork_copy", "use", NULL };

static bool exec_and_spawn(void)
{
	pid_t pid;

	build(LISTS * 100);
	pid = fork();
	if (!pid) {
		execv("/proc/self/exe", again);
		_exit(127);
	}
	CHECK(status_of(pid) == 0);
	pid = vfork();
	if (!pid) {
		execv("/proc/self/exe", again);
		_exit(127);
	}
	CHECK(status_of(pid) == 0);
	CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ) == 0);
	CHECK(status_of(pid) == 0);
	CHECK(system("exit 3") == 3 << 8);
	return lists_ok(100);
}

/*
 * Children that no handler of pthread_atfork() sees: no heap of the parent, one of their own, and
 * no crash.
 */
static bool raw_fork(void)
{
	struct rlimit none = { 0, 0 };
	int how, what;
	pid_t pid;

	build(LISTS * 100);
	for (how = 0; how < 2; how++) {
		for (what = 0; what < 6; what++) {
			pid = how ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : _Fork();
			if (!pid) {
				struct witness *volatile parents = lists[0];

				setrlimit(RLIMIT_CORE, &none);
				alarm(30);
				memset(lists, 0, sizeof(lists));
				/* The first thing that it does: */
				if (what == 0)
					tri_alloc(24);
				else if (what == 1)
					(tri_store)(&lists[1], NULL);
				else if (what == 2)
					read_stats();
				else if (what == 3)
					collect();
				else if (what == 4)
					tri_base(lists);
				else if (tri_pressure() || tri_alloc_leaf(100000) == NULL)
					_exit(4);
				lists[1] = NULL;
				build(LISTS * 10);
				if (!go_on_with(10, 10))
					_exit(1);
				_exit(parents->id ? 2 : 3);
			}
			CHECK(status_of(pid) == SIGSEGV);
		}
	}
	return go_on_with(100, 10);
}

/* ------------------------------------------------------------------------------------------ */
/* No copy                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static char said[4096];

/* Run @fn with standard error in `said`. */
static bool listen_to(bool (*fn)(void))
{
	FILE *f = tmpfile();
	int was = dup(2);
	bool ok;
	size_t n;

	dup2(fileno(f), 2);
	ok = fn();
	dup2(was, 2);
	close(was);
	rewind(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = 0;
	fclose(f);
	return ok;
}

static unsigned int times_said(const char *what)
{
	const char *p = said;
	unsigned int n = 0;

	while ((p = strstr(p, what))) {
		n++;
		p++;
	}
	return n;
}

/* Three children that find an object of the parent a fault, and have a heap of their own. */
static bool fork_without_copy(void)
{
	struct witness *volatile parents = lists[0];
	struct rlimit none = { 0, 0 };
	pid_t pid;
	int i;

	setrlimit(RLIMIT_CORE, &none);
	for (i = 0; i < 3; i++) {
		pid = fork();
		if (!pid) {
			alarm(30);
			memset(lists, 0, sizeof(lists));
			build(LISTS * 10);
			if (!go_on_with(10, 10))
				_exit(1);
			_exit(parents->id ? 2 : 3);
		}
		CHECK(status_of(pid) == SIGSEGV);
	}
	return true;
}

static bool too_large_for_auto(void)
{
	static char *big;

	setenv("TRICOLOR_FORK", "auto", 1);
	build(LISTS * 100);
	tri_store(&big, tri_alloc_leaf(300ul << 20));
	CHECK(listen_to(fork_without_copy));
	CHECK(times_said("tricolor: fork(): ") == 1 && strstr(said, "TRICOLOR_FORK"));
	/* Also where nothing is said. */
	CHECK(strstr(tri_error(), "TRICOLOR_FORK"));
	return lists_ok(100);
}

static bool past_the_limit(void)
{
	static char *big;

	build(LISTS * 100);
	tri_set_memory_limit(64 << 20);
	tri_store(&big, tri_alloc_leaf(40 << 20));
	/* Until the collector has published the limit. */
	while (read_stats().limit_bytes != 64 << 20)
		sched_yield();
	CHECK(listen_to(fork_without_copy));
	CHECK(times_said("tricolor: fork(): ") == 1 && strstr(said, "limit"));
	return lists_ok(100);
}

static bool no_descriptor_left(void)
{
	struct rlimit limit, few;
	struct witness *volatile parents;
	pid_t pid;

	build(LISTS * 10);
	parents = lists[0];
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	few = (struct rlimit){ 3, limit.rlim_max };
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	pid = fork();
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		alarm(30);
		memset(lists, 0, sizeof(lists));
		build(LISTS * 10);
		if (!go_on_with(10, 10))
			_exit(1);
		_exit(parents->id ? 2 : 3);
	}
	CHECK(status_of(pid) == SIGSEGV);
	return go_on_with(10, 10);
}

/* Kill the children of thread @tid as soon as they are there. */
static void *kill_children(void *tid)
{
	char path[64], line[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", *(pid_t *)tid);
	while (!event_is_set(&threads_stop)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
		close(fd);
		if (n > 0) {
			line[n] = 0;
			kill(atoi(line), SIGKILL);
		}
	}
	return NULL;
}

/* The parent of a child that is killed while it copies goes on, and its heap is whole. */
static bool child_killed_while_copying(void)
{
	static char *big;
	pthread_t killer;
	pid_t self = gettid(), pid;
	int i;

	if (access("/proc/self/task/self/children", F_OK) && errno == ENOENT &&
	    access("/proc/thread-self/children", F_OK)) {
		ksft_print_msg("no /proc/PID/task/TID/children here\n");
		return true;
	}
	build(LISTS * 100);
	tri_store(&big, tri_alloc_leaf(40 << 20));
	memset(big, 1, 40 << 20);
	pthread_create(&killer, NULL, kill_children, &self);
	for (i = 0; i < 5; i++) {
		uint64_t began = now_ns();

		pid = fork();
		if (!pid)
			for (;;)
				pause();
		CHECK(status_of(pid) == SIGKILL);
		/* The bound without a sign of life is 3 s: it was told. */
		if (now_ns() - began > 3000000000ull)
			ksft_print_msg("a fork() of %llu ms\n",
				       (unsigned long long)((now_ns() - began) / 1000000));
	}
	event_set(&threads_stop);
	pthread_join(killer, NULL);
	pid = fork();
	if (!pid) {
		alarm(30);
		_exit(go_on_with(100, 10) ? 0 : 1);
	}
	CHECK(status_of(pid) == 0);
	return go_on_with(100, 10);
}

int main(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", plugin, sizeof(plugin) - 32);

	/* A collector of its own for every process. */
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_FORK", "copy", 1);
	if (argc > 1 && !strcmp(argv[1], "use")) {
		build(LISTS * 10);
		return !go_on_with(10, 10);
	}
	if (n > 0)
		strcpy(strrchr(plugin, '/'), "/plugin_store.so");
	ksft_print_header();
	ksft_set_plan(20);
	ksft_test_result(scenario(child_goes_on), "a child goes on with what the parent had\n");
	ksft_test_result(scenario(copies_are_apart), "neither sees what the other does\n");
	ksft_test_result(scenario(children_of_children), "children of children\n");
	ksft_test_result(scenario(kinds), "all kinds of objects and roots\n");
	ksft_test_result(scenario(settings_go_along), "settings go along\n");
	ksft_test_result(scenario(among_threads),
			 "while threads allocate, collect, come, go and load\n");
	ksft_test_result(scenario(loader_locked), "while a thread is in dl_iterate_phdr()\n");
	ksft_test_result(scenario(threads_in_child), "a child with threads\n");
	ksft_test_result(scenario(from_a_worker), "from a worker thread\n");
	ksft_test_result(scenario(from_a_thread_that_is_not_attached),
			 "from a thread that is not attached\n");
	ksft_test_result(scenario(in_a_handler), "from a signal handler\n");
	ksft_test_result(scenario(close_everything), "a child that closes all descriptors\n");
	ksft_test_result(scenario(no_collector_for_a_little), "a collector when it is needed\n");
	ksft_test_result(scenario(answers_left_over), "a parent whose collector reads no answers\n");
	ksft_test_result(scenario(exec_and_spawn), "exec(), vfork(), posix_spawn(), system()\n");
	ksft_test_result(scenario(raw_fork), "_Fork() and clone()\n");
	ksft_test_result(scenario(too_large_for_auto), "auto: no copy of a large heap, and why\n");
	ksft_test_result(scenario(past_the_limit), "no copy past the memory limit, and why\n");
	ksft_test_result(scenario(no_descriptor_left), "no copy without a descriptor\n");
	ksft_test_result(scenario(child_killed_while_copying), "a child that is killed\n");
	ksft_finished();
}
