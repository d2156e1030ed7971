// SPDX-License-Identifier: GPL-2.0-only
/* lists.c - see lists.h */
#include "lists.h"

struct witness *lists[LISTS];

void lists_push(unsigned int list, uint64_t id)
{
	struct witness *w = witness_new(id);

	tri_store(&w->next, lists[list]);
	tri_store(&lists[list], w);
}

void lists_build(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		lists_push(i % LISTS, i / LISTS);
}

bool lists_ok(unsigned int n)
{
	struct witness *w;
	unsigned int i, id;

	for (i = 0; i < LISTS; i++) {
		for (w = lists[i], id = n; id--; w = w->next)
			if (!witness_ok(w, id))
				return false;
		if (w)
			return false;
	}
	return true;
}

bool lists_go_on(unsigned int n, unsigned int more)
{
	unsigned int i, j;

	if (!lists_ok(n))
		return false;
	for (j = 0; j < more; j++) {
		for (i = 0; i < LISTS; i++)
			lists_push(i, n + j);
		if (j == more / 2)
			collect();
	}
	collect_times(2);
	return lists_ok(n + more);
}
