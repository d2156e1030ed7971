/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * groups.h - control groups of a test's own, v1 or v2
 *
 * A test makes them where it may; where it may not it skips with the reason in group_why().
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

/** Why the last thing that a test wanted of a group could not be had: a line without its end. */
const char *group_why(void);

/** What is not a file's fault: the test says why it does not go on. */
__attribute__((format(printf, 1, 2))) void group_set_why(const char *format, ...);

/** Write @text to file @name of the group's folder @dir. */
bool group_write(const char *dir, const char *name, const char *text);

/**
 * What file @name of folder @dir has, as much as there is room for; false: nothing.  @text ends in
 * any case.
 */
bool group_read(const char *dir, const char *name, char *text, size_t room);

/** A number in a file, or behind a word in it; 0 if there is none. */
uint64_t group_number(const struct test_group *g, const char *name, const char *word);

/** A group of @controller ("memory", "cpu"), named after this process. */
bool group_make(struct test_group *g, const char *controller, const char *name);

/** A group in @parent, which has no processes of its own, with a limit that can be set. */
bool group_make_in(struct test_group *g, const struct test_group *parent, const char *name);

/** v2 only: more slows processes down, and reclaims. */
bool group_high(const struct test_group *g, uint64_t bytes);

/** Its limit (memory.max), and what that is. */
bool group_limit(const struct test_group *g, uint64_t bytes);
uint64_t group_limit_bytes(const struct test_group *g);

/** CPU time for the group: @percent of one CPU. */
bool group_cpus(const struct test_group *g, unsigned int percent);

/** Move process @pid there. */
bool group_enter(const struct test_group *g, pid_t pid);

/**
 * What is charged to it now, the most that ever was, and how many of its processes the kernel
 * killed for memory.
 */
uint64_t group_usage(const struct test_group *g);
uint64_t group_peak(const struct test_group *g);
uint64_t group_kills(const struct test_group *g);

/** A file of process @pid's, or an empty text. */
const char *group_proc_text(pid_t pid, const char *name, char *text, size_t room);

/** Whether two processes are in the same group of @controller. */
bool group_is_same(pid_t a, pid_t b, const char *controller);

/** Its processes may take a moment to be gone. */
void group_remove(const struct test_group *g);

#endif
