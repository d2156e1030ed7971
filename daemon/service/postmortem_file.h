/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * postmortem_file.h - the folder of post-mortems, and the files there: see postmortem_file.c
 */
#ifndef TRICOLOR_POSTMORTEM_FILE_H
#define TRICOLOR_POSTMORTEM_FILE_H

#include "postmortem_text.h"

/* Most that a file has, and most files that we make in a folder. */
#define POSTMORTEM_BYTES (64u << 10)
#define POSTMORTEM_FILES 256

/** Whether a folder is fit for it: 0, or an errno and in @why what to do. */
int postmortem_check(const char *dir, char why[static 160]);

/** Write a post-mortem into the folder of the configuration.  The log says what has come of it. */
void postmortem_put(const struct postmortem_facts *f, const struct client_end *e);

#endif
