#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - hostile clients against a collector, for a bounded time; results as TAP
#
#	sh selftests/fuzz/run.sh [SECONDS]	(default 20)
#
# Environment: O, the build folder (default build; build/asan has the one with sanitizers); SEED, to
# repeat a run; CC.

set -u

seconds=${1:-20}
O=${O:-build}
seed=${SEED:-$(od -An -N6 -tx8 /dev/urandom | tr -d ' ')}
case $seed in 0x*) ;; *) seed=0x$seed ;; esac
cd "$(dirname "$0")/../.." || exit 2

# A false answer of `kill -0` would pass for a collector that lives.
dir=$(mktemp -d) || exit 2
daemon=
cleanup()
{
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' HUP INT TERM

if [ ! -x "$O/sbin/tricolord" ] || [ ! -e "$O/lib/libtricolor.so" ]; then
	echo "1..0 # SKIP $O has no tricolord: make first"
	exit 4
fi
san=
if nm "$O/sbin/tricolord" 2>/dev/null | grep -q __asan_init; then
	san="-fsanitize=address"
	export FUZZ_SANITIZED=1
fi
mkdir -p "$O/fuzz" || exit 2
flags="-std=gnu11 -D_GNU_SOURCE= -O2 -g -Wall -Wextra -fno-strict-aliasing"
flags="$flags -Ilibclient/include -Ikmod/uapi -iquote . -iquote selftests"
# shellcheck disable=SC2086
${CC:-gcc} $flags -o "$O/fuzz/attack" selftests/fuzz/attack.c \
	selftests/lib/process.c core/*/*.c -lpthread || exit 2
# shellcheck disable=SC2086
${CC:-gcc} $flags $san -o "$O/fuzz/witness" selftests/fuzz/witness.c \
	selftests/lib/forest.c selftests/lib/process.c -L"$O/lib" \
	-Wl,-rpath,"$(cd "$O/lib" && pwd)" -ltricolor -lpthread || exit 2

"$O/sbin/tricolord" --socket "$dir/sock" 2>"$dir/log" &
daemon=$!
tries=100
while [ ! -S "$dir/sock" ] && [ $tries -gt 0 ]; do
	tries=$((tries - 1))
	sleep 0.1
done

# One plan for both: the witness reports first in the output, whoever ends first.
TRICOLOR_SOCKET=$dir/sock TRICOLOR_DAEMON=/nonexistent "$O/fuzz/witness" "$seconds" >"$dir/witness" 2>&1 &
witness=$!
"$O/fuzz/attack" "$dir/sock" "$daemon" "$seconds" "$seed" >"$dir/attack" 2>&1
attacked=$?
wait $witness
witnessed=$?

echo "TAP version 13"
echo "1..7"
grep -h -v '^TAP\|^1\.\.' "$dir/attack" "$dir/witness"
if [ $attacked -ne 0 ] || [ $witnessed -ne 0 ]; then
	echo "# repeat: SEED=$seed O=$O sh selftests/fuzz/run.sh $seconds"
	sed 's/^/# log: /' "$dir/log" | grep -v refused | tail -40
	exit 1
fi
