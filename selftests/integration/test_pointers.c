// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pointers.c - which words keep an object
 *
 * Programs mark pointers in their low bits, point at a member and reach the object from there
 * (container_of()), one past the end, or before the beginning (arrays that are counted from 1).
 * Each form is tried in a global, in an object, and on the stack; tricolor.h says under 4. what
 * comes out.
 */
#include "lib/witness.h"

#define OBJECTS 64
#define SIZE ((ptrdiff_t)sizeof(struct witness))

enum place { GLOBAL, OBJECT, STACK, PLACES };

static const char *const names[] = { "in a global", "in an object", "on the stack" };

static const struct form {
	const char *name;
	ptrdiff_t distance;		/* from the object's start */
	bool kept[PLACES];
} forms[] = {
	{ "to the start", 0, { true, true, true } },
	{ "marked in bit 0", 1, { true, true, true } },
	{ "marked in bits 0 to 2", 7, { true, true, true } },
	{ "to a member", 40, { true, true, true } },
	{ "to the last byte", SIZE - 1, { true, true, true } },
	{ "one past the end", SIZE, { false, false, true } },
	/* A word on the stack may be anywhere else as well: that one is not asked. */
	{ "8 bytes before the start", -8, { false, false, true } },
	{ "marked in bit 62", 1l << 62, { false, false, true } },
};

static void *globals[OBJECTS];
static void **in_object;
static uintptr_t hidden[OBJECTS];

/* Objects whose neighbours are garbage.  The words go to @words. */
static NOINLINE void fill(void **words, ptrdiff_t distance, bool on_stack)
{
	int i;

	for (i = 0; i < OBJECTS; i++) {
		struct witness *w;
		void *word;

		witness_new(1000);
		w = witness_new((uint64_t)i);
		witness_new(1000);
		hidden[i] = hide(w);
		word = (void *)((uintptr_t)w + (uintptr_t)distance);
		if (on_stack)
			words[i] = word;
		else
			(tri_store)(&words[i], word);
	}
}

static NOINLINE int alive(void)
{
	int i, n = 0;

	for (i = 0; i < OBJECTS; i++)
		n += is_object(hidden[i]) && hidden_ok(hidden[i], (uint64_t)i);
	return n;
}

static NOINLINE int on_stack(ptrdiff_t distance)
{
	void *words[OBJECTS];
	int n;

	fill(words, distance, true);
	collect_times(2);
	n = alive();
	__asm__ volatile("" : : "r"(words) : "memory");
	return n;
}

static int survivors(const struct form *f, enum place place)
{
	void **words = place == GLOBAL ? globals : in_object;

	if (place == STACK)
		return on_stack(f->distance);
	fill(words, f->distance, false);
	collect_times(2);
	return alive();
}

int main(void)
{
	size_t i;
	int place, n;

	ksft_print_header();
	ksft_set_plan(sizeof(forms) / sizeof(forms[0]) * PLACES - 2);
	tri_store(&in_object, tri_alloc(sizeof(globals)));
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		for (place = 0; place < PLACES; place++) {
			const struct form *f = &forms[i];

			if (place == STACK && (f->distance < 0 || f->distance > SIZE))
				continue;
			n = survivors(f, (enum place)place);
			/* Of those that nothing keeps a stale word may keep a few. */
			ksft_test_result(f->kept[place] ? n == OBJECTS : n <= 4,
					 "%s, %s: %s (%d of %d)\n", f->name, names[place],
					 f->kept[place] ? "kept" : "not kept", n, OBJECTS);
		}
	}
	ksft_finished();
}
