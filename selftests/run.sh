#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - run test programs, mostly one after the other, and count their results
#
#	run.sh [-o DIR] [-l LAYER] [-t SECONDS] PROGRAM...	run, then print the total
#	run.sh [-o DIR] -b					begin a total over several layers
#	run.sh [-o DIR] -a [-l LAYER] [-t SECONDS] PROGRAM...	run, and add to that total
#	run.sh [-o DIR] -s LAYER:SECONDS:PROGRAM...		run these side by side, and add to that total
#	run.sh [-o DIR] -e					print the total
#
# A PROGRAM is a path, or a command with arguments as one word.  It prints TAP (kselftest.h) and
# each of its points counts.  It counts as one failure more if it is killed, takes longer than
# SECONDS, reports fewer or more points than it planned, ends with a status that its points do not
# explain, leaves processes behind, or if a sanitizer complains about it or about any process that
# it started.  The output of a program that failed is shown; all of it is kept in DIR/LAYER.
#
# Side by side run only programs that have one thread each, need nothing of each other and measure
# no time.  What each prints is shown when it has ended.
#
# Ends with `N passed, N failed, N skipped`, and status 1 if anything failed.  With -a, failures
# show in the total only, so that the layers after it run too.

set -u

usage()
{
	sed -n 's/^#\t/usage: /p' "$0" >&2
	exit 2
}

dir=build/results
layer=tests
seconds=120
mode=run

while getopts o:l:t:abse option; do
	case $option in
	o) dir=$OPTARG ;;
	l) layer=$OPTARG ;;
	t) seconds=$OPTARG ;;
	a) mode=add ;;
	b) mode=begin ;;
	s) mode=side ;;
	e) mode=end ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))

mkdir -p "$dir/$layer" || exit 2
dir=$(cd "$dir" && pwd)
logs=$dir/$layer
total=$dir/total			# one line a program: name passed failed skipped
[ $mode = run ] && total=$logs/total

print_total()
{
	awk '
		$3 { print "failed: " $1 " (" $3 ")" }
		{ passed += $2; failed += $3; skipped += $4 }
		END {
			if (!NR)
				print "no test was run"
			printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
			exit failed || !NR
		}' "$total"
}

# Reads TAP; prints "passed failed skipped planned" and then the reason of each skip.
parse_tap()
{
	awk '
		BEGIN { planned = -1 }
		/^1\.\.[0-9]+/ {
			planned = substr($1, 4) + 0
			if (planned == 0) {
				skipped++
				sub(/^[^#]*#? *(SKIP *)?/, "")
				reasons = reasons $0 "\n"
			}
		}
		/^ok [0-9]+/ {
			if (match($0, /# SKIP */)) {
				skipped++
				reasons = reasons substr($0, RSTART + RLENGTH) "\n"
			} else {
				passed++
			}
		}
		/^not ok [0-9]+/ { failed++ }
		/^Bail out!/ { failed++ }
		END { printf "%d %d %d %d\n%s", passed, failed, skipped, planned, reasons }' "$1"
}

# A program is the leader of a process group.  What is in it after the program's end gets a moment
# to end as well, as a collector does whose client is gone.  Returns 1 if it had to be killed.
end_group()
{
	tries=50
	while kill -s 0 -- "-$1" 2>/dev/null; do
		tries=$((tries - 1))
		if [ $tries -eq 0 ]; then
			kill -s KILL -- "-$1" 2>/dev/null
			return 1
		fi
		sleep 0.1
	done
}

describe_status()
{
	case $1 in
	124) echo "took longer than $seconds s" ;;
	137) echo "was killed (signal 9), or took longer than $seconds s" ;;
	*)
		if [ "$1" -gt 128 ]; then
			echo "was killed by signal $(($1 - 128))"
		else
			echo "ended with status $1"
		fi
		;;
	esac
}

# Add the reports of sanitizers to the log.  Returns 1 if there are none.
collect_reports()
{
	found=1
	for report in "$logs"/sanitizer.*; do
		[ -e "$report" ] || continue
		# What it says of every program with coroutines is no complaint.
		! grep -qv "WARNING: ASan doesn't fully support makecontext/swapcontext" "$report" || found=0
		cat "$report" >>"$log"
		rm -f "$report"
	done
	return $found
}

# A collector may outlive the program that started it by a moment, and complain then.
collect_late_reports()
{
	[ -n "${name:-}" ] && collect_reports || return
	echo "$name: a sanitizer complained about a process that it left; see $log"
	echo "$name 0 1 0" >>"$total"
}

run_program()
{
	collect_late_reports
	command=$1
	case $command in
	*' '*) name=$layer ;;
	*) name=$layer/${command##*/} ;;
	esac
	log=$logs/${name##*/}.log
	printf '%-40s ' "$name"
	begin=$(date +%s.%N)

	# In the background, so that an interruption of this script can end the program's group too.
	# The shell ignores SIGINT and SIGQUIT for such a program; a test wants its defaults.
	# shellcheck disable=SC2086
	timeout -k 10 "$seconds" env --default-signal=INT,QUIT $command </dev/null >"$log" 2>&1 &
	child=$!
	trap 'kill -s TERM "$child"; echo; exit 130' HUP INT TERM
	wait $child
	status=$?
	trap - HUP INT TERM

	problems=
	end_group $child || problems="left processes behind"
	took=$(printf '%s %s\n' "$begin" "$(date +%s.%N)" | awk '{ printf "%.1f s", $2 - $1 }')

	parsed=$(parse_tap "$log")
	reasons=$(printf '%s\n' "$parsed" | sed 1d)
	# shellcheck disable=SC2046
	set -- $(printf '%s\n' "$parsed" | sed 1q)
	passed=$1 failed=$2 skipped=$3 planned=$4

	# Status 1 is explained by points that failed, 4 by points that were skipped.
	case $status in
	0) ;;
	1) [ "$failed" -gt 0 ] || problems=$(describe_status 1) ;;
	4) [ $((passed + failed)) -eq 0 ] || problems=$(describe_status 4) ;;
	*) problems=$(describe_status $status) ;;
	esac
	points=$((passed + failed + skipped))
	if [ -z "$problems" ] && [ "$planned" -lt 0 ]; then
		problems="reported no plan"
	elif [ -z "$problems" ] && [ "$planned" -gt 0 ] && [ "$points" -ne "$planned" ]; then
		problems="planned $planned points and reported $points"
	fi
	! collect_reports || problems="${problems:+$problems; }a sanitizer complained"
	[ -z "$problems" ] || failed=$((failed + 1))

	summary="$passed passed"
	[ "$failed" -eq 0 ] || summary="$summary, $failed FAILED"
	[ "$skipped" -eq 0 ] || summary="$summary, $skipped skipped"
	printf '%s  (%s)\n' "$summary" "$took"
	[ -z "$reasons" ] || printf '%s\n' "$reasons" | sed 's/^/    skipped: /'
	if [ "$failed" -gt 0 ]; then
		[ -z "$problems" ] || echo "    $problems"
		echo "---- output of $name"
		cat "$log"
		echo "---- end of output of $name"
	fi
	echo "$name $passed $failed $skipped" >>"$total"
}

# Each side is a run.sh of its own, with its layer's folder; all append whole lines to the total.
run_side_by_side()
{
	pids=
	trap 'kill -s TERM $pids; echo; exit 130' HUP INT TERM
	for side in "$@"; do
		rest=${side#*:}
		mkdir -p "$dir/${side%%:*}"
		sh "$0" -o "$dir" -a -l "${side%%:*}" -t "${rest%%:*}" "${rest#*:}" >"$dir/${side%%:*}/side" 2>&1 &
		pids="$pids $!"
	done
	for side in "$@"; do
		# shellcheck disable=SC2086
		set -- $pids
		wait "$1" || echo "${side%%:*} 0 1 0" >>"$total"
		shift
		pids=$*
		cat "$dir/${side%%:*}/side"
	done
	trap - HUP INT TERM
}

case $mode in
side)
	[ $# -gt 0 ] || usage
	run_side_by_side "$@"
	exit
	;;
begin)
	[ $# -eq 0 ] || usage
	: >"$total"
	exit
	;;
end)
	[ $# -eq 0 ] || usage
	print_total
	exit
	;;
run)
	: >"$total"
	;;
esac

# A report of a sanitizer goes to a file: the process that it is about may be a collector, whose
# output nobody reads and whose death the client survives by design.
reports=log_path=$logs/sanitizer
export ASAN_OPTIONS="$reports:handle_sigill=1:${ASAN_OPTIONS:-}"
export TSAN_OPTIONS="$reports:${TSAN_OPTIONS:-}"

rm -f "$logs"/sanitizer.*
for program in "$@"; do
	run_program "$program"
done
# A process of the last program may be about to end.
sleep 1
collect_late_reports
[ $mode = add ] || print_total
