// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_run_groups.c - where tricolor run finds room for a control group
 *
 *	inside		in a group of its caller's that has no limit: below it (v1), or beside it
 *			(v2, where groups with processes have no groups below them that are limited)
 *	limited		the same in a group with a limit: v2 has no place then, since beside it the
 *			limit would not hold
 *	nobody		no permission: it says so, and the collector alone keeps the limit
 *	hybrid		v1 has the memory controller, and v2, without it, is there as well
 */
#include "lib/groups.h"
#include "lib/served.h"

#define LIMIT "67108864"

static char tool[512];
static struct test_group group;

/* `tricolor run --memory-limit=64MiB` of a shell, from group @g, or ours. */
static struct output *run_in(const struct test_group *g, uid_t uid, const char *script)
{
	static const char enter[] = "[ -z \"$1\" ] || echo $$ >\"$1/cgroup.procs\"; "
				    "exec \"$2\" run -v --memory-limit=64MiB /bin/sh -c \"$3\"";
	char *const argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)enter, (char *)"sh",
			       (char *)(g ? g->dir : ""), tool, (char *)script, NULL };

	return run_as(uid, argv);
}

/* What is said about the group that was made; "": there is none. */
static const char *made(const struct output *o)
{
	static char dir[512];
	const char *at = strstr(o->err, "the limit is that of ");

	dir[0] = 0;
	if (at)
		snprintf(dir, sizeof(dir), "%.*s", (int)strcspn(at + 21, "\n"), at + 21);
	return dir;
}

/* Whether the program has said that it is in that group. */
static bool was_in(const struct output *o, const char *dir)
{
	const char *name = strrchr(dir, '/');

	return name && strstr(o->out, name);
}

/* What has become of it: its keeper may be slower than we are. */
static bool is_gone(const char *dir)
{
	return WAIT_FOR(access(dir, F_OK) && errno == ENOENT, 1000000, PATIENCE_NS);
}

static bool is_in(const char *dir, const char *parent)
{
	size_t len = strlen(parent);

	return !strncmp(dir, parent, len) && !strncmp(dir + len, "/tricolor-run-", 14) &&
	       !strchr(dir + len + 1, '/');
}

static const char *limit_script(void)
{
	return group.version == 2 ?
	       "cat /proc/self/cgroup; cat /sys/fs/cgroup$(sed -n 's/^0:://p' "
	       "/proc/self/cgroup)/memory.max" :
	       "cat /proc/self/cgroup; cat /sys/fs/cgroup/memory$(sed -n 's/.*:memory://p' "
	       "/proc/self/cgroup)/memory.limit_in_bytes";
}

static void skip(const char *what, unsigned int points)
{
	while (points--)
		ksft_test_result_skip("%s: %s\n", what, group_why());
}

static void test_inside(void)
{
	char parent[sizeof(group.dir)];
	struct output *o;

	if (!group_make(&group, "memory", "inside")) {
		skip("inside", 2);
		return;
	}
	snprintf(parent, sizeof(parent), "%s", group.dir);
	if (group.version == 2)
		*strrchr(parent, '/') = 0;
	o = run_in(&group, 0, limit_script());
	ksft_test_result(!o->status && is_in(made(o), parent) && was_in(o, made(o)) &&
				 strstr(o->out, "\n" LIMIT "\n"),
			 "inside: %s has the limit\n", made(o));
	if (o->status || !*made(o))
		show_output(o);
	ksft_test_result(*made(o) && is_gone(made(o)), "inside: and is gone\n");
	group_remove(&group);
}

static void test_limited(void)
{
	struct output *o;

	if (!group_make(&group, "memory", "limited") || !group_limit(&group, 256ull << 20)) {
		skip("limited", 2);
		return;
	}
	o = run_in(&group, 0, limit_script());
	if (group.version == 1) {
		ksft_test_result(!o->status && is_in(made(o), group.dir) && was_in(o, made(o)),
				 "limited: %s is below it\n", made(o));
		ksft_test_result(*made(o) && is_gone(made(o)), "limited: and is gone\n");
	} else {
		ksft_test_result(!o->status && !*made(o) &&
					 strstr(o->err, "the collector alone keeps the limit"),
				 "limited: it says that there is none\n");
		ksft_test_result(strstr(o->out, strrchr(group.dir, '/')) != NULL,
				 "limited: the program stays in its group\n");
	}
	if (o->status)
		show_output(o);
	group_remove(&group);
}

static void test_nobody(void)
{
	struct output *o;

	if (geteuid()) {
		ksft_test_result_skip("nobody: only root can become somebody else\n");
		return;
	}
	o = run_in(NULL, 65534, "echo went on");
	ksft_test_result(!o->status && !strcmp(o->out, "went on\n") && !*made(o) &&
				 strstr(o->err, "the collector alone keeps the limit"),
			 "nobody: it says so and goes on\n");
	if (o->status || *made(o))
		show_output(o);
}

/* v1 has the memory controller, and v2 is there too. */
static bool is_hybrid(void)
{
	return !access("/sys/fs/cgroup/memory", F_OK) &&
	       strstr(read_text("/proc/self/cgroup"), "\n0::/");
}

static void test_hybrid(void)
{
	struct output *o;

	if (!is_hybrid() || !group_make(&group, "memory", "hybrid")) {
		if (!is_hybrid())
			group_set_why("there is v1 or v2, not both");
		skip("hybrid", 2);
		return;
	}
	o = run_in(&group, 0, limit_script());
	ksft_test_result(!o->status && is_in(made(o), group.dir) && was_in(o, made(o)) &&
				 strstr(o->out, "\n" LIMIT "\n"),
			 "hybrid: %s has the limit\n", made(o));
	if (o->status || !*made(o))
		show_output(o);
	ksft_test_result(strstr(o->out, "0::/") && !strstr(strstr(o->out, "0::/"), "tricolor-run"),
			 "hybrid: v2 knows nothing of it\n");
	group_remove(&group);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(7);
	unsetenv("TRICOLOR_SOCKET");
	built_path("/bin/tricolor", tool, sizeof(tool));
	test_inside();
	test_limited();
	test_nobody();
	test_hybrid();
	ksft_finished();
}
