# SPDX-License-Identifier: Apache-2.0
# guests: qemu
# timeout: 1200
# silence: 1800
# llama.cpp in a virtual machine, as `tools/llama/demo --guest` has prepared it on the disk.
export RIG_GUEST_MIB=1024	# its largest library has 360 MiB
host_up
type=$(vgpu_types | head -n1)
uuid=$(vgpu_create "$type") || die "an mdev of type $type is created"
step "a guest boots"
guest_boot guest qemu "$uuid"
check "the guest comes up" guest_wait guest || exit 1
step "llama.cpp's libraries come from a disk"
check "it is mounted" guest_mount guest /llama || exit 1
step "llama.cpp generates tokens"
out=$(guest_run guest 'cd /llama && LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/llama/system:/llama/cuda \
	./generate -g cuda/libggml-cuda.so -e cpu.result lib model.gguf' 900)
status=$?
echo "$out"
check "the same as on the CPU" test "$status:${out##*
}" = "0:PASS generate: 16 tokens, all as expected" || exit 1
calls=$(vgpu_status "$uuid" calls)
echo "$calls calls came through the vGPU"
check "and they came through the vGPU" test "${calls:-0}" -gt 100
check "the guest shuts down" guest_stop guest
check "no device memory is left in use" test "$(vgpu_status "$uuid" memory)" = 0
vgpu_remove "$uuid"
