// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * refusing.c - whether an allocation is refused because of the memory limit: the policy is
 * TRI_LIMIT_FAIL_FAST, and more lives than the limit allows
 */
#include "../base/attributes.h"
#include "pressure.h"
#include "../base/state.h"
#include "tricolor.h"

/* The policy.  What the program has chosen is in memory that a collector can't write to. */
static uint32_t limit_policy(void)
{
	if (tri_read(&tri_g.settings.chosen) & TRI_CHOSEN_LIMIT_POLICY)
		return tri_g.settings.limit_policy;
	return tri_read(&tri_g.view.ctl->limit_policy);
}

/** Whether an allocation that needs fresh pages fails because of the limit. */
bool tri_refusing(void)
{
	return unlikely(tri_read(&tri_g.view.ctl->refuse)) &&
	       limit_policy() == TRI_LIMIT_FAIL_FAST && tri_read(&tri_g.collector_pid);
}
