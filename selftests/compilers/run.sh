#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - no compiler hides an object from the collector; results as TAP
#
#	run.sh [quick]	what `make check` runs: the system's gcc, a hundred loops at each of four
#			levels
#	run.sh all	each gcc and clang that is found, at each level, 500 loops each; some
#			minutes a compiler
#
# generate.c writes random loops, step.c runs them with a collection at each instruction.
# known.c has functions that were lost, and runs in the same way.  The last tests are that it would
# be noticed: without the pragma of tricolor.h, and without each of its options, objects are lost;
# and that the loops of hidden.c, seen lost by the collector itself, are not with it.
#
# Environment: O, the build folder; COMPILERS; LOOPS, for each level; SEED, and LEVEL, which is the
# only one then, to repeat a run.  A failure prints what repeats it.

set -u

mode=${1:-quick}
O=${O:-build}
cd "$(dirname "$0")/../.." || exit 2
here=selftests/compilers
dir=$O/compilers
mkdir -p "$dir" || exit 2
dir=$(cd "$dir" && pwd)
library=$(cd "$O/lib" && pwd) || exit 2
seed=${SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
includes="-std=gnu11 -D_GNU_SOURCE= -Ilibclient/include -iquote . -iquote libclient -iquote selftests -iquote $here"
cc=${CC:-gcc}

case $mode in
quick)
	loops=${LOOPS:-100}
	compilers=${COMPILERS:-$cc}
	;;
all)
	loops=${LOOPS:-500}
	compilers=${COMPILERS:-}
	[ -n "$compilers" ] || for name in gcc gcc-10 gcc-11 gcc-12 gcc-13 gcc-14 gcc-15 \
		clang clang-14 clang-15 clang-16 clang-17 clang-18 clang-19 clang-20; do
		! command -v $name >/dev/null || compilers="$compilers $name"
	done
	;;
*)
	sed -n 's/^#\t/usage: /p' "$0" >&2
	exit 2
	;;
esac

# What COMPILER is tried with; a line is a set of options.
levels()
{
	case ${LEVEL:+given}$1-$mode in
	given*) echo "$LEVEL" ;;
	*clang*) echo -O0 ;;
	*-quick) printf '%s\n' -O1 -O2 '-O3 -march=native' -Os ;;
	*-all) printf '%s\n' -O1 -O2 -O3 -Os -Og '-O3 -march=native' '-O2 -flto' '-O3 -funroll-loops' ;;
	esac
}

# The header does not let clang optimise.
refuses()
{
	echo '#include <tricolor.h>' >"$dir/refused.c"
	# shellcheck disable=SC2086
	! $1 $includes -O1 -c -o "$dir/refused.o" "$dir/refused.c" 2>"$dir/log" &&
		grep -q TRI_UNSAFE_COMPILER "$dir/log"
}

# shellcheck disable=SC2086
{
	$cc $includes -O1 -o "$dir/generate" $here/generate.c &&
	$cc $includes -O2 -g -DTRI_NO_INLINE -Wall -Wextra -c -o "$dir/step.o" $here/step.c
} || exit 2

number=0
failed=0
result()
{
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		failed=1
	fi
}

# build COMPILER OPTIONS [SOURCE]: the loops in SOURCE, $dir/loops.c, into $dir/loops.
build()
{
	# shellcheck disable=SC2086
	$1 -w -g -no-pie $includes $2 -c -o "$dir/loops.o" "${3:-$dir/loops.c}" &&
	$1 -w -no-pie $2 -o "$dir/loops" "$dir/loops.o" "$dir/step.o" -Wl,-z,now
}

# Options that say the same on another machine: -march=native means what this one has.
processor()
{
	case $2 in
	*-march=native*)
		native=$($1 -march=native -E -v -x c /dev/null 2>&1 |
			sed -n '/cc1/{s/.*\(-march=\)/\1/;s/ -dumpbase.*//;p;q;}')
		echo "${2%-march=native*}$native${2#*-march=native}"
		;;
	*) echo "$2" ;;
	esac
}

# Whether this processor has what a level's instructions need.
runs()
{
	case $1 in
	*avx512*) flag=avx512vl ;;
	*) return 0 ;;
	esac
	grep -qw "$flag" /proc/cpuinfo
}

check()
{
	what="$1${1:+ }$2"
	"$dir/generate" "$seed" "$loops" >"$dir/loops.c" || exit 2
	if ! build "$1" "$2" >"$dir/log" 2>&1; then
		sed 's/^/# /' "$dir/log" | head -5
		result 1 "$what: loops are built"
		return
	fi
	timeout 600 "$dir/loops" >"$dir/out" 2>&1
	status=$?
	sed 's/^[^#]/# &/' "$dir/out" | tail -n 6
	[ $status -eq 0 ] ||
		echo "# to repeat: SEED=$seed LOOPS=$loops COMPILERS='$1'" \
			"LEVEL='$(processor "$1" "$2")' sh $here/run.sh"
	result $status "$what: no object is lost ($loops loops of seed $seed)"
	seed=$((seed + 1))
}

echo "TAP version 13"
for compiler in $compilers; do
	levels "$compiler" >"$dir/levels"
	while read -r options; do
		check "$compiler" "$options"
	done <"$dir/levels"
	case $compiler in
	*clang*)
		refuses "$compiler"
		result $? "$compiler -O1: refused"
		;;
	esac
done

# What was lost once.  -march=native is not tried: it is another option on each machine.
for options in -O1 -O2 -O3 -Os "-O3 -funroll-loops" "-O3 -march=skylake-avx512" \
		"-O3 -march=znver3 -mavx512f -mavx512vl -mavx512bw -mavx512dq"; do
	if ! runs "$options"; then
		result 0 "functions that were lost, $options # SKIP no AVX-512 in this processor"
		continue
	fi
	build "$cc" "$options" $here/known.c >"$dir/log" 2>&1 && "$dir/loops" >"$dir/out" 2>&1
	status=$?
	[ $status -eq 0 ] || sed 's/^/# /' "$dir/log" "$dir/out"
	result $status "functions that were lost, $options"
done

# The mutants.  One seed finds the first for sure; that of a run may not.
"$dir/generate" 2 60 >"$dir/loops.c"
if build "$cc" "-O2 -DTRI_NO_PRAGMA" && ! "$dir/loops" >"$dir/out" && grep -q 'is lost at' "$dir/out"; then
	result 0 "without the pragma objects are lost: $(tail -n 1 "$dir/out")"
else
	result 1 "without the pragma objects are lost"
fi

# mutant LEVEL OPTION [SOURCE]: SOURCE, known.c, loses objects with the other options.  At which
# level a compiler does that is its own affair: it is known of gcc 12.
passes="-fno-ivopts -fno-tree-ter -fno-tree-slsr -fno-predictive-commoning"
mutant()
{
	others=$(echo " $passes " | sed "s/ $2 / /")
	if [ "$($cc -dumpversion)" != 12 ]; then
		result 0 "without $2 objects are lost, $1 # SKIP known of gcc 12 only"
		return
	fi
	build "$cc" "$1 -DTRI_NO_PRAGMA $others" "${3:-$here/known.c}" >"$dir/log" 2>&1 &&
		! "$dir/loops" >"$dir/out" && grep -q 'is lost at' "$dir/out"
	result $? "without $2 objects are lost, $1"
}
mutant -O2 -fno-ivopts "$dir/loops.c"
mutant -Os -fno-tree-ter
mutant -O1 -fno-tree-slsr
mutant -O2 -fno-predictive-commoning

# The collector itself, with loops that lost their objects.
for options in -O1 -O2 -O3 -Os "-O2 -DLATE" "-O2 -flto"; do
	# shellcheck disable=SC2086
	$cc -w $includes $options -o "$dir/hidden" $here/hidden.c -L"$library" -Wl,-rpath,"$library" \
		-ltricolor -pthread >"$dir/log" 2>&1 && timeout 60 "$dir/hidden" >"$dir/out" 2>&1
	status=$?
	[ $status -eq 0 ] || sed 's/^/# /' "$dir/log" "$dir/out"
	result $status "loops that hid their objects, $options"
done
echo "1..$number"
exit $failed
