// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Leases of fcntl(2): a file that is not DAX, in use by a peer, is opened. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "knob.h"
#include "lib_holder.h"
#include "ops.h"
#include "suite.h"

#define TMPFS "/dev/shm"
#define LENGTH (2 * MIB)
#define OLD_BYTE 0x11
#define NEW_BYTE 0x22
#define BREAK_TIME_S 2
#define NOBODY 65534
#define LONG_MS 10000

static void page_file(struct holder *file)
{
	static char data[LENGTH];

	memset(data, OLD_BYTE, sizeof(data));
	suite_path(file->path, sizeof(file->path), TMPFS, "leased");
	file->fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(file->fd >= 0);
	CHECK_EQ(pwrite(file->fd, data, LENGTH, 0), (ssize_t)LENGTH);
}

static void take(struct lib *l, uint32_t flags, uint32_t drain_ms, uint32_t map_flags)
{
	*l = (struct lib){ .ctx = lib_context(flags, drain_ms, 0), .provider = MD_PROVIDER_FCNTL };
	page_file(&l->file);
	lib_take(l, 0, LENGTH, map_flags);
}

static int byte_at(struct lib *l, off_t offset)
{
	unsigned char byte;

	CHECK_EQ(pread(l->file.fd, &byte, 1, offset), 1);
	return byte;
}

static int open_and_close(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static int open_to_read(const char *path)
{
	return open_and_close(path, O_RDONLY);
}

static int open_to_write(const char *path)
{
	return open_and_close(path, O_RDWR);
}

static int truncate_to_same(const char *path)
{
	return truncate(path, LENGTH);
}

static void broken_and_restored(file_op op, uint32_t flags)
{
	struct md_event *broken, ev;
	uint64_t generation;
	struct breaker b;
	uint32_t rkey;
	struct lib l;

	take(&l, flags, LONG_MS, MD_MAP_RESTORE);
	CHECK_EQ(md_map_provider(l.map), MD_PROVIDER_FCNTL);
	generation = md_map_generation(l.map);
	rkey = l.mr->rkey;
	lib_write(&l, 0, NEW_BYTE);
	CHECK_EQ(byte_at(&l, 0), NEW_BYTE);
	breaker_start(&b, op, l.file.path);
	broken = lib_fetch(&l, MD_EVENT_BREAK);
	CHECK_EQ(broken->reason, MD_REASON_OPEN);
	CHECK_EQ(broken->breaker_pid, 0);
	CHECK(breaker_waits(&b, 300));
	md_ack_event(broken);
	ev = lib_next(&l, MD_EVENT_RELEASED);
	lib_check_timeline(&ev.timeline);
	CHECK(!ev.timeline.fenced);
	breaker_finish(&b, SUITE_WAIT_MS);
	lib_next(&l, MD_EVENT_RESTORED);
	CHECK(md_map_generation(l.map) > generation);
	CHECK(l.mr->rkey != rkey);
	lib_write(&l, LENGTH - LIB_PAGE, NEW_BYTE);
	CHECK_EQ(byte_at(&l, 0), NEW_BYTE);
	CHECK_EQ(byte_at(&l, LENGTH - 1), NEW_BYTE);
	CHECK_MD(!md_persist(l.map, 0, LENGTH));
	lib_drop(&l);
	CHECK(!unlink(l.file.path));
}

/* Proves: whoever opens or truncates waits until the region is gone, and it comes back after. */
static void lib_fcntl__file_opened__released_and_restored(const void *unused)
{
	const file_op ops[] = { open_to_read, open_to_write, truncate_to_same };

	(void)unused;
	for (unsigned int i = 0; i < 3; i++) {
		suite_context("breaker %u", i);
		broken_and_restored(ops[i], 0);
		broken_and_restored(ops[i], MD_OPEN_NO_THREAD);
	}
}

/* Proves: after the release no write of a peer reaches the file. */
static void lib_fcntl__released__old_key_is_dead(const void *unused)
{
	struct breaker b;
	struct lib l;

	(void)unused;
	take(&l, 0, 0, 0);
	lib_write(&l, 0, NEW_BYTE);
	breaker_start(&b, open_to_write, l.file.path);
	lib_next(&l, MD_EVENT_BREAK);
	lib_next(&l, MD_EVENT_RELEASED);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(rdma_write(&l.near, (uintptr_t)l.mr->addr + LIB_PAGE, l.mr->rkey, NEW_BYTE) !=
	      IBV_WC_SUCCESS);
	CHECK_EQ(byte_at(&l, LIB_PAGE), OLD_BYTE);
	CHECK(!touch(md_map_addr(l.map)));
	lib_drop(&l);
}

/* Proves: a peer that does not stop is fenced, and the breaker goes on. */
static void lib_fcntl__use_stays_open__fenced_after_the_budget(const void *unused)
{
	struct md_event ev;
	struct breaker b;
	struct lib l;

	(void)unused;
	take(&l, 0, 0, 0);
	CHECK_MD(!md_map_get(l.map));
	breaker_start(&b, open_to_read, l.file.path);
	lib_next(&l, MD_EVENT_BREAK);
	ev = lib_next(&l, MD_EVENT_QP_FENCED);
	CHECK(ev.qp == l.far.qp);
	ev = lib_next(&l, MD_EVENT_RELEASED);
	lib_check_timeline(&ev.timeline);
	CHECK(ev.timeline.fenced);
	breaker_finish(&b, SUITE_WAIT_MS);
	md_map_put(l.map);
	lib_drop(&l);
}

/*
 * The negative control: when nobody carries out the break, the breaker waits
 * until the kernel ends the lease by itself. Proves: the library knows when.
 */
static void lib_fcntl__nobody_releases__lost_at_the_deadline(const void *unused)
{
	struct md_event *broken, ev;
	struct breaker b;
	struct lib l;

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, BREAK_TIME_S);
	take(&l, MD_OPEN_NO_THREAD, 0, 0);
	CHECK_MD(!md_detach_qp(l.map, l.far.qp));
	breaker_start(&b, open_to_write, l.file.path);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(breaker_seconds(&b) > BREAK_TIME_S * 0.9);
	broken = lib_fetch(&l, MD_EVENT_BREAK);
	CHECK_EQ(broken->timeline.deadline - broken->timeline.broken, BREAK_TIME_S * 1000000000LL);
	md_ack_event(broken);
	ev = lib_next(&l, MD_EVENT_LOST);
	CHECK_EQ(ev.reason, MD_REASON_REVOKED);
	CHECK_EQ(ev.error, ETIMEDOUT);
	CHECK_ERRNO(md_map_get(l.map), ESTALE);
	CHECK_MD(!md_attach_qp(l.map, l.far.qp, NULL));
	lib_drop(&l);
}

/* Proves: with a lease-break-time of 0 there is no deadline, and the break is carried out. */
static void lib_fcntl__break_time_is_0__no_deadline(const void *unused)
{
	struct md_event ev;
	struct breaker b;
	struct lib l;

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, 0);
	take(&l, 0, 0, 0);
	breaker_start(&b, open_to_read, l.file.path);
	ev = lib_next(&l, MD_EVENT_BREAK);
	CHECK_EQ(ev.timeline.deadline, 0);
	lib_next(&l, MD_EVENT_RELEASED);
	breaker_finish(&b, SUITE_WAIT_MS);
	lib_drop(&l);
}

static struct md_map *try_map(struct md_context *ctx, int fd)
{
	const struct md_map_attr attr = { .size = sizeof(attr), .provider = MD_PROVIDER_FCNTL };

	return md_map(ctx, fd, 0, LENGTH, &attr);
}

/* Not what it promises, and the sentence says so. */
static void lib_fcntl__refused__errno_of_each(const void *unused)
{
	struct md_query_result q = { .size = sizeof(q) };
	struct md_context *ctx = lib_context(0, 0, 0);
	struct holder file, dax;

	(void)unused;
	holder_file(&dax, suite_fs[0], "dax", LENGTH);
	CHECK_NULL_ERRNO(try_map(ctx, dax.fd), EOPNOTSUPP);
	CHECK(strstr(md_errmsg(), "MD_PROVIDER_KMOD"));
	CHECK_MD(!md_query(ctx, dax.fd, 0, LENGTH, &q));
	CHECK_EQ(q.provider, MD_PROVIDER_KMOD);
	CHECK_EQ(q.by_name, MD_PROVIDER_NONE);

	page_file(&file);
	CHECK_MD(!md_query(ctx, file.fd, 0, LENGTH, &q));
	CHECK_EQ(q.provider, MD_PROVIDER_NONE);
	CHECK_EQ(q.by_name, MD_PROVIDER_FCNTL);
	CHECK_NULL_ERRNO(lib_try_map(ctx, file.fd, 0, LENGTH, 0), ENODEV);
	knob_set(KNOB_LEASES_ENABLE, 0);
	CHECK_NULL_ERRNO(try_map(ctx, file.fd), ENOLCK);
	CHECK(strstr(md_errmsg(), "fs.leases-enable=1"));
	CHECK_MD(!md_query(ctx, file.fd, 0, LENGTH, &q));
	CHECK(strstr(q.by_name_reason, "fs.leases-enable=1"));
	knob_restore();
	CHECK(!setresuid(NOBODY, NOBODY, NOBODY));
	CHECK_NULL_ERRNO(try_map(ctx, file.fd), EPERM);
	CHECK(strstr(md_errmsg(), "only the owner"));
}

static const struct suite_case cases[] = {
	SUITE_CASE(lib_fcntl__file_opened__released_and_restored),
	SUITE_CASE(lib_fcntl__released__old_key_is_dead),
	SUITE_CASE(lib_fcntl__use_stays_open__fenced_after_the_budget),
	SUITE_CASE(lib_fcntl__nobody_releases__lost_at_the_deadline),
	SUITE_CASE(lib_fcntl__break_time_is_0__no_deadline),
	SUITE_CASE(lib_fcntl__refused__errno_of_each),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
