#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kernel.sh - fetch one of Debian's kernels for the VM, with the headers that build modules for it
#
#	kernel.sh fetch SERIES		SERIES is 6.1, 6.12 or 7.3
#	kernel.sh why SERIES		say why there is none
#
# These are bookworm's, bookworm-backports' and trixie-backports'.  Nothing is installed: packages
# are downloaded with apt-get (apt.sh) and unpacked below build/vm/SERIES, by whatever user this is.
#
#	build/vm/SERIES/release		the kernel's release, such as 6.1.0-56-amd64
#	build/vm/SERIES/vmlinuz
#	build/vm/SERIES/modules/	its modules, as in /lib/modules/RELEASE
#	build/vm/SERIES/kdir		what to give as KDIR: headers, with the types of the kernel
#	build/vm/SERIES/buildroot/	only of a newer Debian's: a root with its compiler, in which
#					alone the headers' own programs run
#	build/vm/SERIES/why		instead of all these: why they could not be had
#
# Where fetching fails, that is written down and no error: the tests that need it then skip.

set -u

usage()
{
	sed -n 's/^#\t\(kernel.sh\)/usage: \1/p' "$0" >&2
	exit 2
}

[ $# -eq 2 ] || usage
series=$2
case $series in 6.1 | 6.12 | 7.3) ;; *) usage ;; esac
cd "$(dirname "$0")/../.." || exit 1
top=$PWD
dir=$top/build/vm/$series
. selftests/vm/apt.sh

# Text for the tests that skip; the details went to the terminal.
give_up()
{
	echo "kernel $series: $*" >&2
	rm -rf "$dir"
	mkdir -p "$dir"
	echo "no kernel $series for the VM: $*" >"$dir/why"
	exit 0
}

case $1 in
why)
	if [ -e "$dir/release" ]; then
		exit 1
	elif [ -e "$dir/why" ]; then
		cat "$dir/why"
	else
		echo "no kernel $series for the VM: run sh selftests/vm/kernel.sh fetch $series"
	fi
	exit 0
	;;
fetch) ;;
*) usage ;;
esac

# What was fetched once is kept: `rm -r build/vm` fetches what is newest.
[ ! -e "$dir/release" ] || exit 0

for tool in apt-get apt-cache dpkg-deb; do
	command -v $tool >/dev/null || give_up "this system has no $tool"
done
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ "$codename" = bookworm ] ||
	give_up "this system is no Debian 12, whose kernels they are (it calls itself '$codename')"

rm -rf "$dir"
mkdir -p "$dir/root" || exit 1
make_apt "$dir/apt" "$series" || give_up "apt-get update failed"
version=$(own_version linux-image-amd64 "$series.")
[ -n "$version" ] || give_up "apt's sources have no linux-image-amd64 of this series" \
	"$([ "$series" = 6.1 ] || echo "(the mirror may lack the suite, or the suite may have moved on)")"
image=$(own_depends "linux-image-amd64=$version" | grep '^linux-image-[0-9]')
release=${image#linux-image-}
headers=linux-headers-$release

echo "kernel $series: fetching $release"
if [ "$series" = 7.3 ]; then
	# An image is several packages.  The headers come with the programs that its build runs, which
	# want a newer C library, and with the options of a newer compiler.
	unshare -rm true 2>/dev/null || give_up "building for it takes a user namespace, and unshare(1) can't make one"
	own_packages "$dir/debs" "linux-binary-$release" "linux-modules-$release" "linux-base-$release" &&
		own_closure base-files dash coreutils sed grep findutils mawk make gcc "$headers" ||
		give_up "apt-get could not download $release and what builds modules for it"
	mv "$dir"/apt/cache/archives/*.deb "$dir/debs/"
else
	# shellcheck disable=SC2046
	own_packages "$dir/debs" "$image" "$headers" \
		$(own_depends "$headers" | grep -E '^linux-headers-.*-common$|^linux-kbuild-') ||
		give_up "apt-get could not download $release"
fi

# Of the image only what the VM may load: most of its modules drive hardware that the VM has not.
unpack()
{
	# The links from /lib to /usr/lib and the like come first.
	for deb in "$dir"/debs/base-files_*.deb "$dir"/debs/*.deb; do
		case ${deb##*/} in
		'base-files_*.deb') ;;
		linux-image-* | linux-modules-*)
			# tar says that not every pattern was met, which differs from package to package.
			dpkg-deb --fsys-tarfile "$deb" >"$dir/apt/tar" || return 1
			tar -x -f "$dir/apt/tar" -C "$dir/root" --wildcards './boot/vmlinuz-*' './boot/config-*' \
				'./*lib/modules/*/modules.*' './*lib/modules/*/kernel/drivers/block/*' \
				'./*lib/modules/*/kernel/mm/*' './*lib/modules/*/kernel/lib/*' \
				'./*lib/modules/*/kernel/crypto/*' './*lib/modules/*/kernel/fs/*' 2>"$dir/apt/log" ||
				! grep -v 'Not found in archive\|Exiting with failure' "$dir/apt/log" >&2 || return 1
			;;
		*)
			dpkg-deb -x "$deb" "$dir/root" || return 1
			;;
		esac
	done
}

unpack || give_up "the packages could not be unpacked (is the disk full?)"
rm -rf "$dir/apt" "$dir/debs"

modules=$(ls -d "$dir"/root/lib/modules/"$release" "$dir"/root/usr/lib/modules/"$release" 2>/dev/null |
	while read -r m; do [ -d "$m/kernel" ] && echo "$m"; done | sed 1q)
kdir=$dir/root/usr/src/linux-headers-$release
vmlinuz=$modules/vmlinuz
[ -e "$vmlinuz" ] || vmlinuz=$dir/root/boot/vmlinuz-$release
if [ ! -e "$vmlinuz" ] || [ -z "$modules" ] || [ ! -d "$kdir" ]; then
	give_up "the packages of $release do not hold what they used to"
fi

# The headers' only absolute path; relative, so that the tree can be moved.
sed -i 's|^include .*/linux-headers-|include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))../linux-headers-|' \
	"$kdir/Makefile"

# Module BTF is made against the kernel's own, which kbuild looks for in a file vmlinux beside the
# headers.  6.12's package has that; for 6.1 it is unpacked from the kernel image.
unpack_vmlinux()
{
	image=$vmlinuz
	for packed in '\xfd7zXZ\x00:xz' '\x1f\x8b\x08:gzip' '\x28\xb5\x2f\xfd:zstd'; do
		LC_ALL=C grep -aboP "${packed%:*}" "$image" | cut -d: -f1 | while read -r offset; do
			tail -c +$((offset + 1)) "$image" | "${packed##*:}" -dc 2>/dev/null >"$1"
			[ "$(head -c 4 "$1" | tail -c 3)" = ELF ] && break
		done
		[ "$(head -c 4 "$1" | tail -c 3)" = ELF ] && return
	done
	rm -f "$1"
	return 1
}

# It then also runs resolve_btfids, which 6.1's package has not; that tool fills in what modules
# with sets of BTF ids have, and ours has none.
if [ -e "$kdir/vmlinux" ]; then
	:
elif unpack_vmlinux "$kdir/vmlinux"; then
	resolver=$kdir/tools/bpf/resolve_btfids/resolve_btfids
	if [ ! -e "$resolver" ]; then
		mkdir -p "${resolver%/*}"
		cat >"$resolver" <<-'END'
		#!/bin/sh
		# Stands in for the tool, which the headers lack; there must be nothing to resolve.
		for file in "$@"; do :; done
		if readelf -S "$file" | grep -q BTF_ids; then
			echo "resolve_btfids: $file has BTF ids, and the headers lack the tool" >&2
			exit 1
		fi
		END
		chmod +x "$resolver"
	fi
else
	echo "kernel $series: no vmlinux in its image: modules will have no BTF" >&2
fi

# What Debian's packages make when they are installed.
if [ "$series" = 7.3 ]; then
	ln -s mawk "$dir/root/usr/bin/awk"
	ln -s root "$dir/buildroot"
fi
ln -s "${vmlinuz#"$dir"/}" "$dir/vmlinuz"
ln -s "${modules#"$dir"/}" "$dir/modules"
ln -s "root/usr/src/linux-headers-$release" "$dir/kdir"
echo "$release" >"$dir/release"
