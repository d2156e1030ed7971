# SPDX-License-Identifier: GPL-2.0-only
#
# namespaces.sh - to be sourced: containers by unshare(1), where podman can't run
#
# A container is a folder of its own with the image's files, entered with namespaces of its own for
# mounts, processes, IPC, names, network and control groups.  It sees its control group as podman
# shows it.  The option noproc leaves /proc away, which no other engine can.

namespaces_init()
{
	for tool in unshare setpriv chroot mount; do
		command -v $tool >/dev/null && continue
		reason="$tool is not installed"
		return 1
	done
	unshare -m -p -f -i -u -n -C true 2>"$work/probe" && return
	reason="no namespaces: $(tail -n 1 "$work/probe")"
	return 1
}

# namespaces_image NAME FOLDER
namespaces_image()
{
	mkdir -p "$work/images/$1"
	if [ -e "$2/Containerfile" ]; then
		while read -r word from to; do
			[ "$word" = COPY ] || continue
			# There may be several files before the folder.
			mkdir -p "$work/images/$1/${to##* }"
			for file in $from ${to% *}; do
				[ ! -f "$2/$file" ] || cp "$2/$file" "$work/images/$1/${to##* }"
			done
		done <"$2/Containerfile"
		sed -n 's/^USER //p' "$2/Containerfile" >"$work/images/$1.user"
		sed -n 's/^ENTRYPOINT \["\(.*\)"\]/\1/p' "$2/Containerfile" >"$work/images/$1.entry"
	else
		cp -r "$2/." "$work/images/$1"
		: >"$work/images/$1.user"
		: >"$work/images/$1.entry"
	fi
}

# namespaces_run NAME IMAGE OPTION... -- ARGUMENT...
namespaces_run()
{
	root=$work/roots/$1
	user=$(cat "$work/images/$2.user")
	entry=$(cat "$work/images/$2.entry")
	caps='' mode=rw mounts='' envs='' proc=yes
	folder=$group_root/$group_top/$group_above$1
	group_make "$group_above$1"
	rm -rf "$root"
	mkdir -p "$root"
	cp -r "$work/images/$2/." "$root"
	shift 2
	while [ "$1" != -- ]; do
		case $1 in
		memory=*) group_set "$folder" "${1#*=}" ;;
		user=*) user=${1#*=} ;;
		readonly) mode=ro ;;
		nocaps) caps=--no-new-privs ;;
		noproc) proc=no ;;
		volume=*) mounts="$mounts ${1#*=}" ;;
		env=*) envs="$envs ${1#*=}" ;;
		*) echo "namespaces.sh: no such option: $1" >&2; return 125 ;;
		esac
		shift
	done
	shift
	# shellcheck disable=SC2086
	ROOT=$root MODE=$mode PROC=$proc MOUNTS=$mounts GROUP=$folder KIND=$group_limit CAPS=$caps \
		USERSPEC=${user:-0:0} ENVIRONMENT=$envs unshare -m -p -f -i -u -n --propagation private --kill-child \
		sh selftests/containers/enter.sh $entry "$@"
}

# Signals are for the first process of the container.
namespaces_kill()
{
	pid=$(sort -n "$(group_of "$1")/cgroup.procs" | head -n 1) && kill -s "$2" "$pid"
}

namespaces_remove()
{
	folder=$(group_of "$1")
	[ -z "$folder" ] || xargs -r kill -s KILL <"$folder/cgroup.procs" 2>/dev/null
	:
}

namespaces_exit()
{
	:
}
