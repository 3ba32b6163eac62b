/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A peer process that writes to a holder's region without end. */
#ifndef MD_TEST_GUEST_STREAM_H
#define MD_TEST_GUEST_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rdma.h"

#define STREAM_BYTE 0x77

/* Shared by the peer, the holder and the case. */
struct stream {
	pid_t pid;
	struct rdma_name peer, holder;
	uint64_t addr;
	uint32_t rkey;
	size_t length;
	atomic_bool peer_named, holder_ready, stop;
	atomic_uint writes; /* completed */
	atomic_int status;  /* enum ibv_wc_status of the last one */
};

struct stream *stream_start(void);

/* By the holder: says where to write. The stream starts. */
void stream_serve(struct stream *s, struct rdma *r, const struct ibv_mr *mr);

/* Until so many more writes were completed. */
void stream_wait_writes(struct stream *s, unsigned int more);

/* Until a write failed, and the peer ended. */
void stream_wait_end(struct stream *s);

/* Has it go on for at most so long, and ends it. */
void stream_stop(struct stream *s, int more_ms);

#endif
