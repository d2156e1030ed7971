/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bare.h - system calls for who runs on our memory and with another thread's pointer
 *
 * Its errno would be that of the thread whose pointer it has: so the result is the kernel's, a
 * negative number for an error.
 */
#ifndef TRI_BARE_H
#define TRI_BARE_H

static inline long tri_bare6(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static inline long tri_bare5(long number, long a, long b, long c, long d, long e)
{
	return tri_bare6(number, a, b, c, d, e, 0);
}

static inline long tri_bare(long number, long a, long b, long c, long d)
{
	return tri_bare5(number, a, b, c, d, 0);
}

#endif
