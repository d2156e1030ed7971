// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * real.c - where the C library's own definition of a function is
 *
 *  1. The next definition after ours in lookup order.  That need not be the C library's: another
 *     library may stand between us, and calls the next one in its turn.
 *  2. There is none if the C library comes before us, as in a program that links only a library
 *     which uses this one.  Then it is looked up in the C library itself.
 *
 *  3. In a program that is linked statically it is where the linker has put it: static/linked.c.
 *
 * Whoever calls a function for which none of these finds anything gets a sentence and an abort, and
 * the heap does not start.
 */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <gnu/lib-names.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attributes.h"
#include "real.h"

extern struct tri_real *const __start_tri_real[] TRI_HIDDEN;
extern struct tri_real *const __stop_tri_real[] TRI_HIDDEN;

/* Called in place of a function that nobody has. */
static void absent(void)
{
	static const char text[] =
		"tricolor: a function of the C library was called that it does not have; "
		"tri_init() would say which\n";

	if (syscall(SYS_write, 2, text, sizeof(text) - 1) < 0)
		abort();
	abort();
}

/*
 * The C library, wherever it is in lookup order.  Whoever links statically links no dlopen() for
 * this.
 */
static void *libc(void)
{
	void *(*open)(const char *name, int flags) =
		(__typeof__(open))dlsym(RTLD_DEFAULT, "dlopen");

	return open ? open(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD) : NULL;
}

static void *in_libc(const char *name)
{
	void *handle = libc();

	return handle ? dlsym(handle, name) : NULL;
}

static bool is_static(void)
{
	return tri_is_static && tri_is_static();
}

void *tri_libc_private(const char *name)
{
	void *handle;

	if (is_static())
		return tri_linked(name);
	handle = libc();
	return handle ? dlvsym(handle, name, "GLIBC_PRIVATE") : NULL;
}

void *tri_real_find(struct tri_real *real)
{
	void *fn = is_static() ? tri_linked(real->name) : dlsym(RTLD_NEXT, real->name);

	/* In front of what has no other name nothing of ours stands there. */
	if (!fn)
		fn = is_static() ? real->named : in_libc(real->name);
	if (!fn)
		fn = (void *)absent;
	__atomic_store_n(&real->fn, fn, __ATOMIC_RELAXED);
	return fn;
}

/* There is an entry for each name that is asked for: its REAL() is in this library. */
static struct tri_real *entry_of(const char *name)
{
	struct tri_real *const *at = __start_tri_real;

	while (strcmp((*at)->name, name)) {
		at++;
		assert(at < __stop_tri_real);
	}
	return *at;
}

void *tri_real_of(const char *name)
{
	struct tri_real *real = entry_of(name);
	void *fn = __atomic_load_n(&real->fn, __ATOMIC_RELAXED);

	return fn ? fn : tri_real_find(real);
}

bool tri_real_is_in_front(const char *name)
{
	struct tri_real *real = entry_of(name);
	struct dl_find_object named, own;

	if (is_static())
		return real->named != tri_real_of(name);
	return !_dl_find_object(real->named, &named) && !_dl_find_object(real, &own) &&
	       named.dlfo_link_map == own.dlfo_link_map;
}

/* Before there can be a handler that needs one of them. */
__attribute__((constructor)) static void find_all(void)
{
	struct tri_real *const *at;

	for (at = __start_tri_real; at < __stop_tri_real; at++)
		if (!__atomic_load_n(&(*at)->fn, __ATOMIC_RELAXED))
			tri_real_find(*at);
}

const char *tri_real_missing(void)
{
	struct tri_real *const *at;

	find_all();
	for (at = __start_tri_real; at < __stop_tri_real; at++)
		if (__atomic_load_n(&(*at)->fn, __ATOMIC_RELAXED) == (void *)absent)
			return (*at)->name;
	return NULL;
}
