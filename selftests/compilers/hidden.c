// SPDX-License-Identifier: GPL-2.0-only
/*
 * hidden.c - ordinary loops that gcc 12 hid an object in, with the collector itself
 *
 * In each the only pointer to the object is a parameter, and gcc's -fivopts left a register with p
 * - 8 MiB, with p + 40 + 48 n, or with p - 48, across the call of safepoint(), which collects.
 * With -DLATE the functions have options of their own, which must not bring the pass back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tricolor.h>

#ifdef LATE
#define LOOP __attribute__((noipa, optimize("O3"), optimize("unroll-loops")))
#else
#define LOOP __attribute__((noipa))
#endif

struct six {
	long a, b, c, d, e, f;
};

static long calls;

__attribute__((noipa)) static void safepoint(void)
{
	if (++calls % 8 == 6 && tri_gc())
		exit(2);
}

LOOP static long biased(long *p, long k, long n)
{
	long i, sum = 0;

	for (i = k; i < k + n; i++) {
		safepoint();
		sum += p[i - k];
	}
	return sum;
}

LOOP static long last_field(struct six *p, long n)
{
	long i, sum = 0;

	for (i = 0; i < n; i++) {
		safepoint();
		sum += p[i].f;
	}
	return sum;
}

LOOP static long backwards(struct six *p, long n)
{
	long i, sum = 0;

	for (i = n - 1; i >= 0; i--) {
		safepoint();
		sum += p[i].a;
	}
	return sum;
}

__attribute__((noipa)) static void *make(size_t bytes)
{
	long *p = tri_alloc_leaf(bytes);
	size_t i;

	for (i = 0; i < bytes / 8; i++)
		p[i] = 1;
	return p;
}

__attribute__((noipa)) static void scrub(void)
{
	volatile char below[16384];

	memset((void *)below, 0, sizeof(below));
}

int main(void)
{
	long sums[3];

	setenv("TRICOLOR_DEBUG", "clobberfree", 1);
	scrub();
	sums[0] = biased(make(1024), 1 << 20, 128);
	scrub();
	sums[1] = last_field(make(8 * sizeof(struct six)), 8);
	scrub();
	sums[2] = backwards(make(8 * sizeof(struct six)), 8);
	printf("%ld %ld %ld, %ld calls\n", sums[0], sums[1], sums[2], calls);
	return sums[0] != 128 || sums[1] != 8 || sums[2] != 8;
}
