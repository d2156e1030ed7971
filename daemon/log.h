/* SPDX-License-Identifier: GPL-2.0-only */
/* log.h - the daemon's log: lines on standard error */
#ifndef TRICOLOR_LOG_H
#define TRICOLOR_LOG_H

/** "tricolord: " and a line.  Thread-safe. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
