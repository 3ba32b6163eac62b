// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>

#include "context.h"
#include "dereg.h"
#include "map.h"
#include "mr.h"

/* A thread is to have as much to do as it takes several times longer than to start it. */
#define REGIONS_EACH 256
#define THREADS_MAX 8

/* Some regions that follow each other in the map's list. */
struct share {
	struct md__mr *first;
	unsigned int n;
	int error; /* of the first of them that is left */
	pthread_t thread;
};

static void *dereg_share(void *arg)
{
	struct share *s = arg;
	struct md__mr *mr = s->first;

	for (unsigned int i = 0; i < s->n; i++, mr = TAILQ_NEXT(mr, mrs)) {
		int error = md__mr_dereg(mr);

		if (!s->error)
			s->error = error;
	}
	return NULL;
}

/* Signals are the application's threads' concern. */
static bool start(struct share *s)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&s->thread, NULL, dereg_share, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return !error;
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

int md__dereg_all(struct md_map *map)
{
	struct share share[THREADS_MAX] = { 0 };
	unsigned int regions = 0, threads, of = 0;
	bool started[THREADS_MAX] = { false };
	struct md__mr *mr;
	int error = 0;

	TAILQ_FOREACH(mr, &map->mrs, mrs)
		regions++;
	threads = how_many_threads(map, regions);
	regions = (regions + threads - 1) / threads;
	TAILQ_FOREACH(mr, &map->mrs, mrs) {
		if (share[of].n == regions)
			of++;
		if (!share[of].n++)
			share[of].first = mr;
	}
	for (unsigned int i = 1; i < threads; i++)
		started[i] = start(&share[i]);
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
