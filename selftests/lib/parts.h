/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * parts.h - a test program whose parts run in processes of their own
 *
 * A part starts with a heap that nothing has happened to, with its own TRICOLOR_DEBUG, and may
 * crash.  The program runs itself once for each, with the part's name as the first argument.
 */
#ifndef PARTS_H
#define PARTS_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"

#define CLOBBER "clobberfree"
#define PROBE "clobberfree,novmread"	/* without process_vm_readv() */

struct part {
	const char *name;
	bool (*run)(void);		/* true: passed; may exit(KSFT_SKIP) */
	const char *debug;		/* TRICOLOR_DEBUG */
	const char *what;
	void (*before)(void);		/* called in the new process before it executes the part;
					 * may be NULL */
	const char *argument;		/* a second argument, or NULL */
};

/** The rest of main(). */
int run_parts(const struct part *parts, unsigned int n, int argc, char **argv);

#endif
