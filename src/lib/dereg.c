// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

#include "context.h"
#include "dereg.h"
#include "map.h"
#include "mr.h"
#include "thread.h"

/* Each thread is to have work for several times as long as it takes to start it. */
#define REGIONS_EACH 256
#define THREADS_MAX 8

/* A part of the map's list of regions. */
struct share {
	struct md__mr *first, *end; /* NULL: the end of the list */
	int error;		    /* of the first of them that is left */
	pthread_t thread;
};

static void *dereg_share(void *arg)
{
	struct share *s = arg;

	for (struct md__mr *mr = s->first; mr != s->end; mr = TAILQ_NEXT(mr, mrs)) {
		int error = md__mr_dereg(mr);

		if (!s->error)
			s->error = error;
	}
	return NULL;
}

static unsigned int how_many_threads(const struct md_map *map, unsigned int regions)
{
	unsigned int useful = regions / REGIONS_EACH, cpus;
	cpu_set_t set;

	if (useful < 2 || map->ctx->flags & MD_OPEN_NO_THREAD ||
	    sched_getaffinity(0, sizeof(set), &set))
		return 1;
	cpus = (unsigned int)CPU_COUNT(&set);
	useful = useful < cpus ? useful : cpus;
	return useful < THREADS_MAX ? useful : THREADS_MAX;
}

static unsigned int count_registered(const struct md_map *map)
{
	const struct md__mr *mr;
	unsigned int n = 0;

	TAILQ_FOREACH(mr, &map->mrs, mrs)
		n += mr->ibv != NULL;
	return n;
}

/* As many registered regions in each share as in any other, or one less. */
static void divide(struct md_map *map, struct share *share, unsigned int shares,
		   unsigned int regions)
{
	unsigned int of = 0, n = 0;
	struct md__mr *mr;

	share[0].first = TAILQ_FIRST(&map->mrs);
	TAILQ_FOREACH(mr, &map->mrs, mrs) {
		if (of + 1 < shares && n == regions * (of + 1) / shares) {
			share[of].end = mr;
			share[++of].first = mr;
		}
		n += mr->ibv != NULL;
	}
}

int md__dereg_all(struct md_map *map)
{
	struct share share[THREADS_MAX] = { 0 };
	unsigned int regions = count_registered(map);
	unsigned int threads = how_many_threads(map, regions);
	bool started[THREADS_MAX] = { false };
	int error = 0;

	divide(map, share, threads, regions);
	for (unsigned int i = 1; i < threads; i++)
		started[i] = !md__thread_start(&share[i].thread, dereg_share, &share[i]);
	for (unsigned int i = 0; i < threads; i++) {
		if (started[i])
			pthread_join(share[i].thread, NULL);
		else
			dereg_share(&share[i]);
		if (!error)
			error = share[i].error;
	}
	return error;
}
