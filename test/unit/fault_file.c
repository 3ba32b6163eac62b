// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Descriptors and files. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
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

#include <mapdirect/uapi.h>

#include "fault.h"
#include "fault_calls.h"

/* ---- descriptors ------------------------------------------------------------ */

static int opened(int fd)
{
	if (fd >= 0)
		fault__fds++;
	return fd;
}

static const char *open_name(const char *path)
{
	if (!strncmp(path, "/proc/sys/", 10))
		return "open sysctl";
	if (!strncmp(path, "/proc/", 6))
		return "open file again";
	return strncmp(path, "/dev/", 5) ? "open sysfs" : "open device";
}

int fault_open(const char *path, int flags, ...);
int fault_open(const char *path, int flags, ...)
{
	int fd;

	if (fault__fails(open_name(path), EMFILE, !strncmp(path, "/dev/", 5)))
		return -1;
	fd = fault_sys.open ? fault_sys.open(path, flags) : open(path, flags);
	return opened(fd);
}

/* It fails as in Linux: the descriptor is closed nevertheless. */
int fault_close(int fd);
int fault_close(int fd)
{
	bool failed = fault__fails("close", EIO, SIGNAL);
	int saved = errno, err = (fault_sys.close ?: close)(fd);

	fault__fds--;
	if (!failed)
		return err;
	errno = saved;
	return -1;
}

int fault_epoll_create1(int flags);
int fault_epoll_create1(int flags)
{
	return fault__fails("epoll_create1", EMFILE, false) ? -1 : opened(epoll_create1(flags));
}

int fault_eventfd(unsigned int count, int flags);
int fault_eventfd(unsigned int count, int flags)
{
	return fault__fails("eventfd", EMFILE, false) ? -1 : opened(eventfd(count, flags));
}

int fault_timerfd_create(int clock, int flags);
int fault_timerfd_create(int clock, int flags)
{
	return fault__fails("timerfd_create", EMFILE, false) ? -1 :
							       opened(timerfd_create(clock, flags));
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
		return fault__fails("fcntl DUPFD", EMFILE, false) ? -1 :
								    opened(fcntl(fd, command, arg));
	case F_GETFL:
		return fault__fails("fcntl GETFL", EBADF, false) ? -1 : fcntl(fd, command);
	case F_GETLEASE: /* cannot */
		return fcntl(fd, command);
	case F_SETLEASE:
		if (arg == F_UNLCK)
			return fault__fails("fcntl UNLCK", EACCES, false) ? -1 :
									    fcntl(fd, command, arg);
		return fault__fails("fcntl SETLEASE", ENOMEM, false) ? -1 : fcntl(fd, command, arg);
	case F_GETSIG:
		return fault__fails("fcntl GETSIG", EBADF, false) ? -1 : fcntl(fd, command);
	case F_SETSIG:
		return fault__fails("fcntl SETSIG", EPERM, false) ? -1 : fcntl(fd, command, arg);
	case F_GETOWN_EX:
	case F_SETOWN_EX:
		return fault__fails("fcntl OWN_EX", ESRCH, false) ? -1 : fcntl(fd, command, owner);
	default:
		return fault__fails("fcntl SETFL", EPERM, false) ? -1 : fcntl(fd, command, arg);
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
	if (fault__fails(name, error,
			 request == MAPDIRECT_IOC_RELEASE || request == MAPDIRECT_IOC_LEASE))
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

	return fault__fails("read", special ? NEVER : EIO, SIGNAL) ? -1 : read(fd, buffer, size);
}

/* To counters only: they refuse no more than to run over. */
ssize_t fault_write(int fd, const void *buffer, size_t size);
ssize_t fault_write(int fd, const void *buffer, size_t size)
{
	return fault__fails("write", NEVER, SIGNAL) ? -1 : write(fd, buffer, size);
}

ssize_t fault_preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
ssize_t fault_preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return fault__fails("preadv2", EAGAIN, false) ? -1 : preadv2(fd, iov, n, offset, flags);
}

int fault_poll(struct pollfd *pfd, nfds_t n, int timeout);
int fault_poll(struct pollfd *pfd, nfds_t n, int timeout)
{
	return fault__fails("poll", ENOMEM, SIGNAL) ? -1 : poll(pfd, n, timeout);
}

int fault_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int fault_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	const char *name = op == EPOLL_CTL_ADD ? "epoll_ctl ADD" : "epoll_ctl DEL";

	return fault__fails(name, ENOSPC, 0) ? -1 : epoll_ctl(epoll, op, fd, event);
}

int fault_epoll_wait(int epoll, struct epoll_event *events, int n, int timeout);
int fault_epoll_wait(int epoll, struct epoll_event *events, int n, int timeout)
{
	return fault__fails("epoll_wait", NEVER, SIGNAL) ? -1 :
							   epoll_wait(epoll, events, n, timeout);
}

/* ---- files: file systems wait for fatal signals only ---------------------- */

int fault_fstat(int fd, struct stat *st);
int fault_fstat(int fd, struct stat *st)
{
	return fault__fails("fstat", EIO, false) ? -1 : (fault_sys.fstat ?: fstat)(fd, st);
}

int fault_fstatfs(int fd, struct statfs *fs);
int fault_fstatfs(int fd, struct statfs *fs)
{
	return fault__fails("fstatfs", EIO, false) ? -1 : (fault_sys.fstatfs ?: fstatfs)(fd, fs);
}

int fault_fstatvfs(int fd, struct statvfs *fs);
int fault_fstatvfs(int fd, struct statvfs *fs)
{
	return fault__fails("fstatvfs", EIO, false) ? -1 : (fault_sys.fstatvfs ?: fstatvfs)(fd, fs);
}

int fault_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stx);
int fault_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	return fault__fails("statx", EIO, false) ?
		       -1 :
		       (fault_sys.statx ?: statx)(fd, path, flags, mask, stx);
}

int fault_fallocate(int fd, int mode, off_t offset, off_t length);
int fault_fallocate(int fd, int mode, off_t offset, off_t length)
{
	return fault__fails("fallocate", ENOSPC, false) ?
		       -1 :
		       (fault_sys.fallocate ?: fallocate)(fd, mode, offset, length);
}

int fault_syncfs(int fd);
int fault_syncfs(int fd)
{
	return fault__fails("syncfs", EIO, false) ? -1 : syncfs(fd);
}

int fault_fsync(int fd);
int fault_fsync(int fd)
{
	return fault__fails("fsync", EIO, false) ? -1 : fsync(fd);
}

off_t fault_lseek(int fd, off_t offset, int whence);
off_t fault_lseek(int fd, off_t offset, int whence)
{
	return fault__fails("lseek", EIO, false) ? -1 : lseek(fd, offset, whence);
}

ssize_t fault_readlink(const char *path, char *buffer, size_t size);
ssize_t fault_readlink(const char *path, char *buffer, size_t size)
{
	return fault__fails("readlink", EACCES, false) ? -1 : readlink(path, buffer, size);
}

char *fault_realpath(const char *path, char *resolved);
char *fault_realpath(const char *path, char *resolved)
{
	return fault__fails("realpath", ENOMEM, false) ? NULL : realpath(path, resolved);
}

/* capget(2), and membarrier(2), of which the fast one can be short of memory. */
long fault_syscall(long number, void *first, void *second);
long fault_syscall(long number, void *first, void *second)
{
	bool fails = false;

	if (number == SYS_capget)
		fails = fault__fails("capget", EPERM, false);
	else if (number == SYS_membarrier &&
		 (int)(intptr_t)first == MEMBARRIER_CMD_PRIVATE_EXPEDITED)
		fails = fault__fails("membarrier", ENOMEM, false);
	return fails ? -1 : syscall(number, first, second, 0);
}
