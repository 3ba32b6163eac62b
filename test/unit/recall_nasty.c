// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Recalls that do not go as they should: messages under way, late, lost, and wrong. */

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "grant.h"
#include "granted.h"
#include "peer.h"

#define BUDGET_MS 100
#define MANY 100
#define BEYOND 30
#define LONG_MS 20000 /* for a thousand recalls with a sanitizer on a busy machine */

static void break_now(void)
{
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	holder_pass(MD_EVENT_BREAK);
}

/* The break is over, and peer i was fenced in it: alone, and not before the budget. */
static void pass_fenced(int i)
{
	struct md_event *event = holder_event(MD_EVENT_QP_FENCED);

	CU_ASSERT_PTR_EQUAL(event->qp, &fake_qp[i]);
	CU_ASSERT_PTR_EQUAL(event->peer, s[i].peer[HOLDER]);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_BUDGET);
	md_ack_event(event);
	event = holder_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL_FATAL(event->n_peers, PEERS);
	CU_ASSERT(event->timeline.fenced >= event->timeline.noticed + BUDGET_MS * 1000000UL);
	for (int j = 0; j < PEERS; j++) {
		CU_ASSERT_EQUAL(!!event->peers[j].fenced, i == j);
		CU_ASSERT_EQUAL(!event->peers[j].done, i == j);
		CU_ASSERT_EQUAL(fake_qp_fenced(&fake_qp[j]), i == j);
	}
	md_ack_event(event);
	holder_pass(MD_EVENT_RESTORED);
}

/* ---- messages that are under way ------------------------------------------ */

static void recall__grant_in_flight__grant_is_dead_when_it_arrives(void)
{
	struct md_grant *second;
	struct md_remote *late;

	grant_all();
	s[0].way[HOLDER].stopped = true;
	second = md_grant(s[0].peer[HOLDER], mr, "late");
	CU_ASSERT_PTR_NOT_NULL_FATAL(second);
	sessions_run();
	break_now();
	sessions_run();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	s[0].way[HOLDER].stopped = false;
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	/* It came, and was recalled before it could be used: the last state is told. */
	sessions_run();
	late = md_remote_find(s[0].peer[PEER], "late");
	CU_ASSERT_PTR_NOT_NULL_FATAL(late);
	CU_ASSERT_EQUAL(md_remote_wait(late, 0), 0);
	CU_ASSERT_EQUAL(late->rkey, mr->rkey);
	for (int i = 0; i < PEERS; i++)
		CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[i]));
	CU_ASSERT_EQUAL(session_recall(second), 0);
	end_all();
}

static void grant__not_sent_before_a_break__comes_with_the_next_lease(void)
{
	struct md_grant *second;

	grant_all();
	s[0].way[HOLDER].send_error = EAGAIN;
	second = md_grant(s[0].peer[HOLDER], mr, "unsent");
	sessions_run();
	CU_ASSERT_PTR_NULL(md_remote_find(s[0].peer[PEER], "unsent"));
	s[0].way[HOLDER].send_error = 0;
	break_now();
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	sessions_run();
	CU_ASSERT_PTR_NOT_NULL(md_remote_find(s[0].peer[PEER], "unsent"));
	CU_ASSERT_EQUAL(session_recall(second), 0);
	end_all();
}

static void recall__messages_twice__done_once(void)
{
	grant_all();
	s[0].way[HOLDER].stopped = true;
	s[0].way[PEER].stopped = true;
	break_now();
	sessions_run();
	session_repeat(&s[0], HOLDER);
	s[0].way[HOLDER].stopped = false;
	sessions_run();
	session_repeat(&s[0], PEER);
	s[0].way[PEER].stopped = false;
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	pass_restored_but(-1);
	end_all();
}

static void recall__messages_lost__sent_again(void)
{
	grant_all();
	s[0].way[HOLDER].stopped = true;
	break_now();
	sessions_run();
	session_drop(&s[0], HOLDER);
	s[0].way[HOLDER].stopped = false;
	s[0].way[PEER].stopped = true;
	while (s[0].way[HOLDER].sent < 4)
		sessions_run();
	session_drop(&s[0], PEER);
	s[0].way[PEER].stopped = false;
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	pass_restored_but(-1);
	end_all();
}

/* ---- connections ------------------------------------------------------------ */

static void recall__connection_lost_in_it__told_again_by_the_next(void)
{
	grant_all();
	s[0].way[HOLDER].stopped = true;
	break_now();
	sessions_run();
	session_cut(&s[0]);
	holder_pass(MD_EVENT_PEER_DOWN);
	session_pass(&s[0], MD_EVENT_PEER_DOWN);
	sessions_run();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	s[0].way[HOLDER].stopped = false;
	session_mend(&s[0]);
	session_pass(&s[0], MD_EVENT_PEER_UP);
	holder_pass(MD_EVENT_PEER_UP);
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	pass_restored_but(-1);
	end_all();
}

static void recall__no_connection__fenced_and_told_when_it_is_back(void)
{
	grant_all_within(BUDGET_MS);
	session_cut(&s[0]);
	holder_pass(MD_EVENT_PEER_DOWN);
	session_pass(&s[0], MD_EVENT_PEER_DOWN);
	/* Nobody is fenced because of a connection. */
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	use(0);
	break_now();
	pass_fenced(0);
	pass_restored_but(0);
	/* It does not know yet, and its key is dead. */
	CU_ASSERT_EQUAL(md_remote_get(remote[0]), 0);
	CU_ASSERT_FALSE(fake_verbs_write(remote[0]->rkey, 0, 1));
	session_mend(&s[0]);
	session_pass(&s[0], MD_EVENT_PEER_UP);
	holder_pass(MD_EVENT_PEER_UP);
	session_pass(&s[0], MD_EVENT_RECALLED);
	session_pass(&s[0], MD_EVENT_REMOTE_FENCED);
	/* Nothing is granted before its use has ended. */
	sessions_run();
	CU_ASSERT_EQUAL(md_remote_wait(remote[0], 0), -1);
	md_remote_put(remote[0]);
	CU_ASSERT_PTR_EQUAL(session_granted(&s[0]), remote[0]);
	use(0);
	end_all();
}

/* ---- peers that do not do as they should ------------------------------------- */

static void recall__acknowledged_and_then_silent__fenced_alone(void)
{
	grant_all_within(BUDGET_MS);
	CU_ASSERT_EQUAL(md_remote_get(remote[1]), 0);
	break_now();
	pass_fenced(1);
	pass_restored_but(1);
	session_pass(&s[1], MD_EVENT_RECALLED);
	session_pass(&s[1], MD_EVENT_REMOTE_FENCED);
	md_remote_put(remote[1]);
	CU_ASSERT_PTR_EQUAL(session_granted(&s[1]), remote[1]);
	use(1);
	end_all();
}

/* As of a machine that has died: the connection is there, and nothing comes by it. */
static void recall__no_answer_at_all__fenced_alone(void)
{
	grant_all_within(BUDGET_MS);
	s[2].way[HOLDER].stopped = s[2].way[PEER].stopped = true;
	break_now();
	pass_fenced(2);
	pass_restored_but(2);
	s[2].way[HOLDER].stopped = s[2].way[PEER].stopped = false;
	session_pass(&s[2], MD_EVENT_RECALLED);
	session_pass(&s[2], MD_EVENT_REMOTE_FENCED);
	CU_ASSERT_PTR_EQUAL(session_granted(&s[2]), remote[2]);
	end_all();
}

static void recall__second_break_while_one_is_fenced__others_only(void)
{
	grant_all_within(BUDGET_MS);
	CU_ASSERT_EQUAL(md_remote_get(remote[1]), 0);
	break_now();
	pass_fenced(1);
	pass_restored_but(1);
	break_now();
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	pass_restored_but(1);
	md_remote_put(remote[1]);
	session_pass(&s[1], MD_EVENT_RECALLED);
	session_pass(&s[1], MD_EVENT_REMOTE_FENCED);
	CU_ASSERT_PTR_EQUAL(session_granted(&s[1]), remote[1]);
	use(1);
	end_all();
}

static struct md_event *any_event_of(struct md_context *of)
{
	struct md_event *event = NULL;

	while (md_get_event(of, &event, 0))
		sessions_run();
	return event;
}

static struct md_event *any_event(void)
{
	return any_event_of(ctx);
}

static void input__not_the_protocol__closed_and_fenced_alone(void)
{
	static const char noise[64] = "GET / HTTP/1.1";
	struct md_event *event;
	bool down;

	grant_all();
	CU_ASSERT_EQUAL(md_peer_input(s[2].peer[HOLDER], noise, sizeof(noise)), -1);
	ASSERT_FAILED(EPROTO, "not a message");
	CU_ASSERT_EQUAL(s[2].way[HOLDER].closed, 1);
	CU_ASSERT_EQUAL(md_peer_lost(s[2].peer[PEER]), 0);
	/* In whatever order: they are of two objects. */
	event = any_event();
	down = event->type == MD_EVENT_PEER_DOWN;
	md_ack_event(event);
	event = holder_event(down ? MD_EVENT_QP_FENCED : MD_EVENT_PEER_DOWN);
	md_ack_event(event);
	CU_ASSERT_TRUE(fake_qp_fenced(&fake_qp[2]));
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]) || fake_qp_fenced(&fake_qp[1]));
	use(0);
	use(1);
	session_pass(&s[2], MD_EVENT_PEER_DOWN);
	session_drop(&s[2], HOLDER);
	session_mend(&s[2]);
	session_pass(&s[2], MD_EVENT_PEER_UP);
	holder_pass(MD_EVENT_PEER_UP);
	session_pass(&s[2], MD_EVENT_RECALLED);
	session_pass(&s[2], MD_EVENT_REMOTE_FENCED);
	/* With the next lease it is granted again. */
	break_now();
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	pass_restored_but(2);
	CU_ASSERT_PTR_EQUAL(session_granted(&s[2]), remote[2]);
	end_all();
}

/* ---- threads, numbers, memory -------------------------------------------------- */

struct poster {
	atomic_bool stop;
	atomic_uint uses, dead;
};

/* As a thread that posts while others see to the recall. */
static void *post_without_end(void *arg)
{
	struct poster *p = arg;

	while (!atomic_load(&p->stop)) {
		if (md_remote_get(remote[0]))
			continue;
		if (!fake_verbs_write(remote[0]->rkey, 0, 1))
			atomic_fetch_add(&p->dead, 1);
		atomic_fetch_add(&p->uses, 1);
		md_remote_put(remote[0]);
	}
	return NULL;
}

static void recall__another_thread_posts__no_use_of_a_dead_key(void)
{
	struct poster p = { .stop = false };
	pthread_t thread;

	grant_all();
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, post_without_end, &p), 0);
	for (int i = 0; i < 20; i++) {
		unsigned int before = atomic_load(&p.uses);

		while (atomic_load(&p.uses) == before)
			usleep(100);
		break_now();
		holder_pass(MD_EVENT_RELEASED);
		holder_pass(MD_EVENT_RESTORED);
		for (int j = 0; j < PEERS; j++) {
			session_pass(&s[j], MD_EVENT_RECALLED);
			session_pass(&s[j], MD_EVENT_GRANTED);
		}
	}
	atomic_store(&p.stop, true);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(atomic_load(&p.dead), 0);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	end_all();
}

/* Many more messages than there are credits, in both directions. */
static void recall__more_grants_than_credits__all_in_the_end(void)
{
	static struct md_grant *many[MANY];

	grant_all();
	for (int i = 0; i < MANY; i++) {
		many[i] = md_grant(s[0].peer[HOLDER], mr, "many");
		CU_ASSERT_PTR_NOT_NULL_FATAL(many[i]);
	}
	for (int i = 0; i < MANY; i++)
		session_pass(&s[0], MD_EVENT_GRANTED);
	break_now();
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	for (int i = 0; i < MANY + 1; i++)
		session_pass(&s[0], MD_EVENT_RECALLED);
	for (int i = 0; i < MANY + 1; i++)
		session_pass(&s[0], MD_EVENT_GRANTED);
	for (int i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(session_recall(many[i]), 0);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	end_all();
}

static bool is_given_back(struct md_grant *g)
{
	bool given;

	pthread_mutex_lock(&g->peer->lock);
	given = g->offer.final && g->offer.state == MD__OFFER_IDLE;
	pthread_mutex_unlock(&g->peer->lock);
	return given;
}

/* Of what is granted beyond, a few are answered at a time, and the rest is sent again. */
static void run_until_given_back(struct session *of, struct md_grant **more, unsigned int from,
				 unsigned int to)
{
	struct md_event *event;

	for (unsigned int i = from; i < to; i++) {
		while (!is_given_back(more[i]))
			sessions_run();
	}
	CU_ASSERT_EQUAL(md_get_event(of->ctx, &event, 0), -1);
}

/* Those that are given back are kept until the holder has answered. */
static unsigned int kept_by(struct md_peer *peer)
{
	unsigned int kept;

	pthread_mutex_lock(&peer->lock);
	kept = peer->ranges;
	pthread_mutex_unlock(&peer->lock);
	return kept;
}

static void grant_more(struct md_grant **more, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		more[i] = md_grant(s[0].peer[HOLDER], mr, "more");
		CU_ASSERT_PTR_NOT_NULL_FATAL(more[i]);
	}
}

/* A holder that grants and grants has its peer keep so many, and no more. */
static void grant__more_than_a_peer_keeps__given_back_and_the_rest_stays(void)
{
	const unsigned int most = MD_REMOTES_MAX, all = most + 2 * BEYOND;
	static struct md_grant *more[MD_REMOTES_MAX + 2 * BEYOND];
	static struct md_remote *taken[MD_REMOTES_MAX];

	grant_all_within(LONG_MS);
	grant_more(more, 1, most + BEYOND);
	for (unsigned int i = 1; i < most; i++)
		taken[i] = session_granted(&s[0]);
	run_until_given_back(&s[0], more, most, most + BEYOND);
	use(0);
	/* There is room again for as many as are given back. */
	for (int i = 1; i <= BEYOND / 2; i++)
		CU_ASSERT_EQUAL(md_remote_release(taken[i]), 0);
	while (kept_by(s[0].peer[PEER]) > most - BEYOND / 2)
		sessions_run();
	grant_more(more, most + BEYOND, all);
	for (int i = 1; i <= BEYOND / 2; i++)
		session_granted(&s[0]);
	run_until_given_back(&s[0], more, most + BEYOND + BEYOND / 2, all);
	/* Nobody waits for what was given back. */
	break_now();
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	for (unsigned int i = 0; i < 2 * most; i++)
		md_ack_event(any_event_of(s[0].ctx));
	for (int i = 1; i < PEERS; i++) {
		session_pass(&s[i], MD_EVENT_RECALLED);
		session_pass(&s[i], MD_EVENT_GRANTED);
	}
	/* So that no recall has to be waited for. */
	CU_ASSERT_EQUAL(md_release(map), 0);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	for (unsigned int i = 1; i < all; i++)
		CU_ASSERT_EQUAL(md_recall(more[i]), 0);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	end_all();
}

static void recall__connection_takes_nothing__goes_on_when_it_does(void)
{
	grant_all();
	s[0].way[HOLDER].send_error = EAGAIN;
	break_now();
	sessions_run();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	s[0].way[HOLDER].send_error = 0;
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	pass_restored_but(-1);
	end_all();
}

static void recall__broken_again_at_once__second_grant_is_never_sent(void)
{
	grant_all();
	break_now();
	fake_lease_break_next(3);
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	pass_restored_but(-1);
	end_all();
}

static void recall__lost_for_good__peers_are_told_why(void)
{
	fixture_reopen(0, 1);
	grant_all();
	fake_lease_fail(FAKE_FOR_EVER, ENXIO);
	break_now();
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_LOST);
	for (int i = 0; i < PEERS; i++) {
		session_pass(&s[i], MD_EVENT_RECALLED);
		session_pass(&s[i], MD_EVENT_REMOTE_LOST);
		CU_ASSERT_EQUAL(md_remote_get(remote[i]), -1);
		ASSERT_FAILED(ESTALE, "for good");
		CU_ASSERT_PTR_NULL(md_remote_find(s[i].peer[PEER], "data"));
	}
	end_all();
}

static void release__by_the_peer__is_not_waited_for(void)
{
	unsigned int sent;

	grant_all();
	CU_ASSERT_EQUAL(md_remote_get(remote[0]), 0);
	CU_ASSERT_EQUAL(md_remote_release(remote[0]), -1);
	ASSERT_FAILED(EBUSY, "open uses");
	md_remote_put(remote[0]);
	sent = s[0].way[PEER].sent;
	CU_ASSERT_EQUAL(md_remote_release(remote[0]), 0);
	while (s[0].way[PEER].sent < sent + 3) /* RELEASE, RECALL_ACK, RECALL_DONE */
		sessions_run();
	sessions_run();
	s[0].way[PEER].stopped = true;
	break_now();
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	s[0].way[PEER].stopped = false;
	pass_restored_but(0);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	CU_ASSERT_PTR_NULL(md_remote_find(s[0].peer[PEER], "data"));
	end_all();
}

static const struct unit_case cases[] = {
	UNIT_CASE(recall__grant_in_flight__grant_is_dead_when_it_arrives),
	UNIT_CASE(grant__not_sent_before_a_break__comes_with_the_next_lease),
	UNIT_CASE(recall__messages_twice__done_once),
	UNIT_CASE(recall__messages_lost__sent_again),
	UNIT_CASE(recall__connection_lost_in_it__told_again_by_the_next),
	UNIT_CASE(recall__no_connection__fenced_and_told_when_it_is_back),
	UNIT_CASE(recall__acknowledged_and_then_silent__fenced_alone),
	UNIT_CASE(recall__no_answer_at_all__fenced_alone),
	UNIT_CASE(recall__second_break_while_one_is_fenced__others_only),
	UNIT_CASE(input__not_the_protocol__closed_and_fenced_alone),
	UNIT_CASE(recall__another_thread_posts__no_use_of_a_dead_key),
	UNIT_CASE(recall__more_grants_than_credits__all_in_the_end),
	UNIT_CASE(grant__more_than_a_peer_keeps__given_back_and_the_rest_stays),
	UNIT_CASE(recall__connection_takes_nothing__goes_on_when_it_does),
	UNIT_CASE(recall__broken_again_at_once__second_grant_is_never_sent),
	UNIT_CASE(recall__lost_for_good__peers_are_told_why),
	UNIT_CASE(release__by_the_peer__is_not_waited_for),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("recall_nasty", cases, argc, argv);
}
