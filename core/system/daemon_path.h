/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daemon_path.h - where the collector's program is, unless TRICOLOR_DAEMON says */
#ifndef TRI_CORE_DAEMON_PATH_H
#define TRI_CORE_DAEMON_PATH_H

#include <stddef.h>

/** Where it was to be installed. */
const char *tri_daemon_installed(void);

/**
 * Where it is in the same tree as @file, which is in bin/ or lib/: ../sbin/tricolord from there.
 * Only the text is made, and no file is looked at.  Returns @path; NULL: @file names no folder, or
 * the text does not fit.
 */
const char *tri_daemon_beside(const char *file, char *path, size_t room);

#endif
