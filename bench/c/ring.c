// SPDX-License-Identifier: GPL-2.0-only
/*
 * Worst insertion: messages go into a ring, each pushes the oldest out, and each insertion is
 * timed: allocation, contents, store.  A live heap of fixed size, all of it data, under steady
 * turnover.
 *
 * slots=N messages=N bytes=N.
 */
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "workload.h"

static int ring_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void ring_insert(unsigned char **slot, uint64_t number, size_t bytes)
{
	unsigned char *message = bind_alloc_leaf(bytes), *old = *slot;

	memset(message, (int)(number & 0xff), bytes);
	bind_store(slot, message);
	if (old)
		bind_free(old);
}

void ring_run(void)
{
	uint64_t slots = param_u64("slots"), messages = param_u64("messages");
	uint64_t bytes = param_u64("bytes"), start;
	unsigned char **ring = bind_alloc_zeroed(slots * sizeof(*ring));
	uint32_t *latency_ns = malloc(messages * sizeof(*latency_ns));

	if (!ring || !latency_ns || !messages || messages < slots)
		fail("no memory, or messages below slots");
	memset(latency_ns, 0xff, messages * sizeof(*latency_ns));

	start = now_ns();
	for (uint64_t i = 0; i < messages; i++) {
		uint64_t before = now_ns(), took;

		ring_insert(&ring[i % slots], i, bytes);
		took = now_ns() - before;
		latency_ns[i] = took < UINT32_MAX ? took : UINT32_MAX;
	}
	report("ns", (double)(now_ns() - start) / messages);

	for (uint64_t i = messages - slots; i < messages; i++) {
		unsigned char *message = ring[i % slots];

		if (message[0] != (i & 0xff) || memcmp(message, message + 1, bytes - 1))
			fail("message %llu has other contents", (unsigned long long)i);
		bind_free(message);
	}
	qsort(latency_ns, messages, sizeof(*latency_ns), ring_compare);
	report("p50_us", latency_ns[messages / 2] / 1e3);
	report("p99_us", latency_ns[messages - messages / 100 - 1] / 1e3);
	report("p999_us", latency_ns[messages - messages / 1000 - 1] / 1e3);
	report("p9999_us", latency_ns[messages - messages / 10000 - 1] / 1e3);
	report("max_us", latency_ns[messages - 1] / 1e3);
	free(latency_ns);
	bind_free(ring);
}
