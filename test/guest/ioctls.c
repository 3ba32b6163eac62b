// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Calls with nonsense in them: each gets its error, and nothing is left. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "holder.h"
#include "suite.h"

#define PAGE 4096UL
#define LARGEST 4096U

/* Memory that ends where nothing is mapped. */
struct fence {
	char *start, *end;
};

static struct fence fence_new(void)
{
	char *p = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK(!mprotect(p, 2 * PAGE, PROT_READ | PROT_WRITE));
	return (struct fence){ p, p + 2 * PAGE };
}

/* An argument of this size, which ends at the fence. */
static char *fenced(const struct fence *f, unsigned int size, int fill)
{
	memset(f->start, fill, f->end - f->start);
	return f->end - size;
}

static unsigned int cmd(unsigned int like, unsigned int size)
{
	return (like & ~IOCSIZE_MASK) | size << IOCSIZE_SHIFT;
}

static int nonzero(const char *p, size_t size)
{
	while (size--)
		if (*p++)
			return 1;
	return 0;
}

/* An ioctl that only gives: its first version, then zeroes, and no byte more. */
static void check_sizes_of_output(int fd, unsigned int like)
{
	struct fence f = fence_new();
	unsigned int real = _IOC_SIZE(like);

	for (unsigned int size = 0; size <= LARGEST; size++) {
		char *arg = fenced(&f, size, 0xaa);

		suite_context("size %u", size);
		if (size < real) {
			CHECK_ERRNO(ioctl(fd, cmd(like, size), arg), EINVAL);
			continue;
		}
		CHECK_EQ(ioctl(fd, cmd(like, size), arg), 0);
		CHECK(!nonzero(arg + real, size - real));
		CHECK(size == LARGEST || (unsigned char)arg[-1] == 0xaa);
	}
}

/* Proves: INFO and STATUS of any size stay within it, and say what is true. */
static void sizes__of_output__are_kept(const void *unused)
{
	struct mapdirect_info info;
	struct mapdirect_status st;
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIB);
	holder_take(&h, 0, MIB);
	check_sizes_of_output(holder_device(), MAPDIRECT_IOC_INFO);
	check_sizes_of_output(h.lease, MAPDIRECT_IOC_STATUS);
	CHECK(!ioctl(holder_device(), MAPDIRECT_IOC_INFO, &info));
	CHECK_EQ(info.abi, MAPDIRECT_ABI_VERSION);
	CHECK_EQ(info.mode, MAPDIRECT_MODE_PINNED);
	CHECK(info.features & MAPDIRECT_FEATURE_HUGE);
	st = holder_status(&h);
	CHECK_EQ(st.state, MAPDIRECT_STATE_LIVE);
	CHECK_EQ(st.generation, h.generation);
	CHECK_EQ(st.pages, MIB / PAGE);
	CHECK_EQ(st.foreign_pages, 0);
	CHECK_EQ(st.deadline_ns, 0);
}

/* A LEASE that would be granted, were it not for fd. */
static struct mapdirect_lease good_lease(const struct holder *h)
{
	return (struct mapdirect_lease){
		.fd = h->fd,
		.offset = h->offset,
		.length = h->length,
		.addr = (uintptr_t)h->anchor,
	};
}

static int lease(struct mapdirect_lease arg)
{
	return ioctl(holder_device(), MAPDIRECT_IOC_LEASE, &arg);
}

/* Proves: LEASE takes a longer structure with zeroes and no other. */
static void sizes__of_lease__are_checked(const void *unused)
{
	struct fence f = fence_new();
	struct mapdirect_lease bad;
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIB);
	holder_anchor(&h, 0, MIB);
	bad = good_lease(&h);
	bad.fd = -1;
	for (unsigned int size = 0; size <= LARGEST; size++) {
		char *arg = fenced(&f, size, 0);
		unsigned int like = cmd(MAPDIRECT_IOC_LEASE, size);

		suite_context("size %u", size);
		if (size < sizeof(bad)) {
			CHECK_ERRNO(ioctl(holder_device(), like, arg), EINVAL);
			continue;
		}
		memcpy(arg, &bad, sizeof(bad));
		CHECK_ERRNO(ioctl(holder_device(), like, arg), EBADF);
		if (size == sizeof(bad))
			continue;
		arg[size - 1] = 1;
		CHECK_ERRNO(ioctl(holder_device(), like, arg), E2BIG);
	}
	/* And such a longer one is a lease. */
	bad = good_lease(&h);
	memcpy(fenced(&f, 100, 0), &bad, sizeof(bad));
	h.lease = ioctl(holder_device(), cmd(MAPDIRECT_IOC_LEASE, 100), f.end - 100);
	CHECK(h.lease >= 0);
	CHECK(!close(h.lease));
}

/* Proves: only the four known numbers, with their directions, are taken. */
static void numbers__unknown__are_enotty(const void *unused)
{
	static const unsigned int dirs[] = { _IOC_NONE, _IOC_READ, _IOC_WRITE,
					     _IOC_READ | _IOC_WRITE };
	struct fence f = fence_new();
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIB);
	holder_take(&h, 0, MIB);
	for (unsigned int nr = 0; nr < 256; nr++) {
		for (unsigned int i = 0; i < 4; i++) {
			unsigned int c = _IOC(dirs[i], MAPDIRECT_IOC_MAGIC, nr, 40);
			unsigned int like = c & ~IOCSIZE_MASK;
			char *arg = fenced(&f, 40, 0xff);

			suite_context("number %u, direction %u", nr, dirs[i]);
			if (like != cmd(MAPDIRECT_IOC_INFO, 0) &&
			    like != cmd(MAPDIRECT_IOC_LEASE, 0))
				CHECK_ERRNO(ioctl(holder_device(), c, arg), ENOTTY);
			if (like != cmd(MAPDIRECT_IOC_STATUS, 0) && like != MAPDIRECT_IOC_RELEASE)
				CHECK_ERRNO(ioctl(h.lease, c, arg), ENOTTY);
		}
	}
	for (unsigned int size = 1; size <= LARGEST; size++)
		CHECK_ERRNO(ioctl(h.lease, cmd(MAPDIRECT_IOC_RELEASE, size), f.start), EINVAL);
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_LIVE);
	CHECK_EQ(holder_release(&h), 0);
}

static bool leased_now(void *arg)
{
	struct holder *h = arg;
	bool still;

	h->lease = lease(good_lease(h));
	still = h->lease < 0 && errno == EEXIST;
	CHECK(h->lease >= 0 || still);
	return !still;
}

/* Proves: a pointer to nothing, or to memory of the wrong kind, is EFAULT. */
static void pointers__bad__are_efault(const void *unused)
{
	struct fence f = fence_new();
	struct mapdirect_event ev;
	struct holder h, second;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", 2 * MIB);
	second = h;
	holder_take(&h, 0, MIB);
	holder_anchor(&second, MIB, MIB);

	char *const bad[] = { NULL,
			      (char *)1,
			      f.end,
			      f.end - 8,
			      (char *)~0UL,
			      (char *)-PAGE,
			      (char *)0xffff888000000000UL };

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		suite_context("pointer %p", (void *)bad[i]);
		CHECK_ERRNO(ioctl(holder_device(), MAPDIRECT_IOC_INFO, bad[i]), EFAULT);
		CHECK_ERRNO(ioctl(holder_device(), MAPDIRECT_IOC_LEASE, bad[i]), EFAULT);
		CHECK_ERRNO(ioctl(h.lease, MAPDIRECT_IOC_STATUS, bad[i]), EFAULT);
	}
	suite_context("read-only memory");
	*(struct mapdirect_lease *)f.start = good_lease(&second);
	CHECK(!mprotect(f.start, PAGE, PROT_READ));
	CHECK_ERRNO(ioctl(holder_device(), MAPDIRECT_IOC_INFO, f.start), EFAULT);
	CHECK_ERRNO(ioctl(h.lease, MAPDIRECT_IOC_STATUS, f.start), EFAULT);
	CHECK_ERRNO(ioctl(holder_device(), MAPDIRECT_IOC_LEASE, f.start), EFAULT);
	/* That one had been granted already: it must be gone again. */
	suite_context("after a lease that could not be returned");
	CHECK(wait_until(leased_now, &second, SUITE_WAIT_MS));
	CHECK_ERRNO(read(second.lease, &ev, sizeof(ev) - 1), EINVAL);
	CHECK(!munmap(second.anchor, MIB));
	CHECK_ERRNO(read(second.lease, f.end, sizeof(ev)), EFAULT);
}

struct change {
	struct mapdirect_lease add; /* to every member of a good one */
	int err;
};

/* Proves: each impossible range and flag has the errno that uapi.h names. */
static void ranges__impossible__are_refused(const void *unused)
{
	static const struct change changes[] = {
		{ { .flags = 2 }, EINVAL },
		{ { .flags = 1U << 31 }, EINVAL },
		{ { .generation = 1 }, EINVAL },
		{ { .length = -MIB }, EINVAL },
		{ { .offset = 1 }, EINVAL },
		{ { .offset = 512 }, EINVAL },
		{ { .length = 1 }, EINVAL },
		{ { .length = -1UL }, EINVAL },
		{ { .addr = 8 }, EINVAL },
		{ { .offset = -PAGE }, EOVERFLOW },
		{ { .offset = -MIB }, EOVERFLOW },
		{ { .offset = 1UL << 63 }, EOVERFLOW },
		{ { .length = 1UL << 62 }, EOVERFLOW },
		{ { .length = (1UL << 63) - MIB }, EOVERFLOW },
		{ { .length = -2 * MIB }, EOVERFLOW },
		{ { .addr = 1UL << 63 }, EOVERFLOW },
		{ { .addr = 1UL << 47 }, EOVERFLOW },
		{ { .offset = PAGE }, ENXIO },
		{ { .length = PAGE }, ENXIO },
		{ { .offset = 1UL << 40 }, ENXIO },
		{ { .length = 64 * MIB }, ENXIO },
	};
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIB);
	holder_anchor(&h, 0, MIB);
	for (unsigned int i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];
		struct mapdirect_lease arg = good_lease(&h);

		suite_context("line %u", i);
		arg.flags += c->add.flags;
		arg.generation += c->add.generation;
		arg.offset += c->add.offset;
		arg.length += c->add.length;
		arg.addr += c->add.addr;
		CHECK_ERRNO(lease(arg), c->err);
	}
	h.lease = lease(good_lease(&h));
	CHECK(h.lease >= 0);
}

/* Proves: the last page of a file may be leased where the file ends in it. */
static void range__to_the_page_of_eof__is_leased(const void *unused)
{
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIB);
	CHECK(!ftruncate(h.fd, MIB - 100));
	holder_anchor(&h, 0, MIB);
	h.lease = lease(good_lease(&h));
	CHECK(h.lease >= 0);
	CHECK_EQ(holder_release(&h), 0);
	CHECK(!ftruncate(h.fd, MIB - PAGE));
	CHECK_ERRNO(lease(good_lease(&h)), ENXIO);
}

/* Proves: the lease fd itself takes only what makes sense for it. */
static void lease_fd__misused__is_refused(const void *unused)
{
	const int rw = PROT_READ | PROT_WRITE;
	struct mapdirect_event ev;
	struct holder h;
	char c = 0;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIB);
	holder_take(&h, 0, MIB);
	CHECK_ERRNO(write(h.lease, &c, 1), EINVAL);
	CHECK_ERRNO(lseek(h.lease, 0, SEEK_CUR), ESPIPE);
	CHECK_ERRNO(ftruncate(h.lease, 0), EINVAL);
	CHECK_ERRNO(read(h.lease, &ev, 0), EINVAL);
	CHECK(!fcntl(h.lease, F_SETFL, O_NONBLOCK));
	CHECK_ERRNO(read(h.lease, &ev, sizeof(ev)), EAGAIN);
	CHECK_ERRNO((long)mmap(NULL, MIB, rw, MAP_PRIVATE, h.lease, 0), EINVAL);
	CHECK_ERRNO((long)mmap(NULL, 2 * MIB, rw, MAP_SHARED, h.lease, 0), ENXIO);
	CHECK_ERRNO((long)mmap(NULL, PAGE, rw, MAP_SHARED, h.lease, MIB), ENXIO);
	CHECK_ERRNO((long)mmap(NULL, PAGE, rw, MAP_SHARED, h.lease, 1L << 62), ENXIO);
	CHECK_ERRNO((long)mmap(NULL, PAGE, rw, MAP_SHARED_VALIDATE | 0x200000, h.lease, 0),
		    EOPNOTSUPP);
	CHECK(mmap(NULL, PAGE, rw, MAP_SHARED_VALIDATE | MAP_SYNC, h.lease, 0) != MAP_FAILED);
	CHECK(mremap(h.map, MIB, 2 * MIB, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(touch(h.map));
	CHECK(touch(h.map + MIB - 1));
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_LIVE);
}

static unsigned int module_references(void)
{
	FILE *f = fopen("/sys/module/mapdirect/refcnt", "re");
	unsigned int n;

	CHECK(f && fscanf(f, "%u", &n) == 1);
	fclose(f);
	return n;
}

static bool referenced_once(void *unused)
{
	(void)unused;
	return module_references() == 1;
}

/* In a process of its own, as leases end with it. */
static void misuse(void *unused)
{
	sizes__of_lease__are_checked(unused);
	lease_fd__misused__is_refused(unused);
}

/* Proves: no lease, refused or over, keeps the module. */
static void module__after_misuse__has_no_reference(const void *unused)
{
	(void)unused;
	holder_device();
	CHECK_EQ(module_references(), 1);
	child_finish(child_start_with_files(misuse, NULL));
	CHECK(wait_until(referenced_once, NULL, SUITE_WAIT_MS));
}

static const struct suite_case cases[] = {
	SUITE_CASE(sizes__of_output__are_kept),
	SUITE_CASE(sizes__of_lease__are_checked),
	SUITE_CASE(numbers__unknown__are_enotty),
	SUITE_CASE(pointers__bad__are_efault),
	SUITE_CASE(ranges__impossible__are_refused),
	SUITE_CASE(range__to_the_page_of_eof__is_leased),
	SUITE_CASE(lease_fd__misused__is_refused),
	SUITE_CASE(module__after_misuse__has_no_reference),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
