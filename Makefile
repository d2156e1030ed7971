# SPDX-License-Identifier: GPL-2.0-only
#
# Everything that is built goes below $(O).  Sources are found by wildcard: a new .c file in one of
# the folders is part of the build without a line here.  `make help` lists the targets.

# --------------------------------------------------------------------------------------------
# Settings of the user
# --------------------------------------------------------------------------------------------

CFLAGS	?= -O2 -g
CPPFLAGS ?=
LDFLAGS	?=
WERROR	?= 1
V	?= 0

PREFIX	?= /usr/local
bindir	= $(PREFIX)/bin
sbindir	= $(PREFIX)/sbin
libdir	= $(PREFIX)/lib
libexecdir = $(PREFIX)/libexec
includedir = $(PREFIX)/include
mandir	= $(PREFIX)/share/man
unitdir	= $(PREFIX)/lib/systemd/system
bashcompdir = $(PREFIX)/share/bash-completion/completions
sysconfdir = $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
DESTDIR	?=

# SANITIZE=address,undefined or SANITIZE=thread builds all of library, daemon and tests that way,
# in a folder of its own, so that switching costs no rebuild.
SANITIZE ?=

# POINTS=1 builds library and daemon with test points (core/system/point.h), for the tests that need
# them, likewise in a folder of its own.
POINTS	?= 0

ifneq ($(SANITIZE),)
O	:= build/$(if $(findstring thread,$(SANITIZE)),tsan,asan)
else ifeq ($(POINTS),1)
O	:= build/points
else
O	?= build
endif

ifeq ($(origin CC),default)
CC	:= gcc
endif

NM	?= nm
OBJCOPY	?= objcopy

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

# --------------------------------------------------------------------------------------------
# Sources
# --------------------------------------------------------------------------------------------

LIB_SRCS	:= $(wildcard libclient/*.c)
CORE_SRCS	:= $(filter-out $(if $(filter 1,$(POINTS)),,%/point.c),$(wildcard core/*/*.c))
STATIC_SRCS	:= $(wildcard libclient/static/*.c)
DAEMON_SRCS	:= $(wildcard daemon/*/*.c)
TOOL_SRCS	:= $(wildcard tools/*.c)
UNIT_SRCS	:= $(wildcard selftests/unit/test_*.c)
INTEGRATION_SRCS := $(wildcard selftests/integration/test_*.c)
POINT_SRCS	:= $(wildcard selftests/points/test_*.c)
TESTLIB_SRCS	:= $(filter-out $(if $(filter 1,$(POINTS)),,%/points.c %/stage.c),$(wildcard selftests/lib/*.c))
PLUGIN_SRCS	:= $(wildcard selftests/integration/plugin_*.c)
CONTAINER_SRCS	:= $(wildcard selftests/containers/*.c)
EXAMPLE_SRCS	:= $(wildcard examples/*/*.c)

# The one place that knows the version is the public header.
HEADER	:= libclient/include/tricolor.h
HEADERS	:= $(wildcard libclient/include/tricolor/*.h)
VERSION	:= $(shell awk '/define TRI_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $$3; dot = "." } \
			END { print v }' $(HEADER))
SOVERSION := $(firstword $(subst ., ,$(VERSION)))
SONAME	:= libtricolor.so.$(SOVERSION)

# The library is position independent and hides what is not public; the daemon has its own objects
# of the core, which are neither.
LIB_OBJS	:= $(patsubst %.c,$(O)/pic/%.o,$(LIB_SRCS) $(CORE_SRCS))
STATIC_OBJS	:= $(patsubst %.c,$(O)/pic/%.o,$(STATIC_SRCS))
CORE_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(CORE_SRCS))
DAEMON_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(filter-out daemon/service/main.c,$(DAEMON_SRCS)))
DAEMON_MAIN	:= $(patsubst %.c,$(O)/obj/%.o,$(filter daemon/service/main.c,$(DAEMON_SRCS)))
UNIT_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(UNIT_SRCS))
INTEGRATION_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(INTEGRATION_SRCS))
POINT_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(POINT_SRCS))
TESTLIB_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(TESTLIB_SRCS))
PLUGIN_OBJS	:= $(patsubst %.c,$(O)/pic/%.o,$(PLUGIN_SRCS))
EXAMPLE_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(EXAMPLE_SRCS))
CONTAINER_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(CONTAINER_SRCS))
TOOL_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(filter-out tools/tricolor.c,$(TOOL_SRCS)))
TOOL_MAIN	:= $(patsubst %.c,$(O)/obj/%.o,$(filter tools/tricolor.c,$(TOOL_SRCS)))
OBJS	:= $(LIB_OBJS) $(STATIC_OBJS) $(CORE_OBJS) $(DAEMON_OBJS) $(DAEMON_MAIN) $(TOOL_OBJS) $(TOOL_MAIN) $(UNIT_OBJS) \
	   $(INTEGRATION_OBJS) $(POINT_OBJS) $(TESTLIB_OBJS) $(PLUGIN_OBJS) $(EXAMPLE_OBJS) \
	   $(CONTAINER_OBJS)

LIB_FILE	:= $(O)/lib/$(SONAME)
LIB_LINK	:= $(O)/lib/libtricolor.so
LIB_STATIC	:= $(O)/lib/libtricolor.a
CORE_LIB	:= $(O)/libcore.a
DAEMON_LIB	:= $(O)/libtricolord.a
DAEMON_BIN	:= $(O)/sbin/tricolord
MARKER_BIN	:= $(if $(SANITIZE),,$(O)/libexec/tricolor/tricolor-marker)
TOOL_LIB	:= $(O)/libtool.a
TEST_LIB	:= $(O)/libtest.a
TOOL_BIN	:= $(O)/bin/tricolor
UNIT_TESTS	:= $(patsubst selftests/%.c,$(O)/tests/%,$(UNIT_SRCS))
INTEGRATION_TESTS := $(patsubst selftests/%.c,$(O)/tests/%,$(INTEGRATION_SRCS))
POINT_TESTS	:= $(patsubst selftests/%.c,$(O)/tests/%,$(POINT_SRCS))
PLUGINS		:= $(patsubst selftests/%.c,$(O)/tests/%.so,$(PLUGIN_SRCS))
EXAMPLES	:= $(patsubst examples/%/main.c,$(O)/examples/%,$(wildcard examples/*/main.c))

# What images hold that hold nothing else: programs that need no shared library.  The C library's functions
# that would look for one, such as those that know names of users, do without it there.
IMAGE_PROGRAMS := $(O)/images/tricolord/tricolor $(O)/images/kvcache/kvcache $(O)/images/kvcache/kvload \
	$(O)/tests/containers/program
IMAGE_FILES := $(O)/images/tricolord/tricolord $(O)/images/tricolord/tricolor-marker \
	$(O)/images/tricolord/Containerfile $(O)/images/kvcache/Containerfile

LIB	:= $(if $(LIB_SRCS),$(LIB_FILE) $(LIB_LINK) $(LIB_STATIC))
DAEMON	:= $(if $(DAEMON_MAIN),$(DAEMON_BIN) $(MARKER_BIN))
TOOL	:= $(if $(TOOL_MAIN),$(TOOL_BIN))

# --------------------------------------------------------------------------------------------
# Flags
# --------------------------------------------------------------------------------------------

# Heap and metadata are raw words that are read as several types: no type-based alias analysis in
# our own code.  (A program that uses the library needs no such flag.)
# Assertions are about the state of the process itself.  What is installed has none; tests with sanitizers or points do.
ASSERTS	:= $(if $(SANITIZE)$(filter 1,$(POINTS)),,-DNDEBUG)
C_FLAGS	:= -std=gnu11 -D_GNU_SOURCE= -Wall -Wextra -Wstrict-prototypes -fno-strict-aliasing \
	   $(if $(filter 1,$(WERROR)),-Werror) $(if $(filter 1,$(POINTS)),-DTRI_POINTS) $(ASSERTS)
L_FLAGS	:= -Wl,-z,relro -Wl,-z,now

# Undefined behaviour traps, and the address sanitizer reports the trap: gcc's runtime for the
# former has no log_path of its own beside the latter's, and a report on standard error is lost
# where that is a collector's.  The thread sanitizer warns that it does not see fences.
ifneq ($(SANITIZE),)
SAN	:= -fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
	   $(if $(findstring undefined,$(SANITIZE)),-fsanitize-undefined-trap-on-error) \
	   $(if $(findstring thread,$(SANITIZE)),-Wno-tsan)
endif

# The collector hears the module's netlink events where this library is there to be built with.
GENL	:= $(wildcard /usr/include/libnl3/netlink/genl/genl.h)
GENL_LIBS := $(if $(GENL),-lnl-genl-3 -lnl-3)

# The command names files and lines where this library is there to be built with.
DW	:= $(wildcard /usr/include/elfutils/libdwfl.h)
DW_LIBS	:= $(if $(DW),-ldw)

DEPS	= -MMD -MP
COMPILE	= $(CC) $(C_FLAGS) $(INCLUDES) $(DEFINES) $(CPPFLAGS) $(CFLAGS) $(SAN) $(DEPS)
LINK	= $(CC) $(CFLAGS) $(SAN) $(L_FLAGS) $(LDFLAGS)

# iquote: a header of ours may have the name of one of the system.  A header of another folder is named from the top;
# core/ and libclient/ name it from where they are, so that they can be built within another tree.
# The module's interface is this tree's, whatever is installed.
INCLUDES = -DTRI_NO_THREAD_REDIRECTS -DTRI__NO_NOTE -Ilibclient/include -Ikmod/uapi -iquote . -iquote selftests

$(O)/obj/tools/source.o: DEFINES = $(if $(DW),-DHAVE_LIBDW)
$(O)/obj/daemon/service/genl.o: DEFINES = $(if $(GENL),-DHAVE_LIBNL_GENL -I/usr/include/libnl3)

# Regions end when a thread is cancelled in them, or an exception passes.
$(O)/pic/libclient/blocking.o $(O)/pic/libclient/sigmask.o: DEFINES = -fexceptions

# Examples and plugins of tests see what a user of the library sees.
$(EXAMPLE_OBJS) $(PLUGIN_OBJS) $(CONTAINER_OBJS): INCLUDES = -Ilibclient/include -iquote selftests
$(EXAMPLE_OBJS): INCLUDES += -iquote examples

# Where library and command look for the collector if there is none at ../sbin from their own place,
# where that looks for the marker that it lends, and where it has its configuration.  Only the files that use it are built again for another PREFIX.
PATH_OBJS := $(patsubst %.c,$(O)/pic/%.o,$(shell grep -ls TRICOLORD_PATH $(CORE_SRCS) /dev/null)) \
	     $(patsubst %.c,$(O)/obj/%.o,$(shell grep -ls 'TRICOLORD_PATH\|MARKER_PATH\|CONFIG_FILE' \
		$(CORE_SRCS) $(DAEMON_SRCS) /dev/null))
$(PATH_OBJS): DEFINES = -DTRICOLORD_PATH='"$(sbindir)/tricolord"' \
	-DMARKER_PATH='"$(libexecdir)/tricolor/tricolor-marker"' -DCONFIG_FILE='"$(CONF)"'
CONF	= $(sysconfdir)/tricolor/tricolord.conf

# --------------------------------------------------------------------------------------------
# Building
# --------------------------------------------------------------------------------------------

.PHONY: all lib daemon tool tests unit-tests integration-tests point-tests plugins examples images
all: lib daemon tool examples
lib: $(LIB)
daemon: $(DAEMON)
tool: $(TOOL)
examples: $(EXAMPLES)
tests: unit-tests integration-tests
unit-tests: $(UNIT_TESTS)
plugins: $(PLUGINS)
integration-tests: $(INTEGRATION_TESTS) plugins $(LIB) $(DAEMON) $(TOOL) $(EXAMPLES)
point-tests: $(POINT_TESTS) $(LIB) $(DAEMON)
images: $(IMAGE_PROGRAMS) $(IMAGE_FILES)

# What was built with other flags, or from other files, is not up to date: each of these files holds
# what its users were built with, and is written only when that changes.
define remember
$(1): FORCE
	$$(shell mkdir -p $$(@D))$$(file >$$@.new,$(2))
	@cmp -s $$@.new $$@ && rm $$@.new || mv $$@.new $$@
endef

FLAGS	= $(shell $(CC) -dumpfullversion) $(COMPILE) $(LINK)
SOURCES	= $(LIB_SRCS) $(CORE_SRCS) $(DAEMON_SRCS) $(TOOL_SRCS) $(EXAMPLE_SRCS) $(TESTLIB_SRCS)
$(eval $(call remember,$(O)/.flags,$$(FLAGS)))
$(eval $(call remember,$(O)/.sources,$$(SOURCES)))
$(eval $(call remember,$(O)/.prefix,$$(sbindir) $$(libexecdir) $$(CONF)))

.PHONY: FORCE
FORCE:

$(OBJS): $(O)/.flags
$(PATH_OBJS): $(O)/.prefix
$(LIB_FILE) $(LIB_STATIC) $(CORE_LIB) $(DAEMON_LIB) $(TOOL_LIB) $(TEST_LIB) $(EXAMPLES): $(O)/.sources

$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(COMPILE) -c -o $@ $<

$(O)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(COMPILE) -fPIC -fvisibility=hidden -c -o $@ $<

# nodelete: threads and signal handlers run in the library's code; dlclose() must not unmap it.
$(LIB_FILE): $(LIB_OBJS) libclient/libtricolor.map
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -shared -o $@ $(LIB_OBJS) \
		-Wl,-soname,$(SONAME) -Wl,--version-script=libclient/libtricolor.map \
		-Wl,-z,nodelete -Wl,-z,defs

$(LIB_LINK): $(LIB_FILE)
	$(call say,LN,$@)ln -sf $(SONAME) $@

# What libtricolor.a has, and how, is for archive.sh to say.
$(LIB_STATIC): $(LIB_OBJS) $(STATIC_OBJS) libclient/static/archive.sh libclient/static/names.h
	@mkdir -p $(@D)
	$(call say,AR,$@)sh libclient/static/archive.sh $(AR) $(NM) $(LD) $(OBJCOPY) $@ \
		libclient/static/names.h $(O)/pic/libclient/static/members.o \
		$(filter-out %/members.o,$(filter %.o,$^))

# rm: ar would keep members whose source is gone.
$(CORE_LIB): $(CORE_OBJS)
$(DAEMON_LIB): $(DAEMON_OBJS)
$(TOOL_LIB): $(TOOL_OBJS)
$(TEST_LIB): $(TESTLIB_OBJS)
$(CORE_LIB) $(DAEMON_LIB) $(TOOL_LIB) $(TEST_LIB):
	@mkdir -p $(@D); rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $(filter %.o,$^)

$(DAEMON_BIN): $(DAEMON_MAIN) $(DAEMON_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $(filter %.o %.a,$^) -lm -lpthread $(GENL_LIBS)

# The collector without a library, for clients in whose file system there is none: a shared one lends it
# (daemon/service/policy.c).  It hears no netlink events, which are for a shared one; there are no static sanitizers.
$(O)/obj/daemon/service/genl-none.o: daemon/service/genl.c $(O)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$@)$(COMPILE) -c -o $@ $<

$(O)/libexec/tricolor/tricolor-marker: $(DAEMON_MAIN) $(O)/obj/daemon/service/genl-none.o $(DAEMON_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -static -o $@ $(filter %.o %.a,$^) -lm -lpthread

$(TOOL_BIN): $(TOOL_MAIN) $(TOOL_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $(filter %.o %.a,$^) -ljson-c $(DW_LIBS)

# What an image holds has no library beside it.
$(O)/obj/tools/source-none.o: tools/source.c $(O)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$@)$(COMPILE) -c -o $@ $<

$(UNIT_TESTS): $(O)/tests/%: $(O)/obj/selftests/%.o $(TEST_LIB) $(TOOL_LIB) $(DAEMON_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lm -lpthread -ljson-c $(DW_LIBS) $(GENL_LIBS)

# Parts of the library that unit tests take without the rest, and what stands for the rest.
UNIT_ALONE := $(O)/obj/selftests/unit/pageheap_alone.o
UNIT_AROUND := $(O)/obj/selftests/unit/pageheap_around.o
$(O)/tests/unit/test_pageheap: $(O)/pic/libclient/pageheap.o $(UNIT_ALONE) $(UNIT_AROUND)
$(O)/tests/unit/test_pagehints: $(UNIT_ALONE) $(UNIT_AROUND)
$(O)/tests/unit/test_throttle: $(UNIT_AROUND)
$(O)/tests/unit/test_span: $(O)/pic/libclient/settings.o
OBJS	+= $(UNIT_ALONE) $(UNIT_AROUND)
$(UNIT_ALONE) $(UNIT_AROUND): $(O)/.flags

# Programs in the build tree find the library relative to themselves.  Some look at an arena by themselves, which takes
# the core: the library hides its own.
$(INTEGRATION_TESTS) $(POINT_TESTS): $(O)/tests/%: $(O)/obj/selftests/%.o $(TEST_LIB) $(CORE_LIB) $(LIB_FILE) $(LIB_LINK)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $< $(TEST_LIB) -L$(O)/lib -Wl,-rpath,'$$ORIGIN/../../lib' \
		$(LINK_TRICOLOR) $(CORE_LIB) -lm -lpthread -ldl

# These see what the library hides.
LINK_TRICOLOR = -ltricolor
INSIDE_TESTS := $(O)/tests/integration/test_inside $(O)/tests/integration/test_steps $(O)/tests/points/test_checking
$(INSIDE_TESTS): LINK_TRICOLOR = $(LIB_STATIC)
$(INSIDE_TESTS): $(LIB_STATIC)

$(PLUGINS): $(O)/tests/%.so: $(O)/pic/selftests/%.o $(LIB_FILE) $(LIB_LINK)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -shared -o $@ $< -L$(O)/lib -ltricolor

# Each folder of examples/ that has a main.c is a program, with what is in common/.  The load generator has no heap.
example_objs = $(filter $(O)/obj/examples/$(1)/% $(O)/obj/examples/common/%,$(EXAMPLE_OBJS))
EXAMPLE_LIBS = -ltricolor
$(O)/examples/kvload: EXAMPLE_LIBS =
$(foreach example,$(EXAMPLES),$(eval $(example): $(call example_objs,$(notdir $(example)))))
$(EXAMPLES): $(LIB_FILE) $(LIB_LINK)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $(filter %.o,$^) -L$(O)/lib \
		-Wl,-rpath,'$$ORIGIN/../lib' $(EXAMPLE_LIBS) -lm -lpthread

$(O)/images/tricolord/tricolor: $(TOOL_MAIN) $(O)/obj/tools/source-none.o $(TOOL_LIB) $(CORE_LIB)
$(O)/images/tricolord/tricolor: IMAGE_LIBS = -ljson-c
$(O)/images/kvcache/kvcache: $(call example_objs,kvcache) $(LIB_STATIC)
$(O)/images/kvcache/kvload: $(call example_objs,kvload)
$(O)/tests/containers/program: $(CONTAINER_OBJS) $(LIB_STATIC)
$(IMAGE_PROGRAMS):
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -static -Wl,--no-warnings -o $@ $(filter %.o %.a,$^) $(IMAGE_LIBS) -lpthread
# The collector of an image is the marker, which needs no library.
$(O)/images/tricolord/tricolord $(O)/images/tricolord/tricolor-marker: $(O)/libexec/tricolor/tricolor-marker
$(O)/images/tricolord/Containerfile: daemon/dist/containers/tricolord.Containerfile
$(O)/images/kvcache/Containerfile: daemon/dist/containers/kvcache.Containerfile
$(IMAGE_FILES):
	@mkdir -p $(@D)
	$(Q)cp $< $@

-include $(OBJS:.o=.d)

# --------------------------------------------------------------------------------------------
# Running
# --------------------------------------------------------------------------------------------

.PHONY: demo bench bench-curves bench-scale bench-limits bench-written
demo: all
	$(Q)sh examples/wordindex/demo.sh

bench: all
	$(Q)sh bench/run.sh

# Programs of their own: they need control groups, and no other systems to compare with.
LIMITS_SRCS := $(wildcard bench/limits/*.c)
LIMITS	:= $(O)/bench/limits

$(LIMITS): $(LIMITS_SRCS) $(wildcard bench/limits/*.h selftests/lib/*.h) $(TEST_LIB) $(LIB_FILE)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(C_FLAGS) $(CFLAGS) -Ilibclient/include -iquote selftests \
		-o $@ $(LIMITS_SRCS) $(TEST_LIB) -L$(O)/lib -Wl,-rpath,'$$ORIGIN/../lib' -ltricolor -lm -lpthread

bench-limits: all $(LIMITS)
	$(Q)for part in sweep keep share arenas; do O=$(O) $(LIMITS) $$part || exit; echo; done

# Nor has this one: it is about the kernel's ways to tell which pages were written.
WRITTEN	:= $(O)/bench/written

$(WRITTEN): bench/written/main.c core/heap/written.h $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(C_FLAGS) $(CFLAGS) -iquote . -Ikmod/uapi -o $@ $< $(CORE_LIB)

bench-written: $(WRITTEN)
	$(Q)$(WRITTEN)

bench-curves bench-scale: bench-%: all
	$(Q)sh bench/run.sh $*

# What is promised with markers of clients' own and with a shared one alike.
MARKED_BY_SHARED := $(filter %/test_control %/test_sandbox,$(INTEGRATION_TESTS))

# Test programs run one after the other, whatever -j says: many of them measure time.  The virtual machine and the
# model do not; each keeps one CPU busy for minutes.
RUN	= sh selftests/run.sh -o $(O)/results

.PHONY: check check-unit check-integration check-points check-mutants check-containers check-model check-sanitize check-install check-interface \
	check-compilers check-vm check-vm-all check-vm-newest check-vm-debug kernel-tests
check-unit: unit-tests
	$(Q)$(RUN) -l unit -t 60 $(UNIT_TESTS)

check-integration: integration-tests
	$(Q)$(RUN) -l integration -t 300 $(INTEGRATION_TESTS)

# Tests that hold threads, the agent or the collector at places of the code, built with those in.
check-points: build-points
	$(Q)$(RUN) -l points -t 300 $(patsubst $(O)/%,$(O)/points/%,$(POINT_TESTS))

# Whether the tests notice what was broken on purpose: one small change after the other.
check-mutants:
	$(Q)sh selftests/mutants/run.sh

# The collector as a sidecar, in containers of podman or made with unshare(1).
check-containers: all images
	$(Q)O=$(O) $(RUN) -l containers -t 600 "sh selftests/containers/run.sh"

check-model:
	$(Q)$(RUN) -l model -t 7200 "sh selftests/model/run.sh large"

# Documents of the module's interface against its code.
check-interface:
	$(Q)$(RUN) -l interface -t 60 "python3 selftests/interface/check.py"

check-install:
	$(Q)$(RUN) -b
	$(Q)$(RUN) -a -l install -t 300 "sh selftests/install/run.sh"
	$(Q)$(RUN) -a -l install-abi -t 300 "sh selftests/install/abi.sh"
	$(Q)$(RUN) -a -l install-module -t 300 "sh selftests/install/module.sh"
	$(Q)$(RUN) -e

# Random loops, each with a collection at each instruction, by each compiler that is found.
check-compilers: all
	$(Q)O=$(O) $(RUN) -l compilers -t 20000 "sh selftests/compilers/run.sh all"

# The kernel module, in a virtual machine with one of Debian's kernels, which scripts/setup.sh has
# fetched: without one, or without the emulator, these skip and say so.
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

# With the newest kernel that one of Debian's suites has.
check-vm-newest: all tests kernel-tests
	$(Q)$(RUN) -l vm-7.3 -t 900 "sh selftests/vm/run.sh 7.3 quick ^kernel/"

# With kernels that look for their own mistakes.  These are built first, and everything in them takes several
# times as long: two hours in all.
check-vm-debug: all tests kernel-tests
	$(Q)sh selftests/vm/debug-kernel.sh 6.1
	$(Q)sh selftests/vm/debug-kernel.sh 6.12
	$(Q)$(RUN) -b
	$(Q)VM_SECONDS=5000 $(RUN) -a -l vm-debug-6.1 -t 5400 "sh selftests/vm/run.sh debug-6.1 quick ^kernel/"
	$(Q)VM_SECONDS=5000 $(RUN) -a -l vm-debug-6.12 -t 5400 "sh selftests/vm/run.sh debug-6.12 quick ^kernel/"
	$(Q)$(RUN) -e

# Under the address sanitizer: the unit tests, and clients and collectors of the tests that mutate, kill
# and interrupt.  The other integration tests say that what is dead is freed, which a conservative scan
# of the sanitizer's own large frames does not allow, or look at memory or at faults that it has taken
# over: they run as they are, served by a collector with the sanitizer.  The thread sanitizer can't be
# in a process whose sigaction() and pthread_create() are ours, and knows neither restartable sequences
# nor a signal in the middle of a loop: it sees the unit tests, and the collector of ordinary programs.
# test_run has programs die of signals that the sanitizer takes, and of limits that it does not fit into.
ASAN_CLIENTS := $(filter %/test_mutate %/test_barrier_region %/test_daemon_killed %/test_control \
	%/test_command %/test_service %/test_stacks %/test_coroutines %/test_checker,$(INTEGRATION_TESTS))
ASAN_SERVED := $(filter %/test_alloc %/test_roots %/test_threads,$(INTEGRATION_TESTS))
TSAN_SERVED := $(filter %/test_alloc %/test_roots %/test_threads %/test_control %/test_service, \
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

# All is built before anything runs: what does not compile is known soonest.
check: all tests images kernel-tests build-points build-asan build-tsan
	$(Q)$(RUN) -b
	$(Q)$(RUN) -a -l unit -t 60 $(UNIT_TESTS)
	$(Q)$(RUN) -a -l integration -t 300 $(INTEGRATION_TESTS)
	$(Q)TRICOLOR_TEST_MARKER=shared $(RUN) -a -l integration-shared -t 300 $(MARKED_BY_SHARED)
	$(Q)$(RUN) -a -l points -t 300 $(patsubst $(O)/%,$(O)/points/%,$(POINT_TESTS))
	$(Q)$(RUN) -s "vm-6.1:900:sh selftests/vm/run.sh 6.1 quick" "model:2700:sh selftests/model/run.sh small"
	$(Q)O=$(O) $(RUN) -a -l containers -t 600 "sh selftests/containers/run.sh"
	$(Q)$(RUN) -a -l interface -t 60 "python3 selftests/interface/check.py"
	$(Q)$(RUN) -a -l install -t 300 "sh selftests/install/run.sh"
	$(Q)$(RUN) -a -l install-abi -t 300 "sh selftests/install/abi.sh"
	$(Q)$(RUN) -a -l install-module -t 300 "sh selftests/install/module.sh"
	$(Q)$(RUN) -a -l fuzz -t 300 "sh selftests/fuzz/run.sh 20"
	$(Q)O=$(O) $(RUN) -a -l compilers -t 300 "sh selftests/compilers/run.sh quick"
	$(run_sanitize)
	$(Q)$(RUN) -e

.PHONY: style
style:
	$(Q)sh scripts/style.sh

# --------------------------------------------------------------------------------------------
# Installing
# --------------------------------------------------------------------------------------------

LIB_REAL := libtricolor.so.$(VERSION)

.PHONY: install uninstall
install: lib daemon tool
	$(Q)install -D -m 755 $(LIB_FILE) $(DESTDIR)$(libdir)/$(LIB_REAL)
	$(Q)ln -sf $(LIB_REAL) $(DESTDIR)$(libdir)/$(SONAME)
	$(Q)ln -sf $(SONAME) $(DESTDIR)$(libdir)/libtricolor.so
	$(Q)install -D -m 644 $(LIB_STATIC) $(DESTDIR)$(libdir)/libtricolor.a
	$(Q)install -D -m 644 $(HEADER) $(DESTDIR)$(includedir)/tricolor.h
	$(Q)install -D -m 644 -t $(DESTDIR)$(includedir)/tricolor $(HEADERS)
	$(Q)install -D -m 755 $(DAEMON_BIN) $(DESTDIR)$(sbindir)/tricolord
	$(if $(MARKER_BIN),$(Q)install -D -m 755 $(MARKER_BIN) $(DESTDIR)$(libexecdir)/tricolor/tricolor-marker)
	$(Q)install -D -m 644 libclient/man/tricolor.7 $(DESTDIR)$(mandir)/man7/tricolor.7
	$(Q)install -D -m 644 daemon/man/tricolord.8 $(DESTDIR)$(mandir)/man8/tricolord.8
	$(Q)install -D -m 644 daemon/man/tricolord.conf.5 $(DESTDIR)$(mandir)/man5/tricolord.conf.5
	$(Q)install -D -m 755 $(TOOL_BIN) $(DESTDIR)$(bindir)/tricolor
	$(Q)install -D -m 644 tools/man/tricolor.1 $(DESTDIR)$(mandir)/man1/tricolor.1
	$(Q)install -D -m 644 tools/completion/tricolor $(DESTDIR)$(bashcompdir)/tricolor
	$(Q)[ -e $(DESTDIR)$(CONF) ] || install -D -m 644 daemon/dist/tricolord.conf $(DESTDIR)$(CONF)
	$(Q)install -d $(DESTDIR)$(unitdir)
	$(Q)sed -e 's|@SBINDIR@|$(sbindir)|' daemon/dist/tricolord.service.in \
		>$(DESTDIR)$(unitdir)/tricolord.service
	$(Q)install -d $(DESTDIR)$(libdir)/pkgconfig
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(libdir)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@INCLUDEDIR@|$(includedir)|' libclient/tricolor.pc.in \
		>$(DESTDIR)$(libdir)/pkgconfig/tricolor.pc

# A configuration that somebody has changed stays.
uninstall:
	$(Q)! cmp -s daemon/dist/tricolord.conf $(DESTDIR)$(CONF) || rm $(DESTDIR)$(CONF)
	$(Q)rm -f $(addprefix $(DESTDIR)$(libdir)/,$(LIB_REAL) $(SONAME) libtricolor.so \
			libtricolor.a pkgconfig/tricolor.pc) \
		$(DESTDIR)$(includedir)/tricolor.h $(DESTDIR)$(sbindir)/tricolord \
		$(addprefix $(DESTDIR)$(includedir)/tricolor/,$(notdir $(HEADERS))) \
		$(DESTDIR)$(mandir)/man7/tricolor.7 $(DESTDIR)$(mandir)/man8/tricolord.8 \
		$(DESTDIR)$(mandir)/man5/tricolord.conf.5 $(DESTDIR)$(mandir)/man1/tricolor.1 \
		$(DESTDIR)$(bindir)/tricolor $(DESTDIR)$(bashcompdir)/tricolor \
		$(DESTDIR)$(unitdir)/tricolord.service $(DESTDIR)$(libexecdir)/tricolor/tricolor-marker
	$(Q)rmdir $(DESTDIR)$(libexecdir)/tricolor $(DESTDIR)$(includedir)/tricolor 2>/dev/null || true

# The module is built for one kernel: KVER, or the running one.  DESTDIR goes before all of it.
KMOD_ARGS := $(if $(KVER),KVER=$(KVER)) $(if $(KDIR),KDIR=$(KDIR)) $(if $(KMOD_O),O=$(KMOD_O))
DKMS_SRC := /usr/src/tricolor-$(VERSION)
docdir	= $(PREFIX)/share/doc/tricolor

.PHONY: modules modules_install modules_uninstall dkms_install
modules:
	$(Q)O= $(MAKE) -C kmod $(KMOD_ARGS) modules

modules_install: modules
	$(Q)O= $(MAKE) -C kmod $(KMOD_ARGS) INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_DIR=updates $@
	$(Q)$(MAKE) kmod-dist

# The sources, for DKMS to build.
dkms_install: kmod-dist
	$(Q)install -d $(DESTDIR)$(DKMS_SRC)
	$(Q)cp -r kmod/Kbuild kmod/dkms.conf kmod/uapi $(wildcard kmod/*.[ch]) $(DESTDIR)$(DKMS_SRC)

.PHONY: kmod-dist
kmod-dist:
	$(Q)install -D -m 644 kmod/dist/60-tricolor.rules \
		$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-tricolor.rules
	$(Q)install -D -m 644 kmod/dist/modprobe.conf $(DESTDIR)$(docdir)/modprobe.conf
	$(Q)install -D -m 644 kmod/dist/modules-load.conf $(DESTDIR)$(docdir)/modules-load.conf

modules_uninstall:
	$(Q)rm -rf $(DESTDIR)$(DKMS_SRC) $(DESTDIR)$(docdir)
	$(Q)rm -f $(DESTDIR)/lib/modules/*/updates/tricolor.ko* \
		$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-tricolor.rules

.PHONY: clean help
clean:
	$(Q)rm -rf build

help:
	@printf '%s\n' \
	'all (default)      library, daemon, command and example, into build/' \
	'images             what container images are made of: static programs, into build/images/' \
	'demo               build, then run the example on real files' \
	'check              every test: unit, integration, module, models, install, sanitizers' \
	'check-unit         unit tests only; seconds' \
	'check-integration  tests with real processes' \
	'check-points       tests that hold threads at chosen places' \
	'check-containers   the collector as a sidecar container; minutes' \
	'check-mutants      whether tests notice errors made on purpose; minutes' \
	'check-compilers    whether a compiler hides objects: random loops, each compiler; an hour' \
	'check-model        the protocol model in its large sizes; hours, several GB' \
	'check-sanitize     unit and integration tests under the sanitizers' \
	'check-install      install into a folder, and build and run against that' \
	'check-interface    documents of the module'"'"'s interface against its code; seconds' \
	'check-vm           the kernel module, in a virtual machine with Linux 6.1' \
	'check-vm-all       the same at length, with Linux 6.1 and 6.12' \
	'check-vm-newest    its own tests with Linux 7.3' \
	'check-vm-debug     its own tests with kernels that look for mistakes; hours' \
	'bench              compare with other allocators and collectors' \
	'bench-curves       the same against the size of the heap, up to 4 GiB' \
	'bench-limits       memory limits: near them, shared by three, split among fifty' \
	'bench-scale        an idle client, 1,000 threads, 100 clients on one daemon' \
	'style              formatting, licence lines, line length' \
	'install, uninstall honour DESTDIR, PREFIX (default /usr/local), bindir, sbindir, libdir,' \
	'                   sysconfdir (/etc for /usr and /usr/local, else PREFIX/etc), unitdir' \
	'modules            the kernel module, for KVER (default: the running kernel)' \
	'modules_install    that, udev rule and group; dkms_install: sources for DKMS' \
	'modules_uninstall  both again' \
	'clean              remove build/' \
	'' \
	'V=1                print commands' \
	'WERROR=0           warnings are no errors' \
	'SANITIZE=address,undefined | thread' \
	'                   build into build/asan | build/tsan' \
	'POINTS=1           with test points, into build/points' \
	'O=DIR              build into DIR instead'
