// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Whoever moves blocks comes while a lease is taken, at each of its steps. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "holder.h"
#include "ops.h"
#include "race.h"
#include "suite.h"

#define STEPS_MAX 100
/* At the step after this one the file is counted in nrpages. */
#define STEP_ACCOUNT 5
/* So long the mover has to come in the pause. */
#define ARRIVAL_MS 60
#define PAGE 4096UL

struct mover {
	file_op op;
	bool reflink;
	bool swaps; /* does not wait, but is refused */
};

/* How many movers were through before the lease, and how many it had to tell. */
struct tally {
	unsigned int refused, before, told;
};

static bool nobody_holds(void *unused)
{
	return !holder_exists(unused);
}

static bool try_map(struct holder *h)
{
	h->map = mmap(NULL, h->length, PROT_READ | PROT_WRITE, MAP_SHARED, h->lease, 0);
	return h->map != MAP_FAILED;
}

/* What the lease shows is the file: the anchor has it in the same places. */
static void check_pages(struct holder *h)
{
	CHECK(try_map(h));
	for (size_t i = 0; i < h->length; i += PAGE)
		h->map[i] = 1 + i / PAGE % 100;
	for (size_t i = 0; i < h->length; i += PAGE)
		CHECK_EQ(h->anchor[i], 1 + i / PAGE % 100);
	CHECK(!munmap(h->map, h->length));
}

struct pair {
	struct holder *h;
	struct breaker *b;
};

static bool is_told_or_over(void *arg)
{
	struct pair *p = arg;

	return holder_has_event(p->h) || !breaker_waits(p->b, 0);
}

/* The lease was had: the mover is through, or the holder is told of it. */
static void check_lease(struct holder *h, struct breaker *b, struct tally *sum)
{
	struct pair p = { h, b };
	struct mapdirect_event ev;

	CHECK(wait_until(is_told_or_over, &p, SUITE_WAIT_MS));
	if (holder_has_event(h)) {
		holder_event(h, &ev);
		CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
		CHECK_EQ(holder_status(h).state, MAPDIRECT_STATE_BREAKING);
		CHECK(!try_map(h) && errno == EAGAIN);
		sum->told++;
	} else {
		CHECK_EQ(holder_status(h).state, MAPDIRECT_STATE_LIVE);
		check_pages(h);
		sum->before++;
	}
}

/*
 * Cut or punched before it was looked at, or cut before it was faulted in; or its blocks
 * are shared by then; or a break was seen.
 */
static bool is_known(int err)
{
	return err == ENXIO || err == ENODATA || err == EFAULT || err == EMLINK || err == EAGAIN;
}

/* False: taking a lease has no such step. */
static bool race(const struct mover *m, const char *fs, unsigned int step, struct tally *sum)
{
	struct holder h;
	struct breaker b;
	struct race r;
	bool paused;
	int err;

	suite_context("on %s, step %u", fs, step);
	holder_file(&h, fs, "leased", OPS_FILE_SIZE);
	holder_anchor(&h, OPS_FROM, OPS_LENGTH);
	paused = race_start(&r, &h, step);
	if (paused) {
		breaker_start(&b, m->op, h.path);
		breaker_waits(&b, ARRIVAL_MS);
	}
	err = race_finish(&r);
	CHECK(!err || (paused && is_known(err)));
	if (paused && err)
		sum->refused++;
	else if (paused)
		check_lease(&h, &b, sum);
	if (paused && m->swaps)
		CHECK_EQ(breaker_end(&b, SUITE_WAIT_MS), step > STEP_ACCOUNT ? EINVAL : 0);
	if (!err)
		holder_release_done(&h);
	if (paused && !m->swaps)
		breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(err || !close(h.lease));
	CHECK(wait_until(nobody_holds, NULL, SUITE_WAIT_MS));
	CHECK(!munmap(h.anchor, h.length) && !close(h.fd) && !unlink(h.path));
	return paused;
}

/*
 * Proves: at whichever step of taking a lease a mover comes, it is through
 * before the lease, which then shows what the file has now; or the lease is
 * refused; or its holder is told before it can map anything. Swapext is refused from
 * the moment when the file is counted.
 */
static void mover__at_each_step__through_or_told(const void *arg)
{
	const struct mover *m = arg;
	struct tally sum = { 0 };
	unsigned int step = 1;

	race_needs_pause();
	while (step < STEPS_MAX && race(m, suite_fs[m->reflink || step % 2], step, &sum))
		step++;
	fprintf(stderr, "%u steps: no lease %u times, mover first %u, told %u\n", step - 1,
		sum.refused, sum.before, sum.told);
	CHECK(step < STEPS_MAX);
	CHECK(sum.refused + sum.before && sum.told);
}

#define MOVER(fn, flag, ...)                                                                       \
	{                                                                                          \
		.name = #fn "__at_each_step_of_lease__through_or_told", .flags = flag,             \
		.run = mover__at_each_step__through_or_told, .arg = &(const struct mover)          \
		{                                                                                  \
			.op = fn, __VA_ARGS__                                                      \
		}                                                                                  \
	}

static const struct suite_case cases[] = {
	MOVER(truncate_to_zero, 0),
	MOVER(write_inside, SUITE_LONG),
	MOVER(punch_inside, SUITE_LONG),
	MOVER(reflink_from, SUITE_LONG, .reflink = true),
	MOVER(swap_with_twin, SUITE_LONG, .swaps = true),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
