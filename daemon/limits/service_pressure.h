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

/** Decode base64.  Returns the number of bytes; -1: @text is no base64, or more than @room. */
int service_pressure_decode(const char *text, void *data, size_t room);

/**
 * Begin to watch what the environment names.  @p: what to poll; its fd is negative if that is
 * nothing.
 */
void service_pressure_open(struct pollfd *p);

/** To be called after poll().  Returns whether memory is short. */
bool service_pressure_signalled(struct pollfd *p);

/** How long poll() may wait at most, in ms; -1: as long as it likes. */
int service_pressure_timeout(void);

#endif
