// SPDX-License-Identifier: GPL-2.0-only
/* by_hand.c - see by_hand.h */
#include "by_hand.h"

void make_file(struct client *c, uint64_t heap_pages)
{
	struct tri_layout layout;
	struct tri_ctl *ctl;
	void *base;

	c->file = memfd_create("tricolor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (c->file < 0 || tri_layout_init(&layout, heap_pages) ||
	    ftruncate(c->file, (off_t)layout.file_bytes) ||
	    fcntl(c->file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
		ksft_exit_fail_msg("no memfd: %s\n", strerror(errno));
	base = mmap(NULL, layout.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		    c->file, 0);
	if (base == MAP_FAILED)
		ksft_exit_fail_msg("no mapping: %s\n", strerror(errno));
	ctl = base;
	tri_view_init(&c->view, base, &layout, 0x100000000000ull);
	ctl->magic = TRI_MAGIC;
	ctl->layout_version = TRI_LAYOUT_VERSION;
	ctl->ctl_bytes = sizeof(*ctl);
	ctl->heap_pages = heap_pages;
	ctl->file_bytes = layout.file_bytes;
	ctl->heap_va = c->view.heap_va;
	ctl->pid = (uint32_t)getpid();
	tri_write(&ctl->gc_percent, 100);
	tri_write(&ctl->memory_limit_bytes, INT64_MAX);
}

void make_arena(struct client *c)
{
	make_file(c, HEAP_PAGES);
	memset(c->view.slots, 0, c->view.layout.buffers + sizeof(struct tri_buffer) -
				 c->view.layout.slots);
	tri_write(&c->view.ctl->top_pages, HEAP_PAGES);
	atomic_fetch_or(&c->view.used[0], 1);
}

bool send_with(int sock, const struct tri_msg *msg, const int *fds, size_t n)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = "" };
	struct iovec iov = { (void *)msg, sizeof(*msg) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (n) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL) == sizeof(*msg);
}

/*
 * Receive the next message, and up to @n descriptors; the others are set to -1.  False: there is no
 * message, or the connection is closed.
 */
static bool receive_with(int sock, struct tri_msg *msg, int *fds, size_t n)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { msg, sizeof(*msg) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *c;
	size_t i;

	for (i = 0; i < n; i++)
		fds[i] = -1;
	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != sizeof(*msg))
		return false;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	return true;
}

bool hello(int sock, int file, uint64_t flags, struct tri_msg *reply, int *fds)
{
	struct tri_msg msg = { .type = TRI_MSG_HELLO,
			       .version = TRI_PROTO_ID,
			       .hello.flags = flags };

	strcpy(msg.client.release, "0.1.0");
	msg.client.fds[0] = TRI_FD_ARENA;
	return send_with(sock, &msg, &file, 1) && receive_with(sock, reply, fds, 2);
}
