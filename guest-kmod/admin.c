// SPDX-License-Identifier: GPL-2.0
/* Registers, and the admin commands of vgpu_dev.h with their page lists. */
#include <linux/io.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "vgpu_guest.h"

u32 vgpu_read(struct vgpu *vgpu, u32 reg)
{
	return readl(vgpu->bar + reg);
}

void vgpu_write(struct vgpu *vgpu, u32 reg, u32 val)
{
	writel(val, vgpu->bar + reg);
}

/* The command page is filled in by the caller, who holds admin_lock. */
static int admin_run(struct vgpu *vgpu, u32 bytes)
{
	u32 result;

	lockdep_assert_held(&vgpu->admin_lock);
	lockdep_assert_held(&vgpu->gone_lock);

	if (vgpu_away(vgpu))
		return -ENODEV;
	vgpu_write(vgpu, VGPU_REG_ADMIN_LO, lower_32_bits(vgpu->cmd_dma));
	vgpu_write(vgpu, VGPU_REG_ADMIN_HI, upper_32_bits(vgpu->cmd_dma));
	vgpu_write(vgpu, VGPU_REG_ADMIN_KICK, bytes);
	result = vgpu_read(vgpu, VGPU_REG_ADMIN_RESULT);
	if (result == ~0u)
		return -ENODEV;	/* unplugged without notice */
	if (result > MAX_ERRNO)
		return -EIO;
	return -(int)result;
}

/*
 * A page list: pages of struct vgpu_adm_list, chained.  They live only for
 * the command that reads them.
 */
struct list_page {
	struct vgpu_adm_list *list;
	dma_addr_t dma;
};

static void list_free(struct vgpu *vgpu, struct list_page *pages, u32 count)
{
	while (count--)
		if (pages[count].list)
			dma_free_coherent(&vgpu->pdev->dev, sizeof(*pages->list),
					  pages[count].list, pages[count].dma);
	kvfree(pages);
}

static struct list_page *list_make(struct vgpu *vgpu, struct vgpu_mem *mem, u32 *out_count)
{
	u32 count = DIV_ROUND_UP(mem->sgt.nents, VGPU_ADM_RUNS);
	struct list_page *pages;
	struct scatterlist *sg;
	u32 i;

	pages = kvcalloc(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return NULL;
	for (i = 0; i < count; i++) {
		pages[i].list = dma_alloc_coherent(&vgpu->pdev->dev, sizeof(*pages->list),
						   &pages[i].dma, GFP_KERNEL);
		if (!pages[i].list) {
			list_free(vgpu, pages, count);
			return NULL;
		}
		if (i)
			pages[i - 1].list->next = pages[i].dma;
	}
	for_each_sgtable_dma_sg(&mem->sgt, sg, i) {
		struct vgpu_adm_list *list = pages[i / VGPU_ADM_RUNS].list;

		list->run[list->count].addr = sg_dma_address(sg);
		list->run[list->count].bytes = sg_dma_len(sg);
		list->count++;
	}
	*out_count = count;
	return pages;
}

int vgpu_admin_create(struct vgpu_channel *ch, struct vgpu_mem *mem)
{
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_adm_create *cmd = vgpu->cmd;
	struct list_page *list;
	u32 count;
	int ret;

	list = list_make(vgpu, mem, &count);
	if (!list)
		return -ENOMEM;

	mutex_lock(&vgpu->admin_lock);
	*cmd = (struct vgpu_adm_create){
		.head = { .size = sizeof(*cmd), .op = VGPU_ADM_CREATE, .channel = ch->id },
		.vector = ch->vector,
		.pid = task_tgid_nr(current),
		.layout = ch->layout,
		.list = list[0].dma,
		.settings = ch->settings,
	};
	get_task_comm(cmd->comm, current->group_leader);
	ret = admin_run(vgpu, sizeof(*cmd));
	mutex_unlock(&vgpu->admin_lock);

	list_free(vgpu, list, count);
	return ret;
}

int vgpu_admin_destroy(struct vgpu_channel *ch)
{
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_adm_head *cmd = vgpu->cmd;
	int ret;

	mutex_lock(&vgpu->admin_lock);
	*cmd = (struct vgpu_adm_head){
		.size = sizeof(*cmd), .op = VGPU_ADM_DESTROY, .channel = ch->id,
	};
	ret = admin_run(vgpu, sizeof(*cmd));
	mutex_unlock(&vgpu->admin_lock);
	return ret;
}

int vgpu_admin_map(struct vgpu_channel *ch, u32 region, u64 va, struct vgpu_mem *mem)
{
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_adm_map *cmd = vgpu->cmd;
	struct list_page *list;
	u32 count;
	int ret;

	list = list_make(vgpu, mem, &count);
	if (!list)
		return -ENOMEM;

	mutex_lock(&vgpu->admin_lock);
	*cmd = (struct vgpu_adm_map){
		.head = { .size = sizeof(*cmd), .op = VGPU_ADM_MAP, .channel = ch->id },
		.region = region,
		.va = va,
		.bytes = (u64)mem->npages << PAGE_SHIFT,
		.list = list[0].dma,
	};
	ret = admin_run(vgpu, sizeof(*cmd));
	mutex_unlock(&vgpu->admin_lock);

	list_free(vgpu, list, count);
	return ret;
}

int vgpu_admin_unmap(struct vgpu_channel *ch, u32 region)
{
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_adm_unmap *cmd = vgpu->cmd;
	int ret;

	mutex_lock(&vgpu->admin_lock);
	*cmd = (struct vgpu_adm_unmap){
		.head = { .size = sizeof(*cmd), .op = VGPU_ADM_UNMAP, .channel = ch->id },
		.region = region,
	};
	ret = admin_run(vgpu, sizeof(*cmd));
	mutex_unlock(&vgpu->admin_lock);
	return ret;
}
