// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <libpmem.h>

#include "context.h"
#include "errmsg.h"
#include "map.h"
#include "persist.h"

/* A release must get its turn, however many threads keep flushing. */
void md__persist_init(struct md_map *map)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&map->persist_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void md__persist_fini(struct md_map *map)
{
	pthread_rwlock_destroy(&map->persist_lock);
}

static void set(struct md_map *map, bool persistable)
{
	pthread_rwlock_wrlock(&map->persist_lock);
	map->persistable = persistable;
	pthread_rwlock_unlock(&map->persist_lock);
}

void md__persist_open(struct md_map *map)
{
	set(map, true);
}

void md__persist_shut(struct md_map *map)
{
	set(map, false);
}

int md_persist(struct md_map *map, size_t offset, size_t length)
{
	bool open;
	int err = 0;

	if (!map)
		return md__fail(EINVAL, "md_persist: no map");
	if (map->ctx->forked)
		return md__fail_forked();
	if (offset > map->range.length || length > map->range.length - offset)
		return md__fail(
			EINVAL,
			"%zu bytes at %zu: not inside the %llu bytes of the map: offsets count from its start: %s",
			length, offset, (unsigned long long)map->range.length, map->range.text);
	pthread_rwlock_rdlock(&map->persist_lock);
	open = map->persistable;
	if (open && map->ops->persist)
		err = map->ops->persist(&map->lease, &map->range, offset, length);
	else if (open)
		pmem_persist((char *)map->lease.addr + offset, length);
	pthread_rwlock_unlock(&map->persist_lock);
	return open ? err : md__map_fail_gone(map);
}
