#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# enter.sh - in new namespaces: mount what a container has, and become its program
#
# namespaces.sh sets ROOT, MODE (ro, rw), PROC (yes, no), MOUNTS, GROUP, KIND, USERSPEC, CAPS and
# ENVIRONMENT.  The user is changed last, by chroot(1): that takes the capabilities away, too.

set -eu

# Before the namespace of control groups is made, whose root this group is then.
echo 0 >"$GROUP/cgroup.procs"
mount --bind "$ROOT" "$ROOT"
mkdir -p "$ROOT/proc" "$ROOT/dev" "$ROOT/sys/fs/cgroup" "$ROOT/tmp"
[ "$PROC" = no ] || mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o size=64k tmpfs "$ROOT/dev"
: >"$ROOT/dev/null"
mount --bind /dev/null "$ROOT/dev/null"
if [ "$KIND" = memory.limit_in_bytes ]; then
	mount -t tmpfs -o size=64k tmpfs "$ROOT/sys/fs/cgroup"
	mkdir "$ROOT/sys/fs/cgroup/memory"
	mount --bind "$GROUP" "$ROOT/sys/fs/cgroup/memory"
	mount -o remount,bind,ro "$ROOT/sys/fs/cgroup/memory"
else
	mount --bind "$GROUP" "$ROOT/sys/fs/cgroup"
	mount -o remount,bind,ro "$ROOT/sys/fs/cgroup"
fi
for volume in $MOUNTS; do
	from=${volume%%:*}
	to=${volume#*:}
	to=${to%%:*}
	mkdir -p "$ROOT$to"
	mount --rbind "$from" "$ROOT$to"
done
[ "$MODE" = rw ] || mount -o remount,bind,ro "$ROOT"
# shellcheck disable=SC2086
exec unshare -C setpriv ${CAPS:-} --inh-caps=-all env -i PATH="$PATH" $ENVIRONMENT \
	chroot --userspec="$USERSPEC" "$ROOT" "$@"
