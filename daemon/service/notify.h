/* SPDX-License-Identifier: GPL-2.0-only */
/* notify.h - telling the service manager how we are */
#ifndef TRICOLOR_NOTIFY_H
#define TRICOLOR_NOTIFY_H

/**
 * Send lines of the sd_notify(3) protocol, such as "READY=1\nSTATUS=listening", to $NOTIFY_SOCKET.
 * Nothing happens where there is none: nobody asked.
 */
void notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** RELOADING=1 with the time that the protocol wants beside it.  READY=1 ends it. */
void notify_reloading(void);

#endif
