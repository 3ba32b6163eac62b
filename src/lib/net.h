/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What all connections of a context share: the event channel of rdma_cm, and MD__FD_NET. */
#ifndef MD_LIB_NET_H
#define MD_LIB_NET_H

#include <sys/socket.h>

struct md_context;

/*
 * With the net_lock. open: have both, from the first call that needs them; close: they
 * may be there in part. watch: MD__FD_NET is readable when @fd is, and says @what. 0 or
 * -1, open with a sentence.
 */
int md__net_open(struct md_context *ctx);
void md__net_close(struct md_context *ctx);
int md__net_watch(struct md_context *ctx, int fd, void *what);

/* A name and a port become an address; may block. 0 or -1, with a sentence. */
int md__net_resolve(const char *host, const char *port, int flags,
		    struct sockaddr_storage *address);

#endif
