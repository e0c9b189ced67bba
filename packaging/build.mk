# SPDX-License-Identifier: Apache-2.0
# Installing: one list for each part, from which files are both installed and removed.
# docs/install.md says what to do with them.

PREFIX		?= /usr/local
DESTDIR		?=
BINDIR		?= $(PREFIX)/bin
SBINDIR		?= $(PREFIX)/sbin
LIBEXECDIR	?= $(PREFIX)/libexec
LIBDIR		?= $(PREFIX)/lib
MANDIR		?= $(PREFIX)/share/man
SRCDIR		?= $(PREFIX)/src
# systemd, udev and kmod look into /usr/local/lib, too.
UNITDIR		?= $(PREFIX)/lib/systemd/system
UDEVDIR		?= $(PREFIX)/lib/udev/rules.d
MODPROBEDIR	?= $(PREFIX)/lib/modprobe.d
MODULESLOADDIR	?= $(PREFIX)/lib/modules-load.d
SYSUSERSDIR	?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR	?= $(PREFIX)/lib/tmpfiles.d
# The dynamic linker and the mediator look there, whatever PREFIX is.
SYSCONFDIR	?= /etc

VG_PKG := $(O)/packaging

# SOURCE:PLACE:MODE
VG_INSTALL_host = \
	$(O)/bin/vgpu-mediatord:$(SBINDIR)/vgpu-mediatord:755 \
	$(O)/bin/vgpuctl:$(BINDIR)/vgpuctl:755 \
	$(O)/bin/vgpu-executor:$(LIBEXECDIR)/vgpu/vgpu-executor:755 \
	$(O)/bin/vgpu-exporter:$(BINDIR)/vgpu-exporter:755 \
	$(O)/lib/libvgpu-softgpu.so:$(LIBDIR)/vgpu-host/libvgpu-softgpu.so:644 \
	packaging/nvidia-nodes:$(LIBEXECDIR)/vgpu/nvidia-nodes:755 \
	userspace/man/vgpu-mediatord.8:$(MANDIR)/man8/vgpu-mediatord.8:644 \
	userspace/man/vgpu.conf.5:$(MANDIR)/man5/vgpu.conf.5:644 \
	userspace/man/vgpuctl.1:$(MANDIR)/man1/vgpuctl.1:644 \
	userspace/man/vgpu-exporter.8:$(MANDIR)/man8/vgpu-exporter.8:644 \
	$(VG_PKG)/systemd/vgpu-mediatord.service:$(UNITDIR)/vgpu-mediatord.service:644 \
	$(VG_PKG)/systemd/vgpu-exporter.service:$(UNITDIR)/vgpu-exporter.service:644 \
	$(VG_PKG)/apparmor.d/vgpu-mediatord:$(SYSCONFDIR)/apparmor.d/vgpu-mediatord:644 \
	packaging/udev/60-vgpu-host.rules:$(UDEVDIR)/60-vgpu-host.rules:644 \
	packaging/modprobe.d/vgpu-host.conf:$(MODPROBEDIR)/vgpu-host.conf:644 \
	packaging/modules-load.d/vgpu-host.conf:$(MODULESLOADDIR)/vgpu-host.conf:644 \
	packaging/sysusers.d/vgpu-host.conf:$(SYSUSERSDIR)/vgpu-host.conf:644 \
	packaging/tmpfiles.d/vgpu-host.conf:$(TMPFILESDIR)/vgpu-host.conf:644

# vgpuctl is of both parts, because `vgpuctl doctor` works in a guest, too.  The packages have
# it once for each (packaging/debian).
VG_INSTALL_guest = \
	$(O)/lib/libcuda.so.1:$(LIBDIR)/vgpu/libcuda.so.1:644 \
	$(O)/lib/libnvidia-ml.so.1:$(LIBDIR)/vgpu/libnvidia-ml.so.1:644 \
	$(O)/lib/libcupti.so.12:$(LIBDIR)/vgpu/libcupti.so.12:644 \
	$(O)/lib/libcupti.so.13:$(LIBDIR)/vgpu/libcupti.so.13:644 \
	$(O)/bin/vgpuctl:$(BINDIR)/vgpuctl:755 \
	userspace/man/vgpuctl.1:$(MANDIR)/man1/vgpuctl.1:644 \
	packaging/udev/60-vgpu-guest.rules:$(UDEVDIR)/60-vgpu-guest.rules:644 \
	$(VG_PKG)/ld.so.conf.d/00-vgpu.conf:$(SYSCONFDIR)/ld.so.conf.d/00-vgpu.conf:644

# TARGET:PLACE
VG_LINKS_guest = \
	libcuda.so.1:$(LIBDIR)/vgpu/libcuda.so \
	libnvidia-ml.so.1:$(LIBDIR)/vgpu/libnvidia-ml.so

# Sources for DKMS, which builds a module again for each kernel.
VG_DKMS_DIR = $(SRCDIR)/vgpu-$(1)-$(VG_VERSION)
VG_DKMS_SOURCES = Kbuild $(shell find include $(1)-kmod -name tests -prune -o -type f -print)
VG_INSTALL_host-dkms = $(call vg-dkms-list,host)
VG_INSTALL_guest-dkms = $(call vg-dkms-list,guest)
vg-dkms-list = $(VG_PKG)/dkms/$(1).conf:$(call VG_DKMS_DIR,$(1))/dkms.conf:644 \
	$(foreach f,$(call VG_DKMS_SOURCES,$(1)),$(f):$(call VG_DKMS_DIR,$(1))/$(f):644)

# Folders that hold nothing else; they go when they are empty.
VG_FOLDERS_host = $(LIBEXECDIR)/vgpu $(LIBDIR)/vgpu-host $(SYSCONFDIR)/vgpu
VG_FOLDERS_guest = $(LIBDIR)/vgpu
VG_FOLDERS_host-dkms = $(call VG_DKMS_DIR,host)
VG_FOLDERS_guest-dkms = $(call VG_DKMS_DIR,guest)

vg-word = $(word $(1),$(subst :, ,$(2)))
# What of it is compiled.  Programs of tests need more, so installing does not make them.
vg-built = $(filter $(O)/bin/% $(O)/lib/%,$(foreach f,$(VG_INSTALL_$(1)),$(call vg-word,1,$(f))))
define vg-put
install -D -m $(call vg-word,3,$(1)) $(call vg-word,1,$(1)) $(DESTDIR)$(call vg-word,2,$(1))

endef
define vg-link
ln -sfn $(call vg-word,1,$(1)) $(DESTDIR)$(call vg-word,2,$(1))

endef
define vg-take
rm -f $(DESTDIR)$(call vg-word,2,$(1))

endef
define vg-install
$(foreach f,$(VG_INSTALL_$(1)),$(call vg-put,$(f)))
$(foreach f,$(VG_LINKS_$(1)),$(call vg-link,$(f)))
endef
define vg-uninstall
$(foreach f,$(VG_INSTALL_$(1)) $(VG_LINKS_$(1)),$(call vg-take,$(f)))
for d in $(VG_FOLDERS_$(1)); do \
	[ ! -d $(DESTDIR)$$d ] || find $(DESTDIR)$$d -depth -type d -empty -delete; done
endef

# Where PREFIX and the version stand in a file.  They can differ from call to call.
.PHONY: vg-packaging-files
vg-packaging-files:
$(VG_PKG)/%: packaging/%.in vg-packaging-files
	@mkdir -p $(@D)
	@sed -e 's,@VERSION@,$(VG_VERSION),g' -e 's,@SBINDIR@,$(SBINDIR),g' -e 's,@BINDIR@,$(BINDIR),g' \
		-e 's,@LIBEXECDIR@,$(LIBEXECDIR),g' -e 's,@LIBDIR@,$(LIBDIR),g' $< >$@

.PHONY: product
product: $(call vg-built,host) $(call vg-built,guest)	## what is installed, without programs of tests

.PHONY: install install-host install-guest install-host-dkms install-guest-dkms
install: install-host install-guest	## what a host and a guest need, below DESTDIR, PREFIX=/usr/local

# A configuration that is there already is the operator's.
install-host: $(call vg-built,host) $(VG_PKG)/systemd/vgpu-mediatord.service $(VG_PKG)/systemd/vgpu-exporter.service \
		$(VG_PKG)/apparmor.d/vgpu-mediatord	## what a host needs
	$(call vg-install,host)
	[ -e $(DESTDIR)$(SYSCONFDIR)/vgpu/vgpu.conf ] || \
		install -D -m 644 packaging/vgpu.conf $(DESTDIR)$(SYSCONFDIR)/vgpu/vgpu.conf

install-guest: $(call vg-built,guest) $(VG_PKG)/ld.so.conf.d/00-vgpu.conf	## what a guest needs
	$(call vg-install,guest)

install-host-dkms: $(VG_PKG)/dkms/host.conf	## the source of vgpu_host.ko, for DKMS
	$(call vg-install,host-dkms)

install-guest-dkms: $(VG_PKG)/dkms/guest.conf	## the source of vgpu_guest.ko, for DKMS
	$(call vg-install,guest-dkms)

.PHONY: uninstall uninstall-host uninstall-guest uninstall-host-dkms uninstall-guest-dkms
uninstall: uninstall-host uninstall-guest uninstall-host-dkms uninstall-guest-dkms	## remove all that these installed

# The default configuration goes, and one that somebody has changed stays.
uninstall-host:
	@conf=$(DESTDIR)$(SYSCONFDIR)/vgpu/vgpu.conf; [ ! -e $$conf ] || \
		if cmp -s packaging/vgpu.conf $$conf; then rm -f $$conf; \
		else echo "$$conf was changed, so it stays"; fi
	$(call vg-uninstall,host)

uninstall-guest:
	$(call vg-uninstall,guest)

uninstall-host-dkms:
	$(call vg-uninstall,host-dkms)

uninstall-guest-dkms:
	$(call vg-uninstall,guest-dkms)

# Debian packages, built in a copy of the sources.  This alone needs debhelper, dh-apparmor,
# dh-dkms, dkms and lintian.
.PHONY: deb
deb:	## Debian packages, into build/deb; needs debhelper, dh-apparmor, dh-dkms and lintian
	packaging/make-deb $(O)/deb

# With what has been compiled already; lintian's complaints are failures.
.PHONY: check-deb
check-deb: all
	@if command -v dh >/dev/null && command -v lintian >/dev/null && command -v dh_dkms >/dev/null && \
			command -v dh_apparmor >/dev/null; then \
		packaging/make-deb --built $(O) $(O)/deb && \
		echo "deb: $$(ls $(O)/deb/*.deb | wc -l) checks passed, 0 failed"; \
	else \
		echo "deb: not run, debhelper, dh-apparmor, dh-dkms or lintian is missing"; \
	fi
