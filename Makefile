# Offboard. `make help` lists the targets.

CC ?= cc
PREFIX ?= /usr/local
PKG = rdkafka libcurl jansson libpq libfyaml libuv libcrypto zlib oniguruma uuid ldap lber libidn2
PKG_CFLAGS := $(filter-out -I/usr/include,$(shell pkg-config --cflags $(PKG) 2>/dev/null))
PKG_LIBS := $(shell pkg-config --libs $(PKG) 2>/dev/null)
ROOMS = producer vault worker logger scheduler console cli mock
BUILD = build$(if $(SANITIZER),/$(subst $(comma),-,$(SANITIZER)))
comma = ,

WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wconversion
CFLAGS ?= -O2 -g
HARDENING = $(if $(SANITIZER),-fsanitize=$(SANITIZER),-D_FORTIFY_SOURCE=2) -fstack-protector-strong
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -I. $(WARNINGS) $(CFLAGS) $(HARDENING) -fno-omit-frame-pointer \
	$(PKG_CFLAGS)
ALL_LIBS = $(PKG_LIBS) -lunistring -ljq -lm -lpthread
ALL_LDFLAGS = $(LDFLAGS) $(if $(SANITIZER),-fsanitize=$(SANITIZER)) -Wl,-z,relro,-z,now -Wl,--as-needed

sources = $(wildcard $(1)/*.c)
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(call sources,$(1)))
program = $(if $(filter cli,$(1)),$(BUILD)/offboard,$(if $(filter mock,$(1)),$(BUILD)/mock-kafka,$(BUILD)/offboard-$(1)))
WRITTEN = $(foreach room,$(ROOMS),$(if $(call sources,$(room)),$(room)))
PROGRAMS = $(foreach room,$(WRITTEN),$(call program,$(room)))
UNIT_TESTS = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
FUZZ_SOURCES = $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_REPLAYS = $(FUZZ_SOURCES:tests/fuzz/%.c=$(BUILD)/unit/%)
FUZZ ?= $(FUZZ_SOURCES:tests/fuzz/fuzz_%.c=%)
FUZZ_SECONDS ?= 60

# As many compilers as cores, unless make was told.
PARALLEL = $(if $(findstring j,$(filter-out --%,$(MAKEFLAGS))),,-j$(shell nproc))

all: $(PROGRAMS) ## build lib.a and the programs (SANITIZER=address,undefined builds into build/address-undefined)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/lib.a: $(call objects,lib) $(call objects,edge)
	@rm -f $@
	$(AR) rcs $@ $^

define program_rule
$(call program,$(1)): $(call objects,$(1)) $(BUILD)/lib.a
	$$(CC) $(ALL_LDFLAGS) $$^ $(ALL_LIBS) -o $$@
endef
$(foreach room,$(WRITTEN),$(eval $(call program_rule,$(room))))

# A unit test names objects of rooms it needs in a comment: /* links: worker/retry.c worker/circuit.c */
# So does a helper of the tests, which a test names in its own.
links_of = $(if $(1),$(shell sed -n 's,^/\* links: \(.*\) \*/$$,\1,p' $(1)))
helpers_of = $(filter tests/%,$(call links_of,$(1)))
unit_links = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(call links_of,$(1) $(call helpers_of,$(1)))))
define unit_rule
$(BUILD)/unit/$(notdir $(basename $(1))): $(BUILD)/obj/$(basename $(1)).o $(call unit_links,$(1)) $(BUILD)/lib.a
	@mkdir -p $$(@D)
	$$(CC) $(ALL_LDFLAGS) $$^ $(ALL_LIBS) -lcmocka -o $$@
endef
$(foreach test,$(wildcard tests/unit/test_*.c),$(eval $(call unit_rule,$(test))))

# A fuzz target is linked twice: with a main() that replays its corpus, and with libFuzzer's.
define fuzz_rule
$(BUILD)/unit/fuzz_$(1): $(BUILD)/obj/tests/fuzz/fuzz_$(1).o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/obj/tests/fuzz/fuzz.o \
		$(call unit_links,tests/fuzz/fuzz_$(1).c) $(BUILD)/lib.a
	@mkdir -p $$(@D)
	$$(CC) $(ALL_LDFLAGS) $$^ $(ALL_LIBS) -o $$@

$(BUILD)/target/$(1): $(BUILD)/obj/tests/fuzz/fuzz_$(1).o $(BUILD)/obj/tests/fuzz/fuzz.o \
		$(call unit_links,tests/fuzz/fuzz_$(1).c) $(BUILD)/lib.a
	@mkdir -p $$(@D)
	$$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer $$^ $(ALL_LIBS) -o $$@
endef
$(foreach source,$(FUZZ_SOURCES),$(eval $(call fuzz_rule,$(source:tests/fuzz/fuzz_%.c=%))))

unit: $(UNIT_TESTS) $(FUZZ_REPLAYS) ## run the unit tests, and the fuzz targets with their corpora
	@scripts/unit-tests $(UNIT_TESTS) $(FUZZ_REPLAYS)

FUZZ_BUILD = BUILD=build/fuzz SANITIZER=fuzzer-no-link,address,undefined CC=clang-14 \
	CFLAGS="-O1 -g -fno-sanitize-recover=all"

fuzz: ## run the fuzz targets, FUZZ_SECONDS=60 each (FUZZ="json form": only these); see tests/fuzz/README.md
	@scripts/deps --fuzz
	@$(MAKE) --no-print-directory $(PARALLEL) $(FUZZ_BUILD) $(addprefix build/fuzz/target/,$(FUZZ))
	@scripts/fuzz run $(FUZZ_SECONDS) $(FUZZ)

fuzz-corpus: ## take what make fuzz found into tests/fuzz/corpus, as few files as cover the same
	@$(MAKE) --no-print-directory $(PARALLEL) $(FUZZ_BUILD) $(addprefix build/fuzz/target/,$(FUZZ))
	@scripts/fuzz merge $(FUZZ)

test: ## run all tests: unit, then system (real Kafka, real PostgreSQL, sandbox vendors)
	@scripts/deps --test
	@$(MAKE) --no-print-directory $(PARALLEL) all unit
	@TEST_BUILD=$(BUILD) scripts/system-tests

check: all ## validate the shipped definitions
	$(BUILD)/offboard validate

CONFIGURATION.md: $(BUILD)/conf-document
	$< > $@

helm/offboard/values.schema.json: $(BUILD)/conf-document
	$< --values-schema $@ > $@.new
	mv $@.new $@

$(BUILD)/conf-document: $(BUILD)/obj/scripts/conf-document.o $(BUILD)/lib.a
	$(CC) $(ALL_LDFLAGS) $^ $(ALL_LIBS) -o $@

worker/connectors/README.md: $(call program,cli) $(wildcard worker/connectors/*.yaml)
	$< connectors --markdown -c /dev/null > $@

lint: ## check format, C, shell and Python
	@scripts/lint

format: ## bring the C files into format
	@git ls-files '*.c' '*.h' | xargs clang-format-14 -i

deps: ## install what is missing of the Debian packages
	@scripts/deps --test

demo: ## one HR event, 90 days in a minute, nothing left behind
	@scripts/demo

chaos: all ## seeded storms over processes, broker, database, clocks and TLS, with an oracle (SEEDS=200)
	@tests/chaos/run

model: all ## the state machine in SQL against its model, SEEDS=100 random runs (tests/model/README.md)
	@tests/model/run

bench: all ## worker and logger against their yardsticks, as ratios
	@tests/bench/run

image: all ## the container image, built and started without a daemon (needs root); build/offboard-image.tar
	@scripts/image
capacity: all ## figures for capacity planning: jobs/s, events/s, bytes a leaver, memory, start (docs/operations.md)
	@tests/bench/capacity

test-kubernetes: ## the chart in a real API server: install, upgrade, roll back, uninstall (builds Kubernetes once)
	@scripts/kubernetes-tests

install: all ## install under $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(addprefix $(DESTDIR)$(PREFIX)/share/offboard/,sources runbooks connectors schema)
	install -m 755 $(filter-out %/mock-kafka,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin
	install -m 644 producer/sources/*.yaml $(DESTDIR)$(PREFIX)/share/offboard/sources
	install -m 644 producer/runbooks/*.yaml $(DESTDIR)$(PREFIX)/share/offboard/runbooks
	install -m 644 worker/connectors/*.yaml $(DESTDIR)$(PREFIX)/share/offboard/connectors
	install -m 644 schema/*.sql $(DESTDIR)$(PREFIX)/share/offboard/schema

clean: ## remove what was built
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'\t' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: all unit fuzz fuzz-corpus test test-kubernetes check lint format deps demo chaos model bench capacity image install clean help
.DELETE_ON_ERROR:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
