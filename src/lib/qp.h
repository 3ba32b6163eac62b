/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Queue pairs whose traffic uses a map. Everything here with its lock. */
#ifndef MD_LIB_QP_H
#define MD_LIB_QP_H

#include <stdbool.h>
#include <sys/queue.h>

#include <mapdirect/mapdirect.h>

#include "event.h"

struct md__attachment {
	struct ibv_qp *qp;
	struct md_peer *peer;
	bool fenced; /* in this generation */
	struct md__slot slot;
	TAILQ_ENTRY(md__attachment) attachments;
};

/* Those that were attached with a peer, or without one (NULL), to the error state. */
void md__qp_fence_of(struct md_map *map, const struct md_peer *peer, enum md_reason reason);

/* Is there one of a peer, and is each on the adapter of this name? */
bool md__qp_all_on(struct md_map *map, const struct md_peer *peer, const char *adapter);

/* A new generation: what is attached may be fenced again. */
void md__qp_forget_fences(struct md_map *map);

#endif
