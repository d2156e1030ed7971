/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * config.h - what an administrator chooses: tricolord.conf(5)
 *
 * Defaults, then the file, then its drop-ins in the order of their names, then the command line.
 * Keys, values and their checks are the same everywhere.
 */
#ifndef TRICOLOR_CONFIG_H
#define TRICOLOR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/system/size.h"
#include "log.h"

/* As installed: see sysconfdir in the Makefile. */
#ifndef CONFIG_FILE
#define CONFIG_FILE "/etc/tricolor/tricolord.conf"
#endif

#define CONFIG_GC_PERCENT_MAX TRI_GC_PERCENT_MAX

/* Default that the library has as well. */
#define CONFIG_GC_PERCENT 100

enum config_key {
	CONFIG_SOCKET,
	CONFIG_WORKERS,
	CONFIG_DEFAULT_GC_PERCENT,
	CONFIG_DEFAULT_MEMORY_LIMIT,
	CONFIG_TOTAL_LIMIT,
	CONFIG_LIMIT_POLICY,
	CONFIG_LOG_LEVEL,
	CONFIG_MARKER,
	CONFIG_ON_KILL,
	CONFIG_KEYS,
};

struct config {
	char socket[108];
	int workers;			/* most threads that mark; 0: the CPUs allowed */
	int32_t gc_percent;		/* of clients that have not chosen; -1: off */
	int64_t memory_limit_bytes;	/* of clients that have not chosen; TRI_LIMIT_* */
	int64_t total_limit_bytes; /* of all clients together; TRI_LIMIT_AUTO: their cgroup's */
	uint32_t limit_policy;		/* enum tri_limit_policy; of clients that have not chosen */
	enum log_level log_level;
	bool marker_own;		/* a heap is marked by a process that its client starts */
	char on_kill[256];		/* folder for what heaps of killed clients held; "": none */

	/* Where each came from, such as "/etc/tricolor/tricolord.conf:12"; "" for a default. */
	char origin[CONFIG_KEYS][192];
};

void config_defaults(struct config *c);

/**
 * Set a key, by its name in files.  @origin: "FILE:LINE", or "command line".  False: the log has
 * origin and sentence.
 */
bool config_set(struct config *c, const char *key, const char *value, const char *origin);

/**
 * Read @file and what is in the folder of that name with ".d" at its end, if any.  With @optional
 * the file need not exist.  All of it is read: each error is a line in the log.  False: there were.
 */
bool config_read(struct config *c, const char *file, bool optional);

/** As a file would say it, with where it came from in comments. */
void config_print(const struct config *c, FILE *out);

/** What differs and takes a restart goes to the log, and to @next from @now. */
void config_keep(const struct config *now, struct config *next);

/** What has changed goes to the log; returns how much. */
unsigned int config_compare(const struct config *now, const struct config *next);

/* ---- What is in force, for all threads ---- */

/** From here on @c is.  Main thread. */
void config_enforce(const struct config *c);

int32_t config_gc_percent(void);
int64_t config_memory_limit_bytes(void);
int64_t config_total_limit_bytes(void);
uint32_t config_limit_policy(void);
bool config_marker_own(void);

/** The folder of postmortem.c, or "". */
const char *config_on_kill(void);

/** This collector serves one client: set once, before there are threads. */
void config_set_private(bool elects_policy);
bool config_is_private(void);

/** Whether we share limits with other private collectors: see elect.c. */
bool config_elects(void);

#endif
