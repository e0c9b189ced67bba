// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzz target: what a vfio-user client, the guest behind it and executors say to a server, in
 * sequences.  Each step of the input is a message of any bytes, a message that is right but for
 * a field or two, bytes in the VM's memory, an admin command, something from an executor, or an
 * executor's end.  An input can also be the bytes of a connection, descriptors among them.
 *
 * After each step the maps are in order and the counts agree.  At the end nothing may be left:
 * no channel, no memory, no descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vgpu/layout.h>

#include "common/fdpass.h"
#include "common/log.h"
#include "fuzz.h"
#include "vfiouser/vfiouser.h"

#define PAGE	4096u
#define PAGES	128u		/* of the VM's memory */
#define WATCHED	128
#define PEERS	24		/* executors at a time */

static struct vfu device;
static struct vg_vfu_counters counters;
static struct vfu_message message;
static struct vfu_answer answer;
static int files[6];		/* of kinds: see LLVMFuzzerInitialize() */
static uint8_t *memory;		/* the first of them */
static struct { int fd; struct vfu_channel *ch; } watched[WATCHED];
static int peers[PEERS], lives[PEERS];
static int life = -1;		/* of the channel that comes next */
static bool full;		/* the mediator does not read */

static int watch(struct vfu *v, int fd, struct vfu_channel *ch)
{
	(void)v;
	for (int i = 0; i < WATCHED; i++) {
		if (watched[i].fd >= 0)
			continue;
		watched[i].fd = fd;
		watched[i].ch = ch;
		return 0;
	}
	return -ENOMEM;
}

static void forget(struct vfu *v, int fd)
{
	(void)v;
	for (int i = 0; i < WATCHED; i++)
		if (watched[i].fd == fd)
			watched[i].fd = -1;
}

static int tell(struct vfu *v, const struct vg_vfu_event *e, int fd)
{
	(void)v;
	if (full)
		return -EAGAIN;
	if ((e->kind != VG_VFU_CLOSED) != (fd >= 0) || e->size != sizeof(*e))
		abort();
	if (e->kind == VG_VFU_LIFE) {
		if (life >= 0)
			close(life);
		life = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}
	if (e->kind != VG_VFU_CHANNEL)
		return 0;
	for (int i = 0; i < PEERS; i++) {
		if (peers[i] >= 0 || lives[i] >= 0)
			continue;
		peers[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		lives[i] = life;
		life = -1;
		return 0;
	}
	return -EAGAIN;
}

static void hear(struct vfu *v)
{
	/* Of any channel, or of none. */
	for (uint32_t i = 0; i < 4; i++) {
		struct vg_vfu_refusal r = { sizeof(r), i, i, 0, v->next_cookie };

		vfu_channel_refused(v, &r);
	}
}

static void end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static const struct vfu_ops ops = { .watch = watch, .forget = forget, .tell = tell, .hear = hear };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	vg_log_init("fuzz", VG_ERROR);
	for (int i = 0; i < 4; i++) {
		files[i] = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (ftruncate(files[i], PAGES * PAGE))
			abort();
		if (i != 1 && fcntl(files[i], F_ADD_SEALS, F_SEAL_SHRINK))
			abort();
	}
	files[4] = open("/dev/null", O_RDWR | O_CLOEXEC);
	files[5] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, files[0], 0);
	for (int i = 0; i < WATCHED; i++)
		watched[i].fd = -1;
	for (int i = 0; i < PEERS; i++)
		peers[i] = lives[i] = -1;
	return 0;
}

struct input {
	const uint8_t *data;
	size_t bytes;
};

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;

	if (n > in->bytes)
		n = in->bytes;
	memcpy(&v, in->data, n);
	in->data += n;
	in->bytes -= n;
	return v;
}

static void take_bytes(struct input *in, void *to, size_t n)
{
	memset(to, 0, n);
	if (n > in->bytes)
		n = in->bytes;
	memcpy(to, in->data, n);
	in->data += n;
	in->bytes -= n;
}

/* -- what the loop of main.c does */

static void dispatch(void)
{
	struct pollfd p[WATCHED];
	int at[WATCHED], count, rang;

	do {
		vfu_channels_tell(&device);
		count = 0;
		for (int i = 0; i < WATCHED; i++) {
			if (watched[i].fd < 0)
				continue;
			at[count] = i;
			p[count++] = (struct pollfd){ watched[i].fd, POLLIN, 0 };
		}
		rang = count ? poll(p, count, 0) : 0;
		/* One at a time, as there. */
		for (int i = 0; rang > 0 && i < count; i++) {
			if (!p[i].revents)
				continue;
			vfu_channel_ready(&device, watched[at[i]].ch, p[i].fd);
			break;
		}
	} while (rang > 0);
}

static void check(void)
{
	for (unsigned int i = 1; i < device.map_count; i++)
		if (device.map[i - 1].iova + (device.map[i - 1].bytes - 1) >= device.map[i].iova)
			abort();
	if (device.map_count > VFU_MAPS || device.run_count > VFU_RUNS)
		abort();
}

static enum vfu_next serve(uint16_t command, uint32_t flags, uint32_t bytes)
{
	enum vfu_next next;

	message.head = (struct vfu_header){ .id = 7, .command = command, .flags = flags,
					    .size = sizeof(message.head) + bytes };
	next = vfu_serve(&device, &message, &answer);
	if (next != VFU_END && answer.head.size &&
	    (answer.head.id != 7 || answer.head.command != command ||
	     answer.head.size > sizeof(answer) || answer.head.size < sizeof(answer.head) ||
	     (command != 9 && answer.head.size > message.head.size)))
		abort();
	return next;
}

static void body(const void *data, size_t bytes)
{
	memcpy(message.body, data, bytes);
}

static void give_fds(struct input *in, unsigned int count)
{
	message.fd_count = count;
	for (unsigned int i = 0; i < count; i++)
		message.fd[i] = fcntl(files[take(in, 1) % 6], F_DUPFD_CLOEXEC, 0);
}

/* -- steps */

static void any_message(struct input *in)
{
	uint64_t how = take(in, 4);
	uint32_t bytes = take(in, 1);

	take_bytes(in, message.body, bytes);
	give_fds(in, how >> 24 & 15);
	serve(how % 20, how >> 8 & 0x3f, bytes);
}

static void dma_map(struct input *in)
{
	struct { uint32_t argsz, flags; uint64_t offset, iova, bytes; } d = { 32, 3, 0, 0, 0 };
	uint64_t how = take(in, 4);

	d.iova = (how & 0xff) * PAGE;
	d.bytes = (how >> 8 & 0xff) * PAGE;
	d.offset = (how >> 16 & 0x7f) * PAGE;
	if (how & 1u << 23)
		d.iova += take(in, 8);
	give_fds(in, how >> 24 & 1);
	body(&d, sizeof(d));
	serve(2, 0, sizeof(d));
}

static void dma_unmap(struct input *in)
{
	struct { uint32_t argsz, flags; uint64_t iova, bytes; } d = { 24, 0, 0, 0 };
	uint64_t how = take(in, 3);

	d.flags = (how >> 16 & 0xff) > 250 ? 2 : 0;
	d.iova = d.flags ? 0 : (how & 0xff) * PAGE;
	d.bytes = d.flags ? 0 : (how >> 8 & 0xff) * PAGE;
	message.fd_count = 0;
	body(&d, sizeof(d));
	serve(3, 0, sizeof(d));
}

static void set_irqs(struct input *in)
{
	uint64_t how = take(in, 4);
	uint32_t s[5] = { 20, how & 0x3f, 2, how >> 8 & 0x3f, how >> 16 & 0x3f };

	give_fds(in, how >> 24 & 15);
	body(s, sizeof(s));
	serve(8, 0, sizeof(s));
}

static void write_register(uint32_t off, uint32_t val)
{
	struct { uint64_t off; uint32_t region, count, val; } w = { off, 0, 4, val };

	message.fd_count = 0;
	body(&w, 20);
	serve(10, 0x10, 20);
}

static void command(uint32_t bytes)
{
	write_register(VGPU_REG_ADMIN_LO, 0);
	write_register(VGPU_REG_ADMIN_HI, 0);
	write_register(VGPU_REG_ADMIN_KICK, bytes);
}

/* A list in the page after the command's, of runs that the input names. */
static uint64_t list(struct input *in, uint64_t pages)
{
	struct vgpu_adm_list *l = (void *)(memory + PAGE);

	memset(l, 0, sizeof(*l));
	while (pages && l->count < VGPU_ADM_RUNS) {
		uint64_t how = take(in, 2), n = how >> 8 & 0x1f;

		if (!n || n > pages)
			n = pages;
		l->run[l->count].addr = (how & 0x7f) * PAGE;
		l->run[l->count++].bytes = n * PAGE;
		pages -= n;
	}
	return PAGE;
}

static void spoil(struct input *in, uint8_t how)
{
	for (; how >> 6; how -= 64) {
		uint64_t where = take(in, 3);

		memory[where & 0x1fff] ^= where >> 16;
	}
}

static void create(struct input *in)
{
	struct vgpu_adm_create *cmd = (void *)memory;
	uint64_t how = take(in, 2);

	memset(cmd, 0, sizeof(*cmd));
	cmd->head = (struct vgpu_adm_head){ sizeof(*cmd), VGPU_ADM_CREATE, how & 7, 0 };
	cmd->vector = 1 + (how >> 3 & 3);
	vgpu_layout_make(VGPU_SQ_MIN, 1, PAGE, &cmd->layout);
	cmd->list = list(in, cmd->layout.total_bytes / PAGE);
	spoil(in, how >> 8);
	command(sizeof(*cmd));
}

static void map_region(struct input *in)
{
	struct vgpu_adm_map *cmd = (void *)memory;
	uint64_t how = take(in, 3);
	uint64_t pages = 1 + (how >> 16 & 0x1f);

	*cmd = (struct vgpu_adm_map){
		.head = { sizeof(*cmd), VGPU_ADM_MAP, how & 7, 0 }, .region = how >> 3 & 3,
		.va = 1 << 20, .bytes = pages * PAGE, .list = list(in, pages),
	};
	spoil(in, how >> 8);
	command(sizeof(*cmd));
}

static void end_one(struct input *in)
{
	struct vgpu_adm_unmap *cmd = (void *)memory;
	uint64_t how = take(in, 1);
	uint32_t bytes = how & 0x80 ? sizeof(*cmd) : sizeof(cmd->head);

	*cmd = (struct vgpu_adm_unmap){
		.head = { bytes, how & 0x80 ? VGPU_ADM_UNMAP : VGPU_ADM_DESTROY, how & 7, 0 },
		.region = how >> 3 & 3,
	};
	command(bytes);
}

static void executor(struct input *in)
{
	uint64_t how = take(in, 2);
	int *peer = &peers[how % PEERS];
	struct vg_vfu_ask ask = { sizeof(ask), how >> 8 & 3, how >> 10 & 3, 0 };
	struct vg_vfu_memory m;
	int fds[3 + VG_VFU_FILES], count;

	if (*peer < 0)
		return;
	if (how & 0x1000)
		take_bytes(in, &ask, sizeof(ask));
	if (how & 0x2000)
		shutdown(*peer, how & 0x800 ? SHUT_WR : SHUT_RDWR);
	vg_send_fds(*peer, &ask, how & 0x4000 ? take(in, 1) % 16 : sizeof(ask), files,
		    how & 0x8000 ? 2 : 0);
	dispatch();
	do {
		count = vg_recv_fds(*peer, &m, sizeof(m), fds, 3 + VG_VFU_FILES);
		for (int i = 0; i < count; i++)
			close(fds[i]);
	} while (count >= 0);
}

static void executor_ends(struct input *in)
{
	uint8_t how = take(in, 1);

	/* One that lives on may close what it has. */
	end(&peers[how % PEERS]);
	if (how & 0x80)
		end(&lives[how % PEERS]);
}

static void step(struct input *in)
{
	uint8_t what = take(in, 1);
	uint64_t how;

	switch (what % 14) {
	case 0:
		any_message(in);
		break;
	case 1:
		how = take(in, 3);
		take_bytes(in, memory + (how & 0xffff), how >> 16 & 0xff);
		break;
	case 2:
		dma_map(in);
		break;
	case 3:
		dma_unmap(in);
		break;
	case 4:
		set_irqs(in);
		break;
	case 5:
	case 6:
		create(in);
		break;
	case 7:
		map_region(in);
		break;
	case 8:
		end_one(in);
		break;
	case 9:
		executor(in);
		break;
	case 10:
		executor_ends(in);
		break;
	case 11:
		how = take(in, 2);
		write_register(how & 0x3fff, take(in, 4));
		break;
	case 12:
		full = !full;
		break;
	default:
		command(take(in, 2));
		break;
	}
	dispatch();
	check();
}

/* The bytes of a connection, in pieces, some of them with descriptors. */
static void connection(struct input *in)
{
	static struct vfu_wire wire;
	int pair[2], ret = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		abort();
	wire.fd = pair[0];
	vfu_wire_next(&wire);
	while (in->bytes && ret >= 0) {
		uint8_t how = take(in, 1), data[64];
		int fds[VG_FDS_MAX] = { files[0], files[5], files[1], files[4], files[5] };
		size_t bytes = 1 + (how & 0x3f);

		take_bytes(in, data, bytes);
		vg_send_fds(pair[1], data, bytes, fds, how & 0x40 ? 1 + how % VG_FDS_MAX : 0);
		while ((ret = vfu_wire_receive(&wire)) > 0) {
			if (vfu_serve(&device, &wire.m, &answer) == VFU_END) {
				ret = -EPROTO;
				break;
			}
			if (answer.head.size)
				vfu_wire_send(&wire, &answer);
			vfu_wire_next(&wire);
			while (recv(pair[1], message.body, sizeof(message.body), 0) > 0)
				;
			dispatch();
			check();
		}
	}
	if (ret != -EPROTO || wire.have < sizeof(wire.m.head) || wire.m.fd_count)
		for (unsigned int i = 0; i < wire.m.fd_count; i++)
			close(wire.m.fd[i]);
	close(pair[0]);
	close(pair[1]);
}

static void finish(void)
{
	full = false;
	vfu_reset(&device);
	for (int i = 0; i < PEERS; i++) {
		end(&peers[i]);
		end(&lives[i]);
	}
	end(&life);
	dispatch();
	vfu_maps_clear(&device);
	for (unsigned int i = 0; i < VGPU_VECTORS; i++)
		if (device.msix[i] >= 0)
			close(device.msix[i]);
	if (vfu_channels_dying(&device) || counters.channels || counters.shared_bytes ||
	    device.run_count)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const struct { uint16_t major, minor; } version = { 0, 1 };
	struct input in = { data, bytes };
	int before = dup(0), after;

	close(before);
	memset(&device, 0, sizeof(device));
	memset(&counters, 0, sizeof(counters));
	memset(memory, 0, 2 * PAGE);
	device.counters = &counters;
	vfu_init(&device, &ops);
	if (take(&in, 1) % 4) {
		message.fd_count = 0;
		body(&version, sizeof(version));
		if (serve(1, 0, sizeof(version)) != VFU_NEXT)
			abort();
		/* Most of the memory, so that commands and lists are found. */
		struct { uint32_t argsz, flags; uint64_t offset, iova, bytes; } d =
			{ 32, 3, 0, 0, PAGES / 2 * PAGE };

		message.fd_count = 1;
		message.fd[0] = fcntl(files[0], F_DUPFD_CLOEXEC, 0);
		body(&d, sizeof(d));
		serve(2, 0, sizeof(d));
		while (in.bytes)
			step(&in);
	} else {
		connection(&in);
	}
	finish();
	after = dup(0);
	close(after);
	if (after != before)
		abort();	/* a descriptor is left open */
	return 0;
}
