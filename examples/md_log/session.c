/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define BEGIN_MS 20000 /* a restore may be under way, or the server be started again */

int session_lose(struct session *s, const char *why)
{
	if (s->over)
		return -1;
	s->over = true;
	snprintf(s->why, sizeof(s->why), "%s", why);
	debug(s->opt, "client: over: %s", s->why);
	return -1;
}

/* The connection that was lost before may be the reason. */
static int lose_silent(struct session *s)
{
	if (!s->down[0])
		return session_lose(s, "the server does not answer");
	return session_lose(s, s->down);
}

static void handle_event(struct session *s, struct md_event *ev)
{
	debug(s->opt, "client: %s: %s", md_event_str(ev->type), ev->message);
	switch (ev->type) {
	case MD_EVENT_PEER_UP:
		s->up = true;
		s->down[0] = '\0';
		break;
	case MD_EVENT_GRANTED:
		s->remote = ev->remote;
		break;
	case MD_EVENT_PEER_DOWN:
		/* It may come back by itself; this is for the end, if it does not. */
		snprintf(s->down, sizeof(s->down), "%s", ev->message);
		break;
	case MD_EVENT_PEER_CLOSED:
	case MD_EVENT_REMOTE_FENCED:
	case MD_EVENT_REMOTE_LOST:
		session_lose(s, ev->message);
		break;
	case MD_EVENT_PERSISTED:
		if (ev->error)
			session_lose(s, ev->message);
		else if (!s->over)
			s->persisted(s->arg, ev->wr_id);
		break;
	default:
		break;
	}
	md_ack_event(ev);
}

/* How many there were. */
static int handle_events(struct session *s)
{
	struct md_event *ev;
	int count = 0;

	for (; !md_get_event(s->ctx, &ev, 0); count++)
		handle_event(s, ev);
	return count;
}

static int hear_server(struct session *s)
{
	struct welcome welcome;
	int n;

	if (!s->connected)
		return 0;
	n = conn_recv(&s->conn, &welcome, sizeof(welcome));
	if (n < 0)
		return session_lose(s, "the connection to the server has ended");
	if (n) {
		s->welcome = true;
		s->epoch = welcome.epoch;
	}
	return n;
}

int session_turn(struct session *s, int timeout_ms)
{
	struct pollfd pfd[1 + CONN_FDS] = { { .fd = md_fd(s->ctx), .events = POLLIN } };
	int count = handle_events(s);

	count += hear_server(s);
	if (now_ms() >= s->give_up)
		lose_silent(s);
	if (s->over)
		return -1;
	if (count || !timeout_ms)
		return 0;
	if (s->connected)
		conn_poll_fds(&s->conn, pfd + 1);
	poll(pfd, s->connected ? 1 + CONN_FDS : 1, timeout_ms);
	return 0;
}

static int wait_until(struct session *s, bool (*until)(const struct session *s))
{
	const int64_t end = now_ms() + BEGIN_MS;

	while (!session_turn(s, 100) && !until(s))
		if (now_ms() >= end)
			return lose_silent(s);
	return s->over ? -1 : 0;
}

/* It knows the token from then on. */
static bool is_up(const struct session *s)
{
	return s->up;
}

static bool is_usable(const struct session *s)
{
	return s->welcome && s->remote;
}

static int connect_data(struct session *s, const struct hello *hello)
{
	if (conn_connect(&s->conn, s->opt->addr, s->opt->data_port))
		return session_lose(s, strerror(errno));
	s->connected = true;
	if (conn_send(&s->conn, hello, sizeof(*hello)))
		return session_lose(s, "the connection to the server has ended");
	return 0;
}

int session_begin(struct session *s)
{
	struct md_connect_attr attr = { .size = sizeof(attr) };
	struct hello hello;

	s->over = s->up = s->welcome = false;
	s->remote = NULL;
	s->down[0] = '\0';
	if (getrandom(&hello, sizeof(hello), 0) != sizeof(hello))
		return session_lose(s, strerror(errno));
	attr.private_data = &hello;
	attr.private_len = sizeof(hello);
	s->peer = md_connect(s->ctx, s->opt->addr, s->opt->port, &attr);
	if (!s->peer)
		return session_lose(s, md_errmsg());
	if (wait_until(s, is_up) || connect_data(s, &hello))
		return -1;
	return wait_until(s, is_usable);
}

int session_end(struct session *s)
{
	if (s->connected)
		conn_close(&s->conn);
	s->connected = false;
	/* Requests that nobody has answered yet: the server will, or a new one. */
	handle_events(s);
	if (s->peer && md_peer_close(s->peer))
		return -1;
	s->peer = NULL;
	s->remote = NULL;
	return 0;
}

static int post(struct session *s, const struct transfer *t, unsigned int i)
{
	const struct ibv_sge local = {
		.addr = (uintptr_t)t->mr->addr + (t->first + i) % t->ring * t->size,
		.length = t->size,
		.lkey = t->mr->lkey,
	};

	return conn_post_rdma(&s->conn, t->opcode, &local,
			      s->remote->addr + t->offset + i * t->size, s->remote->rkey);
}

int session_transfer(struct session *s, const struct transfer *t)
{
	unsigned int posted = 0;
	int err;

	if (md_remote_get(s->remote))
		return errno == EAGAIN ? 0 : session_lose(s, md_errmsg());
	while (posted < t->count && !post(s, t, posted))
		posted++;
	err = conn_reap(&s->conn, posted);
	md_remote_put(s->remote);
	if (err || posted < t->count)
		return session_lose(s, "the queue pair to the server has failed");
	return 1;
}
