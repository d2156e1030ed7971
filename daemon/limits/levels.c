// SPDX-License-Identifier: GPL-2.0-only
/*
 * levels.c - the control groups that clients are in, and those above
 *
 *  1. For each group there is one set of open files, whichever of its clients has brought them.  A
 *     group is identified by device and inode of the file of its limit, which are the same in each
 *     namespace.
 *  2. There are two ways to a group.  We find it ourselves by the client's PID, which is a fact.
 *     Or the client has sent its files, which is only a claim.  Either way shows the groups above
 *     it up to some height, depending on namespaces.
 *  3. A claim counts among clients of the same user only: `owner` is a part of a group's identity.
 *     So a client that lies, and sends another group's files, shares that group's limit with other
 *     clients of its own user only, who could end it as well.  Clients that we have found in that
 *     group, and clients of other users, have accounts of their own.  There the memory of the
 *     client that lies is used by others, as if it had said nothing.
 *  4. A group has one parent as long as it is known.  The parent is found before its children, so
 *     no path leads back to where it began, whatever clients claim about which group is above
 *     which.
 *  5. A limit holds for all groups below.  A limit that is no larger than one further down makes
 *     that one superfluous, because more counts against it.  A larger limit may leave less room all
 *     the same, because of what else is in its group.  Of the groups above the highest one that is
 *     seen, version 1 tells the least limit, and version 2 nothing.
 *  6. inotify tells when a limit is written, by way of /proc/self/fd.  Without /proc nothing tells,
 *     and the watcher reads the limits by the clock (watch.c).
 */
#include "levels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alarm.h"

#define HEIGHT_MAX 64			/* levels of a group that we find; others are left out */
#define CLAIMED_MAX 128		/* groups that one user may claim, each of which has open files */

static bool identify(const struct tri_cgroup_files *f, dev_t *dev, ino_t *ino)
{
	int fd = f->fd[TRI_FD_LIMIT] >= 0 ? f->fd[TRI_FD_LIMIT] : f->fd[TRI_FD_STAT];
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return false;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return true;
}

static bool is_at_or_above(const struct level *above, const struct level *l)
{
	while (l && l != above)
		l = l->parent;
	return l;
}

/* The level with files @f, which are taken; NULL: it can't be identified, or no memory. */
static struct level *enter(struct levels *s, struct tri_cgroup_files *f, int64_t owner,
			   struct level *parent, const char *name)
{
	struct level *l = NULL;
	unsigned int owns = 0;
	dev_t dev;
	ino_t ino;

	if (!identify(f, &dev, &ino))
		goto drop;
	for (l = s->first; l; l = l->next) {
		if (l->dev == dev && l->ino == ino && l->owner == owner)
			break;
		owns += l->owner == owner;
	}
	if (l && !l->parent && parent && !is_at_or_above(l, parent))
		l->parent = parent;
	if (l || (owner != LEVEL_OURS && owns >= CLAIMED_MAX))
		goto drop;
	l = calloc(1, sizeof(*l));
	if (!l || !(l->name = strdup(name))) {
		free(l);
		l = NULL;
		goto drop;
	}
	l->dev = dev;
	l->ino = ino;
	l->owner = owner;
	l->parent = parent;
	l->files = *f;
	tri_cgroup_files_init(f);
	l->next = s->first;
	s->first = l;
	if (!alarm_on_limit(s->limits_fd, &l->files))
		s->must_poll = true;
	return l;
drop:
	tri_cgroup_files_close(f);
	return l;
}

struct level *levels_at(struct levels *s, const struct tri_cgroup *cg)
{
	struct level *l = NULL, *above = NULL;
	struct tri_cgroup_files f;
	size_t lengths[HEIGHT_MAX], n = 0;
	char dir[PATH_MAX];

	if (!cg->version)
		return NULL;
	strcpy(dir, cg->dir);
	do
		lengths[n++] = strlen(dir);
	while (n < HEIGHT_MAX && tri_cgroup_up(dir, cg->mount_len) &&
	       tri_cgroup_is_hierarchical(dir, cg->version));
	/* The highest comes first.  A group without files of memory is left out. */
	while (n--) {
		memcpy(dir, cg->dir, lengths[n]);
		dir[lengths[n]] = 0;
		tri_cgroup_files_open(&f, dir, cg->version);
		l = enter(s, &f, LEVEL_OURS, above, dir);
		above = l ? l : above;
	}
	return above;
}

/* The name of the group @up levels above that of the client. */
static void name_claim(const struct claim *c, unsigned int up, char *name, size_t room)
{
	char path[sizeof(c->cgroup)], *slash;
	unsigned int i;

	memcpy(path, c->cgroup, sizeof(path));
	for (i = 0; i < up; i++) {
		slash = strrchr(path, '/');
		if (slash)
			*slash = 0;
	}
	snprintf(name, room, "%s:%s", c->host[0] ? c->host : "client", path[0] ? path : "/");
}

struct level *levels_claimed(struct levels *s, struct claim *c, int64_t owner)
{
	struct level *l, *above = NULL;
	char name[256];
	unsigned int n;
	size_t kind;

	for (n = c ? c->levels : 0; n--;) {
		struct tri_cgroup_files f = c->level[n];

		/* The files of CPUs stay in the claim. */
		f.fd[TRI_FD_CPU] = f.fd[TRI_FD_CPU_PERIOD] = -1;
		for (kind = 0; kind < TRI_FD_CPU; kind++)
			c->level[n].fd[kind] = -1;
		name_claim(c, n, name, sizeof(name));
		l = enter(s, &f, owner, above, name);
		above = l ? l : above;
	}
	if (c)
		c->levels = 0;
	return above;
}

bool levels_same(const struct level *a, const struct level *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

unsigned int levels_seen(const struct level *l)
{
	unsigned int n = 0;

	for (; l; l = l->parent)
		n++;
	return n;
}

/* Add a limit that is further up than all before it. */
static size_t add_limit(struct level_limit *limits, size_t n, size_t room, uint64_t bytes,
			struct level *l, bool hidden)
{
	if (bytes == TRI_CGROUP_NONE)
		return n;
	while (n && limits[n - 1].limit_bytes >= bytes)
		n--;
	/* It is the largest one, and matters least. */
	if (n == room)
		return n;
	limits[n] = (struct level_limit){ bytes, l, hidden };
	return n + 1;
}

size_t levels_limits(struct level *l, struct level_limit *limits, size_t room)
{
	uint64_t above = tri_cgroup_files_limit_above(&l->files);
	size_t n = 0;

	for (;; l = l->parent) {
		n = add_limit(limits, n, room, tri_cgroup_files_limit(&l->files), l, false);
		if (!l->parent)
			break;
	}
	if (above != TRI_CGROUP_NONE && (!n || above < limits[0].limit_bytes))
		n = add_limit(limits, 0, room, above, l, true);
	return n;
}

void levels_tidy(struct levels *s)
{
	struct level **at = &s->first, *l;

	while ((l = *at)) {
		if (l->used) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		tri_cgroup_files_close(&l->files);
		free(l->name);
		free(l);
	}
}
