/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attributes.h - what a symbol is to the linker, and what a branch is to the compiler */
#ifndef TRI_ATTRIBUTES_H
#define TRI_ATTRIBUTES_H

#define TRI_HIDDEN __attribute__((visibility("hidden")))
#define TRI_EXPORT __attribute__((visibility("default")))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
