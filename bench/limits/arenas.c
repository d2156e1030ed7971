// SPDX-License-Identifier: GPL-2.0-only
/*
 * arenas.c - fifty arenas whose parts of one budget move all the time: what a tick costs
 *
 * Each client works in bursts of a random length, so that at every tick other arenas need memory.
 * The watcher's thread is found by its name.  Its CPU time and its ticks come from the scheduler:
 * from schedstat in /proc, and from the number of times that it went to sleep.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/groups.h"
#include "limits.h"

#define ARENAS 50
#define LIMIT_MIB 1024

struct reading {
	double cpu_s;
	uint64_t sleeps;
};

static bool read_thread(pid_t pid, const char *tid, const char *name, char *text, size_t room)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "/proc/%d/task/%.16s", pid, tid);
	return group_read(dir, name, text, room);
}

static bool read_watcher(pid_t pid, struct reading *r)
{
	char dir[64], text[4096], *at;
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/task", pid);
	d = opendir(dir);
	while (d && !found && (e = readdir(d))) {
		if (e->d_name[0] == '.' ||
		    !read_thread(pid, e->d_name, "comm", text, sizeof(text)) ||
		    strcmp(text, "tricolord-watch\n"))
			continue;
		found = read_thread(pid, e->d_name, "schedstat", text, sizeof(text));
		r->cpu_s = strtod(text, NULL) / 1e9;
		found &= read_thread(pid, e->d_name, "status", text, sizeof(text));
		at = strstr(text, "\nvoluntary_ctxt_switches:");
		r->sleeps = at ? strtoull(at + 25, NULL, 10) : 0;
	}
	if (d)
		closedir(d);
	return found;
}

int arenas(const char *build, double seconds)
{
	struct client *c = mmap(NULL, ARENAS * sizeof(*c), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct reading before = { 0 }, after = { 0 };
	unsigned int i, failed = 0;
	uint64_t moves = 0, looks = 0, limit[ARENAS] = { 0 }, end;
	char socket[64];
	struct test_group g;
	pid_t daemon;

	if (!group_make(&g, "memory", "arenas") || !group_limit(&g, LIMIT_MIB * MIB)) {
		fprintf(stderr, "limits: %s\n", group_why());
		return 4;
	}
	snprintf(socket, sizeof(socket), "/tmp/tricolor-bench-%d", getpid());
	daemon = collector_start(build, socket);
	setenv("TRICOLOR_SOCKET", socket, 1);
	setenv("TRICOLOR_GC_PERCENT", "off", 1);
	unsetenv("TRICOLOR_MEMORY_LIMIT");
	for (i = 0; i < ARENAS; i++) {
		c[i] = (struct client){ .kind = BURSTY,
					.from_bytes = 2 * MIB,
					.live_bytes = (4 + i % 8) * MIB,
					.pace = 10e3 + 2e3 * (i % 13) };
		client_start(&c[i], &g);
	}
	for (i = 0; i < ARENAS; i++)
		failed += !client_wait_ready(&c[i]);
	for (i = 0; i < ARENAS; i++) {
		c[i].go = true;
		usleep(60000);		/* so that the clients do not work in step */
	}
	read_watcher(daemon, &before);
	for (end = now_ns() + (uint64_t)(seconds * SECOND); now_ns() < end; looks++) {
		usleep(100000);
		for (i = 0; i < ARENAS; i++) {
			moves += limit[i] != c[i].limit_now;
			limit[i] = c[i].limit_now;
		}
	}
	read_watcher(daemon, &after);
	for (i = 0; i < ARENAS; i++)
		c[i].stop = true;
	for (i = 0; i < ARENAS; i++) {
		client_wait(&c[i]);
		failed += c[i].status != 0 || c[i].errors;
	}
	printf("%d arenas in a group of %d MiB, %g s: %llu wake-ups of the watcher, %.1f us CPU each, "
	       "%.2f %% of a CPU; %.1f parts moved in 100 ms; %u clients failed, %llu killed, peak %llu MiB\n",
	       ARENAS, LIMIT_MIB, seconds, (unsigned long long)(after.sleeps - before.sleeps),
	       1e6 * (after.cpu_s - before.cpu_s) / (double)(after.sleeps - before.sleeps),
	       100 * (after.cpu_s - before.cpu_s) / seconds, (double)moves / (double)looks, failed,
	       (unsigned long long)group_kills(&g), (unsigned long long)(group_peak(&g) >> 20));
	collector_end(daemon, socket);
	group_remove(&g);
	return failed != 0;
}
