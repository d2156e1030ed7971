/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * service_pressure.h - what the service manager tells of memory pressure: see service_pressure.c
 *
 * All of it belongs to one thread.
 */
#ifndef TRICOLOR_SERVICE_PRESSURE_H
#define TRICOLOR_SERVICE_PRESSURE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What @text has in base64.  Returns the number of bytes; -1: it is none, or more than @room. */
int service_pressure_decode(const char *text, void *data, size_t room);

/**
 * Begin to watch, if the environment says what.  @p: what to poll; its fd is negative if there is
 * nothing.
 */
void service_pressure_open(struct pollfd *p);

/** After poll(): whether memory is short. */
bool service_pressure_signalled(struct pollfd *p);

/** How long poll() may wait at most, in ms; -1: no matter. */
int service_pressure_timeout(void);

#endif
