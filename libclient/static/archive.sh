#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# archive.sh AR NM LD OBJCOPY ARCHIVE NAMES MEMBERS OBJECT… - make libtricolor.a
#
# All objects become one, so that whoever links one function of the library stands behind all that the library
# stands in front of.  MEMBERS stays an object of its own: what it says must reach the program's linker.
# A function of the C library that NAMES has no other name for can't be stood in front of in a program that is
# linked statically: there the program gets the C library's.

set -e
ar=$1 nm=$2 ld=$3 objcopy=$4 archive=$5 names=$6 members=$7
shift 7

work=$archive.d
rm -rf "$work" "$archive"
mkdir -p "$work"
sed -n 's/^X(\([a-z_A-Z0-9]*\),.*/\1/p' "$names" | sort >"$work/named"

for object in "$@"; do
	# Our own symbols and those that are hidden stay as they are.
	$nm -g --defined-only "$object" | awk '$2 == "T" { print $3 }' | grep -v '^tri_' | sort |
		comm -23 - "$work/named" | sed 's/.*/& tri__not_static_&/' >"$work/renamed"
	copy=$work/$(echo "$object" | tr / _)
	$objcopy --redefine-syms="$work/renamed" "$object" "$copy"
	set -- "$@" "$copy"
	shift
done
$ld -r -o "$work/tricolor.o" "$@"
cp "$members" "$work/members.o"
$ar rcs "$archive" "$work/tricolor.o" "$work/members.o"
rm -r "$work"
