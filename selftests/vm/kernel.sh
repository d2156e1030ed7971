#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kernel.sh - fetch one of Debian's kernels for the VM, with the headers that build modules for it
#
#	kernel.sh fetch SERIES		SERIES is 6.1 (bookworm) or 6.12 (bookworm-backports)
#	kernel.sh why SERIES		say why there is none
#
# Nothing is installed: packages are downloaded with apt-get and unpacked below build/vm/SERIES, by
# whatever user this is.  apt gets lists of its own, from the mirrors that the system's own sources
# name and, for 6.12, from the backports suite of the same mirrors, whose keys and options are kept.
#
#	build/vm/SERIES/release		the kernel's release, such as 6.1.0-56-amd64
#	build/vm/SERIES/vmlinuz
#	build/vm/SERIES/modules/	its modules, as in /lib/modules/RELEASE
#	build/vm/SERIES/kdir		what to give as KDIR: headers, with the types of the kernel
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
case $series in 6.1 | 6.12) ;; *) usage ;; esac
cd "$(dirname "$0")/../.." || exit 1
top=$PWD
dir=$top/build/vm/$series

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
		echo "no kernel $series for the VM: run sh scripts/setup.sh check-vm-all"
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
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/apt/sources" "$dir/root" ||
	exit 1

# The system's sources, of both formats, as they are; and for the backports a copy of what names
# the suite itself, with the name of the suite changed.
write_sources()
{
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -r "$file" ] && awk '/^deb / && $0 ~ / bookworm(-[a-z]+)?\/? /' "$file"
	done >"$dir/apt/sources/own.list"
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -r "$file" ] && { awk -v RS= -v ORS='\n\n' '/\nSuites:[^\n]* bookworm/' "$file"; }
	done >"$dir/apt/sources/own.sources"
	[ "$series" = 6.12 ] || return
	sed -n 's/^\(deb .*\) bookworm\/\{0,1\} .*/\1 bookworm-backports main/p' \
		"$dir/apt/sources/own.list" >"$dir/apt/sources/backports.list"
	awk -v RS= -v ORS='\n\n' '/\nSuites:[^\n]* bookworm[ \n]/ {
			sub(/\nSuites:[^\n]*/, "\nSuites: bookworm-backports")
			sub(/\nComponents:[^\n]*/, "\nComponents: main")
			print
		}' "$dir/apt/sources/own.sources" >"$dir/apt/sources/backports.sources"
}

# Downloads go into a folder of the caller's, so apt need not become another user for them.
apt_options="-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$dir/apt/sources
	-o Dir::State::Lists=$dir/apt/lists -o Dir::Cache=$dir/apt/cache
	-o APT::Sandbox::User=$(id -un) -o Acquire::Languages=none -o Acquire::Retries=2
	-o Acquire::http::Timeout=60 -q"

own_apt()
{
	tool=$1
	shift
	# shellcheck disable=SC2086
	LC_ALL=C $tool $apt_options "$@"
}

# A field of a package: own_field PACKAGE=VERSION FIELD
own_field()
{
	own_apt apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n "s/^$2: //p" | sed 1q
}

write_sources
own_apt apt-get update >"$dir/apt/log" 2>&1 || {
	cat "$dir/apt/log" >&2
	give_up "apt-get update failed"
}
version=$(own_apt apt-cache madison linux-image-amd64 2>/dev/null |
	awk -v s="$series." '{ v = $3 } index(v, s) == 1 { print v; exit }')
[ -n "$version" ] || give_up "apt's sources have no linux-image-amd64 of this series" \
	"$([ "$series" = 6.1 ] || echo "(the mirror may lack bookworm-backports)")"
image=$(own_field "linux-image-amd64=$version" Depends | sed 's/[ ,].*//')
release=${image#linux-image-}
headers=linux-headers-$release
wanted="$image $headers $(own_field "$headers" Depends | tr ',' '\n' |
	awk '$1 ~ /^linux-headers-.*-common$|^linux-kbuild-/ { print $1 }')"

echo "kernel $series: fetching $release"
# shellcheck disable=SC2086
(cd "$dir/apt" && own_apt apt-get download $wanted) >"$dir/apt/log" 2>&1 || {
	cat "$dir/apt/log" >&2
	give_up "apt-get could not download $wanted"
}

# Of the image only what the VM may load: most of its modules drive hardware that the VM has not.
unpack()
{
	for deb in "$dir"/apt/*.deb; do
		case ${deb##*/} in
		linux-image-*)
			dpkg-deb --fsys-tarfile "$deb" |
				tar -x -C "$dir/root" --wildcards './boot/vmlinuz-*' './boot/config-*' \
					'./*lib/modules/*/modules.*' './*lib/modules/*/kernel/drivers/block/*' \
					'./*lib/modules/*/kernel/mm/*' './*lib/modules/*/kernel/lib/*' \
					'./*lib/modules/*/kernel/crypto/*' './*lib/modules/*/kernel/fs/*'
			;;
		*)
			dpkg-deb -x "$deb" "$dir/root"
			;;
		esac || return 1
	done
}

unpack || give_up "the packages could not be unpacked (is the disk full?)"
rm -rf "$dir/apt"

modules=$(ls -d "$dir"/root/lib/modules/"$release" "$dir"/root/usr/lib/modules/"$release" 2>/dev/null |
	while read -r m; do [ -d "$m/kernel" ] && echo "$m"; done | sed 1q)
kdir=$dir/root/usr/src/linux-headers-$release
if [ ! -e "$dir/root/boot/vmlinuz-$release" ] || [ -z "$modules" ] || [ ! -d "$kdir" ]; then
	give_up "the packages of $release do not hold what they used to"
fi

# The headers' only absolute path; relative, so that the tree can be moved.
sed -i 's|^include .*/linux-headers-|include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))../linux-headers-|' \
	"$kdir/Makefile"

# Module BTF is made against the kernel's own, which kbuild looks for in a file vmlinux beside the
# headers.  6.12's package has that; for 6.1 it is unpacked from the kernel image.
unpack_vmlinux()
{
	image=$dir/root/boot/vmlinuz-$release
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

# It then also runs resolve_btfids, which 6.1's package has not; that tool fills in what modules with
# sets of BTF ids have, and ours has none.
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

ln -s "root/boot/vmlinuz-$release" "$dir/vmlinuz"
ln -s "${modules#"$dir"/}" "$dir/modules"
ln -s "root/usr/src/linux-headers-$release" "$dir/kdir"
echo "$release" >"$dir/release"
