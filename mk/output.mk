# SPDX-License-Identifier: GPL-2.0-only
#
# output.mk - the compiler, and what is printed: for the Makefiles here and in bench/

ifeq ($(origin CC),default)
CC	:= gcc
endif

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:

ifeq ($(V),1)
Q	:=
say	=
else
Q	:= @
say	= @printf '  %-7s %s\n' '$(1)' '$(2)';
endif
