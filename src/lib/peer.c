// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "attr.h"
#include "clock.h"
#include "context.h"
#include "errmsg.h"
#include "grant.h"
#include "peer.h"
#include "peer_pool.h"
#include "remote.h"
#include "service.h"

_Static_assert(MD_MESSAGE_MAX == MD__WIRE_MAX, "what the header says");

/* A connection that took nothing is offered it again after this. */
#define RETRY_NS (1 * MD__MSEC)

/* And that a session is over for so long. */
#define LAST_NS (100 * MD__MSEC)

void md__peer_kick(struct md_peer *peer)
{
	atomic_store(&peer->due, true);
	md__service_wake(peer->ctx);
}

void md__peer_name(const struct md_peer *peer, char name[MD__PEER_NAME])
{
	snprintf(name, MD__PEER_NAME, "the peer %016llx", (unsigned long long)peer->link.self);
}

/* ---- events ------------------------------------------------------------- */

void md__peer_event(struct md_peer *peer, enum md_event_type type, struct md_event *event)
{
	*event = (struct md_event){
		.type = type,
		.peer = peer,
		.user_data = peer->user_data,
	};
}

static void post_up(struct md_peer *peer)
{
	struct md_event event;
	char name[MD__PEER_NAME];

	md__peer_name(peer, name);
	md__peer_event(peer, MD_EVENT_PEER_UP, &event);
	md__event_say(&event, "%s has a connection", name);
	md__slot_post(&peer->slot[MD__SLOT_PEER_UP], &event);
}

static int errno_of(uint32_t code)
{
	switch (code) {
	case MD__ERR_NONE:
		return 0;
	case MD__ERR_VERSION:
		return EPROTONOSUPPORT;
	case MD__ERR_SESSION:
		return ESTALE;
	case MD__ERR_SILENT:
		return ETIMEDOUT;
	case MD__ERR_REFUSED:
		return ECONNREFUSED;
	case MD__ERR_MEMORY:
		return ENOMEM;
	default:
		return EPROTO;
	}
}

static void post_end(struct md_peer *peer, int error, const char *why)
{
	bool over = peer->link.state == MD__LINK_CLOSED;
	struct md_event event;
	char name[MD__PEER_NAME];

	md__peer_name(peer, name);
	md__peer_event(peer, over ? MD_EVENT_PEER_CLOSED : MD_EVENT_PEER_DOWN, &event);
	event.error = error;
	md__event_say(&event, "%s %s: %s", name, over ? "is gone for good" : "has no connection",
		      why);
	md__slot_post(&peer->slot[over ? MD__SLOT_PEER_CLOSED : MD__SLOT_PEER_DOWN], &event);
}

/* ---- end of a connection ------------------------------------------------ */

static void set_timer(struct md_peer *peer)
{
	uint64_t link = md__link_timer_at(&peer->link);
	uint64_t first = md__earlier(link, peer->retry_at);
	uint64_t before;

	if (peer->link.state == MD__LINK_OPEN) {
		first = md__earlier(first, md__grants_timer(peer));
		first = md__earlier(first, md__requests_timer(peer));
	}
	before = atomic_exchange(&peer->timer, first);
	/* Others than the service set it, too. */
	if (first && (!before || first < before))
		md__service_wake(peer->ctx);
}

/*
 * With the lock: the session is over. A peer that has said so has stopped; of any
 * other nobody knows what it still does.
 */
static void session_ended(struct md_peer *peer, int error, const char *why)
{
	if (error)
		md__grants_accuse(peer);
	else
		md__grants_gone(peer, md__now());
	md__remotes_lost(peer, error ?: ESHUTDOWN, why);
}

/*
 * With the lock, once for each connection. Nothing is fenced because a connection
 * is gone: a break may come, or may not.
 */
static void connection_ended(struct md_peer *peer, int error, const char *why)
{
	peer->connected = false;
	peer->hang_up = false;
	peer->in_length = 0;
	peer->strays = 0;
	peer->retry_at = 0;
	md__flush_forget(peer);
	if (!peer->sending)
		peer->out_length = 0;
	md__link_down(&peer->link);
	if (peer->link.state == MD__LINK_CLOSED)
		session_ended(peer, error, why);
	post_end(peer, error, why);
	set_timer(peer);
}

/* With the lock: the link has ended it, by what it or the other side found. */
static void link_ended(struct md_peer *peer)
{
	const struct md__error_msg *error = &peer->link.error;
	char why[MD__WIRE_TEXT + 80];

	snprintf(why, sizeof(why), "%s%s%s",
		 error->code ? md__wire_error_str(error->code) : "the session was ended",
		 error->text[0] ? ": " : "", error->text);
	connection_ended(peer, errno_of(error->code), why);
}

/* Silence may be the network's fault, and the lack of memory is ours. */
static bool is_its_fault(uint32_t code)
{
	return code != MD__ERR_SILENT && code != MD__ERR_MEMORY;
}

/* With the lock: send the last message, then close. */
static void give_up(struct md_peer *peer, enum md__link_result result)
{
	peer->hang_up = true;
	if (result == MD__LINK_FAILED && is_its_fault(peer->link.error.code))
		md__grants_accuse(peer);
}

/* ---- sending ------------------------------------------------------------ */

static void fill_stray(const struct md__stray *stray, struct md__msg *msg)
{
	msg->type = stray->type;
	if (stray->type == MD__MSG_RELEASE)
		msg->region = (struct md__region_msg){
			.region = stray->answer.region,
			.generation = stray->answer.generation,
		};
	else
		msg->answer = stray->answer;
}

static bool next_stray(struct md_peer *peer, struct md__msg *msg, bool bulk)
{
	for (unsigned int i = 0; i < peer->strays; i++) {
		if ((peer->stray[i].type == MD__MSG_RELEASE) != bulk)
			continue;
		fill_stray(&peer->stray[i], msg);
		peer->stray[i] = peer->stray[--peer->strays];
		return true;
	}
	return false;
}

/* What must not wait comes before what may: bulk has fewer credits. */
static bool next_of_session(struct md_peer *peer, struct md__msg *msg, uint64_t now)
{
	if (!md__link_has_room(&peer->link, false))
		return false;
	if (md__grants_next(peer, msg, false, now) || next_stray(peer, msg, false) ||
	    md__remotes_next(peer, msg, false) || md__flush_next(peer, msg))
		return true;
	if (!md__link_has_room(&peer->link, true))
		return false;
	return md__grants_next(peer, msg, true, now) || next_stray(peer, msg, true) ||
	       md__remotes_next(peer, msg, true) || md__requests_next(peer, msg, now);
}

/* With the lock: have a message in @out, if there is one to be sent now. */
static bool next_message(struct md_peer *peer, uint64_t now)
{
	struct md__msg msg = { 0 };

	if (!peer->connected || now < peer->retry_at)
		return false;
	peer->retry_at = 0;
	if (peer->out_length)
		return true;
	if (!md__link_next(&peer->link, &msg) && !next_of_session(peer, &msg, now))
		return false;
	md__link_stamp(&peer->link, &msg, now);
	peer->out_length = md__wire_encode(&msg, peer->out);
	return true;
}

/* With the lock, which is let go meanwhile. False: no more for now. */
static bool send_one(struct md_peer *peer, uint64_t now)
{
	int err;

	if (!next_message(peer, now))
		return false;
	pthread_mutex_unlock(&peer->lock);
	err = peer->ops.send(peer->arg, peer->out, peer->out_length) ? errno ?: EIO : 0;
	pthread_mutex_lock(&peer->lock);
	if (err == EAGAIN && peer->connected) {
		peer->retry_at = md__now() + RETRY_NS;
		return false;
	}
	peer->out_length = 0;
	/* Where it is to be hung up, that says why. */
	if (err && peer->connected && !peer->hang_up)
		connection_ended(peer, err, strerror(err));
	return !err;
}

/* With the lock, which is let go meanwhile. */
static void hang_up(struct md_peer *peer)
{
	link_ended(peer);
	if (!peer->ops.close)
		return;
	pthread_mutex_unlock(&peer->lock);
	peer->ops.close(peer->arg);
	pthread_mutex_lock(&peer->lock);
}

/* With the lock: the last message of the session may find room yet. */
static bool waits_for_room(const struct md_peer *peer)
{
	return peer->retry_at && md__now() < peer->last_until;
}

void md__peer_send(struct md_peer *peer)
{
	char kept[MD__ERRMSG_MAX];
	int saved = errno;

	md__errmsg_keep(kept);
	pthread_mutex_lock(&peer->lock);
	peer->send_more = true;
	while (peer->send_more && !peer->sending) {
		peer->send_more = false;
		peer->sending = true;
		for (uint64_t now = md__now(); send_one(peer, now);)
			;
		if (peer->hang_up && !waits_for_room(peer))
			hang_up(peer);
		peer->sending = false;
		pthread_cond_broadcast(&peer->changed);
	}
	set_timer(peer);
	pthread_mutex_unlock(&peer->lock);
	md__errmsg_restore(kept);
	errno = saved;
}

/* With the lock. */
static void wait_for_sender(struct md_peer *peer)
{
	while (peer->sending)
		pthread_cond_wait(&peer->changed, &peer->lock);
}

/* ---- input -------------------------------------------------------------- */

/* The holder has to get an answer also about what is not known here, or not wanted. */
static void answer_stray(struct md_peer *peer, const struct md__msg *msg)
{
	struct md__stray stray = { .type = MD__MSG_RELEASE };

	if (peer->strays == MD__STRAYS)
		return;
	if (msg->type == MD__MSG_GRANT) {
		stray.answer.region = msg->grant.region;
		stray.answer.generation = msg->grant.generation;
	} else {
		stray.type = msg->type == MD__MSG_RECALL ? MD__MSG_RECALL_DONE : MD__MSG_FENCED_ACK;
		stray.answer.region = msg->recall.region;
		stray.answer.generation = msg->recall.barrier;
		stray.answer.id = msg->recall.id;
	}
	peer->stray[peer->strays++] = stray;
}

static enum md__wire_error dispatch(struct md_peer *peer, const struct md__msg *msg, uint64_t now)
{
	enum md__wire_error err;

	switch (msg->type) {
	case MD__MSG_GRANT:
	case MD__MSG_RECALL:
	case MD__MSG_FENCED:
		err = md__remotes_take(peer, msg);
		if (err != MD__ERR_SESSION)
			return err;
		answer_stray(peer, msg);
		return 0;
	case MD__MSG_GRANT_ACK:
	case MD__MSG_RECALL_ACK:
	case MD__MSG_RECALL_DONE:
	case MD__MSG_FENCED_ACK:
	case MD__MSG_RELEASE:
		md__grants_answer(peer, msg, now);
		return 0;
	case MD__MSG_WANT:
		md__grants_wanted(peer, &msg->region);
		return 0;
	case MD__MSG_PERSIST_REQ:
		return md__flush_take(peer, &msg->persist_req);
	case MD__MSG_PERSIST_RSP:
		md__requests_answer(peer, &msg->persist_rsp);
		return 0;
	default:
		return MD__ERR_STATE;
	}
}

/* With the lock. 0, or -1: the connection is to be closed. */
static int take_message(struct md_peer *peer, size_t length)
{
	uint64_t now = md__now();
	enum md__link_result result;
	enum md__wire_error err;
	struct md__msg msg;

	err = md__wire_decode(peer->in, length, &msg);
	result = md__link_input(&peer->link, &msg, err, now);
	if (result == MD__LINK_OPENED) {
		md__grants_reopened(peer, now);
		md__remotes_reopened(peer);
		md__requests_reopened(peer);
		post_up(peer);
	} else if (result == MD__LINK_PASS) {
		err = dispatch(peer, &msg, now);
		if (err) {
			md__link_fail(&peer->link, err, &msg);
			result = MD__LINK_FAILED;
		}
	}
	if (result != MD__LINK_FAILED && result != MD__LINK_FINISHED)
		return 0;
	give_up(peer, result);
	return -1;
}

/* With the lock. Bytes become messages, however they are cut. */
static int take_bytes(struct md_peer *peer, const uint8_t *bytes, size_t length)
{
	while (length && !peer->hang_up) {
		size_t whole = md__wire_length(peer->in, peer->in_length);
		size_t want = (whole ?: MD__WIRE_HEADER) - peer->in_length;
		size_t n = length < want ? length : want;

		memcpy(peer->in + peer->in_length, bytes, n);
		peer->in_length += n;
		bytes += n;
		length -= n;
		whole = md__wire_length(peer->in, peer->in_length);
		if (!whole || peer->in_length < whole)
			continue;
		peer->in_length = 0;
		if (take_message(peer, whole))
			return -1;
	}
	return 0;
}

static int fail_over(const struct md_peer *peer)
{
	char name[MD__PEER_NAME];

	md__peer_name(peer, name);
	return md__fail(ESHUTDOWN, "the session with %s is over: md_peer_close() it", name);
}

static int check_peer(const struct md_peer *peer, const char *call)
{
	if (!peer)
		return md__fail(EINVAL, "%s: no peer", call);
	if (peer->ctx->forked)
		return md__fail_forked();
	if (peer->carrier)
		return md__fail(EINVAL, "%s: the library carries this peer itself", call);
	return 0;
}

int md__peer_take(struct md_peer *peer, const void *bytes, size_t length)
{
	char why[MD__ERRMSG_MAX];
	bool there;
	int err = 0;

	pthread_mutex_lock(&peer->lock);
	there = peer->connected && !peer->hang_up;
	if (there)
		err = take_bytes(peer, bytes, length);
	/* Whoever brings input may have made room for output, too. */
	peer->retry_at = 0;
	if (err)
		snprintf(why, sizeof(why), "%s: %s", md__wire_error_str(peer->link.error.code),
			 peer->link.error.text);
	pthread_mutex_unlock(&peer->lock);
	md__peer_send(peer);
	if (!there)
		return md__fail(ENOTCONN, "the peer has no connection: md_peer_connected() first");
	return err ? md__fail(EPROTO, "the connection was closed: %s", why) : 0;
}

int md_peer_input(struct md_peer *peer, const void *bytes, size_t length)
{
	if (check_peer(peer, "md_peer_input"))
		return -1;
	if (!bytes && length)
		return md__fail(EINVAL, "md_peer_input: no bytes");
	return md__peer_take(peer, bytes, length);
}

/* ---- connections -------------------------------------------------------- */

/* Its name: the application may close it, and so may rdma_cm(7). */
void md__peer_set_adapter(struct md_peer *peer, const struct ibv_context *verbs)
{
	if (verbs)
		snprintf(peer->adapter, sizeof(peer->adapter), "%s", verbs->device->name);
}

int md__peer_connected(struct md_peer *peer, const struct ibv_context *verbs)
{
	bool over, there;

	pthread_mutex_lock(&peer->lock);
	wait_for_sender(peer);
	over = peer->link.state == MD__LINK_CLOSED;
	there = peer->connected;
	if (!over && !there) {
		md__peer_set_adapter(peer, verbs);
		peer->connected = true;
		peer->hang_up = false;
		peer->out_length = 0;
		md__link_up(&peer->link, md__now());
		md__grants_connected(peer);
	}
	pthread_mutex_unlock(&peer->lock);
	if (over)
		return fail_over(peer);
	if (there)
		return md__fail(EISCONN, "the peer has a connection: md_peer_lost() first");
	md__peer_kick(peer);
	md__peer_send(peer);
	return 0;
}

int md_peer_connected(struct md_peer *peer)
{
	if (check_peer(peer, "md_peer_connected"))
		return -1;
	return md__peer_connected(peer, NULL);
}

void md__peer_lost(struct md_peer *peer, int error, const char *why)
{
	pthread_mutex_lock(&peer->lock);
	wait_for_sender(peer);
	if (peer->connected)
		connection_ended(peer, error, why);
	pthread_mutex_unlock(&peer->lock);
}

void md__peer_unreached(struct md_peer *peer, int error, const char *why)
{
	pthread_mutex_lock(&peer->lock);
	if (peer->link.state == MD__LINK_DOWN)
		post_end(peer, error, why);
	pthread_mutex_unlock(&peer->lock);
}

int md_peer_lost(struct md_peer *peer)
{
	if (check_peer(peer, "md_peer_lost"))
		return -1;
	md__peer_lost(peer, ECONNRESET, "the connection was lost");
	return 0;
}

void md__peer_refused(struct md_peer *peer, enum md__wire_error code, uint8_t major, uint8_t minor)
{
	pthread_mutex_lock(&peer->lock);
	if (peer->link.state == MD__LINK_DOWN) {
		md__link_refused(&peer->link, code, major, minor);
		link_ended(peer);
	}
	pthread_mutex_unlock(&peer->lock);
}

void md__peer_set_user_data(struct md_peer *peer, void *user_data)
{
	pthread_mutex_lock(&peer->lock);
	peer->user_data = user_data;
	pthread_mutex_unlock(&peer->lock);
}

void md__peer_names(struct md_peer *peer, uint64_t *self, uint64_t *other)
{
	pthread_mutex_lock(&peer->lock);
	*self = peer->link.self;
	*other = peer->link.other;
	pthread_mutex_unlock(&peer->lock);
}

bool md__peer_is_over(struct md_peer *peer)
{
	bool over;

	pthread_mutex_lock(&peer->lock);
	over = peer->link.state == MD__LINK_CLOSED;
	pthread_mutex_unlock(&peer->lock);
	return over;
}

void md__peer_post_request(struct md_peer *peer, const struct md_event *event)
{
	md__slot_post(&peer->slot[MD__SLOT_PEER_REQUEST], event);
}

/* ---- life --------------------------------------------------------------- */

struct md_peer *md_peer_new(struct md_context *ctx, const struct md_peer_ops *ops, void *arg,
			    void *user_data)
{
	struct md_peer_ops own;

	if (!ctx) {
		md__fail(EINVAL, "md_peer_new: no context");
		return NULL;
	}
	if (ctx->forked) {
		md__fail_forked();
		return NULL;
	}
	if (md__attr_take(&own, sizeof(own), ops, "md_peer_ops"))
		return NULL;
	if (!own.send) {
		md__fail(EINVAL, "md_peer_ops.send is missing");
		return NULL;
	}
	return md__peer_new(ctx, &own, arg, user_data);
}

/* With the lock: what keeps a peer from being closed, or NULL. */
static const char *what_is_left(struct md_peer *peer)
{
	const struct md_grant *grant;

	TAILQ_FOREACH(grant, &peer->grants, of_peer) {
		if (grant->mr)
			return "grants: md_recall() them";
	}
	if (peer->attached)
		return "queue pairs attached with it: md_detach_qp() them";
	if (md__slots_lent(peer->slot, MD__PEER_SLOTS))
		return "events: md_ack_event() them";
	return md__remotes_left(peer);
}

/* The last message is gone, or will not go, when this returns. */
static void say_last(struct md_peer *peer)
{
	bool again;

	for (;;) {
		md__peer_send(peer);
		pthread_mutex_lock(&peer->lock);
		wait_for_sender(peer);
		again = peer->connected;
		pthread_mutex_unlock(&peer->lock);
		if (!again)
			return;
		poll(NULL, 0, RETRY_NS / MD__MSEC);
	}
}

int md_peer_close(struct md_peer *peer)
{
	const char *left;

	if (!peer)
		return 0;
	if (peer->ctx->forked)
		return md__fail_forked();
	pthread_mutex_lock(&peer->lock);
	left = what_is_left(peer);
	/* Nobody makes a connection of it from here on. */
	if (!left && peer->link.state != MD__LINK_CLOSED)
		md__link_bye(&peer->link);
	if (!left && peer->connected) {
		peer->hang_up = true;
		peer->last_until = md__now() + LAST_NS;
	}
	pthread_mutex_unlock(&peer->lock);
	if (left)
		return md__fail(EBUSY, "the peer still has %s", left);
	say_last(peer);
	pthread_mutex_lock(&peer->lock);
	session_ended(peer, 0, "the session was ended");
	md__remotes_forget(peer);
	md__slots_forget(peer->slot, MD__PEER_SLOTS);
	atomic_store(&peer->timer, 0);
	pthread_mutex_unlock(&peer->lock);
	if (peer->carrier)
		md__carrier_leave(peer->carrier);
	md__peer_discard(peer);
	return 0;
}

static void tick_session(struct md_peer *peer, uint64_t now)
{
	md__grants_tick(peer, now);
	md__requests_tick(peer, now);
}

void md__peer_tick(struct md_peer *peer, uint64_t now)
{
	pthread_mutex_lock(&peer->lock);
	if (md__link_timer(&peer->link, now) == MD__LINK_FAILED)
		give_up(peer, MD__LINK_FAILED);
	else if (peer->link.state == MD__LINK_OPEN)
		tick_session(peer, now);
	pthread_mutex_unlock(&peer->lock);
	md__peer_send(peer);
}
