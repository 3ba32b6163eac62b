// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What keeps RDMA off blocks that the file does not own: without it, damage. */
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "control.h"
#include "knob.h"
#include "race.h"
#include "scratch.h"
#include "signals.h"
#include "stream.h"
#include "suite.h"
#include "swap.h"

#define LENGTH CONTROL_LENGTH
#define NOBODY 65534

/* Damage: what a peer writes to the leased file is found in another. */
static void play_swapext(bool *damage)
{
	struct holder other;
	struct stage s;

	holder_file(&other, suite_fs[0], "other", LENGTH);
	stage_set(&s);
	swap_extents(s.h.path, other.path);
	stage_write(&s);
	*damage = bytes_not(other.path, 0, LENGTH, 0) > 0;
	CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	CHECK(!unlink(other.path));
	CHECK(!unlink(s.h.path));
}

/* The file is cut to nothing. Damage: that does not wait for the region. */
static void cut(struct stage *s, bool *damage)
{
	struct breaker b;

	breaker_start(&b, truncate_to_zero, s->h.path);
	if (!breaker_waits(&b, NEVER_MS))
		*damage = stage_hits_canary(s);
	CHECK_EQ(ibv_dereg_mr(s->mr), 0);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!unlink(s->h.path));
}

static void play_forget(bool *damage)
{
	struct stage s;

	stage_set(&s);
	stage_unmap(&s);
	CHECK(!close(s.h.lease));
	cut(&s, damage);
}

/* The same as seen by campaign: a peer that writes without end, and what canaries can be had. */
static void play_forget_stream(bool *damage)
{
	struct stream *stream = stream_start();
	struct extents extents;
	struct breaker b;
	struct ibv_mr *mr;
	struct holder h;
	struct rdma r;

	rdma_open(&r);
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	extents_of(&extents, h.path);
	holder_take(&h, 0, LENGTH);
	mr = rdma_reg(&r, h.map, LENGTH);
	CHECK(mr);
	stream_serve(stream, &r, mr);
	stream_wait_writes(stream, 10);
	CHECK(!munmap(h.map, LENGTH) && !munmap(h.anchor, LENGTH) && !close(h.lease));
	breaker_start(&b, truncate_to_zero, h.path);
	if (!breaker_waits(&b, NEVER_MS)) {
		CHECK(canary_try(suite_fs[0], &extents));
		stream_wait_writes(stream, LENGTH / 4096);
		*damage = canary_changed(suite_fs[0]) > 0;
		canary_drop(suite_fs[0]);
	}
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	breaker_finish(&b, SUITE_WAIT_MS);
	stream_wait_end(stream);
	CHECK(!unlink(h.path));
}

/* A holder that unmaps, and then lets the deadline pass. */
static void play_ignore(bool *damage)
{
	struct stage s;

	knob_set(KNOB_LEASE_BREAK_TIME, 1);
	stage_set(&s);
	stage_unmap(&s);
	cut(&s, damage);
}

/* A thread that registers in the middle of RELEASE. */
static void *register_late(void *arg)
{
	struct stage *s = arg;

	CHECK(wait_until(race_is_paused, NULL, SUITE_WAIT_MS));
	s->mr = rdma_reg(&s->far, s->h.map, LENGTH);
	race_go_on();
	return NULL;
}

static void play_release(bool *damage)
{
	struct breaker b;
	struct stage s;
	pthread_t thread;

	stage_set(&s);
	CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	knob_set(KNOB_PAUSE_STEP, 1);
	CHECK_EQ(pthread_create(&thread, NULL, register_late, &s), 0);
	holder_release_done(&s.h);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	if (s.mr) {
		CHECK(!munmap(s.h.anchor, LENGTH));
		breaker_start(&b, truncate_to_zero, s.h.path);
		breaker_finish(&b, SUITE_WAIT_MS);
		*damage = stage_hits_canary(&s);
		CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	}
	CHECK(!unlink(s.h.path));
}

/* Maps and registers what a lease on "leased" gives for the anchor in s. */
static bool register_if_leased(struct stage *s, size_t length)
{
	s->h.lease = holder_try_lease(&s->h, 0);
	if (s->h.lease < 0)
		return false;
	s->h.map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, s->h.lease, 0);
	CHECK(s->h.map != MAP_FAILED);
	s->mr = rdma_reg(&s->far, s->h.map, length);
	CHECK(s->mr);
	return true;
}

/* A lease on one file with an anchor that shows another. */
static void play_other_anchor(bool *damage)
{
	struct holder other;
	struct stage s;

	rdma_pair(&s.near, &s.far);
	holder_file(&other, suite_fs[0], "other", LENGTH);
	extents_of(&s.extents, other.path);
	holder_anchor(&other, 0, LENGTH);
	holder_file(&s.h, suite_fs[0], "leased", LENGTH);
	s.h.length = LENGTH;
	s.h.anchor = other.anchor;
	if (register_if_leased(&s, LENGTH)) {
		struct holder leased = s.h;

		stage_unmap(&s);
		s.h = other;
		cut(&s, damage);
		CHECK(!unlink(leased.path));
	}
}

/* A file system that never breaks a layout lease. Damage: it frees the blocks. */
static void play_ext4(bool *damage)
{
	struct breaker b;
	struct stage s;

	rdma_pair(&s.near, &s.far);
	holder_file(&s.h, suite_fs[1], "leased", LENGTH);
	holder_anchor(&s.h, 0, LENGTH);
	if (!register_if_leased(&s, LENGTH))
		return;
	stage_unmap(&s);
	breaker_start(&b, truncate_to_zero, s.h.path);
	if (!breaker_waits(&b, NEVER_MS)) {
		stage_write(&s);
		*damage = true;
	}
	CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	breaker_finish(&b, SUITE_WAIT_MS);
}

/*
 * A file of which the second half is shared. Its first writes by page fault make
 * XFS prepare copies of 128 KiB, of the first half too. Damage: a store through
 * another mapping then moves a block of it, and frees the old one.
 */
static void play_store_near_shared(bool *damage)
{
	const size_t length = 128 * KIB;
	struct file_clone_range half = {
		.src_offset = length / 2,
		.src_length = length / 2,
		.dest_offset = length / 2,
	};
	struct extents before, after, freed;
	struct holder twin;
	struct stage s;
	char *elsewhere;

	rdma_pair(&s.near, &s.far);
	holder_file(&s.h, suite_fs[1], "leased", length);
	holder_file(&twin, suite_fs[1], "twin", length);
	half.src_fd = s.h.fd;
	CHECK(!ioctl(twin.fd, FICLONERANGE, &half));
	elsewhere = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, s.h.fd, 0);
	CHECK(elsewhere != MAP_FAILED);
	holder_anchor(&s.h, 0, length);
	if (!register_if_leased(&s, length)) {
		int error = errno;

		CHECK_EQ(error, EMLINK);
		return;
	}
	extents_of(&before, s.h.path);
	elsewhere[3 * 4096] = 1;
	extents_of(&after, s.h.path);
	extents_minus(&freed, &before, &after);
	if (freed.count) {
		canary_take(suite_fs[1], &freed);
		for (size_t at = 0; at < length; at += 4096)
			CHECK_EQ(rdma_write(&s.near, (uintptr_t)s.mr->addr + at, s.mr->rkey, 0x77),
				 IBV_WC_SUCCESS);
		*damage = canary_changed(suite_fs[1]) > 0;
		canary_drop(suite_fs[1]);
	}
	CHECK_EQ(ibv_dereg_mr(s.mr), 0);
	holder_release_done(&s.h);
	CHECK(!unlink(s.h.path) && !unlink(twin.path));
}

static bool no_holder(void *unused)
{
	return !holder_exists(unused);
}

static void control_on_ext4(const void *arg)
{
	scratch_make("ext4 -q -F", "ext4", "dax=always");
	control(arg);
	CHECK(wait_until(no_holder, NULL, SUITE_WAIT_MS));
	scratch_restore();
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

static unsigned int refused_deletions(void)
{
	FILE *f = popen("dmesg | grep -c 'WARNING: .* md_break_disarm_lease'", "r");
	unsigned int n;

	CHECK(f);
	CHECK_EQ(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static void lose_the_right_and_release(void *path)
{
	struct holder h = { .fd = open(path, O_RDWR | O_CLOEXEC) };

	CHECK(h.fd >= 0);
	holder_take(&h, 0, LENGTH);
	CHECK(!setresuid(NOBODY, NOBODY, NOBODY));
	CHECK_EQ(holder_release(&h), 0);
}

/* Damage: the kernel refuses to delete the lease of who may not take one. */
static void play_setuid(bool *damage)
{
	unsigned int before = refused_deletions();
	struct holder h;

	holder_file(&h, suite_fs[0], "leased", LENGTH);
	child_finish(child_start(lose_the_right_and_release, h.path));
	*damage = refused_deletions() > before;
	CHECK(!unlink(h.path));
}

/* The same, where the file has another owner by then. */
static void play_chown(bool *damage)
{
	unsigned int before = refused_deletions();
	struct holder h;

	holder_file(&h, suite_fs[0], "leased", LENGTH);
	CHECK(!fchown(h.fd, NOBODY, NOBODY));
	CHECK(!seteuid(NOBODY));
	holder_take(&h, 0, LENGTH);
	CHECK(!seteuid(0));
	CHECK(!fchown(h.fd, 1, 1));
	CHECK(!seteuid(NOBODY));
	CHECK_EQ(holder_release(&h), 0);
	CHECK(!seteuid(0));
	*damage = refused_deletions() > before;
	CHECK(!unlink(h.path));
}

/* Damage: what the application set for its descriptor is gone. */
static void play_settings(bool *damage)
{
	struct signals before, after;
	struct holder h;

	holder_file(&h, suite_fs[0], "leased", LENGTH);
	signals_set(h.fd);
	signals_get(h.fd, &before);
	holder_take(&h, 0, LENGTH);
	CHECK_EQ(holder_release(&h), 0);
	signals_get(h.fd, &after);
	*damage = !signals_equal(&before, &after);
	CHECK(!unlink(h.path));
}

static const struct suite_case cases[] = {
	CONTROL_LONG(NRPAGES, play_swapext, "swapext"),
	CONTROL_LONG(DEFER, play_forget, "region_outlives_lease"),
	CONTROL(DEFER, play_forget_stream, "region_in_a_stream_outlives_lease"),
	CONTROL_AS(BREAK_TIME, play_ignore, "deadline_passes", KILL, SUITE_LONG),
	CONTROL(RELEASE_ORDER, play_release, "register_in_release"),
	CONTROL(ANCHOR, play_other_anchor, "anchor_of_other_file"),
	{
		.name = "FILE_SYSTEM__ext4__damage_only_when_off",
		.run = control_on_ext4,
		.arg = &(const struct scene){ FILE_SYSTEM, play_ext4, COW },
	},
	CONTROL(COW, play_store_near_shared, "store_near_shared_blocks"),
	CONTROL_LONG(OVERLAP, play_overlap, "second_lease"),
	CONTROL(CREDENTIALS, play_setuid, "holder_lost_the_right"),
	CONTROL(CREDENTIALS, play_chown, "file_has_another_owner"),
	CONTROL(OWN_FILE, play_settings, "signal_settings"),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
