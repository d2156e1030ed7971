#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A collector that marks with one thread: for TRICOLOR_DAEMON, from build/bench/.

exec "$(dirname "$0")/../sbin/tricolord" --workers 1 "$@"
