// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_cgroup.c - finding a process's control group, its limit and its use
 *
 * Folders of fixtures stand for /proc and the mounts: v2, v1, hybrid, containers with and without a
 * namespace of their own, a daemon elsewhere than the client.  The random part feeds the parsers
 * with broken copies of real texts; run it under the address sanitizer.
 *
 * usage: test_cgroup [SEED]	repeats the random part of a run that failed
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/limits/alarm.h"
#include "core/system/cgroup.h"
#include "core/system/cgroup_files.h"
#include "lib/check.h"
#include "draw.h"
#include "daemon/limits/levels.h"

#define MIB (1ull << 20)

static char root[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* The end of a test; the next one has an empty folder again. */
static void end(const char *name)
{
	result(name);
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	mkdir(root, 0700);
}

/* Write @text to root/@path, making its folders. */
static void put(const char *path, const char *text)
{
	char full[700], *p;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		ksft_exit_fail_msg("%s: %s\n", full, strerror(errno));
}

static bool find(const char *controller, struct tri_cgroup *cg)
{
	return tri_cgroup_find(root, 42, controller, cg);
}

static bool is(const char *dir, const char *want)
{
	return !strcmp(dir + strlen(root), want);
}

static void test_numbers(void)
{
	uint64_t n = 7;

	check(tri_cgroup_parse_number("max\n", &n) && n == TRI_CGROUP_NONE);
	check(tri_cgroup_parse_number("-1\n", &n) && n == TRI_CGROUP_NONE);
	check(tri_cgroup_parse_number("9223372036854771712\n", &n) && n == TRI_CGROUP_NONE);
	check(tri_cgroup_parse_number("0\n", &n) && n == 0);
	check(tri_cgroup_parse_number("536870912", &n) && n == 512 * MIB);
	check(!tri_cgroup_parse_number("", &n));
	check(!tri_cgroup_parse_number("maximum\n", &n));
	check(!tri_cgroup_parse_number("12k\n", &n));
	check(!tri_cgroup_parse_number("99999999999999999999999\n", &n));
	check(tri_cgroup_parse_stat("anon 5\ninactive_file 77\nfile 3\n", "inactive_file", &n) &&
	      n == 77);
	check(tri_cgroup_parse_stat("total_inactive_file 1\ninactive_file 2\n", "inactive_file",
				    &n) &&
	      n == 2);
	check(!tri_cgroup_parse_stat("inactive_files 77\n", "inactive_file", &n));
	check(!tri_cgroup_parse_stat("", "inactive_file", &n));
	end("numbers");
}

static void test_membership(void)
{
	char path[64];

	check(tri_cgroup_parse_membership("0::/a/b\n", "memory", path, sizeof(path)) == 2 &&
	      !strcmp(path, "/a/b"));
	check(tri_cgroup_parse_membership("5:cpu,cpuacct:/c\n4:memory:/m\n0::/u\n", "memory", path,
				      sizeof(path)) == 1 && !strcmp(path, "/m"));
	check(tri_cgroup_parse_membership("0::/u\n5:cpu,cpuacct:/c\n", "cpuacct", path,
				      sizeof(path)) == 1 && !strcmp(path, "/c"));
	/* Hybrid: what no hierarchy of v1 has is v2's. */
	check(tri_cgroup_parse_membership("3:pids:/p\n0::/u\n", "memory", path, sizeof(path)) ==
		      2 &&
	      !strcmp(path, "/u"));
	check(!tri_cgroup_parse_membership("3:pids:/p\n1:name=memory:/x\n", "memory", path,
				       sizeof(path)));
	check(!tri_cgroup_parse_membership("0::/longer/than/the/room\n", "memory", path, 10));
	check(tri_cgroup_parse_membership("0::/with:colons:in it\n", "memory", path,
					  sizeof(path)) == 2 &&
	      !strcmp(path, "/with:colons:in it"));
	end("membership");
}

/* Names in a namespace, of a group and of what is mounted. */
static void test_below(void)
{
	static const struct {
		const char *path, *mounted, *below;	/* NULL: it is not in there */
		unsigned int hidden;
	} cases[] = {
		{ "/a/b", "/", "/a/b", 0 },
		{ "/", "/", "", 0 },
		{ "/a/b", "/a", "/b", 0 },
		{ "/a", "/a", "", 0 },
		{ "/ab", "/a", NULL, 0 },
		{ "/", "/a", NULL, 0 },
		/*
		 * The mount shows more than the namespace: of what lies between there are no names.
		 */
		{ "/", "/..", "", 1 },
		{ "/a", "/../..", "/a", 2 },
		{ "/../a", "/../..", "/a", 1 },
		{ "/../../a", "/../..", "/a", 0 },
		{ "/../..", "/../..", "", 0 },
		{ "/..", "/../..", "", 1 },
		/* It shows other parts than those that the group is in, or less. */
		{ "/../x", "/", NULL, 0 },
		{ "/../../a", "/..", NULL, 0 },
		{ "/", "/../x", NULL, 0 },
		{ "/../x/y", "/../x", "/y", 0 },
		{ "/../xy", "/../x", NULL, 0 },
		{ "/../../x/y", "/../x", NULL, 0 },
		/* No such names. */
		{ "/a/../b", "/", NULL, 0 },
		{ "/a", "/x/..", NULL, 0 },
		{ "/..a", "/", NULL, 0 },
	};
	unsigned int hidden;
	const char *below;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		below = tri_cgroup_below(cases[i].path, cases[i].mounted, &hidden);
		if (below && cases[i].below)
			check(!strcmp(below, cases[i].below) && hidden == cases[i].hidden);
		else
			check(!below && !cases[i].below);
	}
	end("names below a mount");
}

static const char v2_mount[] =
	"22 1 8:1 / / rw shared:1 - ext4 /dev/root rw\n"
	"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

static struct levels levels = { .limits_fd = -1 };
static struct level_limit limits[LEVEL_LIMITS];

/* Whether limit @i of @cg is @bytes, of folder @dir. */
static bool limit_is(size_t i, uint64_t bytes, const char *dir)
{
	return limits[i].limit_bytes == bytes && is(limits[i].level->name, dir) &&
	       !limits[i].hidden;
}

static size_t read_some_limits(const struct tri_cgroup *cg, size_t room)
{
	struct level *l;
	size_t n;

	for (l = levels.first; l; l = l->next)
		l->used = false;
	levels_tidy(&levels);
	l = levels_at(&levels, cg);
	n = l ? levels_limits(l, limits, room) : 0;
	/* What a program reckons with that nobody collects. */
	check(tri_cgroup_limit(cg) == (n ? limits[0].limit_bytes : TRI_CGROUP_NONE));
	return n;
}

static size_t read_limits(const struct tri_cgroup *cg)
{
	return read_some_limits(cg, LEVEL_LIMITS);
}

static uint64_t usage(const char *dir, unsigned int version)
{
	struct tri_cgroup_files f;
	uint64_t bytes;

	tri_cgroup_files_open(&f, dir, version);
	bytes = tri_cgroup_files_usage(&f);
	tri_cgroup_files_close(&f);
	return bytes;
}

static void test_v2(void)
{
	struct tri_cgroup cg;
	char dir[PATH_MAX];

	put("proc/42/cgroup", "0::/app/web\n");
	put("proc/self/mountinfo", v2_mount);
	put("sys/fs/cgroup/memory.stat", "inactive_file 1\n");
	put("sys/fs/cgroup/app/memory.max", "536870912\n");
	put("sys/fs/cgroup/app/memory.high", "402653184\n");
	put("sys/fs/cgroup/app/memory.current", "104857600\n");
	put("sys/fs/cgroup/app/memory.stat", "anon 1\nfile 41943040\ninactive_file 31457280\n");
	put("sys/fs/cgroup/app/web/memory.max", "max\n");
	put("sys/fs/cgroup/app/web/memory.high", "max\n");
	check(find("memory", &cg) && cg.version == 2 && is(cg.dir, "/sys/fs/cgroup/app/web"));
	check(read_limits(&cg) == 1 && limit_is(0, 384 * MIB, "/sys/fs/cgroup/app"));
	check(usage(limits[0].level->name, 2) == 70 * MIB);
	check(tri_cgroup_files_charged(&limits[0].level->files) == 100 * MIB);
	/* The group's own is tighter; the other may be fuller. */
	put("sys/fs/cgroup/app/web/memory.max", "104857600\n");
	check(read_limits(&cg) == 2 && limit_is(0, 100 * MIB, "/sys/fs/cgroup/app/web") &&
	      limit_is(1, 384 * MIB, "/sys/fs/cgroup/app"));
	check(usage(limits[0].level->name, 2) == TRI_CGROUP_NONE);
	/* No limit anywhere. */
	put("sys/fs/cgroup/app/web/memory.max", "max\n");
	put("sys/fs/cgroup/app/memory.max", "max\n");
	put("sys/fs/cgroup/app/memory.high", "max\n");
	check(read_limits(&cg) == 0);
	/* More cache than use: the two were read at different times. */
	put("sys/fs/cgroup/app/memory.current", "1048576\n");
	put("sys/fs/cgroup/app/memory.stat", "inactive_file 31457280\n");
	snprintf(dir, sizeof(dir), "%s/sys/fs/cgroup/app", root);
	check(usage(dir, 2) == 0);
	/* CPUs. */
	put("sys/fs/cgroup/app/cpu.max", "50000 100000\n");
	put("sys/fs/cgroup/app/web/cpu.max", "max 100000\n");
	check(find("cpu", &cg) && tri_cgroup_cpu_quota(&cg) == 0.5);
	end("v2");
}

/* Of nested limits those count that can have the least room. */
static void test_levels(void)
{
	static const char *const levels[] = { "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e" };
	static const struct {
		unsigned int mib[5]; /* from the top; 0: none */
		unsigned int want[5]; /* from the bottom, 1 is a; 0: the end */
	} cases[] = {
		{ { 500, 400, 300, 200, 100 }, { 5, 4, 3, 2, 1 } },
		{ { 100, 200, 300, 400, 500 }, { 1 } },
		{ { 300, 500, 200, 400, 100 }, { 5, 3, 1 } },
		{ { 300, 0, 0, 100, 200 }, { 4, 1 } },
		{ { 200, 0, 200, 0, 200 }, { 1 } },
		{ { 0, 0, 0, 0, 0 }, { 0 } },
	};
	char path[256], text[32];
	struct tri_cgroup cg;
	size_t i, k, n;

	put("proc/42/cgroup", "0::/a/b/c/d/e\n");
	put("proc/self/mountinfo", v2_mount);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (k = 0; k < 5; k++) {
			snprintf(path, sizeof(path), "sys/fs/cgroup/%s/memory.max", levels[k]);
			snprintf(text, sizeof(text), "%llu\n", cases[i].mib[k] * MIB);
			put(path, cases[i].mib[k] ? text : "max\n");
		}
		check(find("memory", &cg));
		n = read_limits(&cg);
		for (k = 0; k < n && k < 5 && cases[i].want[k]; k++) {
			unsigned int level = cases[i].want[k] - 1;

			snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", levels[level]);
			check(limit_is(k, cases[i].mib[level] * MIB, path));
		}
		check(k == n && (k == 5 || !cases[i].want[k]));
	}
	/* If there is no room for all, the loosest are left out. */
	put("sys/fs/cgroup/a/memory.max", "500\n");
	put("sys/fs/cgroup/a/b/memory.max", "400\n");
	put("sys/fs/cgroup/a/b/c/memory.max", "300\n");
	check(read_some_limits(&cg, 2) == 2 && limit_is(0, 300, "/sys/fs/cgroup/a/b/c") &&
	      limit_is(1, 400, "/sys/fs/cgroup/a/b"));
	end("levels");
}

static void test_v1(void)
{
	struct tri_cgroup cg;

	put("proc/42/cgroup", "9:name=systemd:/\n4:memory:/jobs/a\n1:cpu,cpuacct:/jobs\n0::/\n");
	put("proc/self/mountinfo",
	    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
	    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
	    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "1073741824\n");
	put("sys/fs/cgroup/memory/jobs/memory.usage_in_bytes", "209715200\n");
	put("sys/fs/cgroup/memory/jobs/memory.stat",
	    "inactive_file 5\nhierarchical_memory_limit 1073741824\ntotal_inactive_file 104857600\n");
	put("sys/fs/cgroup/memory/jobs/a/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/jobs/a/memory.stat", "hierarchical_memory_limit 1073741824\n");
	check(find("memory", &cg) && cg.version == 1 && is(cg.dir, "/sys/fs/cgroup/memory/jobs/a"));
	check(read_limits(&cg) == 1 && limit_is(0, 1024 * MIB, "/sys/fs/cgroup/memory/jobs"));
	check(usage(limits[0].level->name, 1) == 100 * MIB);
	/* The group below has a limit of its own as well; then it counts there alone. */
	put("sys/fs/cgroup/memory/jobs/a/memory.limit_in_bytes", "536870912\n");
	put("sys/fs/cgroup/memory/jobs/memory.use_hierarchy", "1\n");
	check(read_limits(&cg) == 2 && limit_is(0, 512 * MIB, "/sys/fs/cgroup/memory/jobs/a"));
	put("sys/fs/cgroup/memory/jobs/memory.use_hierarchy", "0\n");
	check(read_limits(&cg) == 1 && limit_is(0, 512 * MIB, "/sys/fs/cgroup/memory/jobs/a"));
	put("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us", "5000\n");
	put("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us", "100000\n");
	check(find("cpu", &cg) && cg.version == 1 && tri_cgroup_cpu_quota(&cg) == 0.05);
	put("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us", "-1\n");
	check(tri_cgroup_cpu_quota(&cg) == 0);
	/* A limit above the mounted part, which only the sum of all tells. */
	put("proc/42/cgroup", "4:memory:/docker/c1\n");
	put("proc/self/mountinfo",
	    "35 31 0:32 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
	put("sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit 268435456\n");
	check(find("memory", &cg) && is(cg.dir, "/sys/fs/cgroup/memory"));
	check(read_limits(&cg) == 1 && limits[0].limit_bytes == 256 * MIB &&
	      is(limits[0].level->name, "/sys/fs/cgroup/memory") && limits[0].hidden);
	end("v1, hybrid");
}

static void test_elsewhere(void)
{
	struct tri_cgroup cg;

	/* The client's container is not below what we see of the hierarchy … */
	put("proc/42/cgroup", "0::/../c2\n");
	put("proc/self/mountinfo", v2_mount);
	put("sys/fs/cgroup/memory.max", "max\n");
	check(!find("memory", &cg) && !cg.version && strstr(cg.why, "/../c2"));
	/* … and with our namespace's root mounted we see it by its name. */
	put("proc/42/cgroup", "0::/pods/c2\n");
	put("sys/fs/cgroup/pods/c2/memory.max", "1048576\n");
	check(find("memory", &cg) && is(cg.dir, "/sys/fs/cgroup/pods/c2"));
	/* Nothing is mounted with us, but the client has a mount of its part, and lets us look. */
	put("proc/self/mountinfo", "22 1 8:1 / / rw shared:1 - ext4 /dev/root rw\n");
	check(!find("memory", &cg) && strstr(cg.why, "not mounted"));
	put("proc/42/mountinfo",
	    "50 49 0:26 /pods/c2 /my\\040cgroups ro - cgroup2 cgroup rw\n");
	put("proc/42/root/my cgroups/memory.max", "1048576\n");
	check(find("memory", &cg) && is(cg.dir, "/proc/42/root/my cgroups") &&
	      cg.mount_len == strlen(cg.dir));
	check(!tri_cgroup_up(cg.dir, cg.mount_len));
	/* The first mount is not what the group is in, and the second is. */
	put("proc/42/cgroup", "0::/\n");
	put("proc/self/mountinfo", "30 22 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	    "31 30 0:26 / /own ro - cgroup2 cgroup2 rw\n");
	put("own/memory.max", "max\n");
	check(find("memory", &cg) && is(cg.dir, "/own"));
	/*
	 * Without the second its name is not known; but it is the folder so far down that has the
	 * process in it.
	 */
	put("proc/self/mountinfo", "30 22 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	check(!find("memory", &cg) && strstr(cg.why, "2 levels further up"));
	put("sys/fs/cgroup/cgroup.procs", "42\n");
	put("sys/fs/cgroup/a/cgroup.procs", "42\n");
	put("sys/fs/cgroup/a/b/cgroup.procs", "0\n41\n142\n421\n");
	put("sys/fs/cgroup/c/d/cgroup.procs", "1\n42\n");
	put("sys/fs/cgroup/c/d/memory.max", "1048576\n");
	put("sys/fs/cgroup/c/d/e/cgroup.procs", "7\n");
	check(find("memory", &cg) && is(cg.dir, "/sys/fs/cgroup/c/d"));
	check(read_limits(&cg) == 1 && limit_is(0, MIB, "/sys/fs/cgroup/c/d"));
	/* In a group below our namespace's root, and beside it. */
	put("proc/42/cgroup", "0::/e\n");
	check(!find("memory", &cg));
	put("sys/fs/cgroup/c/d/e/cgroup.procs", "7\n42\n");
	check(find("memory", &cg) && is(cg.dir, "/sys/fs/cgroup/c/d/e"));
	put("proc/42/cgroup", "0::/../d/e\n");
	check(find("memory", &cg) && is(cg.dir, "/sys/fs/cgroup/c/d/e"));
	put("proc/42/cgroup", "0::/../../c/d/e\n");
	check(find("memory", &cg) && is(cg.dir, "/sys/fs/cgroup/c/d/e"));
	/* Its process is gone, or not in our pid namespace, or in no group. */
	check(!tri_cgroup_find(root, 43, "memory", &cg) && strstr(cg.why, "can't be read"));
	check(!tri_cgroup_find(root, 0, "memory", &cg) && strstr(cg.why, "pid namespace"));
	put("proc/42/cgroup", "1:name=systemd:/\n");
	check(!find("memory", &cg) && strstr(cg.why, "no group"));
	/* The folder that the name leads to is not there. */
	put("proc/42/cgroup", "0::/gone\n");
	put("proc/self/mountinfo", v2_mount);
	check(!find("memory", &cg) && cg.why[0]);
	end("containers");
}

/* The descriptor of @kind and @level among what is sent, or -1; and how many there are of it. */
static int sent(const struct tri_hello *h, const int *fds, size_t n, unsigned int kind,
		unsigned int level)
{
	int fd = -1, times = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (h->fds[i] != kind + level * TRI_FD_LEVEL)
			continue;
		fd = fds[i];
		times++;
	}
	check(times <= 1);
	return fd;
}

static void close_from(const int *fds, size_t n, size_t end)
{
	for (; n < end; n++)
		close(fds[n]);
}

/* What a client sends of its groups; and a limit that it has sent follows what is written. */
static void test_hello(void)
{
	struct tri_hello h = { .fds = { TRI_FD_ARENA } };
	struct tri_cgroup_files f;
	int fds[TRI_HELLO_FDS] = { 0 };
	char path[512], name[600];
	size_t n, i;

	put("proc/self/cgroup", "0::/app/web\n");
	put("proc/self/mountinfo", v2_mount);
	put("sys/fs/cgroup/memory.stat", "inactive_file 1\n");
	put("sys/fs/cgroup/app/memory.max", "536870912\n");
	put("sys/fs/cgroup/app/memory.current", "104857600\n");
	put("sys/fs/cgroup/app/web/memory.max", "max\n");
	put("sys/fs/cgroup/app/web/memory.high", "402653184\n");
	put("sys/fs/cgroup/app/web/memory.current", "104857600\n");
	put("sys/fs/cgroup/app/web/memory.stat", "inactive_file 31457280\n");
	put("sys/fs/cgroup/app/web/memory.pressure", "some\n");
	put("sys/fs/cgroup/app/web/cpu.max", "50000 100000\n");
	n = tri_cgroup_files_hello(root, &h, fds, 1);
	check(n == 10 && h.fds[0] == TRI_FD_ARENA && !h.fds[n] && h.cgroup_version == 2);
	check(!strcmp(h.cgroup, "/app/web"));
	tri_cgroup_files_init(&f);
	check(!tri_cgroup_files_cpus(&f) && tri_cgroup_files_limit(&f) == TRI_CGROUP_NONE);
	f.version = 2;
	f.fd[TRI_FD_LIMIT] = sent(&h, fds, n, TRI_FD_LIMIT, 0);
	f.fd[TRI_FD_HIGH] = sent(&h, fds, n, TRI_FD_HIGH, 0);
	f.fd[TRI_FD_USE] = sent(&h, fds, n, TRI_FD_USE, 0);
	f.fd[TRI_FD_STAT] = sent(&h, fds, n, TRI_FD_STAT, 0);
	f.fd[TRI_FD_CPU] = sent(&h, fds, n, TRI_FD_CPU, 0);
	check(tri_cgroup_files_limit(&f) == 384 * MIB && tri_cgroup_files_usage(&f) == 70 * MIB);
	check(tri_cgroup_files_charged(&f) == 100 * MIB && tri_cgroup_files_cpus(&f) == 0.5);
	put("sys/fs/cgroup/app/web/memory.max", "1048576\n");
	check(tri_cgroup_files_limit(&f) == MIB);
	check(fcntl(sent(&h, fds, n, TRI_FD_PRESSURE, 0), F_GETFL) & O_RDWR);
	check(sent(&h, fds, n, TRI_FD_LIMIT, 1) > 0 && sent(&h, fds, n, TRI_FD_USE, 1) > 0);
	check(sent(&h, fds, n, TRI_FD_STAT, 2) > 0 && sent(&h, fds, n, TRI_FD_LIMIT, 2) < 0);
	close_from(fds, 1, n);
	/* Deeper than there are levels, and a longer name than there is room for. */
	snprintf(path, sizeof(path), "0::");
	for (i = 0; i < 20; i++)
		strcat(path, "/a-long-name");
	snprintf(name, sizeof(name), "sys/fs/cgroup%s/memory.max", path + 3);
	put(name, "max\n");
	put("proc/self/cgroup", path);
	memset(&h, 0, sizeof(h));
	n = tri_cgroup_files_hello(root, &h, fds, 0);
	check(n == 1 && strlen(h.cgroup) == sizeof(h.cgroup) - 1 &&
	      !strcmp(h.cgroup, path + strlen(path) - strlen(h.cgroup)));
	close_from(fds, 0, n);
	/* None is left for more than there are places. */
	n = tri_cgroup_files_hello(root, &h, fds, TRI_HELLO_FDS);
	check(n == TRI_HELLO_FDS && !h.cgroup_version && h.why[0]);
	put("proc/self/cgroup", "1:name=systemd:/\n");
	memset(&h, 0, sizeof(h));
	check(!tri_cgroup_files_hello(root, &h, fds, 0) && !h.cgroup_version && !h.why[0]);
	end("what a client sends of its groups, v2");
}

static void test_hello_v1(void)
{
	struct tri_hello h = { .fds = { 0 } };
	int fds[TRI_HELLO_FDS];
	size_t n;

	put("proc/self/cgroup", "4:memory:/jobs/a\n2:cpu:/\n0::/\n");
	put("proc/self/mountinfo",
	    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
	    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/jobs/memory.use_hierarchy", "0\n");
	put("sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "1073741824\n");
	put("sys/fs/cgroup/memory/jobs/a/memory.limit_in_bytes", "536870912\n");
	put("sys/fs/cgroup/memory/jobs/a/cgroup.event_control", "");
	put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "5000\n");
	put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	/* What is in there does not count in its parent. */
	n = tri_cgroup_files_hello(root, &h, fds, 0);
	check(n == 3 && h.cgroup_version == 1 && sent(&h, fds, n, TRI_FD_LIMIT, 0) >= 0);
	check(sent(&h, fds, n, TRI_FD_EVENT_CONTROL, 0) < 0);
	check(sent(&h, fds, n, TRI_FD_CPU, 0) >= 0 && sent(&h, fds, n, TRI_FD_CPU_PERIOD, 0) >= 0);
	close_from(fds, 0, n);
	put("sys/fs/cgroup/memory/jobs/memory.use_hierarchy", "1\n");
	memset(&h, 0, sizeof(h));
	n = tri_cgroup_files_hello(root, &h, fds, 0);
	check(n == 5 && sent(&h, fds, n, TRI_FD_LIMIT, 1) >= 0 &&
	      sent(&h, fds, n, TRI_FD_LIMIT, 2) >= 0);
	close_from(fds, 0, n);
	end("what a client sends of its groups, v1");
}

static uint64_t random_state;

static uint64_t rnd(void)
{
	return draw(&random_state);
}

/* Broken texts: whatever comes out fits its room and ends. */
static void test_broken(void)
{
	static const char *const texts[] = {
		"9:name=systemd:/\n4:memory:/jobs/a\n1:cpu,cpuacct:/jobs\n0::/\n", v2_mount,
		"35 31 0:32 /d\\0401 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
		"inactive_file 5\nhierarchical_memory_limit 1073741824\n", "max\n",
	};
	struct tri_cgroup_mount mount;
	unsigned int round, i, hidden;
	char path[32];

	for (round = 0; round < 200000; round++) {
		const char *from = texts[rnd() % (sizeof(texts) / sizeof(texts[0]))];
		size_t len = rnd() % (strlen(from) + 1);
		char *text = malloc(len + 1);
		uint64_t value;

		memcpy(text, from, len);
		text[len] = 0;
		for (i = rnd() % 5; i && len; i--)
			text[rnd() % len] = ":/\\ \n-,0m\x80"[rnd() % 10];
		path[sizeof(path) - 1] = 1;
		if (tri_cgroup_parse_membership(text, "memory", path, sizeof(path) - 1))
			check(path[0] == '/' && strlen(path) < sizeof(path) - 1);
		check(path[sizeof(path) - 1] == 1);
		for (i = 1; i <= 2; i++)
			if (tri_cgroup_parse_mountinfo(text, i, "memory", &mount))
				check(mount.mounted[0] == '/' && mount.at[0] == '/');
		tri_cgroup_parse_stat(text, "inactive_file", &value);
		tri_cgroup_parse_number(text, &value);
		tri_cgroup_below(text, "/", &hidden);
		free(text);
	}
	end("broken texts");
}

/*
 * What a client has put in the place of its group: a link, a pipe, a file.  Nothing of it is
 * followed, waited for, or written to.
 */
static void test_false_files(void)
{
	char path[128], foreign[192], text[64];
	struct alarm alarm;
	struct tri_cgroup_files f;
	FILE *file;

	put("group/victim", "precious");
	put("group/memory.high", "4096");
	snprintf(path, sizeof(path), "%s/group/memory.pressure", root);
	check(!symlink("victim", path));
	snprintf(path, sizeof(path), "%s/group/memory.max", root);
	check(!mkfifo(path, 0600));
	snprintf(path, sizeof(path), "%s/group", root);
	check(!tri_cgroup_read(path, "memory.max", text, sizeof(text)));
	check(!tri_cgroup_read(path, "memory.pressure", text, sizeof(text)));
	check(tri_cgroup_read(path, "memory.high", text, sizeof(text)));
	/* By way of the client's root only files of a cgroup count, which this is not. */
	snprintf(foreign, sizeof(foreign), "/proc/%d/root%s", getpid(), path);
	check(!tri_cgroup_read(foreign, "memory.high", text, sizeof(text)));
	check(tri_cgroup_open(foreign, "memory.high", O_RDWR) < 0);
	check(!tri_cgroup_files_open(&f, path, 2) && f.fd[TRI_FD_PRESSURE] < 0);
	alarm_open(&alarm, &f);
	alarm_close(&alarm);
	tri_cgroup_files_close(&f);
	check(!tri_cgroup_files_open(&f, foreign, 2) && f.fd[TRI_FD_HIGH] < 0);
	snprintf(path, sizeof(path), "%s/group/victim", root);
	file = fopen(path, "r");
	check(file && fgets(text, sizeof(text), file) && !strcmp(text, "precious"));
	if (file)
		fclose(file);
	end("files that a client has put there");
}

int main(int argc, char **argv)
{
	random_state = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) << 20 | 1;
	ksft_print_header();
	ksft_print_msg("seed %#llx\n", (unsigned long long)random_state);
	ksft_set_plan(11);
	strcpy(root, "/tmp/test_cgroup.XXXXXX");
	if (!mkdtemp(root))
		ksft_exit_fail_msg("%s: %s\n", root, strerror(errno));
	test_numbers();
	test_membership();
	test_below();
	test_v2();
	test_levels();
	test_v1();
	test_elsewhere();
	test_hello();
	test_hello_v1();
	test_false_files();
	test_broken();
	rmdir(root);
	ksft_finished();
}
