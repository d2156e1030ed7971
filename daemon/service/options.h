/* SPDX-License-Identifier: GPL-2.0-only */
/* options.h - tricolord's command line */
#ifndef TRICOLOR_OPTIONS_H
#define TRICOLOR_OPTIONS_H

#include <stdbool.h>

#include "daemon/process/config.h"

/* Lives as long as the process; its strings are argv's. */
struct options {
	const char *config;		/* NULL: CONFIG_FILE, which need not exist */
	const char *settings[CONFIG_KEYS];	/* values that win over the files; NULL: none */
	int private_fd;			/* -1: shared */
	int until_fd;			/* -1: until a signal */
	bool dry_run, no_control;
};

/** Read the command line.  Does not return for a mistake, --help or --version. */
void options_parse(struct options *o, int argc, char **argv);

/** Files, and the command line over them.  False: the log says what is wrong. */
bool options_config(const struct options *o, struct config *c);

#endif
