// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "holder.h"
#include "suite.h"

#define HUGE (2 * MIB)

int holder_device(void)
{
	static int dev = -1;

	if (dev < 0)
		dev = open("/dev/mapdirect", O_RDWR | O_CLOEXEC);
	CHECK(dev >= 0);
	return dev;
}

/* Address space for length bytes, aligned as the file offset is. */
static char *reserve(off_t offset, size_t length)
{
	char *p = mmap(NULL, length + 2 * HUGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	return p + HUGE - (uintptr_t)p % HUGE + offset % HUGE;
}

void holder_file(struct holder *h, const char *fs, const char *name, size_t size)
{
	char *p;

	*h = (struct holder){ .lease = -1 };
	suite_path(h->path, sizeof(h->path), fs, name);
	unlink(h->path);
	h->fd = open(h->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(h->fd >= 0);
	CHECK_EQ(posix_fallocate(h->fd, 0, size), 0);
	/* A store through the mapping makes unwritten extents written ones. */
	p = reserve(0, size);
	CHECK(mmap(p, size, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC | MAP_FIXED,
		   h->fd, 0) == p);
	CHECK(!madvise(p, size, MADV_POPULATE_WRITE));
	CHECK(!munmap(p, size));
}

void holder_anchor(struct holder *h, off_t offset, size_t length)
{
	h->offset = offset;
	h->length = length;
	h->anchor = reserve(offset, length);
	CHECK(mmap(h->anchor, length, PROT_READ | PROT_WRITE,
		   MAP_SHARED_VALIDATE | MAP_SYNC | MAP_FIXED, h->fd, offset) == h->anchor);
}

int holder_try_lease(struct holder *h, unsigned int flags)
{
	struct mapdirect_lease arg = {
		.fd = h->fd,
		.flags = flags,
		.offset = h->offset,
		.length = h->length,
		.addr = (uintptr_t)h->anchor,
	};
	int fd = ioctl(holder_device(), MAPDIRECT_IOC_LEASE, &arg);

	if (fd >= 0)
		h->generation = arg.generation;
	return fd;
}

void holder_take(struct holder *h, off_t offset, size_t length)
{
	holder_anchor(h, offset, length);
	h->lease = holder_try_lease(h, 0);
	CHECK(h->lease >= 0);
	h->map = reserve(offset, length);
	CHECK(mmap(h->map, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, h->lease, 0) ==
	      h->map);
}

void holder_event(struct holder *h, struct mapdirect_event *ev)
{
	struct pollfd p = { .fd = h->lease, .events = POLLIN };

	CHECK_EQ(poll(&p, 1, SUITE_WAIT_MS), 1);
	CHECK(p.revents & POLLIN);
	CHECK_EQ(read(h->lease, ev, sizeof(*ev)), (ssize_t)sizeof(*ev));
	CHECK_EQ(ev->generation, h->generation);
}

bool holder_has_event(struct holder *h)
{
	struct pollfd p = { .fd = h->lease, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

/* The kernel's list, or as much of it as there is room for; its length. */
static size_t list(char *text, size_t size)
{
	int fd = open("/proc/fs/mapdirect", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

bool holder_exists(void *unused)
{
	char text[2];

	(void)unused;
	return list(text, sizeof(text));
}

static bool is_listed(const char *what)
{
	char text[4096];

	return list(text, sizeof(text)) && strstr(text, what);
}

bool holder_is_live(void *unused)
{
	(void)unused;
	return is_listed(" state=live ");
}

bool holder_is_stuck(void *unused)
{
	(void)unused;
	return is_listed(" state=stuck ");
}

int holder_release(struct holder *h)
{
	return ioctl(h->lease, MAPDIRECT_IOC_RELEASE);
}

void holder_release_busy(struct holder *h)
{
	CHECK_ERRNO(holder_release(h), EBUSY);
}

static bool released(void *h)
{
	return !holder_release(h);
}

/* Not at once: a region's pins may go a moment after it. */
void holder_release_done(struct holder *h)
{
	CHECK(wait_until(released, h, SUITE_WAIT_MS));
}

struct mapdirect_status holder_status(struct holder *h)
{
	struct mapdirect_status st;

	CHECK(!ioctl(h->lease, MAPDIRECT_IOC_STATUS, &st));
	return st;
}

static sigjmp_buf back;

static void on_fault(int signal)
{
	siglongjmp(back, signal);
}

bool touch(volatile char *p)
{
	struct sigaction sa = { .sa_handler = on_fault }, bus, segv;
	bool good = false;

	sigaction(SIGBUS, &sa, &bus);
	sigaction(SIGSEGV, &sa, &segv);
	if (!sigsetjmp(back, 1)) {
		*p = *p;
		good = true;
	}
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return good;
}
