# SPDX-License-Identifier: GPL-2.0-only
#
# install.mk - installing the library, the collector and the command, and the kernel module

LIB_REAL := libtricolor.so.$(VERSION)

.PHONY: install uninstall
install: lib daemon tool
	$(Q)install -D -m 755 $(LIB_FILE) $(DESTDIR)$(libdir)/$(LIB_REAL)
	$(Q)ln -sf $(LIB_REAL) $(DESTDIR)$(libdir)/$(SONAME)
	$(Q)ln -sf $(SONAME) $(DESTDIR)$(libdir)/libtricolor.so
	$(Q)install -D -m 644 $(LIB_STATIC) $(DESTDIR)$(libdir)/libtricolor.a
	$(Q)install -D -m 644 $(HEADER) $(DESTDIR)$(includedir)/tricolor.h
	$(Q)install -D -m 644 $(CXX_HEADER) $(DESTDIR)$(includedir)/tricolor.hpp
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

# An existing configuration file is kept, as it may have been changed.
uninstall:
	$(Q)! cmp -s daemon/dist/tricolord.conf $(DESTDIR)$(CONF) || rm $(DESTDIR)$(CONF)
	$(Q)rm -f $(addprefix $(DESTDIR)$(libdir)/,$(LIB_REAL) $(SONAME) libtricolor.so \
			libtricolor.a pkgconfig/tricolor.pc) \
		$(DESTDIR)$(includedir)/tricolor.h $(DESTDIR)$(includedir)/tricolor.hpp \
		$(DESTDIR)$(sbindir)/tricolord \
		$(addprefix $(DESTDIR)$(includedir)/tricolor/,$(notdir $(HEADERS))) \
		$(DESTDIR)$(mandir)/man7/tricolor.7 $(DESTDIR)$(mandir)/man8/tricolord.8 \
		$(DESTDIR)$(mandir)/man5/tricolord.conf.5 $(DESTDIR)$(mandir)/man1/tricolor.1 \
		$(DESTDIR)$(bindir)/tricolor $(DESTDIR)$(bashcompdir)/tricolor \
		$(DESTDIR)$(unitdir)/tricolord.service $(DESTDIR)$(libexecdir)/tricolor/tricolor-marker
	$(Q)rmdir $(DESTDIR)$(libexecdir)/tricolor $(DESTDIR)$(includedir)/tricolor 2>/dev/null || true

# The module is built for one kernel: KVER, or the running one.  All paths begin with DESTDIR.
KMOD_ARGS := $(if $(KVER),KVER=$(KVER)) $(if $(KDIR),KDIR=$(KDIR)) $(if $(KMOD_O),O=$(KMOD_O))
DKMS_SRC := /usr/src/tricolor-$(VERSION)
docdir	= $(PREFIX)/share/doc/tricolor

.PHONY: modules modules_install modules_uninstall dkms_install
modules:
	$(Q)O= $(MAKE) -C kmod $(KMOD_ARGS) modules

modules_install: modules
	$(Q)O= $(MAKE) -C kmod $(KMOD_ARGS) INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_DIR=updates $@
	$(Q)$(MAKE) kmod-dist

# The sources of the module, which DKMS builds.
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
