/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blocking.h - a function of the C library as a blocking region; written in a function that stands
 * in front of it
 */
#ifndef TRI_BLOCKING_H
#define TRI_BLOCKING_H

#include <errno.h>

#include "tricolor.h"

/* Ends the region, also of a thread that is cancelled in the call, or that an exception leaves. */
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
