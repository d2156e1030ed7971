// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * headroom.c - what the control groups of this process may still take, before the kernel kills
 *
 *	headroom = limit - what is charged + file cache that the kernel can drop - margin
 *
 * for each group from the process's own upwards.  grant.c decides how much of it the heap may take.
 * Only the agent calls these functions, as the descriptors are in its own table.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../core/system/cgroup.h"
#include "../../core/system/cgroup_files.h"
#include "heaps.h"
#include "headroom.h"

#define MARGIN_PARTS 32
#define MARGIN_MIN_BYTES (1ll << 20)
#define MARGIN_MAX_BYTES (64ll << 20)
/* The same part as for the collectors' soft limit: see daemon/limits/snapshot.c. */
#define RESERVE_PARTS 10

/* A group that the process is in, from its own upwards. */
struct level {
	struct tri_cgroup_files files;
	uint64_t above_bytes;		/* the least limit of the groups above, seen or not; only
					 * of the first, with cgroups v1 */
	bool announced;			/* this heap was announced: heaps.c */
	bool slow;			/* counting heaps took too long, and is not done again */
};

static struct level levels[TRI_FD_LEVELS];
static size_t nlevels;

static void close_levels(struct level *l, size_t n)
{
	while (n--)
		tri_cgroup_files_close(&l++->files);
}

/* Open the groups' files.  False: they can't be known at this moment. */
static bool open_levels(void)
{
	static struct tri_cgroup cg;

	nlevels = 0;
	if (!tri_cgroup_find("", TRI_CGROUP_SELF, "memory", &cg))
		return cg.none;
	do {
		struct level *l = &levels[nlevels];
		bool opened = tri_cgroup_files_open(&l->files, cg.dir, cg.version);
		int err = errno;

		/* Where there is no limit now, there may be one later. */
		if (opened) {
			l->above_bytes =
				nlevels ? TRI_CGROUP_NONE : tri_cgroup_files_limit_above(&l->files);
			l->slow = false;
			l->announced = tri_heaps_announce(l->files.fd[TRI_FD_LIMIT]);
			nlevels++;
		} else {
			tri_cgroup_files_close(&l->files);
		}
		if (err)
			return false;
	} while (nlevels < TRI_FD_LEVELS && tri_cgroup_up(cg.dir, cg.mount_len) &&
		 tri_cgroup_is_hierarchical(cg.dir, cg.version));
	return true;
}

/**
 * Find the groups that the process is in.  The former ones are closed when the new ones are open,
 * so that this heap is counted at any moment.  If the new ones can't be known, the former ones
 * stay: a program may have used up its descriptors, or have changed to a root without /proc
 * (chroot()), and its limit still holds.
 */
void tri_headroom_find_groups(void)
{
	struct level was[TRI_FD_LEVELS];
	size_t n = nlevels;

	memcpy(was, levels, n * sizeof(levels[0]));
	if (open_levels() || !n) {
		close_levels(was, n);
		return;
	}
	close_levels(levels, nlevels);
	memcpy(levels, was, n * sizeof(levels[0]));
	nlevels = n;
}

/** In the child of a fork(): the descriptors are the parent's agent's. */
void tri_headroom_forget_groups(void)
{
	nlevels = 0;
}

/** How many groups there are. */
size_t tri_headroom_groups(void)
{
	return nlevels;
}

/* File cache that the kernel drops before it kills.  This does not include pages of a memfd. */
static uint64_t cache_bytes(const struct tri_cgroup_files *f)
{
	static const char *const keys[3][2] = {
		{ NULL },
		{ "total_inactive_file", "total_active_file" },
		{ "inactive_file", "active_file" },
	};
	uint64_t bytes, sum = 0;
	char text[8192];
	ssize_t n;
	int i;

	n = pread(f->fd[TRI_FD_STAT], text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	for (i = 0; i < 2; i++)
		if (tri_cgroup_parse_stat(text, keys[f->version][i], &bytes) &&
		    bytes != TRI_CGROUP_NONE)
			sum += bytes;
	return sum;
}

static int64_t margin(uint64_t limit)
{
	int64_t bytes = (int64_t)(limit / MARGIN_PARTS);

	return bytes < MARGIN_MIN_BYTES ? MARGIN_MIN_BYTES :
	       bytes > MARGIN_MAX_BYTES ? MARGIN_MAX_BYTES :
					  bytes;
}

/**
 * The headroom of group @i, counted from the process's own upwards.  False: it has no limit, or the
 * limit can't be read.
 */
bool tri_headroom_at(size_t i, struct tri_headroom *h)
{
	struct level *l = &levels[i];
	uint64_t limit = tri_cgroup_files_limit(&l->files),
		 used = tri_cgroup_files_charged(&l->files);

	if (l->above_bytes < limit)
		limit = l->above_bytes;
	if (limit == TRI_CGROUP_NONE || used == TRI_CGROUP_NONE)
		return false;
	h->margin = margin(limit);
	h->reserve = (int64_t)(limit / RESERVE_PARTS) - h->margin;
	h->bytes = (int64_t)limit - (int64_t)used - h->margin;
	h->heaps = l->announced ? tri_heaps_count(l->files.fd[TRI_FD_LIMIT], &l->slow) :
				  TRI_HEAPS_UNKNOWN;
	/* The kernel adds cache up over all groups below, so this is done only where it matters. */
	if (h->bytes < 2 * h->reserve)
		h->bytes += (int64_t)cache_bytes(&l->files);
	return true;
}
