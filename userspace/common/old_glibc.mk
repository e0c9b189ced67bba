# SPDX-License-Identifier: Apache-2.0
# Before glibc 2.34, threads and dlopen() had libraries of their own. What is linked with a newer
# libc.so.6 asks for these functions at version GLIBC_2.34, which an older one does not have.
# Therefore the guest's libraries are linked with libraries of the old names that have the same
# functions at their first version, and have no code. At run time glibc's own stand in their place:
# a new glibc, too, knows the old version.

VG_OLD_DIR := $(O)/gen/old-glibc
VG_OLD_GLIBC := $(VG_OLD_DIR)/libpthread.so.0 $(VG_OLD_DIR)/libdl.so.2

VG_OLD_libpthread := pthread_attr_setstacksize pthread_create pthread_key_create \
	pthread_mutex_trylock pthread_once pthread_rwlock_init pthread_rwlock_rdlock \
	pthread_rwlock_unlock pthread_rwlock_wrlock pthread_setspecific pthread_sigmask
VG_OLD_libdl := dladdr dlopen dlsym

$(VG_OLD_DIR)/%: userspace/common/old_glibc.mk
	@mkdir -p $(@D)
	@printf 'void %s(void);\nvoid %s(void) {}\n' \
		$(foreach f,$(VG_OLD_$(firstword $(subst ., ,$*))),$(f) $(f)) >$@.c
	@{ echo 'GLIBC_2.2.5 {'; printf '%s;\n' $(VG_OLD_$(firstword $(subst ., ,$*))); echo '};'; } >$@.map
	$(CC) -fno-builtin -nostdlib -shared -fPIC -Wl,-soname,$* -Wl,--version-script=$@.map -o $@ $@.c
