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
# The same source gives the same bytes, in whichever folder it lies.
ALL_CFLAGS = -std=gnu17 $(WARNINGS) $(CFLAGS) -fstack-protector-strong -include necoops/base/banned.h \
             -ffile-prefix-map=$(CURDIR)=. -MMD -MP
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

SYSLIBS  := -lcurl -lyaml -lcjson -lgit2 -lcrypto -lz -llzma -lzstd -lisal -lm -lpthread
EMULATOR_SYSLIBS := -lmicrohttpd -lgnutls -lyaml -lcjson -lgit2 -lcrypto -lisal -lzstd -lz -lm -lpthread

# Libraries of their own (make tarball) come before the system's, for the libraries they need as well.
RPATH := -Wl,--build-id=sha1 -Wl,--disable-new-dtags -Wl,-rpath,'$$ORIGIN/../lib/necoops'

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
$(BUILD)/bin/$(1): $(call objs,$(wildcard cmd/$(1)/*.c)) $(if $(filter necoops-emulator,$(1)),$(EMULATOR_LIB) $(GROUND_LIBS),$(LIBS)) Makefile
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@$(CC) $(LDFLAGS) $$(RPATH) -Wl,--as-needed -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) \
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

# ---- what the build, the programs and the tests need: Debian's packages ----
DEPS := gcc libc6-dev libcurl4-openssl-dev libyaml-dev libcjson-dev libgit2-dev libssl-dev \
        libzstd-dev libisal-dev libmicrohttpd-dev libgnutls28-dev zlib1g-dev liblzma-dev \
        ca-certificates tzdata git curl openssl zstd util-linux e2fsprogs
DEPS_TEST := libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-yaml clang shellcheck mandoc \
             prometheus-alertmanager chromium valgrind faketime xz-utils nginx qemu-system-x86 qemu-utils

# Any kubectl will do; Debian's own is taken where there is none.
define install_packages
@list='$(1)'; command -v kubectl >/dev/null || list="$$list kubernetes-client"; missing=; \
for p in $$list; do \
  [ "$$(dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || missing="$$missing $$p"; \
done; \
[ -z "$$missing" ] && exit 0; \
if [ "$$(id -u)" = 0 ]; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; \
else echo "install these packages first:$$missing" >&2; exit 1; fi; \
echo "installing:$$missing"; \
$$sudo apt-get -qq update && \
$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $$missing >/dev/null
endef

.PHONY: deps deps-test
deps: ## install what the build and the demo need (Debian's packages)
	$(call install_packages,$(DEPS))
deps-test: deps ## install what the tests need
	$(call install_packages,$(DEPS) $(DEPS_TEST))

# ---- the day ----
JOBS := $(shell nproc 2>/dev/null || echo 2)

.PHONY: demo
demo: deps ## run a whole day on the emulator (APPS=FILE_OR_URL: with that apps repository)
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@examples/rehearsal/day $(BUILD)/bin $(APPS)

# ---- checks ----
# Most of a test is waiting, so that more run side by side than there are processors.
PYTEST = NECOOPS_BIN=$(abspath $(1)/bin) $(PYTHON) -m pytest -q -p no:cacheprovider -n 4 test/cli

.PHONY: check check-plain check-sanitized cli
check: deps-test ## pass all tests, plain and under sanitizers, and the lint
	@$(MAKE) --no-print-directory -j$(JOBS) lint
	@$(MAKE) --no-print-directory -j$(JOBS) check-plain
	@$(MAKE) --no-print-directory -j$(JOBS) check-sanitized BUILD=build/asan WERROR=1 SANITIZE=1 \
	  CFLAGS='-O1 -g'

check-plain check-sanitized: all $(UNIT)
	@test/run-unit $(UNIT)
	@$(call PYTEST,$(BUILD))

cli: all
	@$(call PYTEST,$(BUILD)) $(ARGS)

.PHONY: lint
lint: ## clang's warnings as errors (gcc's: in check), layers, scripts, manual pages
	@$(MAKE) --no-print-directory BUILD=build/clang WERROR=1 CFLAGS=-O1 CC=clang objects
	@test/lint/layers
	@shellcheck -x lib/instance/startup.sh examples/rehearsal/day examples/roles/grant packaging/rehearse packaging/tarball test/run-unit test/lint/layers
	@mandoc -Tlint -Wwarning man/*.[157]

.PHONY: objects
objects: $(call objs,$(shell find lib cmd -name '*.c'))

.PHONY: soak
soak: deps-test ## the long tests: many rounds, many seeds
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@NECOOPS_SOAK=1 $(call PYTEST,$(BUILD)) -m soak $(ARGS)

.PHONY: bench
bench: deps ## ratios against what people use today, side by side in one run
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(PYTHON) test/bench/bench.py $(BUILD)/bin

.PHONY: format
format: ## lay out every source file (.clang-format)
	@git ls-files '*.c' '*.h' | xargs clang-format -i

.PHONY: install
install: all ## install programs and manual pages (DESTDIR, PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
	  $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 755 $(TOOLS:%=$(BUILD)/bin/%) $(DESTDIR)$(PREFIX)/bin
	for section in 1 5 7; do \
	  install -m 644 man/*.$$section $(DESTDIR)$(PREFIX)/share/man/man$$section; done

TARBALL = $(BUILD)/necoops-$(VERSION)-$(shell dpkg --print-architecture).tar.gz

.PHONY: tarball
tarball: deps ## pack programs and libraries into an archive for instance.programs, and for CI
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@packaging/tarball $(BUILD)/bin $(TARBALL)

.PHONY: clean
clean: ## remove what was built
	rm -rf build

.PHONY: help
help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' $(MAKEFILE_LIST) | LC_ALL=C sort | expand -t 12

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
