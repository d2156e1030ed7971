/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * backing.h - what an arena lives in: a memfd, or an arena of /dev/tricolor
 */
#ifndef TRICOLOR_BACKING_H
#define TRICOLOR_BACKING_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the heap file. */
struct backing_range {
	uint64_t offset, bytes;
};

/**
 * Whether @fd is something that an arena may live in, of @bytes (out).
 * Returns 0, or an errno and in @why what is wrong with it, a string constant.
 */
int backing_check(int fd, bool *is_device, uint64_t *bytes, const char **why);

/**
 * From now on a bus error says who touches a hole of a mapping, and the hole stays one.
 * Returns a descriptor to be closed with the mapping; -1: it needs none, or it can't be had here.
 */
int backing_guard_holes(bool is_device, void *base, uint64_t bytes);

/** Memory that @fd holds, in bytes; @otherwise if that can't be told. */
uint64_t backing_resident_bytes(int fd, uint64_t otherwise);

/** Make holes of @n ranges.  Returns 0, or an errno if any of them could not be. */
int backing_release(int fd, bool is_device, const struct backing_range *ranges, unsigned int n);

#endif
