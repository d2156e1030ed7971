/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * groups.h - control groups of a test's own, v1 or v2
 *
 * A test makes groups if it may.  If it may not, it skips, with the reason in group_why().
 */
#ifndef TRICOLOR_SELFTESTS_GROUPS_H
#define TRICOLOR_SELFTESTS_GROUPS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct test_group {
	unsigned int version;
	char dir[256];
};

/** Why the last call for a group failed: a line without its newline. */
const char *group_why(void);

/** Set group_why() to a reason that no file has given: the test says why it does not go on. */
__attribute__((format(printf, 1, 2))) void group_set_why(const char *format, ...);

/** Write @text to file @name of the group's folder @dir. */
bool group_write(const char *dir, const char *name, const char *text);

/**
 * Read file @name of folder @dir, as far as there is room; false: nothing could be read.  @text is
 * terminated in any case.
 */
bool group_read(const char *dir, const char *name, char *text, size_t room);

/** The number in a file, or the one behind a word in it; 0 if there is none. */
uint64_t group_number(const struct test_group *g, const char *name, const char *word);

/** Make a group of @controller ("memory", "cpu"), named after this process. */
bool group_make(struct test_group *g, const char *controller, const char *name);

/**
 * Make a group in @parent, of which the limit can be set.  @parent must have no processes of its
 * own.
 */
bool group_make_in(struct test_group *g, const struct test_group *parent, const char *name);

/**
 * Set memory.high, in v2 only: processes that use more are slowed down, and memory is reclaimed.
 */
bool group_high(const struct test_group *g, uint64_t bytes);

/** Set the limit (memory.max), and read it. */
bool group_limit(const struct test_group *g, uint64_t bytes);
uint64_t group_limit_bytes(const struct test_group *g);

/** Limit the group's CPU time to @percent of one CPU. */
bool group_cpus(const struct test_group *g, unsigned int percent);

/** Move process @pid there. */
bool group_enter(const struct test_group *g, pid_t pid);

/**
 * The memory that is charged to the group now, the most that was ever charged, and how many of its
 * processes the kernel killed for memory.
 */
uint64_t group_usage(const struct test_group *g);
uint64_t group_peak(const struct test_group *g);
uint64_t group_kills(const struct test_group *g);

/** A file of process @pid in /proc, or an empty text. */
const char *group_proc_text(pid_t pid, const char *name, char *text, size_t room);

/** Whether two processes are in the same group of @controller. */
bool group_is_same(pid_t a, pid_t b, const char *controller);

/** Remove the group.  Waits for its processes, which may take a moment to end. */
void group_remove(const struct test_group *g);

#endif
