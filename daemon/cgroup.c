// SPDX-License-Identifier: GPL-2.0-only
/*
 * cgroup.c - finding a process's control group, and reading it
 *
 *  1. /proc/PID/cgroup names the group in each hierarchy.  A hierarchy of v1 that has the
 *     controller has it alone, and v2 is then without it (hybrid systems have both).
 *  2. The name is relative to our cgroup namespace, and so is what mountinfo says is mounted where.
 *     In a container without a namespace of its own the mounted part is not the root: the group's
 *     folder is the mount point and the rest of the name behind the mounted part.
 *  3. What is not below any mount of ours (we are in another container than the process) may be
 *     below one of its own: /proc/PID/root leads there, if we may look.  What lies there is the
 *     process's to choose: pipes, links to our own files.  Only files of a cgroup are opened.
 *  4. Limits hold for all that is below.  Going up from the group to the mount point a limit that
 *     is no larger than one further down makes that one superfluous: more counts against it.  A
 *     larger one may have less room left all the same, because of what else is in there.
 *     Of what lies above the mount point v1 tells the least limit (hierarchical_memory_limit), v2
 *     nothing.
 *  5. In v1 a group's memory counts in its parent as well only if that has memory.use_hierarchy.
 *     Kernels from 5.11 on have no other way.
 *
 * Use is what the kernel counts, less inactive file pages: those go without pain.  A big file that
 * is read once, or written, is no reason to collect.
 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* v1 has a limit always; none is LONG_MAX rounded down to pages. */
#define V1_NO_LIMIT (1ull << 62)
#define STAT_BYTES 8192
#define MOUNTS_BYTES (256u << 10)

/* ------------------------------------------------------------------------------------------ */
/* Texts                                                                                      */
/* ------------------------------------------------------------------------------------------ */

bool cgroup_parse_number(const char *text, uint64_t *value)
{
	unsigned long long n;
	char *end;

	if (!strncmp(text, "max", 3) && (!text[3] || text[3] == '\n')) {
		*value = CGROUP_NONE;
		return true;
	}
	if (!strncmp(text, "-1", 2) && (!text[2] || text[2] == '\n')) {
		*value = CGROUP_NONE;
		return true;
	}
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || (*end && *end != '\n' && *end != ' '))
		return false;
	*value = n >= V1_NO_LIMIT ? CGROUP_NONE : n;
	return true;
}

bool cgroup_parse_stat(const char *text, const char *key, uint64_t *value)
{
	size_t len = strlen(key);

	while (*text) {
		if (!strncmp(text, key, len) && text[len] == ' ')
			return cgroup_parse_number(text + len + 1, value);
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return false;
}

/* Whether @word is one of the words between commas in the first @len characters of @list. */
static bool lists(const char *list, size_t len, const char *word)
{
	size_t want = strlen(word), at = 0;

	while (at < len) {
		size_t n = 0;

		while (at + n < len && list[at + n] != ',')
			n++;
		if (n == want && !strncmp(list + at, word, n))
			return true;
		at += n + 1;
	}
	return false;
}

unsigned int cgroup_parse_membership(const char *text, const char *controller, char *path,
				     size_t room)
{
	unsigned int version = 0;

	/* "4:memory:/group" in v1, "0::/group" in v2 */
	while (*text) {
		size_t len = strcspn(text, "\n");
		const char *names = memchr(text, ':', len), *group;
		bool v1, v2;

		group = names ? memchr(names + 1, ':', len - (size_t)(names + 1 - text)) : NULL;
		if (group) {
			size_t n = len - (size_t)(group + 1 - text);

			v1 = lists(names + 1, (size_t)(group - names - 1), controller);
			v2 = group == names + 1;
			if ((v1 || (v2 && !version)) && n < room && group[1] == '/') {
				memcpy(path, group + 1, n);
				path[n] = 0;
				version = v1 ? 1 : 2;
			}
			if (v1)
				return version;
		}
		text += len;
		text += *text == '\n';
	}
	return version;
}

/* A field of mountinfo, up to a space; \040 and the like are characters. */
static bool unescape(const char *field, size_t len, char *to, size_t room)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		char c = field[i];

		if (c == '\\' && i + 3 < len && field[i + 1] >= '0' && field[i + 1] <= '3') {
			c = (char)((field[i + 1] - '0') << 6 | (field[i + 2] & 7) << 3 |
				   (field[i + 3] & 7));
			i += 3;
		}
		if (n + 1 >= room || !c)
			return false;
		to[n++] = c;
	}
	to[n] = 0;
	return true;
}

/* The @n-th field (from 0) of a line, and its length; NULL: it has fewer. */
static const char *field(const char *line, size_t len, unsigned int n, size_t *field_len)
{
	const char *p = line, *end = line + len;

	for (; n; n--) {
		p = memchr(p, ' ', (size_t)(end - p));
		if (!p)
			return NULL;
		p++;
	}
	*field_len = 0;
	while (p + *field_len < end && p[*field_len] != ' ')
		++*field_len;
	return p;
}

bool cgroup_parse_mountinfo(const char *text, unsigned int version, const char *controller,
			    char *mounted, char *at)
{
	/* "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime … - cgroup cgroup rw,memory" */
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		size_t len = strcspn(text, "\n"), left, n;
		const char *rest = memmem(text, len, " - ", 3), *type, *options, *root, *point;

		if (!rest)
			continue;
		rest += 3;
		left = len - (size_t)(rest - text);
		type = field(rest, left, 0, &n);
		if (version == 2 ? n != 7 || strncmp(type, "cgroup2", 7) :
				   n != 6 || strncmp(type, "cgroup", 6))
			continue;
		options = field(rest, left, 2, &n);
		if (version == 1 && (!options || !lists(options, n, controller)))
			continue;
		root = field(text, len, 3, &n);
		if (!root || !unescape(root, n, mounted, PATH_MAX))
			continue;
		point = field(text, len, 4, &n);
		if (point && unescape(point, n, at, PATH_MAX) && *mounted == '/' && *at == '/')
			return true;
	}
	return false;
}

const char *cgroup_below(const char *path, const char *mounted)
{
	size_t len = strlen(mounted);

	/* "/.." is above our namespace. */
	if (strstr(path, "/../") || !strncmp(path, "/..", 4) || strstr(mounted, "/.."))
		return NULL;
	if (!strcmp(mounted, "/"))
		return !strcmp(path, "/") ? "" : path;
	if (strncmp(path, mounted, len) || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

/* ------------------------------------------------------------------------------------------ */
/* Files                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/* Below /proc/PID/root. */
static bool is_foreign(const char *dir)
{
	int len = 0;

	return sscanf(dir, "/proc/%*d/root%n", &len) == 0 && len && (!dir[len] || dir[len] == '/');
}

int cgroup_open(const char *dir, const char *name, int flags)
{
	char path[PATH_MAX + 64];
	struct statfs fs;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    (is_foreign(dir) && (fstatfs(fd, &fs) || (fs.f_type != CGROUP_SUPER_MAGIC &&
						      fs.f_type != CGROUP2_SUPER_MAGIC)))) {
		close(fd);
		errno = EMEDIUMTYPE;
		return -1;
	}
	return fd;
}

/* Closes @fd. */
static bool read_all(int fd, char *text, size_t room)
{
	size_t n = 0;
	ssize_t got = 0;

	if (fd < 0)
		return false;
	while (n < room - 1 && (got = read(fd, text + n, room - 1 - n)) > 0)
		n += (size_t)got;
	close(fd);
	text[n] = 0;
	return got >= 0;
}

static bool read_text(const char *path, char *text, size_t room)
{
	return read_all(open(path, O_RDONLY | O_CLOEXEC), text, room);
}

bool cgroup_read(const char *dir, const char *name, char *text, size_t room)
{
	return read_all(cgroup_open(dir, name, O_RDONLY), text, room);
}

static uint64_t read_number(const char *dir, const char *name)
{
	char text[64];
	uint64_t value;

	return cgroup_read(dir, name, text, sizeof(text)) && cgroup_parse_number(text, &value) ?
	       value : CGROUP_NONE;
}

/* Look for group @path below the mounts that @mountinfo lists, whose paths begin with @prefix. */
static bool look_in(const char *mountinfo, const char *prefix, const char *path,
		    const char *controller, struct cgroup *cg)
{
	char *text = malloc(MOUNTS_BYTES), mounted[PATH_MAX], at[PATH_MAX];
	const char *below = NULL;
	int n;

	if (!text)
		return false;
	if (!read_text(mountinfo, text, MOUNTS_BYTES))
		snprintf(cg->why, sizeof(cg->why), "%.100s can't be read: %s", mountinfo,
			 strerror(errno));
	else if (!cgroup_parse_mountinfo(text, cg->version, controller, mounted, at))
		snprintf(cg->why, sizeof(cg->why), "the v%u hierarchy with %s is not mounted here",
			 cg->version, controller);
	else if (!(below = cgroup_below(path, mounted)))
		snprintf(cg->why, sizeof(cg->why),
			 "its group %.50s is not in what is mounted at %.50s", path, at);
	free(text);
	if (!below)
		return false;
	n = snprintf(cg->dir, sizeof(cg->dir), "%s%s%s", prefix, at, below);
	if (n < 0 || (size_t)n >= sizeof(cg->dir)) {
		snprintf(cg->why, sizeof(cg->why), "the path of its group is too long");
		return false;
	}
	cg->mount_len = strlen(prefix) + strlen(at);
	if (access(cg->dir, R_OK | X_OK)) {
		snprintf(cg->why, sizeof(cg->why), "%.120s: %s", cg->dir, strerror(errno));
		return false;
	}
	return true;
}

bool cgroup_find(const char *root, pid_t pid, const char *controller, struct cgroup *cg)
{
	char file[PATH_MAX], prefix[PATH_MAX], path[PATH_MAX], text[STAT_BYTES];
	char why[sizeof(cg->why)];

	memset(cg, 0, sizeof(*cg));
	if (pid <= 0) {
		snprintf(cg->why, sizeof(cg->why), "its process is not in our pid namespace");
		return false;
	}
	snprintf(file, sizeof(file), "%s/proc/%d/cgroup", root, pid);
	if (!read_text(file, text, sizeof(text))) {
		snprintf(cg->why, sizeof(cg->why), "%.100s can't be read: %s", file,
			 strerror(errno));
		return false;
	}
	cg->version = cgroup_parse_membership(text, controller, path, sizeof(path));
	if (!cg->version) {
		snprintf(cg->why, sizeof(cg->why), "it is in no group of %s", controller);
		return false;
	}
	snprintf(file, sizeof(file), "%s/proc/self/mountinfo", root);
	if (look_in(file, root, path, controller, cg))
		return true;
	memcpy(why, cg->why, sizeof(why));
	snprintf(file, sizeof(file), "%s/proc/%d/mountinfo", root, pid);
	snprintf(prefix, sizeof(prefix), "%s/proc/%d/root", root, pid);
	if (look_in(file, prefix, path, controller, cg))
		return true;
	/* What we see ourselves is the better answer to "why not". */
	memcpy(cg->why, why, sizeof(why));
	cg->version = 0;
	cg->dir[0] = 0;
	return false;
}

bool cgroup_up(char *dir, size_t mount_len)
{
	char *slash = strrchr(dir, '/');

	if (!slash || strlen(dir) <= mount_len || (size_t)(slash - dir) < mount_len)
		return false;
	*slash = 0;
	return true;
}

static uint64_t limit_of(const char *dir, unsigned int version)
{
	uint64_t max, high;

	if (version == 1)
		return read_number(dir, "memory.limit_in_bytes");
	max = read_number(dir, "memory.max");
	high = read_number(dir, "memory.high");
	return high < max ? high : max;
}

/* One further up than all that there are. */
static size_t add_limit(struct cgroup_limit *limits, size_t n, size_t room, uint64_t bytes,
			const char *dir)
{
	if (bytes == CGROUP_NONE)
		return n;
	while (n && limits[n - 1].limit_bytes >= bytes)
		n--;
	/* It is the largest, and the last that would be missed. */
	if (n == room)
		return n;
	limits[n].limit_bytes = bytes;
	limits[n].hidden = false;
	strcpy(limits[n].dir, dir);
	return n + 1;
}

/* Whether what is below @dir counts in there. */
static bool is_hierarchical(const char *dir, unsigned int version)
{
	return version == 2 || read_number(dir, "memory.use_hierarchy") != 0;
}

size_t cgroup_limits(const struct cgroup *cg, struct cgroup_limit *limits, size_t room)
{
	char dir[PATH_MAX], text[STAT_BYTES];
	uint64_t above;
	size_t n;

	if (!cg->version)
		return 0;
	strcpy(dir, cg->dir);
	n = add_limit(limits, 0, room, limit_of(dir, cg->version), dir);
	while (cgroup_up(dir, cg->mount_len) && is_hierarchical(dir, cg->version))
		n = add_limit(limits, n, room, limit_of(dir, cg->version), dir);
	/* @dir is the highest that we see. */
	if (cg->version == 1 && cgroup_read(cg->dir, "memory.stat", text, sizeof(text)) &&
	    cgroup_parse_stat(text, "hierarchical_memory_limit", &above) &&
	    (!n || above < limits[0].limit_bytes)) {
		n = add_limit(limits, 0, room, above, dir);
		if (n)
			limits[0].hidden = true;
	}
	return n;
}

uint64_t cgroup_charged(const char *dir, unsigned int version)
{
	return read_number(dir, version == 2 ? "memory.current" : "memory.usage_in_bytes");
}

uint64_t cgroup_usage(const char *dir, unsigned int version)
{
	uint64_t used = cgroup_charged(dir, version);
	char text[STAT_BYTES];
	uint64_t cache;

	if (used == CGROUP_NONE)
		return CGROUP_NONE;
	if (!cgroup_read(dir, "memory.stat", text, sizeof(text)) ||
	    !cgroup_parse_stat(text, version == 2 ? "inactive_file" : "total_inactive_file",
			       &cache) ||
	    cache == CGROUP_NONE)
		return used;
	/* The two are read one after the other. */
	return cache < used ? used - cache : 0;
}

static double cpus_of(const char *dir, unsigned int version)
{
	char text[64];
	double quota, period;
	uint64_t q, p;

	if (version == 2)
		return cgroup_read(dir, "cpu.max", text, sizeof(text)) &&
		       sscanf(text, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0 ?
		       quota / period : 0;
	q = read_number(dir, "cpu.cfs_quota_us");
	p = read_number(dir, "cpu.cfs_period_us");
	return q != CGROUP_NONE && p != CGROUP_NONE && q && p ? (double)q / (double)p : 0;
}

double cgroup_cpu_quota(const struct cgroup *cg)
{
	char dir[PATH_MAX];
	double least = 0;

	strcpy(dir, cg->dir);
	do {
		double cpus = cpus_of(dir, cg->version);

		if (cpus > 0 && (least == 0 || cpus < least))
			least = cpus;
	} while (cgroup_up(dir, cg->mount_len));
	return least;
}
