/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* All peers of a context: what the service does for them, and when. */
#ifndef MD_LIB_PEERS_H
#define MD_LIB_PEERS_H

#include <stdint.h>

struct md_context;

/* Send what is due. Without locks. */
void md__peers_send(struct md_context *ctx);

/* Do all that is due. By the service, without locks. */
void md__peers_turn(struct md_context *ctx, uint64_t now);

/* The earliest timer of all, 0: none. With the list_lock. */
uint64_t md__peers_timer(const struct md_context *ctx);

#endif
