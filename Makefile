# necoops: see `make help`.

BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       ?= cc
PYTHON   ?= /usr/bin/python3
VERSION  := 0.1.0

CPPFLAGS += -Iinclude -Ilib -D_GNU_SOURCE -DNECOOPS_VERSION='"$(VERSION)"'
CFLAGS   ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wno-format-nonliteral \
            -Wno-missing-field-initializers
ALL_CFLAGS = -std=gnu17 $(WARNINGS) $(CFLAGS) -fstack-protector-strong -include necoops/base/banned.h \
             -MMD -MP
ifdef SANITIZE
ALL_CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=address,undefined
endif
ifdef WERROR
ALL_CFLAGS += -Werror
endif

# ---- the house: one archive a module; a tool links what it uses, the emulator what it may share ----
GROUND   := base yaml git
MODULES  := $(notdir $(wildcard lib/*))
LIBS     := $(patsubst %,$(BUILD)/lib/lib%.a,$(filter-out emulator,$(MODULES)))
GROUND_LIBS := $(patsubst %,$(BUILD)/lib/lib%.a,$(filter $(GROUND),$(MODULES)))
EMULATOR_LIB := $(BUILD)/lib/libemulator.a
TOOLS    := $(notdir $(wildcard cmd/*))

# libarchive is linked statically: of the shared one, XML and ICU come along (32 MB).
SYSLIBS  := -lcurl -lyaml -lcjson -lgit2 -lcrypto -l:libarchive.a -lnettle -lacl -lz -lbz2 -llzma \
            -llz4 -lzstd -lisal -lm -lpthread
EMULATOR_SYSLIBS := -lmicrohttpd -lgnutls -lyaml -lcjson -lgit2 -lcrypto -lisal -lzstd -lm -lpthread

src  = $(shell find lib/$(1) -name '*.c' 2>/dev/null | LC_ALL=C sort)
objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:

.PHONY: all
all: $(TOOLS:%=$(BUILD)/bin/%) ## build every program into build/bin (after `make deps`)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

define module_rule
$(BUILD)/lib/lib$(1).a: $(call objs,$(call src,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcsD $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call module_rule,$(m))))

define tool_rule
$(BUILD)/bin/$(1): $(call objs,$(wildcard cmd/$(1)/*.c)) $(if $(filter necoops-emulator,$(1)),$(EMULATOR_LIB) $(GROUND_LIBS),$(LIBS))
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@$(CC) $(LDFLAGS) -Wl,--as-needed -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) \
	  -Wl,--end-group $(if $(filter necoops-emulator,$(1)),$(EMULATOR_SYSLIBS),$(SYSLIBS))
endef
$(foreach t,$(TOOLS),$(eval $(call tool_rule,$(t))))

# The script is part of this object, unseen by the compiler.
$(BUILD)/obj/lib/instance/startup.o: lib/instance/startup.sh

# ---- tests: test/unit/MODULE/test_NAME.c is one cmocka program ----
UNIT := $(patsubst %.c,$(BUILD)/%,$(shell find test/unit -name 'test_*.c' 2>/dev/null | LC_ALL=C sort))

$(BUILD)/test/unit/emulator/%: $(BUILD)/obj/test/unit/emulator/%.o $(EMULATOR_LIB) $(GROUND_LIBS)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -Wl,--as-needed -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group \
	  $(EMULATOR_SYSLIBS) -lcmocka

$(BUILD)/test/unit/%: $(BUILD)/obj/test/unit/%.o $(LIBS)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS) -Wl,--as-needed -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group \
	  $(SYSLIBS) -lcmocka

.PHONY: unit
unit: $(UNIT)
	@test/run-unit $(UNIT)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
