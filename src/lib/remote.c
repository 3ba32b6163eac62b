// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "peer.h"
#include "remote.h"
#include "service.h"

/* While a caller waits, the holder is asked so often. */
#define WANT_AGAIN (1 * MD__SEC)

/* ---- events ------------------------------------------------------------- */

static void post(struct md__remote *r, enum md__remote_slot slot, enum md_event_type type,
		 const struct md__msg *msg, int error, const char *what)
{
	struct md_event event;

	if (r->released)
		return;
	md__peer_event(r->pub.peer, type, &event);
	event.remote = &r->pub;
	event.generation = r->hold.generation;
	event.error = error;
	if (msg && (msg->type == MD__MSG_RECALL || msg->type == MD__MSG_FENCED))
		event.reason = msg->recall.reason;
	md__event_say(&event, "%s: %llu bytes at 0x%llx of the holder, \"%s\"", what,
		      (unsigned long long)r->pub.length, (unsigned long long)r->pub.addr,
		      r->pub.name);
	md__slot_post(&r->slot[slot], &event);
}

/* ---- one remote range, with its peer's lock ------------------------------ */

static void take(struct md__remote *r, const struct md__grant_msg *grant)
{
	r->pub.addr = grant->addr;
	r->pub.length = grant->length;
	r->pub.access = (int)grant->access;
	r->pub.rkey = grant->rkey;
	memcpy(r->pub.name, grant->name, sizeof(r->pub.name));
}

/* @msg: what caused it, or NULL; @error, @why: of LOST */
static void carry_out(struct md__remote *r, unsigned int act, const struct md__msg *msg, int error,
		      const char *why)
{
	struct md_peer *peer = r->pub.peer;

	if (act & (MD__HOLD_SHUT | MD__HOLD_LOSE))
		md__guard_shut(&r->guard, act & MD__HOLD_LOSE ? ESTALE : EAGAIN);
	if (act & MD__HOLD_TAKE)
		take(r, &msg->grant);
	if (act & MD__HOLD_OPEN) {
		md__guard_open(&r->guard);
		pthread_cond_broadcast(&peer->changed);
	}
	if (act & MD__HOLD_TELL_GRANTED)
		post(r, MD__SLOT_GRANTED, MD_EVENT_GRANTED, msg, 0, "granted");
	if (act & MD__HOLD_TELL_RECALLED)
		post(r, MD__SLOT_RECALLED, MD_EVENT_RECALLED, msg, 0, "recalled");
	if (act & (MD__HOLD_TELL_FENCED | MD__HOLD_TELL_LOST))
		md__requests_fail(r);
	if (act & MD__HOLD_TELL_FENCED)
		post(r, MD__SLOT_FENCED, MD_EVENT_REMOTE_FENCED, msg, 0,
		     "fenced: the queue pairs to the holder are in the error state");
	if (act & MD__HOLD_TELL_LOST) {
		post(r, MD__SLOT_REMOTE_LOST, MD_EVENT_REMOTE_LOST, msg, error, why);
		pthread_cond_broadcast(&peer->changed);
	}
}

/* Returns what md__hold_step() did. */
static unsigned int step(struct md__remote *r, struct md__hold_input in, const struct md__msg *msg,
			 int error, const char *why)
{
	struct md_peer *peer = r->pub.peer;
	bool drained_before = r->hold.state != MD__HOLD_DRAINING;
	unsigned int act = md__hold_step(&r->hold, &in);
	bool drained = r->hold.state != MD__HOLD_DRAINING;

	carry_out(r, act, msg, error, why);
	if (drained_before != drained)
		atomic_fetch_add(&peer->draining, drained ? -1 : 1);
	if (r->hold.due)
		md__peer_kick(peer);
	return act;
}

static void look_if_drained(struct md__remote *r)
{
	if (r->hold.state == MD__HOLD_DRAINING && !md__guard_uses(&r->guard))
		step(r, (struct md__hold_input){ .what = MD__HOLD_IN_DRAINED }, NULL, EIDRM,
		     "taken back for good");
}

/* ---- all of one peer, with its lock -------------------------------------- */

static struct md__remote *find(struct md_peer *peer, uint64_t region)
{
	struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		if (r->region == region)
			break;
	}
	return r;
}

static struct md__remote *new_guard(struct md_peer *peer)
{
	struct md__remote *r = TAILQ_FIRST(&peer->spares);

	if (r) {
		md__fork_hold();
		TAILQ_REMOVE(&peer->spares, r, remotes);
		md__fork_let();
		md__guard_shut(&r->guard, EAGAIN);
		return r;
	}
	r = aligned_alloc(MD__GUARD_LINE, sizeof(*r));
	if (r)
		md__guard_init(&r->guard, peer->ctx->fd[MD__FD_WAKE]);
	return r;
}

static struct md__remote *new_remote(struct md_peer *peer, uint64_t region)
{
	const size_t kept = offsetof(struct md__remote, pub);
	struct md__remote *r = new_guard(peer);

	if (!r)
		return NULL;
	memset((char *)r + kept, 0, sizeof(*r) - kept);
	r->ctx = peer->ctx;
	r->pub.peer = peer;
	r->region = region;
	TAILQ_INIT(&r->pending);
	TAILQ_INIT(&r->finished);
	for (int i = 0; i < MD__REMOTE_SLOTS; i++)
		md__slot_init(&r->slot[i], peer->ctx, &r->last_fetched);
	md__fork_hold();
	TAILQ_INSERT_TAIL(&peer->remotes, r, remotes);
	md__fork_let();
	peer->ranges++;
	return r;
}

/* Released, and the holder will not ask about it any more. */
static void retire_if_done(struct md_peer *peer, struct md__remote *r)
{
	if (!r->released || r->hold.due || (!r->hold.final && peer->link.state != MD__LINK_CLOSED))
		return;
	md__fork_hold();
	TAILQ_REMOVE(&peer->remotes, r, remotes);
	TAILQ_INSERT_TAIL(&peer->spares, r, remotes);
	md__fork_let();
	peer->ranges--;
}

static struct md__hold_input to_input(const struct md__msg *msg)
{
	if (msg->type == MD__MSG_GRANT)
		return (struct md__hold_input){
			.what = MD__HOLD_IN_GRANT,
			.generation = msg->grant.generation,
		};
	return (struct md__hold_input){
		.what = msg->type == MD__MSG_RECALL ? MD__HOLD_IN_RECALL : MD__HOLD_IN_FENCED,
		.generation = msg->recall.barrier,
		.id = msg->recall.id,
		.final = msg->recall.flags & MD__RECALL_FINAL,
	};
}

enum md__wire_error md__remotes_take(struct md_peer *peer, const struct md__msg *msg)
{
	bool grant = msg->type == MD__MSG_GRANT;
	struct md__remote *r = find(peer, grant ? msg->grant.region : msg->recall.region);

	/* A holder decides how much it grants, and not how much memory that takes here. */
	if (!r && (!grant || peer->ranges == MD_REMOTES_MAX))
		return MD__ERR_SESSION;
	if (!r)
		r = new_remote(peer, msg->grant.region);
	if (!r)
		return MD__ERR_MEMORY;
	if (step(r, to_input(msg), msg, EIDRM, "taken back for good") & MD__HOLD_WRONG)
		return MD__ERR_STATE;
	look_if_drained(r);
	return MD__ERR_NONE;
}

static void fill(const struct md__remote *r, uint16_t type, struct md__msg *msg)
{
	const struct md__hold *h = &r->hold;

	msg->type = type;
	if (type == MD__MSG_RELEASE)
		msg->region = (struct md__region_msg){
			.region = r->region,
			.generation = h->generation,
		};
	else
		msg->answer = (struct md__answer_msg){
			.region = r->region,
			.generation = type == MD__MSG_GRANT_ACK ? h->generation : h->barrier,
			.id = type == MD__MSG_GRANT_ACK ? 0 : h->id,
		};
}

/* Which message first, if several are due. */
static const struct {
	unsigned int due;
	uint16_t type;
	bool bulk;
} order[] = {
	{ MD__HOLD_SEND_ACK, MD__MSG_RECALL_ACK, false },
	{ MD__HOLD_SEND_DONE, MD__MSG_RECALL_DONE, false },
	{ MD__HOLD_SEND_FENCED_ACK, MD__MSG_FENCED_ACK, false },
	{ MD__HOLD_SEND_GRANT_ACK, MD__MSG_GRANT_ACK, false },
	{ MD__HOLD_SEND_RELEASE, MD__MSG_RELEASE, true },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool next_want(struct md__remote *r, struct md__msg *msg)
{
	if (!r->want_due)
		return false;
	r->want_due = false;
	msg->type = MD__MSG_WANT;
	msg->region = (struct md__region_msg){
		.region = r->region,
		.generation = r->hold.generation,
	};
	return true;
}

bool md__remotes_next(struct md_peer *peer, struct md__msg *msg, bool bulk)
{
	struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		if (bulk && next_want(r, msg))
			return true;
		for (size_t i = 0; r->hold.due && i < COUNT(order); i++) {
			if (order[i].bulk != bulk || !(r->hold.due & order[i].due))
				continue;
			r->hold.due &= ~order[i].due;
			fill(r, order[i].type, msg);
			retire_if_done(peer, r);
			return true;
		}
	}
	return false;
}

void md__remotes_drained(struct md_peer *peer)
{
	struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes)
		look_if_drained(r);
}

void md__remotes_reopened(struct md_peer *peer)
{
	struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		r->want_due = r->waiters;
		step(r, (struct md__hold_input){ .what = MD__HOLD_IN_OPEN }, NULL, 0, NULL);
	}
}

void md__remotes_lost(struct md_peer *peer, int error, const char *why)
{
	struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes)
		step(r, (struct md__hold_input){ .what = MD__HOLD_IN_LOST }, NULL, error, why);
}

/* Requests are uses, too, but a holder that is gone for good answers none. */
static const char *look_for_left(struct md_peer *peer)
{
	struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		if (md__guard_uses(&r->guard) > r->requests)
			return "open uses of its remote ranges: md_remote_put() them";
		if (md__requests_lent(r) || md__slots_lent(r->slot, MD__REMOTE_SLOTS))
			return "events of its remote ranges: md_ack_event() them";
	}
	return NULL;
}

/* Shut first: what the look finds then is all that there is. */
const char *md__remotes_left(struct md_peer *peer)
{
	struct md__remote *r;
	const char *left;

	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		if (r->hold.state == MD__HOLD_VALID)
			md__guard_shut(&r->guard, EAGAIN);
	}
	left = look_for_left(peer);
	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		if (left && r->hold.state == MD__HOLD_VALID)
			md__guard_open(&r->guard);
	}
	return left;
}

void md__remotes_forget(struct md_peer *peer)
{
	struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		md__requests_forget(r);
		md__slots_forget(r->slot, MD__REMOTE_SLOTS);
	}
}

bool md__remotes_lent(const struct md_peer *peer)
{
	const struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		if (md__slots_lent(r->slot, MD__REMOTE_SLOTS) || md__requests_lent(r))
			return true;
	}
	return false;
}

static void free_all(struct md__remotes *remotes)
{
	struct md__remote *r;

	while ((r = TAILQ_FIRST(remotes))) {
		TAILQ_REMOVE(remotes, r, remotes);
		md__requests_free(r);
		free(r);
	}
}

void md__remotes_reuse(struct md_peer *peer)
{
	struct md__remote *r;

	md__fork_hold();
	TAILQ_FOREACH(r, &peer->remotes, remotes)
		md__requests_free(r);
	TAILQ_CONCAT(&peer->spares, &peer->remotes, remotes);
	md__fork_let();
	peer->ranges = 0;
}

void md__remotes_free(struct md_peer *peer)
{
	free_all(&peer->remotes);
	free_all(&peer->spares);
}

/* ---- calls -------------------------------------------------------------- */

struct md_remote *md_remote_find(struct md_peer *peer, const char *name)
{
	struct md__remote *r;

	if (!peer || !name) {
		md__fail(EINVAL, "md_remote_find: no %s", peer ? "name" : "peer");
		return NULL;
	}
	if (peer->ctx->forked) {
		md__fail_forked();
		return NULL;
	}
	pthread_mutex_lock(&peer->lock);
	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		if (!r->released && r->hold.state != MD__HOLD_LOST && !strcmp(r->pub.name, name))
			break;
	}
	pthread_mutex_unlock(&peer->lock);
	if (r)
		return &r->pub;
	md__fail(ENOENT, "the peer has granted nothing named \"%s\" yet", name);
	return NULL;
}

int md__remote_fail_gone(int err)
{
	switch (err) {
	case ECHILD:
		return md__fail_forked();
	case ESTALE:
		return md__fail(ESTALE,
				"the remote range is lost for good: md_remote_release() it");
	default:
		return md__fail(EAGAIN, "the remote range is recalled: md_remote_wait()");
	}
}

struct md__remote *md__to_remote(struct md_remote *pub)
{
	return (struct md__remote *)((char *)pub - offsetof(struct md__remote, pub));
}

int md_remote_get(struct md_remote *remote)
{
	struct md__remote *r;
	int err;

	if (!remote)
		return md__fail(EINVAL, "md_remote_get: no remote range");
	r = md__to_remote(remote);
	err = r->ctx->forked ? ECHILD : md__guard_get(&r->guard);
	return err ? md__remote_fail_gone(err) : 0;
}

void md_remote_put(struct md_remote *remote)
{
	struct md__remote *r = remote ? md__to_remote(remote) : NULL;

	if (r && !r->ctx->forked)
		md__guard_put(&r->guard);
}

/* With the peer's lock. EAGAIN: neither can it be used, nor is it lost. */
static int look(const struct md__remote *r)
{
	switch (r->hold.state) {
	case MD__HOLD_VALID:
		return 0;
	case MD__HOLD_LOST:
		return ESTALE;
	default:
		return EAGAIN;
	}
}

static bool has_news(struct md__remote *r)
{
	bool news;

	pthread_mutex_lock(&r->pub.peer->lock);
	news = look(r) != EAGAIN;
	pthread_mutex_unlock(&r->pub.peer->lock);
	return news;
}

/*
 * With the peer's lock, which is let go meanwhile: wait a while. The grant may come
 * and go without our noticing, so the holder is asked once in that while.
 */
static void wait_a_while(struct md__remote *r, uint64_t end)
{
	struct md_peer *peer = r->pub.peer;
	uint64_t while_end = md__now() + WANT_AGAIN;
	struct timespec until;

	r->want_due = true;
	md__peer_kick(peer);
	if (end < while_end)
		while_end = end;
	if (peer->ctx->flags & MD_OPEN_NO_THREAD) {
		/* The caller's thread is the one that has to move things on. */
		pthread_mutex_unlock(&peer->lock);
		while (md__service_help(peer->ctx) < while_end && !has_news(r))
			;
		pthread_mutex_lock(&peer->lock);
		return;
	}
	until = md__timespec(while_end);
	/* Our own question changes the peer, too, when it is sent. */
	while (look(r) == EAGAIN && !pthread_cond_timedwait(&peer->changed, &peer->lock, &until))
		;
}

static int wait_until(struct md__remote *r, uint64_t end)
{
	struct md_peer *peer = r->pub.peer;
	int err;

	pthread_mutex_lock(&peer->lock);
	r->waiters++;
	while ((err = look(r)) == EAGAIN && md__now() < end)
		wait_a_while(r, end);
	r->waiters--;
	pthread_mutex_unlock(&peer->lock);
	return err;
}

int md_remote_wait(struct md_remote *remote, int timeout_ms)
{
	uint64_t end = UINT64_MAX;
	struct md__remote *r;
	int err;

	if (!remote)
		return md__fail(EINVAL, "md_remote_wait: no remote range");
	r = md__to_remote(remote);
	if (r->ctx->forked)
		return md__fail_forked();
	if (timeout_ms >= 0)
		end = md__now() + (uint64_t)timeout_ms * MD__MSEC;
	err = wait_until(r, end);
	if (err == EAGAIN)
		return md__fail(ETIMEDOUT, "the remote range is still recalled after %d ms",
				timeout_ms);
	return err ? md__remote_fail_gone(err) : 0;
}

/* With the peer's lock: what keeps it from being released, or NULL. */
static const char *shut_unused(struct md__remote *r)
{
	const char *left = NULL;

	if (r->hold.state == MD__HOLD_VALID)
		md__guard_shut(&r->guard, EAGAIN);
	if (md__guard_uses(&r->guard) > r->requests)
		left = "open uses: md_remote_put() them";
	else if (r->requests)
		left = "requests without an answer: wait for MD_EVENT_PERSISTED";
	else if (md__requests_lent(r) || md__slots_lent(r->slot, MD__REMOTE_SLOTS) ||
		 !md__requests_drop(r) || !md__slots_drop(r->slot, MD__REMOTE_SLOTS))
		left = "events: md_ack_event() them";
	if (left && r->hold.state == MD__HOLD_VALID)
		md__guard_open(&r->guard);
	return left;
}

int md_remote_release(struct md_remote *remote)
{
	struct md__remote *r;
	struct md_peer *peer;
	const char *left;

	if (!remote)
		return 0;
	r = md__to_remote(remote);
	if (r->ctx->forked)
		return md__fail_forked();
	peer = remote->peer;
	pthread_mutex_lock(&peer->lock);
	left = shut_unused(r);
	if (!left) {
		r->released = true;
		step(r, (struct md__hold_input){ .what = MD__HOLD_IN_RELEASE }, NULL, 0, NULL);
		retire_if_done(peer, r);
	}
	pthread_mutex_unlock(&peer->lock);
	return left ? md__fail(EBUSY, "the remote range still has %s", left) : 0;
}
