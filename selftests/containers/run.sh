#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - tricolord as a sidecar container, and programs in others
#
#	run.sh [SCENARIO...]	all, or those of these names
#
# Images are made of what `make images` has built and of nothing else.  Containers are podman's, or
# made with unshare(1) where podman can't run (podman.sh, namespaces.sh); TRICOLOR_TEST_ENGINE
# chooses one.  The collector and each program are in containers of their own, with their own
# namespaces for processes, mounts, network and names, and share nothing but the volume that the
# socket is in.  Programs have a memory limit that the kernel enforces.
#
# A scenario is right by facts: the limit that holds, what the kernel has killed, what a program
# finds of what it keeps alive, how it ended.

set -u
cd "$(dirname "$0")/../.." || exit 1
build=${O:-build}
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES O
here=selftests/containers

work=$(mktemp -d) || exit 1
chmod 755 "$work"
volume=$work/volume		# what containers share; the socket's folder is in it
socket=$volume/tricolor/tricolord.sock
reason=''
engine=''
why_podman='not asked for'	# why an engine is not used
why_namespaces='not asked for'
running=''			# names of containers

. $here/groups.sh
. $here/podman.sh
. $here/namespaces.sh
. $here/seccomp.sh

cleanup()
{
	trap - EXIT
	for name in $running; do
		remove "$name"
	done
	[ -z "$engine" ] || "${engine}_exit"
	wait
	[ -z "${group_root:-}" ] || await groups_removed
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- containers ---------------------------------------------------------------------------------

# Wait until a command succeeds, for half a minute at most.
await()
{
	tries=300
	until "$@"; do
		tries=$((tries - 1))
		if [ $tries -eq 0 ]; then
			echo "waited in vain: $*"
			return 1
		fi
		sleep 0.1
	done
}

fresh_volume()
{
	rm -rf "$volume"
	mkdir -p "$volume/tricolor"
	chmod 777 "$volume" "$volume/tricolor"
}

# start NAME IMAGE OPTION... -- ARGUMENT...: in the background.  What is written to $work/NAME.in is
# its input.
start()
{
	running="$running $1"
	eval "engine_$1=\$engine folder_$1=\$group_top/\${group_above}$1"
	rm -f "$work/$1.in" "$work/$1.out"
	mkfifo "$work/$1.in" "$work/$1.out"
	"${engine}_run" "$@" <>"$work/$1.in" 1<>"$work/$1.out" 2>"$work/$1.log" &
	eval "pid_$1=\$!"
}

# The status with which a container has ended.
status_of()
{
	eval "wait \$pid_$1"
}

remove()
{
	eval "\"\${engine_$1}_remove\" \"\$1\""
	eval "kill \$pid_$1" 2>/dev/null
	status_of "$1" 2>/dev/null
	left=
	for other in $running; do
		[ "$other" = "$1" ] || left="$left $other"
	done
	running=$left
}

# sidecar OPTION... [-- ARGUMENT...]: the collector, as one would run it
sidecar()
{
	case " $* " in *' -- '*) ;; *) set -- "$@" -- ;; esac
	rm -f "$work/sidecar.log"
	start sidecar tricolord readonly nocaps "volume=$volume:/run" "$@"
	await grep -qs 'listening on' "$work/sidecar.log" || { cat "$work/sidecar.log"; return 1; }
}

# program NAME OPTION...: its container, under 64 MiB unless an option says otherwise
program()
{
	name=$1
	shift
	start "$name" program user=65532:65532 memory=67108864 "volume=$volume:/run" "$@" -- /program
}

# ask NAME REQUEST: what program.c takes; prints its answer
ask()
{
	echo "$2" >"$work/$1.in"
	answer=$(timeout 150 sed -u 1q <"$work/$1.out")
	echo "$1: $2: ${answer:-no answer}"
	case $answer in ok*) return ;; esac
	cat "$work/$1.log"
	echo "$1: $(group_kills "$1") killed; it has:" $(group_processes "$1")
	return 1
}

# Of a container without processes.  A group that its engine has removed tells of no kills, but a
# status of 137 does.
ended_how()
{
	if eval "kill -0 \$pid_$1" 2>/dev/null; then
		echo "$1 has no processes, and its engine goes on"
	else
		status_of "$1"
		echo "$1 has ended before, with status $?"
	fi
}

# End a program that has to have lost nothing, and nobody.
finish()
{
	killed=$(group_kills "$1")
	[ -n "$(group_of "$1")" ] || { ended_how "$1"; echo "$1: $killed killed"; return 1; }
	echo end >"$work/$1.in"
	status_of "$1"
	status=$?
	remove "$1"
	echo "$1: status $status, $killed killed"
	[ $status -eq 0 ] && [ "$killed" -eq 0 ]
}

# --- what the collector says --------------------------------------------------------------------

list()
{
	timeout 30 "$build/bin/tricolor" list --json --socket "$socket" 2>&1
}

# The values of a figure, one line a heap.
listed()
{
	list | sed -n 's/^ *"'"$1"'": *\(.*[^,]\),*$/\1/p'
}

heaps_listed()
{
	[ "$(listed attached_unix_s | wc -l)" -eq "$1" ]
}

# Whether each heap has a limit, and all together one of at most $1 MiB.
limits_within()
{
	listed memory_limit_bytes | awk -v most="$1" '
		$1 == "null" { missing = 1 }
		{ sum += $1; n++ }
		END { exit missing || !n || sum > most * 1048576 }'
}

# --- scenarios ----------------------------------------------------------------------------------

# 42 MiB live in a container of 64: twice that, as without a limit, does not fit.
scenario_beside()
{
	sidecar && program a &&
		ask a collector && ask a 'limit 30 58' && ask a 'hold 42' && ask a 'churn 500' &&
		heaps_listed 1 && limits_within 58 && finish a
}

# Marking is done and paid for in the program's container, by the tricolord that the sidecar lends.
scenario_lent()
{
	sidecar && program a &&
		ask a collector && ask a 'hold 10' && ask a 'churn 100' || return 1
	processes=$(group_processes a)
	echo "in the program's group:" $processes
	echo "$processes" | grep -q tricolor && finish a
}

# A cache server and its load, with a socket in the volume for them, too.
scenario_kvcache()
{
	sidecar || return 1
	start cache kvcache memory=67108864 "volume=$volume:/run" readonly nocaps \
		-- --unix /run/kvcache.sock --memory 24MiB
	await test -S "$volume/kvcache.sock" || return 1
	"$build/images/kvcache/kvload" --unix "$volume/kvcache.sock" --connections 8 --fill --seconds 3 || return 1
	limits_within 58 || return 1
	killed=$(group_kills cache)
	"${engine}_kill" cache TERM
	status_of cache
	status=$?
	remove cache
	echo "cache: status $status, $killed killed"
	[ $status -eq 0 ] && [ "$killed" -eq 0 ]
}

# The limit of a pod is that of a group above the containers' own, which they see where the host's
# groups are mounted, and without a namespace of groups, as podman has it in version 1.  Each of the
# two might use all of it.
scenario_pod()
{
	group_make pod $((128 << 20))
	group_above=pod/
	sidecar && program a memory=$((128 << 20)) volume=/sys/fs/cgroup:/sys/fs/cgroup:ro &&
		program b memory=$((128 << 20)) volume=/sys/fs/cgroup:/sys/fs/cgroup:ro &&
		ask a collector && ask b collector && ask a 'hold 42' && ask b 'hold 42' &&
		ask a 'churn 300' && ask b 'churn 300' && heaps_listed 2 && limits_within 116 && finish a && finish b
}

scenario_collector_restarted()
{
	sidecar && program a && ask a collector && ask a 'limit 30 58' && ask a 'hold 42' || return 1
	remove sidecar
	ask a 'churn 300' && sidecar && await heaps_listed 1 && ask a collector &&
		ask a 'limit 30 58' && ask a 'churn 300' && finish a
}

scenario_program_restarted()
{
	sidecar && program a && ask a collector && ask a 'hold 30' && finish a && await heaps_listed 0 || return 1
	program a && ask a collector && ask a 'limit 30 58' && ask a 'hold 42' || return 1
	"${engine}_kill" a KILL
	status_of a
	remove a
	await heaps_listed 0 && program a && ask a collector && ask a 'limit 30 58' && ask a 'hold 42' &&
		ask a 'churn 300' && heaps_listed 1 && finish a
}

# The folder of the socket goes with all that is in it, and comes back.
scenario_volume_gone()
{
	sidecar && program a && ask a collector && ask a 'limit 30 58' && ask a 'hold 42' || return 1
	rm -rf "$volume/tricolor"
	remove sidecar
	ask a 'churn 300' || return 1
	mkdir "$volume/tricolor"
	chmod 777 "$volume/tricolor"
	sidecar && await heaps_listed 1 && ask a 'limit 30 58' && ask a 'churn 300' && finish a
}

scenario_limits_changed()
{
	sidecar && program a && ask a collector && ask a 'limit 30 58' && ask a 'hold 42' || return 1
	folder=$(group_of a)
	group_set "$folder" $((256 << 20)) && ask a 'limit 150 231' && ask a 'churn 300' &&
		group_set "$folder" $((128 << 20)) && ask a 'limit 60 116' && ask a 'churn 300' && finish a
}

# Each side with a mapping of users of its own.  The root of this system is nobody to the collector,
# then, which tells it nothing.
scenario_user_namespaces()
{
	sidecar userns && program a userns && ask a collector && ask a 'limit 30 58' && ask a 'hold 42' &&
		ask a 'churn 300' && finish a
}

# A marker is not taken from another user: the sidecar marks.
scenario_users()
{
	sidecar && program a user=1000:1000 && program b user=2000:2000 readonly nocaps &&
		ask a collector && ask b collector && ask a 'limit 30 58' && ask b 'limit 30 58' &&
		ask a 'hold 42' && ask b 'hold 42' && ask a 'churn 300' && ask b 'churn 300' &&
		heaps_listed 2 && finish a && finish b
}

scenario_no_proc()
{
	sidecar noproc && program a && ask a collector && ask a 'limit 30 58' && ask a 'hold 42' &&
		ask a 'churn 300' && limits_within 58 && finish a
}

filtered()
{
	sidecar "seccomp=$work/$1.json" && program a "seccomp=$work/$1.json" readonly nocaps &&
		ask a collector && ask a 'limit 30 58' && ask a 'hold 42' && ask a 'churn 300' && finish a
}

scenario_docker_seccomp()
{
	filtered docker
}

scenario_podman_seccomp()
{
	filtered podman
}

scenario_podman_old_seccomp()
{
	filtered podman-old
}

# --- running ------------------------------------------------------------------------------------

# scenario NAME WHAT [ENGINE]: one point.  An engine is named where the others can't do it.
scenario()
{
	[ -z "$chosen" ] || case " $chosen " in *" $1 "*) ;; *) return ;; esac
	points=$((points + 1))
	usual=$engine
	engine=${3:-$engine}
	case " $engines " in
	*" $engine "*)
		fresh_volume
		group_above=
		if "scenario_$1" >"$work/output" 2>&1; then
			echo "ok $points $2 ($engine)"
		else
			sed 's/^/# /' "$work/output"
			sed 's/^/# sidecar: /' "$work/sidecar.log"
			echo "not ok $points $2 ($engine)"
			failures=$((failures + 1))
		fi
		for name in $running; do
			remove "$name"
		done
		;;
	*)
		eval "why=\$why_$engine"
		echo "ok $points # SKIP $2: $engine: $why"
		;;
	esac
	engine=$usual
}

skip_all()
{
	echo "1..0 # SKIP $1"
	exit 4
}

[ -x "$build/images/tricolord/tricolord" ] || skip_all "no images: run 'make images' first"
[ "$(id -u)" -eq 0 ] || skip_all 'only root can give containers memory limits in all places'
groups_init || skip_all "$reason"

mkdir "$work/program"
cp "$build/tests/containers/program" "$work/program"
engines=''
for engine in ${TRICOLOR_TEST_ENGINE:-podman namespaces}; do
	reason=''
	if "${engine}_init" && "${engine}_image" tricolord "$build/images/tricolord" &&
	   "${engine}_image" kvcache "$build/images/kvcache" && "${engine}_image" program "$work/program"; then
		engines="$engines $engine"
	else
		eval "why_$engine=\$reason"
		echo "# $engine: $reason"
	fi
done
[ -n "$engines" ] || skip_all "no containers here: $reason"
# shellcheck disable=SC2086
engine=$(set -- $engines; echo "$1")
seccomp_write

chosen=$*
points=0
failures=0
scenario beside 'a sidecar keeps the limit of a program beside it'
scenario lent 'a program without a tricolord is lent one, in its own control group'
scenario kvcache 'a cache server under load keeps its limit'
scenario collector_restarted 'the collector is restarted'
scenario program_restarted 'the program is restarted, and killed'
scenario volume_gone 'the volume is gone, and back'
scenario limits_changed 'the limit changes, up and down'
scenario pod 'two programs under the limit of a pod' podman
scenario users 'three users, all capabilities dropped, read-only'
scenario user_namespaces 'user namespaces' podman
scenario no_proc 'no /proc in the sidecar' namespaces
scenario docker_seccomp "docker's default filter of system calls" podman
scenario podman_seccomp "podman's" podman
scenario podman_old_seccomp 'that of an older podman' podman
echo "1..$points"
[ $failures -eq 0 ]
