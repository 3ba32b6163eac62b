// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A break, seen by peers that were granted something. */

#include <malloc.h>

#include "granted.h"

static void grant__connected__peer_can_use_it(void)
{
	grant_all();
	for (int i = 0; i < PEERS; i++) {
		CU_ASSERT_EQUAL(remote[i]->addr, (uintptr_t)mr->addr);
		CU_ASSERT_EQUAL(remote[i]->length, PAGE);
		CU_ASSERT_EQUAL(remote[i]->rkey, mr->rkey);
		CU_ASSERT_EQUAL(remote[i]->access, RW & ~IBV_ACCESS_LOCAL_WRITE);
		CU_ASSERT_STRING_EQUAL(remote[i]->name, "data");
		CU_ASSERT_PTR_EQUAL(md_remote_find(s[i].peer[PEER], "data"), remote[i]);
		use(i);
	}
	end_all();
}

static void break__all_cooperate__no_queue_pair_lost(void)
{
	struct md_event *event;

	grant_all();
	for (int round = 0; round < 10; round++) {
		uint32_t before = mr->rkey;

		fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
		holder_pass(MD_EVENT_BREAK);
		event = holder_event(MD_EVENT_RELEASED);
		CU_ASSERT_EQUAL_FATAL(event->n_peers, PEERS);
		for (int i = 0; i < PEERS; i++) {
			CU_ASSERT_PTR_EQUAL(event->peers[i].peer, s[i].peer[HOLDER]);
			CU_ASSERT(event->peers[i].told >= event->timeline.noticed);
			CU_ASSERT(event->peers[i].acked >= event->peers[i].told);
			CU_ASSERT(event->peers[i].done >= event->peers[i].acked);
			CU_ASSERT(event->peers[i].done <= event->timeline.deregistered);
			CU_ASSERT_EQUAL(event->peers[i].fenced, 0);
		}
		md_ack_event(event);
		holder_pass(MD_EVENT_RESTORED);
		for (int i = 0; i < PEERS; i++) {
			session_pass(&s[i], MD_EVENT_RECALLED);
			CU_ASSERT_PTR_EQUAL(session_granted(&s[i]), remote[i]);
			CU_ASSERT_NOT_EQUAL(remote[i]->rkey, before);
			use(i);
			CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[i]));
		}
	}
	end_all();
}

/* The peer has given it back; that nothing comes any more can be said later. */
static void recall__given_back_and_no_connection__no_queue_pair_lost(void)
{
	grant_all();
	CU_ASSERT_EQUAL(md_release(map), 0);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	for (int i = 0; i < PEERS; i++) {
		session_pass(&s[i], MD_EVENT_RECALLED);
		session_cut(&s[i]);
		holder_pass(MD_EVENT_PEER_DOWN);
		session_pass(&s[i], MD_EVENT_PEER_DOWN);
		CU_ASSERT_EQUAL(md_recall(grant[i]), 0);
		grant[i] = NULL;
		CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[i]));
		session_mend(&s[i]);
		holder_pass(MD_EVENT_PEER_UP);
		session_pass(&s[i], MD_EVENT_PEER_UP);
		session_pass(&s[i], MD_EVENT_REMOTE_LOST);
	}
	end_all();
}

/* Taken back and granted again, by choice: there is no pause then. */
static void one_cycle(void)
{
	CU_ASSERT_EQUAL(md_release(map), 0);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	holder_pass(MD_EVENT_RESTORED);
	for (int i = 0; i < PEERS; i++) {
		session_pass(&s[i], MD_EVENT_RECALLED);
		session_pass(&s[i], MD_EVENT_GRANTED);
	}
}

/* With a grant more and a remote range less in each. */
static void one_more_grant(void)
{
	struct md_grant *more = md_grant(s[0].peer[HOLDER], mr, "more");
	struct md_remote *r = session_granted(&s[0]);

	CU_ASSERT_PTR_NOT_NULL_FATAL(more);
	CU_ASSERT_EQUAL(session_recall(more), 0);
	session_pass(&s[0], MD_EVENT_RECALLED);
	session_pass(&s[0], MD_EVENT_REMOTE_LOST);
	CU_ASSERT_EQUAL(md_remote_release(r), 0);
}

/* The address sanitizer's allocator counts nothing here: it looks for leaks itself. */
static void cycles__ten_thousand__memory_stays(void)
{
	const int cycles = threaded ? 100 : 10000; /* a test that waits for threads is slow */
	size_t before;

	grant_all();
	for (int i = 0; i < 50; i++)
		one_cycle();
	for (int i = 0; i < 10; i++)
		one_more_grant();
	before = mallinfo2().uordblks;
	for (int i = 0; i < cycles; i++)
		one_cycle();
	for (int i = 0; i < cycles / 20; i++)
		one_more_grant();
	CU_ASSERT(mallinfo2().uordblks < before + 16384);
	end_all();
}

static const struct unit_case cases[] = {
	UNIT_CASE(grant__connected__peer_can_use_it),
	UNIT_CASE(break__all_cooperate__no_queue_pair_lost),
	UNIT_CASE(cycles__ten_thousand__memory_stays),
	UNIT_CASE(recall__given_back_and_no_connection__no_queue_pair_lost),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("recall", cases, argc, argv);
}
