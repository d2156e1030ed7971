# SPDX-License-Identifier: GPL-2.0-only
#
# tap.awk - from what the VM said to one stream of TAP
#
# First file: the VM's list of programs, name in the second column.  Second file: the results port,
# as init.h describes it.  Variables: status, QEMU's; limit, seconds that it had; release.
#
# The points of all programs are counted through.  A program counts as one failure more for each
# problem that process 1 found, if its status or its plan does not fit its points, or if the VM died
# in it; programs that never ran are failures.

BEGIN {
	print "TAP version 13"
	# Process 1 has run to its end: 2 * 0x10 + 1.
	DONE = 33
}

function point(ok, text) {
	points++
	if (!ok)
		failures++
	print (ok ? "ok " : "not ok ") points " " text
}

function finish(    seen) {
	seen = passed + failed + skipped
	if (planned > 0 && seen != planned)
		point(0, name ": planned " planned " points and reported " seen)
	else if (planned < 0 && name !~ /^vm\//)
		point(0, name ": reported no plan")
	if (name ~ /^vm\//)
		planned = 0
}

FNR == NR {
	if ($2 != "")
		expected[++programs] = $2
	next
}

{ sub(/\r$/, "") }

/^@begin / {
	name = $2
	passed = failed = skipped = problems = 0
	planned = -1
	began[name] = 1
	running = 1
	next
}

/^@problem / {
	problems++
	point(0, name ": " substr($0, 10))
	next
}

/^@end / {
	split($3, s, "=")
	split($4, ms, "=")
	finish()
	if (s[2] == 4 && skipped && !passed && !failed)
		s[2] = 0
	if (s[2] == 1 && failed)
		s[2] = 0
	if (s[2] != 0 && !problems)
		point(0, name ": ended with status " s[2])
	if (name ~ /^vm\// && !problems)
		point(1, name " on " release)
	printf "# %s took %.1f s\n", name, ms[2] / 1000
	running = 0
	next
}

/^@done/ { done = 1; next }
/^@/ { print "# " substr($0, 2); next }

/^1\.\.[0-9]+/ {
	planned = substr($1, 4) + 0
	if (planned == 0 && !/SKIP/) {
		failed++
		point(0, name ": planned no point")
	} else if (planned == 0) {
		sub(/^[^#]*#? *(SKIP *)?/, "")
		skipped++
		points++
		print "ok " points " # SKIP " name ": " $0
	}
	next
}

/^ok [0-9]+/ {
	sub(/^ok [0-9]+ *(- )?/, "")
	if (match($0, /# SKIP */)) {
		skipped++
		points++
		print "ok " points " # SKIP " name ": " substr($0, RSTART + RLENGTH)
	} else {
		passed++
		point(1, name ": " $0)
	}
	next
}

/^not ok [0-9]+/ {
	failed++
	sub(/^not ok [0-9]+ *(- )?/, "")
	point(0, name ": " $0)
	next
}

/^Bail out!/ {
	failed++
	point(0, name ": " $0)
	# Nobody planned this point.
	planned = -2
	next
}

/^TAP version/ { next }
{ print (/^#/ ? "" : "# ") $0 }

END {
	if (running)
		point(0, name ": the VM came to its end in it")
	for (i = 1; i <= programs; i++)
		if (!(expected[i] in began))
			point(0, expected[i] ": never ran")
	if (status == 124 || status == 137)
		point(0, "the VM took longer than " limit " s")
	else if (status != DONE)
		point(0, "the VM ended by itself, with status " status " of the emulator")
	else if (!done)
		point(0, "the VM was turned off early")
	while ((getline line < never) > 0) {
		split(line, words)
		sub(/^[^ \t]+[ \t]*/, "", line)
		print "ok " ++points " # SKIP " words[1] ": " line
	}
	print "1.." points
	exit failures != 0
}
