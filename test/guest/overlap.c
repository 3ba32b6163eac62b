// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* More than one lease on a file, and leases that come after one another. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "holder.h"
#include "knob.h"
#include "ops.h"
#include "rdma.h"
#include "suite.h"

#define FILE_SIZE OPS_FILE_SIZE

static void check_refused(struct holder *h, off_t offset, size_t length)
{
	struct holder second = *h;

	holder_anchor(&second, offset, length);
	CHECK_ERRNO(holder_try_lease(&second, 0), EEXIST);
	CHECK(!munmap(second.anchor, length));
}

struct claim {
	struct holder *h;
	off_t offset;
	size_t length;
};

static void claim(void *arg)
{
	struct claim *c = arg;

	check_refused(c->h, c->offset, c->length);
}

/* Proves: a page is leased once, to this process or any other. */
static void lease__overlapping__is_refused(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct holder h, beside;
		struct claim c = { &h, 3 * MIB, MIB };

		suite_context("on %s", suite_fs[i]);
		holder_file(&h, suite_fs[i], "leased", FILE_SIZE);
		holder_take(&h, 2 * MIB, 4 * MIB);
		check_refused(&h, 2 * MIB, 4 * MIB);
		check_refused(&h, 3 * MIB, MIB);
		check_refused(&h, 0, 2 * MIB + 4096);
		check_refused(&h, 6 * MIB - 4096, 4096);
		check_refused(&h, 0, FILE_SIZE);
		child_finish(child_start_with_files(claim, &c));
		beside = h;
		holder_take(&beside, 6 * MIB, 2 * MIB);
		CHECK(beside.generation > h.generation);
		/* A refusal is no break, and a lease that is over is in no way. */
		CHECK(!holder_has_event(&h));
		CHECK_EQ(holder_release(&h), 0);
		holder_take(&h, 0, 6 * MIB);
		CHECK(h.generation > beside.generation);
		CHECK_EQ(holder_release(&h), 0);
		CHECK_EQ(holder_release(&beside), 0);
	}
}

static void expect_break(struct holder *h, const struct breaker *b)
{
	struct mapdirect_event ev;

	holder_event(h, &ev);
	CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
	CHECK_EQ(ev.breaker_pid, b->pid);
	CHECK(!strcmp(ev.breaker_comm, BREAKER_COMM));
}

static int write_first_byte(const char *path)
{
	int fd = open(path, O_WRONLY);

	return fd >= 0 && write(fd, "", 1) == 1 ? 0 : -1;
}

/* Proves: all holders of a file are told by one breaker, and all must agree. */
static void lease__disjoint__both_told(const void *unused)
{
	static const file_op ops[] = { truncate_to_zero, write_first_byte };

	(void)unused;
	for (unsigned int i = 0; i < 4; i++) {
		struct holder a, b;
		struct breaker breaker;

		suite_context("on %s, operation %u", suite_fs[i % 2], i / 2);
		holder_file(&a, suite_fs[i % 2], "leased", FILE_SIZE);
		b = a;
		holder_take(&a, 0, 2 * MIB);
		holder_take(&b, 4 * MIB, 4 * MIB);
		breaker_start(&breaker, ops[i / 2], a.path);
		expect_break(&a, &breaker);
		expect_break(&b, &breaker);
		CHECK_EQ(holder_release(&b), 0);
		CHECK(breaker_waits(&breaker, 200));
		CHECK_EQ(holder_release(&a), 0);
		breaker_finish(&breaker, SUITE_WAIT_MS);
		CHECK(!unlink(a.path));
	}
}

/*
 * Proves: while a break is under way nobody gets a lease; afterwards he does.
 * Nor does he sleep, which would be for ever: a hole punch holds the inode's
 * lock while it waits for the lease that this very thread is to release.
 */
static void lease__during_break__is_eagain(const void *unused)
{
	static const file_op ops[] = { write_first_byte, punch_inside };

	(void)unused;
	for (unsigned int i = 0; i < 4; i++) {
		struct holder h, second;
		struct breaker b;

		suite_context("on %s, operation %u", suite_fs[i % 2], i / 2);
		holder_file(&h, suite_fs[i % 2], "leased", FILE_SIZE);
		second = h;
		holder_take(&h, 0, OPS_INSIDE + OPS_CHANGED);
		holder_anchor(&second, 4 * MIB, 2 * MIB);
		CHECK(touch(second.anchor));
		breaker_start(&b, ops[i / 2], h.path);
		expect_break(&h, &b);
		CHECK_ERRNO(holder_try_lease(&second, 0), EAGAIN);
		CHECK_EQ(holder_release(&h), 0);
		breaker_finish(&b, SUITE_WAIT_MS);
		second.lease = holder_try_lease(&second, 0);
		CHECK(second.lease >= 0);
		CHECK(!holder_has_event(&second));
		CHECK_EQ(holder_release(&second), 0);
	}
}

/*
 * Proves: where somebody holds the inode's lock for long, and no lease is in
 * his way, one that is asked for is refused after a while.
 */
static void lease__inode_locked_for_long__is_eagain(const void *unused)
{
	struct iovec page;
	struct breaker b;
	struct holder h;
	int held[2];
	char byte;

	(void)unused;
	CHECK(!pipe2(held, O_CLOEXEC));
	holder_file(&h, suite_fs[0], "leased", FILE_SIZE);
	holder_anchor(&h, OPS_INSIDE, OPS_CHANGED);
	page = (struct iovec){ h.anchor, 1 };
	CHECK(touch(h.anchor));
	/* While the pipe has the page, a hole punch waits for it, lock in hand. */
	CHECK_EQ(vmsplice(held[1], &page, 1, 0), 1);
	breaker_start(&b, punch_inside, h.path);
	CHECK(breaker_waits(&b, 200));
	CHECK(!munmap(h.anchor, h.length));
	holder_anchor(&h, 0, 2 * MIB);
	CHECK_ERRNO(holder_try_lease(&h, 0), EAGAIN);
	CHECK(breaker_waits(&b, 0));
	CHECK_EQ(read(held[0], &byte, 1), 1);
	breaker_finish(&b, SUITE_WAIT_MS);
	h.lease = holder_try_lease(&h, 0);
	CHECK(h.lease >= 0);
	CHECK_EQ(holder_release(&h), 0);
}

struct other {
	const char *path;
	atomic_bool ready;
};

/* A second holder, with a region, that never answers. */
static void ignore(void *arg)
{
	struct other *o = arg;
	struct holder h = { .fd = open(o->path, O_RDWR) };
	struct rdma r;

	rdma_open(&r);
	holder_take(&h, 4 * MIB, 4 * MIB);
	CHECK(rdma_reg(&r, h.map, h.length));
	atomic_store(&o->ready, true);
	for (;;)
		pause();
}

static bool is_ready(void *arg)
{
	return atomic_load(&((struct other *)arg)->ready);
}

/* Proves: of two holders the one that ignores the break dies, and only that. */
static void ignored__by_one_of_two__only_that_one_killed(const void *unused)
{
	struct other *o = shared_new(sizeof(*o));
	struct breaker b;
	struct holder h;
	pid_t other;

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, 2);
	holder_file(&h, suite_fs[1], "leased", FILE_SIZE);
	o->path = h.path;
	other = child_start(ignore, o);
	holder_take(&h, 0, 2 * MIB);
	CHECK(wait_until(is_ready, o, SUITE_WAIT_MS));
	breaker_start(&b, truncate_to_zero, h.path);
	expect_break(&h, &b);
	CHECK_EQ(holder_release(&h), 0);
	CHECK(breaker_waits(&b, 200));
	child_killed(other, SIGKILL, SUITE_WAIT_MS);
	breaker_finish(&b, SUITE_WAIT_MS);
}

static const struct suite_case cases[] = {
	SUITE_CASE(lease__overlapping__is_refused),
	SUITE_CASE(lease__disjoint__both_told),
	SUITE_CASE(lease__during_break__is_eagain),
	SUITE_CASE(lease__inode_locked_for_long__is_eagain),
	SUITE_CASE(ignored__by_one_of_two__only_that_one_killed),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
