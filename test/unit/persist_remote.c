// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Remote writes that the holder is asked to make durable. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "granted.h"
#include "peer.h"
#include "service.h"

#define TURN_US 15000 /* longer than anything may go on in one turn */

/* Stands in for libpmem's. */
static atomic_int flushes;
static atomic_bool slow;

void pmem_persist(const void *addr, size_t length)
{
	(void)addr;
	(void)length;
	atomic_fetch_add(&flushes, 1);
	if (atomic_load(&slow))
		usleep(TURN_US);
}

static void expect_persisted(int i, uint64_t wr_id, int error)
{
	struct md_event *event = session_event(&s[i], MD_EVENT_PERSISTED);

	CU_ASSERT_PTR_EQUAL(event->remote, remote[i]);
	CU_ASSERT_PTR_EQUAL(event->peer, s[i].peer[PEER]);
	CU_ASSERT_EQUAL(event->wr_id, wr_id);
	CU_ASSERT_EQUAL(event->error, error);
	md_ack_event(event);
}

static void persist__many__each_told_in_order(void)
{
	unsigned int messages;

	grant_all();
	messages = s[0].way[PEER].sent;
	for (uint64_t n = 0; n < 40; n++)
		CU_ASSERT_EQUAL(md_persist_remote(remote[0], n % 64 * 64, 64, 1000 + n), 0);
	for (uint64_t n = 0; n < 40; n++)
		expect_persisted(0, 1000 + n, 0);
	if (!threaded) /* eight fit into one message */
		CU_ASSERT_EQUAL(s[0].way[PEER].sent - messages, 5);
	end_all();
}

static void persist__bad_range__refused(void)
{
	grant_all();
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, 0, 1), -1);
	ASSERT_FAILED(EINVAL, "not inside");
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], PAGE, 1, 1), -1);
	ASSERT_FAILED(EINVAL, "not inside");
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 1, UINT64_MAX, 1), -1);
	ASSERT_FAILED(EINVAL, "not inside");
	CU_ASSERT_EQUAL(md_persist_remote(NULL, 0, 1, 1), -1);
	ASSERT_FAILED(EINVAL, "no remote");
	end_all();
}

static void persist__no_adapter__enotsup(void)
{
	session_adapter = NULL;
	grant_all();
	session_adapter = &fake_adapter[0];
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, 1, 1), 0);
	expect_persisted(0, 1, EOPNOTSUPP);
	end_all();
}

static void persist__other_adapter__enotsup(void)
{
	fake_qp[1].context = &fake_adapter[1];
	grant_all();
	CU_ASSERT_EQUAL(md_persist_remote(remote[1], 0, 1, 1), 0);
	expect_persisted(1, 1, EOPNOTSUPP);
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, 1, 1), 0);
	expect_persisted(0, 1, 0);
	end_all();
}

static void persist__attached_later__enotsup_before(void)
{
	grant_all();
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, 1, 1), 0);
	expect_persisted(0, 1, EOPNOTSUPP);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], s[0].peer[HOLDER]), 0);
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, 1, 2), 0);
	expect_persisted(0, 2, 0);
	end_all();
}

/* The application may close it, and open it again, before the next connection. */
static void persist__adapter_is_closed_meanwhile__known_by_its_name(void)
{
	struct ibv_device *device = calloc(1, sizeof(*device));
	struct ibv_context *adapter = calloc(1, sizeof(*adapter));

	memcpy(device->name, fake_device[0].name, sizeof(fake_device[0].name));
	adapter->device = device;
	session_adapter = adapter;
	grant_all();
	adapter->device = NULL;
	free(adapter);
	free(device);
	session_adapter = &fake_adapter[0];
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], s[0].peer[HOLDER]), 0);
	session_reconnect(&s[0]);
	sessions_run();
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 1), 0);
	expect_persisted(0, 1, 0);
	end_all();
}

static void persist__relaxed_ordering__enotsup(void)
{
	struct md_event *event;
	struct md_mr *relaxed;
	struct md_grant *g;
	struct md_remote *r;

	grant_all();
	relaxed = md_reg_mr(&fake_pd, map, 0, PAGE, RW | IBV_ACCESS_RELAXED_ORDERING);
	CU_ASSERT_PTR_NOT_NULL_FATAL(relaxed);
	g = md_grant(s[0].peer[HOLDER], relaxed, "relaxed");
	r = session_granted(&s[0]);
	CU_ASSERT_EQUAL(md_persist_remote(r, 0, 1, 1), 0);
	event = session_event(&s[0], MD_EVENT_PERSISTED);
	CU_ASSERT_EQUAL(event->error, EOPNOTSUPP);
	md_ack_event(event);
	CU_ASSERT_EQUAL(session_recall(g), 0);
	CU_ASSERT_EQUAL(md_dereg_mr(relaxed), 0);
	end_all();
}

/* What is under way when a break comes is finished in it. */
static void persist__pending_in_a_break__finished_before_done(void)
{
	grant_all();
	s[0].way[PEER].stopped = true;
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 7), 0);
	sessions_run();
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	holder_pass(MD_EVENT_BREAK);
	sessions_run();
	/* The peer knows of the recall by now, and still waits for its answer. */
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	s[0].way[PEER].stopped = false;
	session_pass(&s[0], MD_EVENT_RECALLED);
	expect_persisted(0, 7, 0);
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	session_pass(&s[0], MD_EVENT_GRANTED);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	end_all();
}

/* In a use that began before the recall there may still be something to ask for. */
static void persist__recalled_with_a_use_open__taken(void)
{
	grant_all();
	CU_ASSERT_EQUAL(md_remote_get(remote[0]), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	holder_pass(MD_EVENT_BREAK);
	session_pass(&s[0], MD_EVENT_RECALLED);
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 8), 0);
	s[0].way[PEER].stopped = true; /* so that it stays without an answer */
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 9), 0);
	md_remote_put(remote[0]);
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 10), -1);
	ASSERT_FAILED(EAGAIN, "recalled");
	s[0].way[PEER].stopped = false;
	expect_persisted(0, 8, 0);
	expect_persisted(0, 9, 0);
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	session_pass(&s[0], MD_EVENT_GRANTED);
	end_all();
}

static void persist__connection_lost__asked_again_by_the_next(void)
{
	grant_all();
	s[0].way[HOLDER].stopped = true;
	for (uint64_t n = 0; n < 20; n++)
		CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, 64, n), 0);
	sessions_run();
	session_cut(&s[0]);
	holder_pass(MD_EVENT_PEER_DOWN);
	session_pass(&s[0], MD_EVENT_PEER_DOWN);
	s[0].way[HOLDER].stopped = false;
	session_mend(&s[0]);
	session_pass(&s[0], MD_EVENT_PEER_UP);
	holder_pass(MD_EVENT_PEER_UP);
	for (uint64_t n = 0; n < 20; n++)
		expect_persisted(0, n, 0);
	end_all();
}

static void persist__answers_lost__asked_again(void)
{
	grant_all();
	s[0].way[HOLDER].stopped = true;
	for (uint64_t n = 0; n < 20; n++)
		CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, 64, n), 0);
	sessions_run();
	session_drop(&s[0], HOLDER);
	s[0].way[HOLDER].stopped = false;
	for (uint64_t n = 0; n < 20; n++)
		expect_persisted(0, n, 0);
	end_all();
}

/* Fenced before the answer: nothing is promised. */
static void persist__fenced__estale(void)
{
	grant_all_within(50);
	s[0].way[PEER].stopped = true;
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 9), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_QP_FENCED);
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	session_pass(&s[0], MD_EVENT_RECALLED);
	expect_persisted(0, 9, ESTALE);
	session_pass(&s[0], MD_EVENT_REMOTE_FENCED);
	s[0].way[PEER].stopped = false;
	session_pass(&s[0], MD_EVENT_GRANTED);
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 10), 0);
	expect_persisted(0, 10, 0);
	end_all();
}

static void persist__event_not_acknowledged__close_is_busy(void)
{
	struct md_event *event;

	grant_all();
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 1), 0);
	CU_ASSERT_EQUAL(md_remote_release(remote[0]), -1);
	ASSERT_FAILED(EBUSY, "without an answer");
	event = session_event(&s[0], MD_EVENT_PERSISTED);
	CU_ASSERT_EQUAL(md_remote_release(remote[0]), -1);
	ASSERT_FAILED(EBUSY, "md_ack_event");
	CU_ASSERT_EQUAL(md_peer_close(s[0].peer[PEER]), -1);
	ASSERT_FAILED(EBUSY, "md_ack_event");
	md_ack_event(event);
	use(0);
	end_all();
}

/* A holder that cannot be reached any more: its peer can be rid of it. */
static void persist__no_answer__close_does_not_wait(void)
{
	grant_all_within(100);
	sessions_run();
	session_cut(&s[0]);
	session_pass(&s[0], MD_EVENT_PEER_DOWN);
	holder_pass(MD_EVENT_PEER_DOWN);
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 1), 0);
	CU_ASSERT_EQUAL(md_remote_get(remote[0]), 0);
	CU_ASSERT_EQUAL(md_peer_close(s[0].peer[PEER]), -1);
	ASSERT_FAILED(EBUSY, "md_remote_put");
	md_remote_put(remote[0]);
	CU_ASSERT_EQUAL(md_peer_close(s[0].peer[PEER]), 0);
	s[0].peer[PEER] = NULL;
	CU_ASSERT_EQUAL(md_close(s[0].ctx), 0);
	s[0].ctx = NULL;
	end_all();
}

static void *fetch_one(void *arg)
{
	struct md_event **event = arg;

	md_get_event(s[0].ctx, event, 500); /* it may be too late */
	return NULL;
}

/* What is over ends with an event for each request; none of them comes afterwards. */
static void persist__closed_while_events_are_fetched__none_comes_later(void)
{
	struct md_event *event = NULL, *late;
	pthread_t thread;

	grant_all_within(100);
	sessions_run();
	session_cut(&s[0]);
	session_pass(&s[0], MD_EVENT_PEER_DOWN);
	holder_pass(MD_EVENT_PEER_DOWN);
	for (uint64_t n = 0; n < 1000; n++)
		CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, 1, n), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, fetch_one, &event), 0);
	usleep(1000);
	CU_ASSERT_EQUAL(md_peer_close(s[0].peer[PEER]), 0);
	s[0].peer[PEER] = NULL;
	CU_ASSERT_EQUAL(md_get_event(s[0].ctx, &late, 0), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	pthread_join(thread, NULL);
	md_ack_event(event);
	CU_ASSERT_EQUAL(md_close(s[0].ctx), 0);
	s[0].ctx = NULL;
	end_all();
}

/* Its order with the data is not known before somebody has looked. */
static void persist__another_adapter_since__enotsup(void)
{
	grant_all();
	sessions_run();
	session_cut(&s[0]);
	session_pass(&s[0], MD_EVENT_PEER_DOWN);
	holder_pass(MD_EVENT_PEER_DOWN);
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 1), 0);
	md__service_claim(map); /* who would look has other things to do */
	CU_ASSERT_EQUAL(md__peer_connected(s[0].peer[HOLDER], &fake_adapter[1]), 0);
	CU_ASSERT_EQUAL(md_peer_connected(s[0].peer[PEER]), 0);
	sessions_run();
	session_pass(&s[0], MD_EVENT_PEER_UP);
	holder_pass(MD_EVENT_PEER_UP);
	CU_ASSERT_EQUAL(md_get_event(s[0].ctx, &(struct md_event *){ NULL }, 0), -1);
	md__service_unclaim(map);
	expect_persisted(0, 1, EOPNOTSUPP);
	end_all();
}

/* A break that comes meanwhile is not to wait for the requests of all. */
static void persist__takes_long__one_peer_in_a_turn(void)
{
	grant_all();
	sessions_run();
	atomic_store(&flushes, 0);
	atomic_store(&slow, true);
	for (int i = 0; i < PEERS; i++) {
		CU_ASSERT_EQUAL(md_persist_remote(remote[i], 0, PAGE, i), 0);
		if (threaded)
			continue;
		md_process(s[i].ctx);
		CU_ASSERT_TRUE(session_deliver(&s[i], PEER));
	}
	for (int turns = 1; turns <= PEERS && !threaded; turns++) {
		CU_ASSERT_EQUAL(md_process(ctx), 0);
		CU_ASSERT_EQUAL(atomic_load(&flushes), turns);
	}
	for (int i = 0; i < PEERS; i++)
		expect_persisted(i, i, 0);
	CU_ASSERT_EQUAL(atomic_load(&flushes), PEERS);
	atomic_store(&slow, false);
	end_all();
}

static bool answered; /* before the restore was over */

/* Who restores, and cannot serve anybody meanwhile, asks by the peer's hand. */
static void ask_in_the_first_piece(void)
{
	md_persist_remote(remote[0], 0, 1, 7);
	for (int ms = 0; ms < 10000; ms++) {
		if (!threaded)
			md_process(s[0].ctx);
		if (session_deliver(&s[0], PEER))
			break;
		usleep(1000);
	}
	usleep(TURN_US);
}

static void look_in_the_second_piece(void)
{
	struct md_event *event;

	session_deliver(&s[0], HOLDER);
	if (!threaded)
		md_process(s[0].ctx);
	if (md_get_event(s[0].ctx, &event, 0))
		return;
	answered = event->type == MD_EVENT_PERSISTED && event->wr_id == 7 && !event->error;
	md_ack_event(event);
}

static void at_page(unsigned int page)
{
	if (page == 0)
		ask_in_the_first_piece();
	else if (page == 1)
		look_in_the_second_piece();
}

/* Peers are not to be kept waiting by gigabytes that another map restores. */
static void persist__other_map_is_restored__answered_meanwhile(void)
{
	struct md_map *other;

	grant_all();
	sessions_run();
	other = fixture_map(0);
	CU_ASSERT_EQUAL(md_release(other), 0);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	answered = false;
	fake_lease_at_page(at_page);
	CU_ASSERT_EQUAL(md_restore(other), 0);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_TRUE(answered);
	fixture_unmap(other);
	end_all();
}

static const struct unit_case cases[] = {
	UNIT_CASE(persist__many__each_told_in_order),
	UNIT_CASE(persist__bad_range__refused),
	UNIT_CASE(persist__no_adapter__enotsup),
	UNIT_CASE(persist__other_adapter__enotsup),
	UNIT_CASE(persist__attached_later__enotsup_before),
	UNIT_CASE(persist__adapter_is_closed_meanwhile__known_by_its_name),
	UNIT_CASE(persist__relaxed_ordering__enotsup),
	UNIT_CASE(persist__pending_in_a_break__finished_before_done),
	UNIT_CASE(persist__recalled_with_a_use_open__taken),
	UNIT_CASE(persist__connection_lost__asked_again_by_the_next),
	UNIT_CASE(persist__answers_lost__asked_again),
	UNIT_CASE(persist__fenced__estale),
	UNIT_CASE(persist__event_not_acknowledged__close_is_busy),
	UNIT_CASE(persist__no_answer__close_does_not_wait),
	UNIT_CASE(persist__closed_while_events_are_fetched__none_comes_later),
	UNIT_CASE(persist__another_adapter_since__enotsup),
	UNIT_CASE(persist__takes_long__one_peer_in_a_turn),
	UNIT_CASE(persist__other_map_is_restored__answered_meanwhile),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("persist_remote", cases, argc, argv);
}
