# SPDX-License-Identifier: Apache-2.0
# Unit tests of user space; each program runs alone, with no arguments.
VG_UNIT := $(O)/tests/unit

$(eval $(call vg-program,$(VG_UNIT)/executor,tests/unit/executor_test.c \
	$(addprefix userspace/executor/,handles.c blobs.c budget.c account.c arena.c bucket.c channel.c pages.c \
		sandbox.c filter.c files.c \
		calls_image.c) userspace/common/log.c,\
	-lcmocka -lpthread -lseccomp))
$(eval $(call vg-program,$(VG_UNIT)/mediator,tests/unit/mediator_test.c \
	userspace/mediator/config.c userspace/mediator/vfiouser_config.c userspace/mediator/cgroup.c userspace/mediator/tenant.c userspace/mediator/token.c \
	userspace/mediator/text.c userspace/mediator/uid.c userspace/mediator/user.c \
	userspace/mediator/pool.c userspace/mediator/quarantine.c userspace/mediator/quota.c userspace/mediator/sockets.c userspace/mediator/state.c \
	userspace/mediator/turns.c userspace/mediator/fair.c \
	userspace/mediator/closer.c userspace/common/log.c userspace/common/fdpass.c,\
	-lcmocka -ljson-c -linih -lseccomp -lpthread -Xlinker --wrap=close \
	-Xlinker --wrap=pthread_create))

tests: $(VG_UNIT)/executor $(VG_UNIT)/mediator

$(eval $(call vg-program,$(VG_UNIT)/release,tests/unit/release_test.c \
	$(addprefix userspace/mediator/,cgroup.c closer.c config.c drain.c environ.c event.c history.c host.c \
	pool.c quarantine.c proc.c quota.c refused.c sockets.c start.c state.c tenant.c text.c token.c turns.c fair.c uid.c user.c vfiouser_config.c) \
	userspace/common/log.c userspace/common/fdpass.c userspace/common/settings.c,\
	-lcmocka -ljson-c -linih -lseccomp -lsqlite3 -lpthread -Xlinker --wrap=ioctl \
	-Xlinker --wrap=posix_spawn))

tests: $(VG_UNIT)/release

$(eval $(call vg-program,$(VG_UNIT)/listen,tests/unit/listen_test.c \
	$(addprefix userspace/mediator/,cgroup.c closer.c config.c event.c history.c listen.c pool.c quarantine.c quota.c sockets.c state.c tenant.c text.c token.c turns.c fair.c \
	uid.c user.c vfiouser_config.c) userspace/common/log.c userspace/common/fdpass.c,\
	-lcmocka -ljson-c -linih -lseccomp -lsqlite3 -lpthread -Xlinker --wrap=close))

tests: $(VG_UNIT)/listen

$(eval $(call vg-program,$(VG_UNIT)/pool,tests/unit/pool_test.c \
	$(addprefix userspace/mediator/,pool.c environ.c) userspace/common/log.c \
	userspace/common/settings.c,-lcmocka -Xlinker --wrap=fopen))

tests: $(VG_UNIT)/pool

$(eval $(call vg-program,$(VG_UNIT)/integrity,tests/unit/integrity_test.c \
	userspace/common/integrity.c,-lcmocka))

tests: $(VG_UNIT)/integrity

$(eval $(call vg-program,$(VG_UNIT)/crew,tests/unit/crew_test.c $(addprefix userspace/shim/,crew.c thread.c),\
	-lcmocka -lpthread -Xlinker --wrap=sysconf))

tests: $(VG_UNIT)/crew

$(eval $(call vg-program,$(VG_UNIT)/stage,tests/unit/stage_test.c \
	$(addprefix userspace/shim/,stage.c stage_flow.c crew.c thread.c),\
	-lcmocka -lpthread -Xlinker --wrap=sysconf -Xlinker --wrap=vg_copy_past_caches))

tests: $(VG_UNIT)/stage

$(eval $(call vg-program,$(VG_UNIT)/slab,tests/unit/slab_test.c userspace/shim/slab.c,\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/slab

$(eval $(call vg-program,$(VG_UNIT)/pace,tests/unit/pace_test.c userspace/executor/pace.c \
	userspace/common/log.c,-lcmocka -Xlinker --wrap=clock_gettime))

tests: $(VG_UNIT)/pace

$(eval $(call vg-program,$(VG_UNIT)/host,tests/unit/host_test.c userspace/executor/calls_host.c,\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/host

$(eval $(call vg-program,$(VG_UNIT)/memory,tests/unit/memory_test.c userspace/executor/calls_memory.c,\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/memory

$(eval $(call vg-program,$(VG_UNIT)/warm,tests/unit/warm_test.c userspace/executor/calls_warm.c \
	userspace/common/log.c,\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/warm

$(eval $(call vg-program,$(VG_UNIT)/doze,tests/unit/doze_test.c userspace/common/client_wait.c,\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/doze

$(eval $(call vg-program,$(VG_UNIT)/role,tests/unit/role_test.c userspace/executor/role.c \
	userspace/common/log.c,-lcmocka -lpthread -Xlinker --wrap=pthread_create \
	-Xlinker --wrap=usleep))

tests: $(VG_UNIT)/role

$(eval $(call vg-program,$(VG_UNIT)/held,tests/unit/held_test.c \
	$(addprefix userspace/executor/,calls_link.c calls_jit.c calls_image.c calls_vmm.c budget.c linker.c),\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/held

# It starts the executor, with a library that stands for the host module.
$(VG_UNIT)/libpageable_channel.so: tests/unit/pageable_channel.c | $(O)/gen/stamp
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared -o $@ $<

$(eval $(call vg-program,$(VG_UNIT)/pageable,tests/unit/pageable_test.c userspace/common/fdpass.c,\
	-lcmocka))

tests: $(VG_UNIT)/pageable $(VG_UNIT)/libpageable_channel.so

# Code with threads, under ThreadSanitizer.  Programs that run CUDA are not among them:
# the executor's limits and filter leave no room for what ThreadSanitizer does in a process.
VG_TSAN := crew stage slab host role pace executor linker mediator

check-tsan:	## unit tests of code with threads, under ThreadSanitizer
	@CFLAGS="-O1 -g -fsanitize=thread -Wno-tsan" LDFLAGS=-fsanitize=thread HARDEN=n WERROR= \
		$(MAKE) -s O=$(O)/tsan $(VG_TSAN:%=$(O)/tsan/tests/unit/%)
	@for t in $(VG_TSAN); do \
		setarch -R env TSAN_OPTIONS=halt_on_error=1 $(O)/tsan/tests/unit/$$t || exit 1; done
	@echo "tsan: $(words $(VG_TSAN)) checks passed"
.PHONY: check-tsan

$(eval $(call vg-program,$(VG_UNIT)/linker,tests/unit/linker_test.c userspace/executor/linker.c,\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/linker

$(eval $(call vg-program,$(VG_UNIT)/visible,tests/unit/visible_test.c userspace/shim/visible.c,\
	-lcmocka))

tests: $(VG_UNIT)/visible

$(eval $(call vg-program,$(VG_UNIT)/mint,tests/unit/mint_test.c \
	$(addprefix userspace/executor/,handles.c budget.c calls_handles.c launched.c),-lcmocka -lpthread))
$(eval $(call vg-program,$(VG_UNIT)/objects,tests/unit/objects_test.c userspace/shim/objects.c,\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/mint $(VG_UNIT)/objects

$(eval $(call vg-program,$(VG_UNIT)/ranges,tests/unit/ranges_test.c userspace/shim/ranges.c,\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/ranges

$(eval $(call vg-program,$(VG_UNIT)/underway,tests/unit/underway_test.c \
	$(addprefix userspace/executor/,underway.c handles.c budget.c),-lcmocka -lpthread))

tests: $(VG_UNIT)/underway

$(eval $(call vg-program,$(VG_UNIT)/graph,tests/unit/graph_test.c \
	$(addprefix userspace/executor/,calls_graph.c calls_handles.c launched.c handles.c budget.c),\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/graph

$(eval $(call vg-program,$(VG_UNIT)/settings,tests/unit/settings_test.c \
	userspace/common/settings.c,-lcmocka))

tests: $(VG_UNIT)/settings

$(eval $(call vg-program,$(VG_UNIT)/timing,tests/unit/timing_test.c \
	$(addprefix userspace/executor/,timing.c budget.c),-lcmocka -lpthread \
	-Xlinker --wrap=clock_gettime))

tests: $(VG_UNIT)/timing

$(eval $(call vg-program,$(VG_UNIT)/turn,tests/unit/turn_test.c userspace/executor/turn.c,\
	-lcmocka -lpthread))

tests: $(VG_UNIT)/turn

$(eval $(call vg-program,$(VG_UNIT)/fair,tests/unit/fair_test.c userspace/mediator/fair.c,-lcmocka))

tests: $(VG_UNIT)/fair

$(eval $(call vg-program,$(VG_UNIT)/pages,tests/unit/pages_test.c userspace/executor/pages.c \
	userspace/common/fdpass.c,-lcmocka))

tests: $(VG_UNIT)/pages
