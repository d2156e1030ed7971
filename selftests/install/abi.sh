#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# abi.sh - programs and plugins that were compiled with another version of the inline functions
#
# Headers of a later version are made from those that are installed, and so is a library that has
# its symbols.  What does not fit is refused by the linker, by the loader, or by the library, in
# this order; each says what it was.

set -u
cd "$(dirname "$0")/../.." || exit 1

. selftests/install/point.sh
prefix=$work/prefix
cc=${CC:-gcc}

cat >"$work/plugin.c" <<'END'
#include <tricolor.h>

void *kept;
void keep(void *object);

void keep(void *object)
{
	tri_store(&kept, object);
}
END
cat >"$work/program.c" <<'END'
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <tricolor.h>

int main(int argc, char **argv)
{
	void *object = tri_alloc(64);

	if (!object) {
		puts(tri_error());
		return errno == ENOEXEC ? 3 : 1;
	}
	if (argc > 1 && !dlopen(argv[1], RTLD_NOW))
		puts(dlerror());
	return tri_gc() ? 2 : 0;
}
END
cat >"$work/files.cc" <<'END'
#include <tricolor.h>

void *made();
void *made()
{
	return tri_alloc(48);
}
END

install_here()
{
	make O=build/install PREFIX="$prefix" install && cp -r "$prefix/include" "$work/later" &&
		sed -i 's/define TRI__INLINE_VERSION 1$/define TRI__INLINE_VERSION 2/' \
			"$work/later/tricolor/inline.h" &&
		! cmp "$prefix/include/tricolor/inline.h" "$work/later/tricolor/inline.h" &&
		cp -r "$prefix/include" "$work/forged" &&
		sed -i 's/"3:.*INLINE_VERSION) /"3:\\t.long 2" /' "$work/forged/tricolor/inline.h" &&
		! cmp "$prefix/include/tricolor/inline.h" "$work/forged/tricolor/inline.h"
}

# build HEADERS OUTPUT SOURCE OPTION...
build()
{
	headers=$1 output=$2 source=$3
	shift 3
	$cc -O2 -I"$headers" "$source" -o "$output" "$@"
}

# said STATUS TEXT COMMAND...: it ends with this status, and says this.
said()
{
	status=$1 text=$2
	shift 2
	env -i TRICOLOR_DAEMON="$prefix/sbin/tricolord" "$@" >"$work/said" 2>&1
	got=$?
	cat "$work/said"
	[ "$got" = "$status" ] && grep -q "$text" "$work/said"
}

libs="-L$prefix/lib -ltricolor -Wl,-rpath,$prefix/lib"

refused_by_the_linker()
{
	# shellcheck disable=SC2086
	! build "$work/later" "$work/p" "$work/program.c" $libs 2>"$work/link" &&
		cat "$work/link" && grep -q 'undefined reference to .tri__tls_v2' "$work/link"
}

refused_by_the_static_linker()
{
	! build "$work/later" "$work/p" "$work/program.c" "$prefix/lib/libtricolor.a" -static 2>"$work/link" &&
		cat "$work/link" && grep -q 'undefined reference to .tri__alloc_slow_v2' "$work/link"
}

# A library of the later version, as far as the linker sees: the program is then run with this one.
later_library()
{
	mkdir -p "$work/lib"
	{
		echo '__thread char tri__tls_v2[24] __attribute__((tls_model("initial-exec")));'
		for f in tri__alloc_slow_v2 tri__store_slow_v2 tri_error tri_gc; do
			echo "void *$f(void) { return 0; }"
		done
	} >"$work/lib.c"
	{
		echo 'TRICOLOR_0.1 { global: tri_error; tri_gc; local: *; };'
		echo 'TRICOLOR_INLINE_2 { global: tri__tls_v2; tri__alloc_slow_v2; tri__store_slow_v2; };'
	} >"$work/lib.map"
	$cc -w -shared -fPIC "$work/lib.c" -o "$work/lib/libtricolor.so" -Wl,--version-script="$work/lib.map" \
		-Wl,-soname,"libtricolor.so.${version%%.*}"
}

refused_by_the_loader()
{
	later_library && build "$work/later" "$work/p" "$work/program.c" -L"$work/lib" -ltricolor \
		-Wl,-rpath,"$prefix/lib" && said 1 'TRICOLOR_INLINE_2. not found (required by' "$work/p"
}

plugin_is_refused_by_the_loader()
{
	# shellcheck disable=SC2086
	later_library && build "$prefix/include" "$work/p" "$work/program.c" $libs &&
		build "$work/later" "$work/plugin.so" "$work/plugin.c" -shared -fPIC -L"$work/lib" -ltricolor &&
		said 0 'TRICOLOR_INLINE_2. not found (required by .*plugin.so' "$work/p" "$work/plugin.so" &&
		build "$work/later" "$work/plugin.so" "$work/plugin.c" -shared -fPIC &&
		said 0 'plugin.so: undefined symbol: tri__tls_v2' "$work/p" "$work/plugin.so"
}

# The names fit, the notes do not.
refused_by_the_library()
{
	# shellcheck disable=SC2086
	build "$work/forged" "$work/p" "$work/program.c" $libs &&
		said 3 "/p was compiled for version 2 of tricolor's inline functions" "$work/p"
}

static_program_is_refused()
{
	build "$work/forged" "$work/p" "$work/program.c" "$prefix/lib/libtricolor.a" -static -Wl,--no-warnings &&
		said 3 "/p was compiled for version 2 of tricolor's inline functions" "$work/p"
}

library_of_the_program_is_refused()
{
	# shellcheck disable=SC2086
	build "$work/forged" "$work/libplugin.so" "$work/plugin.c" -shared -fPIC $libs &&
		build "$prefix/include" "$work/p" "$work/program.c" -Wl,--no-as-needed -L"$work" -lplugin \
			-Wl,-rpath,"$work" $libs &&
		said 3 'libplugin.so was compiled for version 2' "$work/p"
}

# notes FILE: the description of each note of ours.
notes()
{
	readelf -nW "$1" | sed -n 's/^  tricolor .*(0x00000010).*data: \(..\) .. .. .. \(..\) .*/\1 \2/p' | tr '\n' ';'
}

# A note for each object file, whatever is done with these.
notes_stay()
{
	expected='01 01;01 01;'
	for options in -O0 -O1 -O2 -O3 -Os '-O2 -flto' '-O2 -ffunction-sections -Wl,--gc-sections' '-O2 -s' \
		'-O2 -static'; do
		# shellcheck disable=SC2086
		${CXX:-g++} -Wall -Wextra -Wpedantic -Werror $options -I"$prefix/include" -x c++ "$work/files.cc" \
			-x c++ "$work/main.cc" -x none -o "$work/notes" -Wl,--no-warnings $libs 2>"$work/errors" || {
			cat "$work/errors"
			return 1
		}
		got=$(notes "$work/notes")
		echo "$options: $got"
		[ "$got" = "$expected" ] || return 1
	done
	$cc -O2 -DTRI_NO_INLINE -I"$prefix/include" -c "$work/plugin.c" -o "$work/plugin.o" || return 1
	[ "$(notes "$work/plugin.o")" = '01 00;' ]
}

cat >"$work/main.cc" <<'END'
#include <tricolor.h>

void *made();
int main()
{
	return made() && !tri_gc() ? 0 : 1;
}
END

point 'headers of a later version are made' install_here
point 'the linker refuses a program with them, and names the version' refused_by_the_linker
point 'and a static one' refused_by_the_static_linker
point 'the loader refuses a program of a later library' refused_by_the_loader
point 'and a plugin, and the program goes on' plugin_is_refused_by_the_loader
point 'the library refuses a program whose note does not fit' refused_by_the_library
point 'and a static one' static_program_is_refused
point 'and a library that the program needs' library_of_the_program_is_refused
point 'the note stays in each object file' notes_stay
echo "1..$points"
[ "$failures" = 0 ]
