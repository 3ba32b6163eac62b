// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>

#include "clock.h"
#include "context.h"
#include "driver.h"
#include "errmsg.h"
#include "map.h"
#include "populate.h"
#include "service.h"

/* Often enough for who looks on, and no burden to who has to fetch them. */
#define INTERVAL (50 * MD__MSEC)

static void report(struct md__populate *p)
{
	struct md_map *map = p->map;
	struct md_event event;
	uint64_t now;

	if (!p->report)
		return;
	now = md__now();
	if (p->done && p->done < p->total && now - p->told < INTERVAL)
		return;
	p->told = now;
	md__driver_event(map, MD_EVENT_POPULATE, &event);
	/* Nobody has it yet, and if md_map() fails nobody ever will. */
	if (!map->lease.restored)
		event.map = NULL;
	event.done = p->done;
	event.total = p->total;
	md__event_say(&event, "populated %llu of %llu KiB: %s", (unsigned long long)p->done / 1024,
		      (unsigned long long)p->total / 1024, map->range.text);
	md__slot_post(&map->slot[MD_EVENT_POPULATE], &event);
}

void md__populate_begin(struct md__populate *p, uint64_t bytes, uint64_t done)
{
	p->done = done;
	p->total = bytes;
	report(p);
}

void md__populate_more(struct md__populate *p, int64_t bytes)
{
	p->total += (uint64_t)bytes;
}

static int pause_until(struct md__populate *p, uint64_t again)
{
	p->paused = true;
	p->again = again;
	return md__fail(EAGAIN, "the restore pauses: %s", p->map->range.text);
}

/* Breaks of other maps and calls come first; all others have their turn now and then. */
static int give_way(struct md__populate *p)
{
	uint64_t now = md__now();

	if (atomic_load(&p->impatient) || md__service_breaking(p->map->ctx))
		return pause_until(p, now + MD__MSEC);
	return now < p->until ? 0 : pause_until(p, now);
}

int md__populate_step(struct md__populate *p, uint64_t bytes)
{
	p->done += bytes;
	if (bytes)
		report(p);
	if (p->cancel && __atomic_load_n(p->cancel, __ATOMIC_ACQUIRE))
		return md__fail(ECANCELED, "md_map() was cancelled after %llu of %llu KiB: %s",
				(unsigned long long)p->done / 1024,
				(unsigned long long)p->total / 1024, p->map->range.text);
	return p->map->lease.restored ? give_way(p) : 0;
}

void md__populate_lock(struct md_map *map)
{
	atomic_fetch_add(&map->populate.impatient, 1);
	pthread_mutex_lock(&map->lock);
	atomic_fetch_sub(&map->populate.impatient, 1);
}
