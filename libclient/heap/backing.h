/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backing.h - what an arena lives in: a memfd, or an arena of /dev/tricolor
 *
 * Functions return 0 or a negative errno, or what their comments in backing.c say.  They are called
 * by the agent, in whose descriptor table the arena is; or in the child of a fork() by its only
 * thread.
 */
#ifndef TRI_BACKING_H
#define TRI_BACKING_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"
#include "../base/settings.h"

struct tri_mapping {
	/*
	 * In the agent's descriptor table; -1 after it was lost.  In a forked child whose agent has
	 * not started yet it is in the program's table, and @inode says whether it is still ours.
	 */
	int fd;
	uint64_t inode;
	bool is_device;			/* an owner's descriptor of /dev/tricolor; else a memfd */
	void *base;
	struct tri_layout layout;
};

int tri_backing_open(struct tri_mapping *m, const struct tri_settings *s) TRI_HIDDEN;
bool tri_backing_lock_as_used(void *base, uint64_t bytes) TRI_HIDDEN;
void tri_backing_close(struct tri_mapping *m) TRI_HIDDEN;
int tri_backing_pass(const struct tri_mapping *m) TRI_HIDDEN;
void tri_backing_passed(const struct tri_mapping *m, int fd) TRI_HIDDEN;
int tri_backing_copy(struct tri_mapping *m, const struct tri_mapping *of) TRI_HIDDEN;
int tri_backing_write(const struct tri_mapping *m, uint64_t offset, const char *from,
		      uint64_t bytes) TRI_HIDDEN;
int tri_backing_install(struct tri_mapping *m, void *at) TRI_HIDDEN;
void tri_backing_discard(struct tri_mapping *m) TRI_HIDDEN;
int tri_backing_inherit(const struct tri_mapping *m, bool inherit) TRI_HIDDEN;
bool tri_backing_is_there(const struct tri_mapping *m) TRI_HIDDEN;
const char *tri_backing_why(const struct tri_settings *s, int err) TRI_HIDDEN;

#endif
