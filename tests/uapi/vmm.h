/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that is a VM to vgpu_host.ko: memory mapped through VFIO, the
 * registers of BAR0, admin commands. So a test plays VMM, guest driver, mediator
 * and executor in one process, and decides who does what when.
 */
#ifndef UAPI_VMM_H
#define UAPI_VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/vgpu_dev.h>
#include <linux/vgpu_host.h>

#define VMM_RAM (64u << 20)
#define VMM_PAGE 4096u

/* Where things are in the VM's memory. */
#define VMM_CMD 0u			/* the admin command */
#define VMM_LIST VMM_PAGE		/* page lists of commands */
#define VMM_DATA (1u << 20)		/* what is shared: channels, then regions */
#define VMM_CHANNEL_BYTES (1u << 20)	/* room for each channel's memory */

struct vmm {
	int container, group, device;
	int memfd;
	uint8_t *ram;
	uint64_t bar0, config;
};

/* The first mdev there is; false, with a message, if something is missing. */
bool vmm_open(struct vmm *v);
void vmm_close(struct vmm *v);
/* The VMM's own mapping and descriptor of the memory, as at its end. */
void vmm_drop_memory(struct vmm *v);

/* All of the VM's memory, given to the device and taken away. */
int vmm_dma_map(struct vmm *v);
int vmm_dma_unmap(struct vmm *v);

uint32_t vmm_read(struct vmm *v, uint32_t reg);
bool vmm_write(struct vmm *v, uint32_t reg, uint32_t val);

/* Admin commands: 0 or a positive errno. */
uint32_t vmm_admin(struct vmm *v, const void *cmd, uint32_t bytes);
uint32_t vmm_create(struct vmm *v, uint32_t channel);
uint32_t vmm_destroy(struct vmm *v, uint32_t channel);
uint32_t vmm_unmap(struct vmm *v, uint32_t channel, uint32_t region);
/* `bytes` of the VM's memory from `addr` on, in one run. */
uint32_t vmm_map(struct vmm *v, uint32_t channel, uint32_t region, uint64_t addr, uint64_t bytes);

/* Where a channel's memory is in the VM's, and how much it is. */
uint64_t vmm_channel_addr(uint32_t channel);
uint64_t vmm_channel_bytes(void);

/* The mediator's side. */
int vmm_mediate(int *host);	/* the vGPU's descriptor */
/* Wait for a channel and open it; -1 if none comes within a second. */
int vmm_attach(int vgpu);

#endif /* UAPI_VMM_H */
