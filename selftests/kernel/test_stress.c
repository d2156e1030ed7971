// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_stress.c - everything at once, on one arena
 *
 *	SEED=N test_stress	repeats a run, as far as threads allow
 *	STRESS_SECONDS=N	how long each test takes (default 8)
 *
 * The arena is cut into slices.  A slice has one thread of the owner that knows what is in its
 * pages, and checks it after each step.  One more slice is everybody's: there only the kernel's own
 * order is at stake.  Meanwhile a collector's process works on that slice and looks at the others,
 * parts are mapped and unmapped, and the kernel is made to give up what is clean.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "arena.h"

#define SLICE (4 * MiB)
#define SLICE_PAGES (SLICE / PAGE)
#define WORKERS 3
#define BYTES ((WORKERS + 1) * SLICE)
#define SHARED (WORKERS * SLICE)

struct shared {
	_Atomic bool stop;
	_Atomic uint64_t steps, bad;
};

FIXTURE(stress)
{
	int fd, collector;
	char *p;
	struct shared *s;
	uint64_t seed;
	bool dirty;
};

FIXTURE_SETUP(stress)
{
	REQUIRE_MODULE();
	self->seed = test_seed();
	self->fd = new_arena(BYTES, 0, NULL);
	self->collector = new_collector(self->fd);
	self->p = map_rw(self->fd, BYTES);
	self->s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->s);
	self->dirty = has_feature(TRICOLOR_FEATURE_DIRTY);
}

FIXTURE_TEARDOWN(stress)
{
	if (self->s)
		TH_LOG("%llu steps", (unsigned long long)self->s->steps);
}

/* Give up the whole test: other threads and processes look at `stop`. */
static void bad(struct shared *s, const char *what, uint64_t page, uint64_t seed)
{
	if (!atomic_fetch_add(&s->bad, 1))
		TH_LOG("%s at page %llu (seed %#llx)", what, (unsigned long long)page,
		       (unsigned long long)seed);
	atomic_store(&s->stop, true);
}

/* ------------------------------------------------------------------------------------------ */
/* Threads of the owner                                                                       */
/* ------------------------------------------------------------------------------------------ */

struct worker {
	struct stress_self *self;
	pthread_t thread;
	uint64_t first;			/* page of its slice */
	uint64_t seed;
};

/* What a slice's thread knows of a page of it. */
enum page_state {
	ZERO,				/* a hole, or fresh */
	FILLED,				/* as fill_page() */
};

static void check_page(struct worker *w, enum page_state *state, uint64_t i)
{
	char *p = w->self->p + (w->first + i) * PAGE;

	if (state[i] == FILLED ? !page_is(p, w->first + i) : !page_is_zero(p))
		bad(w->self->s, state[i] == FILLED ? "contents lost" : "not zero", w->first + i, w->seed);
}

static void *work(void *arg)
{
	enum page_state state[SLICE_PAGES] = { 0 };
	struct worker *w = arg;
	struct stress_self *self = w->self;
	uint64_t from, n, i, offset, bytes;
	int err;

	while (!atomic_load(&self->s->stop)) {
		from = draw_below(&w->seed, SLICE_PAGES);
		n = draw_below(&w->seed, SLICE_PAGES - from < 64 ? SLICE_PAGES - from : 64) + 1;
		offset = (w->first + from) * PAGE;
		bytes = n * PAGE;
		err = 0;
		switch (draw_below(&w->seed, 5)) {
		case 0:
		case 1:
			for (i = from; i < from + n; i++) {
				fill_page(self->p + (w->first + i) * PAGE, w->first + i);
				state[i] = FILLED;
			}
			break;
		case 2:
			err = reclaim(self->fd, offset, bytes);
			for (i = from; i < from + n; i++)
				state[i] = ZERO;
			break;
		case 3:
			if (madvise(self->p + offset, bytes, MADV_DONTNEED))
				err = -errno;
			break;
		default:
			if (madvise(self->p + offset, bytes, MADV_PAGEOUT))
				err = -errno;
			break;
		}
		if (err)
			bad(self->s, strerror(-err), w->first + from, w->seed);
		for (i = from; i < from + n; i++)
			check_page(w, state, i);
		atomic_fetch_add(&self->s->steps, 1);
	}
	return NULL;
}

/* Mappings that come and go, with faults in them. */
static void *remap(void *arg)
{
	struct worker *w = arg;
	struct stress_self *self = w->self;
	uint64_t from, n;
	char *p;

	while (!atomic_load(&self->s->stop)) {
		from = SHARED / PAGE + draw_below(&w->seed, SLICE_PAGES);
		n = draw_below(&w->seed, BYTES / PAGE - from) + 1;
		p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
			 (off_t)(from * PAGE));
		if (p == MAP_FAILED) {
			bad(self->s, strerror(errno), from, w->seed);
			break;
		}
		p[draw_below(&w->seed, n) * PAGE] = 1;
		munmap(p, n * PAGE);
		atomic_fetch_add(&self->s->steps, 1);
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------------ */
/* The collector, and the kernel                                                              */
/* ------------------------------------------------------------------------------------------ */

/*
 * Have the kernel give up all pages that look clean: what was written must not.  Without a line for
 * each time in its log.
 */
static int drop_what_is_clean(void)
{
	static bool quiet;

	if (!quiet && write_text("/proc/sys/vm/drop_caches", "4"))
		return -1;
	quiet = true;
	return write_text("/proc/sys/vm/drop_caches", "3");
}

static sigjmp_buf faulted;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(faulted, 1);
}

/* Look at a byte, or write to it, whether or not there is memory. */
static void look(volatile char *p, bool write)
{
	if (sigsetjmp(faulted, 1))
		return;
	if (write)
		*p = 1;
	else
		(void)*p;
}

/* Everything that a collector can do, to the shared slice; it may look anywhere. */
static void collect(struct stress_self *self, uint64_t seed)
{
	char *q = map_rw(self->collector, BYTES);
	uint64_t bits[BYTES / PAGE / 64], from, n;
	char buffer[PAGE];
	int err;

	signal(SIGBUS, on_fault);
	while (!atomic_load(&self->s->stop)) {
		from = draw_below(&seed, SLICE_PAGES);
		n = draw_below(&seed, SLICE_PAGES - from < 64 ? SLICE_PAGES - from : 64) + 1;
		err = 0;
		switch (draw_below(&seed, 6)) {
		case 0:
			err = reclaim(self->collector, SHARED + from * PAGE, n * PAGE);
			break;
		case 1:
			if (self->dirty)
				err = dirty_call(self->collector, TRICOLOR_DIRTY_START, 0, BYTES,
						 NULL, NULL);
			break;
		case 2:
			if (!self->dirty)
				break;
			err = dirty_call(self->collector, 0, 0, BYTES, bits, NULL);
			if (err == -ENODATA)
				err = 0;
			break;
		case 3:
			if (pread(self->collector, buffer, PAGE,
				  (off_t)(draw_below(&seed, BYTES / PAGE) * PAGE)) != PAGE)
				err = -errno;
			break;
		case 4:
			look(q + draw_below(&seed, BYTES), false);
			break;
		default:
			look(q + SHARED + draw_below(&seed, SLICE), true);
			break;
		}
		if (err)
			bad(self->s, strerror(-err), SHARED / PAGE + from, seed);
		atomic_fetch_add(&self->s->steps, 1);
	}
}

static void run(struct stress_self *self, bool press)
{
	const char *e = getenv("STRESS_SECONDS");
	uint64_t end = now_ns() + (e ? strtoull(e, NULL, 10) : 8) * 1000000000ull;
	uint64_t seed = self->seed;
	struct worker w[WORKERS + 1];
	pid_t collector;
	int i;

	collector = fork();
	ASSERT_LE(0, collector);
	if (!collector) {
		collect(self, draw(&seed));
		_exit(0);
	}
	for (i = 0; i <= WORKERS; i++) {
		w[i] = (struct worker){ .self = self, .first = (uint64_t)i * SLICE_PAGES,
					.seed = draw(&seed) | 1 };
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, i < WORKERS ? work : remap, &w[i]));
	}
	while (now_ns() < end && !atomic_load(&self->s->stop)) {
		if (press && drop_what_is_clean())
			bad(self->s, "drop_caches", 0, 0);
		usleep(press ? 3000 : 100000);
	}
	atomic_store(&self->s->stop, true);
	for (i = 0; i <= WORKERS; i++)
		pthread_join(w[i].thread, NULL);
	EXPECT_EQ(0, wait_child(collector));
	EXPECT_EQ(0, self->s->bad);
	EXPECT_LT(0, self->s->steps);
}

TEST_F(stress, calm)
{
	run(self, false);
}

TEST_F(stress, while_clean_pages_go)
{
	run(self, true);
}

/* Arenas made and dropped by many at once, the owner's side first or the collector's. */
static void come_and_go(struct stress_self *self, uint64_t seed)
{
	int fd, collector;
	char *p;

	while (!atomic_load(&self->s->stop)) {
		fd = new_arena((draw_below(&seed, 64) + 1) * PAGE, 0, NULL);
		collector = draw_below(&seed, 2) ? new_collector(fd) : -1;
		p = map_rw(fd, PAGE);
		*p = 1;
		if (draw_below(&seed, 2))
			close(fd), fd = -1;
		if (fd >= 0 || collector >= 0)
			reclaim(fd >= 0 ? fd : collector, 0, PAGE);
		munmap(p, PAGE);
		if (fd >= 0)
			close(fd);
		if (collector >= 0) {
			if (!(info(collector).state & TRICOLOR_STATE_ORPHAN))
				bad(self->s, "orphan", 0, seed);
			reclaim(collector, 0, PAGE);
			close(collector);
		}
		atomic_fetch_add(&self->s->steps, 1);
	}
}

TEST_F(stress, arenas_come_and_go)
{
	const char *e = getenv("STRESS_SECONDS");
	uint64_t seed = self->seed;
	pid_t pids[4];
	int i;

	for (i = 0; i < 4; i++) {
		uint64_t own = draw(&seed);

		pids[i] = fork();
		if (!pids[i]) {
			come_and_go(self, own);
			_exit(0);
		}
	}
	for (i = (e ? atoi(e) : 8) * 10; i && !atomic_load(&self->s->stop); i--) {
		drop_what_is_clean();
		usleep(100000);
	}
	atomic_store(&self->s->stop, true);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, wait_child(pids[i]));
	EXPECT_EQ(0, self->s->bad);
}

TEST_HARNESS_MAIN
