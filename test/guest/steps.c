// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Taking a lease, with each of its steps failing once; needs a test build. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "knob.h"
#include "meminfo.h"
#include "suite.h"

#define PAGE (4 * KIB)
/* So much is pinned at a time, as far as to an address that is a multiple of it (extent.c). */
#define BATCH ((size_t)512 * PAGE)

/* The leased file: so many pieces, each an extent of its own. */
struct shape {
	unsigned int pieces;
	size_t piece;
};

static const struct shape small = { 1, 64 * KIB };
/* Three batches, and more extents than the module's array has room for at first. */
static const struct shape scattered = { 17, 256 * KIB };
static const struct shape scattered_pages = { 17, PAGE };

/* The errno of LEASE for each step that fails, in their order. */
struct plan {
	unsigned int steps;
	int errs[64];
};

/* A number from a line "NAME: NUMBER" or the only one of a file; or -1. */
static long number_in(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	long number = -1;
	char line[128];

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), "%ld", &number);
	fclose(f);
	return number;
}

/* A lease that was closed counts until the worker that frees it has come by. */
static bool has_users(void *count)
{
	return number_in("/sys/module/mapdirect/refcnt", "") == *(long *)count;
}

/* After the last step it takes a worker to undo the lease. */
static bool is_leased(void *arg)
{
	struct holder *h = arg;

	h->lease = holder_try_lease(h, 0);
	return h->lease >= 0;
}

/* Nothing of the lease that was not given is left. */
static void check_no_trace(const struct holder *h)
{
	long users = 1; /* who opened the device */
	struct breaker b;

	CHECK(!holder_exists(NULL));
	CHECK_EQ(number_in("/proc/self/status", "VmPin:"), 0);
	CHECK(wait_until(has_users, &users, SUITE_WAIT_MS));
	/* No lease and no pin is in the way of this, and no break is seen. */
	breaker_start(&b, truncate_to_zero, h->path);
	breaker_finish(&b, SUITE_WAIT_MS);
}

/* The file goes with its name and our descriptor: nobody else has it open. */
static void check_forgotten(struct holder *h)
{
	struct pollfd end = { .fd = inotify_init1(IN_CLOEXEC), .events = POLLIN };

	CHECK(inotify_add_watch(end.fd, h->path, IN_DELETE_SELF) >= 0);
	CHECK(!unlink(h->path));
	CHECK_EQ(poll(&end, 1, 0), 0);
	CHECK(!close(h->fd));
	CHECK_EQ(poll(&end, 1, SUITE_WAIT_MS), 1);
	CHECK(!close(end.fd));
}

static void plan_add(struct plan *p, unsigned int steps, int err)
{
	while (steps--)
		p->errs[p->steps++] = err;
}

static uint64_t place_of(const struct extents *e, uint64_t at)
{
	unsigned int i = 0;

	while (e->v[i].logical + e->v[i].length <= at)
		CHECK(++i < e->count);
	return e->v[i].physical + (at - e->v[i].logical);
}

/* Faulted in: the first page of a batch, where it is a whole one, alone. */
static void plan_prefault(struct plan *p, uintptr_t addr, size_t length)
{
	plan_add(p, 1, ENOMEM); /* the page that a batch is listed in */
	for (size_t at = 0; at < length;) {
		size_t room = BATCH - (addr + at) % BATCH;

		plan_add(p, 1, ENOMEM);
		at += room == BATCH ? PAGE : room;
	}
}

/* Pinned for good: in batches, with an array that has room for 8, 16, ... extents. */
static void plan_pin(struct plan *p, const struct extents *e, const struct shape *s, uintptr_t addr)
{
	unsigned int extents = 0, room = 0;

	plan_add(p, 1, ENOMEM); /* the page that a batch is listed in */
	for (size_t at = 0; at < s->pieces * s->piece; at += PAGE) {
		if (!at || (addr + at) % BATCH == 0)
			plan_add(p, 1, ENOMEM);
		if (at && place_of(e, at) == place_of(e, at - PAGE) + PAGE)
			continue;
		if (extents++ == room) {
			plan_add(p, 1, ENOMEM);
			room = room ? 2 * room : 8;
		}
		plan_add(p, 1, ENODEV); /* the device goes away */
	}
	CHECK(extents >= s->pieces);
}

/* @unmapped: who asks whether blocks are shared unmaps the file (cow.c). */
static struct plan plan_make(const struct extents *e, const struct shape *s, uintptr_t addr,
			     bool unmapped)
{
	struct plan p = { 0 };

	plan_add(&p, 2, ENOMEM); /* open, the lease object */
	plan_add(&p, 2, ENOMEM); /* file system and inode of the mapping */
	plan_add(&p, 1, ENOMEM); /* RLIMIT_MEMLOCK */
	plan_add(&p, 2, ENOMEM); /* the layout lease */
	plan_add(&p, 1, ENOMEM); /* whether blocks are shared */
	plan_add(&p, 1, ENOMEM); /* the notifier */
	if (unmapped) {
		plan_add(&p, 2, ENOMEM); /* to list a batch, and the first one */
		plan_prefault(&p, addr, s->pieces * s->piece);
		plan_add(&p, 1, ENOMEM); /* the notifier */
	}
	plan_pin(&p, e, s, addr);
	plan_add(&p, 2, ENOMEM); /* descriptor and file */
	plan_add(&p, 1, EFAULT); /* its number */
	return p;
}

/*
 * With its anchor, which is faulted in: on the second file system for nothing. What was
 * between the pieces has been cut out.
 */
static struct plan file_in_pieces(struct holder *h, const char *fs, const struct shape *s)
{
	struct extents e;

	holder_file(h, fs, "leased", (2 * s->pieces - 1) * s->piece);
	for (unsigned int i = 1; i < s->pieces; i++)
		CHECK(!fallocate(h->fd, FALLOC_FL_COLLAPSE_RANGE, i * s->piece, s->piece));
	holder_anchor(h, 0, s->pieces * s->piece);
	extents_of(&e, h->path); /* writes the file back, which makes its pages read-only */
	CHECK(!madvise(h->anchor, h->length, MADV_POPULATE_WRITE));
	return plan_make(&e, s, (uintptr_t)h->anchor, fs == suite_fs[1]);
}

/* Asks for a lease, of which this step fails: the errno, or 0 if there is none. */
static int fail_at(struct holder *h, unsigned int step)
{
	int err;

	knob_set(KNOB_FAIL_STEP, step);
	h->lease = holder_try_lease(h, 0);
	err = h->lease < 0 ? errno : 0;
	CHECK_EQ(!err, knob_get(KNOB_FAIL_STEP) != 0);
	return err;
}

static void needs_fail_step(void)
{
	if (!knob_exists(KNOB_FAIL_STEP))
		suite_skip("the module is no test build");
	holder_device();
}

/*
 * Proves: whichever step of taking a lease fails, its errno is returned and all
 * before it is undone; and it has the steps that are known here, no less.
 */
static void lease__each_step_fails__no_trace(const void *arg)
{
	needs_fail_step();
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int step = 1;; step++) {
			struct holder h;
			/* The last fput of a file with a wrong nrpages is a BUG. */
			struct plan p = file_in_pieces(&h, suite_fs[i], arg);

			suite_context("on %s, step %u of %u", suite_fs[i], step, p.steps);
			CHECK_EQ(fail_at(&h, step), step > p.steps ? 0 : p.errs[step - 1]);
			if (step <= p.steps)
				CHECK(wait_until(is_leased, &h, SUITE_WAIT_MS));
			CHECK_EQ(holder_release(&h), 0);
			CHECK(!close(h.lease));
			check_no_trace(&h);
			CHECK(!munmap(h.anchor, h.length));
			check_forgotten(&h);
			if (step > p.steps)
				break;
		}
		knob_set(KNOB_FAIL_STEP, 0);
	}
}

#define REPEATS 1000
/*
 * KiB for all repeats of all steps. The smallest thing that a step could leave
 * is an array of extents, of 256 bytes: that would be 250 KiB.
 */
#define REPEATS_MAX 200

static bool no_lease(void *unused)
{
	return !holder_exists(unused);
}

/* How many KiB it costs for good that the steps up to last fail so often. */
static long cost(struct holder *h, unsigned int last, unsigned int repeats, bool leak)
{
	long before = meminfo_kernel();

	for (unsigned int step = 1; step <= last; step++) {
		for (unsigned int i = 0; i < repeats; i++) {
			CHECK(fail_at(h, step));
			if (step == last)
				CHECK(wait_until(no_lease, NULL, SUITE_WAIT_MS));
			if (leak)
				CHECK(eventfd(0, EFD_CLOEXEC) >= 0);
		}
	}
	return meminfo_kernel() - before;
}

/* Proves: a step that fails leaves nothing behind; a small object each time would be seen. */
static void lease__each_step_fails_1000_times__kernel_memory_is_flat(const void *unused)
{
	const struct rlimit files = { REPEATS + 100, REPEATS + 100 };
	struct holder h;
	struct plan p;
	long kib;

	(void)unused;
	needs_fail_step();
	CHECK(!setrlimit(RLIMIT_NOFILE, &files));
	p = file_in_pieces(&h, suite_fs[0], &scattered_pages);
	cost(&h, p.steps, REPEATS / 5, false);
	kib = cost(&h, p.steps, REPEATS, false);
	fprintf(stderr, "%u steps, each %u times: %ld KiB\n", p.steps, REPEATS, kib);
	CHECK(kib < REPEATS_MAX);
	kib = cost(&h, 1, REPEATS, true);
	fprintf(stderr, "one that leaks: %ld KiB\n", kib);
	CHECK(kib > REPEATS_MAX);
}

/*
 * Proves: when the kernel has no memory to break the lease on the truncate's
 * behalf, the holder is told all the same, with the module's cap for a deadline.
 */
static void break__no_memory_to_pass_it_on__deadline_is_the_cap(const void *unused)
{
	(void)unused;
	needs_fail_step();
	knob_set(KNOB_BREAK_CAP, 1000);
	for (unsigned int i = 0; i < 2; i++) {
		struct mapdirect_event ev;
		struct holder h;
		struct breaker b;

		suite_context("on %s", suite_fs[i]);
		holder_file(&h, suite_fs[i], "leased", 64 * KIB);
		holder_take(&h, 0, 64 * KIB);
		knob_set(KNOB_FAIL_STEP, 1);
		breaker_start(&b, truncate_to_zero, h.path);
		holder_event(&h, &ev);
		CHECK_EQ(knob_get(KNOB_FAIL_STEP), 0);
		CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
		CHECK_EQ(ev.reason, MAPDIRECT_REASON_TRUNCATE);
		CHECK(ev.deadline_ns >= ev.time_ns + 1000000000);
		CHECK(ev.deadline_ns < ev.time_ns + 3000000000);
		holder_event(&h, &ev);
		CHECK_EQ(ev.type, MAPDIRECT_EVENT_REVOKED);
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!close(h.lease));
	}
}

#define NO_TRACE(shape, flag)                                                                      \
	{                                                                                          \
		.name = "lease__each_step_fails__no_trace_" #shape,                                \
		.run = lease__each_step_fails__no_trace, .arg = &(shape), .flags = flag            \
	}

static const struct suite_case cases[] = {
	NO_TRACE(small, 0),
	NO_TRACE(scattered, SUITE_LONG),
	SUITE_CASE_LONG(lease__each_step_fails_1000_times__kernel_memory_is_flat),
	SUITE_CASE(break__no_memory_to_pass_it_on__deadline_is_the_cap),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
