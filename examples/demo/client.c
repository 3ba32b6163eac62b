/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * demo_client ADDRESS LOG: writes records into the server's file by RDMA, over
 * and over, and logs each one that the server acknowledged as durable. Stops
 * when told, goes on with the next grant.
 */
#include "demo.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rdma/rdma_verbs.h>

#include "../common/conn.h"

#define BATCH 16
#define CONNECT_TRIES 100
#define CONNECT_PAUSE_US 100000

struct client {
	struct conn conn;
	struct record *records; /* BATCH of them */
	struct ibv_mr *mr;
	int log;
	uint64_t seq;
	struct message grant;
	bool granted;
	bool stop;
	bool bye;
};

static void write_log(const struct client *cl, enum log_what what, uint64_t first)
{
	const struct log_entry entry = {
		.what = what,
		.first = first,
		.count = BATCH,
		.seq = cl->seq,
		.generation = cl->grant.generation,
		.stamp = now_ns(),
	};

	if (write(cl->log, &entry, sizeof(entry)) != sizeof(entry))
		err(1, "log");
}

/* Takes note of what the server says; 1 for the answer to MSG_PERSIST. */
static int hear(struct client *cl, const struct message *msg)
{
	switch (msg->type) {
	case MSG_GRANT:
		cl->grant = *msg;
		cl->granted = true;
		return 0;
	case MSG_STOP:
		cl->stop = true;
		return 0;
	case MSG_BYE:
		cl->bye = true;
		return 0;
	case MSG_PERSISTED:
		return 1;
	default:
		errno = EPROTO;
		return -1;
	}
}

static int wait_and_hear(struct client *cl)
{
	struct message msg;

	return conn_wait(&cl->conn, &msg, sizeof(msg)) ? -1 : hear(cl, &msg);
}

static int write_records(struct client *cl, uint64_t first)
{
	int posted = 0;
	int ret = 0;

	for (; !ret && posted < BATCH; posted += !ret) {
		const struct ibv_sge sge = {
			.addr = (uintptr_t)(cl->records + posted),
			.length = RECORD_SIZE,
			.lkey = cl->mr->lkey,
		};

		ret = conn_post_rdma(&cl->conn, IBV_WR_RDMA_WRITE, &sge,
				     cl->grant.addr + (first + posted) * RECORD_SIZE,
				     cl->grant.rkey);
	}
	return conn_reap(&cl->conn, posted) ?: ret;
}

/* Acknowledged is only what the server persisted after the writes completed. */
static int batch(struct client *cl)
{
	const uint64_t first = cl->seq % cl->grant.count;
	const struct message ask = { .type = MSG_PERSIST, .first = first, .count = BATCH };
	int answer = 0;

	for (int i = 0; i < BATCH; i++)
		record_make(cl->records + i, first + i, cl->seq + i);
	write_log(cl, LOG_WRITTEN, first);
	if (write_records(cl, first) || conn_send(&cl->conn, &ask, sizeof(ask)))
		return -1;
	while (!answer)
		answer = wait_and_hear(cl);
	if (answer < 0)
		return -1;
	write_log(cl, LOG_ACKED, first);
	cl->seq += BATCH;
	if (cl->seq == cl->grant.count)
		printf("client: once through the file\n");
	return 0;
}

/* Until the server has no more use for this client, or the connection ends. */
static int session(struct client *cl)
{
	const struct message stopped = { .type = MSG_STOPPED };

	while (!cl->bye) {
		if (cl->stop) {
			cl->stop = false;
			cl->granted = false;
			if (conn_send(&cl->conn, &stopped, sizeof(stopped)))
				return -1;
		} else if (cl->granted ? batch(cl) : wait_and_hear(cl)) {
			return -1;
		}
	}
	return 0;
}

static int connect_server(struct client *cl, const char *addr)
{
	int tries = CONNECT_TRIES;

	while (conn_connect(&cl->conn, addr, DEMO_PORT)) {
		if (!--tries)
			return -1;
		usleep(CONNECT_PAUSE_US);
	}
	cl->mr = ibv_reg_mr(cl->conn.id->pd, cl->records, BATCH * RECORD_SIZE, 0);
	if (!cl->mr)
		return -1;
	cl->granted = false;
	cl->stop = false;
	printf("client: connected\n");
	return 0;
}

static void disconnect(struct client *cl)
{
	ibv_dereg_mr(cl->mr);
	conn_close(&cl->conn);
}

int main(int argc, char **argv)
{
	struct client cl = { .records = calloc(BATCH, RECORD_SIZE) };

	if (argc != 3)
		errx(2, "usage: demo_client ADDRESS LOG");
	setvbuf(stdout, NULL, _IOLBF, 0);
	cl.log = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
	if (!cl.records || cl.log < 0)
		err(1, "%s", argv[2]);
	do {
		if (connect_server(&cl, argv[1]))
			err(1, "connect");
		if (session(&cl)) {
			if (errno != ENOTCONN)
				err(1, "session");
			/* what it wrote last is unknown: those numbers are spent */
			cl.seq += BATCH;
			printf("client: connection lost\n");
		}
		disconnect(&cl);
	} while (!cl.bye);
	free(cl.records);
	return 0;
}
