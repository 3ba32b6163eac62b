/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * demo_server [-r] ADDRESS FILE TABLE: lets one client at a time write records
 * into a leased file. In a break the library tells the client, and waits for it.
 *
 * With -r the lease is taken again as soon as that is possible. Without, only
 * when "r" is read from stdin, so that others can have the freed blocks first.
 * "q" ends.
 */
#include "demo.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "../common/conn.h"
#include "timeline.h"

/* Guests without hardware virtualisation are slow, and the client is in one. */
#define DRAIN_BUDGET_MS 2000

struct server {
	struct md_context *ctx;
	struct md_map *map;
	struct md_mr *mr;
	struct md_listener *sessions;
	struct md_peer *client;
	struct token token; /* the client's */
	struct md_grant *grant;
	struct rdma_cm_id *listener; /* for its data */
	struct conn conn;
	uint64_t asked; /* when the restore was */
	unsigned int breaks;
	bool connected;
	bool attached;
	bool on_demand;
	bool bye;
	bool gone; /* the client */
	FILE *table;
};

static void start(struct server *s, const char *addr, const char *file)
{
	const struct md_context_attr ctx_attr = {
		.size = sizeof(ctx_attr),
		.drain_budget_ms = DRAIN_BUDGET_MS,
	};
	const struct md_map_attr map_attr = {
		.size = sizeof(map_attr),
		.flags = MD_MAP_ALLOCATE | (s->on_demand ? 0 : MD_MAP_RESTORE),
	};
	struct stat st;
	const int fd = open(file, O_RDWR | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", file);
	s->listener = conn_listen(addr, DEMO_DATA_PORT);
	if (!s->listener)
		err(1, "listen on %s", addr);
	s->ctx = md_open(&ctx_attr);
	if (!s->ctx)
		errx(1, "%s", md_errmsg());
	s->map = md_map(s->ctx, fd, 0, st.st_size, &map_attr);
	if (!s->map)
		errx(1, "%s", md_errmsg());
	close(fd);
	s->mr = md_reg_mr(s->listener->pd, s->map, 0, st.st_size,
			  IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	s->sessions = s->mr ? md_listen(s->ctx, addr, DEMO_PORT, NULL) : NULL;
	if (!s->sessions)
		errx(1, "%s", md_errmsg());
	printf("server: %s is leased, generation %llu\n", file,
	       (unsigned long long)md_map_generation(s->map));
}

/* ---- the client's data connection ----------------------------------------- */

static void drop_conn(struct server *s)
{
	if (s->attached)
		md_detach_qp(s->map, s->conn.id->qp);
	s->attached = false;
	if (s->connected)
		conn_close(&s->conn);
	s->connected = false;
}

static void accept_conn(struct server *s)
{
	if (conn_accept(&s->conn, s->listener))
		warn("accept");
	else
		s->connected = true;
}

/* Whose connection it is: only now can it be attached, and the file be granted. */
static void attach(struct server *s)
{
	if (md_attach_qp(s->map, s->conn.id->qp, s->client))
		errx(1, "%s", md_errmsg());
	s->attached = true;
	if (!s->grant)
		s->grant = md_grant(s->client, s->mr, "records");
	if (!s->grant)
		errx(1, "%s", md_errmsg());
	conn_send(&s->conn, &s->token, sizeof(s->token));
}

static void handle_conn(struct server *s)
{
	struct token token;
	int n = 1;

	while (s->connected && n > 0) {
		n = conn_recv(&s->conn, &token, sizeof(token));
		if (n > 0 && s->client && token.number == s->token.number)
			attach(s);
		else if (n)
			drop_conn(s);
	}
}

/* ---- events ---------------------------------------------------------------- */

/* One client at a time. */
static void take_client(struct server *s, struct md_event *ev)
{
	struct md_peer *peer = ev->peer;
	const bool good = !s->client && ev->private_len == sizeof(s->token);

	if (good)
		memcpy(&s->token, ev->private_data, sizeof(s->token));
	md_ack_event(ev);
	if (!good) {
		md_refuse(peer);
		return;
	}
	s->client = peer;
	if (md_accept(peer, NULL))
		errx(1, "%s", md_errmsg());
}

static void handle_event(struct server *s, struct md_event *ev)
{
	switch (ev->type) {
	case MD_EVENT_PEER_REQUEST:
		take_client(s, ev);
		return;
	case MD_EVENT_PEER_CLOSED:
		s->gone = true;
		break;
	case MD_EVENT_BREAK:
		timeline_broken(ev, ++s->breaks);
		break;
	case MD_EVENT_QP_FENCED:
		printf("server: %s\n", ev->message);
		md_ack_event(ev);
		drop_conn(s);
		return;
	case MD_EVENT_RELEASED:
		timeline_released(ev, s->table);
		s->asked = ev->timeline.released;
		break;
	case MD_EVENT_RESTORED:
		timeline_restored(ev, s->asked);
		break;
	case MD_EVENT_LOST:
		errx(1, "lost: %s", ev->message);
	default:
		printf("server: %s\n", ev->message);
		break;
	}
	md_ack_event(ev);
}

/* ---- commands --------------------------------------------------------------- */

static void restore(struct server *s)
{
	s->asked = now_ns();
	if (md_restore(s->map))
		errx(1, "%s", md_errmsg());
}

static void handle_command(struct server *s)
{
	char c;

	if (read(STDIN_FILENO, &c, 1) != 1 || c == 'q') {
		s->bye = true;
		md_recall(s->grant); /* for good: the client ends its session */
		s->grant = NULL;
	} else if (c == 'r') {
		restore(s);
	}
}

/* Only right after handle_conn(): that leaves the connection's fds armed. */
static void wait_for_news(struct server *s)
{
	struct pollfd pfd[3 + CONN_FDS] = {
		{ .fd = md_fd(s->ctx), .events = POLLIN },
		{ .fd = s->bye ? -1 : STDIN_FILENO, .events = POLLIN },
		{ .fd = s->connected ? -1 : s->listener->channel->fd, .events = POLLIN },
	};

	if (s->connected)
		conn_poll_fds(&s->conn, pfd + 3);
	if (poll(pfd, s->connected ? 3 + CONN_FDS : 3, -1) < 0)
		err(1, "poll");
	if (pfd[1].revents)
		handle_command(s);
	if (pfd[2].revents)
		accept_conn(s);
}

static void run(struct server *s)
{
	struct md_event *ev;

	for (;;) {
		while (!md_get_event(s->ctx, &ev, 0))
			handle_event(s, ev);
		handle_conn(s);
		if (s->bye && (s->gone || !s->client))
			return;
		wait_for_news(s);
	}
}

static void stop(struct server *s)
{
	drop_conn(s);
	if (md_peer_close(s->client) || md_listener_close(s->sessions) || md_dereg_mr(s->mr) ||
	    md_unmap(s->map) || md_close(s->ctx))
		errx(1, "%s", md_errmsg());
	rdma_destroy_ep(s->listener);
}

int main(int argc, char **argv)
{
	struct server s = { .on_demand = true };
	int c;

	while ((c = getopt(argc, argv, "r")) != -1) {
		if (c != 'r')
			return 2;
		s.on_demand = false;
	}
	if (argc - optind != 3)
		errx(2, "usage: demo_server [-r] ADDRESS FILE TABLE");
	setvbuf(stdout, NULL, _IOLBF, 0);
	s.table = fopen(argv[optind + 2], "w");
	if (!s.table)
		err(1, "%s", argv[optind + 2]);
	setvbuf(s.table, NULL, _IOLBF, 0);
	start(&s, argv[optind], argv[optind + 1]);
	run(&s);
	stop(&s);
	return 0;
}
