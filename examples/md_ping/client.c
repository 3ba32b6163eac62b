/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Writes each ping by RDMA into the server's file, has it made durable, and reads it
 * back. When the server takes its range back, the next ping waits until it is
 * granted again; the connection stays.
 */
#include "ping.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "../common/conn.h"

#define CONNECT_TRIES 100
#define CONNECT_PAUSE_US 100000
#define PATIENCE_MS 60000

struct client {
	const struct options *opt;
	struct md_context *ctx;
	struct md_peer *server;
	struct md_remote *remote;
	uint64_t token;
	bool up;	     /* the session has a connection */
	bool broken;	     /* the one for the data is not to be waited for */
	char down[192];	     /* why it had no connection, last */
	uint64_t generation; /* of the grant */
	struct conn conn;
	char *source; /* a ping as it is sent */
	char *sink;   /* and as it comes back */
	struct ibv_mr *source_mr;
	struct ibv_mr *sink_mr;
	bool persisted;	   /* the request has ended */
	int persist_error; /* so */
	int closed;	   /* the session is over: an errno */
	unsigned long reconnects;
	unsigned long recalls;
};

static int fail(const char *what)
{
	const int err = errno;

	fprintf(stderr, "md_ping: %s: %s\n", what, md_errmsg());
	errno = err;
	return -1;
}

/* ---- events -------------------------------------------------------------- */

static void handle_event(struct client *cl, const struct md_event *ev)
{
	debug(cl->opt, "client: %s: %s", md_event_str(ev->type), ev->message);
	switch (ev->type) {
	case MD_EVENT_PEER_UP:
		cl->up = true;
		break;
	case MD_EVENT_REMOTE_FENCED:
		cl->broken = true;
		break;
	case MD_EVENT_PEER_DOWN:
		cl->up = false;
		cl->broken = true;
		snprintf(cl->down, sizeof(cl->down), "%s", ev->message);
		break;
	case MD_EVENT_GRANTED:
		cl->remote = ev->remote;
		cl->generation = ev->generation;
		break;
	case MD_EVENT_RECALLED:
		cl->recalls++;
		break;
	case MD_EVENT_PERSISTED:
		cl->persisted = true;
		cl->persist_error = ev->error;
		break;
	case MD_EVENT_REMOTE_LOST:
	case MD_EVENT_PEER_CLOSED:
		cl->closed = ev->error ?: ECONNRESET;
		break;
	default:
		break;
	}
}

/* Waits for one event, and takes all that are there. */
static int handle_events(struct client *cl, int timeout_ms)
{
	struct md_event *ev;

	while (!md_get_event(cl->ctx, &ev, timeout_ms)) {
		handle_event(cl, ev);
		md_ack_event(ev);
		timeout_ms = 0;
	}
	errno = cl->closed;
	return errno ? -1 : 0;
}

static bool is_up(const struct client *cl)
{
	return cl->up;
}

static bool is_granted(const struct client *cl)
{
	return cl->remote;
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* The library tries for ever; a server that is not started soon never will be. */
static int wait_until(struct client *cl, bool (*is)(const struct client *))
{
	const time_t end = now_s() + PATIENCE_MS / 1000;

	while (!is(cl) && now_s() < end)
		if (handle_events(cl, 1000))
			return -1;
	if (is(cl))
		return 0;
	fprintf(stderr, "md_ping: gave up after %d s: %s\n", PATIENCE_MS / 1000,
		cl->up ? "nothing was granted" : cl->down);
	errno = ETIMEDOUT;
	return -1;
}

/* ---- the connection that the data takes ---------------------------------- */

static void disconnect(struct client *cl)
{
	if (cl->source_mr)
		ibv_dereg_mr(cl->source_mr);
	if (cl->sink_mr)
		ibv_dereg_mr(cl->sink_mr);
	cl->source_mr = NULL;
	cl->sink_mr = NULL;
	conn_close(&cl->conn);
}

/*
 * A queue pair that only receives does not notice that its sender is gone. The session
 * does: the data's connection is not trusted any longer than the session's.
 */
static int still_connected(struct client *cl)
{
	if (handle_events(cl, 0))
		return -1;
	errno = cl->broken ? ENOTCONN : 0;
	return errno ? -1 : 0;
}

static int hear_server(struct client *cl, struct ping_msg *msg)
{
	struct pollfd pfd[1 + CONN_FDS] = { { .fd = md_fd(cl->ctx), .events = POLLIN } };
	int n;

	while (!(n = conn_recv(&cl->conn, msg, sizeof(*msg)))) {
		if (still_connected(cl))
			return -1;
		conn_poll_fds(&cl->conn, pfd + 1);
		poll(pfd, 1 + CONN_FDS, -1);
	}
	return n < 0 ? -1 : 0;
}

static int introduce(struct client *cl)
{
	const struct ping_msg msg = { .what = htobe32(PING_TOKEN), .token = htobe64(cl->token) };
	struct ibv_pd *pd = cl->conn.id->pd;
	struct ping_msg answer;

	cl->source_mr = ibv_reg_mr(pd, cl->source, cl->opt->size, 0);
	cl->sink_mr = ibv_reg_mr(pd, cl->sink, cl->opt->size, IBV_ACCESS_LOCAL_WRITE);
	if (!cl->source_mr || !cl->sink_mr || conn_send(&cl->conn, &msg, sizeof(msg)))
		return -1;
	/* what we write is known to be ours from now on */
	return hear_server(cl, &answer);
}

/* The server knows our token only as long as there is a session. */
static int connect_data(struct client *cl)
{
	for (int i = 0; !wait_until(cl, is_up); i++) {
		int err;

		cl->broken = false;
		if (!conn_connect(&cl->conn, cl->opt->addr, cl->opt->data_port) && !introduce(cl))
			return 0;
		err = errno;
		disconnect(cl);
		errno = err;
		if (i == CONNECT_TRIES)
			return -1;
		usleep(CONNECT_PAUSE_US);
	}
	return -1;
}

static int reconnect(struct client *cl)
{
	disconnect(cl);
	cl->reconnects++;
	return connect_data(cl);
}

/* ---- pings ---------------------------------------------------------------- */

static int transfer(struct client *cl, enum ibv_wr_opcode opcode, const struct ibv_mr *mr)
{
	const struct ibv_sge sge = {
		.addr = (uintptr_t)mr->addr,
		.length = cl->opt->size,
		.lkey = mr->lkey,
	};

	if (conn_post_rdma(&cl->conn, opcode, &sge, cl->remote->addr, cl->remote->rkey))
		return -1;
	return conn_reap(&cl->conn, 1);
}

static int persist(struct client *cl, unsigned long n)
{
	cl->persisted = false;
	if (md_persist_remote(cl->remote, 0, cl->opt->size, n))
		return fail("md_persist_remote");
	while (!cl->persisted)
		if (handle_events(cl, -1))
			return -1;
	/* ESTALE: we were fenced, and the connection is to be made again */
	errno = cl->persist_error == ESTALE ? ENOTCONN : cl->persist_error;
	return errno ? -1 : 0;
}

/* The server looks at it, if it is to, and answers. */
static int ask_server(struct client *cl, unsigned long n)
{
	const struct ping_msg msg = {
		.what = htobe32(PING_CHECK),
		.size = htobe32(cl->opt->size),
		.number = htobe64(n),
		.generation = htobe64(cl->generation),
	};
	struct ping_msg answer;

	if (conn_send(&cl->conn, &msg, sizeof(msg)) || hear_server(cl, &answer))
		return -1;
	if (be32toh(answer.what) == PING_GOOD)
		return 0;
	fprintf(stderr, "md_ping: ping %lu is not in the server's file\n", n);
	errno = EBADMSG;
	return -1;
}

static int use_grant(struct client *cl, unsigned long n)
{
	if (cl->opt->size > cl->remote->length) {
		fprintf(stderr, "md_ping: the server's range has %llu bytes: it needs -S %zu\n",
			(unsigned long long)cl->remote->length, cl->opt->size);
		errno = EMSGSIZE;
		return -1;
	}
	if (transfer(cl, IBV_WR_RDMA_WRITE, cl->source_mr) || persist(cl, n) ||
	    transfer(cl, IBV_WR_RDMA_READ, cl->sink_mr))
		return -1;
	return ask_server(cl, n);
}

static int check_sink(struct client *cl, unsigned long n)
{
	const size_t size = cl->opt->size;
	const size_t at = cl->opt->validate ? ping_check(cl->sink, size, n) : size;

	if (at < size) {
		fprintf(stderr, "md_ping: ping %lu: byte %zu came back as 0x%02x\n", n, at,
			(unsigned char)cl->sink[at]);
		errno = EBADMSG;
		return -1;
	}
	if (cl->opt->print)
		printf("ping data: %.*s\n", (int)size, cl->sink);
	return 0;
}

/* Begins a use of the range, as soon as it is granted. */
static int get_range(struct client *cl)
{
	while (md_remote_get(cl->remote)) {
		if (errno != EAGAIN || md_remote_wait(cl->remote, PATIENCE_MS))
			return fail("the range is not granted");
	}
	if (!still_connected(cl))
		return 0;
	md_remote_put(cl->remote);
	return -1;
}

/* 0, or -1: EBADMSG for wrong bytes, ENOTCONN when the connection broke. */
static int ping(struct client *cl, unsigned long n)
{
	int ret;

	ping_fill(cl->source, cl->opt->size, n);
	memset(cl->sink, 0xff, cl->opt->size);
	if (get_range(cl))
		return -1;
	ret = use_grant(cl, n) ?: check_sink(cl, n);
	md_remote_put(cl->remote);
	return ret;
}

static int ping_all(struct client *cl)
{
	for (unsigned long n = 0; !cl->opt->count || n < cl->opt->count;) {
		if (!ping(cl, n)) {
			n++;
			continue;
		}
		if (errno != ENOTCONN)
			return -1;
		debug(cl->opt, "client: connection lost in ping %lu", n);
		if (reconnect(cl))
			return -1;
	}
	return 0;
}

static int start(struct client *cl)
{
	const struct md_connect_attr attr = {
		.size = sizeof(attr),
		.private_data = &cl->token,
		.private_len = sizeof(cl->token),
	};

	cl->token = ping_token();
	cl->ctx = md_open(NULL);
	if (!cl->ctx)
		return fail("md_open");
	cl->server = md_connect(cl->ctx, cl->opt->addr, cl->opt->port, &attr);
	if (!cl->server)
		return fail("md_connect");
	return connect_data(cl) || wait_until(cl, is_granted) ? -1 : 0;
}

static void stop(struct client *cl)
{
	disconnect(cl);
	if (md_peer_close(cl->server) || md_close(cl->ctx))
		fail("close");
}

int run_client(const struct options *opt)
{
	struct client cl = {
		.opt = opt,
		.source = malloc(opt->size),
		.sink = malloc(opt->size),
	};
	int ret = 1;

	if (!cl.source || !cl.sink)
		perror("md_ping: malloc");
	else if (start(&cl))
		perror("md_ping: connect");
	else if (ping_all(&cl))
		perror("md_ping: ping");
	else
		ret = 0;
	handle_events(&cl, 0);
	if (!ret)
		printf("%lu pings, %lu recalls, %lu reconnections\n", opt->count, cl.recalls,
		       cl.reconnects);
	stop(&cl);
	free(cl.source);
	free(cl.sink);
	return ret;
}
