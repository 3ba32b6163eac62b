// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include "clock.h"
#include "context.h"
#include "peer.h"
#include "peers.h"
#include "remote.h"
#include "service.h"

/* Of how many at a time it is asked: the list is not gone through for each. */
#define BATCH 64

/*
 * Until it is true of none any more. One that is closed meanwhile keeps its memory, and
 * has nothing to do.
 */
static void for_each(struct md_context *ctx, bool (*is)(struct md_peer *, uint64_t),
		     void (*call)(struct md_peer *, uint64_t), uint64_t now)
{
	struct md_peer *found[BATCH], *peer;
	int n;

	do {
		n = 0;
		pthread_mutex_lock(&ctx->list_lock);
		TAILQ_FOREACH(peer, &ctx->peers, peers) {
			if (n == BATCH)
				break;
			if (is(peer, now))
				found[n++] = peer;
		}
		pthread_mutex_unlock(&ctx->list_lock);
		for (int i = 0; i < n; i++)
			call(found[i], now);
	} while (n);
}

static bool is_due(struct md_peer *peer, uint64_t now)
{
	(void)now;
	return atomic_load(&peer->due) && atomic_exchange(&peer->due, false);
}

/* Who has waited longest, since before number @since. */
static struct md_peer *find_flushing(struct md_context *ctx, uint64_t since)
{
	struct md_peer *peer, *first = NULL;

	pthread_mutex_lock(&ctx->list_lock);
	TAILQ_FOREACH(peer, &ctx->peers, peers) {
		if (peer->turn <= since && atomic_load(&peer->flush_due) &&
		    (!first || peer->turn < first->turn))
			first = peer;
	}
	if (first) {
		first->turn = ++ctx->turns;
		atomic_store(&first->flush_due, false);
	}
	pthread_mutex_unlock(&ctx->list_lock);
	return first;
}

static bool has_timer(struct md_peer *peer, uint64_t now)
{
	uint64_t timer = atomic_load(&peer->timer);

	return timer && timer <= now;
}

static void send_due(struct md_peer *peer, uint64_t now)
{
	(void)now;
	md__peer_send(peer);
}

void md__peers_send(struct md_context *ctx)
{
	for_each(ctx, is_due, send_due, 0);
}

static void drain(struct md_context *ctx)
{
	struct md_peer *peer;

	pthread_mutex_lock(&ctx->list_lock);
	TAILQ_FOREACH(peer, &ctx->peers, peers) {
		if (!atomic_load(&peer->draining))
			continue;
		pthread_mutex_lock(&peer->lock);
		md__remotes_drained(peer);
		pthread_mutex_unlock(&peer->lock);
	}
	pthread_mutex_unlock(&ctx->list_lock);
}

/* A bit of it in each turn, of everybody: maps are not to wait for long. */
static void flush_some(struct md_context *ctx, uint64_t now)
{
	uint64_t left = MD__FLUSH_TURN, since = ctx->turns;
	struct md_peer *peer;

	while (left && (peer = find_flushing(ctx, since))) {
		left = md__flush_turn(peer, left);
		atomic_store(&peer->due, true);
		if (md__now() >= now + MD__TURN_NS) {
			md__service_wake(ctx);
			break;
		}
	}
}

void md__peers_turn(struct md_context *ctx, uint64_t now)
{
	drain(ctx);
	flush_some(ctx, now);
	md__peers_send(ctx);
	for_each(ctx, has_timer, md__peer_tick, now);
}

uint64_t md__peers_timer(const struct md_context *ctx)
{
	const struct md_peer *peer;
	uint64_t first = 0;

	TAILQ_FOREACH(peer, &ctx->peers, peers)
		first = md__earlier(first, atomic_load(&peer->timer));
	return first;
}
