/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * genl.h - events of the module's generic netlink family
 */
#ifndef TRICOLOR_GENL_H
#define TRICOLOR_GENL_H

/**
 * Listen to the module's events.  Returns a descriptor to poll for reading, or -1 if there are none
 * to be had: no module, or a daemon that was built without libnl-genl-3.  In a network namespace
 * other than the first these are the events of arenas that were made in it.
 */
int genl_open(void);

/** The descriptor is readable: handle what has come. */
void genl_read(void);

#endif
