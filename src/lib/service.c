// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include "clock.h"
#include "context.h"
#include "driver.h"
#include "errmsg.h"
#include "fork.h"
#include "map.h"
#include "peers.h"
#include "service.h"
#include "thread.h"

#define BATCH 16
#define HELP_MS 20

/* Whose turn this thread is in. */
static _Thread_local struct md_context *serving;

bool md__service_is_me(const struct md_context *ctx)
{
	return serving == ctx;
}

void md__service_wake(struct md_context *ctx)
{
	if (md__service_is_me(ctx))
		ctx->again = true;
	else
		md__fd_raise(ctx->fd[MD__FD_WAKE]);
}

/* ---- claims ------------------------------------------------------------ */

void md__service_add(struct md_map *map)
{
	struct md_context *ctx = map->ctx;

	pthread_mutex_lock(&ctx->list_lock);
	map->claimed = true;
	md__fork_hold();
	TAILQ_INSERT_TAIL(&ctx->maps, map, maps);
	md__fork_let();
	pthread_mutex_unlock(&ctx->list_lock);
}

void md__service_claim(struct md_map *map)
{
	struct md_context *ctx = map->ctx;

	pthread_mutex_lock(&ctx->list_lock);
	while (map->claimed)
		pthread_cond_wait(&ctx->idle, &ctx->list_lock);
	map->claimed = true;
	pthread_mutex_unlock(&ctx->list_lock);
}

static void unclaim_locked(struct md_map *map)
{
	map->claimed = false;
	pthread_cond_broadcast(&map->ctx->idle);
}

void md__service_unclaim(struct md_map *map)
{
	struct md_context *ctx = map->ctx;

	pthread_mutex_lock(&ctx->list_lock);
	unclaim_locked(map);
	if (map->passed_over)
		md__service_wake(ctx);
	map->passed_over = false;
	pthread_mutex_unlock(&ctx->list_lock);
}

void md__service_remove(struct md_map *map)
{
	struct md_context *ctx = map->ctx;

	pthread_mutex_lock(&ctx->list_lock);
	md__fork_hold();
	TAILQ_REMOVE(&ctx->maps, map, maps);
	TAILQ_INSERT_TAIL(&ctx->retired, map, maps);
	md__fork_let();
	unclaim_locked(map);
	pthread_mutex_unlock(&ctx->list_lock);
}

/* ---- turns ------------------------------------------------------------- */

/* Note which leases may have something to say. Returns how many. */
static int collect_leases(struct md_context *ctx)
{
	struct epoll_event ev[BATCH];
	int n, sum = 0;

	do {
		n = epoll_wait(ctx->fd[MD__FD_LEASE], ev, BATCH, 0);
		for (int i = 0; i < n; i++) {
			struct md_map *map = ev[i].data.ptr;

			atomic_store(&map->readable, true);
			sum++;
		}
	} while (n == BATCH);
	return sum;
}

static bool needs_us(struct md_map *map, uint64_t now)
{
	if (atomic_load(&map->readable))
		return true;
	return atomic_load(&map->state) == MD_MAP_BREAKING && now < atomic_load(&map->urgent);
}

bool md__service_breaking(struct md_context *ctx)
{
	uint64_t now = md__now();
	bool found = false;
	struct md_map *map;

	/* They are to be read in a turn that begins after this. */
	if (collect_leases(ctx))
		md__service_wake(ctx);
	pthread_mutex_lock(&ctx->list_lock);
	TAILQ_FOREACH(map, &ctx->maps, maps)
		found |= !map->claimed && needs_us(map, now);
	pthread_mutex_unlock(&ctx->list_lock);
	return found;
}

struct question {
	const struct md__lease *own;
	struct stat file;
	int stages;
};

static bool is_other(const struct md_map *map, const struct question *q)
{
	struct stat st;

	return &map->lease != q->own && atomic_load(&map->stage) & q->stages &&
	       !fstat(map->range.fd, &st) && st.st_dev == q->file.st_dev &&
	       st.st_ino == q->file.st_ino;
}

static bool has_other(struct md_context *ctx, const void *question)
{
	bool found = false;
	struct md_map *map;

	pthread_mutex_lock(&ctx->list_lock);
	TAILQ_FOREACH(map, &ctx->maps, maps)
		found |= is_other(map, question);
	pthread_mutex_unlock(&ctx->list_lock);
	return found;
}

bool md__service_others(const struct md__range *range, const struct md__lease *own, int stages)
{
	struct question q = { .own = own, .stages = stages };

	return !fstat(range->fd, &q.file) && md__fork_any(has_other, &q);
}

/* Returns the time after it. */
static uint64_t collect(struct md_context *ctx, int timeout)
{
	struct epoll_event ev[MD__FDS];
	int n = epoll_wait(ctx->fd[MD__FD_EPOLL], ev, MD__FDS, timeout);

	for (int i = 0; i < n; i++) {
		if (ev[i].data.u32 == MD__FD_LEASE)
			collect_leases(ctx);
		else if (ev[i].data.u32 != MD__FD_EVENT && ev[i].data.u32 != MD__FD_NET)
			md__fd_lower(ctx->fd[ev[i].data.u32]);
	}
	return md__now();
}

/* @first: the earliest that is known already; @now: as the turn began */
static void set_timer(struct md_context *ctx, uint64_t first, uint64_t now)
{
	struct itimerspec spec = { 0 };
	struct md_map *map;

	first = md__earlier(first, md__peers_timer(ctx));
	TAILQ_FOREACH(map, &ctx->maps, maps)
		first = md__earlier(first, atomic_load(&map->timer));
	if (first == ctx->timer && (!first || first > now)) /* and it has not gone off */
		return;
	ctx->timer = first;
	spec.it_value = md__timespec(first);
	timerfd_settime(ctx->fd[MD__FD_TIMER], TFD_TIMER_ABSTIME, &spec, NULL);
}

/* One turn of a map, which has so much time to restore. Does it need more? */
static bool restore_some(struct md_map *map, uint64_t slice, uint64_t *left, uint64_t now)
{
	uint64_t before = map->ctx->restoring ? md__now() : now, took;

	if (!md__driver_turn(map, slice < *left ? slice : *left, now))
		return false;
	took = md__now() - before;
	*left -= took < *left ? took : *left;
	return true;
}

/* What is said to peers goes out before the application is told. */
static void take_turn(struct md_context *ctx, int timeout)
{
	struct md_map *map;
	unsigned int restoring = 0;
	uint64_t first, slice, now, left = MD__TURN_NS;

	now = collect(ctx, timeout);
	md__carriers_turn(ctx, now);
	md__events_tell(ctx);
	md__peers_turn(ctx, now);
	md__events_tell(ctx);
	first = md__carriers_timer(ctx);
	pthread_mutex_lock(&ctx->list_lock);
	slice = MD__TURN_NS / (ctx->restoring ?: 1);
	TAILQ_FOREACH(map, &ctx->maps, maps) {
		if (map->claimed) {
			map->passed_over = true;
			continue;
		}
		map->claimed = true;
		pthread_mutex_unlock(&ctx->list_lock);
		restoring += restore_some(map, slice, &left, now);
		/* A break of one map is not to wait for a long step of another. */
		md__peers_send(ctx);
		md__events_tell(ctx);
		pthread_mutex_lock(&ctx->list_lock);
		unclaim_locked(map);
	}
	ctx->restoring = restoring;
	set_timer(ctx, first, now);
	pthread_mutex_unlock(&ctx->list_lock);
}

/*
 * Another one is wanted where the answer is true. The application's md_peer_ops may
 * serve a context of its own in it.
 */
static bool turn(struct md_context *ctx, int timeout)
{
	struct md_context *outer = serving;

	ctx->again = false;
	serving = ctx;
	take_turn(ctx, timeout);
	serving = outer;
	return ctx->again;
}

int md_process(struct md_context *ctx)
{
	char kept[MD__ERRMSG_MAX];
	int saved = errno;

	if (!ctx)
		return md__fail(EINVAL, "md_process: no context");
	if (ctx->forked)
		return md__fail_forked();
	if (!(ctx->flags & MD_OPEN_NO_THREAD))
		return md__fail(EINVAL, "md_process: the context has a service thread");
	md__errmsg_keep(kept);
	if (turn(ctx, 0))
		md__service_wake(ctx);
	md__errmsg_restore(kept);
	errno = saved;
	return 0;
}

uint64_t md__service_help(struct md_context *ctx)
{
	struct pollfd pfd = { .fd = ctx->fd[MD__FD_EPOLL], .events = POLLIN };

	md_process(ctx);
	/* Events that nobody fetches keep it readable. */
	if (poll(&pfd, 1, HELP_MS) > 0)
		poll(NULL, 0, 1);
	return md__now();
}

/* ---- the thread -------------------------------------------------------- */

static void *serve(void *arg)
{
	struct md_context *ctx = arg;
	bool again = false;

	while (!atomic_load(&ctx->stop))
		again = turn(ctx, again ? 0 : -1);
	return NULL;
}

int md__service_start(struct md_context *ctx)
{
	int err = md__thread_start(&ctx->thread, serve, ctx);

	if (err)
		return md__fail(err, "cannot start the service thread: %s", strerror(err));
	pthread_setname_np(ctx->thread, "mapdirect");
	return 0;
}

void md__service_stop(struct md_context *ctx)
{
	atomic_store(&ctx->stop, true);
	md__service_wake(ctx);
	pthread_join(ctx->thread, NULL);
}
