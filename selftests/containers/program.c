// SPDX-License-Identifier: GPL-2.0-only
/*
 * program.c - the program in a container: it does what it reads on standard input
 *
 *	hold MIB	have MIB MiB alive, in all
 *	churn MIB	allocate MIB MiB more, of which nothing stays, and look at what lives
 *			meanwhile
 *	collector	wait until there is a collector, and it has made a cycle
 *	limit LOW HIGH	wait until the heap's memory limit is between the two, in MiB
 *	figures		nothing
 *	end
 *
 * Each line is answered by one: "ok", or "failed" and why, and the heap's figures.  What lives is a
 * list of blocks, whose bytes follow from their number: a block that was freed while it lived is
 * noticed.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tricolor.h>

#define BLOCK_BYTES	1000u
#define MIB		(1l << 20)
#define WAIT_S		30	/* for a collector, or for a limit */

struct block {
	struct block *next;
	uint64_t number;
	unsigned char *bytes;		/* leaf */
};

TRI_TYPE(block_type, struct block, next, bytes);

static struct block *blocks;
static long block_count;
static uint64_t next_number = 1;

static struct tri_stats figures(void)
{
	struct tri_stats stats = { .size = sizeof(stats) };

	tri_read_stats(&stats);
	return stats;
}

static int answer(const char *why)
{
	struct tri_stats stats = figures();

	printf("%s%s live=%llu heap=%llu limit=%llu cycles=%llu collector=%llu reconnects=%llu\n",
	       why ? "failed: " : "ok", why ? why : "", (unsigned long long)stats.live_bytes,
	       (unsigned long long)stats.heap_bytes, (unsigned long long)stats.limit_bytes,
	       (unsigned long long)stats.cycles, (unsigned long long)stats.collector_pid,
	       (unsigned long long)stats.reconnects);
	return why ? 1 : 0;
}

static unsigned char byte_of(uint64_t number)
{
	return (unsigned char)(number * 0x9e3779b97f4a7c15ull >> 56);
}

static struct block *block_new(void)
{
	struct block *block = tri_alloc_typed(&block_type, 1);
	unsigned char *bytes = tri_alloc_leaf(BLOCK_BYTES);

	if (!block || !bytes)
		return NULL;
	block->number = next_number++;
	memset(bytes, byte_of(block->number), BLOCK_BYTES);
	tri_store(&block->bytes, bytes);
	return block;
}

static const char *look(void)
{
	unsigned char expected[BLOCK_BYTES];
	long seen = 0;

	for (struct block *block = blocks; block; block = block->next, seen++) {
		memset(expected, byte_of(block->number), BLOCK_BYTES);
		if (memcmp(block->bytes, expected, BLOCK_BYTES))
			return "what lives has changed";
	}
	return seen == block_count ? NULL : "a part of what lives is gone";
}

static const char *hold(long mib)
{
	long want = mib * MIB / (BLOCK_BYTES + (long)sizeof(struct block));
	struct block *block;

	for (; block_count > want; block_count--)
		tri_store(&blocks, blocks->next);
	for (; block_count < want; block_count++) {
		block = block_new();
		if (!block)
			return "no memory";
		tri_store(&block->next, blocks);
		tri_store(&blocks, block);
	}
	return look();
}

static const char *churn(long mib)
{
	for (long i = 0; i < mib; i++) {
		for (uint32_t bytes = 0; bytes < MIB; bytes += BLOCK_BYTES)
			if (!block_new())
				return "no memory";
		if (i % 64 == 0 && look())
			return look();
	}
	return look();
}

/*
 * Looks again ten times a second: the figures are memory, and nothing says that they have changed.
 */
static bool await(bool (*is_so)(long low, long high), long low, long high)
{
	struct timespec tenth = { .tv_nsec = 100000000 };

	for (int i = 0; i < WAIT_S * 10; i++) {
		if (is_so(low, high))
			return true;
		nanosleep(&tenth, NULL);
	}
	return false;
}

static bool has_limit(long low, long high)
{
	uint64_t limit = figures().limit_bytes;

	return limit >= (uint64_t)low * MIB && limit <= (uint64_t)high * MIB;
}

static bool has_collector(long low, long high)
{
	(void)low;
	(void)high;
	return figures().collector_pid && !tri_gc();
}

static const char *run(const char *line)
{
	long low, high;

	if (sscanf(line, "hold %ld", &low) == 1)
		return hold(low);
	if (sscanf(line, "churn %ld", &low) == 1)
		return churn(low);
	if (sscanf(line, "limit %ld %ld", &low, &high) == 2)
		return await(has_limit, low, high) ? NULL : "another limit holds";
	if (!strcmp(line, "collector\n"))
		return await(has_collector, 0, 0) ? NULL : "no collector";
	return strcmp(line, "figures\n") ? "unknown request" : NULL;
}

int main(void)
{
	int failures = 0;
	char line[128];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (tri_init(NULL)) {
		fprintf(stderr, "no heap: %s\n", tri_error());
		return 2;
	}
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n"))
		failures += answer(run(line));
	return look() || failures ? 1 : 0;
}
