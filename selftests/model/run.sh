#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - check the protocol model and that every mutant of it is found
#
#	run.sh [small]		what `make check` runs: minutes, below 3 GB a run
#	run.sh large		larger sizes as well: below 6 GB a run
#	run.sh one DEFINES...	one configuration, e.g. run.sh one -DNLOC=1 -DMUTANT_OLD_ONLY
#
# Prints TAP.  Two configurations run at a time (JOBS=n: n).  What spin and the verifier said stays
# in build/model/N, N being the number of the test.
#
# A test passes if the search is exhaustive and finds nothing (holds), or ends with an object freed
# too early (found), whichever is expected.  An error of another kind, a search cut short by memory
# or depth, or no verdict at all is a failure.

set -u

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build}/model
jobs=${JOBS:-2}

# One line a test: size, verdict, name, defines.  Sizes add up: large runs the small ones too.
#
# "equal" marks a mutant that is argued to change nothing (README.md): the run reports which
# verdict it got, and passes with either.
table()
{
	cat <<-'END'
	small holds base 2x1, any number of cycles | -DNLOC=1 -DOPS=1 -DCYCLES=0
	small holds base 2x2, one cycle | -DNLOC=2 -DOPS=1 -DCYCLES=1
	small holds one thread, two locals, any number of operations and cycles | -DMUTATORS=1 -DNLOC=2 -DOPS=0 -DCYCLES=0
	small holds neither thread has restartable sequences | -DFALLBACK=3 -DNLOC=1 -DOPS=1 -DCYCLES=0
	small holds a thread is created, attaches, exits | -DGUEST=1 -DNLOC=1 -DOPS=1 -DCYCLES=0
	small holds weak reads | -DWEAK=1 -DNLOC=1 -DOPS=1 -DCYCLES=0
	small holds the daemon dies | -DDEATH=1 -DMUTATORS=1 -DNLOC=2 -DOPS=0 -DCYCLES=0
	small reached an object is freed | -DWITNESS=1 -DNLOC=1 -DOPS=1 -DCYCLES=1
	small reached an H3 round finds something | -DWITNESS=2 -DNLOC=1 -DOPS=1 -DCYCLES=1
	small reached an exchange after the barrier went off | -DWITNESS=3 -DNLOC=1 -DOPS=1 -DCYCLES=1
	small reached a thread attaches while marking runs | -DWITNESS=4 -DGUEST=1 -DNLOC=1 -DOPS=1 -DCYCLES=1
	small reached a weak read is refused | -DWITNESS=5 -DWEAK=1 -DNLOC=1 -DOPS=1 -DCYCLES=1
	small reached an object is freed after an abandoned cycle | -DWITNESS=6 -DDEATH=1 -DNLOC=1 -DOPS=1 -DCYCLES=2
	small found answers not deferred: sequence not restarted | -DMUTANT_NO_RESTART -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found answers not deferred: H1 does not wait for the library | -DMUTANT_H1_NO_QUIESCE -DFALLBACK=1 -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found answers not deferred: H3 does not wait for the library | -DMUTANT_H3_NO_QUIESCE -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found H1 without fence and wait | -DMUTANT_H1_NO_WAIT -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found H1 without fence | -DMUTANT_H1_NO_FENCE -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found old shaded only | -DMUTANT_OLD_ONLY -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found new shaded only | -DMUTANT_NEW_ONLY -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found plain load and store in the slow path, H1 without wait | -DMUTANT_PLAIN_SLOW -DMUTANT_H1_NO_QUIESCE -DNLOC=1 -DOPS0=2 -DOPS=1 -DCYCLES=0
	small found white allocation during mark | -DMUTANT_WHITE_ALLOC -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found black allocation before every barrier is on | -DMUTANT_BLACK_EARLY -DNLOC=2 -DOPS0=2 -DOPS=1 -DCYCLES=0
	small found buffers discarded at the end of H1 | -DMUTANT_DISCARD_AT_H1 -DNLOC=2 -DOPS0=2 -DOPS=1 -DCYCLES=0
	small found buffers discarded at H2 | -DMUTANT_DISCARD_AT_H2 -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found a global stored without the barrier | -DMUTANT_GLOBAL_PLAIN -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found no H3 | -DMUTANT_NO_H3 -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found H3 ignores full buffers | -DMUTANT_H3_IGNORES_FULL -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found H3 tests for emptiness at its end only | -DMUTANT_H3_EMPTY_AT_END -DNLOC=2 -DOPS=2 -DCYCLES=0
	small found H3 reads the queue before the threads' buffers | -DMUTANT_H3_FULL_FIRST -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found a full buffer leaves its thread before it is queued | -DMUTANT_PUSH_LATE -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found barrier off before marking has ended | -DMUTANT_BARRIER_OFF_EARLY -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found H4 without fence | -DMUTANT_H4_NO_FENCE -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found H4's fence before the diversion | -DMUTANT_H4_FENCE_FIRST -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found sweep before the last flip | -DMUTANT_SWEEP_EARLY -DNLOC=2 -DOPS0=2 -DOPS=1 -DCYCLES=0
	small found allocation from an unswept span after the flip | -DMUTANT_ALLOC_UNSWEPT -DNLOC=1 -DOPS=1 -DCYCLES=0
	small found creation does not shade the argument | -DMUTANT_CREATE_NO_SHADE -DGUEST=1 -DNLOC=1 -DOPS=2 -DCYCLES=0
	small found creation does not hold the argument | -DMUTANT_CREATE_NO_HOLD -DGUEST=1 -DNLOC=1 -DOPS=2 -DCYCLES=0
	small found attachment does not shade the argument | -DMUTANT_ATTACH_NO_SHADE -DGUEST=1 -DNLOC=1 -DOPS=2 -DCYCLES=0
	small found attachment reads the phase before it is in the list | -DMUTANT_ATTACH_UNLOCKED -DGUEST=1 -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found exit drops the buffer | -DMUTANT_EXIT_DROPS -DGUEST=1 -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found exit queues the buffer after it has left the list | -DMUTANT_EXIT_LEAVES_FIRST -DGUEST=1 -DNLOC=2 -DOPS=1 -DCYCLES=0
	small found weak read without shade | -DMUTANT_WEAK_NO_SHADE -DWEAK=1 -DNLOC=1 -DOPS=1 -DCYCLES=0
	small found weak read with a test in place of the CAS | -DMUTANT_WEAK_TEST -DWEAK=1 -DNLOC=1 -DOPS=1 -DCYCLES=0
	small found weak reads, H4 does not wait for the library | -DMUTANT_H4_NO_QUIESCE -DWEAK=1 -DNLOC=1 -DOPS=1 -DCYCLES=0
	small found abandoned cycle leaves its marks | -DMUTANT_ABANDON_KEEPS_MARKS -DDEATH=1 -DNLOC=1 -DOPS=1 -DCYCLES=0
	small found abandoned cycle clears its marks before the flips | -DMUTANT_ABANDON_CLEARS_FIRST -DDEATH=1 -DNLOC=2 -DOPS0=2 -DOPS=1 -DCYCLES=0
	large equal plain load and store in the slow path | -DMUTANT_PLAIN_SLOW -DNLOC=2 -DOPS=1 -DCYCLES=0
	large equal H1 does not wait for the library, with restartable sequences | -DMUTANT_H1_NO_QUIESCE -DNLOC=2 -DOPS=1 -DCYCLES=0
	large equal H2 scans threads that are in the library | -DMUTANT_H2_IN_LIBRARY -DXCHG=1 -DNLOC=1 -DOPS=1 -DCYCLES=0
	large equal H3 without fence | -DMUTANT_H3_NO_FENCE -DFALLBACK=1 -DNLOC=2 -DOPS=1 -DCYCLES=1
	END
}

# What the verifier found, from its output in ./pan.
verdict()
{
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan)
	seconds=$(sed -n 's/^pan: elapsed time \([0-9.]*\) seconds.*/\1/p' pan)
	mib=$(sed -n 's/^ *\([0-9.]*\)\ttotal actual memory usage.*/\1/p' pan)
	if grep -q 'assertion violated.*reach' pan; then
		word=found
	elif grep -q 'assertion violated' pan; then
		word=reached
	elif grep -q 'invalid end state (' pan; then
		word=deadlock
	elif grep -q 'max search depth too small' pan; then
		word='cut short by depth'
	elif grep -q -e 'Search not completed' -e 'out of memory' -e 'memory limit' pan ||
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
	if ! spin -a "$@" "$here/barrier.pml" > spin 2>&1 ||
	   ! gcc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=$memory_mib -o verifier pan.c >> spin 2>&1; then
		echo 'no verifier: see spin' > verdict
	else
		./verifier -m$depth > pan 2>&1
		echo "exit status $?" >> pan
		verdict > verdict
	fi
	rm -f verifier pan.? pan.pre
	mv verdict result
}

mode=${1:-small}
case $mode in
small) memory_mib=3000 depth=1000000 ;;
large) memory_mib=6000 depth=5000000 ;;
one)   memory_mib=${MEMORY_MIB:-6000} depth=5000000 ;;
run)   ;;			# one test of a table, started from below
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
	memory_mib=$2 depth=$3 number=$4
	shift 4
	one "$number" "$@"
	exit
	;;
esac

rm -rf "$build"
mkdir -p "$build" || exit 2
build=$(cd "$build" && pwd)
table | awk -v mode="$mode" '$1 == "small" || mode == "large"' > "$build/table"
plan=$(wc -l < "$build/table")

# In the background, so that this shell can report in order, each result as soon as it is there.
BUILD=${build%/model} && export BUILD
set -m			# the runner and all that it starts are one process group
awk -v m=$memory_mib -v d=$depth '{ sub(/.*\| /, ""); print "run", m, d, NR, $0 }' "$build/table" |
	xargs -P "$jobs" -L 1 sh "$here/run.sh" &
runner=$!
set +m
trap 'kill -- -$runner 2> /dev/null' EXIT
trap 'exit 130' INT TERM

echo 'TAP version 13'
echo "1..$plan"
failed=0
number=0
while read -r size expected rest; do
	number=$((number + 1))
	name=${rest%% |*}
	while [ ! -f "$build/$number/result" ] && kill -0 $runner 2> /dev/null; do
		sleep 0.2
	done
	result=$(cat "$build/$number/result" 2> /dev/null || echo 'no verdict')
	status=ok
	case $expected,${result%%:*} in
	"$expected,$expected" | equal,holds | equal,found) ;;
	*) status='not ok' failed=$((failed + 1)) ;;
	esac
	[ "$expected" = equal ] && name="report: $name"
	echo "$status $number - model: $name ($result)"
	[ "$status" = ok ] || echo "# expected: $expected; see $build/$number"
done < "$build/table"
wait $runner
echo "# $((plan - failed)) of $plan as expected"
[ $failed -eq 0 ]
