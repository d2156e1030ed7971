/* SPDX-License-Identifier: GPL-2.0-only */
/* stores.h - what TRICOLOR_DEBUG=barriers has written, with functions and lines */
#ifndef TRICOLOR_STORES_H
#define TRICOLOR_STORES_H

#include <json-c/json.h>
#include <stdio.h>

/**
 * Read the lines of @file (design/checker.md).  The caller puts what it gets:
 *
 *	{"processes": [{"pid", "program", "passes", "refused": null or why}],
 *	 "sites": [{"pid", "site", "count", "sure", "function", "file", "line", "module",
 *		    "vaddr", "slot", "old", "new", "why",
 *		    "frames": [{"function", "file", "line", "module", "vaddr"}]}]}
 *
 * What is not known is null.  NULL: no memory, or a line that is none of the library's, which was
 * said.
 */
json_object *stores_read(FILE *file);

/** The same for people, a line a site. */
void stores_show(json_object *stores, FILE *out);

#endif
