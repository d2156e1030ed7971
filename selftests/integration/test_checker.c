// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_checker.c - TRICOLOR_DEBUG=barriers names each planted store, and says nothing of a program
 * that has none
 *
 * Each shape of store is a function in a section of its own, so that its first and last address are
 * known, and is run by a process of its own: this program, with the shape's name.  That process
 * writes where the section lies into the file in which the checker reports.
 */
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/process.h"
#include "lib/witness.h"

#define TURNS 60
#define ARRAY 8192
#define FLOOD 1000000

/* A planted store, and where its code is. */
#define PLANTED(name)								\
	extern char __start_at_##name[], __stop_at_##name[];				\
	static NOINLINE __attribute__((section("at_" #name), used)) void name(void)

struct node {
	struct node *next;
	uint64_t value;
	struct node *other;
	uint64_t pad;
};

TRI_TYPE(node_type, struct node, next, other);

static struct node *global, *cursor, *keep;
static struct node **array;		/* a large object */
static struct node **small_array;
static void **malloced;			/* a registered range */
static void **plugin_global;
static __thread struct node *own;
static unsigned long turn;
static int epoll, pipe_ends[2];
static char plugin_path[PATH_MAX];

extern char __start_at_new_node[], __stop_at_new_node[], __start_at_set_up[], __stop_at_set_up[];

static NOINLINE __attribute__((section("at_new_node"))) struct node *new_node(void)
{
	struct node *n = tri_alloc(sizeof(*n));

	if (!n)
		exit(3);
	n->value = turn;
	return n;
}

/* ------------------------------------------------------------------------------------------ */
/* Shapes                                                                                     */
/* ------------------------------------------------------------------------------------------ */

PLANTED(store_global)
{
	global = new_node();
}

/* An interior pointer goes on. */
PLANTED(store_increment)
{
	cursor++;
}

PLANTED(store_field)
{
	keep->next = new_node();
}

PLANTED(store_struct)
{
	struct node n = { new_node(), turn, NULL, 0 };

	*keep = n;
}

static __attribute__((section("at_store_out_parameter"), noinline)) void make(struct node **into)
{
	*into = new_node();
}

PLANTED(store_out_parameter)
{
	make(&keep->other);
}

PLANTED(store_memcpy)
{
	struct node *nodes[40];
	size_t i, bytes = sizeof(nodes) - (turn & 1) * 8;

	for (i = 0; i < 40; i++)
		nodes[i] = new_node();
	/* Its length is not known when this is compiled. */
	__asm__ volatile("" : "+r"(bytes));
	memcpy(small_array, nodes, bytes);
	__asm__ volatile("" : : : "memory");
}

PLANTED(store_initialiser)
{
	struct node *n = new_node();

	n->next = keep;
	tri_store(&global, n);
}

PLANTED(store_array)
{
	array[turn % ARRAY] = new_node();
}

PLANTED(store_range)
{
	malloced[3] = new_node();
}

PLANTED(store_plugin)
{
	*plugin_global = new_node();
}

static NOINLINE __attribute__((section("at_store_thread"))) void *other_thread(void *unused)
{
	keep->next = new_node();
	return unused;
}

PLANTED(store_thread)
{
	pthread_t thread;

	pthread_create(&thread, NULL, other_thread, NULL);
	pthread_join(thread, NULL);
}

/* What is overwritten here was stored by a barrier, of which a pass has heard. */
PLANTED(store_null)
{
	tri_store(&keep->next, new_node());
	collect_times(3);
	*(struct node *volatile *)&keep->next = NULL;
}

/* Mostly in a blocking region, which nobody interrupts. */
PLANTED(store_server)
{
	struct epoll_event event;

	if (epoll_wait(epoll, &event, 1, 2))
		exit(10);
	keep->next = new_node();
}

/* The kernel has stored it, which no barrier can see. */
PLANTED(store_read)
{
	struct node *n = new_node();

	if (write(pipe_ends[1], &n, sizeof(n)) != sizeof(n) ||
	    read(pipe_ends[0], &keep->next, sizeof(n)) != sizeof(n))
		exit(20);
}

static volatile sig_atomic_t traps;

static void trapped(int sig)
{
	(void)sig;
	traps++;
}

static void *short_lived(void *unused)
{
	tri_store(&global, keep);
	return unused;
}

/* What a program does that is not to see how it is watched. */
static void behave_oddly(void)
{
	static char *shell[] = { (char *)"sh", (char *)"-c", (char *)"exit 6", NULL };
	struct timespec none = { 0, 1000000 };
	struct epoll_event event;
	pthread_t threads[4];
	sigset_t usr1;
	int status, i;
	pid_t pid;

	/* Its own traps are its own. */
	signal(SIGTRAP, trapped);
	traps = 0;
	raise(SIGTRAP);
	__asm__ volatile("int3");
	if (traps != 2)
		exit(11);
	/* It has no children that it has not made. */
	if (wait(&status) >= 0 || errno != ECHILD || waitpid(-1, &status, WNOHANG) >= 0)
		exit(12);
	/* Calls that end with EINTR after any stop. */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	if (syscall(SYS_epoll_wait, epoll, &event, 1, 1) ||
	    syscall(SYS_rt_sigtimedwait, &usr1, NULL, &none, 8) >= 0 || errno != EAGAIN)
		exit(13);
	for (i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, short_lived, NULL))
			exit(14);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	pid = fork();
	if (!pid) {
		keep->next = new_node();
		_exit(5);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 5)
		exit(15);
	/*
	 * Not system(): glibc's keeps there in a variable what it has found on its stack (the rest
	 * of a sigset_t).
	 */
	if (posix_spawn(&pid, "/bin/sh", NULL, NULL, shell, environ) ||
	    waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 6)
		exit(16);
}

PLANTED(store_oddly)
{
	if (turn % 16 == 0)
		behave_oddly();
	keep->next = new_node();
}

/* No instruction can be found for it. */
PLANTED(store_once)
{
	if (!turn)
		global = new_node();
}

/* ------------------------------------------------------------------------------------------ */
/* No store without a barrier                                                                 */
/* ------------------------------------------------------------------------------------------ */

static void *churn(void *unused)
{
	int i;

	for (i = 0; i < 20000; i++) {
		struct node *n = tri_alloc_typed(&node_type, 1 + (size_t)i % 3);

		tri_store(&n->next, own);
		own = i % 100 ? n : NULL;
		tri_store(&array[i % ARRAY], n);
		tri_move(&array[(i + 7) % (ARRAY - 40)], &array[i % (ARRAY - 40)], 30);
		tri_exchange(&n->other, array[i % 50]);
		tri_cas(&keep->other, keep->other, n);
	}
	return unused;
}

static void grow_and_shrink(void)
{
	struct node **a = tri_alloc(64);
	size_t n;

	for (n = 8; n < 30000; n += n / 3) {
		a = tri_realloc(a, n * 8 + n % 8);
		tri_store(&a[n - 1], new_node());
		tri_store(&small_array, (struct node **)a);
	}
	for (; n > 8; n -= n / 3)
		a = tri_realloc(a, n * 8 - n % 7);
	tri_store(&small_array, (struct node **)a);
}

/* Memory that comes back, with what is stored before it is registered. */
static void reuse_range(void)
{
	void **memory = malloc(4096);
	int i;

	for (i = 0; i < 512; i++)
		memory[i] = i % 3 ? new_node() : NULL;
	if (tri_root_add(memory, 4096))
		exit(4);
	tri_store(&memory[7], new_node());
	tri_gc();
	if (tri_root_remove(memory, 4096))
		exit(5);
	free(memory);
}

static void *load(void)
{
	void *handle = dlopen(plugin_path, RTLD_NOW);

	if (!handle)
		exit(18);
	return handle;
}

static void set_globals(void *handle, struct node *global)
{
	void (*set)(void *global, void *local, void *element) =
		(__typeof__(set))dlsym(handle, "plugin_set");

	set(global, new_node(), new_node());
}

static void load_and_unload(void)
{
	void *handle = load();

	set_globals(handle, new_node());
	if (turn % 2)
		collect();
	dlclose(handle);
}

/* What is in its place next time was not stored to: not even if what it held lives on. */
static void load_again(void)
{
	void *handle = load(), *place;

	set_globals(handle, keep);
	collect();
	place = dlsym(handle, "plugin_global");
	if (dlclose(handle) || dlopen(plugin_path, RTLD_NOW | RTLD_NOLOAD))
		exit(19);
	handle = load();
	if (dlsym(handle, "plugin_global") != place)
		printf("# %s is somewhere else now\n", plugin_path);
	collect();
	dlclose(handle);
}

static void clean(void)
{
	tri_handle *h = tri_handle_new(new_node());
	pthread_t thread[3];
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, churn, NULL);
	grow_and_shrink();
	for (turn = 0; turn < 30; turn++) {
		reuse_range();
		load_and_unload();
		tri_handle_set(h, new_node());
	}
	load_again();
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	tri_handle_free(h);
	tri_clear(array, ARRAY);
	collect_times(2);
}

/* ------------------------------------------------------------------------------------------ */
/* A process for each                                                                         */
/* ------------------------------------------------------------------------------------------ */

struct shape {
	const char *name;
	void (*store)(void);
	const char *lo, *hi;
	const char *where;		/* "where" of its slot */
	long offset;			/* in its object; -1: any */
	bool sure;			/* the object has a type */
	bool by_library;		/* the storing instruction is in a function of the C
					 * library */
	const char *module;		/* of the slot: how its name ends */
};

#define SHAPE(name, ...) { #name, name, __start_at_##name, __stop_at_##name, __VA_ARGS__ }

static const struct shape shapes[] = {
	SHAPE(store_global, "global", -1, false, false, "test_checker"),
	SHAPE(store_increment, "global", -1, false, false, "test_checker"),
	SHAPE(store_field, "heap", offsetof(struct node, next), true, false, NULL),
	SHAPE(store_struct, "heap", offsetof(struct node, next), true, false, NULL),
	SHAPE(store_out_parameter, "heap", offsetof(struct node, other), true, false, NULL),
	SHAPE(store_memcpy, "heap", -1, false, true, NULL),
	SHAPE(store_initialiser, "heap", offsetof(struct node, next), false, false, NULL),
	SHAPE(store_array, "heap", -1, false, false, NULL),
	SHAPE(store_range, "root", -1, false, false, NULL),
	SHAPE(store_plugin, "global", -1, false, false, "plugin_store.so"),
	SHAPE(store_thread, "heap", offsetof(struct node, next), true, false, NULL),
	SHAPE(store_null, "heap", offsetof(struct node, next), true, false, NULL),
	SHAPE(store_server, "heap", offsetof(struct node, next), true, false, NULL),
	SHAPE(store_read, "heap", offsetof(struct node, next), true, false, NULL),
	SHAPE(store_oddly, "heap", offsetof(struct node, next), true, false, NULL),
	SHAPE(store_once, "global", -1, false, false, "test_checker"),
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static NOINLINE __attribute__((section("at_set_up"))) void set_up(const char *name)
{
	/* Or nobody would unload it. */
	if (!strcmp(name, "store_plugin"))
		plugin_global = dlsym(load(), "plugin_global");
	malloced = calloc(8, sizeof(*malloced));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (pipe2(pipe_ends, O_CLOEXEC))
		exit(2);
	if ((!plugin_global && !strcmp(name, "store_plugin")) || !malloced ||
	    tri_root_add(malloced, 8 * sizeof(*malloced)))
		exit(2);
	tri_store(&keep, tri_alloc_typed(&node_type, 1));
	tri_store(&array, (struct node **)tri_alloc(ARRAY * 8));
	tri_store(&small_array, (struct node **)tri_alloc(50 * 8));
	tri_store(&cursor, (struct node *)tri_alloc(1000 * sizeof(struct node)));
}

static void write_place(const struct shape *s)
{
	FILE *file = fopen(getenv("TRICOLOR_DEBUG_FILE"), "a");
	bool by_new_node = s->store == store_initialiser;

	if (!file)
		exit(6);
	fprintf(file,
		"{\"event\":\"planted\",\"lo\":\"%p\",\"hi\":\"%p\",\"made_lo\":\"%p\",\"made_hi\":\"%p\"}\n",
		(void *)s->lo, (void *)s->hi, by_new_node ? __start_at_new_node : __start_at_set_up,
		by_new_node ? __stop_at_new_node : __stop_at_set_up);
	fclose(file);
}

/* As containers do: the one many, the other those of old. */
static void deny(long number, bool kills)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K,
			 kills ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		exit(8);
}

extern int __cxa_atexit(void (*fn)(void *arg), void *arg, void *dso);

static void see_who_traces(void *unused)
{
	FILE *file = fopen("/proc/self/status", "r");
	char text[256];
	int tracer = 0;

	(void)unused;
	while (file && fgets(text, sizeof(text), file))
		sscanf(text, "TracerPid: %d", &tracer);
	if (tracer)
		_exit(17);
	if (file)
		fclose(file);
}

/*
 * Before all else, and of no object that has destructors: so it is called last, after those of
 * libraries.
 */
static void call_at_the_very_end(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		__cxa_atexit(see_who_traces, NULL, NULL);
}

__attribute__((section(".preinit_array"),
	       used)) static void (*early)(int argc, char **argv) = call_at_the_very_end;

/*
 * More words in one object than some passes keep at a time, and one behind them, again and again.
 */
static void flood(void)
{
	struct node **many = tri_alloc(FLOOD * sizeof(*many)), *two[2] = { new_node(), new_node() };
	size_t i;

	tri_store(&small_array, many);
	for (turn = 0; turn < 5; turn++) {
		for (i = 0; i < FLOOD; i++)
			*(struct node *volatile *)&many[i] = two[turn % 2];
		global = two[turn % 2];
		collect();
	}
}

static int run_shape(const char *name)
{
	size_t i;

	if (getenv("DENY_EVENTS"))
		deny(SYS_perf_event_open, getenv("DENY_KILLS"));
	if (getenv("DENY_TRACING"))
		deny(SYS_ptrace, getenv("DENY_KILLS"));
	set_up(name);
	if (!strcmp(name, "clean")) {
		clean();
		return 0;
	}
	if (!strcmp(name, "flood")) {
		flood();
		return 0;
	}
	if (!strcmp(name, "exec")) {
		for (turn = 0; turn < 20; turn++) {
			store_field();
			collect();
		}
		execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
		return 9;
	}
	for (i = 0; i < SHAPES; i++) {
		if (strcmp(name, shapes[i].name))
			continue;
		write_place(&shapes[i]);
		for (turn = 0; turn < TURNS; turn++) {
			shapes[i].store();
			collect();
		}
		return 0;
	}
	return 7;
}

/* Wait status of this program with @name, and the file that it leaves. */
static int run(const char *name, const char *debug, const char *memory, char *path)
{
	int status = -1, fd;
	pid_t pid;

	strcpy(path, "/tmp/test_checker.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	close(fd);
	pid = fork();
	if (!pid) {
		setenv("TRICOLOR_DEBUG", debug, 1);
		setenv("TRICOLOR_DEBUG_FILE", path, 1);
		if (memory)
			setenv("TRICOLOR_DEBUG_MEMORY", memory, 1);
		alarm(emulated() ? 400 : 100);
		execl("/proc/self/exe", plugin_path, name, (char *)NULL);
		_exit(126);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		ksft_exit_fail_msg("can't run %s: %s\n", name, strerror(errno));
	return status;
}

/* ------------------------------------------------------------------------------------------ */
/* What was reported                                                                          */
/* ------------------------------------------------------------------------------------------ */

static char line[65536];

/*
 * The value of @key in the line, from @from on: a number, or what stands between quotation marks.
 * NULL: none.
 */
static const char *field(const char *from, const char *key)
{
	static char value[8192];
	char quoted[64];
	const char *p;
	size_t n;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	p = from ? strstr(from, quoted) : NULL;
	if (!p)
		return NULL;
	p += strlen(quoted);
	p += *p == '"';
	n = strcspn(p, "\",}");
	snprintf(value, sizeof(value), "%.*s", (int)n, p);
	return value;
}

static uint64_t number(const char *from, const char *key)
{
	const char *value = field(from, key);

	return value ? strtoull(value, NULL, 0) : 0;
}

static bool is(const char *from, const char *key, const char *want)
{
	const char *value = field(from, key);

	return value && !strcmp(value, want);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = text ? strlen(text) : 0, m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

/* Whether a word of the stack is a return address in [@lo, @hi]. */
static bool returns_to(const char *stack, uint64_t lo, uint64_t hi)
{
	unsigned int byte;
	uint64_t word = 0;
	size_t i;

	for (i = 0; stack && sscanf(stack + 2 * i, "%2x", &byte) == 1; i++) {
		word = word >> 8 | (uint64_t)byte << 56;
		if (i % 8 == 7 && word > lo && word <= hi)
			return true;
	}
	return false;
}

struct found {
	unsigned int stores;		/* reports */
	unsigned int wrong;		/* of other slots, or by other instructions */
	unsigned int named;		/* by the right one */
	unsigned long long sites;
	unsigned int globals;		/* reports of globals */
	bool no_events;			/* the system gives none */
	bool by_kernel;			/* a report says so */
	bool ended, refused;
};

/* As the process that has planted it says: where that is, and where it allocates the object. */
static uint64_t planted_lo, planted_hi, made_lo, made_hi;

static bool is_right_object(const struct shape *s, const char *slot)
{
	uint64_t after = number(strstr(slot, "\"allocation\":{"), "after");

	return is(slot, "type", s->sure ? "struct node" : "null") && after > made_lo &&
	       after <= made_hi;
}

static bool is_right_slot(const struct shape *s)
{
	const char *slot = strstr(line, "\"slot\":{");

	if (!is(slot, "where", s->where) || !is(line, "sure", s->sure ? "true" : "false"))
		return false;
	if (s->module && !ends_with(field(slot, "module"), s->module))
		return false;
	if (!strcmp(s->where, "heap") && !is_right_object(s, slot))
		return false;
	return s->offset < 0 || (long)number(slot, "offset") == s->offset;
}

static void see_store(const struct shape *s, struct found *f)
{
	const char *store = strstr(line, "\"store\":{");
	uint64_t after = number(store, "after");

	f->stores++;
	if (!store) {
		f->by_kernel |= strstr(line, "the kernel stores there, as for read()") != NULL;
		f->no_events |= strstr(line, "\"why\":\"perf_event_open") != NULL;
		f->wrong += !is_right_slot(s);
	} else if (is_right_slot(s) &&
		   (s->by_library ? returns_to(field(store, "stack"), planted_lo, planted_hi) :
				    after > planted_lo && after <= planted_hi)) {
		f->named++;
	} else {
		f->wrong++;
	}
}

static struct found read_reports(const char *path, const struct shape *s)
{
	FILE *file = fopen(path, "r");
	struct found f = { 0 };

	while (file && fgets(line, sizeof(line), file)) {
		if (is(line, "event", "planted")) {
			planted_lo = number(line, "lo");
			planted_hi = number(line, "hi");
			made_lo = number(line, "made_lo");
			made_hi = number(line, "made_hi");
		} else if (is(line, "event", "store") && s) {
			see_store(s, &f);
		} else if (is(line, "event", "store")) {
			f.stores++;
		} else if (is(line, "event", "end")) {
			f.ended = true;
			f.sites = number(line, "sites");
		} else if (is(line, "event", "refused")) {
			f.refused = true;
		}
		if (is(line, "event", "store"))
			ksft_print_msg("%.400s\n", line);
		f.globals += is(line, "event", "store") && is(line, "where", "global");
	}
	if (file)
		fclose(file);
	unlink(path);
	return f;
}

/* @traced: with a tracer in place of events. */
static int run_traced(const char *name, const char *debug, bool traced, char path[static 64])
{
	int status;

	if (traced)
		setenv("DENY_EVENTS", "1", 1);
	status = run(name, debug, NULL, path);
	unsetenv("DENY_EVENTS");
	return status;
}

static bool is_found(const struct shape *s, bool traced)
{
	bool once = !strcmp(s->name, "store_once"), by_kernel = !strcmp(s->name, "store_read");
	char path[64];
	struct found f;
	int status;

	status = run_traced(s->name, "barriers=status", traced, path);
	f = read_reports(path, s);
	if (f.no_events)
		ksft_print_msg("%s: no hardware breakpoints here\n", s->name);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || !f.ended || !f.stores || f.wrong ||
	    (!f.named && !f.no_events && !once && !by_kernel) ||
	    (by_kernel && !f.by_kernel && !f.no_events)) {
		ksft_print_msg(
			"%s: wait status %#x, %u reports, %u wrong, %u with its instruction\n",
			s->name, status, f.stores, f.wrong, f.named);
		return false;
	}
	return true;
}

static bool nothing_is_said(void)
{
	char path[64];
	int status = run("clean", "barriers=status", NULL, path);
	struct found f = read_reports(path, NULL);

	if (status || f.stores || !f.ended)
		ksft_print_msg("wait status %#x, %u reports\n", status, f.stores);
	return !status && !f.stores && f.ended;
}

/*
 * The leak sanitizer traces the process at its end.  Where the filter refuses that it complains,
 * and where it kills who does, it waits for ever for the one that should have: the collector, which
 * has inherited the filter, would never end.
 */
static void look_for_leaks(bool looks)
{
	static char as_it_was[1024], without[1100];
	const char *options = getenv("ASAN_OPTIONS");

	if (looks) {
		setenv("ASAN_OPTIONS", as_it_was, 1);
		return;
	}
	snprintf(as_it_was, sizeof(as_it_was), "%s", options ? options : "");
	snprintf(without, sizeof(without), "%s:detect_leaks=0", as_it_was);
	setenv("ASAN_OPTIONS", without, 1);
}

/* @kills: by a filter that kills who asks. */
static bool is_found_without_events(bool kills)
{
	const struct shape *s = &shapes[0];
	char path[64];
	struct found f;
	int status;

	while (strcmp(s->name, "store_field"))
		s++;
	setenv("DENY_EVENTS", "1", 1);
	setenv("DENY_TRACING", "1", 1);
	if (kills)
		setenv("DENY_KILLS", "1", 1);
	look_for_leaks(false);
	status = run(s->name, "barriers=status", NULL, path);
	look_for_leaks(true);
	unsetenv("DENY_EVENTS");
	unsetenv("DENY_TRACING");
	unsetenv("DENY_KILLS");
	f = read_reports(path, s);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1 && f.ended && f.stores == 1 &&
	       !f.wrong && !f.named && f.no_events;
}

static bool many_hide_nothing(void)
{
	char path[64];
	int status = run("flood", "barriers=status", NULL, path);
	struct found f = read_reports(path, NULL);

	if (!f.globals || !f.ended)
		ksft_print_msg("wait status %#x, %u reports\n", status, f.stores);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1 && f.globals && f.ended;
}

/* Another program is nobody's that is watched. */
static bool exec_goes_on(void)
{
	char path[64];
	struct found f;
	int i, status;

	for (i = 0; i < 2; i++) {
		status = run_traced("exec", "barriers", i, path);
		f = read_reports(path, NULL);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 7 || !f.stores || f.ended) {
			ksft_print_msg("wait status %#x\n", status);
			return false;
		}
	}
	return true;
}

/*
 * Also with a tracer: as one that comes at the very end, such as the leak sanitizer, there is none
 * any more.
 */
static bool exits_as_ever(void)
{
	char path[64];
	struct found f;
	int i, status;

	for (i = 0; i < 2; i++) {
		status = run_traced("store_global", "barriers", i, path);
		f = read_reports(path, NULL);
		if (status || !f.stores || !f.ended || !f.sites) {
			ksft_print_msg("wait status %#x\n", status);
			return false;
		}
	}
	return true;
}

static bool aborts(void)
{
	char path[64];
	int status = run("store_global", "barriers=abort", NULL, path);
	struct found f = read_reports(path, NULL);

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && f.stores == 1 && !f.ended;
}

static bool is_refused(void)
{
	char path[64];
	int status = run("clean", "barriers=status", "64KiB", path);
	struct found f = read_reports(path, NULL);

	return !status && f.refused && !f.ended && !f.stores;
}

int main(int argc, char **argv)
{
	struct rlimit no_core = { 0, 0 };
	char *slash;
	size_t i;

	snprintf(plugin_path, sizeof(plugin_path) - 32, "%s", argv[0]);
	if (argc > 1)
		return run_shape(argv[1]);
	slash = strrchr(plugin_path, '/');
	strcpy(slash ? slash + 1 : plugin_path, slash ? "plugin_store.so" : "./plugin_store.so");
	setrlimit(RLIMIT_CORE, &no_core);
	ksft_print_header();
	ksft_set_plan(2 * SHAPES + 8);
	for (i = 0; i < 2 * SHAPES; i++)
		ksft_test_result(is_found(&shapes[i / 2], i % 2), "%s%s\n", shapes[i / 2].name,
				 i % 2 ? ", without events" : "");
	ksft_test_result(nothing_is_said(), "nothing is said of a program with all barriers\n");
	ksft_test_result(is_found_without_events(false),
			 "without events and tracing the slot is found, and it says why\n");
	ksft_test_result(is_found_without_events(true),
			 "a filter that kills who asks for them kills nobody else\n");
	ksft_test_result(many_hide_nothing(),
			 "so many stores to one object that a global would have no room\n");
	ksft_test_result(exec_goes_on(), "a program that comes by exec() is not watched\n");
	ksft_test_result(exits_as_ever(), "the status is not changed unless that is asked for\n");
	ksft_test_result(aborts(), "barriers=abort\n");
	ksft_test_result(is_refused(), "more memory than there may be is refused\n");
	ksft_finished();
}
