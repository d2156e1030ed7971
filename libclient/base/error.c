// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * error.c - failures as sentences
 *
 *  1. A function that fails leaves a sentence with its thread (tri_fail()).
 *  2. What the agent fails at belongs to no call.  It is kept with the heap (tri_complain()), and
 *     tri_error() gives it to a thread that has had no failure of its own.
 *  3. What a user has to know although nobody asks is printed to standard error, each kind once in
 *     a process, unless TRICOLOR_QUIET is set.  The agent does not have the program's descriptors,
 *     so the next thread that comes by, outside the library, prints it for the agent.  What must
 *     not wait for a thread (tri_complain_now()) the agent prints itself, on a copy of the
 *     program's descriptor, where the system lets it have one.
 *
 * If the program was started without standard error, descriptor 2 may be some file of its own, and
 * nothing is printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "attributes.h"
#include "error.h"
#include "lock.h"
#include "state.h"
#include "tricolor.h"

#define TEXT_BYTES 384

tri_au32 tri_unsaid;			/* a bit for each kind that is to be printed */

static __thread char thread_text[TEXT_BYTES] __attribute__((tls_model("initial-exec")));
static __thread char heap_copy[TEXT_BYTES] __attribute__((tls_model("initial-exec")));

static struct {
	struct tri_lock lock;
	/* Under @lock. */
	char text[TRI_COMPLAINTS][TEXT_BYTES];	/* empty: no such failure, or it is over */
	enum tri_complaint last;
	uint32_t said;				/* a bit for each kind that was printed */
} heap;

static bool no_stderr;
static uint64_t without_ns;		/* since when there is no collector; 0: there is one.  The
					 * agent's */

__attribute__((constructor)) static void check_stderr(void)
{
	no_stderr = fcntl(2, F_GETFD) < 0;
}

/** Leave a sentence with the calling thread.  Returns -@err. */
int tri_fail(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(thread_text, sizeof(thread_text), fmt, args);
	va_end(args);
	return -err;
}

/** The agent has failed at something.  @say: print it, if this kind was not printed yet. */
void tri_complain(enum tri_complaint kind, bool say, const char *fmt, ...)
{
	uint32_t bit = 1u << kind;
	va_list args;

	va_start(args, fmt);
	tri_lock(&heap.lock);
	vsnprintf(heap.text[kind], TEXT_BYTES, fmt, args);
	heap.last = kind;
	if (say && !(heap.said & bit)) {
		heap.said |= bit;
		atomic_fetch_or(&tri_unsaid, bit);
	}
	tri_unlock(&heap.lock);
	va_end(args);
}

/*
 * A descriptor of the program's standard error, or -1.  With a trace the agent has it.  Else it is
 * copied from the table of the program's first thread, which a sandbox may forbid.
 */
static int borrow_stderr(void)
{
	int self, fd;

	if (tri_g.settings.prints)
		return 2;
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		return -1;
	fd = (int)syscall(SYS_pidfd_getfd, self, 2, 0);
	close(self);
	return fd;
}

/* Write a line without waiting.  False: this can't be done.  The agent has SIGPIPE blocked. */
static bool write_at_once(int fd, const char *text)
{
	char line[TEXT_BYTES + 1];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	struct iovec iov = { line, (size_t)n };
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	ssize_t done;

	if (syscall(SYS_poll, &p, 1, 0) != 1 || p.revents != POLLOUT)
		return false;
	done = pwritev2(fd, &iov, 1, -1, RWF_NOWAIT);
	/* Terminals and some files do not know RWF_NOWAIT, but this one was writable just now. */
	if (done < 0 &&
	    (errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM || errno == EINVAL))
		done = write(fd, line, (size_t)n);
	return done > 0;
}

/** Print the complaint of @kind, if this kind was not printed yet.  Agent only. */
void tri_complain_now(enum tri_complaint kind)
{
	uint32_t bit = 1u << kind;
	char text[TEXT_BYTES];
	bool unsaid;
	int fd;

	tri_lock(&heap.lock);
	memcpy(text, heap.text[kind], TEXT_BYTES);
	unsaid = !(heap.said & bit) && *text;
	if (unsaid)
		heap.said |= bit;
	tri_unlock(&heap.lock);
	/* Whoever takes the bit prints it. */
	unsaid |= atomic_fetch_and(&tri_unsaid, ~bit) & bit;
	if (!unsaid || no_stderr || tri_g.settings.quiet || !*text)
		return;
	fd = borrow_stderr();
	if (fd < 0 || !write_at_once(fd, text))
		atomic_fetch_or(&tri_unsaid, bit);
	if (fd > 2)
		close(fd);
}

/** The failure of @kind is over: tri_error() does not return it any more. */
void tri_complaint_over(enum tri_complaint kind)
{
	tri_lock(&heap.lock);
	heap.text[kind][0] = 0;
	tri_unlock(&heap.lock);
}

/** The heap's failure of @kind, without the "tricolor: " that it begins with; or "". */
const char *tri_complaint(enum tri_complaint kind)
{
	static const char prefix[] = "tricolor: ";
	size_t skip = sizeof(prefix) - 1;

	tri_lock(&heap.lock);
	memcpy(heap_copy, heap.text[kind], TEXT_BYTES);
	tri_unlock(&heap.lock);
	return heap_copy + (strncmp(heap_copy, prefix, skip) ? 0 : skip);
}

/** There has been no collector since @ns; 0: there is one.  Agent. */
void tri_without_since(uint64_t ns)
{
	without_ns = ns;
}

/** Print, unless that was done, that there has been no collector for a second.  Agent only. */
void tri_say_without(void)
{
	if (!without_ns || tri_now_ns() - without_ns < TRI_SAY_WITHOUT_NS)
		return;
	if (*tri_complaint(TRI_COMPLAINT_NO_COLLECTOR)) {
		tri_complain_now(TRI_COMPLAINT_NO_COLLECTOR);
		return;
	}
	tri_complain(TRI_COMPLAINT_WITHOUT, false,
		     "tricolor: no collector for a second by now, and memory is not freed: "
		     "%s; is it stopped, or the machine short of CPUs?",
		     tri_g.waits_for);
	tri_complain_now(TRI_COMPLAINT_WITHOUT);
}

/* Whether a write to standard error would be taken at once. */
static bool writable(void)
{
	struct pollfd p = { .fd = 2, .events = POLLOUT };

	/* This is not the library's poll(), which would begin a blocking region. */
	return syscall(SYS_poll, &p, 1, 0) == 1 && p.revents == POLLOUT;
}

/* Write a line.  A reader that goes away at this moment must not end the program by SIGPIPE. */
static void write_line(const char *text)
{
	char line[TEXT_BYTES + 1];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	struct timespec now = { 0, 0 };
	sigset_t pipe, old, pending;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &old);
	sigpending(&pending);
	if (n > 0 && write(2, line, (size_t)n) < 0 && !sigismember(&pending, SIGPIPE))
		while (syscall(SYS_rt_sigtimedwait, &pipe, NULL, &now, 8L) == SIGPIPE)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/** Print a sentence to standard error, if there is one, and TRICOLOR_QUIET is not set. */
void tri_print(const char *text)
{
	if (!no_stderr && !tri_g.settings.quiet && writable())
		write_line(text);
}

/** Print what is to be printed.  Called by a thread of the program, outside the library. */
__attribute__((noinline)) void tri_say(void)
{
	int saved_errno = errno, kind;
	char text[TEXT_BYTES];
	uint32_t unsaid;

	if (no_stderr || tri_g.settings.quiet) {
		tri_write(&tri_unsaid, 0);
		return;
	}
	/* If nobody reads, this is tried again later, and nobody waits. */
	unsaid = writable() ? atomic_exchange(&tri_unsaid, 0) : 0;
	for (kind = 0; kind < TRI_COMPLAINTS; kind++) {
		if (!(unsaid >> kind & 1))
			continue;
		tri_lock(&heap.lock);
		memcpy(text, heap.text[kind], TEXT_BYTES);
		tri_unlock(&heap.lock);
		if (*text)
			write_line(text);
	}
	errno = saved_errno;
}

/** In the child of a fork(): its heap has not failed yet, and nobody has the lock. */
void tri_error_reset(void)
{
	heap.lock = (struct tri_lock){ 0 };
	memset(heap.text, 0, sizeof(heap.text));
	tri_write(&tri_unsaid, 0);
}

TRI_EXPORT const char *tri_error(void)
{
	if (thread_text[0])
		return thread_text;
	tri_lock(&heap.lock);
	memcpy(heap_copy, heap.text[heap.last], TEXT_BYTES);
	tri_unlock(&heap.lock);
	return heap_copy[0] ? heap_copy : "no error";
}
