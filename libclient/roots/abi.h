/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* abi.h - whether what was compiled into the program fits this library */
#ifndef TRI_ABI_H
#define TRI_ABI_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/attributes.h"
#include "../base/error.h"

/** An object that does not fit. */
struct tri_abi_fault {
	uint32_t version;		/* of the inline functions in it; 0: its note is broken */
	char file[256];
};

/**
 * Agent: check the notes of all loaded objects, if any was loaded or unloaded since the last call.
 * *@fault becomes the first object that does not fit, valid until the next call, or NULL.  False:
 * the objects can't be known.
 */
bool tri_abi_check(const struct tri_abi_fault **fault) TRI_HIDDEN;

/** Agent: report @fault in a sentence.  @what_follows comes after the versions in it. */
void tri_abi_complain(enum tri_complaint kind, bool say, const char *what_follows,
		      const struct tri_abi_fault *fault) TRI_HIDDEN;

#endif
