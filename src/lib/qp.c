// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "driver.h"
#include "errmsg.h"
#include "fork.h"
#include "grant.h"
#include "map.h"
#include "qp.h"

static struct md__attachment *find(struct md_map *map, const struct ibv_qp *qp)
{
	struct md__attachment *at;

	TAILQ_FOREACH(at, &map->attachments, attachments) {
		if (at->qp == qp)
			break;
	}
	return at;
}

static const char *why_fenced(enum md_reason reason)
{
	switch (reason) {
	case MD_REASON_BUDGET:
		return "the drain budget is over";
	case MD_REASON_PROTOCOL:
		return "the session of its peer was broken off";
	case MD_REASON_RECALL:
		return "its peer did not give up the grant in time";
	default:
		return "on request";
	}
}

static void report(struct md_map *map, struct md__attachment *at, enum md_reason reason, int err)
{
	struct md_event event;

	md__driver_event(map, MD_EVENT_QP_FENCED, &event);
	event.reason = reason;
	event.qp = at->qp;
	event.peer = at->peer;
	event.error = err;
	if (err)
		md__event_say(
			&event,
			"queue pair 0x%x is not fenced (%s), deregistration ends its access: %s",
			at->qp->qp_num, strerror(err), map->range.text);
	else
		md__event_say(&event, "queue pair 0x%x is fenced (%s): %s", at->qp->qp_num,
			      why_fenced(reason), map->range.text);
	md__slot_post(&at->slot, &event);
}

static int set_error(struct md__attachment *at)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	int err = ibv_modify_qp(at->qp, &attr, IBV_QP_STATE);

	at->fenced = !err;
	return err;
}

/* Once more what is fenced: the application may have taken it into use again. */
void md__qp_fence_of(struct md_map *map, const struct md_peer *peer, enum md_reason reason)
{
	struct md__attachment *at;

	TAILQ_FOREACH(at, &map->attachments, attachments) {
		bool known = at->fenced;
		int err;

		if (at->peer != peer)
			continue;
		err = set_error(at);
		if (!known || err)
			report(map, at, reason, err);
	}
}

bool md__qp_all_on(struct md_map *map, const struct md_peer *peer, const char *adapter)
{
	struct md__attachment *at;
	bool found = false;

	TAILQ_FOREACH(at, &map->attachments, attachments) {
		if (at->peer != peer)
			continue;
		if (strcmp(at->qp->context->device->name, adapter))
			return false;
		found = true;
	}
	return found;
}

void md__qp_forget_fences(struct md_map *map)
{
	struct md__attachment *at;

	TAILQ_FOREACH(at, &map->attachments, attachments)
		at->fenced = false;
}

static int check_args(const struct md_map *map, const struct ibv_qp *qp, const char *call)
{
	if (!map || !qp)
		return md__fail(EINVAL, "%s: no %s", call, map ? "queue pair" : "map");
	return map->ctx->forked ? md__fail_forked() : 0;
}

static int fail_not_attached(const struct md_map *map, const struct ibv_qp *qp)
{
	return md__fail(ENOENT, "queue pair 0x%x is not attached to the map of %s", qp->qp_num,
			map->range.text);
}

/* How many queue pairs keep a peer from being closed. */
static void count(struct md_peer *peer, int change)
{
	if (!peer)
		return;
	pthread_mutex_lock(&peer->lock);
	peer->attached += change;
	pthread_mutex_unlock(&peer->lock);
}

int md_attach_qp(struct md_map *map, struct ibv_qp *qp, struct md_peer *peer)
{
	struct md__attachment *at;
	bool known;

	if (check_args(map, qp, "md_attach_qp"))
		return -1;
	if (peer && peer->ctx != map->ctx)
		return md__fail(EINVAL, "md_attach_qp: the peer is of another context");
	at = calloc(1, sizeof(*at));
	if (!at)
		return md__fail(ENOMEM, "no memory for an attachment");
	at->qp = qp;
	at->peer = peer;
	md__slot_init(&at->slot, map->ctx, NULL);
	pthread_mutex_lock(&map->lock);
	known = find(map, qp);
	if (!known) {
		md__fork_hold();
		TAILQ_INSERT_TAIL(&map->attachments, at, attachments);
		md__fork_let();
		count(peer, 1);
		md__grants_attached(map, peer);
	}
	pthread_mutex_unlock(&map->lock);
	if (!known)
		return 0;
	free(at);
	return md__fail(EEXIST, "queue pair 0x%x is attached already to the map of %s", qp->qp_num,
			map->range.text);
}

int md_detach_qp(struct md_map *map, struct ibv_qp *qp)
{
	struct md__attachment *at;
	bool lent = false;

	if (check_args(map, qp, "md_detach_qp"))
		return -1;
	md__populate_lock(map);
	at = find(map, qp);
	if (at)
		lent = !md__slots_drop(&at->slot, 1);
	if (at && !lent) {
		md__fork_hold();
		TAILQ_REMOVE(&map->attachments, at, attachments);
		md__fork_let();
		count(at->peer, -1);
		md__grants_attached(map, at->peer);
	}
	pthread_mutex_unlock(&map->lock);
	if (!at)
		return fail_not_attached(map, qp);
	if (lent)
		return md__fail(
			EBUSY,
			"queue pair 0x%x: acknowledge its MD_EVENT_QP_FENCED, then detach it from the map of %s",
			qp->qp_num, map->range.text);
	free(at);
	return 0;
}

int md_fence_qp(struct md_map *map, struct ibv_qp *qp)
{
	struct md__attachment *at;
	int err = 0;

	if (check_args(map, qp, "md_fence_qp"))
		return -1;
	pthread_mutex_lock(&map->lock);
	at = find(map, qp);
	if (at) {
		bool known = at->fenced;

		err = set_error(at);
		if (!err && !known)
			report(map, at, MD_REASON_REQUEST, 0);
	}
	pthread_mutex_unlock(&map->lock);
	if (!at)
		return fail_not_attached(map, qp);
	if (err)
		return md__fail(
			err,
			"queue pair 0x%x cannot be set to the error state: %s: destroy it, or deregister the regions of %s",
			qp->qp_num, strerror(err), map->range.text);
	return 0;
}
