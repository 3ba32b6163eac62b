// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Calls on peers, grants and remote ranges: what they refuse, and what waits. */

#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include "clock.h"
#include "context.h"
#include "granted.h"
#include "map.h"

static int take_all(void *arg, const void *message, size_t length)
{
	(void)arg;
	(void)message;
	(void)length;
	return 0;
}

static void new__bad_arguments__einval(void)
{
	struct md_peer_ops ops = { .size = sizeof(ops), .send = take_all };

	CU_ASSERT_PTR_NULL(md_peer_new(NULL, &ops, NULL, NULL));
	ASSERT_FAILED(EINVAL, "no context");
	CU_ASSERT_PTR_NULL(md_peer_new(ctx, NULL, NULL, NULL));
	ASSERT_FAILED(EINVAL, "send is missing");
	ops.send = NULL;
	CU_ASSERT_PTR_NULL(md_peer_new(ctx, &ops, NULL, NULL));
	ASSERT_FAILED(EINVAL, "send is missing");
}

static void calls__no_object__einval_or_nothing(void)
{
	struct md_peer_ops ops = { .size = sizeof(ops), .send = take_all };
	struct md_peer *peer = md_peer_new(ctx, &ops, NULL, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(peer);
	CU_ASSERT_EQUAL(md_peer_connected(NULL), -1);
	ASSERT_FAILED(EINVAL, "no peer");
	CU_ASSERT_EQUAL(md_peer_lost(NULL), -1);
	ASSERT_FAILED(EINVAL, "no peer");
	CU_ASSERT_EQUAL(md_peer_input(NULL, "", 0), -1);
	ASSERT_FAILED(EINVAL, "no peer");
	CU_ASSERT_EQUAL(md_peer_input(peer, NULL, 1), -1);
	ASSERT_FAILED(EINVAL, "no bytes");
	CU_ASSERT_EQUAL(md_peer_input(peer, "", 0), -1);
	ASSERT_FAILED(ENOTCONN, "md_peer_connected");
	CU_ASSERT_EQUAL(md_peer_lost(peer), 0);
	CU_ASSERT_EQUAL(md_peer_connected(peer), 0);
	CU_ASSERT_EQUAL(md_peer_connected(peer), -1);
	ASSERT_FAILED(EISCONN, "md_peer_lost");
	CU_ASSERT_PTR_NULL(md_remote_find(peer, "x"));
	ASSERT_FAILED(ENOENT, "x");
	CU_ASSERT_PTR_NULL(md_remote_find(peer, NULL));
	ASSERT_FAILED(EINVAL, "no name");
	CU_ASSERT_PTR_NULL(md_remote_find(NULL, "x"));
	ASSERT_FAILED(EINVAL, "no peer");
	CU_ASSERT_EQUAL(md_remote_get(NULL), -1);
	ASSERT_FAILED(EINVAL, "no remote");
	CU_ASSERT_EQUAL(md_remote_wait(NULL, 0), -1);
	ASSERT_FAILED(EINVAL, "no remote");
	md_remote_put(NULL);
	CU_ASSERT_EQUAL(md_remote_release(NULL), 0);
	CU_ASSERT_EQUAL(md_recall(NULL), 0);
	CU_ASSERT_EQUAL(md_peer_close(NULL), 0);
	CU_ASSERT_EQUAL(md_close(ctx), -1);
	ASSERT_FAILED(EBUSY, "peers");
	CU_ASSERT_EQUAL(md_peer_close(peer), 0);
}

static void grant__bad_arguments__einval(void)
{
	char name[MD_NAME_MAX + 1] = "";
	struct md_mr *local;

	grant_all();
	local = md_reg_mr(&fake_pd, map, 0, PAGE, IBV_ACCESS_LOCAL_WRITE);
	CU_ASSERT_PTR_NULL(md_grant(NULL, mr, NULL));
	ASSERT_FAILED(EINVAL, "no peer");
	CU_ASSERT_PTR_NULL(md_grant(s[0].peer[HOLDER], NULL, NULL));
	ASSERT_FAILED(EINVAL, "no region");
	CU_ASSERT_PTR_NULL(md_grant(s[0].peer[PEER], mr, NULL));
	ASSERT_FAILED(EINVAL, "different contexts");
	CU_ASSERT_PTR_NULL(md_grant(s[0].peer[HOLDER], local, NULL));
	ASSERT_FAILED(EINVAL, "local only");
	memset(name, 'n', MD_NAME_MAX);
	CU_ASSERT_PTR_NULL(md_grant(s[0].peer[HOLDER], mr, name));
	ASSERT_FAILED(EINVAL, "name");
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[3], s[0].peer[PEER]), -1);
	ASSERT_FAILED(EINVAL, "another context");
	CU_ASSERT_EQUAL(md_dereg_mr(mr), -1);
	ASSERT_FAILED(EBUSY, "md_recall");
	CU_ASSERT_EQUAL(md_dereg_mr(local), 0);
	end_all();
}

/* Between the notice of a break and its recall: the gate is shut, and that is all. */
static void grant__break_noticed__granted_after_the_restore(void)
{
	struct md_grant *late;

	grant_all();
	md__guard_shut(&map->guard, EAGAIN);
	late = md_grant(s[0].peer[HOLDER], mr, "late");
	CU_ASSERT_PTR_NOT_NULL_FATAL(late);
	sessions_run();
	CU_ASSERT_PTR_NULL(md_remote_find(s[0].peer[PEER], "late"));
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	sessions_run();
	CU_ASSERT_PTR_NOT_NULL(md_remote_find(s[0].peer[PEER], "late"));
	CU_ASSERT_EQUAL(session_recall(late), 0);
	end_all();
}

static void close__something_left__ebusy(void)
{
	struct md_event *event;

	grant_all();
	CU_ASSERT_EQUAL(md_peer_close(s[0].peer[HOLDER]), -1);
	ASSERT_FAILED(EBUSY, "grants");
	CU_ASSERT_EQUAL(session_recall(grant[0]), 0);
	grant[0] = NULL;
	CU_ASSERT_EQUAL(md_peer_close(s[0].peer[HOLDER]), -1);
	ASSERT_FAILED(EBUSY, "queue pairs");
	CU_ASSERT_EQUAL(md_remote_get(remote[1]), 0);
	CU_ASSERT_EQUAL(md_peer_close(s[1].peer[PEER]), -1);
	ASSERT_FAILED(EBUSY, "open uses");
	md_remote_put(remote[1]);
	session_cut(&s[1]);
	event = session_event(&s[1], MD_EVENT_PEER_DOWN);
	CU_ASSERT_EQUAL(md_peer_close(s[1].peer[PEER]), -1);
	ASSERT_FAILED(EBUSY, "events");
	md_ack_event(event);
	holder_pass(MD_EVENT_PEER_DOWN);
	session_mend(&s[1]);
	end_all();
}

static void close__by_the_peer__holder_knows(void)
{
	grant_all();
	CU_ASSERT_EQUAL(md_peer_close(s[0].peer[PEER]), 0);
	s[0].peer[PEER] = NULL;
	holder_pass(MD_EVENT_PEER_CLOSED);
	CU_ASSERT_PTR_NULL(md_grant(s[0].peer[HOLDER], mr, "more"));
	ASSERT_FAILED(ESHUTDOWN, "over");
	CU_ASSERT_EQUAL(md_peer_connected(s[0].peer[HOLDER]), -1);
	ASSERT_FAILED(ESHUTDOWN, "md_peer_close");
	/* It has stopped: no break waits for it. */
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	end_all();
}

/* The memory of one session is that of the next: nothing else is. */
static void close__another_session_follows__knows_nothing_of_it(void)
{
	size_t before = 0;

	for (int round = 0; round < 12; round++) {
		if (round == 2)
			before = mallinfo2().uordblks;
		grant_all();
		CU_ASSERT_EQUAL(md_persist_remote(remote[1], 0, PAGE, 1), 0);
		session_pass(&s[1], MD_EVENT_PERSISTED);
		use(0);
		end_all();
	}
	CU_ASSERT(mallinfo2().uordblks < before + 16384);
}

/* A moment later it would have taken it. */
static void *take_again(void *arg)
{
	struct session_way *way = arg;

	usleep(20000);
	way->send_error = 0;
	return NULL;
}

static void close__connection_takes_nothing_for_a_moment__holder_knows(void)
{
	struct md_event *event;
	pthread_t thread;

	grant_all();
	s[0].way[PEER].send_error = EAGAIN;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, take_again, &s[0].way[PEER]), 0);
	CU_ASSERT_EQUAL(md_peer_close(s[0].peer[PEER]), 0);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(s[0].way[PEER].closed, 1);
	s[0].peer[PEER] = NULL;
	event = holder_event(MD_EVENT_PEER_CLOSED);
	CU_ASSERT_EQUAL(event->error, 0);
	md_ack_event(event);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	end_all();
}

static void close__connection_takes_nothing__closed_soon(void)
{
	uint64_t began;

	grant_all_within(50);
	s[0].way[PEER].send_error = EAGAIN;
	began = md__now();
	CU_ASSERT_EQUAL(md_peer_close(s[0].peer[PEER]), 0);
	CU_ASSERT(md__now() - began < 2 * MD__SEC);
	CU_ASSERT_EQUAL(s[0].way[PEER].closed, 1);
	s[0].peer[PEER] = NULL;
	CU_ASSERT_EQUAL(md_peer_lost(s[0].peer[HOLDER]), 0);
	holder_pass(MD_EVENT_PEER_DOWN);
	CU_ASSERT_EQUAL(md_recall(grant[0]), 0);
	grant[0] = NULL;
	holder_pass(MD_EVENT_QP_FENCED);
	end_all();
}

/* ---- waiting ------------------------------------------------------------------ */

static void wait__recalled_for_long__etimedout(void)
{
	grant_all();
	CU_ASSERT_EQUAL(md_remote_wait(remote[0], 0), 0);
	CU_ASSERT_EQUAL(md_release(map), 0);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	session_pass(&s[0], MD_EVENT_RECALLED);
	CU_ASSERT_EQUAL(md_remote_get(remote[0]), -1);
	ASSERT_FAILED(EAGAIN, "md_remote_wait");
	CU_ASSERT_EQUAL(md_remote_wait(remote[0], 30), -1);
	ASSERT_FAILED(ETIMEDOUT, "30 ms");
	/* The application has released it: a peer's wish does not matter. */
	sessions_run();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_RELEASED);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	holder_pass(MD_EVENT_RESTORED);
	session_pass(&s[0], MD_EVENT_GRANTED);
	CU_ASSERT_EQUAL(md_remote_wait(remote[0], 0), 0);
	end_all();
}

/* The answer to one question is not a reason for the next. */
static void wait__recalled_for_long__asks_once_in_a_second(void)
{
	unsigned int before;

	grant_all();
	CU_ASSERT_EQUAL(md_release(map), 0);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	session_pass(&s[0], MD_EVENT_RECALLED);
	sessions_run();
	before = atomic_load(&s[0].way[PEER].sent);
	CU_ASSERT_EQUAL(session_wait(remote[0], 300), -1);
	ASSERT_FAILED(ETIMEDOUT, "300 ms");
	CU_ASSERT_EQUAL(atomic_load(&s[0].way[PEER].sent) - before, 1);
	end_all();
}

static void wait__on_demand__leased_again(void)
{
	struct md_event *event;
	struct md_grant *g;
	struct md_remote *r;

	sessions_open(s, 1);
	map = fixture_map(MD_MAP_ON_DEMAND);
	mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	g = md_grant(s[0].peer[HOLDER], mr, "on demand");
	r = session_granted(&s[0]);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	session_pass(&s[0], MD_EVENT_RECALLED);
	sessions_run();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_RELEASED);
	CU_ASSERT_EQUAL(session_wait(r, 5000), 0);
	event = holder_event(MD_EVENT_RESTORED);
	md_ack_event(event);
	CU_ASSERT_EQUAL(md_remote_get(r), 0);
	md_remote_put(r);
	CU_ASSERT_EQUAL(session_recall(g), 0);
	CU_ASSERT_EQUAL(session_wait(r, 5000), -1);
	ASSERT_FAILED(ESTALE, "for good");
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
	sessions_run();
	sessions_close(s, 1);
}

static void map__on_demand_and_restore__einval(void)
{
	struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ON_DEMAND | MD_MAP_RESTORE,
	};

	CU_ASSERT_PTR_NULL(md_map(ctx, file, 0, PAGE, &attr));
	ASSERT_FAILED(EINVAL, "not both");
}

static void open__keepalive_out_of_range__einval(void)
{
	struct md_context_attr attr = { .size = sizeof(attr), .keepalive_ms = 9 };

	CU_ASSERT_PTR_NULL(md_open(&attr));
	ASSERT_FAILED(EINVAL, "keepalive_ms");
	attr.keepalive_ms = 60001;
	CU_ASSERT_PTR_NULL(md_open(&attr));
	ASSERT_FAILED(EINVAL, "keepalive_ms");
}

/* A connection that fails when it is sent on is lost, and nothing else is. */
static void send__fails__connection_is_lost(void)
{
	grant_all();
	s[0].way[HOLDER].send_error = EPIPE;
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	/* In whatever order. */
	for (int i = 0; i < 2; i++) {
		struct md_event *event = NULL;

		while (md_get_event(ctx, &event, 0))
			sessions_run();
		CU_ASSERT(event->type == MD_EVENT_BREAK ||
			  (event->type == MD_EVENT_PEER_DOWN && event->error == EPIPE));
		md_ack_event(event);
	}
	s[0].way[HOLDER].send_error = 0;
	CU_ASSERT_EQUAL(md_peer_lost(s[0].peer[PEER]), 0);
	session_pass(&s[0], MD_EVENT_PEER_DOWN);
	session_mend(&s[0]);
	session_pass(&s[0], MD_EVENT_PEER_UP);
	holder_pass(MD_EVENT_PEER_UP);
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
	pass_restored_but(-1);
	end_all();
}

static const struct unit_case cases[] = {
	UNIT_CASE(new__bad_arguments__einval),
	UNIT_CASE(calls__no_object__einval_or_nothing),
	UNIT_CASE(grant__bad_arguments__einval),
	UNIT_CASE(grant__break_noticed__granted_after_the_restore),
	UNIT_CASE(close__something_left__ebusy),
	UNIT_CASE(close__by_the_peer__holder_knows),
	UNIT_CASE(close__another_session_follows__knows_nothing_of_it),
	UNIT_CASE(close__connection_takes_nothing_for_a_moment__holder_knows),
	UNIT_CASE(close__connection_takes_nothing__closed_soon),
	UNIT_CASE(wait__recalled_for_long__etimedout),
	UNIT_CASE(wait__recalled_for_long__asks_once_in_a_second),
	UNIT_CASE(wait__on_demand__leased_again),
	UNIT_CASE(map__on_demand_and_restore__einval),
	UNIT_CASE(open__keepalive_out_of_range__einval),
	UNIT_CASE(send__fails__connection_is_lost),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("peer", cases, argc, argv);
}
