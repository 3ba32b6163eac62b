// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "errmsg.h"
#include "fork.h"
#include "reserve.h"

#define HUGE_SIZE ((size_t)2 << 20)
#define NOTHING (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

void *md__reserve(uint64_t offset, size_t length, size_t align)
{
	size_t step = align > HUGE_SIZE ? align : HUGE_SIZE;
	size_t room = length + step;
	uintptr_t skip;
	char *addr;

	addr = mmap(NULL, room, PROT_NONE, NOTHING, -1, 0);
	if (addr == MAP_FAILED) {
		md__fail(ENOMEM, "cannot reserve %zu bytes of address space: %s", room,
			 strerror(errno));
		return NULL;
	}
	skip = (offset - (uintptr_t)addr) % step;
	if (skip)
		munmap(addr, skip);
	munmap(addr + skip + length, room - length - skip);
	addr += skip;
	madvise(addr, length, MADV_DONTFORK);
	return addr;
}

void md__reserve_again(void *addr, size_t length)
{
	if (mmap(addr, length, PROT_NONE, NOTHING | MAP_FIXED, -1, 0) != MAP_FAILED)
		madvise(addr, length, MADV_DONTFORK);
}

int md__reserve_fill(void *addr, size_t length, int flags, int fd, off_t offset)
{
	int err;

	md__fork_hold();
	err = mmap(addr, length, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, offset) ==
	      MAP_FAILED;
	if (!err)
		madvise(addr, length, MADV_DONTFORK);
	md__fork_let();
	return err ? -1 : 0;
}

void md__unreserve(void *addr, size_t length)
{
	munmap(addr, length);
}
