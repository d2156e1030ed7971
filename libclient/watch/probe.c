// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * probe.c - whether a sandbox kills who makes a system call; for what is only good to have
 *
 * Some filters of system calls answer with SIGSYS in place of an errno: systemd's do, unless they
 * are told otherwise.  So the call is made first by a process that may die of it, with arguments
 * for which it does nothing.  That has memory of its own: before Linux 5.16 all that share memory
 * end where one dumps core.
 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../base/bare.h"
#include "../checker/checker.h"

/** 0: @number may be called; else an errno, EPERM if that would kill.  Agent. */
int tri_probe(long number)
{
	/* None; where cores go to a program 0 does not count, and 1 is that. */
	const struct rlimit no_core = { 1, 1 };
	long pid = tri_bare5(SYS_clone, 0, 0, 0, 0, 0);
	int status = 0;

	if (!pid) {
		tri_bare(SYS_setrlimit, RLIMIT_CORE, (long)&no_core, 0, 0);
		tri_bare5(number, -1, 0, -1, -1, 0);
		tri_bare(SYS_exit_group, 0, 0, 0, 0);
	}
	if (pid < 0)
		return (int)-pid;
	while (waitpid((pid_t)pid, &status, __WCLONE) < 0)
		if (errno != EINTR)
			return errno;
	return WIFSIGNALED(status) ? EPERM : 0;
}
