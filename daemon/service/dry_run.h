/* SPDX-License-Identifier: GPL-2.0-only */
/* dry_run.h - tricolord --dry-run: what tricolord would do, without doing it */
#ifndef TRICOLOR_DRY_RUN_H
#define TRICOLOR_DRY_RUN_H

#include "daemon/process/config.h"

/** Print @c, what it means on this machine, and what is missing.  Returns the exit status. */
int dry_run(const struct config *c);

#endif
