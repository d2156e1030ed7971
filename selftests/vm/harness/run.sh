#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - the harness of the VM itself: does it notice what it should?
#
#	run.sh [SERIES]		(default 6.1)
#
# Programs that misbehave, each in one way, are run in the VM, and what is reported of them is compared
# with what should be.

set -u
series=${1:-6.1}
cd "$(dirname "$0")/../../.." || exit 2
O=${O:-build}
points=0
failures=0

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

mkdir -p "$O/tests/harness" || exit 2
${CC:-gcc} -O2 -Wall -Wextra -o "$O/tests/harness/bad" selftests/vm/harness/bad.c || exit 2

# run NAME...: those cases in one VM; its report in $work/report.
run()
{
	for name in "$@"; do
		echo "quick 3 harness/bad:$name $name"
	done >"$work/manifest"
	MANIFEST=$work/manifest O=$O sh selftests/vm/run.sh "$series" quick '^harness/bad' >"$work/report"
	status=$?
}

# expect TEXT: a line of the report is this, but for its number.
expect()
{
	points=$((points + 1))
	if sed 's/^\(not ok\|ok\) [0-9]* /\1 /' "$work/report" | grep -qxE "$1"; then
		echo "ok $points $1"
	else
		sed 's/^/# /' "$work/report"
		echo "not ok $points $1"
		failures=$((failures + 1))
	fi
}

expect_status()
{
	points=$((points + 1))
	[ "$status" -eq "$1" ] && echo "ok $points status $1" && return
	echo "not ok $points status $1: it was $status"
	failures=$((failures + 1))
}

echo "TAP version 13"
run good
if grep -q '^1\.\.0 # SKIP' "$work/report"; then
	cat "$work/report"
	exit 4
fi
expect_status 0
expect 'ok harness/bad:good: a point'
expect 'ok vm/unload on .*'

run silent plan hang crash leave complain imitate fail status good
expect_status 1
expect 'not ok harness/bad:silent: reported no plan'
expect 'not ok harness/bad:plan: planned 2 points and reported 1'
expect 'not ok harness/bad:hang: it took longer than 3 s'
expect 'not ok harness/bad:crash: ended with status 139'
expect 'not ok harness/bad:leave: it left 1 processes \(bad\)'
expect 'not ok harness/bad:complain: the kernel said: BUG: what a kernel says of itself'
expect '# @done'
expect 'ok harness/bad:imitate: a point'
expect 'not ok harness/bad:fail: a point'
expect 'not ok harness/bad:status: ended with status 3'
expect 'ok harness/bad:good: a point'

run good panic leave
expect_status 1
expect 'ok harness/bad:good: a point'
expect 'not ok harness/bad:panic: the VM came to its end in it'
expect 'not ok harness/bad:leave: never ran'
expect 'not ok the VM ended by itself, with status 0 of the emulator'
echo "1..$points"
exit $((failures > 0))
