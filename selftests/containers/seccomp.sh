# SPDX-License-Identifier: GPL-2.0-only
#
# seccomp.sh - to be sourced: filters of system calls, in the form that container run-times read
#
# Of the default profiles of docker and podman, what matters for a collector is what they deny to a
# container without capabilities, and with which error.  What they allow is a list of hundreds,
# which these profiles do not repeat: they allow the rest.

# filter ERRNO NAME...: one rule
filter()
{
	errno=$1
	shift
	printf '{ "names": ["%s"], "action": "SCMP_ACT_ERRNO", "errnoRet": %d }' \
		"$(echo "$@" | sed 's/ /", "/g')" "$errno"
}

# profile FILE RULE...
profile()
{
	file=$1
	shift
	{
		printf '{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": ['
		comma=
		for rule in "$@"; do
			printf '%s%s' "$comma" "$rule"
			comma=', '
		done
		printf '] }\n'
	} >"$file"
}

EPERM=1
ENOSYS=38
uncommon='userfaultfd io_uring_setup io_uring_enter io_uring_register process_madvise bpf perf_event_open
	kcmp setns unshare mount umount2 open_by_handle_at'

# shellcheck disable=SC2086
seccomp_write()
{
	profile "$work/docker.json" "$(filter $EPERM $uncommon pidfd_getfd)" "$(filter $ENOSYS clone3)"
	profile "$work/podman.json" "$(filter $EPERM $uncommon)" "$(filter $ENOSYS clone3)"
	# Older ones do not know membarrier.
	profile "$work/podman-old.json" "$(filter $EPERM $uncommon membarrier)" "$(filter $ENOSYS clone3)"
}
