/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blocking.h - BLOCKING(), by which a function that stands in front of one of the C library calls
 * that one in a blocking region
 */
#ifndef TRI_BLOCKING_H
#define TRI_BLOCKING_H

#include <errno.h>

#include "tricolor.h"

/* Ends the region, also when the call is left by a cancellation or by an exception. */
static inline void leave_region(int *unused)
{
	int err = errno;

	(void)unused;
	tri_blocking_exit();
	errno = err;
}

#define BLOCKING(call)							\
	do {								\
		__attribute__((cleanup(leave_region))) int region_ = 0;	\
									\
		(void)region_;						\
		tri_blocking_enter();					\
		return call;						\
	} while (0)

#endif
