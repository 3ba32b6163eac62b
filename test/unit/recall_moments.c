// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Breaks that come at a bad moment, a key whose number comes again, and what is said
 * on a connection that has no room, or is a new one.
 */

#include <stdatomic.h>
#include <unistd.h>

#include "clock.h"
#include "granted.h"
#include "wire.h"

#define BUDGET_MS 100
#define MANY 40 /* more than the credits of what may wait */
#define LOG 64

/* What has arrived, by the side that has sent it. */
static atomic_uint arrived[2][MD__MSG_TYPES];
static uint16_t from_holder[LOG]; /* in this order, but for the link's own */
static uint64_t recall_ids[LOG];
static unsigned int logged, ids;

static bool is_of_the_link(uint16_t type)
{
	return type == MD__MSG_HELLO || type == MD__MSG_HELLO_ACK || type == MD__MSG_PING ||
	       type == MD__MSG_PONG;
}

static void note_id(uint64_t id)
{
	for (unsigned int i = 0; i < ids; i++) {
		if (recall_ids[i] == id)
			return;
	}
	if (ids < LOG)
		recall_ids[ids++] = id;
}

static size_t look_on(enum side from, const uint8_t *message, size_t length, uint8_t *out)
{
	struct md__msg msg;

	memcpy(out, message, length);
	if (md__wire_decode(message, length, &msg))
		return length;
	atomic_fetch_add(&arrived[from][msg.type], 1);
	if (from == HOLDER && !is_of_the_link(msg.type) && logged < LOG)
		from_holder[logged++] = msg.type;
	if (msg.type == MD__MSG_RECALL)
		note_id(msg.recall.id);
	return length;
}

static void count_from_now(void)
{
	memset(arrived, 0, sizeof(arrived));
	logged = ids = 0;
	session_rewrite = look_on;
}

static void break_now(void)
{
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	holder_pass(MD_EVENT_BREAK);
}

static void pass_over(void)
{
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
}

/* ---- between lease, registration and grant ----------------------------------- */

/* The first lease is gone before a peer hears of it: one recall, one grant, each. */
static void expect_one_of_each(void)
{
	pass_over();
	pass_restored_but(-1);
	CU_ASSERT_EQUAL(arrived[HOLDER][MD__MSG_RECALL], PEERS);
	CU_ASSERT_EQUAL(arrived[HOLDER][MD__MSG_GRANT], PEERS);
	for (int i = 0; i < PEERS; i++)
		CU_ASSERT_EQUAL(remote[i]->rkey, mr->rkey);
}

static void restore__broken_before_registration__first_is_never_granted(void)
{
	grant_all();
	count_from_now();
	break_now();
	fake_lease_break_next(1);
	expect_one_of_each();
	end_all();
}

static atomic_int regs_left;

static void break_in_registration(void)
{
	if (atomic_fetch_sub(&regs_left, 1) == 1)
		fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
}

/* Before each of two regions, and so also between them. */
static void restore__broken_in_registration__first_is_never_granted(void)
{
	struct md_mr *second;

	grant_all();
	second = md_reg_mr(&fake_pd, map, PAGE, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(second);
	for (int nth = 1; nth <= 2; nth++) {
		count_from_now();
		atomic_store(&regs_left, nth);
		fake_verbs_at_reg(break_in_registration);
		break_now();
		expect_one_of_each();
		fake_verbs_at_reg(NULL);
		CU_ASSERT(atomic_load(&regs_left) < 0);
		CU_ASSERT_EQUAL(fake_verbs_live(), 2);
	}
	CU_ASSERT_EQUAL(md_dereg_mr(second), 0);
	end_all();
}

/* GRANT is as good as sent, and has to be recalled. */
static void restore__broken_before_grant_is_taken__grant_is_dead_when_it_arrives(void)
{
	uint32_t dead;

	grant_all();
	fake_lease_fail(FAKE_FOR_EVER, EAGAIN);
	break_now();
	holder_pass(MD_EVENT_RELEASED);
	session_pass(&s[0], MD_EVENT_RECALLED);
	s[0].way[HOLDER].send_error = EAGAIN;
	fake_lease_fail(0, 0);
	holder_pass(MD_EVENT_RESTORED);
	dead = mr->rkey;
	sessions_run();
	CU_ASSERT_EQUAL(md_remote_wait(remote[0], 0), -1);
	break_now();
	sessions_run();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	s[0].way[HOLDER].send_error = 0;
	pass_over();
	sessions_run();
	CU_ASSERT_EQUAL(md_remote_wait(remote[0], 0), 0);
	CU_ASSERT_EQUAL(remote[0]->rkey, mr->rkey);
	CU_ASSERT_NOT_EQUAL(remote[0]->rkey, dead);
	use(0);
	for (int i = 0; i < PEERS; i++)
		CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[i]));
	end_all();
}

/* GRANT is due, and there is nobody to send it to: nobody has to be waited for. */
static void recall__granted_without_connection__not_waited_for(void)
{
	struct md_event *event;
	struct md_grant *late;

	grant_all();
	CU_ASSERT_EQUAL(session_recall(grant[2]), 0);
	grant[2] = NULL;
	session_pass(&s[2], MD_EVENT_RECALLED);
	session_pass(&s[2], MD_EVENT_REMOTE_LOST);
	session_cut(&s[2]);
	holder_pass(MD_EVENT_PEER_DOWN);
	session_pass(&s[2], MD_EVENT_PEER_DOWN);
	late = md_grant(s[2].peer[HOLDER], mr, "late");
	CU_ASSERT_PTR_NOT_NULL_FATAL(late);
	break_now();
	event = holder_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(event->timeline.fenced, 0);
	md_ack_event(event);
	holder_pass(MD_EVENT_RESTORED);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[2]));
	session_mend(&s[2]);
	holder_pass(MD_EVENT_PEER_UP);
	session_pass(&s[2], MD_EVENT_PEER_UP);
	CU_ASSERT_EQUAL(session_granted(&s[2])->rkey, mr->rkey);
	CU_ASSERT_EQUAL(session_recall(late), 0);
	end_all();
}

/* ---- a second break -------------------------------------------------------------- */

/* The second has less time, which ends the drain for who does not answer. */
static void recall__two_breakers__one_recall_and_the_earlier_deadline(void)
{
	struct md_event *event;

	grant_all();
	count_from_now();
	s[0].way[PEER].stopped = true;
	break_now();
	sessions_run();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	fake_lease_break(MD_REASON_TRUNCATE, 400);
	holder_pass(MD_EVENT_QP_FENCED);
	event = holder_event(MD_EVENT_RELEASED);
	CU_ASSERT(event->timeline.deadline < event->timeline.broken + FAR_MS * MD__MSEC);
	CU_ASSERT(event->timeline.fenced < event->timeline.noticed + PATIENT_MS * MD__MSEC / 2);
	for (int i = 0; i < PEERS; i++)
		CU_ASSERT_EQUAL(!!event->peers[i].fenced, i == 0);
	md_ack_event(event);
	holder_pass(MD_EVENT_RESTORED);
	pass_restored_but(0);
	CU_ASSERT_EQUAL(ids, 1); /* each peer counts its own, all from the same */
	s[0].way[PEER].stopped = false;
	session_pass(&s[0], MD_EVENT_RECALLED);
	session_pass(&s[0], MD_EVENT_REMOTE_FENCED);
	CU_ASSERT_PTR_EQUAL(session_granted(&s[0]), remote[0]);
	end_all();
}

/* While the lease is not back the file may be broken by whoever likes. */
static void restore__broken_in_backoff_and_while_acquiring__peers_hear_nothing(void)
{
	grant_all();
	count_from_now();
	fake_lease_fail(4, EAGAIN);
	fake_lease_break_next(2);
	break_now();
	expect_one_of_each();
	CU_ASSERT(fake_lease_tries() >= 1 + 4 + 2 + 1);
	end_all();
}

/* ---- keys whose number comes again ------------------------------------------------ */

static void restore__same_number_of_the_key__later_generation(void)
{
	uint64_t generation = 0;
	uint32_t rkey;

	fake_verbs_reuse_keys();
	grant_all();
	rkey = mr->rkey;
	for (int round = 0; round < 5; round++) {
		break_now();
		pass_over();
		CU_ASSERT_EQUAL(mr->rkey, rkey);
		for (int i = 0; i < PEERS; i++) {
			struct md_event *event;

			session_pass(&s[i], MD_EVENT_RECALLED);
			event = session_event(&s[i], MD_EVENT_GRANTED);
			CU_ASSERT_EQUAL(event->generation, md_map_generation(map));
			CU_ASSERT(event->generation > generation);
			md_ack_event(event);
			use(i);
		}
		generation = md_map_generation(map);
	}
	end_all();
}

/* It does not know yet that its key is dead, and now the number is alive. */
static void recall__fenced_and_the_number_comes_again__queue_pair_keeps_it_out(void)
{
	uint32_t stale;

	fake_verbs_reuse_keys();
	grant_all_within(BUDGET_MS);
	CU_ASSERT_EQUAL(md_remote_get(remote[0]), 0);
	stale = remote[0]->rkey;
	CU_ASSERT_TRUE(fake_qp_write(&fake_qp[0], stale, 0, 1));
	s[0].way[HOLDER].stopped = true;
	break_now();
	holder_pass(MD_EVENT_QP_FENCED);
	pass_over();
	pass_restored_but(0);
	CU_ASSERT_EQUAL(mr->rkey, stale);
	CU_ASSERT_TRUE(fake_qp_write(&fake_qp[1], stale, 0, 1));
	CU_ASSERT_FALSE(fake_qp_write(&fake_qp[0], stale, 0, 1));
	s[0].way[HOLDER].stopped = false;
	session_pass(&s[0], MD_EVENT_RECALLED);
	session_pass(&s[0], MD_EVENT_REMOTE_FENCED);
	/* Not granted under the same number while the old use is open. */
	sessions_run();
	CU_ASSERT_EQUAL(md_remote_wait(remote[0], 0), -1);
	md_remote_put(remote[0]);
	fake_qp_renew(&fake_qp[0]);
	CU_ASSERT_PTR_EQUAL(session_granted(&s[0]), remote[0]);
	CU_ASSERT_TRUE(fake_qp_write(&fake_qp[0], remote[0]->rkey, 0, 1));
	end_all();
}

static uint64_t older;

/* A request that was made under the generation before. */
static size_t make_older(enum side from, const uint8_t *message, size_t length, uint8_t *out)
{
	struct md__msg msg;

	if (from == HOLDER || md__wire_decode(message, length, &msg) ||
	    msg.type != MD__MSG_PERSIST_REQ)
		return look_on(from, message, length, out);
	msg.persist_req.generation = older;
	return md__wire_encode(&msg, out);
}

static void persist__generation_before_with_the_same_key__stale(void)
{
	struct md_event *event;
	uint32_t rkey;

	fake_verbs_reuse_keys();
	grant_all();
	older = md_map_generation(map);
	rkey = mr->rkey;
	break_now();
	pass_over();
	pass_restored_but(-1);
	CU_ASSERT_EQUAL(mr->rkey, rkey);
	session_rewrite = make_older;
	CU_ASSERT_EQUAL(md_persist_remote(remote[0], 0, PAGE, 1), 0);
	event = session_event(&s[0], MD_EVENT_PERSISTED);
	CU_ASSERT_EQUAL(event->error, ESTALE);
	md_ack_event(event);
	session_rewrite = NULL;
	end_all();
}

/* ---- credits and connections -------------------------------------------------------- */

/* GRANTs have used up what they may: RECALL has room all the same. */
static void recall__bulk_has_no_credits_left__sent_all_the_same(void)
{
	static struct md_grant *many[MANY];
	unsigned int before;

	grant_all();
	count_from_now();
	s[0].way[HOLDER].stopped = true;
	before = s[0].way[HOLDER].sent;
	for (int i = 0; i < MANY; i++) {
		many[i] = md_grant(s[0].peer[HOLDER], mr, "many");
		CU_ASSERT_PTR_NOT_NULL_FATAL(many[i]);
	}
	sessions_run();
	CU_ASSERT(s[0].way[HOLDER].sent - before < MANY);
	before = s[0].way[HOLDER].sent;
	break_now();
	sessions_run();
	CU_ASSERT(s[0].way[HOLDER].sent > before);
	CU_ASSERT_EQUAL(arrived[HOLDER][MD__MSG_RECALL], PEERS - 1);
	s[0].way[HOLDER].stopped = false;
	pass_over();
	for (int i = 1; i < PEERS; i++) {
		session_pass(&s[i], MD_EVENT_RECALLED);
		session_pass(&s[i], MD_EVENT_GRANTED);
	}
	sessions_run();
	CU_ASSERT_EQUAL(md_remote_wait(remote[0], 0), 0);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	for (int i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(session_recall(many[i]), 0);
	end_all();
}

static void recall__one_connection_takes_nothing__others_are_told_at_once(void)
{
	grant_all();
	s[0].way[HOLDER].send_error = EAGAIN;
	break_now();
	for (int i = 1; i < PEERS; i++)
		session_pass(&s[i], MD_EVENT_RECALLED);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	s[0].way[HOLDER].send_error = 0;
	pass_over();
	session_pass(&s[0], MD_EVENT_RECALLED);
	for (int i = 0; i < PEERS; i++) {
		session_pass(&s[i], MD_EVENT_GRANTED);
		use(i);
	}
	end_all();
}

/* A grant of another map is due as well, and waits for its turn. */
static void recall__open_on_a_new_connection__said_before_anything_else(void)
{
	struct md_map *other;
	struct md_grant *more;
	struct md_mr *region;

	grant_all();
	other = fixture_map(0);
	region = md_reg_mr(&fake_pd, other, 0, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(region);
	s[0].way[HOLDER].stopped = true;
	CU_ASSERT_EQUAL(md_release(map), 0);
	holder_pass(MD_EVENT_BREAK);
	sessions_run();
	session_cut(&s[0]);
	holder_pass(MD_EVENT_PEER_DOWN);
	session_pass(&s[0], MD_EVENT_PEER_DOWN);
	more = md_grant(s[0].peer[HOLDER], region, "more");
	CU_ASSERT_PTR_NOT_NULL_FATAL(more);
	sessions_run();
	count_from_now();
	s[0].way[HOLDER].stopped = false;
	session_mend(&s[0]);
	holder_pass(MD_EVENT_PEER_UP);
	session_pass(&s[0], MD_EVENT_PEER_UP);
	holder_pass(MD_EVENT_RELEASED);
	sessions_run();
	CU_ASSERT_EQUAL(logged, 2);
	CU_ASSERT_EQUAL(from_holder[0], MD__MSG_RECALL);
	CU_ASSERT_EQUAL(from_holder[1], MD__MSG_GRANT);
	CU_ASSERT_EQUAL(session_recall(more), 0);
	CU_ASSERT_EQUAL(md_dereg_mr(region), 0);
	fixture_unmap(other);
	end_all();
}

/* ---- peers that have forgotten ----------------------------------------------------- */

static void run_until_arrived(enum side from, uint16_t type, unsigned int count)
{
	for (int ms = 0; ms < PATIENT_MS && arrived[from][type] < count; ms++) {
		sessions_run();
		usleep(1000);
	}
	sessions_run();
	CU_ASSERT_EQUAL(arrived[from][type], count);
}

/* The range is given back and gone, and its last answer is lost. */
static void recall__of_a_region_not_known_any_more__done(void)
{
	grant_all();
	count_from_now();
	s[0].way[HOLDER].stopped = true;
	CU_ASSERT_EQUAL(md_remote_release(remote[0]), 0);
	sessions_run();
	s[0].way[PEER].stopped = true;
	s[0].way[HOLDER].stopped = false;
	run_until_arrived(HOLDER, MD__MSG_RECALL, 1);
	session_drop(&s[0], PEER);
	s[0].way[PEER].stopped = false;
	run_until_arrived(PEER, MD__MSG_RECALL_DONE, 1);
	CU_ASSERT_EQUAL(arrived[PEER][MD__MSG_RECALL_ACK], 0);
	CU_ASSERT(arrived[HOLDER][MD__MSG_RECALL] >= 2);
	break_now();
	pass_over();
	pass_restored_but(0);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	end_all();
}

static void fenced__of_a_region_not_known_any_more__acknowledged(void)
{
	grant_all_within(BUDGET_MS);
	count_from_now();
	CU_ASSERT_EQUAL(md_remote_get(remote[0]), 0);
	CU_ASSERT_EQUAL(session_recall(grant[0]), 0);
	grant[0] = NULL;
	holder_pass(MD_EVENT_QP_FENCED);
	session_pass(&s[0], MD_EVENT_RECALLED);
	session_pass(&s[0], MD_EVENT_REMOTE_FENCED);
	s[0].way[PEER].stopped = true;
	md_remote_put(remote[0]);
	session_pass(&s[0], MD_EVENT_REMOTE_LOST);
	CU_ASSERT_EQUAL(md_remote_release(remote[0]), 0);
	sessions_run();
	CU_ASSERT_EQUAL(arrived[PEER][MD__MSG_FENCED_ACK], 0);
	session_drop(&s[0], PEER);
	s[0].way[PEER].stopped = false;
	run_until_arrived(PEER, MD__MSG_FENCED_ACK, 1);
	end_all();
}

static const struct unit_case cases[] = {
	UNIT_CASE(restore__broken_before_registration__first_is_never_granted),
	UNIT_CASE(restore__broken_in_registration__first_is_never_granted),
	UNIT_CASE(restore__broken_before_grant_is_taken__grant_is_dead_when_it_arrives),
	UNIT_CASE(recall__granted_without_connection__not_waited_for),
	UNIT_CASE(recall__two_breakers__one_recall_and_the_earlier_deadline),
	UNIT_CASE(restore__broken_in_backoff_and_while_acquiring__peers_hear_nothing),
	UNIT_CASE(restore__same_number_of_the_key__later_generation),
	UNIT_CASE(recall__fenced_and_the_number_comes_again__queue_pair_keeps_it_out),
	UNIT_CASE(persist__generation_before_with_the_same_key__stale),
	UNIT_CASE(recall__bulk_has_no_credits_left__sent_all_the_same),
	UNIT_CASE(recall__one_connection_takes_nothing__others_are_told_at_once),
	UNIT_CASE(recall__open_on_a_new_connection__said_before_anything_else),
	UNIT_CASE(recall__of_a_region_not_known_any_more__done),
	UNIT_CASE(fenced__of_a_region_not_known_any_more__acknowledged),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("recall_moments", cases, argc, argv);
}
