// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * registers.c - what the registers of an interrupted function hold beside plain pointers
 *
 * registers.h says which words these are, and why.  Async-signal-safe.
 */
#include "../../core/heap/layout.h"
#include "registers.h"
#include "scan.h"
#include "../base/state.h"

struct scan {
	struct tri_thread *to;
	bool all;
};

static void visit(void *arg, const uint64_t *words)
{
	const struct scan *s = arg;

	tri_scan_frame(s->to, (uintptr_t)words, (uintptr_t)(words + TRI_CANDIDATES), s->all);
}

/*
 * Scan the sums and the words below that registers.h describes, of the general registers in @uc.
 * The registers themselves are scanned with the signal frame.
 */
void tri_scan_registers(struct tri_thread *to, const ucontext_t *uc, bool all)
{
	struct scan s = { to, all };

	tri_register_candidates(uc->uc_mcontext.gregs, tri_g.view.heap_va,
				tri_read(&tri_g.view.ctl->top_pages) << TRI_PAGE_SHIFT, visit, &s);
}
