# SPDX-License-Identifier: GPL-2.0-only
#
# lib.mk - build and run the tests of a folder, with the variables of the kernel's selftests
#
# A folder's Makefile sets TEST_GEN_PROGS (programs built from a .c file each) and includes this.
# OUTPUT is where programs go; `run_tests` runs them on this very system, each for as long as the
# folder's `settings` says, and ends with the total.  `install` puts what is needed to run them into
# INSTALL_PATH, and `emit_tests` prints their names for the list that the kernel's run_kselftest.sh
# reads.

SELF	:= $(dir $(lastword $(MAKEFILE_LIST)))
OUTPUT	?= $(CURDIR)/../../build/tests/$(notdir $(CURDIR))
ifeq ($(origin CC),default)
CC	:= gcc
endif
CFLAGS	?= -O2 -g
WERROR	?= 1

TEST_PROGRAMS := $(addprefix $(OUTPUT)/,$(TEST_GEN_PROGS))
# Built, and not run with the tests.
EXTENDED := $(addprefix $(OUTPUT)/,$(TEST_GEN_PROGS_EXTENDED))
TIMEOUT	:= $(shell sed -n 's/^timeout=//p' settings 2>/dev/null)

.DEFAULT_GOAL := all
.PHONY: all run_tests install emit_tests clean
all: $(TEST_PROGRAMS) $(EXTENDED)

$(OUTPUT)/%: %.c
	@mkdir -p $(@D)
	@printf '  %-7s %s\n' CC $(notdir $@)
	@$(CC) -std=gnu11 -D_GNU_SOURCE= -Wall -Wextra -Wstrict-prototypes -fno-strict-aliasing \
		$(if $(filter 1,$(WERROR)),-Werror) -I$(SELF) $(CPPFLAGS) $(CFLAGS) \
		-MMD -MP -MF $@.d -o $@ $< $(LDLIBS)

run_tests: all
	@sh $(SELF)run.sh -o $(OUTPUT)/results -l $(notdir $(CURDIR)) -t $(or $(TIMEOUT),45) \
		$(TEST_PROGRAMS)

COLLECTION ?= $(notdir $(CURDIR))

install: all
	@[ -n "$(INSTALL_PATH)" ] || { echo "install: INSTALL_PATH is not set" >&2; exit 2; }
	@mkdir -p $(INSTALL_PATH)
	@cp $(TEST_PROGRAMS) $(EXTENDED) $(wildcard settings config) $(INSTALL_PATH)

emit_tests:
	@printf '$(COLLECTION):%s\n' $(TEST_GEN_PROGS)

clean:
	rm -f $(TEST_PROGRAMS) $(EXTENDED) $(addsuffix .d,$(TEST_PROGRAMS) $(EXTENDED))

-include $(addsuffix .d,$(TEST_PROGRAMS) $(EXTENDED))
