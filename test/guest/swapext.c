// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * XFS_IOC_SWAPEXT neither breaks leases nor waits for pins: the module makes
 * it refuse. The kernel warns about busy pages once per boot, refused or not.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "ops.h"
#include "rdma.h"
#include "scratch.h"
#include "suite.h"
#include "swap.h"

#define LENGTH (4 * MIB)

enum role {
	TARGET = 1,
	DONOR = 2
};

struct variant {
	enum role role; /* of the leased file */
	bool changed;	/* its times changed after the lease, and the caller knows */
	bool unmapped;	/* nothing maps the file any more */
	bool both;	/* the other file is leased, too */
};

struct pair {
	struct holder leased, other;
	struct extents leased_extents, other_extents;
	struct rdma near, far;
	struct ibv_mr *mr;
};

static void fill(int fd, int value)
{
	static char data[MIB];

	memset(data, value, sizeof(data));
	for (size_t i = 0; i < LENGTH; i += sizeof(data))
		CHECK_EQ(pwrite(fd, data, sizeof(data), i), (ssize_t)sizeof(data));
}

static void set_up(struct pair *p, const char *fs, const struct variant *v)
{
	rdma_pair(&p->near, &p->far);
	holder_file(&p->leased, fs, "leased", LENGTH);
	holder_file(&p->other, fs, "other", LENGTH);
	fill(p->leased.fd, 1);
	fill(p->other.fd, 2);
	extents_of(&p->leased_extents, p->leased.path);
	extents_of(&p->other_extents, p->other.path);
	holder_take(&p->leased, 0, LENGTH);
	if (v->both)
		holder_take(&p->other, 0, LENGTH);
	p->mr = rdma_reg(&p->far, p->leased.map, LENGTH);
	CHECK(p->mr);
	if (v->changed)
		CHECK(!utimensat(AT_FDCWD, p->leased.path, NULL, 0));
	if (v->unmapped)
		CHECK(!munmap(p->leased.anchor, LENGTH));
}

static int swap_as(struct pair *p, enum role role)
{
	return role == TARGET ? swap_extents(p->leased.path, p->other.path) :
				swap_extents(p->other.path, p->leased.path);
}

/* Each file has its blocks, and a write to the region is in the leased one. */
static void check_unchanged(struct pair *p)
{
	struct extents e;

	extents_of(&e, p->leased.path);
	CHECK(extents_equal(&e, &p->leased_extents));
	extents_of(&e, p->other.path);
	CHECK(extents_equal(&e, &p->other_extents));
	CHECK_EQ(bytes_not(p->leased.path, 0, LENGTH, 1), 0);
	for (size_t i = 0; i < LENGTH; i += MIB)
		CHECK_EQ(rdma_write(&p->near, (uintptr_t)p->mr->addr + i, p->mr->rkey, 3),
			 IBV_WC_SUCCESS);
	for (size_t i = 0; i < LENGTH; i += MIB)
		CHECK_EQ(bytes_not(p->leased.path, i, 4096, 3), 0);
	CHECK_EQ(bytes_not(p->other.path, 0, LENGTH, 2), 0);
}

/*
 * Proves: swapext of a leased file is refused, and changes neither file; and
 * that it is the lease that does it: afterwards the same call succeeds.
 */
static void refused(const void *arg)
{
	const struct variant *v = arg;

	for (unsigned int i = 0; i < 2; i++) {
		struct pair p;

		suite_context("on %s", suite_fs[i]);
		set_up(&p, suite_fs[i], v);
		CHECK_EQ(swap_as(&p, v->role), EINVAL);
		check_unchanged(&p);
		CHECK_EQ(ibv_dereg_mr(p.mr), 0);
		holder_release_done(&p.leased);
		if (v->both)
			holder_release_done(&p.other);
		CHECK_EQ(swap_as(&p, v->role), 0);
		CHECK_EQ(bytes_not(p.leased.path, 0, LENGTH, 2), 0);
		CHECK(!unlink(p.leased.path));
		CHECK(!unlink(p.other.path));
		rdma_close(&p.near);
		rdma_close(&p.far);
	}
}

/*
 * Proves: a refused swapext leaves the lease in force, although it took the
 * entries by which the kernel knows the file's pages.
 */
static void truncate__after_refused_swapext__waits(const void *unused)
{
	const struct variant v = { .role = TARGET };

	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct breaker b;
		struct pair p;

		suite_context("on %s", suite_fs[i]);
		set_up(&p, suite_fs[i], &v);
		CHECK_EQ(swap_as(&p, TARGET), EINVAL);
		breaker_start(&b, truncate_to_zero, p.leased.path);
		CHECK(breaker_waits(&b, 1000));
		CHECK_EQ(rdma_write(&p.near, (uintptr_t)p.mr->addr, p.mr->rkey, 4), IBV_WC_SUCCESS);
		holder_release_busy(&p.leased);
		CHECK_EQ(ibv_dereg_mr(p.mr), 0);
		holder_release_done(&p.leased);
		breaker_finish(&b, SUITE_WAIT_MS);
	}
}

/* Whether the kernel has XFS_IOC_EXCHANGE_RANGE; it must say so, and when not. */
static bool has_exchange(void)
{
	unsigned int major, minor;
	struct utsname name;
	struct holder h;
	struct breaker b;
	int err;

	holder_file(&h, suite_fs[1], "probe", OPS_FILE_SIZE);
	breaker_start(&b, exchange_first, h.path);
	err = breaker_end(&b, SUITE_WAIT_MS);
	CHECK(!close(h.fd));
	CHECK(!uname(&name));
	CHECK_EQ(sscanf(name.release, "%u.%u", &major, &minor), 2);
	CHECK_EQ(err, major > 6 || minor >= 10 ? EOPNOTSUPP : ENOTTY);
	return err == EOPNOTSUPP;
}

static void exchange_once(file_op op)
{
	struct extents before, after;
	struct mapdirect_event ev;
	struct holder h;
	struct breaker b;
	struct ibv_mr *mr;
	struct rdma r;

	rdma_open(&r);
	holder_file(&h, suite_fs[1], "leased", OPS_FILE_SIZE);
	extents_of(&before, h.path);
	holder_take(&h, OPS_FROM, OPS_LENGTH);
	mr = rdma_reg(&r, h.map, h.length);
	CHECK(mr);
	breaker_start(&b, op, h.path);
	holder_event(&h, &ev);
	CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
	CHECK_EQ(ev.reason, MAPDIRECT_REASON_LAYOUT);
	CHECK_EQ(ev.breaker_pid, b.pid);
	holder_release_busy(&h);
	CHECK(breaker_waits(&b, 50));
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	holder_release_done(&h);
	breaker_finish(&b, SUITE_WAIT_MS);
	extents_of(&after, h.path);
	CHECK(!extents_equal(&before, &after));
	CHECK(!munmap(h.map, h.length) && !munmap(h.anchor, h.length));
	CHECK(!close(h.lease) && !close(h.fd));
	rdma_close(&r);
}

/*
 * Proves: whoever exchanges blocks of a leased file with another waits for the
 * release, whichever of the two is leased; on a kernel that can.
 */
static void exchange__leased__waits_for_release(const void *unused)
{
	(void)unused;
	scratch_device();
	if (!has_exchange())
		return;
	scratch_allow_exchange();
	exchange_once(exchange_first);
	exchange_once(exchange_second);
	scratch_restore();
}

#define REFUSED(what, ...)                                                                         \
	{                                                                                          \
		.name = "swapext__" what "__refused", .run = refused,                              \
		.arg = &(const struct variant)                                                     \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct suite_case cases[] = {
	REFUSED("leased_target", .role = TARGET),
	REFUSED("leased_donor", .role = DONOR),
	REFUSED("times_changed", .role = TARGET, .changed = true),
	REFUSED("anchor_unmapped", .role = TARGET, .unmapped = true),
	REFUSED("donor_anchor_unmapped", .role = DONOR, .unmapped = true),
	REFUSED("both_leased", .role = TARGET, .both = true),
	SUITE_CASE(truncate__after_refused_swapext__waits),
	SUITE_CASE(exchange__leased__waits_for_release),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
