#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# setup.sh - install what is missing, then build and run
#
#	sh scripts/setup.sh build		the library, the daemon and the command
#	sh scripts/setup.sh demo		an index of real files, on two collected heaps
#	sh scripts/setup.sh check		all tests
#	sh scripts/setup.sh check-vm	only those of the kernel module, in a virtual machine
#	sh scripts/setup.sh check-vm-all	the same at length, with each of the two kernels
#	sh scripts/setup.sh check-vm-newest	its own tests, with the newest kernel
#	sh scripts/setup.sh bench		comparison with other allocators and collectors
#
# It needs nothing but what the smallest Debian 12 has.  It installs only packages that are missing,
# with apt-get, as root or through sudo.  On other systems it prints what it needs.

set -u

say()
{
	echo "setup: $*"
}

fail()
{
	echo "setup: $*" >&2
	exit 1
}

case ${1:-} in
build | demo | bench)
	# The command uses libjson-c-dev for what it prints for programs, and libdw-dev to name
	# files and lines.
	packages='make gcc libc6-dev libjson-c-dev libdw-dev'
	;;
check | check-vm | check-vm-all | check-vm-newest)
	# g++ for the test that the header is C++ too, spin for the model of the protocol, and what
	# the virtual machine needs: an emulator and a file system, and to build a module pahole,
	# for its types, and libelf, for the kernel's own tools.
	packages="make gcc g++ libc6-dev libjson-c-dev libdw-dev binutils spin qemu-system-x86
		busybox-static cpio xz-utils pahole libelf1 libnl-genl-3-dev python3-yaml
		python3-jsonschema podman runc clang-format"
	;;
*)
	sed -n 's/^#\t/usage: /p' "$0" >&2
	exit 2
	;;
esac
target=$1
cd "$(dirname "$0")/.." || exit 1

is_installed()
{
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ] && return
	# A tool may be installed without a package, such as a compiler in /usr/local.
	case $1 in
	libnl-genl-3-dev) [ -e /usr/include/libnl3/netlink/genl/genl.h ] ;;
	libelf1) PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -q 'libelf\.so\.1' ;;
	qemu-system-x86) command -v qemu-system-x86_64 >/dev/null ;;
	busybox-static) command -v busybox >/dev/null ;;
	xz-utils) command -v xz >/dev/null ;;
	libc6-dev) [ -e /usr/include/stdlib.h ] && [ -e /usr/include/linux/types.h ] ;;
	libjson-c-dev) [ -e /usr/include/json-c/json.h ] ;;
	python3-*) python3 -c "import ${1#python3-}" 2>/dev/null ;;
	libdw-dev) [ -e /usr/include/elfutils/libdwfl.h ] ;;
	binutils) command -v nm >/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# Package lists are fetched only if there are none, or if the packages that they name are gone.
install_packages()
{
	log=$(mktemp) || exit 1
	trap 'rm -f "$log"' EXIT
	# shellcheck disable=SC2086
	if ! apt_get install --no-install-recommends $missing >"$log" 2>&1; then
		say "fetching the lists of packages, as they are missing or out of date"
		# shellcheck disable=SC2086
		if ! { apt_get update && apt_get install --no-install-recommends $missing; } \
			>"$log" 2>&1; then
			cat "$log" >&2
			fail "apt-get could not install: $missing (its output is above)"
		fi
	fi
	rm -f "$log"
	trap - EXIT
}

missing=
for package in $packages; do
	is_installed "$package" || missing="${missing:+$missing }$package"
done

if [ -n "$missing" ]; then
	say "missing: $missing"
	command -v apt-get >/dev/null ||
		fail "no apt-get here: install what these packages hold, then run: make $target"
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
		fail "neither root nor sudo: have an administrator run" \
			"'apt-get install --no-install-recommends $missing', then run this again"
	say "installing them with apt-get"
	install_packages
	say "installed"
fi

# The virtual machine's kernels are fetched once and unpacked below build/, and never installed.  If
# that fails, the tests that need one skip, and say why.
case $target in
check | check-vm) sh selftests/vm/kernel.sh fetch 6.1 ;;
check-vm-all) sh selftests/vm/kernel.sh fetch 6.1 && sh selftests/vm/kernel.sh fetch 6.12 ;;
check-vm-newest) sh selftests/vm/kernel.sh fetch 7.3 ;;
esac

[ "$target" = build ] && target=all
say "make $target"
exec make -j"$(nproc)" "$target"
