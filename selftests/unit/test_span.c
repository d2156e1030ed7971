// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_span.c - sweeping, queues of buffers, and the settings of the library
 *
 *	a sweep that is interrupted at any word and done again gives what one sweep gives
 *	an object that begins in the heap ends in it, whatever the tables say (core/heap/span.h)
 *	no buffer is lost or given out twice by the lock-free queues, with threads
 *	sizes, percentages and lists of words, good and bad
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "core/heap/buffer.h"
#include "core/heap/span.h"
#include "kselftest.h"
#include "libclient/internal.h"

#define PAGES TRI_CHUNK_PAGES
#define THREADS 4
#define ROUNDS 40000

static struct tri_view view;
static uint64_t seed = 2463534242ull;

/* What settings.c says when it refuses. */
bool tri_on_valgrind(void)
{
	return false;
}

int tri_fail(int err, const char *fmt, ...)
{
	(void)fmt;
	return -err;
}

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void make_view(void)
{
	struct tri_layout layout;
	void *base;

	tri_layout_init(&layout, PAGES);
	base = mmap(NULL, layout.file_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		ksft_exit_fail_msg("no memory\n");
	tri_view_init(&view, base, &layout, (uint64_t)(uintptr_t)base + layout.heap);
}

static void test_sweep(void)
{
	unsigned int wrong = 0, round, w, done;
	const uint32_t page = 5, other = 6;

	for (round = 0; round < 2000; round++) {
		unsigned int objects = 1 + (unsigned int)(rnd() % 512), want = 0, i;
		uint32_t cycle = (uint32_t)rnd();
		uint64_t live[8];

		for (w = 0; w < 8; w++) {
			live[w] = rnd() & rnd();
			tri_write(&view.marks[cycle & 1][page][w], live[w]);
			tri_write(&view.marks[~cycle & 1][page][w], rnd());
			tri_write(&view.scanned[page][w], rnd());
			tri_write(&view.marks[cycle & 1][other][w], rnd());
		}
		for (i = 0; i < objects; i++)
			want += live[i / 64] >> (i & 63) & 1;
		/* A sweeper that dies after @done words. */
		done = (unsigned int)(rnd() % (1 + (objects + 63) / 64));
		tri_span_sweep(&view, page, done * 64 < objects ? done * 64 : objects, cycle);
		wrong += tri_span_sweep(&view, page, objects, cycle) != want;
		wrong += tri_span_sweep(&view, page, objects, cycle) != want;
		for (w = 0; w < (objects + 63) / 64; w++)
			wrong += tri_read(&view.marks[cycle & 1][page][w]) != live[w] ||
				 tri_read(&view.marks[~cycle & 1][page][w]) ||
				 tri_read(&view.scanned[page][w]);
	}
	ksft_test_result(!wrong, "a sweep may be interrupted and repeated\n");
}

static void test_resolve(void)
{
	unsigned int wrong = 0, found = 0, i;

	for (i = 0; i < 300000; i++) {
		/* Near the end of the heap a span is most easily too long. */
		uint32_t page = rnd() & 1 ? 1 + (uint32_t)(rnd() % (PAGES - 1)) :
				PAGES - 1 - (uint32_t)(rnd() % 3), k;
		uint64_t offset = ((uint64_t)page << TRI_PAGE_SHIFT) + rnd() % TRI_PAGE_BYTES;
		struct tri_object o;

		for (k = 0; k < 2; k++) {
			tri_write(&view.page_map[page - k], (uint8_t)rnd());
			tri_write(&view.span_of[page - k],
				  rnd() & 1 ? page - k : (uint32_t)(rnd() % (PAGES * 2)));
		}
		if (!tri_resolve(&view, offset, &o))
			continue;
		found++;
		wrong += !o.page || o.page > page || (o.class->size && o.index >= o.class->objects);
		if (o.class->size) {
			uint64_t start = ((uint64_t)o.page << TRI_PAGE_SHIFT) +
					 (uint64_t)o.index * o.class->size;

			wrong += offset < start || offset >= start + o.class->size ||
				 start + o.class->size > (uint64_t)PAGES << TRI_PAGE_SHIFT;
		}
	}
	ksft_test_result(!wrong && found > 1000,
			 "garbage resolves to objects that hold the address (%u)\n", found);
}

/* ------------------------------------------------------------------------------------------ */

static _Atomic uint32_t holder[TRI_BUFFERS];
static _Atomic unsigned int clashes;

static void *pass_buffers(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg, mine[8] = { 0 }, i, next;

	for (i = 0; i < ROUNDS; i++) {
		uint32_t *b = &mine[i % 8];

		if (*b) {
			clashes += atomic_exchange(&holder[*b - 1], 0) != me;
			tri_buffer_push(&view,
					i & 8 ? &view.ctl->full_buffers : &view.ctl->free_buffers,
					*b - 1);
		}
		*b = tri_buffer_get(&view);
		if (*b)
			clashes += atomic_exchange(&holder[*b - 1], me) != 0;
		/* One of them is the collector: it takes all that are full, and frees them. */
		if (me == 1 && !(i & 15)) {
			next = (uint32_t)atomic_exchange(&view.ctl->full_buffers, 0);
			while (next) {
				uint32_t index = next - 1;

				next = tri_read(&view.buffers[index].next);
				clashes += holder[index] != 0;
				tri_buffer_push(&view, &view.ctl->free_buffers, index);
			}
		}
	}
	for (i = 0; i < 8; i++) {
		if (!mine[i])
			continue;
		clashes += atomic_exchange(&holder[mine[i] - 1], 0) != me;
		tri_buffer_push(&view, &view.ctl->free_buffers, mine[i] - 1);
	}
	return NULL;
}

static void test_buffers(void)
{
	uint32_t next, queued = 0, q;
	pthread_t t[THREADS];
	uintptr_t i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, pass_buffers, (void *)(i + 1));
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	ksft_test_result(!clashes, "no buffer had two owners (%u)\n", clashes);
	for (q = 0; q < 2; q++) {
		next = (uint32_t)(q ? view.ctl->full_buffers : view.ctl->free_buffers);
		for (; next && queued <= TRI_BUFFERS; queued++)
			next = tri_read(&view.buffers[next - 1].next);
	}
	ksft_test_result(queued == view.ctl->buffers_used, "all %u of %u buffers are on a queue\n",
			 queued, view.ctl->buffers_used);
}

/* ------------------------------------------------------------------------------------------ */

/* The settings that one variable gives; false if they are refused. */
static bool settings(const char *name, const char *value, struct tri_settings *s)
{
	int err;

	setenv(name, value, 1);
	err = tri_settings_read(s, NULL);
	unsetenv(name);
	return !err;
}

static void test_settings(void)
{
	static const struct { const char *text; int64_t bytes;
	} sizes[] = {
		{ "512MiB", 512ll << 20 },
		{ "1GiB", 1ll << 30 },
		{ "12345", 12345 },
		{ "7B", 7 },
		{ "3KiB", 3072 },
		{ "2TiB", 2ll << 40 },
		{ "off", INT64_MAX },
		{ "", TRI_LIMIT_AUTO },
		{ "auto", TRI_LIMIT_AUTO },
		{ "0", -1 },
		{ "9223372036854775807", INT64_MAX },
		{ "512MB", 512ll << 20 },
		{ "512M", 512ll << 20 },
		{ "512Mi", 512ll << 20 },
		{ "1.5GiB", 3ll << 29 },
		{ "512MX", -1 },
		{ "-1", -1 },
		{ "MiB", -1 },
		{ " 1MiB", -1 },
		{ "9223372036854775808", -1 },
		{ "8388608TiB", -1 },
		{ "99999999999999999999", -1 },
		{ "0x10", -1 },
		{ "+1", -1 },
		{ "1MiBx", -1 },
	};
	static const struct { const char *text; int percent; } percents[] = {
		{ "100", 100 }, { "0", 0 }, { "off", -1 }, { "400", 400 }, { "", 100 },
		{ "-1", -2 }, { "x", -2 }, { "10%", -2 }, { "99999999999", -2 },
	};
	static const char *const bad[][2] = {
		{ "TRICOLOR_ARENA_SIZE", "1MiB" },
		{ "TRICOLOR_ARENA_SIZE", "2TiB" },
		{ "TRICOLOR_ARENA_SIZE", "off" },
		{ "TRICOLOR_BACKING", "disk" },
		{ "TRICOLOR_SIGNAL", "0" },
		{ "TRICOLOR_SIGNAL", "99" },
		{ "TRICOLOR_SIGNAL", "9" },
		{ "TRICOLOR_TRACE", "gc,nonsense" },
		{ "TRICOLOR_LIMIT_POLICY", "fail" },
		{ "TRICOLOR_DEBUG", "checkmark,x" },
		{ "TRICOLOR_DEBUG", "gc" },
		{ "TRICOLOR_DEBUG", "gc=0" },
		{ "TRICOLOR_DEBUG", "gc=-1" },
		{ "TRICOLOR_DEBUG", "gc=1x" },
		{ "TRICOLOR_DEBUG", "gc=4294967296" },
		{ "TRICOLOR_DEBUG", "gc= 1" },
		{ "TRICOLOR_TRACE", "gc=1" },
	};
	struct tri_options o = { .size = sizeof(o) };
	unsigned int wrong = 0;
	struct tri_settings s;
	char path[200];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		bool ok = settings("TRICOLOR_MEMORY_LIMIT", sizes[i].text, &s);

		if (ok != (sizes[i].bytes >= 0) || (ok && s.memory_limit_bytes != sizes[i].bytes)) {
			ksft_print_msg("TRICOLOR_MEMORY_LIMIT=%s\n", sizes[i].text);
			wrong++;
		}
	}
	wrong += !settings("TRICOLOR_LIMIT_POLICY", "fail-fast", &s) ||
		 s.limit_policy != TRI_LIMIT_FAIL_FAST ||
		 !settings("TRICOLOR_LIMIT_POLICY", "", &s) || s.limit_policy != TRI_LIMIT_CONTINUE;
	ksft_test_result(!wrong, "sizes\n");
	for (wrong = 0, i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		bool ok = settings("TRICOLOR_GC_PERCENT", percents[i].text, &s);

		wrong += ok != (percents[i].percent > -2) ||
			 (ok && s.gc_percent != percents[i].percent);
	}
	ksft_test_result(!wrong, "percentages\n");
	for (wrong = 0, i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (settings(bad[i][0], bad[i][1], &s)) {
			ksft_print_msg("%s=%s was accepted\n", bad[i][0], bad[i][1]);
			wrong++;
		}
	}
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	wrong += settings("TRICOLOR_SOCKET", path, &s);
	ksft_test_result(!wrong, "what makes no sense is refused\n");
	wrong = !settings("TRICOLOR_TRACE", "scav,limit", &s) || !s.trace_scav || !s.trace_limit ||
		!s.prints || s.trace_gc || s.trace_pacer;
	wrong += !settings("TRICOLOR_DEBUG", "checkmark,clobberfree,norseq", &s) || !s.checkmark ||
		!s.clobberfree || !s.no_rseq || s.no_membarrier || s.gc_every;
	wrong += !settings("TRICOLOR_DEBUG", "gc=12,checkmark", &s) || s.gc_every != 12 ||
		 !s.no_rseq || !s.checkmark;
	o.gc_percent = 77;
	setenv("TRICOLOR_GC_PERCENT", "50", 1);
	wrong += tri_settings_read(&s, &o) || s.gc_percent != 77;
	o.size = 4;
	wrong += !tri_settings_read(&s, &o);
	o = (struct tri_options){ .size = sizeof(o), .limit_policy = 3 };
	wrong += !tri_settings_read(&s, &o);
	ksft_test_result(!wrong, "lists of words, and options that win over variables\n");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(8);
	tri_classes_init();
	make_view();
	test_sweep();
	test_resolve();
	test_buffers();
	test_settings();
	ksft_finished();
}
