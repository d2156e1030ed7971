// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_any.c - any.h: what lies in the two words, and what compilers say to the header
 *
 * Values of up to 8 bytes need no heap, so none is made here.  Boxes are the subject of
 * integration/test_any.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest.h"
#define TRI_NO_INLINE
#include "tricolor/any.h"

/* There is no library here, and nothing that is tested may call it. */
void *tri__alloc_slow(size_t size, unsigned int kind)
{
	(void)size;
	(void)kind;
	abort();
}

void *tri_alloc_typed(const struct tri_type *type, size_t count)
{
	(void)type;
	(void)count;
	abort();
}

void *tri_alloc_aligned(size_t size, size_t align)
{
	(void)size;
	(void)align;
	abort();
}

void tri_move(void *dst, const void *src, size_t words)
{
	(void)dst;
	(void)src;
	(void)words;
	abort();
}

struct pair {
	int left, right;
};

struct rgb {
	unsigned char red, green, blue;
};

static TRI_ANY_TYPE_LEAF(any_char, char);
static TRI_ANY_TYPE_LEAF(any_short, short);
static TRI_ANY_TYPE_LEAF(any_int, int);
static TRI_ANY_TYPE_LEAF(any_unsigned, unsigned int);
static TRI_ANY_TYPE_LEAF(any_long, long);
static TRI_ANY_TYPE_LEAF(any_float, float);
static TRI_ANY_TYPE_LEAF(any_double, double);
static TRI_ANY_TYPE_LEAF(any_pair, struct pair);
static TRI_ANY_TYPE_LEAF(any_rgb, struct rgb);
static TRI_ANY_TYPE(any_string, const char *);

/* A value comes back as it was, and leaves no bytes in the rest of the word. */
#define EXPECT_INLINE(any_type, T, ...)					\
	do {								\
		T in_ = __VA_ARGS__;					\
		T out_;							\
		struct tri_any any_ = tri_any_new(&(any_type), &in_);	\
		unsigned char word_[8];					\
		int rest_ = 0;						\
									\
		memset(&out_, 0xa5, sizeof(out_));			\
		memcpy(word_, &any_.value, 8);				\
		for (size_t i_ = sizeof(T); i_ < 8; i_++)		\
			rest_ |= word_[i_];				\
		ksft_test_result(any_.type == &(any_type) && !rest_ &&	\
				 !memcmp(word_, &in_, sizeof(T)) &&	\
				 tri_any_get(any_, &(any_type), &out_) == 1 && \
				 !memcmp(&in_, &out_, sizeof(T)) &&	\
				 !tri_any_box(any_, &(any_type)),		\
				 "%s: %zu bytes in the word\n", #T, sizeof(T)); \
	} while (0)

static void test_inline(void)
{
	static const char text[] = "text";

	EXPECT_INLINE(any_char, char, 'x');
	EXPECT_INLINE(any_short, short, -2);
	EXPECT_INLINE(any_int, int, -70000);
	EXPECT_INLINE(any_long, long, -1);
	EXPECT_INLINE(any_float, float, -1.5f);
	EXPECT_INLINE(any_double, double, 0.1);
	EXPECT_INLINE(any_pair, struct pair, { 1, -2 });
	EXPECT_INLINE(any_rgb, struct rgb, { 1, 2, 255 });
	EXPECT_INLINE(any_string, const char *, text);
}

/* Another type of the same size is another type, and nothing is copied. */
static void test_types(void)
{
	int in = 5, out = 7;
	struct tri_any any = tri_any_new(&any_int, &in), empty = { 0 };

	ksft_test_result(tri_any_is(any, &any_int) && !tri_any_is(any, &any_unsigned) &&
			 !tri_any_get(any, &any_unsigned, &out) && out == 7 &&
			 !tri_any_get(empty, &any_int, &out) && out == 7 &&
			 !tri_any_is(empty, &any_int) && tri_any_is(empty, NULL),
			 "types are told apart\n");
	ksft_test_result(!strcmp(any.type->name, "int") && any.type->size == sizeof(int) &&
			 !strcmp(any_pair.name, "struct pair"),
			 "a type has its name and its size\n");
}

struct variable {
	struct variable *next;
	long line;
	struct tri_any any;
	double weight;
	struct tri_any more[2];
};

TRI_TYPE(variable_type, struct variable, next, any, more);

struct aligned {
	double values[8];
} __attribute__((aligned(64)));

/* Both words of each struct tri_any are in the map; the types of tri_new() fit without a cast. */
static void test_map(void)
{
	struct variable *(*by_map)(void) = NULL;
	struct aligned *(*by_size)(void) = NULL;

	ksft_test_result(variable_type.ptrmap[0] == 0x1ed, "both words are in a pointer map\n");
	ksft_test_result(__builtin_types_compatible_p(__typeof__(tri_new_typed(variable_type)),
						      __typeof__(by_map())) &&
			 __builtin_types_compatible_p(__typeof__(tri_new(struct aligned)),
						      __typeof__(by_size())),
			 "tri_new() and tri_new_typed() give pointers to their type\n");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(13);
	test_inline();
	test_types();
	test_map();
	ksft_finished();
}
