// SPDX-License-Identifier: GPL-2.0-only
/* stage.c - see stage.h */
#include "stage.h"

bool is_alive(uintptr_t number)
{
	return tri_usable_size(shown(number)) != 0;
}

void stage_futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	struct timespec tick = { 0, 100000000 };

	syscall(SYS_futex, word, op, value, &tick, NULL, 0);
}

/* Overwrite what an action has left on the stack below its caller. */
static __attribute__((noinline)) void scrub(void)
{
	char below[32768];

	memset(below, 0, sizeof(below));
	__asm__ volatile("" : : "r"(below) : "memory");
}

static void *actor_main(void *arg)
{
	struct actor *a = arg;

	tri_thread_attach();
	a->tid = gettid();
	for (;;) {
		uint32_t done = atomic_load(&a->done);

		atomic_store(&a->done, done + 1);
		stage_futex(&a->done, FUTEX_WAKE, INT_MAX);
		while (atomic_load(&a->asked) == done)
			stage_futex(&a->asked, FUTEX_WAIT, done);
		if (!a->fn)
			return NULL;
		a->fn(a->arg);
		scrub();
	}
}

bool actor_finished(struct actor *a)
{
	return WAIT_FOR(atomic_load(&a->done) == atomic_load(&a->asked) + 1, 20000, PATIENCE_NS);
}

void actor_ask(struct actor *a, void (*fn)(void *arg), void *arg)
{
	a->fn = fn;
	a->arg = arg;
	atomic_fetch_add(&a->asked, 1);
	stage_futex(&a->asked, FUTEX_WAKE, INT_MAX);
}

bool actor_does(struct actor *a, void (*fn)(void *arg), void *arg)
{
	actor_ask(a, fn, arg);
	return actor_finished(a);
}

bool actor_start(struct actor *a)
{
	memset(a, 0, sizeof(*a));
	return !pthread_create(&a->thread, NULL, actor_main, a) && actor_finished(a);
}

bool actor_end(struct actor *a)
{
	actor_ask(a, NULL, NULL);
	return !pthread_join(a->thread, NULL);
}

struct actor collector;

static int cycle_result;

static void stage_cycle(void *unused)
{
	(void)unused;
	cycle_result = tri_gc();
}

void cycle_begin(void)
{
	cycle_result = -1;
	actor_ask(&collector, stage_cycle, NULL);
}

bool cycle_ended(void)
{
	return actor_finished(&collector) && cycle_result == 0;
}

bool cycle_whole(void)
{
	cycle_begin();
	return cycle_ended();
}

bool stage_open(void)
{
	points_open();
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	setenv("TRICOLOR_SOCKET", "off", 1);
	return !tri_thread_attach() && actor_start(&collector) && cycle_whole();
}

struct box *box;
void *old_objects[OBJECTS], *fresh[OBJECTS];

void stage_fill_box(void *arg)
{
	struct box *b = tri_alloc(sizeof(*b));
	int i;

	(void)arg;
	for (i = 0; i < 8; i++)
		tri_store(&b->at[i], tri_alloc(sizeof(struct box)));
	tri_store(&box, b);
}

void stage_make_old(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < OBJECTS; i++)
		tri_store(&old_objects[i], tri_alloc(CLASS_BYTES));
}

void stage_drop_half(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < OBJECTS; i += 2)
		tri_store(&old_objects[i], NULL);
}

void stage_make_fresh(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < OBJECTS; i++)
		tri_store(&fresh[i], tri_alloc(CLASS_BYTES));
}
