/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * postmortem_file.h - the folder of post-mortems, and the files there: see postmortem_file.c
 */
#ifndef TRICOLOR_POSTMORTEM_FILE_H
#define TRICOLOR_POSTMORTEM_FILE_H

#include "postmortem_text.h"

/* The size that a file may have, and how many of them a folder may have. */
#define POSTMORTEM_BYTES (64u << 10)
#define POSTMORTEM_FILES 256

/** Check that files can be written to @dir.  Returns 0, or an errno and in @why what to do. */
int postmortem_check(const char *dir, char why[static 160]);

/** Write a post-mortem into the folder of the configuration.  The log says what has come of it. */
void postmortem_put(const struct postmortem_facts *f, const struct client_end *e);

#endif
