// SPDX-License-Identifier: GPL-2.0-only
/* link.c - boards between two processes, and the messages of a link: see link.h */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/process/fault.h"

#define BOARD_BYTES 4096
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

_Static_assert(sizeof(struct board) <= BOARD_BYTES, "a board is a page");

static int map(struct link_board *b, int fd)
{
	b->board = mmap(NULL, BOARD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (b->board == MAP_FAILED) {
		b->board = NULL;
		return ENOMEM;
	}
	/*
	 * The other side can punch a hole into the file.  If no memory is left, this side then
	 * touches a page that is missing.
	 */
	b->guard = fault_guard(b->board, BOARD_BYTES);
	if (b->guard)
		return 0;
	munmap(b->board, BOARD_BYTES);
	b->board = NULL;
	return ENOMEM;
}

int link_board_make(struct link_board *b)
{
	int fd = memfd_create("tricolor-board", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return -errno;
	err = ftruncate(fd, BOARD_BYTES) || fcntl(fd, F_ADD_SEALS, SEALS) ? errno : map(b, fd);
	if (err) {
		close(fd);
		return -err;
	}
	atomic_store(&b->board->phase, PHASES);
	return fd;
}

int link_board_map(struct link_board *b, int fd, const char **why)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	*why = "the board is no memory file that is sealed against shrinking, growing and other "
	       "seals";
	if (seals < 0 || seals != SEALS)
		return EPERM;
	*why = "the board has another size than ours; install the same version of both";
	if (fstat(fd, &st) || st.st_size != BOARD_BYTES)
		return EPROTONOSUPPORT;
	*why = "no memory for the board";
	return map(b, fd);
}

void link_board_unmap(struct link_board *b)
{
	if (!b->board)
		return;
	fault_unguard(b->guard);
	munmap(b->board, BOARD_BYTES);
	*b = (struct link_board){ 0 };
}

bool link_send(int sock, enum link_type type, int32_t pid, uint32_t level, const char *text)
{
	struct link_msg msg = { .type = type, .version = LINK_VERSION, .pid = pid, .level = level };

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	return send(sock, &msg, sizeof(msg), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(msg) ||
	       errno == EAGAIN;
}
