// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A lease of 2 GiB: what it costs, that all of it works, how it is broken. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "large_file.h"
#include "meminfo.h"
#include "rdma.h"
#include "stream.h"
#include "suite.h"

#define PAGE 4096UL
#define HUGE (2 * MIB)
#define SMALL (64 * MIB)
/* A truncate takes what is behind this. */
#define CUT (LARGE - 256 * MIB)
#define CANARY_BYTE 0x5a

/* Page tables of small pages for so many bytes, in KiB. */
#define SMALL_TABLES_KIB(length) ((long)((length) / PAGE * 8 / 1024))

static double seconds_since(uint64_t start)
{
	return (now_ns() - start) / 1e9;
}

/* Maps all of the file, or of the lease, at so much beyond a huge page's address. */
static char *map_at(int fd, int flags, size_t length, size_t beyond)
{
	char *p = mmap(NULL, length + 2 * HUGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	p += HUGE - (uintptr_t)p % HUGE + beyond;
	CHECK(mmap(p, length, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == p);
	return p;
}

/* A field of the lease's line in fdinfo. */
static unsigned long field(const struct holder *h, const char *name)
{
	char path[64], line[1024] = "", want[32], *at;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", h->lease);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0);
	close(fd);
	snprintf(want, sizeof(want), " %s=", name);
	at = strstr(line, want);
	CHECK(at);
	return strtoul(at + strlen(want), NULL, 10);
}

/* Loads a byte of every page. */
static void touch_all(const volatile char *p, size_t length)
{
	for (size_t i = 0; i < length; i += PAGE)
		(void)p[i];
}

/*
 * Proves: 2 GiB take huge mappings, on both sides, and a few runs of pages in
 * the kernel; a pointer for each page would be 4 MiB there.
 */
static void lease__of_2_gib__few_extents_and_huge_pages(const void *unused)
{
	long kernel, tables, faults;
	struct extents extents;
	struct holder h;
	uint64_t start;

	(void)unused;
	large_need_room();
	start = now_ns();
	holder_file(&h, suite_fs[0], "leased", LARGE);
	fprintf(stderr, "2 GiB made written: %.2f s\n", seconds_since(start));
	extents_of(&extents, h.path);
	holder_anchor(&h, 0, LARGE);
	tables = meminfo_page_tables();
	faults = meminfo_faults();
	CHECK(!madvise(h.anchor, LARGE, MADV_POPULATE_WRITE));
	CHECK(meminfo_faults() - faults < 2 * (long)(LARGE / HUGE));
	kernel = meminfo_kernel();
	start = now_ns();
	h.lease = holder_try_lease(&h, 0);
	CHECK(h.lease >= 0);
	fprintf(stderr, "leased: %.3f s\n", seconds_since(start));
	kernel = meminfo_kernel() - kernel;
	h.map = map_at(h.lease, MAP_SHARED, LARGE, 0);
	faults = meminfo_faults();
	start = now_ns();
	touch_all(h.map, LARGE);
	faults = meminfo_faults() - faults;
	tables = meminfo_page_tables() - tables;
	fprintf(stderr,
		"%lu extents (%u in the file), %ld KiB of the kernel's; %ld faults (%.3f s), %ld KiB of page tables\n",
		field(&h, "extents"), extents.count, kernel, faults, seconds_since(start), tables);
	CHECK_EQ(field(&h, "pages"), LARGE / PAGE);
	CHECK(field(&h, "extents") >= 1 && field(&h, "extents") <= extents.count);
	CHECK(kernel < 1024);
	CHECK(faults >= (long)(LARGE / HUGE) && faults < 2 * (long)(LARGE / HUGE));
	CHECK(tables < SMALL_TABLES_KIB(LARGE) / 8);
	start = now_ns();
	holder_release_done(&h);
	fprintf(stderr, "released: %.3f s\n", seconds_since(start));
}

/* Proves: small mappings would be seen: here where an address does not allow others. */
static void lease__at_an_odd_address__small_pages_are_found_out(const void *unused)
{
	struct holder h;
	long tables;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", SMALL);
	h.length = SMALL;
	h.anchor = map_at(h.fd, MAP_SHARED_VALIDATE | MAP_SYNC, SMALL, PAGE);
	tables = meminfo_page_tables();
	h.lease = holder_try_lease(&h, 0);
	CHECK(h.lease >= 0);
	tables = meminfo_page_tables() - tables;
	CHECK(tables >= SMALL_TABLES_KIB(SMALL));
	h.map = map_at(h.lease, MAP_SHARED, SMALL, PAGE);
	tables = meminfo_page_tables();
	touch_all(h.map, SMALL);
	CHECK(meminfo_page_tables() - tables >= SMALL_TABLES_KIB(SMALL));
	holder_release_done(&h);
}

static int cut(const char *path)
{
	return truncate(path, CUT);
}

/* Takes the free space, so that what is freed next is what is had next. */
static void fill_up(void)
{
	uint64_t size = large_room() - 32 * MIB;
	char path[128];
	int fd;

	suite_path(path, sizeof(path), suite_fs[0], "filler");
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(posix_fallocate(fd, 0, size), 0);
	close(fd);
}

/* A file that has most of the freed blocks, all bytes of it CANARY_BYTE. */
static char *take_freed(const struct extents *of_file, size_t size)
{
	struct extents mine;
	struct holder h;

	holder_file(&h, suite_fs[0], "canary", size);
	extents_of(&mine, h.path);
	CHECK(extents_common(&mine, of_file) >= size / 2);
	holder_anchor(&h, 0, size);
	memset(h.anchor, CANARY_BYTE, size);
	return h.anchor;
}

static size_t changed(const char *p, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += p[i] != CANARY_BYTE;
	return n;
}

/*
 * Proves: a peer reaches start, middle and end of 2 GiB in one region; a
 * truncate takes the end while another streams there, and the blocks' next
 * owner is not written to.
 */
static void lease__of_2_gib_truncated_under_writes__next_owner_is_unharmed(const void *unused)
{
	const size_t at[] = { 0, LARGE / 2, LARGE - PAGE }, canary = 192 * MIB;
	struct mapdirect_event ev;
	struct rdma near, far, streamed;
	struct extents extents;
	struct ibv_mr *mr, *mr2;
	struct stream *s;
	struct breaker b;
	struct holder h;
	uint64_t start;
	char *blocks;

	(void)unused;
	large_need_room();
	holder_file(&h, suite_fs[0], "leased", LARGE);
	extents_of(&extents, h.path);
	fill_up();
	s = stream_start();
	rdma_pair(&near, &far);
	rdma_open(&streamed);
	holder_take(&h, 0, LARGE);
	start = now_ns();
	mr = rdma_reg(&far, h.map, LARGE);
	CHECK(mr);
	fprintf(stderr, "registered: %.3f s\n", seconds_since(start));
	for (unsigned int i = 0; i < 3; i++) {
		CHECK_EQ(rdma_write(&near, (uintptr_t)h.map + at[i], mr->rkey, 'a' + i),
			 IBV_WC_SUCCESS);
		CHECK_EQ(bytes_not(h.path, at[i], PAGE, 'a' + i), 0);
	}
	mr2 = rdma_reg(&streamed, h.map + CUT, LARGE - CUT);
	CHECK(mr2);
	stream_serve(s, &streamed, mr2);
	stream_wait_writes(s, 100);
	breaker_start(&b, cut, h.path);
	start = now_ns();
	holder_event(&h, &ev);
	CHECK_EQ(ev.reason, MAPDIRECT_REASON_TRUNCATE);
	CHECK_EQ(ibv_dereg_mr(mr2), 0);
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	holder_release_done(&h);
	fprintf(stderr, "break: %.3f s to the release", seconds_since(start));
	breaker_finish(&b, SUITE_WAIT_MS);
	fprintf(stderr, ", truncate took %.3f s\n", breaker_seconds(&b));
	blocks = take_freed(&extents, canary);
	stream_stop(s, SUITE_WAIT_MS);
	CHECK(atomic_load(&s->status) != IBV_WC_SUCCESS);
	CHECK_EQ(changed(blocks, canary), 0);
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(bytes_not(h.path, at[i], PAGE, 'a' + i), 0);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* A file without a block, and an anchor of it. */
static void take_hole(struct holder *h)
{
	large_hole(h, "hole");
	holder_anchor(h, 0, LARGE);
}

/* Proves: a signal ends a long populating soon, and nothing is held then. */
static void lease__signal_while_it_populates__eintr(const void *unused)
{
	/* Again, in case that the first comes before the call. */
	const struct itimerval twice = { { 0, 200000 }, { 0, 200000 } }, none = {};
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	uint64_t start, room;
	struct holder h;

	(void)unused;
	take_hole(&h);
	room = large_room();
	sigaction(SIGALRM, &sa, NULL);
	start = now_ns();
	CHECK(!setitimer(ITIMER_REAL, &twice, NULL));
	CHECK_ERRNO(holder_try_lease(&h, MAPDIRECT_LEASE_ALLOCATE), EINTR);
	CHECK(!setitimer(ITIMER_REAL, &none, NULL));
	fprintf(stderr, "interrupted after %.3f s, with %llu of 2048 MiB allocated\n",
		seconds_since(start), (unsigned long long)(room - large_room()) / MIB);
	CHECK(room - large_room() < LARGE);
	CHECK(!holder_exists(NULL));
	h.lease = holder_try_lease(&h, MAPDIRECT_LEASE_ALLOCATE);
	fprintf(stderr, "the rest: %.3f s\n", seconds_since(start));
	CHECK(h.lease >= 0);
	holder_release_done(&h);
}

static void lease_hole(void *arg)
{
	struct holder *h = arg;

	h->fd = open(h->path, O_RDWR | O_CLOEXEC);
	CHECK(h->fd >= 0);
	holder_anchor(h, 0, LARGE);
	h->lease = holder_try_lease(h, MAPDIRECT_LEASE_ALLOCATE);
	CHECK(false);
}

/* Proves: who populates can be killed at once, and takes his lease with him. */
static void lease__killed_while_it_populates__nothing_is_left(const void *unused)
{
	struct holder h;
	uint64_t start;
	pid_t pid;

	(void)unused;
	take_hole(&h);
	pid = child_start(lease_hole, &h);
	CHECK(wait_until(holder_exists, NULL, SUITE_WAIT_MS));
	usleep(100000);
	start = now_ns();
	CHECK(!kill(pid, SIGKILL));
	child_killed(pid, SIGKILL, SUITE_WAIT_MS);
	fprintf(stderr, "killed: %.3f s\n", seconds_since(start));
	CHECK(!holder_exists(NULL));
}

static const struct suite_case cases[] = {
	SUITE_CASE_LONG(lease__of_2_gib__few_extents_and_huge_pages),
	SUITE_CASE_LONG(lease__at_an_odd_address__small_pages_are_found_out),
	SUITE_CASE_LONG(lease__of_2_gib_truncated_under_writes__next_owner_is_unharmed),
	SUITE_CASE_LONG(lease__signal_while_it_populates__eintr),
	SUITE_CASE_LONG(lease__killed_while_it_populates__nothing_is_left),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
