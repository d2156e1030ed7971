/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * held.h - that the calling thread holds a lock
 *
 * For functions whose caller must hold a lock.  It is checked in builds with SANITIZE or POINTS.
 * All other builds set NDEBUG, with which it is nothing, as assert() is.
 */
#ifndef TRI_HELD_H
#define TRI_HELD_H

#include <assert.h>
#include <pthread.h>
#include <unistd.h>

/* glibc records the owner in every kind of mutex that is used here. */
#define tri_assert_held(mutex) assert((mutex)->__data.__owner == gettid())

#endif
