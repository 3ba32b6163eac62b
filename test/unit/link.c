// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The link of a session: introduction, numbers, credits, keep-alive. */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "link.h"
#include "unit.h"

#define MSEC UINT64_C(1000000)
#define SEC (1000 * MSEC)
#define KEEPALIVE SEC
#define A_NAME 0xa1
#define B_NAME 0xb2

static struct md__link a, b;
static uint64_t now;

static void start(void)
{
	now = 1000 * SEC;
	md__link_init(&a, A_NAME, 0xa, KEEPALIVE);
	md__link_init(&b, B_NAME, 0xb, KEEPALIVE);
}

static void connect_both(void)
{
	md__link_up(&a, now);
	md__link_up(&b, now);
}

/* The next message that a link has of its own, stamped. */
static bool next(struct md__link *l, struct md__msg *msg)
{
	*msg = (struct md__msg){ .major = MD__WIRE_MAJOR, .minor = MD__WIRE_MINOR };
	if (!md__link_next(l, msg))
		return false;
	md__link_stamp(l, msg, now);
	return true;
}

/* One that an object of the session has. */
static struct md__msg object(struct md__link *l)
{
	struct md__msg msg = {
		.type = MD__MSG_GRANT_ACK,
		.answer = { .region = 1, .generation = 1 },
	};

	md__link_stamp(l, &msg, now);
	return msg;
}

static enum md__link_result give(struct md__link *l, const struct md__msg *msg)
{
	return md__link_input(l, msg, MD__ERR_NONE, now);
}

/* All that links say by themselves arrives. Returns how many messages. */
static unsigned int settle(void)
{
	unsigned int n = 0, before;
	struct md__msg msg;

	do {
		before = n;
		for (; next(&a, &msg); n++)
			give(&b, &msg);
		for (; next(&b, &msg); n++)
			give(&a, &msg);
	} while (n != before);
	return n;
}

static void open_both(void)
{
	start();
	connect_both();
	CU_ASSERT_EQUAL(settle(), 4);
	CU_ASSERT_EQUAL_FATAL(a.state, MD__LINK_OPEN);
	CU_ASSERT_EQUAL_FATAL(b.state, MD__LINK_OPEN);
}

static struct md__msg expect(struct md__link *l, uint16_t type)
{
	struct md__msg msg;

	CU_ASSERT_FATAL(next(l, &msg));
	if (msg.type != type)
		printf("\n    %s, expected %s ", md__msg_str(msg.type), md__msg_str(type));
	CU_ASSERT_EQUAL_FATAL(msg.type, type);
	return msg;
}

static void expect_nothing(struct md__link *l)
{
	struct md__msg msg;

	CU_ASSERT_FALSE(next(l, &msg));
}

/* ---- every state and message -------------------------------------------- */

/* HELLO is two states here: before the HELLO of the other side, and after it. */
enum at {
	NEW,
	GREETED,
	OPEN,
	ATS
};

static void reach(enum at at)
{
	struct md__msg msg;

	start();
	connect_both();
	if (at == NEW)
		return;
	msg = expect(&b, MD__MSG_HELLO);
	give(&a, &msg);
	if (at == GREETED)
		return;
	settle();
}

enum kind {
	MISSING,
	RESULT,
	FAILS
};

static const struct cell {
	enum kind kind;
	enum md__link_result result;
	enum md__link_state next;
	unsigned int due; /* besides HELLO */
} expected[ATS][MD__MSG_TYPES + 1] = {
#define IS(result, state, due)                                                                     \
	{                                                                                          \
		RESULT, MD__LINK_##result, MD__LINK_##state, due                                   \
	}
#define FAIL                                                                                       \
	{                                                                                          \
		FAILS, MD__LINK_FAILED, MD__LINK_DOWN, MD__LINK_DUE_ERROR                          \
	}
#define PASSES(state) IS(PASS, state, 0)
#define OBJECTS(cell)                                                                              \
	[MD__MSG_GRANT] = cell, [MD__MSG_GRANT_ACK] = cell, [MD__MSG_RECALL] = cell,               \
	[MD__MSG_RECALL_ACK] = cell, [MD__MSG_RECALL_DONE] = cell, [MD__MSG_FENCED] = cell,        \
	[MD__MSG_FENCED_ACK] = cell, [MD__MSG_PERSIST_REQ] = cell, [MD__MSG_PERSIST_RSP] = cell,   \
	[MD__MSG_WANT] = cell, [MD__MSG_RELEASE] = cell
	[NEW] = {
		[MD__MSG_HELLO] = IS(TAKEN, HELLO, MD__LINK_DUE_ACK),
		[MD__MSG_HELLO_ACK] = IS(TAKEN, HELLO, 0),
		OBJECTS(FAIL),
		[MD__MSG_PING] = FAIL,
		[MD__MSG_PONG] = FAIL,
		[MD__MSG_ERROR] = IS(FINISHED, DOWN, 0),
		[MD__MSG_BYE] = IS(FINISHED, CLOSED, 0),
		[MD__MSG_TYPES] = FAIL,
	},
	[GREETED] = {
		[MD__MSG_HELLO] = IS(TAKEN, HELLO, MD__LINK_DUE_ACK),
		[MD__MSG_HELLO_ACK] = IS(OPENED, OPEN, MD__LINK_DUE_ACK),
		OBJECTS(IS(PASS, HELLO, MD__LINK_DUE_ACK)),
		[MD__MSG_PING] = IS(TAKEN, HELLO, MD__LINK_DUE_ACK | MD__LINK_DUE_PONG),
		[MD__MSG_PONG] = IS(TAKEN, HELLO, MD__LINK_DUE_ACK),
		[MD__MSG_ERROR] = IS(FINISHED, DOWN, 0),
		[MD__MSG_BYE] = IS(FINISHED, CLOSED, 0),
		[MD__MSG_TYPES] = IS(TAKEN, HELLO, MD__LINK_DUE_ACK),
	},
	[OPEN] = {
		[MD__MSG_HELLO] = IS(TAKEN, OPEN, MD__LINK_DUE_ACK),
		[MD__MSG_HELLO_ACK] = IS(TAKEN, OPEN, 0),
		OBJECTS(PASSES(OPEN)),
		[MD__MSG_PING] = IS(TAKEN, OPEN, MD__LINK_DUE_PONG),
		[MD__MSG_PONG] = IS(TAKEN, OPEN, 0),
		[MD__MSG_ERROR] = IS(FINISHED, DOWN, 0),
		[MD__MSG_BYE] = IS(FINISHED, CLOSED, 0),
		[MD__MSG_TYPES] = IS(TAKEN, OPEN, 0),
	},
#undef IS
#undef FAIL
#undef PASSES
#undef OBJECTS
};

static struct md__msg message(uint16_t type)
{
	struct md__msg msg = { .type = type };

	switch (type) {
	case MD__MSG_HELLO:
		msg.hello = (struct md__hello){ 0xb, A_NAME, 32, 1000 };
		break;
	case MD__MSG_HELLO_ACK:
		msg.hello_ack.session = A_NAME;
		break;
	case MD__MSG_ERROR:
		msg.error.code = MD__ERR_STATE;
		break;
	default:
		break;
	}
	md__link_stamp(&b, &msg, now);
	return msg;
}

static void check_cell(enum at at, uint16_t type)
{
	const struct cell *want = &expected[at][type];
	enum md__link_result result;
	struct md__msg msg;

	reach(at);
	msg = message(type);
	result = give(&a, &msg);
	if (want->kind != MISSING && result == want->result && a.state == want->next &&
	    (a.due & ~MD__LINK_DUE_HELLO) == want->due)
		return;
	printf("\n    %d + %s: result %d, %s, due %#x ", at, md__msg_str(type), result,
	       md__link_state_str(a.state), a.due);
	CU_FAIL("cell");
}

static void input__every_state_and_type__as_decided(void)
{
	for (enum at at = 0; at < ATS; at++) {
		for (uint16_t type = 1; type <= MD__MSG_TYPES; type++)
			check_cell(at, type);
	}
}

static void input__what_is_no_message__refused_in_words(void)
{
	for (enum at at = 0; at < ATS; at++) {
		for (enum md__wire_error err = MD__ERR_MAGIC; err < MD__ERRS; err++) {
			bool over = err == MD__ERR_VERSION || err == MD__ERR_SESSION ||
				    err == MD__ERR_REFUSED;
			struct md__msg msg;

			reach(at);
			msg = message(MD__MSG_PING);
			CU_ASSERT_EQUAL(md__link_input(&a, &msg, err, now), MD__LINK_FAILED);
			CU_ASSERT_EQUAL(a.state, over ? MD__LINK_CLOSED : MD__LINK_DOWN);
			msg = expect(&a, MD__MSG_ERROR);
			CU_ASSERT_EQUAL(msg.error.code, err);
			CU_ASSERT_EQUAL(msg.error.type, MD__MSG_PING);
			CU_ASSERT_PTR_NOT_NULL(strstr(
				msg.error.text,
				err == MD__ERR_VERSION ? "version 1.0" : md__wire_error_str(err)));
			expect_nothing(&a);
		}
	}
}

/* ---- introduction ------------------------------------------------------- */

static void hello__one_side_first__both_open(void)
{
	struct md__link *first[] = { &a, &b };

	for (int i = 0; i < 2; i++) {
		struct md__link *one = first[i], *two = first[!i];
		struct md__msg msg;

		start();
		connect_both();
		msg = expect(one, MD__MSG_HELLO);
		CU_ASSERT_EQUAL(msg.number, 1);
		CU_ASSERT_EQUAL(msg.session, one->self);
		CU_ASSERT_EQUAL(msg.hello.other, 0);
		CU_ASSERT_EQUAL(msg.hello.window, MD__LINK_WINDOW);
		CU_ASSERT_EQUAL(msg.hello.keepalive_ms, 1000);
		CU_ASSERT_EQUAL(give(two, &msg), MD__LINK_TAKEN);
		msg = expect(two, MD__MSG_HELLO);
		CU_ASSERT_EQUAL(msg.hello.other, one->self);
		CU_ASSERT_EQUAL(give(one, &msg), MD__LINK_TAKEN);
		msg = expect(two, MD__MSG_HELLO_ACK);
		CU_ASSERT_EQUAL(give(one, &msg), MD__LINK_OPENED);
		CU_ASSERT_EQUAL(one->state, MD__LINK_OPEN);
		CU_ASSERT_EQUAL(two->state, MD__LINK_HELLO);
		CU_ASSERT_FALSE(md__link_has_room(two, false));
		msg = expect(one, MD__MSG_HELLO_ACK);
		CU_ASSERT_EQUAL(give(two, &msg), MD__LINK_OPENED);
		CU_ASSERT(md__link_has_room(two, true));
		expect_nothing(one);
		expect_nothing(two);
	}
}

static void hello__lost__said_again(void)
{
	struct md__msg msg;

	start();
	connect_both();
	expect(&a, MD__MSG_HELLO);
	CU_ASSERT_EQUAL(md__link_timer_at(&a), now + 200 * MSEC);
	now += 200 * MSEC - 1;
	CU_ASSERT_EQUAL(md__link_timer(&a, now), MD__LINK_TAKEN);
	expect_nothing(&a);
	now++;
	CU_ASSERT_EQUAL(md__link_timer(&a, now), MD__LINK_TAKEN);
	msg = expect(&a, MD__MSG_HELLO);
	CU_ASSERT_EQUAL(msg.number, 2);
	give(&b, &msg);
	settle();
	CU_ASSERT_EQUAL(a.state, MD__LINK_OPEN);
	CU_ASSERT_EQUAL(b.state, MD__LINK_OPEN);
}

static void hello__acknowledgement_lost__said_again(void)
{
	struct md__msg msg;

	start();
	connect_both();
	msg = expect(&a, MD__MSG_HELLO);
	give(&b, &msg);
	msg = expect(&b, MD__MSG_HELLO);
	give(&a, &msg);
	expect(&b, MD__MSG_HELLO_ACK); /* which is lost */
	settle();
	CU_ASSERT_EQUAL(a.state, MD__LINK_HELLO);
	CU_ASSERT_EQUAL(b.state, MD__LINK_OPEN);
	now += 200 * MSEC;
	md__link_timer(&a, now);
	settle();
	CU_ASSERT_EQUAL(a.state, MD__LINK_OPEN);
}

/* What a side may send that has been opened, before the other side has. */
static void pass__before_the_acknowledgement__passed(void)
{
	struct md__msg msg;

	reach(GREETED);
	msg = object(&b);
	CU_ASSERT_EQUAL(give(&a, &msg), MD__LINK_PASS);
}

static void resume__same_names__open_again(void)
{
	struct md__msg msg;

	open_both();
	for (int i = 0; i < 3; i++) {
		md__link_down(&a);
		md__link_down(&b);
		CU_ASSERT_EQUAL(a.state, MD__LINK_DOWN);
		CU_ASSERT_EQUAL(a.sent, 0);
		CU_ASSERT_EQUAL(a.other, B_NAME);
		connect_both();
		msg = expect(&a, MD__MSG_HELLO);
		CU_ASSERT_EQUAL(msg.hello.other, B_NAME);
		give(&b, &msg);
		settle();
		CU_ASSERT_EQUAL(a.state, MD__LINK_OPEN);
		CU_ASSERT_EQUAL(b.state, MD__LINK_OPEN);
	}
}

/* The first connection broke when only one had heard of the other. */
static void resume__one_has_not_heard_of_the_other__open(void)
{
	struct md__msg msg;

	start();
	connect_both();
	msg = expect(&a, MD__MSG_HELLO);
	give(&b, &msg);
	md__link_down(&a);
	md__link_down(&b);
	CU_ASSERT_EQUAL(a.other, 0);
	CU_ASSERT_EQUAL(b.other, A_NAME);
	connect_both();
	settle();
	CU_ASSERT_EQUAL(a.state, MD__LINK_OPEN);
	CU_ASSERT_EQUAL(b.state, MD__LINK_OPEN);
}

static void refuse(uint64_t name, uint64_t incarnation, uint64_t other)
{
	struct md__msg msg = {
		.type = MD__MSG_HELLO,
		.hello = { incarnation, other, 32, 1000 },
		.session = name,
		.number = 1,
	};

	open_both();
	md__link_down(&a);
	md__link_up(&a, now);
	CU_ASSERT_EQUAL(give(&a, &msg), MD__LINK_FAILED);
	CU_ASSERT_EQUAL(a.state, MD__LINK_CLOSED);
	msg = expect(&a, MD__MSG_ERROR);
	CU_ASSERT_EQUAL(msg.error.code, MD__ERR_SESSION);
	/* The other side learns it, too, whether it was greeted or not. */
	CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_TAKEN); /* a number of before */
	md__link_down(&b);
	md__link_up(&b, now);
	CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_FINISHED);
	CU_ASSERT_EQUAL(b.state, MD__LINK_CLOSED);
	expect_nothing(&b);
}

static void resume__other_names__session_is_over(void)
{
	refuse(B_NAME + 1, 0xb, A_NAME);
	refuse(B_NAME + 1, 0xb, 0);
	refuse(B_NAME, 0xb + 1, A_NAME);
	refuse(B_NAME, 0xb, A_NAME + 1);
}

static void input__name_changes_in_a_connection__session_is_over(void)
{
	struct md__msg msg;

	open_both();
	msg = object(&b);
	msg.session++;
	CU_ASSERT_EQUAL(give(&a, &msg), MD__LINK_FAILED);
	CU_ASSERT_EQUAL(a.error.code, MD__ERR_SESSION);
	CU_ASSERT_EQUAL(a.state, MD__LINK_CLOSED);
}

static void hello_ack__of_another_session__session_is_over(void)
{
	struct md__msg msg;

	reach(GREETED);
	msg = message(MD__MSG_HELLO_ACK);
	msg.hello_ack.session++;
	CU_ASSERT_EQUAL(give(&a, &msg), MD__LINK_FAILED);
	CU_ASSERT_EQUAL(a.error.code, MD__ERR_SESSION);
}

/* Each understands the first 12 bytes of the other, and no more. */
static void version__another_major__both_refuse_in_words(void)
{
	uint8_t bytes[MD__WIRE_MAX];
	struct md__link *side[] = { &a, &b };
	size_t length;

	start();
	connect_both();
	for (int i = 0; i < 2; i++) {
		struct md__msg msg = expect(side[i], MD__MSG_HELLO);

		length = md__wire_encode(&msg, bytes);
		bytes[4]++;
		CU_ASSERT_EQUAL(
			md__link_input(side[!i], &msg, md__wire_decode(bytes, length, &msg), now),
			MD__LINK_FAILED);
		CU_ASSERT_EQUAL(side[!i]->state, MD__LINK_CLOSED);
		CU_ASSERT_EQUAL(side[!i]->error.code, MD__ERR_VERSION);
		CU_ASSERT_STRING_EQUAL(side[!i]->error.text,
				       "a message of version 2.0 came to version 1.0");
		msg = expect(side[!i], MD__MSG_ERROR);
		length = md__wire_encode(&msg, bytes);
		CU_ASSERT_EQUAL(md__wire_decode(bytes, length, &msg), MD__ERR_NONE);
		start();
		connect_both();
	}
}

/* ---- end ---------------------------------------------------------------- */

static void bye__each_state__last_message_if_there_is_a_connection(void)
{
	struct md__msg msg;

	start();
	md__link_bye(&a);
	CU_ASSERT_EQUAL(a.state, MD__LINK_CLOSED);
	expect_nothing(&a);
	for (enum at at = 0; at < ATS; at++) {
		reach(at);
		md__link_bye(&a);
		CU_ASSERT_EQUAL(a.state, MD__LINK_CLOSED);
		msg = expect(&a, MD__MSG_BYE);
		expect_nothing(&a);
		CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_FINISHED);
		CU_ASSERT_EQUAL(b.state, MD__LINK_CLOSED);
		CU_ASSERT_EQUAL(b.error.code, MD__ERR_NONE);
		md__link_down(&b);
		CU_ASSERT_EQUAL(b.state, MD__LINK_CLOSED);
		CU_ASSERT_EQUAL(md__link_timer_at(&b), 0);
	}
}

static void error__of_the_other_side__ends_connection_or_session(void)
{
	for (uint32_t code = MD__ERR_MAGIC; code <= MD__ERRS; code++) {
		bool over = code == MD__ERR_VERSION || code == MD__ERR_SESSION ||
			    code == MD__ERR_REFUSED;
		struct md__msg msg;

		open_both();
		msg = message(MD__MSG_ERROR);
		msg.error.code = code;
		CU_ASSERT_EQUAL(give(&a, &msg), MD__LINK_FINISHED);
		CU_ASSERT_EQUAL(a.state, over ? MD__LINK_CLOSED : MD__LINK_DOWN);
		CU_ASSERT_EQUAL(a.error.code, code);
		expect_nothing(&a);
	}
}

/* ---- numbers and credits ------------------------------------------------ */

static unsigned int send_all(struct md__link *l, bool bulk)
{
	unsigned int n;

	for (n = 0; md__link_has_room(l, bulk); n++)
		object(l);
	return n;
}

static uint32_t open_messages(const struct md__link *l)
{
	return (uint32_t)l->sent - l->confirmed;
}

static void credits__bulk_then_critical_then_pong__each_stops_in_time(void)
{
	struct md__msg msg;

	open_both();
	send_all(&a, true);
	CU_ASSERT_EQUAL(open_messages(&a), MD__LINK_WINDOW - MD__LINK_RESERVED);
	CU_ASSERT(md__link_has_room(&a, false));
	send_all(&a, false);
	CU_ASSERT_EQUAL(open_messages(&a), MD__LINK_WINDOW - 1);
	a.due = MD__LINK_DUE_PING;
	CU_ASSERT_FALSE(md__link_next(&a, &msg));
	a.due = MD__LINK_DUE_PONG;
	expect(&a, MD__MSG_PONG);
	CU_ASSERT_EQUAL(open_messages(&a), MD__LINK_WINDOW);
	a.due = MD__LINK_DUE_PONG;
	expect_nothing(&a);
}

static void credits__small_window__one_message_at_least(void)
{
	for (uint32_t window = 1; window <= MD__LINK_WINDOW; window++) {
		open_both();
		a.confirmed = (uint32_t)a.sent;
		a.window = window;
		send_all(&a, true);
		CU_ASSERT_EQUAL(open_messages(&a), window > 8 ? window - 8 : 1);
		send_all(&a, false);
		CU_ASSERT_EQUAL(open_messages(&a), window > 1 ? window - 1 : 1);
	}
}

static void credits__half_is_used__returned(void)
{
	struct md__msg msg;
	unsigned int n;

	open_both();
	msg = object(&b);
	give(&a, &msg);
	for (n = 1; md__link_has_room(&a, false); n++) {
		msg = object(&a);
		CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_PASS);
		if (next(&b, &msg))
			break;
	}
	CU_ASSERT(n <= MD__LINK_WINDOW / 2);
	CU_ASSERT_EQUAL(msg.type, MD__MSG_PONG);
	CU_ASSERT_EQUAL(msg.ping.stamp, 0);
	give(&a, &msg);
	CU_ASSERT_EQUAL(open_messages(&a), 0);
}

static void credits__more_than_the_window__detected(void)
{
	struct md__msg msg;
	uint32_t before;

	open_both();
	before = b.told;
	for (;;) {
		msg = object(&a);
		if ((uint32_t)msg.number - before > MD__LINK_WINDOW)
			break;
		CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_PASS);
	}
	CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_FAILED);
	CU_ASSERT_EQUAL(b.error.code, MD__ERR_CREDITS);
	CU_ASSERT_EQUAL(b.state, MD__LINK_DOWN);
}

static void number__too_far_ahead__detected(void)
{
	struct md__msg msg;

	open_both();
	msg = object(&a);
	msg.number = b.received + MD__LINK_WINDOW + 1;
	CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_FAILED);
	CU_ASSERT_EQUAL(b.error.code, MD__ERR_CREDITS);
	open_both();
	msg = object(&a);
	msg.number += UINT64_C(1) << 32;
	CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_FAILED);
}

static void number__twice_or_old__dropped(void)
{
	struct md__msg first, second;
	struct md__link before;

	open_both();
	first = object(&a);
	second = object(&a);
	CU_ASSERT_EQUAL(give(&b, &first), MD__LINK_PASS);
	CU_ASSERT_EQUAL(give(&b, &second), MD__LINK_PASS);
	memcpy(&before, &b, sizeof(b));
	now += SEC;
	CU_ASSERT_EQUAL(give(&b, &second), MD__LINK_TAKEN);
	CU_ASSERT_EQUAL(give(&b, &first), MD__LINK_TAKEN);
	CU_ASSERT_EQUAL(memcmp(&before, &b, sizeof(b)), 0);
}

static void seen__of_what_was_not_sent__ignored(void)
{
	struct md__msg msg;

	open_both();
	send_all(&a, false);
	msg = object(&b);
	msg.seen = (uint32_t)a.sent + 1;
	give(&a, &msg);
	CU_ASSERT_EQUAL(open_messages(&a), MD__LINK_WINDOW - 1);
	msg = object(&b);
	msg.seen = a.confirmed - 1;
	give(&a, &msg);
	CU_ASSERT_EQUAL(open_messages(&a), MD__LINK_WINDOW - 1);
	msg = object(&b);
	msg.seen = (uint32_t)a.sent;
	give(&a, &msg);
	CU_ASSERT_EQUAL(open_messages(&a), 0);
}

/* Both sides as after 2^32 - @before messages each way. */
static void set_numbers(uint64_t before)
{
	uint64_t start_at = (UINT64_C(1) << 32) - before;

	a.sent = b.sent = a.received = b.received = start_at;
	a.confirmed = b.confirmed = a.told = b.told = (uint32_t)start_at;
}

static void numbers__beyond_32_bits__credits_go_on(void)
{
	for (uint64_t before = 0; before < 40; before++) {
		open_both();
		set_numbers(before);
		for (int i = 0; i < 100; i++) {
			struct md__msg msg;

			CU_ASSERT_FATAL(md__link_has_room(&a, true));
			msg = object(&a);
			CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_PASS);
			settle();
		}
		send_all(&a, false);
		CU_ASSERT_EQUAL(open_messages(&a), MD__LINK_WINDOW - 1);
	}
}

/* ---- time --------------------------------------------------------------- */

static void keep_alive__nothing_to_say__ping_and_pong(void)
{
	struct md__msg ping, pong;

	open_both();
	CU_ASSERT_EQUAL(md__link_timer_at(&a), now + KEEPALIVE / 2);
	now += KEEPALIVE / 2 - 1;
	md__link_timer(&a, now);
	expect_nothing(&a);
	now++;
	CU_ASSERT_EQUAL(md__link_timer(&a, now), MD__LINK_TAKEN);
	ping = expect(&a, MD__MSG_PING);
	give(&b, &ping);
	pong = expect(&b, MD__MSG_PONG);
	CU_ASSERT_EQUAL(pong.ping.stamp, ping.ping.stamp);
	give(&a, &pong);
	expect_nothing(&a);
	expect_nothing(&b);
}

static void keep_alive__something_was_said__no_ping(void)
{
	open_both();
	now += KEEPALIVE / 2 - 1;
	object(&a);
	now++;
	md__link_timer(&a, now);
	expect_nothing(&a);
	CU_ASSERT_EQUAL(md__link_timer_at(&a), now - 1 + KEEPALIVE / 2);
}

static void keep_alive__no_room_for_ping__not_asked_again_and_again(void)
{
	open_both();
	send_all(&a, false);
	now += KEEPALIVE / 2;
	CU_ASSERT_EQUAL(md__link_timer(&a, now), MD__LINK_TAKEN);
	expect_nothing(&a);
	CU_ASSERT(md__link_timer_at(&a) > now);
}

static void silence__three_times_as_long_as_promised__lost(void)
{
	for (enum at at = 0; at < ATS; at++) {
		uint64_t end;

		reach(at);
		end = a.received_at + MD__LINK_PATIENCE * KEEPALIVE;
		while (now < end) {
			struct md__msg msg;

			CU_ASSERT_EQUAL(md__link_timer(&a, now), MD__LINK_TAKEN);
			while (next(&a, &msg))
				;
			CU_ASSERT(md__link_timer_at(&a) > now);
			CU_ASSERT(md__link_timer_at(&a) <= end);
			now += 10 * MSEC;
		}
		CU_ASSERT_EQUAL(md__link_timer(&a, now), MD__LINK_FAILED);
		CU_ASSERT_EQUAL(a.error.code, MD__ERR_SILENT);
		CU_ASSERT_EQUAL(a.state, MD__LINK_DOWN);
		CU_ASSERT_EQUAL(md__link_timer_at(&a), 0);
		CU_ASSERT_EQUAL(md__link_timer(&a, now + SEC), MD__LINK_TAKEN);
		CU_ASSERT_EQUAL(expect(&a, MD__MSG_ERROR).error.code, MD__ERR_SILENT);
	}
}

static void silence__other_side_promised_less__waited_for_longer(void)
{
	struct md__msg msg;

	start();
	connect_both();
	msg = expect(&b, MD__MSG_HELLO);
	msg.hello.keepalive_ms = 7000;
	give(&a, &msg);
	msg = message(MD__MSG_HELLO_ACK);
	CU_ASSERT_EQUAL(give(&a, &msg), MD__LINK_OPENED);
	while (next(&a, &msg))
		;
	a.due = MD__LINK_DUE_PING;
	CU_ASSERT_EQUAL(md__link_timer_at(&a), now + 21 * SEC);
}

static void bye__all_credits_are_used__understood(void)
{
	struct md__msg msg;

	open_both();
	set_numbers(7);
	for (int i = 0; i < MD__LINK_WINDOW; i++) {
		msg = object(&a);
		CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_PASS);
	}
	CU_ASSERT_EQUAL(open_messages(&a), MD__LINK_WINDOW);
	md__link_bye(&a);
	msg = expect(&a, MD__MSG_BYE);
	CU_ASSERT_EQUAL(give(&b, &msg), MD__LINK_FINISHED);
	CU_ASSERT_EQUAL(b.state, MD__LINK_CLOSED);
}

static void hello__lost_before_its_acknowledgement__said_again(void)
{
	struct md__msg msg;

	start();
	connect_both();
	msg = expect(&a, MD__MSG_HELLO);
	give(&b, &msg);
	expect(&b, MD__MSG_HELLO); /* which is lost */
	msg = expect(&b, MD__MSG_HELLO_ACK);
	CU_ASSERT_EQUAL(give(&a, &msg), MD__LINK_TAKEN);
	CU_ASSERT_EQUAL(a.state, MD__LINK_HELLO);
	now += 200 * MSEC;
	md__link_timer(&a, now);
	md__link_timer(&b, now);
	settle();
	CU_ASSERT_EQUAL(a.state, MD__LINK_OPEN);
	CU_ASSERT_EQUAL(b.state, MD__LINK_OPEN);
}

static void bye__first_message_of_another_session__no_peace(void)
{
	struct md__msg msg = { .type = MD__MSG_BYE, .session = B_NAME + 1, .number = 1 };

	open_both();
	md__link_down(&a);
	md__link_up(&a, now);
	CU_ASSERT_EQUAL(give(&a, &msg), MD__LINK_FAILED);
	CU_ASSERT_EQUAL(a.error.code, MD__ERR_SESSION);
	md__link_init(&a, A_NAME, 0xa, KEEPALIVE);
	md__link_up(&a, now);
	CU_ASSERT_EQUAL(give(&a, &msg), MD__LINK_FINISHED);
	CU_ASSERT_EQUAL(a.error.code, MD__ERR_NONE);
}

/* ---- random walks ------------------------------------------------------- */

#define QUEUE 256

static struct way {
	struct md__link *from, *to;
	unsigned int head, tail;
	struct md__msg msg[QUEUE];
} way[2];

static uint64_t seed;
static unsigned int lost_ones, doubled, exhausted, violations;

static bool maybe(unsigned int percent)
{
	return unit_random(&seed) % 100 < percent;
}

static void enqueue(struct way *w, const struct md__msg *msg)
{
	w->msg[w->tail++ % QUEUE] = *msg;
}

static void say(struct way *w, bool greedy)
{
	struct md__msg msg;

	if (next(w->from, &msg)) {
		enqueue(w, &msg);
	} else if (greedy && md__link_has_room(w->from, maybe(50))) {
		msg = object(w->from);
		enqueue(w, &msg);
	}
}

static void arrive(struct way *w, bool lossy)
{
	struct md__msg *msg = &w->msg[w->head % QUEUE];

	if (w->head == w->tail)
		return;
	if (lossy && maybe(20)) {
		lost_ones++;
		w->head++;
		return;
	}
	violations += give(w->to, msg) == MD__LINK_FAILED;
	doubled += maybe(10);
	w->head += !maybe(10); /* or it comes once more */
}

static void begin_walk(uint64_t number)
{
	seed = number;
	start();
	way[0] = (struct way){ .from = &a, .to = &b };
	way[1] = (struct way){ .from = &b, .to = &a };
	connect_both();
}

static bool is_exhausted(const struct md__link *l)
{
	return l->state == MD__LINK_OPEN && !md__link_has_room(l, false);
}

static void walk(bool lossy, unsigned int steps)
{
	for (unsigned int i = 0; i < steps; i++) {
		struct way *w = &way[maybe(50)];

		now += unit_random(&seed) % (3 * MSEC);
		violations += md__link_timer(&a, now) == MD__LINK_FAILED;
		violations += md__link_timer(&b, now) == MD__LINK_FAILED;
		if (maybe(60))
			say(w, true);
		else
			arrive(w, lossy);
		exhausted += is_exhausted(&a) && is_exhausted(&b);
	}
}

/* From now on all arrives, and nobody has anything to say by himself. */
static void come_to_rest(void)
{
	for (int i = 0; i < 1000; i++) {
		now += 2 * MSEC;
		violations += md__link_timer(&a, now) == MD__LINK_FAILED;
		violations += md__link_timer(&b, now) == MD__LINK_FAILED;
		for (int j = 0; j < 2; j++) {
			say(&way[j], false);
			while (way[j].head != way[j].tail)
				arrive(&way[j], false);
		}
	}
	CU_ASSERT_EQUAL(a.state, MD__LINK_OPEN);
	CU_ASSERT_EQUAL(b.state, MD__LINK_OPEN);
	CU_ASSERT(md__link_has_room(&a, true));
	CU_ASSERT(md__link_has_room(&b, true));
}

static void walk__all_arrives__never_stuck(void)
{
	violations = exhausted = doubled = 0;
	for (uint64_t i = 0; i < 300; i++) {
		begin_walk(i);
		walk(false, 2000);
		come_to_rest();
		CU_ASSERT_EQUAL_FATAL(violations, 0);
	}
	CU_ASSERT(exhausted > 1000);
	CU_ASSERT(doubled > 1000);
}

static void walk__some_are_lost__never_stuck(void)
{
	violations = exhausted = lost_ones = 0;
	for (uint64_t i = 0; i < 300; i++) {
		begin_walk(i);
		walk(true, 2000);
		come_to_rest();
		CU_ASSERT_EQUAL_FATAL(violations, 0);
	}
	CU_ASSERT(exhausted > 1000);
	CU_ASSERT(lost_ones > 1000);
}

static void str__every_state__has_its_own_name(void)
{
	for (enum md__link_state s = 0; s < MD__LINK_STATES; s++) {
		for (enum md__link_state t = 0; t < s; t++)
			CU_ASSERT_STRING_NOT_EQUAL(md__link_state_str(s), md__link_state_str(t));
	}
	CU_ASSERT_STRING_EQUAL(md__link_state_str(MD__LINK_STATES), "unknown");
}

static const struct unit_case cases[] = {
	UNIT_CASE(input__every_state_and_type__as_decided),
	UNIT_CASE(input__what_is_no_message__refused_in_words),
	UNIT_CASE(hello__one_side_first__both_open),
	UNIT_CASE(hello__lost__said_again),
	UNIT_CASE(hello__acknowledgement_lost__said_again),
	UNIT_CASE(pass__before_the_acknowledgement__passed),
	UNIT_CASE(resume__same_names__open_again),
	UNIT_CASE(resume__one_has_not_heard_of_the_other__open),
	UNIT_CASE(resume__other_names__session_is_over),
	UNIT_CASE(input__name_changes_in_a_connection__session_is_over),
	UNIT_CASE(hello_ack__of_another_session__session_is_over),
	UNIT_CASE(version__another_major__both_refuse_in_words),
	UNIT_CASE(bye__each_state__last_message_if_there_is_a_connection),
	UNIT_CASE(error__of_the_other_side__ends_connection_or_session),
	UNIT_CASE(credits__bulk_then_critical_then_pong__each_stops_in_time),
	UNIT_CASE(credits__small_window__one_message_at_least),
	UNIT_CASE(credits__half_is_used__returned),
	UNIT_CASE(credits__more_than_the_window__detected),
	UNIT_CASE(number__too_far_ahead__detected),
	UNIT_CASE(number__twice_or_old__dropped),
	UNIT_CASE(seen__of_what_was_not_sent__ignored),
	UNIT_CASE(numbers__beyond_32_bits__credits_go_on),
	UNIT_CASE(keep_alive__nothing_to_say__ping_and_pong),
	UNIT_CASE(keep_alive__something_was_said__no_ping),
	UNIT_CASE(keep_alive__no_room_for_ping__not_asked_again_and_again),
	UNIT_CASE(silence__three_times_as_long_as_promised__lost),
	UNIT_CASE(silence__other_side_promised_less__waited_for_longer),
	UNIT_CASE(bye__all_credits_are_used__understood),
	UNIT_CASE(hello__lost_before_its_acknowledgement__said_again),
	UNIT_CASE(bye__first_message_of_another_session__no_peace),
	UNIT_CASE(walk__all_arrives__never_stuck),
	UNIT_CASE(walk__some_are_lost__never_stuck),
	UNIT_CASE(str__every_state__has_its_own_name),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("link", cases, NULL, NULL, argc, argv);
}
