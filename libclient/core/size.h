/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* size.h - numbers as people write them in variables, files and arguments */
#ifndef TRI_CORE_SIZE_H
#define TRI_CORE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#define TRI_GC_PERCENT_MAX 1000000

/** A number of bytes: digits, then nothing, B, KiB, MiB, GiB or TiB; at most INT64_MAX. */
bool tri_parse_bytes(const char *text, uint64_t *bytes);

/** A size above 0, "auto": 0, or "off": INT64_MAX; as TRI_LIMIT_* of tricolor.h. */
bool tri_parse_limit(const char *text, int64_t *bytes);

/** A percentage from 0 to TRI_GC_PERCENT_MAX, or "off": -1. */
bool tri_parse_percent(const char *text, int32_t *percent);

#endif
