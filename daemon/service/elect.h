/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * elect.h - private collectors that share a memory limit elect one of them, which splits it: see
 * elect.c
 */
#ifndef TRICOLOR_ELECT_H
#define TRICOLOR_ELECT_H

/**
 * Start the thread that takes part in elections, in a private collector, before its client is
 * served.  If it can't be started, the log says so, and the collector works alone.
 */
void elect_start(void);

#endif
