#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Which source files need each other in a circle.  A file needs another one if its object file
# refers to a symbol that the other one's defines.  The answer comes from the objects themselves
# (nm), so no call is overlooked and no comment is mistaken for one.
#
#	scripts/circles.sh FOLDER...	folders of a build, such as build/obj/daemon, and those below
#	scripts/circles.sh -f FOLDER...	the same between folders instead of files
#	scripts/circles.sh -e FOLDER...	each edge inside a circle, with the symbols that make it
#
# An object counts even if its source is gone.  So name the object files instead of folders where a
# folder has old ones.  The script ends with status 1 if there is a circle.
set -eu

mode=files
case ${1-} in
-f) mode=folders; shift ;;
-e) mode=edges; shift ;;
esac
[ $# -gt 0 ] || { sed -n 's/^#\t/  /p' "$0" >&2; exit 2; }

find "$@" -name '*.o' ! -name '*-none.o' | sort | while read -r object; do
	echo "O $object"
	"${NM:-nm}" -P "$object" | awk '{ print $2, $1 }'
done | awk -v mode="$mode" '
	# The strongly connected components of the graph, by Tarjan: one that has more than one node
	# is a circle.
	function visit(node,   parts, i, to, n) {
		order[node] = low[node] = ++clock
		stack[++depth] = node; waiting[node] = 1
		n = split(next_of[node], parts, " ")
		for (i = 1; i <= n; i++) {
			to = parts[i]
			if (!(to in order)) {
				visit(to)
				if (low[to] < low[node]) low[node] = low[to]
			} else if (waiting[to] && order[to] < low[node])
				low[node] = order[to]
		}
		if (low[node] != order[node]) return
		circles++; size[circles] = 0; names[circles] = ""
		do {
			to = stack[depth--]; waiting[to] = 0
			circle_of[to] = circles; size[circles]++; names[circles] = names[circles] " " to
		} while (to != node)
	}
	$1 == "O" {
		object = $2; sub(/\.o$/, "", object); sub(/^.*\/(obj|pic)\//, "", object)
		if (mode == "folders") sub(/\/[^\/]*$/, "", object)
		if (!(object in nodes)) { nodes[object] = 1; list[++count] = object }
		next
	}
	$1 ~ /^[TDBRVWC]$/ { defined_in[$2] = object; next }
	$1 == "U" { uses[object] = uses[object] " " $2 }
	END {
		for (i = 1; i <= count; i++) {
			from = list[i]; n = split(uses[from], symbols, " ")
			for (j = 1; j <= n; j++) {
				if (!(symbols[j] in defined_in)) continue
				to = defined_in[symbols[j]]
				if (to == from) continue
				if (!((from, to) in by)) { next_of[from] = next_of[from] " " to; edges++ }
				by[from, to] = by[from, to] " " symbols[j]
			}
		}
		for (i = 1; i <= count; i++)
			if (!(list[i] in order)) visit(list[i])
		for (i = 1; i <= circles; i++) {
			if (size[i] < 2) continue
			found++; inside += size[i]
			print "circle of " size[i] ":" names[i]
		}
		if (mode == "edges")
			for (i = 1; i <= count; i++) {
				n = split(next_of[list[i]], parts, " ")
				for (j = 1; j <= n; j++)
					if (circle_of[parts[j]] == circle_of[list[i]])
						print "  " list[i] " -> " parts[j] ":" by[list[i], parts[j]]
			}
		printf "%d nodes, %d edges, %d circles with %d nodes\n", count, edges, found, inside
		exit found > 0
	}'
