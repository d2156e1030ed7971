# SPDX-License-Identifier: GPL-2.0-only
#
# apt.sh - apt beside the system's, for kernel.sh and debug-kernel.sh, which read this file
#
# apt gets sources, lists and a cache of its own in a folder, and installs nothing.  The sources are
# the mirrors that the system's own name, with their keys and options, and a series' suites in place
# of the system's where Debian 12 does not have it:
#
#	6.1	the system's own
#	6.12	bookworm-backports beside these
#	7.3	trixie-backports and trixie, and none of the system's
#
# Each function returns 1, with apt's own words on standard error, where something could not be had.

# make_apt FOLDER SERIES: where apt has its files, and what for
make_apt()
{
	apt_dir=$1
	mkdir -p "$apt_dir/lists/partial" "$apt_dir/cache/archives/partial" "$apt_dir/sources" || return 1
	: >"$apt_dir/status"
	# Downloads go into a folder of the caller's, so apt need not become another user for them.
	apt_options="-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$apt_dir/sources
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
		-o Dir::State::Lists=$apt_dir/lists -o Dir::Cache=$apt_dir/cache
		-o APT::Sandbox::User=$(id -un) -o Acquire::Languages=none -o Acquire::Retries=2
		-o Acquire::http::Timeout=60 -q"
	write_sources "$apt_dir/sources" "$2"
	own_apt apt-get update >"$apt_dir/log" 2>&1 || {
		cat "$apt_dir/log" >&2
		return 1
	}
}

# The system's sources, of both formats, as they are; and for other suites a copy of what names
# Debian 12 itself, with the name of the suite changed.
write_sources()
{
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -r "$file" ] && awk '/^deb / && $0 ~ / bookworm(-[a-z]+)?\/? /' "$file"
	done >"$1/own.list"
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -r "$file" ] && { awk -v RS= -v ORS='\n\n' '/\nSuites:[^\n]* bookworm/' "$file"; }
	done >"$1/own.sources"
	case $2 in
	6.12) suites=bookworm-backports ;;
	7.3) suites='trixie trixie-backports' ;;
	*) return 0 ;;
	esac
	for suite in $suites; do
		sed -n "s/^\(deb .*\) bookworm\/\{0,1\} .*/\1 $suite main/p" "$1/own.list"
	done >"$1/other.list"
	awk -v RS= -v ORS='\n\n' -v suites="$suites" '/\nSuites:[^\n]* bookworm[ \n]/ {
			sub(/\nSuites:[^\n]*/, "\nSuites: " suites)
			sub(/\nComponents:[^\n]*/, "\nComponents: main")
			print
		}' "$1/own.sources" >"$1/other.sources"
	# Of two releases the newer one's packages would be taken, and of some there is only the older.
	case $suites in
	bookworm*) ;;
	*) rm "$1/own.list" "$1/own.sources" ;;
	esac
}

# own_apt TOOL ARGUMENT...
own_apt()
{
	tool=$1
	shift
	# shellcheck disable=SC2086
	LC_ALL=C $tool $apt_options "$@"
}

# own_version PACKAGE PREFIX: the newest version that begins so
own_version()
{
	own_apt apt-cache madison "$1" 2>/dev/null |
		awk -v s="$2" '{ v = $3 } index(v, s) == 1 { print v; exit }'
}

# own_depends PACKAGE[=VERSION]: the names of what it needs, one a line
own_depends()
{
	own_apt apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Depends: //p' | sed 1q |
		tr ',' '\n' | awk '{ print $1 }'
}

# own_packages FOLDER PACKAGE...: into the folder, and nothing that they need
own_packages()
(
	mkdir -p "$1" && cd "$1" || exit 1
	shift
	own_apt apt-get download "$@" >"$apt_dir/log" 2>&1 || {
		cat "$apt_dir/log" >&2
		exit 1
	}
)

# own_closure PACKAGE...: with all that they need on a system that has nothing, into cache/archives
own_closure()
{
	own_apt apt-get -y --no-install-recommends --download-only -o Debug::NoLocking=1 \
		-o Dir::State::status="$apt_dir/status" install "$@" >"$apt_dir/log" 2>&1 || {
		cat "$apt_dir/log" >&2
		return 1
	}
}
