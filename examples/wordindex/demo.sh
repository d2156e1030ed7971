#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# demo.sh - two full-text indexes on two collected heaps, one collector for both
#
#	demo.sh [SECONDS]	time to query and update for; default 25
#
# Needs what `make all` builds, in build/ or where $BUILD says.  The exit status is 0 if everything
# went well: no wrong answer, both programs collected by the one tricolord, which ended as asked.

set -u

top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
build=${BUILD:-$top/build}
seconds=${1:-25}
bytes=16MiB
failed=0
daemon='' sampler='' first='' second=''

tmp=$(mktemp -d "${TMPDIR:-/tmp}/tricolor.XXXXXX") || exit 1

fail()
{
	echo "demo: $*" >&2
	failed=1
}

# Also after an interruption: nothing that was started here stays.
cleanup()
{
	trap - EXIT
	for pid in $sampler $first $second $daemon; do
		kill "$pid" 2>/dev/null
	done
	wait
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

for program in "$build/sbin/tricolord" "$build/examples/wordindex"; do
	if [ ! -x "$program" ]; then
		fail "$program is not there: run 'make' first"
		exit 1
	fi
done

# --- the collector ------------------------------------------------------------------------------

socket=$tmp/tricolord.sock
# It marks both heaps itself, so that its own figures are those of all collecting.
"$build/sbin/tricolord" --socket "$socket" --marker shared 2>"$tmp/tricolord.log" &
daemon=$!
tries=100
until grep -q "listening on" "$tmp/tricolord.log"; do
	tries=$((tries - 1))
	if [ $tries -eq 0 ] || ! kill -0 $daemon 2>/dev/null; then
		cat "$tmp/tricolord.log" >&2
		fail "tricolord does not listen on $socket"
		exit 1
	fi
	sleep 0.1
done
sed 's/^/demo: /' "$tmp/tricolord.log"

# Its own memory, without the pages of the heaps that it reads: there is no peak of that in /proc.
(
	peak=0
	while now=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' /proc/$daemon/status) &&
	      [ -n "$now" ]; do
		if [ "$now" -gt "$peak" ]; then
			peak=$now
			echo "$peak" >"$tmp/anon"
		fi
		sleep 1
	done
) </dev/null >/dev/null 2>&1 &
sampler=$!

# --- the two programs ---------------------------------------------------------------------------

# start NAME SEED: leaves the process's id in $!
start()
{
	TRICOLOR_SOCKET=$socket TRICOLOR_TRACE=gc "$build/examples/wordindex" --name "$1" \
		--seed "$2" --seconds "$seconds" --max-bytes $bytes --plain \
		--dir /usr/share --dir "$top" --json "$tmp/$1.json" \
		>"$tmp/$1.fifo" 2>"$tmp/$1.log" &
}

# Of a program's output, the progress is shown as it comes, the table stays in a file: the one
# at the end has both programs' figures.
show()
{
	sed -u -e '/^'"$1"' .* queries\/s .* cycles /!d' <"$tmp/$1.fifo" &
}

mkfifo "$tmp/first.fifo" "$tmp/second.fifo" || exit 1
show first
show_first=$!
show second
show_second=$!
start first 1
first=$!
start second 2
second=$!

for name in first second; do
	if [ $name = first ]; then pid=$first; else pid=$second; fi
	wait "$pid"
	status=$?
	if [ $status -eq 1 ]; then
		fail "$name gave wrong answers"
	elif [ $status -ne 0 ]; then
		fail "$name ended with status $status"
	fi
	if [ $status -ne 0 ]; then
		grep -v '^tricolor [0-9]* gc ' "$tmp/$name.log" | tail -n 40 >&2
	fi
done
first='' second=''
wait $show_first $show_second

# --- what it came to ----------------------------------------------------------------------------

peak_kb=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$daemon/status 2>/dev/null)
own_kb=$(cat "$tmp/anon" 2>/dev/null)
# User and system time, the 14th and 15th field; the 2nd may have blanks in it.
ticks=$(sed 's/.*) //' /proc/$daemon/stat 2>/dev/null | awk '{ print $12 + $13 }')

kill $sampler
kill -TERM $daemon 2>/dev/null || fail "tricolord has died"
wait $daemon
status=$?
[ $status -eq 0 ] || fail "tricolord ended with status $status"
[ $failed -eq 0 ] || sed 's/^/demo: /' "$tmp/tricolord.log" >&2
collector=$daemon
daemon='' sampler=''

for name in first second; do
	echo
	echo "$name: the last cycles, as TRICOLOR_TRACE=gc shows them"
	grep '^tricolor [0-9]* gc ' "$tmp/$name.log" | tail -n 5
	[ -s "$tmp/$name.json" ] || { fail "$name left no figures"; exit 1; }
	grep -q "\"collector_pid\": $collector,*\$" "$tmp/$name.json" ||
		fail "$name was not collected by the tricolord that was started for it"
done

echo
awk -v peak_kb="${peak_kb:-0}" -v own_kb="${own_kb:-0}" -v ticks="${ticks:-0}" \
    -v hz="$(getconf CLK_TCK 2>/dev/null || echo 100)" '
FNR == 1 { file++ }
match($0, /"[a-z_]+": /) {
	value[substr($0, RSTART + 1, RLENGTH - 4), file] = substr($0, RSTART + RLENGTH) + 0
}

# row(LABEL, KEY, DIVISOR, DECIMALS, HOW): HOW the column of both is made, "sum" or "max"
function row(label, key, divisor, decimals, how,    a, b, both, format)
{
	a = value[key, 1] / divisor
	b = value[key, 2] / divisor
	both = how == "sum" ? a + b : a > b ? a : b
	format = "  %-44s %12." decimals "f %12." decimals "f %12." decimals "f\n"
	printf(format, label, a, b, both)
}

END {
	mib = 1048576
	printf("  %-44s %12s %12s %12s\n", "", "first", "second", "both")
	row("documents", "documents", 1, 0, "sum")
	row("text in them, MiB", "text_bytes", mib, 1, "sum")
	row("terms", "terms", 1, 0, "sum")
	row("postings", "postings", 1, 0, "sum")
	row("queries", "queries", 1, 0, "sum")
	row("queries a second", "queries_per_second", 1, 0, "sum")
	row("answers checked", "checked", 1, 0, "sum")
	row("answers wrong", "wrong", 1, 0, "sum")
	row("documents re-indexed", "reindexed", 1, 0, "sum")
	row("documents dropped", "dropped", 1, 0, "sum")
	row("documents dropped at the end", "dropped_final", 1, 0, "sum")
	row("cycles", "cycles", 1, 0, "sum")
	row("allocated in all, MiB", "allocated_bytes", mib, 1, "sum")
	row("longest interruption of a thread, us", "interruption_max_ns", 1000, 1, "max")
	row("interruptions", "interruptions", 1, 0, "sum")
	row("interruptions together, ms", "interruption_total_ns", 1000000, 1, "sum")
	row("assists, ms", "assist_ns", 1000000, 1, "sum")
	row("mark CPU, s", "mark_cpu_ns", 1000000000, 2, "sum")
	row("peak heap, MiB", "peak_heap_bytes", mib, 1, "sum")
	row("final heap, MiB", "heap_bytes", mib, 1, "sum")
	row("peak memory (VmHWM), MiB", "peak_rss_bytes", mib, 1, "sum")
	row("memory before documents were dropped, MiB", "rss_before_bytes", mib, 1, "sum")
	row("final memory (VmRSS), MiB", "rss_bytes", mib, 1, "sum")
	row("returned to the system, MiB", "released_bytes", mib, 1, "sum")
	printf("\n")
	printf("  %-44s %12.1f\n", "tricolord: own memory at its peak, MiB", own_kb / 1024)
	printf("  %-44s %12.1f\n", "tricolord: with heap pages it maps, MiB", peak_kb / 1024)
	printf("  %-44s %12.2f\n", "tricolord: CPU, s", ticks / hz)
}' "$tmp/first.json" "$tmp/second.json"

echo
if [ $failed -eq 0 ]; then
	echo "demo: all went well"
else
	echo "demo: failed, see above" >&2
fi
exit $failed
