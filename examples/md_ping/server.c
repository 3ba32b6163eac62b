/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The server's buffer is a leased range of a file. Only the server's own RDMA
 * requests touch it, each inside a use of the map. When the lease is broken the
 * server ends the connection; the client comes back and repeats its ping.
 */
#include "ping.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "../common/conn.h"

#define RETRY_MS 10
#define LEASE_TRIES 1000 /* somebody may be at work on the file */

/* A client that was hung up on comes back at once, or it was through. */
#define RETURN_MS 15000

struct server {
	const struct options *opt;
	int fd;
	char *check; /* what read(2) says is in the file */
	struct md_context *ctx;
	struct md_map *map;
	struct md_mr *mr;
	struct rdma_cm_id *listener;
	struct conn conn;
	bool connected;
	int64_t return_by; /* ms on now(): until then the client may come back; or 0 */
	struct advert advert;
	bool asked; /* advert waits for an answer */
	bool sink;  /* it offers the buffer to write to */
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

static int accept_client(struct server *s)
{
	if (conn_accept(&s->conn, s->listener)) {
		perror("md_ping: accept");
		return 0;
	}
	if (md_attach_qp(s->map, s->conn.id->qp, NULL))
		return fail("md_attach_qp");
	s->connected = true;
	s->return_by = 0;
	s->sink = false;
	debug(s->opt, "server: client connected");
	return 0;
}

static void drop_client(struct server *s)
{
	if (!s->connected)
		return;
	s->asked = false;
	md_detach_qp(s->map, s->conn.id->qp);
	conn_close(&s->conn);
	s->connected = false;
	s->return_by = now() + RETURN_MS;
}

static void stop(struct server *s)
{
	drop_client(s);
	md_dereg_mr(s->mr);
	if (md_unmap(s->map))
		fail("md_unmap");
	else
		md_close(s->ctx);
	if (s->listener)
		rdma_destroy_ep(s->listener);
	free(s->check);
	if (s->fd >= 0)
		close(s->fd);
}

/*
 * No sync(2) comes before this: what RDMA wrote is in the file. A breaker holds
 * the inode's lock while it waits for us, so waiting for that lock here would
 * use up the drain budget: EAGAIN instead.
 */
static int check_file(struct server *s, size_t size)
{
	struct iovec iov = { .iov_base = s->check, .iov_len = size };
	const ssize_t n = preadv2(s->fd, &iov, 1, s->opt->offset, RWF_NOWAIT);
	unsigned long ping;

	if (n < 0)
		return -1;
	if (n == (ssize_t)size && !ping_number(s->check, size, &ping) &&
	    ping_check(s->check, size, ping) == size)
		return 0;
	errno = EBADMSG;
	return -1;
}

/* Inside a use: the key is good and the lease stays until the completion. */
static int transfer(struct server *s, size_t size)
{
	const struct ibv_sge sge = {
		.addr = (uintptr_t)s->mr->addr,
		.length = size,
		.lkey = s->mr->lkey,
	};

	if (conn_post_rdma(&s->conn, s->sink ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ, &sge,
			   be64toh(s->advert.addr), be32toh(s->advert.rkey)) ||
	    conn_reap(&s->conn, 1))
		return -1;
	if (s->sink)
		return 0;
	if (s->opt->print)
		printf("server ping data: %.*s\n", (int)size, (char *)s->mr->addr);
	return md_persist(s->map, 0, size) ? fail("md_persist") : 0;
}

static bool still_leased(const struct server *s, uint64_t generation)
{
	return md_map_state(s->map) == MD_MAP_LIVE && md_map_generation(s->map) == generation;
}

/* Answers the advert if that is possible now; it is tried again otherwise. */
static int serve(struct server *s)
{
	const size_t size = be32toh(s->advert.size);
	uint64_t generation;
	int ret;

	if (size > s->opt->length) {
		fprintf(stderr, "md_ping: the client's pings have %zu bytes: -S %zu is needed\n",
			size, size);
		errno = EMSGSIZE;
		return -1;
	}
	if (md_map_get(s->map))
		return errno == EAGAIN ? 0 : fail("md_map_get");
	generation = md_map_generation(s->map);
	ret = transfer(s, size);
	md_map_put(s->map);
	if (ret)
		return -1;
	if (s->opt->validate && !s->sink && check_file(s, size))
		return errno != EAGAIN && still_leased(s, generation) ? -1 : 0;
	s->asked = false;
	s->sink = !s->sink;
	return conn_send(&s->conn, &s->advert, sizeof(s->advert));
}

static int handle_event(struct server *s, struct md_event *ev)
{
	debug(s->opt, "server: %s: %s", md_event_str(ev->type), ev->message);
	switch (ev->type) {
	case MD_EVENT_BREAK:
		if (s->connected)
			md_fence_qp(s->map, s->conn.id->qp);
		md_ack_event(ev);
		return 0;
	case MD_EVENT_QP_FENCED:
		md_ack_event(ev);
		drop_client(s);
		return 0;
	case MD_EVENT_LOST:
		fprintf(stderr, "md_ping: %s\n", ev->message);
		errno = ev->error;
		md_ack_event(ev);
		return -1;
	default:
		md_ack_event(ev);
		return 0;
	}
}

static int handle_events(struct server *s)
{
	struct md_event *ev;

	while (!md_get_event(s->ctx, &ev, 0))
		if (handle_event(s, ev))
			return -1;
	return 0;
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
	s->mr = md_reg_mr(s->listener->pd, s->map, 0, opt->length, IBV_ACCESS_LOCAL_WRITE);
	return s->mr ? 0 : -1;
}

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

	if (open_file(s))
		return -1;
	s->listener = conn_listen(opt->addr, opt->port);
	if (!s->listener) {
		perror("md_ping: listen");
		return -1;
	}
	s->ctx = md_open(NULL);
	return s->ctx ? lease(s) : fail("md_open");
}

/* Everything that the client wants and that can be done now. */
static int handle_client(struct server *s)
{
	int n = 1;

	while (n > 0) {
		if (s->asked && serve(s))
			return -1;
		if (s->asked)
			return 0;
		n = conn_recv(&s->conn, &s->advert, sizeof(s->advert));
		s->asked = n > 0;
	}
	return n;
}

static int timeout_ms(const struct server *s)
{
	const int64_t left = s->return_by - now();

	if (s->asked)
		return RETRY_MS;
	if (!s->return_by)
		return -1;
	return left > 0 ? left : 0;
}

/* The map first, as its events decide about the client. */
static int run_once(struct server *s)
{
	struct pollfd pfd[1 + CONN_FDS] = { { .fd = md_fd(s->ctx), .events = POLLIN } };
	int fds = 1;

	if (handle_events(s))
		return -1;
	if (s->connected && handle_client(s)) {
		/* EAGAIN: the lease went from under a use, and a fence came before */
		if (errno != ENOTCONN && errno != EAGAIN)
			return -1;
		/* Was it a break, or is the client through? */
		if (handle_events(s))
			return -1;
		s->done = s->connected;
		return 0;
	}
	if (s->connected) {
		conn_poll_fds(&s->conn, pfd + 1);
		fds += CONN_FDS;
	} else {
		pfd[fds++] = (struct pollfd){ .fd = s->listener->channel->fd, .events = POLLIN };
	}
	if (poll(pfd, fds, timeout_ms(s)) < 0 && errno != EINTR)
		return -1;
	if (!s->connected && pfd[1].revents)
		return accept_client(s);
	s->done = s->return_by && now() >= s->return_by;
	return 0;
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
