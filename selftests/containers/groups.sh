# SPDX-License-Identifier: GPL-2.0-only
#
# groups.sh - to be sourced: memory control groups, of either version
#
# The groups of a run are below one of its own, $group_top.  That of a container is $group_above,
# which ends with a slash or is empty, and the container's name.

group_top=tricolor-containers.$$
group_above=

# Find where memory groups are.  Returns 1, with the reason in $reason, where none can be made.
groups_init()
{
	if [ -d /sys/fs/cgroup/memory ]; then
		group_root=/sys/fs/cgroup/memory
		group_limit=memory.limit_in_bytes
		group_events=memory.oom_control
	elif [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		group_root=/sys/fs/cgroup
		group_limit=memory.max
		group_events=memory.events
	else
		reason='no control groups are mounted'
		return 1
	fi
	if ! mkdir "$group_root/$group_top" 2>/dev/null; then
		reason="no control group can be made in $group_root"
		return 1
	fi
	group_enable "$group_root" && group_enable "$group_root/$group_top"
	# Version 2: groups below get memory files only where the controller is passed on.
	if [ ! -e "$group_root/$group_top/$group_limit" ]; then
		reason="no memory controller in $group_root/$group_top"
		return 1
	fi
}

group_enable()
{
	[ "$group_limit" = memory.limit_in_bytes ] || echo +memory >"$1/cgroup.subtree_control" 2>/dev/null || :
}

# group_make NAME [BYTES]
group_make()
{
	mkdir -p "$group_root/$group_top/$1" && group_enable "$group_root/$group_top/$1"
	[ $# -lt 2 ] || group_set "$group_root/$group_top/$1" "$2"
}

# The folder of container NAME, which start() has made a note of: one of the same name may be left
# of a container that was in another group.
group_folder()
{
	eval "echo \"\$group_root/\$folder_$1\""
}

# group_set FOLDER BYTES.  In version 1 the limit of memory and swap may never be below that of
# memory.
group_set()
{
	swap=$1/memory.memsw.limit_in_bytes
	[ ! -e "$swap" ] || echo "$2" >"$swap" 2>/dev/null || :
	echo "$2" >"$1/$group_limit" || return
	[ ! -e "$swap" ] || echo "$2" >"$swap" 2>/dev/null || :
}

# The folders of the groups that the processes of container NAME are in.  Its engine may have made
# some below, one of them for its own monitor.
groups_of()
{
	find "$(group_folder "$1")" -name cgroup.procs ! -path '*conmon*' -exec grep -lq . {} \; -printf '%h\n'
}

group_of()
{
	groups_of "$1" | head -n 1
}

# How many processes of container NAME the kernel has killed for memory.
group_kills()
{
	find "$(group_folder "$1")" -name "$group_events" -exec sed -n 's/^oom_kill //p' {} + |
		awk '{ n += $1 } END { print n + 0 }'
}

# The names of the processes in the groups of container NAME, a line each.
group_processes()
{
	for folder in $(groups_of "$1"); do
		sed 's|.*|/proc/&/comm|' "$folder/cgroup.procs" | xargs cat
	done
}

# podman makes groups of the same names in each hierarchy of version 1, and removes only the lowest
# ones.  One whose last process is about to end can't be removed yet.
groups_removed()
{
	for hierarchy in "${group_root:-}" /sys/fs/cgroup/*; do
		[ ! -d "$hierarchy/$group_top" ] ||
			find "$hierarchy/$group_top" -depth -type d -exec rmdir {} + 2>/dev/null || :
	done
	! find "${group_root:-}" /sys/fs/cgroup/* -maxdepth 1 -name "$group_top" 2>/dev/null | grep -q .
}
