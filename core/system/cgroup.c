// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cgroup.c - finding a process's control group, and the limits that hold there
 *
 *  1. /proc/PID/cgroup names the group in each hierarchy.  A hierarchy of v1 that has the
 *     controller has it alone, and v2 is then without it (hybrid systems have both).
 *  2. The name is relative to our cgroup namespace, and so is what mountinfo says is mounted where.
 *     In a container without a namespace of its own the mounted part is not the root: the group's
 *     folder is the mount point and the rest of the name behind the mounted part.
 *     A mount may also show more than our namespace does: "/../.." is two groups above ours, whose
 *     names nobody tells.  They are looked for: it is the folder so far down that has the process
 *     in it.  And a mount that another one lies upon is listed, and can't be reached: where a path
 *     leads, statx() tells.
 *  3. What is not below any mount of ours (we are in another container than the process) may be
 *     below one of its own: /proc/PID/root leads there, if we may look.  What lies there is the
 *     process's to choose: pipes, links to our own files.  Only files of a cgroup are opened.
 *  4. Limits hold for all that is below.  Of what lies above the mount point v1 tells the least
 *     limit (hierarchical_memory_limit), v2 nothing.
 *  5. In v1 a group's memory counts in its parent as well only if that has memory.use_hierarchy.
 *     Kernels from 5.11 on have no other way.
 */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A group of v1 always has a limit; LONG_MAX rounded down to pages stands for none. */
#define V1_NO_LIMIT (1ull << 62)
#define STAT_BYTES 8192
#define MOUNTS_BYTES (256u << 10)
#define FOLDERS_MAX 4096		/* looked at for the names of groups above our namespace */
#define HIDDEN_MAX 8			/* levels of folders that are looked at for them */

/* ------------------------------------------------------------------------------------------ */
/* Texts                                                                                      */
/* ------------------------------------------------------------------------------------------ */

bool tri_cgroup_parse_number(const char *text, uint64_t *value)
{
	unsigned long long n;
	char *end;

	if (!strncmp(text, "max", 3) && (!text[3] || text[3] == '\n')) {
		*value = TRI_CGROUP_NONE;
		return true;
	}
	if (!strncmp(text, "-1", 2) && (!text[2] || text[2] == '\n')) {
		*value = TRI_CGROUP_NONE;
		return true;
	}
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || (*end && *end != '\n' && *end != ' '))
		return false;
	*value = n >= V1_NO_LIMIT ? TRI_CGROUP_NONE : n;
	return true;
}

bool tri_cgroup_parse_stat(const char *text, const char *key, uint64_t *value)
{
	size_t len = strlen(key);

	while (*text) {
		if (!strncmp(text, key, len) && text[len] == ' ')
			return tri_cgroup_parse_number(text + len + 1, value);
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return false;
}

double tri_cgroup_parse_cpus(const char *text)
{
	const char *space = strchr(text, ' ');
	uint64_t quota, period;
	size_t n = space ? (size_t)(space - text) : 0;
	char first[24];

	/* "50000 100000", or "max 100000" */
	if (!n || n >= sizeof(first))
		return 0;
	memcpy(first, text, n);
	first[n] = 0;
	if (!tri_cgroup_parse_number(first, &quota) ||
	    !tri_cgroup_parse_number(space + 1, &period) || quota == TRI_CGROUP_NONE ||
	    period == TRI_CGROUP_NONE || !period)
		return 0;
	return (double)quota / (double)period;
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

unsigned int tri_cgroup_parse_membership(const char *text, const char *controller, char *path,
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

const char *tri_cgroup_parse_mountinfo(const char *text, unsigned int version,
				       const char *controller, struct tri_cgroup_mount *mount)
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
		if (!root || !unescape(root, n, mount->mounted, sizeof(mount->mounted)))
			continue;
		mount->id = strtoull(text, NULL, 10);
		point = field(text, len, 4, &n);
		if (point && unescape(point, n, mount->at, sizeof(mount->at)) &&
		    *mount->mounted == '/' && *mount->at == '/')
			return text + len;
	}
	return NULL;
}

/* How many "/.." a name begins with.  @name is set to what follows them. */
static unsigned int ups(const char **name)
{
	unsigned int n = 0;

	while (!strncmp(*name, "/..", 3) && ((*name)[3] == '/' || !(*name)[3])) {
		*name += 3;
		n++;
	}
	return n;
}

const char *tri_cgroup_below(const char *path, const char *mounted, unsigned int *hidden)
{
	unsigned int path_ups = ups(&path), mounted_ups = ups(&mounted);
	size_t len = strlen(mounted);

	*hidden = 0;
	if (path_ups > mounted_ups || strstr(path, "/..") || strstr(mounted, "/.."))
		return NULL;
	if (!*mounted || !strcmp(mounted, "/")) {
		*hidden = mounted_ups - path_ups;
		return !strcmp(path, "/") ? "" : path;
	}
	/*
	 * Both names go down again.  If they do so from different groups, whether one is below the
	 * other is not known.
	 */
	if (path_ups != mounted_ups || strncmp(path, mounted, len) ||
	    (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

/* ------------------------------------------------------------------------------------------ */
/* Files                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/* Whether @dir is below /proc/PID/root. */
static bool is_foreign(const char *dir)
{
	static const char proc[] = "/proc/", root[] = "/root";

	if (strncmp(dir, proc, strlen(proc)))
		return false;
	dir += strlen(proc);
	dir += strspn(dir, "0123456789");
	return !strncmp(dir, root, strlen(root)) &&
	       (!dir[strlen(root)] || dir[strlen(root)] == '/');
}

int tri_cgroup_open(const char *dir, const char *name, int flags)
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

bool tri_cgroup_read(const char *dir, const char *name, char *text, size_t room)
{
	return read_all(tri_cgroup_open(dir, name, O_RDONLY), text, room);
}

static uint64_t read_number(const char *dir, const char *name)
{
	char text[64];
	uint64_t value;

	return tri_cgroup_read(dir, name, text, sizeof(text)) &&
			       tri_cgroup_parse_number(text, &value) ?
		       value :
		       TRI_CGROUP_NONE;
}

/* Whether @dir is in mount @id, as far as the kernel tells (5.8). */
static bool is_in_mount(const char *dir, uint64_t id)
{
	struct statx st;

	return statx(AT_FDCWD, dir, AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) ||
	       !(st.stx_mask & STATX_MNT_ID) || st.stx_mnt_id == id;
}

/* Whether process @pid, by our numbers, is in the group of @dir. */
static bool has_process(const char *dir, pid_t pid)
{
	int fd = tri_cgroup_open(dir, "cgroup.procs", O_RDONLY);
	long long number = 0;
	bool found = false;
	char text[512];
	ssize_t n, i;

	while (!found && fd >= 0 && (n = read(fd, text, sizeof(text))) > 0) {
		for (i = 0; i < n && !found; i++) {
			found = text[i] == '\n' && number == pid;
			number = text[i] == '\n' ? 0 : number * 10 + (text[i] - '0');
		}
	}
	if (fd >= 0)
		close(fd);
	return found;
}

struct search {
	const char *below;
	pid_t pid;
	unsigned int left;		/* folders that may be looked at */
};

struct entry {
	uint64_t ino;
	int64_t offset;
	unsigned short len;
	unsigned char type;
	char name[];
};

/* Append to @dir the folder @levels below it whose group s->below has process s->pid. */
static bool search(struct search *s, char *dir, unsigned int levels)
{
	size_t end = strlen(dir);
	bool found = false;
	char buffer[2048] __attribute__((aligned(8)));
	int fd;
	long n, i;

	if (!levels) {
		if (end + strlen(s->below) >= PATH_MAX)
			return false;
		strcpy(dir + end, s->below);
		found = has_process(dir, s->pid);
		dir[end] = 0;
		return found;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	while (!found && fd >= 0 && (n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0) {
		for (i = 0; i < n && !found && s->left; i += ((struct entry *)(buffer + i))->len) {
			const struct entry *e = (struct entry *)(buffer + i);

			if (e->type != DT_DIR || e->name[0] == '.' ||
			    end + strlen(e->name) + 1 >= PATH_MAX)
				continue;
			s->left--;
			dir[end] = '/';
			strcpy(dir + end + 1, e->name);
			found = search(s, dir, levels - 1);
			if (!found)
				dir[end] = 0;
		}
		if (!s->left)
			break;
	}
	if (fd >= 0)
		close(fd);
	return found;
}

/* A group's place in the mounts of a process. */
struct place {
	const char *prefix;		/* that all paths in these mounts get */
	const char *path;		/* of the group */
	pid_t pid;			/* a process in the group */
	bool real;			/* the mounts are the kernel's, and not files that a test
					 * has made */
	bool searches;			/* whether to look for names that are hidden */
};

static bool no(struct tri_cgroup *cg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool no(struct tri_cgroup *cg, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(cg->why, sizeof(cg->why), fmt, args);
	va_end(args);
	return false;
}

/* Look for a group in @mount. */
static bool look_at(const struct place *p, const struct tri_cgroup_mount *mount,
		    struct tri_cgroup *cg)
{
	struct search s = { .pid = p->pid, .left = FOLDERS_MAX };
	unsigned int hidden;
	int n;

	s.below = tri_cgroup_below(p->path, mount->mounted, &hidden);
	if (!s.below || (hidden && !p->searches))
		return no(cg, "its group %.50s is not in what is mounted at %.50s", p->path,
			  mount->at);
	n = snprintf(cg->dir, sizeof(cg->dir), "%s%s", p->prefix, mount->at);
	if (n < 0 || (size_t)n + strlen(s.below) >= sizeof(cg->dir))
		return no(cg, "the path of its group is too long");
	if (p->real && !is_in_mount(cg->dir, mount->id))
		return no(cg, "what is mounted at %.50s lies under another mount", mount->at);
	cg->mount_len = (size_t)n;
	/*
	 * A name that is hidden in the mounts of another process is not searched for: that process
	 * itself can do so.
	 */
	if (hidden && (hidden > HIDDEN_MAX || is_foreign(cg->dir) || !search(&s, cg->dir, hidden)))
		return no(
			cg,
			"its group %.50s is not found in what is mounted at %.50s, %u levels further up",
			p->path, mount->at, hidden);
	strcat(cg->dir, s.below);
	return true;
}

/*
 * Look in the mounts that @text lists, one after the other: a container may have the host's below
 * its own.
 */
static bool look_in_any(const char *text, const struct place *p, const char *controller,
			struct tri_cgroup *cg)
{
	struct tri_cgroup_mount mount;
	bool found = false;

	while (!found && (text = tri_cgroup_parse_mountinfo(text, cg->version, controller, &mount)))
		found = look_at(p, &mount, cg);
	return found;
}

/*
 * Look for a group in the mounts that @mountinfo lists.  If it is not found by its name, look for
 * hidden names too.
 */
static bool look_in(const char *mountinfo, struct place *p, const char *controller,
		    struct tri_cgroup *cg)
{
	char *text = mmap(NULL, MOUNTS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	bool found = false;
	int way;

	if (text == MAP_FAILED)
		return no(cg, "no memory to read %.100s", mountinfo);
	if (!read_text(mountinfo, text, MOUNTS_BYTES)) {
		munmap(text, MOUNTS_BYTES);
		return no(cg, "%.100s can't be read: %s", mountinfo, strerror(errno));
	}
	no(cg, "the v%u hierarchy with %s is not mounted here", cg->version, controller);
	for (way = 0; way < 2 && !found; way++) {
		p->searches = way;
		found = look_in_any(text, p, controller, cg);
	}
	munmap(text, MOUNTS_BYTES);
	if (found && access(cg->dir, R_OK | X_OK))
		return no(cg, "%.120s: %s", cg->dir, strerror(errno));
	return found;
}

/* The folder of process @pid in /proc, below @root. */
static void proc_path(char *path, const char *root, pid_t pid, const char *name)
{
	if (pid == TRI_CGROUP_SELF)
		snprintf(path, PATH_MAX, "%s/proc/self/%s", root, name);
	else
		snprintf(path, PATH_MAX, "%s/proc/%d/%s", root, pid, name);
}

bool tri_cgroup_find(const char *root, pid_t pid, const char *controller, struct tri_cgroup *cg)
{
	struct place p = { .prefix = root, .path = cg->path, .pid = pid, .real = !*root };
	char file[PATH_MAX], prefix[PATH_MAX], text[STAT_BYTES];
	char why[sizeof(cg->why)];

	if (pid == TRI_CGROUP_SELF)
		p.pid = getpid();
	memset(cg, 0, sizeof(*cg));
	if (pid <= 0 && pid != TRI_CGROUP_SELF) {
		snprintf(cg->why, sizeof(cg->why), "its process is not in our pid namespace");
		return false;
	}
	proc_path(file, root, pid, "cgroup");
	if (!read_text(file, text, sizeof(text))) {
		snprintf(cg->why, sizeof(cg->why), "%.100s can't be read: %s", file,
			 strerror(errno));
		return false;
	}
	cg->version = tri_cgroup_parse_membership(text, controller, cg->path, sizeof(cg->path));
	if (!cg->version) {
		cg->none = true;
		snprintf(cg->why, sizeof(cg->why), "it is in no group of %s", controller);
		return false;
	}
	proc_path(file, root, TRI_CGROUP_SELF, "mountinfo");
	if (look_in(file, &p, controller, cg))
		return true;
	memcpy(why, cg->why, sizeof(why));
	proc_path(file, root, pid, "mountinfo");
	proc_path(prefix, root, pid, "root");
	p.prefix = prefix;
	if (pid != TRI_CGROUP_SELF && look_in(file, &p, controller, cg))
		return true;
	/* What we see ourselves explains better why the group is not seen. */
	memcpy(cg->why, why, sizeof(why));
	cg->version = 0;
	cg->dir[0] = 0;
	return false;
}

bool tri_cgroup_up(char *dir, size_t mount_len)
{
	char *slash = strrchr(dir, '/');

	if (!slash || strlen(dir) <= mount_len || (size_t)(slash - dir) < mount_len)
		return false;
	*slash = 0;
	return true;
}

bool tri_cgroup_is_hierarchical(const char *dir, unsigned int version)
{
	return version == 2 || read_number(dir, "memory.use_hierarchy") != 0;
}

uint64_t tri_cgroup_limit(const struct tri_cgroup *cg)
{
	static const char *const names[3][2] = {
		{ NULL }, { "memory.limit_in_bytes", NULL }, { "memory.max", "memory.high" },
	};
	uint64_t least = TRI_CGROUP_NONE, limit;
	char dir[PATH_MAX], text[STAT_BYTES];
	size_t i;

	if (!cg->version)
		return least;
	strcpy(dir, cg->dir);
	do {
		for (i = 0; i < 2 && names[cg->version][i]; i++) {
			limit = read_number(dir, names[cg->version][i]);
			least = limit < least ? limit : least;
		}
	} while (tri_cgroup_up(dir, cg->mount_len) && tri_cgroup_is_hierarchical(dir, cg->version));
	/* v1 tells the least limit above the highest group that we see. */
	if (cg->version == 1 && tri_cgroup_read(cg->dir, "memory.stat", text, sizeof(text)) &&
	    tri_cgroup_parse_stat(text, "hierarchical_memory_limit", &limit) && limit < least)
		least = limit;
	return least;
}

static double cpus_of(const char *dir, unsigned int version)
{
	char text[64];
	uint64_t q, p;

	if (version == 2)
		return tri_cgroup_read(dir, "cpu.max", text, sizeof(text)) ?
			       tri_cgroup_parse_cpus(text) :
			       0;
	q = read_number(dir, "cpu.cfs_quota_us");
	p = read_number(dir, "cpu.cfs_period_us");
	return q != TRI_CGROUP_NONE && p != TRI_CGROUP_NONE && q && p ? (double)q / (double)p : 0;
}

double tri_cgroup_cpu_quota(const struct tri_cgroup *cg)
{
	char dir[PATH_MAX];
	double least = 0;

	strcpy(dir, cg->dir);
	do {
		double cpus = cpus_of(dir, cg->version);

		if (cpus > 0 && (least == 0 || cpus < least))
			least = cpus;
	} while (tri_cgroup_up(dir, cg->mount_len));
	return least;
}
