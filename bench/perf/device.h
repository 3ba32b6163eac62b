/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include <netinet/in.h>

#include <infiniband/verbs.h>

#define DEVICE_PORT 1

/* An RDMA device, with the address that we use of it. */
struct device {
	struct ibv_context *verbs;
	struct ibv_pd *pd;
	struct ibv_device_attr attr;
	struct ibv_port_attr port;
	int gid_index;
	union ibv_gid gid;
};

/*
 * @name: NULL for the first. @gid_index: -1 for the first RoCEv2 GID of an IPv4
 * address, or 0 if there is none. Ends the program when that fails.
 */
void device_open(struct device *dev, const char *name, int gid_index);
void device_close(struct device *dev);

/* The IP address of a GID, as text. */
void device_address(const union ibv_gid *gid, char text[INET6_ADDRSTRLEN]);

#endif
