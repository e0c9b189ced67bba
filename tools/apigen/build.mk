# SPDX-License-Identifier: Apache-2.0
# Everything that follows from the specification, into $(O)/gen.

O ?= build
VG_GEN := $(O)/gen
VG_APIGEN := tools/apigen/apigen.py
VG_SPEC ?= tools/apigen/spec
VG_APIGEN_DEPS := $(wildcard tools/apigen/*.py tools/apigen/emit/*.py \
	$(VG_SPEC)/*.api $(VG_SPEC)/types/*.api)
VG_GEN_FILES := $(addprefix $(VG_GEN)/,$(shell $(VG_APIGEN) --list))

.PHONY: gen
gen: $(VG_GEN_FILES)

$(VG_GEN)/stamp: $(VG_APIGEN_DEPS)
	@mkdir -p $(@D)
	$(VG_APIGEN) -s $(VG_SPEC) -o $(VG_GEN)
	@touch $@

# Unchanged outputs keep their time, so nothing is rebuilt for them.
$(VG_GEN_FILES): $(VG_GEN)/stamp ;
