// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "attr.h"
#include "clock.h"
#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "lease_kmod.h"
#include "map.h"
#include "peer_pool.h"
#include "service.h"

#define DEFAULT_DEVICE "/dev/mapdirect"
#define DEFAULT_BUDGET_MS 250
#define MAX_BUDGET_MS 60000
#define DEFAULT_LIMIT_MS 5000
#define MAX_LIMIT_MS 3600000
#define DEFAULT_KEEPALIVE_MS 2000
#define MIN_KEEPALIVE_MS 10
#define MAX_KEEPALIVE_MS 60000

void md__fd_raise(int fd)
{
	const uint64_t one = 1;
	int saved = errno;

	/* It can fail only when it is readable anyhow (EAGAIN). */
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = saved;
}

void md__fd_lower(int fd)
{
	int saved = errno;
	uint64_t count;

	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	errno = saved;
}

int md__fail_forked(void)
{
	return md__fail(ECHILD, "this context was made before fork(): open a new one in the child");
}

static int check_attr(const struct md_context_attr *attr)
{
	if (attr->flags & ~MD_OPEN_NO_THREAD)
		return md__fail(EINVAL, "md_context_attr.flags: unknown bits in 0x%x", attr->flags);
	if (attr->drain_budget_ms > MAX_BUDGET_MS)
		return md__fail(EINVAL, "md_context_attr.drain_budget_ms is %u: at most %d",
				attr->drain_budget_ms, MAX_BUDGET_MS);
	if (attr->restore_limit_ms > MAX_LIMIT_MS)
		return md__fail(EINVAL, "md_context_attr.restore_limit_ms is %u: at most %d",
				attr->restore_limit_ms, MAX_LIMIT_MS);
	if (attr->keepalive_ms > MAX_KEEPALIVE_MS ||
	    (attr->keepalive_ms && attr->keepalive_ms < MIN_KEEPALIVE_MS))
		return md__fail(EINVAL, "md_context_attr.keepalive_ms is %u: from %d to %d",
				attr->keepalive_ms, MIN_KEEPALIVE_MS, MAX_KEEPALIVE_MS);
	return 0;
}

static int watch(struct md_context *ctx, enum md__fd which)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = which };

	return epoll_ctl(ctx->fd[MD__FD_EPOLL], EPOLL_CTL_ADD, ctx->fd[which], &ev);
}

static int open_fds(struct md_context *ctx)
{
	int *fd = ctx->fd;

	fd[MD__FD_EPOLL] = epoll_create1(EPOLL_CLOEXEC);
	fd[MD__FD_LEASE] = epoll_create1(EPOLL_CLOEXEC);
	fd[MD__FD_TIMER] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	fd[MD__FD_WAKE] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd[MD__FD_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (int i = MD__FD_EPOLL; i <= MD__FD_EVENT; i++)
		if (fd[i] < 0)
			return -1;
	if (watch(ctx, MD__FD_LEASE) || watch(ctx, MD__FD_TIMER) || watch(ctx, MD__FD_WAKE))
		return -1;
	return ctx->flags & MD_OPEN_NO_THREAD ? watch(ctx, MD__FD_EVENT) : 0;
}

static void close_fds(struct md_context *ctx)
{
	md__fork_hold();
	for (int i = 0; i < MD__FDS; i++) {
		if (ctx->fd[i] >= 0)
			close(ctx->fd[i]);
		ctx->fd[i] = -1;
	}
	md__fork_let();
}

static void free_context(struct md_context *ctx)
{
	md__map_free_all(&ctx->maps);
	md__map_free_all(&ctx->retired);
	md__carriers_free(ctx);
	md__peer_free_all(&ctx->peers);
	md__peer_free_all(&ctx->retired_peers);
	free(ctx->device);
	free(ctx);
}

static struct md_context *new_context(const struct md_context_attr *attr)
{
	struct md_context *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->flags = attr->flags;
	ctx->budget_ns = (attr->drain_budget_ms ?: DEFAULT_BUDGET_MS) * MD__MSEC;
	ctx->fit_limit_ns = (attr->restore_limit_ms ?: DEFAULT_LIMIT_MS) * MD__MSEC;
	ctx->keepalive_ns = (attr->keepalive_ms ?: DEFAULT_KEEPALIVE_MS) * MD__MSEC;
	ctx->ops = &md__lease_kmod;
	for (int i = 0; i < MD__FDS; i++)
		ctx->fd[i] = -1;
	pthread_mutex_init(&ctx->dev_lock, NULL);
	pthread_mutex_init(&ctx->net_lock, NULL);
	pthread_mutex_init(&ctx->list_lock, NULL);
	pthread_mutex_init(&ctx->event_lock, NULL);
	pthread_cond_init(&ctx->idle, NULL);
	TAILQ_INIT(&ctx->maps);
	TAILQ_INIT(&ctx->retired);
	TAILQ_INIT(&ctx->carriers);
	TAILQ_INIT(&ctx->listeners);
	TAILQ_INIT(&ctx->peers);
	TAILQ_INIT(&ctx->retired_peers);
	TAILQ_INIT(&ctx->events);
	ctx->device = strdup(attr->device ?: DEFAULT_DEVICE);
	if (ctx->device)
		return ctx;
	free(ctx);
	return NULL;
}

struct md_context *md_open(const struct md_context_attr *attr)
{
	struct md_context_attr own;
	struct md_context *ctx;
	int err, saved;

	if (md__attr_take(&own, sizeof(own), attr, "md_context_attr") || check_attr(&own))
		return NULL;
	ctx = new_context(&own);
	if (!ctx) {
		md__fail(ENOMEM, "no memory for a context");
		return NULL;
	}
	if (md__fork_add(ctx))
		goto free;
	md__fork_hold();
	err = open_fds(ctx);
	md__fork_let();
	if (err) {
		md__fail(errno, "cannot make the context's descriptors: %s", strerror(errno));
		goto close;
	}
	if (!(ctx->flags & MD_OPEN_NO_THREAD) && md__service_start(ctx))
		goto close;
	return ctx;

close:
	saved = errno;
	close_fds(ctx);
	md__fork_remove(ctx);
	errno = saved;
free:
	free_context(ctx);
	return NULL;
}

int md_close(struct md_context *ctx)
{
	bool maps, peers, listeners, lent;

	if (!ctx)
		return 0;
	if (ctx->forked) {
		free_context(ctx);
		return 0;
	}
	pthread_mutex_lock(&ctx->list_lock);
	maps = !TAILQ_EMPTY(&ctx->maps);
	peers = !TAILQ_EMPTY(&ctx->peers);
	lent = md__map_lent(&ctx->retired) || md__peer_lent(&ctx->retired_peers);
	pthread_mutex_unlock(&ctx->list_lock);
	pthread_mutex_lock(&ctx->net_lock);
	listeners = !TAILQ_EMPTY(&ctx->listeners);
	pthread_mutex_unlock(&ctx->net_lock);
	if (maps)
		return md__fail(EBUSY, "the context still has maps: call md_unmap() for each");
	if (peers)
		return md__fail(EBUSY, "the context still has peers: md_peer_close() each");
	if (listeners)
		return md__fail(EBUSY, "the context still listens: call md_listener_close()");
	if (lent)
		return md__fail(EBUSY, "an event of the context is left: md_ack_event() it");
	if (!(ctx->flags & MD_OPEN_NO_THREAD))
		md__service_stop(ctx);
	md__carriers_stop(ctx);
	close_fds(ctx);
	md__fork_remove(ctx);
	free_context(ctx);
	return 0;
}

int md_fd(struct md_context *ctx)
{
	if (!ctx)
		return md__fail(EINVAL, "md_fd: no context");
	if (ctx->forked)
		return md__fail_forked();
	return ctx->fd[ctx->flags & MD_OPEN_NO_THREAD ? MD__FD_EPOLL : MD__FD_EVENT];
}
