// SPDX-License-Identifier: GPL-2.0-only
/*
 * String operations with a buffer each: a table of strings, of which each operation joins two in a
 * buffer that is made for that, copies the result, puts it into the table, and drops the buffer and
 * the string that was there.
 *
 * ops=N buffer=BYTES strings=N: operations, size of a buffer, strings in the table.
 */
#include <string.h>

#include "bind.h"
#include "workload.h"

#define STRINGS_MAX_BYTES 100

static char *strings_copy(const char *text, size_t bytes)
{
	char *copy = bind_alloc_leaf(bytes + 1);

	memcpy(copy, text, bytes);
	copy[bytes] = 0;
	return copy;
}

/* Join @a and @b.  A result that grows too long begins anew with one letter. */
static char *strings_join(const char *a, const char *b, size_t buffer_bytes)
{
	char *buffer = bind_alloc_leaf(buffer_bytes), *result;
	size_t a_bytes = strlen(a), b_bytes = strlen(b), bytes = a_bytes + b_bytes;

	memcpy(buffer, a, a_bytes);
	memcpy(buffer + a_bytes, b, b_bytes);
	result = strings_copy(buffer, bytes <= STRINGS_MAX_BYTES ? bytes : 1);
	bind_free(buffer);
	return result;
}

void strings_run(void)
{
	uint64_t ops = param_u64("ops"), buffer_bytes = param_u64("buffer");
	uint32_t n = (uint32_t)param_u64("strings");
	uint64_t seed = 0x9e3779b97f4a7c15ull, start, took, cpu;
	char **table;

	if (!ops || !n || buffer_bytes < 2 * STRINGS_MAX_BYTES)
		fail("ops and strings must be above 0, buffer at least %d", 2 * STRINGS_MAX_BYTES);
	table = bind_alloc_zeroed(n * sizeof(*table));
	for (uint32_t i = 0; i < n; i++)
		bind_store(&table[i], strings_copy("abcdefghijklmnopqrstuvwxyz" + i % 26, 1));
	start = now_ns();
	cpu = process_cpu_ns();
	for (uint64_t i = 0; i < ops; i++) {
		char **slot = &table[random_below(&seed, n)], *old = *slot;

		bind_store(slot, strings_join(old, table[random_below(&seed, n)], buffer_bytes));
		bind_free(old);
	}
	took = now_ns() - start;
	cpu = process_cpu_ns() - cpu;
	for (uint32_t i = 0; i < n; i++) {
		if (strlen(table[i]) > STRINGS_MAX_BYTES)
			fail("a string is too long");
		bind_free(table[i]);
	}
	bind_free(table);
	report("ns", (double)took / (double)ops);
	report("program_cpu_ns", (double)cpu / (double)ops);
}
