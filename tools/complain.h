/* SPDX-License-Identifier: GPL-2.0-only */
/* complain.h - error messages of tricolor(1) */
#ifndef TRICOLOR_COMPLAIN_H
#define TRICOLOR_COMPLAIN_H

/**
 * Write "tricolor: ", the message and a newline to standard error, as one unit.  Returns 1, for an
 * exit status.
 */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
