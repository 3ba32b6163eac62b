/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Listening for sessions over rdma_cm, and whom to admit. With the net_lock. */
#ifndef MD_LIB_LISTENER_H
#define MD_LIB_LISTENER_H

#include <rdma/rdma_cma.h>

#include "wire.h"

struct md_context;

/* Take a request for a connection: a peer that is back, or a new one; or turn it away. */
void md__listeners_request(struct md_context *ctx, const struct rdma_cm_event *event);

/* Turn a request away, and say why. */
void md__listener_reject(struct rdma_cm_id *id, enum md__wire_error code);

/* Only free the memory: in a child after fork(2). */
void md__listeners_free(struct md_context *ctx);

#endif
