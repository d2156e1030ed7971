// SPDX-License-Identifier: GPL-2.0-only
/* board.c - publishing figures and leaving orders: see board.h */
#include "board.h"

#include <sched.h>
#include <string.h>

void board_publish(struct board *b, const struct board_figures *f)
{
	uint32_t sequence = atomic_load_explicit(&b->sequence, memory_order_relaxed) & ~1u;
	uint64_t words[BOARD_WORDS];
	size_t i;

	memcpy(words, f, sizeof(words));
	atomic_store_explicit(&b->sequence, sequence + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); /* pairs with the fence in board_read() */
	for (i = 0; i < BOARD_WORDS; i++)
		atomic_store_explicit(&b->figures[i], words[i], memory_order_relaxed);
	/* pairs with the first load in board_read() */
	atomic_store_explicit(&b->sequence, sequence + 2, memory_order_release);
}

bool board_read(struct board *b, struct board_figures *f, unsigned int tries)
{
	uint64_t words[BOARD_WORDS];
	uint32_t before;
	size_t i;

	while (tries--) {
		before = atomic_load_explicit(&b->sequence, memory_order_acquire);
		for (i = 0; i < BOARD_WORDS; i++)
			words[i] = atomic_load_explicit(&b->figures[i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (!(before & 1) &&
		    before == atomic_load_explicit(&b->sequence, memory_order_relaxed)) {
			memcpy(f, words, sizeof(*f));
			return true;
		}
		/*
		 * The writer lost its CPU between two words.  A thread that spins here might keep
		 * it from getting one again.
		 */
		sched_yield();
	}
	return false;
}

void board_order(struct board *b, enum board_order kind, uint32_t number, int64_t value)
{
	struct board_mailbox *m = &b->mailbox[kind];

	atomic_store_explicit(&m->value, value, memory_order_relaxed);
	/* pairs with board_take() */
	atomic_store_explicit(&m->asked, number, memory_order_release);
	atomic_store(&b->has_orders, 1);
}

bool board_take(struct board *b, enum board_order kind, uint32_t met, uint32_t *number,
		int64_t *value)
{
	struct board_mailbox *m = &b->mailbox[kind];

	/* pairs with board_order().  A value that is newer than the number is taken twice. */
	*number = atomic_load_explicit(&m->asked, memory_order_acquire);
	*value = atomic_load_explicit(&m->value, memory_order_relaxed);
	return *number != met;
}
