// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "map.h"
#include "mr.h"

#define ALLOWED                                                                                    \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |               \
	 IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_RELAXED_ORDERING)
#define REFUSED                                                                                    \
	(IBV_ACCESS_MW_BIND | IBV_ACCESS_ZERO_BASED | IBV_ACCESS_ON_DEMAND | IBV_ACCESS_HUGETLB)

static int do_register(struct md__mr *mr)
{
	struct ibv_mr *ibv;

	ibv = ibv_reg_mr(mr->pub.pd, mr->pub.addr, mr->pub.length, mr->pub.access);
	if (!ibv)
		return md__fail(errno ?: EINVAL,
				"ibv_reg_mr() of %zu bytes at %zu in the map of %s: %s%s",
				mr->pub.length,
				(size_t)((char *)mr->pub.addr - (char *)mr->pub.map->lease.addr),
				mr->pub.map->range.text, strerror(errno),
				errno == ENOMEM ? " (RLIMIT_MEMLOCK counts each region)" : "");
	mr->ibv = ibv;
	mr->pub.lkey = ibv->lkey;
	mr->pub.rkey = ibv->rkey;
	return 0;
}

/*
 * The old keys stay to be read: after the drain budget a use may still be
 * open, and its reader is not to race with us.
 */
int md__mr_dereg(struct md__mr *mr)
{
	int err = mr->ibv ? ibv_dereg_mr(mr->ibv) : 0;

	if (!err)
		mr->ibv = NULL;
	return err;
}

int md__mr_register_all(struct md_map *map)
{
	struct md__mr *mr;

	TAILQ_FOREACH(mr, &map->mrs, mrs) {
		if (do_register(mr))
			return -1;
	}
	return 0;
}

static int check_args(const struct ibv_pd *pd, const struct md_map *map, size_t offset,
		      size_t length, int access)
{
	if (!pd || !map)
		return md__fail(EINVAL, "md_reg_mr: no %s", map ? "protection domain" : "map");
	if (map->ctx->forked)
		return md__fail_forked();
	if (!length || offset > map->range.length || length > map->range.length - offset)
		return md__fail(
			EINVAL,
			"%zu bytes at %zu: not inside the %llu bytes of the map: offsets count from its start: %s",
			length, offset, (unsigned long long)map->range.length, map->range.text);
	if (access & REFUSED)
		return md__fail(
			EOPNOTSUPP,
			"access 0x%x: leave out ON_DEMAND, MW_BIND, ZERO_BASED and HUGETLB: a break deregisters the region: %s",
			access, map->range.text);
	if (access & ~ALLOWED)
		return md__fail(EINVAL,
				"access 0x%x has unknown bits: use those of md_reg_mr(3): %s",
				access, map->range.text);
	if (access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC) &&
	    !(access & IBV_ACCESS_LOCAL_WRITE))
		return md__fail(
			EINVAL,
			"access 0x%x: remote write and atomic need IBV_ACCESS_LOCAL_WRITE: add it: %s",
			access, map->range.text);
	return 0;
}

/* A use keeps the gate from being shut unseen while the region is made. */
static int register_in_use(struct md_map *map, struct md__mr *mr)
{
	int err;

	if (md_map_get(map))
		return -1;
	err = do_register(mr);
	if (!err) {
		md__fork_hold();
		TAILQ_INSERT_TAIL(&map->mrs, mr, mrs);
		md__fork_let();
	}
	md_map_put(map);
	return err;
}

struct md_mr *md_reg_mr(struct ibv_pd *pd, struct md_map *map, size_t offset, size_t length,
			int access)
{
	struct md__mr *mr;
	int err;

	if (check_args(pd, map, offset, length, access))
		return NULL;
	/*
	 * Refused here already: a thread that keeps trying must not keep a
	 * break from the lock.
	 */
	if (md_map_get(map))
		return NULL;
	md_map_put(map);
	mr = calloc(1, sizeof(*mr));
	if (!mr) {
		md__fail(ENOMEM, "no memory for a region");
		return NULL;
	}
	mr->pub.pd = pd;
	mr->pub.map = map;
	mr->pub.addr = (char *)map->lease.addr + offset;
	mr->pub.length = length;
	mr->pub.access = access;
	pthread_mutex_lock(&map->lock);
	err = register_in_use(map, mr);
	pthread_mutex_unlock(&map->lock);
	if (!err)
		return &mr->pub;
	free(mr);
	return NULL;
}

int md_dereg_mr(struct md_mr *pub)
{
	struct md__mr *mr = (struct md__mr *)pub;
	struct md_map *map;
	bool granted;
	int err = 0;

	if (!mr)
		return 0;
	map = mr->pub.map;
	if (map->ctx->forked)
		return md__fail_forked();
	md__populate_lock(map);
	granted = mr->grants;
	if (!granted)
		err = md__mr_dereg(mr);
	if (!granted && !err) {
		md__fork_hold();
		TAILQ_REMOVE(&map->mrs, mr, mrs);
		md__fork_let();
	}
	pthread_mutex_unlock(&map->lock);
	if (granted)
		return md__fail(EBUSY, "a peer is granted the region: md_recall() that first: %s",
				map->range.text);
	if (err)
		return md__fail(err, "ibv_dereg_mr() of a region of %s: %s", map->range.text,
				strerror(err));
	free(mr);
	return 0;
}
