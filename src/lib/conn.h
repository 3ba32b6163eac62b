/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One connection for the messages of a session: an rdma_cm id with a queue pair, a
 * completion queue and message buffers of its own. Nothing here blocks but the
 * calls that make and destroy.
 */
#ifndef MD_LIB_CONN_H
#define MD_LIB_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rdma/rdma_cma.h>

#include "link.h"

/* The window of the link, and what is sent and received outside of it. */
#define MD__CONN_RECVS (MD__LINK_WINDOW + 8)
#define MD__CONN_SENDS (MD__LINK_WINDOW + 8)

struct md__conn {
	struct rdma_cm_id *id;
	struct ibv_comp_channel *channel;
	struct ibv_cq *recv_cq;
	struct ibv_cq *send_cq; /* looked at by who sends: nobody is woken for it */
	struct ibv_mr *mr;
	uint8_t *buf; /* receives, then sends */

	int taken; /* the receive slot whose message was given out, or -1 */

	/* Sends complete in their order. */
	atomic_uint sent;
	atomic_uint completed;
};

/* What md__conn_poll() has found. */
enum md__conn_news {
	MD__CONN_NOTHING,
	MD__CONN_MESSAGE, /* valid until the next md__conn_poll() */
	MD__CONN_BROKEN,
};

/*
 * Give a resolved or requested id its queue pair, and post all receives. 0, or -1
 * with errno: what it has made is to be ended by md__conn_destroy() all the same.
 */
int md__conn_prepare(struct md__conn *c);

/* Destroys the id, too; for any state. */
void md__conn_destroy(struct md__conn *c);

/* 0, or -1: EAGAIN when there is no room. One thread at a time. */
int md__conn_send(struct md__conn *c, const void *message, size_t length);

/* Has everything that was sent arrived, or will not? If it is yet to, the channel tells. */
bool md__conn_is_idle(struct md__conn *c);

/* Take the notifications of the channel, and ask for the next message's; poll after it. */
void md__conn_arm(struct md__conn *c);

enum md__conn_news md__conn_poll(struct md__conn *c, const void **message, size_t *length);

#endif
