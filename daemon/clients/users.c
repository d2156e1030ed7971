// SPDX-License-Identifier: GPL-2.0-only
/* users.c - counting what each user has of this collector: see users.h */
#include "users.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/system/held.h"

#define GUEST_USERS 256			/* users that may have guests at the same time */
#define ADDRESS_BYTES (1ull << 47)
#define PARTS 2				/* a user may have half of descriptors and addresses */

struct user {
	struct user *next;
	uid_t uid;
	unsigned int guests, clients;
	uint64_t bytes;			/* of arenas */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct user *first;		/* users that have a guest or a client */
static unsigned int guest_users;

bool users_is_nobody(uid_t uid)
{
	static _Atomic(int64_t) overflow = -1;
	int64_t known = atomic_load(&overflow);
	FILE *f;
	unsigned int n = 65534;

	if (known < 0) {
		f = fopen("/proc/sys/kernel/overflowuid", "re");
		if (f && fscanf(f, "%u", &n) != 1)
			n = 65534;
		if (f)
			fclose(f);
		atomic_store(&overflow, known = n);
	}
	return uid == (uid_t)known;
}

static struct user *find(uid_t uid)
{
	struct user *u;

	for (u = first; u && u->uid != uid; u = u->next)
		;
	return u;
}

/* NULL: no memory. */
static struct user *find_or_make(uid_t uid)
{
	struct user *u;

	tri_assert_held(&lock);
	u = find(uid);
	if (u)
		return u;
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	u->uid = uid;
	u->next = first;
	first = u;
	return u;
}

static void free_unused(struct user *u)
{
	struct user **p;

	tri_assert_held(&lock);
	if (u->guests || u->clients)
		return;
	for (p = &first; *p != u; p = &(*p)->next)
		;
	*p = u->next;
	free(u);
}

bool users_guest_enter(uid_t uid, unsigned int most)
{
	struct user *u;
	bool ok = false;

	pthread_mutex_lock(&lock);
	u = find_or_make(uid);
	if (u) {
		ok = (u->guests || guest_users < GUEST_USERS) && (u->guests < most || uid == 0);
		guest_users += ok && !u->guests;
		u->guests += ok;
		free_unused(u);
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

void users_guest_leave(uid_t uid)
{
	struct user *u;

	pthread_mutex_lock(&lock);
	u = find(uid);
	assert(u && u->guests);
	if (u) {
		u->guests--;
		guest_users -= !u->guests;
		free_unused(u);
	}
	pthread_mutex_unlock(&lock);
}

bool users_client_enter(uid_t uid, uint64_t bytes)
{
	struct rlimit files = { RLIM_INFINITY, RLIM_INFINITY };
	bool all = uid == 0 || uid == geteuid(), ok = false;
	struct user *u;

	getrlimit(RLIMIT_NOFILE, &files);
	pthread_mutex_lock(&lock);
	u = find_or_make(uid);
	if (u) {
		ok = all || (u->clients < files.rlim_cur / USERS_CLIENT_FILES / PARTS &&
			     u->bytes + bytes <= ADDRESS_BYTES / PARTS);
		u->clients += ok;
		u->bytes += ok ? bytes : 0;
		free_unused(u);
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

void users_client_leave(uid_t uid, uint64_t bytes)
{
	struct user *u;

	pthread_mutex_lock(&lock);
	u = find(uid);
	assert(u && u->clients && u->bytes >= bytes);
	if (u) {
		u->clients--;
		u->bytes -= bytes;
		free_unused(u);
	}
	pthread_mutex_unlock(&lock);
}
