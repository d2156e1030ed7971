// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * identity.c - what a collector is told of its client that only the client can see
 *
 * A collector may be in another mount, control group, pid or user namespace, or have no /proc.
 * Then it can't find the files that tell what its client may use.  So the client opens them
 * (core/system/cgroup_files.c), and passes descriptors.  The control group may change at any time,
 * and with it the files: they are opened anew for each collector, and closed when they have been
 * sent.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../../core/system/cgroup.h"
#include "../../core/system/cgroup_files.h"
#include "hello.h"
#include "../base/state.h"

/* What the program is called is what its first thread is; ours is "tricolor-agent". */
static void read_name(struct tri_hello *h)
{
	if (!tri_cgroup_read("/proc/self", "comm", h->comm, sizeof(h->comm)))
		h->comm[0] = 0;
	h->comm[strcspn(h->comm, "\n")] = 0;
	if (!h->comm[0])
		snprintf(h->comm, sizeof(h->comm), "%.15s", program_invocation_short_name);
}

/**
 * Add to HELLO who we are, and open the files of our groups, as far as there is room for
 * descriptors.
 */
void tri_identify(struct tri_introduction *in)
{
	struct tri_hello *h = &in->msg.client;
	struct utsname machine;

	h->pid = (int32_t)tri_g.pid;
	h->uid = (uint32_t)getuid();
	h->gid = (uint32_t)getgid();
	h->tid = (int32_t)gettid();
	read_name(h);
	if (!uname(&machine))
		snprintf(h->host, sizeof(h->host), "%.63s", machine.nodename);
	in->count = (unsigned int)tri_cgroup_files_hello("", h, in->fds, in->count);
}

/** Close the files of groups again. */
void tri_identify_end(struct tri_introduction *in)
{
	while (in->count > 1)
		close(in->fds[--in->count]);
}
