/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* root_memory.h - memory of tri_root_alloc(): its end, and fork() */
#ifndef TRI_ROOT_MEMORY_H
#define TRI_ROOT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/attributes.h"

/** Bytes of the slot of @block; 0 if the block has a mapping of its own. */
size_t tri_root_block_bytes(void *block) TRI_HIDDEN;
/** Free @block, which is not NULL.  Keeps errno. */
void tri_root_block_free(void *block) TRI_HIDDEN;

/** For fork(): keep others from allocating and freeing.  False: not possible until @ns. */
bool tri_root_memory_hold(uint64_t ns) TRI_HIDDEN;
void tri_root_memory_release(void) TRI_HIDDEN;

/**
 * In a forked child.  @held: the parent's thread had tri_root_memory_hold().  Otherwise another
 * thread may have been changing the lists, so what was allocated until then is not used again when
 * it is freed.
 */
void tri_root_memory_reset(bool held) TRI_HIDDEN;

#endif
