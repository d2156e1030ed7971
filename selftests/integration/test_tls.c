// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_tls.c - thread-local variables and pthread_setspecific() values of all kinds are roots
 *
 * This program has 312 KiB of thread-local variables itself, so that everything else, the library's
 * included, is far from the thread pointer, and that threads need large stacks.  Objects that
 * plugins bring have theirs in memory that is allocated when a thread first uses them.
 *
 * Stores into them are plain: they are their thread's own.  In every cycle freed objects are
 * overwritten.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "lib/parts.h"
#include "lib/witness.h"

#define ID(n) (0x0a04000000000000ull + (uint64_t)(n))

static __thread void *large[40000] = { (void *)1 };

/* ------------------------------------------------------------------------------------------ */
/* Waiting for cycles of another thread in different ways                                     */
/* ------------------------------------------------------------------------------------------ */

static struct event collected;

static void compute(struct event *e)
{
	while (!event_is_set(e))
		;
}

static void sleep_blocked(struct event *e)
{
	while (!event_is_set(e))
		poll(NULL, 0, 1);
}

/* On another stack: the thread's own, with its static variables on top, is scanned by itself. */
static __thread struct event *coroutine_event;
static __thread tri_stack *own_stack;
static __thread ucontext_t thread_context, coroutine_context;

static void coroutine(void)
{
	compute(coroutine_event);
	if (tri_stack_switch(own_stack))
		ksft_exit_fail_msg("no way back: %s\n", tri_error());
}

static void switch_stacks(struct event *e)
{
	size_t bytes = 256ul << 10;
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	tri_stack *stack = tri_stack_register(memory, bytes);

	own_stack = tri_stack_self();
	coroutine_event = e;
	getcontext(&coroutine_context);
	coroutine_context.uc_stack.ss_sp = memory;
	coroutine_context.uc_stack.ss_size = bytes;
	coroutine_context.uc_link = &thread_context;
	makecontext(&coroutine_context, coroutine, 0);
	if (tri_stack_switch(stack) || swapcontext(&thread_context, &coroutine_context) ||
	    tri_stack_unregister(stack))
		ksft_exit_fail_msg("no coroutine: %s\n", tri_error());
	munmap(memory, bytes);
}

static void (*const ways[])(struct event *) = { compute, sleep_blocked, switch_stacks };

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* What a thread holds, by number; all of it is thread-local. */
struct holder {
	void **(*cell)(size_t i);
	size_t n;
	void (*wait)(struct event *);
	uintptr_t *hidden;
	struct event ready;
	size_t lost;
};

static NOINLINE void hold(struct holder *h)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		struct witness *w = witness_new(ID(i));

		h->hidden[i] = hide(w);
		*h->cell(i) = w;
	}
}

static NOINLINE void let_go(struct holder *h)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		h->lost += !witness_ok(*h->cell(i), ID(i)) || *h->cell(i) != reveal(h->hidden[i]);
		*h->cell(i) = NULL;
	}
}

static void *holding(void *arg)
{
	struct holder *h = arg;

	hold(h);
	wipe_stack();
	event_set(&h->ready);
	h->wait(&collected);
	let_go(h);
	return NULL;
}

/* A thread for each way and this one hold what @cell names; afterwards nobody does. */
static bool holds(void **(*cell)(size_t i), size_t n, const char *what)
{
	struct holder h[WAYS + 1];
	pthread_t thread[WAYS];
	size_t i, k, lost = 0, left = 0;

	memset(&collected, 0, sizeof(collected));
	memset(h, 0, sizeof(h));
	for (k = 0; k <= WAYS; k++) {
		h[k].cell = cell;
		h[k].n = n;
		h[k].wait = k < WAYS ? ways[k] : NULL;
		h[k].hidden = calloc(n, sizeof(uintptr_t));
	}
	for (k = 0; k < WAYS; k++) {
		if (pthread_create(&thread[k], NULL, holding, &h[k]))
			ksft_exit_fail_msg("no thread\n");
		event_wait(&h[k].ready);
	}
	hold(&h[WAYS]);
	collect_times(3);
	let_go(&h[WAYS]);
	event_set(&collected);
	for (k = 0; k < WAYS; k++)
		pthread_join(thread[k], NULL);
	collect_times(2);
	for (k = 0; k <= WAYS; k++) {
		lost += h[k].lost;
		for (i = 0; i < n; i++)
			left += is_object(h[k].hidden[i]);
		free(h[k].hidden);
	}
	/* A word that is left somewhere by chance keeps one. */
	if (lost || left > 2)
		ksft_print_msg("%s: %zu of %zu lost, %zu left\n", what, lost, n * (WAYS + 1), left);
	return !lost && left <= 2;
}

/* ------------------------------------------------------------------------------------------ */
/* Variables of the program and of what it started with                                       */
/* ------------------------------------------------------------------------------------------ */

static void **large_cell(size_t i)
{
	return &large[1 + i * 1993 % 39999];
}

static bool part_large(void)
{
	return holds(large_cell, 40, "a large array");
}

/* ------------------------------------------------------------------------------------------ */
/* Variables of plugins                                                                       */
/* ------------------------------------------------------------------------------------------ */

static char plugin_dir[PATH_MAX];

static void *plugin_open(const char *name, void **(**cell)(size_t i))
{
	char path[2 * PATH_MAX];
	void *handle;

	snprintf(path, sizeof(path), "%s%s", name[0] == '/' ? "" : plugin_dir, name);
	handle = dlopen(path, RTLD_NOW);
	if (!handle)
		ksft_exit_fail_msg("%s\n", dlerror());
	*cell = (__typeof__(*cell))dlsym(handle, "plugin_cell");
	return handle;
}

static bool part_plugin(void)
{
	void **(*cell)(size_t i);
	void *handle = plugin_open("plugin_tls.so", &cell);
	bool ok = holds(cell, 6, "a plugin");

	dlclose(handle);
	return ok;
}

/* As prelink(8) leaves them: found by the mappings, which a signal handler can't read. */
static bool part_based_plugin(void)
{
	void **(*cell)(size_t i);
	void *handle = plugin_open("plugin_tls_based.so", &cell);
	bool ok = holds(cell, 6, "a plugin that was linked for an address");

	return !dlclose(handle) && ok;
}

static void **(*large_plugin)(size_t i);

static void **large_plugin_cell(size_t i)
{
	return large_plugin(i * 5999);
}

static bool part_large_plugin(void)
{
	void *handle = plugin_open("plugin_tls_large.so", &large_plugin);
	bool ok = holds(large_plugin_cell, 50, "a plugin with 2.4 MiB");

	dlclose(handle);
	return ok;
}

#define LAST_CELL (2 * 149000ul)

/* Module numbers are used again, by objects of other sizes; another thread has what is old. */
static struct {
	_Atomic int turn;		/* odd: the other thread's */
	void **(*cell)(size_t i);
	bool ok;
} reuse;

static void wait_for_turn(int mine)
{
	while ((atomic_load(&reuse.turn) & 1) != mine)
		sched_yield();
}

static NOINLINE void use_plugin(int round)
{
	*reuse.cell(LAST_CELL) = witness_new(ID(1000 + round));
}

static void *use_in_turn(void *unused)
{
	int round;

	for (round = 0;; round++) {
		wait_for_turn(1);
		if (!reuse.cell)
			return unused;
		/* Not in each round. */
		if (round % 3)
			use_plugin(round);
		wipe_stack();
		atomic_fetch_add(&reuse.turn, 1);
		wait_for_turn(1);
		if (round % 3 && !witness_ok(*reuse.cell(LAST_CELL), ID(1000 + round)))
			reuse.ok = false;
		atomic_fetch_add(&reuse.turn, 1);
	}
}

static NOINLINE bool reuse_round(int i)
{
	void *handle = plugin_open(i % 2 ? "plugin_tls.so" : "plugin_tls_large.so", &reuse.cell);
	void **(*cell)(size_t i) = reuse.cell;
	bool ok;

	*cell(LAST_CELL) = witness_new(ID(i));
	atomic_fetch_add(&reuse.turn, 1);
	wait_for_turn(0);
	collect_times(2);
	ok = witness_ok(*cell(LAST_CELL), ID(i));
	atomic_fetch_add(&reuse.turn, 1);
	wait_for_turn(0);
	dlclose(handle);
	return ok;
}

static bool part_reuse(void)
{
	pthread_t thread;
	bool ok = true;
	int i;

	reuse.ok = true;
	pthread_create(&thread, NULL, use_in_turn, NULL);
	for (i = 0; ok && i < 24; i++)
		ok = reuse_round(i);
	reuse.cell = NULL;
	atomic_fetch_add(&reuse.turn, 1);
	pthread_join(thread, NULL);
	return ok && reuse.ok;
}

/* So many modules that the vectors grow. */
#define COPIES 100

static void **(*copy[COPIES])(size_t i);
static size_t copies;

static void **copy_cell(size_t i)
{
	return copy[i / 2 % copies](i % 2 * 5);
}

static void open_copy(size_t i)
{
	char path[2 * PATH_MAX], buffer[65536];
	int from, to;
	ssize_t n;

	snprintf(path, sizeof(path), "%splugin_tls.so", plugin_dir);
	from = open(path, O_RDONLY | O_CLOEXEC);
	to = memfd_create("copy", MFD_CLOEXEC);
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, (size_t)n) != n)
			ksft_exit_fail_msg("write: %s\n", strerror(errno));
	close(from);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	plugin_open(path, &copy[i]);
}

static bool part_many(void)
{
	bool ok = true;
	size_t i;

	for (i = 0; i < COPIES; i++) {
		open_copy(i);
		copies = i + 1;
		/* Some of the sizes at which something grows are among these. */
		if (i % 33 == 0 || i == COPIES - 1)
			ok = holds(copy_cell, 2 * copies, "many plugins") && ok;
	}
	return ok;
}

/* A thread that the library has never heard of. */
static struct {
	void *global[2];
	void **(*cell)(size_t i);
	pthread_key_t key;
	struct event loaded, checked;
} stranger;

static NOINLINE void strange_load(void)
{
	*stranger.cell(0) = stranger.global[0];
	pthread_setspecific(stranger.key, stranger.global[1]);
}

static void *strange(void *unused)
{
	strange_load();
	wipe_stack();
	event_set(&stranger.loaded);
	while (!event_is_set(&stranger.checked))
		;
	return unused;
}

static NOINLINE void strange_start(uintptr_t hidden[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		struct witness *w = witness_new(ID(i));

		hidden[i] = hide(w);
		tri_store(&stranger.global[i], w);
	}
}

static bool part_stranger(void)
{
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	uintptr_t hidden[2];
	pthread_t thread;
	bool ok, left;
	int i;

	create = (__typeof__(create))dlsym(libc, "pthread_create");
	plugin_open("plugin_tls.so", &stranger.cell);
	/* Not one of those that are in the thread's descriptor. */
	for (i = 0; i < 50; i++)
		pthread_key_create(&stranger.key, NULL);
	strange_start(hidden);
	if (!create || create(&thread, NULL, strange, NULL))
		ksft_exit_fail_msg("no thread\n");
	event_wait(&stranger.loaded);
	tri_store(&stranger.global[0], NULL);
	tri_store(&stranger.global[1], NULL);
	collect_times(3);
	ok = hidden_ok(hidden[0], ID(0)) && hidden_ok(hidden[1], ID(1));
	event_set(&stranger.checked);
	pthread_join(thread, NULL);
	/* A word that points to a thread's descriptor keeps what that holds. */
	memset(&thread, 0, sizeof(thread));
	__asm__ volatile("" : : "r"(&thread) : "memory");
	collect_times(2);
	left = is_object(hidden[0]) || is_object(hidden[1]);
	if (left)
		ksft_print_msg("what the thread had is left\n");
	return ok && !left;
}

/* ------------------------------------------------------------------------------------------ */
/* Keys                                                                                       */
/* ------------------------------------------------------------------------------------------ */

#define KEYS 300

static pthread_key_t keys[KEYS];

struct key_holder {
	size_t lost;
	void (*wait)(struct event *);
	struct event ready;
};

static NOINLINE void set_keys(void)
{
	size_t i;

	for (i = 0; i < KEYS; i++)
		if (pthread_setspecific(keys[i], witness_new(ID(i))))
			ksft_exit_fail_msg("pthread_setspecific\n");
}

static NOINLINE size_t keys_lost(void)
{
	size_t i, lost = 0;

	for (i = 0; i < KEYS; i++)
		lost += !witness_ok(pthread_getspecific(keys[i]), ID(i));
	return lost;
}

static void *with_keys(void *arg)
{
	struct key_holder *h = arg;

	set_keys();
	wipe_stack();
	event_set(&h->ready);
	h->wait(&collected);
	h->lost = keys_lost();
	return NULL;
}

static bool part_keys(void)
{
	struct key_holder h[WAYS];
	pthread_t thread[WAYS];
	size_t i, lost;

	memset(h, 0, sizeof(h));
	for (i = 0; i < KEYS; i++)
		if (pthread_key_create(&keys[i], NULL))
			ksft_exit_fail_msg("no key\n");
	for (i = 0; i < WAYS; i++) {
		h[i].wait = ways[i];
		pthread_create(&thread[i], NULL, with_keys, &h[i]);
		event_wait(&h[i].ready);
	}
	set_keys();
	collect_times(3);
	lost = keys_lost();
	event_set(&collected);
	for (i = 0; i < WAYS; i++) {
		pthread_join(thread[i], NULL);
		lost += h[i].lost;
	}
	if (lost)
		ksft_print_msg("%zu of %zu values lost\n", lost, KEYS * (WAYS + 1));
	return !lost;
}

/* Destructors get what was set, whether their key is older than the library's or younger. */
static pthread_key_t older, younger;
static _Atomic int destroyed;

static void destroy(void *value)
{
	collect();
	collect();
	destroyed += witness_ok(value, ID(7));
}

__attribute__((constructor(101))) static void make_older(void)
{
	pthread_key_create(&older, destroy);
}

static NOINLINE void set_both(void)
{
	pthread_setspecific(older, witness_new(ID(7)));
	pthread_setspecific(younger, witness_new(ID(7)));
}

static void *ends(void *unused)
{
	set_both();
	return unused;
}

static bool part_destructors(void)
{
	pthread_t thread;
	int i;

	witness_new(0);
	pthread_key_create(&younger, destroy);
	for (i = 0; i < 10; i++) {
		pthread_create(&thread, NULL, ends, NULL);
		pthread_join(thread, NULL);
	}
	ksft_print_msg("%d of 20 values were there\n", destroyed);
	return destroyed == 20;
}

/* ------------------------------------------------------------------------------------------ */

static const struct part parts[] = {
	{ "large", part_large, CLOBBER, "312 KiB of thread-local variables", NULL, NULL },
	{ "plugin", part_plugin, CLOBBER, "thread-local variables of a plugin", NULL, NULL },
	{ "plugin", part_plugin, PROBE, "the same without process_vm_readv()", NULL, NULL },
	{ "based-plugin", part_based_plugin, CLOBBER, "a plugin with an address of its own", NULL, NULL },
	{ "large-plugin", part_large_plugin, CLOBBER, "2.4 MiB of them", NULL, NULL },
	{ "reuse", part_reuse, CLOBBER, "plugins that take each other's place", NULL, NULL },
	{ "many", part_many, CLOBBER, "100 plugins", NULL, NULL },
	{ "stranger", part_stranger, CLOBBER, "of a thread that is not attached", NULL, NULL },
	{ "keys", part_keys, CLOBBER, "300 values of keys", NULL, NULL },
	{ "keys", part_keys, PROBE, "the same without process_vm_readv()", NULL, NULL },
	{ "destructors", part_destructors, CLOBBER, "values in destructors of keys", NULL, NULL },
};

int main(int argc, char **argv)
{
	char *slash;

	if (!realpath("/proc/self/exe", plugin_dir))
		ksft_exit_fail_msg("no /proc\n");
	slash = strrchr(plugin_dir, '/');
	slash[1] = 0;
	return run_parts(parts, sizeof(parts) / sizeof(parts[0]), argc, argv);
}
