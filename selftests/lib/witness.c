// SPDX-License-Identifier: GPL-2.0-only
/* witness.c - see witness.h */
#include "witness.h"

NOINLINE void wipe_stack(void)
{
	volatile char dead[32768];
	size_t i;

	for (i = 0; i < sizeof(dead); i++)
		dead[i] = 0;
	__asm__ volatile("" : : : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
			 "rbx", "r12", "r13", "r14", "r15", "memory");
}

uint64_t witness_check(uint64_t id)
{
	return ~id * 0x9e3779b97f4a7c15ull;
}

NOINLINE struct witness *witness_new(uint64_t id)
{
	struct witness *w = tri_alloc(sizeof(*w));

	if (!w)
		ksft_exit_fail_msg("no memory for a witness: %s\n", tri_error());
	w->id = id;
	w->check = witness_check(id);
	return w;
}

NOINLINE bool witness_ok(const struct witness *w, uint64_t id)
{
	return tri_base(w) == w && w->id == id && w->check == witness_check(id);
}

NOINLINE bool is_object(uintptr_t hidden)
{
	return tri_base(reveal(hidden)) != NULL;
}

NOINLINE bool hidden_ok(uintptr_t hidden, uint64_t id)
{
	return witness_ok(reveal(hidden), id);
}

NOINLINE void collect(void)
{
	int err = tri_gc();

	if (err)
		ksft_exit_fail_msg("tri_gc: %s: %s\n", strerror(-err), tri_error());
}

void collect_times(int n)
{
	while (n--) {
		wipe_stack();
		collect();
	}
}

struct tri_stats read_stats(void)
{
	struct tri_stats s = { .size = sizeof(s) };

	if (tri_read_stats(&s))
		ksft_exit_fail_msg("tri_read_stats: %s\n", tri_error());
	return s;
}

uint64_t seed_from(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : now_ns() | 1;

	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	return seed ? seed : 1;
}

void event_set(struct event *e)
{
	atomic_store(&e->happened, 1);
	syscall(SYS_futex, &e->happened, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

bool event_is_set(struct event *e)
{
	return atomic_load_explicit(&e->happened, memory_order_acquire);
}

void event_wait(struct event *e)
{
	uint64_t end = now_ns() + 60000000000ull;
	struct timespec second = { 1, 0 };

	while (!event_is_set(e)) {
		syscall(SYS_futex, &e->happened, FUTEX_WAIT, 0, &second, NULL, 0);
		if (now_ns() > end)
			ksft_exit_fail_msg("an event did not come within a minute\n");
	}
}

void wait_asleep(pid_t tid, struct event *over)
{
	uint64_t end = now_ns() + 60000000000ull;
	char path[64], line[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	do {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
		if (fd >= 0)
			close(fd);
		if (n > 0) {
			line[n] = 0;
			p = strrchr(line, ')');
			if (p && p[2] == 'S')
				return;
		}
		if (over && event_is_set(over))
			return;
		sched_yield();
	} while (now_ns() < end);
	ksft_exit_fail_msg("thread %d did not go to sleep within a minute\n", tid);
}

void wait_gone(pid_t tid)
{
	uint64_t end = now_ns() + 60000000000ull;

	while (!syscall(SYS_tgkill, getpid(), tid, 0)) {
		sched_yield();
		if (now_ns() > end)
			ksft_exit_fail_msg("thread %d did not end within a minute\n", tid);
	}
}
