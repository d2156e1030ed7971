#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - what `make bench` does; `run.sh curves` and `run.sh scale` are other sets
#
# Installs the peers that are missing, builds the workloads for each system, runs them in
# alternation, and prints a table of medians.  The table, all figures as JSON and a picture go to
# build/bench/: bench.txt, bench.json, bench.svg, or what the set's name is.
#
#	bench	the comparison
#	curves	costs and interruptions at 16 MiB to 4 GiB of live heap; takes 10 GiB of memory
#	scale	a thousand threads, a hundred processes at one daemon, and idle ones
#
# bench.c lists the settings; for example
#
#	BENCH_QUICK=1 make bench			under a minute: does it all work?
#	BENCH_WORKLOADS='trees-* ring' make bench	only these
#	BENCH_SYSTEMS='tricolor mimalloc' make bench	only these
#	BENCH_VARIANTS=1 make bench			more sizes, depths and threads
#	BENCH_GO=/opt/go/bin/go make bench		with another Go
#
# The whole of it takes about a quarter of an hour, on a machine that should do nothing else.

set -u
set=${1:-bench}
cd "$(dirname "$0")/.." || exit 1
folder=build/bench
mkdir -p $folder/log || exit 1

wanted=${BENCH_SYSTEMS:-tricolor go gc glibc mimalloc}
wanted=$(echo "$wanted" | tr ',' ' ')

can_build()
{
	case $1 in
	go) [ -n "$go" ] ;;
	gc) printf '#include <gc.h>\n' | ${CC:-cc} -E - >/dev/null 2>&1 ;;
	mimalloc) printf '#include <mimalloc.h>\n' | ${CC:-cc} -E - >/dev/null 2>&1 ;;
	tricolor | glibc) true ;;
	*)
		echo "bench: there is no system '$1': tricolor go gc glibc mimalloc" >&2
		exit 2
		;;
	esac
}

case " $wanted " in
*" go "* | *" gc "* | *" mimalloc "*) sh bench/install.sh || exit 1 ;;
esac

# Of several versions of Go the newest, unless told.
go=${BENCH_GO:-$(ls -d /usr/lib/go-*/bin/go 2>/dev/null | sort -V | tail -n 1)}
go=${go:-$(command -v go)}

systems=
for system in $wanted; do
	if can_build "$system"; then
		systems="$systems $system"
	else
		echo "bench: no $system here: left out" >&2
		rm -f "$folder/bin/$system"
	fi
done

case " $wanted " in
*" tricolor "*) make -s lib daemon || exit 1 ;;
esac
make -s -f bench/Makefile SYSTEMS="$systems" GO="$go" || exit 1

# A pipe to tee would lose the status.
$folder/driver $folder "$set" >"$folder/$set.txt"
status=$?
cat "$folder/$set.txt"
exit $status
