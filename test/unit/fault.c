// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <mapdirect/uapi.h>

#include "fault.h"

#define FORCED 4

#define NEVER 0 /* for an errno: the arguments are right, and it needs nothing */
#define SIGNAL true

struct fault_sys fault_sys;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int countdown; /* calls until one fails; 0: none does */
static enum fault_kind kind;
static const char *fired;
static int fired_error;
static pthread_t fired_in;
static struct {
	const char *name;
	unsigned int times;
	int error;
} forced[FORCED];

static atomic_long blocks, bytes, fds;

static void lock_it(void)
{
	pthread_mutex_lock(&lock);
}

static void unlock_it(void)
{
	pthread_mutex_unlock(&lock);
}

/* Before the library does, whose own handlers make calls. */
static void __attribute__((constructor)) prepare_for_fork(void)
{
	pthread_atfork(lock_it, unlock_it, unlock_it);
}

/* ---- the test's side ----------------------------------------------------- */

void fault_arm(unsigned int nth, enum fault_kind which)
{
	pthread_mutex_lock(&lock);
	countdown = nth;
	kind = which;
	fired = NULL;
	fired_error = 0;
	pthread_mutex_unlock(&lock);
}

void fault_disarm(void)
{
	fault_arm(0, FAULT_ERROR);
	pthread_mutex_lock(&lock);
	memset(forced, 0, sizeof(forced));
	pthread_mutex_unlock(&lock);
}

const char *fault_fired(void)
{
	const char *name;

	pthread_mutex_lock(&lock);
	name = fired;
	pthread_mutex_unlock(&lock);
	return name;
}

bool fault_fired_here(void)
{
	bool here;

	pthread_mutex_lock(&lock);
	here = fired && pthread_equal(fired_in, pthread_self());
	pthread_mutex_unlock(&lock);
	return here;
}

int fault_error(void)
{
	int error;

	pthread_mutex_lock(&lock);
	error = fired_error;
	pthread_mutex_unlock(&lock);
	return error;
}

void fault_force(const char *name, unsigned int times, int error)
{
	int i = 0;

	pthread_mutex_lock(&lock);
	while (i < FORCED - 1 && forced[i].times)
		i++;
	forced[i].name = name;
	forced[i].times = times;
	forced[i].error = error;
	pthread_mutex_unlock(&lock);
}

struct fault_balance fault_balance(void)
{
	return (struct fault_balance){ blocks, bytes, fds };
}

void fault_forget_bytes(long left)
{
	bytes -= left;
}

/* ---- whether a call fails ------------------------------------------------ */

static int force(const char *name)
{
	for (int i = 0; i < FORCED; i++) {
		if (forced[i].times && !strcmp(forced[i].name, name)) {
			forced[i].times--;
			return forced[i].error;
		}
	}
	return 0;
}

/* Sets errno and says true, or says false. @error: NEVER, or an errno. */
static bool fails(const char *name, int error, bool interrupted)
{
	int failure;

	pthread_mutex_lock(&lock);
	failure = force(name);
	if (kind == FAULT_EINTR)
		error = interrupted ? EINTR : NEVER;
	if (!failure && error && countdown && !--countdown) {
		failure = fired_error = error;
		fired = name;
		fired_in = pthread_self();
	}
	pthread_mutex_unlock(&lock);
	if (failure)
		errno = failure;
	return failure;
}

static int opened(int fd)
{
	if (fd >= 0)
		fds++;
	return fd;
}

/* ---- memory and threads --------------------------------------------------- */

static void *allocated(void *block)
{
	if (block)
		blocks++;
	return block;
}

void *fault_calloc(size_t n, size_t size);
void *fault_calloc(size_t n, size_t size)
{
	return fails("calloc", ENOMEM, false) ? NULL : allocated(calloc(n, size));
}

void *fault_aligned_alloc(size_t alignment, size_t size);
void *fault_aligned_alloc(size_t alignment, size_t size)
{
	return fails("aligned_alloc", ENOMEM, false) ? NULL :
						       allocated(aligned_alloc(alignment, size));
}

char *fault_strdup(const char *text);
char *fault_strdup(const char *text)
{
	return fails("strdup", ENOMEM, false) ? NULL : allocated(strdup(text));
}

void fault_free(void *block);
void fault_free(void *block)
{
	if (block)
		blocks--;
	free(block);
}

int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			 void *arg);
int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			 void *arg)
{
	return fails("pthread_create", EAGAIN, false) ? errno :
							pthread_create(thread, attr, run, arg);
}

int fault_pthread_setname_np(pthread_t thread, const char *name);
int fault_pthread_setname_np(pthread_t thread, const char *name)
{
	return fails("pthread_setname_np", EIO, false) ? errno : pthread_setname_np(thread, name);
}

int fault_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int fault_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	return fails("pthread_atfork", ENOMEM, false) ? errno :
							pthread_atfork(prepare, parent, child);
}

/* ---- address space --------------------------------------------------------- */

static const char *mmap_name(int flags)
{
	if (!(flags & MAP_FIXED))
		return "mmap reserve";
	if (flags & MAP_ANONYMOUS)
		return "mmap reserve again";
	return flags & MAP_SYNC ? "mmap SYNC" : "mmap file";
}

void *fault_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
void *fault_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *at;

	if (fails(mmap_name(flags), ENOMEM, 0))
		return MAP_FAILED;
	at = (fault_sys.mmap ?: mmap)(addr, length, prot, flags, fd, offset);
	if (at != MAP_FAILED && !(flags & MAP_FIXED))
		bytes += (long)length;
	return at;
}

int fault_munmap(void *addr, size_t length);
int fault_munmap(void *addr, size_t length)
{
	bool failed = fails("munmap", ENOMEM, false);
	int saved = errno;

	/* It does not stay mapped: no test is to run out of addresses. */
	bytes -= (long)length;
	munmap(addr, length);
	errno = saved;
	return failed ? -1 : 0;
}

int fault_msync(void *addr, size_t length, int flags);
int fault_msync(void *addr, size_t length, int flags)
{
	return fails("msync", EIO, false) ? -1 : msync(addr, length, flags);
}

int fault_madvise(void *addr, size_t length, int advice);
int fault_madvise(void *addr, size_t length, int advice)
{
	const char *name = advice == MADV_DONTFORK ? "madvise DONTFORK" : "madvise POPULATE_WRITE";

	return fails(name, ENOMEM, 0) ? -1 : madvise(addr, length, advice);
}

/* ---- descriptors ------------------------------------------------------------ */

static const char *open_name(const char *path)
{
	if (!strncmp(path, "/proc/sys/", 10))
		return "open sysctl";
	return strncmp(path, "/proc/", 6) ? "open device" : "open file again";
}

int fault_open(const char *path, int flags, ...);
int fault_open(const char *path, int flags, ...)
{
	int fd;

	if (fails(open_name(path), EMFILE, strncmp(path, "/proc/", 6)))
		return -1;
	fd = fault_sys.open ? fault_sys.open(path, flags) : open(path, flags);
	return opened(fd);
}

/* It fails as in Linux: the descriptor is closed nevertheless. */
int fault_close(int fd);
int fault_close(int fd)
{
	bool failed = fails("close", EIO, SIGNAL);
	int saved = errno, err = (fault_sys.close ?: close)(fd);

	fds--;
	if (!failed)
		return err;
	errno = saved;
	return -1;
}

int fault_epoll_create1(int flags);
int fault_epoll_create1(int flags)
{
	return fails("epoll_create1", EMFILE, false) ? -1 : opened(epoll_create1(flags));
}

int fault_eventfd(unsigned int count, int flags);
int fault_eventfd(unsigned int count, int flags)
{
	return fails("eventfd", EMFILE, false) ? -1 : opened(eventfd(count, flags));
}

int fault_timerfd_create(int clock, int flags);
int fault_timerfd_create(int clock, int flags)
{
	return fails("timerfd_create", EMFILE, false) ? -1 : opened(timerfd_create(clock, flags));
}

int fault_fcntl(int fd, int command, ...);
int fault_fcntl(int fd, int command, ...)
{
	const bool has_owner = command == F_GETOWN_EX || command == F_SETOWN_EX;
	const bool has_none = command == F_GETFL || command == F_GETSIG || command == F_GETLEASE;
	struct f_owner_ex *owner;
	va_list args;
	int arg;

	va_start(args, command);
	owner = has_owner ? va_arg(args, struct f_owner_ex *) : NULL;
	arg = has_owner || has_none ? 0 : va_arg(args, int);
	va_end(args);
	switch (command) {
	case F_DUPFD_CLOEXEC:
		return fails("fcntl DUPFD", EMFILE, false) ? -1 : opened(fcntl(fd, command, arg));
	case F_GETFL:
		return fails("fcntl GETFL", EBADF, false) ? -1 : fcntl(fd, command);
	case F_GETLEASE: /* cannot */
		return fcntl(fd, command);
	case F_SETLEASE:
		if (arg == F_UNLCK) /* cannot, for who had it */
			return fcntl(fd, command, arg);
		return fails("fcntl SETLEASE", ENOMEM, false) ? -1 : fcntl(fd, command, arg);
	case F_GETSIG:
		return fails("fcntl GETSIG", EBADF, false) ? -1 : fcntl(fd, command);
	case F_SETSIG:
		return fails("fcntl SETSIG", EPERM, false) ? -1 : fcntl(fd, command, arg);
	case F_GETOWN_EX:
	case F_SETOWN_EX:
		return fails("fcntl OWN_EX", ESRCH, false) ? -1 : fcntl(fd, command, owner);
	default:
		return fails("fcntl SETFL", EPERM, false) ? -1 : fcntl(fd, command, arg);
	}
}

static const char *ioctl_name(unsigned long request, int *error)
{
	switch (request) {
	case MAPDIRECT_IOC_INFO:
		*error = ENOTTY;
		return "ioctl INFO";
	case MAPDIRECT_IOC_LEASE:
		*error = ENOMEM;
		return "ioctl LEASE";
	case MAPDIRECT_IOC_RELEASE:
		*error = EBUSY;
		return "ioctl RELEASE";
	case MAPDIRECT_IOC_STATUS:
		*error = EPERM;
		return "ioctl STATUS";
	default:
		*error = EOPNOTSUPP;
		return "ioctl FIEMAP";
	}
}

int fault_ioctl(int fd, unsigned long request, ...);
int fault_ioctl(int fd, unsigned long request, ...)
{
	int error, answer;
	const char *name = ioctl_name(request, &error);
	void *arg = NULL;
	va_list args;

	va_start(args, request);
	if (request != MAPDIRECT_IOC_RELEASE)
		arg = va_arg(args, void *);
	va_end(args);
	if (fails(name, error, request == MAPDIRECT_IOC_RELEASE))
		return -1;
	answer = fault_sys.ioctl ? fault_sys.ioctl(fd, request, arg) : ioctl(fd, request, arg);
	return request == MAPDIRECT_IOC_LEASE ? opened(answer) : answer;
}

/* ---- reading, writing, waiting ------------------------------------------------ */

/* Counters and leases can always be read, unless a signal comes. */
ssize_t fault_read(int fd, void *buffer, size_t size);
ssize_t fault_read(int fd, void *buffer, size_t size)
{
	bool special = size == sizeof(uint64_t) || size == sizeof(struct mapdirect_event);

	return fails("read", special ? NEVER : EIO, SIGNAL) ? -1 : read(fd, buffer, size);
}

/* To counters only: they refuse no more than to run over. */
ssize_t fault_write(int fd, const void *buffer, size_t size);
ssize_t fault_write(int fd, const void *buffer, size_t size)
{
	return fails("write", NEVER, SIGNAL) ? -1 : write(fd, buffer, size);
}

ssize_t fault_preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
ssize_t fault_preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return fails("preadv2", EAGAIN, false) ? -1 : preadv2(fd, iov, n, offset, flags);
}

int fault_poll(struct pollfd *pfd, nfds_t n, int timeout);
int fault_poll(struct pollfd *pfd, nfds_t n, int timeout)
{
	return fails("poll", ENOMEM, SIGNAL) ? -1 : poll(pfd, n, timeout);
}

int fault_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int fault_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	const char *name = op == EPOLL_CTL_ADD ? "epoll_ctl ADD" : "epoll_ctl DEL";

	return fails(name, ENOSPC, 0) ? -1 : epoll_ctl(epoll, op, fd, event);
}

int fault_epoll_wait(int epoll, struct epoll_event *events, int n, int timeout);
int fault_epoll_wait(int epoll, struct epoll_event *events, int n, int timeout)
{
	return fails("epoll_wait", NEVER, SIGNAL) ? -1 : epoll_wait(epoll, events, n, timeout);
}

/* ---- files: file systems wait for fatal signals only -------------------------------------------------------------------- */

int fault_fstat(int fd, struct stat *st);
int fault_fstat(int fd, struct stat *st)
{
	return fails("fstat", EIO, false) ? -1 : (fault_sys.fstat ?: fstat)(fd, st);
}

int fault_fstatfs(int fd, struct statfs *fs);
int fault_fstatfs(int fd, struct statfs *fs)
{
	return fails("fstatfs", EIO, false) ? -1 : (fault_sys.fstatfs ?: fstatfs)(fd, fs);
}

int fault_fstatvfs(int fd, struct statvfs *fs);
int fault_fstatvfs(int fd, struct statvfs *fs)
{
	return fails("fstatvfs", EIO, false) ? -1 : (fault_sys.fstatvfs ?: fstatvfs)(fd, fs);
}

int fault_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stx);
int fault_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	return fails("statx", EIO, false) ? -1 :
					    (fault_sys.statx ?: statx)(fd, path, flags, mask, stx);
}

int fault_fallocate(int fd, int mode, off_t offset, off_t length);
int fault_fallocate(int fd, int mode, off_t offset, off_t length)
{
	return fails("fallocate", ENOSPC, false) ?
		       -1 :
		       (fault_sys.fallocate ?: fallocate)(fd, mode, offset, length);
}

int fault_fsync(int fd);
int fault_fsync(int fd)
{
	return fails("fsync", EIO, false) ? -1 : fsync(fd);
}

off_t fault_lseek(int fd, off_t offset, int whence);
off_t fault_lseek(int fd, off_t offset, int whence)
{
	return fails("lseek", EIO, false) ? -1 : lseek(fd, offset, whence);
}

ssize_t fault_readlink(const char *path, char *buffer, size_t size);
ssize_t fault_readlink(const char *path, char *buffer, size_t size)
{
	return fails("readlink", EACCES, false) ? -1 : readlink(path, buffer, size);
}

/* capget(2) is the only one. */
long fault_syscall(long number, void *head, void *data);
long fault_syscall(long number, void *head, void *data)
{
	return fails("capget", EPERM, false) ? -1 : syscall(number, head, data);
}

/* ---- verbs --------------------------------------------------------------------- */

#undef ibv_reg_mr

struct ibv_mr *fault_ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access);
struct ibv_mr *fault_ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	return fails("ibv_reg_mr", ENOMEM, false) ? NULL : ibv_reg_mr(pd, addr, length, access);
}

struct ibv_mr *fault_ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				      unsigned int access);
struct ibv_mr *fault_ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				      unsigned int access)
{
	return fails("ibv_reg_mr", ENOMEM, false) ?
		       NULL :
		       ibv_reg_mr_iova2(pd, addr, length, iova, access);
}

int fault_ibv_dereg_mr(struct ibv_mr *mr);
int fault_ibv_dereg_mr(struct ibv_mr *mr)
{
	return fails("ibv_dereg_mr", EBUSY, false) ? errno : ibv_dereg_mr(mr);
}

int fault_ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask);
int fault_ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	return fails("ibv_modify_qp", EINVAL, false) ? errno : ibv_modify_qp(qp, attr, mask);
}
