/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Queue pairs between processes of this machine, or within one. */
#ifndef MD_TEST_GUEST_RDMA_H
#define MD_TEST_GUEST_RDMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#define RDMA_ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

/* One end of a connection, with a device, PD and CQ of its own. */
struct rdma {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	char *buf; /* what is written; one page */
	struct ibv_mr *buf_mr;
};

/* What the other end must know; travels through shared memory. */
struct rdma_name {
	union ibv_gid gid;
	uint32_t qpn;
};

/* Opens the device. Skips the case when there is none. */
void rdma_open(struct rdma *r);
struct rdma_name rdma_name(struct rdma *r);
/* Not rdma_connect(): the library means that of librdmacm. */
void rdma_join(struct rdma *r, const struct rdma_name *peer);

/* As it was before rdma_join(), whatever became of it since. */
void rdma_reset(struct rdma *r);

/* Two ends in one process, connected. */
void rdma_pair(struct rdma *a, struct rdma *b);

/* Closes all of it; registered regions must be gone. */
void rdma_close(struct rdma *r);

/* Region of a lease's mapping; NULL and errno if it is refused. */
struct ibv_mr *rdma_reg(struct rdma *r, void *addr, size_t length);

/* Posts a write of one page, all bytes of it "value", to a peer's region. */
void rdma_post(struct rdma *r, uint64_t addr, uint32_t rkey, char value);

/* Posts a write of something else, which is registered with r->pd. */
void rdma_post_from(struct rdma *r, const struct ibv_sge *from, uint64_t addr, uint32_t rkey);

/* Status of the next completion; IBV_WC_GENERAL_ERR when none came in time. */
enum ibv_wc_status rdma_poll(struct rdma *r, int limit_ms);

/* Both. */
enum ibv_wc_status rdma_write(struct rdma *r, uint64_t addr, uint32_t rkey, char value);

#endif
