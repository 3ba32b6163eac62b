/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * demo_client ADDRESS LOG: writes records into the server's file by RDMA, over
 * and over, and logs each one that the server acknowledged as durable. When the
 * file is taken back it waits until it is granted again.
 */
#include "demo.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "../common/conn.h"

#define BATCH 16
#define CONNECT_TRIES 100
#define CONNECT_PAUSE_US 100000

struct client {
	const char *addr;
	struct md_context *ctx;
	struct md_peer *server;
	struct md_remote *remote;
	uint64_t generation; /* of the grant */
	struct token token;
	bool accepted; /* the session is there */
	struct conn conn;
	struct record *records; /* BATCH of them */
	struct ibv_mr *mr;
	int log;
	uint64_t seq;
	bool persisted; /* the request has ended */
	int persist_error;
	bool bye;      /* nothing is granted any more */
	bool paused;   /* granted again since the last acknowledgement */
	uint64_t last; /* when that was */
};

/* ---- events -------------------------------------------------------------- */

static void handle_event(struct client *cl, const struct md_event *ev)
{
	switch (ev->type) {
	case MD_EVENT_PEER_UP:
		cl->accepted = true;
		break;
	case MD_EVENT_GRANTED:
		cl->paused = cl->remote;
		cl->remote = ev->remote;
		cl->generation = ev->generation;
		break;
	case MD_EVENT_RECALLED:
		break;
	case MD_EVENT_PERSISTED:
		cl->persisted = true;
		cl->persist_error = ev->error;
		break;
	case MD_EVENT_REMOTE_LOST:
	case MD_EVENT_PEER_CLOSED:
		cl->bye = true;
		break;
	default:
		printf("client: %s\n", ev->message);
	}
}

static void handle_events(struct client *cl, int timeout_ms)
{
	struct md_event *ev;

	while (!md_get_event(cl->ctx, &ev, timeout_ms)) {
		handle_event(cl, ev);
		md_ack_event(ev);
		timeout_ms = 0;
	}
}

/* ---- records -------------------------------------------------------------- */

static void write_log(const struct client *cl, enum log_what what, uint64_t first)
{
	const struct log_entry entry = {
		.what = what,
		.first = first,
		.count = BATCH,
		.seq = cl->seq,
		.generation = cl->generation,
		.stamp = now_ns(),
	};

	if (write(cl->log, &entry, sizeof(entry)) != sizeof(entry))
		err(1, "log");
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
				     cl->remote->addr + (first + posted) * RECORD_SIZE,
				     cl->remote->rkey);
	}
	return conn_reap(&cl->conn, posted) ?: ret;
}

/* Acknowledged is only what the server made durable after the writes completed. */
static int persist_records(struct client *cl, uint64_t first)
{
	cl->persisted = false;
	if (md_persist_remote(cl->remote, first * RECORD_SIZE, BATCH * RECORD_SIZE, cl->seq))
		errx(1, "%s", md_errmsg());
	while (!cl->persisted)
		handle_events(cl, -1);
	/* ESTALE: we were fenced, so the connection has to be made again */
	errno = cl->persist_error == ESTALE ? ENOTCONN : cl->persist_error;
	return errno ? -1 : 0;
}

static void note_pause(struct client *cl)
{
	const uint64_t now = now_ns();

	if (cl->paused)
		printf("client: a pause of %llu us\n", (unsigned long long)(now - cl->last) / 1000);
	cl->paused = false;
	cl->last = now;
}

/* In a use of the remote range. */
static int batch(struct client *cl)
{
	const uint64_t count = cl->remote->length / RECORD_SIZE;
	const uint64_t first = cl->seq % count;

	for (int i = 0; i < BATCH; i++)
		record_make(cl->records + i, first + i, cl->seq + i);
	write_log(cl, LOG_WRITTEN, first);
	if (write_records(cl, first) || persist_records(cl, first))
		return -1;
	write_log(cl, LOG_ACKED, first);
	note_pause(cl);
	cl->seq += BATCH;
	if (cl->seq == count)
		printf("client: once through the file\n");
	return 0;
}

/* ---- the connection that the data takes ----------------------------------- */

static void connect_data(struct client *cl)
{
	int tries = CONNECT_TRIES;

	while (conn_connect(&cl->conn, cl->addr, DEMO_DATA_PORT)) {
		if (!--tries)
			err(1, "connect");
		usleep(CONNECT_PAUSE_US);
	}
	cl->mr = ibv_reg_mr(cl->conn.id->pd, cl->records, BATCH * RECORD_SIZE, 0);
	/* when it comes back, what we write is known to be ours */
	if (!cl->mr || conn_send(&cl->conn, &cl->token, sizeof(cl->token)) ||
	    conn_wait(&cl->conn, &cl->token, sizeof(cl->token)))
		err(1, "connection");
	printf("client: connected\n");
}

static void disconnect_data(struct client *cl)
{
	ibv_dereg_mr(cl->mr);
	conn_close(&cl->conn);
}

/* Until the server grants nothing any more. */
static void run(struct client *cl)
{
	while (!cl->bye) {
		int ret;

		if (!cl->remote || md_remote_get(cl->remote)) {
			handle_events(cl, 100);
			continue;
		}
		/* what is told of the grant that the use is of */
		handle_events(cl, 0);
		ret = batch(cl);
		md_remote_put(cl->remote);
		if (!ret)
			continue;
		if (errno != ENOTCONN)
			err(1, "batch");
		/* what it wrote last is unknown: those numbers are spent */
		cl->seq += BATCH;
		printf("client: connection lost\n");
		disconnect_data(cl);
		connect_data(cl);
	}
}

int main(int argc, char **argv)
{
	struct client cl = {
		.records = calloc(BATCH, RECORD_SIZE),
		.token.number = now_ns(),
	};
	const struct md_connect_attr attr = {
		.size = sizeof(attr),
		.private_data = &cl.token,
		.private_len = sizeof(cl.token),
	};

	if (argc != 3)
		errx(2, "usage: demo_client ADDRESS LOG");
	setvbuf(stdout, NULL, _IOLBF, 0);
	cl.addr = argv[1];
	cl.log = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
	if (!cl.records || cl.log < 0)
		err(1, "%s", argv[2]);
	cl.ctx = md_open(NULL);
	cl.server = cl.ctx ? md_connect(cl.ctx, cl.addr, DEMO_PORT, &attr) : NULL;
	if (!cl.server)
		errx(1, "%s", md_errmsg());
	while (!cl.accepted) /* only then does the server know our token */
		handle_events(&cl, 1000);
	connect_data(&cl);
	run(&cl);
	if (md_peer_close(cl.server) || md_close(cl.ctx))
		errx(1, "%s", md_errmsg());
	disconnect_data(&cl);
	free(cl.records);
	return 0;
}
