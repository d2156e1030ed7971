/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * saturate.h - sums and differences that stop at the ends of their range instead of wrapping around
 */
#ifndef TRI_CORE_SATURATE_H
#define TRI_CORE_SATURATE_H

#include <stdint.h>

/** At most UINT64_MAX. */
static inline uint64_t add_sat(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/** At least 0. */
static inline uint64_t sub_sat(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

#endif
