# SPDX-License-Identifier: Apache-2.0
"""What is in the initramfs of the host VM and of the guests."""
import glob
import os
import shutil
import subprocess
import tempfile
from . import cache, cpio, modules
from .cache import BUILD, HERE, TOP, Failure

BUSYBOX = "/bin/busybox"            # busybox-static
OUT = os.path.join(BUILD, "vm", "images")

# What the host's module needs, in any order; their own needs come along. VMMs map guest memory by
# VFIO's own way or by IOMMUFD, as the kernel has it.
# virqfd is a module of its own on 6.1 and built into vfio later.
# pci-stub is a driver for the PCI device that stands for a GPU.
HOST_MODULES = ["vfio", "vfio_iommu_type1|iommufd", "mdev", "pci-stub"]
# What can run QEMU's guests where the host VM is emulated: its CPU is one of AMD's, with SVM.
GUESTS_KVM = "kvm_amd"

# What reads a disk of the rig's; the rest of a kernel's virtio is built in or a need of this.
DISK_MODULES = ["virtio_pci", "virtio_blk", "squashfs"]
# What reads a folder of the host's; cloud kernels have none of it.
FOLDER_MODULES = ["virtio_pci", "9pnet_virtio", "9p"]

SEABIOS = "/usr/share/seabios"
ROMS = ["bios-256k.bin", "bios.bin"]
QEMU_DATA = "/usr/share/qemu"
QEMU_ROMS = ["kvmvapic.bin", "linuxboot.bin", "linuxboot_dma.bin", "multiboot.bin",
             "multiboot_dma.bin", "pvh.bin"]


def _base():
    image = cpio.Image()
    for folder in ("proc", "sys", "dev", "tmp", "run", "root", "etc", "var"):
        image.folder(folder)
    image.device("dev/console", "c", 5, 1)
    image.device("dev/null", "c", 1, 3)
    image.file("bin/busybox", BUSYBOX)
    for applet in subprocess.run([BUSYBOX, "--list-full"], text=True,
                                 stdout=subprocess.PIPE).stdout.split():
        if applet != "bin/busybox":
            image.link(applet, "/bin/busybox")
    # glibc loads it by name when a thread is cancelled
    image.file("lib/libgcc_s.so.1", subprocess.run(
        ["gcc", "-print-file-name=libgcc_s.so.1"], text=True,
        stdout=subprocess.PIPE).stdout.strip())
    image.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
               "nobody:x:65534:65534:nobody:/:/bin/false\n")
    image.text("etc/group", "root:x:0:\nnogroup:x:65534:\n")
    return image


def _programs(image, pattern, into):
    """Add the programs that match; a folder of them may not exist yet."""
    count = 0
    for source in sorted(glob.glob(os.path.join(TOP, pattern))):
        if os.path.isdir(source):
            continue
        target = os.path.join(into, os.path.basename(source))
        with open(source, "rb") as handle:
            elf = handle.read(4) == b"\x7fELF"
        if elf:
            image.program(target, source)
        else:
            image.file(target, source)
        count += 1
    return count


def _write(image, into):
    """Write an image, unless it is there already with the same content."""
    os.makedirs(os.path.dirname(into), exist_ok=True)
    key = cache.digest(*image.inputs())
    note = into + ".key"
    if os.path.exists(into) and os.path.exists(note):
        with open(note) as handle:
            if handle.read() == key:
                return into
    image.write(into)
    with open(note, "w") as handle:
        handle.write(key)
    return into


def small(init, texts, files):
    """An image of busybox, an init, some texts, and files in /rig."""
    image = _base()
    image.text("init", init, 0o755)
    for name, text in texts.items():
        image.text(name, text)
    for file in files:
        image.file("rig/" + os.path.basename(file), file)
    return image


def _modules(image, kernel, wanted, into):
    """Add the kernel's own modules, and a list in the order of loading."""
    names = []
    for file in modules.order(kernel, wanted):
        name = os.path.basename(file)
        image.file(f"{into}/{name}", file)
        names.append(name.removesuffix(".ko"))
    image.text(f"{into}/order", "".join(n + "\n" for n in names))


def disk(folder, into):
    """A disk with the files of a folder, and with what its symbolic links lead to.

    It is a squashfs, because a guest then reads only what its programs touch. Nothing is
    compressed, because an emulated processor unpacks more slowly than its disk delivers."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(into)) as scratch:
        files = os.path.join(scratch, "files")
        shutil.copytree(folder, files)
        cache.quiet(["mksquashfs", files, into, "-noappend", "-all-root", "-no-progress",
                     "-quiet", "-noI", "-noD", "-noF", "-noX"], f"a disk with {folder}")
    return into


def for_folders(kernel, programs):
    """What a guest's initramfs has beside guest()'s to read folders of its host, and programs."""
    image = cpio.Image()
    _modules(image, kernel, FOLDER_MODULES, "rig/folder")
    for program in programs:
        image.program("tests/" + os.path.basename(program), program)
    return image


def guest(kernel, with_module=True, with_disk=False):
    """A guest's initramfs: small, for it is loaded under emulation."""
    image = _base()
    image.file("init", os.path.join(HERE, "l2-init.sh"), 0o755)
    image.file("rig/agent.sh", os.path.join(HERE, "agent.sh"))
    lspci = shutil.which("lspci")
    if lspci:
        image.program("usr/bin/lspci", lspci)
    if with_module:
        modules.build(kernel, "guest")
        file = modules.find(kernel, "vgpu_guest.ko")
        if not file:
            raise Failure("the build left no vgpu_guest.ko")
        image.file("rig/vgpu_guest.ko", file)
        for library in ("libcuda.so.1", "libnvidia-ml.so.1"):
            source = os.path.join(BUILD, "lib", library)
            if os.path.exists(source):
                image.program("usr/lib/vgpu/" + library, source)
        _programs(image, "build/programs/*", "programs")
        _programs(image, "build/tests/guest/*", "tests")
    if with_disk:
        _modules(image, kernel, DISK_MODULES, "rig/disk")
    # Two runs at the same time may want the one and the other.
    name = (f"guest-{kernel.folder}{'' if with_module else '-bare'}"
            f"{'-disk' if with_disk else ''}")
    with cache.lock(cache.digest(OUT, name)):
        return _write(image, os.path.join(OUT, f"{name}.cpio"))


def host(into, kernel, scenario, env, uml=None, qemu=None, with_module=True, with_kvm=False,
         with_disk=False):
    """The host VM's initramfs, which is made for one run.

    uml and qemu are (kernel, its initramfs) of the guests that it can boot; with_kvm
    says that it is to have KVM for QEMU's guests, with_disk that it has a disk."""
    image = _base()
    image.file("init", os.path.join(HERE, "l1-init.sh"), 0o755)
    image.file("rig/l1-lib.sh", os.path.join(HERE, "l1-lib.sh"))
    image.file("rig/scenario.sh", scenario)
    for part in glob.glob(os.path.join(TOP, "tests", "e2e", "parts", "*.sh")):
        image.file("rig/parts/" + os.path.basename(part), part)
    image.text("rig/env", "".join(f"{k}={_quote(v)}\n" for k, v in env.items()))
    _modules(image, kernel, HOST_MODULES + [GUESTS_KVM] * with_kvm + DISK_MODULES * with_disk,
             "rig/modules")
    if with_module:
        modules.build(kernel, "host")
        file = modules.find(kernel, "vgpu_host.ko")
        if not file:
            raise Failure("the build left no vgpu_host.ko")
        image.file("rig/modules/vgpu_host.ko", file)
        _programs(image, "build/bin/*", "usr/bin")
        _programs(image, "build/lib/libvgpu-softgpu.so", "usr/lib/vgpu")
        _programs(image, "build/tests/host/*", "tests")
    if uml:
        image.program("rig/uml/linux", uml[0].image)
        image.file("rig/uml/initrd", uml[1])
    if qemu:
        _qemu(image)
        image.file("rig/qemu/wakeable", _wakeable(os.path.dirname(into)))
        image.file("rig/qemu/kernel", qemu[0].image)
        image.file("rig/qemu/initrd", qemu[1])
    return _write(image, into)


def _qemu(image):
    program = shutil.which("qemu-system-x86_64")
    image.program("usr/bin/qemu-system-x86_64", program)
    # its accelerators are modules, looked for where they were built to be
    for module in glob.glob("/usr/lib/*/qemu/accel-*-x86_64.so"):
        image.program(module, module)
    for name in ROMS:
        image.file(f"usr/share/seabios/{name}", os.path.join(SEABIOS, name))
    for name in QEMU_ROMS:
        source = os.path.join(QEMU_DATA, name)
        if os.path.exists(source):
            image.file(f"usr/share/qemu/{name}", source)


def _wakeable(folder):
    """Build the loader of guests that wake up; 0x90000 is where firmware leaves it alone."""
    program = os.path.join(folder, "wakeable")
    cache.quiet(["gcc", "-m32", "-O1", "-Wall", "-Wextra", "-Werror", "-ffreestanding",
                 "-fno-pic", "-no-pie", "-fno-stack-protector", "-fcf-protection=none",
                 "-fno-asynchronous-unwind-tables", "-nostdlib", "-static",
                 "-Wl,--build-id=none,--entry=start,-Ttext-segment=0x90000",
                 "-Wl,-z,noseparate-code", "-o", program,
                 os.path.join(HERE, "wakeable.c")], "wakeable.c")
    return program


def _quote(value):
    return "'" + str(value).replace("'", "'\\''") + "'"
