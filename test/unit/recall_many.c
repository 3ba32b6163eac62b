// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Break after break of a map that a thousand peers were granted: as many as come in
 * some minutes when there is one each second, without waiting for the next second.
 */

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "fixture.h"

#define PEERS 1000
#define BREAKS 20    /* of which as many as there is time for, */
#define BREAKS_MIN 5 /* and at least these */
#define BREAKS_MS 10000
#define BUDGET_MS 20000 /* a sanitizer on a busy machine is slow */
#define PATIENCE_MS 60000
#define QUEUE (16 * MD_MESSAGE_MAX)

enum side {
	HOLDER, /* of the fixture's context, which maps and grants */
	PEER,	/* of one other context, for all of them */
};

/* What one side has sent and the other has not got. */
struct queue {
	pthread_mutex_t lock;
	atomic_size_t length;
	uint8_t bytes[QUEUE];
};

static struct one {
	struct md_peer *peer[2];
	struct queue queue[2]; /* what that side sends */
	struct ibv_qp qp;
	struct md_grant *grant;
} all[PEERS];

static struct md_context *there;
static unsigned int peers;
static uint64_t holder_ns; /* spent by the holder's library, where it has no thread */

/* ---- messages --------------------------------------------------------------- */

static int take(void *arg, const void *message, size_t length)
{
	struct queue *q = arg;
	bool full;

	pthread_mutex_lock(&q->lock);
	full = q->length + length > QUEUE;
	if (!full) {
		memcpy(q->bytes + q->length, message, length);
		q->length += length;
	}
	pthread_mutex_unlock(&q->lock);
	errno = full ? EAGAIN : errno;
	return full ? -1 : 0;
}

static bool deliver(struct one *one, enum side from)
{
	struct queue *q = &one->queue[from];
	uint8_t bytes[QUEUE];
	size_t length;

	if (!q->length)
		return false;
	pthread_mutex_lock(&q->lock);
	length = q->length;
	memcpy(bytes, q->bytes, length);
	q->length = 0;
	pthread_mutex_unlock(&q->lock);
	CU_ASSERT_EQUAL(md_peer_input(one->peer[!from], bytes, length), 0);
	return true;
}

/* All messages that one side has sent, and what comes of them. */
static bool run_from(enum side from)
{
	uint64_t began = md__now();
	bool moved = false;

	for (unsigned int i = 0; i < peers; i++)
		moved |= deliver(&all[i], from);
	if (!threaded)
		md_process(from == HOLDER ? there : ctx);
	if (from == PEER)
		holder_ns += md__now() - began;
	return moved;
}

static void run(void)
{
	bool moved = run_from(HOLDER);

	moved |= run_from(PEER);
	if (!moved && threaded)
		usleep(100);
}

/* ---- events ------------------------------------------------------------------- */

static struct md_event *next_event(struct md_context *of, enum md_event_type type)
{
	const uint64_t end = md__now() + PATIENCE_MS * MD__MSEC;
	struct md_event *event = NULL;

	while (md_get_event(of, &event, 0) && md__now() < end)
		run();
	CU_ASSERT_PTR_NOT_NULL_FATAL(event);
	if (event->type != type)
		printf("\n    expected %s, got %s: %s ", md_event_str(type),
		       md_event_str(event->type), event->message);
	CU_ASSERT_EQUAL_FATAL(event->type, type);
	return event;
}

static void pass(struct md_context *of, enum md_event_type type)
{
	md_ack_event(next_event(of, type));
}

static void pass_of_each(struct md_context *of, enum md_event_type type)
{
	for (unsigned int i = 0; i < peers; i++)
		pass(of, type);
}

/* Each is told that it is recalled, and then granted it again. */
static void pass_recalled_and_granted(void)
{
	unsigned int recalled = 0;

	for (unsigned int i = 0; i < 2 * peers; i++) {
		struct md_event *event = NULL;

		while (md_get_event(there, &event, 0))
			run();
		recalled += event->type == MD_EVENT_RECALLED;
		CU_ASSERT(event->type == MD_EVENT_RECALLED || event->type == MD_EVENT_GRANTED);
		md_ack_event(event);
	}
	CU_ASSERT_EQUAL(recalled, peers);
}

/* ---- cases ---------------------------------------------------------------------- */

static void connect_one(struct one *one)
{
	const struct md_peer_ops ops = { .size = sizeof(ops),
					 .send = take,
					 .verbs = &fake_adapter[0] };

	for (enum side side = HOLDER; side <= PEER; side++) {
		pthread_mutex_init(&one->queue[side].lock, NULL);
		one->queue[side].length = 0;
		one->peer[side] =
			md_peer_new(side == HOLDER ? ctx : there, &ops, &one->queue[side], NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(one->peer[side]);
	}
	for (enum side side = HOLDER; side <= PEER; side++)
		CU_ASSERT_EQUAL(md_peer_connected(one->peer[side]), 0);
}

static void grant_one(struct md_map *map, struct md_mr *mr, unsigned int n)
{
	struct one *one = &all[n];

	one->qp = (struct ibv_qp){
		.context = &fake_adapter[0],
		.qp_num = 0x100 + n,
		.state = IBV_QPS_RTS,
	};
	CU_ASSERT_EQUAL(md_attach_qp(map, &one->qp, one->peer[HOLDER]), 0);
	one->grant = md_grant(one->peer[HOLDER], mr, "data");
	CU_ASSERT_PTR_NOT_NULL_FATAL(one->grant);
}

static void break_once(struct md_map *map)
{
	struct md_event *event;

	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass(ctx, MD_EVENT_BREAK);
	event = next_event(ctx, MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL_FATAL(event->n_peers, peers);
	for (unsigned int i = 0; i < peers; i++) {
		CU_ASSERT_NOT_EQUAL(event->peers[i].done, 0);
		CU_ASSERT_EQUAL(event->peers[i].fenced, 0);
	}
	md_ack_event(event);
	CU_ASSERT_EQUAL(md_restore(map), 0); /* without the pause */
	pass(ctx, MD_EVENT_RESTORED);
	pass_recalled_and_granted();
}

/* All is given back by then: no recall has to be waited for. */
static void end_grants(struct md_map *map, struct md_mr *mr)
{
	CU_ASSERT_EQUAL(md_release(map), 0);
	pass(ctx, MD_EVENT_BREAK);
	pass(ctx, MD_EVENT_RELEASED);
	pass_of_each(there, MD_EVENT_RECALLED);
	for (unsigned int i = 0; i < peers; i++) {
		CU_ASSERT_EQUAL(md_recall(all[i].grant), 0);
		CU_ASSERT_FALSE(fake_qp_fenced(&all[i].qp));
		CU_ASSERT_EQUAL(md_detach_qp(map, &all[i].qp), 0);
	}
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static int earlier(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median_ms(uint64_t *ns, size_t count)
{
	qsort(ns, count, sizeof(*ns), earlier);
	return (double)ns[count / 2] / MD__MSEC;
}

static void connect_and_grant(struct md_map *map, struct md_mr *mr)
{
	uint64_t began = md__now();

	for (unsigned int i = 0; i < peers; i++)
		connect_one(&all[i]);
	pass_of_each(ctx, MD_EVENT_PEER_UP);
	pass_of_each(there, MD_EVENT_PEER_UP);
	for (unsigned int i = 0; i < peers; i++)
		grant_one(map, mr, i);
	pass_of_each(there, MD_EVENT_GRANTED);
	printf("\n    %4u peers: %.1f ms to connect and grant", peers,
	       (double)(md__now() - began) / MD__MSEC);
}

static void break_again_and_again(struct md_map *map)
{
	const uint64_t end = md__now() + BREAKS_MS * MD__MSEC;
	uint64_t whole[BREAKS], holders[BREAKS];
	size_t before = 0, i;

	for (i = 0; i < BREAKS && (i < BREAKS_MIN || md__now() < end); i++) {
		uint64_t began = md__now();

		if (i == 2)
			before = mallinfo2().uordblks;
		holder_ns = 0;
		break_once(map);
		whole[i] = md__now() - began;
		holders[i] = holder_ns;
	}
	CU_ASSERT(mallinfo2().uordblks < before + 16384);
	printf(", %.2f ms for each of %zu breaks", median_ms(whole, i), i);
	if (!threaded)
		printf(", %.2f of them the holder's", median_ms(holders, i));
}

static void break_with(unsigned int count)
{
	struct md_map *map = fixture_map(MD_MAP_RESTORE);
	struct md_mr *mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);

	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	peers = count;
	connect_and_grant(map, mr);
	break_again_and_again(map);
	end_grants(map, mr);
	for (unsigned int i = 0; i < peers; i++) {
		CU_ASSERT_EQUAL(md_peer_close(all[i].peer[HOLDER]), 0);
		CU_ASSERT_EQUAL(md_peer_close(all[i].peer[PEER]), 0);
	}
}

/* What it takes is printed, and not judged: the machine may have other things to do. */
static void breaks__many_peers__all_done_and_granted_again(void)
{
	static const unsigned int count[] = { 10, 100, PEERS };
	const struct md_context_attr attr = {
		.size = sizeof(attr),
		.flags = threaded ? 0 : MD_OPEN_NO_THREAD,
	};

	fixture_reopen(BUDGET_MS, 0);
	there = md_open(&attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(there);
	for (int i = 0; i < 3; i++)
		break_with(count[i]);
	CU_ASSERT_EQUAL(md_close(there), 0);
	printf(" ");
}

static const struct unit_case cases[] = {
	UNIT_CASE(breaks__many_peers__all_done_and_granted_again),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("recall_many", cases, argc, argv);
}
