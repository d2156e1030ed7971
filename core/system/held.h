/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * held.h - that the calling thread holds a lock
 *
 * For functions that are to be called with a lock.  Like assert(), it says so in words that are
 * checked in builds with SANITIZE or POINTS, and it is nothing with NDEBUG, which is set in all
 * others.
 */
#ifndef TRI_HELD_H
#define TRI_HELD_H

#include <assert.h>
#include <pthread.h>
#include <unistd.h>

/* glibc notes the owner in every kind of mutex that is used here. */
#define tri_assert_held(mutex) assert((mutex)->__data.__owner == gettid())

#endif
