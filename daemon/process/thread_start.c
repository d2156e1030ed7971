// SPDX-License-Identifier: GPL-2.0-only
/* thread_start.c - starting threads that nobody waits for: see thread_start.h */
#include "thread_start.h"

#include <pthread.h>

int thread_start(void *(*fn)(void *arg), void *arg, size_t stack_bytes, const char *name)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err = pthread_attr_init(&attr);

	if (err)
		return err;
	err = pthread_attr_setstacksize(&attr, stack_bytes);
	if (!err)
		err = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!err)
		err = pthread_create(&thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	if (!err && name)
		pthread_setname_np(thread, name);
	return err;
}
