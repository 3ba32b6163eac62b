// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "map.h"

static pthread_rwlock_t fork_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, md_context) contexts = TAILQ_HEAD_INITIALIZER(contexts);
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int register_error;

void md__fork_hold(void)
{
	pthread_rwlock_rdlock(&fork_lock);
}

void md__fork_let(void)
{
	pthread_rwlock_unlock(&fork_lock);
}

static void prepare(void)
{
	pthread_rwlock_wrlock(&fork_lock);
}

static void in_parent(void)
{
	pthread_rwlock_unlock(&fork_lock);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Only the thread that forked is here, and it holds no lock of the library. */
static void in_child(void)
{
	struct md_context *ctx;
	struct md_map *map;

	pthread_rwlock_init(&fork_lock, NULL);
	pthread_mutex_init(&list_lock, NULL);
	TAILQ_FOREACH(ctx, &contexts, contexts) {
		ctx->forked = true;
		TAILQ_FOREACH(map, &ctx->maps, maps) {
			md__guard_shut(&map->guard, ECHILD);
			close_fd(map->range.fd);
			close_fd(map->lease.fd);
		}
		close_fd(ctx->epoll_fd);
		close_fd(ctx->timer_fd);
		close_fd(ctx->wake_fd);
		close_fd(ctx->event_fd);
		close_fd(ctx->dev_fd);
	}
	TAILQ_INIT(&contexts);
}

static void register_handlers(void)
{
	register_error = pthread_atfork(prepare, in_parent, in_child);
}

int md__fork_add(struct md_context *ctx)
{
	pthread_once(&once, register_handlers);
	if (register_error)
		return md__fail(register_error, "cannot prepare for fork(): %s",
				strerror(register_error));
	pthread_mutex_lock(&list_lock);
	md__fork_hold();
	TAILQ_INSERT_TAIL(&contexts, ctx, contexts);
	md__fork_let();
	pthread_mutex_unlock(&list_lock);
	return 0;
}

void md__fork_remove(struct md_context *ctx)
{
	pthread_mutex_lock(&list_lock);
	md__fork_hold();
	TAILQ_REMOVE(&contexts, ctx, contexts);
	md__fork_let();
	pthread_mutex_unlock(&list_lock);
}
