/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The memory of peers: taken, used again, and freed with the context. */
#ifndef MD_LIB_PEER_POOL_H
#define MD_LIB_PEER_POOL_H

#include "peer.h"

/* md_peer_new() without its checks, for who carries a session. */
struct md_peer *md__peer_new(struct md_context *ctx, const struct md_peer_ops *ops, void *arg,
			     void *user_data);

/* Forget a peer that is closed, or that nobody has heard of: it is retired. */
void md__peer_discard(struct md_peer *peer);

/* Is an event of a closed peer fetched and not acknowledged? With the list_lock. */
bool md__peer_lent(const struct md__peers *retired);

/* Free the memory of peers, and of what hangs on them. */
void md__peer_free_all(struct md__peers *peers);

#endif
