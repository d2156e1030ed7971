#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# module.sh - install the kernel module into a folder, and look at what is there
#
# For the kernel that the VM has (selftests/vm/kernel.sh): without one, only what needs no kernel is
# tested.  DKMS itself is not needed: what dkms.conf tells it to do is done as it would.

set -u
cd "$(dirname "$0")/../.." || exit 1

. selftests/install/point.sh
dest=$work/dest

kdir=$PWD/build/vm/6.1/kdir
release=$(cat build/vm/6.1/release 2>/dev/null)

# What depmod writes, where there is one, is not ours to list.
files_below()
{
	(cd "$1" && find . ! -type d ! -name 'modules.*' | sort)
}

dist_files()
{
	cat <<-END
	./usr/local/lib/udev/rules.d/60-tricolor.rules
	./usr/local/share/doc/tricolor/modprobe.conf
	./usr/local/share/doc/tricolor/modules-load.conf
	END
}

install_modules()
{
	make KVER="$release" KDIR="$kdir" KMOD_O="$work/module" DESTDIR="$dest" modules_install
}

expect_installed()
{
	{ dist_files && echo "./lib/modules/$release/updates/tricolor.ko"; } | sort >"$work/expected"
	files_below "$dest" | diff "$work/expected" -
}

# What the module says of itself: its name, for which kernel, under which licence.  It has no alias:
# the device's number is not known before it is loaded, and depmod rejects a name without one.
module_field()
{
	tr '\0' '\n' <"$dest/lib/modules/$release/updates/tricolor.ko" | sed -n "s/^$1=//p" | sed 1q
}

module_is_right()
{
	echo "$(module_field name), $(module_field vermagic), $(module_field license)"
	[ "$(module_field name)" = tricolor ] && [ "$(module_field license)" = GPL ] &&
		case $(module_field vermagic) in "$release "*) ;; *) false ;; esac &&
		[ -z "$(module_field alias)" ]
}

uninstalls()
{
	make DESTDIR="$1" modules_uninstall && [ -z "$(files_below "$1")" ] || { files_below "$1"; false; }
}

# Every device that the module makes has a rule with the mode that it is made with.
rules_match_devices()
{
	awk '/\.name = "/ { gsub(/[",]/, "", $3); name = $3 }
		/\.mode = / { sub(",", "", $3); print name, $3 }' kmod/dev.c | sort >"$work/devices"
	tr -d '",' <kmod/dist/60-tricolor.rules |
		sed -n 's/.*KERNEL==\([a-z]*\) .*MODE=\([0-7]*\).*/\1 \2/p' | sort >"$work/rules"
	cat "$work/devices"
	[ -s "$work/devices" ] && diff "$work/devices" "$work/rules"
}

# The example sets parameters that there are, to what they take.
parameters_exist()
{
	sed -n 's/^options tricolor //p' kmod/dist/modprobe.conf | tr ' ' '\n' >"$work/set"
	[ -s "$work/set" ] || return 1
	while IFS='=' read -r name value; do
		echo "$name=$value"
		grep -q "module_param_named($name," kmod/*.c && [ "$value" -ge 0 ] || return 1
	done <"$work/set"
}

# dkms.conf is a part of a script of bash's, with variables of DKMS's.
dkms_variable()
{
	kernel_source_dir=$kdir dkms_tree=$work/dkms bash -c '. "$1"; eval "echo \"\$$2\""' - \
		"$dkms/dkms.conf" "$1"
}

dkms_build()
{
	build=$work/dkms/tricolor/$version/build
	mkdir -p "$build" && cp -r "$dkms/." "$build/" || return 1
	eval "$(dkms_variable '{MAKE[0]}')" || return 1
	[ -s "$build/$(dkms_variable '{BUILT_MODULE_NAME[0]}').ko" ]
}

dkms_is_right()
{
	[ "$(dkms_variable PACKAGE_NAME)-$(dkms_variable PACKAGE_VERSION)" = "tricolor-$version" ]
}

dkms_takes()
{
	echo "$1" | grep -qE "$(dkms_variable BUILD_EXCLUSIVE_KERNEL)"
}

# The series that the VM has, and no other: a module that was never loaded on a kernel is not built
# for it.
dkms_takes_kernels()
{
	tested=$(sed -n 's/^case $series in \(.*\)) ;;.*/\1/p' selftests/vm/kernel.sh | tr -d ' ' | tr '|' ' ')
	echo "tested: $tested"
	[ -n "$tested" ] || return 1
	for major in 4 5 6 7; do
		for minor in $(seq 0 30); do
			case " $tested " in
			*" $major.$minor "*) dkms_takes "$major.$minor.0-56-amd64" &&
				dkms_takes "$major.$minor.95+deb12-amd64" ;;
			*) ! dkms_takes "$major.$minor.0-56-amd64" ;;
			esac || { echo "not so: $major.$minor"; return 1; }
		done
	done
}

# Each program of the list is there, and each test of the folder is in the list.
installs_selftests()
{
	make -C selftests install OUTPUT="$work/selftests" INSTALL_PATH="$work/installed" >/dev/null || return 1
	(cd selftests/kernel && ls test_*.c | sed 's/^/tricolor:/; s/\.c$//') |
		diff - "$work/installed/kselftest-list.txt" || return 1
	while read -r name; do
		[ -x "$work/installed/tricolor/${name#*:}" ] || { echo "no $name"; return 1; }
	done <"$work/installed/kselftest-list.txt"
	[ -e "$work/installed/tricolor/settings" ]
}

# A tree that has nothing but a file with the kernel's variables, which are also ours.
fills_kernel_tree()
{
	tests=$work/linux/tools/testing/selftests
	mkdir -p "$tests" && cp selftests/lib.mk selftests/run.sh "$tests/" || return 1
	make -C selftests kernel_tree LINUX="$work/linux" &&
		make -C "$tests/tricolor" OUTPUT="$work/tree" >/dev/null && [ -x "$work/tree/test_arena" ]
}

echo "TAP version 13"
echo "1..12"
why=$(sh selftests/vm/kernel.sh why 6.1) || why=
if [ -n "$why" ]; then
	skip "$why"
	skip "$why"
	skip "$why"
	skip "$why"
else
	point "make modules_install DESTDIR=..." install_modules
	point "what modules_install installs" expect_installed
	point "what the module says of itself" module_is_right
	point "make modules_uninstall" uninstalls "$dest"
fi
dkms=$work/src/usr/src/tricolor-$version
point "make dkms_install DESTDIR=..." make DESTDIR="$work/src" dkms_install
point "dkms.conf: name and version" dkms_is_right
point "dkms.conf: kernels" dkms_takes_kernels
if [ -n "$why" ]; then
	skip "$why"
else
	point "dkms.conf: it builds" dkms_build
fi
point "make -C selftests install: programs and their list" installs_selftests
point "make -C selftests kernel_tree: sources that need nothing else" fills_kernel_tree
point "the udev rule fits the devices" rules_match_devices
point "the example of modprobe.d" parameters_exist
[ $failures -eq 0 ]
