/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * postmortem_text.h - the text of a post-mortem: see postmortem_text.c
 */
#ifndef TRICOLOR_POSTMORTEM_TEXT_H
#define TRICOLOR_POSTMORTEM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "core/proto/control.h"
#include "daemon/clients/client_end.h"
#include "postmortem_heap.h"

/* What identifies a client among the processes of one time. */
struct postmortem_client {
	int32_t service_pid;		/* its PID in the registry */
	int32_t pid;			/* its PID in its own namespace, or else in ours */
	uid_t uid;
	ino_t inode;			/* of its pidfd, which from Linux 6.9 on is unique */
	char host[64];			/* the host's name, as the client has it, or we do */
};

/* What a post-mortem says, but for how the client ended. */
struct postmortem_facts {
	struct postmortem_client identity;
	struct control_arena figures;	/* as they were published last */
	bool has_figures;		/* they were */
	struct postmortem_heap heap;
	uint64_t read_ns;		/* how long reading it took */
	bool was_stopped;		/* reading ended because others needed the memory */
};

struct postmortem_text {
	char *at;
	size_t used, room;
	bool full;			/* it is cut off */
};

/** Add the whole text to @t, which is empty. */
void postmortem_compose(struct postmortem_text *t, const struct postmortem_facts *f,
			const struct client_end *e, time_t now);

#endif
