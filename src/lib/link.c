// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "link.h"

/* Between two HELLO on a connection that may lose one. */
#define HELLO_AGAIN (200 * MD__MSEC)

/* What each side has room for before it has said so. */
#define FIRST_WINDOW 4

void md__link_init(struct md__link *l, uint64_t self, uint64_t incarnation, uint64_t keepalive_ns)
{
	*l = (struct md__link){
		.state = MD__LINK_DOWN,
		.self = self,
		.incarnation = incarnation,
		.keepalive = keepalive_ns,
	};
}

/*
 * All that belongs to one connection. The rest is not written: others read the
 * name without a lock.
 */
static void forget_connection(struct md__link *l)
{
	const size_t first = offsetof(struct md__link, greeted);

	memset((char *)l + first, 0, offsetof(struct md__link, error) - first);
}

void md__link_up(struct md__link *l, uint64_t now)
{
	forget_connection(l);
	l->state = MD__LINK_HELLO;
	l->received_at = now;
	l->sent_at = now;
	l->other_keepalive = l->keepalive;
	l->window = FIRST_WINDOW;
	l->due = MD__LINK_DUE_HELLO;
	l->error = (struct md__error_msg){ 0 };
}

void md__link_down(struct md__link *l)
{
	forget_connection(l);
	if (l->state != MD__LINK_CLOSED)
		l->state = MD__LINK_DOWN;
}

/* ---- end ---------------------------------------------------------------- */

static void end(struct md__link *l, enum md__wire_error code)
{
	switch (code) {
	case MD__ERR_NONE: /* BYE */
	case MD__ERR_VERSION:
	case MD__ERR_SESSION:
	case MD__ERR_REFUSED:
		l->state = MD__LINK_CLOSED;
		break;
	default:
		l->state = MD__LINK_DOWN;
	}
}

static void say(struct md__error_msg *error, const struct md__msg *msg)
{
	const size_t size = sizeof(error->text);

	error->type = msg->type;
	error->number = msg->number;
	/* Of another major version there is no more to be known. */
	if (error->code == MD__ERR_VERSION)
		snprintf(error->text, size, "a message of version %u.%u came to version %u.%u",
			 msg->major, msg->minor, MD__WIRE_MAJOR, MD__WIRE_MINOR);
	else
		snprintf(error->text, size, "%s %llu: %s", md__msg_str(msg->type),
			 (unsigned long long)msg->number, md__wire_error_str(error->code));
}

void md__link_fail(struct md__link *l, enum md__wire_error code, const struct md__msg *msg)
{
	l->error = (struct md__error_msg){ .code = code };
	if (msg)
		say(&l->error, msg);
	else
		snprintf(l->error.text, sizeof(l->error.text), "%s", md__wire_error_str(code));
	end(l, code);
	l->due = MD__LINK_DUE_ERROR;
}

void md__link_refused(struct md__link *l, enum md__wire_error code, uint8_t major, uint8_t minor)
{
	md__link_fail(l, code, NULL);
	if (code == MD__ERR_VERSION)
		snprintf(l->error.text, sizeof(l->error.text),
			 "a request of version %u.%u came to version %u.%u", MD__WIRE_MAJOR,
			 MD__WIRE_MINOR, major, minor);
}

void md__link_bye(struct md__link *l)
{
	l->error = (struct md__error_msg){ .code = MD__ERR_NONE };
	l->due = l->state == MD__LINK_HELLO || l->state == MD__LINK_OPEN ? MD__LINK_DUE_ERROR : 0;
	l->state = MD__LINK_CLOSED;
}

static enum md__link_result fail(struct md__link *l, enum md__wire_error code,
				 const struct md__msg *msg)
{
	md__link_fail(l, code, msg);
	return MD__LINK_FAILED;
}

static enum md__link_result take_error(struct md__link *l, const struct md__msg *msg)
{
	l->error = msg->error;
	end(l, msg->type == MD__MSG_BYE ? MD__ERR_NONE : msg->error.code);
	l->due = 0;
	return MD__LINK_FINISHED;
}

/* ---- introduction ------------------------------------------------------- */

static enum md__link_result open_if_known(struct md__link *l)
{
	if (l->state != MD__LINK_HELLO || !l->greeted || !l->taken)
		return MD__LINK_TAKEN;
	l->state = MD__LINK_OPEN;
	return MD__LINK_OPENED;
}

/*
 * Is it the session that we know? Either side may not have heard of the other yet
 * when an earlier connection broke.
 */
static bool is_session(const struct md__link *l, const struct md__msg *msg)
{
	const struct md__hello *hello = &msg->hello;

	if (hello->other && hello->other != l->self)
		return false;
	return !l->other ||
	       (msg->session == l->other && hello->incarnation == l->other_incarnation);
}

static enum md__link_result take_hello(struct md__link *l, const struct md__msg *msg)
{
	const struct md__hello *hello = &msg->hello;

	if (!is_session(l, msg))
		return fail(l, MD__ERR_SESSION, msg);
	l->other = msg->session;
	l->other_incarnation = hello->incarnation;
	l->other_keepalive = hello->keepalive_ms * MD__MSEC;
	l->window = hello->window;
	l->greeted = true;
	l->due |= MD__LINK_DUE_ACK;
	return open_if_known(l);
}

static enum md__link_result take_hello_ack(struct md__link *l, const struct md__msg *msg)
{
	if (msg->hello_ack.session != l->self)
		return fail(l, MD__ERR_SESSION, msg);
	l->taken = true;
	l->due &= ~MD__LINK_DUE_HELLO;
	return open_if_known(l);
}

/* ---- messages ----------------------------------------------------------- */

/* How many of ours it has not received, as far as we know. */
static uint32_t outstanding(const struct md__link *l)
{
	return (uint32_t)l->sent - l->confirmed;
}

static enum md__link_result take(struct md__link *l, const struct md__msg *msg)
{
	switch (msg->type) {
	case MD__MSG_HELLO:
		return take_hello(l, msg);
	case MD__MSG_HELLO_ACK:
		return take_hello_ack(l, msg);
	case MD__MSG_ERROR:
	case MD__MSG_BYE:
		return take_error(l, msg);
	case MD__MSG_PING:
		l->stamp = msg->ping.stamp;
		l->due |= MD__LINK_DUE_PONG;
		return MD__LINK_TAKEN;
	case MD__MSG_PONG:
	case MD__MSG_TYPES:
		return MD__LINK_TAKEN;
	default:
		return MD__LINK_PASS;
	}
}

static bool is_last(const struct md__msg *msg)
{
	return msg->type == MD__MSG_ERROR || msg->type == MD__MSG_BYE;
}

/* The last message is sent also by who has used up all credits. */
static bool exceeds_window(const struct md__link *l, const struct md__msg *msg)
{
	const uint32_t window = MD__LINK_WINDOW + is_last(msg);

	return msg->number - l->received > window || (uint32_t)msg->number - l->told > window;
}

static bool may_come_first(const struct md__msg *msg)
{
	return msg->type == MD__MSG_HELLO || is_last(msg);
}

/* BYE ends the session in peace: not by one who is not of it. HELLO looks by itself. */
static bool is_stranger(const struct md__link *l, const struct md__msg *msg)
{
	bool known = l->greeted || (l->other && msg->type == MD__MSG_BYE);

	return known && msg->session != l->other;
}

enum md__link_result md__link_input(struct md__link *l, const struct md__msg *msg,
				    enum md__wire_error err, uint64_t now)
{
	enum md__link_result result;

	if (err)
		return fail(l, err, msg);
	if (msg->number <= l->received)
		return MD__LINK_TAKEN;
	/* The HELLO before it was lost; both are sent again. */
	if (!l->greeted && msg->type == MD__MSG_HELLO_ACK)
		return MD__LINK_TAKEN;
	if (!l->greeted && !may_come_first(msg))
		return fail(l, MD__ERR_STATE, msg);
	if (is_stranger(l, msg))
		return fail(l, MD__ERR_SESSION, msg);
	if (exceeds_window(l, msg))
		return fail(l, MD__ERR_CREDITS, msg);
	l->received = msg->number;
	l->received_at = now;
	/* Never more than was sent, and never less than before. */
	if (msg->seen - l->confirmed <= outstanding(l))
		l->confirmed = msg->seen;
	result = take(l, msg);
	if (l->state == MD__LINK_OPEN && (uint32_t)l->received - l->told >= MD__LINK_WINDOW / 2)
		l->due |= MD__LINK_DUE_PONG;
	return result;
}

/* However small the window, one message may be under way. */
static bool has_room(const struct md__link *l, uint32_t reserved)
{
	return outstanding(l) < (l->window > reserved ? l->window - reserved : 1);
}

/* The last place is for PONG: both sides may have run out, and it returns credits. */
bool md__link_has_room(const struct md__link *l, bool bulk)
{
	return l->state == MD__LINK_OPEN && has_room(l, bulk ? MD__LINK_RESERVED : 1);
}

/* The last message needs no answer, so it takes no room that another may need. */
static bool next_error(struct md__link *l, struct md__msg *msg)
{
	msg->type = l->error.code ? MD__MSG_ERROR : MD__MSG_BYE;
	msg->error = l->error;
	l->due = 0;
	return true;
}

bool md__link_next(struct md__link *l, struct md__msg *msg)
{
	if (l->due & MD__LINK_DUE_ERROR)
		return next_error(l, msg);
	if (!l->due || !has_room(l, l->due & MD__LINK_DUE_PONG ? 0 : 1))
		return false;
	if (l->due & MD__LINK_DUE_PONG) {
		msg->type = MD__MSG_PONG;
		msg->ping.stamp = l->stamp;
		l->stamp = 0;
		l->due &= ~MD__LINK_DUE_PONG;
	} else if (l->due & MD__LINK_DUE_HELLO) {
		msg->type = MD__MSG_HELLO;
		msg->hello = (struct md__hello){
			.incarnation = l->incarnation,
			.other = l->other,
			.window = MD__LINK_WINDOW,
			.keepalive_ms = (uint32_t)(l->keepalive / MD__MSEC),
		};
		l->due &= ~MD__LINK_DUE_HELLO;
	} else if (l->due & MD__LINK_DUE_ACK) {
		msg->type = MD__MSG_HELLO_ACK;
		msg->hello_ack.session = l->other;
		l->due &= ~MD__LINK_DUE_ACK;
	} else {
		msg->type = MD__MSG_PING;
		msg->ping.stamp = l->sent_at;
		l->due &= ~MD__LINK_DUE_PING;
	}
	return true;
}

void md__link_stamp(struct md__link *l, struct md__msg *msg, uint64_t now)
{
	msg->number = ++l->sent;
	msg->session = l->self;
	msg->seen = (uint32_t)l->received;
	l->told = msg->seen;
	l->sent_at = now;
	if (msg->type == MD__MSG_HELLO)
		l->hello_at = now + HELLO_AGAIN;
}

/* ---- time --------------------------------------------------------------- */

static uint64_t silent_at(const struct md__link *l)
{
	return l->received_at + MD__LINK_PATIENCE * l->other_keepalive;
}

/* Half of what was promised: the other half is for the way. */
static uint64_t ping_at(const struct md__link *l)
{
	return l->sent_at + l->keepalive / 2;
}

uint64_t md__link_timer_at(const struct md__link *l)
{
	switch (l->state) {
	case MD__LINK_HELLO:
		if (l->taken || l->due & MD__LINK_DUE_HELLO)
			return silent_at(l);
		return md__earlier(silent_at(l), l->hello_at);
	case MD__LINK_OPEN:
		return l->due & MD__LINK_DUE_PING ? silent_at(l) :
						    md__earlier(silent_at(l), ping_at(l));
	default:
		return 0;
	}
}

enum md__link_result md__link_timer(struct md__link *l, uint64_t now)
{
	uint64_t at = md__link_timer_at(l);

	if (!at || now < at)
		return MD__LINK_TAKEN;
	if (now >= silent_at(l))
		return fail(l, MD__ERR_SILENT, NULL);
	l->due |= l->state == MD__LINK_OPEN ? MD__LINK_DUE_PING : MD__LINK_DUE_HELLO;
	return MD__LINK_TAKEN;
}

const char *md__link_state_str(enum md__link_state state)
{
	static const char *const name[MD__LINK_STATES] = {
		[MD__LINK_DOWN] = "DOWN",
		[MD__LINK_HELLO] = "HELLO",
		[MD__LINK_OPEN] = "OPEN",
		[MD__LINK_CLOSED] = "CLOSED",
	};

	return state < MD__LINK_STATES ? name[state] : "unknown";
}
