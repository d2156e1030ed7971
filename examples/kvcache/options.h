/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h - the command line of kvcache
 */
#ifndef KVCACHE_OPTIONS_H
#define KVCACHE_OPTIONS_H

#include "kvcache.h"

/* Fill in @config from the command line.  An invalid command line ends the program. */
void options_parse(int argc, char **argv, struct config *config);

#endif
