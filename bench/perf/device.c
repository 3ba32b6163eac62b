// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "device.h"

#include <arpa/inet.h>
#include <string.h>

#include "must.h"

static struct ibv_context *open_verbs(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *verbs;
	int i = 0;

	if (!list || !list[0])
		errx(1, "there is no RDMA device");
	while (list[i] && name && strcmp(ibv_get_device_name(list[i]), name))
		i++;
	if (!list[i])
		errx(1, "there is no RDMA device '%s'", name);
	verbs = ibv_open_device(list[i]);
	if (!verbs)
		err(1, "cannot open the RDMA device %s", ibv_get_device_name(list[i]));
	ibv_free_device_list(list);
	return verbs;
}

static int choose_gid(const struct device *dev)
{
	for (int i = 0; i < dev->port.gid_tbl_len; i++) {
		struct ibv_gid_entry entry;

		if (!ibv_query_gid_ex(dev->verbs, DEVICE_PORT, i, &entry, 0) &&
		    entry.gid_type == IBV_GID_TYPE_ROCE_V2 &&
		    IN6_IS_ADDR_V4MAPPED((struct in6_addr *)entry.gid.raw))
			return i;
	}
	return 0;
}

void device_open(struct device *dev, const char *name, int gid_index)
{
	dev->verbs = open_verbs(name);
	ERRNO_MUST(ibv_query_device(dev->verbs, &dev->attr));
	ERRNO_MUST(ibv_query_port(dev->verbs, DEVICE_PORT, &dev->port));
	if (dev->port.state != IBV_PORT_ACTIVE)
		errx(1, "port %d of %s is not active", DEVICE_PORT,
		     ibv_get_device_name(dev->verbs->device));
	dev->gid_index = gid_index < 0 ? choose_gid(dev) : gid_index;
	if (ibv_query_gid(dev->verbs, DEVICE_PORT, dev->gid_index, &dev->gid))
		errx(1, "%s has no GID %d", ibv_get_device_name(dev->verbs->device),
		     dev->gid_index);
	dev->pd = ibv_alloc_pd(dev->verbs);
	MUST(dev->pd && "ibv_alloc_pd");
}

void device_close(struct device *dev)
{
	ERRNO_MUST(ibv_dealloc_pd(dev->pd));
	MUST(!ibv_close_device(dev->verbs));
}

void device_address(const union ibv_gid *gid, char text[INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)gid->raw))
		inet_ntop(AF_INET, gid->raw + 12, text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, gid->raw, text, INET6_ADDRSTRLEN);
}
