// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_throttle.c - the account that the library keeps of a group's limit, to the byte
 *
 * grant.c, throttle.c, untouched.c and pageheap.c work here on an arena without a collector, in a
 * group whose files are this program's.  What a page of the heap or of the tables gets by and by
 * comes when the test says so: also between two steps of a measurement, and between two of the
 * page heap's, where these have their test points.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/check.h"
#include "core/system/clock.h"
#include "core/system/point.h"

static void at(const char *point);

#undef TRI_POINT
#define TRI_POINT(name) at(name)

/* CPU time of the agent: each count takes @count_takes_ns. */
static uint64_t cpu_time_ns, count_takes_ns;

static uint64_t test_cpu_ns(void)
{
	return cpu_time_ns += count_takes_ns;
}

#define clock_cpu_ns test_cpu_ns

/* Included, so that the test points in them are this program's. */
#include "libclient/limits/grant.c"
#include "libclient/limits/heaps.c"
#include "libclient/limits/headroom.c"
#include "libclient/heap/pageheap.c"
#include "libclient/limits/throttle.c"
#include "libclient/limits/untouched.c"

#define MIB (1ll << 20)
#define LIMIT (64 * MIB)
#define MARGIN (2 * MIB)
#define RESERVE (LIMIT / 10 - MARGIN)
#define PAGES (TRI_CHUNK_PAGES * 8)
#define THREADS 24

struct tri_global tri_g = { .agent_tid = 1 };
__thread struct tri__tls tri__tls;
static struct tri_thread threads[THREADS];
static uint64_t now_ns = 1000000000, progress;	/* long ago: who waits until then waits no more */
static int use_fd;
static int64_t use;			/* of the group, without what the heap's pages have */

/* ------------------------------------------------------------------------------------------ */
/* What the rest of the library would do                                                      */
/* ------------------------------------------------------------------------------------------ */

uint64_t tri_now_ns(void)
{
	return now_ns;
}

uint64_t tri_progress(void)
{
	return progress;
}

void tri_agent_wake(uint32_t what)
{
	(void)what;
}

void tri_signal_self(struct tri_thread *t)
{
	(void)t;
}

void tri_forget_registers(void)
{
}

const char *tri_complaint(enum tri_complaint kind)
{
	(void)kind;
	return "";
}

void tri_collector_state(char *text, size_t room)
{
	snprintf(text, room, "none");
}

int tri_fail(int err, const char *format, ...)
{
	(void)format;
	return -err;
}

bool tri_refusing(void)
{
	return false;
}

/* ------------------------------------------------------------------------------------------ */

static const char *where;		/* do @then there, once */
static void (*then)(void);
static void (*waits)(void);		/* while a thread waits */

static uint32_t said_waiting;		/* what was last said while a thread waited */

/* The agent measures as soon as a thread waits for that. */
static void measures(void)
{
	found_ns = now_ns;
	tri_grant_measure();
}

/* It has no CPU; nobody wakes the thread. */
static void goes_by(void)
{
	now_ns += TRI_VALID_NS / 4;
	atomic_fetch_add(&tri_g.view.ctl->throttle_seq, 1);
}

static void at(const char *point)
{
	if (!strcmp(point, "throttle.waits")) {
		said_waiting = tri_read(&tri_g.view.ctl->throttled_now);
		waits();
	}
	if (!where || strcmp(point, where))
		return;
	where = NULL;
	then();
}

static int file(const char *text)
{
	int fd = memfd_create("group", 0);

	if (fd < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		ksft_exit_fail_msg("no memory\n");
	return fd;
}

static void write_use(int64_t bytes)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%lld\n", (long long)bytes);

	if (ftruncate(use_fd, 0) || pwrite(use_fd, text, (size_t)n, 0) != n)
		ksft_exit_fail_msg("can't write\n");
}

/* A new heap in a group that uses @bytes. */
static void begin(int64_t bytes)
{
	static struct tri_layout layout;
	static void *base;
	char text[32];
	int fd = memfd_create("arena", 0);

	if (base)
		munmap(base, layout.file_bytes);
	if (fd < 0 || tri_layout_init(&layout, PAGES) || ftruncate(fd, (off_t)layout.file_bytes))
		ksft_exit_fail_msg("no memory\n");
	base = mmap(NULL, layout.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    0);
	if (base == MAP_FAILED || tri_untouched_make(PAGES))
		ksft_exit_fail_msg("no memory\n");
	close(fd);
	/* Where it is the kernel's custom to give 2 MiB at once. */
	madvise(base, layout.file_bytes, MADV_NOHUGEPAGE);
	tri_view_init(&tri_g.view, base, &layout, (uint64_t)(uintptr_t)base + layout.heap);
	tri_pageheap_init();
	memset(threads, 0, sizeof(threads));
	tri__tls.thread = &threads[0];
	tri_g.settings.max_wait_s = 10;
	tri_write(&tri_g.sweepable, 1);
	tri_write(&tri_g.gc_wanted, 0);
	tri_grant_reset();
	tri_throttle_reset();
	tri_write(&turn_ns, 0);
	tri_write(&given_up, 0);
	waits = measures;
	now_ns += 1000;
	if (!use_fd) {
		use_fd = file("");
		tri_cgroup_files_init(&levels[0].files);
		levels[0].files.version = 2;
		levels[0].above_bytes = TRI_CGROUP_NONE;
		snprintf(text, sizeof(text), "%lld\n", (long long)LIMIT);
		levels[0].files.fd[TRI_FD_LIMIT] = file(text);
		levels[0].files.fd[TRI_FD_USE] = use_fd;
		levels[0].files.fd[TRI_FD_STAT] = file("inactive_file 0\nactive_file 0\n");
		levels[0].announced = tri_heaps_announce(levels[0].files.fd[TRI_FD_LIMIT]);
		check(levels[0].announced);
	}
	nlevels = 1;
	use = bytes;
}

/* What the agent finds, when the heap's pages have @heap_bytes and the group uses the rest. */
static int64_t measured(int64_t heap_bytes)
{
	found_ns = now_ns;
	write_use(use + heap_bytes);
	tri_grant_measure();
	return tri_grant_headroom();
}

static uint32_t take(uint32_t pages)
{
	bool backed;

	return tri_pageheap_take(pages, 1, &backed);
}

/* As an allocation does that has room: it waits for measurements. */
static uint32_t have(uint32_t pages)
{
	struct tri_throttled w = { .refused = true };
	uint32_t page;

	while (!(page = take(pages)))
		if (!tri_throttle_wait(&threads[0], &w) || w.begun)
			return 0;
	tri_throttle_end(&threads[0], &w);
	return page;
}

/* Another heap in the group; -1: that can't be. */
static int another(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", levels[0].files.fd[TRI_FD_LIMIT]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && tri_heaps_announce(fd) ? fd : -1;
}

static void touch(uint32_t page, uint32_t pages)
{
	volatile char *p = tri_g.view.heap + ((uint64_t)page << TRI_PAGE_SHIFT);
	uint64_t i;

	for (i = 0; i < (uint64_t)pages << TRI_PAGE_SHIFT; i += TRI_SYSTEM_PAGE)
		p[i] = 1;
}

/* As much is left in the reserve of a heap that has nothing, and the measurement is over. */
static void begin_with(int64_t left)
{
	begin(LIMIT - MARGIN - left);
	check(measured(0) == left);
}

/* ------------------------------------------------------------------------------------------ */
/* Measuring                                                                                  */
/* ------------------------------------------------------------------------------------------ */

static void test_promised(void)
{
	const int64_t all = LIMIT - MARGIN - 20 * MIB;
	uint32_t page;

	begin(20 * MIB);
	check(measured(0) == all);
	page = have(256);
	check(tri_grant_headroom() == all - 256 * (int64_t)TRI_TAKEN_BYTES);
	/* Other blocks of the file are no page's: they hide nothing that is promised. */
	memset(tri_g.view.buffers, 1, 4 * MIB);
	check(measured(0) == all - 256 * (int64_t)TRI_TAKEN_BYTES);
	touch(page, 128);
	check(measured(1 * MIB) == all - 1 * MIB - 128 * (int64_t)TRI_TAKEN_BYTES);
	/* One half of a page. */
	tri_g.view.heap[(uint64_t)(page + 200) << TRI_PAGE_SHIFT] = 1;
	check(measured(1 * MIB + 4096) == all - 1 * MIB - 128 * (int64_t)TRI_TAKEN_BYTES);
	touch(page, 256);
	check(measured(2 * MIB) == all - 2 * MIB);
}

/* The collector frees pages and takes their memory; the page heap gives them out again. */
static void test_again(void)
{
	const int64_t all = LIMIT - MARGIN - 20 * MIB;
	const struct tri_view *v = &tri_g.view;
	uint32_t page;

	begin(20 * MIB);
	measured(0);
	page = take(64);
	touch(page, 64);
	check(measured(64 * TRI_PAGE_BYTES) == all - 64 * (int64_t)TRI_PAGE_BYTES);
	tri_pages_release(v, page, 64);
	check(take(64) == page);
	check(tri_grant_headroom() == all - 64 * (int64_t)TRI_PAGE_BYTES);
	tri_pages_release(v, page, 64);
	madvise(v->heap + ((uint64_t)page << TRI_PAGE_SHIFT), 64 << TRI_PAGE_SHIFT, MADV_REMOVE);
	memset((void *)v->backed, 0, PAGES / 8);
	check(measured(0) == all);
	check(take(64) == page);
	check(measured(0) == all - 64 * (int64_t)TRI_TAKEN_BYTES);
	/* Given back untouched. */
	tri_pages_release(v, page, 64);
	memset((void *)v->backed, 0, PAGES / 8);
	check(measured(0) == all);
}

/* What is not copied of a heap are holes in the copy: a forked child has still to get them. */
static void test_copied(void)
{
	const int64_t all = LIMIT - MARGIN - 20 * MIB;
	uint32_t page;

	begin(20 * MIB);
	measured(0);
	page = take(128);
	touch(page, 128);
	check(measured(1 * MIB) == all - 1 * MIB);
	madvise(tri_g.view.heap + ((uint64_t)page << TRI_PAGE_SHIFT), 64 << TRI_PAGE_SHIFT,
		MADV_REMOVE);
	tri_pageheap_reset();
	check(measured(MIB / 2) == all - MIB / 2 - 64 * (int64_t)TRI_TAKEN_BYTES);
}

static uint32_t taken_page;

static void touches(void)
{
	touch(taken_page, 64);
	write_use(use + 64 * (int64_t)TRI_PAGE_BYTES);
}

static void test_touched_meanwhile(void)
{
	const int64_t all = LIMIT - MARGIN - 20 * MIB;

	begin(20 * MIB);
	measured(0);
	taken_page = take(64);
	where = "throttle.knows_promised";
	then = touches;
	check(measured(0) <= all - 64 * (int64_t)TRI_PAGE_BYTES);
	check(!where);
	check(measured(64 * TRI_PAGE_BYTES) == all - 64 * (int64_t)TRI_PAGE_BYTES);
}

static void holds(void)
{
	check(tri_lock_until(&tri_g.page_lock, now_ns));
}

/* Somebody has the page heap's lock, for as long as the agent measures. */
static void test_held(void)
{
	const int64_t all = LIMIT - MARGIN - 20 * MIB;

	begin(20 * MIB);
	measured(0);
	touch(take(64), 64);
	holds();
	check(measured(64 * TRI_PAGE_BYTES) ==
	      all - 64 * (int64_t)(TRI_PAGE_BYTES + TRI_TAKEN_BYTES));
	tri_unlock(&tri_g.page_lock);
	check(measured(64 * TRI_PAGE_BYTES) == all - 64 * (int64_t)TRI_PAGE_BYTES);
}

/* ------------------------------------------------------------------------------------------ */
/* Taking                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* A run is refused, and so is one page of it, as in a refill.  What was waited for is the page. */
static void test_turn(void)
{
	struct tri_thread *t = &threads[0];
	struct tri_throttled w = { .refused = true };
	int64_t left;

	begin_with(RESERVE);
	left = tri_grant_headroom();
	check(!take(16) && t->short_bytes == 16 * TRI_TAKEN_BYTES);
	check(!take(1) && t->short_bytes == TRI_TAKEN_BYTES);
	/* The clock stands still; its turn comes between two measurements. */
	tri_write(&turn_ns, now_ns - PACE_NS);
	w.turn_ns = now_ns;
	w.turn_bytes = TRI_TAKEN_BYTES;
	check(tri_throttle_wait(t, &w));
	check(!take(16));
	check(tri_grant_headroom() == left);
	check(take(1));
	check(tri_grant_headroom() == left - (int64_t)TRI_TAKEN_BYTES);
	tri_throttle_end(t, &w);
	check(!take(1));
}

static void test_turns(void)
{
	uint64_t cost, first;

	begin_with(RESERVE);
	cost = TRI_TAKEN_BYTES * PACE_NS / RESERVE;
	first = take_turn(TRI_TAKEN_BYTES, now_ns);
	check(first - now_ns == cost);
	check(take_turn(TRI_TAKEN_BYTES, now_ns) == first + cost);
	/* Longer than a turn may be. */
	check(!take_turn(RESERVE / 2, now_ns));
}

/* Its turn has come, and others have had the rest: it has none any more, and waits for a cycle. */
static void test_turn_is_late(void)
{
	struct tri_thread *t = &threads[0];
	struct tri_throttled w = { .refused = true };

	begin_with(RESERVE);
	check(!take(1));
	w.turn_ns = now_ns;
	w.turn_bytes = TRI_TAKEN_BYTES;
	check(tri_throttle_wait(t, &w));
	check(measured(RESERVE) == 0);
	check(!take(1));
	/* Nothing is done: it gives up at once. */
	tri_write(&given_up, progress + 1);
	check(!tri_throttle_wait(t, &w) && w.failed && !w.turn_ns);
}

/* All ask for a cycle, it ends, and none finds anything. */
static void test_past(void)
{
	static struct tri_throttled w[THREADS];
	static bool done[THREADS];
	uint64_t got = 0, most = MARGIN / PAST_PARTS / 1024, each = (TRI_TAKEN_BYTES + 1023) / 1024;
	int i, round;

	begin_with(0);
	memset(w, 0, sizeof(w));
	for (round = 1; round <= 2; round++) {
		for (i = 0; i < THREADS; i++) {
			w[i].refused = w[i].begun = true;
			w[i].gen = w[i].first_gen = (uint32_t)round;
			w[i].gc = (uint32_t)round;
		}
		tri_write(&tri_g.view.ctl->gc_done, (uint32_t)round);
		tri_write(&tri_g.sweepable, (uint32_t)round + 1);
		tri_write(&given_up, 0);
		/* It looks for free slots first, whatever has ended. */
		for (i = 0; i < THREADS; i++) {
			struct tri_thread *t = tri__tls.thread = &threads[i];

			if (done[i])
				continue;
			check(!take(1));
			check(tri_throttle_wait(t, &w[i]) && !t->pass_bytes);
			check(!take(1));
		}
		tri_write(&given_up, progress + 1);
		for (i = 0; i < THREADS; i++) {
			struct tri_thread *t = tri__tls.thread = &threads[i];

			if (!done[i] && tri_throttle_wait(t, &w[i])) {
				check(!take(16) && take(1));
				done[i] = true;
				got++;
			}
		}
		check(got == (uint64_t)round * (most / each));
	}
	tri__tls.thread = &threads[0];
}

/* The control page says that the cycle has ended, and the agent has seen none. */
static void test_believes_nothing(void)
{
	struct tri_throttled w = {
		.refused = true, .begun = true, .gen = 1, .first_gen = 1, .gc = 1
	};

	begin_with(0);
	tri_write(&tri_g.view.ctl->gc_done, 1);
	check(!take(1));
	tri_write(&given_up, progress + 1);
	check(!tri_throttle_wait(&threads[0], &w) && w.failed);
}

/*
 * What lives does not fit, and it is one large object that is wanted: it is not put off from cycle
 * to cycle.
 */
static void test_past_large(void)
{
	struct tri_throttled w = {
		.refused = true, .begun = true, .gen = 2, .first_gen = 1, .gc = 1
	};

	begin_with(0);
	tri_write(&tri_g.sweepable, 2);
	tri_write(&tri_g.view.ctl->gc_done, 1);
	check(!take(512));
	check(tri_throttle_wait(&threads[0], &w));
	check(take(512));
}

/*
 * Cycles end, one after the other, and others are faster each time: all of its patience is that of
 * one wait.
 */
static void test_patience(void)
{
	struct tri_throttled w = { .refused = true, .begun = true, .gen = 1, .ns = 10000000000 };

	begin_with(0);
	check(!take(1));
	tri_write(&tri_g.collector_pid, 1);
	progress++;
	check(tri_throttle_wait(&threads[0], &w));
	check(take(1) && !take(1));
	tri_write(&tri_g.collector_pid, 0);
}

static void scavenges(void)
{
	memset((void *)tri_g.view.backed, 0, PAGES / 8);
}

/* Pages that have memory cost nothing, and lose it to the scavenger just before they are taken. */
static void test_scavenged(void)
{
	const struct tri_view *v = &tri_g.view;
	uint32_t page;

	begin_with(20 * MIB);
	page = have(512);
	check(measured(20 * MIB) < 0);
	tri_pages_release(v, page, 512);
	where = "pageheap.may_take";
	then = scavenges;
	check(!take(512));
	check(!where && threads[0].short_bytes == 512 * TRI_TAKEN_BYTES);
	check(!tri_read(&v->ctl->used_pages));
	write_use(20 * MIB);
	found_ns = now_ns;
	tri_grant_measure();
	check(have(512) == page);
}

/* Without descriptors no group can be found: those that are known stay, and their limit holds. */
static void test_descriptors(void)
{
	int limit = levels[0].files.fd[TRI_FD_LIMIT];
	struct rlimit before, none;

	begin(20 * MIB);
	check(!getrlimit(RLIMIT_NOFILE, &before));
	none = (struct rlimit){ 0, before.rlim_max };
	check(!setrlimit(RLIMIT_NOFILE, &none));
	write_use(20 * MIB);
	found_ns = 0;
	tri_grant_measure();
	check(!setrlimit(RLIMIT_NOFILE, &before));
	check(tri_headroom_groups() == 1 && levels[0].files.fd[TRI_FD_LIMIT] == limit);
	check(tri_read(&tri_grant.enforced) && tri_grant_headroom() == LIMIT - MARGIN - 20 * MIB);
}

/* ------------------------------------------------------------------------------------------ */
/* Several heaps                                                                              */
/* ------------------------------------------------------------------------------------------ */

static unsigned int counted(int fd)
{
	bool slow = false;
	unsigned int n = tri_heaps_count(fd, &slow);

	check(!slow);
	return n;
}

static void test_heaps(void)
{
	int own = levels[0].files.fd[TRI_FD_LIMIT], fds[TRI_HEAPS_MAX + 4];
	unsigned int i;

	begin(20 * MIB);
	check(counted(own) == 1);
	for (i = 0; i < TRI_HEAPS_MAX + 4; i++) {
		fds[i] = another();
		check(fds[i] >= 0);
		check(counted(own) == (i + 2 < TRI_HEAPS_MAX ? i + 2 : TRI_HEAPS_MAX));
	}
	for (i = 0; i < TRI_HEAPS_MAX + 4; i++)
		close(fds[i]);
	check(counted(own) == 1);
}

/* Who may read the file can lock all of it, before the heaps come or after that: none is hidden. */
static void test_heaps_hidden(void)
{
	struct flock all = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	int own = levels[0].files.fd[TRI_FD_LIMIT], hostile, fds[4];
	unsigned int i;

	begin(20 * MIB);
	hostile = another();
	check(!fcntl(hostile, F_OFD_SETLK, &all));
	for (i = 0; i < 4; i++) {
		fds[i] = another();
		check(fds[i] >= 0);
	}
	check(counted(own) >= 5);
	close(hostile);
	check(counted(own) == 5);
	hostile = another();
	check(!fcntl(hostile, F_OFD_SETLK, &all));
	check(counted(own) >= 5);
	close(hostile);
	for (i = 0; i < 4; i++)
		close(fds[i]);
	check(counted(own) == 1);
}

/* Who takes many locks makes counting dear once, and not with each measurement. */
static void test_heaps_slow(void)
{
	int own = levels[0].files.fd[TRI_FD_LIMIT], other;
	bool slow = false;

	begin(20 * MIB);
	other = another();
	count_takes_ns = SLOW_CPU_NS + 1;
	check(tri_heaps_count(own, &slow) == 2 && slow);
	close(other);
	count_takes_ns = 0;
	check(tri_heaps_count(own, &slow) == TRI_HEAPS_MAX);
	slow = false;
	check(tri_heaps_count(own, &slow) == 1 && !slow);
}

/* Pages that are taken, one after the other, before one is refused. */
static int64_t takes(void)
{
	int64_t n = 0;

	while (take(1))
		n++;
	return n;
}

static void test_grant(void)
{
	int other, third;

	begin(20 * MIB);
	measured(0);
	check(takes() == RESERVE / 4 / (int64_t)TRI_TAKEN_BYTES);
	check(!takes());
	other = another();
	measured(0);
	check(takes() == RESERVE / 8 / (int64_t)TRI_TAKEN_BYTES);
	third = another();
	measured(0);
	check(takes() == RESERVE / 12 / (int64_t)TRI_TAKEN_BYTES);
	close(other);
	close(third);
	measured(0);
	check(takes() == RESERVE / 4 / (int64_t)TRI_TAKEN_BYTES);
}

/* What a measurement has found holds for a while. */
static void test_old(void)
{
	begin(20 * MIB);
	measured(0);
	now_ns += TRI_VALID_NS;
	check(take(1));
	now_ns++;
	check(!take(1));
	check(have(1));
}

/*
 * The agent has no CPU: a thread waits as long as a measurement would hold, and then takes what it
 * has asked for.
 */
static void test_late(void)
{
	struct tri_throttled w = { .refused = true };
	struct tri_thread *t = &threads[0];
	uint64_t began;

	begin(20 * MIB);
	measured(0);
	takes();
	waits = goes_by;
	began = now_ns;
	check(!take(2) && tri_throttle_wait(t, &w));
	check(now_ns == began + TRI_VALID_NS);
	/* It did not wait for memory: that is there. */
	check(!said_waiting);
	check(!take(3) && take(2) && !take(1));
	/* Nor does it wait again for the same object. */
	check(tri_throttle_wait(t, &w) && now_ns == began + TRI_VALID_NS);
	check(take(1));
	check(!w.begun && !w.ns && !tri_read(&tri_g.view.ctl->throttled));
	tri_throttle_end(t, &w);
}

/* Others take, each time, all that a measurement allows. */
static void takes_all(void)
{
	struct tri_thread *t = tri__tls.thread;

	measures();
	now_ns += TRI_VALID_NS / 4;
	tri__tls.thread = &threads[1];
	takes();
	tri__tls.thread = t;
}

static void test_outrun(void)
{
	struct tri_throttled w = { .refused = true };
	struct tri_thread *t = &threads[0];
	int rounds = 0;

	begin(20 * MIB);
	measured(0);
	takes();
	waits = takes_all;
	while (!take(1) && ++rounds < 10)
		check(tri_throttle_wait(t, &w));
	check(rounds == 4 && !w.begun);
}

/* What is larger than a grant needs a measurement of its own, and room above the reserve. */
static void test_large(void)
{
	struct tri_throttled w = { .refused = true };
	int64_t left = 30 * MIB;
	uint32_t large = (uint32_t)((left - RESERVE) / (int64_t)TRI_TAKEN_BYTES);

	begin_with(left);
	check(!take(large));
	check(have(large));
	begin_with(left);
	check(!take(large + 1));
	tri_write(&given_up, progress + 1);
	check(!tri_throttle_wait(&threads[0], &w) && w.begun);
}

/* Other heaps have taken something just before the measurement. */
static void others_take(void)
{
	write_use(use + 20 * MIB);
	measures();
}

static void test_large_measures(void)
{
	struct tri_throttled w = { .refused = true };

	begin_with(30 * MIB);
	waits = others_take;
	check(!take(2000));
	check(tri_throttle_wait(&threads[0], &w));
	check(!take(2000) && !w.begun);
}

static void test_turns_of_many(void)
{
	uint64_t cost, first;
	int other;

	begin_with(RESERVE);
	other = another();
	measured(0);
	cost = 2 * TRI_TAKEN_BYTES * PACE_NS / RESERVE;
	first = take_turn(TRI_TAKEN_BYTES, now_ns);
	check(first - now_ns == cost);
	check(take_turn(TRI_TAKEN_BYTES, now_ns) == first + cost);
	check(take_turn(RESERVE / 5, now_ns + TRI_VALID_NS) &&
	      !take_turn(RESERVE / 4 + 1, now_ns + TRI_VALID_NS));
	check(tri_read(&tri_grant.past_bytes) == MARGIN / PAST_PARTS / 2);
	close(other);
}

static unsigned int times;

static void measures_at_last(void)
{
	if (++times < 3) {
		atomic_fetch_add(&tri_g.view.ctl->throttle_seq, 1);
		return;
	}
	others_take();
}

/*
 * Its turn has come, and it does not go on before a measurement has found what others took while it
 * waited.
 */
static void test_turn_measures(void)
{
	struct tri_throttled w = { .refused = true };
	struct tri_thread *t = &threads[0];

	begin_with(RESERVE);
	check(!take(1));
	w.turn_ns = now_ns;
	w.turn_bytes = TRI_TAKEN_BYTES;
	times = 0;
	waits = measures_at_last;
	check(tri_throttle_wait(t, &w) && times == 3);
	check(!take(1));
	/* The measurement never comes. */
	begin_with(RESERVE);
	w = (struct tri_throttled){ .refused = true,
				    .turn_ns = now_ns,
				    .turn_bytes = TRI_TAKEN_BYTES };
	check(!take(1));
	waits = goes_by;
	check(tri_throttle_wait(t, &w) && now_ns == w.turn_ns + LATE_NS);
	check(take(1));
	tri_throttle_end(t, &w);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(25);
	tri_classes_init();
	test_promised();
	result("what is promised is what the heap's pages have not got, whatever else the file has");
	test_again();
	result("a page is promised memory each time that it is taken without");
	test_copied();
	result("so are the holes of a copy");
	test_touched_meanwhile();
	result("what is touched while the agent measures is not missed");
	test_held();
	result("what can't be looked at is promised");
	test_turn();
	result("a turn is for what was waited for");
	test_turns();
	result("turns come one after the other");
	test_turn_is_late();
	result("a turn is for nothing if nothing is left");
	test_past();
	result("threads that found nothing go past the end, but not all at once");
	test_believes_nothing();
	result("a cycle that nobody has seen is none");
	test_past_large();
	result("a large object goes past the end, too");
	test_patience();
	result("an allocation waits no longer than a thread waits in a cycle");
	test_scavenged();
	result("pages that lose their memory before they are taken are not free of charge");
	test_heaps();
	result("a heap counts those that share its limit");
	test_heaps_hidden();
	result("whoever locks the file hides none of them");
	test_heaps_slow();
	result("nor makes each measurement slow");
	test_descriptors();
	result("a program without descriptors keeps its limit");
	test_grant();
	result("a measurement allows a fourth of the reserve, divided among them");
	test_old();
	result("and that for a tenth of a second");
	test_late();
	result("a measurement that is late is waited for as long, and no longer");
	test_outrun();
	result("nor are measurements whose pages others take");
	test_large();
	result("a large object has a measurement of its own");
	test_large_measures();
	result("which counts what others have taken");
	test_turns_of_many();
	result("turns of several heaps take as long as those of one");
	test_turn_measures();
	result("a turn is for what a measurement finds when it has come");
	ksft_finished();
}
