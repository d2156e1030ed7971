// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * root_memory.c - tri_root_alloc(): memory that is a root, and is freed by the program
 *
 *  1. A block lies in a piece of memory, which begins at a multiple of PIECE with a header.  So the
 *     header is found from the block's address.  A piece with small blocks has slots of one size.
 *     A larger block has a piece of its own.
 *  2. What follows the header is in the table of roots from the time when the piece is mapped until
 *     it is unmapped.  Slots that are free are zero, but for a link to the next one, and neither is
 *     a pointer into the heap.
 *  3. A block is zeroed by a plain memset() when it is freed.  For a root that is enough: all roots
 *     are scanned before any stack is, so a thread that has loaded a pointer from here before the
 *     scan still has it on its stack when that is scanned (design/guest.md, "Roots that go").
 *
 * Nothing here needs the heap.  So containers that exist before main() do not start it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../base/attributes.h"
#include "root_memory.h"
#include "root_table.h"
#include "tricolor.h"

#define PIECE (64ul << 10)
#define SMALL_MAX 4096u			/* 15 slots or more to a piece */
#define CLASSES 48			/* tri__class(SMALL_MAX) is the last one */
#define MAGIC 0x7472692d726f6f74ull

/* The lock protects all fields, but a block's owner may read those that never change. */
struct piece {
	uint64_t magic;			/* never changes */
	uint32_t slot_bytes;		/* never changes; 0: one large block */
	uint32_t first;			/* never changes: offset of the first block */
	uint64_t bytes;			/* never changes: of the mapping */
	uint32_t used, slots;
	void *free;			/* slots that were freed, linked by their first words */
	uint32_t fresh;			/* slots from this one on were never handed out */
	uint16_t size_class, era;	/* never change; the era in which it was made */
	struct piece *next, *prev;	/* on the list of its class, if it has a free slot */
	size_t entry;			/* its place in tri_root_table.pieces, and of that lock */
};

_Static_assert(sizeof(struct piece) <= 128, "the first block of a piece is at 128 or later");

static struct {
	pthread_mutex_t lock;
	struct piece *with_room[CLASSES + 1];
	uint16_t era;			/* of another one are pieces whose lists can't be trusted */
} pieces = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ------------------------------------------------------------------------------------------ */
/* Pieces                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* Map @bytes at a multiple of PIECE. */
static void *map_piece(size_t bytes)
{
	char *memory, *start;
	size_t before;

	if (bytes > SIZE_MAX - PIECE)
		return NULL;
	memory = mmap(NULL, bytes + PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)memory & (PIECE - 1);
	start = memory + before;
	if (before)
		munmap(memory, before);
	munmap(start + bytes, PIECE - before);
	return start;
}

static struct piece *piece_new(size_t bytes, size_t first)
{
	struct piece *p = map_piece(bytes);

	if (!p)
		return NULL;
	p->magic = MAGIC;
	p->bytes = bytes;
	p->first = (uint32_t)first;
	pthread_mutex_lock(&tri_root_table.lock);
	p->entry = tri_root_table.pieces.n;
	if (!tri_ranges_put(&tri_root_table.pieces, (uintptr_t)p + first, (uintptr_t)p + bytes)) {
		pthread_mutex_unlock(&tri_root_table.lock);
		munmap(p, bytes);
		return NULL;
	}
	pthread_mutex_unlock(&tri_root_table.lock);
	return p;
}

static struct piece *piece_of(uintptr_t block)
{
	return (struct piece *)(block & ~(PIECE - 1));
}

/* The agent reads pieces with the table's lock, so none is unmapped while it is read. */
static void piece_free(struct piece *p)
{
	struct tri_ranges *all = &tri_root_table.pieces;
	struct piece *last;

	pthread_mutex_lock(&tri_root_table.lock);
	last = piece_of(all->range[--all->n].lo);
	last->entry = p->entry;
	all->range[p->entry] = all->range[all->n];
	pthread_mutex_unlock(&tri_root_table.lock);
	munmap(p, p->bytes);
}

static void list_add(struct piece *p)
{
	struct piece **head = &pieces.with_room[p->size_class];

	p->prev = NULL;
	p->next = *head;
	if (*head)
		(*head)->prev = p;
	*head = p;
}

static void list_remove(struct piece *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		pieces.with_room[p->size_class] = p->next;
	if (p->next)
		p->next->prev = p->prev;
	p->next = p->prev = NULL;
}

static struct piece *small_piece(unsigned int size_class, uint32_t slot_bytes)
{
	/* A slot whose size is a power of two begins at a multiple of that. */
	bool power = !(slot_bytes & (slot_bytes - 1));
	size_t first = power && slot_bytes > 128 ? slot_bytes : 128;
	struct piece *p = piece_new(PIECE, first);

	if (!p)
		return NULL;
	p->size_class = (uint16_t)size_class;
	p->era = pieces.era;
	p->slot_bytes = slot_bytes;
	p->slots = (uint32_t)((PIECE - first) / slot_bytes);
	list_add(p);
	return p;
}

/* ------------------------------------------------------------------------------------------ */
/* Blocks                                                                                     */
/* ------------------------------------------------------------------------------------------ */

static void *small_new(size_t size)
{
	unsigned int size_class = tri__class(size);
	uint32_t slot_bytes = tri__class_bytes(size_class);
	struct piece *p;
	void *block;

	pthread_mutex_lock(&pieces.lock);
	p = pieces.with_room[size_class];
	if (!p)
		p = small_piece(size_class, slot_bytes);
	if (!p) {
		pthread_mutex_unlock(&pieces.lock);
		return NULL;
	}
	block = p->free;
	if (block) {
		p->free = *(void **)block;
		*(void **)block = NULL;
	} else {
		block = (char *)p + p->first + (size_t)p->fresh++ * slot_bytes;
	}
	if (++p->used == p->slots)
		list_remove(p);
	pthread_mutex_unlock(&pieces.lock);
	return block;
}

static void small_free(struct piece *p, void *block)
{
	bool was_full, empty;

	memset(block, 0, p->slot_bytes);
	pthread_mutex_lock(&pieces.lock);
	if (p->era != pieces.era) {
		pthread_mutex_unlock(&pieces.lock);
		return;
	}
	*(void **)block = p->free;
	p->free = block;
	was_full = p->used-- == p->slots;
	if (was_full)
		list_add(p);
	/* The last piece that has room stays: the next block may be of this size. */
	empty = !p->used && (p->next || p->prev);
	if (empty)
		list_remove(p);
	pthread_mutex_unlock(&pieces.lock);
	if (empty)
		piece_free(p);
}

TRI_EXPORT void *tri_root_alloc(size_t size, size_t align)
{
	size_t first = align > 128 ? align : 128, bytes;
	struct piece *p;
	void *block;

	if (!align || align & (align - 1) || align > PIECE / 2) {
		errno = EINVAL;
		return NULL;
	}
	if (align > 16 && size < align)
		size = align;
	if (size <= SMALL_MAX) {
		if (align > 16 && size > 1)
			size = 1ul << (64 - __builtin_clzl(size - 1));
		block = small_new(size);
	} else {
		bytes = (first + size + 4095) & ~4095ul;
		p = bytes > size ? piece_new(bytes, first) : NULL;
		block = p ? (char *)p + first : NULL;
	}
	if (!block)
		errno = ENOMEM;
	return block;
}

static struct piece *checked_piece(void *block)
{
	struct piece *p = piece_of((uintptr_t)block);

	if (p->magic != MAGIC) {
		dprintf(2, "tricolor: tri_root_free() of %p, which is no block of tri_root_alloc()\n",
			block);
		abort();
	}
	return p;
}

size_t tri_root_block_bytes(void *block)
{
	return checked_piece(block)->slot_bytes;
}

void tri_root_block_free(void *block)
{
	struct piece *p = checked_piece(block);
	int error = errno;

	if (p->slot_bytes)
		small_free(p, block);
	else
		piece_free(p);
	errno = error;
}

/* ------------------------------------------------------------------------------------------ */
/* fork()                                                                                     */
/* ------------------------------------------------------------------------------------------ */

bool tri_root_memory_hold(uint64_t ns)
{
	struct timespec until = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	return !pthread_mutex_clocklock(&pieces.lock, CLOCK_MONOTONIC, &until);
}

void tri_root_memory_release(void)
{
	pthread_mutex_unlock(&pieces.lock);
}

void tri_root_memory_reset(bool held)
{
	pthread_mutex_init(&pieces.lock, NULL);
	if (!held) {
		memset(pieces.with_room, 0, sizeof(pieces.with_room));
		pieces.era++;
	}
}
