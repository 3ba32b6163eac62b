// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <pthread.h>

#include "context.h"
#include "flush.h"
#include "grant.h"
#include "map.h"
#include "mr.h"
#include "peer.h"
#include "service.h"

/* A flush of less takes as long. */
#define SMALL UINT64_C(4096)

/* ---- with the peer's lock ------------------------------------------------- */

/* What can be said without flushing. */
static enum md__persist_status check(const struct md_grant *grant,
				     const struct md__persist_req *req)
{
	if (!grant || !grant->mr || !md__offer_is_held(&grant->offer, req->generation))
		return MD__PERSIST_STALE;
	if (!grant->persistable && !grant->reconnected)
		return MD__PERSIST_UNSUPPORTED;
	for (uint32_t i = 0; i < req->count; i++) {
		const struct md__wire_range *range = &req->range[i];

		if (range->offset > grant->mr->pub.length ||
		    range->length > grant->mr->pub.length - range->offset)
			return MD__PERSIST_RANGE;
	}
	return MD__PERSIST_DONE;
}

/* Nobody waits for the answer: the peer knows that it was fenced. */
static bool is_forgotten(struct md_peer *peer, const struct md__flush *f)
{
	return check(md__grant_find(peer, f->req.region), &f->req) == MD__PERSIST_STALE;
}

/* One that came before, by its cookie; or a free place for it. */
static struct md__flush *place_for(struct md_peer *peer, const struct md__persist_req *req)
{
	struct md__flush *free_place = NULL;

	for (int i = 0; i < MD__FLUSHES; i++) {
		struct md__flush *f = &peer->flush[i];

		if (f->used && f->req.cookie == req->cookie)
			return f;
		if (!f->used && !free_place)
			free_place = f;
	}
	for (int i = 0; i < MD__FLUSHES && !free_place; i++) {
		if (is_forgotten(peer, &peer->flush[i]))
			free_place = &peer->flush[i];
	}
	return free_place;
}

enum md__wire_error md__flush_take(struct md_peer *peer, const struct md__persist_req *req)
{
	struct md__flush *f = place_for(peer, req);

	if (!f)
		return MD__ERR_CREDITS;
	if (f->used && f->req.cookie == req->cookie)
		return MD__ERR_NONE;
	*f = (struct md__flush){ .used = true, .req = *req };
	f->status = check(md__grant_find(peer, req->region), req);
	f->done = f->status != MD__PERSIST_DONE;
	md__flush_kick(peer);
	return MD__ERR_NONE;
}

void md__flush_kick(struct md_peer *peer)
{
	atomic_store(&peer->flush_due, true);
	md__service_wake(peer->ctx);
}

/* The oldest; cookies rise. */
static struct md__flush *oldest(struct md_peer *peer)
{
	struct md__flush *first = NULL;

	for (int i = 0; i < MD__FLUSHES; i++) {
		struct md__flush *f = &peer->flush[i];

		if (f->used && (!first || f->req.cookie < first->req.cookie))
			first = f;
	}
	return first;
}

/* In their order. */
bool md__flush_next(struct md_peer *peer, struct md__msg *msg)
{
	struct md__flush *f = oldest(peer);

	if (!f || !f->done)
		return false;
	msg->type = MD__MSG_PERSIST_RSP;
	msg->persist_rsp = (struct md__persist_rsp){
		.cookie = f->req.cookie,
		.status = f->status,
	};
	f->used = false;
	return true;
}

void md__flush_forget(struct md_peer *peer)
{
	for (int i = 0; i < MD__FLUSHES; i++)
		peer->flush[i].used = false;
}

/* ---- the service ----------------------------------------------------------- */

/* The next piece of a request; false when there is none. */
static bool next_piece(struct md__persist_req *req, uint64_t most, struct md__wire_range *piece)
{
	struct md__wire_range *range;

	if (!req->count)
		return false;
	range = &req->range[req->count - 1];
	*piece = *range;
	if (piece->length > most)
		piece->length = most;
	range->offset += piece->length;
	range->length -= piece->length;
	if (!range->length)
		req->count--;
	return true;
}

static enum md__persist_status flush(const struct md_mr *mr, const struct md__wire_range *piece)
{
	size_t start = (size_t)((char *)mr->addr - (char *)md_map_addr(mr->map));

	if (!md_persist(mr->map, start + piece->offset, piece->length))
		return MD__PERSIST_DONE;
	return errno == EAGAIN || errno == ESTALE ? MD__PERSIST_STALE : MD__PERSIST_FAILED;
}

/*
 * With the lock, which is let go meanwhile: the grant stays while it is counted.
 * Returns how much of a turn it has taken.
 */
static uint64_t carry_out(struct md_peer *peer, struct md_grant *grant, struct md__flush *f,
			  uint64_t most)
{
	const uint64_t cookie = f->req.cookie;
	enum md__persist_status status;
	struct md__wire_range piece;

	if (!next_piece(&f->req, most, &piece)) {
		f->done = true;
		return 0;
	}
	grant->flushing++;
	pthread_mutex_unlock(&peer->lock);
	status = flush(&grant->mr->pub, &piece);
	pthread_mutex_lock(&peer->lock);
	if (!--grant->flushing)
		pthread_cond_broadcast(&peer->changed);
	/* It may have been forgotten with its connection, and its place taken. */
	if (f->used && f->req.cookie == cookie) {
		f->status = status;
		f->done = status != MD__PERSIST_DONE || !f->req.count;
	}
	return piece.length > SMALL ? piece.length : SMALL;
}

/* The oldest that is not done. */
static struct md__flush *next_flush(struct md_peer *peer)
{
	struct md__flush *first = NULL;

	for (int i = 0; i < MD__FLUSHES; i++) {
		struct md__flush *f = &peer->flush[i];

		if (f->used && !f->done && (!first || f->req.cookie < first->req.cookie))
			first = f;
	}
	return first;
}

uint64_t md__flush_turn(struct md_peer *peer, uint64_t left)
{
	struct md__flush *f;

	pthread_mutex_lock(&peer->lock);
	while (left && (f = next_flush(peer))) {
		struct md_grant *grant = md__grant_find(peer, f->req.region);
		uint64_t took = 0;

		/* Who drives the map looks, and then has us come back. */
		if (grant && grant->mr && grant->reconnected) {
			pthread_mutex_unlock(&peer->lock);
			return left;
		}
		f->status = check(grant, &f->req);
		if (f->status == MD__PERSIST_DONE)
			took = carry_out(peer, grant, f, left);
		else
			f->done = true;
		left -= took < left ? took : left;
	}
	f = next_flush(peer);
	pthread_mutex_unlock(&peer->lock);
	if (f)
		md__flush_kick(peer);
	return left;
}
