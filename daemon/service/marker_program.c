// SPDX-License-Identifier: GPL-2.0-only
/* marker_program.c - the program that clients without one are lent: see marker_program.h */
#include "marker_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/process/log.h"

#ifndef MARKER_PATH
#define MARKER_PATH "/usr/local/libexec/tricolor/tricolor-marker"
#endif

static int program_fd = -1;
static char program_path[512];

static bool open_program(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return false;
	}
	program_fd = fd;
	snprintf(program_path, sizeof(program_path), "%s", path);
	return true;
}

void marker_program_find(void)
{
	char path[sizeof(program_path)];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *slash = NULL;

	if (n > 0) {
		path[n] = 0;
		slash = strrchr(path, '/');
	}
	if (slash) {
		strcpy(slash, "/../libexec/tricolor/tricolor-marker");
		if (open_program(path))
			return;
	}
	if (!open_program(MARKER_PATH))
		log_debug(
			"%s: %s; a client without a tricolord of its own has its heap marked here",
			MARKER_PATH, strerror(errno));
}

const char *marker_program_path(void)
{
	return program_fd < 0 ? NULL : program_path;
}

int marker_program_fd(void)
{
	return program_fd;
}
