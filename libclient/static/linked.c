// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * linked.c - the C library's own functions in a program that is linked statically
 *
 * This file is only in libtricolor.a.  A static program can't look a function up by its name.  So
 * this table has what the linker has found under the names of names.h.  The references are weak,
 * because a program may also be linked with this archive and the shared C library.  The shared one
 * lacks some of these names, and functions can be looked up in it.
 */
#include <stdint.h>
#include <string.h>

#include "../base/real.h"

#define X(function, other, member) extern char other[] __attribute__((weak));
#include "names.h"
#undef X
extern unsigned int __nptl_nthreads __attribute__((weak));
extern const uint32_t _thread_db_pthread_specific[] __attribute__((weak));
extern const uint32_t _thread_db_sizeof_pthread_key_data_level2[] __attribute__((weak));
extern char __pthread_get_minstack[] __attribute__((weak));
extern const char tri_static_members;

static const struct {
	const char *name;
	void *at;
} linked[] = {
#define X(function, other, member) { #function, other },
#include "names.h"
#undef X
	{ "__nptl_nthreads", &__nptl_nthreads },
	{ "_thread_db_pthread_specific", (void *)_thread_db_pthread_specific },
	{ "_thread_db_sizeof_pthread_key_data_level2",
	  (void *)_thread_db_sizeof_pthread_key_data_level2 },
	{ "__pthread_get_minstack", __pthread_get_minstack },
};

/* This name is in libc.a only. */
bool tri_is_static(void)
{
	/* The reference makes the linker take members.o, which asks for the members of names.h. */
	__asm__ volatile("" : : "r"(&tri_static_members));
	return __pthread_create_2_1 != NULL;
}

void *tri_linked(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(linked) / sizeof(linked[0]); i++)
		if (!strcmp(linked[i].name, name))
			return linked[i].at;
	return NULL;
}
