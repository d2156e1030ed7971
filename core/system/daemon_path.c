// SPDX-License-Identifier: LGPL-2.1-or-later
/* daemon_path.c - see daemon_path.h */
#include "daemon_path.h"

#include <stdio.h>
#include <string.h>

#ifndef TRICOLORD_PATH
#define TRICOLORD_PATH "/usr/local/sbin/tricolord"
#endif

const char *tri_daemon_installed(void)
{
	return TRICOLORD_PATH;
}

const char *tri_daemon_beside(const char *file, char *path, size_t room)
{
	const char *slash = strrchr(file, '/');
	int n;

	if (!slash)
		return NULL;
	n = snprintf(path, room, "%.*s/../sbin/tricolord", (int)(slash - file), file);
	return n >= 0 && (size_t)n < room ? path : NULL;
}
