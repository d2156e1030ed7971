#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh - install into a folder, and use only what is there
#
# Programs in C and C++ are built with the flags that the installed tricolor.pc gives, and run with
# an empty environment: the library must find the collector that was installed with it, also after
# the whole tree was moved.  What is installed is compared with what the header declares.

set -u
cd "$(dirname "$0")/../.." || exit 1

. selftests/install/point.sh
prefix=$work/prefix

# Its own build folder, as another PREFIX builds some of the library again.
install_into()
{
	make O=build/install PREFIX="$1" ${2:+DESTDIR="$2"} install
}

files_below()
{
	(cd "$1" && find . ! -type d | sort)
}

expect_files()
{
	sort >"$work/expected" <<-END
	./bin/tricolor
	./include/tricolor.h
./include/tricolor.hpp
	./include/tricolor/any.h
	./include/tricolor/inline.h
	./include/tricolor/type.h
	./lib/libtricolor.a
	./lib/libtricolor.so
	./lib/libtricolor.so.${version%%.*}
	./lib/libtricolor.so.$version
	./lib/pkgconfig/tricolor.pc
	./lib/systemd/system/tricolord.service
	./libexec/tricolor/tricolor-marker
	./sbin/tricolord
	./share/bash-completion/completions/tricolor
	./share/man/man1/tricolor.1
	./share/man/man5/tricolord.conf.5
	./share/man/man7/tricolor.7
	./share/man/man8/tricolord.8
	END
	[ "$2" = etc ] && echo ./etc/tricolor/tricolord.conf >>"$work/expected"
	sort -o "$work/expected" "$work/expected"
	files_below "$1" | diff "$work/expected" -
}

# A variable or field of the installed tricolor.pc, with its variables put in.
pc_field()
{
	awk -v want="$1" '
		{
			while (match($0, /\$\{[a-z]+\}/))
				$0 = substr($0, 1, RSTART - 1) \
					value[substr($0, RSTART + 2, RLENGTH - 3)] \
					substr($0, RSTART + RLENGTH)
		}
		match($0, /^[A-Za-z.]+(=|: *)/) {
			name = substr($0, 1, RLENGTH)
			gsub(/[=: ]/, "", name)
			value[name] = substr($0, RLENGTH + 1)
		}
		END { print value[want] }' "$prefix/lib/pkgconfig/tricolor.pc"
}

# What the pragma of tricolor.h says too.
unhidden="-fno-ivopts -fno-tree-ter -fno-tree-slsr -fno-predictive-commoning"

pc_is_right()
{
	echo "Version: $(pc_field Version)"
	echo "Cflags: $(pc_field Cflags)"
	echo "Libs: $(pc_field Libs)"
	[ "$(pc_field Version)" = "$version" ] &&
		[ "$(pc_field Cflags)" = "-I$prefix/include $unhidden" ] &&
		[ "$(pc_field Libs)" = "-L$prefix/lib -ltricolor" ]
}

# What the header declares for programs is what the library exports under a version; all else that
# it exports are functions of the C library that it stands in front of.
exports_are_right()
{
	nm -D --defined-only --with-symbol-versions "$prefix/lib/libtricolor.so" |
		awk '$2 != "A" { print $3 }' | sort >"$work/exported"
	${CC:-gcc} -E -P -x c -DTRI_NO_INLINE "$prefix/include/tricolor.h" | tr '\n' ' ' |
		grep -oE '\btri_[a-z][a-z_]* ?\(|\btri__(alloc|store|poll)_slow ?\(' | tr -d ' (' |
		grep -vx tri_keep_alive | sed 's/^tri__.*/&_v1/' | { cat; echo tri__tls_v1; echo tri__unload; } |
		sort -u >"$work/declared"
	sed -n 's/@@TRICOLOR_.*//p' "$work/exported" | diff "$work/declared" - || return 1
	grep -v @ "$work/exported" | while read -r name; do
		printf 'char %s(void); int main(void) { return %s(); }\n' "$name" "$name" |
			${CC:-gcc} -fno-builtin -x c -o "$work/probe" - || exit 1
	done
}

cat >"$work/program.c" <<'END'
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tricolor.h>
#include <tricolor/any.h>

struct node {
	struct node *next;
	long value;
};

TRI_TYPE(node_type, struct node, next);
static TRI_ANY_TYPE_TYPED(any_node, struct node, node_type);
static TRI_ANY_TYPE_LEAF(any_double, double);

static struct node *head;

/* A box and a number. */
static int any_is_right(void)
{
	struct tri_any *any = tri_new(struct tri_any);
	struct node in, out;
	double x = 0.5, y;

	in.next = tri_new_typed(node_type);
	in.value = 7;
	tri_any_store(any, tri_any_new(&any_node, &in));
	if (!tri_any_get(tri_any_load(any), &any_node, &out) || out.next != in.next ||
	    out.value != 7)
		return 0;
	tri_any_store(any, tri_any_new(&any_double, &x));
	return tri_any_get(tri_any_load(any), &any_double, &y) && y == x;
}

/* Make a list among garbage, collect, and say which collector did it. */
int main(void)
{
	struct tri_stats stats;
	char link[64], path[PATH_MAX];
	struct node *n;
	ssize_t length;
	long i, sum = 0;

	for (i = 0; i < 100000; i++) {
		if (i % 100) {
			n = (struct node *)tri_alloc(sizeof(*n));
			continue;
		}
		n = (struct node *)tri_alloc_typed(&node_type, 1);
		if (!n)
			return 1;
		n->value = i;
		tri_store(&n->next, head);
		tri_store(&head, n);
	}
	if (tri_gc()) {
		fprintf(stderr, "tri_gc: %s\n", tri_error());
		return 1;
	}
	for (n = head; n; n = n->next)
		sum += n->value;
	memset(&stats, 0, sizeof(stats));
	stats.size = sizeof(stats);
	if (tri_read_stats(&stats) || !stats.collector_pid || !stats.cycles)
		return 1;
	snprintf(link, sizeof(link), "/proc/%lu/exe", (unsigned long)stats.collector_pid);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return 1;
	path[length] = 0;
	puts(path);
	return sum != 49950000 || !any_is_right();
}
END
cp "$work/program.c" "$work/program.cc"
cat >"$work/tree.cc" <<'END'
#include <tricolor.hpp>

#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

struct node {
	tri::ptr<node> left, right;
	std::optional<tri::ptr<node>> parent;
	long key;
	explicit node(long k) : key(k) {}
};
TRI_POINTERS(node, left, right, parent);

using nodes = std::vector<tri::ptr<node>, tri::allocator<tri::ptr<node>>>;
using optional = std::optional<tri::ptr<node>>;

static tri::ptr<node> tree = nullptr;
static nodes all;
static std::deque<optional, tri::allocator<optional>> queue;
static std::map<long, tri::ptr<node>, std::less<>, tri::allocator<std::pair<const long, tri::ptr<node>>>>
	by_key;
static std::unordered_map<tri::ptr<node>, long, std::hash<tri::ptr<node>>, std::equal_to<>,
			  tri::allocator<std::pair<const tri::ptr<node>, long>>> keys;

static node *make(long key, int depth)
{
	node *n = tri::make<node>(key);

	if (depth) {
		n->left = make(2 * key, depth - 1);
		n->right = make(2 * key + 1, depth - 1);
		n->left->parent = n;
	}
	all.push_back(n);
	by_key[key] = n;
	keys[n] = key;
	queue.push_front(n);
	return n;
}

int main()
{
	tri::ptr<int> numbers = tri::make<int[]>(100);
	tri::root<node> kept;

	tree = make(1, 10);
	kept = tree;
	if (tri_gc())
		return 1;
	for (node *n : all)
		if (by_key[n->key] != n || keys[n] != n->key)
			return 1;
	return !(kept->left->parent == kept.get() && queue.front() == tree && numbers[99] == 0);
}
END

# A library that uses the heap, and what its users see of it.
cat >"$work/table.h" <<'END'
void *table_new(long value);
void table_drop(void);
void *table_get(void);
int table_collect(void);
int table_right(const void *entry, long value);
int table_in_thread(void);
END
cat >"$work/table.c" <<'END'
#include <string.h>

#include <tricolor.h>

#include "table.h"

struct entry {
	struct entry *next;
	long value, check;
};

static struct entry *only;

void *table_new(long value)
{
	struct entry *e = tri_alloc(sizeof(*e));

	if (e) {
		e->value = value;
		e->check = ~value;
		tri_store(&only, e);
	}
	return e;
}

void *table_get(void)
{
	return only;
}

void table_drop(void)
{
	tri_store(&only, (struct entry *)NULL);
}

int table_collect(void)
{
	int err = tri_gc() || tri_gc();
	int i;

	for (i = 0; i < 20000; i++)
		memset(tri_alloc(sizeof(struct entry)), 0x55, sizeof(struct entry));
	return err;
}

int table_right(const void *entry, long value)
{
	const struct entry *e = entry;

	return e->value == value && e->check == ~value;
}

static void *give_back(void *entry)
{
	return table_collect() ? NULL : entry;
}

/* An argument, and a result, that are nowhere else. */
int table_in_thread(void)
{
	pthread_t thread;
	void *result;

	if (!table_new(4) || pthread_create(&thread, NULL, give_back, table_get()))
		return 0;
	table_drop();
	return !table_collect() && !pthread_join(thread, &result) && result && table_right(result, 4);
}
END
# It has never heard of tricolor.
cat >"$work/user.c" <<'END'
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "table.h"

static volatile int loaded, go_on;

static void *hold(void *unused)
{
	void *volatile entry = table_get();

	loaded = 1;
	while (!go_on)
		sched_yield();
	return table_right(entry, 3) ? unused : NULL;
}

static pthread_key_t key;
static __thread void *variable;

/* In the last of 50 keys, which is not in the thread's descriptor, or in a variable of the thread. */
static __attribute__((noinline)) int keep(int in_variable)
{
	int i;

	if (!table_new(5 + in_variable))
		return 0;
	if (in_variable)
		variable = table_get();
	for (i = 0; i < 50 && !in_variable; i++)
		if (pthread_key_create(&key, NULL))
			return 0;
	if (!in_variable && pthread_setspecific(key, table_get()))
		return 0;
	table_drop();
	return 1;
}

int main(void)
{
	pthread_t thread;
	void *right;

	if (!keep(0) || !keep(1) || table_collect() || !table_right(pthread_getspecific(key), 5) ||
	    !table_right(variable, 6))
		return 4;
	if (!table_new(3) || pthread_create(&thread, NULL, hold, (void *)1))
		return 1;
	while (!loaded)
		sched_yield();
	table_drop();
	if (table_collect())
		return 2;
	go_on = 1;
	pthread_join(thread, &right);
	if (!right || !table_in_thread())
		return 3;
	puts("right");
	return 0;
}
END

# The program links the library, and the library the collected heap: the C library comes first.
hidden_in_a_library()
{
	# shellcheck disable=SC2046
	${CC:-gcc} -Wall -Wextra -Werror -O2 -shared -fPIC $(pc_field Cflags) "$work/table.c" \
		-o "$work/libtable.so" $(pc_field Libs) "$rpath" || return 1
	${CC:-gcc} -Wall -Wextra -Werror -O2 "$work/user.c" -o "$work/user" -L"$work" -ltable \
		-Wl,-rpath,"$work" -Wl,-rpath-link,"$prefix/lib" -pthread || return 1
	[ "$(env -i "$work/user")" = right ]
}

# Without /proc as well, nobody can know of the program's threads: then the library says so.
threads_are_unknown()
{
	env -i TRICOLOR_DAEMON="$prefix/sbin/tricolord" \
		unshare -m sh -c 'mount -t tmpfs none /proc && exec "$0"' "$work/user" 2>"$work/said"
	cat "$work/said"
	[ "$(grep -c 'threads that never call it may lose objects' "$work/said")" = 1 ]
}

linked_statically()
{
	# shellcheck disable=SC2046
	${CC:-gcc} -Wall -Wextra -Werror -O2 "$@" $(pc_field Cflags) "$work/user.c" "$work/table.c" \
		-o "$work/user" "$prefix/lib/libtricolor.a" -pthread || return 1
	[ "$(env -i TRICOLOR_DAEMON="$prefix/sbin/tricolord" "$work/user")" = right ]
}

compile()
{
	compiler=$1
	shift
	# shellcheck disable=SC2046
	$compiler -Wall -Wextra -Werror -pedantic -Wno-variadic-macros -O2 \
		$(pc_field Cflags) "$@" $(pc_field Libs)
}

# $1: program; $2: the collector that must be the one that serves it
run_with()
{
	found=$(env -i "$1") || return 1
	echo "collector: $found, not $2"
	[ "$found" = "$2" ]
}

stage_is_not_named()
{
	! grep "$work/stage" "$work/stage/usr/lib/pkgconfig/tricolor.pc"
}

# $1: the command; it is to use the collector beside it, and the library the one that it is told.
command_runs()
{
	"$1" --version | grep -qx "tricolor $version" || return 1
	env -i PATH="$PATH" "$1" run "$work/program" >"$work/said" || return 1
	cat "$work/said"
	grep -qx "$2" "$work/said"
}

# The collector reads what was installed, and says so.
configuration_is_read()
{
	"$prefix/sbin/tricolord" --dry-run --socket "$work/s" >"$work/said" || return 1
	grep -qx '# default' "$work/said" || return 1
	echo 'gc-percent = 60' >>"$prefix/etc/tricolor/tricolord.conf"
	"$prefix/sbin/tricolord" --dry-run --socket "$work/s" >"$work/said"
	cat "$work/said"
	grep -qx 'gc-percent = 60' "$work/said"
}

changed_configuration_stays()
{
	make O=build/install PREFIX="$prefix" install || return 1
	grep -qx 'gc-percent = 60' "$prefix/etc/tricolor/tricolord.conf" || return 1
	make O=build/install PREFIX="$prefix" uninstall || return 1
	[ "$(files_below "$prefix")" = ./etc/tricolor/tricolord.conf ] || return 1
	rm "$prefix/etc/tricolor/tricolord.conf"
	make O=build/install PREFIX="$prefix" install
}

completion_works()
{
	PATH=$prefix/bin:$PATH bash -c '
		. "$0" && COMP_WORDS=(tricolor s) COMP_CWORD=1 && _tricolor &&
		[ "${COMPREPLY[*]}" = "stat set" ] &&
		COMP_WORDS=(tricolor set 1 "") COMP_CWORD=3 && _tricolor &&
		[ "${COMPREPLY[*]}" = "gc-percent memory-limit" ]
	' "$prefix/share/bash-completion/completions/tricolor"
}

uninstall_leaves_nothing()
{
	make O=build/install PREFIX="$prefix" uninstall || return 1
	! files_below "$prefix" | grep .
}

echo "TAP version 13"
point "make install PREFIX=DIR" install_into "$prefix"
if [ $failures -gt 0 ]; then
	echo "Bail out! nothing is installed to go on with"
	exit 1
fi
point "the files that it installs" expect_files "$prefix" etc
point "tricolor.pc" pc_is_right
point "what the library exports" exports_are_right

rpath=-Wl,-rpath,$prefix/lib
for standard in c99 gnu11 c17; do
	point "a program in $standard compiles" compile "${CC:-gcc}" -std=$standard \
		-D_GNU_SOURCE "$work/program.c" "$rpath" -o "$work/program"
done
point "it finds the collector that was installed" run_with "$work/program" "$prefix/sbin/tricolord"
point "a program without inline functions compiles" compile "${CC:-gcc}" -DTRI_NO_INLINE \
	"$work/program.c" "$rpath" -o "$work/program"
point "it runs" run_with "$work/program" "$prefix/sbin/tricolord"
if command -v "${CXX:-g++}" >/dev/null; then
	for standard in c++11 c++20; do
		point "a program in $standard compiles" compile "${CXX:-g++}" -std=$standard \
			"$work/program.cc" "$rpath" -o "$work/program"
	done
	point "it runs" run_with "$work/program" "$prefix/sbin/tricolord"
	for standard in c++17 c++20; do
		point "tricolor.hpp has no warnings in $standard" compile "${CXX:-g++}" -std=$standard \
			-O2 -Wall -Wextra -Wpedantic -Werror "$work/tree.cc" "$rpath" -o "$work/tree"
	done
	point "the program with tricolor.hpp runs" env -i "$work/tree"
else
	skip "no C++ compiler"
fi
if command -v clang++ >/dev/null; then
	# Without the options of tricolor.pc, which clang does not know.
	point "tricolor.hpp has no warnings with clang" clang++ -std=c++17 -O0 -Wall -Wextra -Wpedantic \
		-Werror -I"$prefix/include" "$work/tree.cc" -L"$prefix/lib" -ltricolor "$rpath" \
		-o "$work/tree-clang"
	point "the program that clang compiled runs" env -i "$work/tree-clang"
else
	skip "no clang"
fi
point "a program with the static library compiles" "${CC:-gcc}" -D_GNU_SOURCE \
	-I"$prefix/include" "$work/program.c" "$prefix/lib/libtricolor.a" -o "$work/program"
point "it runs" run_with "$work/program" "$prefix/sbin/tricolord"

point "a program that links a library which uses tricolor" hidden_in_a_library
if unshare -m mount -t tmpfs none /proc 2>"$work/said"; then
	point "which says what it can't see without /proc" threads_are_unknown
else
	skip "no right to hide /proc"
fi
for how in -static -static-pie; do
	point "a program that is linked with $how" linked_statically $how
done

point "tricolor runs it" command_runs "$prefix/bin/tricolor" "$prefix/sbin/tricolord"
point "the configuration is read" configuration_is_read
point "one that was changed is kept" changed_configuration_stays
if command -v bash >/dev/null; then
	point "completion for bash" completion_works
else
	skip "no bash"
fi

# Relative to the program, so that both can move.
# shellcheck disable=SC2016
compile "${CC:-gcc}" "$work/program.c" -Wl,-rpath,'$ORIGIN/moved/lib' -o "$work/program"
mv "$prefix" "$work/moved"
point "the tree may be moved" run_with "$work/program" "$work/moved/sbin/tricolord"
mv "$work/moved" "$prefix"

point "make install DESTDIR=DIR PREFIX=/usr" install_into /usr "$work/stage"
point "the same files in DIR/usr" expect_files "$work/stage/usr" ''
point "and the configuration in DIR/etc" [ -e "$work/stage/etc/tricolor/tricolord.conf" ]
point "its tricolor.pc does not name DIR" stage_is_not_named
point "make uninstall leaves nothing" uninstall_leaves_nothing
echo "1..$points"
[ $failures -eq 0 ]
