// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What two thousand leases leave behind in the kernel's memory. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "holder.h"
#include "meminfo.h"
#include "rdma.h"
#include "suite.h"

#define LENGTH (256 * KIB)
#define CYCLES 2000
#define WARM_UP 500
/*
 * KiB in all cycles together. The smallest thing that a lease allocates is its
 * array of extents, of 256 bytes: one for each cycle would be 500 KiB.
 */
#define SLOPE_MAX 250

static int overwrite(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pwrite(fd, "x", 1, 0);

	if (fd >= 0)
		close(fd);
	return n == 1 ? 0 : -1;
}

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
		breaker_start(&b, overwrite, h->path);
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

/* How many KiB the cycles cost for good, with an object of 256 bytes left in each, or none. */
static long slope(bool leak)
{
	const struct rlimit files = { CYCLES + 100, CYCLES + 100 };
	struct holder h;
	struct rdma r;
	long before;

	CHECK(!setrlimit(RLIMIT_NOFILE, &files));
	rdma_open(&r);
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	for (unsigned int i = 0; i < WARM_UP; i++)
		cycle(&h, &r, i);
	before = meminfo_kernel();
	for (unsigned int i = 0; i < CYCLES; i++) {
		cycle(&h, &r, i);
		if (leak)
			CHECK(eventfd(0, EFD_CLOEXEC) >= 0);
	}
	return meminfo_kernel() - before;
}

/* Proves: leases leave nothing behind. */
static void cycles__2000__kernel_memory_is_flat(const void *unused)
{
	long kib = slope(false);

	(void)unused;
	fprintf(stderr, "%d cycles: %ld KiB\n", CYCLES, kib);
	CHECK(kib < SLOPE_MAX);
}

/* Proves: it would be seen if each cycle left one small object, here an eventfd. */
static void cycles__2000_with_a_leak__is_found_out(const void *unused)
{
	long kib = slope(true);

	(void)unused;
	fprintf(stderr, "%d cycles that leak: %ld KiB\n", CYCLES, kib);
	CHECK(kib > SLOPE_MAX);
}

static const struct suite_case cases[] = {
	SUITE_CASE_LONG(cycles__2000__kernel_memory_is_flat),
	SUITE_CASE_LONG(cycles__2000_with_a_leak__is_found_out),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
