# SPDX-License-Identifier: GPL-2.0-only
#
# bench.mk - measuring: bench/run.sh builds the rest of it with bench/Makefile

.PHONY: demo bench bench-curves bench-scale bench-limits bench-written bench-guest
demo: all
	$(Q)sh examples/wordindex/demo.sh

bench: all
	$(Q)sh bench/run.sh

# These benches are programs of their own: they need control groups, and compare no other systems.
LIMITS_SRCS := $(wildcard bench/limits/*.c)
LIMITS	:= $(O)/bench/limits

$(LIMITS): $(LIMITS_SRCS) $(wildcard bench/limits/*.h selftests/lib/*.h) $(TEST_LIB) $(LIB_FILE)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(C_FLAGS) $(CFLAGS) -Ilibclient/include -iquote selftests \
		-o $@ $(LIMITS_SRCS) $(TEST_LIB) -L$(O)/lib -Wl,-rpath,'$$ORIGIN/../lib' -ltricolor -lm -lpthread

bench-limits: all $(LIMITS)
	$(Q)for part in sweep keep share arenas; do O=$(O) $(LIMITS) $$part || exit; echo; done

# This one compares no systems either: it measures the kernel's ways to tell which pages were written.
WRITTEN	:= $(O)/bench/written

$(WRITTEN): bench/written/main.c core/heap/written.h $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(C_FLAGS) $(CFLAGS) -iquote . -Ikmod/uapi -o $@ $< $(CORE_LIB)

bench-written: $(WRITTEN)
	$(Q)$(WRITTEN)

# This one measures what only the library does, in the process of the bench itself.
GUEST	:= $(O)/bench/guest

$(GUEST): bench/guest/main.c $(LIB_FILE)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(C_FLAGS) $(CFLAGS) -fno-ivopts -fno-tree-ter -fno-tree-slsr \
		-fno-predictive-commoning -Ilibclient/include -o $@ $< \
		-L$(O)/lib -Wl,-rpath,'$$ORIGIN/../lib' -ltricolor -lpthread

bench-guest: all $(GUEST)
	$(Q)$(GUEST)
	$(Q)TRICOLOR_FORK=fresh $(GUEST) fork

bench-curves bench-scale: bench-%: all
	$(Q)sh bench/run.sh $*
