// SPDX-License-Identifier: LGPL-2.1-or-later
/* sending.c - signals to threads, and waking the agent.  Async-signal-safe. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../agent/agent.h"
#include "../threads/region.h"
#include "signals.h"
#include "state.h"
#include "../threads/thread.h"

static int queue(pid_t tid, int sig, void *value)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_code = SI_QUEUE;
	info.si_pid = tri_g.pid;
	info.si_value.sival_ptr = value;
	if (!syscall(SYS_rt_tgsigqueueinfo, tri_g.pid, tid, sig, &info))
		return 0;
	/* A sandbox that the program has entered: see unresponsive.c. */
	if (errno == EPERM || errno == ENOSYS)
		tri_write(&tri_g.signals_refused, 1);
	return -errno;
}

/** To a thread that is not attached.  The handler finds @value in siginfo_t. */
int tri_signal_send_with(pid_t tid, void *value)
{
	return queue(tid, tri_signal_number(0), value);
}

static int send_one(struct tri_thread *t, int which)
{
	uint32_t sending = TRI_SENDING;
	int err;

	tri_write(&t->signal_sent[which], TRI_SENDING);
	atomic_thread_fence(memory_order_seq_cst);
	/* In a region it is answered for; and there it may be about to call exec(): see exec.c. */
	if (tri_blocked(tri_read(&t->blocked)) != TRI_RUNNING) {
		atomic_compare_exchange_strong(&t->signal_sent[which], &sending, 0);
		return 0;
	}
	err = queue(t->tid, tri_signal_number(which), &tri_g);
	atomic_compare_exchange_strong(&t->signal_sent[which], &sending, err ? 0 : TRI_SENT);
	return err;
}

/** Interrupt a thread.  @again: it did not answer the last signal, which it may have blocked. */
int tri_signal_send(struct tri_thread *t, bool again)
{
	int err = send_one(t, 0);

	if (err == -EAGAIN || (!err && again))
		err = send_one(t, 1);
	return err;
}

/**
 * Have the handler answer what is asked of the calling thread, which is outside: unlike
 * tri_answer(), it can't be interrupted by a handler of the program's that does not come back.
 */
void tri_signal_self(struct tri_thread *t)
{
	int err = errno;

	tri_signal_send(t, false);
	errno = err;
}

/** Interrupt the agent's ppoll(). */
void tri_signal_wake(pid_t agent)
{
	int err = queue(agent, tri_signal_number(0), &tri_g);

	if (err == -EAGAIN)
		err = queue(agent, tri_signal_number(1), &tri_g);
	/*
	 * A sandbox that the program has entered forbids it.  The agent sleeps without a timer, and
	 * is the one who finds out what can't be done any more, and says so.
	 */
	if (err == -EPERM || err == -ENOSYS)
		syscall(SYS_tgkill, tri_g.pid, agent, tri_signal_number(0));
}

/*
 * Any thread, inside or outside, and signal handlers.  Whoever set the first bit has sent a signal,
 * which stays pending until the agent waits.  Other bits may stay set for as long as there is no
 * collector; a look is not put off by them.
 */
void tri_agent_wake(uint32_t what)
{
	uint32_t was = atomic_fetch_or(&tri_g.wake, what);

	if ((!was || what & ~was & TRI_WAKE_MEASURE) && tri_g.agent_tid)
		tri_signal_wake(tri_g.agent_tid);
}
