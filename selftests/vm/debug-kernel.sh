#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# debug-kernel.sh - build a kernel that looks for its own mistakes, from Debian's source
#
#	debug-kernel.sh SERIES		6.1 or 6.12; then: sh selftests/vm/run.sh debug-SERIES quick
#
# KASAN, lockdep, kmemleak, fault injection and more (debug.config), and as little else as the tests
# get by with, so that it takes minutes and not hours.  Not a part of any other target.  Needs what a
# kernel is built with: flex, bison, bc, libelf-dev.  Interrupted, it goes on where it was.

set -u
series=${1:-}
cd "$(dirname "$0")/../.." || exit 1
here=$PWD/selftests/vm
dir=$PWD/build/vm/debug-$series
source=linux-source-$series
. "$here/apt.sh"

fail()
{
	echo "debug-kernel: $*" >&2
	exit 1
}

case $series in 6.1 | 6.12) ;; *) fail "usage: debug-kernel.sh 6.1 | 6.12" ;; esac

for tool in flex bison bc xz make gcc apt-get dpkg-deb; do
	command -v $tool >/dev/null || fail "no $tool: install flex bison bc xz-utils libelf-dev make gcc"
done
[ -e /usr/include/gelf.h ] || fail "no gelf.h: install libelf-dev"

if [ ! -e "$dir/linux/Makefile" ]; then
	make_apt "$dir/apt" "$series" || fail "apt-get update failed"
	own_packages "$dir/download" "$source" || fail "apt-get could not download $source"
	dpkg-deb --fsys-tarfile "$dir"/download/*.deb |
		tar -x -O --wildcards "./usr/src/$source.tar.xz" | xz -dc |
		tar -x -C "$dir/download" || fail "$source could not be unpacked"
	mv "$dir/download/$source" "$dir/linux" && rm -r "$dir/download" "$dir/apt"
	# Nobody may ask for it by name: only drivers that the VM has no use for select it.
	sed -i '/^config MAPPING_DIRTY_HELPERS/,/bool/ s/bool$/bool "dirty helpers"/' "$dir/linux/mm/Kconfig"
fi

cd "$dir/linux" || exit 1
if ! cmp -s "$here/debug.config" "$dir/config.used"; then
	make -s ARCH=x86_64 KCONFIG_ALLCONFIG="$here/debug.config" allnoconfig || fail "no configuration"
	# What the kernel's configuration did not take would be missed much later.
	grep '^CONFIG_' "$here/debug.config" | while read -r option; do
		grep -qxF "$option" .config || echo "debug-kernel: $option was not taken"
	done
	cp "$here/debug.config" "$dir/config.used"
fi
make -s ARCH=x86_64 -j"${JOBS:-$(nproc)}" bzImage modules || fail "it does not build"

cd "$dir" || exit 1
ln -sfn linux kdir
ln -sfn linux/arch/x86/boot/bzImage vmlinuz
mkdir -p modules/kernel
make -s -C linux ARCH=x86_64 kernelrelease >release
echo "debug-kernel: $(cat release) is in $dir"
