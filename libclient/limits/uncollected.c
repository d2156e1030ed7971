// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uncollected.c - the bound of a heap that no collector serves
 *
 * A program does not depend on its collector, and goes on while there is none.  But a heap that
 * nobody collects must not grow until the machine's memory is used up and the kernel kills
 * somebody.  So there is a bound:
 *
 *	half of what the process may have: the least of the machine's memory, and memory.max and
 *	memory.high (memory.limit_in_bytes) of its control groups; or what lived when the last cycle
 *	ended and an eighth of that, if it is more
 *
 * Past it an allocation that needs fresh pages waits for a cycle, as it does when the arena is
 * full, until there has been no collector for ten seconds.  Then it fails with ENOMEM.  A
 * collector that is stopped or gets no CPU counts as none if a cycle is overdue and it has done
 * nothing for ten seconds.
 *
 * The agent reads the groups' limits each time that it looks for a collector.  Limits that it can't
 * see, without /proc or /sys, do not count.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "../../core/heap/layout.h"
#include "../../core/system/cgroup.h"
#include "../base/attributes.h"
#include "uncollected.h"
#include "../base/error.h"
#include "../start/init.h"
#include "../base/state.h"
#include "grant.h"

static tri_au64 allowed_pages = UINT64_MAX;	/* all memory that the process may have, in pages
						 * of the heap */
static tri_au64 seen_progress, seen_ns;

/* The least limit of this process's control groups, as far as they are seen. */
static uint64_t groups_allow(void)
{
	struct tri_cgroup cg;

	tri_cgroup_find("", TRI_CGROUP_SELF, "memory", &cg);
	return tri_cgroup_limit(&cg);
}

/** Find out how much memory the process may have.  Agent only. */
void tri_uncollected_update(void)
{
	struct sysinfo info;
	uint64_t bytes = groups_allow(), all;

	if (!sysinfo(&info)) {
		all = (uint64_t)info.totalram * info.mem_unit;
		bytes = all < bytes ? all : bytes;
	}
	if (bytes != UINT64_MAX)
		tri_write(&allowed_pages, bytes >> TRI_PAGE_SHIFT);
	tri_grant_measure();
}

static uint64_t bound_pages(void)
{
	uint64_t allowed = tri_read(&allowed_pages);
	uint64_t live = tri_read(&tri_g.view.ctl->live_bytes) >> TRI_PAGE_SHIFT;

	return live + allowed / 8 > allowed / 2 ? live + allowed / 8 : allowed / 2;
}

/* Whether a cycle is overdue, and the collector does nothing about it. */
static bool overdue(void)
{
	const struct tri_ctl *ctl = tri_g.view.ctl;
	uint64_t progress = tri_progress(), now = tri_now_ns();

	if (progress != tri_read(&seen_progress) || !tri_read(&seen_ns) ||
	    tri_read(&ctl->allocated_bytes) <= tri_read(&ctl->late_bytes)) {
		tri_write(&seen_progress, progress);
		tri_write(&seen_ns, now);
		return false;
	}
	return now - tri_read(&seen_ns) > TRI_WITHOUT_NS;
}

/** Whether the heap may not take @pages more now because nobody collects it. */
bool tri_uncollected_is_full(uint64_t pages)
{
	uint64_t used = (uint64_t)tri_read(&tri_g.view.ctl->used_pages) + pages;

	if (likely(used <= tri_read(&allowed_pages) / 2) || used <= bound_pages())
		return false;
	return !tri_read(&tri_g.collector_pid) || overdue();
}

/** Leave a sentence that says that an allocation has failed at this bound.  Returns -ENOMEM. */
int tri_uncollected_why(void)
{
	unsigned long long mib = (unsigned long long)bound_pages() >> (20 - TRI_PAGE_SHIFT);
	const char *reason = tri_complaint(TRI_COMPLAINT_NO_COLLECTOR);
	char state[128];

	if (tri_read(&tri_g.collector_pid)) {
		tri_collector_state(state, sizeof(state));
		return tri_fail(ENOMEM,
				"tricolor: a heap that is not collected ends at %llu MiB here: %s",
				mib, state);
	}
	return tri_fail(ENOMEM, "tricolor: without a collector a heap ends at %llu MiB here%s%s",
			mib, *reason ? ": " : "", reason);
}
