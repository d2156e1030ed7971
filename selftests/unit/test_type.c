/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_type.c - what the public header computes at compile time: pointer maps and size classes
 *
 * Maps are compared with bits set one by one from offsetof() and sizeof(), and the small ones with
 * literals besides.
 */
#include <stdio.h>
#include <string.h>

#include "kselftest.h"
#include "tricolor.h"

#define MAP_WORDS	8	/* 4 KiB of 8-byte words, 64 a map word */

/* ------------------------------------------------------------------------------------------ */
/* Shapes                                                                                     */
/* ------------------------------------------------------------------------------------------ */

struct one {
	void *only;
};

struct node {
	struct node *left;
	long key;
	struct node *right;
	const char *name;
	double weight;
};

/* Pointers in the first word and in the last of the largest type. */
struct ends {
	void *first;
	char middle[4096 - 16];
	void *last;
};

struct full {
	void *all[512];
};

/* Words 60 to 67: over the first boundary of the map. */
struct crossing {
	long before[60];
	void *slots[8];
	long after[3];
};

/* Words 63 to 192: the last bit of one map word, two whole ones, the first bit of the fourth. */
struct spanning {
	long before[63];
	void *slots[130];
	long after;
};

/* Words 64 to 127: exactly the second map word. */
struct exact {
	long before[64];
	void *slots[64];
	long after[64];
};

/* The bits on both sides of every boundary, and no others. */
struct edges {
	long a[63];
	void *w63, *w64;
	long b[62];
	void *w127, *w128;
	long c[62];
	void *w191, *w192;
	long d[62];
	void *w255, *w256;
	long e[62];
	void *w319, *w320;
	long f[62];
	void *w383, *w384;
	long g[62];
	void *w447, *w448;
	long h[63];
};

struct sixteen {
	void *p0, *p1, *p2, *p3;
	long x[32];
	void *p4, *p5, *p6, *p7;
	long y[100];
	void *p8, *p9, *p10, *p11;
	long z[200];
	void *p12, *p13, *p14, *p15;
};

struct pair {
	void *key, *value;
};

struct link {
	struct link *next, *previous;
	long count;
};

/* Members of members, elements of arrays, structs of pointers, unions, small members between. */
struct nested {
	char tag;
	struct link in;
	struct pair pairs[3];
	void *grid[2][3];
	int small;
	union {
		void *pointer;
		long number;
	} either;
	void *rarely[10];
	short flags;
	int (*call)(void);
};

/* The last word alone. */
struct at_the_end {
	long before[511];
	void *last;
};

TRI_TYPE(one_type, struct one, only);
TRI_TYPE(node_type, struct node, left, right, name);
TRI_TYPE(node_reversed_type, struct node, name, right, left);
TRI_TYPE(node_twice_type, struct node, left, left, right, right, left, name);
TRI_TYPE(ends_type, struct ends, first, last);
TRI_TYPE(full_type, struct full, all);
TRI_TYPE(crossing_type, struct crossing, slots);
TRI_TYPE(spanning_type, struct spanning, slots);
TRI_TYPE(exact_type, struct exact, slots);
TRI_TYPE(edges_type, struct edges, w63, w64, w127, w128, w191, w192, w255, w256, w319, w320, w383,
	 w384, w447, w448);
TRI_TYPE(sixteen_type, struct sixteen, p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13,
	 p14, p15);
TRI_TYPE(nested_type, struct nested, in.next, in.previous, pairs, grid, either.pointer, rarely[3],
	 rarely[9], call);
TRI_TYPE(at_the_end_type, struct at_the_end, last);

/* ------------------------------------------------------------------------------------------ */
/* Maps                                                                                       */
/* ------------------------------------------------------------------------------------------ */

struct field {
	size_t offset;
	size_t bytes;
};

#define FIELD(T, f)	{ offsetof(T, f), sizeof(((T *)0)->f) }

static void expect_map(const struct tri_type *type, const char *variable, size_t size,
		       const char *name, const struct field *fields, size_t count)
{
	uint64_t wanted[MAP_WORDS] = { 0 };
	size_t bits = 0;
	int ok;

	for (size_t i = 0; i < count; i++)
		for (size_t at = fields[i].offset; at < fields[i].offset + fields[i].bytes; at += 8)
			wanted[at / 512] |= 1ull << (at / 8 % 64);
	for (int w = 0; w < MAP_WORDS; w++) {
		bits += (size_t)__builtin_popcountll(wanted[w]);
		if (type->ptrmap[w] != wanted[w])
			ksft_print_msg("%s: word %d of the map is %016llx, not %016llx\n",
				       variable, w, (unsigned long long)type->ptrmap[w],
				       (unsigned long long)wanted[w]);
	}
	ok = !memcmp(wanted, type->ptrmap, sizeof(wanted)) && type->size == size &&
	     !strcmp(type->name, name);
	ksft_test_result(ok, "%s: %zu pointers in %zu bytes\n", variable, bits, size);
}

#define EXPECT_MAP(type, T, ...)					\
	do {								\
		static const struct field fields_[] = { __VA_ARGS__ };	\
									\
		expect_map(&(type), #type, sizeof(T), #T, fields_,	\
			   sizeof(fields_) / sizeof(fields_[0]));	\
	} while (0)

static void test_maps(void)
{
	EXPECT_MAP(one_type, struct one, FIELD(struct one, only));
	EXPECT_MAP(node_type, struct node, FIELD(struct node, left), FIELD(struct node, right),
		   FIELD(struct node, name));
	EXPECT_MAP(node_reversed_type, struct node, FIELD(struct node, left),
		   FIELD(struct node, right), FIELD(struct node, name));
	EXPECT_MAP(node_twice_type, struct node, FIELD(struct node, left),
		   FIELD(struct node, right), FIELD(struct node, name));
	EXPECT_MAP(ends_type, struct ends, FIELD(struct ends, first), FIELD(struct ends, last));
	EXPECT_MAP(full_type, struct full, FIELD(struct full, all));
	EXPECT_MAP(crossing_type, struct crossing, FIELD(struct crossing, slots));
	EXPECT_MAP(spanning_type, struct spanning, FIELD(struct spanning, slots));
	EXPECT_MAP(exact_type, struct exact, FIELD(struct exact, slots));
	EXPECT_MAP(edges_type, struct edges, FIELD(struct edges, w63), FIELD(struct edges, w64),
		   FIELD(struct edges, w127), FIELD(struct edges, w128), FIELD(struct edges, w191),
		   FIELD(struct edges, w192), FIELD(struct edges, w255), FIELD(struct edges, w256),
		   FIELD(struct edges, w319), FIELD(struct edges, w320), FIELD(struct edges, w383),
		   FIELD(struct edges, w384), FIELD(struct edges, w447), FIELD(struct edges, w448));
	EXPECT_MAP(sixteen_type, struct sixteen, { offsetof(struct sixteen, p0), 4 * 8 },
		   { offsetof(struct sixteen, p4), 4 * 8 }, { offsetof(struct sixteen, p8), 4 * 8 },
		   { offsetof(struct sixteen, p12), 4 * 8 });
	EXPECT_MAP(nested_type, struct nested, FIELD(struct nested, in.next),
		   FIELD(struct nested, in.previous), FIELD(struct nested, pairs),
		   FIELD(struct nested, grid), FIELD(struct nested, either.pointer),
		   FIELD(struct nested, rarely[3]), FIELD(struct nested, rarely[9]),
		   FIELD(struct nested, call));
	EXPECT_MAP(at_the_end_type, struct at_the_end, FIELD(struct at_the_end, last));
}

static int map_is(const struct tri_type *type, const uint64_t wanted[MAP_WORDS])
{
	return !memcmp(type->ptrmap, wanted, MAP_WORDS * sizeof(wanted[0]));
}

/* By eye, so that the comparison above can't agree with the macros in an error. */
static void test_literal_maps(void)
{
	static const uint64_t all = ~0ull, top = 1ull << 63;
	const uint64_t node[MAP_WORDS] = { 0xd };		/* words 0, 2 and 3 */
	const uint64_t ends[MAP_WORDS] = { 1, 0, 0, 0, 0, 0, 0, top };
	const uint64_t full[MAP_WORDS] = { all, all, all, all, all, all, all, all };
	const uint64_t crossing[MAP_WORDS] = { 0xfull << 60, 0xf };
	const uint64_t spanning[MAP_WORDS] = { top, all, all, 1 };
	const uint64_t exact[MAP_WORDS] = { 0, all };
	const uint64_t edges[MAP_WORDS] = { top, top | 1, top | 1, top | 1, top | 1, top | 1,
					    top | 1, 1 };

	ksft_test_result(map_is(&node_type, node) && map_is(&ends_type, ends) &&
			 map_is(&full_type, full) && map_is(&crossing_type, crossing) &&
			 map_is(&spanning_type, spanning) && map_is(&exact_type, exact) &&
			 map_is(&edges_type, edges), "maps by eye\n");
}

/* A type can be described where it is used, too. */
static void test_local_type(void)
{
	struct local {
		long number;
		void *pointer;
	};

	TRI_TYPE(local_type, struct local, pointer);
	ksft_test_result(local_type.size == 16 && local_type.ptrmap[0] == 2, "a local type\n");
}

/* ------------------------------------------------------------------------------------------ */
/* Size classes                                                                               */
/* ------------------------------------------------------------------------------------------ */

#if TRI__INLINE
/* Requests of up to 128 B are rounded up to 16; above, they lose an eighth at most. */
static void test_waste(void)
{
	unsigned int bad = 0;

	for (uint32_t size = 1; size <= TRI_SMALL_MAX; size++) {
		uint32_t bytes = tri__class_bytes(tri__class(size));
		int ok = bytes >= size;

		if (size <= 128)
			ok = ok && bytes == (size + 15) / 16 * 16;
		else
			ok = ok && (bytes - size) * 8 <= size && (bytes - size) * 8 <= bytes;
		if (!ok && bad++ < 5)
			ksft_print_msg("%u bytes get %u\n", size, bytes);
	}
	ksft_test_result(!bad, "waste of every size from 1 to %u\n", TRI_SMALL_MAX);
}

/* A larger request never gets a smaller class, no class is left out, and each is needed. */
static void test_classes(void)
{
	unsigned int classes = 0, bad = 0;
	uint32_t last_bytes = 0;

	for (uint32_t size = 1; size <= TRI_SMALL_MAX; size++) {
		unsigned int c = tri__class(size);

		bad += c != classes && c != classes + 1;
		classes = c;
	}
	ksft_test_result(!bad && tri__class(1) == 1 && classes == 72,
			 "72 classes, in order and without gaps\n");

	bad = 0;
	for (unsigned int c = 1; c <= 72; c++) {
		uint32_t bytes = tri__class_bytes(c);

		/* The largest request that a class serves is its size, the next gets the next. */
		bad += bytes <= last_bytes || bytes % 16 || tri__class(bytes) != c;
		bad += tri__class(last_bytes + 1) != c;
		bad += c < 72 && tri__class(bytes + 1) != c + 1;
		last_bytes = bytes;
	}
	ksft_test_result(!bad && last_bytes == TRI_SMALL_MAX, "every class serves its own size\n");
	ksft_test_result(tri__class(0) == 1, "0 bytes get the smallest class\n");
	ksft_test_result(1 + (72 - 1) * 3 + TRI__TYPED < TRI__CACHES &&
			 1 + (72 - 1) * 3 + TRI__TYPED + 2 == TRI__CACHES,
			 "a cache entry for every class and kind\n");
}

/*
 * The inline allocation path is only as short as it is because class, entry and size are constants.
 * What has no constant for a value does not link.
 */
#ifdef __OPTIMIZE__
void does_not_fold(void) __attribute__((error("a size class is computed at run time")));

#define MUST_FOLD(size)							\
	do {								\
		unsigned int class_ = tri__class(size);			\
		uint32_t bytes_ = tri__class_bytes(class_);		\
									\
		if (!__builtin_constant_p(class_) || !__builtin_constant_p(bytes_)) \
			does_not_fold();				\
	} while (0)

static void test_folding(void)
{
	MUST_FOLD(0);
	MUST_FOLD(1);
	MUST_FOLD(sizeof(struct node));
	MUST_FOLD(128);
	MUST_FOLD(129);
	MUST_FOLD(512);
	MUST_FOLD(513);
	MUST_FOLD(TRI_SMALL_MAX);
	ksft_test_result_pass("classes of constant sizes are constants\n");
}
#else
static void test_folding(void)
{
	ksft_test_result_skip("constants fold when optimizing only\n");
}
#endif
#else	/* TRI__INLINE */
static void test_waste(void)
{
	ksft_test_result_skip("no inline allocation here\n");
}

static void test_classes(void)
{
	for (int i = 0; i < 4; i++)
		ksft_test_result_skip("no inline allocation here\n");
}

static void test_folding(void)
{
	ksft_test_result_skip("no inline allocation here\n");
}
#endif	/* TRI__INLINE */

int main(void)
{
	ksft_print_header();
	ksft_set_plan(21);
	test_maps();
	test_literal_maps();
	test_local_type();
	test_waste();
	test_classes();
	test_folding();
	ksft_finished();
}
