// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "clock.h"
#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "peer.h"
#include "remote.h"
#include "request.h"

/* A holder that has not answered for so long is asked again. */
#define AGAIN (500 * MD__MSEC)

/* Is one left that travels in the same message? */
static bool has_company(const struct md__remote *r, uint64_t cookie)
{
	const struct md__request *q;

	TAILQ_FOREACH(q, &r->pending, requests) {
		if (q->cookie == cookie)
			return true;
	}
	return false;
}

static void finish(struct md__remote *r, struct md__request *q, int error, const char *what)
{
	struct md_peer *peer = r->pub.peer;
	struct md_event event;

	md__fork_hold();
	TAILQ_REMOVE(&r->pending, q, requests);
	TAILQ_INSERT_TAIL(&r->finished, q, requests);
	md__fork_let();
	r->requests--;
	if (q->cookie && !has_company(r, q->cookie) && !--peer->unanswered)
		peer->ask_again_at = 0;
	md__peer_event(peer, MD_EVENT_PERSISTED, &event);
	event.remote = &r->pub;
	event.wr_id = q->wr_id;
	event.error = error;
	md__event_say(&event, "%llu bytes at %llu of \"%s\" %s", (unsigned long long)q->length,
		      (unsigned long long)q->offset, r->pub.name, what);
	md__slot_post(&q->slot, &event);
	md__guard_put(&r->guard);
}

static void finish_as(struct md__remote *r, struct md__request *q, uint32_t status)
{
	switch (status) {
	case MD__PERSIST_DONE:
		finish(r, q, 0, "are durable");
		break;
	case MD__PERSIST_STALE:
		finish(r, q, ESTALE, "may not be durable: the grant was recalled before");
		break;
	case MD__PERSIST_UNSUPPORTED:
		finish(r, q, EOPNOTSUPP,
		       "may not be durable: the holder does not see the order of writes");
		break;
	case MD__PERSIST_RANGE:
		finish(r, q, EINVAL, "are not inside of what was granted");
		break;
	default:
		finish(r, q, EIO, "may not be durable: the holder's flush failed");
	}
}

void md__requests_fail(struct md__remote *r)
{
	struct md__request *q;

	while ((q = TAILQ_FIRST(&r->pending)))
		finish_as(r, q, MD__PERSIST_STALE);
}

/* ---- messages ------------------------------------------------------------ */

/* What begins with @q and is due: what was one message before, or new ones. */
static void fill(struct md_peer *peer, struct md__remote *r, struct md__request *q,
		 struct md__msg *msg)
{
	const uint64_t before = q->cookie;
	struct md__persist_req *req = &msg->persist_req;

	msg->type = MD__MSG_PERSIST_REQ;
	*req = (struct md__persist_req){
		.region = r->region,
		.generation = r->hold.generation,
		.cookie = before ?: ++peer->last_cookie,
	};
	for (; q && req->count < MD__WIRE_RANGES; q = TAILQ_NEXT(q, requests)) {
		if (!q->due || q->cookie != before)
			continue;
		q->due = false;
		q->cookie = req->cookie;
		req->range[req->count++] = (struct md__wire_range){ q->offset, q->length };
	}
	peer->unanswered += !before;
}

static bool may_ask(const struct md_peer *peer, const struct md__request *q)
{
	return q->due && (q->cookie || peer->unanswered < MD__REQUESTS_UNANSWERED);
}

bool md__requests_next(struct md_peer *peer, struct md__msg *msg, uint64_t now)
{
	struct md__remote *r;
	struct md__request *q;

	if (!peer->requests_due)
		return false;
	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		TAILQ_FOREACH(q, &r->pending, requests) {
			if (!may_ask(peer, q))
				continue;
			fill(peer, r, q, msg);
			if (!peer->ask_again_at)
				peer->ask_again_at = now + AGAIN;
			return true;
		}
	}
	peer->requests_due = false;
	return false;
}

void md__requests_answer(struct md_peer *peer, const struct md__persist_rsp *rsp)
{
	struct md__request *q, *next;
	struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		for (q = TAILQ_FIRST(&r->pending); q; q = next) {
			next = TAILQ_NEXT(q, requests);
			if (q->cookie == rsp->cookie)
				finish_as(r, q, rsp->status);
		}
	}
	/* Those that waited for an answer to be out of the way. */
	peer->requests_due = true;
}

void md__requests_reopened(struct md_peer *peer)
{
	struct md__request *q;
	struct md__remote *r;

	TAILQ_FOREACH(r, &peer->remotes, remotes) {
		TAILQ_FOREACH(q, &r->pending, requests)
			q->due = true;
	}
	peer->requests_due = true;
	peer->ask_again_at = 0;
}

uint64_t md__requests_timer(const struct md_peer *peer)
{
	return peer->ask_again_at;
}

void md__requests_tick(struct md_peer *peer, uint64_t now)
{
	if (peer->ask_again_at && now >= peer->ask_again_at)
		md__requests_reopened(peer);
}

/* ---- memory --------------------------------------------------------------- */

static void take_out(struct md__remote *r, struct md__request *q)
{
	md__fork_hold();
	TAILQ_REMOVE(&r->finished, q, requests);
	md__fork_let();
}

/* Events are fetched in their order: if the oldest is in use, so are the rest. */
static struct md__request *new_request(struct md__remote *r)
{
	struct md__request *q = TAILQ_FIRST(&r->finished);

	if (q && md__slot_idle(&q->slot))
		take_out(r, q);
	else
		q = calloc(1, sizeof(*q));
	if (q)
		md__slot_init(&q->slot, r->ctx, NULL);
	return q;
}

bool md__requests_lent(const struct md__remote *r)
{
	const struct md__request *q;

	TAILQ_FOREACH(q, &r->finished, requests) {
		if (md__slots_lent(&q->slot, 1))
			return true;
	}
	return false;
}

bool md__requests_drop(struct md__remote *r)
{
	struct md__request *q;

	while ((q = TAILQ_FIRST(&r->finished))) {
		if (!md__slots_drop(&q->slot, 1))
			return false;
		take_out(r, q);
		free(q);
	}
	return true;
}

void md__requests_forget(struct md__remote *r)
{
	struct md__request *q;

	TAILQ_FOREACH(q, &r->finished, requests)
		md__slots_forget(&q->slot, 1);
}

static void free_all(struct md__requests *requests)
{
	struct md__request *q;

	while ((q = TAILQ_FIRST(requests))) {
		TAILQ_REMOVE(requests, q, requests);
		free(q);
	}
}

void md__requests_free(struct md__remote *r)
{
	free_all(&r->pending);
	free_all(&r->finished);
}

/* ---- the call ------------------------------------------------------------- */

/*
 * With the peer's lock. A use that is open while the range is recalled may still have
 * something to make durable; requests are uses, too, but no reason for more of them.
 * Whether all have ended is only asked with the lock.
 */
static int check_state(struct md__remote *r)
{
	switch (r->hold.state) {
	case MD__HOLD_VALID:
		return 0;
	case MD__HOLD_DRAINING:
		if (md__guard_uses(&r->guard) <= r->requests)
			return md__remote_fail_gone(EAGAIN);
		if (!r->hold.fenced)
			return 0;
		return md__fail(ESTALE,
				"the holder has fenced this peer: put the uses of \"%s\", and "
				"write again when it is granted",
				r->pub.name);
	case MD__HOLD_LOST:
		return md__remote_fail_gone(ESTALE);
	default:
		return md__remote_fail_gone(EAGAIN);
	}
}

/* With the peer's lock. */
static int ask(struct md__remote *r, uint64_t offset, uint64_t length, uint64_t wr_id)
{
	struct md__request *q;

	if (check_state(r))
		return -1;
	if (!length || offset > r->pub.length || length > r->pub.length - offset)
		return md__fail(EINVAL,
				"%llu bytes at %llu: not inside the %llu bytes of \"%s\": offsets "
				"count from its start",
				(unsigned long long)length, (unsigned long long)offset,
				(unsigned long long)r->pub.length, r->pub.name);
	q = new_request(r);
	if (!q)
		return md__fail(ENOMEM, "no memory for a request");
	q->offset = offset;
	q->length = length;
	q->wr_id = wr_id;
	q->cookie = 0;
	q->due = true;
	md__fork_hold();
	TAILQ_INSERT_TAIL(&r->pending, q, requests);
	md__fork_let();
	r->requests++;
	r->pub.peer->requests_due = true;
	md__guard_hold(&r->guard);
	return 0;
}

int md_persist_remote(struct md_remote *remote, uint64_t offset, uint64_t length, uint64_t wr_id)
{
	struct md_peer *peer;
	int err;

	if (!remote)
		return md__fail(EINVAL, "md_persist_remote: no remote range");
	peer = remote->peer;
	if (peer->ctx->forked)
		return md__fail_forked();
	pthread_mutex_lock(&peer->lock);
	err = ask(md__to_remote(remote), offset, length, wr_id);
	pthread_mutex_unlock(&peer->lock);
	if (!err)
		md__peer_kick(peer);
	return err;
}
