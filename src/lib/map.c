// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attr.h"
#include "context.h"
#include "driver.h"
#include "errmsg.h"
#include "fork.h"
#include "map.h"
#include "mr.h"
#include "persist.h"
#include "provider.h"
#include "qp.h"
#include "service.h"
#include "timelines.h"

/* ---- memory ------------------------------------------------------------ */

/* All but what somebody may still look at (map.h). */
static void init(struct md_map *map, struct md_context *ctx)
{
	const size_t kept = offsetof(struct md_map, ctx);

	memset((char *)map + kept, 0, sizeof(*map) - kept);
	map->ctx = ctx;
	map->range.fd = -1;
	map->lease.fd = -1;
	atomic_store(&map->state, MD_MAP_RELEASED);
	pthread_mutex_init(&map->lock, NULL);
	md__persist_init(map);
	TAILQ_INIT(&map->mrs);
	TAILQ_INIT(&map->attachments);
	TAILQ_INIT(&map->grants);
	for (int i = 0; i < MD__SLOTS; i++)
		md__slot_init(&map->slot[i], ctx, &map->last_fetched);
}

static struct md_map *new_map(struct md_context *ctx)
{
	struct md_map *map;

	pthread_mutex_lock(&ctx->list_lock);
	TAILQ_FOREACH(map, &ctx->retired, maps) {
		if (!md__slots_lent(map->slot, MD__SLOTS))
			break;
	}
	if (map) {
		md__fork_hold();
		TAILQ_REMOVE(&ctx->retired, map, maps);
		md__fork_let();
	}
	pthread_mutex_unlock(&ctx->list_lock);
	if (map) {
		md__guard_shut(&map->guard, EAGAIN);
	} else {
		map = aligned_alloc(MD__GUARD_LINE, sizeof(*map));
		if (!map) {
			md__fail(ENOMEM, "no memory for a map");
			return NULL;
		}
		md__guard_init(&map->guard, ctx->fd[MD__FD_WAKE]);
		atomic_init(&map->readable, false);
	}
	init(map, ctx);
	return map;
}

bool md__map_lent(const struct md__maps *retired)
{
	const struct md_map *map;

	TAILQ_FOREACH(map, retired, maps) {
		if (md__slots_lent(map->slot, MD__SLOTS))
			return true;
	}
	return false;
}

void md__map_free_all(struct md__maps *maps)
{
	struct md__attachment *at;
	struct md_map *map;
	struct md__mr *mr;

	while ((map = TAILQ_FIRST(maps))) {
		while ((mr = TAILQ_FIRST(&map->mrs))) {
			TAILQ_REMOVE(&map->mrs, mr, mrs);
			free(mr);
		}
		free(map->lease.data);
		md__timelines_free(map);
		while ((at = TAILQ_FIRST(&map->attachments))) {
			TAILQ_REMOVE(&map->attachments, at, attachments);
			free(at);
		}
		TAILQ_REMOVE(maps, map, maps);
		free(map);
	}
}

/* ---- map and unmap ------------------------------------------------------ */

static int check_attr(const struct md_map_attr *attr)
{
	const uint32_t known =
		MD_MAP_ALLOCATE | MD_MAP_RESTORE | MD_MAP_PROGRESS | MD_MAP_ON_DEMAND;

	if (attr->flags & ~known)
		return md__fail(EINVAL, "md_map_attr.flags: unknown bits in 0x%x", attr->flags);
	if (attr->flags & MD_MAP_RESTORE && attr->flags & MD_MAP_ON_DEMAND)
		return md__fail(EINVAL, "md_map_attr.flags: MD_MAP_RESTORE or MD_MAP_ON_DEMAND, "
					"not both");
	return 0;
}

static int open_range(struct md_map *map, const struct md__range *range)
{
	md__fork_hold();
	map->range = *range;
	map->range.fd = fcntl(range->fd, F_DUPFD_CLOEXEC, 0);
	md__fork_let();
	if (map->range.fd >= 0)
		return 0;
	return md__fail(errno, "cannot duplicate the descriptor of %s: %s", range->text,
			strerror(errno));
}

/* Undo service_add and open_range; the map is claimed and has no lease. */
static void retire(struct md_map *map)
{
	int fd = map->range.fd;

	md__fork_hold();
	map->range.fd = -1;
	if (fd >= 0)
		close(fd);
	md__fork_let();
	md__timelines_free(map);
	md__persist_fini(map);
	pthread_mutex_destroy(&map->lock);
	md__service_remove(map);
}

struct md_map *md_map(struct md_context *ctx, int fd, off_t offset, size_t length,
		      const struct md_map_attr *attr)
{
	const struct md__lease_ops *ops;
	struct md_map_attr own;
	struct md__range range;
	struct md_map *map;
	int saved;

	if (!ctx) {
		md__fail(EINVAL, "md_map: no context");
		return NULL;
	}
	if (ctx->forked) {
		md__fail_forked();
		return NULL;
	}
	if (md__attr_take(&own, sizeof(own), attr, "md_map_attr") || check_attr(&own) ||
	    md__range_init(&range, fd, offset, length))
		return NULL;
	range.allocate = own.flags & MD_MAP_ALLOCATE;
	ops = md__provider_choose(ctx, &range, own.provider);
	map = ops ? new_map(ctx) : NULL;
	if (!map)
		return NULL;
	map->ops = ops;
	map->restore = own.flags & MD_MAP_RESTORE;
	map->on_demand = own.flags & MD_MAP_ON_DEMAND;
	map->user_data = own.user_data;
	map->populate.map = map;
	map->populate.report = own.flags & MD_MAP_PROGRESS;
	map->populate.cancel = own.cancel;
	md__service_add(map);
	if (open_range(map, &range) || md__lease_init(&map->lease, &map->range))
		goto retire;
	map->lease.populate = &map->populate;
	map->lease.stage = &map->stage;
	if (md__driver_start(map))
		goto stop;
	map->populate.cancel = NULL;
	md__service_unclaim(map);
	return map;

stop:
	saved = errno;
	pthread_mutex_lock(&map->lock);
	md__driver_stop(map);
	pthread_mutex_unlock(&map->lock);
	md__lease_fini(&map->lease);
	md__slots_forget(map->slot, MD__SLOTS);
	errno = saved;
retire:
	saved = errno;
	retire(map);
	errno = saved;
	return NULL;
}

static const char *what_is_left(struct md_map *map)
{
	if (!TAILQ_EMPTY(&map->mrs))
		return "regions: md_dereg_mr() them";
	if (!TAILQ_EMPTY(&map->attachments))
		return "attached queue pairs: md_detach_qp() them";
	if (md__guard_uses(&map->guard))
		return "open uses: md_map_put() them";
	return NULL;
}

/*
 * With the lock. The last look is with the gate shut and the events dropped,
 * so that no use begins and no event is fetched any more; but not the first,
 * so that a call that fails does not disturb the other users.
 */
static int shut_unused(struct md_map *map)
{
	bool live = map->engine.state == MD__LIVE;
	const char *left = what_is_left(map);

	if (!left) {
		if (live)
			md__guard_shut(&map->guard, EAGAIN);
		left = what_is_left(map);
		if (!left && !md__slots_drop(map->slot, MD__SLOTS))
			left = "events: md_ack_event() them";
		if (left && live)
			md__guard_open(&map->guard);
	}
	if (left)
		return md__fail(EBUSY, "the map of %s still has %s", map->range.text, left);
	return 0;
}

int md_unmap(struct md_map *map)
{
	int err;

	if (!map)
		return 0;
	if (map->ctx->forked)
		return md__fail_forked();
	atomic_fetch_add(&map->populate.impatient, 1);
	md__service_claim(map);
	atomic_fetch_sub(&map->populate.impatient, 1);
	pthread_mutex_lock(&map->lock);
	err = shut_unused(map);
	if (!err)
		md__driver_stop(map);
	pthread_mutex_unlock(&map->lock);
	if (err) {
		md__service_unclaim(map);
		return -1;
	}
	md__lease_fini(&map->lease);
	retire(map);
	return 0;
}

/* ---- looks and uses ----------------------------------------------------- */

void *md_map_addr(const struct md_map *map)
{
	return map->lease.addr;
}

size_t md_map_length(const struct md_map *map)
{
	return map->range.length;
}

off_t md_map_offset(const struct md_map *map)
{
	return (off_t)map->range.offset;
}

enum md_map_state md_map_state(const struct md_map *map)
{
	return atomic_load(&map->state);
}

uint64_t md_map_generation(const struct md_map *map)
{
	return atomic_load(&map->generation);
}

enum md_provider md_map_provider(const struct md_map *map)
{
	return map->ops->provider;
}

int md__map_fail_gone(const struct md_map *map)
{
	if (md_map_state(map) == MD_MAP_LOST)
		return md__fail(ESTALE, "the lease is lost for good: md_unmap(), and map again: %s",
				map->range.text);
	return md__fail(EAGAIN, "no lease now: try again after MD_EVENT_RESTORED: %s",
			map->range.text);
}

/* Apart, so that a use that is let in does not pay for it. */
static __attribute__((noinline, cold)) int get_slowly(struct md_map *map)
{
	int error;

	if (!map)
		return md__fail(EINVAL, "md_map_get: no map");
	error = md__guard_get(&map->guard);
	if (!error)
		return 0;
	return error == ECHILD ? md__fail_forked() : md__map_fail_gone(map);
}

int md_map_get(struct md_map *map)
{
	return map && md__guard_try(&map->guard) ? 0 : get_slowly(map);
}

void md_map_put(struct md_map *map)
{
	if (map)
		md__guard_put(&map->guard);
}

int md_release(struct md_map *map)
{
	if (!map)
		return md__fail(EINVAL, "md_release: no map");
	if (map->ctx->forked)
		return md__fail_forked();
	if (md_map_state(map) == MD_MAP_LOST)
		return md__map_fail_gone(map);
	md__populate_lock(map);
	md__driver_release(map);
	pthread_mutex_unlock(&map->lock);
	md__service_wake(map->ctx);
	return 0;
}

int md_restore(struct md_map *map)
{
	if (!map)
		return md__fail(EINVAL, "md_restore: no map");
	if (map->ctx->forked)
		return md__fail_forked();
	if (md_map_state(map) == MD_MAP_LOST)
		return md__map_fail_gone(map);
	atomic_store(&map->restore_asked, true);
	md__service_wake(map->ctx);
	return 0;
}
