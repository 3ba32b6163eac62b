// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "grant.h"
#include "peer.h"
#include "peer_pool.h"
#include "remote.h"

static uint64_t random_number(void)
{
	uint64_t number = 0;

	/* Short requests are neither interrupted nor cut: getrandom(2). */
	while (!number && getrandom(&number, sizeof(number), 0) == sizeof(number))
		;
	return number;
}

/* Is an event of it fetched and not acknowledged? */
static bool is_lent(const struct md_peer *peer)
{
	return md__slots_lent(peer->slot, MD__PEER_SLOTS) || md__remotes_lent(peer);
}

/* One that was closed, and is listed again, or NULL. With the list_lock. */
static struct md_peer *take_retired(struct md_context *ctx)
{
	struct md_peer *peer;

	TAILQ_FOREACH(peer, &ctx->retired_peers, peers) {
		if (!is_lent(peer))
			break;
	}
	if (!peer)
		return NULL;
	md__fork_hold();
	TAILQ_REMOVE(&ctx->retired_peers, peer, peers);
	TAILQ_INSERT_TAIL(&ctx->peers, peer, peers);
	md__fork_let();
	return peer;
}

/* The same of new memory. */
static struct md_peer *add_peer(struct md_context *ctx)
{
	struct md_peer *peer = calloc(1, sizeof(*peer));
	pthread_condattr_t attr;

	if (!peer)
		return NULL;
	peer->ctx = ctx;
	pthread_mutex_init(&peer->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&peer->changed, &attr);
	pthread_condattr_destroy(&attr);
	TAILQ_INIT(&peer->grants);
	TAILQ_INIT(&peer->remotes);
	TAILQ_INIT(&peer->spares);
	for (int i = 0; i < MD__PEER_SLOTS; i++)
		md__slot_init(&peer->slot[i], ctx, &peer->last_fetched);
	md__fork_hold();
	TAILQ_INSERT_TAIL(&ctx->peers, peer, peers);
	md__fork_let();
	return peer;
}

/* Who looks at it as the one that it was before finds nothing to do. */
static void begin(struct md_peer *peer, uint64_t name, const struct md_peer_ops *ops, void *arg,
		  void *user_data)
{
	const struct md_context *ctx = peer->ctx;

	pthread_mutex_lock(&peer->lock);
	md__link_init(&peer->link, name, ctx->incarnation, ctx->keepalive_ns);
	peer->ops = *ops;
	peer->arg = arg;
	peer->carrier = NULL;
	peer->user_data = user_data;
	peer->adapter[0] = '\0';
	md__peer_set_adapter(peer, ops->verbs);
	peer->last_region = 0;
	peer->last_cookie = 0;
	peer->ask_again_at = 0;
	peer->unanswered = 0;
	peer->last_until = 0;
	peer->last_fetched = 0;
	md__remotes_reuse(peer);
	pthread_mutex_unlock(&peer->lock);
}

struct md_peer *md__peer_new(struct md_context *ctx, const struct md_peer_ops *ops, void *arg,
			     void *user_data)
{
	uint64_t name = random_number();
	struct md_peer *peer;

	if (!name) {
		md__fail(EIO, "no random numbers: %s", strerror(errno));
		return NULL;
	}
	pthread_mutex_lock(&ctx->list_lock);
	peer = take_retired(ctx) ?: add_peer(ctx);
	if (peer && !ctx->incarnation)
		ctx->incarnation = name;
	if (peer)
		begin(peer, name, ops, arg, user_data);
	pthread_mutex_unlock(&ctx->list_lock);
	if (!peer)
		md__fail(ENOMEM, "no memory for a peer");
	return peer;
}

void md__peer_discard(struct md_peer *peer)
{
	struct md_context *ctx = peer->ctx;

	pthread_mutex_lock(&ctx->list_lock);
	md__fork_hold();
	TAILQ_REMOVE(&ctx->peers, peer, peers);
	TAILQ_INSERT_TAIL(&ctx->retired_peers, peer, peers);
	md__fork_let();
	pthread_mutex_unlock(&ctx->list_lock);
}

bool md__peer_lent(const struct md__peers *retired)
{
	const struct md_peer *peer;

	TAILQ_FOREACH(peer, retired, peers) {
		if (is_lent(peer))
			return true;
	}
	return false;
}

void md__peer_free_all(struct md__peers *peers)
{
	struct md_grant *grant;
	struct md_peer *peer;

	while ((peer = TAILQ_FIRST(peers))) {
		while ((grant = TAILQ_FIRST(&peer->grants))) {
			TAILQ_REMOVE(&peer->grants, grant, of_peer);
			free(grant);
		}
		md__remotes_free(peer);
		TAILQ_REMOVE(peers, peer, peers);
		free(peer);
	}
}
