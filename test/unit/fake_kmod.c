// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "fake_kmod.h"
#include "fault.h"

#define DEVICE "/dev/mapdirect"
#define LEASES_ENABLE "/proc/sys/fs/leases-enable"
#define LEASES 8

/* A lease is one end of a socket pair: what is sent to the other is read there. */
struct lease {
	int fd; /* 0: unused */
	int peer;
	bool over;
	struct mapdirect_lease arg;
	char *addr; /* where it is mapped */
};

struct fake_kmod fake_kmod;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lease leases[LEASES];
static uint64_t generation;
static pid_t owner;

static struct lease *find(int fd)
{
	for (int i = 0; i < LEASES; i++) {
		if (leases[i].fd == fd)
			return &leases[i];
	}
	return NULL;
}

/* ---- the device and its leases -------------------------------------------- */

static int text_file(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	if (fd >= 0 && pwrite(fd, text, strlen(text), 0) < 0)
		return -1;
	return fd;
}

static int fake_open(const char *path, int flags)
{
	if (!strcmp(path, DEVICE))
		return memfd_create("device", MFD_CLOEXEC);
	if (!strcmp(path, LEASES_ENABLE))
		return text_file(fake_kmod.leases_enable ? "1\n" : "0\n");
	return open(path, flags);
}

/* A child of fork() may find the lock taken; its parent has the leases. */
static int fake_close(int fd)
{
	struct lease *l;

	if (getpid() == owner) {
		pthread_mutex_lock(&lock);
		l = find(fd);
		if (l) {
			close(l->peer);
			*l = (struct lease){ 0 };
		}
		pthread_mutex_unlock(&lock);
	}
	return close(fd);
}

static int take(struct mapdirect_lease *arg)
{
	struct lease *l = find(0);
	int pair[2];

	if (fake_kmod.shared || fake_kmod.marked) {
		errno = EMLINK;
		return -1;
	}
	if (!l || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	arg->generation = ++generation;
	*l = (struct lease){ .fd = pair[0], .peer = pair[1], .arg = *arg };
	return l->fd;
}

static int release(struct lease *l)
{
	l->over = true;
	shutdown(l->peer, SHUT_WR);
	return 0;
}

static int status(const struct lease *l, struct mapdirect_status *status)
{
	*status = (struct mapdirect_status){
		.state = l->over ? MAPDIRECT_STATE_RELEASED : MAPDIRECT_STATE_LIVE,
		.generation = l->arg.generation,
		.foreign_pages = fake_kmod.foreign,
	};
	return 0;
}

/* One extent, as long as the file. */
static int extents(int fd, struct fiemap *map)
{
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	map->fm_mapped_extents = map->fm_start < (uint64_t)st.st_size;
	map->fm_extents[0] = (struct fiemap_extent){
		.fe_length = (uint64_t)st.st_size,
		.fe_flags = FIEMAP_EXTENT_LAST | (fake_kmod.shared ? FIEMAP_EXTENT_SHARED : 0),
	};
	return 0;
}

static int answer(int fd, unsigned long request, void *arg)
{
	struct lease *l = find(fd);

	if (request == MAPDIRECT_IOC_INFO) {
		*(struct mapdirect_info *)arg = fake_kmod.info;
		return 0;
	}
	if (request == MAPDIRECT_IOC_LEASE)
		return take(arg);
	if (request == FS_IOC_FIEMAP)
		return extents(fd, arg);
	if (l && request == MAPDIRECT_IOC_RELEASE)
		return release(l);
	if (l && request == MAPDIRECT_IOC_STATUS)
		return status(l, arg);
	errno = ENOTTY;
	return -1;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	int err;

	pthread_mutex_lock(&lock);
	err = answer(fd, request, arg);
	pthread_mutex_unlock(&lock);
	return err;
}

/* A lease shows the pages of its file; any file may be mapped with MAP_SYNC. */
static void *fake_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	struct lease *l;

	if (flags & MAP_SYNC)
		flags = MAP_SHARED | (flags & MAP_FIXED);
	pthread_mutex_lock(&lock);
	l = fd > 0 ? find(fd) : NULL;
	if (l) {
		fd = l->arg.fd;
		offset += (off_t)l->arg.offset;
		l->addr = addr;
	}
	pthread_mutex_unlock(&lock);
	return mmap(addr, length, prot, flags, fd, offset);
}

/* ---- the file system -------------------------------------------------------- */

static int fake_fstat(int fd, struct stat *st)
{
	int err = fstat(fd, st);

	st->st_uid = fake_kmod.owner;
	return err;
}

static int fake_fstatfs(int fd, struct statfs *fs)
{
	int err = fstatfs(fd, fs);

	if (fake_kmod.xfs)
		fs->f_type = XFS_SUPER_MAGIC;
	return err;
}

static int fake_fstatvfs(int fd, struct statvfs *fs)
{
	int err = fstatvfs(fd, fs);

	fs->f_bavail = fake_kmod.space / fs->f_frsize;
	return err;
}

static int fake_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	int err = statx(fd, path, flags, mask, stx);

	if (fake_kmod.dax)
		stx->stx_attributes |= STATX_ATTR_DAX;
	return err;
}

static int fake_fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (mode != (FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE))
		return fallocate(fd, mode, offset, length);
	pthread_mutex_lock(&lock);
	fake_kmod.shared = fake_kmod.marked = false;
	fake_kmod.unshared++;
	pthread_mutex_unlock(&lock);
	return 0;
}

/* ---- the test's side ---------------------------------------------------------- */

void fake_kmod_install(void)
{
	pthread_mutex_lock(&lock);
	memset(leases, 0, sizeof(leases));
	owner = getpid();
	fake_kmod = (struct fake_kmod){
		.info = {
			.abi = MAPDIRECT_ABI_VERSION,
			.mode = MAPDIRECT_MODE_PINNED,
			.break_cap_ms = 60000,
		},
		.dax = true,
		.xfs = true,
		.leases_enable = true,
		.owner = geteuid(),
		.space = UINT64_C(1) << 30,
	};
	fault_sys = (struct fault_sys){
		.open = fake_open,
		.close = fake_close,
		.ioctl = fake_ioctl,
		.mmap = fake_mmap,
		.fstat = fake_fstat,
		.fstatfs = fake_fstatfs,
		.fstatvfs = fake_fstatvfs,
		.statx = fake_statx,
		.fallocate = fake_fallocate,
	};
	pthread_mutex_unlock(&lock);
}

void fake_kmod_event(enum mapdirect_event_type type, enum mapdirect_reason reason, unsigned int ms)
{
	uint64_t now = md__now();
	struct mapdirect_event event = {
		.type = type,
		.reason = reason,
		.time_ns = now,
		.deadline_ns = ms ? now + ms * MD__MSEC : 0,
		.breaker_pid = FAKE_BREAKER_PID,
		.breaker_comm = "breaker",
	};

	pthread_mutex_lock(&lock);
	for (int i = 0; i < LEASES; i++) {
		if (!leases[i].fd || leases[i].over)
			continue;
		event.generation = leases[i].arg.generation;
		/* The library's end may be closed by now. */
		send(leases[i].peer, &event, sizeof(event), MSG_NOSIGNAL);
	}
	pthread_mutex_unlock(&lock);
}

unsigned int fake_kmod_held(void)
{
	unsigned int n = 0;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < LEASES; i++)
		n += leases[i].fd && !leases[i].over;
	pthread_mutex_unlock(&lock);
	return n;
}

bool fake_kmod_covers(const void *addr, size_t length)
{
	const char *at = addr;
	bool covers = false;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < LEASES; i++) {
		const struct lease *l = &leases[i];

		covers |= l->fd && !l->over && at >= l->addr &&
			  at + length <= l->addr + l->arg.length;
	}
	pthread_mutex_unlock(&lock);
	return covers;
}
