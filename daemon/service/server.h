/* SPDX-License-Identifier: GPL-2.0-only */
/* server.h - the life of a shared collector: see server.c */
#ifndef TRICOLOR_SERVER_H
#define TRICOLOR_SERVER_H

#include "daemon/process/config.h"
#include "options.h"

/** Block the signals that server_run() reads, before there are threads, which would get them. */
void server_block_signals(void);

/** Listen and serve until a signal says to stop.  Returns the exit status. */
int server_run(const struct options *o, struct config *c);

#endif
