/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-mediatord: one thread with an epoll loop, threads that close files (closer.c), one that
 * starts executors (start.c), one that writes the history (history.c), and these objects.
 *
 *   struct vg_tenant   a vGPU (an mdev with a VM), or the socket's clients
 *                      taken together; owns the account page
 *   struct vg_proc     an executor, from spawn to reaping; serves one guest
 *                      process of one tenant, or is a spare
 *
 * The mediator never maps guest memory and never calls CUDA: it hands out
 * descriptors and watches processes.
 */
#ifndef VG_MEDIATOR_H
#define VG_MEDIATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/account.h"
#include "common/log.h"
#include "common/socket_proto.h"
#include "quota.h"

#define VG_CALL_WORDS 8		/* a bit for each number of a system call */

/* Anything that epoll watches. */
struct vg_source {
	int fd;
	void (*ready)(struct vg_source *s, uint32_t events);
	uint32_t events;
	int64_t resume_at;		/* monotonic ms, while it is paused */
	struct vg_closer *closer;	/* of a connection; NULL: the loop closes it */
	LIST_ENTRY(vg_source) paused;
};

/* How many programs may be started in a time (VG_QUOTA_STARTS). */
struct vg_rate {
	int64_t since;			/* monotonic ms; 0: nothing was ever asked */
	int64_t left;			/* in thousandths of a start, as `full` */
	int64_t full, starts;		/* as it was asked last; in a second */
};

/* When programs ended by faults: the last VG_FAULTS_MAX, monotonic ms (quarantine.c). */
#define VG_FAULTS_MAX 1000u

/* A vGPU's UUID or a socket's name, ":" and a user id, and the end. */
#define VG_STATE_NAME 48

struct vg_faults {
	int64_t *at;			/* NULL: there were none */
	unsigned int next;		/* counts them */
};

/* A user of this machine who comes over a socket: another one for each socket. */
#define VG_USER_ALL ((uid_t)-1)	/* no process has it */

struct vg_user {
	LIST_ENTRY(vg_user) node;
	const struct vg_tenant *tenant;	/* the socket's; it stays as long as the mediator */
	uid_t uid;			/* VG_USER_ALL: the programs of a section [socket NAME] */
	unsigned int refs;
	unsigned int silent;		/* connections that have not said what they want */
	unsigned int programs;		/* that executors serve */
	struct vg_rate starts;
	struct vg_faults faults;
	uid_t executors;		/* id that its executors run under (uid.c); 0: none yet */
	unsigned int token_count, token_fds;
	struct vg_closer *closer;
};

struct vg_config {
	char *executor;		/* path of vgpu-executor */
	char *libcuda;		/* name for its dlopen() */
	char *user;		/* who it is, if this is root; "" for root */
	uid_t uid_first, uid_last;	/* ids for executors that serve; 0: they stay `user` */
	char *cache;		/* folder for the driver's compiled PTX; "" for none */
	char *socket;		/* path, or "" for none */
	unsigned int socket_mode;
	char *control;		/* path of vgpuctl's socket */
	char *host_device;	/* /dev/vgpu-host */
	char *local_pool;	/* of the socket's clients */
	uint64_t local_memory;	/* bytes of device memory, for all of them */
	unsigned int spares;	/* executors kept ready */
	bool warm;		/* with a context on the first device each */
	bool pageable_access;	/* serve VMs although kernels reach all of an executor's memory */
	unsigned int spin_us;
	char *allow;		/* names of system calls, besides the executor's own list */
	unsigned int connections;	/* of one user, that have not said what they want */
	unsigned int programs;	/* of one user, at a time */
	unsigned int starts;	/* a second: of one user, of one vGPU */
	uint64_t contexts;	/* bytes of device memory, of all contexts of a vGPU */
	uint64_t group_memory;	/* bytes, of all executors of a vGPU; 0: no limit */
	unsigned int group_threads;	/* of all of them; 0: no limit */
	uint64_t data;		/* bytes of private memory, of each executor */
	bool learn;		/* log the calls that are not on it, and let them through */
	char *history;		/* path of its file, or "" for none */
	unsigned int history_rows;
	uint64_t quota[VG_QUOTAS];	/* those of [limits] that have no field above */
	char *state;		/* path of the file of state.c, or "" for none */
	bool files;		/* confine executors to the driver's files */
	char *read, *write;	/* and these, as in PATH */
	int log_level;
};

struct vg_tenant {
	LIST_ENTRY(vg_tenant) node;
	struct vg_source source;	/* the vGPU's descriptor, fd -1 for the socket's */
	bool local;			/* of a socket */
	struct vg_vfiouser *vfiouser;	/* of a vGPU without the host module */
	bool named;			/* of a section [socket NAME] */
	unsigned int silent;		/* as in struct vg_user, of all of them */
	struct vg_rate starts;
	struct vg_turns *turns;
	uid_t executors;		/* as in struct vg_user; 0 for the socket's */
	uint32_t id;
	char uuid[40];
	char pool[16];
	char type[32];
	uint64_t type_memory;		/* bytes of device memory that its type has */
	uint64_t quota[VG_QUOTAS];	/* in force */
	char parent[24];		/* PCI address of its GPU, "virtual", or "" */
	char *devices;			/* as CUDA_VISIBLE_DEVICES has them; NULL: all */
	int account_fd;
	struct vg_account *account;
	bool entry_used[VG_ACCOUNT_ENTRIES];
	/* What the account page has of these, unless an executor has written there. */
	unsigned int entries;
	uint64_t orphaned;
	struct vg_closer *closer;	/* of its VM's; the socket's users have their own */
	LIST_HEAD(, vg_token) tokens;
	unsigned int token_count, token_fds;
	unsigned int procs;
	uint64_t drained_ms;		/* UTC, since when (drain.c); 0: it is not drained by itself */
	uint64_t connected_ms;		/* UTC, when a VM was seen to have opened it; 0: none has */
	/* Of processes that have ended. */
	uint64_t ended, calls, bytes_in, bytes_out, direct_in, direct_out, faults, device_ns;
	uint64_t waits[VG_BUCKETS], waited_us[VG_BUCKETS];
	struct vg_faults fault_times;	/* of a VM's; the socket's users have their own */
	uint64_t quarantine_refused;	/* programs, because of the quarantine */
	uint64_t start_waits;		/* programs that had to wait for their start */
};

enum vg_proc_state {
	VG_PROC_STARTING,	/* has not said yet whether its driver works */
	VG_PROC_SPARE,
	VG_PROC_SERVING,
	VG_PROC_ENDING,
};

struct vg_proc {
	LIST_ENTRY(vg_proc) node;
	struct vg_source control;	/* our end of its descriptor 3 */
	struct vg_source client;	/* the program's connection, fd -1 in a VM */
	/* Of its system-call filter; `ready` is NULL until the executor has sent it. */
	struct vg_source listener;
	uint64_t calls_told[VG_CALL_WORDS];	/* names that were logged */
	unsigned int calls_refused;
	pid_t pid;
	enum vg_proc_state state;
	bool warm;			/* it has made a context ahead of time */
	uint64_t settings;		/* that it was started with; 0: none (settings.h) */
	char *devices;			/* that it sees; NULL: all (vg_tenant.devices) */
	struct vg_exec_ready ready;
	struct vg_tenant *tenant;	/* NULL for a spare */
	struct vg_user *user;		/* of the socket, or NULL */
	struct vg_closer *closer;	/* its user's or its vGPU's; NULL for a spare */
	uid_t uid;			/* that it was told to become (uid.c); 0: none */
	unsigned int account;
	uint32_t channel;
	uint64_t cookie;
	/*
	 * Our copy of a VM's channel, -1 for none.  It is closed when the executor has been
	 * reaped, and not before: the host module takes the last close for the end of all
	 * use of the guest's memory, and a process that has been reaped has closed the
	 * GPU's files, whatever it did with its own copy.
	 */
	int channel_fd;
	uint64_t since_ms;		/* UTC, when it began to serve its program */
	uint32_t guest_pid;
	int64_t guest_uid;		/* of the socket's program; -1: not known */
	char comm[64];			/* as vg_text_show() gives it */
	int64_t kill_at;		/* monotonic ms, when ENDING; 0: it has been killed */
	const char *why;		/* it is to end; NULL: nobody has said */
	bool broke;			/* the protocol */
};

LIST_HEAD(vg_tenants, vg_tenant);
LIST_HEAD(vg_procs, vg_proc);

extern struct vg_config vg_config;
extern struct vg_tenants vg_tenants;
extern struct vg_procs vg_procs;

/* source.c: what the loop waits for */
int vg_sources_open(void);
int vg_source_add(struct vg_source *s, uint32_t events);
/* Do not call `ready` for so many ms, unless the other side has closed its end. */
void vg_source_pause(struct vg_source *s, int64_t ms);
void vg_source_remove(struct vg_source *s);	/* and close the descriptor, or hang up */
int vg_source_take(struct vg_source *s);	/* do not, and give the descriptor to the caller */
void vg_sources_wait(int ms);			/* and serve those that are ready */
int64_t vg_now_ms(void);

/* As many descriptors as the mediator ever has open: the kernel's default for fs.nr_open. */
#define VG_OPEN_MAX	(1u << 20)
/* Whoever has so many descriptors that wait to be closed is not listened to. */
#define VG_CLOSING_MAX	256u
#define VG_CLOSING_MS	100		/* before the next look at whether it has fewer */

/*
 * closer.c: threads that close what came from others; NULL for `c`: the caller closes.  Only the
 * loop calls these.
 */
struct vg_closer *vg_closer_new(void);		/* NULL: no memory */
struct vg_closer *vg_closer_get(struct vg_closer *c);
void vg_closer_put(struct vg_closer *c);	/* what it was asked to close is closed */
void vg_closer_close(struct vg_closer *c, int fd);	/* none: -1 */
/*
 * End a connection, also for others who have it, and close it: `now`, if that closes no file
 * that somebody has sent, or else by the closer.
 */
void vg_closer_hang_up(struct vg_closer *c, int sock, bool now);
/* How many descriptors it, or all closers, have still to close. */
unsigned int vg_closer_open(const struct vg_closer *c);
bool vg_closer_full(const struct vg_closer *c);
int vg_closers_tick(void);	/* ms until it wants to be called again, or -1 */
unsigned int vg_closers_open(void);
/* As vg_recv_one_fd(); after an error *fd is the closer's, and -1. */
int vg_closer_recv(struct vg_closer *c, int sock, void *msg, size_t len, int *fd);

/*
 * start.c: the thread that starts executors.  vg_start_open() is to be called before there is
 * any descriptor that others have sent.  0 or a negative errno.
 */
int vg_start_open(void);
/*
 * Run `argv` in the environment `env`, with `sock`, which stays the caller's, as its
 * descriptor 3.  0 or an errno.
 */
int vg_start(char *const *argv, char *const *env, int sock, pid_t *pid);

/*
 * environ.c: what an executor finds in its environment: the mediator's, without what is not
 * the guest's to see, and what the program's settings (common/settings.h) say. `devices` is
 * what the program may see at all, as CUDA_VISIBLE_DEVICES has it; NULL: what the operator
 * lets the mediator see. NULL: no memory. The caller frees it, in one piece.
 */
char **vg_environ(uint64_t settings, const char *devices);

/*
 * pool.c. vg_pool_set() gives a pool its devices, a list of PCI addresses, UUIDs and numbers,
 * once the file has been read; false, and `why` ends in "; ": one of them is not a device.
 * vg_pools_end() is the end of the file: what it says of pools is in force, or forgotten. It
 * counts for vGPUs that are created afterwards.
 * vg_pool_devices() says what the programs of a vGPU see, as CUDA_VISIBLE_DEVICES has it.
 * `parent` is the PCI address of the vGPU's GPU, "virtual", or "" for programs of the socket.
 * 0 and a string for the caller to free, or NULL for all devices; or a negative errno.
 */
bool vg_pool_set(const char *pool, const char *devices, char *why, size_t size);
void vg_pools_end(bool keep);
int vg_pool_devices(const char *pool, const char *parent, char **devices);

/* user.c */
/* ms until one more may start, as the vGPU's quotas have it; 0: now */
int64_t vg_rate_wait(struct vg_rate *r, const struct vg_tenant *t);
void vg_rate_spend(struct vg_rate *r);
/*
 * Whoever comes over several sockets is another user in each. All who come over the socket of a
 * section [socket NAME] are one, because root of a container can be any user that it likes. NULL: no
 * memory.
 */
struct vg_user *vg_user_get(const struct vg_tenant *t, uid_t uid);
void vg_user_put(struct vg_user *u);
/* NULL: none is kept; it adds no reference */
struct vg_user *vg_user_find(const struct vg_tenant *t, uid_t uid);
void vg_users_tick(void);

/*
 * uid.c: user ids for executors.  vg_uid_new() and vg_uid_get() add a reference to an id,
 * vg_uid_put() drops one; the last two do nothing with 0, which stands for no id.
 */
bool vg_uids_wanted(void);			/* configured, and this process is root */
uid_t vg_uid_new(void);				/* 0: all ids of the range are in use */
uid_t vg_uid_get(uid_t uid);
void vg_uid_put(uid_t uid);

/* cgroup.c: limits for all executors of a vGPU together, where a cgroup can be had */
void vg_cgroup_open(void);
int vg_cgroup_use(const char *path);		/* divide the cgroup of this folder */
int vg_cgroup_enter(const struct vg_tenant *t, pid_t pid);
int vg_cgroup_limits(const struct vg_tenant *t);	/* as its quotas are now, if it has a cgroup */
void vg_cgroup_sweep(void);			/* remove those of vGPUs that are gone */

/*
 * text.c: `in`, of at most `max` bytes, with \xNN for each that is no part of a
 * character which may be shown.
 */
void vg_text_show(char *out, size_t size, const char *in, size_t max);

/*
 * event.c: what has happened to vGPUs and their programs.  Each event is a line in the log, with
 * fields NAME=VALUE, and a row in the history.
 */
enum vg_event_kind {
	VG_EVENT_START,		/* the mediator: what was open before it is no more */
	VG_EVENT_STOP,
	VG_EVENT_ADD,		/* a vGPU */
	VG_EVENT_REMOVE,
	VG_EVENT_CONNECT,	/* a VM has opened it */
	VG_EVENT_DISCONNECT,
	VG_EVENT_BEGIN,		/* an executor serves a program */
	VG_EVENT_END,
	VG_EVENT_REFUSE,
	VG_EVENT_QUARANTINE,		/* a vGPU, or a user of the socket, gets no new programs */
	VG_EVENT_RELEASE,		/* and the operator lets it have them again */
	VG_EVENT_DRAIN,			/* the operator lets a vGPU, or all, have no new programs */
	VG_EVENT_UNDRAIN,
	VG_EVENT_KERNEL_TIMEOUT,	/* a program is ended for a launch that took too long */
	VG_EVENT_LOST,		/* `count` events were not written */
};

struct vg_event {
	enum vg_event_kind kind;
	uint64_t time_ms;		/* UTC, since 1970; vg_event() sets it */
	char vgpu[40];			/* "" for none, "local" for the socket's programs */
	uint32_t executor, pid;		/* 0: none; pid is the guest's */
	int64_t uid;			/* of the socket's program; -1: not known */
	char name[64];			/* as vg_text_show() gives it */
	char why[96];
	/* Of a program that has ended; of a VM that has gone, the duration alone. */
	uint64_t duration_ms, calls, bytes_in, bytes_out, memory_peak, memory_refused, faults;
	uint64_t waited_ms;		/* for the vGPU's rates, of all its threads */
	uint64_t count;
};

void vg_event(struct vg_event *e);
void vg_event_of(enum vg_event_kind kind, const struct vg_tenant *t);	/* with no more to say */
void vg_event_refuse(const struct vg_tenant *t, uint32_t pid, int64_t uid, const char *name,
		     const char *why);
const char *vg_refusal(int error);	/* why a program is refused, in words; fits `why` */
const char *vg_event_name(enum vg_event_kind kind);

/*
 * history.c: a thread writes events to a SQLite file, because the loop must not wait for a disk.
 * What does not fit in the queue to it is counted, and forgotten.
 */
int vg_history_open(void);	/* 0 (also where none is kept), or a negative errno */
void vg_history_put(const struct vg_event *e);
void vg_history_close(void);	/* what waits is written, if that takes no longer than 2 s */
uint64_t vg_history_dropped(void);	/* since the mediator was started */

/* main.c: leave the loop, end all executors, and exit with this status */
void vg_stop(int status);

/* config.c */
int vg_config_load(const char *path, bool must_exist);
/*
 * Read the file again, and take over what can change while executors serve.  The log says of
 * each setting that differs whether it was taken over.  How many were; or a negative errno, and
 * nothing was.
 */
int vg_config_reload(const char *path, bool must_exist);

/* Where "section.key" stands in the file that was read at the start; 0: it is the default. */
unsigned int vg_config_line(const char *name);

/* A line of the log about that line of the file. */
void vg_config_say(enum vg_level level, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * check.c: what can be known of a configuration only on the machine that it is for, before
 * anything is opened.  0, or -EINVAL after a line for each setting with which the mediator
 * cannot work; what may come later (a driver, a folder) is warned of.
 */
int vg_config_check(void);
/* Bytes, with an optional suffix K, M, G or T; 0 and false if it is not that. */
bool vg_parse_bytes(const char *text, uint64_t *out);

/* tenant.c */
/* NULL with errno: its devices cannot be found, or there is no memory. */
struct vg_tenant *vg_tenant_new(const char *uuid, const char *pool, const char *type,
				const char *parent, uint64_t memory);
void vg_tenant_free(struct vg_tenant *t);
int vg_tenant_entry(struct vg_tenant *t);	/* an account entry, or -ENOSPC */
void vg_tenant_settle(struct vg_tenant *t, unsigned int entry);
void vg_tenant_orphan(struct vg_tenant *t, int64_t bytes);	/* more, or less, of what has no owner */
uint64_t vg_tenant_memory(const struct vg_tenant *t);
uint64_t vg_tenant_contexts(const struct vg_tenant *t);

/*
 * token.c: what the processes of a vGPU let each other have.
 * Serve a request of an executor's.  0, and the answer with a descriptor or -1, which
 * stays ours; or -EPROTO: the executor is to end.
 */
int vg_token_serve(struct vg_proc *p, const struct vg_token_request *rq, int fd,
		   struct vg_token_answer *a, int *out_fd);
void vg_tokens_forget(struct vg_proc *p);	/* it has ended; before its account is settled */

/* proc.c */
int vg_procs_init(void);
void vg_procs_refill(void);	/* bring the spares up to their number */
void vg_procs_try(void);	/* if none is kept, start one to see whether the driver works */
void vg_procs_renew(void);	/* end those that serve nobody, so that new ones are started */
/*
 * Have an executor serve a channel, of a user of the socket or (NULL) of a VM.  The
 * descriptors stay the caller's.  The process, or NULL with errno.
 */
struct vg_proc *vg_proc_serve(struct vg_tenant *t, struct vg_user *user,
			      const struct vg_assign *assign, uint64_t settings,
			      const int *fds, int count);
/* Whose channel it serves, as the guest says; `uid`: as the kernel says, or -1. */
void vg_proc_name(struct vg_proc *p, uint32_t pid, int64_t uid, const char *comm);
void vg_proc_end(struct vg_proc *p);		/* ask, and kill if it does not */
void vg_proc_end_for(struct vg_proc *p, const char *why);	/* a constant; the first one counts */
void vg_procs_reap(void);			/* on SIGCHLD */
int vg_procs_tick(void);			/* ms until it wants to be called again, or -1 */
void vg_procs_watch(void);	/* end those whose launch takes too long; looks once a second */
void vg_procs_end_tenant(struct vg_tenant *t);
struct vg_exec_ready vg_procs_driver(void);	/* what executors said of the driver last */

/*
 * quarantine.c: who has had too many faults gets no new programs.  A VM's have no user.
 * vg_quarantine_fault(): a program has ended by one, `what`.
 */
void vg_quarantine_fault(struct vg_tenant *t, struct vg_user *u, const char *what);
bool vg_quarantined(const struct vg_tenant *t, const struct vg_user *u);
void vg_quarantine_name(const struct vg_tenant *t, const struct vg_user *u,
			char name[VG_STATE_NAME]);
bool vg_faults_count(const struct vg_faults *f, const struct vg_tenant *t);	/* any of them, still */
void vg_faults_forget(struct vg_faults *f);

/*
 * drain.c: the operator lets a vGPU, or (NULL) all, have no new programs, or have them again.
 * _drained(): since when, UTC; 0: it is served.
 */
void vg_drain(struct vg_tenant *t, bool on);
uint64_t vg_drained(const struct vg_tenant *t);
uint64_t vg_drained_all(void);

/*
 * refused.c: system calls that are not on an executor's list.
 * Take the listener of its filter.  0, and the descriptor is taken; or -EPROTO.
 */
int vg_refused_listen(struct vg_proc *p, const struct vg_token_request *rq, int fd);

/* host.c: /dev/vgpu-host, its vGPUs and their channels */
void vg_host_poll(void);	/* open it if it has appeared */
/* Look, at most once a second, which vGPUs VMs have open: the module tells nobody. */
void vg_host_watch(void);
int vg_host_info(const struct vg_tenant *t, void *info);	/* struct vgpu_host_vgpu_info */
void vg_host_look(struct vg_tenant *t);	/* at this one, at once */
uint32_t vg_host_why(const struct vg_tenant *t, int error);	/* VGPU_WHY_*, for its guest */

/*
 * vfiouser.c: vGPUs without the host module.  _reaped(): whether that process was a server;
 * _path(): of its socket, NULL if it has none.
 */
struct vgpu_host_vgpu_info;
int vg_vfiouser_open(void);
void vg_vfiouser_close(void);
bool vg_vfiouser_reaped(pid_t pid, int status);
int vg_vfiouser_info(const struct vg_tenant *t, struct vgpu_host_vgpu_info *info);
const char *vg_vfiouser_path(const struct vg_tenant *t);

/* vfiouser_config.c: the sections [vfio-user UUID], as sockets.c has [socket NAME]. */
struct vg_vfiouser_conf {
	LIST_ENTRY(vg_vfiouser_conf) node;
	char uuid[37];
	char pool[16];
	char *path;
	unsigned int mode;
	unsigned int given;		/* a bit for each key that the file has */
	uint64_t memory;		/* bytes of device memory */
	bool pages;			/* as memfd, the one way that there is */
};

LIST_HEAD(vg_vfiouser_confs, vg_vfiouser_conf);

const char *vg_vfiouser_set(const char *uuid, const char *key, const char *value);
const char *vg_vfiouser_wrong(const char **what);	/* the UUID of one that lacks this key */
void vg_vfiouser_end(bool keep);
const struct vg_vfiouser_confs *vg_vfiouser_confs(void);

/*
 * turns.c: turns on the GPU, by a thread of its own, once a vGPU's pool has a share.
 * vg_turns_set() takes over a vGPU's quotas, vg_turns_switch() looks whether there are shares at
 * all; the bell is an eventfd for its executors.
 */
int vg_turns_join(struct vg_tenant *t);		/* 0 or a negative errno */
void vg_turns_leave(struct vg_tenant *t);
/* An executor has gone, which cannot ring any more. */
void vg_turns_look(void);
int vg_turns_bell(const struct vg_tenant *t);
void vg_turns_set(struct vg_tenant *t);
void vg_turns_tell(struct vg_tenant *t);	/* its account page, whether there are shares */
void vg_turns_switch(void);
uint64_t vg_turns_used_ns(const struct vg_tenant *t);
/* The part of the GPU that is due to it beside those that want it now; 0: there are no shares. */
double vg_turns_due(const struct vg_tenant *t);

/*
 * sockets.c: the sections [socket NAME].  vg_socket_set() takes over a line of one; NULL, or what
 * would be allowed.  vg_sockets_wrong(): the name of one that has no path, or NULL.
 */
#define VG_SOCKET_NAME_MAX 31
#define VG_SOCKET_MODE_USUAL (~0u)

struct vg_named_socket {
	LIST_ENTRY(vg_named_socket) node;
	char name[VG_SOCKET_NAME_MAX + 1];
	char pool[16];
	char *path;
	unsigned int mode;		/* or VG_SOCKET_MODE_USUAL: that of [socket] */
	unsigned int given;		/* a bit for each key that the file has */
	unsigned int line;		/* of its path in the file */
	uint64_t memory;		/* bytes of device memory */
};

LIST_HEAD(vg_named_sockets, vg_named_socket);

bool vg_socket_name(const char *name);
const char *vg_socket_set(const char *name, const char *key, const char *value,
			  unsigned int line);
const char *vg_sockets_wrong(void);
void vg_sockets_end(bool keep);			/* as vg_pools_end() */
struct vg_named_sockets *vg_sockets(void);	/* in force */

/* listen.c: programs over Unix sockets */
int vg_listen_open(void);
void vg_listen_close(void);
const char *vg_listen_path(const struct vg_tenant *t);	/* of its socket; NULL: it has none */
int vg_listen_tick(void);	/* ms until it wants to be called again, or -1 */
int vg_listen_socket(const char *path, int type, unsigned int mode);
int vg_listen_folder(const char *path, char *folder, size_t size);	/* make it; 0, -errno */
void vg_listen_unlink(const char *path);	/* if it is a socket */
/* After a failed accept4(): leave the listener alone for a while, if it would fail again. */
void vg_listen_failed(struct vg_source *s, const char *path);

/* control.c: vgpuctl */
int vg_control_open(void);
void vg_control_close(void);

#endif /* VG_MEDIATOR_H */
