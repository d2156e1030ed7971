#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kvlimit.sh - a cache server under a memory limit, on CPUs that others fill
#
# usage: kvlimit.sh [-r RUNS] [-s SECONDS] [-n SERVERS] [-l LIVE,...] [-p PLACE,...] [-k FOLDER]
# BUILD
#
#	-r RUNS		of each cell (5)
#	-s SECONDS	of load in each run, after one that fills the cache (3)
#	-n SERVERS	in the memory group; each has its part of LIVE (1)
#	-l LIVE,...	per cent of the limit in entries (40,50,60,75)
#	-p PLACE,...	(together,together8,together32,alone,loops8,loops32,shares,quota)
#	-k FOLDER	keep there what each run printed
#	BUILD		the build folder
#
# The whole of it, with one server and with two:
#
#	make && bench/kvlimit.sh build && bench/kvlimit.sh -n 2 build
#
# It says how many runs that is, and how long they take: 160 runs and about 14 minutes each.  A
# server that has not enough memory to go on (one of two, at 75 %) takes longer, up to a minute each
# run.  Nothing else may run meanwhile.  MARKER=shared in the environment: where there is a shared
# collector it marks by itself, for comparison.
#
# In a run kvcache serves, in a memory cgroup of 64 MiB, and kvload, which can fill all CPUs, asks.
# PLACE says where in the CPU scheduler they are, and their collector:
#
#	together, togetherN	server, collector, load, and N busy loops in one cpu cgroup: what
#				others are compared with
#	alone			server with a private collector, and load: each a session of its
#				own, in the first cpu cgroup
#	loopsN			as alone, with N busy loops that are a session of their own
#	shares			server and load in one cpu cgroup, and a shared collector in another
#				with a tenth of its shares
#	quota			the same, but that one has a quota of 5 % of a CPU
#
# Sessions, because the kernel weighs those against each other that are in the first cpu cgroup
# (autogroup), and because a service manager starts each service in one.  All in this script's
# session would be a place that no service is in.
#
# For each cell there is a line, of all its runs:
#
#	killed		servers that the kernel killed for memory, of how many
#	coll.		collectors and markers that it killed; nothing is lost then
#	cycles lost	of all runs, and those of them that left no trace, as the server was too
#			busy to take it
#	peak		MiB in the memory cgroup, at most
#	barrier mark term.	the longest phase of each sort, ms, but for those of a cycle in
#				which a server was killed
#	alloc99.9 max	how long a thread of the server took to allocate an entry, ms: 99.9 % of
#			them in the worst run, and the longest.  Whatever holds a thread up is in
#			it, also that others had the CPU
#	held		the longest wait of a thread that was held back before the kernel's limit,
#			ms
#	interr.		the longest interruption of a thread by the collector, ms: stack scans,
#			assists, waits in these
#	req.99.9 max	how long the load waited for an answer, as above
#	refused		requests that the server had no memory for
#	req/s rel.	answers, and what that is of the place "together" with as many loops
#
# A kill is a figure.  Whatever else goes wrong is said, counted at the end, and makes the exit
# status 1: a server or collector that ends in another way, a load that fails or does not end, wrong
# answers, a server that did not get as full as it should.
#
# Needs root, for the groups, and cgroup v1 with cpu and memory.
set -u

limit_kib=65536
first_cpu=/sys/fs/cgroup/cpu
server_group=$first_cpu/kvlimit-server.$$
collector_group=$first_cpu/kvlimit-collector.$$
memory_group=/sys/fs/cgroup/memory/kvlimit.$$
overhead_s=2			# of a run, beside its load: to fill the cache, to end
patience_s=60			# for what takes a moment
faults=0
collector='' loops_leader=''
servers=() loads=()
declare -A base=() sum=()

usage()
{
	sed -n '3,/^set -u/s/^# \{0,1\}//p' "$0"
	exit "$1"
}

read_options()
{
	runs=5 seconds=3 number=1 keep=
	lives=40,50,60,75
	places=together,together8,together32,alone,loops8,loops32,shares,quota
	while getopts r:s:n:l:p:k:h option; do
		case $option in
		r) runs=$OPTARG ;;
		s) seconds=$OPTARG ;;
		n) number=$OPTARG ;;
		l) lives=$OPTARG ;;
		p) places=$OPTARG ;;
		k) keep=$OPTARG ;;
		h) usage 0 ;;
		*) usage 2 >&2 ;;
		esac
	done
	shift $((OPTIND - 1))
	[ $# = 1 ] || usage 2 >&2
	build=$(realpath "$1")
	IFS=, read -r -a lives <<<"$lives"
	IFS=, read -r -a places <<<"$places"
}

# What is no kill, and should not be.
fault()
{
	faults=$((faults + 1))
	echo "$place, $live %, run $turn: $*" >&"$said"
}

# ---- starting
# ---------------------------------------------------------------------------------------

# enter CPU_GROUP MEMORY_GROUP COMMAND...: become COMMAND, in these groups and in a session of its
# own.  For a job in the background.
enter()
{
	echo $BASHPID >"$1/cgroup.procs" || exit 126
	[ -z "$2" ] || echo $BASHPID >"$2/cgroup.procs" || exit 126
	shift 2
	exec setsid "$@"
}

# Which groups they are in, and how many loops there are.
find_place()
{
	loops=${place##*[a-z]}
	loops=${loops:-0}
	cpu=$server_group collector_quota=
	case $place in
	together | together[0-9]*) ;;
	alone | loops[0-9]*) cpu=$first_cpu ;;
	shares)	collector_shares=102 collector_quota=-1 ;;
	quota)	collector_shares=1024 collector_quota=5000 ;;
	*)	echo "kvlimit.sh: there is no place '$place'" >&2
		exit 2 ;;
	esac
}

# A session of loops, which ends when its leader's process group is killed.
start_loops()
{
	[ "$loops" = 0 ] && return
	# shellcheck disable=SC2016
	enter "$cpu" "" bash -c 'for i in $(seq "$1"); do (while :; do :; done) & done; wait' loops "$loops" &
	loops_leader=$!
}

# Wait until what writes to the pipe $work/$1.pipe says that it listens; the rest goes to
# $work/$1.out.
await()
{
	local pipe line=
	exec {pipe}<"$work/$1.pipe"
	read -r -t $patience_s -u "$pipe" line
	echo "$line" >"$work/$1.out"
	cat <&"$pipe" >>"$work/$1.out" &
	exec {pipe}<&-
	[[ $line = *"listening on"* ]]
}

start_collector()
{
	[ -n "$collector_quota" ] || return 0
	echo "$collector_shares" >"$collector_group/cpu.shares"
	echo "$collector_quota" >"$collector_group/cpu.cfs_quota_us"
	mkfifo "$work/collector.pipe"
	enter "$collector_group" "" "$build/sbin/tricolord" --socket "$work/socket" ${MARKER:+--marker "$MARKER"} \
		>"$work/collector.pipe" 2>&1 &
	collector=$!
	await collector || fault "the shared collector does not listen: $(<"$work/collector.out")"
}

# start_server I
start_server()
{
	mkfifo "$work/server$1.pipe"
	TRICOLOR_TRACE=gc,limit TRICOLOR_SOCKET="$work/socket" TRICOLOR_DAEMON="$build/sbin/tricolord" \
		enter "$cpu" "$memory_group" "$build/examples/kvcache" --unix "$work/server$1" --threads 4 --timing \
		--memory "$((live * limit_kib / 100 / number))KiB" >"$work/server$1.pipe" 2>"$work/server$1.err" &
	servers+=($!)
}

# start_load I
start_load()
{
	enter "$cpu" "" timeout $((seconds + patience_s)) "$build/examples/kvload" --unix "$work/server$1" \
		--fill --seconds "$seconds" --keys 60000 --set 40 --connections 8 --threads 2 >"$work/load$1.out" 2>&1 &
	loads+=($!)
}

# ---- ending
# -----------------------------------------------------------------------------------------

# end NAME PID: by SIGTERM; sets $status
end()
{
	kill "$2" 2>/dev/null
	if ! timeout $patience_s tail -s 0.02 --pid="$2" -f /dev/null; then
		fault "$1 does not end"
		kill -KILL "$2"
	fi
	wait "$2"
	status=$?
}

end_loops()
{
	[ -n "$loops_leader" ] || return 0
	kill -KILL -- "-$loops_leader"
	wait "$loops_leader"
	loops_leader=
}

end_collector()
{
	[ -n "$collector" ] || return 0
	end "the shared collector" "$collector"
	[ "$status" = 0 ] || fault "the shared collector ended with status $status: $(tail -1 "$work/collector.out")"
	collector=
}

# Collectors follow their servers, but take a moment.
remove_memory_group()
{
	for _ in $(seq $((patience_s * 50))); do
		rmdir "$memory_group" 2>/dev/null && return
		sleep 0.02
	done
	fault "processes stay in the memory group: $(tr '\n' ' ' <"$memory_group/cgroup.procs")"
}

finish()
{
	local pid
	for pid in "${servers[@]}" "${loads[@]}" $collector; do
		kill -KILL "$pid"
		wait "$pid"
	done 2>/dev/null
	end_loops
	[ ! -d "$memory_group" ] || remove_memory_group
	rmdir "$server_group" "$collector_group"
	rm -r "$work"
}

# ---- figures
# ----------------------------------------------------------------------------------------

# Of server $1 and its load: lines of NAME VALUE, in ms, for add_up().
figures()
{
	awk '$3 == "gc" && $9 == "wall," {
		split($7, phase, "+"); split($21, heap, "->")
		print "barrier", phase[1]; print "mark", phase[2]; print "term", phase[3]
		print "interr", $14 / 1000; print "live", heap[3]; print "cycles", $4 - last
		print "lost", $4 - last - 1; last = $4
	     }
	     $3 == "limit" && /throttled:/ { print "held", $(NF - 1) }' "$work/server$1.err"
	sed -nE 's/.*entries allocated,.* p99.9 ([0-9.]+) max ([0-9.]+)/alloc999 \1\nallocmax \2/p
		 s/.*kernel.s limit, us max ([0-9.]+)/held \1/p' "$work/server$1.out" | awk '{ print $1, $2 / 1000 }'
	sed -nE 's/.* us .* p99.9 ([0-9]+) max ([0-9]+)/req999 \1\nreqmax \2/p' "$work/load$1.out" |
		awk '{ print $1, $2 / 1000 }'
	sed -nE 's/.* s, ([0-9]+)\/s,.* ([0-9]+) refused.*/rate \1\nrefused \2/p' "$work/load$1.out"
}

# Sets $sum from such lines: what adds up is added, and of the rest the most counts.
add_up()
{
	local name value
	sum=()
	while read -r name value; do
		sum[$name]=$value
	done < <(awk '/^(rate|refused|cycles|lost|killed|collectors) / { value[$1] += $2; next }
		      !($1 in value) || $2 > value[$1] { value[$1] = $2 }
		      END { for (name in value) print name, value[name] }')
}

# A server that was not killed: did it do what it was to do?
judge_server()
{
	local want
	add_up < <(figures "$1")
	[ "${sum[cycles]:-0}" != 0 ] || fault "no cycle of server $1 left a trace"
	[ "${sum[rate]:-0}" != 0 ] || fault "load $1 had no answers"
	want=$((live * limit_kib / 1024 / 100 / number))
	awk -v is="${sum[live]:-0}" -v want=$want 'BEGIN { exit is >= want * 0.9 ? 0 : 1 }' ||
		fault "server $1 had ${sum[live]:-0} MiB live, and was to have $want: is it given enough seconds?"
}

# judge I SERVER_STATUS LOAD_STATUS: sets $dead if the server was killed
judge()
{
	dead=0
	if [ "$2" = 137 ] && [ "$kills" -gt "$killed" ]; then
		dead=1
	elif [ "$2" != 0 ]; then
		fault "server $1 ended with status $2, and its group had $kills kills: $(tail -1 "$work/server$1.err")"
	fi
	[ "$3" = 0 ] || [ "$dead$3" = 12 ] || fault "load $1 ended with status $3: $(tail -1 "$work/load$1.out")"
	[ "$dead$3" != 00 ] || judge_server "$1"
}

# ---- a run, a cell
# ----------------------------------------------------------------------------------

start_all()
{
	local i
	servers=() loads=()
	mkdir "$memory_group" && echo $((limit_kib * 1024)) >"$memory_group/memory.limit_in_bytes" || exit 1
	start_loops
	start_collector
	for i in $(seq "$number"); do
		start_server "$i"
	done
	for i in $(seq "$number"); do
		await "server$i"
	done
	for i in $(seq "$number"); do
		start_load "$i"
	done
}

# Figures of the run go to $work/figures.
run()
{
	local i kills killed=0 dead load_status=() server_status=() status
	start_all
	for i in "${loads[@]}"; do
		wait "$i"
		load_status+=($?)
	done
	for i in $(seq "$number"); do
		end "server $i" "${servers[i - 1]}"
		server_status+=("$status")
	done
	end_collector
	end_loops
	# Of the pipes: all that was printed is in the files.
	wait
	kills=$(sed -n 's/^oom_kill //p' "$memory_group/memory.oom_control")
	for i in $(seq "$number"); do
		judge "$i" "${server_status[i - 1]}" "${load_status[i - 1]}"
		killed=$((killed + dead))
		figures "$i" >>"$work/figures"
	done
	echo "peak $(($(<"$memory_group/memory.max_usage_in_bytes") >> 20))
killed $killed
collectors $((kills - killed))" >>"$work/figures"
	remove_memory_group
}

clear_run()
{
	if [ -n "$keep" ]; then
		mkdir -p "$keep/$place-$live-$turn"
		cp "$work"/*.out "$work"/*.err "$keep/$place-$live-$turn"
	fi
	rm -f "$work"/server* "$work"/load* "$work"/collector* "$work/socket"
}

line='%-10s %5s %6s %5s %6s %4s %4s | %7s %7s %7s | %9s %7s | %7s %7s | %8s %7s | %7s %7s %5s\n'

cell()
{
	local name times=() rel=-
	: >"$work/figures"
	find_place
	for turn in $(seq "$runs"); do
		run 2>"$work/shell"
		# The shell says whom a signal has ended; that is known.
		grep -vE ' (Killed|Terminated) ' "$work/shell" >&2 && faults=$((faults + 1))
		clear_run
	done
	add_up <"$work/figures"
	sum[rate]=$((${sum[rate]:-0} / runs))
	[ "${place#together}" = "$place" ] || base[$live,$loops]=${sum[rate]}
	[ "${base[$live,$loops]:-0}" = 0 ] || rel=$((sum[rate] * 100 / base[$live,$loops]))%
	for name in barrier mark term alloc999 allocmax held interr req999 reqmax; do
		times+=("$(printf %.1f "${sum[$name]:-0}")")
	done
	# shellcheck disable=SC2059
	printf "$line" "$place" "$live" "${sum[killed]}/$((runs * number))" "${sum[collectors]}" "${sum[cycles]:-0}" \
		"${sum[lost]:-0}" "${sum[peak]}" "${times[@]}" "${sum[refused]:-0}" "${sum[rate]}" "$rel"
}

read_options "$@"
cells=$((${#lives[@]} * ${#places[@]}))
for place in "${places[@]}"; do
	find_place
done
work=$(mktemp -d)
exec {said}>&2
trap finish EXIT
trap 'exit 130' INT TERM
mkdir "$server_group" "$collector_group" || exit 1
echo "$cells cells of $runs runs with $number servers, $((cells * runs * (seconds + overhead_s) / 60 + 1)) minutes;" \
	"$(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg) now, autogroup" \
	"$(cat /proc/sys/kernel/sched_autogroup_enabled 2>/dev/null || echo unknown), marker ${MARKER:-own}"
# shellcheck disable=SC2059
printf "$line" place live% killed coll. cycles lost peak barrier mark term. alloc99.9 max held interr. req.99.9 max \
	refused req/s rel.
for live in "${lives[@]}"; do
	for place in "${places[@]}"; do
		cell
	done
done
echo "$((cells * runs)) runs in $SECONDS s; $faults failures that are no kills"
[ $faults = 0 ]
