#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# style.sh - what `make style` checks
#
#	1. Each file names its licence, the one of its folder, on line 1 (line 2 after #!).
#	2. No line is over 100 columns, with tabs of 8, or has blanks at its end.  Up to 120 are for
#	   lines of C that have a string, which is in one piece so that it can be searched for, and
#	   for commands in scripts and Makefiles.  Mutants quote other files.
#	3. C is formatted as clang-format would, in all but what is the author's choice: where a
#	   statement is broken over lines, and how its continuation, comments at the end of a
#	   line and backslashes are aligned.  A table or an asm reads better as its author set it.

set -u
cd "$(dirname "$0")/.." || exit 2

list=$(mktemp) && formatted=$(mktemp) || exit 2
trap 'rm -f "$list" "$formatted"' EXIT
bad=0

# A file of the kernel's own is as the kernel has it, and the ABI file is in its form.
find . \( -path ./.git -o -path ./build -o -path ./LICENSES -o -path ./Documentation/ABI \
	-o -path ./selftests/interface/genetlink.yaml \) -prune -o \
	-type f ! -name '*.md' ! -name LICENSE -print | sed 's|^\./||' | sort >"$list"

licence_of()
{
	case $1 in
	kmod/uapi/*) echo 'GPL-2.0-only WITH Linux-syscall-note' ;;
	libclient/* | core/* | examples/*) echo LGPL-2.1-or-later ;;
	*) echo GPL-2.0-only ;;
	esac
}

while read -r file; do
	want="SPDX-License-Identifier: $(licence_of "$file")"
	line=$(sed -n '1 { /^#!/ n; p; q; }' "$file" | sed 's| \*/$||')
	case $line in
	*"$want") ;;
	*)
		echo "$file:1: does not say $want"
		bad=1
		;;
	esac
done <"$list"

# Bytes that continue a UTF-8 character take no column.
while read -r file; do
	LC_ALL=C tr -d '\200-\277' <"$file" | expand | awk -v file="$file" '
		BEGIN {
			most = 100
			if (file ~ /\.(sh|mk)$|Makefile$|completion/)
				most = 120
			if (file ~ /\.mutant$/)
				most = 1000
		}
		length($0) > most && !(/"/ && length($0) <= 120) {
			print file ":" NR ": " length($0) " columns"
			bad = 1
		}
		/[ \t]$/ { print file ":" NR ": blank at the end of the line"; bad = 1 }
		END { exit bad }' || bad=1
done <"$list"

if ! command -v clang-format >/dev/null; then
	echo "style: clang-format is missing: install the package of that name" >&2
	exit 1
fi

# A difference counts if it is in more than blanks, line breaks and backslashes; or in the
# indentation of the first line of a statement; or in where a brace stands.
# shellcheck disable=SC2016
significant='
function squeeze(text) {
	gsub(/[ \t\n\\]+/, " ", text)
	gsub(/[({[] /, "&\001", text)
	gsub(/ \001/, "", text)
	gsub(/ [)}\]]/, "\001&", text)
	gsub(/\001 /, "", text)
	gsub(/, }/, "}", text)
	gsub(/,}/, "}", text)
	gsub(/\)& ?/, ") \\& ", text)		# clang-format 14 takes (a) & b for a cast
	gsub(/^ | $/, "", text)
	return text
}
function indentation(text) {
	sub(/^([ \t]*\\?\n)+/, "", text)
	match(text, /^[ \t]*/)
	return substr(text, 1, RLENGTH)
}
function starts_statement(line) {
	while (line > 0 && source[line] ~ /^[ \t]*$/)
		line--
	return line < 1 || source[line] ~ /([;{}:]|\*\/|\\)[ \t]*$/ || source[line] ~ /;[ \t]*\/\*/
}
function is_choice() {
	return squeeze(old) == squeeze(new) &&
	       old !~ /(^|\n)[ \t]*{\n/ && new !~ /(^|\n){\n/ &&
	       (indentation(old) == indentation(new) || !starts_statement(first - 1))
}
function report() {
	if (first && !is_choice()) {
		printf "%s:%d: clang-format would write:\n%s", file, first, new
		bad = 1
	}
	first = 0
	old = new = ""
}
NR == FNR { source[FNR] = $0; next }
/^@@/ {
	split(substr($2, 2), range, ",")
	begin = range[1] + (range[2] == "0")
	# diff may cut one change into several at lines that happen to be equal.
	if (!first || is_choice() || begin - next_line > 12)
		report()
	if (!first)
		first = begin
	else
		for (; next_line < begin; next_line++) {
			old = old source[next_line] "\n"
			new = new source[next_line] "\n"
		}
	next_line = begin + (range[2] == "" ? 1 : range[2])
	next
}
/^-/ && first { old = old substr($0, 2) "\n" }
/^\+/ && first { new = new substr($0, 2) "\n" }
END { report(); exit bad }'

grep '\.[ch]$' "$list" >"$list.c"
while read -r file; do
	clang-format --style=file "$file" >"$formatted" || exit 2
	diff -U0 "$file" "$formatted" | awk -v file="$file" "$significant" "$file" - || bad=1
done <"$list.c"
rm -f "$list.c"

[ $bad -eq 0 ] && echo "style: $(wc -l <"$list") files checked"
exit $bad
