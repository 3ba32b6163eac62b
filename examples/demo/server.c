/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * demo_server [-r] ADDRESS FILE TABLE: lets one client at a time write records
 * into a leased file. A grant is one use of the map, from the key's way to the
 * client until the client said that it has stopped.
 *
 * With -r the lease is taken again as soon as that is possible. Without, only
 * when "r" is read from stdin, so that others can have the freed blocks first.
 * "q" ends.
 */
#include "demo.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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
	struct rdma_cm_id *listener;
	struct conn conn;
	struct md_event *open_break; /* until the client has stopped */
	uint64_t asked;		     /* when the restore was */
	unsigned int breaks;
	bool connected;
	bool granted; /* a use is open */
	bool on_demand;
	bool bye;
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
	s->listener = conn_listen(addr, DEMO_PORT);
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
	if (!s->mr)
		errx(1, "%s", md_errmsg());
	printf("server: %s is leased, generation %llu\n", file,
	       (unsigned long long)md_map_generation(s->map));
}

/* The client has stopped, or is gone: what the break waited for. */
static void end_grant(struct server *s)
{
	if (s->granted)
		md_map_put(s->map);
	s->granted = false;
	md_ack_event(s->open_break);
	s->open_break = NULL;
}

static void drop_client(struct server *s)
{
	if (!s->connected)
		return;
	end_grant(s);
	md_detach_qp(s->map, s->conn.id->qp);
	conn_close(&s->conn);
	s->connected = false;
}

static void stop(struct server *s)
{
	drop_client(s);
	if (md_dereg_mr(s->mr) || md_unmap(s->map) || md_close(s->ctx))
		errx(1, "%s", md_errmsg());
	rdma_destroy_ep(s->listener);
}

static void tell(struct server *s, const struct message *msg)
{
	if (s->connected && conn_send(&s->conn, msg, sizeof(*msg)))
		drop_client(s);
}

/* If there is no lease now, MD_EVENT_RESTORED leads here again. */
static void grant(struct server *s)
{
	struct message msg = { .type = MSG_GRANT };

	if (!s->connected || s->granted || md_map_get(s->map))
		return;
	s->granted = true;
	msg.rkey = s->mr->rkey;
	msg.addr = (uintptr_t)s->mr->addr;
	msg.count = s->mr->length / RECORD_SIZE;
	msg.generation = md_map_generation(s->map);
	tell(s, &msg);
}

static void accept_client(struct server *s)
{
	if (conn_accept(&s->conn, s->listener)) {
		warn("accept");
		return;
	}
	if (md_attach_qp(s->map, s->conn.id->qp, NULL))
		errx(1, "%s", md_errmsg());
	s->connected = true;
	grant(s);
}

static void restore(struct server *s)
{
	s->asked = now_ns();
	if (md_restore(s->map))
		errx(1, "%s", md_errmsg());
}

static void handle_break(struct server *s, struct md_event *ev)
{
	const struct message msg = { .type = MSG_STOP };

	timeline_broken(ev, ++s->breaks);
	s->open_break = ev;
	if (s->granted)
		tell(s, &msg);
	if (!s->granted)
		end_grant(s);
}

static void handle_event(struct server *s, struct md_event *ev)
{
	switch (ev->type) {
	case MD_EVENT_BREAK:
		handle_break(s, ev);
		return;
	case MD_EVENT_QP_FENCED:
		printf("server: %s\n", ev->message);
		md_ack_event(ev);
		drop_client(s);
		return;
	case MD_EVENT_RELEASED:
		timeline_released(ev, s->table);
		s->asked = ev->timeline.released;
		break;
	case MD_EVENT_RESTORED:
		timeline_restored(ev, s->asked);
		grant(s);
		break;
	case MD_EVENT_LOST:
		errx(1, "lost: %s", ev->message);
	default:
		printf("server: %s\n", ev->message);
		break;
	}
	md_ack_event(ev);
}

static void handle_message(struct server *s, const struct message *msg)
{
	const struct message persisted = { .type = MSG_PERSISTED };

	switch (msg->type) {
	case MSG_PERSIST:
		/* inside the grant's use; a client that lost it gets no answer */
		if (!md_persist(s->map, msg->first * RECORD_SIZE, msg->count * RECORD_SIZE))
			tell(s, &persisted);
		break;
	case MSG_STOPPED:
		end_grant(s);
		/* what asked it to stop may be over already */
		grant(s);
		break;
	default:
		drop_client(s);
	}
}

static void handle_client(struct server *s)
{
	struct message msg;
	int n = 1;

	while (s->connected && n > 0) {
		n = conn_recv(&s->conn, &msg, sizeof(msg));
		if (n > 0)
			handle_message(s, &msg);
		else if (n < 0)
			drop_client(s);
	}
}

static void handle_command(struct server *s)
{
	const struct message bye = { .type = MSG_BYE };
	char c;

	if (read(STDIN_FILENO, &c, 1) != 1 || c == 'q') {
		s->bye = true;
		tell(s, &bye);
	} else if (c == 'r') {
		restore(s);
	}
}

/* Only right after handle_client(): that leaves the connection's fds armed. */
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
		accept_client(s);
}

static void run(struct server *s)
{
	struct md_event *ev;

	for (;;) {
		while (!md_get_event(s->ctx, &ev, 0))
			handle_event(s, ev);
		handle_client(s);
		if (s->bye && !s->connected)
			return;
		wait_for_news(s);
	}
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
