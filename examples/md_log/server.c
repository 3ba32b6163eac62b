/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The server holds the file and never touches a record: it lets one writer at a
 * time have it, with a queue pair and a grant. When either is lost it ends all that
 * this writer has, and only then lets the next one in, or the same one again.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "../common/conn.h"
#include "format.h"

#define RETRY_MS 10
#define LEASE_TRIES 3000 /* somebody may be at work on the file, or a server just killed */
#define LOOK_MS 200
#define PATIENCE_MS 10000 /* for a writer to connect, or to say who it is */

struct writer {
	struct md_peer *peer; /* NULL: there is none */
	uint64_t token;
	int64_t down_since; /* its session has no connection; or 0 */
	int64_t connect_by;
	struct conn conn;
	bool connected; /* that is its connection */
	bool attached;
	struct md_grant *grant; /* NULL until the file is leased */
};

struct server {
	const struct options *opt;
	int fd;
	struct log_super super; /* but for the epoch, which is in the file */
	struct md_context *ctx;
	struct md_map *map;
	struct md_mr *mr;
	struct md_listener *sessions;
	struct rdma_cm_id *listener;
	struct writer writer;
	struct conn unknown; /* has not yet said whose it is */
	bool has_unknown;
	int64_t unknown_until;
};

static volatile sig_atomic_t stopped;

static void stop_soon(int sig)
{
	(void)sig;
	stopped = 1;
}

static int fail(const char *what)
{
	const int err = errno;

	fprintf(stderr, "md_log: %s: %s\n", what, md_errmsg());
	errno = err;
	return -1;
}

/* ---- the file ------------------------------------------------------------ */

static int fill_new(int fd, const struct options *opt)
{
	struct log_super super;
	uint64_t id;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return -1;
	if (log_super_make(&super, id, opt->record_size, opt->size)) {
		errno = ENOSPC;
		return -1;
	}
	if (ftruncate(fd, opt->size) ||
	    pwrite(fd, &super, sizeof(super), 0) != (ssize_t)sizeof(super))
		return -1;
	return fsync(fd);
}

/* Under its name it is there with its superblock, or not at all. */
static int make_file(const struct options *opt)
{
	char path[4096];
	int fd, ret, err;

	if (snprintf(path, sizeof(path), "%s.new", opt->file) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	ret = fill_new(fd, opt) || rename(path, opt->file);
	err = errno;
	close(fd);
	if (ret)
		unlink(path);
	errno = err;
	return ret ? -1 : 0;
}

/* A name that is lost in a crash takes all records with it. */
static int sync_name(const char *file)
{
	char path[4096];
	int fd, ret;

	snprintf(path, sizeof(path), "%s", file);
	fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = fsync(fd);
	close(fd);
	return ret;
}

static int open_file(struct server *s)
{
	const char *file = s->opt->file, *wrong;
	struct stat st;

	if ((access(file, F_OK) && make_file(s->opt)) || sync_name(file)) {
		perror(file);
		return -1;
	}
	s->fd = open(file, O_RDWR | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) || pread(s->fd, &s->super, sizeof(s->super), 0) < 0) {
		perror(file);
		return -1;
	}
	wrong = log_super_wrong(&s->super, st.st_size);
	if (!wrong)
		return 0;
	fprintf(stderr, "md_log: %s: %s\n", file, wrong);
	return -1;
}

/*
 * In a use of the map. The new epoch is durable before anybody writes with it, and
 * 8 aligned bytes are old or new after any crash.
 */
static int next_epoch(struct server *s, uint64_t *epoch)
{
	struct log_super *super = md_map_addr(s->map);

	*epoch = super->epoch + 1;
	__atomic_store_n(&super->epoch, *epoch, __ATOMIC_RELEASE);
	return md_persist(s->map, offsetof(struct log_super, epoch), sizeof(super->epoch));
}

/* ---- the writer ----------------------------------------------------------- */

/* After this it reaches the file no more, and the grant's last requests have ended. */
static void drop_writer(struct server *s, const char *why)
{
	struct writer *w = &s->writer;

	if (!w->peer)
		return;
	debug(s->opt, "server: the writer is dropped: %s", why);
	if (w->attached && md_detach_qp(s->map, w->conn.id->qp))
		fail("md_detach_qp");
	if (w->connected)
		conn_close(&w->conn);
	if (w->grant && md_recall(w->grant))
		fail("md_recall");
	if (md_peer_close(w->peer))
		fail("md_peer_close");
	*w = (struct writer){ 0 };
}

/*
 * Once it has connected, and there is a lease: a new epoch, the grant, and it is
 * told. MD_EVENT_RESTORED leads here again.
 */
static int admit_writer(struct server *s)
{
	struct writer *w = &s->writer;
	struct welcome welcome;
	int err;

	if (!w->connected || w->grant)
		return 0;
	if (md_map_get(s->map))
		return errno == EAGAIN ? 0 : fail("md_map_get");
	err = next_epoch(s, &welcome.epoch);
	md_map_put(s->map);
	if (err)
		return errno == EAGAIN ? 0 : fail("md_persist");
	w->grant = md_grant(w->peer, s->mr, GRANT_NAME);
	if (!w->grant && errno == ESTALE)
		return fail("md_grant");
	debug(s->opt, "server: a writer has epoch %" PRIu64, welcome.epoch);
	if (!w->grant || conn_send(&w->conn, &welcome, sizeof(welcome)))
		drop_writer(s, "it is gone");
	return 0;
}

static int take_connection(struct server *s)
{
	struct writer *w = &s->writer;

	w->conn = s->unknown;
	w->connected = true;
	s->has_unknown = false;
	/* Before the grant, so that the writer may ask to have its writes made durable. */
	if (md_attach_qp(s->map, w->conn.id->qp, w->peer))
		return fail("md_attach_qp");
	w->attached = true;
	return admit_writer(s);
}

static void drop_unknown(struct server *s)
{
	if (s->has_unknown)
		conn_close(&s->unknown);
	s->has_unknown = false;
}

static int hear_unknown(struct server *s)
{
	const struct writer *w = &s->writer;
	struct hello hello;
	int n;

	if (!s->has_unknown)
		return 0;
	n = conn_recv(&s->unknown, &hello, sizeof(hello));
	if (n > 0 && w->peer && !w->connected && hello.token == w->token)
		return take_connection(s);
	if (n || now_ms() >= s->unknown_until)
		drop_unknown(s);
	return 0;
}

/* It says nothing more: this is for the end of its connection. */
static void hear_writer(struct server *s)
{
	struct writer *w = &s->writer;
	struct hello hello;

	if (w->peer && !w->connected && (w->down_since || now_ms() >= w->connect_by))
		drop_writer(s, "it has not connected");
	if (w->down_since && now_ms() >= w->down_since + PATIENCE_MS)
		drop_writer(s, "it is silent");
	if (w->connected && conn_recv(&w->conn, &hello, sizeof(hello)))
		drop_writer(s, "its connection has ended");
}

static void accept_connection(struct server *s)
{
	if (conn_accept(&s->unknown, s->listener)) {
		debug(s->opt, "server: accept: %s", strerror(errno));
		return;
	}
	s->has_unknown = true;
	s->unknown_until = now_ms() + PATIENCE_MS;
}

/* ---- events --------------------------------------------------------------- */

/* One writer at a time. Who is refused tries again. */
static void take_request(struct server *s, struct md_peer *peer, bool known, uint64_t token)
{
	struct writer *w = &s->writer;

	if (!known || w->peer) {
		debug(s->opt, "server: a second writer is refused");
		md_refuse(peer);
		return;
	}
	*w = (struct writer){
		.peer = peer,
		.token = token,
		.connect_by = now_ms() + PATIENCE_MS,
	};
	if (md_accept(peer, NULL))
		fail("md_accept");
}

static void handle_request(struct server *s, struct md_event *ev)
{
	struct md_peer *peer = ev->peer;
	struct hello hello;
	const bool known = ev->private_len == sizeof(hello);

	if (known)
		memcpy(&hello, ev->private_data, sizeof(hello));
	md_ack_event(ev);
	take_request(s, peer, known, known ? hello.token : 0);
}

static int handle_event(struct server *s, struct md_event *ev)
{
	const bool ours = ev->peer && ev->peer == s->writer.peer;
	const enum md_event_type type = ev->type;

	debug(s->opt, "server: %s: %s", md_event_str(type), ev->message);
	if (type == MD_EVENT_PEER_REQUEST) {
		handle_request(s, ev);
		return 0;
	}
	if (type == MD_EVENT_LOST) {
		fprintf(stderr, "md_log: %s\n", ev->message);
		errno = ev->error;
		md_ack_event(ev);
		return -1;
	}
	md_ack_event(ev);
	if (ours && type == MD_EVENT_QP_FENCED)
		drop_writer(s, "its queue pair was fenced");
	else if (ours && type == MD_EVENT_PEER_CLOSED)
		drop_writer(s, "its session is over");
	else if (ours && (type == MD_EVENT_PEER_UP || type == MD_EVENT_PEER_DOWN))
		s->writer.down_since = type == MD_EVENT_PEER_DOWN ? now_ms() : 0;
	else if (type == MD_EVENT_RESTORED)
		return admit_writer(s);
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

/* ---- start, run, stop ----------------------------------------------------- */

/* EAGAIN while somebody changes the file, EEXIST while a killed server still ends. */
static int try_lease(struct server *s)
{
	const struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ALLOCATE | MD_MAP_RESTORE,
	};
	const int access =
		IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	const size_t length = log_end(&s->super);

	if (!s->map)
		s->map = md_map(s->ctx, s->fd, 0, length, &attr);
	if (!s->map)
		return -1;
	s->mr = md_reg_mr(s->listener->pd, s->map, 0, length, access);
	return s->mr ? 0 : -1;
}

static int lease(struct server *s)
{
	for (int tries = 1; try_lease(s); tries++) {
		if ((errno != EAGAIN && errno != EEXIST) || tries == LEASE_TRIES || stopped)
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
	s->listener = conn_listen(opt->addr, opt->data_port);
	if (!s->listener) {
		perror("md_log: listen");
		return -1;
	}
	s->ctx = md_open(NULL);
	if (!s->ctx)
		return fail("md_open");
	if (lease(s))
		return -1;
	/* Only now, as a writer that is admitted wants the region. */
	s->sessions = md_listen(s->ctx, opt->addr, opt->port, NULL);
	return s->sessions ? 0 : fail("md_listen");
}

static void wait_for_news(struct server *s)
{
	struct pollfd pfd[2 + 2 * CONN_FDS] = {
		{ .fd = md_fd(s->ctx), .events = POLLIN },
		{ .fd = s->has_unknown ? -1 : s->listener->channel->fd, .events = POLLIN },
	};
	int fds = 2;

	if (s->writer.connected) {
		conn_poll_fds(&s->writer.conn, pfd + fds);
		fds += CONN_FDS;
	}
	if (s->has_unknown) {
		conn_poll_fds(&s->unknown, pfd + fds);
		fds += CONN_FDS;
	}
	if (poll(pfd, fds, LOOK_MS) > 0 && pfd[1].revents)
		accept_connection(s);
}

static int run_once(struct server *s)
{
	if (handle_events(s) || hear_unknown(s))
		return -1;
	hear_writer(s);
	wait_for_news(s);
	return 0;
}

static void stop(struct server *s)
{
	drop_writer(s, "the server ends");
	drop_unknown(s);
	md_listener_close(s->sessions);
	md_dereg_mr(s->mr);
	if (md_unmap(s->map) || (s->ctx && md_close(s->ctx)))
		fail("the end");
	if (s->listener)
		rdma_destroy_ep(s->listener);
	if (s->fd >= 0)
		close(s->fd);
}

int run_server(const struct options *opt)
{
	const struct sigaction action = { .sa_handler = stop_soon };
	struct server s = { .opt = opt, .fd = -1 };
	int ret;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	ret = start(&s);
	if (!ret) {
		printf("md_log: %s has room for %" PRIu64 " records of up to %zu bytes\n",
		       opt->file, s.super.slots, log_payload_max(&s.super));
		fflush(stdout); /* scripts wait for it */
	}
	while (!ret && !stopped)
		ret = run_once(&s);
	stop(&s);
	return ret ? 1 : 0;
}
