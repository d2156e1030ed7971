// SPDX-License-Identifier: GPL-2.0-only
/*
 * genl.c - events of the module's generic netlink family
 *
 * Documentation/netlink/tricolor.yaml specifies them.  What is set through sysfs or netlink reaches
 * each arena's thread by its own descriptor, so only one event is of use here: `purge`, which says
 * that the kernel has taken memory that was freed lazily.  It is the earliest sign that memory is
 * short, and wakes the watcher at once.  The other events go to the log.
 *
 * libnl-genl-3 is needed to build this.  Without it the daemon works, and receives no events.
 */
#include "genl.h"

#ifdef HAVE_LIBNL_GENL

#include <errno.h>
#include <linux/tricolor_netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "daemon/process/log.h"
#include "daemon/clients/watcher.h"

static struct nl_sock *sock;

static struct nla_policy policy[TRICOLOR_A_ARENA_MAX + 1] = {
	[TRICOLOR_A_ARENA_ID] = { .type = NLA_U32 },
};

static int on_event(struct nl_msg *msg, void *arg)
{
	struct nlattr *attrs[TRICOLOR_A_ARENA_MAX + 1];
	struct nlmsghdr *header = nlmsg_hdr(msg);
	unsigned int id;

	(void)arg;
	if (!genlmsg_valid_hdr(header, 0) ||
	    genlmsg_parse(header, 0, attrs, TRICOLOR_A_ARENA_MAX, policy) ||
	    !attrs[TRICOLOR_A_ARENA_ID])
		return NL_OK;
	id = nla_get_u32(attrs[TRICOLOR_A_ARENA_ID]);
	switch (genlmsg_hdr(header)->cmd) {
	case TRICOLOR_CMD_ARENA_NEW:
		log_debug("arena%u: made", id);
		break;
	case TRICOLOR_CMD_ARENA_GONE:
		log_debug("arena%u: gone", id);
		break;
	case TRICOLOR_CMD_TUNABLES:
		log_debug("arena%u: somebody asks for other settings", id);
		break;
	case TRICOLOR_CMD_PURGE:
		log_debug("arena%u: memory is short, the kernel has taken some that was freed", id);
		watcher_wake();
		break;
	}
	return NL_OK;
}

int genl_open(void)
{
	int group;

	sock = nl_socket_alloc();
	if (!sock)
		return -1;
	/* Events have no sequence. */
	nl_socket_disable_seq_check(sock);
	if (genl_connect(sock))
		goto none;
	group = genl_ctrl_resolve_grp(sock, TRICOLOR_FAMILY_NAME, TRICOLOR_MCGRP_EVENTS);
	if (group < 0 || nl_socket_add_membership(sock, group))
		goto none;
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_event, NULL);
	nl_socket_set_nonblocking(sock);
	return nl_socket_get_fd(sock);

none:
	nl_socket_free(sock);
	sock = NULL;
	return -1;
}

void genl_read(void)
{
	/* Also when some were lost because there were too many: what counts comes again. */
	while (nl_recvmsgs_default(sock) >= 0)
		;
}

#else

int genl_open(void)
{
	return -1;
}

void genl_read(void)
{
}

#endif
