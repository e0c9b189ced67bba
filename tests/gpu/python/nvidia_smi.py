# SPDX-License-Identifier: Apache-2.0
# runs: nvidia-smi
"""nvidia-smi, of what does not change and is not the vGPU's own.

Of the list of processes the heading alone: natively others are in it, in a VM only its own.
"""
import subprocess

FIELDS = ("name,gpu_uuid,driver_version,vbios_version,pci.bus_id,pci.device_id,pci.sub_device_id,"
          "pcie.link.gen.max,pcie.link.width.max,clocks.max.sm,clocks.max.memory,power.default_limit,"
          "power.max_limit,power.min_limit,ecc.mode.current,mig.mode.current,compute_mode,"
          "persistence_mode,display_active,compute_cap,fan.speed")
for command in (["-L"], [f"--query-gpu={FIELDS}", "--format=csv"],
                ["--query-compute-apps=pid", "--format=csv"], ["--list-excluded-gpus"]):
    done = subprocess.run(["nvidia-smi", *command], capture_output=True, text=True, check=False)
    out = done.stdout.splitlines()[:1] if "apps" in command[0] else [done.stdout]
    print(done.returncode, *(o.replace(", ", "\n") for o in out), done.stderr)
