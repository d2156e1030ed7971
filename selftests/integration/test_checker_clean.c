// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_checker_clean.c - TRICOLOR_DEBUG=barriers reports nothing of a program whose stores all have
 * barriers
 *
 * The program is this one, run again with an argument (lib/checked.h).
 */
#include <dlfcn.h>
#include <pthread.h>

#include "lib/checked.h"
#include "lib/process.h"
#include "lib/witness.h"

#define ARRAY 8192

struct node {
	struct node *next;
	uint64_t value;
	struct node *other;
	uint64_t pad;
};

TRI_TYPE(node_type, struct node, next, other);

static struct node *keep;
static struct node **array;		/* a large object */
static struct node **small_array;
static __thread struct node *own;
static unsigned long turn;

static NOINLINE struct node *new_node(void)
{
	struct node *n = tri_alloc(sizeof(*n));

	if (!n)
		exit(3);
	n->value = turn;
	return n;
}

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

static void set_globals(void *handle, struct node *global)
{
	void (*set)(void *global, void *local, void *element) =
		(__typeof__(set))dlsym(handle, "plugin_set");

	set(global, new_node(), new_node());
}

static void load_and_unload(void)
{
	void *handle = checked_load_plugin();

	set_globals(handle, new_node());
	if (turn % 2)
		collect();
	dlclose(handle);
}

/* What is in its place next time was not stored to: not even if what it held lives on. */
static void load_again(void)
{
	void *handle = checked_load_plugin(), *place;

	set_globals(handle, keep);
	collect();
	place = dlsym(handle, "plugin_global");
	if (dlclose(handle) || dlopen(checked_plugin, RTLD_NOW | RTLD_NOLOAD))
		exit(19);
	handle = checked_load_plugin();
	if (dlsym(handle, "plugin_global") != place)
		printf("# %s is somewhere else now\n", checked_plugin);
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

static int run_clean(void)
{
	tri_store(&keep, tri_alloc_typed(&node_type, 1));
	tri_store(&array, (struct node **)tri_alloc(ARRAY * 8));
	tri_store(&small_array, (struct node **)tri_alloc(50 * 8));
	clean();
	return 0;
}

static bool nothing_is_said(void)
{
	char path[64];
	int status = checked_run("clean", "barriers=status", NULL, path);
	struct checked c = checked_read(path, NULL, NULL);

	if (status || c.stores || !c.ended)
		ksft_print_msg("wait status %#x, %u reports\n", status, c.stores);
	return !status && !c.stores && c.ended;
}

static bool is_refused(void)
{
	char path[64];
	int status = checked_run("clean", "barriers=status", "64KiB", path);
	struct checked c = checked_read(path, NULL, NULL);

	return !status && c.refused && !c.ended && !c.stores;
}

int main(int argc, char **argv)
{
	checked_main(argc, argv);
	if (argc > 1)
		return run_clean();
	ksft_print_header();
	ksft_set_plan(2);
	ksft_test_result(nothing_is_said(), "nothing is said of a program with all barriers\n");
	ksft_test_result(is_refused(), "more memory than there may be is refused\n");
	ksft_finished();
}
