// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * loader.c - locks of the dynamic loader over a fork()
 *
 * dl_iterate_phdr() takes the lock under which dlopen() and dlclose() change the list of objects,
 * and pthread_create() takes the lock of the table of thread-local storage.  If a child is forked
 * while another thread has one of them, the C library does not release it in the child.  No agent
 * could start there, and no C++ exception be thrown.  So fork() takes both, as the C library takes
 * those of malloc(), and in the child they are made free.  Before both it takes the lock that
 * dlopen() holds from beginning to end.  The C library releases that one in the child, but does
 * not mend what it protects: a child that is forked in the middle of another thread's dlopen()
 * can't load anything any more.
 *
 * The locks have no names, but lie side by side in _rtld_global.  The first is found by its owner,
 * from inside dl_iterate_phdr().  Since glibc 2.35 the second lies behind it, and the third before
 * it.  If they are not found so, none is taken.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "loader.h"

static pthread_mutex_t *list_lock, *tls_lock, *open_lock;
/*
 * How many of the three this thread holds.  It takes them in the order of nth(), as dlclose()
 * does.
 */
static __thread int held __attribute__((tls_model("initial-exec")));

struct room {
	char *start;
	size_t bytes;
};

static bool is_recursive(const pthread_mutex_t *m)
{
	return m->__data.__kind == PTHREAD_MUTEX_RECURSIVE_NP;
}

static int find(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct room *room = arg;
	pid_t self = gettid();
	size_t at;

	(void)info;
	(void)size;
	for (at = 0; at + 2 * sizeof(pthread_mutex_t) <= room->bytes; at += sizeof(void *)) {
		pthread_mutex_t *m = (pthread_mutex_t *)(room->start + at);

		if (!is_recursive(m) || m->__data.__owner != self || m->__data.__count != 1 ||
		    !m->__data.__lock)
			continue;
		list_lock = m;
		if (is_recursive(m + 1) && !m[1].__data.__owner && !m[1].__data.__lock &&
		    !m[1].__data.__count)
			tls_lock = m + 1;
		if (at >= sizeof(pthread_mutex_t) && is_recursive(m - 1))
			open_lock = m - 1;
		return 1;
	}
	return 1;
}

/** Find the locks.  Called before there is a second thread. */
void tri_loader_find(void)
{
	struct room room = { dlsym(RTLD_DEFAULT, "_rtld_global"), 0 };
	const ElfW(Sym) *symbol = NULL;
	Dl_info info;

	if (!room.start || !dladdr1(room.start, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol)
		return;
	room.bytes = symbol->st_size;
	dl_iterate_phdr(find, &room);
}

static pthread_mutex_t *nth(int n)
{
	return n == 0 ? open_lock : n == 1 ? tls_lock : list_lock;
}

/** Take all of the locks, or as many as can be had until @ns. */
void tri_loader_hold(uint64_t ns)
{
	struct timespec until = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	held = 0;
	if (!open_lock || !tls_lock || !list_lock)
		return;
	while (held < 3 && !pthread_mutex_clocklock(nth(held), CLOCK_MONOTONIC, &until))
		held++;
}

void tri_loader_release(void)
{
	while (held)
		pthread_mutex_unlock(nth(--held));
}

/*
 * Make a lock free in the child, where the thread that had it does not exist.  What that thread
 * left half done can't be mended.
 */
static void make_free(pthread_mutex_t *m)
{
	m->__data.__lock = 0;
	m->__data.__count = 0;
	m->__data.__owner = 0;
	m->__data.__nusers = 0;
}

void tri_loader_reset(void)
{
	/* The C library has released the lock of dlopen() by now. */
	if (list_lock)
		make_free(list_lock);
	if (tls_lock)
		make_free(tls_lock);
	held = 0;
}

static int count_unloads(struct dl_phdr_info *info, size_t size, void *n)
{
	(void)size;
	*(unsigned long long *)n = info->dlpi_subs;
	return 1;
}

/** How many objects have been unloaded.  False: that can't be known without waiting. */
bool tri_loader_unloads(unsigned long long *n)
{
	if (!list_lock || pthread_mutex_trylock(list_lock))
		return false;
	/* dl_iterate_phdr() takes the same lock, which is recursive. */
	dl_iterate_phdr(count_unloads, n);
	pthread_mutex_unlock(list_lock);
	return true;
}
