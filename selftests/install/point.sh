# SPDX-License-Identifier: GPL-2.0-only
#
# point.sh - to be sourced, from the top of the tree: a folder to work in, and points of TAP

# Settings of the make that runs us are not meant for the ones that we run.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR PREFIX SANITIZE O KVER KDIR KMOD_O

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
points=0
failures=0

version=$(awk '/define TRI_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $3; dot = "." }
	END { print v }' libclient/include/tricolor.h)

# Run "$2"... and report whether it succeeded; show what it said if not.
point()
{
	what=$1
	shift
	points=$((points + 1))
	if "$@" >"$work/output" 2>&1; then
		echo "ok $points $what"
	else
		sed 's/^/# /' "$work/output"
		echo "not ok $points $what"
		failures=$((failures + 1))
	fi
}

skip()
{
	points=$((points + 1))
	echo "ok $points # SKIP $1"
}
