// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "suite.h"
#include "swap.h"

/* The layout of struct xfs_swapext and xfs_bstat (fs/xfs/libxfs/xfs_fs.h). */
struct bstime {
	int64_t seconds;
	int32_t nanoseconds;
	int32_t pad;
};

struct swapext {
	int64_t version;
	int64_t target, donor;
	int64_t offset, length;
	char pad[16];
	struct {
		uint64_t before_times[5];
		struct bstime access, modify, change;
		uint64_t after_times[6];
	} stat;
};

_Static_assert(sizeof(struct swapext) == 192, "the size is part of the ioctl's number");

#define IOC_SWAPEXT _IOWR('X', 109, struct swapext)

struct swap {
	const char *target, *donor;
	int err;
};

static void swap(void *arg)
{
	struct swap *s = arg;
	struct swapext x = {
		.target = open(s->target, O_RDWR),
		.donor = open(s->donor, O_RDWR),
	};
	struct stat st;

	CHECK(x.target >= 0 && x.donor >= 0);
	CHECK(!fstat(x.target, &st));
	x.length = st.st_size;
	x.stat.modify.seconds = st.st_mtim.tv_sec;
	x.stat.modify.nanoseconds = st.st_mtim.tv_nsec;
	x.stat.change.seconds = st.st_ctim.tv_sec;
	x.stat.change.nanoseconds = st.st_ctim.tv_nsec;
	s->err = ioctl(x.target, IOC_SWAPEXT, &x) ? errno : 0;
}

int swap_extents(const char *target, const char *donor)
{
	struct swap *s = shared_new(sizeof(*s));

	s->target = target;
	s->donor = donor;
	child_finish(child_start(swap, s));
	return s->err;
}
