/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings.h - what the program and its environment have chosen
 *
 * The thread that starts the heap fills in tri_g.settings before there is another thread of the
 * heap's.  Nobody writes to it later, but for @chosen and @frees_at_once.
 */
#ifndef TRI_SETTINGS_H
#define TRI_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/heap/layout.h"
#include "attributes.h"
#include "tricolor.h"

/* What the program has chosen.  The collector's configuration may choose the rest. */
enum { TRI_CHOSEN_GC_PERCENT = 1, TRI_CHOSEN_MEMORY_LIMIT = 2, TRI_CHOSEN_LIMIT_POLICY = 4 };

struct tri_settings {
	uint64_t arena_bytes;
	int64_t memory_limit_bytes;
	uint32_t limit_policy;		/* enum tri_limit_policy */
	int32_t gc_percent;
	tri_au32 chosen;		/* TRI_CHOSEN_*: by the program or its environment; any
					 * thread */
	enum tri_backing backing;
	enum tri_fork fork;
	enum tri_finalizers finalizers;
	int signal;			/* 0: to be chosen */
	bool trace_gc, trace_pacer, trace_scav, trace_limit;
	bool prints;			/* a trace, checkmark or barriers is on: there are lines
					 * for standard error */
	bool checkmark, clobberfree, no_membarrier, no_rseq, no_control, no_vm_read;
	uint32_t gc_every;		/* allocations and stores from one step of a cycle to the
					 * next; 0: see steps.c */
	bool lent_marker;		/* a program is started whoever lends it */
	bool quiet;			/* nothing on standard error that was not asked for */
	bool barriers, barriers_abort, barriers_status;	/* checker.h */
	bool frees;			/* objects that are freed are checked: free.c */
	bool frees_at_once;		/* the next allocation may have what was just freed;
					 * specials.c clears it */
	uint64_t debug_memory_bytes;
	char debug_file[256];
	uint32_t max_wait_s;		/* of a thread, in a cycle, for the kernel's limit:
					 * throttle.c */
	char socket[108];
	char daemon[256];
};

/** Returns 0, or a negative errno with a sentence in tri_error(). */
int tri_settings_read(struct tri_settings *s, const struct tri_options *opts) TRI_HIDDEN;

#endif
