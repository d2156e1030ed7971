// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fragmentation: a table of objects of many sizes, all of them data, the sum of whose sizes stays
 * the same while random ones are replaced, long enough for each to be replaced several times.  How
 * much memory does it take?
 *
 * live_mib=N turnover=N repeats=N mix=steady|phases gc_percent=N: what the objects' sizes add up
 * to; how often that much is allocated in a phase; repeats of the four phases.
 *
 * mix=steady: always sizes from 16 B to 16 KiB, smaller ones more often.  mix=phases: 16 to 64 B,
 * 100 to 1000 B, 1 to 16 KiB, then all sizes.  The few that are left of one phase are scattered
 * over the pages that it has filled, which no system that can't move objects can use for other
 * sizes.
 */
#include <string.h>

#include "bind.h"
#include "workload.h"

#define CHURN_MIN_BYTES 16
#define CHURN_PHASES 4

/* An object begins with its size.  Its last byte is taken from the size as well. */
struct churn_table {
	unsigned char **slots;	/* the first @count are used, in no order */
	uint64_t count;
	uint64_t capacity;
	uint64_t most;		/* highest @count so far */
	uint64_t live_bytes;	/* in objects */
	uint64_t target_bytes;
};

static uint32_t churn_all_sizes(uint64_t *seed)
{
	uint32_t bits = 4 + random_below(seed, 10);

	return (1u << bits) + random_below(seed, 1u << bits);
}

static uint32_t churn_size(uint64_t *seed, unsigned int phase, int steady)
{
	if (steady)
		return churn_all_sizes(seed);
	switch (phase % CHURN_PHASES) {
	case 0:
		return 16 + random_below(seed, 49);
	case 1:
		return 100 + random_below(seed, 901);
	case 2:
		return 1024 + random_below(seed, 15361);
	default:
		return churn_all_sizes(seed);
	}
}

static uint32_t churn_size_of(const unsigned char *object)
{
	uint32_t size;

	memcpy(&size, object, sizeof(size));
	if (size < CHURN_MIN_BYTES || object[size - 1] != (unsigned char)size ||
	    object[size / 2] != (unsigned char)size)
		fail("an object has other contents");
	return size;
}

static void churn_remove(struct churn_table *table, uint64_t at)
{
	unsigned char *object = table->slots[at];
	unsigned char *last = table->slots[--table->count];

	table->live_bytes -= churn_size_of(object);
	bind_store(&table->slots[at], last);
	bind_store(&table->slots[table->count], NULL);
	bind_free(object);
}

static void churn_add(struct churn_table *table, uint32_t size, uint64_t *seed)
{
	unsigned char *object = bind_alloc_leaf(size);

	memset(object, (unsigned char)size, size);
	memcpy(object, &size, sizeof(size));
	if (table->count == table->capacity)
		churn_remove(table, random_below(seed, (uint32_t)table->count));
	bind_store(&table->slots[table->count++], object);
	table->live_bytes += size;
	while (table->live_bytes > table->target_bytes)
		churn_remove(table, random_below(seed, (uint32_t)table->count));
	if (table->count > table->most)
		table->most = table->count;
}

static uint64_t churn_phase(struct churn_table *table, unsigned int phase, int steady,
			    uint64_t bytes, uint64_t *seed)
{
	uint64_t done = 0, ops = 0;

	while (done < bytes) {
		uint32_t size = churn_size(seed, phase, steady);

		churn_add(table, size, seed);
		done += size;
		ops++;
	}
	return ops;
}

void churn_run(void)
{
	uint64_t target = param_u64("live_mib") << 20, turnover = param_u64("turnover");
	uint64_t phases = param_u64("repeats") * CHURN_PHASES, seed = 0x9e3779b97f4a7c15ull;
	const char *mix = param_string("mix");
	int steady = !strcmp(mix, "steady");
	struct churn_table table = { .target_bytes = target };
	uint64_t start, took, ops = 0;

	if (!steady && strcmp(mix, "phases"))
		fail("mix=%s: must be steady or phases", mix);
	if (!target || !turnover || !phases)
		fail("live_mib, turnover and repeats must be above 0");
	/*
	 * The table has room for all objects, and little more: the mean size is above 2 KiB, or 40
	 * B in the first phase.
	 */
	table.capacity = target / (steady ? 1024 : 32);
	bind_gc_percent((int)param_u64("gc_percent"));
	table.slots = bind_alloc_zeroed(table.capacity * sizeof(*table.slots));
	if (!table.slots)
		fail("no memory for a table");
	churn_phase(&table, 0, steady, target, &seed);
	start = now_ns();
	for (uint64_t phase = 0; phase < phases; phase++)
		ops += churn_phase(&table, (unsigned int)phase, steady, turnover * target, &seed);
	took = now_ns() - start;
	report("ns", (double)took / ops);
	/* The used part of the table is memory that the program has asked for, too. */
	report("live_mib", (table.target_bytes + table.most * sizeof(*table.slots)) / 1048576.0);
	report("objects", table.count);
	while (table.count)
		churn_remove(&table, table.count - 1);
	if (table.live_bytes)
		fail("%llu bytes are left of no object", (unsigned long long)table.live_bytes);
	bind_free(table.slots);
}
