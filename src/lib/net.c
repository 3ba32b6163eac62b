// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rdma/rdma_cma.h>

#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "net.h"

int md__net_watch(struct md_context *ctx, int fd, void *what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = what };

	return epoll_ctl(ctx->fd[MD__FD_NET], EPOLL_CTL_ADD, fd, &ev);
}

static int open_net(struct md_context *ctx)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = MD__FD_NET };
	int *fd = ctx->fd;

	ctx->cm = rdma_create_event_channel();
	if (!ctx->cm)
		return md__fail(errno, "no RDMA connection manager: is rdma_ucm loaded? %s",
				strerror(errno));
	fd[MD__FD_NET] = epoll_create1(EPOLL_CLOEXEC);
	if (fd[MD__FD_NET] >= 0 && !fcntl(ctx->cm->fd, F_SETFL, O_NONBLOCK) &&
	    !fcntl(ctx->cm->fd, F_SETFD, FD_CLOEXEC) && !md__net_watch(ctx, ctx->cm->fd, NULL) &&
	    !epoll_ctl(fd[MD__FD_EPOLL], EPOLL_CTL_ADD, fd[MD__FD_NET], &ev))
		return 0;
	return md__fail(errno, "cannot wait for connections: %s", strerror(errno));
}

void md__net_close(struct md_context *ctx)
{
	if (ctx->fd[MD__FD_NET] >= 0)
		close(ctx->fd[MD__FD_NET]);
	ctx->fd[MD__FD_NET] = -1;
	if (ctx->cm)
		rdma_destroy_event_channel(ctx->cm);
	ctx->cm = NULL;
}

int md__net_open(struct md_context *ctx)
{
	int err, saved;

	if (ctx->cm)
		return 0;
	md__fork_hold();
	err = open_net(ctx);
	saved = errno;
	if (err)
		md__net_close(ctx);
	md__fork_let();
	errno = saved;
	return err;
}

int md__net_resolve(const char *host, const char *port, int flags, struct sockaddr_storage *address)
{
	const struct addrinfo hints = { .ai_flags = flags, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int err = getaddrinfo(host, port, &hints, &found);

	if (err)
		return md__fail(EADDRNOTAVAIL, "%s port %s: %s", host ?: "*", port ?: "*",
				gai_strerror(err));
	memcpy(address, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}
