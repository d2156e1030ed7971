// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hiccup meter: a thread of the program that reads the clock in a tight loop and notes the
 * gaps.  It never allocates or stores a pointer, and sees from outside what a collector does to a
 * thread: signals, stops, page faults.
 *
 * Where there are fewer CPUs than threads that want to run, the scheduler makes gaps as well, which
 * say nothing about the collector.  So two figures are kept:
 *
 *   gap_max_us	 the longest gap, whatever its cause;
 *   held_max_us the longest gap without those parts in which another thread had been given this
 *		 thread's CPU.  A thread that goes to sleep in a signal handler is held: that is a
 *		 voluntary switch to the kernel, and this loop never makes one of its own.
 *
 * What the machine itself adds (interrupts, a hypervisor) is seen by all systems alike: the figures
 * of the systems without a collector say how much that is.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "bind.h"
#include "meter.h"
#include "workload.h"

/* Shorter gaps are not examined: that costs about a microsecond itself. */
#define METER_GAP_NS 5000

#define METER_LONG_NS 100000

struct meter_account {
	uint64_t cpu_ns;	/* CPU time of this thread since its start */
	uint64_t preempted;	/* times that another thread was given its CPU */
};

static pthread_t meter_thread;
static atomic_int meter_stopping;
static atomic_int meter_running;

/* Written by the meter, read after it has been joined. */
static uint64_t meter_gap_max_ns, meter_held_max_ns, meter_held_long;

static struct meter_account meter_account(void)
{
	struct timespec cpu;
	struct rusage usage;

	/* The CPU time in @usage is that of the last tick, which is too coarse. */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	getrusage(RUSAGE_THREAD, &usage);
	return (struct meter_account){
		.cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec,
		.preempted = (uint64_t)usage.ru_nivcsw,
	};
}

static void *meter_loop(void *unused)
{
	struct meter_account last, now;
	uint64_t looked, before, after, gap, held, ran;

	(void)unused;
	last = meter_account();
	looked = before = now_ns();
	atomic_store(&meter_running, 1);
	while (!atomic_load_explicit(&meter_stopping, memory_order_relaxed)) {
		after = now_ns();
		gap = after - before;
		if (gap < METER_GAP_NS) {
			before = after;
			continue;
		}
		now = meter_account();
		held = gap;
		if (now.preempted != last.preempted) {
			/*
			 * From the last look to the gap this thread ran; the rest belongs to the
			 * gap.
			 */
			ran = now.cpu_ns - last.cpu_ns;
			held = ran > before - looked ? ran - (before - looked) : 0;
			if (held > gap)
				held = gap;
		}
		if (gap > meter_gap_max_ns)
			meter_gap_max_ns = gap;
		if (held > meter_held_max_ns)
			meter_held_max_ns = held;
		meter_held_long += held > METER_LONG_NS;
		last = now;
		looked = before = now_ns();
	}
	return NULL;
}

void meter_start(void)
{
	if (pthread_create(&meter_thread, NULL, meter_loop, NULL))
		fail("can't start the meter's thread");
	while (!atomic_load(&meter_running))
		;
}

void meter_stop(void)
{
	atomic_store(&meter_stopping, 1);
	pthread_join(meter_thread, NULL);
	report("gap_max_us", meter_gap_max_ns / 1e3);
	report("held_max_us", meter_held_max_ns / 1e3);
	report("held_over_100us", meter_held_long);
}
