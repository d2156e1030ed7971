/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* object.h - what the loader and the kernel have mapped: objects.c, mappings.c, ranges.c */
#ifndef TRI_OBJECT_H
#define TRI_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/attributes.h"

struct tri_range {
	uintptr_t lo, hi;
};

/* The array is mapped memory, never malloc()'s. */
struct tri_ranges {
	struct tri_range *range;
	size_t n, room;
};

/**
 * Make a larger array with the first @n elements of @old, of @bytes bytes each, and unmap @old,
 * which has room for *@room.  NULL: there is no memory, and nothing has changed.
 */
void *tri_array_grow(void *old, size_t *room, size_t bytes, size_t n) TRI_HIDDEN;
bool tri_ranges_put(struct tri_ranges *r, uintptr_t lo, uintptr_t hi) TRI_HIDDEN;

/* ---- objects.c ---- */

struct tri_object_location {
	uintptr_t bias;			/* l_addr: what is added to its addresses */
	uintptr_t dynamic;		/* l_ld: its dynamic section */
};

/** Where the object of the link map at @map lies.  False: there is none.  Async-signal-safe. */
bool tri_object_location(uintptr_t map, struct tri_object_location *place) TRI_HIDDEN;

/** The size of the object's thread-local variables.  False: unreadable.  Async-signal-safe. */
bool tri_object_tls_bytes(const struct tri_object_location *place, size_t *bytes) TRI_HIDDEN;

/**
 * Agent: find the writable segments of all objects but this library.  False: they can't be known,
 * as there is no memory, or an object can't be read, or the loader's list has changed all the time
 * for some 100 ms.
 */
bool tri_objects_segments(struct tri_ranges *into) TRI_HIDDEN;

/** Agent: whether @at is in a segment of the main program, which is never unloaded. */
bool tri_object_is_program(uintptr_t at) TRI_HIDDEN;

/**
 * Agent: call @fn for each note segment of each object, at [@at, @at + @bytes), until it returns
 * false.  If it does, the name of that object's file is put into @file, which has @room bytes.  If
 * not, @file is empty.  If nothing was loaded or unloaded since the last call that went through all
 * objects, @fn is not called.  False: the objects can't be known, as in tri_objects_segments().
 */
bool tri_objects_notes(bool (*fn)(uintptr_t at, size_t bytes), char *file, size_t room) TRI_HIDDEN;

/**
 * Agent: find the file and bias of the object that @at is in, as it was at the last
 * tri_objects_segments().  False: it is in none, or the object can't be read.
 */
bool tri_object_find(uintptr_t at, char *file, size_t room, uintptr_t *bias) TRI_HIDDEN;

/* ---- mappings.c; agent ---- */

enum tri_mapping_kind {
	TRI_MAPPING_OTHER,
	TRI_MAPPING_PRIVATE,		/* private and anonymous */
	TRI_MAPPING_SHMEM,		/* shared, of the kernel's own tmpfs: anonymous, a memfd
					 * or SysV */
};

/** Read /proc/self/maps.  False if that can't be done. */
bool tri_mappings_read(void) TRI_HIDDEN;

/**
 * Find the mapping that @at was in at the last tri_mappings_read().  It ends at *@hi.  False: it
 * was in none.
 */
bool tri_mapping_at(uintptr_t at, enum tri_mapping_kind *kind, uintptr_t *hi) TRI_HIDDEN;

/**
 * @at is in a mapping of a file.  Returns the nearest mapping below @at that begins at the start of
 * that file; 0: there is none.
 */
uintptr_t tri_mapping_file_start(uintptr_t at) TRI_HIDDEN;

#endif
