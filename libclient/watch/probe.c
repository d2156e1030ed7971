// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * probe.c - whether a sandbox kills the process for a system call that the library can do without
 *
 * Some filters of system calls send SIGSYS instead of returning an errno.  systemd's filters do so
 * unless they are configured otherwise.  So a child process, which may die of it, makes the call
 * first, with arguments for which the call does nothing.  The child has its own memory: before
 * Linux 5.16, when one process dumps core, all processes that share its memory end.
 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../base/bare.h"
#include "../checker/checker.h"

/** Agent: returns 0 if system call @number may be made, or an errno.  EPERM: it would kill. */
int tri_probe(long number)
{
	/* No core dump.  Where a program receives dumps, a limit of 0 is ignored, and 1 is not. */
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
