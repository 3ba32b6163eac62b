// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * XFS_IOC_SWAPEXT neither breaks leases nor waits for pins: the module makes
 * it refuse. The kernel warns about busy pages once per boot, refused or not.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "rdma.h"
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
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
