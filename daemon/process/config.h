/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * config.h - what an administrator chooses: tricolord.conf(5)
 *
 * Settings come from four places, of which each wins over those before it: the defaults, the file,
 * the file's drop-ins in the order of their names, and the command line.  Keys, values and checks
 * are the same in all of them.
 */
#ifndef TRICOLOR_CONFIG_H
#define TRICOLOR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/system/size.h"
#include "log.h"

/* The Makefile defines it by sysconfdir, where it is installed. */
#ifndef CONFIG_FILE
#define CONFIG_FILE "/etc/tricolor/tricolord.conf"
#endif

#define CONFIG_GC_PERCENT_MAX TRI_GC_PERCENT_MAX

/* The library has the same default. */
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
	int workers;			/* most threads that mark; 0: as many as CPUs allowed */
	int32_t gc_percent;		/* of clients that have not chosen; -1: off */
	int64_t memory_limit_bytes;	/* of clients that have not chosen; TRI_LIMIT_* */
	/* of all clients of a cgroup together; TRI_LIMIT_AUTO: what the cgroup allows */
	int64_t total_limit_bytes;
	uint32_t limit_policy;		/* enum tri_limit_policy; of clients that have not chosen */
	enum log_level log_level;
	bool marker_own;		/* a heap is marked by a process that its client starts */
	char on_kill[256];		/* folder of post-mortems; "": none are written */

	/* Where each setting came from, such as "/etc/tricolor/tricolord.conf:12"; "": default. */
	char origin[CONFIG_KEYS][192];
};

void config_defaults(struct config *c);

/**
 * Set a key, by its name in files.  @origin: "FILE:LINE", or "command line".  False: the value was
 * refused, and the log says where and why.
 */
bool config_set(struct config *c, const char *key, const char *value, const char *origin);

/**
 * Read @file, and then the files *.conf in the folder of that name with ".d" at its end, if there
 * is one.  With @optional the file need not exist.  Reading goes on after an error, so that each
 * error becomes a line in the log.  False: there were errors.
 */
bool config_read(struct config *c, const char *file, bool optional);

/** Print all settings as a file would have them, and in comments where each came from. */
void config_print(const struct config *c, FILE *out);

/** Keep the value of @now where one of @next would take a restart, and say so in the log. */
void config_keep(const struct config *now, struct config *next);

/** Log what has changed.  Returns how many settings that were. */
unsigned int config_compare(const struct config *now, const struct config *next);

/* ---- What is in force, for all threads ---- */

/** Put @c in force.  The main thread. */
void config_enforce(const struct config *c);

int32_t config_gc_percent(void);
int64_t config_memory_limit_bytes(void);
int64_t config_total_limit_bytes(void);
uint32_t config_limit_policy(void);
bool config_marker_own(void);

/** The folder of post-mortems, or "". */
const char *config_on_kill(void);

/** Say that this collector serves one client, once, before there are threads. */
void config_set_private(bool elects_policy);
bool config_is_private(void);

/** Whether we share limits with other private collectors: see elect.c. */
bool config_elects(void);

#endif
