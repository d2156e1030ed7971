// SPDX-License-Identifier: GPL-2.0-only
/*
 * sysfs.c - /sys/class/tricolor/arenaN: one value a file
 *
 * Documentation/ABI/testing/sysfs-class-tricolor says what each file means.  The folder is removed
 * when the arena's owner is gone (arena.c).  Removing files waits for their readers and writers.
 * So these need no reference to the arena, and must not drop one.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/pid.h>
#include <linux/sysfs.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>

#include "internal.h"

static struct tricolor_arena *arena_of(const struct device *dev)
{
	return container_of(dev, struct tricolor_arena, dev);
}

/* As with network devices, an arena is seen by mounts of its network namespace. */
static tricolor_namespace *namespace(tricolor_class_device *dev)
{
	return tricolor_net_namespace(arena_of(dev)->net);
}

/* The files belong to the root of the user namespace that owns the network namespace. */
static void get_ownership(tricolor_class_device *dev, kuid_t *uid, kgid_t *gid)
{
	net_ns_get_ownership(arena_of(dev)->net, uid, gid);
}

static struct class class = {
	.name = "tricolor",
	.ns_type = &net_ns_type_operations,
	.namespace = namespace,
	.get_ownership = get_ownership,
};

static ssize_t owner_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", pid_vnr(arena_of(dev)->owner_pid));
}
static DEVICE_ATTR_ADMIN_RO(owner);

static ssize_t owner_uid_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  from_kuid_munged(current_user_ns(), arena_of(dev)->owner_uid));
}
static DEVICE_ATTR_ADMIN_RO(owner_uid);

static ssize_t state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", tricolor_arena_state(arena_of(dev)));
}
static DEVICE_ATTR_ADMIN_RO(state);

static ssize_t phase_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	static const char *const names[] = {
		[TRICOLOR_PHASE_OFF] = "off",
		[TRICOLOR_PHASE_BARRIER] = "barrier",
		[TRICOLOR_PHASE_MARK] = "mark",
		[TRICOLOR_PHASE_TERMINATION] = "termination",
		[TRICOLOR_PHASE_SWEEP] = "sweep",
	};
	struct tricolor_pacer pacer;

	tricolor_pacer_read(arena_of(dev), &pacer);
	return sysfs_emit(buf, "%s\n", names[pacer.phase]);
}
static DEVICE_ATTR_ADMIN_RO(phase);

static ssize_t backing_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	bool huge = arena_of(dev)->create_flags & TRICOLOR_CREATE_HUGE;

	return sysfs_emit(buf, "%s\n", huge ? "2M" : "4k");
}
static DEVICE_ATTR_ADMIN_RO(backing);

#define INFO_ATTR(name, format, value) \
static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf) \
{ \
	struct tricolor_arena *arena = arena_of(dev); \
	return sysfs_emit(buf, format "\n", value); \
} \
static DEVICE_ATTR_ADMIN_RO(name)

INFO_ATTR(size_bytes, "%llu", arena->bytes);
INFO_ATTR(resident_bytes, "%llu", tricolor_resident_bytes(arena));
INFO_ATTR(reclaimed_bytes, "%llu", (u64)atomic64_read(&arena->reclaimed_bytes));
INFO_ATTR(collectors, "%d", atomic_read(&arena->collectors));

#define PACER_ATTR(name, format, value) \
static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf) \
{ \
	struct tricolor_pacer pacer; \
	tricolor_pacer_read(arena_of(dev), &pacer); \
	return sysfs_emit(buf, format "\n", value); \
} \
static DEVICE_ATTR_ADMIN_RO(name)

PACER_ATTR(goal_bytes, "%llu", pacer.goal_bytes);
PACER_ATTR(trigger_bytes, "%llu", pacer.trigger_bytes);
PACER_ATTR(live_bytes, "%llu", pacer.live_bytes);
PACER_ATTR(cycles, "%llu", pacer.cycles);
PACER_ATTR(mark_cpu_ns, "%llu", pacer.mark_cpu_ns);
PACER_ATTR(assist_bytes, "%llu", pacer.assist_bytes);
PACER_ATTR(interrupted_max_ns, "%llu", pacer.interrupted_max_ns);
PACER_ATTR(gc_cpu_ppm, "%u", pacer.gc_cpu_ppm);
PACER_ATTR(limiter, "%u", pacer.limiter);

static ssize_t budget_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct tricolor_pacer pacer;

	tricolor_pacer_read(arena_of(dev), &pacer);
	if (pacer.budget_bytes == U64_MAX)
		return sysfs_emit(buf, "none\n");
	return sysfs_emit(buf, "%llu\n", pacer.budget_bytes);
}
static DEVICE_ATTR_ADMIN_RO(budget_bytes);

/*
 * A setting reads as what is in force, as the collector says.  Writing it takes the same rights as
 * by netlink, as the file may belong to the root of a container.
 */

static ssize_t gc_percent_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct tricolor_pacer pacer;

	tricolor_pacer_read(arena_of(dev), &pacer);
	if (pacer.gc_percent < 0)
		return sysfs_emit(buf, "off\n");
	return sysfs_emit(buf, "%d\n", pacer.gc_percent);
}

static ssize_t gc_percent_store(struct device *dev, struct device_attribute *attr, const char *buf,
				size_t count)
{
	s32 percent = -1;
	int err = 0;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!sysfs_streq(buf, "off"))
		err = kstrtos32(buf, 10, &percent);
	if (!err)
		err = tricolor_tunables_set(arena_of(dev), TRICOLOR_TUNABLE_GC_PERCENT, percent, 0);
	return err ? err : count;
}
static DEVICE_ATTR_ADMIN_RW(gc_percent);

static ssize_t memory_limit_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct tricolor_pacer pacer;

	tricolor_pacer_read(arena_of(dev), &pacer);
	if (pacer.memory_limit_bytes == S64_MAX)
		return sysfs_emit(buf, "none\n");
	return sysfs_emit(buf, "%lld\n", pacer.memory_limit_bytes);
}

static ssize_t memory_limit_bytes_store(struct device *dev, struct device_attribute *attr,
					const char *buf, size_t count)
{
	s64 limit = S64_MAX;
	int err = 0;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!sysfs_streq(buf, "none"))
		err = kstrtos64(buf, 10, &limit);
	if (!err)
		err = tricolor_tunables_set(arena_of(dev), TRICOLOR_TUNABLE_MEMORY_LIMIT, 0, limit);
	return err ? err : count;
}
static DEVICE_ATTR_ADMIN_RW(memory_limit_bytes);

static struct attribute *arena_attrs[] = {
	&dev_attr_owner.attr,
	&dev_attr_owner_uid.attr,
	&dev_attr_state.attr,
	&dev_attr_phase.attr,
	&dev_attr_backing.attr,
	&dev_attr_collectors.attr,
	&dev_attr_size_bytes.attr,
	&dev_attr_resident_bytes.attr,
	&dev_attr_reclaimed_bytes.attr,
	&dev_attr_goal_bytes.attr,
	&dev_attr_trigger_bytes.attr,
	&dev_attr_live_bytes.attr,
	&dev_attr_budget_bytes.attr,
	&dev_attr_cycles.attr,
	&dev_attr_mark_cpu_ns.attr,
	&dev_attr_assist_bytes.attr,
	&dev_attr_interrupted_max_ns.attr,
	&dev_attr_gc_cpu_ppm.attr,
	&dev_attr_limiter.attr,
	&dev_attr_gc_percent.attr,
	&dev_attr_memory_limit_bytes.attr,
	NULL
};
ATTRIBUTE_GROUPS(arena);

int tricolor_sysfs_add(struct tricolor_arena *arena)
{
	int err;

	arena->dev.class = &class;
	arena->dev.groups = arena_groups;
	/* Programs come and go more often than udev should run, and netlink has events for them. */
	dev_set_uevent_suppress(&arena->dev, true);
	/* It has no power management, whose folder would cost as much as ten files. */
	device_set_pm_not_required(&arena->dev);
	err = dev_set_name(&arena->dev, "arena%u", arena->id);
	return err ? err : device_add(&arena->dev);
}

void tricolor_sysfs_del(struct tricolor_arena *arena)
{
	device_del(&arena->dev);
}

int tricolor_sysfs_init(void)
{
	return class_register(&class);
}

void tricolor_sysfs_exit(void)
{
	class_unregister(&class);
}
