#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# style.sh - whether files have the form that this project writes in
#
#	sh scripts/style.sh		print what is wrong; status 1 if anything is
#	sh scripts/style.sh -t		the same as results of a test (TAP)
#
#	1. Each file names its licence, the one of its folder, on line 1 (line 2 after #!).
#	2. No line is over 100 columns, with tabs of 8, or has blanks at its end.  Up to 120 columns
#	   are for lines that would lose by a break: a line of C that has a string, which is in one
#	   piece so that it can be searched for, a command in a script or a Makefile, and a
#	   transition of a model, which is one step (Promela).  There is no limit for mutants, which
#	   quote other files, and for the two tables of tests that scripts read line by line.
#	3. C is formatted as clang-format 14 would, in all but what is the author's choice: where a
#	   statement is broken over lines, and how its continuation, comments at the end of a
#	   line and backslashes are aligned.  A table or an asm reads better as its author set it.
#	   A block within a call, NAME({ ... }), is indented like any block.  kmod/trace.h is in
#	   the kernel's form of tracepoints, whose macros are no calls.

set -u
cd "$(dirname "$0")/.." || exit 2

as_test=
[ "${1:-}" = -t ] && as_test=1
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM
list=$tmp/list
bad=0
points=0

# result NAME: the rule of this name has found what is in $tmp/found.
result()
{
	points=$((points + 1))
	[ ! -s "$tmp/found" ] || bad=1
	if [ ! "$as_test" ]; then
		cat "$tmp/found"
	elif [ -s "$tmp/found" ]; then
		sed 's/^/# /' "$tmp/found"
		echo "not ok $points $1"
	else
		echo "ok $points $1"
	fi
}

if [ "$as_test" ]; then
	echo "TAP version 13"
	echo "1..3"
fi

# A file of the kernel's own is as the kernel has it, and the ABI file is in its form.
find . \( -path ./.git -o -path ./build -o -path ./LICENSES -o -path ./Documentation/ABI \
	-o -path ./selftests/interface/genetlink.yaml \) -prune -o \
	-type f ! -name '*.md' ! -name LICENSE -print | sed 's|^\./||' | sort >"$list"

xargs awk '
	function licence_of(file) {
		if (file ~ /^kmod\/uapi\//)
			return "GPL-2.0-only WITH Linux-syscall-note"
		if (file ~ /^(libclient|core|examples)\//)
			return "LGPL-2.1-or-later"
		return "GPL-2.0-only"
	}
	# The licence stands in the first line that is none of #!.
	FNR == 1 { seen = 0 }
	!seen && !(FNR == 1 && /^#!/) {
		seen = 1
		named[FILENAME] = 1
		want = "SPDX-License-Identifier: " licence_of(FILENAME)
		line = $0
		sub(/ \*\/$/, "", line)
		if (substr(line, length(line) - length(want) + 1) != want &&
		    index(line, want "\"") == 0 && index(line, want " -->") == 0)
			print FILENAME ":" FNR ": does not say " want
	}
	END {
		for (i = 1; i < ARGC; i++)
			if (!(ARGV[i] in named))
				print ARGV[i] ":1: says no licence"
	}' <"$list" >"$tmp/found"
result "each file names its licence"

# Bytes that continue a UTF-8 character take no column.
LC_ALL=C xargs awk '
	function columns(line,    parts, n, i, at) {
		gsub(/[\200-\277]/, "", line)
		if (index(line, "\t") == 0)
			return length(line)
		n = split(line, parts, "\t")
		for (i = 1; i < n; i++) {
			at += length(parts[i])
			at += 8 - at % 8
		}
		return at + length(parts[n])
	}
	FNR == 1 {
		most = FILENAME ~ /\.(sh|mk|pml)$|Makefile$|completion/ ? 120 : 100
		if (FILENAME ~ /\.mutant$/ || FILENAME == "selftests/model/tests" ||
		    FILENAME == "selftests/vm/manifest")
			most = 1e9
	}
	{
		n = columns($0)
		if (n > most && !(/"/ && n <= 120))
			print FILENAME ":" FNR ": " n " columns"
	}
	/[ \t]$/ { print FILENAME ":" FNR ": blank at the end of the line" }' <"$list" >"$tmp/found"
result "no line is too long or has blanks at its end"

if ! command -v clang-format >/dev/null; then
	if [ "$as_test" ]; then
		echo "ok 3 # SKIP clang-format is missing: install the package of that name"
		exit $bad
	fi
	echo "style: clang-format is missing: install the package of that name" >&2
	exit 1
fi
# Another version formats some things differently, so its findings would not be about this tree.
if [ "$as_test" ] && ! clang-format --version | grep -q 'version 14\.'; then
	echo "ok 3 # SKIP the sources are formatted as clang-format 14 does, and this is another"
	exit $bad
fi

# A difference counts if it is in more than blanks, line breaks and backslashes; or in the
# indentation of the first line of a statement; or in where a brace stands.  It does not count where
# clang-format 14 misreads the code: it takes a mask (a) & b for a cast, a string after a cast for
# one after a name, and a pointer to a struct without a name for a product.  Nor does it count after
# the name of a fixture, whose macro ends with an equals sign, or in the indentation within
# NAME({ ... }).
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
	gsub(/\)& ?/, ") \\& ", text)
	gsub(/\) "/, ")\"", text)
	gsub(/} \* /, "} *", text)
	if (text ~ /FIXTURE/)
		gsub(/\) {/, "){", text)
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
	return line < 1 || source[line] ~ /([;{}]|\*\/|\\)[ \t]*$/ ||
	       source[line] ~ /^[ \t]*(case .*|[a-z_]+):$/ || source[line] ~ /;[ \t]*\/\*/
}
function is_choice() {
	return squeeze(old) == squeeze(new) &&
	       old !~ /(^|\n)[ \t]*{\n/ && new !~ /(^|\n){\n/ &&
	       (indentation(old) == indentation(new) || !starts_statement(first - 1) || within[first])
}
function report() {
	if (first && !is_choice()) {
		printf "%s:%d: clang-format would write:\n%s", file, first, new
	}
	first = 0
	old = new = ""
}
NR == FNR {
	source[FNR] = $0
	if (margin && index($0, margin "}") == 1)
		margin = ""
	if (margin)
		within[FNR] = 1
	else if (/\(\{$/ && match($0, /^\t+/))
		margin = substr($0, 1, RLENGTH)
	next
}
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
END { report() }'

# Several at a time: most of the time is spent here.
printf '%s\n' "$significant" >"$tmp/significant"
grep '\.[ch]$' "$list" | grep -vxF kmod/trace.h | xargs -P "$(nproc)" -n 40 sh -c '
	tmp=$0
	for file; do
		clang-format --style=file "$file" >"$tmp/formatted.$$" || exit 255
		diff -U0 "$file" "$tmp/formatted.$$" >"$tmp/differences.$$" && continue
		awk -v file="$file" -f "$tmp/significant" "$file" "$tmp/differences.$$" \
			>>"$tmp/found.$$" || exit 255
	done' "$tmp" || exit 2
cat "$tmp"/found.* 2>/dev/null >"$tmp/found"
result "C is formatted as clang-format would"
exit $bad
