// SPDX-License-Identifier: LGPL-2.1-or-later
/* progress.c - how the library sees whether its collector works */
#include <stdio.h>
#include <string.h>

#include "../../core/system/cgroup.h"
#include "uncollected.h"
#include "../checker/checker.h"
#include "../base/state.h"

tri_au32 tri_check_progress;		/* changes while the checker's pass goes on; agent */

/**
 * A number that changes when a collector does something for this heap, or the agent does something
 * for a collector.  While an idle collector lives, the number does not change.
 */
uint64_t tri_progress(void)
{
	const struct tri_ctl *ctl = tri_g.view.ctl;

	return (uint64_t)tri_read(&ctl->work_seq) + tri_read(&ctl->cycles) +
	       tri_read(&ctl->gc_done) + tri_read(&ctl->free_done) +
	       tri_read(&ctl->released_bytes) + tri_read(&tri_g.reconnects) +
	       tri_read(&tri_check_progress);
}

/** Describe in words which collector there is, and whether it works. */
void tri_collector_state(char *text, size_t room)
{
	unsigned int pid = tri_read(&tri_g.collector_pid);
	char process[32], stat[512], *p;

	snprintf(process, sizeof(process), "/proc/%u", pid);
	/* The state follows the name, which is in parentheses. */
	p = tri_cgroup_read(process, "stat", stat, sizeof(stat)) ? strrchr(stat, ')') : NULL;
	if (p && (p[2] == 'T' || p[2] == 't'))
		snprintf(text, room,
			 "collector %u is stopped (state %c); continue it: kill -CONT %u", pid,
			 p[2], pid);
	else
		snprintf(text, room,
			 "collector %u does nothing (state %c); is its control group frozen?", pid,
			 p && p[2] ? p[2] : '?');
}
