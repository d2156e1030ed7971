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

NM	?= nm
OBJCOPY	?= objcopy

include mk/output.mk

# --------------------------------------------------------------------------------------------
# Sources
# --------------------------------------------------------------------------------------------

LIB_SRCS	:= $(filter-out libclient/static/%,$(wildcard libclient/*/*.c))
CORE_SRCS	:= $(filter-out $(if $(filter 1,$(POINTS)),,%/point.c),$(wildcard core/*/*.c))
STATIC_SRCS	:= $(wildcard libclient/static/*.c)
DAEMON_SRCS	:= $(wildcard daemon/*/*.c)
TOOL_SRCS	:= $(wildcard tools/*.c)
CONTAINER_SRCS	:= $(wildcard selftests/containers/*.c)
EXAMPLE_SRCS	:= $(wildcard examples/*/*.c)

# The one place that knows the version is the public header.
HEADER	:= libclient/include/tricolor.h
HEADERS	:= $(wildcard libclient/include/tricolor/*.h)
CXX_HEADER := libclient/include/tricolor.hpp
VERSION	:= $(shell awk '/define TRI_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $$3; dot = "." } \
			END { print v }' $(HEADER))
SOVERSION := $(firstword $(subst ., ,$(VERSION)))
SONAME	:= libtricolor.so.$(SOVERSION)

# The library is position independent and hides what is not public; the daemon has its own objects
# of the core, which are neither.  With -flto in CFLAGS the library's are compiled without: the
# optimiser does not see what assembly refers to, and objcopy, which makes the archive, refuses such
# objects.
LIB_OBJS	:= $(patsubst %.c,$(O)/pic/%.o,$(LIB_SRCS) $(CORE_SRCS))
STATIC_OBJS	:= $(patsubst %.c,$(O)/pic/%.o,$(STATIC_SRCS))
CORE_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(CORE_SRCS))
DAEMON_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(filter-out daemon/service/main.c,$(DAEMON_SRCS)))
DAEMON_MAIN	:= $(patsubst %.c,$(O)/obj/%.o,$(filter daemon/service/main.c,$(DAEMON_SRCS)))
EXAMPLE_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(EXAMPLE_SRCS))
CONTAINER_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(CONTAINER_SRCS))
TOOL_OBJS	:= $(patsubst %.c,$(O)/obj/%.o,$(filter-out tools/tricolor.c,$(TOOL_SRCS)))
TOOL_MAIN	:= $(patsubst %.c,$(O)/obj/%.o,$(filter tools/tricolor.c,$(TOOL_SRCS)))
OBJS	:= $(LIB_OBJS) $(STATIC_OBJS) $(CORE_OBJS) $(DAEMON_OBJS) $(DAEMON_MAIN) $(TOOL_OBJS) $(TOOL_MAIN) \
	   $(EXAMPLE_OBJS) $(CONTAINER_OBJS)

LIB_FILE	:= $(O)/lib/$(SONAME)
LIB_LINK	:= $(O)/lib/libtricolor.so
LIB_STATIC	:= $(O)/lib/libtricolor.a
CORE_LIB	:= $(O)/libcore.a
DAEMON_LIB	:= $(O)/libtricolord.a
DAEMON_BIN	:= $(O)/sbin/tricolord
MARKER_BIN	:= $(if $(SANITIZE),,$(O)/libexec/tricolor/tricolor-marker)
TOOL_LIB	:= $(O)/libtool.a
TOOL_BIN	:= $(O)/bin/tricolor
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
CXX_FLAGS := -std=gnu++17 -Wall -Wextra -Wpedantic $(if $(filter 1,$(WERROR)),-Werror)
L_FLAGS	:= -Wl,-z,relro -Wl,-z,now

# Undefined behaviour traps, and the address sanitizer reports the trap: gcc's runtime for the
# former has no log_path of its own beside the latter's, and a report on standard error is lost
# where that is a collector's.  The thread sanitizer warns that it does not see fences.
ifneq ($(SANITIZE),)
SAN	:= -fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
	   $(if $(findstring undefined,$(SANITIZE)),-fsanitize-undefined-trap-on-error) \
	   $(if $(findstring thread,$(SANITIZE)),-Wno-tsan)
endif

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

# Regions end when a thread is cancelled in them, or an exception passes.
$(O)/pic/libclient/threads/blocking.o $(O)/pic/libclient/base/sigmask.o: DEFINES = -fexceptions

# Examples see what a user of the library sees.
$(EXAMPLE_OBJS) $(CONTAINER_OBJS): INCLUDES = -Ilibclient/include -iquote selftests
$(EXAMPLE_OBJS): INCLUDES += -iquote examples

# Where library and command look for the collector if there is none at ../sbin from their own place,
# where that looks for the marker that it lends, and where it has its configuration.  Only the files
# that use it are built again for another PREFIX.
PATH_OBJS := $(patsubst %.c,$(O)/pic/%.o,$(shell grep -ls TRICOLORD_PATH $(CORE_SRCS) /dev/null)) \
	     $(patsubst %.c,$(O)/obj/%.o,$(shell grep -ls 'TRICOLORD_PATH\|MARKER_PATH\|CONFIG_FILE' \
		$(CORE_SRCS) $(DAEMON_SRCS) /dev/null))
$(PATH_OBJS): DEFINES = -DTRICOLORD_PATH='"$(sbindir)/tricolord"' \
	-DMARKER_PATH='"$(libexecdir)/tricolor/tricolor-marker"' -DCONFIG_FILE='"$(CONF)"'
CONF	= $(sysconfdir)/tricolor/tricolord.conf

# --------------------------------------------------------------------------------------------
# Building
# --------------------------------------------------------------------------------------------

.PHONY: all lib daemon tool examples images
all: lib daemon tool examples
lib: $(LIB)
daemon: $(DAEMON)
tool: $(TOOL)
examples: $(EXAMPLES)
images: $(IMAGE_PROGRAMS) $(IMAGE_FILES)

# What was built with other flags, or from other files, is not up to date: each of these files holds
# what its users were built with, and is written only when that changes.
define remember
$(1): FORCE
	$$(shell mkdir -p $$(@D))$$(file >$$@.new,$(2))
	@cmp -s $$@.new $$@ && rm $$@.new || mv $$@.new $$@
endef

FLAGS	= $(shell $(CC) -dumpfullversion) $(COMPILE) $(LINK)
SOURCES	= $(LIB_SRCS) $(CORE_SRCS) $(DAEMON_SRCS) $(TOOL_SRCS) $(EXAMPLE_SRCS)
$(eval $(call remember,$(O)/.flags,$$(FLAGS)))
$(eval $(call remember,$(O)/.sources,$$(SOURCES)))
$(eval $(call remember,$(O)/.prefix,$$(sbindir) $$(libexecdir) $$(CONF)))

.PHONY: FORCE
FORCE:

$(OBJS): $(O)/.flags
$(PATH_OBJS): $(O)/.prefix
$(LIB_FILE) $(LIB_STATIC) $(CORE_LIB) $(DAEMON_LIB) $(TOOL_LIB) $(EXAMPLES): $(O)/.sources

$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(COMPILE) -c -o $@ $<

$(O)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(COMPILE) -fPIC -fvisibility=hidden -fno-lto -c -o $@ $<

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
$(CORE_LIB) $(DAEMON_LIB) $(TOOL_LIB):
	@mkdir -p $(@D); rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $(filter %.o,$^)

$(DAEMON_BIN): $(DAEMON_MAIN) $(DAEMON_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $(filter %.o %.a,$^) -lm -lpthread

# The collector without a library, for clients in whose file system there is none: a shared one lends it
# (daemon/service/marker_program.h).  There are no static sanitizers.
$(O)/libexec/tricolor/tricolor-marker: $(DAEMON_MAIN) $(DAEMON_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -static -o $@ $(filter %.o %.a,$^) -lm -lpthread

$(TOOL_BIN): $(TOOL_MAIN) $(TOOL_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -o $@ $(filter %.o %.a,$^) -ljson-c $(DW_LIBS)

# What an image holds has no library beside it.
$(O)/obj/tools/source-none.o: tools/source.c $(O)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$@)$(COMPILE) -c -o $@ $<

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

include mk/tests.mk
include mk/bench.mk
include mk/install.mk

.PHONY: style
style:
	$(Q)sh scripts/style.sh

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
	'check-mutants      whether tests notice errors made on purpose; long' \
	'check-compilers    whether a compiler hides objects: random loops, each compiler; an hour' \
	'check-model        the protocol model in its large sizes; hours, several GB' \
	'check-sanitize     unit and integration tests under the sanitizers' \
	'check-structure    which folders and files need which; seconds' \
	'check-install      install into a folder, and build and run against that' \
	'check-interface    documents of the module'"'"'s interface against its code; seconds' \
	'check-vm           the kernel module, in a virtual machine with Linux 6.1' \
	'check-vm-all       the same at length, with Linux 6.1 and 6.12' \
	'check-vm-newest    its own tests with Linux 7.3' \
	'check-vm-debug     its own tests with kernels that look for mistakes; hours' \
	'bench              compare with other allocators and collectors' \
	'bench-curves       the same against the size of the heap, up to 4 GiB' \
	'bench-guest        stacks that are not known, coroutines, roots, fork()' \
	'bench-limits       memory limits: near them, shared by three, split among fifty' \
	'bench-written      finding the pages that were written' \
	'bench-scale        an idle client, 1,000 threads, 100 clients on one daemon' \
	'style              print what is wrong in form: formatting, licence lines, line length' \
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
