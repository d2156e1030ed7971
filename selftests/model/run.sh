#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - check the protocol model and that every mutant of it is found
#
#	run.sh [small]		what `make check` runs: minutes, below 3 GB a run
#	run.sh later		the same of what is designed and not built yet
#	run.sh large		all, and larger sizes as well: below 6 GB a run
#	run.sh one DEFINES...	one configuration, e.g. run.sh one -DNLOC=2 -DMUTANT_OLD_ONLY
#
# Prints TAP.  Two configurations run at a time (JOBS=n: n).  What spin and the verifier said stays
# in build/model/N, N being the number of the test.
#
# Which, and what they must come to, is in the file tests.  A deadlock, a search cut short by memory
# or depth, or no verdict at all is a failure whatever was expected.

set -u

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build}/model
jobs=${JOBS:-2}

# What the verifier found, from its output in ./pan.
verdict()
{
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan)
	seconds=$(sed -n 's/^pan: elapsed time \([0-9.]*\) seconds.*/\1/p' pan)
	mib=$(sed -n 's/^ *\([0-9.]*\)\ttotal actual memory usage.*/\1/p' pan)
	if grep -q -e 'assertion violated.*reach' -e 'assertion violated.*sound' pan; then
		word=found
	elif grep -q 'assertion violated' pan; then
		word=reached
	elif grep -q 'invalid end state (' pan; then
		word=deadlock
	elif grep -q 'max search depth too small' pan; then
		word='cut short by depth'
	elif grep -q -e 'Search not completed' -e 'MEMLIM' -e 'out of memory' pan ||
	     ! grep -q 'errors: 0' pan; then
		word='not completed'
	else
		word=holds
	fi
	echo "$word: $states states, ${mib%.*} MiB, $seconds s"
}

# Run test $1 with the defines that follow: build/model/$1/{spin,pan} and the verdict in result.
one()
{
	dir=$build/$1
	shift
	rm -rf "$dir"
	mkdir -p "$dir"
	cd "$dir" || exit 1
	# partial order reduction knows nothing of processes that end at any point
	case " $* " in
	*' -DLINK '* | *' -DREPLACEMENT '* | *' -DELECT '*) whole=-DNOREDUCE ;;
	*) whole= ;;
	esac
	if ! spin -a "$@" "$here/barrier.pml" > spin 2>&1 ||
	   ! gcc $optimise -w -DSAFETY -DCOLLAPSE -DMEMLIM=$memory_mib $whole \
		-o verifier pan.c >> spin 2>&1; then
		echo 'no verifier: see spin' > verdict
	else
		./verifier -m$depth > pan 2>&1
		echo "exit status $?" >> pan
		verdict > verdict
	fi
	rm -f verifier pan.[bchmpt] pan.pre
	mv verdict result
}

mode=${1:-small}
case $mode in
small | later) memory_mib=3000 depth=1000000 ;;
large) memory_mib=6000 depth=5000000 ;;
one)   memory_mib=${MEMORY_MIB:-6000} depth=5000000 optimise=-O2 ;;
run)   ;;			# one test, started from below
*)     sed -n 's/^#\t/usage: /p' "$0" >&2; exit 2 ;;
esac

for tool in spin gcc; do
	if ! command -v $tool > /dev/null; then
		echo "1..0 # SKIP $tool is not installed"
		exit 4
	fi
done

case $mode in
one)
	shift
	one one "$@"
	cat "$build/one/result"
	exit
	;;
run)
	memory_mib=$2 depth=$3 optimise=$4 number=$5
	shift 5
	one "$number" "$@"
	exit
	;;
esac

rm -rf "$build"
mkdir -p "$build" || exit 2
build=$(cd "$build" && pwd)
awk -v mode="$mode" '$1 == mode || (mode == "large" && ($1 == "small" || $1 == "later"))' \
	"$here/tests" > "$build/tests"
plan=$(wc -l < "$build/tests")

awk -v m=$memory_mib -v d=$depth '{
	gsub(/,/, " -D", $3)
	# most of what is to be found is found before -O2 has compiled
	print "run", m, d, $2 == "found" || $2 == "reached" ? "-O0" : "-O2",
	      NR ($3 == "-" ? "" : " -D" $3)
}' "$build/tests" > "$build/runs"

# In the background, so that this shell can report in order, each result as soon as it is there;
# a session of its own, so that all that it starts can be ended together.
export BUILD="${build%/model}"
setsid xargs -P "$jobs" -L 1 sh "$here/run.sh" < "$build/runs" &
runner=$!
trap 'kill -- -$runner 2> /dev/null' EXIT
trap 'exit 130' INT TERM

echo 'TAP version 13'
echo "1..$plan"
failed=0
number=0
while read -r size expected defines name; do
	number=$((number + 1))
	while [ ! -f "$build/$number/result" ] && kill -0 $runner 2> /dev/null; do
		sleep 0.2
	done
	result=$(cat "$build/$number/result" 2> /dev/null || echo 'no verdict')
	status=ok
	case $expected,${result%%:*} in
	"$expected,$expected" | report,holds | report,found) ;;
	*) status='not ok' failed=$((failed + 1)) ;;
	esac
	[ "$expected" = report ] && name="report: $name"
	echo "$status $number - model: $name ($result)"
	[ "$status" = ok ] || echo "# expected: $expected; defines: $defines; see $build/$number"
done < "$build/tests"
wait $runner
trap - EXIT
echo "# $((plan - failed)) of $plan as expected"
[ $failed -eq 0 ]
