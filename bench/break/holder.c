// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "child.h"
#include "holder.h"
#include "must.h"

#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)
/* A peer that is stopped for longer is to be fenced, not to lose its connection. */
#define KEEPALIVE_MS 60000
/* A try to restore may fail, and the pause before the next be up to a second. */
#define ASK_AGAIN_MS 10
#define MAP_TRIES 1000

/* ---- events ------------------------------------------------------------ */

static void note_peers(struct holder *h, const struct md_event *event)
{
	h->peers_told = 0;
	h->peers_acked = 0;
	h->peers_done = 0;
	for (uint32_t i = 0; i < event->n_peers; i++) {
		const struct md_peer_timeline *p = &event->peers[i];

		h->peers_told = p->told > h->peers_told ? p->told : h->peers_told;
		h->peers_acked = p->acked > h->peers_acked ? p->acked : h->peers_acked;
		h->peers_done = p->done > h->peers_done ? p->done : h->peers_done;
	}
}

static void note_fenced(struct holder *h, const struct md_event *event)
{
	if (event->error)
		errx(1, "%s", event->message);
	for (int i = 0; i < h->qps.count; i++) {
		if (h->qps.qp[i] == event->qp)
			h->fenced[i] = true;
	}
}

static void accept_peer(struct holder *h, const struct md_event *event)
{
	int index;

	memcpy(&index, event->private_data, sizeof(index));
	h->session[index] = event->peer;
}

static void handle(struct holder *h, struct md_event *event)
{
	struct md_peer *asks = NULL;

	switch (event->type) {
	case MD_EVENT_PEER_REQUEST:
		accept_peer(h, event);
		asks = event->peer;
		break;
	case MD_EVENT_QP_FENCED:
		note_fenced(h, event);
		break;
	case MD_EVENT_RELEASED:
		h->timeline = event->timeline;
		note_peers(h, event);
		h->released = true;
		break;
	case MD_EVENT_RESTORED:
		h->timeline.restored = event->timeline.restored;
		h->restored = true;
		break;
	case MD_EVENT_LOST:
	case MD_EVENT_PEER_CLOSED:
		errx(1, "%s", event->message);
	default:
		break;
	}
	md_ack_event(event);
	if (asks)
		MD_MUST(!md_accept(asks, NULL));
}

static void handle_events(struct holder *h, int timeout_ms)
{
	struct md_event *event;

	while (!md_get_event(h->ctx, &event, timeout_ms)) {
		handle(h, event);
		timeout_ms = 0;
	}
}

/* ---- begin ------------------------------------------------------------- */

/* A lease of a process that has just ended may not be over yet. */
static void take_map(struct holder *h, int fd)
{
	const struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ALLOCATE | MD_MAP_RESTORE,
	};

	for (int tries = 1;; tries++) {
		h->map = md_map(h->ctx, fd, 0, h->row->bytes, &attr);
		if (h->map)
			break;
		if (errno == ENOENT || errno == ENODEV || errno == EOPNOTSUPP)
			errx(EXIT_CANNOT, "%s", md_errmsg());
		if ((errno != EEXIST && errno != EAGAIN) || tries == MAP_TRIES)
			errx(1, "%s", md_errmsg());
		usleep(10000);
	}
}

static void reg(struct holder *h)
{
	uint64_t n = h->row->regions, length = h->row->bytes / n & ~UINT64_C(4095);

	for (uint64_t i = 0; i < n; i++) {
		h->mr[i] = md_reg_mr(h->qps.pd, h->map, i * length, length, ACCESS);
		MD_MUST(h->mr[i]);
	}
}

static bool is_named(const void *p)
{
	return atomic_load(&((const struct peer *)p)->named);
}

static void welcome(struct holder *h)
{
	for (uint64_t i = 0; i < h->row->peers; i++) {
		wait_until(is_named, &h->peers[i], "a peer asks for a session");
		while (!h->session[i])
			handle_events(h, 100);
	}
}

/* The j-th queue pair is of peer j modulo their number. */
static struct peer *peer_of(struct holder *h, int qp)
{
	return h->row->peers ? &h->peers[qp % (int)h->row->peers] : NULL;
}

static void join(struct holder *h, int qp)
{
	const struct peer *p = peer_of(h, qp);

	qps_join(&h->qps, qp, p ? p->qpn[qp / (int)h->row->peers] : h->qps.qp[qp]->qp_num);
}

static void attach(struct holder *h)
{
	for (int i = 0; i < h->qps.count; i++) {
		struct peer *p = peer_of(h, i);

		if (p)
			p->holder_qpn[i / (int)h->row->peers] = h->qps.qp[i]->qp_num;
		join(h, i);
		MD_MUST(!md_attach_qp(h->map, h->qps.qp[i], p ? h->session[p->index] : NULL));
	}
}

/* The region that is granted to a peer. */
static struct md_mr *mr_of(struct holder *h, uint64_t peer)
{
	return h->mr[peer % h->row->regions];
}

struct ready {
	const struct peer *p;
	uint32_t key;
};

static bool is_ready(const void *ready)
{
	const struct ready *r = ready;

	return atomic_load(&r->p->ready) == r->key;
}

static void wait_for_peers(struct holder *h)
{
	for (uint64_t i = 0; i < h->row->peers; i++) {
		struct ready r = { .p = &h->peers[i] };

		MD_MUST(!md_map_get(h->map));
		r.key = mr_of(h, i)->rkey;
		md_map_put(h->map);
		wait_until(is_ready, &r, "a peer uses its grant");
	}
}

void holder_open(struct holder *h, const struct row *row, struct peer *peers, int fd)
{
	const struct md_context_attr attr = {
		.size = sizeof(attr),
		.drain_budget_ms = row->options->budget_ms,
		.keepalive_ms = KEEPALIVE_MS,
	};
	struct md_listener *listener;

	h->row = row;
	h->peers = peers;
	qps_open(&h->qps, row->options->addr, (int)row->qps);
	MD_MUST(h->ctx = md_open(&attr));
	MD_MUST(listener = md_listen(h->ctx, row->options->addr, NULL, NULL));
	for (uint64_t i = 0; i < row->peers; i++)
		atomic_store(&peers[i].port, md_listener_port(listener));
	take_map(h, fd);
	reg(h);
	welcome(h);
	attach(h);
	for (uint64_t i = 0; i < row->peers; i++) {
		MD_MUST(md_grant(h->session[i], mr_of(h, i), "leased"));
		atomic_store(&peers[i].joined, true);
	}
	wait_for_peers(h);
}

/* ---- breaks ------------------------------------------------------------ */

static void each_peer(struct holder *h, void (*call)(pid_t pid))
{
	for (uint64_t i = 0; i < h->row->peers; i++)
		call(h->peers[i].pid);
}

static int rejoin(struct holder *h)
{
	int n = 0;

	for (int i = 0; i < h->qps.count; i++) {
		if (!h->fenced[i])
			continue;
		join(h, i);
		h->fenced[i] = false;
		n++;
	}
	return n;
}

/* Until the breaker has returned and the library has told how it went. */
static void await_end(struct holder *h, struct breaker *b, struct breaker_report *report)
{
	struct pollfd fds[2] = {
		{ .fd = md_fd(h->ctx), .events = POLLIN },
		{ .fd = breaker_fd(b), .events = POLLIN },
	};

	while (!h->released || fds[1].fd >= 0) {
		MUST(poll(fds, 2, -1) > 0);
		handle_events(h, 0);
		if (!fds[1].revents)
			continue;
		breaker_report(b, report);
		fds[1].fd = -1;
		fds[1].revents = 0;
	}
}

static void restore(struct holder *h)
{
	while (!h->restored) {
		MD_MUST(!md_restore(h->map));
		handle_events(h, ASK_AGAIN_MS);
	}
}

void holder_break(struct holder *h, struct breaker *b, int which, struct holder_break *out)
{
	bool stops = h->row->options->peer == PEER_DEAD;

	if (stops)
		each_peer(h, child_stop);
	usleep(h->row->options->apart_ms * 1000);
	h->released = false;
	h->restored = false;
	breaker_go(b, which);
	await_end(h, b, &out->breaker);
	if (stops)
		each_peer(h, child_continue);
	out->fenced = rejoin(h);
	restore(h);
	wait_for_peers(h); /* what is next is not to share the CPU with that */
	handle_events(h, 0);
	out->timeline = h->timeline;
	out->peers_told = h->peers_told;
	out->peers_acked = h->peers_acked;
	out->peers_done = h->peers_done;
}
