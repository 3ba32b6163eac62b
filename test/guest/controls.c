// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Negative controls, for a test build of the module: the same scene with one
 * protection on, where nothing bad may be seen, and with it off, where the
 * damage must be seen. So a test that sees no damage means something.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "knob.h"
#include "rdma.h"
#include "stream.h"
#include "suite.h"
#include "swap.h"

/* enum md_protection of the module: bits of its parameter. */
#define NRPAGES (1U << 0)
#define NOTIFIER (1U << 1)
#define DEFER (1U << 2)
#define RELEASE_ORDER (1U << 3)
#define KILL (1U << 4)
#define OVERLAP (1U << 5)

#define LENGTH (4 * MIB)
/* So long without what should happen at once is taken for never. */
#define NEVER_MS 3000

/* A scene sets damage, in a process of its own. */
struct scene {
	unsigned int protection;
	void (*play)(bool *damage);
};

struct run {
	const struct scene *scene;
	bool damage;
};

static void play(void *arg)
{
	struct run *r = arg;

	r->scene->play(&r->damage);
}

static bool damaged(const struct scene *scene)
{
	struct run *r = shared_new(sizeof(*r));

	r->scene = scene;
	child_finish(child_start(play, r));
	return r->damage;
}

static void control(const void *arg)
{
	const struct scene *scene = arg;

	if (!knob_exists(KNOB_UNPROTECTED))
		suite_skip("the module is no test build");
	suite_context("protected");
	CHECK(!damaged(scene));
	suite_context("unprotected");
	knob_set(KNOB_UNPROTECTED, scene->protection);
	CHECK(damaged(scene));
}

/* A leased file in use by a peer, and an idle file beside it. */
struct stage {
	struct holder h;
	struct rdma near, far;
	struct ibv_mr *mr;
	struct extents extents;
};

static void set_up(struct stage *s)
{
	rdma_pair(&s->near, &s->far);
	holder_file(&s->h, suite_fs[0], "leased", LENGTH);
	extents_of(&s->extents, s->h.path);
	holder_take(&s->h, 0, LENGTH);
	s->mr = rdma_reg(&s->far, s->h.map, LENGTH);
	CHECK(s->mr);
}

static void write_all(struct stage *s)
{
	for (size_t i = 0; i < LENGTH; i += 4096)
		CHECK_EQ(rdma_write(&s->near, (uintptr_t)s->mr->addr + i, s->mr->rkey, 0x77),
			 IBV_WC_SUCCESS);
}

/* Damage: what a peer writes to the leased file is found in another. */
static void play_swapext(bool *damage)
{
	struct holder other;
	struct stage s;

	holder_file(&other, suite_fs[0], "other", LENGTH);
	set_up(&s);
	swap_extents(s.h.path, other.path);
	write_all(&s);
	*damage = bytes_not(other.path, 0, LENGTH, 0) > 0;
	CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	CHECK(!unlink(other.path));
	CHECK(!unlink(s.h.path));
}

/* Damage: the breaker waits, and the holder is told nothing. */
static void play_truncate(bool *damage)
{
	struct breaker b;
	struct pollfd event;
	struct stage s;

	set_up(&s);
	event = (struct pollfd){ .fd = s.h.lease, .events = POLLIN };
	breaker_start(&b, truncate_to_zero, s.h.path);
	*damage = poll(&event, 1, NEVER_MS) == 0;
	CHECK(breaker_waits(&b, 0));
	CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	holder_release_done(&s.h);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!unlink(s.h.path));
}

/* Damage: a peer writes to blocks that a canary owns. */
static void write_and_look(struct stage *s, bool *damage)
{
	canary_take(suite_fs[0], &s->extents);
	write_all(s);
	*damage = canary_changed(suite_fs[0]) > 0;
	canary_drop(suite_fs[0]);
}

static void play_forget(bool *damage)
{
	struct breaker b;
	struct stage s;

	set_up(&s);
	CHECK(!munmap(s.h.map, LENGTH));
	CHECK(!munmap(s.h.anchor, LENGTH));
	CHECK(!close(s.h.lease));
	breaker_start(&b, truncate_to_zero, s.h.path);
	if (!breaker_waits(&b, NEVER_MS))
		write_and_look(&s, damage);
	CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!unlink(s.h.path));
}

/* A thread that registers in the middle of RELEASE. */
static void *register_late(void *arg)
{
	struct stage *s = arg;

	poll(NULL, 0, 100);
	s->mr = rdma_reg(&s->far, s->h.map, LENGTH);
	return NULL;
}

static void play_release(bool *damage)
{
	struct breaker b;
	struct stage s;
	pthread_t thread;

	set_up(&s);
	CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	CHECK_EQ(pthread_create(&thread, NULL, register_late, &s), 0);
	holder_release_done(&s.h);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	if (s.mr) {
		CHECK(!munmap(s.h.anchor, LENGTH));
		breaker_start(&b, truncate_to_zero, s.h.path);
		breaker_finish(&b, SUITE_WAIT_MS);
		write_and_look(&s, damage);
		CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	}
	CHECK(!unlink(s.h.path));
}

static void hold(void *arg)
{
	struct ibv_mr *mr;
	struct holder h;
	struct rdma r;

	rdma_open(&r);
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	mr = rdma_reg(&r, h.map, LENGTH);
	CHECK(mr);
	stream_serve(arg, &r, mr);
	for (;;)
		pause();
}

/* Damage: a stopped holder stops its breaker, too. */
static void play_stop(bool *damage)
{
	struct stream *stream = stream_start();
	char path[128];
	struct breaker b;
	pid_t holder;

	knob_set(KNOB_LEASE_BREAK_TIME, 1);
	suite_path(path, sizeof(path), suite_fs[0], "leased");
	holder = child_start(hold, stream);
	stream_wait_writes(stream, 10);
	CHECK(!kill(holder, SIGSTOP));
	breaker_start(&b, truncate_to_zero, path);
	*damage = breaker_waits(&b, 1000 + 2 * NEVER_MS);
	CHECK(!kill(holder, SIGKILL));
	breaker_finish(&b, SUITE_WAIT_MS);
	child_killed(holder, SIGKILL, SUITE_WAIT_MS);
	stream_wait_end(stream);
	CHECK(!unlink(path));
}

static bool released(void *h)
{
	return !holder_release(h);
}

/* Damage: no lease can be released, although nobody registered anything. */
static void play_overlap(bool *damage)
{
	struct holder a, b;

	holder_file(&a, suite_fs[0], "leased", LENGTH);
	b = a;
	holder_take(&a, 0, LENGTH);
	holder_anchor(&b, 0, LENGTH / 2);
	b.lease = holder_try_lease(&b, 0);
	*damage = !wait_until(released, &a, NEVER_MS);
	if (*damage) {
		CHECK(!wait_until(released, &b, NEVER_MS));
		/* There is no way out but to close without a look at the pins. */
		knob_set(KNOB_UNPROTECTED, OVERLAP | DEFER);
		CHECK(!close(a.lease));
		CHECK(!close(b.lease));
	}
	CHECK(!unlink(a.path));
}

#define CONTROL(bit, fn, condition)                                                                \
	{                                                                                          \
		.name = #bit "__" condition "__damage_only_when_off", .run = control,              \
		.arg = &(const struct scene)                                                       \
		{                                                                                  \
			bit, fn                                                                    \
		}                                                                                  \
	}

static const struct suite_case cases[] = {
	CONTROL(NRPAGES, play_swapext, "swapext"),
	CONTROL(NOTIFIER, play_truncate, "truncate"),
	CONTROL(DEFER, play_forget, "region_outlives_lease"),
	CONTROL(RELEASE_ORDER, play_release, "register_in_release"),
	CONTROL(KILL, play_stop, "holder_stopped"),
	CONTROL(OVERLAP, play_overlap, "second_lease"),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
