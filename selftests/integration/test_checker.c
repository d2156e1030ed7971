// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_checker.c - TRICOLOR_DEBUG=barriers names each planted store
 *
 * Each shape of store is a function in a section of its own, so that its first and last address are
 * known.  It is run by a process of its own: this program, with the shape's name as its argument
 * (lib/checked.h).  That process writes where the section lies into the file in which the checker
 * reports.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "lib/checked.h"
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
static unsigned long turn;
static int epoll, pipe_ends[2];

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
		plugin_global = dlsym(checked_load_plugin(), "plugin_global");
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

/*
 * Store to more words of one object than some passes of the checker can keep, and then to a global,
 * again and again.
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

	set_up(name);
	if (!strcmp(name, "flood")) {
		flood();
		return 0;
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

/* ------------------------------------------------------------------------------------------ */
/* What was reported                                                                          */
/* ------------------------------------------------------------------------------------------ */

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

/* What the reports say about the process of one shape. */
struct found {
	const struct shape *shape;
	struct checked all;
	unsigned int wrong;		/* reports of other slots, or of other instructions */
	unsigned int named;		/* reports that name the slot and the instruction */
	bool no_events;			/* a report says that the system has no hardware
					 * breakpoints */
	bool by_kernel;			/* a report says that the kernel stored */
};

/*
 * Addresses as the process of the shape says them: those of the code that stores, and those of the
 * code that allocates the object.
 */
static uint64_t planted_lo, planted_hi, made_lo, made_hi;

static bool is_right_object(const struct shape *s, const char *slot)
{
	uint64_t after = report_number(strstr(slot, "\"allocation\":{"), "after");

	return report_is(slot, "type", s->sure ? "struct node" : "null") && after > made_lo &&
	       after <= made_hi;
}

static bool is_right_slot(const struct shape *s, const char *line)
{
	const char *slot = strstr(line, "\"slot\":{");

	if (!report_is(slot, "where", s->where) ||
	    !report_is(line, "sure", s->sure ? "true" : "false"))
		return false;
	if (s->module && !ends_with(report_field(slot, "module"), s->module))
		return false;
	if (!strcmp(s->where, "heap") && !is_right_object(s, slot))
		return false;
	return s->offset < 0 || (long)report_number(slot, "offset") == s->offset;
}

/* Whether the store that is reported was made by the planted one. */
static bool is_right_store(const struct shape *s, const char *store)
{
	uint64_t after = report_number(store, "after");

	if (s->by_library)
		return returns_to(report_field(store, "stack"), planted_lo, planted_hi);
	return after > planted_lo && after <= planted_hi;
}

static void see_store(const char *line, struct found *f)
{
	const char *store = strstr(line, "\"store\":{");
	bool right = is_right_slot(f->shape, line);

	if (!store) {
		f->by_kernel |= strstr(line, "the kernel stores there, as for read()") != NULL;
		f->no_events |= strstr(line, "\"why\":\"perf_event_open") != NULL;
		f->wrong += !right;
	} else if (right && is_right_store(f->shape, store)) {
		f->named++;
	} else {
		f->wrong++;
	}
}

static void see_line(const char *line, void *arg)
{
	if (report_is(line, "event", "planted")) {
		planted_lo = report_number(line, "lo");
		planted_hi = report_number(line, "hi");
		made_lo = report_number(line, "made_lo");
		made_hi = report_number(line, "made_hi");
	} else if (report_is(line, "event", "store")) {
		see_store(line, arg);
	}
}

static struct found find(const struct shape *s, const char *path)
{
	struct found f = { .shape = s };

	f.all = checked_read(path, see_line, &f);
	return f;
}

static bool is_found(const struct shape *s, bool traced)
{
	bool once = !strcmp(s->name, "store_once"), by_kernel = !strcmp(s->name, "store_read");
	char path[64];
	struct found f;
	int status;

	status = checked_run_traced(s->name, "barriers=status", traced, path);
	f = find(s, path);
	if (f.no_events)
		ksft_print_msg("%s: no hardware breakpoints here\n", s->name);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || !f.all.ended || !f.all.stores ||
	    f.wrong || (!f.named && !f.no_events && !once && !by_kernel) ||
	    (by_kernel && !f.by_kernel && !f.no_events)) {
		ksft_print_msg(
			"%s: wait status %#x, %u reports, %u wrong, %u with its instruction\n",
			s->name, status, f.all.stores, f.wrong, f.named);
		return false;
	}
	return true;
}

/*
 * Switch the leak sanitizer off, or on again.  It traces the process at its end.  It complains
 * where the filter refuses that.  Where the filter kills its tracing thread, it waits for that
 * thread for ever: the collector, which has inherited the filter, would never end.
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

/* @kills: the filter kills a process that asks for events or for tracing. */
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
	status = checked_run(s->name, "barriers=status", NULL, path);
	look_for_leaks(true);
	unsetenv("DENY_EVENTS");
	unsetenv("DENY_TRACING");
	unsetenv("DENY_KILLS");
	f = find(s, path);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1 && f.all.ended && f.all.stores == 1 &&
	       !f.wrong && !f.named && f.no_events;
}

static bool many_hide_nothing(void)
{
	char path[64];
	int status = checked_run("flood", "barriers=status", NULL, path);
	struct checked c = checked_read(path, NULL, NULL);

	if (!c.globals || !c.ended)
		ksft_print_msg("wait status %#x, %u reports\n", status, c.stores);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1 && c.globals && c.ended;
}

int main(int argc, char **argv)
{
	size_t i;

	checked_main(argc, argv);
	if (argc > 1)
		return run_shape(argv[1]);
	ksft_print_header();
	ksft_set_plan(2 * SHAPES + 3);
	for (i = 0; i < 2 * SHAPES; i++)
		ksft_test_result(is_found(&shapes[i / 2], i % 2), "%s%s\n", shapes[i / 2].name,
				 i % 2 ? ", without events" : "");
	ksft_test_result(is_found_without_events(false),
			 "without events and tracing the slot is found, and it says why\n");
	ksft_test_result(is_found_without_events(true),
			 "a filter that kills who asks for them kills nobody else\n");
	ksft_test_result(many_hide_nothing(),
			 "so many stores to one object that a global would have no room\n");
	ksft_finished();
}
