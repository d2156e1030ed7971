// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_any.c - values of any type in the heap: boxes, pointers in the value word, torn pairs
 */
#include <pthread.h>

#include "lib/threads.h"
#include "tricolor/any.h"

#define ID(n) (0x0a11000000000000ull + (uint64_t)(n))

struct large {
	double x;
	struct witness *w;
	double y;
};

TRI_TYPE(large_map, struct large, w);

struct odd {
	struct witness *w;
	char tail[13];
} __attribute__((packed));

static TRI_ANY_TYPE_LEAF(any_long, long);
static TRI_ANY_TYPE(any_witness, struct witness *);
static TRI_ANY_TYPE(any_large, struct large);
static TRI_ANY_TYPE_TYPED(any_large_typed, struct large, large_map);
static TRI_ANY_TYPE_LEAF(any_large_leaf, struct large);
static TRI_ANY_TYPE(any_odd, struct odd);
static TRI_ANY_TYPE_TYPED(any_misfit, struct odd, large_map);

struct variable {
	long line;
	struct tri_any any;
};

TRI_TYPE(variable_type, struct variable, any);

static struct variable *typed, *conservative;
static struct tri_any global;

static void make_variables(void)
{
	tri_store(&typed, tri_new_typed(variable_type));
	tri_store(&conservative, tri_new(struct variable));
	if (!typed || !conservative)
		ksft_exit_fail_msg("no memory: %s\n", tri_error());
}

/* The places that a value may be in. */
static struct tri_any *place(unsigned int i)
{
	return i == 0 ? &typed->any : i == 1 ? &conservative->any : &global;
}

#define PLACES 3

/* ------------------------------------------------------------------------------------------ */
/* What a value keeps                                                                         */
/* ------------------------------------------------------------------------------------------ */

static uintptr_t kept[PLACES], box[PLACES];

static NOINLINE void put_boxed(const struct tri_any_type *type, uint64_t id)
{
	unsigned int i;

	for (i = 0; i < PLACES; i++) {
		struct large in = { 1, witness_new(id + i), 2 };
		struct tri_any any = tri_any_new(type, &in);

		kept[i] = hide(in.w);
		box[i] = hide(any.value);
		tri_any_store(place(i), any);
	}
}

static NOINLINE bool boxes_ok(const struct tri_any_type *type, uint64_t id, bool witnesses)
{
	unsigned int i;
	bool ok = true;

	for (i = 0; i < PLACES; i++) {
		struct large out = { 0 };
		const struct large *there = tri_any_box(*place(i), type);

		ok &= tri_any_get(tri_any_load(place(i)), type, &out) == 1 && out.x == 1 &&
		      out.y == 2 && there && there->x == 1 && is_object(box[i]);
		ok &= !witnesses || witness_ok(out.w, id + i);
	}
	return ok;
}

static NOINLINE void clear_all(void)
{
	unsigned int i;

	for (i = 0; i < PLACES; i++)
		tri_any_clear(place(i));
}

static NOINLINE bool all_gone(const uintptr_t *hidden)
{
	unsigned int i;
	bool gone = true;

	for (i = 0; i < PLACES; i++)
		gone &= !is_object(hidden[i]);
	return gone;
}

static bool test_boxed(const struct tri_any_type *type, uint64_t id)
{
	bool ok;

	put_boxed(type, id);
	collect_times(3);
	ok = boxes_ok(type, id, true);
	clear_all();
	collect_times(3);
	return ok && all_gone(box) && all_gone(kept);
}

/* A box of a type without pointers keeps nothing. */
static bool test_leaf(void)
{
	bool ok;

	put_boxed(&any_large_leaf, ID(50));
	collect_times(3);
	ok = boxes_ok(&any_large_leaf, ID(50), false) && all_gone(kept);
	clear_all();
	return ok;
}

static NOINLINE void put_pointers(const struct tri_any_type *type)
{
	unsigned int i;

	for (i = 0; i < PLACES; i++) {
		struct witness *w = witness_new(ID(100 + i));

		kept[i] = hide(w);
		tri_any_store(place(i), tri_any_new(type, &w));
	}
}

/* A pointer in the value word, also where the type word calls it a number. */
static bool test_pointers(const struct tri_any_type *type)
{
	bool ok = true;
	unsigned int i;

	put_pointers(type);
	collect_times(3);
	for (i = 0; i < PLACES; i++)
		ok &= hidden_ok(kept[i], ID(100 + i));
	clear_all();
	collect_times(3);
	return ok && all_gone(kept);
}

/* A type that the program has made in the heap is kept by the values that have it. */
static NOINLINE void put_new_type(void)
{
	struct tri_any_type *type = tri_new(struct tri_any_type);
	unsigned int i;
	long n = 5;

	*type = any_long;
	for (i = 0; i < PLACES; i++) {
		kept[i] = hide(type);
		tri_any_store(place(i), tri_any_new(type, &n));
	}
}

static bool test_new_type(void)
{
	bool ok;

	put_new_type();
	collect_times(3);
	ok = is_object(kept[0]) && typed->any.type->size == sizeof(long) &&
	     typed->any.type == global.type;
	clear_all();
	collect_times(3);
	return ok && all_gone(kept);
}

/* A size that is no multiple of 8, with a pointer. */
static NOINLINE void put_odd(void)
{
	struct odd in = { witness_new(ID(200)), "twelve bytes" };

	tri_any_store(&typed->any, tri_any_new(&any_odd, &in));
}

static bool test_odd(void)
{
	struct odd out;

	put_odd();
	collect_times(3);
	return tri_any_get(typed->any, &any_odd, &out) && witness_ok(out.w, ID(200)) &&
	       !strcmp(out.tail, "twelve bytes");
}

static bool test_misfit(void)
{
	struct odd in = { NULL, "" };

	errno = 0;
	return !tri_any_new(&any_misfit, &in).type && errno == EINVAL;
}

/* ------------------------------------------------------------------------------------------ */
/* Torn pairs                                                                                 */
/* ------------------------------------------------------------------------------------------ */

/*
 * One thread stores numbers, pointers and boxes to one place, others load pairs from it, which may
 * be torn, and keep them in places of their own.  Whatever the type word says, an address in a
 * value word is that of an object that is still there.
 */
#define READERS 2
#define NUMBER (-0x1234567l)		/* no address */

static struct event over;
static struct variable *shared;

struct reader {
	struct variable *mine;
	unsigned long torn, lost, loads;
};

static bool value_ok(void *value)
{
	struct large *l = value;

	if (!value || value == (void *)NUMBER)
		return true;
	return witness_ok(value, ID(300)) ||
	       (tri_base(l) == l && l->x == 1 && l->y == 2 && witness_ok(l->w, ID(300)));
}

static bool is_torn(struct tri_any any)
{
	return any.value && any.type && (any.type == &any_long) != (any.value == (void *)NUMBER);
}

static void *read_pairs(void *arg)
{
	struct reader *r = arg;

	while (!event_is_set(&over)) {
		struct tri_any any = tri_any_load(&shared->any);

		r->torn += is_torn(any);
		tri_any_store(&r->mine->any, any);
		r->lost += !value_ok(any.value);
		r->loads++;
	}
	return NULL;
}

static void *write_pairs(void *unused)
{
	long number = NUMBER;

	while (!event_is_set(&over)) {
		struct witness *w = witness_new(ID(300));
		struct large l = { 1, w, 2 };

		tri_any_store(&shared->any, tri_any_new(&any_large_typed, &l));
		tri_any_store(&shared->any, tri_any_new(&any_long, &number));
		tri_any_store(&shared->any, tri_any_new(&any_witness, &w));
		tri_any_store(&shared->any, tri_any_new(&any_long, &number));
	}
	return unused;
}

static bool test_torn(void)
{
	static struct reader reader[READERS];
	pthread_t thread[READERS], writer;
	unsigned long lost = 0, torn = 0, loads = 0;
	unsigned int i;

	tri_store(&shared, tri_new_typed(variable_type));
	for (i = 0; i < READERS; i++)
		tri_store(&reader[i].mine, tri_new_typed(variable_type));
	writer = start_thread(write_pairs, NULL);
	for (i = 0; i < READERS; i++)
		thread[i] = start_thread(read_pairs, &reader[i]);
	for (i = 0; i < 60; i++) {
		unsigned int j;

		collect();
		for (j = 0; j < READERS; j++)
			lost += !value_ok(tri_any_load(&reader[j].mine->any).value);
	}
	event_set(&over);
	must(pthread_join(writer, NULL), "pthread_join");
	for (i = 0; i < READERS; i++) {
		must(pthread_join(thread[i], NULL), "pthread_join");
		lost += reader[i].lost;
		torn += reader[i].torn;
		loads += reader[i].loads;
	}
	ksft_print_msg("%lu loads, %lu of them torn, %lu values lost\n", loads, torn, lost);
	return !lost;
}

int main(void)
{
	setenv("TRICOLOR_DEBUG", "clobberfree", 0);
	ksft_print_header();
	ksft_set_plan(9);
	make_variables();
	ksft_test_result(test_boxed(&any_large, ID(1)), "boxes, scanned as a whole\n");
	ksft_test_result(test_boxed(&any_large_typed, ID(10)), "boxes with a pointer map\n");
	ksft_test_result(test_leaf(), "boxes without pointers\n");
	ksft_test_result(test_pointers(&any_witness), "pointers in the value word\n");
	ksft_test_result(test_pointers(&any_long), "pointers beside the type of a number\n");
	ksft_test_result(test_new_type(), "types in the heap\n");
	ksft_test_result(test_odd(), "a size that is no multiple of 8\n");
	ksft_test_result(test_misfit(), "a pointer map of another size is refused\n");
	ksft_test_result(test_torn(), "torn pairs keep what they point to\n");
	ksft_finished();
}
