// SPDX-License-Identifier: GPL-2.0-only
/*
 * netlink.c - the generic netlink family "tricolor"
 *
 * Documentation/netlink/tricolor.yaml specifies it.  Requests read arenas and ask collectors for
 * other settings.  Events tell of arenas that come and go, and of settings.
 *
 * A network namespace shows the arenas that were made in it, so that the containers of a pod see
 * each other's.  The initial one shows all.  An arena knows its namespace by its cookie, which is
 * never used again, as an arena that only its collector has keeps no reference to a namespace.
 */
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "internal.h"

static struct genl_family family;

static const struct nla_policy get_policy[TRICOLOR_A_ARENA_MAX + 1] = {
	[TRICOLOR_A_ARENA_ID] = { .type = NLA_U32 },
};

static const struct nla_policy set_policy[TRICOLOR_A_ARENA_MAX + 1] = {
	[TRICOLOR_A_ARENA_ID] = { .type = NLA_U32 },
	[TRICOLOR_A_ARENA_GC_PERCENT] = NLA_POLICY_MIN(NLA_S32, -1),
	[TRICOLOR_A_ARENA_MEMORY_LIMIT_BYTES] = NLA_POLICY_MIN(NLA_S64, 0),
};

static int put_bytes(struct sk_buff *skb, int attr, u64 bytes)
{
	return nla_put_u64_64bit(skb, attr, bytes, TRICOLOR_A_ARENA_PAD);
}

static bool visible(const struct net *net, const struct tricolor_arena *arena)
{
	return net_eq(net, &init_net) || net->net_cookie == arena->net_cookie;
}

/*
 * As with sysfs, a heap's user and the administrators of the namespace may read about it.  The
 * rights of the sender of @request count, and not those of the process that reads the next part of
 * a dump.
 */
static bool may_read(struct sk_buff *request, struct net *net, const struct tricolor_arena *arena)
{
	return uid_eq(NETLINK_CREDS(request)->uid, arena->owner_uid) ||
	       netlink_ns_capable(request, net->user_ns, CAP_SYS_ADMIN);
}

/* The owner's PID and user are those of the reader's namespaces. */
static int put_arena(struct sk_buff *skb, struct tricolor_arena *arena)
{
	struct tricolor_info info = {};
	struct tricolor_pacer pacer;

	tricolor_arena_info(arena, &info);
	tricolor_pacer_read(arena, &pacer);
	if (nla_put_u32(skb, TRICOLOR_A_ARENA_ID, info.id) ||
	    nla_put_s32(skb, TRICOLOR_A_ARENA_OWNER_PID, info.owner_pid) ||
	    nla_put_u32(skb, TRICOLOR_A_ARENA_OWNER_UID, info.owner_uid) ||
	    nla_put_u32(skb, TRICOLOR_A_ARENA_FLAGS, info.create_flags) ||
	    nla_put_u32(skb, TRICOLOR_A_ARENA_STATE, info.state) ||
	    nla_put_u32(skb, TRICOLOR_A_ARENA_COLLECTORS, info.collectors) ||
	    put_bytes(skb, TRICOLOR_A_ARENA_BYTES, info.bytes) ||
	    put_bytes(skb, TRICOLOR_A_ARENA_RESIDENT_BYTES, info.resident_bytes) ||
	    put_bytes(skb, TRICOLOR_A_ARENA_RECLAIMED_BYTES, info.reclaimed_bytes) ||
	    nla_put_s32(skb, TRICOLOR_A_ARENA_GC_PERCENT, pacer.gc_percent) ||
	    nla_put_s64(skb, TRICOLOR_A_ARENA_MEMORY_LIMIT_BYTES, pacer.memory_limit_bytes,
			TRICOLOR_A_ARENA_PAD))
		return -EMSGSIZE;
	return 0;
}

static int fill(struct sk_buff *skb, u32 portid, u32 seq, int flags, struct tricolor_arena *arena)
{
	void *header = genlmsg_put(skb, portid, seq, &family, flags, TRICOLOR_CMD_ARENA_GET);

	if (!header)
		return -EMSGSIZE;
	if (put_arena(skb, arena)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

static struct tricolor_arena *get_named(struct genl_info *info, int *err)
{
	struct nlattr *id = info->attrs[TRICOLOR_A_ARENA_ID];
	struct tricolor_arena *arena;

	if (!id) {
		NL_SET_ERR_MSG(info->extack, "which arena? attribute id is missing");
		*err = -EINVAL;
		return NULL;
	}
	arena = tricolor_arena_get(nla_get_u32(id));
	if (arena && !visible(genl_info_net(info), arena)) {
		tricolor_arena_put(arena);
		arena = NULL;
	}
	if (!arena) {
		NL_SET_ERR_MSG_ATTR(info->extack, id, "no arena has that number");
		*err = -ENOENT;
	}
	return arena;
}

static int get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tricolor_arena *arena;
	struct sk_buff *reply;
	int err = 0;

	arena = get_named(info, &err);
	if (!arena)
		return err;
	if (!may_read(skb, genl_info_net(info), arena)) {
		tricolor_arena_put(arena);
		return -EPERM;
	}
	reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!reply)
		err = -ENOMEM;
	else
		err = fill(reply, info->snd_portid, info->snd_seq, 0, arena);
	tricolor_arena_put(arena);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	return genlmsg_reply(reply, info);
}

static int get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct net *net = sock_net(skb->sk);
	struct tricolor_arena *arena;
	int err = 0;

	while (!err && (arena = tricolor_arena_next((u32)cb->args[0]))) {
		if (visible(net, arena) && may_read(cb->skb, net, arena))
			err = fill(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				   NLM_F_MULTI, arena);
		if (!err)
			cb->args[0] = arena->id + 1ul;
		tricolor_arena_put(arena);
	}
	/* The message is full, and the rest comes with the next one. */
	return skb->len;
}

static int set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *percent = info->attrs[TRICOLOR_A_ARENA_GC_PERCENT];
	struct nlattr *limit = info->attrs[TRICOLOR_A_ARENA_MEMORY_LIMIT_BYTES];
	struct tricolor_arena *arena;
	int err = 0;

	if (!netlink_capable(skb, CAP_SYS_ADMIN))
		return -EPERM;
	if (!percent && !limit) {
		NL_SET_ERR_MSG(info->extack, "nothing to set: gc-percent, memory-limit-bytes");
		return -EINVAL;
	}
	arena = get_named(info, &err);
	if (!arena)
		return err;
	err = tricolor_tunables_set(arena, (percent ? TRICOLOR_TUNABLE_GC_PERCENT : 0) |
				    (limit ? TRICOLOR_TUNABLE_MEMORY_LIMIT : 0),
				    percent ? nla_get_s32(percent) : 0,
				    limit ? nla_get_s64(limit) : 0);
	tricolor_arena_put(arena);
	return err;
}

static const struct genl_ops ops[] = {
	{
		.cmd = TRICOLOR_CMD_ARENA_GET,
		.doit = get_doit,
		.dumpit = get_dumpit,
		.policy = get_policy,
		.maxattr = TRICOLOR_A_ARENA_MAX,
	}, {
		.cmd = TRICOLOR_CMD_ARENA_SET,
		.doit = set_doit,
		.policy = set_policy,
		.maxattr = TRICOLOR_A_ARENA_MAX,
	},
};

static const struct genl_multicast_group groups[] = {
	{ .name = TRICOLOR_MCGRP_EVENTS },
};

static struct genl_family family __ro_after_init = {
	.name = TRICOLOR_FAMILY_NAME,
	.version = TRICOLOR_FAMILY_VERSION,
	.maxattr = TRICOLOR_A_ARENA_MAX,
	.module = THIS_MODULE,
	.netnsok = true,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.resv_start_op = TRICOLOR_CMD_ARENA_GET,
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

/* Anyone may listen, so an event only says which arena it is.  Those who may read it ask. */
static void tell(struct net *net, const struct tricolor_arena *arena, u8 cmd)
{
	struct sk_buff *skb;
	void *header;

	if (!genl_has_listeners(&family, net, 0))
		return;
	skb = genlmsg_new(nla_total_size(sizeof(u32)), GFP_KERNEL);
	if (!skb)
		return;
	header = genlmsg_put(skb, 0, 0, &family, 0, cmd);
	if (!header || nla_put_u32(skb, TRICOLOR_A_ARENA_ID, arena->id)) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, header);
	genlmsg_multicast_netns(&family, net, skb, 0, 0, GFP_KERNEL);
}

/* The namespace that @arena was made in, with a reference; NULL: the arena has dropped it. */
static struct net *get_net_of(const struct tricolor_arena *arena)
{
	struct net *net, *found = NULL;

	rcu_read_lock();
	for_each_net_rcu(net) {
		if (net->net_cookie == arena->net_cookie) {
			found = maybe_get_net(net);
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

/** tricolor_netlink_event - send an event; without listeners or memory nothing is sent */
void tricolor_netlink_event(struct tricolor_arena *arena, u8 cmd)
{
	struct net *net;

	tell(&init_net, arena, cmd);
	if (arena->net_cookie == init_net.net_cookie)
		return;
	net = get_net_of(arena);
	if (!net)
		return;
	tell(net, arena, cmd);
	put_net(net);
}

int tricolor_netlink_init(void)
{
	return genl_register_family(&family);
}

void tricolor_netlink_exit(void)
{
	genl_unregister_family(&family);
}
