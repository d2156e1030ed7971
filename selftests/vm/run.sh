#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - run tests in a virtual machine with one of Debian's kernels and our module; TAP
#
#	run.sh SERIES LEVEL [PATTERN]	LEVEL is quick, full or bench: see the manifest; of
#					these only names that match PATTERN, as awk does
#	run.sh SERIES shell		a shell in the VM instead, on this terminal
#
# SERIES is 6.1, 6.12, 7.3, or debug-6.1 or debug-6.12 for a kernel of debug-kernel.sh.  The module
# is built against that kernel, and the VM's root is a small initramfs: process 1 (init.c), the
# built programs of the manifest with their libraries, busybox.  Software emulation: needs no
# privilege.
#
# Environment: O, the build folder (default build); SEED, to repeat a run; VM_SECONDS, the hard
# limit; VM_MEMORY, as QEMU wants it (2G, for full 5G; no more is taken than is used); MANIFEST,
# another one.
#
# What each program printed is in build/vm/SERIES/results.log, the kernel's console in console.log.

set -u

usage()
{
	sed -n 's/^#\t\(run.sh\)/usage: \1/p' "$0" >&2
	exit 2
}

[ $# -ge 2 ] || usage
series=$1 level=$2 pattern=${3:-.}
memory=${VM_MEMORY:-2G}
case $level in
quick) limit=${VM_SECONDS:-850} ;;
# test_daemon_killed: a heap grows for as long as it has no collector, and those start slowly here.
full) limit=${VM_SECONDS:-5000} memory=${VM_MEMORY:-5G} ;;
bench) limit=${VM_SECONDS:-900} ;;
shell) limit=86400 ;;
*) usage ;;
esac
cd "$(dirname "$0")/../.." || exit 1
O=${O:-build}
here=selftests/vm
manifest=${MANIFEST:-$here/manifest}
vm=build/vm/$series

skip()
{
	echo "1..0 # SKIP $*"
	exit 4
}

fail()
{
	echo "1..1"
	echo "not ok 1 $*"
	exit 1
}

case $series in
debug-*)
	[ -e $vm/release ] || skip "no debug kernel: sh $here/debug-kernel.sh ${series#debug-} builds one"
	;;
*)
	why=$(sh $here/kernel.sh why "$series") && skip "$why"
	;;
esac
for tool in qemu-system-x86_64:qemu-system-x86 cpio:cpio busybox:busybox-static; do
	command -v ${tool%:*} >/dev/null || skip "no ${tool%:*} (package ${tool#*:})"
done

# Its kernel's own build folder.  O by way of the environment: on the command line it would reach
# the kernel's build, where it means something else.
make_module()
{
	MAKEFLAGS='' O=$PWD/$vm/kmod ${MAKE:-make} -C kmod KVER="$(cat $vm/release)" \
		KDIR="$PWD/$vm/kdir" modules
}

# The same, with the compiler of that kernel's own system; the tree is there by the path that it has
# here.
make_module_inside()
{
	unshare -rm sh -c '
		root=$1 top=$2 release=$3
		mkdir -p "$root$top" &&
		mount --rbind /proc "$root/proc" && mount --rbind /dev "$root/dev" &&
		mount --rbind "$top" "$root$top" &&
		exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin O="$top/$4/kmod" make -C "$top/kmod" \
			KVER="$release" KDIR="/usr/src/linux-headers-$release" modules
	' sh "$PWD/$vm/root" "$PWD" "$(cat $vm/release)" "$vm"
}

build_module()
{
	rm -f $vm/kmod/tricolor.ko
	if [ -e $vm/buildroot ]; then
		make_module_inside
	else
		make_module
	fi >$vm/module.log 2>&1 || return 1
	[ -e $vm/kmod/tricolor.ko ] && ! grep -i 'warning' $vm/module.log
}

if [ -e kmod/Kbuild ]; then
	build_module || {
		sed 's/^/# /' $vm/module.log
		fail "the module does not build against $(cat $vm/release), or not without warnings"
	}
fi

# --------------------------------------------------------------------------------------------
# The VM's root
# --------------------------------------------------------------------------------------------

root=$vm/initramfs
rm -rf $root
mkdir -p $root/bin $root/sbin $root/dev $root/proc $root/sys $root/tmp $root/run $root/etc \
	$root/var/tmp $root/lib/modules $root/b/tests $root/b/bin $root/b/sbin $root/b/lib || exit 1

${CC:-gcc} -std=gnu11 -D_GNU_SOURCE= -O2 -Wall -Wextra -static -o $root/init $here/*.c ||
	fail "process 1 does not build (is libc6-dev there?)"

cp "$(command -v busybox)" $root/bin/busybox
for applet in $(busybox --list); do
	[ "$applet" = busybox ] || ln -s busybox $root/bin/"$applet"
done
echo 'root:x:0:0:root:/tmp:/bin/sh' >$root/etc/passwd
echo 'root:x:0:' >$root/etc/group

# A module of Debian's with those that it needs, which come first: it says so itself.
add_module()
{
	[ ! -e "$root/lib/modules/$1.ko" ] || return 0
	[ -d $vm/modules/kernel ] || return 0
	file=$(find $vm/modules/kernel -name "$1.ko*" -o -name "$(echo "$1" | tr _ -).ko*" | sed 1q)
	[ -n "$file" ] || return 0		# built in
	case $file in
	*.xz) xz -dc "$file" >"$root/lib/modules/$1.ko" ;;
	*) cp "$file" "$root/lib/modules/$1.ko" ;;
	esac
	for needed in $(tr '\0' '\n' <"$root/lib/modules/$1.ko" | sed -n 's/^depends=//p' | tr , ' '); do
		add_module "$needed"
	done
	echo "/lib/modules/$1.ko" >>$root/etc/modules
}
add_module zram
# ext4 asks for it by itself, when it is mounted.
add_module crc32c_generic
add_module ext4

[ ! -e $vm/kmod/tricolor.ko ] || cp $vm/kmod/tricolor.ko $root/lib/modules/

# The build tree's layout, in which programs find their library and collector.
cp -P "$O"/lib/*.so* $root/b/lib/ 2>/dev/null
cp "$O"/bin/* $root/b/bin/ 2>/dev/null
cp "$O"/sbin/* $root/b/sbin/ 2>/dev/null
# The manifest's lines for the programs that there are, and one for each that it does not name.
list_programs()
{
	for source in selftests/kernel/test_*.c selftests/integration/test_*.c; do
		name=${source#selftests/}
		name=${name%.c}
		grep -qE "^[a-z]+[[:blank:]]+[0-9]+[[:blank:]]+$name(:|[[:blank:]]|\$)" "$manifest" && continue
		case $name in
		kernel/*) echo "quick 120 $name" ;;
		*) echo "full 900 $name TRICOLOR_BACKING=dev" ;;
		esac
	done
	grep -v '^#' "$manifest"
}
case $level in
quick) levels='quick|never' ;;
full) levels='quick|full|never' ;;
bench) levels=bench ;;
shell) levels='quick|full|bench' ;;
esac
case $series in debug-*) levels="$levels|debug" ;; esac
list_programs | grep -E "^($levels)[[:blank:]]" | awk -v p="$pattern" '$3 ~ p' >$vm/chosen.all
grep -v '^never' $vm/chosen.all | sed 's/^[a-z]*[[:blank:]]*//' >$vm/chosen
grep '^never' $vm/chosen.all | sed 's/^[a-z]*[[:blank:]]*[0-9]*[[:blank:]]*//' >$vm/never
[ -s $vm/chosen ] || fail "no test matches $pattern"
# Beforehand: what is printed in the loop goes into the VM's list.
while read -r _ name _; do
	[ -x "$O/tests/${name%%:*}" ] || fail "$O/tests/${name%%:*} is not built"
done <$vm/chosen
while read -r seconds name rest; do
	program=${name%%:*}
	mkdir -p "$root/b/tests/${program%/*}"
	cp "$O/tests/$program" "$root/b/tests/$program"
	# Names of the form PROGRAM:CASE run one program in several ways.
	set -- $rest
	vars=
	while [ $# -gt 0 ]; do
		case $1 in
		*=*) vars="$vars $1" && shift ;;
		*) break ;;
		esac
	done
	# Checked all the time, everything takes several times as long.
	case $series in debug-*) seconds=$((seconds * 5)) vars="$vars KSFT_TIMEOUT_FACTOR=5" ;; esac
	echo "$seconds $name${SEED:+ SEED=$SEED}$vars /b/tests/$program $*"
done <$vm/chosen >$root/etc/tests
cp "$O"/tests/integration/*.so $root/b/tests/integration/ 2>/dev/null

# Libraries from outside the tree, at the places where they are here; and the one that
# pthread_exit() loads by itself.
{
	PATH=$PATH:/usr/sbin:/sbin ldconfig -p | awk '/libgcc_s\.so\.1 .*x86-64/ { print "\t" $1, "=>", $NF }'
	find $root/b -type f -exec ldd {} ';' 2>/dev/null
} | awk '/=> \// { print $3 } /^\t\/lib.*ld-/ { print $1 }' | sort -u |
	while read -r library; do
		case $library in
		"$PWD"/*) continue ;;
		esac
		mkdir -p "$root${library%/*}"
		cp -L "$library" "$root$library"
	done

(cd $root && find . -print0 | cpio --null --quiet -o -H newc) >$vm/initramfs.cpio || exit 1

# --------------------------------------------------------------------------------------------
# Running it
# --------------------------------------------------------------------------------------------

# mitigations=off: what they guard against is not emulated, and they triple the price of a call.
# la57=off: one level less of tables to walk.  The stall warnings are for hardware: the emulator's
# CPUs share with everything else on the machine.  Our slab objects are poisoned when freed.
append="panic=-1 mitigations=off nokaslr tsc=reliable random.trust_cpu=on
	rcupdate.rcu_cpu_stall_timeout=180 watchdog_thresh=60 slub_debug=FZP,tricolor*,kmalloc-*"
# It has no ACPI, and without that it tries whether the timer's interrupts arrive: in the emulator,
# on a busy machine, sometimes later than it waits, and it panics.
case $series in debug-*) append="$append no_timer_check" ;; esac

#
# Two nodes, each with a CPU and half of the memory.
run_qemu()
{
	case $memory in
	*G) half=$((${memory%G} * 512))M ;;
	*M) half=$((${memory%M} / 2))M ;;
	*) fail "VM_MEMORY is to end with M or G, and is $memory" ;;
	esac
	timeout -k 5 "$limit" qemu-system-x86_64 -accel tcg,thread=multi,tb-size=256 \
		-cpu max,la57=off -smp 2 -m "$memory" -nodefaults -no-user-config -no-reboot -display none \
		-object memory-backend-ram,id=half0,size=$half -numa node,memdev=half0,cpus=0 \
		-object memory-backend-ram,id=half1,size=$half -numa node,memdev=half1,cpus=1 \
		-device isa-debug-exit,iobase=0xf4,iosize=0x04 \
		-kernel $vm/vmlinuz -initrd $vm/initramfs.cpio "$@"
}

if [ $level = shell ]; then
	exec 3<&0
	run_qemu -serial mon:stdio -append "console=ttyS0 $append rdinit=/init" <&3
	exit
fi

rm -f $vm/results.log $vm/console.log
run_qemu -serial file:$vm/console.log -serial file:$vm/results.log \
	-append "console=ttyS0 loglevel=4 $append" </dev/null >$vm/qemu.log 2>&1
status=$?
awk -f $here/tap.awk -v status=$status -v limit="$limit" -v release="$(cat $vm/release)" \
	-v never=$vm/never \
	$root/etc/tests $vm/results.log
result=$?
if [ $status -ne 33 ]; then
	echo "# the end of the console ($vm/console.log):"
	tail -n 60 $vm/console.log $vm/qemu.log | sed 's/^/# /'
fi
exit $result
