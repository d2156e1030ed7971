// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * check_exit.c - the end of a program whose stores are checked
 *
 * The program waits for a last pass.  With TRICOLOR_DEBUG=barriers=status it ends with status 1 if
 * a site was found.  With barriers=abort it ends as soon as a site is found.  A child of fork()
 * ends like any other program.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/system/futex.h"
#include "../agent/agent.h"
#include "checker.h"
#include "../base/lock.h"
#include "../base/signals.h"
#include "../base/state.h"

#define END_NS 10000000000ull		/* exit() waits no longer for a program's last pass */

tri_au32 tri_check_asked;		/* futex: 1 asked, 2 done */
static tri_au32 sites_found;
static int exit_status;
static bool has_begun, is_child;

/** Agent: prepare.  False: this is the child of a program that is checked. */
bool tri_check_exit_begin(void)
{
	has_begun |= !is_child;
	return !is_child;
}

static void note_status(int status, void *unused)
{
	(void)unused;
	exit_status = status;
}

/** Agent: the program's exit status is to say whether a site was found. */
void tri_check_exit_watch(void)
{
	on_exit(note_status, NULL);
}

/** A site was found. */
void tri_check_found(void)
{
	static const struct sigaction by_default = { .sa_handler = SIG_DFL };

	atomic_fetch_add(&sites_found, 1);
	if (!tri_g.settings.barriers_abort)
		return;
	/* The program's handler may allocate, which this thread must not do. */
	tri_real_sigaction(SIGABRT, &by_default, NULL);
	abort();
}

static void await_last_pass(void)
{
	uint64_t until = tri_now_ns() + END_NS;
	uint32_t word;

	tri_write(&tri_check_asked, 1);
	tri_agent_wake(TRI_WAKE_MEASURE);
	while ((word = tri_read_acquire(&tri_check_asked)) != 2 && tri_now_ns() < until)
		tri_futex_wait(&tri_check_asked, word, 100000000);
}

/* This runs after the program's atexit() handlers and the destructors of its libraries. */
__attribute__((destructor)) static void finish(void)
{
	if (!tri_is_ready() || !tri_g.settings.barriers || is_child)
		return;
	if (tri_read(&tri_g.checks))
		await_last_pass();
	if (tri_g.settings.barriers_status && tri_read(&sites_found) && !exit_status) {
		fflush(NULL);
		_exit(1);
	}
}

/** In the child of a fork(). */
void tri_check_exit_forked(void)
{
	is_child |= has_begun;
}
