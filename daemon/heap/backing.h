/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * backing.h - the file that an arena lives in: a memfd, or an arena of /dev/tricolor
 */
#ifndef TRICOLOR_BACKING_H
#define TRICOLOR_BACKING_H

#include <stdbool.h>
#include <stdint.h>

/* A range of the file. */
struct backing_range {
	uint64_t offset, bytes;
};

/**
 * Check that an arena may live in @fd, and find its size in @bytes.  Returns 0; or an errno, and in
 * @why what is wrong with it, a string constant.
 */
int backing_check(int fd, bool *is_device, uint64_t *bytes, const char **why);

/**
 * From now on a thread that touches a hole of the mapping gets a bus error, and does not fill the
 * hole.  Returns a descriptor to be closed with the mapping; -1: none is needed, or can be had
 * here.
 */
int backing_guard_holes(bool is_device, void *base, uint64_t bytes);

/** Memory that @fd takes, in bytes; @otherwise if that can't be told. */
uint64_t backing_resident_bytes(int fd, uint64_t otherwise);

/** Make holes of @n ranges.  Returns 0, or an errno if any of them could not be. */
int backing_release(int fd, bool is_device, const struct backing_range *ranges, unsigned int n);

#endif
