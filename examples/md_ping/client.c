/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "ping.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rdma/rdma_verbs.h>

#include "../common/conn.h"

/* The server may need a while to restore its range after a break. */
#define RECONNECT_TRIES 100
#define RECONNECT_PAUSE_US 100000

struct client {
	const struct options *opt;
	struct conn conn;
	char *source; /* the server reads it */
	char *sink;   /* the server writes it */
	struct ibv_mr *source_mr;
	struct ibv_mr *sink_mr;
	unsigned long reconnects;
};

static void disconnect(struct client *cl)
{
	if (cl->source_mr)
		rdma_dereg_mr(cl->source_mr);
	if (cl->sink_mr)
		rdma_dereg_mr(cl->sink_mr);
	cl->source_mr = NULL;
	cl->sink_mr = NULL;
	conn_close(&cl->conn);
}

static int connect_server(struct client *cl)
{
	struct ibv_pd *pd;
	int err;

	if (conn_connect(&cl->conn, cl->opt->addr, cl->opt->port))
		return -1;
	pd = cl->conn.id->pd;
	cl->source_mr = ibv_reg_mr(pd, cl->source, cl->opt->size, IBV_ACCESS_REMOTE_READ);
	cl->sink_mr = ibv_reg_mr(pd, cl->sink, cl->opt->size,
				 IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	if (cl->source_mr && cl->sink_mr)
		return 0;
	err = errno;
	disconnect(cl);
	errno = err;
	return -1;
}

static int reconnect(struct client *cl)
{
	disconnect(cl);
	for (int i = 0; i < RECONNECT_TRIES; i++) {
		if (!connect_server(cl)) {
			cl->reconnects++;
			return 0;
		}
		usleep(RECONNECT_PAUSE_US);
	}
	return -1;
}

/* Offer a buffer and wait until the server is done with it. */
static int offer(struct client *cl, const struct ibv_mr *mr)
{
	const struct advert advert = {
		.addr = htobe64((uintptr_t)mr->addr),
		.rkey = htobe32(mr->rkey),
		.size = htobe32(cl->opt->size),
	};
	struct advert answer;

	if (conn_send(&cl->conn, &advert, sizeof(advert)))
		return -1;
	return conn_wait(&cl->conn, &answer, sizeof(answer));
}

/* 0, or -1: EBADMSG for wrong bytes, ENOTCONN when the connection broke. */
static int ping(struct client *cl, unsigned long n)
{
	const size_t size = cl->opt->size;
	size_t at;

	ping_fill(cl->source, size, n);
	memset(cl->sink, 0xff, size);
	if (offer(cl, cl->source_mr) || offer(cl, cl->sink_mr))
		return -1;
	at = cl->opt->validate ? ping_check(cl->sink, size, n) : size;
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
	else if (connect_server(&cl))
		perror("md_ping: connect");
	else if (ping_all(&cl))
		perror("md_ping: ping");
	else
		ret = 0;
	if (!ret)
		printf("%lu pings, %lu reconnections\n", opt->count, cl.reconnects);
	disconnect(&cl);
	free(cl.source);
	free(cl.sink);
	return ret;
}
