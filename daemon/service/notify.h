/* SPDX-License-Identifier: GPL-2.0-only */
/* notify.h - telling the service manager how we are */
#ifndef TRICOLOR_NOTIFY_H
#define TRICOLOR_NOTIFY_H

/**
 * Send lines of the sd_notify(3) protocol, such as "READY=1\nSTATUS=listening", to $NOTIFY_SOCKET.
 * Without that variable nobody listens, and nothing is sent.
 */
void notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** Send RELOADING=1 with the time that the protocol wants.  READY=1 then says that it is over. */
void notify_reloading(void);

#endif
