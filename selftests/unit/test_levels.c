// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_levels.c - files that clients send, and who may count with whom
 *
 * In control groups of its own, v1 or v2; where none can be made it skips with the reason.
 */
#include <sys/mman.h>

#include "daemon/clients/claim.h"
#include "lib/groups.h"
#include "kselftest.h"
#include "daemon/limits/levels.h"

static struct test_group outer, inner, other;
static struct levels levels = { .limits_fd = -1 };

static int open_in(const struct test_group *g, const char *v1, const char *v2, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", g->dir, g->version == 2 ? v2 : v1);
	return open(path, flags | O_CLOEXEC);
}

static int limit_of(const struct test_group *g)
{
	return open_in(g, "memory.limit_in_bytes", "memory.max", O_RDONLY);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* A claim of @n files that are said to be @what; their descriptors are in @fds. */
static struct claim *claim_of(const int *fds, const uint8_t *what, size_t n)
{
	struct tri_hello h = { .pid = 7, .host = "pod\n1" };
	int arena;

	memcpy(h.fds, what, n);
	return claim_new(&h, fds, n, &arena);
}

/* The level of a client that claims to be in @a, and that to be in @b. */
static struct level *claimed(const struct test_group *a, const struct test_group *b, int64_t owner)
{
	int fds[2] = { limit_of(a), limit_of(b) };
	uint8_t what[2] = { TRI_FD_LIMIT, TRI_FD_LIMIT + TRI_FD_LEVEL };
	struct claim *c = claim_of(fds, what, 2);
	struct level *l = levels_claimed(&levels, c, owner);

	claim_free(c);
	return l;
}

static void test_claims(void)
{
	int memfd = memfd_create("no-cgroup", MFD_CLOEXEC),
	    path = open_in(&inner, "memory.stat", "memory.stat", O_PATH),
	    writer = open_in(&inner, "memory.force_empty", "memory.max", O_WRONLY);
	int fds[] = { memfd,	       limit_of(&inner), path,
		      writer,	       limit_of(&inner), limit_of(&inner),
		      limit_of(&inner) };
	uint8_t what[] = { TRI_FD_USE,	 TRI_FD_LIMIT,	TRI_FD_STAT,	TRI_FD_HIGH,
			   TRI_FD_LIMIT, TRI_FD_EVENTS, TRI_FD_PRESSURE };
	struct claim *c;
	int i, left = 0;

	for (i = 0; i < 7; i++)
		if (!is_open(fds[i]))
			ksft_exit_fail_msg("file %d: %s\n", i, strerror(errno));
	c = claim_of(fds, what, 7);
	for (i = 0; i < 7; i++)
		left += is_open(fds[i]);
	ksft_test_result(
		c && c->levels == 1 && c->level[0].fd[TRI_FD_LIMIT] == fds[1] && left == 1,
		"what is no file of a cgroup, can't be read, is there already or is something else is closed\n");
	ksft_test_result(c && !strcmp(c->host, "pod?1"), "texts are clean\n");
	claim_free(c);
	ksft_test_result(!is_open(fds[1]), "and all is closed in the end\n");
}

static void test_owners(void)
{
	struct level *a = claimed(&inner, &outer, 1000), *b = claimed(&inner, &outer, 1000),
		     *c = claimed(&inner, &outer, 1001);
	struct tri_cgroup cg = { .version = inner.version };
	struct level *found;

	strcpy(cg.dir, inner.dir);
	cg.mount_len = strlen(outer.dir);
	found = levels_at(&levels, &cg);
	ksft_test_result(a && a == b && levels_seen(a) == 2,
			 "clients of one user share what they claim\n");
	ksft_test_result(c && c != a && c->parent != a->parent && levels_same(a, c),
			 "those of two do not\n");
	ksft_test_result(found && found != a && found->owner == LEVEL_OURS &&
				 levels_same(a, found) && levels_seen(found) == 2,
			 "nor do they with those that we have found\n");
}

/* A liar: it says that the outer group is in the inner one, and that a group is in itself. */
static void test_loops(void)
{
	struct level *a = claimed(&inner, &outer, 2000), *b = claimed(&outer, &inner, 2000),
		     *c = claimed(&other, &other, 2000);
	struct level_limit limits[LEVEL_LIMITS];

	ksft_test_result(a && b == a->parent && levels_seen(a) == 2 && levels_seen(b) == 1,
			 "no way leads in a circle\n");
	ksft_test_result(c && levels_seen(c) == 1 && levels_limits(c, limits, LEVEL_LIMITS) <= 1,
			 "nor from a group to itself\n");
}

/* Of a group in another one. */
static void test_limits(void)
{
	struct level *l = claimed(&inner, &outer, 4000);
	struct level_limit limits[LEVEL_LIMITS];

	if (!group_limit(&outer, 64 << 20) || !group_limit(&inner, 32 << 20) || !l)
		ksft_exit_fail_msg("%s\n", group_why());
	ksft_test_result(levels_limits(l, limits, LEVEL_LIMITS) == 2 &&
				 limits[0].limit_bytes == 32 << 20 && limits[0].level == l &&
				 limits[1].limit_bytes == 64 << 20 && limits[1].level == l->parent,
			 "a larger limit further up counts as well\n");
	if (!group_limit(&outer, 16 << 20))
		ksft_exit_fail_msg("%s\n", group_why());
	ksft_test_result(levels_limits(l, limits, LEVEL_LIMITS) == 1 &&
				 limits[0].limit_bytes == 16 << 20 && limits[0].level == l->parent,
			 "and where that is the smaller one it is all\n");
}

static void test_many(void)
{
	char name[32];
	struct test_group g;
	unsigned int i, n = 0;
	struct level *l;

	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "many-%u", i);
		if (!group_make_in(&g, &outer, name))
			ksft_exit_fail_msg("%s\n", group_why());
		n += claimed(&g, &g, 3000) != NULL;
		group_remove(&g);
	}
	ksft_test_result(n == 128, "a user can't have all our descriptors: %u of 200\n", n);
	for (l = levels.first; l; l = l->next)
		l->used = false;
	levels_tidy(&levels);
	ksft_test_result(!levels.first, "those that nobody uses are let go of\n");
}

int main(void)
{
	ksft_print_header();
	if (!group_make(&outer, "memory", "levels") ||
	    !group_make(&other, "memory", "levels-other") ||
	    !group_make_in(&inner, &outer, "inner"))
		ksft_exit_skip("%s\n", group_why());
	ksft_set_plan(12);
	test_claims();
	test_owners();
	test_loops();
	test_limits();
	test_many();
	group_remove(&inner);
	group_remove(&outer);
	group_remove(&other);
	ksft_finished();
}
