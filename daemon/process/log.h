/* SPDX-License-Identifier: GPL-2.0-only */
/* log.h - the daemon's log: lines on standard error */
#ifndef TRICOLOR_LOG_H
#define TRICOLOR_LOG_H

enum log_level {
	LOG_ERROR,			/* the collector can't do what it is for */
	LOG_WARNING,			/* something is wrong with a client or a setting */
	LOG_INFO,			/* what an administrator wants to know; the default */
	LOG_DEBUG,			/* what clients do, such as a request that is refused */
};

/** Drop lines of a level above @level from now on.  Any thread. */
void log_set_level(enum log_level level);

/**
 * Print "tricolord: " and a line, in one write.  Any thread.  Lines that come too fast are left
 * out, and a later line says how many these were.  Errors are never left out, and at LOG_DEBUG
 * nothing is.
 */
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Have @copy called with each line that is printed, without the newline; NULL: no more. */
void log_copy_to(void (*copy)(enum log_level level, const char *line));

#define log_error(...)	log_at(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_line(...)	log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	log_at(LOG_DEBUG, __VA_ARGS__)

#endif
