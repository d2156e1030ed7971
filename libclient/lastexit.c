// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * lastexit.c - a process whose last thread ends must end, agent or not
 *
 * The C library calls exit(0) in the last thread of a process; the agent is one too many for that.  So the
 * last attached thread does it itself as it ends, when only the agent is left beside it: its
 * descriptors are the program's, and what stdio holds is written.  If others that never attached are
 * left, the agent looks from time to time, and ends the process when they are gone.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* Threads that ended before us may not be gone yet, and nothing tells when. */
#define LOOKS 100
#define LOOK_NS 1000000

/* Threads of this process, less a main thread that has ended, which still counts; 0: unknown. */
static int threads_alive(void)
{
	char line[512], *p;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC), i, ended;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	line[n] = 0;
	/* Field 3 follows the name in parentheses: Z for a main thread that has ended. */
	p = strrchr(line, ')');
	ended = p && p[1] && p[2] == 'Z';
	/* Field 20: number of threads. */
	for (i = 2; p && i < 20; i++)
		p = strchr(p + 1, ' ');
	return p ? atoi(p) - ended : 0;
}

/** End the process if only @ours threads are left in it, and what the library has started. */
void tri_exit_if_alone(int ours)
{
	if (threads_alive() == ours + tri_pressure_threads())
		exit(0);
}

/** The last attached thread is ending. */
void tri_last_thread_ends(void)
{
	struct timespec pause = { 0, LOOK_NS };
	int i;

	for (i = 0; i < LOOKS; i++) {
		tri_exit_if_alone(2);
		nanosleep(&pause, NULL);
	}
}
