// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What an administrator sees of a lease, and what a device sees of the file. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "knob.h"
#include "ops.h"
#include "pin.h"
#include "rdma.h"
#include "suite.h"

#define LENGTH (4 * MIB)
#define PAGE 4096UL
#define TRACING "/sys/kernel/tracing/"

/* A file of the kernel's, up to what fits. */
static void slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	CHECK(fd >= 0);
	while ((n = read(fd, text + have, size - 1 - have)) > 0)
		have += n;
	text[have] = '\0';
	close(fd);
}

/* The line of a lease must contain this. */
static void __attribute__((format(printf, 2, 3))) expect(const char *line, const char *fmt, ...)
{
	char want[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	if (!strstr(line, want))
		suite_fail(__FILE__, __LINE__, "no \"%s\" in: %s", want, line);
}

static void expect_in_list(const struct holder *h, const char *state)
{
	char text[4096], start[64], *line;

	slurp("/proc/fs/mapdirect", text, sizeof(text));
	snprintf(start, sizeof(start), "generation=%llu ", (unsigned long long)h->generation);
	line = strstr(text, start);
	CHECK(line);
	line[strcspn(line, "\n")] = '\0';
	expect(line, " state=%s ", state);
}

static void expect_identity(const char *text, const struct holder *h)
{
	struct stat st;

	CHECK(!fstat(h->fd, &st));
	expect(text, "generation=%llu ", (unsigned long long)h->generation);
	expect(text, " inode=%lu ", (unsigned long)st.st_ino);
	expect(text, " offset=%lld ", (long long)h->offset);
	expect(text, " length=%zu ", h->length);
	expect(text, " holder=%d ", getpid());
	expect(text, " comm=%s ", program_invocation_short_name);
	expect(text, " pages=%zu", h->length / PAGE);
	expect(text, " file=%s", h->path);
}

/* Proves: list and fdinfo tell which lease it is, and each step of a break. */
static void list__through_a_break__tells_state(const void *unused)
{
	char text[4096], path[64];
	struct mapdirect_event ev;
	struct ibv_mr *mr;
	struct breaker b;
	struct holder h;
	struct rdma r;

	(void)unused;
	rdma_open(&r);
	holder_file(&h, suite_fs[1], "leased", LENGTH);
	holder_take(&h, MIB, 2 * MIB);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", h.lease);
	mr = rdma_reg(&r, h.map, 3 * PAGE);
	CHECK(mr);
	slurp("/proc/fs/mapdirect", text, sizeof(text));
	expect_identity(text, &h);
	expect(text, " state=live ");
	expect(text, " foreign=3");
	slurp(path, text, sizeof(text));
	expect_identity(text, &h);
	breaker_start(&b, truncate_to_zero, h.path);
	holder_event(&h, &ev);
	expect_in_list(&h, "breaking");
	slurp(path, text, sizeof(text));
	expect(text, " deadline_ms=");
	expect(text, " breaker=%d ", b.pid);
	expect(text, " breaker_comm=%s", BREAKER_COMM);
	holder_release_busy(&h);
	expect_in_list(&h, "releasing");
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	holder_release_done(&h);
	slurp("/proc/fs/mapdirect", text, sizeof(text));
	CHECK_EQ(strlen(text), 0);
	slurp(path, text, sizeof(text));
	expect(text, " state=released ");
	breaker_finish(&b, SUITE_WAIT_MS);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

struct silent {
	char path[128];
	int ready[2];
};

static void hold_region(void *arg)
{
	struct silent *s = arg;
	struct holder h;
	struct rdma r;

	rdma_open(&r);
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	CHECK(rdma_reg(&r, h.map, LENGTH));
	CHECK_EQ(write(s->ready[1], "", 1), 1);
	for (;;)
		pause();
}

/* Proves: each step of a lease can be traced, up to the kill. */
static void trace__through_a_kill__has_each_step(const void *unused)
{
	static char text[1 << 16];
	struct silent s;
	struct breaker b;
	pid_t holder;
	char c;

	(void)unused;
	if (access(TRACING "events/mapdirect", R_OK))
		suite_skip("tracefs is not mounted");
	knob_set(KNOB_LEASE_BREAK_TIME, 1);
	put(TRACING "trace", "");
	put(TRACING "events/mapdirect/enable", "1");
	CHECK(!pipe2(s.ready, O_CLOEXEC));
	suite_path(s.path, sizeof(s.path), suite_fs[0], "leased");
	holder = child_start_with_files(hold_region, &s);
	CHECK_EQ(read(s.ready[0], &c, 1), 1);
	breaker_start(&b, truncate_to_zero, s.path);
	breaker_finish(&b, SUITE_WAIT_MS);
	child_killed(holder, SIGKILL, SUITE_WAIT_MS);
	put(TRACING "events/mapdirect/enable", "0");
	slurp(TRACING "trace", text, sizeof(text));
	expect(text, "mapdirect_acquire: generation=");
	expect(text, "mapdirect_break: generation=");
	expect(text, "breaker=" BREAKER_COMM " ");
	expect(text, "mapdirect_revoke: generation=");
	expect(text, "mapdirect_kill: generation=");
	expect(text, "mapdirect_release: generation=");
	expect(text, "pid=%d", holder);
}

static bool is_stuck_by_one_page(void *unused)
{
	char text[4096];

	(void)unused;
	slurp("/proc/fs/mapdirect", text, sizeof(text));
	return strstr(text, " state=stuck ") && strstr(text, " foreign=1");
}

/*
 * Proves: where a pin outlives its dead holder, nothing breaks loose, however
 * long it takes: breakers wait on, the file has its blocks, which nobody else
 * can get, and the lease is listed as stuck; then all goes well.
 */
static void pin__outlives_holder__is_listed_as_stuck(const void *unused)
{
	struct breaker writer, cutter;
	struct extents before, now;
	struct pin pin;
	pid_t holder;

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, 1);
	holder = pin_start(&pin, pin_then_wait);
	extents_of(&before, pin.path);
	breaker_start(&writer, write_inside, pin.path);
	child_killed(holder, SIGKILL, SUITE_WAIT_MS);
	CHECK(wait_until(is_stuck_by_one_page, NULL, SUITE_WAIT_MS));
	CHECK(breaker_waits(&writer, 3000));
	extents_of(&now, pin.path);
	CHECK(extents_equal(&before, &now));
	/* From here on the file is locked: only others can tell whose the blocks are. */
	breaker_start(&cutter, truncate_to_zero, pin.path);
	CHECK(breaker_waits(&cutter, 3000));
	CHECK_EQ(canary_try(suite_fs[0], &before), 0);
	CHECK(pin_intact(&pin));
	CHECK(holder_is_stuck(NULL));
	CHECK(breaker_waits(&writer, 0) && breaker_waits(&cutter, 0));
	pin_drop(&pin);
	breaker_finish(&writer, SUITE_WAIT_MS);
	breaker_finish(&cutter, SUITE_WAIT_MS);
}

static long faults(void)
{
	struct rusage u;

	CHECK(!getrusage(RUSAGE_SELF, &u));
	return u.ru_minflt;
}

static long faults_of_touching(struct holder *h, char *map)
{
	long before = faults();

	for (size_t i = 0; i < h->length; i += PAGE)
		map[i] = (char)(i / PAGE);
	return faults() - before;
}

/* Bytes stored through the mapping, and one page by a device, are in the file. */
static void check_content(struct holder *h, char *map, char value)
{
	struct rdma near, far;
	struct ibv_mr *mr;
	char page[PAGE];

	rdma_pair(&near, &far);
	mr = rdma_reg(&far, map, h->length);
	CHECK(mr);
	for (size_t i = 0; i < h->length; i += PAGE) {
		CHECK_EQ(pread(h->fd, page, 1, h->offset + i), 1);
		CHECK_EQ(page[0], (char)(i / PAGE));
	}
	CHECK_EQ(rdma_write(&near, (uintptr_t)map + h->length - PAGE, mr->rkey, value),
		 IBV_WC_SUCCESS);
	CHECK_EQ(pread(h->fd, page, PAGE, h->offset + h->length - PAGE), (ssize_t)PAGE);
	CHECK(page[0] == value && page[PAGE - 1] == value);
	CHECK_EQ(pread(h->fd, page, PAGE, h->offset + h->length - 2 * PAGE), (ssize_t)PAGE);
	CHECK(page[PAGE - 1] != value);
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	rdma_close(&near);
	rdma_close(&far);
}

/* The same lease once more, at an address that fits no huge page. */
static char *map_askew(struct holder *h)
{
	char *p = mmap(NULL, h->length + 4 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = p + 2 * MIB - (uintptr_t)p % (2 * MIB) + h->offset % (2 * MIB) + PAGE;

	CHECK(p != MAP_FAILED);
	CHECK(mmap(at, h->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, h->lease, 0) ==
	      at);
	return at;
}

/*
 * Proves: where file, address and length allow, one fault maps 2 MiB; at any
 * other address and offset each page has its own, and the right one.
 */
static void mapping__aligned_or_not__huge_where_possible(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct holder h;
		char *askew;

		suite_context("on %s, aligned", suite_fs[i]);
		holder_file(&h, suite_fs[i], "leased", 2 * LENGTH);
		holder_take(&h, 0, LENGTH);
		CHECK(faults_of_touching(&h, h.map) < 10);
		check_content(&h, h.map, 'a');
		suite_context("on %s, address askew", suite_fs[i]);
		askew = map_askew(&h);
		CHECK(faults_of_touching(&h, askew) >= (long)(LENGTH / PAGE));
		check_content(&h, askew, 'b');
		CHECK_EQ(holder_release(&h), 0);
		CHECK(!touch(askew));
		suite_context("on %s, offset askew", suite_fs[i]);
		holder_take(&h, PAGE, LENGTH);
		CHECK(faults_of_touching(&h, h.map) > 512);
		check_content(&h, h.map, 'c');
		CHECK_EQ(holder_release(&h), 0);
	}
}

/* What the kernel says of the mapping at an address: " rd wr sh ... ". */
static void vm_flags(char *flags, size_t size, const void *at)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long start, end, want = (uintptr_t)at;
	bool found = false;
	char line[512];

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			found = start <= want && want < end;
		else if (found && !strncmp(line, "VmFlags:", 8))
			break;
	}
	CHECK(found && !feof(f));
	snprintf(flags, size, "%s", line + 8);
	fclose(f);
}

/*
 * Proves: the mapping of a lease is out of core dumps, does not grow, and is not
 * inherited, not even by entries that fork copies; and may not be dumped again.
 */
static void mapping__in_smaps__has_its_flags(const void *unused)
{
	static const char *const of_lease[] = { " dd ", " dc ", " de " };
	char flags[512];
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	for (unsigned int i = 0; i < 3; i++) {
		vm_flags(flags, sizeof(flags), h.map + PAGE);
		expect(flags, "%s", of_lease[i]);
		CHECK(!strstr(flags, " mm ")); /* VM_MIXEDMAP */
		vm_flags(flags, sizeof(flags), h.anchor + PAGE);
		CHECK(!strstr(flags, of_lease[i]));
	}
	CHECK_ERRNO(madvise(h.map, h.length, MADV_DODUMP), EINVAL);
	vm_flags(flags, sizeof(flags), h.map + PAGE);
	expect(flags, " dd ");
	CHECK_EQ(holder_release(&h), 0);
}

static const struct suite_case cases[] = {
	SUITE_CASE(list__through_a_break__tells_state),
	SUITE_CASE(trace__through_a_kill__has_each_step),
	SUITE_CASE_LONG(pin__outlives_holder__is_listed_as_stuck),
	SUITE_CASE(mapping__aligned_or_not__huge_where_possible),
	SUITE_CASE(mapping__in_smaps__has_its_flags),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
