// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * abi.c - whether what was compiled into the program fits this library
 *
 * Each object file that was compiled with tricolor.h has a note that says which version of the
 * inline functions is in it (tricolor/inline.h).  An object with another version than this
 * library's stores pointers by other rules: objects that are in use would be freed.  The symbols
 * that the inline functions refer to carry the version too, so the linker and the loader refuse
 * such an object before it runs.  What is found here has passed them: notes that a compiler has
 * written, or objects that were linked by force.
 *
 *  - At the start nothing is allocated yet, and the heap is not made: tri_init() fails with
 *    ENOEXEC.
 *  - An object that comes later, by dlopen(), is seen when a cycle scans the roots, or when it
 *    ends, before anything is freed.  From then on nothing is collected, until it is unloaded.
 */
#include <elf.h>
#include <link.h>
#include <string.h>

#include "../../core/proto/version.h"
#include "abi.h"
#include "../base/error.h"
#include "object.h"
#include "scan.h"
#include "tricolor.h"

#define PIECE 4096			/* how much of a note segment is read at once */
#define LONGEST 64			/* no note of ours is longer, with its header */

static struct tri_abi_fault fault;
static bool found;

/*
 * Parts of a note begin at multiples of 4 bytes.  Only those of GNU properties, which are not ours,
 * begin at multiples of 8.
 */
static size_t padded(uint32_t bytes)
{
	return ((size_t)bytes + 3) & ~(size_t)3;
}

/*
 * Whether @note, of which @have bytes are there, is no reason to refuse its object.  It is one if
 * it names another version of the inline functions.
 */
static bool is_known(const char *note, size_t have)
{
	const ElfW(Nhdr) *header = (const ElfW(Nhdr) *)note;
	const char *owner = note + sizeof(*header);
	uint32_t version;

	if (header->n_namesz != sizeof(TRI__NOTE_OWNER) ||
	    have < sizeof(*header) + sizeof(TRI__NOTE_OWNER) ||
	    memcmp(owner, TRI__NOTE_OWNER, sizeof(TRI__NOTE_OWNER)))
		return true;
	/* This library need not know notes of ours of other types. */
	if (header->n_type != TRI__NOTE_INLINE)
		return true;
	if (header->n_descsz < sizeof(version) ||
	    have < sizeof(*header) + padded(header->n_namesz) + sizeof(version))
		version = 0;
	else
		memcpy(&version, owner + padded(header->n_namesz), sizeof(version));
	if (version == TRI__INLINE_VERSION)
		return true;
	fault.version = version;
	found = true;
	return false;
}

static bool check_notes(uintptr_t at, size_t bytes)
{
	_Alignas(8) char piece[PIECE];
	size_t off = 0, have = 0, from = 0;

	while (off < bytes && bytes - off >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note;

		/* Read on unless a whole note of ours, or the rest of the segment, is there. */
		if (off - from + LONGEST > have && from + have < bytes) {
			from = off;
			have = bytes - off < PIECE ? bytes - off : PIECE;
			if (!tri_read_foreign(piece, at + from, have))
				return true;
		}
		note = (const ElfW(Nhdr) *)(piece + off - from);
		if (!is_known(piece + off - from, have - (off - from)))
			return false;
		off += sizeof(*note) + padded(note->n_namesz) + padded(note->n_descsz);
	}
	return true;
}

bool tri_abi_check(const struct tri_abi_fault **f)
{
	bool known;

	found = false;
	known = tri_objects_notes(check_notes, fault.file, sizeof(fault.file));
	if (found && !fault.file[0])
		strcpy(fault.file, "the program");
	*f = found ? &fault : NULL;
	return known;
}

void tri_abi_complain(enum tri_complaint kind, bool say, const char *what_follows,
		      const struct tri_abi_fault *f)
{
	tri_complain(
		kind, say,
		"tricolor: %s was compiled for version %u of tricolor's inline functions, and this "
		"libtricolor (%s) knows version %u%s; compile it with the tricolor.h of this library, or use the "
		"library of that header",
		f->file, f->version, TRI_VERSION, TRI__INLINE_VERSION, what_follows);
}
