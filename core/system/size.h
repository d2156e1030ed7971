/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * size.h - numbers as people write them in variables, files and arguments
 *
 * Programs disagree about what M means.  The kernel (memory.max), systemd, docker, podman, JVMs and
 * PostgreSQL read 64M as 64 x 1048576 bytes, Kubernetes and GNU's MB as 64 x 1000000.  Here a
 * letter always is a power of 1024, with or without i and B behind it: 64M, 64m, 64MB, 64Mi and
 * 64MiB are the same.  So what was copied from docker or systemd means what it meant there.  What
 * Kubernetes limits has a cgroup, whose limit holds anyway.  Kubernetes' m, a thousandth, makes no
 * sense for bytes and is not known here.
 */
#ifndef TRI_CORE_SIZE_H
#define TRI_CORE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#define TRI_GC_PERCENT_MAX 1000000

/* The forms that a size has, for messages that begin with "want". */
#define TRI_SIZE_FORMS "a size such as 512MiB, 64M or 1.5G (K, M, G and T are powers of 1024)"

/**
 * A number of bytes, at most INT64_MAX: digits, then nothing or B; or digits, which may have a
 * decimal point, then K, M, G or T, and then nothing, B, i or iB.  Case does not matter, and there
 * may be one blank before the unit.
 */
bool tri_parse_bytes(const char *text, uint64_t *bytes);

/** A size above 0, "auto": 0, or "off": INT64_MAX; as TRI_LIMIT_* of tricolor.h. */
bool tri_parse_limit(const char *text, int64_t *bytes);

/** What is wrong with a text that is no size, as a part of a sentence. */
const char *tri_size_mistake(const char *text);

/** A percentage from 0 to TRI_GC_PERCENT_MAX, or "off": -1. */
bool tri_parse_percent(const char *text, int32_t *percent);

#endif
