/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * by_hand.h - arenas made by hand, for tests that speak the protocol without the library
 */
#ifndef TRICOLOR_SELFTESTS_BY_HAND_H
#define TRICOLOR_SELFTESTS_BY_HAND_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/heap/layout.h"
#include "core/heap/sizeclass.h"
#include "core/heap/span.h"
#include "core/proto/client.h"
#include "kselftest.h"

#define CHUNKS 64			/* 256 MiB of heap */
#define HEAP_PAGES (TRI_CHUNK_PAGES * CHUNKS)

struct client {
	int sock, file;
	struct tri_view view;
	bool meddles;			/* does harm before it answers: see test_hostile.c */
};

/** Make an arena as the library does.  Only its header is written. */
void make_file(struct client *c, uint64_t heap_pages);

/** The same, with its tables written, except for buffers. */
void make_arena(struct client *c);

/** Send @msg, and descriptors with it.  False: the other side has closed the connection. */
bool send_with(int sock, const struct tri_msg *msg, const int *fds, size_t n);

/**
 * Send HELLO with the arena @file, and receive @reply with at most two descriptors.  False: the
 * other side has closed the connection.
 */
bool hello(int sock, int file, uint64_t flags, struct tri_msg *reply, int *fds);

#endif
