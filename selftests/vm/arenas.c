// SPDX-License-Identifier: GPL-2.0-only
/*
 * arenas.c - the module between tests: a test has to leave it as it was found
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

#define MODULE_FILE "/lib/modules/tricolor.ko"

/* The last process of a test may just have ended: what it held is let go of in the background. */
#define PATIENCE_MS 10000
#define STEP_US 20000

static bool loaded;

static unsigned int count_arenas(char *name, size_t size)
{
	DIR *d = opendir("/sys/class/tricolor");
	struct dirent *e;
	unsigned int n = 0;

	while (d && (e = readdir(d))) {
		/* What else there is in the class is no arena. */
		if (strncmp(e->d_name, "arena", 5))
			continue;
		snprintf(name, size, "%.60s", e->d_name);
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

void arenas_check(void)
{
	uint64_t end = vm_now_ms() + PATIENCE_MS;
	char name[64] = "", users[32] = "";
	unsigned int n;

	if (!loaded)
		return;
	for (;;) {
		n = count_arenas(name, sizeof(name));
		vm_read_file("/sys/module/tricolor/refcnt", users, sizeof(users));
		/* A test may have taken the module out itself: then there is no such file. */
		if (!n && (!*users || !strcmp(users, "0")))
			break;
		if (vm_now_ms() > end) {
			vm_say("@problem it left %u arenas (%s) and %s users of the module\n", n,
			       *name ? name : "none", users);
			break;
		}
		usleep(STEP_US);
	}
	if (!*users)
		arenas_load();
}

bool arenas_load(void)
{
	int fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0)) {
		vm_say("@problem the module does not load: %s\n", strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	close(fd);
	loaded = true;
	return true;
}

void arenas_unload(void)
{
	if (!loaded)
		return;
	if (syscall(SYS_delete_module, "tricolor", O_NONBLOCK))
		vm_say("@problem the module can't be removed: %s\n", strerror(errno));
	loaded = false;
}
