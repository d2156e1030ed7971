/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * loops.h - what generated loops see of the program around them
 *
 * Each loop is a function whose parameters are the only pointers to the objects that it works on.
 */
#ifndef TRICOLOR_SELFTESTS_LOOPS_H
#define TRICOLOR_SELFTESTS_LOOPS_H

#include <tricolor.h>

#define ELEMENTS 24		/* of each object */
#define BIAS 100003		/* the value of the parameter m */

struct one {
	long a, b, c, d, e, f;
};

struct two {
	int a;
	unsigned char b;
	short c;
	long d;
	double e;
};

struct three {
	long v[5];
	struct {
		int x, y;
	} in[3];
};

/* Strides of which no address has the factor. */
struct triple {
	int x, y, z;
};

struct five {
	long a, b, c;
	int d, e, f, g;
};

/* Elements behind a head, in the same object. */
struct long_vector {
	long length;
	long v[];
};

struct two_vector {
	long length;
	struct two v[];
};

struct five_vector {
	int length, limit;
	struct five v[];
};

struct table {
	long length;
	long v[ELEMENTS][6];
};

struct node {
	struct node *next;
	long v;
	int w[4];
};

enum kind {
	NONE, LONGS, INTS, SHORTS, BYTES, DOUBLES, ONES, TWOS, THREES, TRIPLES, FIVES, MATRIX,
	LONG_VECTOR, TWO_VECTOR, FIVE_VECTOR, TABLE,
	POINTERS,
	LIST,				/* the last */
};

/* k is any number, m is BIAS, and n is at most ELEMENTS. */
typedef unsigned long loop_fn(void *p0, void *p1, void *p2, long n, long k, long m);

struct loop {
	loop_fn *run;
	enum kind kinds[3];
};

extern const struct loop loops[];
extern const unsigned int nloops;

/* Leaves nothing in any register that a callee may change. */
unsigned long safepoint(unsigned long s);

#ifdef __clang__
#define OPAQUE __attribute__((noinline))
#else
#define OPAQUE __attribute__((noipa))
#endif

#define R(x) ((unsigned long)(long)(x))

#endif
