// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "context.h"
#include "driver.h"
#include "errmsg.h"
#include "fork.h"
#include "grant.h"
#include "map.h"
#include "mr.h"
#include "peer.h"
#include "qp.h"
#include "service.h"
#include "timelines.h"

#define REMOTE (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC)

/* ---- one grant, with its peer's lock ------------------------------------ */

/* A break waits until no grant of its map is awaited any more. */
static void settle(struct md_grant *grant)
{
	struct md_map *map;

	if (!md__offer_is_over(&grant->offer))
		return;
	pthread_cond_broadcast(&grant->peer->changed);
	if (!grant->awaited)
		return;
	grant->awaited = false;
	map = grant->mr->pub.map;
	if (atomic_fetch_sub(&map->open_recalls, 1) == 1)
		md__service_wake(map->ctx);
}

static void step(struct md_grant *grant, struct md__offer_input in)
{
	in.now = in.now ?: md__now();
	md__offer_step(&grant->offer, &in);
	if (grant->offer.due)
		md__peer_kick(grant->peer);
	settle(grant);
}

/*
 * A request comes by another queue pair than the writes before it. It is in order
 * with them only where one adapter places both, and may not reorder them.
 */
static bool is_persistable(const struct md_grant *grant, struct md_map *map)
{
	const struct md_peer *peer = grant->peer;

	return peer->adapter[0] && !(grant->mr->pub.access & IBV_ACCESS_RELAXED_ORDERING) &&
	       md__qp_all_on(map, peer, peer->adapter);
}

/* With both locks. */
static void offer(struct md_grant *grant, struct md_map *map)
{
	grant->rkey = grant->mr->pub.rkey;
	step(grant, (struct md__offer_input){
			    .what = MD__OFFER_IN_OFFER,
			    .generation = atomic_load(&map->generation),
		    });
}

static void recall(struct md_grant *grant, enum md_reason reason, uint32_t budget_ms, bool final,
		   uint64_t now)
{
	uint64_t id = grant->offer.id;

	grant->reason = reason;
	grant->budget_ms = budget_ms;
	step(grant,
	     (struct md__offer_input){ .what = MD__OFFER_IN_RECALL, .final = final, .now = now });
	if (grant->offer.id != id)
		grant->recalled_at = now;
}

/* ---- all grants of a map, with its lock --------------------------------- */

static uint32_t budget_ms(const struct md_map *map, uint64_t now)
{
	uint64_t end = map->engine.timer;

	return end > now ? (uint32_t)((end - now) / MD__MSEC) : 0;
}

void md__grants_offer(struct md_map *map)
{
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &map->grants, of_map) {
		pthread_mutex_lock(&grant->peer->lock);
		offer(grant, map);
		pthread_mutex_unlock(&grant->peer->lock);
	}
}

/* With both locks: by which adapters its messages and its data come. */
static void look_at_adapters(struct md_grant *grant, struct md_map *map)
{
	grant->persistable = is_persistable(grant, map);
	/* Requests wait for it. */
	if (grant->reconnected)
		md__flush_kick(grant->peer);
	grant->reconnected = false;
}

void md__grants_reconnected(struct md_map *map)
{
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &map->grants, of_map) {
		pthread_mutex_lock(&grant->peer->lock);
		if (grant->reconnected)
			look_at_adapters(grant, map);
		pthread_mutex_unlock(&grant->peer->lock);
	}
}

void md__grants_attached(struct md_map *map, struct md_peer *peer)
{
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &map->grants, of_map) {
		if (grant->peer != peer)
			continue;
		pthread_mutex_lock(&peer->lock);
		look_at_adapters(grant, map);
		pthread_mutex_unlock(&peer->lock);
	}
}

void md__grants_recall(struct md_map *map, uint64_t now)
{
	uint32_t budget = budget_ms(map, now);
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &map->grants, of_map) {
		pthread_mutex_lock(&grant->peer->lock);
		grant->broken = true;
		grant->awaited = true;
		atomic_fetch_add(&map->open_recalls, 1);
		recall(grant, map->cause.reason, budget, false, now);
		pthread_mutex_unlock(&grant->peer->lock);
	}
}

static void fence(struct md_grant *grant, enum md_reason reason)
{
	md__qp_fence_of(grant->mr->pub.map, grant->peer, reason);
	step(grant, (struct md__offer_input){ .what = MD__OFFER_IN_FENCE });
}

void md__grants_fence(struct md_map *map)
{
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &map->grants, of_map) {
		pthread_mutex_lock(&grant->peer->lock);
		if (grant->awaited)
			fence(grant, MD_REASON_BUDGET);
		pthread_mutex_unlock(&grant->peer->lock);
	}
}

void md__grants_lose(struct md_map *map)
{
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &map->grants, of_map) {
		pthread_mutex_lock(&grant->peer->lock);
		recall(grant, map->cause.reason, 0, true, md__now());
		pthread_mutex_unlock(&grant->peer->lock);
	}
}

void md__grants_punish(struct md_map *map)
{
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &map->grants, of_map) {
		pthread_mutex_lock(&grant->peer->lock);
		if (grant->fence_asked) {
			grant->reason = MD_REASON_PROTOCOL;
			fence(grant, MD_REASON_PROTOCOL);
		}
		grant->fence_asked = false;
		pthread_mutex_unlock(&grant->peer->lock);
	}
}

/* ---- all grants of a peer, with its lock -------------------------------- */

static void fill_grant(const struct md_grant *grant, struct md__msg *msg)
{
	const struct md_mr *mr = &grant->mr->pub;

	msg->type = MD__MSG_GRANT;
	msg->grant = (struct md__grant_msg){
		.region = grant->region,
		.generation = grant->offer.generation,
		.addr = (uintptr_t)mr->addr,
		.length = mr->length,
		.rkey = grant->rkey,
		.access = (uint32_t)(mr->access & REMOTE),
		.flags = grant->broken ? MD__GRANT_RESTORED : 0,
	};
	memcpy(msg->grant.name, grant->name, sizeof(msg->grant.name));
}

static bool will_restore(const struct md_grant *grant)
{
	return grant->mr && (grant->mr->pub.map->restore || grant->mr->pub.map->on_demand);
}

static void fill_recall(const struct md_grant *grant, struct md__msg *msg)
{
	const struct md__offer *o = &grant->offer;

	msg->type = o->due & MD__OFFER_SEND_FENCED ? MD__MSG_FENCED : MD__MSG_RECALL;
	msg->recall = (struct md__recall_msg){
		.region = grant->region,
		.barrier = o->generation,
		.id = o->id,
		.budget_ms = o->due & MD__OFFER_SEND_FENCED ? 0 : grant->budget_ms,
		.reason = (uint16_t)grant->reason,
		.flags = (o->final ? MD__RECALL_FINAL : 0) |
			 (!o->final && will_restore(grant) ? MD__RECALL_RESTORE : 0),
	};
}

bool md__grants_next(struct md_peer *peer, struct md__msg *msg, bool bulk, uint64_t now)
{
	const unsigned int wanted =
		bulk ? MD__OFFER_SEND_GRANT : MD__OFFER_SEND_RECALL | MD__OFFER_SEND_FENCED;
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &peer->grants, of_peer) {
		if (grant->offer.due & wanted)
			break;
	}
	if (!grant)
		return false;
	if (bulk)
		fill_grant(grant, msg);
	else
		fill_recall(grant, msg);
	/* Before it is really sent: a recall that comes now has to come after it. */
	step(grant, (struct md__offer_input){ .what = MD__OFFER_IN_SENT, .now = now });
	return true;
}

/* A grant that was recalled by the application, and whose peer knows it. */
static void free_if_done(struct md_grant *grant)
{
	if (grant->mr || grant->offer.state != MD__OFFER_IDLE)
		return;
	md__fork_hold();
	TAILQ_REMOVE(&grant->peer->grants, grant, of_peer);
	md__fork_let();
	free(grant);
}

struct md_grant *md__grant_find(struct md_peer *peer, uint64_t region)
{
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &peer->grants, of_peer) {
		if (grant->region == region)
			break;
	}
	return grant;
}

void md__grants_answer(struct md_peer *peer, const struct md__msg *msg, uint64_t now)
{
	static const enum md__offer_in what[] = {
		[MD__MSG_GRANT_ACK] = MD__OFFER_IN_GRANT_ACK,
		[MD__MSG_RECALL_ACK] = MD__OFFER_IN_ACK,
		[MD__MSG_RECALL_DONE] = MD__OFFER_IN_DONE,
		[MD__MSG_FENCED_ACK] = MD__OFFER_IN_FENCED_ACK,
	};
	struct md_grant *grant = md__grant_find(peer, msg->answer.region);

	/* An answer about one that is gone comes late, or twice. */
	if (!grant)
		return;
	/* That it is not needed is answered by the last RECALL, which ends it. */
	if (msg->type == MD__MSG_RELEASE)
		recall(grant, MD_REASON_RECALL, grant->budget_ms, true, md__now());
	else
		step(grant, (struct md__offer_input){
				    .what = what[msg->type],
				    .now = now,
				    .generation = msg->answer.generation,
				    .id = msg->answer.id,
			    });
	free_if_done(grant);
}

void md__grants_wanted(struct md_peer *peer, const struct md__region_msg *msg)
{
	struct md_grant *grant = md__grant_find(peer, msg->region);

	if (!grant || !grant->mr)
		return;
	atomic_store(&grant->mr->pub.map->want_asked, true);
	md__service_wake(peer->ctx);
}

static void step_all(struct md_peer *peer, enum md__offer_in what, uint64_t now)
{
	struct md_grant *grant, *next;

	for (grant = TAILQ_FIRST(&peer->grants); grant; grant = next) {
		next = TAILQ_NEXT(grant, of_peer);
		step(grant, (struct md__offer_input){ .what = what, .now = now });
		free_if_done(grant);
	}
}

void md__grants_reopened(struct md_peer *peer, uint64_t now)
{
	step_all(peer, MD__OFFER_IN_OPEN, now);
}

void md__grants_gone(struct md_peer *peer, uint64_t now)
{
	step_all(peer, MD__OFFER_IN_GONE, now);
}

void md__grants_tick(struct md_peer *peer, uint64_t now)
{
	step_all(peer, MD__OFFER_IN_TIMER, now);
}

void md__grants_accuse(struct md_peer *peer)
{
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &peer->grants, of_peer) {
		if (!grant->mr)
			continue;
		grant->fence_asked = true;
		atomic_store(&grant->mr->pub.map->punish, true);
	}
	md__service_wake(peer->ctx);
}

void md__grants_connected(struct md_peer *peer)
{
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &peer->grants, of_peer) {
		if (!grant->mr)
			continue;
		grant->reconnected = true;
		atomic_store(&grant->mr->pub.map->reconnected, true);
	}
	md__service_wake(peer->ctx);
}

uint64_t md__grants_timer(const struct md_peer *peer)
{
	const struct md_grant *grant;
	uint64_t first = 0;

	TAILQ_FOREACH(grant, &peer->grants, of_peer)
		first = md__earlier(first, grant->offer.again_at);
	return first;
}

/* ---- calls -------------------------------------------------------------- */

static int check_args(const struct md_peer *peer, const struct md_mr *mr, const char *name)
{
	if (!peer || !mr)
		return md__fail(EINVAL, "md_grant: no %s", peer ? "region" : "peer");
	if (peer->ctx->forked)
		return md__fail_forked();
	if (mr->map->ctx != peer->ctx)
		return md__fail(EINVAL, "md_grant: peer and region are of different contexts: %s",
				mr->map->range.text);
	if (!(mr->access & REMOTE))
		return md__fail(EINVAL,
				"access 0x%x is local only: register the region with "
				"IBV_ACCESS_REMOTE_READ, _WRITE or _ATOMIC: %s",
				mr->access, mr->map->range.text);
	if (name && strlen(name) >= MD_NAME_MAX)
		return md__fail(EINVAL, "the name of a grant has %d bytes at most: %.*s...",
				MD_NAME_MAX - 1, MD_NAME_MAX, name);
	return 0;
}

/*
 * With both locks. A break that was noticed has shut the gate before it has the map's
 * lock: nothing is granted from then on.
 */
static void offer_if_open(struct md_grant *grant, struct md_map *map)
{
	if (md__guard_get(&map->guard))
		return;
	offer(grant, map);
	md__guard_put(&map->guard);
}

/* With the map's lock. */
static int add(struct md_map *map, struct md_grant *grant)
{
	struct md_peer *peer = grant->peer;
	char name[MD__PEER_NAME];
	bool over;

	if (map->engine.state == MD__LOST)
		return md__map_fail_gone(map);
	if (md__timelines_reserve(map))
		return -1;
	pthread_mutex_lock(&peer->lock);
	over = peer->link.state == MD__LINK_CLOSED;
	if (!over) {
		grant->region = ++peer->last_region;
		md__fork_hold();
		TAILQ_INSERT_TAIL(&peer->grants, grant, of_peer);
		md__fork_let();
		TAILQ_INSERT_TAIL(&map->grants, grant, of_map);
		grant->mr->grants++;
		look_at_adapters(grant, map);
		offer_if_open(grant, map);
	}
	pthread_mutex_unlock(&peer->lock);
	md__peer_name(peer, name);
	return over ? md__fail(ESHUTDOWN, "the session with %s is over", name) : 0;
}

struct md_grant *md_grant(struct md_peer *peer, struct md_mr *mr, const char *name)
{
	struct md_grant *grant;
	struct md_map *map;
	int err;

	if (check_args(peer, mr, name))
		return NULL;
	grant = calloc(1, sizeof(*grant));
	if (!grant) {
		md__fail(ENOMEM, "no memory for a grant");
		return NULL;
	}
	map = mr->map;
	grant->peer = peer;
	grant->mr = (struct md__mr *)mr;
	memcpy(grant->name, name ?: "", name ? strlen(name) : 0);
	pthread_mutex_lock(&map->lock);
	err = add(map, grant);
	pthread_mutex_unlock(&map->lock);
	if (!err)
		return grant;
	free(grant);
	return NULL;
}

/* With the peer's lock. */
static bool over_or_timeout(struct md_grant *grant, uint64_t end)
{
	const struct timespec until = md__timespec(end);
	struct md_peer *peer = grant->peer;

	if (md__offer_is_over(&grant->offer))
		return true;
	return pthread_cond_timedwait(&peer->changed, &peer->lock, &until) == ETIMEDOUT;
}

/* The caller's thread is the one that has to move things on. */
static void process_until(struct md_grant *grant, uint64_t end)
{
	struct md_peer *peer = grant->peer;
	bool over = false;

	while (!over && md__now() < end) {
		pthread_mutex_lock(&peer->lock);
		over = md__offer_is_over(&grant->offer);
		pthread_mutex_unlock(&peer->lock);
		if (!over)
			md__service_help(peer->ctx);
	}
}

static void wait_until_over(struct md_grant *grant, uint64_t end)
{
	struct md_peer *peer = grant->peer;

	if (peer->ctx->flags & MD_OPEN_NO_THREAD) {
		process_until(grant, end);
		return;
	}
	pthread_mutex_lock(&peer->lock);
	while (!over_or_timeout(grant, end))
		;
	pthread_mutex_unlock(&peer->lock);
}

int md_recall(struct md_grant *grant)
{
	struct md_peer *peer;
	struct md_map *map;
	uint64_t budget;

	if (!grant)
		return 0;
	peer = grant->peer;
	if (peer->ctx->forked)
		return md__fail_forked();
	map = grant->mr->pub.map;
	budget = peer->ctx->budget_ns;
	pthread_mutex_lock(&peer->lock);
	recall(grant, MD_REASON_RECALL, (uint32_t)(budget / MD__MSEC), true, md__now());
	pthread_mutex_unlock(&peer->lock);
	md__peer_send(peer);
	wait_until_over(grant, md__now() + budget);
	md__populate_lock(map);
	pthread_mutex_lock(&peer->lock);
	if (!md__offer_is_over(&grant->offer))
		fence(grant, MD_REASON_RECALL);
	while (grant->flushing)
		pthread_cond_wait(&peer->changed, &peer->lock);
	TAILQ_REMOVE(&map->grants, grant, of_map);
	grant->mr->grants--;
	grant->mr = NULL;
	free_if_done(grant);
	pthread_mutex_unlock(&peer->lock);
	pthread_mutex_unlock(&map->lock);
	return 0;
}
