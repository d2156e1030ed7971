#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# clients.sh PROGRAM WORKLOAD clients=N key=value...: N processes at once
#
# Those of tricolor have one collector, which is started here; it is in build/sbin/ if this file is
# in build/bench/.  Of each figure that the processes report the largest is passed on.

set -u

program=$1
clients=1
for word in "$@"; do
	case $word in
	clients=*) clients=${word#clients=} ;;
	esac
done

folder=$(mktemp -d) || exit 1
daemon=
pids=
cleanup()
{
	# shellcheck disable=SC2086
	[ -z "$pids" ] || kill $pids 2>/dev/null
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null
	wait
	rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' TERM INT

fail()
{
	echo "clients: $*" >&2
	exit 1
}

if [ "$(basename "$program")" = tricolor ]; then
	"$(dirname "$0")/../sbin/tricolord" --socket "$folder/socket" &
	daemon=$!
	tries=0
	while [ ! -S "$folder/socket" ]; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || fail "the collector does not listen"
		sleep 0.1
	done
	export TRICOLOR_SOCKET="$folder/socket"
fi

i=0
while [ $i -lt "$clients" ]; do
	"$@" >"$folder/$i.out" &
	pids="$pids $!"
	i=$((i + 1))
done

# The collector's memory is looked at while they run; it gives most of it back when they are gone.
if [ -n "$daemon" ]; then
	(
		while [ -e "/proc/$daemon" ] && [ ! -e "$folder/over" ]; do
			grep -E '^(RssAnon|VmRSS|Threads):' "/proc/$daemon/status"
			sleep 0.2
		done >"$folder/memory"
	) &
	watcher=$!
fi

failed=0
for pid in $pids; do
	wait "$pid" || failed=$((failed + 1))
done
pids=
[ $failed -eq 0 ] || fail "$failed of $clients processes have failed"

if [ -n "$daemon" ]; then
	touch "$folder/over"
	wait "$watcher"
	[ -e "/proc/$daemon" ] || fail "the collector has ended"
	awk '$2 > most[$1] { most[$1] = $2 }
	     END { print "collector_anon_mib=" most["RssAnon:"] / 1024
		   print "collector_rss_mib=" most["VmRSS:"] / 1024
		   print "collector_threads=" most["Threads:"] }' "$folder/memory"
	# After the name in brackets: fields 12 and 13 of the rest.
	sed 's/.*) //' "/proc/$daemon/stat" |
		awk -v ticks="$(getconf CLK_TCK)" '{ print "collector_cpu_s=" ($12 + $13) / ticks }'
fi
cat "$folder"/*.out | awk -F= '
	!($1 in most) || $2 > most[$1] { most[$1] = $2 }
	END { for (key in most) print key "=" most[key] }'
