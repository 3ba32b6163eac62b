// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Files that share blocks with others (reflink). What is leased must be the
 * file's own. Where the kernel is left to copy in a fault, Linux 6.1 panics as
 * the inode goes (src/lib/unshare.h), and the guest with it.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "canary.h"
#include "child.h"
#include "lib_holder.h"
#include "ops.h"
#include "suite.h"

#define OLD 0x11
#define NEW 0x22

struct share {
	struct lib l;
	char twin[160];
};

static void write_all(int fd, off_t offset, size_t length, char byte)
{
	static char data[64 * KIB];

	memset(data, byte, sizeof(data));
	for (size_t done = 0; done < length; done += sizeof(data))
		CHECK_EQ(pwrite(fd, data, sizeof(data), offset + done), (ssize_t)sizeof(data));
}

/* A file that was used through huge entries, and its twin beside it. */
static int share_begin(struct share *s)
{
	int twin;

	*s = (struct share){};
	s->l.ctx = lib_context(0, 0, 0);
	holder_file(&s->l.file, suite_fs[1], "leased", OPS_FILE_SIZE);
	write_all(s->l.file.fd, 0, OPS_FILE_SIZE, OLD);
	snprintf(s->twin, sizeof(s->twin), "%s.twin", s->l.file.path);
	twin = open(s->twin, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(twin >= 0 && !ftruncate(twin, OPS_FILE_SIZE));
	return twin;
}

static void clone_range(const struct share *s, int twin, off_t offset, size_t length)
{
	struct file_clone_range range = {
		.src_fd = s->l.file.fd,
		.src_offset = offset,
		.src_length = length,
		.dest_offset = offset,
	};

	CHECK(!ioctl(twin, FICLONERANGE, &range));
}

static uint64_t shared_bytes(const struct share *s)
{
	struct extents leased, twin;

	extents_of(&leased, s->l.file.path);
	extents_of(&twin, s->twin);
	return extents_common(&leased, &twin);
}

/* By RDMA, all of what is leased becomes NEW; nothing else changes. */
static void write_and_check(struct share *s, uint64_t twin_has)
{
	struct lib *l = &s->l;
	off_t end = OPS_FROM + OPS_LENGTH;

	for (size_t at = 0; at < OPS_LENGTH; at += LIB_PAGE)
		lib_write(l, at, NEW);
	CHECK_MD(!md_persist(l->map, 0, OPS_LENGTH));
	CHECK_EQ(bytes_not(l->file.path, 0, OPS_FROM, OLD), 0);
	CHECK_EQ(bytes_not(l->file.path, OPS_FROM, OPS_LENGTH, NEW), 0);
	CHECK_EQ(bytes_not(l->file.path, end, OPS_FILE_SIZE - end, OLD), 0);
	CHECK_EQ(bytes_not(s->twin, 0, OPS_FILE_SIZE, OLD), OPS_FILE_SIZE - twin_has);
}

/* The inodes go now, unless something of them was forgotten. */
static void share_end(struct share *s)
{
	lib_drop(&s->l);
	CHECK(!close(s->l.file.fd));
	CHECK(!unlink(s->l.file.path) && !unlink(s->twin));
}

/* Proves: what is mapped is the file's own, and who shared it keeps what he had. */
static void lib_map__blocks_shared__copied_first(const void *unused)
{
	static const size_t pieces[] = { OPS_FILE_SIZE, LIB_PAGE };

	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t cloned = 0;
		struct share s;
		int twin = share_begin(&s);

		suite_context("pieces of %zu bytes", pieces[i]);
		for (off_t at = 0; at < (off_t)OPS_FILE_SIZE; at += i ? MIB / 2 : OPS_FILE_SIZE) {
			clone_range(&s, twin, at, pieces[i]);
			cloned += pieces[i];
		}
		CHECK_EQ(shared_bytes(&s), cloned);
		lib_take(&s.l, OPS_FROM, OPS_LENGTH, 0);
		CHECK_EQ(shared_bytes(&s), 0);
		write_and_check(&s, cloned);
		close(twin);
		share_end(&s);
	}
}

/* Proves: so it is with a lease that is restored after its blocks were shared. */
static void lib_break__reflinked__restored_with_own_blocks(const void *unused)
{
	struct breaker b;
	struct share s;

	(void)unused;
	close(share_begin(&s));
	lib_take(&s.l, OPS_FROM, OPS_LENGTH, MD_MAP_RESTORE);
	breaker_start(&b, reflink_from, s.l.file.path);
	do {
		lib_next(&s.l, MD_EVENT_BREAK);
		lib_next(&s.l, MD_EVENT_RELEASED);
		lib_next(&s.l, MD_EVENT_RESTORED);
	} while (lib_broken_again(&s.l, &b));
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK_EQ(shared_bytes(&s), 0);
	write_and_check(&s, OPS_FILE_SIZE);
	share_end(&s);
}

/* A file that owns all of the free space. */
static int fill_up(void)
{
	size_t size = 512 * MIB;
	char path[128];
	off_t end = 0;
	int fd;

	suite_path(path, sizeof(path), suite_fs[1], "filler");
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	while (size >= LIB_PAGE) {
		int err = posix_fallocate(fd, end, size);

		CHECK(!err || err == ENOSPC);
		if (err)
			size /= 2;
		else
			end += size;
	}
	return fd;
}

/* Proves: without space for the copy nothing is mapped, and the sentence says so. */
static void lib_map__blocks_shared_and_no_space__enospc(const void *unused)
{
	struct share s;
	int twin = share_begin(&s), filler;

	(void)unused;
	clone_range(&s, twin, 0, OPS_FILE_SIZE);
	close(twin);
	filler = fill_up();
	CHECK_NULL_ERRNO(lib_try_map(s.l.ctx, s.l.file.fd, OPS_FROM, OPS_LENGTH, 0), ENOSPC);
	if (!strstr(md_errmsg(), "shares with others"))
		suite_fail(__FILE__, __LINE__, "it says \"%s\"", md_errmsg());
	CHECK(!holder_exists(NULL));
	CHECK(!ftruncate(filler, 0));
	close(filler);
	lib_take(&s.l, OPS_FROM, OPS_LENGTH, 0);
	CHECK_EQ(shared_bytes(&s), 0);
	write_and_check(&s, OPS_FILE_SIZE);
	share_end(&s);
}

static const struct suite_case cases[] = {
	SUITE_CASE(lib_map__blocks_shared__copied_first),
	SUITE_CASE(lib_break__reflinked__restored_with_own_blocks),
	SUITE_CASE(lib_map__blocks_shared_and_no_space__enospc),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
