// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_alloc.c - what allocation functions promise: zeros, alignment, sizes, types, errors
 *
 * Memory is filled with ones, dropped and collected before it is asked for again, so that zeros are
 * the allocator's doing.  What needs settings of its own runs in a child: a process has one heap.
 */
#include <signal.h>
#include <sys/wait.h>

#include "lib/witness.h"

#define SIZE_MAX_TESTED 40000u

static uint64_t seed;

static bool is_zero(const void *p, size_t bytes)
{
	const unsigned char *c = p;

	return !bytes || (!c[0] && !memcmp(c, c + 1, bytes - 1));
}

typedef void *(*alloc_fn)(size_t size);

static void *alloc_scanned(size_t size)
{
	return tri_alloc(size);
}

static void *alloc_leaf(size_t size)
{
	return tri_alloc_leaf(size);
}

static const uint64_t two_in_five = 0x12;
static const struct tri_type five_words = { 40, &two_in_five, "five words" };

static void *alloc_typed(size_t size)
{
	return tri_alloc_typed(&five_words, (size + 39) / 40);
}

/* One pass over the sizes in a random stride.  The object is used up to its usable size. */
static bool check_sizes(alloc_fn alloc, bool expect_alignment)
{
	size_t size = 0, i, usable;
	void *p, *last = NULL;

	for (i = 0; i <= SIZE_MAX_TESTED; i++, size = (size + 7919) % (SIZE_MAX_TESTED + 1)) {
		p = alloc(size);
		if (!p || p == last) {
			ksft_print_msg("size %zu: %p after %p: %s\n", size, p, last, tri_error());
			return false;
		}
		last = p;
		if (expect_alignment && size >= 16 && (uintptr_t)p % 16) {
			ksft_print_msg("size %zu: %p is not aligned to 16\n", size, p);
			return false;
		}
		usable = tri_base(p) == p ? tri_usable_size(p) : size;
		if (usable < size || (size > 128 && usable > size + size / 8 + 8192)) {
			ksft_print_msg("size %zu: usable size %zu\n", size, usable);
			return false;
		}
		if (!is_zero(p, size)) {
			ksft_print_msg("size %zu: not zeroed\n", size);
			return false;
		}
		memset(p, 0xff, size);
	}
	return true;
}

static bool test_sizes(alloc_fn alloc, bool expect_alignment)
{
	int round;

	for (round = 0; round < 2; round++) {
		if (!check_sizes(alloc, expect_alignment))
			return false;
		collect_times(1);
	}
	return true;
}

/* Sizes that the compiler knows take the inline path. */
static bool test_inline_sizes(void)
{
	static const int rounds = 20000;
	int i;

	for (i = 0; i < rounds; i++) {
#define ONE(size, alloc)						\
		do {							\
			void *p_ = alloc(size);				\
									\
			if (!p_ || (uintptr_t)p_ % 16 || !is_zero(p_, size)) \
				return false;				\
			memset(p_, 0xff, size);				\
		} while (0)
		ONE(16, tri_alloc);
		ONE(48, tri_alloc);
		ONE(120, tri_alloc);
		ONE(500, tri_alloc);
		ONE(16, tri_alloc_leaf);
		ONE(200, tri_alloc_leaf);
		ONE(512, tri_alloc_leaf);
#undef ONE
		if (i % 5000 == 4999)
			collect();
	}
	return true;
}

/* Distinct, neighbours or not, and each keeps what is written to it. */
static bool test_tiny(void)
{
	unsigned char **slots = tri_alloc(1000 * sizeof(*slots));
	size_t i, k, size;

	for (i = 0; i < 1000; i++) {
		size = i % 15 + 1;
		tri_store(&slots[i], tri_alloc_leaf(size));
		if (!is_zero(slots[i], size) || (size >= 8 && (uintptr_t)slots[i] % 8))
			return false;
		memset(slots[i], (int)(i % 251 + 1), size);
		if (i % 300 == 0)
			collect();
	}
	collect_times(2);
	for (i = 0; i < 1000; i++)
		for (k = 0; k < i % 15 + 1; k++)
			if (slots[i][k] != i % 251 + 1 || !tri_base(&slots[i][k]))
				return false;
	return true;
}

struct node {
	uint64_t number;
	struct witness *ptr[3];
	uint64_t numbers[6];
	struct witness *last;
};

TRI_TYPE(node_type, struct node, ptr, last);

struct long_node {
	uint64_t numbers[70];
	struct witness *ptr[70];
	uint64_t more[60];
	struct witness *last;
	uint64_t end;
};

TRI_TYPE(long_type, struct long_node, ptr, last);

static struct node *nodes;
static struct long_node *long_nodes;
static uintptr_t kept[200], dropped[200];

/* Other objects may be where dropped ones were, so those have numbers that no other one has. */
static struct witness *to_drop(int at)
{
	struct witness *w = witness_new((uint64_t)at + 1000000);

	dropped[at] = hide(w);
	return w;
}

/* Named fields hold objects; others hold the same sort of words and do not. */
static NOINLINE int fill_typed(int n)
{
	int i, k, at = 0;

	tri_store(&nodes, tri_alloc_typed(&node_type, (size_t)n));
	for (i = 0; i < n; i++) {
		for (k = 0; k < 4; k++, at++) {
			struct witness *w = witness_new((uint64_t)at);

			kept[at] = hide(w);
			if (k < 3)
				tri_store(&nodes[i].ptr[k], w);
			else
				tri_store(&nodes[i].last, w);
			w = to_drop(at);
			*(k < 3 ? &nodes[i].numbers[k * 2] : &nodes[i].number) = (uintptr_t)w;
		}
	}
	return at;
}

static bool check_witnesses(int n)
{
	int i, gone = 0;

	for (i = 0; i < n; i++) {
		if (!hidden_ok(kept[i], (uint64_t)i)) {
			ksft_print_msg("pointer %d was not followed\n", i);
			return false;
		}
		gone += !hidden_ok(dropped[i], (uint64_t)i + 1000000);
	}
	/* A stale register may keep one. */
	if (gone < n - 2)
		ksft_print_msg("%d of %d words that are no pointers were followed\n", n - gone, n);
	return gone >= n - 2;
}

static bool test_typed(int count)
{
	int n = fill_typed(count);

	collect_times(3);
	return check_witnesses(n);
}

static NOINLINE int fill_long(void)
{
	int k, at = 0;

	tri_store(&long_nodes, tri_alloc_typed(&long_type, 30));
	for (k = 0; k < 71; k++, at++) {
		struct witness *w = witness_new((uint64_t)at);

		kept[at] = hide(w);
		if (k < 70)
			tri_store(&long_nodes[29].ptr[k], w);
		else
			tri_store(&long_nodes[29].last, w);
		w = to_drop(at);
		*(k < 70 ? &long_nodes[29].numbers[k] : &long_nodes[29].end) = (uintptr_t)w;
	}
	return at;
}

static bool test_long_type(void)
{
	int n = fill_long();

	collect_times(3);
	return check_witnesses(n);
}

static bool test_aligned(bool leaf)
{
	size_t align, size;

	for (align = 1; align <= 2 << 20; align *= 2) {
		for (size = 1; size <= 4 << 20; size = size * 5 + draw(&seed) % 7) {
			char *p = leaf ? tri_alloc_leaf_aligned(size, align) :
					 tri_alloc_aligned(size, align);

			if (!p || (uintptr_t)p % align || !is_zero(p, size) ||
			    tri_base(p + size - 1) != p || tri_usable_size(p) < size) {
				ksft_print_msg(
					"%zu bytes at a multiple of %zu: %p, base %p, %zu usable\n",
					size, align, (void *)p, tri_base(p), tri_usable_size(p));
				return false;
			}
			memset(p, 0xff, size);
		}
	}
	return true;
}

static bool test_strings(void);

static bool fails_with(void *p, int err)
{
	return !p && errno == err && strstr(tri_error(), "tricolor");
}

static bool test_errors(void)
{
	static const struct tri_type empty = { 0, &two_in_five, NULL };
	static const struct tri_type odd = { 12, &two_in_five, NULL };
	static const struct tri_type unmapped = { 16, NULL, NULL };
	struct tri_stats small = { .size = 8 };
	struct {
		struct tri_stats known;
		uint64_t later;
	} sized;
	struct tri_options options = { .size = sizeof(options) };
	int here;
	char *p = tri_alloc(100);
	bool ok = true;

#define FIVES 0x5555555555555555ull
#define EXPECT(what)							\
	do {								\
		errno = 0;						\
		if (!(what)) {						\
			ksft_print_msg("not so: %s (errno %d, %s)\n", #what, errno, tri_error()); \
			ok = false;					\
		}							\
	} while (0)
	EXPECT(fails_with(tri_alloc_aligned(10, 0), EINVAL));
	EXPECT(fails_with(tri_alloc_aligned(10, 3), EINVAL));
	EXPECT(fails_with(tri_alloc_aligned(10, 4 << 20), EINVAL));
	EXPECT(fails_with(tri_alloc_leaf_aligned(10, 48), EINVAL));
	EXPECT(fails_with(tri_alloc_typed(NULL, 1), EINVAL));
	EXPECT(fails_with(tri_alloc_typed(&empty, 1), EINVAL));
	EXPECT(fails_with(tri_alloc_typed(&odd, 1), EINVAL));
	EXPECT(fails_with(tri_alloc_typed(&unmapped, 1), EINVAL));
	EXPECT(fails_with(tri_alloc_typed(&five_words, SIZE_MAX / 8), ENOMEM));
	EXPECT(fails_with(tri_alloc(SIZE_MAX), ENOMEM));
	EXPECT(fails_with(tri_alloc(SIZE_MAX / 2), ENOMEM));
	EXPECT(fails_with(tri_alloc_leaf(1ull << 45), ENOMEM));
	EXPECT(fails_with(tri_alloc_aligned(SIZE_MAX - 100, 4096), ENOMEM));
	EXPECT(fails_with(tri_alloc_aligned(SIZE_MAX / 2 + 2, 1 << 20), ENOMEM));
	EXPECT(fails_with(tri_realloc(p + 16, 10), EINVAL));
	EXPECT(fails_with(tri_realloc(&here, 10), EINVAL));
	EXPECT(fails_with(tri_realloc(p, SIZE_MAX), ENOMEM));
	EXPECT(tri_read_stats(&small) == -EINVAL);
	/* Of an older and of a newer header. */
	memset(&sized, 0x55, sizeof(sized));
	sized.known.size = offsetof(struct tri_stats, live_bytes);
	EXPECT(!tri_read_stats(&sized.known) && sized.known.allocated_bytes &&
	       sized.known.allocated_bytes != FIVES && sized.known.live_bytes == FIVES &&
	       sized.later == FIVES);
	sized.known.size = sizeof(sized);
	EXPECT(!tri_read_stats(&sized.known) && sized.known.threads == 1 && !sized.later);
	EXPECT(tri_init(&options) == -EALREADY);
	EXPECT(tri_init(NULL) == 0);
	EXPECT(tri_base(NULL) == NULL && tri_base(&here) == NULL && tri_base(test_strings) == NULL);
	EXPECT(tri_usable_size(NULL) == 0 && tri_usable_size(p + 1) == 0 &&
	       tri_usable_size(&here) == 0);
	EXPECT(tri_base(p) == p && tri_base(p + 99) == p && tri_usable_size(p) >= 100);
	EXPECT(tri_usable_size(tri_alloc(0)) > 0);
#undef EXPECT
	return ok;
}

static bool test_strings(void)
{
	char text[300], *a, *b, *c;
	size_t i;

	memset(text, 'x', sizeof(text));
	text[299] = 0;
	for (i = 0; i < 299; i++) {
		a = tri_strdup(text + i);
		b = tri_strndup(text, i);
		c = tri_strndup(text + i, 1000);
		if (!a || !b || !c || strcmp(a, text + i) || strcmp(c, text + i) ||
		    strlen(b) != i || memcmp(b, text, i))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* tri_realloc()                                                                              */
/* ------------------------------------------------------------------------------------------ */

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 31 % 255 + 1);
}

/* Grow and shrink a leaf or conservative object again and again, and look at every byte. */
static bool test_realloc(bool leaf)
{
	size_t size = 0, next, i;
	unsigned char *p = leaf ? tri_alloc_leaf(16) : tri_realloc(NULL, 0);
	int round;

	size = leaf ? 16 : 0;
	for (i = 0; i < size; i++)
		p[i] = byte_at(i);
	for (round = 0; round < 1500; round++) {
		switch (draw(&seed) % 4) {
		case 0:
			next = size + draw(&seed) % 64;
			break;
		case 1:
			next = size - draw(&seed) % (size / 3 + 1);
			break;
		case 2:
			next = draw(&seed) % 2000;
			break;
		default:
			next = draw(&seed) % 200000;
			break;
		}
		p = tri_realloc(p, next);
		if (!p || tri_usable_size(p) < next) {
			ksft_print_msg("%zu to %zu bytes: %p: %s\n", size, next, (void *)p,
				       tri_error());
			return false;
		}
		for (i = 0; i < next; i++) {
			if (p[i] != (i < size ? byte_at(i) : 0)) {
				ksft_print_msg("%zu to %zu bytes: byte %zu is %#x\n", size, next, i,
					       p[i]);
				return false;
			}
		}
		for (i = size; i < next; i++)
			p[i] = byte_at(i);
		size = next;
		if (round % 100 == 0)
			collect();
	}
	return true;
}

/* Other objects, whole of ones, so that what grows has dirt around it. */
static NOINLINE void leave_dirt(void)
{
	int i;

	for (i = 0; i < 400; i++) {
		size_t size = draw(&seed) % 100000;

		memset(tri_alloc_leaf(size), 0xff, size);
	}
}

static bool test_large_tail(void)
{
	size_t size, usable, i;
	unsigned char *p;

	for (size = 33000; size < 120000; size += 1111) {
		leave_dirt();
		collect_times(1);
		p = tri_alloc(size);
		usable = tri_usable_size(p);
		p = tri_realloc(p, usable);
		for (i = 0; i < usable; i++) {
			if (p[i]) {
				ksft_print_msg("%zu bytes grown to %zu: byte %zu is %#x\n", size,
					       usable, i, p[i]);
				return false;
			}
		}
	}
	return true;
}

static NOINLINE int grow_typed(void)
{
	size_t count;
	int k, n = 0;

	tri_store(&nodes, tri_alloc_typed(&node_type, 1));
	for (k = 0; k < 4; k++, n++) {
		struct witness *w = witness_new((uint64_t)n);

		kept[n] = hide(w);
		if (k < 3)
			tri_store(&nodes->ptr[k], w);
		else
			tri_store(&nodes->last, w);
		w = to_drop(n);
		nodes->numbers[k] = (uintptr_t)w;
	}
	for (count = 2; count < 600; count = count * 5 / 3)
		tri_store(&nodes, tri_realloc(nodes, count * sizeof(*nodes)));
	for (; count > 2; count /= 2)
		tri_store(&nodes, tri_realloc(nodes, count * sizeof(*nodes)));
	return n;
}

static bool test_realloc_typed(void)
{
	int n = grow_typed();

	collect_times(3);
	return check_witnesses(n);
}

/* ------------------------------------------------------------------------------------------ */
/* Settings                                                                                   */
/* ------------------------------------------------------------------------------------------ */

/* Run @fn in a child with NAME=VALUE; true if it returns true.  The child makes its own heap. */
static bool in_child(bool (*fn)(void), const char *name, const char *value)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(120);
		if (name)
			setenv(name, value, 1);
		_exit(fn() ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		ksft_print_msg("%s=%s: wait status %#x\n", name ? name : "", value ? value : "",
			       status);
	return status == 0;
}

/*
 * In a child: TRICOLOR_DEBUG=gc=N is for small tests, and a cycle after each few of a million
 * operations takes hours.
 */
static void without_steps(void)
{
	const char *debug = getenv("TRICOLOR_DEBUG");

	if (debug && strstr(debug, "gc="))
		unsetenv("TRICOLOR_DEBUG");
}

static struct witness *everything;

/* Fill the arena.  Returns the number of bytes that went in. */
static NOINLINE size_t fill_arena(size_t object_bytes)
{
	size_t bytes = 0;

	for (;;) {
		struct witness *w = tri_alloc(object_bytes);

		if (!w)
			return bytes;
		w->id = 1;
		tri_store(&w->next, everything);
		tri_store(&everything, w);
		bytes += object_bytes;
		if (bytes > 1ull << 30)
			return bytes;
	}
}

static bool full_with(size_t object_bytes)
{
	uint64_t began = now_ns();
	size_t first, second;
	int err;

	errno = 0;
	first = fill_arena(object_bytes);
	err = errno;
	if (err != ENOMEM || !strstr(tri_error(), "TRICOLOR_ARENA_SIZE")) {
		ksft_print_msg("full: errno %d, %s\n", err, tri_error());
		return false;
	}
	tri_store(&everything, NULL);
	wipe_stack();
	second = fill_arena(object_bytes);
	tri_store(&everything, NULL);
	wipe_stack();
	ksft_print_msg("objects of %zu: %zu KiB, then %zu KiB, in %llu ms\n", object_bytes,
		       first >> 10, second >> 10, (unsigned long long)(now_ns() - began) / 1000000);
	return first > 10 << 20 && first <= 16 << 20 && second > first / 10 * 8;
}

static bool arena_gets_full(void)
{
	without_steps();
	return full_with(64) && full_with(3000) && full_with(100000) && full_with(64);
}

/*
 * An arena of 4 MiB is filled, with a cycle after every 128 objects: spans with a few of them have
 * to be filled up.
 */
static bool arena_gets_full_slowly(void)
{
	size_t bytes;

	without_steps();
	for (bytes = 0; bytes < 1ull << 30; bytes += 256) {
		struct witness *w = tri_alloc(256);

		if (!w)
			break;
		tri_store(&w->next, everything);
		tri_store(&everything, w);
		if (bytes % (32 << 10) == 0)
			collect();
	}
	ksft_print_msg("%zu KiB in %llu cycles\n", bytes >> 10,
		       (unsigned long long)read_stats().cycles);
	return errno == ENOMEM && bytes > 3 << 20;
}

/*
 * Of a class of which much is live, one object is made and one dropped in each cycle; none of those
 * that came first, so that there are many full spans before the first one with a free slot.
 */
static bool few_allocations(void)
{
	enum { LIVE = 20000, CYCLES = 300 };
	struct witness **live;
	uint64_t before;
	int i;

	without_steps();
	live = tri_alloc(LIVE * sizeof(*live));
	for (i = 0; i < LIVE; i++)
		tri_store(&live[i], witness_new(0));
	collect();
	before = read_stats().heap_bytes;
	for (i = 0; i < CYCLES; i++) {
		tri_store(&live[LIVE / 4 * 3 + i * 7919 % (LIVE / 4)], witness_new(1));
		collect();
	}
	ksft_print_msg("%llu KiB after, %llu KiB before\n",
		       (unsigned long long)read_stats().heap_bytes >> 10,
		       (unsigned long long)before >> 10);
	return read_stats().heap_bytes < before * 2;
}

static bool percent(void)
{
	if (tri_set_gc_percent(50) != 100 || tri_set_gc_percent(-1) != 50 ||
	    tri_set_gc_percent(-7) != -1 || tri_set_gc_percent(0) != -1 ||
	    tri_set_gc_percent(100) != 0)
		return false;
	return true;
}

static NOINLINE void allocate_garbage(size_t bytes)
{
	size_t done;

	/* Written to, as a program would: pages cost time, which the collector has too. */
	for (done = 0; done < bytes; done += 4096)
		memset(tri_alloc_leaf(4096), 1, 8);
}

/* Allocate until there have been some cycles more: much more than there may be between two. */
static bool cycles_come(void)
{
	uint64_t cycles = read_stats().cycles;
	struct tri_stats s;
	int i;

	for (i = 0; i < 64 && read_stats().cycles < cycles + 3; i++)
		allocate_garbage(32 << 20);
	s = read_stats();
	ksft_print_msg("%llu cycles in %d times 32 MiB; goal %llu MiB, peak %llu MiB\n",
		       (unsigned long long)(s.cycles - cycles), i,
		       (unsigned long long)s.goal_bytes >> 20,
		       (unsigned long long)s.peak_heap_bytes >> 20);
	return s.cycles >= cycles + 3;
}

/* off: no cycle comes by itself.  Then a small percentage makes many. */
static bool percent_works(void)
{
	uint64_t cycles;

	tri_set_gc_percent(-1);
	collect();
	cycles = read_stats().cycles;
	allocate_garbage(64 << 20);
	if (read_stats().cycles != cycles)
		return false;
	tri_set_gc_percent(100);
	collect();
	return cycles_come();
}

static bool memory_limit(void)
{
	tri_set_gc_percent(-1);
	if (tri_set_memory_limit(-1) != TRI_LIMIT_AUTO ||
	    tri_set_memory_limit(32 << 20) != TRI_LIMIT_AUTO ||
	    tri_set_memory_limit(-1) != 32 << 20)
		return false;
	collect();
	return cycles_come();
}

static bool limit_of_environment(void)
{
	return tri_set_memory_limit(-1) == 512 << 20;
}

static bool percent_of_environment(void)
{
	return tri_set_gc_percent(100) == 33;
}

static bool percent_off(void)
{
	return tri_set_gc_percent(100) == -1;
}

static bool option_wins(void)
{
	struct tri_options options = {
		.size = sizeof(options), .gc_percent = 77, .memory_limit_bytes = 1 << 30,
		.arena_bytes = 64 << 20, .handshake_signal = SIGUSR1, .debug = "clobberfree",
		.socket = "off", .backing = TRI_BACKING_MEMFD,
	};

	if (tri_init(&options))
		return false;
	collect();
	return tri_set_gc_percent(100) == 77 && tri_set_memory_limit(-1) == 1 << 30 &&
	       !tri_alloc(65 << 20) && errno == ENOMEM &&
	       strstr(tri_error(), "TRICOLOR_ARENA_SIZE") && tri_init(&options) == -EALREADY &&
	       strstr(tri_error(), "heap already");
}

static bool refused(void)
{
	struct tri_options options = { .size = sizeof(options) };

	return tri_init(&options) == -EINVAL && !strncmp(tri_error(), "tricolor: ", 10) &&
	       strlen(tri_error()) > 30;
}

static bool bad_options(void)
{
	const struct tri_options bad[] = {
		{ .size = 0 },
		{ .size = 15 },
		{ .size = sizeof(bad[0]), .limit_policy = 3 },
		{ .size = sizeof(bad[0]), .gc_percent = -2 },
		{ .size = sizeof(bad[0]), .memory_limit_bytes = -1 },
		{ .size = sizeof(bad[0]), .backing = 3 },
		{ .size = sizeof(bad[0]), .handshake_signal = 1000 },
		{ .size = sizeof(bad[0]), .handshake_signal = SIGKILL },
		{ .size = sizeof(bad[0]), .handshake_signal = SIGSTOP },
		{ .size = sizeof(bad[0]), .handshake_signal = SIGSEGV },
		{ .size = sizeof(bad[0]), .arena_bytes = 4096 },
		{ .size = sizeof(bad[0]), .arena_bytes = 1ull << 50 },
		{ .size = sizeof(bad[0]), .debug = "nonsense" },
		{ .size = sizeof(bad[0]), .trace = "gc,nonsense" },
	};
	struct tri_options good = { .arena_bytes = 64 << 20 };
	struct {
		struct tri_options known;
		uint64_t later;
	} longer = { 0 };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int err = tri_init(&bad[i]);

		if (err != -EINVAL || strncmp(tri_error(), "tricolor: ", 10)) {
			ksft_print_msg("bad options %zu: %d, %s\n", i, err, tri_error());
			return false;
		}
	}
	longer.known.size = sizeof(longer);
	longer.later = 1;
	if (tri_init(&longer.known) != -E2BIG || !strstr(tri_error(), "does not know"))
		return false;
	longer.later = 0;
	longer.known.limit_policy = 3;
	if (tri_init(&longer.known) != -EINVAL)
		return false;
	/* Of a header that had two options: the third is none. */
	good.limit_policy = 3;
	good.size = offsetof(struct tri_options, limit_policy);
	/* A refusal leaves no trace. */
	return tri_init(&good) == 0 && tri_alloc(100) && tri_gc() == 0;
}

static bool test_environment(void)
{
	static const char *const bad[][2] = {
		{ "TRICOLOR_GC_PERCENT", "much" },	{ "TRICOLOR_GC_PERCENT", "-5" },
		{ "TRICOLOR_GC_PERCENT", "10%" },	{ "TRICOLOR_MEMORY_LIMIT", "lots" },
		{ "TRICOLOR_MEMORY_LIMIT", "10QB" },	{ "TRICOLOR_MEMORY_LIMIT", "-1" },
		{ "TRICOLOR_MEMORY_LIMIT", "99999999999TiB" },
		{ "TRICOLOR_ARENA_SIZE", "1KiB" },	{ "TRICOLOR_ARENA_SIZE", "x" },
		{ "TRICOLOR_BACKING", "disk" },		{ "TRICOLOR_SIGNAL", "0" },
		{ "TRICOLOR_SIGNAL", "9" },		{ "TRICOLOR_SIGNAL", "19" },
		{ "TRICOLOR_SIGNAL", "10x" },		{ "TRICOLOR_TRACE", "everything" },
		{ "TRICOLOR_DEBUG", "checkmarks" },	{ "TRICOLOR_DAEMON", "sbin/tricolord" },
	};
	bool ok = true;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok = in_child(refused, bad[i][0], bad[i][1]) && ok;
	return in_child(limit_of_environment, "TRICOLOR_MEMORY_LIMIT", "512MiB") &&
	       in_child(percent_of_environment, "TRICOLOR_GC_PERCENT", "33") &&
	       in_child(percent_off, "TRICOLOR_GC_PERCENT", "off") && ok;
}

int main(int argc, char **argv)
{
	ksft_print_header();
	ksft_set_plan(24);
	seed = seed_from(argc, argv);

	/* First the children: a child of a process with a heap would inherit its settings. */
	ksft_test_result(test_environment(), "TRICOLOR_* in the environment\n");
	ksft_test_result(in_child(bad_options, NULL, NULL), "options that make no sense\n");
	ksft_test_result(in_child(option_wins, "TRICOLOR_GC_PERCENT", "33"),
			 "an option wins over the environment\n");
	ksft_test_result(in_child(arena_gets_full, "TRICOLOR_ARENA_SIZE", "16MiB"),
			 "a full arena, and after it\n");
	ksft_test_result(in_child(arena_gets_full_slowly, "TRICOLOR_ARENA_SIZE", "4MiB"),
			 "an arena that gets full slowly\n");
	ksft_test_result(in_child(few_allocations, NULL, NULL), "few allocations in each cycle\n");
	ksft_test_result(in_child(percent, NULL, NULL),
			 "tri_set_gc_percent() gives the old value\n");
	/* Cycles come by these alone: not because a debug setting asks for them. */
	ksft_test_result(in_child(percent_works, "TRICOLOR_DEBUG", ""),
			 "tri_set_gc_percent() has an effect\n");
	ksft_test_result(in_child(memory_limit, "TRICOLOR_DEBUG", ""), "tri_set_memory_limit()\n");

	ksft_test_result(test_sizes(alloc_scanned, true), "sizes 0 to %u, scanned\n",
			 SIZE_MAX_TESTED);
	ksft_test_result(test_sizes(alloc_leaf, true), "sizes 0 to %u, leaf\n", SIZE_MAX_TESTED);
	ksft_test_result(test_sizes(alloc_typed, true), "sizes 0 to %u, typed\n", SIZE_MAX_TESTED);
	ksft_test_result(test_inline_sizes(), "constant sizes\n");
	ksft_test_result(test_tiny(), "tiny objects\n");
	ksft_test_result(test_typed(1), "a typed object\n");
	ksft_test_result(test_typed(50), "an array of typed objects\n");
	ksft_test_result(test_long_type(), "a long type in a large array\n");
	ksft_test_result(test_aligned(false) && test_aligned(true), "alignments up to 2 MiB\n");
	ksft_test_result(test_errors(), "errors\n");
	ksft_test_result(test_strings(), "strings\n");
	ksft_test_result(test_realloc(true), "tri_realloc() of leaf objects\n");
	ksft_test_result(test_realloc(false), "tri_realloc() of scanned objects\n");
	ksft_test_result(test_large_tail(), "a large object grows into its last page\n");
	ksft_test_result(test_realloc_typed(), "tri_realloc() of typed objects\n");
	ksft_finished();
}
