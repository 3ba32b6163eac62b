// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Writes that are under way, or still come, when their region goes. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "lib_crowd.h"
#include "suite.h"

/* ---- who writes is killed ------------------------------------------------ */

#define LENGTH (4 * MIB)
#define LARGE (1 * MIB)
#define ROUNDS 10
/* Shorter than the writes that are under way take, so that it ends among them. */
#define BUDGET_MS 100
#define KILLED_WITHIN_MS 200
/* A busy machine may be late, but nothing waits for the dead. */
#define LATE_MS 3000

struct toll {
	int fenced;	  /* rounds in which the peer was not done when it was killed */
	double worst_ms;  /* from the notice of the break to the release */
	double dereg_ms;  /* from the fence on, at worst */
	uint64_t watched; /* bytes of blocks that canaries have got */
};

static int punch_all(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), err;

	if (fd < 0)
		return -1;
	err = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LENGTH);
	close(fd);
	return err;
}

static void note(struct toll *toll, const struct md_event *event)
{
	const struct md_timeline *t = &event->timeline;
	double ms = (t->released - t->noticed) / 1e6;

	lib_check_timeline(t);
	CHECK_EQ(event->n_peers, 1);
	CHECK(!event->peers[0].done == !!event->peers[0].fenced);
	CHECK(ms < BUDGET_MS + LATE_MS);
	if (ms > toll->worst_ms)
		toll->worst_ms = ms;
	if (!t->fenced)
		return;
	CHECK(t->fenced - t->noticed >= BUDGET_MS * 1000000UL);
	toll->fenced++;
	ms = (t->deregistered - t->fenced) / 1e6;
	if (ms > toll->dereg_ms)
		toll->dereg_ms = ms;
}

static struct lib_peer *next_peer(void)
{
	struct lib_peer *p = lib_peer_new(0);

	p->large = LARGE;
	atomic_store(&p->waits, true);
	lib_peer_start(p);
	return p;
}

/* The break takes all blocks, the peer dies in it, and the next one takes its place. */
static void kill_in_break(struct lib_crowd *c, struct lib_peer *next, unsigned int delay_us,
			  struct toll *toll)
{
	pid_t peer = c->s[0].shared->pid;
	struct md_event *event;
	struct extents freed;
	struct breaker b;

	extents_of(&freed, c->l.file.path);
	breaker_start(&b, punch_all, c->l.file.path);
	lib_next(&c->l, MD_EVENT_BREAK);
	usleep(delay_us);
	CHECK(!kill(peer, SIGKILL));
	event = lib_await(&c->l, MD_EVENT_RELEASED); /* the peer's end comes when it comes */
	note(toll, event);
	md_ack_event(event);
	child_killed(peer, SIGKILL, SUITE_WAIT_MS);
	breaker_finish(&b, SUITE_WAIT_MS);
	toll->watched += canary_try(suite_fs[0], &freed);
	lib_crowd_dismiss(c, 0);
	CHECK_MD(!md_restore(c->l.map));
	lib_next(&c->l, MD_EVENT_RESTORED);
	lib_crowd_replace(c, 0, next);
	lib_crowd_wait_writes(c, 0, 4);
}

/*
 * Proves: a peer that is killed in the middle of writes of 1 MiB, somewhere between
 * its recall and the end of its region, holds the break for the drain budget and not
 * longer, reaches no block that the file has lost, and another peer can take its place.
 */
static void lib_stale__writer_killed_in_a_recall__break_ends_and_holder_goes_on(const void *unused)
{
	struct lib_peer *next[ROUNDS];
	struct toll toll = { .fenced = 0 };
	struct lib_crowd c;

	(void)unused;
	for (int i = 0; i < ROUNDS; i++)
		next[i] = next_peer();
	lib_crowd_new(&c, 1);
	c.s[0].shared->large = LARGE;
	lib_crowd_begin(&c, LENGTH, MD_MAP_ALLOCATE, BUDGET_MS);
	lib_crowd_wait_writes(&c, 0, 4);
	for (int i = 0; i < ROUNDS; i++)
		kill_in_break(&c, next[i], i % 2 ? rand() % (KILLED_WITHIN_MS * 1000) : 0, &toll);
	lib_crowd_end(&c);
	fprintf(stderr,
		"killed in %d recalls, in %d of them among its writes; at worst %.1f ms, of which "
		"%.1f after the fence\n",
		ROUNDS, toll.fenced, toll.worst_ms, toll.dereg_ms);
	CHECK(toll.fenced);
	CHECK(toll.watched >= LENGTH);
	CHECK_EQ(canary_changed(suite_fs[0]), 0);
}

/* ---- a key that was ------------------------------------------------------- */

#define OTHERS 2000
#define OLD 0x11
#define NEW 0x22
#define STALE 0x33

/* On a queue pair that is as good as new: a refused write ends it. */
static enum ibv_wc_status write_anew(struct lib *l, uint32_t rkey, char value)
{
	struct rdma_name near = rdma_name(&l->near), far = rdma_name(&l->far);

	rdma_reset(&l->near);
	rdma_reset(&l->far);
	rdma_join(&l->near, &far);
	rdma_join(&l->far, &near);
	return rdma_write(&l->near, (uintptr_t)md_map_addr(l->map), rkey, value);
}

/* One that has this number again, if there is one among so many. */
static struct md_mr *namesake(struct lib *l, uint32_t rkey)
{
	uint64_t start = now_ns();
	struct md_mr *mr = NULL;

	for (int i = 0; i < OTHERS; i++) {
		CHECK_MD(mr = md_reg_mr(l->far.pd, l->map, 0, LIB_PAGE, RDMA_ACCESS));
		if (mr->rkey == rkey)
			return mr;
		CHECK_MD(!md_dereg_mr(mr));
	}
	fprintf(stderr, "none of %d regions has the number, %.2f ms for each\n", OTHERS,
		(now_ns() - start) / 1e6 / OTHERS);
	return NULL;
}

/*
 * Proves: the key of a region that a break has ended is refused, whether there is no
 * lease, the same range is registered again, or thousands of regions were since; with
 * the key that is valid, the same write on the same queue pairs is done. Should one
 * get the old number, it is that region that is written to. rxe counts up to a million
 * (its max_mr) before it gives an index again, and then adds one of 256 random bytes.
 */
static void lib_stale__key_used_after_its_region__reaches_nothing(const void *unused)
{
	struct lib l = { .ctx = lib_context(0, 0, 0) };
	struct extents freed;
	struct breaker b;
	struct md_mr *mr;
	uint32_t stale;

	(void)unused;
	holder_file(&l.file, suite_fs[0], "leased", LENGTH);
	extents_of(&freed, l.file.path);
	lib_take(&l, 0, LENGTH, MD_MAP_ALLOCATE);
	stale = l.mr->rkey;
	CHECK_EQ(write_anew(&l, stale, OLD), IBV_WC_SUCCESS);
	breaker_start(&b, punch_all, l.file.path);
	lib_next(&l, MD_EVENT_BREAK);
	lib_next(&l, MD_EVENT_RELEASED);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(canary_try(suite_fs[0], &freed));
	CHECK_EQ(write_anew(&l, stale, STALE), IBV_WC_REM_ACCESS_ERR);
	CHECK_MD(!md_restore(l.map));
	lib_next(&l, MD_EVENT_RESTORED);
	CHECK(l.mr->rkey != stale);
	CHECK_EQ(write_anew(&l, stale, STALE), IBV_WC_REM_ACCESS_ERR);
	CHECK_EQ(write_anew(&l, l.mr->rkey, NEW), IBV_WC_SUCCESS);
	mr = namesake(&l, stale);
	CHECK_EQ(write_anew(&l, stale, STALE), mr ? IBV_WC_SUCCESS : IBV_WC_REM_ACCESS_ERR);
	CHECK_EQ(bytes_not(l.file.path, 0, LIB_PAGE, mr ? STALE : NEW), 0);
	CHECK_EQ(bytes_not(l.file.path, LIB_PAGE, LENGTH - LIB_PAGE, 0), 0);
	CHECK_EQ(canary_changed(suite_fs[0]), 0);
	CHECK_MD(!md_dereg_mr(mr));
	lib_drop(&l);
}

static const struct suite_case cases[] = {
	SUITE_CASE(lib_stale__writer_killed_in_a_recall__break_ends_and_holder_goes_on),
	SUITE_CASE(lib_stale__key_used_after_its_region__reaches_nothing),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
