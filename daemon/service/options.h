/* SPDX-License-Identifier: GPL-2.0-only */
/* options.h - tricolord's command line */
#ifndef TRICOLOR_OPTIONS_H
#define TRICOLOR_OPTIONS_H

#include <stdbool.h>

#include "daemon/process/config.h"

/* Its strings are those of argv, or static. */
struct options {
	const char *config;		/* NULL: CONFIG_FILE, which need not exist */
	const char *settings[CONFIG_KEYS];	/* values that win over the files; NULL: none */
	int private_fd;			/* the client to serve; -1: this is a shared one */
	int until_fd;			/* ends the process at its end; -1: a signal does */
	bool dry_run, no_control;
};

/** Read the command line.  A mistake, --help and --version end the process. */
void options_parse(struct options *o, int argc, char **argv);

/** Read the files, and put the command line over them.  False: the log says what is wrong. */
bool options_config(const struct options *o, struct config *c);

#endif
