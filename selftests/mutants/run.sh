#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - whether the tests notice errors that are made on purpose
#
#	run.sh [NAME...]	all mutants, or those whose file name contains a NAME
#	run.sh -n [NAME...]	only whether each can be applied, as results of a test (TAP); seconds
#
# A copy of the tree is built once, and the closest test of each mutant must pass on it.  Then each
# file *.mutant is applied to it, built, and its test run: a test that fails, or hangs, has killed
# it.  Such a file says
#
#	what it is, in comment lines (#)
#	test PATH [WORD...]	a program below build/points/tests, and which of its tests
#	equivalent		it changes nothing: README.md has the argument, and it may survive
#	file PATH		a change to this file: the lines between <<<< and ====, which must
#				be
#	<<<<  ====  >>>>	in it once, are replaced by those between ==== and >>>>
#
# A test has 100 s, and when it has ended, every process that it started is ended (subreaper.c).
#
# Prints a line for each.  Status 1 if one survived that is not argued equivalent, or could not be
# applied or built.

set -u
cd "$(dirname "$0")/../.." || exit 1
here=$PWD
tree=$here/${O:-build}/mutants/tree
log=$here/${O:-build}/mutants/log
tests=build/points/tests
subreaper=build/points/tests/subreaper

applies_only=
[ "${1:-}" = -n ] && applies_only=1 && shift

if [ "$applies_only" ]; then
	tree=$here
else
	rm -rf "$tree" "$log"
	mkdir -p "$tree" "$log"
	git ls-files -co --exclude-standard | while read -r f; do
		[ -e "$f" ] && echo "$f"
	done | tar -cf - -T - | tar -xf - -C "$tree"
fi

# make that builds what test $1 needs, there; some load plugins, or run the tool.
build()
{
	make -C "$tree" -j2 POINTS=1 WERROR=0 lib daemon tool plugins "$subreaper" "$tests/$1" \
		>"$log/build" 2>&1
}

# Run the test of line $*; output in $log/$mutant.
run()
{
	program=$1
	shift
	(ulimit -c 0; cd "$tree" && "$subreaper" 100 "./$tests/$program" "$@") >"$log/$mutant" 2>&1
}

# Replace the blocks of $1 in the tree.  With -n nothing is written.
replace()
{
	(cd "$tree" && perl -e '
		my ($file, $state, $old, $new, %text) = ("", "", "", "");
		my $applies_only = shift;
		while (<>) {
			if ($state eq "" && /^file (\S+)/) { $file = $1; }
			elsif (/^<<<<$/) { ($state, $old, $new) = ("old", "", ""); }
			elsif (/^====$/) { $state = "new"; }
			elsif (/^>>>>$/) {
				if (!exists $text{$file}) {
					local $/; open(my $in, "<", $file) or die "no file $file\n";
					$text{$file} = <$in>; close($in);
				}
				my $n = () = $text{$file} =~ /\Q$old\E/g;
				if ($n != 1) { print "$file: found $n times:\n$old"; exit 1; }
				$text{$file} =~ s/\Q$old\E/$new/;
				$state = "";
			}
			elsif ($state eq "old") { $old .= $_; }
			elsif ($state eq "new") { $new .= $_; }
		}
		if ($state ne "" || !%text) { print "$ARGV: no change, or one without an end\n"; exit 1; }
		exit 0 if $applies_only;
		for $file (keys %text) {
			open(my $out, ">", $file) or die "$file: $!\n"; print $out $text{$file}; close($out);
		}
		' "$applies_only" "$1")
}

# What was there goes to $log/saved.
apply()
{
	rm -rf "$log/saved"
	mkdir -p "$log/saved"
	for file in $(sed -n 's/^file //p' "$1"); do
		[ -f "$tree/$file" ] || { echo "no file $file"; return 1; }
		mkdir -p "$log/saved/$(dirname "$file")"
		cp -p "$tree/$file" "$log/saved/$file"
	done
	replace "$1"
}

restore()
{
	(cd "$log/saved" && find . -type f) | while read -r f; do
		cp "$log/saved/$f" "$tree/$f"
	done
}

chosen=
for f in "$here"/selftests/mutants/*.mutant; do
	[ $# = 0 ] && chosen="$chosen $f"
	for word; do
		case ${f##*/} in
		*"$word"*)
			chosen="$chosen $f"
			break ;;
		esac
	done
done

if [ "$applies_only" ]; then
	# shellcheck disable=SC2086
	set -- $chosen
	echo "TAP version 13"
	echo "1..$#"
	failed=0 n=0
	for f; do
		n=$((n + 1))
		if what=$(replace "$f" 2>&1); then
			echo "ok $n $(basename "$f" .mutant)"
		else
			printf '%s\n' "$what" | sed 's/^/# /'
			echo "not ok $n $(basename "$f" .mutant)"
			failed=1
		fi
	done
	exit $failed
fi

# The tests as they are.
mutant=unchanged
sed -n 's/^test //p' $chosen | sort -u | while read -r line; do
	set -- $line
	build "$1" || { cat "$log/build"; exit 1; }
	run $line || { cat "$log/$mutant"; echo "$line: fails on the tree as it is"; exit 1; }
done || exit 1

killed=0 argued=0 survived=0 broken=0
for f in $chosen; do
	mutant=$(basename "$f" .mutant)
	line=$(sed -n 's/^test //p' "$f")
	set -- $line
	if ! apply "$f"; then
		result="ERROR: does not apply"
		broken=$((broken + 1))
	elif ! build "$1"; then
		grep -m 3 -E 'error' "$log/build"
		result="ERROR: does not build"
		broken=$((broken + 1))
	elif ! run $line; then
		result=killed
		killed=$((killed + 1))
	elif grep -q '^equivalent' "$f"; then
		result="survived, as argued"
		argued=$((argued + 1))
	else
		result=SURVIVED
		survived=$((survived + 1))
	fi
	printf '%-44s %s (%s)\n' "$mutant" "$result" "$line"
	restore
done
echo "$killed killed, $argued argued equivalent, $survived survived, $broken not applied or built"
[ "$survived" = 0 ] && [ "$broken" = 0 ]
