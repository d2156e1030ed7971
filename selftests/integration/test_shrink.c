// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_shrink.c - a heap that has grown gives its memory back
 *
 * Each case is a client of its own; this process reads its resident memory from /proc, so that a
 * client that is blocked is seen as it is.  A client grows by a burst, drops it, and then
 *
 *	background	runs one cycle, and waits in poll(): the sweep and the scavenger do the rest
 *	at once		calls tri_free_os_memory()
 *	large		the same with objects that have spans of their own
 *	fragmented	keeps one object in a thousand: pages in between must go
 *	again		grows and shrinks several times, and must get zeroed memory each time
 *	loaded		the same, while more processes want the CPUs than there are: threads are
 *			then stopped at any place, and what they left in registers there must not
 *			keep anything
 *
 * Metadata stays: some 2 % of what the heap once was, and the buffers of its barrier, which are
 * more where the collector had to wait for a CPU.
 */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/arena_check.h"
#include "lib/process.h"
#include "tricolor.h"

#define META_PERCENT 4
#define SLACK_KB 2048
#define GOAL_KB 6144			/* 110 % of the goal of an empty heap, and the last steps */
#define BACKGROUND_NS 60000000000ull

struct shared {
	_Atomic uint32_t step;		/* the client: 1 grown, 2 dropped, 3 shrunk */
	_Atomic uint32_t go;		/* the tester: as far as it may go */
	uint64_t bad, free_bytes, heap_bytes, released_bytes, kept, peak_bytes, buffer_bytes;
	uint32_t whole;			/* times that a dropped list was still there */
};

struct cell {
	struct cell *next;
	uint64_t value[11];
};

static struct shared *shared;
static uint64_t burst;			/* bytes */
static struct cell *list;

static void read_stats(struct tri_stats *s)
{
	s->size = sizeof(*s);
	if (tri_read_stats(s))
		_exit(9);
}

static void note_stats(void)
{
	struct tri_view view;
	struct tri_stats s;

	read_stats(&s);
	shared->free_bytes = s.free_bytes;
	shared->heap_bytes = s.heap_bytes;
	shared->released_bytes = s.released_bytes;
	shared->peak_bytes = s.peak_heap_bytes;
	if (arena_find(&view))
		shared->buffer_bytes =
			tri_read(&view.ctl->buffers_used) * sizeof(struct tri_buffer);
}

/* Wait for the tester, blocked in poll(). */
static void wait_go(uint32_t step)
{
	shared->step = step;
	while (shared->go < step)
		poll(NULL, 0, 5);
}

/* Whatever it keeps is in `list`. */
static __attribute__((noinline)) void grow(uint64_t keep_one_in)
{
	uint64_t n = burst / sizeof(struct cell), i, k;
	struct cell *all = NULL, *c;

	for (i = 0; i < n; i++) {
		c = tri_alloc(sizeof(*c));
		if (!c)
			_exit(9);
		for (k = 0; k < 11; k++) {
			shared->bad += c->value[k] != 0;
			c->value[k] = i + k;
		}
		tri_store(&c->next, all);
		all = c;
		tri_store(&list, all);
	}
	wait_go(1);
	if (!keep_one_in) {
		tri_store(&list, NULL);
		return;
	}
	/* Unlink what is between the ones that stay. */
	for (all = list; all; all = c) {
		shared->kept++;
		for (c = all->next, i = 1; c && i < keep_one_in; i++)
			c = c->next;
		tri_store(&all->next, c);
	}
}

static __attribute__((noinline)) void grow_large(void)
{
	void **table = tri_alloc(64 * sizeof(void *));
	uint64_t each = burst / 64, i, k;

	for (i = 0; i < 64; i++) {
		uint64_t *object = i & 1 ? tri_alloc(each) : tri_alloc_leaf(each);

		if (!object)
			_exit(9);
		for (k = 0; k < each / 8; k += 512) {
			shared->bad += object[k] != 0;
			object[k] = k;
		}
		tri_store(&table[i], object);
	}
	wait_go(1);
}

static __attribute__((noinline)) void wipe_stack(void)
{
	volatile char junk[32768];

	memset((char *)junk, 0, sizeof(junk));
	tri_keep_alive((const void *)junk);
}

enum kind { BACKGROUND, AT_ONCE, LARGE, FRAGMENTED, AGAIN, LOADED };

static int client(enum kind kind)
{
	int i;

	for (i = 0; i < (kind == AGAIN ? 3 : kind == LOADED ? 10 : 1); i++) {
		if (kind == LARGE)
			grow_large();
		else
			grow(kind == FRAGMENTED ? 1000 : 0);
		wipe_stack();
		if (kind == BACKGROUND ? tri_gc() : tri_free_os_memory())
			return 9;
		note_stats();
		if (shared->heap_bytes > burst / 2)
			shared->whole++;
	}
	note_stats();
	wait_go(2);
	if (kind == BACKGROUND) {
		/* One thread, blocked: what happens now happens without it. */
		wait_go(3);
		note_stats();
	}
	if (kind == FRAGMENTED) {
		uint64_t n = 0;
		struct cell *c;

		for (c = list; c; c = c->next, n++)
			shared->bad += c->value[10] != c->value[0] + 10;
		shared->bad += n != shared->kept;
	}
	return 0;
}

static long resident_kb(pid_t pid)
{
	return proc_status(pid, "RssShmem");
}

/* Whether the client's memory is at most @kb; while it shrinks it has time. */
static bool shrinks_to(pid_t pid, long kb, uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	while (resident_kb(pid) > kb && now_ns() < end)
		pause_ns(5000000);
	return resident_kb(pid) <= kb;
}

static void test(const char *name, enum kind kind, uint64_t mib, unsigned int keep_percent)
{
	long want_kb = SLACK_KB + (long)mib * 1024 * (long)keep_percent / 100 +
		       (kind == BACKGROUND ? GOAL_KB : 0), full_kb, dropped_kb, end_kb;
	uint64_t began;
	bool grown, shrunk;
	int status;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	burst = mib << 20;
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(client(kind));
	grown = WAIT_FOR(shared->step >= 1 || proc_status(pid, "Threads") < 0, 1000000,
			 3 * PATIENCE_NS);
	full_kb = resident_kb(pid);
	shared->go = 1;
	began = now_ns();
	grown &= WAIT_FOR(shared->step >= 2, 1000000, 6 * PATIENCE_NS);
	/* A burst may begin before the one before it has been collected. */
	want_kb += (long)((shared->peak_bytes > burst ? shared->peak_bytes : burst) >> 10) *
			   META_PERCENT / 100 + (long)(shared->buffer_bytes >> 10);
	dropped_kb = resident_kb(pid);
	shrunk = shrinks_to(pid, want_kb, kind == BACKGROUND ? BACKGROUND_NS : 1000000000);
	end_kb = resident_kb(pid);
	ksft_print_msg(
		"%s: %ld MiB, after the cycle %ld MiB, at the end %ld MiB (at most %ld), %.1f s\n",
		name, full_kb >> 10, dropped_kb >> 10, end_kb >> 10, want_kb >> 10,
		(double)(now_ns() - began) / 1e9);
	shared->go = 3;
	status = wait_status(pid);
	ksft_print_msg(
		"%s: heap %llu KiB, peak %llu MiB, free %llu KiB, released %llu MiB, kept %llu\n",
		name, (unsigned long long)(shared->heap_bytes >> 10),
		(unsigned long long)(shared->peak_bytes >> 20),
		(unsigned long long)(shared->free_bytes >> 10),
		(unsigned long long)(shared->released_bytes >> 20),
		(unsigned long long)shared->kept);
	ksft_test_result(!status && grown && full_kb > (long)(burst >> 10),
			 "%s: grew (status %d)\n", name, status);
	ksft_test_result(!status && shrunk && (kind == FRAGMENTED || !shared->whole),
			 "%s: shrank, and did each time (%u not)\n", name, shared->whole);
	ksft_test_result(!status && !shared->bad &&
			 (kind == BACKGROUND ? shared->released_bytes > 0 : !shared->free_bytes),
			 "%s: contents are right, and so are the figures\n", name);
}

#define HOGS 4

static void start_hogs(pid_t *hog)
{
	int i;

	for (i = 0; i < HOGS; i++) {
		hog[i] = fork();
		if (!hog[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				;
		}
	}
}

static void stop_hogs(const pid_t *hog)
{
	int i;

	for (i = 0; i < HOGS; i++) {
		kill(hog[i], SIGKILL);
		waitpid(hog[i], NULL, 0);
	}
}

int main(void)
{
	pid_t hog[HOGS];

	ksft_print_header();
	ksft_set_plan(18);
	shared = shared_memory(sizeof(*shared));
	setenv("TRICOLOR_SOCKET", "off", 1);
	/* One page in ten of the fragmented heap holds an object that lives. */
	test("background", BACKGROUND, 64, 0);
	test("at once", AT_ONCE, 256, 0);
	test("large", LARGE, 256, 0);
	test("fragmented", FRAGMENTED, 128, 11);
	test("again", AGAIN, 128, 0);
	start_hogs(hog);
	test("loaded", LOADED, 32, 0);
	stop_hogs(hog);
	ksft_finished();
}
