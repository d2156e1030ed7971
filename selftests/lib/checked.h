/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * checked.h - processes that run under TRICOLOR_DEBUG=barriers, and what the checker reports of
 * them
 *
 * A test of the checker starts itself again, with the name of what the new process is to do as its
 * argument.  The new process is checked; the first one reads the reports.  main() of both calls
 * checked_main() first.
 */
#ifndef TRICOLOR_SELFTESTS_CHECKED_H
#define TRICOLOR_SELFTESTS_CHECKED_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* The path of plugin_store.so. */
extern char checked_plugin[PATH_MAX];

/* The reports of a process, in numbers. */
struct checked {
	unsigned int stores;		/* reports of stores */
	unsigned int globals;		/* those of them that are to globals */
	unsigned long long sites;	/* as the last line of a process counts them */
	bool ended;			/* the process has written that line */
	bool refused;			/* the checker refused to check */
};

/**
 * Find plugin_store.so, which is in the folder of argv[0].  In a process that is checked, forbid
 * the system calls that its parent wants forbidden (see checked_run()).
 */
void checked_main(int argc, char **argv);

/** Load plugin_store.so once more; ends the process if that fails. */
void *checked_load_plugin(void);

/**
 * Run this program with argument @name.  @debug: its TRICOLOR_DEBUG; @memory: its
 * TRICOLOR_DEBUG_MEMORY, or NULL.  @path is set to the file that it reports in.  Returns its wait
 * status, which is exit status 17 if somebody traces it at its very end.
 *
 * With DENY_EVENTS in the environment perf_event_open() is forbidden to the new process, and with
 * DENY_TRACING ptrace(): they fail with EPERM, or with DENY_KILLS kill the process that calls them.
 */
int checked_run(const char *name, const char *debug, const char *memory, char path[static 64]);

/** The same without @memory.  @traced: DENY_EVENTS is set, so that the checker needs a tracer. */
int checked_run_traced(const char *name, const char *debug, bool traced, char path[static 64]);

/**
 * Read the reports in the file @path, print those of stores, and remove the file.  @see is called
 * with each line and with @arg, unless it is NULL.
 */
struct checked checked_read(const char *path, void (*see)(const char *line, void *arg), void *arg);

/**
 * The value of @key in a line, from @from on: a number, or what stands between quotation marks.
 * NULL: there is no such key.  The text is valid until the next call.
 */
const char *report_field(const char *from, const char *key);

/** The same as a number; 0: there is no such key. */
uint64_t report_number(const char *from, const char *key);

/** Whether the value of @key is @want. */
bool report_is(const char *from, const char *key, const char *want);

#endif
