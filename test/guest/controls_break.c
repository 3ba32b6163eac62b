// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What makes a break end, for all who are in it: without it, somebody hangs. */
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "control.h"
#include "knob.h"
#include "ops.h"
#include "pin.h"
#include "race.h"
#include "stream.h"
#include "suite.h"

#define LENGTH CONTROL_LENGTH

static bool told_nothing(const struct holder *h)
{
	struct pollfd event = { .fd = h->lease, .events = POLLIN };

	return poll(&event, 1, NEVER_MS) == 0;
}

/* The scene's file is cut. Damage: the breaker waits, and the holder is told nothing. */
static void cut_untold(struct stage *s, bool *damage)
{
	struct breaker b;

	breaker_start(&b, truncate_to_zero, s->h.path);
	*damage = told_nothing(&s->h);
	CHECK(breaker_waits(&b, 0));
	CHECK_EQ(ibv_dereg_mr(s->mr), 0);
	holder_release_done(&s->h);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!unlink(s->h.path));
}

static void play_truncate(bool *damage)
{
	struct stage s;

	stage_set(&s);
	cut_untold(&s, damage);
}

/* The anchor goes, but the file is mapped elsewhere, where nobody watches. */
static void play_unmap(bool *damage)
{
	struct stage s;
	char *other;

	stage_set(&s);
	other = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, s.h.fd, 0);
	CHECK(other != MAP_FAILED && touch(other));
	CHECK(!munmap(s.h.anchor, LENGTH));
	cut_untold(&s, damage);
}

/* So long who comes in a pause of the module has time to come. */
#define ARRIVAL_MS 100

/* A truncate that comes where the lease is armed, if its pages are pinned before that. */
#define STEP_ARM_LATE 12

static void play_acquire(bool *damage)
{
	struct breaker b;
	struct holder h;
	struct race r;

	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_anchor(&h, 0, LENGTH);
	CHECK(!madvise(h.anchor, h.length, MADV_POPULATE_WRITE));
	CHECK(race_start(&r, &h, STEP_ARM_LATE));
	breaker_start(&b, truncate_to_zero, h.path);
	CHECK(breaker_waits(&b, ARRIVAL_MS));
	CHECK_EQ(race_finish(&r), 0);
	*damage = told_nothing(&h);
	CHECK(breaker_waits(&b, 0));
	holder_release_done(&h);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!unlink(h.path));
}

/*
 * A reflink that comes when the lease is armed, and the pages, which were not mapped and
 * had to be faulted in, are not pinned yet.
 */
#define STEP_PIN 18

/* Damage: a lease that is in a break is given as a good one, and can be mapped. */
static void play_acquire_broken(bool *damage)
{
	struct breaker b;
	struct holder h;
	struct race r;

	holder_file(&h, suite_fs[1], "leased", OPS_FILE_SIZE);
	holder_anchor(&h, OPS_FROM, OPS_LENGTH);
	CHECK(race_start(&r, &h, STEP_PIN));
	breaker_start(&b, reflink_from, h.path);
	CHECK(breaker_waits(&b, ARRIVAL_MS));
	if (race_finish(&r)) {
		CHECK_EQ(r.err, EAGAIN);
	} else {
		h.map = mmap(NULL, h.length, PROT_READ | PROT_WRITE, MAP_SHARED, h.lease, 0);
		*damage = h.map != MAP_FAILED && touch(h.map) && breaker_waits(&b, 0);
		holder_release_done(&h);
	}
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!unlink(h.path));
}

/* A lease that is there again before the breaker of the last one wakes up. */
static void play_next_lease(bool *damage)
{
	struct breaker b;
	struct holder h, next;

	child_schedule(SCHED_FIFO);
	holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
	holder_take(&h, OPS_FROM, OPS_LENGTH);
	next = h;
	breaker_start(&b, write_inside, h.path);
	CHECK(!told_nothing(&h));
	CHECK(breaker_waits(&b, 50));
	CHECK(!holder_release(&h));
	do
		next.lease = holder_try_lease(&next, 0);
	while (next.lease < 0 && errno == EAGAIN);
	CHECK(next.lease >= 0);
	child_schedule(SCHED_OTHER);
	CHECK(breaker_waits(&b, 100));
	*damage = told_nothing(&next);
	holder_release_done(&next);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!unlink(h.path));
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
static void stop_holder(unsigned int break_time, bool *damage)
{
	struct stream *stream = stream_start();
	char path[128];
	struct breaker b;
	pid_t holder;

	knob_set(KNOB_LEASE_BREAK_TIME, break_time);
	knob_set(KNOB_BREAK_CAP, 1000);
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

static void play_stop(bool *damage)
{
	stop_holder(1, damage);
}

static void play_stop_without_time(bool *damage)
{
	stop_holder(0, damage);
}

/* Damage: the breaker, who waits for the holder, keeps it from ending. */
static void play_kill(bool *damage)
{
	struct stream *stream = stream_start();
	char path[128];
	struct breaker b;
	pid_t holder;

	suite_path(path, sizeof(path), suite_fs[0], "leased");
	holder = child_start(hold, stream);
	stream_wait_writes(stream, 10);
	breaker_start(&b, truncate_to_zero, path);
	CHECK(breaker_waits(&b, 300));
	CHECK(!kill(holder, SIGKILL));
	*damage = !child_wait(holder, NEVER_MS, NULL);
	if (*damage)
		child_killed(holder, SIGKILL, SUITE_WAIT_MS);
	breaker_finish(&b, SUITE_WAIT_MS);
	stream_wait_end(stream);
	CHECK(!unlink(path));
}

/* Damage: the program that the holder's process runs by now is killed. */
static void play_exec(bool *damage)
{
	struct breaker b;
	struct pin pin;
	pid_t holder;

	knob_set(KNOB_LEASE_BREAK_TIME, 1);
	holder = pin_start(&pin, pin_then_exec);
	breaker_start(&b, truncate_to_zero, pin.path);
	CHECK(wait_until(holder_is_stuck, NULL, SUITE_WAIT_MS));
	*damage = child_wait(holder, NEVER_MS, NULL);
	pin_drop(&pin);
	breaker_finish(&b, SUITE_WAIT_MS);
	if (!*damage) {
		CHECK(!kill(holder, SIGTERM));
		child_killed(holder, SIGTERM, SUITE_WAIT_MS);
	}
	CHECK(!unlink(pin.path));
}

struct beside {
	char path[128];
	atomic_bool leased;
};

/* The second half of the file, in use until death. */
static void hold_beside(void *arg)
{
	struct beside *b = arg;
	struct holder h = { .fd = open(b->path, O_RDWR | O_CLOEXEC) };
	struct rdma r;

	CHECK(h.fd >= 0);
	rdma_open(&r);
	holder_take(&h, LENGTH / 2, LENGTH / 2);
	CHECK(rdma_reg(&r, h.map, LENGTH / 2));
	atomic_store(&b->leased, true);
	for (;;)
		pause();
}

static bool is_leased(void *b)
{
	return atomic_load(&((struct beside *)b)->leased);
}

/* Damage: the end of one holder breaks the lease of another. */
static void play_exit(bool *damage)
{
	struct beside *b = shared_new(sizeof(*b));
	struct holder h;
	pid_t other;

	holder_file(&h, suite_fs[0], "leased", LENGTH);
	strcpy(b->path, h.path);
	holder_take(&h, 0, LENGTH / 2);
	other = child_start_with_files(hold_beside, b);
	CHECK(wait_until(is_leased, b, SUITE_WAIT_MS));
	CHECK(!kill(other, SIGKILL));
	child_killed(other, SIGKILL, SUITE_WAIT_MS);
	*damage = !told_nothing(&h);
	CHECK_EQ(holder_release(&h), 0);
	CHECK(!unlink(h.path));
}

#define HAS_LEASED 2 /* a failed check ends with 1 */

static void try_beside(void *arg)
{
	struct beside *b = arg;
	struct holder h = { .fd = open(b->path, O_RDWR | O_CLOEXEC) };
	int err;

	CHECK(h.fd >= 0);
	holder_anchor(&h, LENGTH / 2, LENGTH / 2);
	if (holder_try_lease(&h, 0) >= 0)
		_exit(HAS_LEASED);
	err = errno;
	CHECK(err == EAGAIN || err == ENXIO);
}

/*
 * Damage: who asks for a lease in a break sleeps until that is over. It may get the
 * lease then, as a breaker that was woken has yet to lock the file again.
 */
static void play_sleep(bool *damage)
{
	struct beside *beside = shared_new(sizeof(*beside));
	struct breaker b;
	struct holder h;
	int status = 0;
	pid_t other;

	holder_file(&h, suite_fs[0], "leased", LENGTH);
	strcpy(beside->path, h.path);
	holder_take(&h, 0, LENGTH / 2);
	breaker_start(&b, truncate_to_zero, h.path);
	CHECK(!told_nothing(&h));
	other = child_start_with_files(try_beside, beside);
	*damage = !child_wait(other, NEVER_MS, &status);
	CHECK_EQ(status, 0);
	holder_release_done(&h);
	breaker_finish(&b, SUITE_WAIT_MS);
	if (*damage) {
		CHECK(child_wait(other, SUITE_WAIT_MS, &status));
		CHECK(!status || (WIFEXITED(status) && WEXITSTATUS(status) == HAS_LEASED));
	}
	CHECK(!unlink(h.path));
}

/* What a child can do with the lease. */
static void use_inherited(void *arg)
{
	struct holder *h = arg;

	if (touch(h->map))
		_exit(1);
	_exit(holder_release(h) ? 0 : 1);
}

/* Damage: a child has the use of its parent's lease. */
static void play_fork(bool *damage)
{
	struct holder h;
	int status;

	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	CHECK(!madvise(h.map, h.length, MADV_DOFORK));
	CHECK(child_wait(child_start_with_files(use_inherited, &h), SUITE_WAIT_MS, &status));
	*damage = status;
	CHECK(!unlink(h.path));
}

static bool is_there(char *page)
{
	unsigned char vec;

	CHECK(!mincore(page, 4 * KIB, &vec));
	return vec & 1;
}

/* Damage: the end of one lease takes the pages of another from their place. */
static void play_two_leases(bool *damage)
{
	struct holder h, other;

	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_file(&other, suite_fs[0], "other", LENGTH);
	holder_take(&h, 0, LENGTH);
	holder_take(&other, 0, LENGTH);
	CHECK(touch(h.map) && touch(other.map));
	CHECK(is_there(h.map) && is_there(other.map));
	CHECK_EQ(holder_release(&h), 0);
	CHECK(!is_there(h.map));
	*damage = !is_there(other.map);
	CHECK_EQ(holder_release(&other), 0);
	CHECK(!unlink(h.path) && !unlink(other.path));
}

static const struct suite_case cases[] = {
	CONTROL(NOTIFIER, play_truncate, "truncate"),
	CONTROL(UNMAP, play_unmap, "anchor_unmapped"),
	CONTROL(ACQUIRE_ORDER, play_acquire, "truncate_in_acquire"),
	CONTROL(RETRY, play_acquire_broken, "reflink_in_acquire"),
	CONTROL(NEXT_LEASE, play_next_lease, "breaker_wakes_late"),
	CONTROL_LONG(KILL, play_stop, "holder_stopped"),
	CONTROL_LONG(CAP, play_stop_without_time, "lease_break_time_0"),
	CONTROL_LONG(NO_WAIT, play_kill, "holder_killed"),
	CONTROL_LONG(GONE, play_exec, "holder_execs"),
	CONTROL(EXIT, play_exit, "one_of_two_ends"),
	CONTROL(TRY_LOCK, play_sleep, "lease_asked_in_break"),
	CONTROL(HOLDER, play_fork, "child"),
	CONTROL(OWN_INODE, play_two_leases, "two_leases"),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
