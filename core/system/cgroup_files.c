// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cgroup_files.c - a control group's files, open
 *
 * A descriptor of a group's file tells the same in every namespace, and follows what is written to
 * the file.  So a client opens the files of its groups, from its own up to the highest that it
 * sees, and sends them to its collector with HELLO.  A collector that finds a group by its path
 * opens the same files, and then there is no difference between the two.
 *
 * The files of v1 that are for alarms are not sent: a collector could not tell what they are
 * (daemon/clients/claim.c).
 *
 * Usage is what the kernel counts, less inactive file pages, which the kernel reclaims first.  So a
 * big file that is read once, or written, does not cause a collection.
 *
 * The files are opened anew for each collector, since an alarm belongs to an open file: an open
 * memory.pressure or memory.events has one alarm.
 */
#include "cgroup_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"

#define STAT_BYTES 8192

/* Each kind's file in v1 and v2, and how it is opened. */
static const struct {
	const char *name[3];
	int flags[3];
} files[TRI_FD_KINDS] = {
	[TRI_FD_LIMIT] = { { NULL, "memory.limit_in_bytes", "memory.max" }, { 0 } },
	[TRI_FD_HIGH] = { { NULL, NULL, "memory.high" }, { 0 } },
	[TRI_FD_USE] = { { NULL, "memory.usage_in_bytes", "memory.current" }, { 0 } },
	[TRI_FD_STAT] = { { NULL, "memory.stat", "memory.stat" }, { 0 } },
	[TRI_FD_EVENTS] = { { NULL, "memory.oom_control", "memory.events" }, { 0 } },
	[TRI_FD_PRESSURE] = { { NULL, "memory.pressure_level", "memory.pressure" },
			      { 0, O_RDONLY, O_RDWR } },
	[TRI_FD_EVENT_CONTROL] = { { NULL, "cgroup.event_control", NULL }, { 0, O_WRONLY, 0 } },
	[TRI_FD_CPU] = { { NULL, "cpu.cfs_quota_us", "cpu.max" }, { 0 } },
	[TRI_FD_CPU_PERIOD] = { { NULL, "cpu.cfs_period_us", NULL }, { 0 } },
};

static int open_kind(const char *dir, unsigned int version, unsigned int kind)
{
	return files[kind].name[version] ?
	       tri_cgroup_open(dir, files[kind].name[version], files[kind].flags[version]) : -1;
}

void tri_cgroup_files_init(struct tri_cgroup_files *f)
{
	size_t i;

	f->version = 0;
	for (i = 0; i < TRI_FD_KINDS; i++)
		f->fd[i] = -1;
}

bool tri_cgroup_files_open(struct tri_cgroup_files *f, const char *dir, unsigned int version)
{
	unsigned int kind;
	int err = 0;

	tri_cgroup_files_init(f);
	f->version = version;
	for (kind = TRI_FD_LIMIT; kind <= TRI_FD_EVENT_CONTROL; kind++) {
		errno = 0;
		f->fd[kind] = open_kind(dir, version, kind);
		if (f->fd[kind] < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
			err = errno;
	}
	errno = err;
	return f->fd[TRI_FD_LIMIT] >= 0;
}

void tri_cgroup_files_close(struct tri_cgroup_files *f)
{
	size_t i;

	for (i = 0; i < TRI_FD_KINDS; i++)
		if (f->fd[i] >= 0)
			close(f->fd[i]);
	tri_cgroup_files_init(f);
}

/* ------------------------------------------------------------------------------------------ */
/* What they say                                                                              */
/* ------------------------------------------------------------------------------------------ */

/* Read from the start of the file: the kernel makes the text anew for each such read. */
static bool read_kind(const struct tri_cgroup_files *f, unsigned int kind, char *text, size_t room)
{
	size_t n = 0;
	ssize_t got = 0;

	if (f->fd[kind] < 0)
		return false;
	while (n < room - 1 && (got = pread(f->fd[kind], text + n, room - 1 - n, (off_t)n)) > 0)
		n += (size_t)got;
	text[n] = 0;
	return got >= 0;
}

static uint64_t number(const struct tri_cgroup_files *f, unsigned int kind)
{
	char text[64];
	uint64_t value;

	return read_kind(f, kind, text, sizeof(text)) && tri_cgroup_parse_number(text, &value) ?
	       value : TRI_CGROUP_NONE;
}

static uint64_t stat_value(const struct tri_cgroup_files *f, const char *key)
{
	char text[STAT_BYTES];
	uint64_t value;

	return read_kind(f, TRI_FD_STAT, text, sizeof(text)) &&
			       tri_cgroup_parse_stat(text, key, &value) ?
		       value :
		       TRI_CGROUP_NONE;
}

uint64_t tri_cgroup_files_limit(const struct tri_cgroup_files *f)
{
	uint64_t max = number(f, TRI_FD_LIMIT), high = number(f, TRI_FD_HIGH);

	return high < max ? high : max;
}

uint64_t tri_cgroup_files_limit_above(const struct tri_cgroup_files *f)
{
	return f->version == 1 ? stat_value(f, "hierarchical_memory_limit") : TRI_CGROUP_NONE;
}

uint64_t tri_cgroup_files_charged(const struct tri_cgroup_files *f)
{
	return number(f, TRI_FD_USE);
}

uint64_t tri_cgroup_files_usage(const struct tri_cgroup_files *f)
{
	uint64_t used = tri_cgroup_files_charged(f), cache;

	if (used == TRI_CGROUP_NONE)
		return TRI_CGROUP_NONE;
	cache = stat_value(f, f->version == 2 ? "inactive_file" : "total_inactive_file");
	if (cache == TRI_CGROUP_NONE)
		return used;
	/* The two are read one after the other, so the cache may seem larger than all usage. */
	return cache < used ? used - cache : 0;
}

double tri_cgroup_files_cpus(const struct tri_cgroup_files *f)
{
	uint64_t quota, period;
	char text[64];

	/* Only v1 has the period in a file of its own. */
	if (f->fd[TRI_FD_CPU_PERIOD] < 0)
		return read_kind(f, TRI_FD_CPU, text, sizeof(text)) ? tri_cgroup_parse_cpus(text) :
								      0;
	quota = number(f, TRI_FD_CPU);
	period = number(f, TRI_FD_CPU_PERIOD);
	return quota != TRI_CGROUP_NONE && period != TRI_CGROUP_NONE && quota && period ?
	       (double)quota / (double)period : 0;
}

/* ------------------------------------------------------------------------------------------ */
/* A client's                                                                                 */
/* ------------------------------------------------------------------------------------------ */

struct sending {
	struct tri_hello *hello;
	int *fds;
	size_t n;
};

static void add_kind(struct sending *s, const char *dir, unsigned int version, unsigned int kind,
		     unsigned int level)
{
	int fd = s->n < TRI_HELLO_FDS ? open_kind(dir, version, kind) : -1;

	if (fd < 0)
		return;
	s->hello->fds[s->n] = (uint8_t)(kind + level * TRI_FD_LEVEL);
	s->fds[s->n++] = fd;
}

/* Open the files of kinds @first to @last of each level from @cg on. */
static void add_levels(struct sending *s, const struct tri_cgroup *cg, unsigned int first,
		       unsigned int last)
{
	char dir[PATH_MAX];
	unsigned int level = 0, kind;

	strcpy(dir, cg->dir);
	do {
		for (kind = first; kind <= last; kind++)
			add_kind(s, dir, cg->version, kind, level);
		if (!tri_cgroup_up(dir, cg->mount_len))
			return;
	} while (++level < TRI_FD_LEVELS &&
		 (first != TRI_FD_LIMIT || tri_cgroup_is_hierarchical(dir, cg->version)));
}

/* If @path is too long, its end is kept. */
static void put_path(char *to, size_t room, const char *path)
{
	size_t len = strlen(path), from = len < room ? 0 : len - (room - 1);

	memcpy(to, path + from, len - from + 1);
}

size_t tri_cgroup_files_hello(const char *root, struct tri_hello *hello, int *fds, size_t n)
{
	struct sending s = { .hello = hello, .fds = fds, .n = n };
	struct tri_cgroup cg;

	if (tri_cgroup_find(root, TRI_CGROUP_SELF, "memory", &cg)) {
		add_levels(&s, &cg, TRI_FD_LIMIT, cg.version == 2 ? TRI_FD_PRESSURE : TRI_FD_STAT);
		hello->cgroup_version = s.n > n ? cg.version : 0;
		if (s.n == n)
			snprintf(hello->why, sizeof(hello->why), "no memory controller at %.60s",
				 cg.dir);
	} else {
		hello->cgroup_version = 0;
		if (!cg.none)
			snprintf(hello->why, sizeof(hello->why), "%.*s",
				 (int)sizeof(hello->why) - 1, cg.why);
	}
	put_path(hello->cgroup, sizeof(hello->cgroup), cg.path);
	if (tri_cgroup_find(root, TRI_CGROUP_SELF, "cpu", &cg))
		add_levels(&s, &cg, TRI_FD_CPU, TRI_FD_CPU_PERIOD);
	return s.n;
}
