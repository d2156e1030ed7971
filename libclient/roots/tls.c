// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tls.c - what belongs to a thread beside its stack: thread-local variables, and the values of
 * pthread_setspecific()
 *
 * glibc tells debuggers where these are.  For each field that libthread_db needs, its data has a
 * description {bits, number, offset}, named _thread_db_STRUCT_FIELD.  So nothing here is a guess.
 *
 *  1. Static blocks belong to the objects that the program started with, and to some that came
 *     later.  They lie below the thread pointer, at a distance that the object's link map has
 *     (l_tls_offset).  All are scanned as one piece, from the farthest on.
 *  2. Other blocks are made when the thread first uses them.  The thread's vector (dtv) has their
 *     addresses, by the number of the module.  Their sizes are in the program headers of that
 *     module.
 *  3. Of the values of keys, 32 are in the thread's descriptor, and the others in up to 31 blocks
 *     of 32.
 *
 * A thread scans these itself, in the signal handler too.  For a thread that is blocked the agent
 * does.  No lock is taken, nothing is allocated, and no read can fault.  Only a thread itself
 * changes its vector and values, and it stands still.  Other threads change the list of modules.
 * But a module that the thread uses is not unloaded, and what is read about other modules is not
 * used, or leads to a scan of more than is needed.
 *
 * A handler may interrupt the C library while it moves the vector to a larger place, when the old
 * vector has been freed.  Its length is overwritten then, so the scan is not believed, and the
 * cycle is given up.
 *
 * Where the static blocks and the descriptor are part of the thread's stack, they have been scanned
 * with the stack.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "../../core/heap/layout.h"
#include "../base/error.h"
#include "object.h"
#include "../base/real.h"
#include "scan.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tls.h"
#include "tricolor.h"

#define STATIC_NONE 0ul			/* l_tls_offset: no static block */
#define STATIC_NEVER ~0ul
#define DTV_FIRST 15			/* entries that every vector has room for: DTV_SURPLUS and
					 * one */
#define DTV_MORE 64			/* the most modules that a vector has room for beyond those
					 * that there are */
#define SPECIFIC_BLOCKS 32
#define CACHED 256

/* An element of a vector.  learn_modules() checks that it is described so. */
struct dtv {
	uintptr_t value;		/* of [-1]: the length; of [0]: the generation; of a
					 * module: its block's address, or -1 */
	uintptr_t to_free;
};

/* Offsets in bytes.  Written when the heap starts, and read by any thread later. */
static struct {
	bool modules, values;			/* what points 2 and 3 need is known */
	uint32_t dtv;				/* of the vector, in the thread descriptor */
	uint32_t specific;			/* of the blocks of values, in the descriptor */
	uint32_t specific_bytes;		/* size of such a block */
	uint32_t list_len, list_next, list_slots;	/* in the list of modules, by number */
	uint32_t slot_bytes, slot_gen, slot_map;
	uint32_t map_offset;			/* of l_tls_offset, in a link map */
	uintptr_t list;				/* address of the first piece of the list of
						 * modules */
} at;

static intptr_t own_offset;		/* of tri__tls from the thread pointer, in every thread */
/* Written by any thread, and correct for generation @static_gen of the list of modules. */
static tri_au64 static_bytes;		/* how far below the thread pointer static blocks begin */
static tri_au32 some_dynamic;		/* there are modules without a static block */
static tri_au64 static_gen;

/* Sizes of modules' blocks: generation << 32 | units of 16 bytes.  Written by any thread. */
static tri_au64 cached[CACHED];

/* ------------------------------------------------------------------------------------------ */
/* Start                                                                                      */
/* ------------------------------------------------------------------------------------------ */

/* The offset of a field by its description.  False: there is none, or it has other @bits. */
static bool field(const char *name, uint32_t bits, uint32_t *offset)
{
	char symbol[80];
	const uint32_t *d;

	snprintf(symbol, sizeof(symbol), "_thread_db_%s", name);
	d = (const uint32_t *)tri_libc_private(symbol);
	if (!d || (bits && d[0] != bits))
		return false;
	*offset = d[2];
	return true;
}

static bool size_of(const char *name, uint32_t *bytes)
{
	char symbol[80];
	const uint32_t *d;

	snprintf(symbol, sizeof(symbol), "_thread_db_sizeof_%s", name);
	d = (const uint32_t *)tri_libc_private(symbol);
	if (!d)
		return false;
	*bytes = *d;
	return true;
}

static bool learn_values(void)
{
	return field("pthread_specific", 64 * SPECIFIC_BLOCKS, &at.specific) &&
	       size_of("pthread_key_data_level2", &at.specific_bytes);
}

static bool learn_modules(void)
{
	const char *rtld = (const char *)dlsym(RTLD_DEFAULT, "_rtld_global");
	uint32_t list, zero[3];

	if (!rtld || !field("rtld_global__dl_tls_dtv_slotinfo_list", 64, &list))
		return false;
	at.list = (uintptr_t)rtld + list;
	return field("pthread_dtvp", 64, &at.dtv) &&
	       field("dtv_dtv", 8 * sizeof(struct dtv), &zero[0]) && !zero[0] &&
	       field("dtv_t_counter", 64, &zero[1]) && !zero[1] &&
	       field("dtv_t_pointer_val", 64, &zero[2]) && !zero[2] &&
	       field("dtv_slotinfo_list_len", 64, &at.list_len) &&
	       field("dtv_slotinfo_list_next", 64, &at.list_next) &&
	       field("dtv_slotinfo_list_slotinfo", 0, &at.list_slots) &&
	       size_of("dtv_slotinfo", &at.slot_bytes) &&
	       field("dtv_slotinfo_gen", 64, &at.slot_gen) &&
	       field("dtv_slotinfo_map", 64, &at.slot_map) &&
	       field("link_map_l_tls_offset", 64, &at.map_offset);
}

/* A program that is linked statically has one block, which ends at the thread pointer. */
static int find_only_block(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	if (!info->dlpi_tls_data)
		return 0;
	*(uintptr_t *)arg = (uintptr_t)info->dlpi_tls_data;
	return 1;
}

/**
 * Learn what is needed.  Called when the heap starts.  Returns 0, or -ENOSYS if the C library does
 * not tell it.
 */
int tri_tls_init(void)
{
	uintptr_t tp = (uintptr_t)__builtin_thread_pointer(), block = tp;

	own_offset = (intptr_t)((uintptr_t)&tri__tls - tp);
	at.values = learn_values();
	if (tri_is_static && tri_is_static()) {
		dl_iterate_phdr(find_only_block, &block);
		tri_write(&static_bytes, tp - block);
	} else {
		at.modules = learn_modules();
		tri_tls_refresh();
	}
	if (!at.values || (!at.modules && !tri_read(&static_bytes)))
		return tri_fail(
			ENOSYS,
			"tricolor: this C library does not tell where thread-local variables "
			"are (the symbols _thread_db_*); glibc 2.35 or later is needed");
	return 0;
}

/** The thread pointer of the thread that has @tls. */
uintptr_t tri_tls_pointer(const struct tri__tls *tls)
{
	return (uintptr_t)tls - (uintptr_t)own_offset;
}

/**
 * The size of a stack that leaves @bytes to its thread.  The static blocks of all objects are put
 * on top of each new stack.
 */
size_t tri_tls_stack_bytes(size_t bytes)
{
	size_t (*minimum)(const pthread_attr_t *attr) =
		(__typeof__(minimum))tri_libc_private("__pthread_get_minstack");
	uintptr_t farthest = tri_read(&static_bytes);
	pthread_attr_t attr;

	if (minimum && !pthread_attr_init(&attr)) {
		bytes += minimum(&attr);
		pthread_attr_destroy(&attr);
	} else {
		/* The descriptor, and the C library's reserve for objects that come later. */
		bytes += farthest + (16ul << 10);
	}
	return (bytes + 4095) & ~4095ul;
}

/* ------------------------------------------------------------------------------------------ */
/* Modules                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/* Read a word of the list of modules, whose pieces are never freed or moved. */
static uintptr_t load(uintptr_t address)
{
	return __atomic_load_n((const uintptr_t *)address, __ATOMIC_ACQUIRE);
}

static uintptr_t slot_at(uintptr_t piece, size_t i)
{
	return piece + at.list_slots + i * at.slot_bytes;
}

/* The address of the slot of @module; 0: there is none. */
static uintptr_t find_slot(size_t module)
{
	uintptr_t piece;

	for (piece = load(at.list); piece; piece = load(piece + at.list_next)) {
		size_t len = load(piece + at.list_len);

		if (module < len)
			return slot_at(piece, module);
		module -= len;
	}
	return 0;
}

/* The newest generation of the list of modules.  *@room: how many it has room for. */
static uint64_t newest(size_t *room)
{
	uint64_t gen = 0, g;
	uintptr_t piece;
	size_t i;

	*room = 0;
	for (piece = load(at.list); piece; piece = load(piece + at.list_next)) {
		size_t len = load(piece + at.list_len);

		for (i = 0; i < len; i++) {
			g = load(slot_at(piece, i) + at.slot_gen);
			gen = g > gen ? g : gen;
		}
		*room += len;
	}
	return gen;
}

/**
 * Find out how far static blocks reach.  The generation is read before the modules.  So it is
 * theirs, or an older one, and then the next thread does this again.  Async-signal-safe.
 */
void tri_tls_refresh(void)
{
	uint64_t gen, farthest = 0, known;
	uintptr_t piece, map, offset;
	bool dynamic = false;
	size_t room, i;

	if (!at.modules)
		return;
	gen = newest(&room);
	for (piece = load(at.list); piece; piece = load(piece + at.list_next)) {
		for (i = 0; i < load(piece + at.list_len); i++) {
			map = load(slot_at(piece, i) + at.slot_map);
			if (!map || !tri_read_foreign(&offset, map + at.map_offset, sizeof(offset)))
				continue;
			if (offset == STATIC_NONE || offset == STATIC_NEVER)
				dynamic = true;
			else if (offset > farthest)
				farthest = offset;
		}
	}
	/* It never shrinks, since other objects get the place of one that is unloaded. */
	known = tri_read(&static_bytes);
	while (farthest > known && !atomic_compare_exchange_weak(&static_bytes, &known, farthest))
		;
	tri_write(&some_dynamic, dynamic);
	tri_write_release(&static_gen, gen);
}

/* The size of the block of @module, whose slot has generation @gen; 0: the module is gone. */
static size_t block_bytes(size_t module, uintptr_t slot, uint64_t gen)
{
	uintptr_t map = load(slot + at.slot_map);
	struct tri_object_location place;
	uint64_t known;
	size_t bytes;

	if (module < CACHED) {
		known = tri_read(&cached[module]);
		if (known && known >> 32 == (uint32_t)gen)
			return (known & 0xffffffff) * 16;
	}
	if (!map || !tri_object_location(map, &place) || !tri_object_tls_bytes(&place, &bytes)) {
		/* If it is being unloaded, nobody uses its variables. */
		if (load(slot + at.slot_map) != map || load(slot + at.slot_gen) != gen)
			return 0;
		tri_write(&tri_g.cycle_is_void, 1);
		return 0;
	}
	bytes = (bytes + 15) & ~15ul;
	if (module < CACHED && bytes / 16 <= UINT32_MAX && load(slot + at.slot_map) == map &&
	    load(slot + at.slot_gen) == gen)
		tri_write(&cached[module], (gen << 32) | bytes / 16);
	return bytes;
}

/* ------------------------------------------------------------------------------------------ */
/* The scan                                                                                   */
/* ------------------------------------------------------------------------------------------ */

struct tls_scan {
	struct tri_thread *to;
	uintptr_t tp;
	uintptr_t covered_lo, covered_hi;	/* what has been scanned already */
	bool own;				/* the thread scans itself */
	bool all;
};

/* Read from the thread's descriptor, which exists as long as the thread does. */
static bool get(const struct tls_scan *s, void *to, uintptr_t from, size_t bytes)
{
	if (!s->own)
		return tri_read_foreign(to, from, bytes);
	memcpy(to, (const void *)from, bytes);
	return true;
}

/*
 * Whether the thread has a descriptor.  The ABI demands that its first word is the thread pointer
 * itself.  A thread that is not attached may have been made by clone(), and have none.
 */
static bool is_descriptor(const struct tri_thread *t)
{
	uintptr_t word;

	return t->tls || (tri_read_foreign(&word, t->tp, sizeof(word)) && word == t->tp);
}

static void scan_block(const struct tls_scan *s, uintptr_t lo, uintptr_t hi)
{
	if (lo < s->covered_lo || hi > s->covered_hi)
		tri_scan_later(s->to, lo, hi, s->all, false);
}

/* Scan the block of @module at @block, which is in a vector of generation @gen. */
static void scan_module(const struct tls_scan *s, size_t module, uintptr_t block, uint64_t gen)
{
	uintptr_t slot;
	uint64_t slot_gen;
	size_t bytes;

	/* The block was not made yet, or it is a static one. */
	if (!block || block & 1 || (block < s->tp && block >= s->tp - tri_read(&static_bytes)))
		return;
	slot = find_slot(module);
	slot_gen = slot ? load(slot + at.slot_gen) : UINT64_MAX;
	/* The block is that of an object that has been unloaded. */
	if (slot_gen > gen)
		return;
	bytes = block_bytes(module, slot, slot_gen);
	scan_block(s, block, block + bytes);
}

static void scan_modules(const struct tls_scan *s, size_t room)
{
	struct dtv dtv[DTV_FIRST + 1];
	uintptr_t vector;
	uint64_t gen;
	size_t len, i, n;

	if (!get(s, &vector, s->tp + at.dtv, sizeof(vector)) || !vector)
		return;
	/* This reads from element -1 on. */
	if (!tri_read_foreign(dtv, vector - sizeof(dtv[0]), sizeof(dtv)) ||
	    dtv[0].value > room + DTV_MORE) {
		tri_write(&tri_g.cycle_is_void, 1);
		return;
	}
	len = dtv[0].value;
	gen = dtv[1].value;
	for (i = 1; i < DTV_FIRST && i <= len; i++)
		scan_module(s, i, dtv[i + 1].value, gen);
	for (; i <= len; i += n) {
		size_t k;

		n = len + 1 - i < DTV_FIRST ? len + 1 - i : DTV_FIRST;
		if (!tri_read_foreign(dtv, vector + i * sizeof(dtv[0]), n * sizeof(dtv[0]))) {
			tri_write(&tri_g.cycle_is_void, 1);
			return;
		}
		for (k = 0; k < n; k++)
			scan_module(s, i + k, dtv[k].value, gen);
	}
}

static void scan_specific(const struct tls_scan *s)
{
	uintptr_t block[SPECIFIC_BLOCKS];
	size_t i;

	if (!get(s, block, s->tp + at.specific, sizeof(block)))
		return;
	/* The first block is in the descriptor. */
	if (s->own && block[0])
		tri_scan_range(s->to, block[0], block[0] + at.specific_bytes, s->all);
	for (i = s->own; i < SPECIFIC_BLOCKS; i++)
		if (block[i])
			scan_block(s, block[i], block[i] + at.specific_bytes);
}

/**
 * Scan what @t has beside its stacks, which have been scanned.  @t is the calling thread, in the
 * signal handler or inside; or it is blocked, and the agent calls.
 */
void tri_tls_scan(struct tri_thread *t, struct tri_thread *to, bool all)
{
	struct tls_scan s = { .to = to, .own = t == to, .all = all };
	size_t room = 0;

	s.tp = t->tp;
	if (!s.tp || !is_descriptor(t))
		return;
	/*
	 * If the thread is on a coroutine's stack, its own stack is scanned at another moment, and
	 * does not count.
	 */
	if (t->stack == t->own && s.tp >= t->stack_lo && s.tp < t->stack_hi) {
		s.covered_lo = t->stack_lo;
		s.covered_hi = t->stack_hi;
	}
	if (at.modules && newest(&room) != tri_read_acquire(&static_gen))
		tri_tls_refresh();
	scan_block(&s, s.tp - tri_read(&static_bytes), s.tp);
	if (tri_read(&some_dynamic))
		scan_modules(&s, room);
	scan_specific(&s);
}
