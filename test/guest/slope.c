// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What two thousand leases leave behind in the kernel's memory. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "holder.h"
#include "meminfo.h"
#include "ops.h"
#include "rdma.h"
#include "suite.h"

#define LENGTH (256 * KIB)
#define CYCLES 2000
#define WARM_UP 500
#define AT_ONCE 10 /* so many cycles' leaks are in one, and it stands for them */
/*
 * KiB in all cycles together. The smallest thing that a lease allocates is its
 * array of extents, of 256 bytes: one for each cycle would be 500 KiB. Of what
 * counts as reclaimable it has an inode and a directory entry, of no less than
 * 192 bytes: 375 KiB.
 */
#define KERNEL_MAX 250
#define RECLAIMABLE_MAX 300

struct memory {
	long kernel, reclaimable;
};

/* As holder_take(), at the addresses of the last time: no new page tables. */
static void take_again(struct holder *h)
{
	CHECK(mmap(h->anchor, LENGTH, PROT_READ | PROT_WRITE,
		   MAP_SHARED_VALIDATE | MAP_SYNC | MAP_FIXED, h->fd, 0) == h->anchor);
	h->lease = holder_try_lease(h, 0);
	CHECK(h->lease >= 0);
	CHECK(mmap(h->map, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, h->lease, 0) ==
	      h->map);
}

/* Keeps the addresses. */
static void unmap(char *p)
{
	CHECK(mmap(p, LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
}

/* Lease, register, break, release; each tenth is broken by somebody. */
static void cycle(struct holder *h, struct rdma *r, unsigned int i)
{
	struct mapdirect_event ev;
	struct breaker b;
	struct ibv_mr *mr;

	if (h->map)
		take_again(h);
	else
		holder_take(h, 0, LENGTH);
	mr = rdma_reg(r, h->map, h->length);
	CHECK(mr);
	if (i % 10 == 0) {
		breaker_start(&b, ops_overwrite, h->path);
		holder_event(h, &ev);
	}
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	holder_release_done(h);
	unmap(h->map);
	unmap(h->anchor);
	CHECK(!close(h->lease));
	if (i % 10 == 0) {
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!munmap(b.result, 4096)); /* a file of its own, in the kernel */
	}
}

static struct memory memory_now(void)
{
	struct memory m = { .kernel = meminfo_kernel() };

	m.reclaimable = meminfo_reclaimable();
	return m;
}

/* A directory of a file system without a name, whose files stay in memory. */
static int ramfs(void)
{
	char path[128];
	int dir;

	suite_path(path, sizeof(path), suite_fs[0], "ramfs");
	CHECK(!mkdir(path, 0700));
	CHECK(!mount("none", path, "ramfs", 0, NULL));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0);
	CHECK(!umount2(path, MNT_DETACH));
	return dir;
}

/* An object of 256 bytes; an inode and its name. */
static void leak(int dir, unsigned int i)
{
	for (int n = 0; n < AT_ONCE; n++) {
		char name[32];

		CHECK(eventfd(0, EFD_CLOEXEC) >= 0);
		snprintf(name, sizeof(name), "%u.%d", i, n);
		CHECK(!mknodat(dir, name, S_IFREG | 0600, 0));
	}
}

/* How many KiB the cycles cost for good. */
static struct memory slope(bool leaks)
{
	const struct rlimit files = { CYCLES + 100, CYCLES + 100 };
	const unsigned int cycles = leaks ? CYCLES / AT_ONCE : CYCLES;
	struct memory before, after;
	int dir = ramfs();
	struct holder h;
	struct rdma r;

	CHECK(!setrlimit(RLIMIT_NOFILE, &files));
	rdma_open(&r);
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	for (unsigned int i = 0; i < WARM_UP; i++)
		cycle(&h, &r, i);
	before = memory_now();
	for (unsigned int i = 0; i < cycles; i++) {
		cycle(&h, &r, i);
		if (leaks)
			leak(dir, i);
	}
	after = memory_now();
	after.kernel -= before.kernel;
	after.reclaimable -= before.reclaimable;
	fprintf(stderr, "%u cycles%s: %ld KiB, reclaimable %ld\n", cycles,
		leaks ? " that leak" : "", after.kernel, after.reclaimable);
	return after;
}

/* Proves: leases leave nothing behind. */
static void cycles__2000__kernel_memory_is_flat(const void *unused)
{
	struct memory cost = slope(false);

	(void)unused;
	CHECK(cost.kernel < KERNEL_MAX);
	CHECK(cost.reclaimable < RECLAIMABLE_MAX);
}

/*
 * Proves: it would be seen if each cycle left one small object, here an eventfd,
 * or one inode.
 */
static void cycles__2000_leaks__are_found_out(const void *unused)
{
	struct memory cost = slope(true);

	(void)unused;
	CHECK(cost.kernel > KERNEL_MAX);
	CHECK(cost.reclaimable > RECLAIMABLE_MAX);
}

static const struct suite_case cases[] = {
	SUITE_CASE_LONG(cycles__2000__kernel_memory_is_flat),
	SUITE_CASE_LONG(cycles__2000_leaks__are_found_out),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
