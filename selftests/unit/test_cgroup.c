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

#include "alarm.h"
#include "cgroup.h"
#include "check.h"
#include "draw.h"

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
	char full[512], *p;
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

static bool find(const char *controller, struct cgroup *cg)
{
	return cgroup_find(root, 42, controller, cg);
}

static bool is(const char *dir, const char *want)
{
	return !strcmp(dir + strlen(root), want);
}

static void test_numbers(void)
{
	uint64_t n = 7;

	check(cgroup_parse_number("max\n", &n) && n == CGROUP_NONE);
	check(cgroup_parse_number("-1\n", &n) && n == CGROUP_NONE);
	check(cgroup_parse_number("9223372036854771712\n", &n) && n == CGROUP_NONE);
	check(cgroup_parse_number("0\n", &n) && n == 0);
	check(cgroup_parse_number("536870912", &n) && n == 512 * MIB);
	check(!cgroup_parse_number("", &n));
	check(!cgroup_parse_number("maximum\n", &n));
	check(!cgroup_parse_number("12k\n", &n));
	check(!cgroup_parse_number("99999999999999999999999\n", &n));
	check(cgroup_parse_stat("anon 5\ninactive_file 77\nfile 3\n", "inactive_file", &n) &&
	      n == 77);
	check(cgroup_parse_stat("total_inactive_file 1\ninactive_file 2\n", "inactive_file", &n) &&
	      n == 2);
	check(!cgroup_parse_stat("inactive_files 77\n", "inactive_file", &n));
	check(!cgroup_parse_stat("", "inactive_file", &n));
	end("numbers");
}

static void test_membership(void)
{
	char path[64];

	check(cgroup_parse_membership("0::/a/b\n", "memory", path, sizeof(path)) == 2 &&
	      !strcmp(path, "/a/b"));
	check(cgroup_parse_membership("5:cpu,cpuacct:/c\n4:memory:/m\n0::/u\n", "memory", path,
				      sizeof(path)) == 1 && !strcmp(path, "/m"));
	check(cgroup_parse_membership("0::/u\n5:cpu,cpuacct:/c\n", "cpuacct", path,
				      sizeof(path)) == 1 && !strcmp(path, "/c"));
	/* Hybrid: what no hierarchy of v1 has is v2's. */
	check(cgroup_parse_membership("3:pids:/p\n0::/u\n", "memory", path, sizeof(path)) == 2 &&
	      !strcmp(path, "/u"));
	check(!cgroup_parse_membership("3:pids:/p\n1:name=memory:/x\n", "memory", path,
				       sizeof(path)));
	check(!cgroup_parse_membership("0::/longer/than/the/room\n", "memory", path, 10));
	check(cgroup_parse_membership("0::/with:colons:in it\n", "memory", path, sizeof(path)) ==
		      2 &&
	      !strcmp(path, "/with:colons:in it"));
	check(!strcmp(cgroup_below("/a/b", "/"), "/a/b"));
	check(!strcmp(cgroup_below("/", "/"), ""));
	check(!strcmp(cgroup_below("/a/b", "/a"), "/b"));
	check(!cgroup_below("/ab", "/a"));
	check(!cgroup_below("/../x", "/"));
	check(!cgroup_below("/a", "/.."));
	end("membership");
}

static const char v2_mount[] =
	"22 1 8:1 / / rw shared:1 - ext4 /dev/root rw\n"
	"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

static struct cgroup_limit limits[CGROUP_LIMITS];

/* Whether limit @i of @cg is @bytes, of folder @dir. */
static bool limit_is(size_t i, uint64_t bytes, const char *dir)
{
	return limits[i].limit_bytes == bytes && is(limits[i].dir, dir) && !limits[i].hidden;
}

static size_t read_limits(const struct cgroup *cg)
{
	return cgroup_limits(cg, limits, CGROUP_LIMITS);
}

static void test_v2(void)
{
	struct cgroup cg;
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
	check(cgroup_usage(limits[0].dir, 2) == 70 * MIB);
	check(cgroup_charged(limits[0].dir, 2) == 100 * MIB);
	/* The group's own is tighter; the other may be fuller. */
	put("sys/fs/cgroup/app/web/memory.max", "104857600\n");
	check(read_limits(&cg) == 2 && limit_is(0, 100 * MIB, "/sys/fs/cgroup/app/web") &&
	      limit_is(1, 384 * MIB, "/sys/fs/cgroup/app"));
	check(cgroup_usage(limits[0].dir, 2) == CGROUP_NONE);
	/* No limit anywhere. */
	put("sys/fs/cgroup/app/web/memory.max", "max\n");
	put("sys/fs/cgroup/app/memory.max", "max\n");
	put("sys/fs/cgroup/app/memory.high", "max\n");
	check(read_limits(&cg) == 0);
	/* More cache than use: the two were read at different times. */
	put("sys/fs/cgroup/app/memory.current", "1048576\n");
	put("sys/fs/cgroup/app/memory.stat", "inactive_file 31457280\n");
	snprintf(dir, sizeof(dir), "%s/sys/fs/cgroup/app", root);
	check(cgroup_usage(dir, 2) == 0);
	/* CPUs. */
	put("sys/fs/cgroup/app/cpu.max", "50000 100000\n");
	put("sys/fs/cgroup/app/web/cpu.max", "max 100000\n");
	check(find("cpu", &cg) && cgroup_cpu_quota(&cg) == 0.5);
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
	struct cgroup cg;
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
	check(cgroup_limits(&cg, limits, 2) == 2 && limit_is(0, 300, "/sys/fs/cgroup/a/b/c") &&
	      limit_is(1, 400, "/sys/fs/cgroup/a/b"));
	end("levels");
}

static void test_v1(void)
{
	struct cgroup cg;

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
	check(cgroup_usage(limits[0].dir, 1) == 100 * MIB);
	/* The group below has a limit of its own as well; then it counts there alone. */
	put("sys/fs/cgroup/memory/jobs/a/memory.limit_in_bytes", "536870912\n");
	put("sys/fs/cgroup/memory/jobs/memory.use_hierarchy", "1\n");
	check(read_limits(&cg) == 2 && limit_is(0, 512 * MIB, "/sys/fs/cgroup/memory/jobs/a"));
	put("sys/fs/cgroup/memory/jobs/memory.use_hierarchy", "0\n");
	check(read_limits(&cg) == 1 && limit_is(0, 512 * MIB, "/sys/fs/cgroup/memory/jobs/a"));
	put("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us", "5000\n");
	put("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us", "100000\n");
	check(find("cpu", &cg) && cg.version == 1 && cgroup_cpu_quota(&cg) == 0.05);
	put("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us", "-1\n");
	check(cgroup_cpu_quota(&cg) == 0);
	/* A limit above the mounted part, which only the sum of all tells. */
	put("proc/42/cgroup", "4:memory:/docker/c1\n");
	put("proc/self/mountinfo",
	    "35 31 0:32 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
	put("sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit 268435456\n");
	check(find("memory", &cg) && is(cg.dir, "/sys/fs/cgroup/memory"));
	check(read_limits(&cg) == 1 && limits[0].limit_bytes == 256 * MIB &&
	      is(limits[0].dir, "/sys/fs/cgroup/memory") && limits[0].hidden);
	end("v1, hybrid");
}

static void test_elsewhere(void)
{
	struct cgroup cg;

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
	check(!cgroup_up(cg.dir, cg.mount_len));
	/* Its process is gone, or not in our pid namespace, or in no group. */
	check(!cgroup_find(root, 43, "memory", &cg) && strstr(cg.why, "can't be read"));
	check(!cgroup_find(root, 0, "memory", &cg) && strstr(cg.why, "pid namespace"));
	put("proc/42/cgroup", "1:name=systemd:/\n");
	check(!find("memory", &cg) && strstr(cg.why, "no group"));
	/* The folder that the name leads to is not there. */
	put("proc/42/cgroup", "0::/gone\n");
	put("proc/self/mountinfo", v2_mount);
	check(!find("memory", &cg) && cg.why[0]);
	end("containers");
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
	char mounted[PATH_MAX], at[PATH_MAX], path[32];
	unsigned int round, i;

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
		if (cgroup_parse_membership(text, "memory", path, sizeof(path) - 1))
			check(path[0] == '/' && strlen(path) < sizeof(path) - 1);
		check(path[sizeof(path) - 1] == 1);
		for (i = 1; i <= 2; i++)
			if (cgroup_parse_mountinfo(text, i, "memory", mounted, at))
				check(mounted[0] == '/' && at[0] == '/');
		cgroup_parse_stat(text, "inactive_file", &value);
		cgroup_parse_number(text, &value);
		cgroup_below(text, "/");
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
	FILE *f;

	put("group/victim", "precious");
	put("group/memory.high", "4096");
	snprintf(path, sizeof(path), "%s/group/memory.pressure", root);
	check(!symlink("victim", path));
	snprintf(path, sizeof(path), "%s/group/memory.max", root);
	check(!mkfifo(path, 0600));
	snprintf(path, sizeof(path), "%s/group", root);
	check(!cgroup_read(path, "memory.max", text, sizeof(text)));
	check(!cgroup_read(path, "memory.pressure", text, sizeof(text)));
	check(cgroup_read(path, "memory.high", text, sizeof(text)));
	/* By way of the client's root only files of a cgroup count, which this is not. */
	snprintf(foreign, sizeof(foreign), "/proc/%d/root%s", getpid(), path);
	check(!cgroup_read(foreign, "memory.high", text, sizeof(text)));
	check(cgroup_open(foreign, "memory.high", O_RDWR) < 0);
	alarm_open(&alarm, path, 2);
	alarm_close(&alarm);
	alarm_open(&alarm, foreign, 2);
	alarm_close(&alarm);
	snprintf(path, sizeof(path), "%s/group/victim", root);
	f = fopen(path, "r");
	check(f && fgets(text, sizeof(text), f) && !strcmp(text, "precious"));
	if (f)
		fclose(f);
	end("files that a client has put there");
}

int main(int argc, char **argv)
{
	random_state = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) << 20 | 1;
	ksft_print_header();
	ksft_print_msg("seed %#llx\n", (unsigned long long)random_state);
	ksft_set_plan(8);
	strcpy(root, "/tmp/test_cgroup.XXXXXX");
	if (!mkdtemp(root))
		ksft_exit_fail_msg("%s: %s\n", root, strerror(errno));
	test_numbers();
	test_membership();
	test_v2();
	test_levels();
	test_v1();
	test_elsewhere();
	test_false_files();
	test_broken();
	rmdir(root);
	ksft_finished();
}
