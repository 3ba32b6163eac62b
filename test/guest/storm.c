// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A holder that is killed anywhere between taking a lease and having given it back. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "rdma.h"
#include "stream.h"
#include "suite.h"

#define LENGTH (2 * MIB)

/* Where the holder is in its cycle, as it says itself. */
enum phase {
	STARTING,
	LEASING,
	REGISTERING,
	IN_USE,
	GIVING_BACK,
	PHASES
};

static const char *const phase_names[PHASES] = { "starting", "leasing", "registering", "in use",
						 "giving back" };

struct scene {
	struct holder file; /* of it, only path */
	struct stream *stream;
	atomic_int phase;
	atomic_bool cut; /* or soon */
	unsigned int seed;
};

static void nap(unsigned int *seed, unsigned int max_us)
{
	usleep(rand_r(seed) % max_us);
}

/* There is no lease any more for one reason: the file is being cut, or was. */
static bool cut_short(struct scene *s)
{
	int err = errno;

	if (!atomic_load(&s->cut) || (err != EAGAIN && err != ENXIO && err != EFAULT))
		suite_fail(__FILE__, __LINE__, "refused when %s",
			   phase_names[atomic_load(&s->phase)]);
	return false;
}

/* One lease, used and given back. The first is streamed to. False: no lease any more. */
static bool turn(struct scene *s, struct holder *h, struct rdma *r, bool first)
{
	struct ibv_mr *mr;

	atomic_store(&s->phase, LEASING);
	holder_anchor(h, 0, LENGTH);
	h->lease = holder_try_lease(h, 0);
	if (h->lease < 0)
		return cut_short(s);
	h->map = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, h->lease, 0);
	if (h->map == MAP_FAILED)
		return cut_short(s);
	atomic_store(&s->phase, REGISTERING);
	mr = rdma_reg(r, h->map, LENGTH);
	if (!mr)
		return cut_short(s);
	atomic_store(&s->phase, IN_USE);
	if (first)
		stream_serve(s->stream, r, mr);
	nap(&s->seed, 30000);
	atomic_store(&s->phase, GIVING_BACK);
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	holder_release_done(h);
	CHECK(!munmap(h->map, LENGTH) && !munmap(h->anchor, LENGTH) && !close(h->lease));
	return true;
}

/* The holder's process. When a truncate was quicker, it waits for its end. */
static void cycle(void *arg)
{
	struct scene *s = arg;
	struct holder h = s->file;
	struct rdma r;

	rdma_open(&r);
	h.fd = open(h.path, O_RDWR | O_CLOEXEC);
	CHECK(h.fd >= 0);
	for (bool first = true; turn(s, &h, &r, first); first = false)
		;
	for (;;)
		pause();
}

static bool has_begun(void *arg)
{
	return atomic_load(&((struct scene *)arg)->phase) != STARTING;
}

static bool nobody_holds(void *unused)
{
	return !holder_exists(unused);
}

static void stream_end(struct stream *s)
{
	if (atomic_load(&s->holder_ready)) {
		stream_stop(s, SUITE_WAIT_MS);
	} else { /* it was never told where to write */
		CHECK(!kill(s->pid, SIGKILL));
		child_killed(s->pid, SIGKILL, SUITE_WAIT_MS);
	}
}

/* Some time after it began, and then as soon as it is in the phase that is aimed at. */
static void await(struct scene *s, enum phase aim)
{
	uint64_t end = now_ns() + SUITE_WAIT_MS * 1000000ULL;

	if (aim == STARTING)
		return;
	CHECK(wait_until(has_begun, s, SUITE_WAIT_MS));
	nap(&s->seed, 60000);
	while (aim != PHASES && atomic_load(&s->phase) != (int)aim) {
		CHECK(now_ns() < end);
		sched_yield();
	}
}

/* Aimed at a phase, or at any: PHASES. Returns the phase in which the holder was killed. */
static enum phase strike(struct scene *s, const char *fs, enum phase aim)
{
	struct extents extents;
	struct breaker b;
	enum phase phase;
	bool early;
	pid_t holder;

	holder_file(&s->file, fs, "leased", LENGTH);
	extents_of(&extents, s->file.path);
	atomic_store(&s->phase, STARTING);
	atomic_store(&s->cut, false);
	s->stream = stream_start();
	holder = child_start(cycle, s);
	await(s, aim);
	early = aim == PHASES && rand_r(&s->seed) % 2;
	if (early) {
		atomic_store(&s->cut, true);
		breaker_start(&b, truncate_to_zero, s->file.path);
		nap(&s->seed, 6000);
	}
	phase = atomic_load(&s->phase);
	CHECK(!kill(holder, SIGKILL));
	if (!early)
		breaker_start(&b, truncate_to_zero, s->file.path);
	breaker_finish(&b, SUITE_WAIT_MS);
	canary_take(fs, &extents);
	stream_end(s->stream);
	CHECK_EQ(canary_changed(fs), 0);
	child_killed(holder, SIGKILL, SUITE_WAIT_MS);
	CHECK(wait_until(nobody_holds, NULL, SUITE_WAIT_MS));
	canary_drop(fs);
	CHECK(!unlink(s->file.path) && !close(s->file.fd));
	return phase;
}

static void storm(unsigned int rounds)
{
	struct scene *s = shared_new(sizeof(*s));
	const char *given = getenv("MD_TEST_SEED");
	unsigned int met[PHASES] = { 0 }, writes = 0, seed;

	seed = given ? (unsigned int)strtoul(given, NULL, 0) : (unsigned int)time(NULL);
	for (unsigned int i = 0; i < rounds; i++) {
		s->seed = seed + i;
		suite_context("MD_TEST_SEED=%u, round %u", seed, i);
		/* Half of them aimed at each phase in turn, on either file system. */
		met[strike(s, suite_fs[i % 2], i / 2 % 2 ? i / 4 % PHASES : PHASES)]++;
		writes += atomic_load(&s->stream->writes);
	}
	fprintf(stderr, "%u writes of the peers; killed while", writes);
	for (int i = 0; i < PHASES; i++)
		fprintf(stderr, " %s: %u%s", phase_names[i], met[i], i < PHASES - 1 ? "," : "\n");
	for (int i = 0; i < PHASES; i++)
		CHECK(met[i]);
	CHECK(writes);
}

/*
 * Proves: wherever SIGKILL finds a holder with a peer that writes, the breaker
 * goes on, no byte of who gets the blocks is changed, and no lease is left.
 */
static void kill__anywhere_in_the_cycle__no_trace(const void *rounds)
{
	storm(*(const unsigned int *)rounds);
}

static const unsigned int few = 25, many = 50;

/* In parts: no case may take for ever. */
#define PART(n, flag)                                                                              \
	{                                                                                          \
		.name = "kill__anywhere_in_the_cycle__no_trace_often_" #n,                         \
		.run = kill__anywhere_in_the_cycle__no_trace, .arg = &many, .flags = flag          \
	}

static const struct suite_case cases[] = {
	{ "kill__anywhere_in_the_cycle__no_trace", kill__anywhere_in_the_cycle__no_trace, &few, 0 },
	PART(1, SUITE_LONG),
	PART(2, SUITE_EXTRA),
	PART(3, SUITE_EXTRA),
	PART(4, SUITE_EXTRA),
	PART(5, SUITE_EXTRA),
	PART(6, SUITE_EXTRA),
	PART(7, SUITE_EXTRA),
	PART(8, SUITE_EXTRA),
	PART(9, SUITE_EXTRA),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
