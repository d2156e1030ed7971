// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * exec.c - a handshake signal must not reach the program that comes after exec()
 *
 * A signal that is pending stays pending after exec(), and its handler is gone, so a real-time
 * signal would end the new program.  So a thread that calls exec() begins a blocking region, in
 * which it is sent none.  It waits until one that is being sent at this moment was sent.  That one
 * is handled as the next system call returns.
 *
 * These functions make the system call themselves, so that they work wherever the C library's do.
 * In the child of vfork(), or of a bare clone(), the process is not the heap's, and nothing is
 * done before the system call.
 */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"
#include "../threads/blocking.h"
#include "../start/init.h"
#include "../threads/region.h"
#include "../base/state.h"
#include "../threads/thread.h"
#include "tricolor.h"

/* For how long an exec() waits for the agent at most. */
#define WAIT_NS 1000000000ull

static bool being_sent(struct tri_thread *t)
{
	return tri_read(&t->signal_sent[0]) == TRI_SENDING ||
	       tri_read(&t->signal_sent[1]) == TRI_SENDING;
}

static int exec(const char *path, char *const argv[], char *const envp[])
{
	bool ours = tri_read(&tri_g.state) == TRI_STATE_READY && getpid() == tri_g.pid,
	     region = false;
	struct tri_thread *t;
	uint64_t began;

	if (ours && !tri__tls.thread)
		tri_thread_attach();
	t = ours ? tri__tls.thread : NULL;
	if (t && !t->depth && !tri_in_region()) {
		region = true;
		tri_blocking_enter();
		began = tri_now_ns();
		/*
		 * Either we see here that the agent is sending a signal, or the agent sees the
		 * region.  Pairs with the fence in send_one() of sending.c.
		 */
		atomic_thread_fence(memory_order_seq_cst);
		while (being_sent(t) && tri_now_ns() - began < WAIT_NS)
			sched_yield();
		/* A signal that was sent is handled as this returns. */
		syscall(SYS_gettid);
	}
	syscall(SYS_execve, path, argv, envp);
	if (region) {
		int err = errno;

		tri_blocking_exit();
		errno = err;
	}
	return -1;
}

TRI_EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return exec(path, argv, envp);
}

TRI_EXPORT int execv(const char *path, char *const argv[])
{
	return exec(path, argv, environ);
}

/* A file without a format that the kernel knows is a script of the shell. */
static int exec_or_shell(const char *path, char *const argv[], char *const envp[])
{
	size_t n = 0;

	exec(path, argv, envp);
	if (errno != ENOEXEC)
		return -1;
	while (argv[n])
		n++;
	{
		char *script[n + 3];

		script[0] = (char *)"/bin/sh";
		script[1] = (char *)path;
		script[2] = NULL;
		if (n > 1)
			memcpy(&script[2], &argv[1], n * sizeof(argv[0]));
		return exec(script[0], script, envp);
	}
}

TRI_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	const char *path = getenv("PATH"), *end;
	char full[4096];
	bool denied = false;
	int n;

	if (!*file) {
		errno = ENOENT;
		return -1;
	}
	if (strchr(file, '/'))
		return exec_or_shell(file, argv, envp);
	for (path = path ? path : "/bin:/usr/bin";; path = end + 1) {
		end = strchrnul(path, ':');
		n = snprintf(full, sizeof(full), "%.*s%s%s", (int)(end - path), path,
			     end > path ? "/" : "", file);
		if (n > 0 && (size_t)n < sizeof(full)) {
			exec_or_shell(full, argv, envp);
			if (errno == EACCES)
				denied = true;
			else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE &&
				 errno != ENODEV && errno != ETIMEDOUT)
				return -1;
		}
		if (!*end)
			break;
	}
	errno = denied ? EACCES : ENOENT;
	return -1;
}

TRI_EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/*
 * Make an array @argv of the arguments from @first, the last named one, up to NULL, which is its
 * last element.
 */
#define COLLECT(argv, first, args)					\
	va_list args;							\
	size_t n_ = 1, i_;						\
									\
	va_start(args, first);						\
	while (va_arg(args, char *))					\
		n_++;							\
	va_end(args);							\
	char *argv[n_ + 1];						\
									\
	argv[0] = (char *)first;					\
	va_start(args, first);						\
	for (i_ = 1; i_ <= n_; i_++)					\
		argv[i_] = va_arg(args, char *)

TRI_EXPORT int execl(const char *path, const char *arg, ...)
{
	COLLECT(argv, arg, args);
	va_end(args);
	return exec(path, argv, environ);
}

TRI_EXPORT int execlp(const char *file, const char *arg, ...)
{
	COLLECT(argv, arg, args);
	va_end(args);
	return execvpe(file, argv, environ);
}

TRI_EXPORT int execle(const char *path, const char *arg, ...)
{
	COLLECT(argv, arg, args);
	char *const *envp = va_arg(args, char *const *);

	va_end(args);
	return exec(path, argv, envp);
}
