// SPDX-License-Identifier: GPL-2.0-only
/* threads.c - see threads.h */
#include "threads.h"

void must(int err, const char *what)
{
	if (err)
		ksft_exit_fail_msg("%s: %s\n", what, strerror(err));
}

pthread_t start_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, fn, arg), "pthread_create");
	return thread;
}

bool threads_are(uint64_t want)
{
	uint64_t end = now_ns() + 10000000000ull;

	/* pthread_join() may return a little before the kernel has removed the thread. */
	while (read_stats().threads != want) {
		if (now_ns() > end) {
			ksft_print_msg("%llu threads attached, want %llu\n",
				       (unsigned long long)read_stats().threads,
				       (unsigned long long)want);
			return false;
		}
		collect();
	}
	return true;
}

void *spin(void *arg)
{
	struct spinner *s = arg;
	struct witness *w = witness_new(s->id);

	s->hidden = hide(w);
	event_set(&s->ready);
	while (!event_is_set(&s->stop))
		__asm__ volatile("pause" : "+r"(w));
	s->ok = witness_ok(w, s->id);
	return NULL;
}
