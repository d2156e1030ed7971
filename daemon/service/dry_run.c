// SPDX-License-Identifier: GPL-2.0-only
/* dry_run.c - tricolord --dry-run: what tricolord would do, without doing it */
#include "dry_run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/heap/layout.h"
#include "daemon/process/cpus.h"
#include "marker_program.h"
#include "listen.h"
#include "daemon/process/log.h"
#include "postmortem_file.h"
#include "daemon/clients/users.h"

/* Map an arena of the default size, as for a client. */
#define ARENA_PAGES ((64ull << 30) >> TRI_PAGE_SHIFT)

static bool check_arena(void)
{
	struct tri_layout layout;
	void *p = MAP_FAILED;
	int fd = memfd_create("tricolord-dry-run", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool ok = false;

	if (fd < 0 || tri_layout_init(&layout, ARENA_PAGES) ||
	    ftruncate(fd, (off_t)layout.file_bytes)) {
		log_error("can't make a memfd: %s", strerror(errno));
		goto cleanup;
	}
	p = mmap(NULL, layout.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		 0);
	if (p == MAP_FAILED) {
		log_error("can't map an arena of 64 GiB: %s; clients would have to set "
			  "TRICOLOR_ARENA_SIZE, or a limit of address space has to go",
			  strerror(errno));
		goto cleanup;
	}
	munmap(p, layout.file_bytes);
	ok = true;
cleanup:
	if (fd >= 0)
		close(fd);
	return ok;
}

static void print_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	if (files.rlim_max == RLIM_INFINITY)
		printf("clients: as many as memory allows\n");
	else
		printf("clients: at most %llu at a time, by the limit of %llu open files\n",
		       (unsigned long long)(files.rlim_max - 16) / USERS_CLIENT_FILES,
		       (unsigned long long)files.rlim_max);
}

static bool check_on_kill(const struct config *c)
{
	char why[160];

	if (!c->on_kill[0] || !postmortem_check(c->on_kill, why))
		return true;
	log_error("on-kill = %s: %s", c->on_kill, why);
	return false;
}

int dry_run(const struct config *c)
{
	unsigned int cpus = cpus_allowed(), workers = c->workers ? (unsigned int)c->workers : cpus;
	bool ok;

	config_print(c, stdout);
	printf("\nwould listen on %s, as user %u\n", c->socket, geteuid());
	printf("would mark with up to %u threads; %u of %u CPUs are allowed\n", workers, cpus,
	       cpus_online());
	marker_program_find();
	if (!c->marker_own)
		printf("would mark all heaps itself\n");
	else if (marker_program_path())
		printf("would have clients start markers, and lend %s\n", marker_program_path());
	else
		printf("would have clients start markers; there is no tricolor-marker to lend\n");
	print_files();
	fflush(stdout);
	ok = listen_check(c->socket);
	if (!check_arena())
		ok = false;
	if (!check_on_kill(c))
		ok = false;
	puts(ok ? "nothing is missing" : "tricolord could not run like this: see above");
	return ok ? 0 : 1;
}
