# SPDX-License-Identifier: GPL-2.0-only
#
# podman.sh - to be sourced: containers by podman
#
# All that it stores is below $work.  Images are made of a folder, never fetched.  Which run-time
# and which limits of descriptors and processes work depends on where this runs: inside another
# container the hard limits may not be raised, and crun refuses systems that have both versions of
# control groups.

podman_base()
{
	podman --root "$work/store" --runroot "$work/run" --tmpdir "$work/tmp" --storage-driver vfs \
		--cgroup-manager cgroupfs --events-backend none "$@"
}

# Returns 1, with the reason in $reason, where it can't run a program under a memory limit.
podman_init()
{
	if ! command -v podman >/dev/null; then
		reason='podman is not installed'
		return 1
	fi
	podman_image probe "$build/tests/containers" || return 1
	# Containers with users of their own pass through these on the way to their root.
	chmod a+x "$work/store" "$work/store/vfs" "$work/store/vfs/dir"
	for podman_runtime in crun runc; do
		command -v $podman_runtime >/dev/null || continue
		for podman_limits in '' '--ulimit nofile=1024:1024 --ulimit nproc=1024:1024'; do
			# shellcheck disable=SC2086
			echo end | podman_base --runtime $podman_runtime run -i --rm --network none $podman_limits \
				--cgroup-parent "/$group_top/probe" --memory 64m localhost/probe /program \
				>"$work/probe" 2>&1 && return
		done
	done
	reason="podman runs nothing here: $(tail -n 1 "$work/probe")"
	return 1
}

# podman_image NAME FOLDER
podman_image()
{
	if [ -e "$2/Containerfile" ]; then
		podman_base build -q -t "localhost/$1" "$2" >"$work/output" 2>&1 && return
	else
		tar -C "$2" -cf - . | podman_base import -q - "localhost/$1" >"$work/output" 2>&1 && return
	fi
	reason="podman makes no image of $2: $(tail -n 1 "$work/output")"
	return 1
}

# podman_run NAME IMAGE OPTION... -- ARGUMENT...: in the foreground, until it has ended
podman_run()
{
	name=$1 image=$2
	shift 2
	# Each option goes to the end in podman's words, until the arguments come.
	set -- "$@" ---
	while [ "$1" != -- ]; do
		case $1 in
		memory=*) set -- "$@" --memory "${1#*=}" --memory-swap "${1#*=}" ;;
		user=*) set -- "$@" --user "${1#*=}" ;;
		readonly) set -- "$@" --read-only ;;
		nocaps) set -- "$@" --cap-drop ALL --security-opt no-new-privileges ;;
		userns) set -- "$@" --uidmap 0:100000:65536 --gidmap 0:100000:65536 ;;
		seccomp=*) set -- "$@" --security-opt "$1" ;;
		volume=*) set -- "$@" --volume "${1#*=}" ;;
		env=*) set -- "$@" --env "${1#*=}" ;;
		*) echo "podman.sh: no such option: $1" >&2; return 125 ;;
		esac
		shift
	done
	podman_swap "$@"
}

# Called as -- ARGUMENT... --- OPTION...
podman_swap()
{
	shift
	podman_arguments=
	while [ "$1" != --- ]; do
		podman_arguments="$podman_arguments $1"
		shift
	done
	shift
	# shellcheck disable=SC2086
	podman_base --runtime $podman_runtime run -i --name "$name" --network none $podman_limits \
		--cgroup-parent "/$group_top/$group_above$name" "$@" "localhost/$image" $podman_arguments
}

podman_kill()
{
	podman_base kill --signal "$2" "$1" >/dev/null
}

podman_remove()
{
	podman_base rm -f -t 0 "$1" >/dev/null 2>&1
}

podman_exit()
{
	[ -d "$work/store" ] || return 0
	podman_base rm -f -a -t 0 >/dev/null 2>&1
}
