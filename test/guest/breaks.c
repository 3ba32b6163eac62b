// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What breaks a lease, and how: every way to move blocks, on both file systems. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "breaker.h"
#include "holder.h"
#include "knob.h"
#include "rdma.h"
#include "suite.h"

#define FILE_SIZE (8 * MIB)
/* The lease; there is something of the file on both sides of it. */
#define FROM (2 * MIB)
#define LENGTH (4 * MIB)
#define INSIDE (3 * MIB)
#define OUTSIDE (7 * MIB)

static int truncate_inside(const char *path)
{
	return truncate(path, INSIDE);
}

static int truncate_outside(const char *path)
{
	return truncate(path, OUTSIDE);
}

static int truncate_up(const char *path)
{
	return truncate(path, 2 * FILE_SIZE);
}

static int open_trunc(const char *path)
{
	return open(path, O_WRONLY | O_TRUNC) < 0 ? -1 : 0;
}

static int allocate(const char *path, int mode, off_t offset)
{
	int fd = open(path, O_RDWR);

	return fd < 0 ? -1 : fallocate(fd, mode, offset, MIB);
}

static int punch_inside(const char *path)
{
	return allocate(path, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, INSIDE);
}

static int punch_outside(const char *path)
{
	return allocate(path, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, OUTSIDE);
}

static int zero_inside(const char *path)
{
	return allocate(path, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, INSIDE);
}

static int collapse(const char *path)
{
	return allocate(path, FALLOC_FL_COLLAPSE_RANGE, INSIDE);
}

static int insert(const char *path)
{
	return allocate(path, FALLOC_FL_INSERT_RANGE, INSIDE);
}

static int allocate_beyond(const char *path)
{
	return allocate(path, 0, FILE_SIZE);
}

static int write_at(const char *path, off_t offset)
{
	static char data[8192];
	int fd = open(path, O_RDWR);

	if (fd < 0)
		return -1;
	return pwrite(fd, data, sizeof(data), offset) == (ssize_t)sizeof(data) ? 0 : -1;
}

static int write_inside(const char *path)
{
	return write_at(path, INSIDE);
}

static int write_outside(const char *path)
{
	return write_at(path, OUTSIDE);
}

static int write_beyond(const char *path)
{
	return write_at(path, FILE_SIZE);
}

/* The other file of a clone: beside the leased one. */
static int open_twin(const char *path)
{
	char twin[160];
	int fd;

	snprintf(twin, sizeof(twin), "%s.twin", path);
	fd = open(twin, O_RDWR | O_CREAT, 0600);
	return fd < 0 || ftruncate(fd, FILE_SIZE) ? -1 : fd;
}

static int reflink_from(const char *path)
{
	int fd = open(path, O_RDONLY), twin = open_twin(path);

	return twin < 0 ? -1 : ioctl(twin, FICLONE, fd);
}

static int reflink_onto(const char *path)
{
	int fd = open(path, O_RDWR), twin = open_twin(path);
	struct file_clone_range range = {
		.src_fd = twin,
		.src_length = MIB,
		.dest_offset = INSIDE,
	};

	if (twin < 0 || fallocate(twin, 0, 0, MIB))
		return -1;
	return ioctl(fd, FICLONERANGE, &range);
}

static int copy_onto(const char *path)
{
	int fd = open(path, O_RDWR), twin = open_twin(path);
	off_t from = 0, to = INSIDE;

	if (twin < 0 || fallocate(twin, 0, 0, MIB))
		return -1;
	return copy_file_range(twin, &from, fd, &to, MIB, 0) == (ssize_t)MIB ? 0 : -1;
}

struct way {
	file_op op;
	enum mapdirect_reason reason;
	bool reflink;
};

/*
 * The deadline is lease-break-time after the notice; a jiffy is lost in the
 * conversion, and the work item between notice and lm_break may be late.
 */
static void check_deadline(const struct mapdirect_event *ev, double seconds)
{
	double left = (double)(int64_t)(ev->deadline_ns - ev->time_ns) / 1e9;

	if (left < seconds - 0.1 || left > seconds + 2)
		suite_fail(__FILE__, __LINE__, "the deadline is %.3f s away, not %.3f", left,
			   seconds);
}

static void check_break_event(struct holder *h, struct breaker *b, enum mapdirect_reason reason)
{
	struct mapdirect_event ev;

	holder_event(h, &ev);
	CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
	CHECK_EQ(ev.reason, reason);
	CHECK_EQ(ev.breaker_pid, b->pid);
	CHECK(!strcmp(ev.breaker_comm, BREAKER_COMM));
	check_deadline(&ev, knob_get(KNOB_LEASE_BREAK_TIME));
}

/* Nothing more to read: the end of the lease, and of its events. */
static void check_no_more_events(struct holder *h)
{
	struct pollfd p = { .fd = h->lease, .events = POLLIN };
	struct mapdirect_event ev;

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLHUP);
	CHECK_EQ(read(h->lease, &ev, sizeof(ev)), 0);
}

static void break_once(const char *fs, const struct way *way)
{
	struct holder h;
	struct breaker b;
	struct ibv_mr *mr;
	struct rdma r;

	suite_context("on %s", fs);
	rdma_open(&r);
	holder_file(&h, fs, "leased", FILE_SIZE);
	holder_take(&h, FROM, LENGTH);
	mr = rdma_reg(&r, h.map, h.length);
	CHECK(mr);
	CHECK(!holder_has_event(&h));
	breaker_start(&b, way->op, h.path);
	check_break_event(&h, &b, way->reason);
	CHECK(touch(h.map));
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_BREAKING);
	holder_release_busy(&h);
	CHECK(!touch(h.map));
	CHECK(!touch(h.map + h.length - 1));
	CHECK(breaker_waits(&b, 50));
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_RELEASING);
	CHECK_EQ(holder_status(&h).foreign_pages, h.length / 4096);
	CHECK(!holder_has_event(&h));
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	holder_release_done(&h);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_RELEASED);
	CHECK_EQ(holder_status(&h).pages, 0);
	check_no_more_events(&h);
	CHECK(!close(h.lease));
	CHECK(!unlink(h.path));
	rdma_close(&r);
}

/*
 * Proves: this breaker is reported once, truly, and waits until the region is
 * deregistered and the lease released, then succeeds.
 */
static void break_waits(const void *arg)
{
	const struct way *way = arg;

	for (unsigned int i = way->reflink; i < 2; i++)
		break_once(suite_fs[i], way);
}

static int do_unlink(const char *path)
{
	return unlink(path);
}

static int do_rename(const char *path)
{
	char to[160];

	snprintf(to, sizeof(to), "%s.renamed", path);
	return rename(path, to) || rename(to, path) ? -1 : 0;
}

static int do_chmod(const char *path)
{
	return chmod(path, 0644);
}

static int do_fsync(const char *path)
{
	int fd = open(path, O_RDWR);

	return fd < 0 ? -1 : fsync(fd);
}

static int do_read(const char *path)
{
	static char data[MIB];
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return -1;
	return pread(fd, data, MIB, INSIDE) == (ssize_t)MIB ? 0 : -1;
}

static char *map_file(const char *path)
{
	int fd = open(path, O_RDWR);

	return mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static int do_store(const char *path)
{
	char *p = map_file(path);

	if (p == MAP_FAILED)
		return -1;
	for (size_t i = 0; i < FILE_SIZE; i += 4096)
		p[i] = 1;
	return munmap(p, FILE_SIZE);
}

static int do_msync(const char *path)
{
	char *p = map_file(path);

	if (p == MAP_FAILED)
		return -1;
	p[INSIDE] = 2;
	return msync(p, FILE_SIZE, MS_SYNC);
}

/* Would throw away clean cached pages, if there were any. */
static int do_drop_caches(const char *path)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY), file = open(path, O_RDONLY);

	if (posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED))
		return -1;
	return write(fd, "3", 1) == 1 ? 0 : -1;
}

/*
 * Proves: an operation that moves no block of the file goes through without
 * waiting, and the lease stays and says nothing.
 */
static void no_break(const void *arg)
{
	const file_op *op = arg;

	for (unsigned int i = 0; i < 2; i++) {
		struct holder h;
		struct breaker b;
		struct rdma r;
		struct ibv_mr *mr;

		suite_context("on %s", suite_fs[i]);
		rdma_open(&r);
		holder_file(&h, suite_fs[i], "leased", FILE_SIZE);
		holder_take(&h, FROM, LENGTH);
		mr = rdma_reg(&r, h.map, h.length);
		CHECK(mr);
		breaker_start(&b, *op, h.path);
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!holder_has_event(&h));
		CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_LIVE);
		CHECK_EQ(holder_status(&h).reason, 0);
		CHECK(touch(h.map));
		CHECK_EQ(ibv_dereg_mr(mr), 0);
		CHECK_EQ(holder_release(&h), 0);
		rdma_close(&r);
	}
}

static void *write_in_thread(void *path)
{
	return (void *)(long)write_inside(path);
}

/* Proves: nobody is exempt, the holder may write to its own file. */
static void write__by_holder_itself__breaks(const void *unused)
{
	struct mapdirect_event ev;
	struct holder h;
	pthread_t thread;
	void *failed;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", FILE_SIZE);
	holder_take(&h, FROM, LENGTH);
	CHECK_EQ(pthread_create(&thread, NULL, write_in_thread, h.path), 0);
	holder_event(&h, &ev);
	CHECK_EQ(ev.breaker_pid, getpid());
	CHECK_EQ(holder_release(&h), 0);
	CHECK_EQ(pthread_join(thread, &failed), 0);
	CHECK(!failed);
}

/* Proves: unmapping a part of the anchor is a break by the holder itself. */
static void unmap__part_of_anchor__breaks(const void *unused)
{
	struct mapdirect_event ev;
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", FILE_SIZE);
	holder_take(&h, FROM, LENGTH);
	/* Less than a huge page of it would be split first, which is a zap. */
	CHECK(!munmap(h.anchor + h.length - 2 * MIB, 2 * MIB));
	holder_event(&h, &ev);
	CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
	CHECK_EQ(ev.reason, MAPDIRECT_REASON_UNMAP);
	CHECK_EQ(ev.breaker_pid, getpid());
	check_deadline(&ev, knob_get(KNOB_LEASE_BREAK_TIME));
	CHECK_EQ(holder_release(&h), 0);
}

/* Proves: the module's own limit rules when lease-break-time is 0 or longer. */
static void deadline__capped__is_the_cap(const void *unused)
{
	static const unsigned int times[] = { 0, 100 };

	(void)unused;
	knob_set(KNOB_BREAK_CAP, 30000);
	for (unsigned int i = 0; i < 2; i++) {
		struct mapdirect_event ev;
		struct holder h;
		struct breaker b;

		knob_set(KNOB_LEASE_BREAK_TIME, times[i]);
		holder_file(&h, suite_fs[i], "leased", FILE_SIZE);
		holder_take(&h, FROM, LENGTH);
		breaker_start(&b, write_inside, h.path);
		holder_event(&h, &ev);
		check_deadline(&ev, 30);
		CHECK_EQ(holder_release(&h), 0);
		breaker_finish(&b, SUITE_WAIT_MS);
	}
}

#define BREAKS(fn, why)                                                                            \
	{                                                                                          \
		.name = #fn "__leased__waits_for_release", .run = break_waits,                     \
		.arg = &(const struct way)                                                         \
		{                                                                                  \
			.op = fn, .reason = MAPDIRECT_REASON_##why                                 \
		}                                                                                  \
	}
#define BREAKS_REFLINK(fn)                                                                         \
	{                                                                                          \
		.name = #fn "__leased__waits_for_release", .run = break_waits,                     \
		.arg = &(const struct way)                                                         \
		{                                                                                  \
			fn, MAPDIRECT_REASON_LAYOUT, true                                          \
		}                                                                                  \
	}
#define BREAKS_NOT(fn)                                                                             \
	{                                                                                          \
		.name = #fn "__leased__does_not_break", .run = no_break, .arg = &(const file_op)   \
		{                                                                                  \
			fn                                                                         \
		}                                                                                  \
	}

static const struct suite_case cases[] = {
	BREAKS(truncate_inside, TRUNCATE),
	BREAKS(truncate_outside, TRUNCATE),
	BREAKS(truncate_up, TRUNCATE),
	BREAKS(open_trunc, TRUNCATE),
	BREAKS(punch_inside, TRUNCATE),
	BREAKS(punch_outside, TRUNCATE),
	BREAKS(zero_inside, TRUNCATE),
	BREAKS(collapse, TRUNCATE),
	BREAKS(insert, TRUNCATE),
	BREAKS(allocate_beyond, TRUNCATE),
	BREAKS(write_inside, LAYOUT),
	BREAKS(write_outside, LAYOUT),
	BREAKS(write_beyond, LAYOUT),
	BREAKS_REFLINK(reflink_from),
	BREAKS_REFLINK(reflink_onto),
	BREAKS_REFLINK(copy_onto),
	BREAKS_NOT(do_unlink),
	BREAKS_NOT(do_rename),
	BREAKS_NOT(do_chmod),
	BREAKS_NOT(do_fsync),
	BREAKS_NOT(do_read),
	BREAKS_NOT(do_store),
	BREAKS_NOT(do_msync),
	BREAKS_NOT(do_drop_caches),
	SUITE_CASE(write__by_holder_itself__breaks),
	SUITE_CASE(unmap__part_of_anchor__breaks),
	SUITE_CASE(deadline__capped__is_the_cap),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
