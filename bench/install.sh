#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Install the peers that `make bench` compares with: libgc, mimalloc and Go.
#
# Each is the newest that the distribution offers.  The Go of a stable release is years old, so
# Debian's backports are asked as well.  They are read through a package list of their own, which
# is thrown away afterwards: the system's sources and lists stay as they are.
#
# A peer that can't be had is left out of the comparison; the bench says so.

set -u

say()
{
	echo "bench: $*" >&2
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		say "not root, and no sudo: can't run $*"
		return 1
	fi
}

apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		-o Dpkg::Use-Pty=0 "$@" >&2
}

has_header()
{
	printf '#include <%s>\n' "$1" | ${CC:-cc} -E - >/dev/null 2>&1
}

has_go()
{
	[ -n "${BENCH_GO:-}" ] || command -v go >/dev/null ||
		[ -n "$(ls /usr/lib/go-*/bin/go 2>/dev/null)" ]
}

# The newest golang-1.x-go that apt knows of, with the given options.
newest_go_package()
{
	apt-cache "$@" pkgnames golang-1. | grep -E '^golang-1\.[0-9]+-go$' | sort -V | tail -n 1
}

# Where this system gets its release from, if it is a Debian one.
debian_mirror()
{
	apt-get indextargets --format '$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)' |
		awk -v wanted="Packages $1 main" '$1 " " $2 " " $3 == wanted { print $4; exit }'
}

install_go_from_backports()
{
	release=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") || return 1
	mirror=$(debian_mirror "$release")
	[ -n "$mirror" ] || return 1
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	signed=
	[ -r $keyring ] && signed="[signed-by=$keyring]"

	own=$(mktemp -d) || return 1
	chmod 755 "$own"	# apt drops its privileges to read it
	mkdir "$own/lists"
	for suite in "$release" "$release-backports"; do
		echo "deb $signed $mirror $suite main"
	done >"$own/sources.list"
	set -- -o Dir::Etc::SourceList="$own/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$own/lists" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
	apt_get "$@" update &&
		package=$(newest_go_package "$@") && [ -n "$package" ] &&
		apt_get "$@" install --no-install-recommends -t "$release-backports" "$package"
	status=$?
	as_root rm -rf "$own"
	return $status
}

if ! command -v apt-get >/dev/null; then
	say "no apt-get here: install libgc, mimalloc and Go yourself to compare with them"
	exit 0
fi

missing=
has_header gc.h || missing="$missing libgc-dev"
has_header mimalloc.h || missing="$missing libmimalloc-dev"
if [ -n "$missing" ] || ! has_go; then
	apt_get update || say "can't update the package lists; trying with the old ones"
fi
for package in $missing; do
	apt_get install --no-install-recommends "$package" || say "can't install $package"
done
if ! has_go && ! install_go_from_backports; then
	say "no Go in the backports; taking the distribution's"
	package=$(newest_go_package)
	apt_get install --no-install-recommends "${package:-golang-go}" || say "can't install Go"
fi
exit 0
