/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The server's buffer is a leased range of a file, granted to one client. What a
 * lease break needs is done by the library: the client is told, and waited for.
 */
#include "ping.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "../common/conn.h"

#define RETRY_MS 10
#define LEASE_TRIES 1000 /* somebody may be at work on the file */

/* A client whose session has lost its connection comes back within this, or is gone. */
#define RETURN_MS 15000

struct server {
	const struct options *opt;
	int fd;
	char *check; /* what read(2) says is in the file */
	struct md_context *ctx;
	struct md_map *map;
	struct md_mr *mr;
	struct md_listener *sessions;
	struct md_peer *client;
	uint64_t token; /* the client's */
	struct md_grant *grant;
	struct rdma_cm_id *listener; /* for its data */
	struct conn conn;
	bool connected;
	bool attached;	   /* the client has introduced its connection */
	int64_t return_by; /* ms on now(): until then the client may come back; or 0 */
	bool done;
};

static int fail(const char *what)
{
	const int err = errno;

	fprintf(stderr, "md_ping: %s: %s\n", what, md_errmsg());
	errno = err;
	return -1;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* ---- start ---------------------------------------------------------------- */

static int open_file(struct server *s)
{
	const struct options *opt = s->opt;
	const off_t end = opt->offset + opt->length;
	struct stat st;

	s->fd = open(opt->file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (s->fd < 0 || fstat(s->fd, &st) || (st.st_size < end && ftruncate(s->fd, end))) {
		perror(opt->file);
		return -1;
	}
	s->check = malloc(opt->length);
	return s->check ? 0 : -1;
}

/* EAGAIN while somebody changes the file, before the lease and after it. */
static int try_lease(struct server *s)
{
	const struct options *opt = s->opt;
	const struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ALLOCATE | MD_MAP_RESTORE,
	};

	if (!s->map)
		s->map = md_map(s->ctx, s->fd, opt->offset, opt->length, &attr);
	if (!s->map)
		return -1;
	s->mr = md_reg_mr(s->listener->pd, s->map, 0, opt->length,
			  IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
				  IBV_ACCESS_REMOTE_READ);
	return s->mr ? 0 : -1;
}

static int handle_events(struct server *s);

static int lease(struct server *s)
{
	for (int tries = 1; try_lease(s); tries++) {
		if (errno != EAGAIN || tries == LEASE_TRIES)
			return fail("lease");
		if (handle_events(s))
			return -1;
		usleep(RETRY_MS * 1000);
	}
	return 0;
}

static int start(struct server *s)
{
	const struct options *opt = s->opt;
	const struct md_context_attr attr = {
		.size = sizeof(attr),
		.drain_budget_ms = opt->budget_ms,
	};

	if (open_file(s))
		return -1;
	s->listener = conn_listen(opt->addr, opt->data_port);
	if (!s->listener) {
		perror("md_ping: listen");
		return -1;
	}
	s->ctx = md_open(&attr);
	if (!s->ctx || lease(s))
		return fail("start");
	s->sessions = md_listen(s->ctx, opt->addr, opt->port, NULL);
	return s->sessions ? 0 : fail("md_listen");
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

/* A client that has lost its connection may be back before we know of it. */
static int accept_conn(struct server *s)
{
	drop_conn(s);
	if (conn_accept(&s->conn, s->listener))
		perror("md_ping: accept");
	else
		s->connected = true;
	return 0;
}

/* Whose connection it is: only now can it be attached, and the range be granted. */
static int introduced(struct server *s, const struct ping_msg *msg)
{
	if (!s->client || be64toh(msg->token) != s->token) {
		drop_conn(s);
		return 0;
	}
	if (md_attach_qp(s->map, s->conn.id->qp, s->client))
		return fail("md_attach_qp");
	s->attached = true;
	if (!s->grant)
		s->grant = md_grant(s->client, s->mr, "ping");
	return s->grant ? conn_send(&s->conn, msg, sizeof(*msg)) : fail("md_grant");
}

/*
 * No sync(2) comes before this: what was made durable is in the file. In a use
 * nobody takes it out. A breaker holds the inode's lock while it waits for us, so
 * waiting for that lock here would use up the drain budget: not looked at then.
 */
static bool is_in_file(struct server *s, size_t size, unsigned long n)
{
	struct iovec iov = { .iov_base = s->check, .iov_len = size };
	const ssize_t got = preadv2(s->fd, &iov, 1, s->opt->offset, RWF_NOWAIT);

	if (got < 0)
		return errno == EAGAIN;
	return got == (ssize_t)size && ping_check(s->check, size, n) == size;
}

static bool look(struct server *s, size_t size, unsigned long n)
{
	if (s->opt->print)
		printf("server ping data: %.*s\n", (int)size, (char *)s->mr->addr);
	return !s->opt->validate || is_in_file(s, size, n);
}

/* A lease later the ping may have been taken out again. */
static int answer(struct server *s, const struct ping_msg *msg)
{
	const size_t size = be32toh(msg->size);
	struct ping_msg reply = { .what = htobe32(PING_GOOD) };

	if (size <= s->opt->length && !md_map_get(s->map)) {
		if (md_map_generation(s->map) == be64toh(msg->generation) &&
		    !look(s, size, be64toh(msg->number)))
			reply.what = htobe32(PING_BAD);
		md_map_put(s->map);
	}
	return conn_send(&s->conn, &reply, sizeof(reply));
}

static int handle_message(struct server *s, const struct ping_msg *msg)
{
	switch (be32toh(msg->what)) {
	case PING_TOKEN:
		return introduced(s, msg);
	case PING_CHECK:
		return answer(s, msg);
	default:
		errno = EPROTO;
		return -1;
	}
}

static int handle_conn(struct server *s)
{
	struct ping_msg msg;
	int n = 1;

	while (s->connected && n > 0) {
		n = conn_recv(&s->conn, &msg, sizeof(msg));
		if (n > 0 && handle_message(s, &msg))
			n = -1;
	}
	if (n >= 0 || !s->connected)
		return 0;
	if (errno != ENOTCONN)
		return -1;
	drop_conn(s);
	return 0;
}

/* ---- events ---------------------------------------------------------------- */

/* One client at a time. */
static void take_client(struct server *s, struct md_event *ev)
{
	struct md_peer *peer = ev->peer;
	bool good = !s->client && ev->private_len == sizeof(s->token);

	if (good)
		memcpy(&s->token, ev->private_data, sizeof(s->token));
	md_ack_event(ev);
	if (!good) {
		md_refuse(peer);
		return;
	}
	s->client = peer;
	md_accept(peer, NULL);
	debug(s->opt, "server: client accepted");
}

static int handle_event(struct server *s, struct md_event *ev)
{
	debug(s->opt, "server: %s: %s", md_event_str(ev->type), ev->message);
	switch (ev->type) {
	case MD_EVENT_PEER_REQUEST:
		take_client(s, ev);
		return 0;
	case MD_EVENT_PEER_UP:
		s->return_by = 0;
		break;
	case MD_EVENT_PEER_DOWN:
		s->return_by = now() + RETURN_MS;
		break;
	case MD_EVENT_PEER_CLOSED:
		s->done = true;
		break;
	case MD_EVENT_QP_FENCED:
		md_ack_event(ev);
		drop_conn(s);
		return 0;
	case MD_EVENT_LOST:
		fprintf(stderr, "md_ping: %s\n", ev->message);
		errno = ev->error;
		md_ack_event(ev);
		return -1;
	default: /* MD_EVENT_BREAK, too: no work of our own is under way */
		break;
	}
	md_ack_event(ev);
	return 0;
}

static int handle_events(struct server *s)
{
	struct md_event *ev;

	while (!md_get_event(s->ctx, &ev, 0))
		if (handle_event(s, ev))
			return -1;
	return 0;
}

/* ---- run ------------------------------------------------------------------- */

static int timeout_ms(const struct server *s)
{
	const int64_t left = s->return_by - now();

	if (!s->return_by)
		return -1;
	return left > 0 ? left : 0;
}

static int run_once(struct server *s)
{
	struct pollfd pfd[2 + CONN_FDS] = {
		{ .fd = md_fd(s->ctx), .events = POLLIN },
		{ .fd = s->listener->channel->fd, .events = POLLIN },
	};
	int fds = 2;

	if (handle_events(s) || handle_conn(s))
		return -1;
	if (s->done)
		return 0;
	if (s->connected) {
		conn_poll_fds(&s->conn, pfd + fds);
		fds += CONN_FDS;
	}
	if (poll(pfd, fds, timeout_ms(s)) < 0 && errno != EINTR)
		return -1;
	if (pfd[1].revents)
		return accept_conn(s);
	s->done = s->return_by && now() >= s->return_by;
	return 0;
}

static void stop(struct server *s)
{
	drop_conn(s);
	md_recall(s->grant);
	md_peer_close(s->client);
	md_listener_close(s->sessions);
	md_dereg_mr(s->mr);
	if (md_unmap(s->map) || md_close(s->ctx))
		fail("stop");
	if (s->listener)
		rdma_destroy_ep(s->listener);
	free(s->check);
	if (s->fd >= 0)
		close(s->fd);
}

int run_server(const struct options *opt)
{
	struct server s = { .opt = opt, .fd = -1 };
	int ret = start(&s);

	while (!ret && !s.done)
		ret = run_once(&s);
	if (ret)
		perror("md_ping: server");
	stop(&s);
	return ret ? 1 : 0;
}
