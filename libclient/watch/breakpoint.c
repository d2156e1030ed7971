// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * breakpoint.c - which instruction stores to a word: hardware breakpoints by perf_event_open(2);
 * for suspect.c
 *
 *  1. A watch has an event for each thread on each CPU.  Threads that are started later inherit
 *     such events.  If they are too many, or are refused, the tracer takes their place (tracer.c).
 *     If that is refused too, a watch has one event for each thread, and tells nothing if other
 *     threads have come.
 *  2. Each event has a buffer, which is written from its end downwards.  So its first samples are
 *     the newest, and the oldest are overwritten.
 *  3. A watch that was stopped gets no more samples.
 *
 * Only stores in user mode count.  So any user may watch where perf_event_paranoid is 2 or less.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../checker/checker.h"
#include "../start/init.h"
#include "../roots/scan.h"
#include "../base/state.h"

#define PAGE 4096ul
#define RING_BYTES (8 * PAGE)
#define EVENTS (sizeof(((struct tri_watch *)0)->fd) / sizeof(int))

/*
 * Registers by their bits in sample_regs_user, which is their order in a sample (asm/perf_regs.h).
 */
static const struct {
	unsigned int bit;
	enum tri_hit_register which;
} registers[TRI_HIT_REGISTERS] = {
	{ 1, TRI_HIT_BX }, { 6, TRI_HIT_BP }, { 7, TRI_HIT_SP }, { 8, TRI_HIT_IP },
	{ 20, TRI_HIT_R12 }, { 21, TRI_HIT_R13 }, { 22, TRI_HIT_R14 }, { 23, TRI_HIT_R15 },
};

static char why[400];			/* why the last watch failed; empty: it did not */
static char refused[160];		/* why there can be no events at all */

const char *tri_watch_why(void)
{
	return why;
}

static int paranoid(void)
{
	int fd = open("/proc/sys/kernel/perf_event_paranoid", O_RDONLY | O_CLOEXEC), level = -1;
	char text[16] = "";

	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) <= 0 || sscanf(text, "%d", &level) != 1)
		level = -1;
	close(fd);
	return level;
}

/*
 * Note why an event was refused.  If the reason is not that there are too many, all others will be
 * refused as well.
 */
static void say_why(bool opening, int err)
{
	if (opening && (err == EPERM || err == EACCES || err == ENOSYS || err == EOPNOTSUPP ||
			err == ENOENT)) {
		if (paranoid() > 2)
			snprintf(refused, sizeof(refused),
				 "perf_event_open: %s, as kernel.perf_event_paranoid is %d; "
				 "2 will do, or CAP_PERFMON",
				 strerror(err), paranoid());
		else
			snprintf(refused, sizeof(refused),
				 "perf_event_open: %s; a container's filter of system "
				 "calls may forbid it",
				 strerror(err));
	}
	snprintf(why, sizeof(why), "%s: %s",
		 opening ? "perf_event_open" : "buffer of perf_event_open", strerror(err));
}

/* Whether events may be tried.  A sandbox may kill whoever tries, which is found out once. */
static bool may_ask(void)
{
	static bool asked;
	int err;

	if (!asked) {
		asked = true;
		err = tri_probe(SYS_perf_event_open);
		if (err)
			snprintf(refused, sizeof(refused),
				 "perf_event_open: a sandbox may kill who calls it (%s)",
				 strerror(err));
	}
	return !*refused;
}

static bool open_event(struct tri_watch *w, pid_t tid, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
			       PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = w->at,
		.bp_len = HW_BREAKPOINT_LEN_8,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.inherit = cpu >= 0,
		.write_backward = 1,
		.sample_stack_user = TRI_HIT_STACK,
	};
	unsigned int i;
	void *ring;
	int fd;

	for (i = 0; i < TRI_HIT_REGISTERS; i++)
		attr.sample_regs_user |= 1ull << registers[i].bit;
	fd = (int)syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	/* The thread has ended, or the CPU is off. */
	if (fd < 0 && (errno == ESRCH || errno == ENODEV))
		return true;
	ring = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE + RING_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED) {
		say_why(fd < 0, errno);
		if (fd >= 0)
			close(fd);
		return false;
	}
	w->fd[w->events] = fd;
	w->ring[w->events++] = ring;
	why[0] = 0;
	return true;
}

/* Watch by the tracer, where there are no events. */
static bool begin_traced(struct tri_watch *w, pid_t only)
{
	char both[sizeof(why)];
	/* Each reason gets half of the room, so that a long one does not hide the other. */
	const int most = (int)(sizeof(both) - sizeof("; and ")) / 2;

	if (tri_tracer_open() && tri_tracer_begin(w, only)) {
		why[0] = 0;
		return true;
	}
	if (!*refused && !*why)
		snprintf(why, sizeof(why), "perf_event_open: too many threads");
	snprintf(both, sizeof(both), "%.*s; and %.*s", most, *refused ? refused : why, most,
		 tri_tracer_why());
	strcpy(why, both);
	return false;
}

/*
 * Open events for all of @tids.  If @cpus is not 0, each gets one for each CPU, and threads that
 * are started later inherit them.
 */
static bool begin_events(struct tri_watch *w, const pid_t *tids, size_t n, size_t cpus)
{
	size_t i, cpu;
	bool ok = n <= EVENTS && n * cpus <= EVENTS;

	for (i = 0; i < n && ok; i++) {
		if (!cpus)
			ok = open_event(w, tids[i], -1);
		for (cpu = 0; cpu < cpus && ok; cpu++)
			ok = open_event(w, tids[i], (int)cpu);
	}
	/* With events for some threads only, another thread's store would be taken for theirs. */
	if (!ok)
		tri_watch_end(w);
	return ok && w->events;
}

/**
 * Prepare a watch of @w->at, which held @w->was.  It records what the threads @tids store there,
 * from tri_watches_start() on.  Unless @only, it also records what threads store that these start.
 * @n is the number of threads.  If it is more than TRI_WATCHED_THREADS, @tids has only so many.
 * False: there can be no watch, and tri_watch_why() says why.
 */
bool tri_watch_begin(struct tri_watch *w, const pid_t *tids, size_t n, bool only)
{
	uint64_t now;

	w->events = 0;
	w->read_ns = w->since_ns = 0;
	w->trace = 0;
	w->only = only;
	w->is_kept = w->nobody_else = false;
	w->made = tri_read(&tri_g.threads_made);
	w->whole = may_ask() && begin_events(w, tids, n, (size_t)sysconf(_SC_NPROCESSORS_CONF));
	if (w->whole) {
		w->whole = tri_read_foreign(&now, w->at, sizeof(now)) && now == w->was;
		return true;
	}
	if (begin_traced(w, only ? tids[0] : 0))
		return true;
	/* With one event for each thread, no thread may have come when the word is read. */
	w->nobody_else = !only;
	return !*refused && begin_events(w, tids, n, 0);
}

/**
 * Watch the @n words at @w that were begun, and no longer those that were ended.  Called with
 * list_lock held.
 */
void tri_watches_start(struct tri_watch *w, size_t n)
{
	bool traced = tri_tracer_is_stale(), ok;
	uint64_t now;
	size_t i;

	for (i = 0; i < n; i++)
		traced |= w[i].trace && !w[i].is_kept;
	if (!traced)
		return;
	ok = tri_tracer_start();
	if (!ok)
		snprintf(why, sizeof(why), "%s; and %s",
			 *refused ? refused : "perf_event_open: too many threads",
			 tri_tracer_why());
	for (i = 0; i < n; i++)
		if (w[i].trace && w[i].is_kept)
			w[i].whole &= ok;
		else if (w[i].trace)
			w[i].whole = ok && tri_read_foreign(&now, w[i].at, sizeof(now)) &&
				     now == w[i].was;
}

void tri_watch_end(struct tri_watch *w)
{
	unsigned int i;

	if (w->trace)
		tri_tracer_end(w);
	for (i = 0; i < w->events; i++) {
		munmap(w->ring[i], PAGE + RING_BYTES);
		close(w->fd[i]);
	}
	w->events = 0;
}

/* Copy bytes of a buffer, in which they may wrap around. */
static void take(void *to, const char *data, uint64_t at, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		((char *)to)[i] = data[(at + i) & (RING_BYTES - 1)];
}

static void read_sample(struct tri_hit *hit, const char *data, uint64_t at)
{
	struct { uint64_t ip; uint32_t pid, tid; uint64_t time, abi; } head;
	uint64_t size = 0, dynamic = 0, word;
	unsigned int i;

	memset(hit, 0, sizeof(*hit));
	take(&head, data, at, sizeof(head));
	at += sizeof(head);
	hit->ip = head.ip;
	hit->tid = head.tid;
	hit->time_ns = head.time;
	for (i = 0; i < TRI_HIT_REGISTERS && head.abi; i++, at += 8) {
		take(&word, data, at, 8);
		hit->registers[registers[i].which] = word;
	}
	take(&size, data, at, 8);
	if (!size || size > TRI_HIT_STACK)
		return;
	take(hit->stack, data, at + 8, size);
	take(&dynamic, data, at + 8 + size, 8);
	hit->stack_bytes = (uint32_t)(dynamic < size ? dynamic : size);
}

/* How many bytes were written.  If they are more than RING_BYTES, the oldest are gone. */
static uint64_t written(const struct perf_event_mmap_page *page)
{
	return 0 - __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
}

/*
 * Call @fn for the samples of a buffer, the newest first, until it returns false.  False: there
 * were older ones, which are gone.
 */
static bool each_sample(const void *ring, bool (*fn)(void *arg, const char *data, uint64_t at),
			void *arg)
{
	uint64_t n = written(ring), at, done = 0;
	const char *data = (const char *)ring + PAGE;
	struct perf_event_header h;

	for (at = 0 - n; done < n && done < RING_BYTES; at += h.size, done += h.size) {
		take(&h, data, at, sizeof(h));
		if (!h.size || done + h.size > RING_BYTES)
			return false;
		if (h.type == PERF_RECORD_SAMPLE && !fn(arg, data, at + sizeof(h)))
			return true;
	}
	return done == n;
}

/* A search in the samples of a watch. */
struct search {
	struct tri_watch *w;
	struct tri_hit *hit;
	bool found, several;
	bool before;			/* @w->hit is a sample from before the read */
};

/* The last sample of a buffer before the word was read. */
struct last_before {
	uint64_t time_ns;		/* 0: none */
	uint32_t tid;
};

static bool is_oldest(void *arg, const char *data, uint64_t at)
{
	struct search *s = arg;

	read_sample(&s->w->hit, data, at);
	if (s->w->hit.time_ns <= s->w->since_ns)
		return false;
	if (!s->found || s->w->hit.time_ns < s->hit->time_ns)
		*s->hit = s->w->hit;
	s->found = true;
	return true;
}

/** Find the first store since the last pass.  False: it is not known. */
bool tri_watch_first(struct tri_watch *w, struct tri_hit *hit)
{
	struct search s = { .w = w, .hit = hit };
	unsigned int i;

	if (w->trace)
		return w->whole && tri_tracer_first(w, hit);
	for (i = 0; i < w->events; i++)
		if (!w->whole || !each_sample(w->ring[i], is_oldest, &s))
			return false;
	return s.found;
}

static void take_candidate(struct search *s)
{
	if (s->found && s->hit->ip != s->w->hit.ip)
		s->several = true;
	*s->hit = s->w->hit;
	s->found = true;
}

static bool read_before(void *arg, const char *data, uint64_t at)
{
	struct search *s = arg;

	read_sample(&s->w->hit, data, at);
	if (s->w->hit.time_ns > s->w->read_ns)
		return true;
	take_candidate(s);
	return false;
}

/*
 * A sample is taken after its store, and before the thread's next store.  So the value that was
 * read was stored by one of those that come after the read, or by the last one before it of some
 * thread.  It was not stored by one before the last pass, which has seen what was there then.
 */
static bool may_be_it(void *arg, const char *data, uint64_t at)
{
	struct search *s = arg;

	read_sample(&s->w->hit, data, at);
	if (s->w->hit.time_ns <= s->w->read_ns) {
		s->before = s->w->hit.time_ns > s->w->since_ns;
		return false;
	}
	take_candidate(s);
	return true;
}

/*
 * Take the last sample before the read in the buffer of event @i, if its thread has no later one in
 * another buffer.
 */
static void choose_before(struct search *s, struct last_before *last, unsigned int i)
{
	unsigned int k;

	for (k = 0; last[i].time_ns && k < s->w->events; k++)
		if (k != i && last[k].tid == last[i].tid && last[k].time_ns > last[i].time_ns)
			return;
	if (last[i].time_ns)
		each_sample(s->w->ring[i], read_before, s);
}

/**
 * Find the store of the value that was in the word when it was read.  False: it is not known, or
 * it may be that of several instructions.
 */
bool tri_watch_last(struct tri_watch *w, struct tri_hit *hit)
{
	struct search s = { .w = w, .hit = hit };
	struct last_before last[EVENTS] = { { 0 } };
	unsigned int i;

	if (w->trace)
		return tri_tracer_last(w, hit);
	for (i = 0; i < w->events; i++) {
		s.before = false;
		if (!each_sample(w->ring[i], may_be_it, &s))
			return false;
		if (s.before)
			last[i] = (struct last_before){ w->hit.time_ns, w->hit.tid };
	}
	for (i = 0; i < w->events; i++)
		choose_before(&s, last, i);
	return s.found && !s.several;
}

/**
 * Whether the word, which has changed, was stored to by no thread that uses the heap.  False also
 * if a thread has come since the word began to be watched.
 */
bool tri_watch_is_nobody(const struct tri_watch *w)
{
	unsigned int i;

	if (!w->whole || w->only || w->made != tri_read(&tri_g.threads_made))
		return false;
	if (w->trace)
		return tri_tracer_is_nobody(w);
	for (i = 0; i < w->events; i++)
		if (written(w->ring[i]))
			return false;
	return true;
}

/** Read the word, and stop watching it. */
void tri_watch_read(struct tri_watch *w)
{
	unsigned int i;

	if (w->read_ns)
		return;
	w->read_ns = tri_now_ns();
	if (w->trace) {
		w->is_readable = tri_tracer_read(w) && w->is_readable;
		return;
	}
	w->is_readable = tri_read_foreign(&w->now, w->at, sizeof(w->now)) &&
			 !(w->nobody_else && w->made != tri_read(&tri_g.threads_made));
	for (i = 0; i < w->events; i++)
		ioctl(w->fd[i], PERF_EVENT_IOC_DISABLE, 0);
}
