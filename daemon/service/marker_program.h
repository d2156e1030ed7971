/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * marker_program.h - the program that clients without one are lent
 *
 * A client whose container has no tricolord cannot start a marker by itself.  So a shared collector
 * hands it a descriptor of tricolor-marker, a static program, which the client executes.
 */
#ifndef TRICOLOR_MARKER_PROGRAM_H
#define TRICOLOR_MARKER_PROGRAM_H

/** Find and open the program, once, before there are threads. */
void marker_program_find(void);

/** Returns its path, or NULL if there is none. */
const char *marker_program_path(void);

/** Returns its descriptor, or -1 if there is none. */
int marker_program_fd(void);

#endif
