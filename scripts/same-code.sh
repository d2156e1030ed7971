#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Whether two revisions compile to the same code: for commits that say that they only move, rename
# or reword.
#
#	scripts/same-code.sh OLD [NEW]		two revisions; NEW is HEAD if it is not given
#
# Each is built in a folder of its own, without debug information.  Objects are compared section by
# section, byte by byte, and relocation by relocation.  A file that git takes for renamed is
# compared with what it was.  Names of symbols are not in the sections but in the relocations: they
# may change, but each old name must have become one new name everywhere, and no two names may have
# become the same one.  The script prints the names that changed and the objects that differ.  It
# ends with status 1 if the code is not the same.
set -eu

[ $# -ge 1 ] || { sed -n 's/^#\t/  /p' "$0" >&2; exit 2; }
old=$(git rev-parse --verify "$1^{commit}") new=$(git rev-parse --verify "${2-HEAD}^{commit}")
top=$(git rev-parse --show-toplevel)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM

for side in old new; do
	eval revision=\$$side
	mkdir "$tmp/$side"
	git -C "$top" archive "$revision" | tar -x -C "$tmp/$side"
	# -iquote and -I paths are relative, so the folder's own name is in no object.
	if ! make -s -C "$tmp/$side" -j"$(nproc)" CFLAGS='-O2 -g0' WERROR=0 all tests >"$tmp/$side.log" 2>&1; then
		tail -20 "$tmp/$side.log" >&2
		echo "same-code: $revision does not build" >&2
		exit 2
	fi
	(cd "$tmp/$side/build" && find obj pic -name '*.o' | sort) >"$tmp/$side.list"
done

# What an object consists of: contents on some lines, relocations on others.
describe() {
	objdump -s "$1" | sed -n '/^Contents of section/,$p' |
		awk '/^Contents of section/ { skip = /section \.(comment|note\.GNU-stack)/ } !skip'
	objdump -r "$1" | awk '/^RELOCATION/ { print } /^[0-9a-f]+ / { print "R", $1, $2, $3 }'
}

# "new path, old path" of each source file that moved.
git -C "$top" diff --no-ext-diff -M40% --diff-filter=R --name-status "$old" "$new" |
	awk '{ sub(/\.c$/, "", $2); sub(/\.c$/, "", $3); print $3, $2 }' >"$tmp/moved"

differ=0 compared=0
: >"$tmp/names"
while read -r object; do
	kind=${object%%/*} path=${object#*/}
	path=${path%.o}
	# X-none.o is X.c built without a library that it can use.
	none=
	case $path in
	*-none) none=-none path=${path%-none} ;;
	esac
	was=$(awk -v path="$path" '$1 == path { print $2 }' "$tmp/moved")
	was=$kind/${was:-$path}$none.o
	before=$tmp/old/build/$was
	if [ ! -e "$before" ]; then
		echo "only new: $object"
		differ=1
		continue
	fi
	echo "$was" >>"$tmp/seen"
	describe "$before" >"$tmp/a"
	describe "$tmp/new/build/$object" >"$tmp/b"
	compared=$((compared + 1))
	if ! awk '{ if ($1 == "R") sub(/^[^+-]*/, "", $4) } 1' "$tmp/a" >"$tmp/a.bare" ||
	   ! awk '{ if ($1 == "R") sub(/^[^+-]*/, "", $4) } 1' "$tmp/b" | cmp -s - "$tmp/a.bare"; then
		echo "differs: $object"
		differ=1
		continue
	fi
	paste "$tmp/a" "$tmp/b" | awk '$1 == "R" { sub(/[+-]0x.*/, "", $4); sub(/[+-]0x.*/, "", $8); print $4, $8 }' \
		>>"$tmp/names"
done <"$tmp/new.list"
sort -u "$tmp/seen" | comm -23 "$tmp/old.list" - | sed 's/^/only old: /' >"$tmp/gone"
[ ! -s "$tmp/gone" ] || { cat "$tmp/gone"; differ=1; }

sort -u "$tmp/names" >"$tmp/pairs"
awk '$1 != $2 { print "renamed: " $1 " -> " $2 }' "$tmp/pairs"
# Symbols of one file only (static data, local labels) may have one name in several files.
awk '{ if (($1 in to) && to[$1] != $2) print "two names for: " $1; to[$1] = $2
	if (($2 in from) && from[$2] != $1) print "one name for two: " $2; from[$2] = $1 }' "$tmp/pairs" >"$tmp/unclear"
[ ! -s "$tmp/unclear" ] || { cat "$tmp/unclear"; differ=1; }
echo "$compared objects compared: $([ $differ = 0 ] && echo the same code || echo not the same)"
exit $differ
