// SPDX-License-Identifier: GPL-2.0-only
/*
 * known.c - functions in which gcc 12 hid an object, for step.c
 *
 * Each was lost before tricolor.h switched off the pass that is named with it.  All have an index
 * with a large constant, p[m - 100003], which is in range.  gcc puts the constant into the
 * displacement of the instruction: the register then has p + m * size, which is far outside the
 * object, and nothing else has a pointer to it.
 */
#include "loops.h"

typedef struct node *link;

/* -ftree-ter: one sum for two elements, found by -Os. */
static OPAQUE unsigned long copied_twice(struct five *p, void *unused1, void *unused2, long n,
					 long k, long m)
{
	struct five t = p[3];
	unsigned long s = 1;

	p[m - 99996] = t;
	s += safepoint(s);
	p[m - 99998] = t;
	return s;
}

/* -ftree-ter: found by -O3 -march=znver3 with AVX-512, and by -O3 -funroll-loops. */
static OPAQUE unsigned long copied_last(struct two *p0, link *p1, struct two *p2, long n, long k,
					long m)
{
	unsigned long s = 1;
	long i0 = -k;

	do {
		for (long i1 = 0; i1 + 2 <= n; i1 += 2) {
			s = R(p1[i1 + 1]->w[2]) > R(p0[i0 - (-k)].e) ? s + R(p0[i0 - (-k)].a) : s;
			if (R(p1[i1 + 1]->v) & 1)
				s += R(p1[i1 + 1]->v);
			else
				s -= R(p0[i0 - (-k)].a);
		}
	} while (++i0 < (-k) + n);
	p2[k - n + (n - k) + 5].c = s & 63;
	p2[m - 99996] = p2[k - n + (n - k) + 5];
	return s;
}

/* -ftree-ter: found by -O3 -march=skylake-avx512. */
static OPAQUE unsigned long copied_between(struct one *p0, struct two *p1, void *unused, long n,
					   long k, long m)
{
	unsigned long s = 1;

	for (int i = 1048576; i != 1048576 + n; i++) {
		s += safepoint(s);
		struct two *r = s & 1 ? &p1[i - 1048576] : &p1[i - 1048576];
		s += safepoint(s);
		s += memcmp(r, &p1[i - 1048576], sizeof(*r)) != 0;
	}
	for (int i = 0 + n - 1; i >= 0; i--) {
		s += R(p1[i].e);
		s += R(p1[i].a);
	}
	p1[k - n + (n - k) + 1] = p1[k - n + (n - k) + 4];
	s = s * 31 + R(p1[k - n + (n - k) + 4].e) * 3;
	s += R(p1[k - n + (n - k) + 2].d);
	p1[m - 100003] = p1[k - n + (n - k) + 1];
	s = R(p0[k - n + (n - k) + 3].e) > R(p0[m - 99997].c) ? s + R(p0[k - n + (n - k) + 3].c) :
								s;
	s += R(p0[m + k - k - 100003].c);
	p0[k - n + (n - k) + 3] = p0[m + k - k - 100003];
	return s;
}

/* -ftree-slsr: three fields by one sum, also over a call, from -O1 on. */
static OPAQUE unsigned long behind_head(struct two_vector *p, void *unused1, void *unused2, long n,
					long k, long m)
{
	unsigned long s = R(p->v[m - 99996].d);

	s += safepoint(s);
	s += R(p->v[m - 99996].a);
	s += R(p->v[m - 99995].d);
	return s;
}

/* -fpredictive-commoning: the stores after the last round, from -O2 on. */
static OPAQUE unsigned long carried(struct table *p, void *unused1, void *unused2, long n, long k,
				    long m)
{
	unsigned long s = 1;

	for (long i = m; i < m + 5; i++) {
		s += 3;
		p->v[i - 100003][3] = s;
		p->v[i - 100003 + 1][3] = s + 2;
		p->v[i - 100003 + 2][3] = s + 5;
	}
	return s;
}

const struct loop loops[] = {
	{ (loop_fn *)copied_twice, { FIVES, NONE, NONE } },
	{ (loop_fn *)copied_last, { TWOS, POINTERS, TWOS } },
	{ (loop_fn *)copied_between, { ONES, TWOS, NONE } },
	{ (loop_fn *)behind_head, { TWO_VECTOR, NONE, NONE } },
	{ (loop_fn *)carried, { TABLE, NONE, NONE } },
};
const unsigned int nloops = 5;
