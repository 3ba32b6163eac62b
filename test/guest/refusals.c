// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Files, anchors and callers that get no lease, each with its errno. */
#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "breaker.h"
#include "holder.h"
#include "knob.h"
#include "ops.h"
#include "suite.h"

#define PAGE 4096
#define NOBODY 65534

static void expect(struct holder *h, int fd, int err)
{
	struct holder other = *h;

	other.fd = fd;
	CHECK_ERRNO(holder_try_lease(&other, 0), err);
}

static int fd_on(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	return fd;
}

static int scratch_file(const char *path)
{
	int fd = fd_on(path, O_RDWR | O_CREAT);

	CHECK(!unlink(path));
	CHECK(!ftruncate(fd, MIB));
	return fd;
}

/* Proves: each kind of descriptor that cannot be leased has its errno. */
static void file__of_wrong_kind__is_refused(const void *unused)
{
	struct holder h;
	int ends[2];

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIB);
	holder_anchor(&h, 0, MIB);
	expect(&h, -1, EBADF);
	expect(&h, 1 << 20, EBADF);
	expect(&h, fd_on(h.path, O_PATH), EBADF);
	expect(&h, fd_on(suite_fs[0], O_RDONLY | O_DIRECTORY), EBADFD);
	expect(&h, fd_on("/dev/null", O_RDWR), EBADFD);
	expect(&h, holder_device(), EBADFD);
	CHECK(!pipe2(ends, O_CLOEXEC));
	expect(&h, ends[0], EBADFD);
	expect(&h, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), EBADFD);
	expect(&h, memfd_create("memory", MFD_CLOEXEC), ENODEV);
	expect(&h, fd_on(h.path, O_RDONLY), EACCES);
	expect(&h, fd_on(h.path, O_WRONLY), EACCES);
	expect(&h, scratch_file("/dev/shm/guest-test"), ENODEV);
	expect(&h, scratch_file("guest-test"), ENODEV);
	h.lease = holder_try_lease(&h, 0);
	CHECK(h.lease >= 0);
	expect(&h, h.lease, EBADFD);
}

static void expect_no_blocks(struct holder *h)
{
	CHECK_ERRNO(holder_try_lease(h, 0), ENODATA);
	h->lease = holder_try_lease(h, MAPDIRECT_LEASE_ALLOCATE);
	CHECK(h->lease >= 0);
	CHECK_EQ(holder_release(h), 0);
	/* And now the blocks are there. */
	h->lease = holder_try_lease(h, 0);
	CHECK(h->lease >= 0);
	CHECK_EQ(holder_release(h), 0);
	CHECK(!munmap(h->anchor, h->length));
}

/* Proves: what is not allocated and written is filled only when asked. */
static void range__with_holes__is_enodata(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct holder h;

		suite_context("on %s", suite_fs[i]);
		holder_file(&h, suite_fs[i], "leased", 4 * MIB);
		CHECK(!ftruncate(h.fd, 6 * MIB));
		suite_context("on %s, hole at the end", suite_fs[i]);
		holder_anchor(&h, 4 * MIB, 2 * MIB);
		expect_no_blocks(&h);
		suite_context("on %s, hole within", suite_fs[i]);
		CHECK(!fallocate(h.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, PAGE));
		holder_anchor(&h, 0, 4 * MIB);
		expect_no_blocks(&h);
		suite_context("on %s, unwritten", suite_fs[i]);
		CHECK(!ftruncate(h.fd, 8 * MIB));
		CHECK(!fallocate(h.fd, 0, 6 * MIB, 2 * MIB));
		holder_anchor(&h, 6 * MIB, 2 * MIB);
		expect_no_blocks(&h);
		/* A hole elsewhere does not matter. */
		suite_context("on %s, hole elsewhere", suite_fs[i]);
		CHECK(!fallocate(h.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MIB));
		holder_anchor(&h, 4 * MIB, 2 * MIB);
		h.lease = holder_try_lease(&h, 0);
		CHECK(h.lease >= 0);
		CHECK_EQ(holder_release(&h), 0);
	}
}

/*
 * Proves: unwritten blocks that somebody looked at through a mapping, which
 * SEEK_HOLE takes for data, are written ones when the lease stands.
 */
static void range__unwritten_and_read__is_made_written(const void *unused)
{
	struct holder h;
	char c = 0;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", 2 * MIB);
	CHECK(!ftruncate(h.fd, 4 * MIB));
	CHECK(!fallocate(h.fd, 0, 2 * MIB, 2 * MIB));
	holder_anchor(&h, 2 * MIB, 2 * MIB);
	CHECK(!madvise(h.anchor, h.length, MADV_POPULATE_READ));
	CHECK(!munmap(h.anchor, h.length));
	holder_take(&h, 2 * MIB, 2 * MIB);
	for (off_t i = 0; i < (off_t)h.length; i += PAGE) {
		h.map[i] = 1;
		CHECK(pread(h.fd, &c, 1, h.offset + i) == 1 && c == 1);
	}
	CHECK(!holder_has_event(&h));
}

static void expect_anchor(struct holder *h, int fd, int prot, int flags, off_t offset)
{
	CHECK(mmap(h->anchor, h->length, prot, flags | MAP_FIXED, fd, offset) == h->anchor);
	CHECK_ERRNO(holder_try_lease(h, 0), EADDRNOTAVAIL);
}

/* Proves: only a shared, writable, synchronous mapping of this range will do. */
static void anchor__of_something_else__is_refused(const void *unused)
{
	const int rw = PROT_READ | PROT_WRITE, sync = MAP_SHARED_VALIDATE | MAP_SYNC;
	struct holder h, other;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", 4 * MIB);
	holder_file(&other, suite_fs[0], "other", 4 * MIB);
	holder_anchor(&h, 0, 2 * MIB);
	suite_context("another file");
	expect_anchor(&h, other.fd, rw, sync, 0);
	suite_context("another offset");
	expect_anchor(&h, h.fd, rw, sync, 2 * MIB);
	expect_anchor(&h, h.fd, rw, sync, PAGE);
	suite_context("a mapping that lacks something");
	expect_anchor(&h, h.fd, rw, MAP_SHARED, 0);
	expect_anchor(&h, h.fd, rw, MAP_PRIVATE, 0);
	expect_anchor(&h, h.fd, PROT_READ, sync, 0);
	expect_anchor(&h, h.fd, PROT_NONE, sync, 0);
	expect_anchor(&h, -1, rw, MAP_SHARED | MAP_ANONYMOUS, 0);
	suite_context("a part of another file");
	CHECK(mmap(h.anchor, h.length, rw, sync | MAP_FIXED, h.fd, 0) == h.anchor);
	CHECK(mmap(h.anchor + MIB, PAGE, rw, sync | MAP_FIXED, other.fd, MIB) != MAP_FAILED);
	CHECK_ERRNO(holder_try_lease(&h, 0), EADDRNOTAVAIL);
	suite_context("a part of another offset");
	CHECK(mmap(h.anchor + MIB, PAGE, rw, sync | MAP_FIXED, h.fd, 0) != MAP_FAILED);
	CHECK_ERRNO(holder_try_lease(&h, 0), EADDRNOTAVAIL);
	suite_context("a gap");
	CHECK(!munmap(h.anchor + MIB, PAGE));
	CHECK_ERRNO(holder_try_lease(&h, 0), EADDRNOTAVAIL);
	suite_context("nothing");
	CHECK(!munmap(h.anchor, h.length));
	CHECK_ERRNO(holder_try_lease(&h, 0), EADDRNOTAVAIL);
	suite_context("the mapping of a lease");
	holder_take(&other, 0, 2 * MIB);
	h.anchor = other.map;
	CHECK_ERRNO(holder_try_lease(&h, 0), EADDRNOTAVAIL);
	CHECK(!holder_has_event(&other));
	/* Several mappings may make up the whole. */
	suite_context("pieces");
	holder_anchor(&h, 0, 2 * MIB);
	CHECK(!mprotect(h.anchor + MIB, PAGE, PROT_READ));
	CHECK(!mprotect(h.anchor + MIB, PAGE, rw));
	CHECK(!madvise(h.anchor, PAGE, MADV_SEQUENTIAL));
	h.lease = holder_try_lease(&h, 0);
	CHECK(h.lease >= 0);
}

/* Proves: with leases switched off the errno says so. */
static void leases__switched_off__are_enolck(const void *unused)
{
	struct holder h;

	(void)unused;
	knob_set(KNOB_LEASES_ENABLE, 0);
	holder_file(&h, suite_fs[0], "leased", MIB);
	holder_anchor(&h, 0, MIB);
	CHECK_ERRNO(holder_try_lease(&h, 0), ENOLCK);
	knob_set(KNOB_LEASES_ENABLE, 1);
	h.lease = holder_try_lease(&h, 0);
	CHECK(h.lease >= 0);
}

/* Proves: leases that stand when they are switched off are broken and released as ever. */
static void leases__switched_off_later__end_well(const void *unused)
{
	static const file_op ops[] = { write_inside, truncate_to_zero };

	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct mapdirect_event ev;
		struct breaker b;
		struct holder h;

		suite_context("operation %u", i);
		holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
		holder_take(&h, OPS_FROM, OPS_LENGTH);
		knob_set(KNOB_LEASES_ENABLE, 0);
		CHECK(!holder_has_event(&h));
		CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_LIVE);
		breaker_start(&b, ops[i], h.path);
		holder_event(&h, &ev);
		CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
		CHECK(breaker_waits(&b, 300));
		CHECK_EQ(holder_release(&h), 0);
		breaker_finish(&b, SUITE_WAIT_MS);
		holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
		holder_anchor(&h, OPS_FROM, OPS_LENGTH);
		CHECK_ERRNO(holder_try_lease(&h, 0), ENOLCK);
		knob_set(KNOB_LEASES_ENABLE, 1);
		h.lease = holder_try_lease(&h, 0);
		CHECK(h.lease >= 0);
		CHECK_EQ(holder_release(&h), 0);
	}
}

/* The device stays open: it is for root and a group. */
static void become_nobody(void)
{
	CHECK(!setgroups(0, NULL));
	CHECK(!setresgid(NOBODY, NOBODY, NOBODY));
	CHECK(!setresuid(NOBODY, NOBODY, NOBODY));
}

/* Proves: who neither owns the file nor has CAP_LEASE gets no lease on it. */
static void caller__not_owner__is_eperm(const void *unused)
{
	struct holder h;

	(void)unused;
	holder_device();
	holder_file(&h, suite_fs[0], "leased", MIB);
	CHECK(!fchmod(h.fd, 0666));
	become_nobody();
	holder_anchor(&h, 0, MIB);
	CHECK_ERRNO(holder_try_lease(&h, 0), EPERM);
}

/* Proves: a lease is given back also by who could not take it any more. */
static void caller__lost_the_right__can_release(const void *unused)
{
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIB);
	holder_take(&h, 0, MIB);
	become_nobody();
	CHECK_EQ(holder_release(&h), 0);
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_RELEASED);
}

/*
 * Proves: a file that is given to another owner while it is leased stays leased,
 * as that moves no block; who owned it can release, though it could not take the
 * lease any more, and then nothing holds up a breaker.
 */
static void caller__lost_the_file__can_release(const void *unused)
{
	struct breaker b;
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIB);
	CHECK(!fchown(h.fd, NOBODY, NOBODY));
	CHECK(!seteuid(NOBODY));
	holder_take(&h, 0, MIB);
	CHECK(!seteuid(0));
	CHECK(!fchown(h.fd, 1, 1));
	CHECK(!seteuid(NOBODY));
	CHECK(!holder_has_event(&h));
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_LIVE);
	CHECK(touch(h.map));
	CHECK_EQ(holder_release(&h), 0);
	CHECK_ERRNO(holder_try_lease(&h, 0), EPERM);
	CHECK(!seteuid(0));
	breaker_start(&b, truncate_to_zero, h.path);
	breaker_finish(&b, SUITE_WAIT_MS);
}

/* Proves: pinned memory is limited as locked memory is, to the page. */
static void caller__at_memlock_limit__is_enomem(const void *unused)
{
	struct rlimit limit = { MIB, MIB };
	struct holder h;

	(void)unused;
	holder_device();
	holder_file(&h, suite_fs[0], "leased", 4 * MIB);
	CHECK(!fchown(h.fd, NOBODY, NOBODY));
	CHECK(!setrlimit(RLIMIT_MEMLOCK, &limit));
	become_nobody();
	for (int i = 0; i < 3; i++) {
		struct holder second = h;

		holder_anchor(&second, 0, MIB + PAGE);
		CHECK_ERRNO(holder_try_lease(&second, 0), ENOMEM);
		holder_take(&second, 0, MIB);
		holder_anchor(&h, 2 * MIB, PAGE);
		CHECK_ERRNO(holder_try_lease(&h, 0), ENOMEM);
		CHECK_EQ(holder_release(&second), 0);
		h.lease = holder_try_lease(&h, 0);
		CHECK(h.lease >= 0);
		CHECK_EQ(holder_release(&h), 0);
	}
}

static const struct suite_case cases[] = {
	SUITE_CASE(file__of_wrong_kind__is_refused),
	SUITE_CASE(range__with_holes__is_enodata),
	SUITE_CASE(range__unwritten_and_read__is_made_written),
	SUITE_CASE(anchor__of_something_else__is_refused),
	SUITE_CASE(leases__switched_off__are_enolck),
	SUITE_CASE(leases__switched_off_later__end_well),
	SUITE_CASE(caller__not_owner__is_eperm),
	SUITE_CASE(caller__lost_the_right__can_release),
	SUITE_CASE(caller__lost_the_file__can_release),
	SUITE_CASE(caller__at_memlock_limit__is_enomem),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
