// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "map.h"
#include "thread_number.h"

static pthread_rwlock_t fork_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER; /* before fork_lock */
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
	pthread_mutex_lock(&list_lock);
	pthread_rwlock_wrlock(&fork_lock);
}

static void in_parent(void)
{
	pthread_rwlock_unlock(&fork_lock);
	pthread_mutex_unlock(&list_lock);
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

	md__thread_numbers_forked();
	TAILQ_FOREACH(ctx, &contexts, contexts) {
		ctx->forked = true;
		TAILQ_FOREACH(map, &ctx->maps, maps) {
			md__guard_shut(&map->guard, ECHILD);
			close_fd(map->range.fd);
			close_fd(map->lease.fd);
		}
		md__carriers_forked(ctx);
		for (int i = 0; i < MD__FDS; i++)
			close_fd(ctx->fd[i]);
	}
	TAILQ_INIT(&contexts);
	pthread_rwlock_unlock(&fork_lock);
	/* Threads that are not here may have been counted as waiting for it. */
	pthread_rwlock_init(&fork_lock, NULL);
	pthread_mutex_unlock(&list_lock);
}

static void register_handlers(void)
{
	register_error = pthread_atfork(prepare, in_parent, in_child);
}

int md__fork_add(struct md_context *ctx)
{
	int err;

	pthread_once(&once, register_handlers);
	pthread_mutex_lock(&list_lock);
	/* There was no memory for it; now there may be. */
	if (register_error)
		register_handlers();
	err = register_error;
	if (!err)
		TAILQ_INSERT_TAIL(&contexts, ctx, contexts);
	pthread_mutex_unlock(&list_lock);
	if (err)
		return md__fail(err, "cannot prepare for fork(): %s", strerror(err));
	return 0;
}

void md__fork_remove(struct md_context *ctx)
{
	pthread_mutex_lock(&list_lock);
	TAILQ_REMOVE(&contexts, ctx, contexts);
	pthread_mutex_unlock(&list_lock);
}

bool md__fork_any(bool (*is)(struct md_context *ctx, const void *arg), const void *arg)
{
	struct md_context *ctx;

	pthread_mutex_lock(&list_lock);
	TAILQ_FOREACH(ctx, &contexts, contexts) {
		if (is(ctx, arg))
			break;
	}
	pthread_mutex_unlock(&list_lock);
	return ctx;
}
