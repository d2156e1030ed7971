#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - whether the tree keeps its structure; results as TAP
#
#	sh selftests/structure/run.sh		after make; O is the build folder (default build)
#
# 1. A folder includes headers of no other than those below it.
# 2. No header includes a .c file.
# 3. Files of a folder need each other in no circle but those that the file `circles` beside this
#    one allows, each with its reason, or a part of such a one.  scripts/circles.sh -e names the
#    symbols that make a circle.
# 4. The library's folders need each other in none at all.

set -u
O=${O:-build}
cd "$(dirname "$0")/../.." || exit 2
here=selftests/structure
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM

folders='core|daemon|libclient|tools|kmod|selftests|bench|examples'
n=0
point()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		echo "not ok $n $2"
	fi
}

# includes FOLDER OTHER...: headers that FOLDER may name, beside its own, are in OTHER folders.
includes()
{
	folder=$1
	shift
	allowed=$folder
	for other; do
		allowed="$allowed|$other"
	done
	# What is named from the top, and what from the file's own folder.
	grep -rnE --include='*.[ch]' "^#[ \t]*include \"(\.\./)*($folders)/" "$folder" |
		grep -vE "include \"(\.\./)*($allowed)/" >"$tmp/wrong"
	sed 's/^/# /' "$tmp/wrong"
	[ ! -s "$tmp/wrong" ]
	point $? "$folder includes nothing of other folders${1:+ but $*}"
}

# circles FOLDER PLACE: of the objects that are built from FOLDER's files, below PLACE.
circles()
{
	find "$1" -name '*.c' ! -path '*/static/*' | sort | while read -r source; do
		object=$O/$2/${source%.c}.o
		# Some are built for tests only.
		[ ! -e "$object" ] || echo "$object"
	done >"$tmp/objects"
	# shellcheck disable=SC2046
	sh scripts/circles.sh $(cat "$tmp/objects") | sed -n 's/^circle of [0-9]*: //p' >"$tmp/found"
	awk -v folder="$1/" '
		FNR == 1 { part++ }
		part == 1 && /^([# \t]|$)/ { inside = 0 }
		part == 1 && index($0, folder) == 1 {
			if (!inside) allowed++
			inside = 1
			for (i = 1; i <= NF; i++)
				member[allowed, $i] = 1
		}
		part == 2 {
			least = NF
			for (c = 1; c <= allowed; c++) {
				count = 0
				names = ""
				for (i = 1; i <= NF; i++)
					if (!((c, $i) in member)) {
						count++
						names = names " " $i
					}
				if (count < least) {
					least = count
					extra = names
				}
			}
			if (!least)
				next
			print "# " (least == NF ? "a new circle: " $0 : "new in a circle:" extra)
			bad = 1
		}
		END { exit bad }' "$here/circles" "$tmp/found"
	point $? "files of $1 form no circle that is not allowed"
}

echo "TAP version 13"
echo "1..12"
includes core
includes libclient core
includes daemon core
includes tools core
includes kmod
includes examples

echo "$folders" | tr '|' '\n' | xargs grep -rnE --include='*.h' '^#[ \t]*include ".*\.c"' >"$tmp/wrong"
sed 's/^/# /' "$tmp/wrong"
[ ! -s "$tmp/wrong" ]
point $? "no header includes a .c file"

[ -s "$O/obj/tools/tricolor.o" ] || { echo "Bail out! $O is not built: make first"; exit 1; }
circles core obj
circles daemon obj
circles tools obj
circles libclient pic

find libclient -name '*.c' ! -path '*/static/*' | sed "s,^\(.*\)c\$,$O/pic/\1o," >"$tmp/objects"
# shellcheck disable=SC2046
sh scripts/circles.sh -f $(cat "$tmp/objects") >"$tmp/folders"
result=$?
sed 's/^/# /' "$tmp/folders"
point $result "folders of libclient form no circle"
