/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arguments.h - numbers and sizes on the command lines of the examples
 *
 * An invalid argument ends the program with a sentence that begins with @what.
 */
#ifndef EXAMPLES_ARGUMENTS_H
#define EXAMPLES_ARGUMENTS_H

#include <argp.h>
#include <stdint.h>

/* A whole number from @least to @most. */
uint64_t argument_number(struct argp_state *state, const char *what, const char *arg,
			 uint64_t least, uint64_t most);

/* Bytes, at least one and at most @most, with a suffix KiB, MiB or GiB or without. */
uint64_t argument_size(struct argp_state *state, const char *what, const char *arg, uint64_t most);

#endif
