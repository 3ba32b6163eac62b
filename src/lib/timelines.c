// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "context.h"
#include "errmsg.h"
#include "grant.h"
#include "map.h"
#include "peer.h"
#include "timelines.h"

/*
 * Three places for the timelines of one event: of the event that is lent, of the
 * one that is pending, and one to write the next into.
 */
#define ROLLS 3

struct md__roll {
	struct md__roll *older; /* an event may still point there */
	unsigned int room;	/* in each of the three */
	struct md_peer_timeline timeline[];
};

int md__timelines_reserve(struct md_map *map)
{
	struct md__roll *roll = map->roll;
	unsigned int grants = 1, room;
	struct md_grant *grant;

	TAILQ_FOREACH(grant, &map->grants, of_map)
		grants++;
	if (roll && roll->room >= grants)
		return 0;
	room = roll ? 2 * roll->room : 4;
	roll = calloc(1, sizeof(*roll) + ROLLS * room * sizeof(roll->timeline[0]));
	if (!roll)
		return md__fail(ENOMEM, "no memory for a grant");
	roll->room = room;
	roll->older = map->roll;
	map->roll = roll;
	return 0;
}

/* Neither pending nor lent. */
static struct md_peer_timeline *free_place(struct md_map *map)
{
	const struct md__slot *slot = &map->slot[MD_EVENT_RELEASED];
	struct md__roll *roll = map->roll;
	struct md_peer_timeline *place = roll->timeline;

	pthread_mutex_lock(&map->ctx->event_lock);
	while (place == slot->in.peers || place == slot->out.peers)
		place += roll->room;
	pthread_mutex_unlock(&map->ctx->event_lock);
	return place;
}

void md__timelines_fill(struct md_map *map, struct md_event *event)
{
	struct md_peer_timeline *place;
	struct md_grant *grant;
	uint32_t n = 0;

	if (TAILQ_EMPTY(&map->grants))
		return;
	place = free_place(map);
	TAILQ_FOREACH(grant, &map->grants, of_map) {
		const struct md__offer *o = &grant->offer;

		pthread_mutex_lock(&grant->peer->lock);
		place[n] = (struct md_peer_timeline){ .peer = grant->peer };
		/* Of a peer that had nothing, the last recall was another one. */
		if (grant->recalled_at >= map->timeline.noticed) {
			place[n].told = o->told;
			place[n].acked = o->acked;
			place[n].done = o->done;
			place[n].fenced = o->fenced;
		}
		n++;
		pthread_mutex_unlock(&grant->peer->lock);
	}
	event->peers = place;
	event->n_peers = n;
}

void md__timelines_free(struct md_map *map)
{
	struct md__roll *roll;

	while ((roll = map->roll)) {
		map->roll = roll->older;
		free(roll);
	}
}
