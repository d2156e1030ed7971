/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * genl.h - events of the module's generic netlink family
 */
#ifndef TRICOLOR_GENL_H
#define TRICOLOR_GENL_H

/**
 * Listen to the module's events.  Returns a descriptor to poll for reading, or -1 if there are none
 * to be had: no module, another network namespace, or a daemon that was built without libnl-genl-3.
 */
int genl_open(void);

/** The descriptor is readable: handle what has come. */
void genl_read(void);

#endif
