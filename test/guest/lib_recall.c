// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Breaks with peers in processes of their own, over the library's connections. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "knob.h"
#include "lib_crowd.h"
#include "ops.h"
#include "stream.h"
#include "suite.h"

#define PEERS 8
#define LENGTH (1 * MIB)
#define BREAKS 10
#define DEADLINE_S 45
/* Guests are slow, other guests run beside them, and there are nine or 17 processes in it. */
#define BUDGET_MS 12000

struct figures {
	double break_ms[BREAKS * 4], pause_ms[LIB_PEERS_MAX * LIB_PEER_PAUSES];
	int breaks, pauses;
};

/* Who was late, and with what, in ms from the notice of the break on. */
static void fail_for_late(const struct lib_crowd *c, const struct md_event *released, int i)
{
	const struct md_peer_timeline *t = &released->peers[i];
	const struct lib_peer *p = c->s[i].shared;
	double from = released->timeline.noticed / 1e6;

	suite_fail(__FILE__, __LINE__,
		   "peer %d was fenced: told after %.0f, %s after %.0f; posted %u, completed %u, "
		   "failed %u, answers %u of %u",
		   i, t->told / 1e6 - from, t->acked ? "acknowledged" : "not acknowledged",
		   (t->acked ? t->acked : t->fenced) / 1e6 - from, atomic_load(&p->posted),
		   atomic_load(&p->writes), atomic_load(&p->errors), atomic_load(&p->persisted),
		   atomic_load(&p->asked));
}

/* The lease goes, and each peer was waited for; none is late. */
static void see_released(struct lib_crowd *c, struct figures *f)
{
	struct md_event *event;

	lib_next(&c->l, MD_EVENT_BREAK);
	event = lib_await(&c->l, MD_EVENT_RELEASED);
	CHECK_EQ(event->n_peers, c->count);
	for (int i = 0; i < c->count; i++) {
		if (!event->peers[i].done)
			fail_for_late(c, event, i);
		CHECK(event->peers[i].done <= event->timeline.deregistered);
	}
	CHECK(!event->timeline.fenced);
	lib_check_timeline(&event->timeline);
	if (f->breaks < BREAKS * 4)
		f->break_ms[f->breaks++] =
			(event->timeline.released - event->timeline.broken) / 1e6;
	md_ack_event(event);
}

/* One change of the file; it may come again, if it was too late for one lease. */
static void break_once(struct lib_crowd *c, struct figures *f)
{
	struct breaker b;

	breaker_start(&b, ops_append, c->l.file.path);
	do {
		see_released(c, f);
		lib_next(&c->l, MD_EVENT_RESTORED);
	} while (lib_broken_again(&c->l, &b));
	breaker_finish(&b, SUITE_WAIT_MS);
}

static void say(const char *what, double *ms, int count)
{
	double median = lib_median(ms, count);

	fprintf(stderr, "%s: median %.1f ms of %d (%.1f to %.1f)\n", what, median, count, ms[0],
		ms[count - 1]);
	CHECK(median < DEADLINE_S * 1000 / 4.0);
}

static void check_and_say(struct lib_crowd *c, struct figures *f)
{
	lib_crowd_check(c, 0);
	for (int i = 0; i < c->count; i++) {
		struct lib_peer *p = c->s[i].shared;

		CHECK(atomic_load(&p->persisted) > (unsigned int)f->breaks);
		CHECK(atomic_load(&p->grants) > (unsigned int)f->breaks);
		for (unsigned int n = 0; n < atomic_load(&p->pauses); n++)
			f->pause_ms[f->pauses++] = p->pause_ns[n] / 1e6;
	}
	say("breaker's wait", f->break_ms, f->breaks);
}

static void break_each_second(int peers, int breaks, unsigned int depth, unsigned int writes)
{
	static struct figures f;
	struct lib_crowd c;

	knob_set(KNOB_LEASE_BREAK_TIME, DEADLINE_S);
	lib_crowd_new(&c, peers);
	for (int i = 0; i < peers; i++)
		c.s[i].shared->depth = depth;
	lib_crowd_begin(&c, LENGTH, MD_MAP_RESTORE | MD_MAP_ALLOCATE, BUDGET_MS);
	for (int i = 0; i < breaks; i++) {
		break_once(&c, &f);
		lib_crowd_wait_writes(&c, 0, writes);
		/* A lease that is broken again within a second is not taken back at once. */
		sleep(1);
	}
	check_and_say(&c, &f);
	say("pause of a peer", f.pause_ms, f.pauses);
	lib_crowd_end(&c);
}

/*
 * Proves: eight peers that write all the time and cooperate lose no queue pair and
 * no write in ten breaks, and each break takes a small part of the deadline.
 */
static void lib_recall__eight_peers_cooperate__no_queue_pair_lost(const void *unused)
{
	(void)unused;
	break_each_second(PEERS, BREAKS, LIB_PEER_DEPTH, 20);
}

/* Proves: so it is with sixteen, which write two pages at a time, in three breaks. */
static void lib_recall__sixteen_peers_broken_each_second__none_is_fenced(const void *unused)
{
	(void)unused;
	break_each_second(LIB_PEERS_MAX, 3, 2, 2);
}

/* ---- blocks that are taken away ------------------------------------------ */

/* What is taken is from here to the end of what is leased. */
#define TAKEN_FROM (LENGTH / 2)
#define TAKINGS 6

static int punch_half(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), err;

	if (fd < 0)
		return -1;
	err = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, TAKEN_FROM,
			LENGTH - TAKEN_FROM);
	close(fd);
	return err;
}

static int cut_half(const char *path)
{
	return truncate(path, TAKEN_FROM) || truncate(path, LENGTH) ? -1 : 0;
}

struct taking {
	struct lib_crowd c;
	struct figures f;
	unsigned int since[PEERS]; /* the last record that may have been taken */
	uint64_t taken, watched;   /* bytes of blocks, and those that canaries have got */
};

/* Somebody takes half of the blocks, and others get them before the lease comes back. */
static void take_blocks(struct taking *t, file_op op)
{
	struct lib_crowd *c = &t->c;
	struct extents had, left, freed;
	struct breaker b;

	extents_of(&had, c->l.file.path);
	breaker_start(&b, op, c->l.file.path);
	see_released(c, &t->f);
	for (int i = 0; i < c->count; i++)
		t->since[i] = atomic_load(&c->s[i].shared->posted);
	breaker_finish(&b, SUITE_WAIT_MS);
	extents_of(&left, c->l.file.path);
	extents_minus(&freed, &had, &left);
	CHECK_EQ(extents_common(&freed, &freed), LENGTH - TAKEN_FROM);
	t->taken += LENGTH - TAKEN_FROM;
	t->watched += canary_try(suite_fs[0], &freed);
	CHECK_MD(!md_restore(c->l.map));
	lib_next(&c->l, MD_EVENT_RESTORED);
	lib_crowd_wait_writes(c, 0, 16);
}

static unsigned int count_lost(const struct taking *t)
{
	unsigned int lost = 0;

	for (int i = 0; i < t->c.count; i++)
		lost += lib_peer_lost(t->c.s[i].shared, t->c.l.file.path, LENGTH, TAKEN_FROM,
				      t->since[i]);
	return lost;
}

/* Would it be seen? A page that loses its record is one, with another's it is one, too. */
static void check_the_count(const struct taking *t)
{
	int fd = t->c.l.file.fd;
	char page[LIB_PAGE];

	CHECK_EQ(pread(fd, page, sizeof(page), LIB_PAGE), (ssize_t)sizeof(page));
	CHECK_EQ(pwrite(fd, page, sizeof(page), 0), (ssize_t)sizeof(page));
	CHECK_EQ(count_lost(t), 1);
	memset(page, 0, sizeof(page));
	CHECK_EQ(pwrite(fd, page, sizeof(page), LIB_PAGE), (ssize_t)sizeof(page));
	CHECK_EQ(count_lost(t), 2);
}

/*
 * Proves: eight peers that write sixteen pages at a time, whose file loses half of its
 * blocks six times, change no byte of who gets these blocks, and lose no record
 * that was acknowledged as durable, save those that were taken.
 */
static void lib_recall__blocks_taken_from_eight__none_stray_none_lost(const void *unused)
{
	static struct taking t;

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, DEADLINE_S);
	lib_crowd_new(&t.c, PEERS);
	lib_crowd_begin(&t.c, LENGTH, MD_MAP_ALLOCATE, BUDGET_MS);
	for (int i = 0; i < TAKINGS; i++)
		take_blocks(&t, i % 2 ? cut_half : punch_half);
	check_and_say(&t.c, &t.f);
	lib_crowd_end(&t.c);
	fprintf(stderr, "canaries have got %lu of %lu KiB\n", t.watched / KIB, t.taken / KIB);
	CHECK(t.watched >= t.taken / 4);
	CHECK_EQ(canary_changed(suite_fs[0]), 0);
	CHECK_EQ(count_lost(&t), 0);
	check_the_count(&t);
}

/*
 * Control: what a peer writes into a block that the file has lost is seen. The module
 * lets no region of the file reach it, so it is one of the canary itself; with the
 * module's protection off, controls has it by a region of the file that was.
 */
static void lib_recall__block_of_a_canary_written__is_found_out(const void *unused)
{
	struct extents had, left, freed;
	struct lib l = { 0 };

	(void)unused;
	holder_file(&l.file, suite_fs[0], "leased", LENGTH);
	extents_of(&had, l.file.path);
	CHECK(!punch_half(l.file.path));
	extents_of(&left, l.file.path);
	extents_minus(&freed, &had, &left);
	canary_take(suite_fs[0], &freed);
	CHECK_EQ(canary_changed(suite_fs[0]), 0);
	CHECK(!close(l.file.fd));
	canary_owner(suite_fs[0], &freed, l.file.path, sizeof(l.file.path));
	l.file.fd = open(l.file.path, O_RDWR | O_CLOEXEC);
	CHECK(l.file.fd >= 0);
	l.ctx = lib_context(0, 0, 0);
	lib_take(&l, 0, LIB_PAGE, 0);
	lib_write(&l, 0, STREAM_BYTE);
	lib_drop(&l);
	CHECK_EQ(canary_changed(suite_fs[0]), LIB_PAGE);
}

/* ---- a peer that does not answer ----------------------------------------- */

static bool was_fenced(void *arg)
{
	struct lib_peer *p = arg;

	return atomic_load(&p->fenced);
}

/*
 * Proves: of eight peers one that is stopped is fenced, after the drain budget and
 * not later; the others keep their queue pairs and go on. When it runs again it
 * learns that it was fenced, and is granted nothing before.
 */
static void lib_recall__one_of_eight_stopped__only_it_is_fenced(const void *unused)
{
	struct lib_peer *stopped;
	struct md_event *event;
	struct lib_crowd c;
	struct breaker b;

	(void)unused;
	lib_crowd_new(&c, PEERS);
	lib_crowd_begin(&c, LENGTH, MD_MAP_RESTORE | MD_MAP_ALLOCATE, BUDGET_MS);
	stopped = c.s[0].shared;
	lib_peer_signal(stopped, SIGSTOP);
	breaker_start(&b, ops_append, c.l.file.path);
	lib_next(&c.l, MD_EVENT_BREAK);
	event = lib_fetch(&c.l, MD_EVENT_QP_FENCED);
	CHECK(event->qp == c.s[0].rdma.qp && event->peer == c.s[0].peer);
	CHECK_EQ(event->reason, MD_REASON_BUDGET);
	md_ack_event(event);
	event = lib_fetch(&c.l, MD_EVENT_RELEASED);
	for (int i = 0; i < PEERS; i++) {
		suite_context("peer %d", i);
		CHECK_EQ(!!event->peers[i].fenced, i == 0);
		CHECK_EQ(!event->peers[i].done, i == 0);
	}
	fprintf(stderr, "fenced %.1f ms after the break was noticed\n",
		(event->timeline.fenced - event->timeline.noticed) / 1e6);
	CHECK(event->timeline.fenced - event->timeline.noticed >= BUDGET_MS * 1000000UL);
	CHECK(event->timeline.fenced - event->timeline.noticed < 2 * BUDGET_MS * 1000000UL);
	md_ack_event(event);
	breaker_finish(&b, SUITE_WAIT_MS);
	lib_next(&c.l, MD_EVENT_RESTORED);
	lib_crowd_wait_writes(&c, 1, 20);
	CHECK_EQ(atomic_load(&stopped->fenced), 0);
	lib_peer_signal(stopped, SIGCONT);
	CHECK(wait_until(was_fenced, stopped, SUITE_WAIT_MS));
	lib_crowd_check(&c, 1);
	lib_crowd_end(&c);
}

static const struct suite_case cases[] = {
	SUITE_CASE(lib_recall__eight_peers_cooperate__no_queue_pair_lost),
	SUITE_CASE_LONG(lib_recall__sixteen_peers_broken_each_second__none_is_fenced),
	SUITE_CASE(lib_recall__blocks_taken_from_eight__none_stray_none_lost),
	SUITE_CASE(lib_recall__block_of_a_canary_written__is_found_out),
	SUITE_CASE(lib_recall__one_of_eight_stopped__only_it_is_fenced),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
