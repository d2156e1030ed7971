// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * transfer.c - a blocking transfer that our signal has cut short goes on
 *
 * Any signal handler, with SA_RESTART or without, makes write() and its relatives return what has
 * been transferred so far.  Programs that have no handlers take a short count for an error.  The
 * functions here stand in front of the C library's.  If the count is short, and meanwhile our
 * handler has run and none of the program's has, they transfer the rest as well.  If that fails,
 * as with EAGAIN for a non-blocking descriptor, they return what was transferred.  Regular files
 * are left alone: signals do not cut their transfers short, and another write beyond the limit of
 * a file's size would cause SIGXFSZ.
 */
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "attributes.h"
#include "real.h"
#include "../threads/thread.h"
#include "tricolor.h"

struct transfer {
	const struct tri_thread *thread;	/* whose it is; NULL: it was not attached */
	uint32_t ours, programs;	/* handlers, ours and the program's, that had run before */
	int fd;
	bool cut;			/* it was cut short because of us */
};

static void begin(struct transfer *x, int fd)
{
	const struct tri_thread *t = tri__tls.thread;

	*x = (struct transfer){ .thread = t, .fd = fd };
	if (t) {
		x->ours = tri_read(&t->interrupted);
		x->programs = tri_read(&t->handlers);
	}
}

/* Whether a transfer of @done bytes out of @all is to go on. */
static bool goes_on(struct transfer *x, ssize_t done, size_t all)
{
	const struct tri_thread *t = tri__tls.thread;
	struct stat st;

	/* A handler of the program may have attached the thread: nobody has counted that one. */
	if (likely((size_t)done >= all) || !t || t != x->thread)
		return false;
	if (!x->cut && x->ours == tri_read(&t->interrupted))
		return false;
	if (x->programs != tri_read(&t->handlers) || fstat(x->fd, &st) || S_ISREG(st.st_mode))
		return false;
	x->cut = true;
	return true;
}

/* Transfer all and return the count.  @call transfers the part from @done on. */
#define WHOLE(fd, all, call)						\
	do {								\
		struct transfer x;					\
		ssize_t done = 0, part;					\
									\
		begin(&x, fd);						\
		do {							\
			part = call;					\
			if (part <= 0)					\
				return done ? done : part;		\
			done += part;					\
		} while (goes_on(&x, done, all));			\
		return done;						\
	} while (0)

TRI_EXPORT ssize_t write(int fd, const void *from, size_t bytes)
{
	WHOLE(fd, bytes, REAL(write)(fd, (const char *)from + done, bytes - (size_t)done));
}

TRI_EXPORT ssize_t send(int fd, const void *from, size_t bytes, int flags)
{
	WHOLE(fd, bytes, REAL(send)(fd, (const char *)from + done, bytes - (size_t)done, flags));
}

TRI_EXPORT ssize_t sendto(int fd, const void *from, size_t bytes, int flags,
			  const struct sockaddr *addr, socklen_t len)
{
	WHOLE(fd, bytes,
	      REAL(sendto)(fd, (const char *)from + done, bytes - (size_t)done, flags, addr, len));
}

/* Whether all bytes are wanted.  With MSG_PEEK the same bytes would come again. */
static bool waits_for_all(int flags)
{
	return (flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL;
}

TRI_EXPORT ssize_t recv(int fd, void *to, size_t bytes, int flags)
{
	if (!waits_for_all(flags))
		return REAL(recv)(fd, to, bytes, flags);
	WHOLE(fd, bytes, REAL(recv)(fd, (char *)to + done, bytes - (size_t)done, flags));
}

TRI_EXPORT ssize_t sendfile(int to, int from, off_t *offset, size_t bytes)
{
	WHOLE(to, bytes, REAL(sendfile)(to, from, offset, bytes - (size_t)done));
}

TRI_EXPORT ssize_t sendfile64(int to, int from, off64_t *offset, size_t bytes)
{
	WHOLE(to, bytes, REAL(sendfile64)(to, from, offset, bytes - (size_t)done));
}

/* The elements from byte @done on.  If that is inside an element, only its rest. */
static int rest_of(const struct iovec *all, int n, size_t done, struct iovec *part,
		   const struct iovec **rest)
{
	while (n && done >= all->iov_len) {
		done -= all->iov_len;
		all++;
		n--;
	}
	*rest = all;
	if (!done)
		return n;
	part->iov_base = (char *)all->iov_base + done;
	part->iov_len = all->iov_len - done;
	*rest = part;
	return 1;
}

static size_t bytes_of(const struct iovec *v, size_t n)
{
	size_t all = 0;

	while (n--)
		all += v[n].iov_len;
	return all;
}

static ssize_t write_rest(int fd, const struct iovec *v, int n, ssize_t done)
{
	const struct iovec *rest = v;
	struct iovec part;

	if (done)
		n = rest_of(v, n, (size_t)done, &part, &rest);
	return REAL(writev)(fd, rest, n);
}

TRI_EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
	WHOLE(fd, n > 0 && n <= 1024 ? bytes_of(v, (size_t)n) : 0, write_rest(fd, v, n, done));
}

static ssize_t send_rest(int fd, const struct msghdr *m, int flags, ssize_t done)
{
	struct msghdr rest = *m;
	const struct iovec *v;
	struct iovec part;

	if (!done)
		return REAL(sendmsg)(fd, m, flags);
	rest.msg_iovlen = (size_t)rest_of(m->msg_iov, (int)m->msg_iovlen, (size_t)done, &part, &v);
	rest.msg_iov = (struct iovec *)v;
	/* The control message went with the first part. */
	rest.msg_control = NULL;
	rest.msg_controllen = 0;
	return REAL(sendmsg)(fd, &rest, flags);
}

TRI_EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	WHOLE(fd, bytes_of(m->msg_iov, m->msg_iovlen), send_rest(fd, m, flags, done));
}
