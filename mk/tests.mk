# SPDX-License-Identifier: GPL-2.0-only
#
# tests.mk - building tests, and running them

UNIT_SRCS	:= $(wildcard selftests/unit/test_*.c)
INTEGRATION_SRCS := $(wildcard selftests/integration/test_*.c)
POINT_SRCS	:= $(wildcard selftests/points/test_*.c)
TESTLIB_SRCS	:= $(filter-out $(if $(filter 1,$(POINTS)),,%/points.c %/stage.c),$(wildcard selftests/lib/*.c))
PLUGIN_SRCS	:= $(wildcard selftests/integration/plugin_*.c)
# Tests of tricolor.hpp, where there is a C++ compiler.
CXX_SRCS	:= $(if $(shell command -v $(CXX)),$(wildcard selftests/integration/test_*.cc))

UNIT_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(UNIT_SRCS))
INTEGRATION_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(INTEGRATION_SRCS))
POINT_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(POINT_SRCS))
TESTLIB_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(TESTLIB_SRCS))
PLUGIN_OBJS	:= $(patsubst %.c,$(O)/pic/%.o,$(PLUGIN_SRCS))
CXX_OBJS	:= $(patsubst %.cc,$(O)/obj/%.o,$(CXX_SRCS))
CXX_TESTS	:= $(patsubst selftests/%.cc,$(O)/tests/%,$(CXX_SRCS))
TEST_LIB	:= $(O)/libtest.a
UNIT_TESTS	:= $(patsubst selftests/%.c,$(O)/tests/%,$(UNIT_SRCS))
INTEGRATION_TESTS := $(patsubst selftests/%.c,$(O)/tests/%,$(INTEGRATION_SRCS))
POINT_TESTS	:= $(patsubst selftests/%.c,$(O)/tests/%,$(POINT_SRCS))
PLUGINS		:= $(patsubst selftests/%.c,$(O)/tests/%.so,$(PLUGIN_SRCS))
# Parts of the library that unit tests link without the rest of it, and stubs for the rest.
UNIT_ALONE	:= $(O)/obj/selftests/unit/pageheap_alone.o
UNIT_AROUND	:= $(O)/obj/selftests/unit/pageheap_around.o
# The program that runs the tests of mutants.
SUBREAPER	:= $(O)/tests/subreaper
SUBREAPER_OBJ	:= $(O)/obj/selftests/mutants/subreaper.o
TEST_OBJS	:= $(SUBREAPER_OBJ) $(UNIT_OBJS) $(INTEGRATION_OBJS) $(POINT_OBJS) $(TESTLIB_OBJS) $(PLUGIN_OBJS) \
	$(UNIT_ALONE) $(UNIT_AROUND) $(CXX_OBJS)

# --------------------------------------------------------------------------------------------
# Building
# --------------------------------------------------------------------------------------------

.PHONY: tests unit-tests integration-tests point-tests plugins
tests: unit-tests integration-tests
unit-tests: $(UNIT_TESTS) $(SUBREAPER)
plugins: $(PLUGINS)
integration-tests: $(INTEGRATION_TESTS) $(CXX_TESTS) plugins $(LIB) $(DAEMON) $(TOOL) $(EXAMPLES)
point-tests: $(POINT_TESTS) $(LIB) $(DAEMON)

$(eval $(call remember,$(O)/.test-sources,$$(TESTLIB_SRCS)))

$(TEST_OBJS): $(O)/.flags
$(TEST_LIB): $(O)/.test-sources

# Plugins are compiled with the headers that a user of the library has.
$(PLUGIN_OBJS): INCLUDES = -Ilibclient/include -iquote selftests

# Code that tests share: selftests/lib.
$(TEST_LIB): $(TESTLIB_OBJS)
	@mkdir -p $(@D); rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $(filter %.o,$^)

$(UNIT_TESTS): $(O)/tests/%: $(O)/obj/selftests/%.o $(TEST_LIB) $(TOOL_LIB) $(DAEMON_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lm -lpthread -ljson-c $(DW_LIBS)

$(SUBREAPER): $(SUBREAPER_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $<

$(O)/tests/unit/test_pageheap: $(O)/pic/libclient/heap/pageheap.o $(UNIT_ALONE) $(UNIT_AROUND)
$(O)/tests/unit/test_pagehints: $(UNIT_ALONE) $(UNIT_AROUND)
$(O)/tests/unit/test_throttle: $(UNIT_AROUND)
$(O)/tests/unit/test_span: $(O)/pic/libclient/base/settings.o

# Programs in the build tree find the library relative to themselves.  They are linked with the core, too, since some
# of them examine an arena by themselves, and the library hides its own copy of the core.
$(INTEGRATION_TESTS) $(POINT_TESTS): $(O)/tests/%: $(O)/obj/selftests/%.o $(TEST_LIB) $(CORE_LIB) \
		$(LIB_FILE) $(LIB_LINK)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $(filter %.o,$^) $(TEST_LIB) -L$(O)/lib -Wl,-rpath,'$$ORIGIN/../../lib' \
		$(LINK_TRICOLOR) $(CORE_LIB) -lm -lpthread -ldl

# These see what a user of the library sees.
$(CXX_OBJS): INCLUDES = -Ilibclient/include -iquote selftests
$(CXX_OBJS): $(O)/obj/%.o: %.cc
	@mkdir -p $(@D)
	$(call say,CXX,$@)$(CXX) $(CXX_FLAGS) $(INCLUDES) $(CPPFLAGS) $(CFLAGS) $(SAN) $(DEPS) -c -o $@ $<
$(CXX_TESTS): $(O)/tests/%: $(O)/obj/selftests/%.o $(LIB_FILE) $(LIB_LINK)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CXX) $(CFLAGS) $(SAN) $(L_FLAGS) $(LDFLAGS) -o $@ $< -L$(O)/lib \
		-Wl,-rpath,'$$ORIGIN/../../lib' -ltricolor -lpthread

# This test is the other end of a board.
$(O)/tests/integration/test_link: $(O)/obj/daemon/clients/board.o

# These tests call functions that the library hides, so they are linked with the static library.
LINK_TRICOLOR = -ltricolor
INSIDE_TESTS := $(O)/tests/integration/test_inside $(O)/tests/integration/test_steps $(O)/tests/points/test_checking
$(INSIDE_TESTS): LINK_TRICOLOR = $(LIB_STATIC)
$(INSIDE_TESTS): $(LIB_STATIC)

$(PLUGINS): $(O)/tests/%.so: $(O)/pic/selftests/%.o $(LIB_FILE) $(LIB_LINK)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -shared $(PLUGIN_LDFLAGS) -o $@ $< -L$(O)/lib -ltricolor
$(O)/tests/integration/plugin_note_based.so $(O)/tests/integration/plugin_tls_based.so: \
	PLUGIN_LDFLAGS = -Wl,-Ttext-segment=0x10000000

-include $(TEST_OBJS:.o=.d)

# --------------------------------------------------------------------------------------------
# Running
# --------------------------------------------------------------------------------------------

# Tests of promises that hold with a marker of each client's own, and with a shared one.  They are run with both.
MARKED_BY_SHARED := $(filter %/test_control %/test_sandbox,$(INTEGRATION_TESTS))

# Test programs run one after the other, whatever -j says, since many of them measure time.  The virtual machine and
# the model measure none, and each keeps one CPU busy for minutes, so these two run together.
RUN	= sh selftests/run.sh -o $(O)/results

.PHONY: check check-unit check-integration check-points check-mutants check-containers check-model \
	check-sanitize check-install check-interface \
	check-structure check-style check-mutants-apply \
	check-compilers check-vm check-vm-all check-vm-newest check-vm-debug kernel-tests
check-unit: unit-tests
	$(Q)$(RUN) -l unit -t 60 $(UNIT_TESTS)

check-integration: integration-tests
	$(Q)$(RUN) -l integration -t 300 $(INTEGRATION_TESTS) $(CXX_TESTS)

# Tests that hold threads, the agent or the collector at points of the code.  They need a build with points.
check-points: build-points
	$(Q)$(RUN) -l points -t 300 $(patsubst $(O)/%,$(O)/points/%,$(POINT_TESTS))

# Whether the tests notice errors made on purpose: one small change of the code after the other.
check-mutants:
	$(Q)sh selftests/mutants/run.sh

# Whether each of these changes can be made: the text that it replaces is in its file exactly once.
check-mutants-apply:
	$(Q)$(RUN) -l mutants-apply -t 60 "sh selftests/mutants/run.sh -n"

# The collector as a sidecar, in containers of podman or made with unshare(1).
check-containers: all images
	$(Q)O=$(O) $(RUN) -l containers -t 600 "sh selftests/containers/run.sh"

check-model:
	$(Q)$(RUN) -l model -t 7200 "sh selftests/model/run.sh large"

# Whether the documents of the module's interface agree with its code.
check-interface:
	$(Q)$(RUN) -l interface -t 60 "python3 selftests/interface/check.py"

# Which folders and files depend on which others.
check-structure: all
	$(Q)O=$(O) $(RUN) -l structure -t 60 "sh selftests/structure/run.sh"

# The form of the sources, as make style prints it.
check-style:
	$(Q)$(RUN) -l style -t 120 "sh scripts/style.sh -t"

check-install:
	$(Q)$(RUN) -b
	$(Q)$(RUN) -a -l install -t 300 "sh selftests/install/run.sh"
	$(Q)$(RUN) -a -l install-abi -t 300 "sh selftests/install/abi.sh"
	$(Q)$(RUN) -a -l install-module -t 300 "sh selftests/install/module.sh"
	$(Q)$(RUN) -e

# Random loops, with a collection at each instruction, compiled by each installed compiler.
check-compilers: all
	$(Q)O=$(O) $(RUN) -l compilers -t 20000 "sh selftests/compilers/run.sh all"

# The kernel module, in a virtual machine with one of Debian's kernels, which scripts/setup.sh has
# fetched.  Without a kernel or the emulator these tests skip, and say so.
kernel-tests:
	$(Q)$(MAKE) -C selftests/kernel OUTPUT=$(abspath $(O))/tests/kernel
check-vm: all tests kernel-tests
	$(Q)$(RUN) -l vm-6.1 -t 900 "sh selftests/vm/run.sh 6.1 quick"
check-vm-all: all tests kernel-tests
	$(Q)$(RUN) -b
	$(Q)$(RUN) -a -l vm-harness -t 300 "sh selftests/vm/harness/run.sh"
	$(Q)$(RUN) -a -l vm-6.1 -t 5400 "sh selftests/vm/run.sh 6.1 full"
	$(Q)$(RUN) -a -l vm-6.12 -t 5400 "sh selftests/vm/run.sh 6.12 full"
	$(Q)$(RUN) -e

# The same with the newest kernel that any of Debian's suites has.
check-vm-newest: all tests kernel-tests
	$(Q)$(RUN) -l vm-7.3 -t 900 "sh selftests/vm/run.sh 7.3 quick ^kernel/"

# The same with kernels that check themselves for errors.  They are built first, and everything takes several times as
# long in them: two hours in all.
check-vm-debug: all tests kernel-tests
	$(Q)sh selftests/vm/debug-kernel.sh 6.1
	$(Q)sh selftests/vm/debug-kernel.sh 6.12
	$(Q)$(RUN) -b
	$(Q)VM_SECONDS=5000 $(RUN) -a -l vm-debug-6.1 -t 5400 "sh selftests/vm/run.sh debug-6.1 quick ^kernel/"
	$(Q)VM_SECONDS=5000 $(RUN) -a -l vm-debug-6.12 -t 5400 "sh selftests/vm/run.sh debug-6.12 quick ^kernel/"
	$(Q)$(RUN) -e

# The address sanitizer is built into the unit tests, and into clients and collectors of the tests that mutate, kill
# and interrupt.  Other integration tests assert that dead objects are freed.  That fails with the sanitizer, whose
# large frames are scanned conservatively and keep old pointers.  Or they examine memory and faults that the sanitizer
# has taken over.  These run without it, served by a collector with it.
# The thread sanitizer can't be in a process in which sigaction() and pthread_create() are ours, and it supports
# neither restartable sequences nor a signal in the middle of a loop.  It is built into the unit tests, and into the
# collector of programs without it.
# test_run is in no list: its programs die of signals that the sanitizer takes, and of limits too small for it.
ASAN_CLIENTS := $(filter %/test_mutate %/test_barrier_region %/test_daemon_killed %/test_control \
	%/test_command %/test_service %/test_stacks %/test_coroutines \
	%/test_checker %/test_checker_clean %/test_checker_end,$(INTEGRATION_TESTS))
THREAD_TESTS := %/test_threads %/test_waits %/test_starts_and_ends
ASAN_SERVED := $(filter %/test_alloc %/test_roots $(THREAD_TESTS),$(INTEGRATION_TESTS))
TSAN_SERVED := $(filter %/test_alloc %/test_roots $(THREAD_TESTS) %/test_control %/test_service, \
	$(INTEGRATION_TESTS))
ASAN	:= O=$(O)/asan SANITIZE=address,undefined
TSAN	:= O=$(O)/tsan SANITIZE=thread

.PHONY: build-asan build-tsan build-points
build-points:
	$(Q)$(MAKE) O=$(O)/points POINTS=1 point-tests
build-asan:
	$(Q)$(MAKE) $(ASAN) tests
build-tsan:
	$(Q)$(MAKE) $(TSAN) unit-tests daemon

define run_sanitize
	$(Q)$(RUN) -a -l address -t 900 \
		$(patsubst $(O)/%,$(O)/asan/%,$(UNIT_TESTS) $(ASAN_CLIENTS))
	$(Q)TRICOLOR_DAEMON=$(abspath $(O)/asan/sbin/tricolord) \
		$(RUN) -a -l address-collector -t 300 $(ASAN_SERVED)
	$(Q)O=$(O)/asan $(RUN) -a -l fuzz-address -t 300 "sh selftests/fuzz/run.sh 10"
	$(Q)$(RUN) -a -l thread -t 300 $(patsubst $(O)/%,$(O)/tsan/%,$(UNIT_TESTS))
	$(Q)TRICOLOR_DAEMON=$(abspath $(O)/tsan/sbin/tricolord) \
		$(RUN) -a -l thread-collector -t 300 $(TSAN_SERVED)
endef

check-sanitize: build-asan build-tsan integration-tests
	$(Q)$(RUN) -b
	$(run_sanitize)
	$(Q)$(RUN) -e

# Everything is built before anything runs, so that an error of the compiler is known soonest.
check: all tests images kernel-tests build-points build-asan build-tsan
	$(Q)$(RUN) -b
	$(Q)$(RUN) -a -l unit -t 60 $(UNIT_TESTS)
	$(Q)$(RUN) -a -l integration -t 300 $(INTEGRATION_TESTS) $(CXX_TESTS)
	$(Q)TRICOLOR_TEST_MARKER=shared $(RUN) -a -l integration-shared -t 300 $(MARKED_BY_SHARED)
	$(Q)$(RUN) -a -l points -t 300 $(patsubst $(O)/%,$(O)/points/%,$(POINT_TESTS))
	$(Q)$(RUN) -s "vm-6.1:900:sh selftests/vm/run.sh 6.1 quick" "model:2700:sh selftests/model/run.sh small"
	$(Q)O=$(O) $(RUN) -a -l containers -t 600 "sh selftests/containers/run.sh"
	$(Q)$(RUN) -a -l interface -t 60 "python3 selftests/interface/check.py"
	$(Q)O=$(O) $(RUN) -a -l structure -t 60 "sh selftests/structure/run.sh"
	$(Q)$(RUN) -a -l style -t 120 "sh scripts/style.sh -t"
	$(Q)$(RUN) -a -l mutants-apply -t 60 "sh selftests/mutants/run.sh -n"
	$(Q)$(RUN) -a -l install -t 300 "sh selftests/install/run.sh"
	$(Q)$(RUN) -a -l install-abi -t 300 "sh selftests/install/abi.sh"
	$(Q)$(RUN) -a -l install-module -t 300 "sh selftests/install/module.sh"
	$(Q)$(RUN) -a -l fuzz -t 300 "sh selftests/fuzz/run.sh 20"
	$(Q)O=$(O) $(RUN) -a -l compilers -t 300 "sh selftests/compilers/run.sh quick"
	$(run_sanitize)
	$(Q)$(RUN) -e
