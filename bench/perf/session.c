// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "session.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "must.h"

/*
 * A full send queue of large messages takes an emulated adapter seconds. It does
 * end, so it is waited for and not fenced.
 */
#define DRAIN_BUDGET_MS 20000

#define TURN_MS 100 /* how soon the end of the other side is seen */
#define GRANT_NAME "bench"

/* ---- events ----------------------------------------------------------------- */

/* The first reason is the one that counts. */
static void set_lost(struct session *s, const struct md_event *ev)
{
	if (!s->lost[0])
		snprintf(s->lost, sizeof(s->lost), "%s: %s", md_event_str(ev->type), ev->message);
}

/* Not our client, perhaps one of an earlier run. */
static bool is_stranger(const struct session *s, const struct md_event *ev)
{
	return ev->type == MD_EVENT_PEER_REQUEST &&
	       (ev->private_len != sizeof(s->token) ||
		memcmp(ev->private_data, &s->token, sizeof(s->token)));
}

static void handle_event(struct session *s, const struct md_event *ev)
{
	pthread_mutex_lock(&s->lock);
	switch (ev->type) {
	case MD_EVENT_BREAK:
		/* Our work is in uses, so there is nothing to do before the ack. */
		s->breaks += ev->count;
		break;
	case MD_EVENT_RECALLED:
		s->breaks += ev->count;
		break;
	case MD_EVENT_GRANTED:
		s->granted = ev->remote;
		s->grants += ev->count;
		break;
	case MD_EVENT_PEER_REQUEST:
		s->asks = ev->peer;
		break;
	case MD_EVENT_QP_FENCED:
	case MD_EVENT_REMOTE_FENCED:
	case MD_EVENT_LOST:
	case MD_EVENT_REMOTE_LOST:
	case MD_EVENT_PEER_CLOSED:
		set_lost(s, ev);
		break;
	default:
		break;
	}
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void take_event(struct session *s, struct md_event *ev)
{
	struct md_peer *stranger = is_stranger(s, ev) ? ev->peer : NULL;

	if (!stranger)
		handle_event(s, ev);
	md_ack_event(ev);
	if (stranger)
		MD_MUST(!md_refuse(stranger));
}

/* A thread of its own, so that the loops which are measured have no events to poll. */
static void *take_events(void *arg)
{
	struct session *s = arg;
	struct pollfd pfd[] = {
		{ .fd = md_fd(s->ctx), .events = POLLIN },
		{ .fd = s->stop_fd, .events = POLLIN },
	};
	struct md_event *ev;

	while (!pfd[1].revents) {
		MUST(poll(pfd, 2, -1) > 0 || errno == EINTR);
		while (!md_get_event(s->ctx, &ev, 0))
			take_event(s, ev);
		MD_MUST(errno == EAGAIN || errno == EINTR);
	}
	return NULL;
}

static void check_locked(struct session *s)
{
	if (s->lost[0])
		errx(1, "%s", s->lost);
	wire_check(s->wire);
}

/* With the lock held. */
static void wait_turn(struct session *s)
{
	struct timespec until;

	check_locked(s);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += TURN_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

void session_check(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	check_locked(s);
	pthread_mutex_unlock(&s->lock);
}

/* ---- start and end ------------------------------------------------------------ */

void session_open(struct session *s, struct wire *wire, bool use)
{
	const struct md_context_attr attr = { .size = sizeof(attr),
					      .drain_budget_ms = DRAIN_BUDGET_MS };

	*s = (struct session){ .wire = wire };
	ERRNO_MUST(pthread_mutex_init(&s->lock, NULL));
	ERRNO_MUST(pthread_cond_init(&s->changed, NULL));
	if (!use)
		return;
	s->ctx = md_open(&attr);
	MD_MUST(s->ctx && "md_open");
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	MUST(s->stop_fd >= 0 && "eventfd");
	ERRNO_MUST(pthread_create(&s->thread, NULL, take_events, s));
}

uint16_t session_listen(struct session *s, const struct device *dev, uint64_t token)
{
	char address[INET6_ADDRSTRLEN];

	s->token = token;
	device_address(&dev->gid, address);
	s->listener = md_listen(s->ctx, address, NULL, NULL);
	MD_MUST(s->listener && "md_listen");
	return (uint16_t)md_listener_port(s->listener);
}

static void accept_peer(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->asks)
		wait_turn(s);
	s->peer = s->asks;
	pthread_mutex_unlock(&s->lock);
	MD_MUST(!md_accept(s->peer, NULL));
}

void session_start(struct session *s, const char *address, uint16_t port, uint64_t token)
{
	const struct md_connect_attr attr = { .size = sizeof(attr),
					      .private_len = sizeof(token),
					      .private_data = &token };
	char service[8];

	if (!address) {
		accept_peer(s);
		return;
	}
	snprintf(service, sizeof(service), "%u", port);
	s->peer = md_connect(s->ctx, address, service, &attr);
	MD_MUST(s->peer && "md_connect");
}

/*
 * Without a grant the queue pairs carry our own work only, and nobody but us is to be
 * waited for in a break.
 */
void session_attach_qps(struct session *s)
{
	for (uint32_t i = 0; s->map && i < s->qps->count; i++)
		MD_MUST(!md_attach_qp(s->map, s->qps->qp[i], s->granting ? s->peer : NULL));
}

void session_detach_qps(struct session *s)
{
	for (uint32_t i = 0; s->map && i < s->qps->count; i++)
		MD_MUST(!md_detach_qp(s->map, s->qps->qp[i]));
}

void session_attach(struct session *s, struct md_map *map, struct qps *qps, struct md_mr *mr)
{
	s->map = map;
	s->qps = qps;
	s->granting = mr;
	session_attach_qps(s);
	if (!mr)
		return;
	s->grant = md_grant(s->peer, mr, GRANT_NAME);
	MD_MUST(s->grant && "md_grant");
}

void session_await(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->granted)
		wait_turn(s);
	s->remote = s->granted;
	pthread_mutex_unlock(&s->lock);
}

void session_stop(struct session *s)
{
	if (!s->ctx)
		return;
	MUST(!eventfd_write(s->stop_fd, 1));
	ERRNO_MUST(pthread_join(s->thread, NULL));
	close(s->stop_fd);
	session_detach_qps(s);
	MD_MUST(!md_recall(s->grant));
	MD_MUST(!md_peer_close(s->peer));
	MD_MUST(!md_listener_close(s->listener));
}

void session_close(struct session *s)
{
	MD_MUST(!md_close(s->ctx));
}

/* ---- breaks --------------------------------------------------------------------- */

void session_failed(int error)
{
	if (error != EAGAIN)
		errx(1, "%s", md_errmsg());
}

void session_wait_map(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	while (!session_get_map(s))
		wait_turn(s);
	pthread_mutex_unlock(&s->lock);
	session_put_map(s);
}

void session_wait(struct session *s)
{
	session_wait_map(s);
	if (!s->remote)
		return;
	while (md_remote_wait(s->remote, TURN_MS)) {
		if (errno != ETIMEDOUT)
			errx(1, "%s", md_errmsg());
		session_check(s);
	}
}
