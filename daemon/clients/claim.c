// SPDX-License-Identifier: GPL-2.0-only
/*
 * claim.c - what a client says of itself, and the files of its control groups that it has sent
 *
 * Collector and client may be in different containers, where neither paths nor PIDs mean the same
 * to both.  An open file means the same to both: a client sends the files of its control groups
 * with HELLO, and we read them.
 *
 * None of that is believed.  Each descriptor
 *
 *  1. is a regular file of a cgroup file system, in which nobody can make us wait, and which nobody
 *     can make longer, as they could a file of the client's own;
 *  2. is open for what we do with it.  The kernel has checked the client's rights when it was
 *     opened, so by reading we learn no more than the client knows;
 *  3. is read before it is written or polled, if it is meant for that: a file of pressure begins
 *     with "some avg10=", and memory.events with "low".  What we write into one is a trigger, which
 *     other files refuse, and other files would make poll() return at once, again and again.
 *
 * So no file is taken that reading cannot identify.  Version 1's cgroup.event_control can only be
 * written, and so can memory.force_empty, which makes the kernel work for a long time whatever is
 * written.
 *
 * None of this proves that the group is the client's own.  levels.c decides which clients may count
 * together.
 */
#include "claim.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/system/cgroup.h"

static bool is_cgroup_file(int fd, unsigned int *version)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || fstatfs(fd, &fs))
		return false;
	*version = fs.f_type == CGROUP_SUPER_MAGIC ? 1 : fs.f_type == CGROUP2_SUPER_MAGIC ? 2 : 0;
	return *version != 0;
}

static bool begins_with(int fd, const char *text)
{
	char start[16];
	size_t len = strlen(text);

	return pread(fd, start, len, 0) == (ssize_t)len && !memcmp(start, text, len);
}

/* Whether @fd can be what it is said to be. */
static bool fits(int fd, unsigned int kind, unsigned int version)
{
	int flags = fcntl(fd, F_GETFL), access = flags & O_ACCMODE;

	if (flags < 0 || flags & O_PATH || access == O_WRONLY)
		return false;
	switch (kind) {
	case TRI_FD_PRESSURE:
		return version == 2 && access == O_RDWR && begins_with(fd, "some avg10=");
	case TRI_FD_EVENTS:
		return version == 2 && begins_with(fd, "low ");
	case TRI_FD_EVENT_CONTROL:
		return false;
	}
	return kind >= TRI_FD_LIMIT && kind < TRI_FD_KINDS;
}

static bool is_cpu(unsigned int kind)
{
	return kind == TRI_FD_CPU || kind == TRI_FD_CPU_PERIOD;
}

/* Take @fd if it can be @what.  True: the claim has it now. */
static bool take(struct claim *c, uint8_t what, int fd)
{
	unsigned int kind = what % TRI_FD_LEVEL, level = what / TRI_FD_LEVEL, version;
	struct tri_cgroup_files *f;

	if (level >= TRI_FD_LEVELS || !is_cgroup_file(fd, &version) || !fits(fd, kind, version))
		return false;
	f = &c->level[level];
	/* Memory and CPUs may be in hierarchies of different versions. */
	if (f->fd[kind] >= 0 || (!is_cpu(kind) && f->version && f->version != version))
		return false;
	if (!is_cpu(kind)) {
		f->version = version;
		c->levels = level >= c->levels ? level + 1 : c->levels;
	}
	f->fd[kind] = fd;
	return true;
}

/* Copy a text of a client, with an end and without control characters. */
static void take_text(char *to, const char *from, size_t room)
{
	size_t i;

	for (i = 0; i < room - 1 && from[i]; i++)
		to[i] = (unsigned char)from[i] < ' ' || from[i] == 127 ? '?' : from[i];
	to[i] = 0;
}

struct claim *claim_new(const struct tri_hello *hello, const int *fds, size_t n, int *arena)
{
	struct claim *c = calloc(1, sizeof(*c));
	size_t i;

	*arena = -1;
	for (i = 0; c && i < TRI_FD_LEVELS; i++)
		tri_cgroup_files_init(&c->level[i]);
	for (i = 0; i < n; i++) {
		uint8_t what = i < TRI_HELLO_FDS ? hello->fds[i] : TRI_FD_NONE;

		if (what == TRI_FD_ARENA && *arena < 0)
			*arena = fds[i];
		else if (!c || !take(c, what, fds[i]))
			close(fds[i]);
	}
	if (!c)
		return NULL;
	c->pid = hello->pid;
	take_text(c->comm, hello->comm, sizeof(c->comm));
	take_text(c->host, hello->host, sizeof(c->host));
	take_text(c->cgroup, hello->cgroup, sizeof(c->cgroup));
	c->sends = c->levels || (hello->pid && !hello->why[0]);
	if (!c->levels)
		take_text(c->why, hello->why, sizeof(c->why));
	return c;
}

void claim_free(struct claim *c)
{
	size_t i;

	for (i = 0; c && i < TRI_FD_LEVELS; i++)
		tri_cgroup_files_close(&c->level[i]);
	free(c);
}

bool claim_has_memory(const struct claim *c)
{
	return c && c->levels;
}

double claim_cpus(const struct claim *c)
{
	double least = 0, cpus;
	size_t i;

	for (i = 0; c && i < TRI_FD_LEVELS; i++) {
		cpus = tri_cgroup_files_cpus(&c->level[i]);
		if (cpus > 0 && (least == 0 || cpus < least))
			least = cpus;
	}
	return least;
}
