// SPDX-License-Identifier: GPL-2.0-only
/* forest.c - see forest.h */
#include "forest.h"

static uint64_t forest_payload_bytes(const struct forest *f, uint64_t *r)
{
	if (f->large_one_in && !draw_below(r, f->large_one_in))
		return 33000 + draw_below(r, 200000);
	return 16 + draw_below(r, draw_below(r, 8) ? 200 : 3000);
}

static struct forest_node *forest_grow(struct forest *f, const struct forest_chain *c)
{
	struct forest_node *first = NULL;
	uint64_t r = c->seed;
	uint32_t i;

	for (i = 0; i < c->nodes; i++) {
		bool typed = draw(&r) >> 63;
		struct forest_node *n = typed ? tri_alloc_typed(&forest_node_type, 1) :
						tri_alloc(sizeof(*n));
		uint64_t bytes = forest_payload_bytes(f, &r), id = draw(&r);
		unsigned char *payload = tri_alloc_leaf(bytes);

		if (!n || !payload)
			return NULL;
		if (n->next || n->payload || n->id || payload[0] || payload[bytes - 1])
			f->errors++;	/* not zeroed */
		n->id = id;
		n->bytes = bytes;
		payload[0] = (unsigned char)id;
		payload[bytes / 2] = (unsigned char)(id >> 8);
		payload[bytes - 1] = (unsigned char)(id >> 16);
		tri_store(&n->payload, payload);
		tri_store(&n->next, first);
		first = n;
	}
	return first;
}

/* Chains are built from their end: the first node of a chain is the one that was made last. */
static bool forest_check(const struct forest *f, unsigned int slot)
{
	const struct forest_chain *c = &f->shadow[slot];
	const struct forest_node *n = f->table[slot];
	struct { uint64_t id, bytes; } want[16];
	uint64_t r = c->seed;
	uint32_t i;

	for (i = 0; i < c->nodes; i++) {
		draw(&r);
		want[i].bytes = forest_payload_bytes(f, &r);
		want[i].id = draw(&r);
	}
	while (i--) {
		uint64_t bytes = want[i].bytes, id = want[i].id;

		if (!n || n->id != id || n->bytes != bytes || !n->payload ||
		    n->payload[0] != (unsigned char)id ||
		    n->payload[bytes / 2] != (unsigned char)(id >> 8) ||
		    n->payload[bytes - 1] != (unsigned char)(id >> 16))
			return false;
		n = n->next;
	}
	return !n;
}

bool forest_init(struct forest *f, unsigned int slots, uint64_t seed)
{
	f->slots = slots;
	f->rnd = seed | 1;
	f->shadow = calloc(slots, sizeof(*f->shadow));
	f->table = tri_alloc(slots * sizeof(*f->table));
	f->handle = tri_handle_new(f->table);
	return f->shadow && f->table && f->handle;
}

bool forest_step(struct forest *f)
{
	unsigned int a = (unsigned int)draw_below(&f->rnd, f->slots);
	unsigned int b = (unsigned int)draw_below(&f->rnd, f->slots);
	uint64_t began = now_ns(), took;

	f->errors += !forest_check(f, a);
	if (draw_below(&f->rnd, 4)) {
		struct forest_chain c = { draw(&f->rnd) | 1, (uint32_t)draw_below(&f->rnd, 12) };
		struct forest_node *first = forest_grow(f, &c);

		if (!first && c.nodes)
			return false;
		tri_store(&f->table[a], first);
		f->shadow[a] = c;
	} else {
		struct forest_chain c = f->shadow[a];
		struct forest_node *first = tri_exchange(&f->table[a], NULL);

		/* For a moment this register is all that holds the chain. */
		tri_store(&f->table[a], f->table[b]);
		tri_store(&f->table[b], first);
		f->shadow[a] = f->shadow[b];
		f->shadow[b] = c;
	}
	f->ops++;
	took = now_ns() - began;
	if (took > f->worst_ns)
		f->worst_ns = took;
	return true;
}

void forest_check_all(struct forest *f)
{
	unsigned int i;

	for (i = 0; i < f->slots; i++)
		f->errors += !forest_check(f, i);
}

void forest_drop(struct forest *f)
{
	tri_clear(f->table, f->slots);
	tri_handle_free(f->handle);
	f->table = NULL;
	free(f->shadow);
	f->shadow = NULL;
}
