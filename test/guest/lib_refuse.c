// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What md_map() refuses, with which errno, and what it says. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "knob.h"
#include "lib_holder.h"
#include "suite.h"

#define LENGTH (4 * MIB)
#define NOBODY 65534

/* The sentence has the file, the range, and what else is to be in it. */
static void check_sentence(const char *name, off_t offset, size_t length, const char *says)
{
	char range[64];

	snprintf(range, sizeof(range), "bytes %lld to %lld of ", (long long)offset,
		 (long long)(offset + length - 1));
	if (!strstr(md_errmsg(), range) || !strstr(md_errmsg(), name) || !strstr(md_errmsg(), says))
		suite_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\", \"%s\" or \"%s\"", md_errmsg(),
			   range, name, says);
}

static void check_refused(struct md_context *ctx, int fd, off_t offset, int err, const char *says)
{
	CHECK_NULL_ERRNO(lib_try_map(ctx, fd, offset, LENGTH, 0), err);
	check_sentence("leased", offset, LENGTH, says);
}

/* The same, and md_query() has said so. */
static void check_foreseen(struct md_context *ctx, int fd, off_t offset, int err, const char *says)
{
	struct md_query_result q = { .size = sizeof(q) };

	CHECK_MD(!md_query(ctx, fd, offset, LENGTH, &q));
	CHECK_EQ(q.error, err);
	CHECK(q.reason[0]);
	check_refused(ctx, fd, offset, err, says);
}

static struct md_context *with_file(struct holder *file)
{
	holder_file(file, suite_fs[0], "leased", LENGTH);
	return lib_context(0, 0, 0);
}

static void lib_map__not_dax__enodev(const void *unused)
{
	struct md_context *ctx = lib_context(0, 0, 0);
	int fd = memfd_create("leased", MFD_CLOEXEC);

	(void)unused;
	CHECK(fd >= 0 && !ftruncate(fd, LENGTH));
	check_foreseen(ctx, fd, 0, ENODEV, "dax=always");
	CHECK_MD(!md_close(ctx));
}

static void lib_map__read_only__eacces(const void *unused)
{
	struct holder file;
	struct md_context *ctx = with_file(&file);
	int fd = open(file.path, O_RDONLY | O_CLOEXEC);

	(void)unused;
	CHECK(fd >= 0);
	check_foreseen(ctx, fd, 0, EACCES, "O_RDWR");
}

static void lib_map__beyond_end__enxio(const void *unused)
{
	struct holder file;
	struct md_context *ctx = with_file(&file);

	(void)unused;
	check_foreseen(ctx, file.fd, 4096, ENXIO, "the file ends at 4194304");
}

static void lib_map__hole__enodata_tells_where(const void *unused)
{
	struct md_query_result q = { .size = sizeof(q) };
	struct holder file;
	struct md_context *ctx = with_file(&file);
	struct md_map *map;

	(void)unused;
	CHECK(!fallocate(file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 64 * KIB));
	check_foreseen(ctx, file.fd, 0, ENODATA, "bytes 1048576 to 1114111 were never written");
	CHECK_MD(!md_query(ctx, file.fd, 0, LENGTH, &q));
	CHECK_EQ(q.unallocated_offset, MIB);
	CHECK_EQ(q.unallocated_length, 64 * KIB);
	map = lib_try_map(ctx, file.fd, 0, LENGTH, MD_MAP_ALLOCATE);
	CHECK_MD(map);
	CHECK_MD(!md_unmap(map));
}

static void lib_map__unwritten__enodata(const void *unused)
{
	struct holder file;
	struct md_context *ctx = with_file(&file);

	(void)unused;
	CHECK(!ftruncate(file.fd, 0) && !posix_fallocate(file.fd, 0, LENGTH));
	check_foreseen(ctx, file.fd, 0, ENODATA, "bytes 0 to 4194303 were never written");
}

/* Another process holds a part of the range. */
static void hold_a_page(void *arg)
{
	const char *path = arg;
	struct md_context *ctx = lib_context(0, 0, 0);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	CHECK_MD(lib_try_map(ctx, fd, LENGTH - LIB_PAGE, LIB_PAGE, 0));
	for (;;)
		pause();
}

static void lib_map__overlap__eexist(const void *unused)
{
	struct holder file;
	struct md_context *ctx = with_file(&file);
	struct md_map *map;

	(void)unused;
	map = lib_try_map(ctx, file.fd, 0, LIB_PAGE, 0);
	CHECK_MD(map);
	check_refused(ctx, file.fd, 0, EEXIST, "overlaps");
	CHECK_MD(!md_unmap(map));
	child_start(hold_a_page, file.path);
	CHECK(wait_until(holder_exists, NULL, SUITE_WAIT_MS));
	check_refused(ctx, file.fd, 0, EEXIST, "overlaps");
	map = lib_try_map(ctx, file.fd, 0, LENGTH - LIB_PAGE, 0);
	CHECK_MD(map);
	CHECK_MD(!md_unmap(map));
}

static void lib_map__leases_disabled__enolck(const void *unused)
{
	struct md_query_result q = { .size = sizeof(q) };
	struct holder file;
	struct md_context *ctx = with_file(&file);

	(void)unused;
	knob_set(KNOB_LEASES_ENABLE, 0);
	CHECK_MD(!md_query(ctx, file.fd, 0, LENGTH, &q));
	CHECK_EQ(q.error, ENOLCK);
	check_refused(ctx, file.fd, 0, ENOLCK, "fs.leases-enable=1");
}

/* Opens the device first: it is not for everybody. */
static void become_nobody(struct md_context *ctx, int fd)
{
	struct md_query_result q = { .size = sizeof(q) };

	CHECK_MD(!md_query(ctx, fd, 0, LENGTH, &q));
	CHECK_EQ(q.error, 0);
	CHECK(!setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY));
}

/* With holes that it may fill, a lease that is refused leaves the file alone. */
static void lib_map__not_owner__eperm_and_nothing_allocated(const void *unused)
{
	struct holder file;
	struct md_context *ctx = with_file(&file);
	struct stat st;

	(void)unused;
	/* The module opens the file for itself, with the caller's rights. */
	CHECK(!fchmod(file.fd, 0666));
	become_nobody(ctx, file.fd);
	check_foreseen(ctx, file.fd, 0, EPERM, "owner");
	CHECK(!ftruncate(file.fd, 0) && !ftruncate(file.fd, LENGTH));
	CHECK_NULL_ERRNO(lib_try_map(ctx, file.fd, 0, LENGTH, MD_MAP_ALLOCATE), EPERM);
	CHECK(!fstat(file.fd, &st));
	CHECK_EQ(st.st_blocks, 0);
}

static void lib_map__device_not_for_all__eacces(const void *unused)
{
	struct md_query_result q = { .size = sizeof(q) };
	struct holder file;
	struct md_context *ctx = with_file(&file);

	(void)unused;
	CHECK(!fchown(file.fd, NOBODY, NOBODY));
	CHECK(!setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY));
	CHECK_MD(!md_query(ctx, file.fd, 0, LENGTH, &q));
	CHECK_EQ(q.error, EACCES);
	CHECK_EQ(q.provider, MD_PROVIDER_NONE);
	CHECK_NULL_ERRNO(lib_try_map(ctx, file.fd, 0, LENGTH, 0), EACCES);
	CHECK(strstr(md_errmsg(), "no permission to open /dev/mapdirect"));
}

/* What md_query() says of the longest break is what the kernel would do. */
static void lib_query__break_times__as_set(const void *unused)
{
	struct md_query_result q = { .size = sizeof(q) };
	struct holder file;
	struct md_context *ctx = with_file(&file);

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, 7);
	CHECK_MD(!md_query(ctx, file.fd, 0, LENGTH, &q));
	CHECK_EQ(q.lease_break_ms, 7000);
	CHECK_EQ(q.break_cap_ms, knob_get(KNOB_BREAK_CAP));
	CHECK(strstr(q.reason, " 7000 ms"));
	knob_set(KNOB_LEASE_BREAK_TIME, 0);
	CHECK_MD(!md_query(ctx, file.fd, 0, LENGTH, &q));
	CHECK_EQ(q.lease_break_ms, 0);
	CHECK(strstr(q.reason, " 60000 ms"));
}

static void lib_map__memlock_exceeded__enomem(const void *unused)
{
	const struct rlimit limit = { LENGTH - MIB, LENGTH - MIB };
	struct holder file;
	struct md_context *ctx = with_file(&file);
	struct md_map *map;
	struct md_mr *mr;
	struct rdma r;

	(void)unused;
	rdma_open(&r);
	CHECK(!fchown(file.fd, NOBODY, NOBODY) && !setrlimit(RLIMIT_MEMLOCK, &limit));
	become_nobody(ctx, file.fd);
	check_refused(ctx, file.fd, 0, ENOMEM, "RLIMIT_MEMLOCK");
	map = lib_try_map(ctx, file.fd, 0, 2 * MIB, 0);
	CHECK_MD(map);
	CHECK_NULL_ERRNO(md_reg_mr(r.pd, map, 0, 2 * MIB, RDMA_ACCESS), ENOMEM);
	check_sentence("leased", 0, 2 * MIB, "RLIMIT_MEMLOCK");
	mr = md_reg_mr(r.pd, map, 0, 512 * KIB, RDMA_ACCESS);
	CHECK_MD(mr);
	CHECK_MD(!md_dereg_mr(mr));
	CHECK_MD(!md_unmap(map));
}

static const struct suite_case cases[] = {
	SUITE_CASE(lib_map__not_dax__enodev),
	SUITE_CASE(lib_map__read_only__eacces),
	SUITE_CASE(lib_map__beyond_end__enxio),
	SUITE_CASE(lib_map__hole__enodata_tells_where),
	SUITE_CASE(lib_map__unwritten__enodata),
	SUITE_CASE(lib_map__overlap__eexist),
	SUITE_CASE(lib_map__leases_disabled__enolck),
	SUITE_CASE(lib_map__not_owner__eperm_and_nothing_allocated),
	SUITE_CASE(lib_map__device_not_for_all__eacces),
	SUITE_CASE(lib_query__break_times__as_set),
	SUITE_CASE(lib_map__memlock_exceeded__enomem),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
