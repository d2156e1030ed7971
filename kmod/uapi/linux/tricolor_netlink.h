/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * tricolor_netlink.h - numbers of the generic netlink family "tricolor"
 *
 * The specification is Documentation/netlink/tricolor.yaml, which says what each means; a test
 * compares the two.  Numbers that are gone are not used again: attributes 9 and 11, command 6.
 */
#ifndef _UAPI_LINUX_TRICOLOR_NETLINK_H
#define _UAPI_LINUX_TRICOLOR_NETLINK_H

#define TRICOLOR_FAMILY_NAME		"tricolor"
#define TRICOLOR_FAMILY_VERSION		1
#define TRICOLOR_MCGRP_EVENTS		"events"

enum {
	TRICOLOR_A_ARENA_ID = 1,
	TRICOLOR_A_ARENA_OWNER_PID,
	TRICOLOR_A_ARENA_OWNER_UID,
	TRICOLOR_A_ARENA_FLAGS,
	TRICOLOR_A_ARENA_STATE,
	TRICOLOR_A_ARENA_COLLECTORS,
	TRICOLOR_A_ARENA_BYTES,
	TRICOLOR_A_ARENA_RESIDENT_BYTES,
	TRICOLOR_A_ARENA_RECLAIMED_BYTES = 10,
	TRICOLOR_A_ARENA_GC_PERCENT = 12,
	TRICOLOR_A_ARENA_MEMORY_LIMIT_BYTES,
	TRICOLOR_A_ARENA_PAD,
	__TRICOLOR_A_ARENA_MAX,
	TRICOLOR_A_ARENA_MAX = __TRICOLOR_A_ARENA_MAX - 1
};

enum {
	TRICOLOR_CMD_ARENA_GET = 1,
	TRICOLOR_CMD_ARENA_SET,
	TRICOLOR_CMD_ARENA_NEW,
	TRICOLOR_CMD_ARENA_GONE,
	TRICOLOR_CMD_TUNABLES,
	__TRICOLOR_CMD_MAX,
	TRICOLOR_CMD_MAX = __TRICOLOR_CMD_MAX - 1
};

#endif
