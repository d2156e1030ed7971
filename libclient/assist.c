// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * assist.c - allocating threads pay for marking
 *
 * While a cycle marks, each allocated byte owes assist_q16 / 65536 bytes of scanning.  The debt is paid
 * from the credit that the collector's workers earn; when there is none, the thread waits for it in
 * bounded steps.  A collector that is slow, stopped or dead costs a thread at most STEPS · STEP_NS
 * for each QUANTUM of debt, and then the debt is forgiven: the heap grows past its goal instead.
 */
#include "futex.h"
#include "internal.h"

#define QUANTUM_BYTES 65536
#define STEP_NS 50000
#define STEPS 2

static bool take_credit(struct tri_ctl *ctl, int64_t want)
{
	int64_t credit = tri_read(&ctl->credit_bytes);

	while (credit >= want)
		if (atomic_compare_exchange_weak(&ctl->credit_bytes, &credit, credit - want))
			return true;
	return false;
}

/* Called outside; the caller's new object is in this frame's registers or above. */
__attribute__((noinline))
void tri_assist(struct tri_thread *t)
{
	struct tri_ctl *ctl = tri_g.view.ctl;
	uintptr_t regs[6], sp = tri_save_registers(regs);
	uint64_t ratio = tri_read(&ctl->assist_q16), began;
	int64_t want;
	int step;

	if (t->debt_bytes < QUANTUM_BYTES)
		return;
	want = (int64_t)((unsigned __int128)t->debt_bytes * ratio >> 16);
	t->debt_bytes = 0;
	if (!want || take_credit(ctl, want) || t->blocking_depth)
		return;
	began = tri_now_ns();
	atomic_fetch_add(&ctl->waiting, 1);
	tri_thread_block(t, sp, sp);
	for (step = 0; step < STEPS && tri_read(&t->marking); step++) {
		uint32_t seq = tri_read_acquire(&ctl->work_seq);

		if (take_credit(ctl, want))
			break;
		tri_futex_wait(&ctl->work_seq, seq, STEP_NS);
	}
	tri_thread_unblock(t);
	atomic_fetch_sub(&ctl->waiting, 1);
	atomic_fetch_add_explicit(&tri_g.interruptions.assist_ns, tri_now_ns() - began,
				  memory_order_relaxed);
	tri_interrupted(began);
}
