/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * elect.h - private collectors that share a memory limit, and one of them that splits it: see
 * elect.c
 */
#ifndef TRICOLOR_ELECT_H
#define TRICOLOR_ELECT_H

/**
 * Start the thread that takes part in elections, in a private collector.  Before its client is
 * served.  If it can't be started the collector goes on without: the log says so.
 */
void elect_start(void);

#endif
