// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A library of another version at the other end: two of this one, and the bytes between
 * them changed on their way to what the other version may send.
 */

#include "granted.h"
#include "wire.h"

#define NEWER_MINOR 7
#define NEWER_TYPE (MD__MSG_OPTIONAL | 99)
#define OTHER_MAJOR (MD__WIRE_MAJOR + 1)
#define OTHER_MINOR 3
#define MANY 40 /* more messages than there are credits */

/* What the sender of each side is of. */
static bool newer[2], other_major[2];
static unsigned int inserted, lengthened;

/* ---- bytes ---------------------------------------------------------------- */

static uint64_t number_at(const uint8_t *bytes, size_t at, unsigned int size)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < size; i++)
		value |= (uint64_t)bytes[at + i] << 8 * i;
	return value;
}

static void set_number(uint8_t *bytes, size_t at, unsigned int size, uint64_t value)
{
	for (unsigned int i = 0; i < size; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * i);
}

/* What was zero may have a meaning by now. */
static void give_meaning(uint8_t *bytes, uint16_t type)
{
	switch (type) {
	case MD__MSG_GRANT:
		bytes[75] |= 0x80; /* flags */
		set_number(bytes, 76, 4, UINT32_MAX);
		break;
	case MD__MSG_RECALL:
	case MD__MSG_FENCED:
		bytes[63] |= 0x80; /* flags */
		break;
	case MD__MSG_PERSIST_REQ:
		set_number(bytes, 60, 4, UINT32_MAX);
		break;
	case MD__MSG_PERSIST_RSP:
		set_number(bytes, 44, 4, UINT32_MAX);
		break;
	}
}

/* Behind each message comes one of a type that is not known here: twice the numbers. */
static size_t make_newer(uint8_t *out, size_t length)
{
	const uint16_t type = (uint16_t)number_at(out, 6, 2);
	const uint64_t number = number_at(out, 16, 8);
	const size_t whole = number % 4 ? length + number % 4 * 8 : MD_MESSAGE_MAX;
	uint8_t *next = out + whole;

	give_meaning(out, type);
	memset(out + length, 0xee, whole - length);
	lengthened += whole - length > 0;
	out[5] = NEWER_MINOR;
	set_number(out, 8, 4, whole);
	set_number(out, 16, 8, 2 * number - 1);
	if (type == MD__MSG_ERROR || type == MD__MSG_BYE)
		return whole; /* the last one */
	memcpy(next, out, MD__WIRE_HEADER);
	memset(next + MD__WIRE_HEADER, 0xee, 8);
	set_number(next, 6, 2, NEWER_TYPE);
	set_number(next, 8, 4, MD__WIRE_HEADER + 8);
	set_number(next, 16, 8, 2 * number);
	inserted++;
	return whole + MD__WIRE_HEADER + 8;
}

/* To a side that sends less than arrives: what was received, and what may be under way. */
static void tell_to_newer(uint8_t *out)
{
	set_number(out, 12, 4, (number_at(out, 12, 4) + 1) / 2);
	if (number_at(out, 6, 2) == MD__MSG_HELLO)
		set_number(out, 48, 4, number_at(out, 48, 4) / 2);
}

static size_t rewrite(enum side from, const uint8_t *message, size_t length, uint8_t *out)
{
	memcpy(out, message, length);
	if (newer[!from])
		tell_to_newer(out);
	if (other_major[from]) {
		out[4] = OTHER_MAJOR;
		out[5] = OTHER_MINOR;
	}
	return newer[from] ? make_newer(out, length) : length;
}

static void use_versions(bool holder_newer, bool peer_newer)
{
	newer[HOLDER] = holder_newer;
	newer[PEER] = peer_newer;
	other_major[HOLDER] = other_major[PEER] = false;
	inserted = lengthened = 0;
	session_rewrite = rewrite;
}

/* ---- a newer minor version -------------------------------------------------- */

static void break_now(void)
{
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	holder_pass(MD_EVENT_BREAK);
	holder_pass(MD_EVENT_RELEASED);
	holder_pass(MD_EVENT_RESTORED);
}

static void pass_persisted(uint64_t wr_id)
{
	struct md_event *event = session_event(&s[0], MD_EVENT_PERSISTED);

	CU_ASSERT_EQUAL(event->wr_id, wr_id);
	CU_ASSERT_EQUAL(event->error, 0);
	md_ack_event(event);
}

static void grant_many(void)
{
	static struct md_grant *many[MANY];

	for (int i = 0; i < MANY; i++) {
		many[i] = md_grant(s[0].peer[HOLDER], mr, "many");
		CU_ASSERT_PTR_NOT_NULL_FATAL(many[i]);
	}
	for (int i = 0; i < MANY; i++)
		session_pass(&s[0], MD_EVENT_GRANTED);
	for (int i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(session_recall(many[i]), 0);
	for (int i = 0; i < MANY; i++) {
		session_pass(&s[0], MD_EVENT_RECALLED);
		session_pass(&s[0], MD_EVENT_REMOTE_LOST);
	}
}

/* All that a session is for; any event that is not expected fails it. */
static void whole_session(void)
{
	grant_all();
	for (int i = 0; i < PEERS; i++) {
		CU_ASSERT_STRING_EQUAL(remote[i]->name, "data");
		CU_ASSERT_EQUAL(remote[i]->rkey, mr->rkey);
		use(i);
	}
	for (int round = 0; round < 3; round++) {
		break_now();
		pass_restored_but(-1);
	}
	for (uint64_t n = 0; n < MANY; n++)
		CU_ASSERT_EQUAL(md_persist_remote(remote[0], n * 64, 64, n), 0);
	for (uint64_t n = 0; n < MANY; n++)
		pass_persisted(n);
	session_reconnect(&s[0]);
	break_now();
	pass_restored_but(-1);
	grant_many();
	CU_ASSERT_EQUAL(md_remote_release(remote[1]), 0);
	sessions_run();
	CU_ASSERT_EQUAL(md_peer_close(s[2].peer[PEER]), 0);
	s[2].peer[PEER] = NULL;
	holder_pass(MD_EVENT_PEER_CLOSED);
	for (int i = 0; i < PEERS; i++)
		CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[i]));
	end_all();
	CU_ASSERT(inserted > 100);
	CU_ASSERT(lengthened > 100);
}

static void session__peer_is_newer__as_usual(void)
{
	use_versions(false, true);
	whole_session();
}

static void session__holder_is_newer__as_usual(void)
{
	use_versions(true, false);
	whole_session();
}

static void session__both_are_newer__as_usual(void)
{
	use_versions(true, true);
	whole_session();
}

/* ---- another major version ---------------------------------------------------- */

static void expect_refused(struct md_event *event, const char *came, const char *own)
{
	char versions[40];

	snprintf(versions, sizeof(versions), "of version %s came to version %s", came, own);
	CU_ASSERT_EQUAL(event->error, EPROTONOSUPPORT);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "gone for good"));
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "another major version"));
	if (!strstr(event->message, versions))
		printf("\n    %s ", event->message);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, versions));
	md_ack_event(event);
}

static void expect_over(void)
{
	for (enum side side = HOLDER; side <= PEER; side++) {
		CU_ASSERT_EQUAL(s[0].way[side].closed, 1);
		CU_ASSERT_EQUAL(md_peer_connected(s[0].peer[side]), -1);
		ASSERT_FAILED(ESHUTDOWN, "is over");
	}
}

/* Each reads of the other what is the same in all versions. */
static void connect__other_major_each_way__refused_by_both(void)
{
	use_versions(false, false);
	other_major[HOLDER] = other_major[PEER] = true;
	sessions_make(s, 1);
	session_mend(&s[0]);
	expect_refused(holder_event(MD_EVENT_PEER_CLOSED), "2.3", "1.0");
	expect_refused(session_event(&s[0], MD_EVENT_PEER_CLOSED), "2.3", "1.0");
	sessions_run();
	expect_over();
	sessions_close(s, 1);
}

/* One that can read what the other says is told why. */
static void connect__other_major_one_way__both_told_of_both_versions(void)
{
	use_versions(false, false);
	other_major[PEER] = true;
	sessions_make(s, 1);
	session_mend(&s[0]);
	sessions_run();
	/* Of the input that came last: the refusal. */
	CU_ASSERT_PTR_NOT_NULL(strstr(md_errmsg(), "of version 2.3 came to version 1.0"));
	expect_refused(holder_event(MD_EVENT_PEER_CLOSED), "2.3", "1.0");
	expect_refused(session_event(&s[0], MD_EVENT_PEER_CLOSED), "2.3", "1.0");
	expect_over();
	sessions_close(s, 1);
}

static struct md_event *any_event(void)
{
	struct md_event *event = NULL;

	while (md_get_event(ctx, &event, 0))
		sessions_run();
	return event;
}

/* In whatever order: they are of two objects. */
static void pass_closed_and_fenced(void)
{
	for (int i = 0; i < 2; i++) {
		struct md_event *event = any_event();

		if (event->type == MD_EVENT_PEER_CLOSED) {
			expect_refused(event, "2.3", "1.0");
			continue;
		}
		CU_ASSERT_EQUAL(event->type, MD_EVENT_QP_FENCED);
		CU_ASSERT_PTR_EQUAL(event->qp, &fake_qp[0]);
		CU_ASSERT_EQUAL(event->reason, MD_REASON_PROTOCOL);
		md_ack_event(event);
	}
}

/* The peer was started anew, from another package. */
static void connect__other_major_later__over_and_fenced_alone(void)
{
	use_versions(false, false);
	grant_all();
	session_cut(&s[0]);
	holder_pass(MD_EVENT_PEER_DOWN);
	session_pass(&s[0], MD_EVENT_PEER_DOWN);
	other_major[PEER] = true;
	session_mend(&s[0]);
	pass_closed_and_fenced();
	session_pass(&s[0], MD_EVENT_REMOTE_LOST);
	expect_refused(session_event(&s[0], MD_EVENT_PEER_CLOSED), "2.3", "1.0");
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[1]) || fake_qp_fenced(&fake_qp[2]));
	other_major[PEER] = false;
	break_now();
	pass_restored_but(0);
	end_all();
}

static const struct unit_case cases[] = {
	UNIT_CASE(session__peer_is_newer__as_usual),
	UNIT_CASE(session__holder_is_newer__as_usual),
	UNIT_CASE(session__both_are_newer__as_usual),
	UNIT_CASE(connect__other_major_each_way__refused_by_both),
	UNIT_CASE(connect__other_major_one_way__both_told_of_both_versions),
	UNIT_CASE(connect__other_major_later__over_and_fenced_alone),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("interop", cases, argc, argv);
}
